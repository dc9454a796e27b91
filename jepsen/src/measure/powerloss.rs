//! Whether acknowledged writes survive a loss of power: of all nodes at one moment; and of one node while another one is
//! cut off, which makes the one that lost its power the only one to tell what was acknowledged.

use std::time::Duration;

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions, Cut};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::figures::{failures, skipped};
use super::writers::{Writers, Written};
use crate::env::{Capability, Machine};
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
const UNIT: &str = "rounds";
/// So many rounds for each that counts, at most.
const ATTEMPTS: u64 = 2;
/// Names of cuts.
const AWAY: &str = "away";
const ALONE: &str = "alone";

/// Takes the power of all nodes so often, and of one so often.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(all: u64, one: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let disks = [Capability::LoopMounts, Capability::Shutdown];
    let machine = Machine::tried(disks.into_iter().chain([Capability::Namespaces]));
    if let Some(why) = machine.lacks(&disks) {
        return Ok(vec![skipped("2.power-all", UNIT, &why), skipped("2.power-one", UNIT, &why)]);
    }
    let why = machine.lacks(&[Capability::Namespaces]);
    let equipment = Equipment { apart: why.is_none(), disks: true, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let (lost, samples) = rounds(&rig, all, &mut random, Loss::All).await?;
    let mut figures = vec![failures("2.power-all", UNIT, lost, samples, seed)];
    figures.push(match why {
        None => {
            let (lost, samples) = rounds(&rig, one, &mut random, Loss::One).await?;
            failures("2.power-one", UNIT, lost, samples, seed)
        }
        Some(why) => skipped("2.power-one", UNIT, &why),
    });
    Ok(figures)
}

/// Who loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    All,
    One,
}

/// How many rounds lost something, and how many there were in which something was acknowledged.
async fn rounds(rig: &Rig, count: u64, random: &mut StdRng, loss: Loss) -> anyhow::Result<(u32, u64)> {
    let nodes = rig.accesses();
    let mut writers = Writers::open(&nodes).await?;
    let (mut lost, mut samples) = (0, 0);
    for round in 0..ATTEMPTS * count {
        if samples == count {
            break;
        }
        let working = Duration::from_millis(random.random_range(100..500));
        let Written { acknowledged, sound } = match loss {
            Loss::All => lose_all(rig, &mut writers, working).await?,
            Loss::One => lose_one(rig, &mut writers, working).await?,
        };
        samples += u64::from(acknowledged > 0 || sound.is_err());
        if let Err(error) = sound {
            lost += 1;
            say(&format!("round {round}, {loss:?}: {error:#}"));
            writers = Writers::open(&nodes).await?;
        }
    }
    Ok((lost, samples))
}

/// All nodes lose their power while clients write. What is lost is no error, but part of the answer.
async fn lose_all(rig: &Rig, writers: &mut Writers, working: Duration) -> anyhow::Result<Written> {
    let (ids, nodes): (Vec<u64>, Vec<Access>) = rig.nodes.iter().map(|node| (node.id, node.access.clone())).unzip();
    writers.write_through(&nodes);
    let done = writers.write_during(async {
        tokio::time::sleep(working).await;
        rig.with(|machinery| machinery.lose_power(&ids)).await
    });
    let written = done.await?;
    rig.each(&ids, |machinery, id| machinery.start(id)).await?;
    rig.whole(LIMIT).await?;
    Ok(checked(written, writers, &nodes).await)
}

/// One follower is away while the leader and the other follower acknowledge; that other one loses its power, and the
/// leader is cut off. What the two that are left agree on must have everything.
async fn lose_one(rig: &Rig, writers: &mut Writers, working: Duration) -> anyhow::Result<Written> {
    let leader = rig.leader(LIMIT).await.context("no leader")?;
    let followers: Vec<u64> = rig.nodes.iter().map(|node| node.id).filter(|id| *id != leader).collect();
    let [away, victim] = followers[..] else { anyhow::bail!("this takes three nodes") };
    let cut = |name: &'static str, node: u64| {
        rig.with(move |machinery| machinery.network()?.cut_as(name, &Cut::Gone(vec![node])))
    };
    let heal = |name: &'static str| rig.with(move |machinery| machinery.network()?.heal_of(name).map(drop));
    cut(AWAY, away).await?;
    writers.write_through(&[rig.node(leader)?.access.clone()]);
    let done = writers.write_during(async {
        tokio::time::sleep(working).await;
        rig.with(|machinery| machinery.lose_power(&[victim])).await
    });
    let written = done.await?;
    cut(ALONE, leader).await?;
    heal(AWAY).await?;
    rig.with(|machinery| machinery.start(victim)).await?;
    let two = [rig.node(away)?.access.clone(), rig.node(victim)?.access.clone()];
    let written = checked(written, writers, &two).await;
    heal(ALONE).await?;
    rig.whole(LIMIT).await?;
    Ok(written)
}

/// With what is found through these nodes, unless it was contradicted before.
async fn checked(written: Written, writers: &mut Writers, nodes: &[Access]) -> Written {
    let Written { acknowledged, sound } = written;
    let sound = match sound {
        Ok(()) => writers.check(nodes).await,
        contradicted => contradicted,
    };
    Written { acknowledged, sound }
}

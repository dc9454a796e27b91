//! Whether acknowledged writes survive a loss of power: of all nodes at one moment; and of one node while another one is
//! cut off, which makes the one that lost its power the only one to tell what was acknowledged.

use std::time::Duration;

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions, Cut};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::figures::{failures, skipped};
use super::rounds::{UNIT, rounds};
use super::writers::{Writers, Written};
use crate::env::{Capability, Machine};
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
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
    let nodes = rig.accesses();
    let mut random = StdRng::seed_from_u64(seed);
    let losing = async |writers: &mut Writers, working| lose_all(&rig, writers, working).await;
    let (lost, samples) = rounds(&nodes, all, &mut random, "power of all", losing).await?;
    let mut figures = vec![failures("2.power-all", UNIT, lost, samples, seed)];
    figures.push(match why {
        None => {
            let losing = async |writers: &mut Writers, working| lose_one(&rig, writers, working).await;
            let (lost, samples) = rounds(&nodes, one, &mut random, "power of one", losing).await?;
            failures("2.power-one", UNIT, lost, samples, seed)
        }
        Some(why) => skipped("2.power-one", UNIT, &why),
    });
    Ok(figures)
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
    Ok(written.checked(writers, &nodes).await)
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
    let written = written.checked(writers, &two).await;
    heal(ALONE).await?;
    rig.whole(LIMIT).await?;
    Ok(written)
}

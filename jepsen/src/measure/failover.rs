//! From the loss of the leader to the next acknowledged write, asked for by a client of a node that lives on.

use std::time::{Duration, Instant};

use anyhow::Context;
use openshell_tests::{ClusterOptions, Cut, eventually};

use super::figures::{Times, skipped};
use super::progress::Progress;
use crate::env::{Capability, Machine};
use crate::ledger::Ledger;
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
/// Snapshots are no part of it.
const SNAPSHOT_EVERY: u64 = 10_000;
/// Of the cut that loses the leader.
const CUT: &str = "failover";

/// How the leader is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// SIGKILL: the connections to it break at once.
    Kill,
    /// Nobody reaches it, and nobody is told.
    Partition,
    /// SIGSTOP: it is there, and says nothing.
    Pause,
    /// SIGTERM: it hands over.
    Stop,
    /// Its file system is frozen: it goes on with the disks of the others.
    Hang,
}

/// Loses the leader so often by SIGKILL, and so often in each other way.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(kills: u64, others: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let machine = Machine::tried([Capability::Namespaces]);
    let why = machine.lacks(&[Capability::Namespaces]);
    let (rig, mut witness) = set_up(Equipment { apart: why.is_none(), disks: false, clocks: false }).await?;
    let killed = lose(&rig, &mut witness, Loss::Kill, kills).await?;
    let mut figures =
        vec![killed.figure("3.p50", 50, seed), killed.figure("3.p99", 99, seed), killed.figure("3.max", 100, seed)];
    match why {
        None => figures.push(lose(&rig, &mut witness, Loss::Partition, others).await?.figure("4.partition", 99, seed)),
        Some(why) => figures.push(skipped("4.partition", "s", &why)),
    }
    figures.push(lose(&rig, &mut witness, Loss::Pause, others).await?.figure("4.pause", 99, seed));
    figures.push(lose(&rig, &mut witness, Loss::Stop, others).await?.figure("4.graceful", 99, seed));
    witness.look_everywhere(&rig).await;
    // A time after which something is lost is none.
    figures.iter_mut().for_each(|figure| figure.passed &= witness.is_sound);
    drop(rig);
    figures.push(hang(others, seed).await?);
    Ok(figures)
}

/// Freezes the leader's disk so often, in a cluster whose disks can be: those are slower than others.
async fn hang(rounds: u64, seed: u64) -> anyhow::Result<Measured> {
    const ROW: &str = "4.hang";
    const NEEDED: [Capability; 2] = [Capability::LoopMounts, Capability::Freeze];
    if let Some(why) = Machine::tried(NEEDED).lacks(&NEEDED) {
        return Ok(skipped(ROW, "s", &why));
    }
    let (rig, mut witness) = set_up(Equipment { apart: false, disks: true, clocks: false }).await?;
    let mut figure = lose(&rig, &mut witness, Loss::Hang, rounds).await?.figure(ROW, 99, seed);
    witness.look_everywhere(&rig).await;
    figure.passed &= witness.is_sound;
    Ok(figure)
}

async fn set_up(equipment: Equipment) -> anyhow::Result<(Rig, Witness)> {
    let options = ClusterOptions {
        snapshot_after_entries: SNAPSHOT_EVERY,
        log_entries_kept: SNAPSHOT_EVERY,
        ..Default::default()
    };
    let rig = Rig::new(options, equipment).await?;
    let witness = Witness { ledger: Ledger::open(rig.nodes[0].access.api()).await?, is_sound: true };
    Ok((rig, witness))
}

/// Who writes, and whether everything that was acknowledged to it was kept.
struct Witness {
    ledger: Ledger,
    is_sound: bool,
}

impl Witness {
    async fn look_everywhere(&mut self, rig: &Rig) {
        for node in &rig.nodes {
            let checked = self.ledger.check(&node.access.api()).await;
            self.hear("after all losses", checked);
        }
    }

    fn hear(&mut self, when: &str, sound: anyhow::Result<()>) {
        if let Err(error) = sound {
            self.is_sound = false;
            say(&format!("{when}: {error:#}"));
        }
    }
}

async fn lose(rig: &Rig, witness: &mut Witness, loss: Loss, rounds: u64) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let mut progress = Progress::new(&format!("losses of the leader, {loss:?}"), rounds);
    for round in 0..rounds {
        progress.done(round);
        let leader = rig.leader(LIMIT).await.context("no leader")?;
        let survivor = rig.nodes.iter().find(|node| node.id != leader).context("no other node")?;
        // The connection stands before the loss, as a client's would.
        witness.ledger.scene = witness.ledger.scene.through(survivor.access.api());
        let before = witness.ledger.write_all(1).await;
        let begin = Instant::now();
        let lost = rig.with(|machinery| match loss {
            Loss::Kill => machinery.kill(leader),
            Loss::Partition => machinery.network()?.cut_as(CUT, &Cut::Gone(vec![leader])),
            Loss::Pause => machinery.cluster.gateway(leader).pause(),
            Loss::Stop => machinery.cluster.gateway(leader).ask_to_stop(),
            Loss::Hang => machinery.disk(leader)?.freeze(),
        });
        lost.await?;
        let after = witness.ledger.write_all(1).await;
        if after.is_ok() {
            times.add(begin.elapsed());
        }
        bring_back(rig, leader, loss).await?;
        rig.whole(LIMIT).await?;
        let sound = before.and(after);
        if sound.is_err() {
            witness.ledger = Ledger::open(survivor.access.api()).await?;
        }
        witness.hear(&format!("{loss:?}, round {round}"), sound);
    }
    Ok(times)
}

async fn bring_back(rig: &Rig, leader: u64, loss: Loss) -> anyhow::Result<()> {
    if loss == Loss::Stop {
        let ended = async || rig.with(|machinery| Ok(machinery.ended(leader))).await.ok().flatten();
        eventually("the node that was asked to stop to end", LIMIT, ended).await?;
    }
    let back = rig.with(|machinery| match loss {
        Loss::Kill | Loss::Stop => machinery.start(leader),
        Loss::Partition => machinery.network()?.heal_of(CUT).map(drop),
        Loss::Pause => machinery.cluster.gateway(leader).resume(),
        Loss::Hang => machinery.disk(leader)?.thaw(),
    });
    back.await
}

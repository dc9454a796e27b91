//! How much slower writes become when the syncs of one node take longer. The node is traced for it, which slows it in
//! everything it asks of the system: so it is compared with the same node when its syncs are traced and no later, and what
//! is left is the disk's doing. All writes are sent to the leader, so that none is measured that a traced follower has
//! passed on.

use std::time::{Duration, Instant};

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions};
use tokio::task::block_in_place;

use super::figures::{Times, skipped};
use super::progress::Progress;
use crate::env::{Capability, Machine, Spoil, Tracer};
use crate::ledger::Ledger;
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
const LATE_MS: i64 = 100;
const WARM_UP: u64 = 300;
const UNIT: &str = "times";
/// The leader may be another one before all is written: then it is written again.
const ATTEMPTS: u32 = 4;

/// Measures so many writes four times: with the leader's disk quiet and slow, and with a follower's.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(writes: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let machine = Machine::tried([Capability::SystemCallFaults]);
    if let Some(why) = machine.lacks(&[Capability::SystemCallFaults]) {
        return Ok(vec![skipped("17.leader", UNIT, &why), skipped("17.follower", UNIT, &why)]);
    }
    let equipment = Equipment { apart: false, disks: false, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let mut ledger = Ledger::open(Access::to_all(&rig.accesses()).api()).await?;
    // The first writes of a cluster are slower, which would make every disk look good.
    ledger.write_all(WARM_UP).await?;
    let mut figures = Vec::new();
    for (row, is_leader) in [("17.leader", true), ("17.follower", false)] {
        let quiet = traced(&rig, &mut ledger, writes, is_leader, 0).await?;
        let slow = traced(&rig, &mut ledger, writes, is_leader, LATE_MS).await?;
        let both = slow.quantile(99).zip(quiet.quantile(99));
        let ratio = both.map(|(slow, quiet)| slow.as_secs_f64() / quiet.as_secs_f64());
        figures.push(Measured {
            row: row.to_owned(),
            value: ratio,
            unit: UNIT.to_owned(),
            samples: writes,
            seeds: vec![seed],
            passed: ratio.is_some(),
            ..Measured::default()
        });
    }
    Ok(figures)
}

/// Writes while the syncs of the leader, or of a follower, are so many milliseconds late: from the first write to the last
/// it must be the same leader in the same term. None when it never was.
async fn traced(rig: &Rig, ledger: &mut Ledger, writes: u64, is_leader: bool, late_ms: i64) -> anyhow::Result<Times> {
    for attempt in 1..=ATTEMPTS {
        let before = rig.leadership(LIMIT).await.context("no leader")?;
        let slow = rig.nodes.iter().map(|node| node.id).find(|id| (*id == before.leader) == is_leader);
        let slow = slow.context("a node")?;
        let process = rig.with(|machinery| machinery.process(slow)).await?;
        let record = rig.folder.join(format!("strace-{slow}-{is_leader}-{late_ms}-{attempt}"));
        let tracer = block_in_place(|| Tracer::attach(process, Spoil::Late(late_ms), &record))?;
        let times = write(rig, ledger, before.leader, writes).await;
        let spoiled = block_in_place(|| tracer.detach())?;
        let times = times?;
        rig.whole(LIMIT).await?;
        let after = rig.leadership(LIMIT).await.context("no leader")?;
        if after == before && spoiled > 0 {
            return Ok(times);
        }
        say(&format!("node {slow}: {spoiled} syncs were {late_ms} ms late, from {before:?} to {after:?}: once more"));
    }
    Ok(Times::default())
}

async fn write(rig: &Rig, ledger: &mut Ledger, leader: u64, writes: u64) -> anyhow::Result<Times> {
    ledger.scene = ledger.scene.through(rig.node(leader)?.access.api());
    let mut times = Times::default();
    let mut progress = Progress::new("writes", writes);
    for write in 0..writes {
        progress.done(write);
        let begin = Instant::now();
        ledger.write_all(1).await?;
        times.add(begin.elapsed());
    }
    Ok(times)
}

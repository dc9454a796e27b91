//! How much slower writes become when the syncs of one node take longer. The node is traced for it, which slows it in
//! everything: the true ratio is no worse.

use std::time::{Duration, Instant};

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions};
use tokio::task::block_in_place;

use super::figures::{Times, skipped};
use crate::env::{Capability, Machine, Spoil, Tracer};
use crate::ledger::Ledger;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
const LATE_MS: i64 = 100;
const UNIT: &str = "times";

/// Measures so many writes on quiet disks, with a slow leader's and with a slow follower's.
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
    let quiet = write(&mut ledger, writes).await?;
    let mut figures = Vec::new();
    for (row, is_leader) in [("17.leader", true), ("17.follower", false)] {
        let leader = rig.leader(LIMIT).await.context("no leader")?;
        let slow = rig.nodes.iter().map(|node| node.id).find(|id| (*id == leader) == is_leader).context("a node")?;
        let process = rig.with(|machinery| machinery.process(slow)).await?;
        let record = rig.folder.join(format!("strace-{slow}"));
        let tracer = block_in_place(|| Tracer::attach(process, Spoil::Late(LATE_MS), &record))?;
        let times = write(&mut ledger, writes).await?;
        let spoiled = block_in_place(|| tracer.detach())?;
        rig.whole(LIMIT).await?;
        let ratio =
            times.quantile(99).zip(quiet.quantile(99)).map(|(slow, quiet)| slow.as_secs_f64() / quiet.as_secs_f64());
        figures.push(Measured {
            row: row.to_owned(),
            value: ratio,
            unit: UNIT.to_owned(),
            samples: writes,
            seeds: vec![seed],
            passed: ratio.is_some() && spoiled > 0,
            skipped: None,
        });
    }
    Ok(figures)
}

async fn write(ledger: &mut Ledger, writes: u64) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for _ in 0..writes {
        let begin = Instant::now();
        ledger.write_all(1).await?;
        times.add(begin.elapsed());
    }
    Ok(times)
}

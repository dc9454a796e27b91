//! How much slower writes become when the syncs of one node take longer. The node is traced for it, which slows it in
//! everything it asks of the system: so what it costs to be traced, with syncs that are no later, is taken off. All writes
//! are sent to the leader, so that none is measured that a traced follower has passed on.

use std::path::Path;
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
/// A node that is traced takes no longer than one that is traced and slow. By more than this, the machine was disturbed.
const DISTURBED: f64 = 1.25;
/// The leader may be another one before all is written: then it is written again.
const ATTEMPTS: u32 = 4;

/// Measures so many writes six times: as they are, with a node that is traced, and with one that is traced and slow; the
/// leader, and a follower.
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
        let ratio = ratio(&rig, &mut ledger, writes, is_leader).await?;
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

/// What writes took to one leader.
struct Compared {
    quiet: Times,
    /// With one node traced.
    traced: Times,
    /// With its syncs late, too.
    slow: Times,
}

impl Compared {
    /// What the disk makes of the quiet 99th percentile; none when the machine was disturbed.
    fn ratio(&self) -> Option<f64> {
        let [quiet, traced, slow] =
            [&self.quiet, &self.traced, &self.slow].map(|times| times.quantile(99).map(|time| time.as_secs_f64()));
        let (quiet, traced, slow) = (quiet?, traced?, slow?);
        say(&format!("99th percentile: {quiet:.4} s, of a traced node {traced:.4} s, of a slow one {slow:.4} s"));
        // To trace a follower costs nothing where the leader then waits for another one alone.
        let tracing = (traced - quiet).max(0.0);
        (traced <= DISTURBED * slow).then(|| (slow - tracing) / quiet)
    }
}

/// Compares the leader, or a follower: from the first write to the last it must be the same leader in the same term. None
/// when it never was, and the machine was never left alone.
async fn ratio(rig: &Rig, ledger: &mut Ledger, writes: u64, is_leader: bool) -> anyhow::Result<Option<f64>> {
    for attempt in 1..=ATTEMPTS {
        let before = rig.leadership(LIMIT).await.context("no leader")?;
        let slow = rig.nodes.iter().map(|node| node.id).find(|id| (*id == before.leader) == is_leader);
        let slow = slow.context("a node")?;
        ledger.scene = ledger.scene.through(rig.node(before.leader)?.access.api());
        let quiet = write(ledger, writes).await?;
        let record = |late_ms| rig.folder.join(format!("strace-{slow}-{is_leader}-{late_ms}-{attempt}"));
        let (times, none_later) = traced(rig, ledger, writes, (slow, 0), &record(0)).await?;
        let (late, later) = traced(rig, ledger, writes, (slow, LATE_MS), &record(LATE_MS)).await?;
        let after = rig.leadership(LIMIT).await.context("no leader")?;
        if after == before && none_later > 0 && later > 0 {
            let ratio = Compared { quiet, traced: times, slow: late }.ratio();
            if ratio.is_some() {
                return Ok(ratio);
            }
        }
        say(&format!(
            "node {slow}: {none_later} syncs were traced, {later} were late, from {before:?} to {after:?}, or the machine was disturbed: once more"
        ));
    }
    Ok(None)
}

/// Writes while the syncs of a node are so many milliseconds late, and how many were.
async fn traced(
    rig: &Rig,
    ledger: &mut Ledger,
    writes: u64,
    (node, late_ms): (u64, i64),
    record: &Path,
) -> anyhow::Result<(Times, usize)> {
    let process = rig.with(|machinery| machinery.process(node)).await?;
    let tracer = block_in_place(|| Tracer::attach(process, Spoil::Late(late_ms), record))?;
    let times = write(ledger, writes).await;
    let spoiled = block_in_place(|| tracer.detach())?;
    let times = times?;
    rig.whole(LIMIT).await?;
    Ok((times, spoiled))
}

async fn write(ledger: &mut Ledger, writes: u64) -> anyhow::Result<Times> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(quiet: u64, traced: u64, slow: u64) -> Compared {
        let [quiet, traced, slow] = [quiet, traced, slow].map(|ms| {
            let mut times = Times::default();
            times.add(Duration::from_millis(ms));
            times
        });
        Compared { quiet, traced, slow }
    }

    #[test]
    fn what_tracing_costs_is_taken_off_and_nothing_more() {
        let near = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 1e-9);
        assert!(near(compared(10, 20, 120).ratio(), 11.0));
        assert!(near(compared(10, 20, 20).ratio(), 1.0));
        assert!(near(compared(10, 5, 12).ratio(), 1.2), "where it costs nothing");
        assert!(near(compared(10, 21, 20).ratio(), 0.9), "of which a little is noise");
        assert!(compared(10, 200, 110).ratio().is_none(), "a disturbed machine says nothing");
        assert!(Compared { traced: Times::default(), ..compared(10, 20, 30) }.ratio().is_none());
    }
}

//! Wall clocks of single nodes that jump, or run at another rate, while clients write and nothing else is wrong: nothing
//! may be lost, and nobody may take over from the leader.

use std::time::Duration;

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions, http_get_at};
use tokio::time::sleep;

use super::figures::{failures, skipped};
use super::progress::Progress;
use super::writers::Writers;
use crate::env::{Capability, Clock, Machine, NOTICED_AFTER_S, Shift};
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
const LOSSES: &str = "18.violations";
const CHANGES: &str = "18.leader-changes";
/// In turn, on the leader and on a follower.
const SHIFTS: [Shift; 4] = [Shift::By(3_600), Shift::By(-3_600), Shift::By(100 * 86_400), Shift::Rate(200)];
/// The time of a cluster never goes back, so later jumps of a leader are from where it is: so many, each of them once on
/// either, and another cluster is made.
const JUMPS_OF_A_CLUSTER: u64 = 2 * SHIFTS.len() as u64;
/// A process has noticed by then, with one reading to spare.
const NOTICED: Duration = Duration::from_millis(NOTICED_AFTER_S * 1_000 + 200);
/// A leader that falls over its clock has done so by then: elections take well below a second.
const EFFECT: Duration = Duration::from_millis(1_500);
/// Where nobody noticed or nobody wrote, or the leader changed, the same jump is made again so often.
const AGAIN: u32 = 2;

/// What was seen.
#[derive(Default)]
struct Tally {
    /// Faults that were felt while something was acknowledged.
    faults: u64,
    lost: u32,
    jumps: u64,
    changes: u32,
}

/// What one jump came to.
struct Seen {
    is_changed: bool,
    /// Whether the process looked at its clock, and something was acknowledged meanwhile.
    is_sample: bool,
    lost: anyhow::Result<()>,
}

/// So many jumps.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(jumps: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let needs = [Capability::FakeClock];
    if let Some(why) = Machine::tried(needs).lacks(&needs) {
        return Ok(vec![skipped(LOSSES, "faults", &why), skipped(CHANGES, "jumps", &why)]);
    }
    let mut tally = Tally::default();
    let mut progress = Progress::new("jumps of a clock", jumps);
    for first in (0..jumps).step_by(usize::try_from(JUMPS_OF_A_CLUSTER)?) {
        let rig = Rig::new(ClusterOptions::default(), Equipment { apart: false, disks: false, clocks: true }).await?;
        for node in &rig.nodes {
            Clock::is_of(rig.with(|machinery| machinery.process(node.id)).await?)?;
        }
        let mut writers = Writers::open(&rig.accesses()).await?;
        for jump in first..(first + JUMPS_OF_A_CLUSTER).min(jumps) {
            progress.done(jump);
            let (shift, is_leader) = kind(jump);
            tally.jump(&rig, &mut writers, shift, is_leader).await?;
        }
    }
    let losses = failures(LOSSES, "faults", tally.lost, tally.faults, seed);
    // That another leads is a figure beyond its limit, and no loss.
    let changes = Measured { passed: true, ..failures(CHANGES, "jumps", tally.changes, tally.jumps, seed) };
    Ok(vec![losses, changes])
}

/// How a clock goes wrong in a jump, and whether it is the leader's. Both are everywhere in each round of eight.
fn kind(jump: u64) -> (Shift, bool) {
    let count = SHIFTS.len() as u64;
    let shift = SHIFTS[usize::try_from(jump % count).unwrap_or_default()];
    (shift, (jump + jump / count).is_multiple_of(2))
}

impl Tally {
    /// One jump. On a busy machine a leader may fall by chance: it fell over its clock when it does so again.
    async fn jump(&mut self, rig: &Rig, writers: &mut Writers, shift: Shift, is_leader: bool) -> anyhow::Result<()> {
        let mut changes = 0;
        let mut has_sample = false;
        for _ in 0..=AGAIN {
            let seen = one(rig, writers, shift, is_leader).await?;
            if let Err(error) = &seen.lost {
                self.lost += 1;
                say(&format!("{shift:?}, on the leader: {is_leader}: {error:#}"));
                *writers = Writers::open(&rig.accesses()).await?;
            }
            self.faults += u64::from(seen.is_sample || seen.lost.is_err());
            has_sample |= seen.is_sample;
            changes += u32::from(seen.is_changed);
            if has_sample && !seen.is_changed {
                break;
            }
        }
        self.jumps += u64::from(has_sample);
        if changes > 0 {
            say(&format!("{shift:?}, on the leader: {is_leader}: another led after {changes} of the same jumps"));
        }
        self.changes += u32::from(changes > 1);
        Ok(())
    }
}

async fn one(rig: &Rig, writers: &mut Writers, shift: Shift, is_leader: bool) -> anyhow::Result<Seen> {
    let nodes: Vec<Access> = rig.accesses();
    rig.whole(LIMIT).await?;
    let before = rig.leadership(LIMIT).await.context("no leader")?;
    let victim = rig.nodes.iter().map(|node| node.id).find(|id| (*id == before.leader) == is_leader);
    let victim = rig.node(victim.context("a node")?)?;
    let clock = rig.clocks.get(&victim.id).context("a node without a clock of its own")?;
    let mut is_noticed = false;
    writers.write_through(&nodes);
    let written = writers.write_during(async {
        clock.set(shift)?;
        sleep(NOTICED).await;
        // A follower may have no other reason to look at its clock: every answer has a date.
        drop(http_get_at(victim.address, victim.ports.health, "/healthz").await);
        sleep(EFFECT).await;
        is_noticed = clock.is_noticed()?;
        // It jumps back, too.
        clock.set(Shift::None)?;
        sleep(NOTICED).await;
        Ok(())
    });
    let written = written.await?;
    let after = rig.leadership(LIMIT).await.context("no leader")?;
    let written = written.checked(writers, &nodes).await;
    let is_sample = is_noticed && written.acknowledged > 0;
    Ok(Seen { is_changed: after != before, is_sample, lost: written.sound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_four_jumps_are_all_kinds_and_the_first_eight_all_kinds_on_both() {
        let first: Vec<(Shift, bool)> = (0..4).map(kind).collect();
        let expected = [true, false, true, false];
        assert_eq!(first, SHIFTS.into_iter().zip(expected).collect::<Vec<_>>());
        for shift in SHIFTS {
            for is_leader in [false, true] {
                assert!((0..JUMPS_OF_A_CLUSTER).any(|jump| kind(jump) == (shift, is_leader)), "{shift:?}");
            }
        }
    }
}

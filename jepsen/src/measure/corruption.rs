//! Whether a node whose files are damaged while it is stopped starts as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openshell_tests::{Access, ClusterOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::figures::failures;
use super::progress::Progress;
use crate::ledger::Ledger;
use crate::nemesis::{Fate, WAYS, injure, stop, way};
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
/// Between two batches so much is written.
const WRITES: u64 = 20;
/// So many files are damaged, one after the other, while the other nodes are stopped: whoever starts speaks to nobody,
/// so that it can be put back.
const BATCH: u64 = 20;

/// What was seen.
#[derive(Default)]
struct Tally {
    fates: BTreeMap<&'static str, u32>,
    /// The ways in which files were damaged.
    ways: BTreeSet<u64>,
    /// Something else was found that must not be.
    is_wrong: bool,
}

/// Damages so many files.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(rounds: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let equipment = Equipment { apart: false, disks: false, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let mut random = StdRng::seed_from_u64(seed);
    let mut ledger = Ledger::open(Access::to_all(&rig.accesses()).api()).await?;
    // Enough for a snapshot; and tables are written by a start.
    ledger.write_all(ClusterOptions::default().snapshot_after_entries).await?;
    rig.each(&ids, |machinery, id| machinery.kill(id)).await?;
    rig.each(&ids, |machinery, id| machinery.start(id)).await?;
    rig.whole(LIMIT).await?;
    let mut tally = Tally::default();
    let mut progress = Progress::new("damaged files", rounds);
    for first in (0..rounds).step_by(usize::try_from(BATCH)?) {
        progress.done(first);
        ledger.write_all(WRITES).await?;
        for id in &ids {
            stop(&rig, *id).await?;
        }
        let victim = ids[usize::try_from(first / BATCH)? % ids.len()];
        for round in first..(first + BATCH).min(rounds) {
            // Every way in turn; where in the file is chance.
            let choice = random.random_range(0..1_u64 << 40) * WAYS + round % WAYS;
            let injury = injure(&rig, victim, choice).await?;
            tally.note(&format!("round {round}, node {victim}"), injury.damaged.way, &injury.fate);
            injury.undo(&rig).await?;
        }
        rig.each(&ids, |machinery, id| machinery.start(id)).await?;
        rig.whole(LIMIT).await?;
        for node in &rig.nodes {
            if let Err(error) = ledger.check(&node.access.api()).await {
                tally.is_wrong = true;
                say(&format!("what was put back is not whole: {error:#}"));
                ledger = Ledger::open(Access::to_all(&rig.accesses()).api()).await?;
            }
        }
    }
    say(&format!("damaged files: {:?}", tally.fates));
    Ok(vec![tally.figure(rounds, seed)])
}

impl Tally {
    fn note(&mut self, what: &str, way: u64, fate: &Fate) {
        self.ways.insert(way);
        *self.fates.entry(name(fate)).or_default() += 1;
        match fate {
            Fate::Refused(_) | Fate::Whole => {}
            Fate::Unnoticed(why) | Fate::Silent(why) => say(&format!("{what}: {why}")),
            Fate::Mute(why) => {
                self.is_wrong = true;
                say(&format!("{what}: {why}"));
            }
        }
    }

    /// A figure without a value, as long as nothing was silent, when some way was never tried.
    fn figure(&self, rounds: u64, seed: u64) -> Measured {
        let silent = self.fates.get(SILENT).copied().unwrap_or_default();
        let untried: Vec<String> = (0..WAYS).filter(|number| !self.ways.contains(number)).map(way).collect();
        let figure = failures("7.silent", "injections", silent, rounds, seed);
        let passed = figure.passed && !self.is_wrong;
        if untried.is_empty() || !passed {
            return Measured { passed, ..figure };
        }
        say(&format!("files were never damaged in these ways: {}", untried.join(", ")));
        Measured { value: None, passed: false, ..figure }
    }
}

const SILENT: &str = "silent";

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Refused(_) => "refused",
        Fate::Mute(_) => "ended without a word",
        Fate::Whole => "nothing was lost",
        Fate::Unnoticed(_) => "damage unnoticed, nothing lost",
        Fate::Silent(_) => SILENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(ways: u64, fate: &Fate) -> Measured {
        let mut tally = Tally::default();
        (0..ways).for_each(|way| tally.note("a round", way, &Fate::Refused(String::new())));
        tally.note("a round", 0, fate);
        tally.figure(ways + 1, 7)
    }

    #[test]
    fn every_way_must_have_been_tried_and_nothing_be_silent() {
        let good = tally(WAYS, &Fate::Whole);
        assert_eq!((good.value, good.passed, good.samples), (Some(0.0), true, WAYS + 1));
        let untried = tally(WAYS - 1, &Fate::Whole);
        assert_eq!((untried.value, untried.passed), (None, false));
        let silent = tally(WAYS - 1, &Fate::Silent(String::new()));
        assert_eq!((silent.value, silent.passed), (Some(1.0), false), "what is wrong is not hidden by it");
        let mute = tally(WAYS, &Fate::Mute(String::new()));
        assert_eq!((mute.value, mute.passed), (Some(0.0), false));
        assert!(tally(WAYS, &Fate::Unnoticed(String::new())).passed);
    }
}

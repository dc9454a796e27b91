//! Whether a node whose files are damaged while it is stopped starts as if nothing had happened.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use openshell_tests::{Access, ClusterOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::figures::failures;
use crate::ledger::Ledger;
use crate::nemesis::{Fate, WAYS, injure, stop};
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
/// Between two batches so much is written.
const WRITES: u64 = 20;
/// So many files are damaged, one after the other, while the other nodes are stopped: whoever starts speaks to nobody,
/// so that it can be put back.
const BATCH: u64 = 20;

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
    // Enough for tables and a snapshot.
    ledger.write_all(ClusterOptions::default().snapshot_after_entries).await?;
    let mut fates: BTreeMap<&str, u64> = BTreeMap::new();
    for first in (0..rounds).step_by(usize::try_from(BATCH)?) {
        ledger.write_all(WRITES).await?;
        for id in &ids {
            stop(&rig, *id).await?;
        }
        let victim = ids[usize::try_from(first / BATCH)? % ids.len()];
        for round in first..(first + BATCH).min(rounds) {
            // Every way in turn; where in the file is chance.
            let choice = random.random_range(0..1_u64 << 40) * WAYS + round % WAYS;
            let injury = injure(&rig, victim, choice).await?;
            *fates.entry(name(&injury.fate)).or_default() += 1;
            if let Fate::Silent(why) = &injury.fate {
                say(&format!("round {round}, node {victim}: {why}"));
            }
            injury.undo(&rig).await?;
        }
        rig.each(&ids, |machinery, id| machinery.start(id)).await?;
        rig.whole(LIMIT).await?;
        for node in &rig.nodes {
            ledger.check(&node.access.api()).await.context("what was put back is not whole")?;
        }
    }
    say(&format!("damaged files: {fates:?}"));
    let silent = fates.get("silent").copied().unwrap_or_default();
    Ok(vec![failures("7.silent", "injections", u32::try_from(silent)?, rounds, seed)])
}

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Refused(_) => "refused",
        Fate::Whole => "nothing was lost",
        Fate::Silent(_) => "silent",
    }
}

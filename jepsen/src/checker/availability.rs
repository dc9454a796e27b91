//! How long nobody was answered: between two acknowledged writes, by the faults that were there. While
//! there are none, and some time after the last, there may be no long gap, and hardly a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::findings::Finding;
use super::windows::{Window, windows};
use crate::history::{Action, Operation, Outcome, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "availability";
/// After a fault is healed, the cluster has so long to come back before its silence counts as its own.
const GRACE: Duration = Duration::from_secs(5);
/// A share is computed of so many answers at least.
const QUIET_MIN: usize = 100;

/// What a cluster without faults must hold to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// The longest time without an acknowledged write.
    pub(crate) quiet_gap_max: Duration,
    /// The least share of calls whose outcome is known, in thousandths.
    pub(crate) known_share_min: u64,
    /// From the end of the last fault to the next acknowledged write.
    pub(crate) recovery_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { quiet_gap_max: Duration::from_secs(10), known_share_min: 990, recovery_max: Duration::from_secs(30) }
    }
}

/// Whether the cluster answered while nothing was done to it.
pub(super) fn check(story: &Story<'_>, limits: Limits) -> Finding {
    let mut finding = Finding::of(NAME);
    let windows = windows(story.lines);
    let mut written: Vec<u64> =
        story.operations.iter().filter(|one| is_write(one)).map(|one| one.returned_ns).collect();
    written.sort_unstable();
    // The last reads are no part of it.
    let end = story.settled_ns().unwrap_or(u64::MAX);
    written.retain(|at| *at <= end);
    finding.at_least("acknowledged writes", written.len(), 1);
    let mut longest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut quiet_longest = 0;
    for (from, to) in written.iter().zip(written.iter().skip(1)) {
        let gap = to - from;
        let mut hit = windows.iter().filter(|window| reaches(window, *from, *to)).peekable();
        if hit.peek().is_none() {
            quiet_longest = quiet_longest.max(gap);
        }
        for window in hit {
            let most = longest.entry(window.kind).or_default();
            *most = (*most).max(gap);
        }
    }
    if u128::from(quiet_longest) > limits.quiet_gap_max.as_nanos() {
        let seconds = Duration::from_nanos(quiet_longest).as_secs_f64();
        finding.violated(format!("for {seconds:.1} s without a fault, no write was acknowledged"));
    }
    finding.count("ms of the longest gap without a fault", milliseconds(quiet_longest));
    for (kind, gap) in longest {
        finding.count(&format!("ms of the longest gap at {kind}"), milliseconds(gap));
    }
    recovers(&windows, &written, limits, &mut finding);
    known_share(story, &windows, limits, &mut finding);
    finding
}

fn is_write(operation: &Operation<'_>) -> bool {
    matches!(operation.action, Action::Write { .. }) && operation.outcome.is_ok()
}

/// Whether a time is touched by a fault or by what follows from it.
fn reaches(window: &Window<'_>, from: u64, to: u64) -> bool {
    window.from_ns <= to && from <= window.until_ns.saturating_add(nanoseconds(GRACE))
}

/// Writes go on after the last fault.
fn recovers(windows: &[Window<'_>], written: &[u64], limits: Limits, finding: &mut Finding) {
    let Some(healed) = windows.iter().map(|window| window.until_ns).max() else { return };
    match written.iter().find(|at| **at >= healed) {
        Some(at) => {
            finding.count("ms until a write after the last fault", milliseconds(at - healed));
            if u128::from(at - healed) > limits.recovery_max.as_nanos() {
                let seconds = Duration::from_nanos(at - healed).as_secs_f64();
                finding.violated(format!("the first write after the last fault took {seconds:.1} s"));
            }
        }
        None => finding.unknown("no write was acknowledged after the last fault".to_owned()),
    }
}

/// Of the calls that ran while there was no fault, hardly one is without an answer.
fn known_share(story: &Story<'_>, windows: &[Window<'_>], limits: Limits, finding: &mut Finding) {
    let is_quiet = |operation: &&Operation<'_>| {
        let (from, to) = (operation.invoked_ns, operation.returned_ns);
        to < u64::MAX && !windows.iter().any(|window| reaches(window, from, to))
    };
    let (mut known, mut all) = (0, 0);
    for operation in story.operations.iter().filter(is_quiet) {
        all += 1;
        known += usize::from(!matches!(operation.outcome, Outcome::Unknown { .. } | Outcome::NotDone));
    }
    finding.count("calls without a fault", all);
    if all >= QUIET_MIN && (known * 1_000) / all < usize::try_from(limits.known_share_min).unwrap_or(usize::MAX) {
        finding.violated(format!("without a fault, {known} of {all} calls were answered"));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(nanoseconds: u64) -> usize {
    usize::try_from(nanoseconds / 1_000_000).unwrap_or(usize::MAX)
}

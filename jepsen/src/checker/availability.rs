//! How long nobody was answered: between two acknowledged writes, before the first and after the last while clients
//! work, by the faults that were there. While there are none, and some time after the last, there may be no long gap, and
//! hardly a failure; while no more than a minority is hurt, no gap that is longer than an election and its like take.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::findings::Finding;
use super::hurt::majority_hurt;
use super::windows::{Window, windows};
use crate::history::{Action, Operation, Outcome, Story, nanoseconds};
use crate::workload::LAST_WRITE;

/// The name of the checker.
pub(crate) const NAME: &str = "availability";
/// After a fault is healed, the cluster has so long to come back before its silence counts as its own.
const GRACE: Duration = Duration::from_secs(5);
/// A share is computed of so many answers at least: as many as the quiet beginning of each run has several times over.
const QUIET_MIN: usize = 100;

/// What a cluster without faults must hold to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// The longest time without an acknowledged write.
    pub(crate) quiet_gap_max: Duration,
    /// The same while no more than a minority of the nodes is hurt.
    pub(crate) minority_gap_max: Duration,
    /// The least share of calls whose outcome is known, in thousandths.
    pub(crate) known_share_min: u64,
    /// From the end of the last fault, or of the last that hurt more than a minority, to the next acknowledged write.
    pub(crate) recovery_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quiet_gap_max: Duration::from_secs(10),
            minority_gap_max: Duration::from_secs(15),
            known_share_min: 990,
            recovery_max: Duration::from_secs(30),
        }
    }
}

/// When clients worked, and what was acknowledged to them.
struct Work {
    begun_ns: u64,
    /// Of the last call.
    ended_ns: u64,
    /// Whether any of them asked for a write.
    is_written: bool,
    /// When writes were acknowledged, in order.
    written: Vec<u64>,
}

impl Work {
    /// The last reads and writes are no part of it.
    fn of(story: &Story<'_>) -> Self {
        let own = &story.operations[..story.operations.len() - story.last_operations().len()];
        let writes = || own.iter().filter(|one| matches!(one.action, Action::Write { .. }));
        let mut written: Vec<u64> = writes().filter(|one| one.outcome.is_ok()).map(|one| one.returned_ns).collect();
        written.sort_unstable();
        Self {
            begun_ns: own.first().map_or(0, |one| one.invoked_ns),
            ended_ns: own.last().map_or(0, |one| one.invoked_ns),
            is_written: writes().next().is_some(),
            written,
        }
    }

    /// The times in which no write was acknowledged, though clients worked: from one acknowledgement to the next, to the
    /// first, and from the last one on. None where nobody writes.
    fn gaps(&self) -> Vec<(u64, u64)> {
        if !self.is_written {
            return Vec::new();
        }
        let mut marks = self.written.clone();
        marks.extend([self.begun_ns, self.ended_ns]);
        marks.sort_unstable();
        marks.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// Whether a cluster of so many nodes answered while nothing was done to it, or not too much.
pub(super) fn check(story: &Story<'_>, limits: Limits, nodes: u64) -> Finding {
    let mut finding = Finding::of(NAME);
    let (windows, work) = (windows(story.lines), Work::of(story));
    finding.at_least("acknowledged writes", work.written.len(), 1);
    let mut longest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut quiet_longest = 0;
    for (from, to) in work.gaps() {
        let gap = to - from;
        let mut hit = windows.iter().filter(|window| reaches(window, from, to)).peekable();
        if hit.peek().is_none() {
            quiet_longest = quiet_longest.max(gap);
        }
        for window in hit {
            let most = longest.entry(window.kind).or_default();
            *most = (*most).max(gap);
        }
    }
    if quiet_longest > nanoseconds(limits.quiet_gap_max) {
        let seconds = seconds(quiet_longest);
        finding.violated(format!("for {seconds:.1} s without a fault, no write was acknowledged"));
    }
    finding.count("ms of the longest gap without a fault", milliseconds(quiet_longest));
    for (kind, gap) in longest {
        finding.count(&format!("ms of the longest gap at {kind}"), milliseconds(gap));
    }
    bears_a_minority(&windows, &work, limits, nodes, &mut finding);
    recovers(story, &windows, &work, limits, &mut finding);
    through_each_node(story, nodes, &mut finding);
    known_share(story, &windows, limits, &mut finding);
    finding
}

/// Whether a time is touched by a fault or by what follows from it.
fn reaches(window: &Window<'_>, from: u64, to: u64) -> bool {
    window.from_ns <= to && from <= window.until_ns.saturating_add(nanoseconds(GRACE))
}

/// No gap has a long part during which no more than a minority was hurt. When more were hurt before, there is the time
/// that a recovery takes.
fn bears_a_minority(windows: &[Window<'_>], work: &Work, limits: Limits, nodes: u64, finding: &mut Finding) {
    if nodes == 0 {
        return;
    }
    let hurt = majority_hurt(windows, nodes, nanoseconds(GRACE));
    let mut longest = 0;
    for (from, to) in work.gaps() {
        let mut since = from;
        let mut limit = limits.minority_gap_max;
        for (begun, ended) in hurt.iter().filter(|(begun, ended)| *begun < to && from < *ended) {
            longest = longest.max(borne(since, *begun, limit, finding));
            (since, limit) = (*ended, limits.recovery_max);
        }
        longest = longest.max(borne(since, to, limit, finding));
    }
    finding.count("ms of the longest gap with a minority hurt at most", milliseconds(longest));
    let (begun, ended) = (work.begun_ns, work.ended_ns);
    let over: u64 = hurt.iter().map(|(from, to)| (*to).min(ended).saturating_sub((*from).max(begun))).sum();
    finding.count("ms with a minority hurt at most", milliseconds((ended - begun).saturating_sub(over)));
}

/// How long a part of a gap is.
fn borne(from: u64, to: u64, limit: Duration, finding: &mut Finding) -> u64 {
    let gap = to.saturating_sub(from);
    if gap > nanoseconds(limit) {
        let (seconds, at) = (seconds(gap), seconds(from));
        finding.violated(format!(
            "for {seconds:.1} s from {at:.1} s on, no more than a minority was hurt, and no write was acknowledged"
        ));
    }
    gap
}

/// Writes go on after the last fault.
fn recovers(story: &Story<'_>, windows: &[Window<'_>], work: &Work, limits: Limits, finding: &mut Finding) {
    let Some(healed) = windows.iter().map(|window| window.until_ns).max() else { return };
    // It may be healed when the clients have stopped.
    let is_written_last = || last_writes(story).any(|one| one.outcome.is_ok() && one.returned_ns >= healed);
    match work.written.iter().find(|at| **at >= healed) {
        Some(at) => {
            finding.count("ms until a write after the last fault", milliseconds(at - healed));
            if at - healed > nanoseconds(limits.recovery_max) {
                let seconds = seconds(at - healed);
                finding.violated(format!("the first write after the last fault took {seconds:.1} s"));
            }
        }
        None if work.ended_ns.saturating_sub(healed) > nanoseconds(limits.recovery_max) => {
            let seconds = seconds(work.ended_ns - healed);
            finding.violated(format!("for {seconds:.1} s after the last fault, no write was acknowledged"));
        }
        None if is_written_last() => {}
        None => finding.unknown("no write was acknowledged after the last fault".to_owned()),
    }
}

/// The writes that are asked for when the cluster is whole again.
fn last_writes<'s, 'a>(story: &'s Story<'a>) -> impl Iterator<Item = &'s Operation<'a>> {
    let is_last = |action: &Action| matches!(action, Action::Call { rpc } if rpc == LAST_WRITE);
    story.last_operations().iter().filter(move |one| is_last(one.action))
}

/// Once everything is whole again, a write is acknowledged through each node. What does not become whole is found
/// elsewhere.
fn through_each_node(story: &Story<'_>, nodes: u64, finding: &mut Finding) {
    if story.settled_ns().is_none() {
        return;
    }
    for node in 1..=nodes {
        let mut own = last_writes(story).filter(|one| one.node == node).peekable();
        if own.peek().is_none() {
            finding.unknown(format!("nobody wrote through node {node} when everything was whole again"));
        } else if !own.any(|one| one.outcome.is_ok()) {
            finding.violated(format!("node {node} acknowledged no write when everything was whole again"));
        }
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
    finding.at_least("calls without a fault", all, QUIET_MIN);
    if all >= QUIET_MIN && (known * 1_000) / all < usize::try_from(limits.known_share_min).unwrap_or(usize::MAX) {
        finding.violated(format!("without a fault, {known} of {all} calls were answered"));
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

fn milliseconds(nanoseconds: u64) -> usize {
    usize::try_from(nanoseconds / 1_000_000).unwrap_or(usize::MAX)
}

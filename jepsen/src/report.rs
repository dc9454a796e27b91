//! What a run comes to: numbers, failures and the verdict, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use crate::RunArguments;
use crate::checker::{Contradiction, KeyReport, Verdict};
use crate::history::{Action, KeyHistory, Outcome};
use crate::nemesis::Done;
use crate::observer::Leaders;
use crate::plan::Shape;

/// How many bad profiles are shown in full.
const SHOWN_MAX: usize = 5;

/// Prints a line. A reader that hung up does not matter.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What operations became, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: usize,
    pub(crate) acknowledged: usize,
    pub(crate) conflicts: usize,
    pub(crate) not_done: usize,
    pub(crate) unknown_writes: usize,
    pub(crate) unanswered_reads: usize,
    pub(crate) wrong: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) done: Done,
    pub(crate) leaders: Leaders,
    pub(crate) counts: Counts,
    /// The longest time without an acknowledged update.
    pub(crate) longest_gap: Duration,
    pub(crate) keys: BTreeMap<String, KeyReport>,
    /// Of the order by revision.
    pub(crate) contradictions: Vec<Contradiction>,
    /// Answers that have a place in that order.
    pub(crate) placed: usize,
    pub(crate) operations_by_key: BTreeMap<String, usize>,
    /// At which all nodes had the same digest.
    pub(crate) digest_revision: Option<u64>,
    /// What failed beside the histories.
    pub(crate) failures: Vec<String>,
    /// What the run must have seen; none for a history from a file.
    minima: Option<Minima>,
}

#[derive(Clone, Copy, Debug)]
struct Minima {
    kills: usize,
    leader_changes: usize,
    updates: usize,
    partitions: usize,
    /// Partitions of each shape.
    each_shape: usize,
}

impl Report {
    /// An empty report of a run, with partitions or without.
    pub(crate) fn of_run(arguments: &RunArguments, seed: u64, partitions: bool) -> Self {
        let partitions = if partitions { arguments.partitions_min } else { 0 };
        let minima = Minima {
            kills: arguments.kills_min,
            leader_changes: arguments.leader_changes_min,
            updates: arguments.updates_min,
            partitions,
            // The control has one partition and is of no shape that is asked for.
            each_shape: if arguments.stale_reads { 0 } else { partitions.min(1) },
        };
        Self { seed, minima: Some(minima), ..Self::default() }
    }

    /// Takes the numbers from the histories.
    pub(crate) fn count(&mut self, keys: &BTreeMap<String, KeyHistory>) {
        let counts = &mut self.counts;
        self.placed = keys.values().flat_map(|history| &history.operations).filter(|one| one.at.is_some()).count();
        let mut acknowledged_at = Vec::new();
        for operation in keys.values().flat_map(|history| &history.operations) {
            let counter = match (&operation.outcome, &operation.action) {
                (Outcome::Read { .. }, _) => &mut counts.reads,
                (Outcome::Written { .. }, _) => {
                    acknowledged_at.push(operation.returned_ns);
                    &mut counts.acknowledged
                }
                (Outcome::Conflict { .. }, _) => &mut counts.conflicts,
                (Outcome::NotDone, _) => &mut counts.not_done,
                (Outcome::Unknown { .. }, Action::Write { .. }) => &mut counts.unknown_writes,
                (Outcome::Unknown { .. }, Action::Read) => &mut counts.unanswered_reads,
                (Outcome::Wrong { .. }, _) => &mut counts.wrong,
            };
            *counter += 1;
        }
        acknowledged_at.sort_unstable();
        let gap = acknowledged_at.windows(2).map(|pair| pair[1] - pair[0]).max();
        self.longest_gap = Duration::from_nanos(gap.unwrap_or_default());
    }

    /// Everything that fails the run, a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.failures.clone();
        let bad = self.keys.iter().filter(|(_, report)| !report.is_good());
        problems.extend(bad.take(SHOWN_MAX).map(|(key, report)| {
            let evidence = report.evidence.as_deref().unwrap_or("no evidence of the search");
            format!("{key}: {:?}; {evidence}; {:?}", report.verdict, report.contradictions)
        }));
        problems.extend(self.contradictions.iter().take(SHOWN_MAX).map(ToString::to_string));
        if self.done.deaths > 0 {
            problems.push(format!("{} times a gateway ended by itself", self.done.deaths));
        }
        if let Some(minima) = self.minima {
            let shapes = Shape::ALL.into_iter().zip(self.done.shapes);
            let shapes = shapes.map(|(shape, seen)| (shape.name(), seen, minima.each_shape));
            for (what, seen, least) in [
                ("kills", self.done.kills, minima.kills),
                ("changes of the leader", self.leaders.changes(), minima.leader_changes),
                ("acknowledged updates", self.counts.acknowledged, minima.updates),
                ("partitions", self.done.partitions, minima.partitions),
            ]
            .into_iter()
            .chain(shapes)
            {
                if seen < least {
                    problems.push(format!("the run saw {seen} {what}; below {least} it proves too little"));
                }
            }
        }
        problems
    }

    /// Nothing fails it.
    pub(crate) fn passed(&self) -> bool {
        self.problems().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.minima.is_some() {
            let Done { kills, leader_kills, pauses, partitions, shapes, idle_partitions, deaths } = self.done;
            writeln!(formatter, "seed: {}", self.seed)?;
            writeln!(formatter, "faults done: {kills} kills, {leader_kills} of them of a leader; {pauses} pauses")?;
            let [isolated, halves, one_way] = shapes;
            writeln!(
                formatter,
                "partitions: {partitions} that were felt ({isolated} isolated the leader, {halves} were halves, {one_way} one \
                 way), {idle_partitions} that nobody felt"
            )?;
            writeln!(formatter, "gateways that ended by themselves: {deaths}")?;
            writeln!(formatter, "leader changes: {}", self.leaders.changes())?;
        }
        let counts = self.counts;
        writeln!(formatter, "acknowledged updates: {}", counts.acknowledged)?;
        writeln!(
            formatter,
            "beside them: {} reads, {} conflicts, {} not done, {} updates in doubt, {} reads unanswered, {} wrong",
            counts.reads,
            counts.conflicts,
            counts.not_done,
            counts.unknown_writes,
            counts.unanswered_reads,
            counts.wrong
        )?;
        let gap = self.longest_gap.as_secs_f64();
        writeln!(formatter, "longest time without an acknowledged update: {gap:.1} s")?;
        let of = |verdict| self.keys.values().filter(|report| report.verdict == verdict).count();
        writeln!(
            formatter,
            "profiles: {} linearizable, {} violated, {} undecided; at most {} operations on one",
            of(Verdict::Linearizable),
            of(Verdict::Violation),
            of(Verdict::Undecided),
            self.operations_by_key.values().max().copied().unwrap_or_default()
        )?;
        let contradicting = self.keys.values().filter(|report| !report.contradictions.is_empty()).count();
        writeln!(formatter, "profiles with contradicting versions: {contradicting}")?;
        let (placed, contradictions) = (self.placed, self.contradictions.len());
        writeln!(formatter, "answers placed by revision: {placed}; contradictions of their order: {contradictions}")?;
        if let Some(revision) = self.digest_revision {
            writeln!(formatter, "digest: equal on all nodes at revision {revision}")?;
        }
        let problems = self.problems();
        for problem in &problems {
            writeln!(formatter, "problem: {problem}")?;
        }
        write!(formatter, "verdict: {}", if problems.is_empty() { "PASS" } else { "FAIL" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_saw_too_little_fails() {
        let minima = Minima { kills: 5, leader_changes: 3, updates: 1000, partitions: 3, each_shape: 1 };
        let mut report = Report { minima: Some(minima), ..Report::default() };
        assert_eq!(report.problems().len(), 7);
        assert!(!report.passed());
        report.done = Done { kills: 5, partitions: 3, shapes: [2, 1, 0], ..Done::default() };
        report.counts.acknowledged = 1000;
        let problems = report.problems().join("; ");
        assert!(problems.contains("0 partitions one way") && !problems.contains("halves"), "{problems}");
    }

    #[test]
    fn an_undecided_profile_fails_the_run() {
        let key = KeyReport { verdict: Verdict::Undecided, evidence: None, contradictions: Vec::new() };
        let report = Report { keys: [("k".to_owned(), key)].into(), ..Report::default() };
        assert!(!report.passed());
    }
}

//! When nothing was acknowledged: the times without an answered write, and what was done to the cluster meanwhile.

use super::faults::Band;
use super::latency::seconds;
use crate::history::{Action, Operation};

/// Shorter ones are not listed.
pub(super) const LEAST: f64 = 0.5;

/// A time without an acknowledged write, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gap {
    pub(super) from: f64,
    pub(super) until: f64,
    /// Faults that were there during it.
    pub(super) faults: Vec<String>,
}

impl Gap {
    pub(super) fn lasts(&self) -> f64 {
        self.until - self.from
    }
}

/// The gaps from the first write that was asked for to the last one that ended, longest first.
pub(super) fn gaps(operations: &[Operation<'_>], bands: &[Band]) -> Vec<Gap> {
    let writes = || operations.iter().filter(|one| is_write(one.action) && one.returned_ns < u64::MAX);
    let Some(start) = writes().map(|write| write.invoked_ns).min() else { return Vec::new() };
    let end = writes().map(|write| write.returned_ns).max().unwrap_or(start);
    let acknowledged = writes().filter(|write| write.outcome.is_ok()).map(|write| write.returned_ns);
    let mut times: Vec<u64> = acknowledged.chain([start, end]).collect();
    times.sort_unstable();
    let mut gaps: Vec<Gap> = times.windows(2).map(|pair| gap(seconds(pair[0]), seconds(pair[1]), bands)).collect();
    gaps.retain(|gap| gap.lasts() >= LEAST);
    gaps.sort_by(|one, other| other.lasts().total_cmp(&one.lasts()));
    gaps
}

fn is_write(action: &Action) -> bool {
    matches!(action, Action::Write { .. } | Action::Make { .. } | Action::Clear { .. })
}

fn gap(from: f64, until: f64, bands: &[Band]) -> Gap {
    let during = bands.iter().filter(|band| band.from <= until && band.until >= from);
    Gap { from, until, faults: during.map(|band| band.what.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::{Cells, Outcome};
    use crate::workload::Workload;

    const SECOND: u64 = 1_000_000_000;

    fn operation<'a>(action: &'a Action, outcome: &'a Outcome, from: u64, until: u64) -> Operation<'a> {
        Operation {
            number: 0,
            process: 0,
            node: 1,
            workload: Workload::Register,
            action,
            invoked_ns: from * SECOND,
            returned_ns: until.saturating_mul(SECOND),
            outcome,
            at: None,
            attempts: 1,
        }
    }

    #[test]
    fn gaps_are_found_at_both_ends_too_and_come_longest_first_with_their_faults() {
        let write = Action::Write { edits: Vec::new() };
        let read = Action::Read { keys: Vec::new() };
        let done = Outcome::Done { versions: BTreeMap::new() };
        let found = Outcome::Found { cells: Cells::new() };
        let operations = [
            operation(&write, &done, 0, 2),
            operation(&write, &done, 2, 3),
            operation(&read, &found, 4, 5),
            operation(&write, &Outcome::NotDone, 4, 6),
            operation(&write, &done, 3, 8),
            operation(&write, &Outcome::NotDone, 8, 9),
            operation(&write, &Outcome::NotDone, 8, u64::MAX),
        ];
        let band = |from, until, what: &str| Band { from, until, what: what.to_owned(), is_installed: true };
        let found = gaps(&operations, &[band(3.5, 7.0, "kill 1"), band(20.0, 21.0, "pause 2")]);
        let places: Vec<_> = found.iter().map(|gap| (gap.from, gap.until)).collect();
        assert_eq!(places, [(3.0, 8.0), (0.0, 2.0), (2.0, 3.0), (8.0, 9.0)]);
        assert_eq!((found[0].faults.as_slice(), found[1].faults.len()), (&["kill 1".to_owned()][..], 0));
    }

    #[test]
    fn a_run_that_never_acknowledged_anything_is_one_gap() {
        let write = Action::Write { edits: Vec::new() };
        let operations = [operation(&write, &Outcome::NotDone, 1, 2), operation(&write, &Outcome::NotDone, 3, 9)];
        assert_eq!(gaps(&operations, &[]), [Gap { from: 1.0, until: 9.0, faults: Vec::new() }]);
        assert_eq!(gaps(&[], &[]), []);
    }
}

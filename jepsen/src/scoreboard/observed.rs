//! What the history of a run shows that no checker counts: calls that were judged, and reads where stale ones would be.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, Line, Outcome, Stage};

/// Faults that part a leader from the others, or let it sleep while another is elected.
const PARTING: [&str; 11] = [
    "pause",
    "isolate",
    "peer-only",
    "client-only",
    "halves",
    "ring",
    "bridge",
    "deaf",
    "mute",
    "flapping",
    "blackhole",
];

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// Calls about objects that were answered, or are in doubt, each once. What certainly was not done proves nothing.
    pub(super) operations: u64,
    /// Linearizable reads that were answered by a node that did not lead, that led before others did, or that a fault
    /// parted from others.
    pub(super) exposed_reads: u64,
    /// Faults of clocks that were felt.
    pub(super) clock_faults: u64,
}

/// Counts, in one pass over the lines for each.
pub(super) fn observed(lines: &[Line]) -> Observed {
    let is_clock_fault =
        |line: &&Line| matches!(line, Line::Fault { kind, stage: Stage::Installed, .. } if kind.starts_with("clock-"));
    let clock_faults = lines.iter().filter(is_clock_fault).count() as u64;
    Observed { operations: operations(lines), exposed_reads: exposed_reads(lines), clock_faults }
}

fn operations(lines: &[Line]) -> u64 {
    let mut open: BTreeSet<u64> = BTreeSet::new();
    let mut counted = 0;
    for line in lines {
        match line {
            // Reads of what a node has are no part of an object's order.
            Line::Invoke { operation, action: action @ (Action::Read { .. } | Action::Write { .. }), .. }
                if !action.keys().is_empty() =>
            {
                open.insert(*operation);
            }
            Line::Return { operation, outcome, .. } => {
                let is_judged = outcome.speaks_of_keys() || matches!(outcome, Outcome::Unknown { .. });
                counted += u64::from(open.remove(operation) && is_judged);
            }
            _ => {}
        }
    }
    // Those that never returned are in doubt.
    counted + open.len() as u64
}

/// Who leads, as far as the lines have told it.
#[derive(Default)]
struct Leads {
    /// Where members stand that took the place of others; the first ones are called like their places.
    places: BTreeMap<u64, u64>,
    /// By place: the term that the node is in, and whether it leads it.
    said: BTreeMap<u64, (u64, bool)>,
    /// The greatest term that has a leader.
    newest: u64,
}

impl Leads {
    fn note(&mut self, node: u64, term: u64, leader: u64) {
        let place = self.places.get(&node).copied().unwrap_or(node);
        self.said.insert(place, (term, node == leader));
        if leader != 0 {
            self.newest = self.newest.max(term);
        }
    }

    /// Whether a node is known to be no leader, or none any more.
    fn is_behind(&self, place: u64) -> bool {
        self.said.get(&place).is_some_and(|(term, leads)| !leads || *term < self.newest)
    }
}

fn exposed_reads(lines: &[Line]) -> u64 {
    // Whom the faults hit that last.
    let mut parting: BTreeMap<u64, &[u64]> = BTreeMap::new();
    let mut leads = Leads::default();
    let mut open: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
    let mut exposed = 0;
    for line in lines {
        let is_hurt = |node: u64| parting.values().any(|nodes| nodes.contains(&node));
        match line {
            Line::Fault { number, kind, nodes, stage, .. } if PARTING.contains(&kind.as_str()) => {
                if *stage == Stage::Installed {
                    parting.insert(*number, nodes);
                } else {
                    parting.remove(number);
                }
            }
            Line::Replaced { node, new, .. } => {
                leads.said.remove(node);
                leads.places.insert(*new, *node);
            }
            Line::Raft { node, term, leader, .. } => leads.note(*node, *term, *leader),
            Line::Invoke { operation, node, action: Action::Read { .. }, .. } => {
                open.insert(*operation, (*node, is_hurt(*node)));
            }
            Line::Return { operation, outcome: Outcome::Found { .. }, .. } => {
                if let Some((node, was_hurt)) = open.remove(operation) {
                    exposed += u64::from(was_hurt || is_hurt(node) || leads.is_behind(node));
                }
            }
            _ => {}
        }
    }
    exposed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cells, Edit};
    use crate::workload::Workload;

    const SECOND: u64 = 1_000_000_000;

    fn fault(at: u64, number: u64, kind: &str, stage: Stage) -> Line {
        let said = String::new();
        Line::Fault { time_ns: at * SECOND, number, kind: kind.to_owned(), nodes: vec![1], stage, said }
    }

    fn raft(at: u64, node: u64, term: u64, leader: u64) -> Line {
        Line::Raft { time_ns: at * SECOND, node, process: 1, term, saved: term, leader, committed: 0, applied: 0 }
    }

    fn call(at: u64, operation: u64, node: u64, action: Action, outcome: Outcome) -> [Line; 2] {
        let (time_ns, workload) = (at * SECOND, Workload::Register);
        [
            Line::Invoke { operation, process: 0, time_ns, node, workload, action },
            Line::Return { operation, time_ns: time_ns + 1, outcome, at: None, attempts: 1 },
        ]
    }

    fn read(at: u64, operation: u64, node: u64) -> [Line; 2] {
        let keys = ["j", "k"].map(str::to_owned).to_vec();
        call(at, operation, node, Action::Read { keys }, Outcome::Found { cells: Cells::new() })
    }

    #[test]
    fn reads_count_that_a_follower_answered_or_a_node_that_a_fault_parted() {
        let mut lines = vec![raft(0, 1, 1, 1), raft(0, 2, 1, 1)];
        lines.extend(read(1, 0, 1));
        lines.extend(read(1, 1, 2));
        lines.push(fault(2, 0, "peer-only", Stage::Installed));
        lines.extend(read(3, 2, 1));
        lines.push(fault(4, 0, "peer-only", Stage::Healed));
        lines.extend(read(5, 3, 1));
        lines.push(fault(6, 1, "kill", Stage::Installed));
        lines.extend(read(7, 4, 1));
        assert_eq!(observed(&lines).exposed_reads, 2, "the follower's, and the one of the leader that was cut off");
    }

    #[test]
    fn reads_of_a_leader_that_no_fault_touches_do_not_count() {
        let mut lines = vec![raft(0, 2, 1, 2), fault(1, 0, "isolate", Stage::Installed)];
        lines.extend(read(2, 0, 2));
        assert_eq!(observed(&lines).exposed_reads, 0, "node 1 is cut off, and node 2 leads the others");
    }

    #[test]
    fn reads_of_a_leader_of_before_count_after_the_fault_too() {
        let mut lines = vec![raft(0, 1, 1, 1), raft(1, 2, 2, 2)];
        lines.extend(read(2, 0, 1));
        lines.extend(read(2, 1, 2));
        assert_eq!(observed(&lines).exposed_reads, 1, "node 1 has not heard that node 2 leads");
    }

    #[test]
    fn a_call_counts_once_however_many_keys_it_has_and_not_when_it_was_not_done() {
        let write = || Action::Write { edits: vec![Edit::Remove { key: "k".to_owned() }] };
        let mut lines = read(1, 0, 1).to_vec();
        lines.extend(call(2, 1, 1, write(), Outcome::NotDone));
        lines.extend(call(3, 2, 1, write(), Outcome::Unknown { why: String::new() }));
        lines.extend(call(4, 3, 1, write(), Outcome::Absent { keys: vec!["k".to_owned()] }));
        lines.extend(call(5, 4, 1, Action::Call { rpc: "Any".to_owned() }, Outcome::Answered));
        lines.extend(call(6, 5, 1, write(), Outcome::Unknown { why: String::new() }).into_iter().take(1));
        assert_eq!(observed(&lines).operations, 4);
    }

    #[test]
    fn a_fault_that_was_not_felt_shows_nothing() {
        let mut lines = vec![fault(1, 0, "pause", Stage::Skipped), fault(2, 1, "clock-jump", Stage::Indeterminate)];
        lines.extend(read(3, 0, 1));
        assert_eq!(observed(&lines), Observed { operations: 1, ..Observed::default() });
        let felt = [fault(1, 0, "clock-rate", Stage::Installed), fault(2, 0, "clock-rate", Stage::Healed)];
        assert_eq!(observed(&felt).clock_faults, 1);
    }
}

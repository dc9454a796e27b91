//! What the history of a run shows that no checker counts: reads where stale ones would be, and what jumps of a clock led
//! to.

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
/// Jumps of a wall clock.
const JUMPS: [&str; 2] = ["clock-jump", "clock-strobe"];
/// Other faults need so long until nothing of them is left.
const CALM_NS: u64 = 5_000_000_000;
/// A leader that fell over its clock would have done so by then.
const EFFECT_NS: u64 = 3_000_000_000;

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// Linearizable reads that were answered by a node that did not lead, or while a fault parted nodes.
    pub(super) exposed_reads: u64,
    /// Faults of clocks that were felt.
    pub(super) clock_faults: u64,
    /// Jumps of a clock with no other fault near.
    pub(super) lone_jumps: u64,
    /// Those of them after which another node led.
    pub(super) jumps_with_new_leader: u64,
}

/// Counts, in one pass over the lines and another over faults and leaders.
pub(super) fn observed(lines: &[Line]) -> Observed {
    let mut observed = Observed { exposed_reads: exposed_reads(lines), ..Observed::default() };
    let windows = windows(lines);
    for (index, window) in windows.iter().enumerate().filter(|(_, window)| window.kind.starts_with("clock-")) {
        observed.clock_faults += 1;
        let until = window.from.saturating_add(EFFECT_NS);
        let is_near = |other: &Window<'_>| other.from <= until && window.from <= other.until.saturating_add(CALM_NS);
        let is_alone = windows.iter().enumerate().all(|(number, other)| number == index || !is_near(other));
        if is_alone && JUMPS.contains(&window.kind) {
            observed.lone_jumps += 1;
            observed.jumps_with_new_leader += u64::from(leads(lines, window.from) != leads(lines, until));
        }
    }
    observed
}

fn exposed_reads(lines: &[Line]) -> u64 {
    let mut parting: BTreeSet<u64> = BTreeSet::new();
    let mut leads: BTreeMap<u64, bool> = BTreeMap::new();
    let mut open: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
    let mut exposed = 0;
    for line in lines {
        match line {
            Line::Fault { number, kind, stage, .. } if PARTING.contains(&kind.as_str()) => {
                if *stage == Stage::Installed {
                    parting.insert(*number);
                } else {
                    parting.remove(number);
                }
            }
            Line::Raft { node, leader, .. } => {
                leads.insert(*node, node == leader);
            }
            Line::Invoke { operation, node, action: Action::Read { .. }, .. } => {
                open.insert(*operation, (*node, !parting.is_empty()));
            }
            Line::Return { operation, outcome: Outcome::Found { .. }, .. } => {
                if let Some((node, was_parted)) = open.remove(operation) {
                    let is_follower = leads.get(&node) == Some(&false);
                    exposed += u64::from(was_parted || !parting.is_empty() || is_follower);
                }
            }
            _ => {}
        }
    }
    exposed
}

/// A fault while it was felt, in nanoseconds.
struct Window<'a> {
    kind: &'a str,
    from: u64,
    until: u64,
}

fn windows(lines: &[Line]) -> Vec<Window<'_>> {
    let mut windows: BTreeMap<u64, Window<'_>> = BTreeMap::new();
    for line in lines {
        let Line::Fault { time_ns, number, kind, stage, .. } = line else { continue };
        if *stage == Stage::Installed {
            windows.insert(*number, Window { kind, from: *time_ns, until: u64::MAX });
        } else if *stage == Stage::Healed
            && let Some(window) = windows.get_mut(number)
        {
            window.until = *time_ns;
        }
    }
    windows.into_values().collect()
}

/// Who led last by then: the leader of the greatest term that a node had named.
fn leads(lines: &[Line], by_ns: u64) -> Option<(u64, u64)> {
    let named = lines.iter().filter_map(|line| match line {
        Line::Raft { time_ns, term, leader, .. } if *time_ns <= by_ns && *leader != 0 => Some((*term, *leader)),
        _ => None,
    });
    named.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Cells;
    use crate::workload::Workload;

    const SECOND: u64 = 1_000_000_000;

    fn fault(at: u64, number: u64, kind: &str, stage: Stage) -> Line {
        let said = String::new();
        Line::Fault { time_ns: at * SECOND, number, kind: kind.to_owned(), nodes: vec![1], stage, said }
    }

    fn raft(at: u64, node: u64, term: u64, leader: u64) -> Line {
        Line::Raft { time_ns: at * SECOND, node, process: 1, term, leader, committed: 0, applied: 0 }
    }

    fn read(at: u64, operation: u64, node: u64) -> [Line; 2] {
        let (time_ns, workload) = (at * SECOND, Workload::Register);
        let action = Action::Read { keys: Vec::new() };
        let outcome = Outcome::Found { cells: Cells::new() };
        [
            Line::Invoke { operation, process: 0, time_ns, node, workload, action },
            Line::Return { operation, time_ns: time_ns + 1, outcome, at: None, attempts: 1 },
        ]
    }

    #[test]
    fn reads_count_that_a_follower_answered_or_that_fell_into_a_parting_fault() {
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
    fn a_jump_counts_when_nothing_else_could_have_moved_the_leader() {
        let lines = [
            raft(1, 1, 4, 1),
            fault(10, 0, "clock-jump", Stage::Installed),
            raft(12, 1, 4, 1),
            fault(14, 0, "clock-jump", Stage::Healed),
            fault(30, 1, "clock-jump", Stage::Installed),
            raft(32, 2, 5, 2),
            fault(34, 1, "clock-jump", Stage::Healed),
            fault(50, 2, "kill", Stage::Installed),
            fault(51, 2, "kill", Stage::Healed),
            fault(53, 3, "clock-jump", Stage::Installed),
            raft(54, 3, 6, 3),
            fault(70, 4, "clock-rate", Stage::Installed),
        ];
        let expected = Observed { exposed_reads: 0, clock_faults: 4, lone_jumps: 2, jumps_with_new_leader: 1 };
        assert_eq!(observed(&lines), expected);
    }

    #[test]
    fn a_fault_that_was_not_felt_shows_nothing() {
        let mut lines = vec![fault(1, 0, "pause", Stage::Skipped), fault(2, 1, "clock-jump", Stage::Indeterminate)];
        lines.extend(read(3, 0, 1));
        assert_eq!(observed(&lines), Observed::default());
    }
}

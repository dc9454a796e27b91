//! How much of the cluster was hurt at a time, as the lines about faults say: while it is a minority, the others must go
//! on. A node counts as hurt some time beyond its fault, since it has to come back.

use std::collections::BTreeSet;

use super::windows::Window;
use crate::plan::{Kind, damage_of};

/// What a fault takes of a cluster.
#[derive(Default)]
struct Hurt {
    /// These nodes.
    nodes: BTreeSet<u64>,
    /// So many others, which ones being unknown.
    others: u64,
}

/// When more than a minority of the nodes was hurt: times with their ends, in order, which do not meet.
pub(super) fn majority_hurt(windows: &[Window<'_>], nodes: u64, grace_ns: u64) -> Vec<(u64, u64)> {
    let until = |window: &Window<'_>| window.until_ns.saturating_add(grace_ns);
    let bounds: BTreeSet<u64> = windows.iter().flat_map(|window| [window.from_ns, until(window)]).collect();
    let bounds: Vec<u64> = bounds.into_iter().collect();
    let mut times: Vec<(u64, u64)> = Vec::new();
    for pair in bounds.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let there = windows.iter().filter(|window| window.from_ns <= from && to <= until(window));
        if hurt(there, nodes) <= nodes.saturating_sub(1) / 2 {
            continue;
        }
        match times.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => times.push((from, to)),
        }
    }
    times
}

/// How many nodes these faults hurt together, at worst.
fn hurt<'a>(windows: impl Iterator<Item = &'a Window<'a>>, nodes: u64) -> u64 {
    let mut all = Hurt::default();
    for window in windows {
        let Hurt { nodes, others } = hurt_by(window, nodes);
        all.nodes.extend(nodes);
        all.others += others;
    }
    (all.nodes.len() as u64 + all.others).min(nodes)
}

fn hurt_by(window: &Window<'_>, nodes: u64) -> Hurt {
    let hit: BTreeSet<u64> = window.nodes.iter().copied().collect();
    let count = hit.len() as u64;
    // Of a kind that is not known any more, everything is possible.
    let Some(kind) = Kind::of_name(window.kind) else {
        return Hurt { nodes: (1..=nodes).collect(), others: 0 };
    };
    let damage = damage_of(kind, count, nodes);
    if damage == 0 {
        Hurt::default()
    } else if damage == count {
        Hurt { nodes: hit, others: 0 }
    } else if kind == Kind::Halves {
        Hurt { nodes: (1..=nodes).filter(|node| !hit.contains(node)).collect(), others: 0 }
    } else if damage > count {
        Hurt { nodes: (1..=nodes).collect(), others: 0 }
    } else {
        Hurt { nodes: BTreeSet::new(), others: damage }
    }
}

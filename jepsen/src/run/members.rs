//! Which member of the cluster stands where. What a run calls a node is a place: a process with addresses, a disk and a
//! clock, whose number stays. At first its member has the same number; one that takes its place has an id of its own,
//! since an id is never used twice.

use std::collections::{BTreeMap, BTreeSet};

/// Of one cluster.
#[derive(Debug)]
pub(super) struct Members {
    /// By place.
    of_node: BTreeMap<u64, u64>,
    newest: u64,
    /// A member is lost, and nobody has its place yet.
    is_changing: bool,
}

impl Members {
    /// Each place with its first member.
    pub(super) fn first(nodes: impl Iterator<Item = u64>) -> Self {
        let of_node: BTreeMap<u64, u64> = nodes.map(|node| (node, node)).collect();
        let newest = of_node.keys().copied().max().unwrap_or_default();
        Self { of_node, newest, is_changing: false }
    }

    /// The member in a place; one of this number where there is no such place.
    pub(super) fn at(&self, node: u64) -> u64 {
        self.of_node.get(&node).copied().unwrap_or(node)
    }

    /// Where a member is; nowhere once it was replaced.
    pub(super) fn place(&self, member: u64) -> Option<u64> {
        self.of_node.iter().find(|(_, at)| **at == member).map(|(node, _)| *node)
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.of_node.values().copied().collect()
    }

    /// An id for a member that is to take another's place; none while one is on its way in.
    pub(super) fn newcomer(&mut self) -> Option<u64> {
        if self.is_changing {
            return None;
        }
        self.is_changing = true;
        self.newest += 1;
        Some(self.newest)
    }

    /// From now on this one is there.
    pub(super) fn put(&mut self, node: u64, member: u64) {
        self.of_node.insert(node, member);
    }

    /// The cluster has taken it.
    pub(super) fn conclude(&mut self) {
        self.is_changing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_its_number_and_an_id_is_never_used_twice() {
        let mut members = Members::first(1..=3);
        assert_eq!((members.at(2), members.place(2)), (2, Some(2)));
        assert_eq!(members.newcomer(), Some(4));
        assert_eq!(members.newcomer(), None, "one at a time");
        members.put(2, 4);
        members.conclude();
        assert_eq!((members.at(2), members.place(4), members.place(2)), (4, Some(2), None));
        assert_eq!(members.all(), BTreeSet::from([1, 3, 4]));
        assert_eq!(members.newcomer(), Some(5));
        members.put(2, 5);
        assert_eq!(members.all(), BTreeSet::from([1, 3, 5]));
    }
}

//! When faults were there, as the lines about them say.

use std::collections::BTreeMap;

use crate::history::{Line, Stage};

/// One fault that was not skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window<'a> {
    pub(super) kind: &'a str,
    /// Whom it hits.
    pub(super) nodes: &'a [u64],
    /// Whether it was found to have taken effect; otherwise that is not known.
    pub(super) is_felt: bool,
    pub(super) from_ns: u64,
    /// The end of time for one that was never healed.
    pub(super) until_ns: u64,
}

/// All of them, in order of their beginnings.
pub(super) fn windows(lines: &[Line]) -> Vec<Window<'_>> {
    let mut open: BTreeMap<u64, Window<'_>> = BTreeMap::new();
    let mut all = Vec::new();
    for line in lines {
        let Line::Fault { time_ns, number, kind, nodes, stage, .. } = line else { continue };
        let begun = Window { kind, nodes, is_felt: false, from_ns: *time_ns, until_ns: u64::MAX };
        match stage {
            Stage::Begun => drop(open.entry(*number).or_insert(begun)),
            // That it was installed was believed too early where this comes after it.
            Stage::Indeterminate => open.entry(*number).or_insert(begun).is_felt = false,
            Stage::Installed => open.entry(*number).or_insert(begun).is_felt = true,
            Stage::Healed => all.extend(open.remove(number).map(|window| Window { until_ns: *time_ns, ..window })),
            Stage::Skipped => drop(open.remove(number)),
        }
    }
    // What nobody saw begin or end is no window.
    all.extend(open.into_values().filter(|window| window.is_felt));
    all.sort_by_key(|window| window.from_ns);
    all
}

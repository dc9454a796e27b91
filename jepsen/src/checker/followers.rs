//! Whether all who follow the cluster were heard of, and came to the end: of who says nothing, nothing that it
//! says is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use crate::history::{Line, Story};
use crate::workload::Workload;

/// Whether those of a workload did; `heard` are the names of those of whom there is something to judge.
pub(super) fn check(story: &Story<'_>, workload: Workload, heard: &BTreeSet<String>, finding: &mut Finding) {
    let mut followers: BTreeMap<&str, bool> = BTreeMap::new();
    for line in story.lines {
        let Line::Follower { workload: own, name, is_done, .. } = line else { continue };
        if *own == workload {
            followers.insert(name, *is_done);
        }
    }
    for (name, is_done) in &followers {
        if !heard.contains(*name) {
            finding.unknown(format!("{workload}: nothing was heard of {name}"));
        } else if !is_done {
            finding.unknown(format!("{workload}: {name} did not come to the end"));
        }
    }
    finding.count("followers", followers.len());
}

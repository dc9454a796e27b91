//! What a sandbox is given is the same on all nodes at one revision, and at the end it is, on every node, the
//! credential that was acknowledged last, or one in doubt that came after.

use std::collections::{BTreeMap, BTreeSet};

use super::agreement;
use super::doubt::may_follow;
use super::findings::Finding;
use crate::history::{Action, Line, Operation, Outcome, Story, Topic};
use crate::workload::{CREDENTIAL, Workload};

/// Whether nodes agree, and have the newest at the end.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = agreement::check(story, Topic::Environment);
    let settled_ns = story.settled_ns().unwrap_or(u64::MAX);
    let (mut acknowledged, mut doubtful) = (Vec::new(), Vec::new());
    // The nodes that were asked at the end.
    let mut asked: BTreeSet<u64> = BTreeSet::new();
    for operation in story.operations.iter().filter(|one| one.workload == Workload::Environment) {
        match (written(operation), operation.outcome) {
            (Some(value), Outcome::Answered) => acknowledged.push((operation, value)),
            (Some(value), Outcome::Unknown { .. }) => doubtful.push((operation, value)),
            (None, _) if operation.invoked_ns >= settled_ns => {
                asked.insert(operation.node);
            }
            _ => {}
        }
    }
    finding.at_least("acknowledged credentials", acknowledged.len(), 1);
    finding.at_least("nodes asked at the end", asked.len(), 1);
    let last = acknowledged.iter().max_by_key(|(operation, _)| operation.at);
    let found = found(story, settled_ns);
    for node in &asked {
        let Some(values) = found.get(node) else {
            finding.unknown(format!("the environment was not read at the end from node {node}"));
            continue;
        };
        for value in values {
            let Some((write, newest)) = last else { continue };
            let later = doubtful.iter().filter(|(doubt, _)| may_follow(doubt, write));
            if value != newest && !later.map(|(_, value)| value).any(|doubt| doubt == value) {
                finding.violated(format!("node {node} gives {value:?} in the end, and not {newest:?}"));
            }
        }
    }
    finding
}

/// The value that a call gives the credential: the second word, which only writes have.
fn written<'a>(operation: &Operation<'a>) -> Option<&'a str> {
    let Action::Call { rpc } = operation.action else { return None };
    rpc.split_once(' ').map(|(_, value)| value)
}

/// What the last reads found, by node.
fn found<'a>(story: &Story<'a>, settled_ns: u64) -> BTreeMap<u64, BTreeSet<&'a str>> {
    let mut found: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for line in story.lines {
        let Line::Fact { time_ns, node, topic: Topic::Environment, values, .. } = line else { continue };
        if let Some(value) = values.get(CREDENTIAL).filter(|_| *time_ns >= settled_ns) {
            found.entry(*node).or_default().insert(value);
        }
    }
    found
}

//! When the faults are over and the cluster is whole, every node answers: what is read for the last time is
//! asked of each of them until it says something, and one that only refuses, or says nothing, is not whole.
//! What it says is judged by others; whether sandboxes compose, by `composition`.

use std::collections::BTreeMap;

use super::findings::Finding;
use crate::history::{Action, Operation, Outcome, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "last_reads";

/// Whether every last read came to something at every node that it was asked of.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    // The last attempt, unless one before it was answered.
    let mut last: BTreeMap<(u64, Vec<&str>), &Operation<'_>> = BTreeMap::new();
    for operation in story.last_operations() {
        let Some(about) = about(operation.action) else { continue };
        let attempt = last.entry((operation.node, about)).or_insert(operation);
        if !attempt.outcome.is_ok() {
            *attempt = operation;
        }
    }
    for ((node, about), attempt) in &last {
        let what = match about.as_slice() {
            [] => "what was made".to_owned(),
            [key] => (*key).to_owned(),
            [first, .., end] => format!("{first} to {end}"),
        };
        match attempt.outcome {
            outcome if outcome.is_ok() => {}
            Outcome::Refused { code, said } => {
                finding.violated(format!("node {node} refuses to the end to say {what}: {code}, {said}"));
            }
            outcome => finding.unknown(format!("node {node} did not say {what} at the end: {outcome:?}")),
        }
    }
    finding.count("reads", last.len());
    finding
}

/// What a linearizable read is about: its keys, or everything that was made; none of any other call.
fn about(action: &Action) -> Option<Vec<&str>> {
    match action {
        Action::Read { keys } => Some(keys.iter().map(String::as_str).collect()),
        Action::Look { request: None } => Some(Vec::new()),
        Action::Look { request: Some(_) }
        | Action::ReadLocal { .. }
        | Action::Write { .. }
        | Action::Make { .. }
        | Action::Clear { .. }
        | Action::Call { .. } => None,
    }
}

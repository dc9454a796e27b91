//! Every sandbox composes at any time: whatever attachments and profile updates meet, none that would make
//! a policy ambiguous takes effect, and nothing goes that a sandbox needs.

use std::collections::BTreeMap;

use super::findings::Finding;
use crate::history::{Action, Operation, Outcome, Story};
use crate::workload::Workload;

/// The name of the checker.
pub(crate) const NAME: &str = "composition";

/// Whether configurations were never refused.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let settled_ns = story.settled_ns().unwrap_or(u64::MAX);
    let (mut composed, mut refused) = (0, 0);
    // Of each call at each node, whether an attempt of those at the end was answered.
    let mut last: BTreeMap<(&str, u64), bool> = BTreeMap::new();
    for operation in story.operations.iter().filter(|operation| is_about_it(operation)) {
        if let Action::Call { rpc } = operation.action
            && operation.invoked_ns >= settled_ns
        {
            *last.entry((rpc, operation.node)).or_default() |= operation.outcome.is_ok();
        }
        match (operation.action, operation.outcome) {
            (Action::Call { .. }, Outcome::Answered) => composed += 1,
            (Action::Call { rpc }, Outcome::Wrong { said }) => {
                finding.violated(format!("{rpc} at node {}: {said}", operation.node));
            }
            (Action::Call { rpc }, Outcome::Refused { code, said }) => {
                finding.violated(format!("{rpc} was refused with {code} at node {}: {said}", operation.node));
            }
            (Action::Write { .. }, Outcome::Refused { .. }) => refused += 1,
            _ => {}
        }
    }
    for ((rpc, node), _) in last.iter().filter(|(_, is_answered)| !**is_answered) {
        finding.unknown(format!("{rpc} was not answered at the end by node {node}"));
    }
    let at_the_end = last.values().filter(|is_answered| **is_answered).count();
    finding.count("changes refused", refused);
    finding.count("composed", composed);
    finding.at_least("composed at the end", at_the_end, 1);
    finding
}

/// Calls about what a sandbox comes to have two words; others have the full name of their method.
fn is_about_it(operation: &Operation<'_>) -> bool {
    match operation.action {
        Action::Call { rpc } => !rpc.contains('/'),
        _ => operation.workload == Workload::Attach,
    }
}

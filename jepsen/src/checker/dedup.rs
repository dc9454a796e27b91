//! A request id takes effect at most once, and has one answer, whichever nodes it is sent to and however
//! often. What was made under it is looked for, removed, and looked for again at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use crate::history::{Action, Outcome, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "dedup";

/// What is known of one request id.
#[derive(Default)]
struct Known<'a> {
    /// Attempts, and nodes that they were sent to.
    attempts: usize,
    nodes: BTreeSet<u64>,
    /// Names that were answered, and when the first answer was there.
    answered: BTreeSet<&'a str>,
    answered_ns: Option<u64>,
    /// Names that were seen, answered or not.
    seen: BTreeSet<&'a str>,
    /// When its removal was asked for first, and when one was acknowledged.
    clearing_ns: Option<u64>,
    cleared_ns: Option<u64>,
}

/// Whether each request id took effect once.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut ids: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for operation in &story.operations {
        match (operation.action, operation.outcome) {
            (Action::Make { request }, outcome) => {
                let known = ids.entry(request).or_default();
                known.attempts += 1;
                known.nodes.insert(operation.node);
                if let Outcome::Made { name } = outcome {
                    known.answered.insert(name);
                    known.seen.insert(name);
                    known.answered_ns =
                        Some(known.answered_ns.map_or(operation.returned_ns, |at| at.min(operation.returned_ns)));
                }
            }
            (Action::Clear { request, .. }, outcome) => {
                let known = ids.entry(request).or_default();
                known.clearing_ns =
                    Some(known.clearing_ns.map_or(operation.invoked_ns, |at| at.min(operation.invoked_ns)));
                if *outcome == Outcome::Answered {
                    known.cleared_ns = Some(operation.returned_ns);
                }
            }
            _ => {}
        }
    }
    let looks = looks(story, &mut ids, &mut finding);
    for (id, known) in &ids {
        if known.answered.len() > 1 {
            finding.violated(format!("{id} has several answers: {:?}", known.answered));
        } else if known.seen.len() > 1 {
            finding.violated(format!("{id} took effect more than once: {:?}", known.seen));
        }
    }
    finding.count("attempts", ids.values().map(|known| known.attempts).sum());
    finding.count("looks", looks);
    finding.count("request ids at several nodes", ids.values().filter(|known| known.nodes.len() > 1).count());
    finding.at_least("request ids answered", ids.values().filter(|known| !known.answered.is_empty()).count(), 1);
    if !story
        .operations
        .iter()
        .any(|one| matches!((one.action, one.outcome), (Action::Look { request: None }, Outcome::There { .. })))
    {
        finding.unknown("nobody looked at the end for what is there".to_owned());
    }
    finding
}

/// Adds what looks found. What was removed must not be there, and what was answered must be there until then.
fn looks<'a>(story: &Story<'a>, ids: &mut BTreeMap<&'a str, Known<'a>>, finding: &mut Finding) -> usize {
    let mut looks = 0;
    for operation in &story.operations {
        let (Action::Look { request }, Outcome::There { made }) = (operation.action, operation.outcome) else {
            continue;
        };
        looks += 1;
        for (id, name) in made {
            let known = ids.entry(id).or_default();
            known.seen.insert(name);
            if known.cleared_ns.is_some_and(|at| at < operation.invoked_ns) {
                finding.violated(format!("{id} took effect again after what it made was removed: {name} is there"));
            }
        }
        let due = request.as_deref().and_then(|id| ids.get(id));
        let Some(known) = due else { continue };
        let was_answered = known.answered_ns.is_some_and(|at| at < operation.invoked_ns);
        let is_left = known.clearing_ns.is_none_or(|at| at > operation.returned_ns);
        if was_answered && is_left && made.is_empty() {
            finding.violated(format!("what {request:?} made was acknowledged, and is not there"));
        }
    }
    looks
}

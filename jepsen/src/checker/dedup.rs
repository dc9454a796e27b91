//! A request id takes effect at most once, and has one answer, whichever nodes it is sent to and however
//! often. What was made under it is looked for, removed, and looked for again at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Finding;
use crate::history::{Action, Operation, Outcome, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "dedup";
/// So many ids at least must have an answer of each of two nodes, or hardly anything was asked twice.
const ANSWERED_TWICE_MIN: usize = 5;

/// What is known of one request id.
#[derive(Default)]
struct Known<'a> {
    /// Attempts, and those of them that certainly did nothing.
    attempts: usize,
    in_vain: usize,
    /// Nodes that attempts were sent to, and those that answered.
    nodes: BTreeSet<u64>,
    answered_by: BTreeSet<u64>,
    /// Names that were answered, and when the first answer was there.
    answered: BTreeSet<&'a str>,
    answered_ns: Option<u64>,
    /// Names that were seen, answered or not.
    seen: BTreeSet<&'a str>,
    /// When a removal that may have happened was asked for first, and when one was acknowledged.
    clearing_ns: Option<u64>,
    cleared_ns: Option<u64>,
}

/// Whether each request id took effect once.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut ids: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for operation in &story.operations {
        match operation.action {
            Action::Make { request } => ids.entry(request).or_default().sent(operation),
            Action::Clear { request, .. } => ids.entry(request).or_default().cleared(operation),
            Action::Look { .. } => {}
            Action::Read { .. } | Action::ReadLocal { .. } | Action::Write { .. } | Action::Call { .. } => continue,
        }
        if let Outcome::Wrong { said } = operation.outcome {
            finding.violated(format!("{:?} at node {}: {said}", operation.action, operation.node));
        }
    }
    let looks = looks(story, &mut ids, &mut finding);
    for (id, known) in &ids {
        if known.answered.len() > 1 {
            finding.violated(format!("{id} has several answers: {:?}", known.answered));
        } else if known.seen.len() > 1 {
            finding.violated(format!("{id} took effect more than once: {:?}", known.seen));
        }
        if known.attempts > 0 && known.attempts == known.in_vain && !known.seen.is_empty() {
            let attempts = known.attempts;
            finding
                .violated(format!("{id} took effect, {:?}, and none of its {attempts} attempts had one", known.seen));
        }
    }
    let count = |is: fn(&Known<'_>) -> bool| ids.values().filter(|known| is(known)).count();
    finding.count("attempts", ids.values().map(|known| known.attempts).sum());
    finding.count("looks", looks);
    finding.count("request ids at several nodes", count(|known| known.nodes.len() > 1));
    finding.at_least("request ids answered", count(|known| !known.answered.is_empty()), 1);
    let twice = count(|known| known.answered_by.len() > 1);
    finding.at_least("request ids answered by several nodes", twice, ANSWERED_TWICE_MIN);
    if !story
        .operations
        .iter()
        .any(|one| matches!((one.action, one.outcome), (Action::Look { request: None }, Outcome::There { .. })))
    {
        finding.unknown("nobody looked at the end for what is there".to_owned());
    }
    finding
}

impl<'a> Known<'a> {
    /// One attempt under it.
    fn sent(&mut self, operation: &Operation<'a>) {
        self.attempts += 1;
        self.in_vain += usize::from(is_in_vain(operation.outcome));
        self.nodes.insert(operation.node);
        if let Outcome::Made { name } = operation.outcome {
            self.answered_by.insert(operation.node);
            self.answered.insert(name);
            self.seen.insert(name);
            self.answered_ns = earliest(self.answered_ns, operation.returned_ns);
        }
    }

    /// One removal of what it made.
    fn cleared(&mut self, operation: &Operation<'a>) {
        if is_in_vain(operation.outcome) {
            return;
        }
        self.clearing_ns = earliest(self.clearing_ns, operation.invoked_ns);
        if *operation.outcome == Outcome::Answered {
            self.cleared_ns = Some(operation.returned_ns);
        }
    }

    /// Whether a look must find what it made: it was answered before, and nobody asked by then to remove it.
    fn is_due(&self, look: &Operation<'_>) -> bool {
        let was_answered = self.answered_ns.is_some_and(|at| at < look.invoked_ns);
        was_answered && self.clearing_ns.is_none_or(|at| at > look.returned_ns)
    }
}

/// Whether an attempt certainly had no effect.
fn is_in_vain(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::NotDone | Outcome::Refused { .. })
}

fn earliest(before: Option<u64>, at: u64) -> Option<u64> {
    Some(before.map_or(at, |before| before.min(at)))
}

/// Adds what looks found. What was removed must not be there, and what was answered must be there until then: a look
/// at one id is about that one, and the last looks are about all.
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
        let found: BTreeSet<&str> = made.iter().map(|(id, _)| id.as_str()).collect();
        let asked_for: Vec<(&&str, &Known<'_>)> = match request {
            Some(id) => ids.get_key_value(id.as_str()).into_iter().collect(),
            None => ids.iter().collect(),
        };
        for (id, known) in asked_for {
            if known.is_due(operation) && !found.contains(*id) {
                finding.violated(format!("what {id} made was acknowledged, and is not there"));
            }
        }
    }
    looks
}

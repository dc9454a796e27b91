//! The certificate: every answer says of which (epoch, revision) it speaks, and in that order the answers
//! of all objects must tell one story. It believes no revision: that the order keeps real time is checked
//! here, and in `replay` that each answer follows from those before it. An order that passes both is the
//! proof of linearizability itself, of operations on several objects too. It searches nothing.

mod replay;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use super::findings::Finding;
use super::parallel::each;
use crate::history::{Action, Object, Operation, Outcome, Position, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "certificate";

/// What an answer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Every answer says of which state it speaks.
    Placed,
    /// No answer is of an older state than one that was there before the question.
    Fresh,
    /// Nor for one client, which asks one thing after the other.
    Forwards,
    /// One revision belongs to one write.
    One,
    /// Nothing is said that is never true.
    Sensible,
    /// Each answer follows from those of lower revisions, and from writes in doubt that were called by then.
    Follows,
}

/// One broken rule, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contradiction {
    rule: Rule,
    said: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.said)
    }
}

fn broken(rule: Rule, said: String) -> Contradiction {
    Contradiction { rule, said }
}

/// Whether the order by revision is one.
pub(super) fn check(story: &Story<'_>) -> Finding {
    let mut finding = Finding::of(NAME);
    let placed = placed(story);
    for contradiction in order(story, &placed) {
        finding.violated(contradiction.to_string());
    }
    let objects: Vec<(&str, &Object<'_>)> = story.objects.iter().map(|(name, object)| (*name, object)).collect();
    let mut undecided = 0;
    let latest = replay::Latest::of(placed.iter().map(|answer| (answer.at, answer.operation.returned_ns)));
    for replayed in each(&objects, |(name, object)| replay::replay(name, object, &latest)) {
        match replayed {
            replay::Replayed::Follows => {}
            replay::Replayed::Contradicts(said) => finding.violated(broken(Rule::Follows, said).to_string()),
            replay::Replayed::TooMany(said) => {
                undecided += 1;
                finding.unknown(said);
            }
        }
    }
    finding.count("answers placed", placed.len());
    finding.count("objects", story.objects.len());
    finding.count("objects undecided", undecided);
    finding
}

/// An answer with its place.
#[derive(Clone, Copy)]
struct Placed<'a> {
    operation: Operation<'a>,
    at: Position,
}

impl Placed<'_> {
    fn is_write(&self) -> bool {
        matches!(self.operation.outcome, Outcome::Done { .. })
    }

    /// A read that was content with an old state.
    fn is_local(&self) -> bool {
        matches!(self.operation.action, Action::ReadLocal { .. })
    }
}

/// The answers that speak of keys and say where, in order of their calls.
fn placed<'a>(story: &Story<'a>) -> Vec<Placed<'a>> {
    let speaking = story.operations.iter().filter(|operation| operation.outcome.speaks_of_keys());
    speaking.filter_map(|operation| Some(Placed { operation: *operation, at: operation.at? })).collect()
}

/// What the order by revision breaks, whatever the answers say.
fn order(story: &Story<'_>, placed: &[Placed<'_>]) -> Vec<Contradiction> {
    let mut found: Vec<_> =
        story.operations.iter().filter(|operation| lacks_a_place(operation)).map(unplaced).collect();
    found.extend(story.operations.iter().filter_map(|operation| match operation.outcome {
        Outcome::Wrong { said } => Some(broken(Rule::Sensible, format!("{said}: {operation:?}"))),
        _ => None,
    }));
    found.extend(real_time(placed));
    found.extend(one_write_a_revision(placed));
    found
}

fn lacks_a_place(operation: &Operation<'_>) -> bool {
    let is_wrong = matches!(operation.outcome, Outcome::Wrong { .. });
    operation.outcome.speaks_of_keys() && operation.at.is_none() && !is_wrong
}

fn unplaced(operation: &Operation<'_>) -> Contradiction {
    broken(Rule::Placed, format!("no epoch and revision with {operation:?}"))
}

/// An answer is at least as new as every answer that was there before its call, and the write that
/// it acknowledges newer. What a read that may be old brought to light counts for others.
fn real_time(placed: &[Placed<'_>]) -> Vec<Contradiction> {
    let mut returns: Vec<(u64, Position)> =
        placed.iter().map(|answer| (answer.operation.returned_ns, answer.at)).collect();
    returns.sort_unstable();
    let mut returns = returns.into_iter().peekable();
    let mut newest = None;
    let mut own: BTreeMap<u64, Position> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in placed {
        let (operation, at) = (&answer.operation, answer.at);
        while let Some((_, position)) = returns.next_if(|(returned, _)| *returned < operation.invoked_ns) {
            newest = newest.max(Some(position));
        }
        if answer.is_local() {
            continue;
        }
        let is_older = |than: Position| at < than || (answer.is_write() && at == than);
        let process = operation.process;
        let about = operation.action.keys().join(", ");
        if let Some(before) = own.insert(process, at).filter(|before| is_older(*before)) {
            found.push(broken(Rule::Forwards, format!("{about}: client {process} heard of {before}, then of {at}")));
        } else if let Some(newest) = newest.filter(|newest| is_older(*newest)) {
            let said = format!("{about}: {at} was answered after {newest} had been: {operation:?}");
            found.push(broken(Rule::Fresh, said));
        }
    }
    found
}

fn one_write_a_revision(placed: &[Placed<'_>]) -> Vec<Contradiction> {
    let mut writes: BTreeMap<Position, &Operation<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in placed.iter().filter(|answer| answer.is_write()) {
        if let Some(other) = writes.insert(answer.at, &answer.operation) {
            let at = answer.at;
            found.push(broken(Rule::One, format!("{at} belongs to {other:?} and to {:?}", answer.operation)));
        }
    }
    found
}

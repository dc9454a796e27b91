//! The answers about one object in order of their revisions, replayed through the model. Writes in doubt may
//! come in between wherever they help, so that several states may be possible at once; all of them are
//! carried on, which decides without a search and without going back.
//!
//! A refusal may be written into the log before it is told, so that it speaks of a state of its revision or of
//! one a little before: it must fit some state since the newest answer that was there before the question.

use std::collections::{BTreeMap, BTreeSet};

use crate::checker::model::{Operation, Reading, State};
use crate::history::{Object, Position};

/// More possible states than this are not carried on.
const STATES_MAX: usize = 4_096;

/// What a replay came to.
pub(super) enum Replayed {
    Follows,
    Contradicts(String),
    TooMany(String),
}

/// A possible state, and which writes in doubt led to it, by their numbers.
type Possible = (State, BTreeSet<usize>);

/// Replays the answers about an object.
pub(super) fn replay(name: &str, object: &Object<'_>) -> Replayed {
    let reading = Reading::of(object);
    let operations = reading.operations(object, true);
    let replay = Replay::of(name, object, operations.iter().filter(|one| one.returned.is_none()).collect());
    let at = |one: &Operation| object.operations[one.source].at;
    let ended = operations.iter().filter(|one| one.returned.is_some());
    let ended = ended.filter_map(|one| Some(Placed { at: at(one)?, latest: u64::MAX, operation: one }));
    let (exact, refusals): (Vec<_>, Vec<_>) =
        ended.partition(|placed| object.operations[placed.operation.source].outcome.is_ok());
    let refusals = refusals.into_iter().map(|placed| Refusal::of(&placed, object)).collect();
    replay.run(reading.initial(object.cells), in_order(exact), refusals)
}

/// An answer that speaks of the state of its revision.
struct Placed<'a> {
    at: Position,
    /// When something that stands before it may have been called at the latest.
    latest: u64,
    operation: &'a Operation,
}

/// A refusal, and the states that it may speak of.
struct Refusal<'a> {
    from: Option<Position>,
    to: Position,
    operation: &'a Operation,
    fits: bool,
}

impl<'a> Refusal<'a> {
    fn of(placed: &Placed<'a>, object: &Object<'_>) -> Self {
        let before = object.operations.iter().filter(|one| one.returned_ns < placed.operation.invoked);
        Self { from: before.filter_map(|one| one.at).max(), to: placed.at, operation: placed.operation, fits: false }
    }

    /// Looks at states that may have been there from one position on, and before another.
    fn look(&mut self, from: Option<Position>, before: Option<Position>, states: &BTreeSet<Possible>) {
        let is_over = before.zip(self.from).is_some_and(|(before, own)| before <= own);
        let is_within = !is_over && from.is_none_or(|from| from <= self.to);
        self.fits |= is_within && states.iter().any(|(state, _)| self.operation.step.take(*state).is_some());
    }
}

/// By revision, what a write made being there at its own revision already; with the latest calls, that is no
/// later than anything from there on returned.
fn in_order(mut placed: Vec<Placed<'_>>) -> Vec<Placed<'_>> {
    placed.sort_by_key(|one| (one.at, one.operation.step.effects.is_empty(), one.operation.invoked));
    let mut latest = u64::MAX;
    for one in placed.iter_mut().rev() {
        latest = latest.min(one.operation.returned.unwrap_or(u64::MAX));
        one.latest = latest;
    }
    placed
}

struct Replay<'a> {
    name: &'a str,
    object: &'a Object<'a>,
    /// In order of their calls.
    doubtful: Vec<&'a Operation>,
    /// Of each of them, the number of the one before it with the same step.
    twins: Vec<Option<usize>>,
}

impl<'a> Replay<'a> {
    fn of(name: &'a str, object: &'a Object<'a>, doubtful: Vec<&'a Operation>) -> Self {
        let mut last = BTreeMap::new();
        let twins = doubtful.iter().enumerate().map(|(number, one)| last.insert(&one.step, number)).collect();
        Self { name, object, doubtful, twins }
    }

    fn run(&self, initial: State, placed: Vec<Placed<'_>>, mut refusals: Vec<Refusal<'_>>) -> Replayed {
        let mut possible: BTreeSet<Possible> = [(initial, BTreeSet::new())].into();
        let mut before = None;
        for one in &placed {
            // Between two answers about the same state, nothing takes effect.
            if before != Some(one.at) {
                let Some(all) = self.with_doubtful(&possible, one.latest) else { return self.too_many(one.at) };
                refusals.iter_mut().for_each(|refusal| refusal.look(before, Some(one.at), &all));
                possible = all;
            }
            let step = &one.operation.step;
            let after: BTreeSet<Possible> =
                possible.iter().filter_map(|(state, used)| Some((step.take(*state)?, used.clone()))).collect();
            if after.is_empty() {
                return self.contradicts(one, &possible);
            }
            possible = least(after);
            before = Some(one.at);
        }
        let Some(all) = self.with_doubtful(&possible, u64::MAX) else {
            return self.too_many(before.unwrap_or_default());
        };
        refusals.iter_mut().for_each(|refusal| refusal.look(before, None, &all));
        match refusals.iter().find(|refusal| !refusal.fits) {
            None => Replayed::Follows,
            Some(refusal) => {
                let operation = &self.object.operations[refusal.operation.source];
                let (name, to) = (self.name, refusal.to);
                Replayed::Contradicts(format!("{name}: a refusal at {to} fits no state by then: {operation:?}"))
            }
        }
    }

    fn contradicts(&self, one: &Placed<'_>, possible: &BTreeSet<Possible>) -> Replayed {
        let operation = &self.object.operations[one.operation.source];
        let states: BTreeSet<_> = possible.iter().take(3).map(|(state, _)| state).collect();
        let (name, at) = (self.name, one.at);
        Replayed::Contradicts(format!(
            "{name}: {:?} at {at} was answered with {:?}, which does not follow from {states:?}",
            operation.action, operation.outcome
        ))
    }

    fn too_many(&self, at: Position) -> Replayed {
        Replayed::TooMany(format!("{}: over {STATES_MAX} states are possible at {at}", self.name))
    }

    /// The possible states, and those that writes in doubt that were called by then lead to; none when there are
    /// too many.
    fn with_doubtful(&self, possible: &BTreeSet<Possible>, latest: u64) -> Option<BTreeSet<Possible>> {
        let called = self.doubtful.partition_point(|one| one.invoked <= latest);
        let mut all = possible.clone();
        let mut open: Vec<Possible> = possible.iter().cloned().collect();
        while let Some((state, used)) = open.pop() {
            for (number, one) in self.doubtful[..called].iter().enumerate() {
                // Of equal ones the first that is left stands for all.
                let stands_back = self.twins[number].is_some_and(|twin| !used.contains(&twin));
                if stands_back || used.contains(&number) {
                    continue;
                }
                let Some(after) = one.step.take(state).filter(|after| *after != state) else { continue };
                let used: BTreeSet<usize> = used.iter().copied().chain([number]).collect();
                if all.insert((after, used.clone())) {
                    open.push((after, used));
                }
                if all.len() > STATES_MAX {
                    return None;
                }
            }
        }
        Some(all)
    }
}

/// Without those whose state is reached with fewer writes in doubt as well.
fn least(possible: BTreeSet<Possible>) -> BTreeSet<Possible> {
    let is_covered = |state: &State, used: &BTreeSet<usize>| {
        possible.iter().any(|(other, less)| other == state && less.len() < used.len() && less.is_subset(used))
    };
    possible.iter().filter(|(state, used)| !is_covered(state, used)).cloned().collect()
}

//! The answers about one object in order of their revisions, replayed through the model. Writes in doubt may
//! come in between wherever they help, so that several states may be possible at once; all of them are
//! carried on, which decides without a search and without going back.
//!
//! A refusal may be written into the log before it is told, so that it speaks of a state of its revision or of
//! one a little before: it must fit some state since the newest answer that was there before the question. Each
//! possible state knows which refusals fitted on the way to it: one that fits only where a write in doubt took effect
//! is no help where it did not.

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

/// Positions of answers about any object, in order, with the time by which whatever stands before one was called at the
/// latest: no later than an answer from there on returned.
pub(super) struct Latest(Vec<(Position, u64)>);

impl Latest {
    /// Of answers: their positions and returns.
    pub(super) fn of(answers: impl Iterator<Item = (Position, u64)>) -> Self {
        let mut all: Vec<(Position, u64)> = answers.collect();
        all.sort_unstable();
        let mut latest = u64::MAX;
        for (_, returned) in all.iter_mut().rev() {
            latest = latest.min(*returned);
            *returned = latest;
        }
        Self(all)
    }

    fn before(&self, position: Position) -> u64 {
        let next = self.0.partition_point(|(at, _)| *at < position);
        self.0.get(next).map_or(u64::MAX, |(_, latest)| *latest)
    }
}

/// A possible state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Possible {
    state: State,
    /// The writes in doubt that led to it, by their numbers.
    used: BTreeSet<usize>,
    /// The refusals that fitted on the way, of those that may speak of a later state too.
    fitted: BTreeSet<usize>,
}

/// Replays the answers about an object.
pub(super) fn replay(name: &str, object: &Object<'_>, latest: &Latest) -> Replayed {
    let reading = Reading::of(object);
    let operations = reading.operations(object, true);
    let at = |one: &Operation| object.operations[one.source].at;
    let ended = operations.iter().filter(|one| one.returned.is_some());
    let ended = ended.filter_map(|one| Some(Placed { at: at(one)?, operation: one }));
    let (exact, refusals): (Vec<_>, Vec<_>) =
        ended.partition(|placed| object.operations[placed.operation.source].outcome.is_ok());
    let doubtful: Vec<&Operation> = operations.iter().filter(|one| one.returned.is_none()).collect();
    let refusals = refusals.into_iter().map(|placed| Refusal::of(&placed, object)).collect();
    let replay = Replay { name, object, latest, twins: twins(&doubtful), doubtful, refusals };
    match replay.run(reading.initial(object.cells), &in_order(exact)) {
        Ok(()) => Replayed::Follows,
        Err(replayed) => replayed,
    }
}

/// Of each write in doubt, the number of the one before it with the same step.
fn twins(doubtful: &[&Operation]) -> Vec<Option<usize>> {
    let mut last = BTreeMap::new();
    doubtful.iter().enumerate().map(|(number, one)| last.insert(&one.step, number)).collect()
}

/// An answer that speaks of the state of its revision.
struct Placed<'a> {
    at: Position,
    operation: &'a Operation,
}

/// By revision, what a write made being there at its own revision already.
fn in_order(mut placed: Vec<Placed<'_>>) -> Vec<Placed<'_>> {
    placed.sort_by_key(|one| (one.at, one.operation.step.effects.is_empty(), one.operation.invoked));
    placed
}

/// A refusal, and the states that it may speak of.
struct Refusal<'a> {
    from: Option<Position>,
    to: Position,
    operation: &'a Operation,
}

impl<'a> Refusal<'a> {
    fn of(placed: &Placed<'a>, object: &Object<'_>) -> Self {
        let before = object.operations.iter().filter(|one| one.returned_ns < placed.operation.invoked);
        Self { from: before.filter_map(|one| one.at).max(), to: placed.at, operation: placed.operation }
    }

    fn told(&self) -> u64 {
        self.operation.returned.unwrap_or(u64::MAX)
    }
}

/// What lies between two answers of different revisions; none at the beginning and at the end.
#[derive(Clone, Copy)]
struct Between {
    before: Option<Position>,
    after: Option<Position>,
}

impl Between {
    /// Whether a refusal may speak of what is there from here on.
    fn is_open(self, refusal: &Refusal<'_>) -> bool {
        self.before.is_none_or(|before| before <= refusal.to)
    }

    /// Whether it may speak of the state of the answer before, or else of one that something in doubt made since.
    fn may_show(self, refusal: &Refusal<'_>, is_since: bool) -> bool {
        let is_over =
            self.before.is_some_and(|before| if is_since { before >= refusal.to } else { before > refusal.to });
        let is_to_come = self.after.zip(refusal.from).is_some_and(|(after, from)| after <= from);
        !is_over && !is_to_come
    }
}

struct Replay<'a> {
    name: &'a str,
    object: &'a Object<'a>,
    latest: &'a Latest,
    /// In order of their calls.
    doubtful: Vec<&'a Operation>,
    twins: Vec<Option<usize>>,
    /// In order of their calls.
    refusals: Vec<Refusal<'a>>,
}

impl Replay<'_> {
    /// Carries all possible states on, to the end or to where there are none, or too many.
    fn run(&self, initial: State, placed: &[Placed<'_>]) -> Result<(), Replayed> {
        let first = Possible { state: initial, used: BTreeSet::new(), fitted: BTreeSet::new() };
        let mut possible = BTreeSet::from([first]);
        let mut open: Vec<usize> = (0..self.refusals.len()).collect();
        let mut before = None;
        for one in placed {
            // Between two answers about the same state, nothing takes effect.
            if before != Some(one.at) {
                let between = Between { before, after: Some(one.at) };
                possible = self.closed(possible, &mut open, |refusal| between.is_open(refusal))?;
                possible = self.with_doubtful(possible, &open, between, self.latest.before(one.at))?;
            }
            let take = |from: &Possible| Some(Possible { state: one.operation.step.take(from.state)?, ..from.clone() });
            let after: BTreeSet<Possible> = possible.iter().filter_map(take).collect();
            if after.is_empty() {
                return Err(self.contradicts(one, &possible));
            }
            possible = least(&after);
            before = Some(one.at);
        }
        let between = Between { before, after: None };
        possible = self.closed(possible, &mut open, |refusal| between.is_open(refusal))?;
        possible = self.with_doubtful(possible, &open, between, u64::MAX)?;
        self.closed(possible, &mut open, |_| false).map(drop)
    }

    /// The possible states on whose way each refusal fitted that is not open any more.
    fn closed(
        &self,
        mut possible: BTreeSet<Possible>,
        open: &mut Vec<usize>,
        is_open: impl Fn(&Refusal<'_>) -> bool,
    ) -> Result<BTreeSet<Possible>, Replayed> {
        let (left, over): (Vec<usize>, Vec<usize>) =
            open.drain(..).partition(|number| is_open(&self.refusals[*number]));
        *open = left;
        for number in over {
            let fitted = possible.into_iter().filter_map(|mut one| one.fitted.remove(&number).then_some(one));
            possible = fitted.collect();
            if possible.is_empty() {
                return Err(self.unexplained(&self.refusals[number]));
            }
        }
        Ok(possible)
    }

    fn unexplained(&self, refusal: &Refusal<'_>) -> Replayed {
        let operation = &self.object.operations[refusal.operation.source];
        let (name, to) = (self.name, refusal.to);
        Replayed::Contradicts(format!("{name}: a refusal at {to} fits no state by then: {operation:?}"))
    }

    fn contradicts(&self, one: &Placed<'_>, possible: &BTreeSet<Possible>) -> Replayed {
        let operation = &self.object.operations[one.operation.source];
        let states: BTreeSet<_> = possible.iter().take(3).map(|one| one.state).collect();
        let (name, at) = (self.name, one.at);
        Replayed::Contradicts(format!(
            "{name}: {:?} at {at} was answered with {:?}, which does not follow from {states:?}",
            operation.action, operation.outcome
        ))
    }

    fn too_many(&self, between: Between) -> Replayed {
        let at = between.after.or(between.before).unwrap_or_default();
        Replayed::TooMany(format!("{}: over {STATES_MAX} states are possible at {at}", self.name))
    }

    /// The possible states, and those that writes in doubt lead to that were called by then, with the refusals that fit.
    fn with_doubtful(
        &self,
        possible: BTreeSet<Possible>,
        open: &[usize],
        between: Between,
        latest: u64,
    ) -> Result<BTreeSet<Possible>, Replayed> {
        let showing = |is_since| -> Vec<usize> {
            open.iter().copied().filter(|number| between.may_show(&self.refusals[*number], is_since)).collect()
        };
        let (at_first, since) = (showing(false), showing(true));
        let mut all: BTreeSet<Possible> = possible.into_iter().map(|one| self.fit(one, &at_first, open)).collect();
        let mut left: Vec<Possible> = all.iter().cloned().collect();
        let called = self.doubtful.partition_point(|one| one.invoked <= latest);
        while let Some(from) = left.pop() {
            for (number, one) in self.doubtful[..called].iter().enumerate() {
                // Of equal ones the first that is left stands for all.
                let stands_back = self.twins[number].is_some_and(|twin| !from.used.contains(&twin));
                if stands_back || from.used.contains(&number) {
                    continue;
                }
                let Some(state) = one.step.take(from.state).filter(|state| *state != from.state) else { continue };
                let mut after = Possible { state, ..from.clone() };
                after.used.insert(number);
                let after = self.fit(after, &since, open);
                if all.insert(after.clone()) {
                    left.push(after);
                }
                if all.len() > STATES_MAX {
                    return Err(self.too_many(between));
                }
            }
        }
        Ok(all)
    }

    /// Notes which refusals a state explains: not one that was told before something was called that led to the state, nor
    /// one that was asked for when another had been told that fits nothing yet.
    fn fit(&self, mut possible: Possible, showing: &[usize], open: &[usize]) -> Possible {
        for number in showing {
            let refusal = &self.refusals[*number];
            let asked = refusal.operation.invoked;
            let is_ahead = possible.used.iter().any(|used| self.doubtful[*used].invoked > refusal.told());
            let waits =
                open.iter().any(|other| self.refusals[*other].told() < asked && !possible.fitted.contains(other));
            if !is_ahead && !waits && refusal.operation.step.take(possible.state).is_some() {
                possible.fitted.insert(*number);
            }
        }
        possible
    }
}

/// Without those whose state is reached with fewer writes in doubt as well, and with the same refusals.
fn least(possible: &BTreeSet<Possible>) -> BTreeSet<Possible> {
    let is_better = |other: &Possible, one: &Possible| {
        other.state == one.state
            && other != one
            && other.used.is_subset(&one.used)
            && one.fitted.is_subset(&other.fitted)
    };
    possible.iter().filter(|one| !possible.iter().any(|other| is_better(other, one))).cloned().collect()
}

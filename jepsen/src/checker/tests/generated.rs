//! Histories that right objects could have given, and what may go wrong with one answer of them. A history
//! is made from a plan of small numbers, so that a failing one can be made smaller.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::checker::model::{Cell, Check, Effect, Operation, State, Step};
use crate::history::KEYS_MAX;

/// One operation to come: the client, how long it waits, how long the operation takes until it takes effect
/// and after that, what it is and on what.
pub(super) type Planned = (usize, u64, u64, u64, u8, u8);

/// Keys of the object: as many as one may have.
const KEYS: usize = KEYS_MAX;
/// More clients than this do not work side by side.
const CLIENTS: usize = 4;

/// Plans of so many operations at most.
pub(super) fn plans(operations_max: usize) -> impl Strategy<Value = Vec<Planned>> {
    let planned = (0..CLIENTS, 0..5_u64, 0..10_u64, 0..10_u64, 0..20_u8, any::<u8>());
    prop::collection::vec(planned, 1..=operations_max)
}

/// The object before every history.
pub(super) fn initial() -> State {
    let mut state = State::default();
    state.0[..2].fill(Some(Cell { version: 1, value: 1 }));
    state
}

/// What right objects answer to clients that work by a plan: each operation takes effect at a moment between
/// its call and its return; some writes are left in doubt, and some of those have no effect.
pub(super) fn told(plan: &[Planned]) -> Vec<Operation> {
    let mut free_at = [0; CLIENTS];
    let mut timed = Vec::new();
    for (source, (client, waits, before, after, kind, choice)) in plan.iter().enumerate() {
        let invoked = free_at[*client] + waits;
        let (effect, returned) = (invoked + before, invoked + before + after);
        free_at[*client] = returned + 1;
        timed.push((effect, invoked, returned, source, *kind, *choice));
    }
    timed.sort_unstable();
    let mut state = initial();
    let mut operations = Vec::new();
    for (_, invoked, returned, source, kind, choice) in timed {
        let number = u32::try_from(source).expect("a small number") + 2;
        let (step, is_known) = asked(&mut state, number, kind, choice);
        operations.push(Operation { invoked, returned: is_known.then_some(returned), step, source });
    }
    operations.sort_by_key(|operation| operation.invoked);
    forget_unread(&mut operations);
    operations
}

/// Values that nobody reads cannot be told apart, as when a history is read.
fn forget_unread(operations: &mut [Operation]) {
    let checks = operations.iter().flat_map(|operation| &operation.step.checks);
    let read: BTreeSet<u32> = checks
        .filter_map(|(_, check)| match check {
            Check::Is(cell) => Some(cell.value),
            _ => None,
        })
        .collect();
    for (_, effect) in operations.iter_mut().flat_map(|operation| &mut operation.step.effects) {
        if let Effect::Put(value) = effect
            && !read.contains(value)
        {
            *value = 0;
        }
    }
}

/// What one operation finds and does, and whether its client hears of it.
fn asked(state: &mut State, number: u32, kind: u8, choice: u8) -> (Step, bool) {
    let key = usize::from(choice / 4) % KEYS;
    let version = state.0[key].map_or(1, |cell| cell.version);
    // Mostly the version that is there.
    let is_behind = choice.is_multiple_of(4);
    let other = u64::from(choice) % 3 + 1;
    let write = match kind {
        0..6 => return (seen(*state), true),
        6..8 => on_gone(&[key], number),
        8..12 => on_versions(&[(key, if is_behind { other } else { version })], number),
        12..14 => Step { checks: vec![(key, Check::There)], effects: vec![(key, Effect::Remove)] },
        14..16 => on_gone(&[key, (key + 1) % KEYS], number),
        _ => {
            let mut several = several(state, choice);
            if several.is_empty() {
                several.push((key, version));
            }
            if let Some((_, on)) = several.first_mut().filter(|_| is_behind) {
                *on = other;
            }
            on_versions(&several, number)
        }
    };
    let after = write.take(*state);
    if choice.is_multiple_of(5) {
        if choice.is_multiple_of(2) {
            *state = after.unwrap_or(*state);
        }
        return (write, false);
    }
    match after {
        Some(after) => {
            *state = after;
            (write, true)
        }
        None => (refused(*state, &write), true),
    }
}

/// Makes these, if none of them is there.
fn on_gone(keys: &[usize], number: u32) -> Step {
    Step {
        checks: keys.iter().map(|key| (*key, Check::Gone)).collect(),
        effects: keys.iter().map(|key| (*key, Effect::Put(number))).collect(),
    }
}

/// Replaces these, if each of them has its version.
fn on_versions(keys: &[(usize, u64)], number: u32) -> Step {
    Step {
        checks: keys.iter().map(|(key, on)| (*key, Check::Version(*on))).collect(),
        effects: keys.iter().map(|(key, _)| (*key, Effect::Put(number))).collect(),
    }
}

/// About half of the keys that are there, or all, with their versions.
fn several(state: &State, choice: u8) -> Vec<(usize, u64)> {
    let there = state.0[..KEYS].iter().enumerate();
    let there: Vec<(usize, u64)> = there.filter_map(|(key, cell)| Some((key, (*cell)?.version))).collect();
    let half: Vec<(usize, u64)> = there.iter().copied().filter(|(key, _)| choice >> (4 + key) & 1 == 0).collect();
    if half.is_empty() { there } else { half }
}

/// A read of everything.
pub(super) fn seen(state: State) -> Step {
    let checks = state.0[..KEYS].iter().enumerate();
    let checks = checks.map(|(key, cell)| (key, cell.map_or(Check::Gone, Check::Is))).collect();
    Step { checks, effects: Vec::new() }
}

/// What a refusal says: what there is in place of what was expected.
fn refused(state: State, write: &Step) -> Step {
    let instead = |(key, check): &(usize, Check)| match (check, state.0[*key]) {
        (Check::Version(on), Some(cell)) if cell.version != *on => {
            vec![(*key, Check::OtherVersion(*on)), (*key, Check::Version(cell.version))]
        }
        (_, Some(_)) => vec![(*key, Check::There)],
        (_, None) => vec![(*key, Check::Gone)],
    };
    Step { checks: write.checks.iter().flat_map(instead).collect(), effects: Vec::new() }
}

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mutation {
    /// Two operations hear each other's answers.
    Swap,
    /// A read sees what was there at first.
    Stale,
    /// A write takes effect a second time, for nobody who asked.
    Duplicate,
    /// An acknowledged write has no effect.
    Lose,
    /// A read is ahead by one version.
    Ahead,
}

impl Mutation {
    pub(super) const ALL: [Self; 5] = [Self::Swap, Self::Stale, Self::Duplicate, Self::Lose, Self::Ahead];
}

/// Any of them.
pub(super) fn mutations() -> impl Strategy<Value = Mutation> {
    prop::sample::select(Mutation::ALL.to_vec())
}

/// The same history with one mutation, at a place.
pub(super) fn mutated(mut operations: Vec<Operation>, mutation: Mutation, place: usize) -> Vec<Operation> {
    let is_read = |operation: &Operation| operation.step.effects.is_empty() && operation.returned.is_some();
    let chosen = |wanted: &dyn Fn(&Operation) -> bool| {
        let fitting: Vec<usize> = (0..operations.len()).filter(|index| wanted(&operations[*index])).collect();
        fitting.get(place % fitting.len().max(1)).copied()
    };
    match mutation {
        Mutation::Swap => {
            let (one, other) = (place % operations.len(), (place / 3) % operations.len());
            let step = operations[one].step.clone();
            operations[one].step = std::mem::replace(&mut operations[other].step, step);
        }
        Mutation::Stale => {
            if let Some(index) = chosen(&is_read) {
                operations[index].step = seen(initial());
            }
        }
        Mutation::Duplicate => {
            if let Some(index) = chosen(&|operation| !operation.step.effects.is_empty()) {
                let again = Operation { source: operations.len(), ..operations[index].clone() };
                operations.push(again);
            }
        }
        Mutation::Lose => {
            if let Some(index) = chosen(&|operation| !operation.step.effects.is_empty()) {
                operations.remove(index);
            }
        }
        Mutation::Ahead => {
            if let Some(index) = chosen(&is_read) {
                for (_, check) in &mut operations[index].step.checks {
                    if let Check::Is(cell) = check {
                        cell.version += 1;
                    }
                }
            }
        }
    }
    operations
}

//! Small histories of clients side by side, with positions, that right objects could have given, and what may go wrong with
//! one operation of them. What takes effect does so in the order of the revisions; writes in doubt do so late, or never.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};

use super::tale::{self, at, cell, unknown};
use crate::history::{Action, Cells, Edit, Line, Outcome, Position};
use crate::workload::Workload;

/// The objects of every history, with their keys.
pub(super) const OBJECTS: [(&str, &[&str]); 2] = [("group", &["a", "b", "c"]), ("single", &["d"])];
/// What is asked for together.
const READS: [&[&str]; 6] = [&["a", "b", "c", "d"], &["a", "b", "c"], &["a", "d"], &["a"], &["c"], &["d"]];
/// More do not work side by side.
const CLIENTS: usize = 3;
/// A call takes effect within this, and returns within as much.
const SPAN: u64 = 10;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) process: u64,
    pub(super) invoked: u64,
    /// None when the history ends without an answer.
    pub(super) returned: Option<u64>,
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) at: Option<Position>,
}

/// What is there before every history.
pub(super) fn first() -> Cells {
    ["a", "b", "d"].map(|key| (key.to_owned(), cell(1, "first"))).into()
}

/// The same as lines.
pub(super) fn lines(told: &[Told]) -> Vec<Line> {
    let object = |(name, keys): &(&str, &[&str])| Line::Object {
        object: (*name).to_owned(),
        workload: Workload::Register,
        keys: tale::keys(keys),
        cells: first().into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect(),
    };
    let mut lines: Vec<Line> = OBJECTS.iter().map(object).collect();
    for (operation, one) in (0..).zip(told) {
        let Told { process, invoked, returned, action, outcome, at } = one.clone();
        let (node, workload) = (1, Workload::Register);
        lines.push(Line::Invoke { operation, process, time_ns: invoked, node, workload, action });
        lines.extend(returned.map(|time_ns| Line::Return { operation, time_ns, outcome, at, attempts: 1 }));
    }
    lines
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It has no effect, and the client knows that.
    Turned,
    /// The client is in doubt, and it has no effect.
    Never,
    /// The client is in doubt, and it takes effect.
    Doubtful,
}

/// One call to come, by its times.
struct Call {
    process: u64,
    invoked: u64,
    effect: u64,
    /// When its answer is made.
    told: u64,
    returned: u64,
    fate: Fate,
}

impl Call {
    fn drawn(random: &mut StdRng, process: usize, free_at: u64) -> Self {
        let invoked = free_at + random.random_range(0..4);
        let effect = invoked + random.random_range(0..SPAN);
        let told = effect + random.random_range(0..=SPAN / 2);
        let returned = told + random.random_range(0..=SPAN / 2);
        let fate = match random.random_range(0..100) {
            0..67 => Fate::Answered,
            67..72 => Fate::Turned,
            72..80 => Fate::Never,
            _ => Fate::Doubtful,
        };
        // Long after the client has given up, two times of three.
        let is_late = fate == Fate::Doubtful && random.random_range(0..3) > 0;
        let effect = if is_late { invoked + random.random_range(0..5 * SPAN) } else { effect };
        Self { process: process as u64, invoked, effect, told, returned, fate }
    }
}

/// What right objects answer to so many calls.
pub(super) fn right(random: &mut StdRng, count: usize) -> Vec<Told> {
    let mut free_at = [0; CLIENTS];
    let mut calls = Vec::new();
    for _ in 0..count {
        let client = random.random_range(0..CLIENTS);
        let call = Call::drawn(random, client, free_at[client]);
        free_at[client] = call.returned + 1;
        calls.push(call);
    }
    let numbered = calls.iter().enumerate();
    let mut moments: Vec<(u64, bool, usize)> =
        numbered.flat_map(|(number, call)| [(call.effect, false, number), (call.told, true, number)]).collect();
    moments.sort_unstable();
    let mut world = World { cells: first(), revision: 5, past: vec![first()], random: StdRng::from_rng(random) };
    let mut all: Vec<Option<Told>> = vec![None; count];
    for (_, is_told, number) in moments {
        match (is_told, &mut all[number]) {
            (false, told) => *told = Some(world.effect(&calls[number], number)),
            (true, Some(told)) => world.tells(told),
            // The client gives up before it takes effect.
            (true, None) => {}
        }
    }
    let mut all: Vec<Told> = all.into_iter().flatten().collect();
    all.sort_by_key(|told| told.invoked);
    all
}

/// All objects, as they are.
struct World {
    cells: Cells,
    revision: u64,
    /// As they were before: clients may be behind.
    past: Vec<Cells>,
    random: StdRng,
}

impl World {
    /// A call takes effect, or not; its answer.
    fn effect(&mut self, call: &Call, number: usize) -> Told {
        let action = self.asked(number, call.fate == Fate::Answered);
        let mut returned = Some(call.returned);
        let (outcome, at) = match (&action, call.fate) {
            (_, Fate::Turned) => (Outcome::NotDone, None),
            (Action::Write { edits }, Fate::Never | Fate::Doubtful) => {
                if call.fate == Fate::Doubtful {
                    self.write(edits);
                }
                returned = returned.filter(|_| self.random.random_bool(0.8));
                (unknown(), None)
            }
            (Action::Write { edits }, Fate::Answered) => (self.write(edits), Some(at(self.revision))),
            (other, _) => {
                let keys = other.keys();
                let seen = self.cells.iter().filter(|(key, _)| keys.contains(&key.as_str()));
                let cells = seen.map(|(key, cell)| (key.clone(), cell.clone())).collect();
                (Outcome::Found { cells }, Some(at(self.revision)))
            }
        };
        Told { process: call.process, invoked: call.invoked, returned, action, outcome, at }
    }

    /// The answer is made: a refusal says how far the log is by then.
    fn tells(&self, told: &mut Told) {
        if is_refusal(told) {
            told.at = Some(at(self.revision));
        }
    }

    /// What a client asks who mostly knows what there is.
    fn asked(&mut self, number: usize, may_read: bool) -> Action {
        let random = &mut self.random;
        if may_read && random.random_bool(0.35) {
            return Action::Read { keys: tale::keys(READS.choose(random).expect("some keys")) };
        }
        let behind = self.past.iter().rev().take(3).choose(random).expect("a past");
        let known = if random.random_bool(0.4) { behind } else { &self.cells };
        let keys = tale::keys(OBJECTS[usize::from(random.random_bool(0.25))].1);
        let (there, gone): (Vec<String>, Vec<String>) = keys.iter().cloned().partition(|key| known.contains_key(key));
        let value = format!("v{number}");
        let create = |key| Edit::Create { key, value: value.clone() };
        let replace = |key: String| Edit::Replace { on: known[&key].version, key, value: value.clone() };
        let edits = match random.random_range(0..20) {
            0..11 if !there.is_empty() => some(random, &there).into_iter().map(replace).collect(),
            0..16 if !gone.is_empty() => some(random, &gone).into_iter().map(create).collect(),
            11..19 if !there.is_empty() => {
                some(random, &there).into_iter().take(1).map(|key| Edit::Remove { key }).collect()
            }
            _ => some(random, &keys).into_iter().map(create).collect(),
        };
        Action::Write { edits }
    }

    /// Does all of it, or says why nothing was done.
    fn write(&mut self, edits: &[Edit]) -> Outcome {
        let (made, changed): (Vec<&Edit>, Vec<&Edit>) =
            edits.iter().partition(|edit| matches!(edit, Edit::Create { .. }));
        let names = |edits: Vec<&Edit>, are_there: bool| -> Vec<String> {
            let keys = edits.into_iter().map(|edit| edit.key().to_owned());
            keys.filter(|key| self.cells.contains_key(key) == are_there).collect()
        };
        let (exist, lack) = (names(made, true), names(changed, false));
        if !exist.is_empty() {
            return Outcome::Exists { keys: exist };
        }
        if !lack.is_empty() {
            return Outcome::Absent { keys: lack };
        }
        for edit in edits {
            if let Edit::Replace { key, on, .. } = edit
                && self.cells[key].version != *on
            {
                let current = self.random.random_bool(0.8).then_some(self.cells[key].version);
                return Outcome::Conflict { key: key.clone(), current };
            }
        }
        let mut versions = BTreeMap::new();
        for edit in edits {
            let before = self.cells.remove(edit.key()).map_or(0, |cell| cell.version);
            if let Some(value) = edit.value() {
                self.cells.insert(edit.key().to_owned(), cell(before + 1, value));
                versions.insert(edit.key().to_owned(), before + 1);
            }
        }
        self.revision += self.random.random_range(1..3);
        self.past.push(self.cells.clone());
        Outcome::Done { versions }
    }
}

/// One of them or more.
fn some(random: &mut StdRng, keys: &[String]) -> Vec<String> {
    let count = random.random_range(1..=keys.len());
    keys.choose_multiple(random, count).cloned().collect()
}

fn is_refusal(told: &Told) -> bool {
    matches!(told.outcome, Outcome::Conflict { .. } | Outcome::Exists { .. } | Outcome::Absent { .. })
}

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Two reads hear each other's answers.
    Swap,
    /// A read sees what was there at first.
    Stale,
    /// A read is ahead by one version.
    Ahead,
    /// Nobody asked for what an acknowledged write did.
    Lose,
    /// Nobody asked for what a write in doubt may have done.
    Forget,
    /// An answer comes at once.
    Early,
    /// A write in doubt is called later.
    Late,
    /// An answer speaks of another revision.
    Elsewhere,
    /// A refusal says something else.
    Refuse,
}

impl Mutation {
    pub(super) const ALL: [Self; 9] = [
        Self::Swap,
        Self::Stale,
        Self::Ahead,
        Self::Lose,
        Self::Forget,
        Self::Early,
        Self::Late,
        Self::Elsewhere,
        Self::Refuse,
    ];
}

/// The same history with one mutation; none when there is nothing that it could change.
pub(super) fn mutated(random: &mut StdRng, right: &[Told], mutation: Mutation) -> Option<Vec<Told>> {
    let mut all = right.to_vec();
    if mutation == Mutation::Swap {
        let (one, other) = swappable(random, right)?;
        all[one].outcome = right[other].outcome.clone();
        all[other].outcome = right[one].outcome.clone();
        return Some(all);
    }
    let index = (0..all.len()).filter(|index| can_change(&all[*index], mutation)).choose(random)?;
    if matches!(mutation, Mutation::Lose | Mutation::Forget) {
        all.remove(index);
        return Some(all);
    }
    change(random, &mut all[index], mutation);
    all.sort_by_key(|told| told.invoked);
    Some(all)
}

/// Two reads of the same keys that were answered otherwise.
fn swappable(random: &mut StdRng, all: &[Told]) -> Option<(usize, usize)> {
    let differ = |one: &Told, other: &Told| {
        one.action == other.action && found(one).zip(found(other)).is_some_and(|(one, other)| one != other)
    };
    let pairs = (0..all.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    pairs.filter(|(one, other)| differ(&all[*one], &all[*other])).choose(random)
}

fn found(told: &Told) -> Option<&Cells> {
    match &told.outcome {
        Outcome::Found { cells } => Some(cells),
        _ => None,
    }
}

/// What its read would have found at first.
fn at_first(told: &Told) -> Cells {
    let keys = told.action.keys();
    first().into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect()
}

fn can_change(told: &Told, mutation: Mutation) -> bool {
    match mutation {
        Mutation::Swap => false,
        Mutation::Stale => found(told).is_some_and(|cells| *cells != at_first(told)),
        Mutation::Ahead => found(told).is_some_and(|cells| !cells.is_empty()),
        Mutation::Lose => matches!(told.outcome, Outcome::Done { .. }),
        Mutation::Forget | Mutation::Late => matches!(told.outcome, Outcome::Unknown { .. }),
        Mutation::Early => told.at.is_some() && told.returned > Some(told.invoked),
        Mutation::Elsewhere => told.at.is_some(),
        Mutation::Refuse => is_refusal(told),
    }
}

fn change(random: &mut StdRng, told: &mut Told, mutation: Mutation) {
    match mutation {
        Mutation::Stale => told.outcome = Outcome::Found { cells: at_first(told) },
        Mutation::Ahead => {
            if let Outcome::Found { cells } = &mut told.outcome {
                cells.values_mut().for_each(|cell| cell.version += 1);
            }
        }
        Mutation::Early => told.returned = Some(told.invoked),
        Mutation::Late => (told.invoked, told.returned) = (told.invoked + 2 * SPAN, None),
        Mutation::Elsewhere => {
            let revision = told.at.map_or(0, |at| at.revision);
            let by = random.random_range(1..=3);
            told.at = Some(at(if random.random_bool(0.5) { revision + by } else { revision - by }));
        }
        Mutation::Refuse => match &mut told.outcome {
            Outcome::Conflict { current, .. } => {
                let other = current.unwrap_or(1) + u64::from(random.random_bool(0.5));
                *current = Some(if current.is_none_or(|current| current != other) { other } else { other - 1 });
            }
            Outcome::Exists { keys } | Outcome::Absent { keys } if keys.len() > 1 => drop(keys.remove(0)),
            Outcome::Exists { keys } | Outcome::Absent { keys } => *keys = vec!["c".to_owned()],
            _ => {}
        },
        Mutation::Swap | Mutation::Lose | Mutation::Forget => {}
    }
}

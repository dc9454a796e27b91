//! The sequential model: an object is a few keys, each with a version and a value or not there, and a
//! step says what it finds and what it changes. Concurrency is not here.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{self, Action, Cells, Edit, KEYS_MAX, Object, Outcome};

/// What is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) version: u64,
    /// Number of the value among those that somebody read; 0 for all that nobody did, since nothing tells them
    /// apart.
    pub(super) value: u32,
}

/// An object between two operations, by number of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State(pub(super) [Option<Cell>; KEYS_MAX]);

/// What a step finds under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// Exactly this.
    Is(Cell),
    /// Anything of this version.
    Version(u64),
    /// Anything of another version.
    OtherVersion(u64),
    There,
    Gone,
    /// Nothing explains the answer.
    Never,
}

/// What it does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// The next version, with this value.
    Put(u32),
    Remove,
}

/// What an operation says about an object, and does to it. All its checks come before its effects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) checks: Vec<(usize, Check)>,
    pub(super) effects: Vec<(usize, Effect)>,
}

/// An operation on one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) invoked: u64,
    /// None when its outcome is unknown: it takes effect at any time after its call, or never.
    pub(super) returned: Option<u64>,
    pub(super) step: Step,
    /// Its index in the object's history.
    pub(super) source: usize,
}

impl Check {
    fn holds(self, cell: Option<Cell>) -> bool {
        match self {
            Self::Is(seen) => cell == Some(seen),
            Self::Version(version) => cell.is_some_and(|cell| cell.version == version),
            Self::OtherVersion(version) => cell.is_some_and(|cell| cell.version != version),
            Self::There => cell.is_some(),
            Self::Gone => cell.is_none(),
            Self::Never => false,
        }
    }
}

impl Step {
    /// The object afterwards; none when the step cannot be taken here.
    pub(super) fn take(&self, state: State) -> Option<State> {
        if !self.checks.iter().all(|(key, check)| check.holds(state.0[*key])) {
            return None;
        }
        let mut after = state;
        for (key, effect) in &self.effects {
            let cell = &mut after.0[*key];
            *cell = match effect {
                Effect::Put(value) => Some(Cell { version: cell.map_or(0, |cell| cell.version) + 1, value: *value }),
                Effect::Remove => None,
            };
        }
        Some(after)
    }

    fn never() -> Self {
        Self { checks: vec![(0, Check::Never)], effects: Vec::new() }
    }
}

/// Turns the operations of one object into steps.
pub(super) struct Reading<'a> {
    keys: &'a [String],
    values: BTreeMap<&'a str, u32>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(object: &Object<'a>) -> Self {
        let seen: BTreeSet<&str> = object
            .operations
            .iter()
            .filter_map(|operation| match operation.outcome {
                Outcome::Found { cells } => Some(cells.values().map(|cell| cell.value.as_str())),
                _ => None,
            })
            .flatten()
            .collect();
        Self { keys: object.keys, values: seen.into_iter().zip(1..).collect() }
    }

    /// The object before its history.
    pub(super) fn initial(&self, cells: &Cells) -> State {
        let mut state = State::default();
        for (index, key) in self.keys.iter().enumerate() {
            state.0[index] = cells.get(key).map(|cell| self.cell(cell));
        }
        state
    }

    /// Its operations that say anything: those that were certainly not done, and reads without an answer, do
    /// not. Nor do reads that may be old, unless they are asked for.
    pub(super) fn operations(&self, object: &Object<'_>, with_local: bool) -> Vec<Operation> {
        let wanted = object
            .operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| with_local || !matches!(operation.action, Action::ReadLocal { .. }));
        wanted.filter_map(|(source, operation)| self.operation(source, operation)).collect()
    }

    fn operation(&self, source: usize, operation: &history::Operation<'_>) -> Option<Operation> {
        let is_unknown = matches!(operation.outcome, Outcome::Unknown { .. });
        let step = match operation.outcome {
            Outcome::NotDone | Outcome::Refused { .. } => return None,
            Outcome::Unknown { .. } if operation.action.is_read() => return None,
            outcome => self.step(operation.action, outcome).unwrap_or_else(Step::never),
        };
        let returned = (!is_unknown).then_some(operation.returned_ns);
        Some(Operation { invoked: operation.invoked_ns, returned, step, source })
    }

    /// None when nothing explains the answer.
    fn step(&self, action: &Action, outcome: &Outcome) -> Option<Step> {
        match (action, outcome) {
            (Action::Read { keys } | Action::ReadLocal { keys, .. }, Outcome::Found { cells }) => {
                let asked = keys.iter().filter_map(|key| Some((self.number(key)?, key)));
                let check = |key: &String| cells.get(key).map_or(Check::Gone, |cell| Check::Is(self.cell(cell)));
                let checks = asked.map(|(index, key)| (index, check(key))).collect();
                Some(Step { checks, effects: Vec::new() })
            }
            (Action::Write { edits }, Outcome::Unknown { .. }) => self.effect(edits),
            (Action::Write { edits }, Outcome::Done { versions }) => {
                let made = |edit: &Edit| versions.get(edit.key()).copied();
                let fits = edits.iter().all(|edit| match edit {
                    Edit::Create { .. } => made(edit) == Some(1),
                    Edit::Replace { on, .. } => made(edit) == Some(on + 1),
                    Edit::Remove { .. } => made(edit).is_none(),
                });
                fits.then(|| self.effect(edits))?
            }
            (Action::Write { edits }, Outcome::Conflict { key, current }) => {
                let on = edits.iter().find_map(|edit| match edit {
                    Edit::Replace { key: of, on, .. } if of == key => Some(*on),
                    _ => None,
                })?;
                let index = self.number(key)?;
                let mut checks = vec![(index, Check::OtherVersion(on))];
                checks.extend(current.map(|current| (index, Check::Version(current))));
                Some(Step { checks, effects: Vec::new() })
            }
            (Action::Write { edits }, Outcome::Exists { keys }) => {
                let made = edits.iter().filter(|edit| matches!(edit, Edit::Create { .. }));
                self.presence(made.map(Edit::key), keys, Check::There, Check::Gone)
            }
            (Action::Write { edits }, Outcome::Absent { keys }) => {
                let changed = edits.iter().filter(|edit| !matches!(edit, Edit::Create { .. }));
                self.presence(changed.map(Edit::key), keys, Check::Gone, Check::There)
            }
            _ => None,
        }
    }

    /// What a write finds and does when it takes effect.
    fn effect(&self, edits: &[Edit]) -> Option<Step> {
        let mut step = Step::default();
        for edit in edits {
            let index = self.number(edit.key())?;
            let (check, effect) = match edit {
                Edit::Create { value, .. } => (Check::Gone, Effect::Put(self.value(value))),
                Edit::Replace { on, value, .. } => (Check::Version(*on), Effect::Put(self.value(value))),
                Edit::Remove { .. } => (Check::There, Effect::Remove),
            };
            step.checks.push((index, check));
            step.effects.push((index, effect));
        }
        Some(step)
    }

    /// Of the keys asked for, `named` are `one`, and the rest the `other`.
    fn presence<'k>(
        &self,
        asked: impl Iterator<Item = &'k str>,
        named: &[String],
        one: Check,
        other: Check,
    ) -> Option<Step> {
        let mut step = Step::default();
        let mut found = 0;
        for key in asked {
            let is_named = named.iter().any(|name| name == key);
            found += usize::from(is_named);
            step.checks.push((self.number(key)?, if is_named { one } else { other }));
        }
        (found > 0 && found == named.len()).then_some(step)
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.keys.iter().position(|own| own == key)
    }

    fn cell(&self, cell: &history::Cell) -> Cell {
        Cell { version: cell.version, value: self.value(&cell.value) }
    }

    fn value(&self, value: &str) -> u32 {
        self.values.get(value).copied().unwrap_or(0)
    }
}

//! The sequential model: a profile is a register with a version, and a write names the version it
//! was made on. Concurrency is not here.

use std::collections::BTreeMap;

use crate::history::{Action, KeyHistory, Outcome};

/// A profile between two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Register {
    pub(super) version: u64,
    /// Number of the display name among those of the history.
    pub(super) value: u32,
}

/// What an operation says about the register, and does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has exactly this.
    Read(Register),
    /// It has the version `on`; afterwards it has the next one, and `value`.
    Write { on: u64, value: u32 },
    /// It has another version than `expected`: `current`, where that was stated.
    Conflict { expected: u64, current: Option<u64> },
    /// Nothing explains the answer.
    Impossible,
}

impl Step {
    /// The register afterwards; none when the step cannot be taken here.
    pub(super) fn take(self, register: Register) -> Option<Register> {
        match self {
            Self::Read(seen) => (seen == register).then_some(register),
            Self::Write { on, value } => {
                (on == register.version).then_some(Register { version: register.version + 1, value })
            }
            Self::Conflict { expected, current } => {
                let holds = expected != register.version && current.is_none_or(|current| current == register.version);
                holds.then_some(register)
            }
            Self::Impossible => None,
        }
    }
}

/// An operation for the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) invoked: u64,
    /// None when its outcome is unknown: it takes effect at any time after its call, or never.
    pub(super) returned: Option<u64>,
    pub(super) step: Step,
    /// Its number in the profile's history.
    pub(super) source: usize,
}

/// The register before a history, and the history's operations that say anything: those that were
/// certainly not done, and reads without an answer, do not.
pub(super) fn operations(history: &KeyHistory) -> (Register, Vec<Operation>) {
    let mut values: BTreeMap<&str, u32> = BTreeMap::new();
    let mut number = |value| {
        let next = u32::try_from(values.len()).expect("fewer than 2^32 values");
        *values.entry(value).or_insert(next)
    };
    let initial = Register { version: history.initial.0, value: number(&history.initial.1) };
    let mut operations = Vec::with_capacity(history.operations.len());
    for (source, operation) in history.operations.iter().enumerate() {
        let mut known = true;
        let step = match (&operation.action, &operation.outcome) {
            (_, Outcome::NotDone) | (Action::Read, Outcome::Unknown { .. }) => continue,
            (Action::Write { expected, value }, Outcome::Unknown { .. }) => {
                known = false;
                Step::Write { on: *expected, value: number(value) }
            }
            (Action::Read, Outcome::Read { version, value }) => {
                Step::Read(Register { version: *version, value: number(value) })
            }
            (Action::Write { expected, value }, Outcome::Written { version }) if *version == expected + 1 => {
                Step::Write { on: *expected, value: number(value) }
            }
            (Action::Write { expected, .. }, Outcome::Conflict { current }) => {
                Step::Conflict { expected: *expected, current: *current }
            }
            (Action::Write { .. }, Outcome::Written { .. } | Outcome::Read { .. })
            | (Action::Read, Outcome::Written { .. } | Outcome::Conflict { .. })
            | (_, Outcome::Wrong { .. }) => Step::Impossible,
        };
        let returned = known.then_some(operation.returned_ns);
        operations.push(Operation { invoked: operation.invoked_ns, returned, step, source });
    }
    (initial, operations)
}

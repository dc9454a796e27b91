//! What clients were told, against what the nodes did. The nodes' change history says what each entry
//! came to, in order: that is the model. Every answer names a revision, so that it is right or wrong
//! by looking at the model there, and no order has to be searched for.
//!
//! Checked of writes: none takes effect twice, before it was asked for, or when nobody asked for it;
//! versions go up by one; what was acknowledged is there as it was acknowledged, what was refused or
//! certainly not done is not, and a refusal was right at some moment of its call. Of reads: they
//! show the model at their revision, and that is not below anything that was heard before they began.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_proto::log::HistoryEntry;
use openshell_state::{RequestId, State};

use crate::rules::{Held, Write, held};
use crate::trace::Trace;
use model::Model;

/// One write of a client, over all its attempts.
#[derive(Debug)]
struct Operation {
    write: Write,
    /// The newest revision that any client had heard of when it began.
    floor: u64,
    end: End,
    /// Where it took effect, and whether it changed anything there.
    effect: Option<(u64, bool)>,
}

/// What its client knows of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Nothing yet, or nothing for sure.
    Open,
    Done {
        revision: u64,
        held: Held,
    },
    /// It has no effect, and never will.
    Never,
}

/// Something that a client was told, to be looked at once the model has come so far.
enum Claim {
    Done { operation: usize, revision: u64, held: Held },
    Refused { operation: usize, revision: u64 },
    Read { floor: u64, state: Arc<State> },
}

impl Claim {
    fn revision(&self) -> u64 {
        match self {
            Claim::Done { revision, .. } | Claim::Refused { revision, .. } => *revision,
            Claim::Read { state, .. } => state.revision(),
        }
    }
}

/// How much was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were refused.
    pub refused: u64,
    /// Writes that certainly did not happen.
    pub not_done: u64,
    /// Writes of which nobody knows.
    pub unknown: u64,
    /// Answers to repetitions of an acknowledged write.
    pub repeated: u64,
    /// Reads.
    pub reads: u64,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Oracle {
    operations: Vec<Operation>,
    by_request: BTreeMap<RequestId, usize>,
    /// The newest revision that any client has heard of.
    floor: u64,
    model: Model,
    pending: Vec<Claim>,
    pub(crate) told: Told,
    /// What clients were told, in order.
    pub(crate) trace: Trace,
}

impl Oracle {
    /// A client begins a write.
    pub(crate) fn begin(&mut self, write: Write) -> usize {
        self.operations.push(Operation { write, floor: self.floor, end: End::Open, effect: None });
        self.operations.len() - 1
    }

    /// An attempt of a write is about to be made under an id.
    pub(crate) fn attempt(&mut self, operation: usize, id: RequestId) {
        self.by_request.insert(id, operation);
    }

    /// What a read that begins now must see.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// A write was acknowledged, for the first time or again.
    pub(crate) fn done(&mut self, operation: usize, revision: u64, held: Held) {
        self.trace.note(&("done", operation, revision));
        self.floor = self.floor.max(revision);
        match self.operations[operation].end {
            End::Done { .. } => self.told.repeated += 1,
            End::Open | End::Never => self.told.acknowledged += 1,
        }
        self.pending.push(Claim::Done { operation, revision, held });
    }

    /// A write was refused for good.
    pub(crate) fn refused(&mut self, operation: usize, revision: u64) {
        self.trace.note(&("refused", operation, revision));
        self.told.refused += 1;
        self.operations[operation].end = End::Never;
        self.pending.push(Claim::Refused { operation, revision });
    }

    /// Every attempt of a write said that it was not done.
    pub(crate) fn not_done(&mut self, operation: usize) {
        self.trace.note(&("not done", operation));
        self.told.not_done += 1;
        self.operations[operation].end = End::Never;
    }

    /// A client has given up a write that may have happened, or happen yet.
    pub(crate) fn unknown(&mut self, operation: usize) {
        self.trace.note(&("unknown", operation));
        self.told.unknown += 1;
    }

    /// A read that began at this floor has ended.
    pub(crate) fn read(&mut self, floor: u64, state: Arc<State>) {
        self.trace.note(&("read", floor, state.revision()));
        self.told.reads += 1;
        self.floor = self.floor.max(state.revision());
        self.pending.push(Claim::Read { floor, state });
    }

    /// A node has applied everything through this revision; these are the entries of its history after
    /// what it had applied before.
    ///
    /// # Errors
    /// What must never be.
    pub(crate) fn applied(&mut self, through: u64, entries: &[Arc<HistoryEntry>]) -> Result<(), String> {
        for entry in entries.iter().filter(|entry| entry.revision <= through) {
            if self.model.is_known(entry)? {
                continue;
            }
            self.effect(entry)?;
        }
        self.model.advance(through);
        Ok(())
    }

    /// One entry of the history that no node had shown before.
    fn effect(&mut self, entry: &HistoryEntry) -> Result<(), String> {
        let revision = entry.revision;
        let changes = self.model.add(entry)?;
        let Some(id) = RequestId::from_bytes(&entry.request_id) else {
            if let Some((name, held)) = changes.first() {
                return Err(format!("{name} was set to {held:?} at revision {revision}, and nobody asked for it"));
            }
            return Ok(());
        };
        let Some(number) = self.by_request.get(&id).copied() else {
            return Err(format!("an entry at revision {revision} has a request id that nobody made"));
        };
        let operation = &mut self.operations[number];
        let write = &operation.write;
        if let Some((before, _)) = operation.effect.filter(|(_, changed)| *changed) {
            return Err(format!("{write:?} took effect at revision {before} and again at {revision}"));
        }
        operation.effect = Some((revision, !changes.is_empty()));
        if changes.is_empty() {
            return Ok(());
        }
        if revision <= operation.floor {
            let floor = operation.floor;
            return Err(format!("{write:?} took effect at revision {revision}, and {floor} was known when it began"));
        }
        if operation.end == End::Never {
            return Err(format!(
                "{write:?} took effect at revision {revision}, and its client was told that it never would"
            ));
        }
        let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
        if names != write.keys() || changes.iter().any(|(_, held)| held.value != write.value()) {
            return Err(format!("{write:?} left {changes:?} at revision {revision}"));
        }
        if !write.is_allowed(|name| self.model.at(name, revision - 1).version) {
            return Err(format!("{write:?} took effect at revision {revision}, over what it must not"));
        }
        Ok(())
    }

    /// Looks at every claim that the model has come to.
    ///
    /// # Errors
    /// What must never be.
    pub(crate) fn settle(&mut self, names: &[String]) -> Result<(), String> {
        let through = self.model.through();
        let (due, later) = std::mem::take(&mut self.pending).into_iter().partition(|claim| claim.revision() <= through);
        self.pending = later;
        let due: Vec<Claim> = due;
        due.into_iter().try_for_each(|claim| self.check(claim, names))
    }

    fn check(&mut self, claim: Claim, names: &[String]) -> Result<(), String> {
        match claim {
            Claim::Done { operation, revision, held } => self.check_done(operation, revision, held),
            Claim::Refused { operation, revision } => {
                let Operation { write, floor, .. } = &self.operations[operation];
                let was_right = self
                    .model
                    .moments(*floor, revision)
                    .any(|at| !write.is_allowed(|name| self.model.at(name, at).version));
                if was_right {
                    return Ok(());
                }
                Err(format!("{write:?} was refused at revision {revision}, without reason since {floor}"))
            }
            Claim::Read { floor, state } => self.check_read(floor, &state, names),
        }
    }

    fn check_done(&mut self, number: usize, revision: u64, found: Held) -> Result<(), String> {
        let operation = &mut self.operations[number];
        let write = &operation.write;
        if operation.effect != Some((revision, true)) {
            let effect = operation.effect;
            return Err(format!("{write:?} was acknowledged at revision {revision}; its effect is {effect:?}"));
        }
        if let End::Done { revision: first, held } = &operation.end
            && (*first, held) != (revision, &found)
        {
            return Err(format!("{write:?} heard revision {first} and {held:?} first, then {revision} and {found:?}"));
        }
        let last = write.keys().last().map(|name| self.model.at(name, revision));
        if last.as_ref() != Some(&found) {
            return Err(format!("{write:?} was told {found:?} at revision {revision}, where {last:?} is"));
        }
        operation.end = End::Done { revision, held: found };
        Ok(())
    }

    fn check_read(&self, floor: u64, state: &State, names: &[String]) -> Result<(), String> {
        let revision = state.revision();
        if revision < floor {
            return Err(format!("a read shows revision {revision}, and {floor} was known when it began"));
        }
        self.check_state(state, names)
    }

    /// A state shows the model.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) fn check_state(&self, state: &State, names: &[String]) -> Result<(), String> {
        let revision = state.revision();
        for name in names {
            let (found, expected) = (held(state, name), self.model.at(name, revision));
            if found != expected {
                return Err(format!("revision {revision} shows {found:?} for {name}, where {expected:?} is"));
            }
        }
        Ok(())
    }

    /// At the end nothing may be left to look at.
    ///
    /// # Errors
    /// What no node ever came to.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.pending.first() {
            None => Ok(()),
            Some(claim) => {
                let (revision, through) = (claim.revision(), self.model.through());
                Err(format!("a client was told of revision {revision}, and no node has come further than {through}"))
            }
        }
    }
}

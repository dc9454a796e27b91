//! How a log entry changes the state: guards are compared, writes installed, the reply
//! remembered. `apply` sees state and entry, nothing else; it knows no rule of the domain,
//! and whatever a caller sent it ends in an [`Outcome`]. Only bytes that no build of this
//! version writes are a [`Fault`].

use std::sync::Arc;

use openshell_chaos::{Bug, bug, local_time_ms};
use openshell_proto::log::{self, Change, Command, HistoryEntry, RememberedRequest, Transaction, change::Act};
use openshell_proto::log::{command, write};
use prost::Message;

use crate::digest::Item;
use crate::fault::Fault;
use crate::key::Key;
use crate::record::{Record, Value};
use crate::requests::{Memory, RequestId};
use crate::state::State;

/// What became of one entry.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What the proposer hears.
    pub outcome: Outcome,
    /// What storage has to write so that it equals the state.
    pub changes: Vec<StateChange>,
    /// What the change history keeps; none when nothing was written.
    pub history: Option<HistoryEntry>,
}

/// What the proposer of a transaction hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The guards held and the writes are in.
    Installed,
    /// The request id took effect before, at `revision`; nothing changed.
    Repeated {
        /// Log index of the entry that took effect.
        revision: u64,
        /// What its caller heard.
        reply: log::Reply,
    },
    /// The request id belongs to another request; nothing changed.
    Mismatched,
    /// The request id is older than the memory; nothing changed.
    Expired,
    /// The state was not the one decided on; nothing changed.
    GuardFailed {
        /// The first guard that did not hold.
        key: Key,
    },
}

/// One thing that storage has to write.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// A record was written, or deleted when there is none.
    Record(Key, Option<Arc<Record>>),
    /// A fence was touched.
    Fence(Key, u64),
    /// A request id was remembered.
    Remembered(RequestId, Arc<RememberedRequest>),
    /// A request id was forgotten.
    Forgotten(RequestId),
}

impl State {
    /// Moves to the revision of an entry that changes nothing: a leader's blank entry, or a
    /// change of membership.
    ///
    /// # Panics
    /// When revisions do not grow, which the log promises.
    pub fn advance(&mut self, index: u64) {
        assert!(self.revision < index, "revision went back: {} -> {index}", self.revision);
        self.revision = index;
    }

    /// Applies the command of the log entry at `index`.
    ///
    /// # Errors
    /// [`Fault`] when the entry is not one that this build can apply: the node must stop.
    ///
    /// # Panics
    /// When revisions do not grow, which the log promises.
    pub fn apply(&mut self, index: u64, command: &Command) -> Result<Applied, Fault> {
        let Some(command::Kind::Transaction(transaction)) = &command.kind else {
            return Err(Fault::UnknownCommand { index });
        };
        let mut prepared = Prepared::read(transaction)?;
        if bug(Bug::LocalClock) {
            prepared.time_ms = local_time_ms();
        }
        self.advance(index);
        self.last_time_ms = self.last_time_ms.max(prepared.time_ms);
        let outcome = self.judge(&prepared);
        let mut applied = Applied { outcome, changes: Vec::new(), history: None };
        if applied.outcome == Outcome::Installed {
            self.install(transaction, prepared, &mut applied);
        }
        self.forget(&mut applied.changes);
        Ok(applied)
    }

    /// Whether the transaction may be installed. The request id comes first: a repetition
    /// hears its answer whatever became of the state since.
    fn judge(&self, prepared: &Prepared) -> Outcome {
        if let Some(id) = &prepared.request_id {
            match self.requests.recall(id) {
                Memory::New => {}
                Memory::Expired => return Outcome::Expired,
                Memory::Known(request) if request.fingerprint != prepared.fingerprint => return Outcome::Mismatched,
                Memory::Known(request) => {
                    let reply = request.reply.clone().unwrap_or_default();
                    return Outcome::Repeated { revision: request.revision, reply };
                }
            }
        }
        if bug(Bug::SkippedGuards) && self.revision.is_multiple_of(100) {
            return Outcome::Installed;
        }
        match prepared.guards.iter().find(|(key, revision)| self.revision_of(key) != *revision) {
            Some((key, _)) => Outcome::GuardFailed { key: key.clone() },
            None => Outcome::Installed,
        }
    }

    fn install(&mut self, transaction: &Transaction, prepared: Prepared, applied: &mut Applied) {
        let (index, time_ms) = (self.revision, prepared.time_ms);
        let mut changes = Vec::with_capacity(prepared.writes.len());
        for (key, write) in prepared.writes {
            let before = self.records.get(&key).cloned();
            let act = match (&before, &write) {
                (None, None) => continue,
                (None, Some(_)) => Act::Created,
                (Some(_), Some(_)) => Act::Updated,
                (Some(_), None) => Act::Deleted,
            };
            let record = write.map(|(bytes, value)| {
                let (created_revision, created_at_ms) =
                    before.as_ref().map_or((index, time_ms), |old| (old.created_revision, old.created_at_ms));
                Arc::new(Record { revision: index, created_revision, created_at_ms, bytes, value })
            });
            self.put(&key, before.as_deref(), record.clone());
            self.note_change(&key, before.as_deref(), record.as_deref());
            changes.push(Change {
                key: Some(key.to_proto()),
                act: act as i32,
                value: record.as_ref().map(|record| record.bytes.clone()),
                labels_before: before.as_ref().and_then(|old| old.value.labels()).cloned().unwrap_or_default(),
            });
            applied.changes.push(StateChange::Record(key, record));
        }
        for key in prepared.touches {
            self.touch(&key, index);
            applied.changes.push(StateChange::Fence(key, index));
        }
        if let Some(id) = prepared.request_id {
            let request = Arc::new(RememberedRequest {
                request_id: id.as_bytes().to_vec(),
                revision: index,
                fingerprint: prepared.fingerprint,
                reply: transaction.reply.clone(),
            });
            self.remember(id, Arc::clone(&request));
            applied.changes.push(StateChange::Remembered(id, request));
        }
        applied.history = Some(history(index, transaction, changes));
    }

    /// Installs or removes one record, with its indexes and its part of the digest.
    pub(crate) fn put(&mut self, key: &Key, before: Option<&Record>, record: Option<Arc<Record>>) {
        let bytes = key.to_bytes();
        if let Some(before) = before {
            self.digest.remove(Item::Record, &bytes, &before.to_proto().encode_to_vec());
            self.indexes.remove(key, before);
        }
        match record {
            Some(record) => {
                self.digest.add(Item::Record, &bytes, &record.to_proto().encode_to_vec());
                self.indexes.insert(key, &record);
                self.records.insert(key.clone(), record);
            }
            None => {
                self.records.remove(key);
            }
        }
    }

    pub(crate) fn touch(&mut self, key: &Key, index: u64) {
        let bytes = key.to_bytes();
        if let Some(before) = self.fences.insert(key.clone(), index) {
            self.digest.remove(Item::Fence, &bytes, &before.to_le_bytes());
        }
        self.digest.add(Item::Fence, &bytes, &index.to_le_bytes());
    }

    pub(crate) fn remember(&mut self, id: RequestId, request: Arc<RememberedRequest>) {
        self.digest.add(Item::Request, id.as_bytes(), &request.encode_to_vec());
        self.requests.remember(id, request);
    }

    /// Forgets request ids beyond the bounds, at the time of the state itself.
    fn forget(&mut self, changes: &mut Vec<StateChange>) {
        let before = self.requests.forgotten_through_ms();
        for (id, request) in self.requests.forget(self.last_time_ms) {
            self.digest.remove(Item::Request, id.as_bytes(), &request.encode_to_vec());
            changes.push(StateChange::Forgotten(id));
        }
        let after = self.requests.forgotten_through_ms();
        if before != after {
            if before != 0 {
                self.digest.remove(Item::Forgotten, b"", &before.to_le_bytes());
            }
            self.digest.add(Item::Forgotten, b"", &after.to_le_bytes());
        }
    }
}

/// Reads a transaction as [`State::apply`] would, before it is proposed: what is in the log and cannot be
/// read stops every node for good.
///
/// # Errors
/// The [`Fault`] that applying it would be. Nothing may be proposed then.
pub fn check(transaction: &Transaction) -> Result<(), Fault> {
    Prepared::read(transaction).map(drop)
}

/// A value as it was sent and as it reads.
type Encoded = (Vec<u8>, Value);

/// A transaction with its keys and values read, so that nothing can fail half-way.
struct Prepared {
    time_ms: i64,
    request_id: Option<RequestId>,
    fingerprint: Vec<u8>,
    guards: Vec<(Key, u64)>,
    /// Encoded and decoded value; none to delete.
    writes: Vec<(Key, Option<Encoded>)>,
    touches: Vec<Key>,
}

impl Prepared {
    fn read(transaction: &Transaction) -> Result<Self, Fault> {
        let incomplete = |part| Fault::Incomplete { what: "a transaction", part };
        let origin = transaction.origin.as_ref().ok_or_else(|| incomplete("its origin"))?;
        let key = |key: &Option<log::Key>| Key::from_proto(key.as_ref().ok_or_else(|| incomplete("a key"))?);
        let request_id = match origin.request_id.as_slice() {
            [] => None,
            bytes => Some(RequestId::from_bytes(bytes).ok_or_else(|| incomplete("a UUIDv7 as request id"))?),
        };
        let guards = transaction.guards.iter().map(|guard| Ok((key(&guard.key)?, guard.revision)));
        let writes = transaction.writes.iter().map(|write| {
            let key = key(&write.key)?;
            let change = match write.change.as_ref().ok_or_else(|| incomplete("what to write"))? {
                write::Change::Put(bytes) => Some((bytes.clone(), Value::decode(&key, bytes)?)),
                write::Change::Delete(_) => None,
            };
            Ok((key, change))
        });
        Ok(Self {
            time_ms: origin.time_ms,
            request_id,
            fingerprint: origin.fingerprint.clone(),
            guards: guards.collect::<Result<_, Fault>>()?,
            writes: writes.collect::<Result<_, Fault>>()?,
            touches: transaction.touches.iter().map(Key::from_proto).collect::<Result<_, _>>()?,
        })
    }
}

fn history(index: u64, transaction: &Transaction, changes: Vec<Change>) -> HistoryEntry {
    let origin = transaction.origin.clone().unwrap_or_default();
    HistoryEntry {
        revision: index,
        time_ms: origin.time_ms,
        principal: origin.principal,
        rpc: origin.rpc,
        request_id: origin.request_id,
        node: origin.node,
        changes,
        touches: transaction.touches.clone(),
    }
}

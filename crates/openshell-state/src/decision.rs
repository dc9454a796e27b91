//! What a rule answers, and what it is given: the caller, the stamp, and the draft of a
//! transaction in which it names all that it relied on.

use std::collections::{BTreeMap, BTreeSet};

use openshell_chaos::{Bug, bug};
use openshell_proto::log::{Guard, Kind, Origin, Reply, Transaction, Write, reply, write};
use prost::Message;

use crate::access::Principal;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;

/// What a rule answers to a call that may change the state.
#[derive(Clone, Debug)]
pub enum Decision {
    /// No. Whoever passes it on proves first that it still leads.
    Refuse(Refusal),
    /// Yes, and nothing has to be written. The encoded response.
    Answer(Vec<u8>),
    /// Yes, by this transaction.
    Transact(Draft),
}

/// A transaction before it gets its origin.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What the decision relied on, and the revision it had.
    pub guards: BTreeMap<Key, u64>,
    /// What changes, in order.
    pub writes: Vec<Write>,
    /// The fences of those who rely on what changes.
    pub touches: BTreeSet<Key>,
    /// The encoded response, or a refusal that goes with the change.
    pub reply: Result<Vec<u8>, Refusal>,
}

/// Names for new things. Drawn outside, from one seeded source.
pub trait Identifiers {
    /// A random UUID (version 4) as text.
    fn uuid(&self) -> String;
    /// Six random lower-case letters (`providers.md` CP-1).
    fn letters(&self) -> String;
    /// A number below `bound`, for choosing words.
    fn choose(&self, bound: usize) -> usize;
    /// 32 bytes that nobody can guess, for a key.
    fn key(&self) -> [u8; 32];
}

/// Seals secrets on the leader, so that only sealed values reach the log.
pub trait Sealer {
    /// The sealed form of `plaintext`, as text. `kind`, `workspace`, `name` and `field` are
    /// bound to it: it opens nowhere else.
    fn seal(&self, kind: &str, workspace: &str, name: &str, field: &str, plaintext: &[u8]) -> String;
}

/// Opens what a [`Sealer`] sealed. Only what answers a caller may have the plaintext, in memory
/// and for as long as the answer takes.
pub trait Opener {
    /// The plaintext of `sealed`; none when it was sealed by another key, for another place, or was
    /// changed since.
    fn open(&self, kind: &str, workspace: &str, name: &str, field: &str, sealed: &str) -> Option<Vec<u8>>;
}

/// Time, ids and sealing for one decision.
#[derive(Clone, Copy)]
pub struct Stamp<'a> {
    /// Milliseconds since the Unix epoch; never less than the last stamp of the state.
    pub time_ms: i64,
    /// Names for new things.
    pub identifiers: &'a dyn Identifiers,
    /// Seals secrets.
    pub sealer: &'a dyn Sealer,
}

/// Everything that a rule is given beside the request.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The state decided on.
    pub state: &'a State,
    /// Who asks.
    pub principal: &'a Principal,
    /// Time, ids and sealing.
    pub stamp: Stamp<'a>,
}

impl Default for Draft {
    fn default() -> Self {
        Self::new()
    }
}

impl Draft {
    /// A draft that relies on nothing and changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { guards: BTreeMap::new(), writes: Vec::new(), touches: BTreeSet::new(), reply: Ok(Vec::new()) }
    }

    /// The decision relied on what is (or is not) at this key, or on this fence, in `state`.
    pub fn rely_on(&mut self, state: &State, key: Key) {
        if bug(Bug::MissingGuard) && key.kind == Kind::FenceProfileUsers {
            return;
        }
        let revision = state.revision_of(&key);
        self.guards.insert(key, revision);
    }

    /// Writes a record. Its encoding is made here, once.
    pub fn put(&mut self, key: &Key, value: &impl Message) {
        self.writes.push(Write { key: Some(key.to_proto()), change: Some(write::Change::Put(value.encode_to_vec())) });
    }

    /// Deletes a record.
    pub fn delete(&mut self, key: &Key) {
        self.writes.push(Write { key: Some(key.to_proto()), change: Some(write::Change::Delete(true)) });
    }

    /// Touches a fence.
    pub fn touch(&mut self, key: Key) {
        assert!(key.is_fence(), "{key} is not a fence");
        if bug(Bug::UntouchedFence) && key.kind == Kind::FenceProfileUsers {
            return;
        }
        self.touches.insert(key);
    }

    /// Ends the draft with the response.
    #[must_use]
    pub fn answer(mut self, response: &impl Message) -> Decision {
        self.reply = Ok(response.encode_to_vec());
        Decision::Transact(self)
    }

    /// Ends the draft with a refusal that goes with the change.
    #[must_use]
    pub fn refuse(mut self, refusal: Refusal) -> Decision {
        self.reply = Err(refusal);
        Decision::Transact(self)
    }
}

impl Draft {
    /// The transaction that goes into the log.
    #[must_use]
    pub fn into_transaction(self, origin: Origin) -> Transaction {
        let outcome = match self.reply {
            Ok(message) => reply::Outcome::Message(message),
            Err(refusal) => reply::Outcome::Refusal(refusal.to_proto()),
        };
        Transaction {
            origin: Some(origin),
            guards: self
                .guards
                .into_iter()
                .map(|(key, revision)| Guard { key: Some(key.to_proto()), revision })
                .collect(),
            writes: self.writes,
            touches: self.touches.iter().map(Key::to_proto).collect(),
            reply: Some(Reply { outcome: Some(outcome) }),
        }
    }
}

impl Decision {
    /// A success that writes nothing.
    #[must_use]
    pub fn answer(response: &impl Message) -> Self {
        Decision::Answer(response.encode_to_vec())
    }
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Decision::Refuse(refusal)
    }
}

/// Rules are written with `?`; a refusal ends them.
impl From<Result<Decision, Refusal>> for Decision {
    fn from(result: Result<Decision, Refusal>) -> Self {
        result.unwrap_or_else(Decision::Refuse)
    }
}

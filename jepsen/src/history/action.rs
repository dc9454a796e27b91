//! What a client asked, and what became of it, in the words of the model: keys that have a value and a
//! version, or are not there. How calls become this is in `workload`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is there under a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// 1 when it was made, one more with each replacement.
    pub(crate) version: u64,
    /// Written by one operation only, so that who reads it knows whose it is.
    pub(crate) value: String,
}

/// What is there, by key.
pub(crate) type Cells = BTreeMap<String, Cell>;

/// One change within a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// Of a key that is not there.
    Create {
        /// The key.
        key: String,
        /// What it gets.
        value: String,
    },
    /// Of a key that has this version.
    Replace {
        /// The key.
        key: String,
        /// The version that the client expects.
        on: u64,
        /// What it gets.
        value: String,
    },
    /// Of a key that is there.
    Remove {
        /// The key.
        key: String,
    },
}

impl Edit {
    /// The key that it changes.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Create { key, .. } | Self::Replace { key, .. } | Self::Remove { key } => key,
        }
    }

    /// What the key has afterwards; nothing when it is gone.
    pub(crate) fn value(&self) -> Option<&str> {
        match self {
            Self::Create { value, .. } | Self::Replace { value, .. } => Some(value),
            Self::Remove { .. } => None,
        }
    }
}

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// A linearizable read of these keys, all in one answer.
    Read {
        /// Which.
        keys: Vec<String>,
    },
    /// A read of what one node has, which may be old, but not older than the client's own position.
    ReadLocal {
        /// Which.
        keys: Vec<String>,
        /// Where the client has been.
        not_before: Option<Position>,
    },
    /// A write of all of these, or of none.
    Write {
        /// Which; each of another key.
        edits: Vec<Edit>,
    },
    /// A creation without a name, under a request id that goes to several nodes.
    Make {
        /// The id.
        request: String,
    },
    /// A linearizable look at what such creations made.
    Look {
        /// Of one id; without, of all.
        request: Option<String>,
    },
    /// The removal of something that a creation made.
    Clear {
        /// The id of the creation.
        request: String,
        /// What it made.
        name: String,
    },
    /// Any other call.
    Call {
        /// Full name of the method.
        rpc: String,
    },
}

impl Action {
    /// The keys that it is about.
    pub(crate) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Read { keys } | Self::ReadLocal { keys, .. } => keys.iter().map(String::as_str).collect(),
            Self::Write { edits } => edits.iter().map(Edit::key).collect(),
            Self::Make { .. } | Self::Look { .. } | Self::Clear { .. } | Self::Call { .. } => Vec::new(),
        }
    }

    /// Whether it changes nothing, whatever becomes of it.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::ReadLocal { .. } | Self::Look { .. })
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A read was answered: of the keys asked for, these are there.
    Found {
        /// What is there.
        cells: Cells,
    },
    /// A write was acknowledged.
    Done {
        /// The versions that it made; none for what it removed.
        versions: BTreeMap<String, u64>,
    },
    /// A write was refused, because a key has another version than was expected.
    Conflict {
        /// The key.
        key: String,
        /// Its version, where the refusal states it.
        current: Option<u64>,
    },
    /// A write was refused, because of the keys to be made exactly these are there.
    Exists {
        /// Which.
        keys: Vec<String>,
    },
    /// A write was refused, because of the keys to be changed exactly these are not there.
    Absent {
        /// Which.
        keys: Vec<String>,
    },
    /// What a creation made.
    Made {
        /// The name that the cluster gave it.
        name: String,
    },
    /// What creations made, as far as it was looked for: request id and name.
    There {
        /// Each.
        made: Vec<(String, String)>,
    },
    /// Any other call was answered.
    Answered,
    /// The cluster refused for a reason that says nothing about keys. Nothing happened.
    Refused {
        /// The gRPC code.
        code: String,
        /// Its words.
        said: String,
    },
    /// The cluster said something that is never true here.
    Wrong {
        /// Its words.
        said: String,
    },
    /// Certainly nothing happened.
    NotDone,
    /// It may have happened, may still happen, or never will.
    Unknown {
        /// The failure that left the doubt.
        why: String,
    },
}

impl Outcome {
    /// A node said with these words that its state contradicts itself, or that it cannot go on: what it did, nobody
    /// knows.
    pub(crate) fn broken(said: &str) -> Self {
        Self::Unknown { why: format!("{BROKEN}{said}") }
    }

    /// The words of a node that said that it is broken.
    pub(crate) fn said_broken(&self) -> Option<&str> {
        let Self::Unknown { why } = self else { return None };
        why.strip_prefix(BROKEN)
    }

    /// Whether the cluster did, or answered, what it was asked.
    pub(crate) fn is_ok(&self) -> bool {
        match self {
            Self::Found { .. } | Self::Done { .. } | Self::Made { .. } | Self::There { .. } | Self::Answered => true,
            Self::Conflict { .. }
            | Self::Exists { .. }
            | Self::Absent { .. }
            | Self::Refused { .. }
            | Self::Wrong { .. }
            | Self::NotDone
            | Self::Unknown { .. } => false,
        }
    }

    /// Whether it says something about keys.
    pub(crate) fn speaks_of_keys(&self) -> bool {
        match self {
            Self::Found { .. }
            | Self::Done { .. }
            | Self::Conflict { .. }
            | Self::Exists { .. }
            | Self::Absent { .. }
            | Self::Wrong { .. } => true,
            Self::Made { .. }
            | Self::There { .. }
            | Self::Answered
            | Self::Refused { .. }
            | Self::NotDone
            | Self::Unknown { .. } => false,
        }
    }
}

/// How the words of a doubt begin that a node left which said that it is broken.
const BROKEN: &str = "a node said that it is broken: ";

/// Which state an answer speaks of. Positions are in the order of the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Which life of the cluster.
    pub(crate) epoch: u64,
    /// The log index that made the state.
    pub(crate) revision: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "revision {} of epoch {}", self.revision, self.epoch)
    }
}

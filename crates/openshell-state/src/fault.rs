//! What must never happen: bytes that this program cannot understand. A node that meets
//! a fault stops; it never answers with one.

use openshell_proto::log;

/// Durable bytes that do not mean anything to this build, or contradict themselves.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An entry of a kind that only a later build knows.
    #[error("log entry {index} is of a kind that this build does not know; upgrade the node")]
    UnknownCommand {
        /// Log index of the entry.
        index: u64,
    },
    /// A key of a kind that only a later build knows, or none.
    #[error("a key has the unknown kind {kind}; upgrade the node")]
    UnknownKind {
        /// The number found.
        kind: i32,
    },
    /// A record's value does not decode as its kind says.
    #[error("the value of {key} does not decode: {source}")]
    Undecodable {
        /// The record's key.
        key: String,
        /// What the decoder met.
        source: prost::DecodeError,
    },
    /// A message lacks a part that every writer fills.
    #[error("{what} lacks {part}")]
    Incomplete {
        /// The message.
        what: &'static str,
        /// The missing part.
        part: &'static str,
    },
    /// The digest that came with a state is not the state's.
    #[error("the state at revision {revision} has digest {found}, its keeper wrote {expected}")]
    Digest {
        /// Revision of the state.
        revision: u64,
        /// Digest recomputed, hexadecimal.
        found: String,
        /// Digest as written, hexadecimal.
        expected: String,
    },
}

impl Fault {
    /// A fault for a key kind that is not in the enumeration.
    pub(crate) fn kind(key: &log::Key) -> Self {
        Fault::UnknownKind { kind: key.kind }
    }
}

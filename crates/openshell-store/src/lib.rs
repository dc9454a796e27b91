//! The only code that touches RocksDB: log, vote, state, history, snapshots, format version,
//! checksums, and openraft's storage traits over them. Nothing is decided here.
//!
//! [`Store::open`] takes a [`disk`] and gives the parts that openraft and the node work with.
//! All that is written goes through one writer, in one order, into one write-ahead log.

pub mod disk;
pub mod export;
pub mod inspect;
pub mod offline;
pub mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod snapshot;

mod envelope;
mod fault;
mod history;
mod identity;
mod log;
mod machine;
mod mark;
mod meta;
mod store;
mod types;
mod writer;

pub use fault::{FaultHook, OpenError};
pub use history::{History, Page, PageLimit, Retention};
pub use identity::{Divergence, Expected, FORMAT_VERSION, Identity};
pub use log::{LogStore, READ_BYTES_MAX};
pub use machine::{Machine, SnapshotBuilder, StateSnapshot, StateView};
pub use snapshot::SnapshotData;
pub use store::{Opened, Options, Store};
pub use types::{
    Durable, Entry, LeaderId, LogId, Malformed, Member, Membership, NodeId, Payload, Proposal, ProposalOutcome,
    SnapshotMeta, StoredMembership, TypeConfig, Vote,
};
pub use writer::WriterMode;

/// openraft's handle over this storage.
pub type Raft = openraft::Raft<TypeConfig, Machine>;

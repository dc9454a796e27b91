//! What the cluster knows and may decide: the immutable [`State`], the compare-and-swap
//! [`Transaction`](openshell_proto::log::Transaction) and how it is applied, one `decide` module
//! per noun, queries, and the effective configuration of a sandbox.
//!
//! Deliberately absent: tasks, clocks, randomness, disks and sockets. Time and ids come
//! stamped from outside ([`Stamp`]); what is decided here is proposed and stored elsewhere.

pub mod access;
pub mod decide;
pub mod effective;
pub mod phase;
pub mod query;

mod answers;
mod apply;
mod checks;
mod composition;
mod decision;
mod digest;
mod drafts;
mod fault;
mod indexes;
mod key;
mod names;
mod record;
mod refusal;
mod requests;
mod snapshot;
mod state;
mod touched;

pub use answers::{Answers, Usage};
pub use apply::{Applied, Outcome, StateChange, check};
pub use decision::{Call, Decision, Draft, Identifiers, Opener, Sealer, Stamp};
pub use digest::Digest;
pub use fault::Fault;
pub use key::Key;
pub use record::{DraftChunk, PolicyRevision, Record, Value};
pub use refusal::{Code, Refusal};
pub use requests::{Memory, RequestId, RequestMemory};
pub use snapshot::Loader;
pub use state::{Entry, State};
pub use touched::Concerned;

/// The highest feature level that this build can run at.
pub const FEATURE_LEVEL: u32 = 1;

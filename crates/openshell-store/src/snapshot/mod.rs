//! Snapshots: the state as one value, and as a stream of checksummed parts between nodes.
//! A snapshot is never a file here: the state on disk is the snapshot.

mod assembler;
mod parts;

use std::sync::Arc;

use openshell_proto::log::snapshot_part::Part;
use openshell_proto::log::{SnapshotHeader, SnapshotPart};
use openshell_state::State;
use prost::Message;

use crate::types::{Durable, LogId, SnapshotMeta, StoredMembership};
pub use assembler::{Assembler, Limits, SnapshotError};
pub use parts::{PART_BYTES_MAX, Parts, parts};

/// The format of the parts.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// A state, where in the log it is, and whose. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SnapshotData {
    pub(crate) state: Arc<State>,
    pub(crate) cluster_id: String,
    /// None before the first entry.
    pub(crate) last_log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl SnapshotData {
    /// What openraft is told about the snapshot.
    #[must_use]
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_log_id, last_membership: self.membership.clone() }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The cluster that the state is of.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The last entry of the log that is in the state; none before the first. Of several nodes of one
    /// cluster, the one whose last entry is the greatest has everything that any of them acknowledged
    /// (Raft, 5.4.1).
    #[must_use]
    pub fn last_log_id(&self) -> Option<LogId> {
        self.last_log_id
    }

    fn header(&self) -> SnapshotHeader {
        SnapshotHeader {
            format_version: SNAPSHOT_FORMAT,
            cluster_id: self.cluster_id.clone(),
            last_log_id: self.last_log_id.as_ref().map(Durable::to_message),
            membership: Some(self.membership.to_message()),
            marks: Some(self.state.marks()),
            item_count: self.state.item_count() as u64,
            created_by_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Wraps the bytes of a part.
fn part(kind: Part, message: &impl Message) -> SnapshotPart {
    let bytes = message.encode_to_vec();
    SnapshotPart { crc32c: crc32c::crc32c(&bytes), part: kind as i32, bytes }
}

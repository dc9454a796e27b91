//! A point in the life of a cluster, by which what is newer is told from what is older.

use openshell_proto::sync::SyncPosition;
use serde::{Deserialize, Serialize};

/// Which state something is of. Ordered: an epoch begins when a cluster is made from a backup, and each
/// is greater than the one before, so that everything of it is newer than all of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the cluster.
    pub epoch: u64,
    /// The log index that produced the state. Compares within one epoch only.
    pub revision: u64,
}

impl From<SyncPosition> for Position {
    fn from(position: SyncPosition) -> Self {
        Self { epoch: position.epoch, revision: position.revision }
    }
}

impl From<Position> for SyncPosition {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch, revision: position.revision }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "revision {} of epoch {}", self.revision, self.epoch)
    }
}

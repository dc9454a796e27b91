//! Faults: this machine broke. A node that has one stops; it never answers with it.

use std::io;
use std::sync::Arc;

/// Told when storage breaks, in a sentence; more than once when several threads meet it. A server marks itself not ready and aborts
/// the process; a test writes the sentence down. Called on the thread that met the fault.
pub type FaultHook = Arc<dyn Fn(&str) + Send + Sync>;

/// Why a store was not opened. No retry helps; each sentence says what does.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk could not be read or written.
    #[error("the data directory cannot be used: {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Something stored does not make sense.
    #[error(
        "stored data is damaged: {what}; do not delete anything by hand: remove this node from the cluster, empty its \
         data directory and let it join again under a new node id"
    )]
    Damaged {
        /// What, and where.
        what: String,
    },
    /// The data was written in a format that this build does not read.
    #[error(
        "the data has format version {found}, this build reads {known}; start the release that wrote it, or a later one"
    )]
    Format {
        /// As stored.
        found: u32,
        /// Of this build.
        known: u32,
    },
    /// The data is another node's.
    #[error("the data directory belongs to node {found}, but --node-id is {expected}; give the node its own directory")]
    Node {
        /// As stored.
        found: u64,
        /// As configured.
        expected: u64,
    },
    /// The node was made for another initial cluster.
    #[error(
        "--initial-cluster is not the one that this data directory was made with (left out, it is this node alone); give \
         every node the same value, and change members of a running cluster through the cluster"
    )]
    InitialCluster,
    /// A restore into the directory did not come to its end.
    #[error("a restore into this data directory did not come to its end; remove the directory and restore again")]
    Restoring,
    /// Something is there where an export is to be restored.
    #[error("the data directory is not empty; restore into a new one")]
    NotEmpty,
    /// An export from which no cluster can be made, or not in this way.
    #[error("the export cannot be restored: {0}")]
    Export(String),
    /// What is to be exported differs from its cluster's state.
    #[error("the state of this node was found to differ from that of its cluster; export another node")]
    Differs,
    /// What is to be exported is of a node that is no member any more.
    #[error("this node was removed from its cluster, which went on without it; export one of its members")]
    Removed,
    /// Nothing is there.
    #[error("there is no node's data in the directory")]
    Empty,
    /// The secrets key is not the one that stored secrets are sealed with.
    #[error(
        "--secrets-key-file does not hold the key that this data directory was made with; give the node the cluster's key"
    )]
    SecretsKey,
    /// The database knows fewer synced writes than were once reported.
    #[error(
        "the database holds {stored} synced writes, but {kept} were reported: acknowledged entries were lost, by a disk \
         that did not keep what it synced or by restoring an old copy; remove this node from the cluster, empty its data \
         directory and let it join again under a new node id"
    )]
    LostWrites {
        /// The database's counter.
        stored: u64,
        /// The high-water mark.
        kept: u64,
    },
    /// The loaded state is not the one that was stored.
    #[error(
        "stored data is damaged: {0}; remove this node from the cluster, empty its data directory and let it join \
             again under a new node id"
    )]
    State(#[from] openshell_state::Fault),
}

impl OpenError {
    /// Wraps what the disk said.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::InvalidData => OpenError::Damaged { what: source.to_string() },
            _ => OpenError::Io { doing, source },
        }
    }
}

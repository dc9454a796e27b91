//! What is looked at before a node starts: whether what it was told fits together, and fits its data.

use std::io;

use openshell_store::settings::{self, Timings};
use openshell_store::{Opened, StateView};

use crate::config::ClusterConfig;
use crate::formation;

/// Why a node did not start. No retry helps by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it was told does not fit together.
    #[error("{0}")]
    Config(
        /// The sentence that says what.
        String,
    ),
    /// The machine's cryptography does not work.
    #[error("TLS between nodes cannot be set up: {0}")]
    Tls(
        /// What failed.
        #[source]
        io::Error,
    ),
    /// Raft does not start on what is stored.
    #[error("Raft did not start: {0}")]
    Raft(
        /// What it says.
        String,
    ),
}

/// What can be refused by looking at what the node was told, and at its data.
pub(crate) fn check<T>(config: &ClusterConfig<T>, opened: &Opened) -> Result<(), StartError> {
    let node = config.node;
    if node == 0 {
        return Err(StartError::Config("node ids start at 1".to_owned()));
    }
    if !config.initial_cluster.contains_key(&node) {
        let known = config.initial_cluster.keys().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let text =
            format!("the initial cluster ({known}) does not hold this node, {node}; it must be the same everywhere");
        return Err(StartError::Config(text));
    }
    check_data(config, opened)
}

/// Data of a cluster of one in a place that is for a member of a larger one: refused before Raft, which
/// would elect such a node at once. Members that are in the log alone are looked at later (`formation`).
fn check_data<T>(config: &ClusterConfig<T>, opened: &Opened) -> Result<(), StartError> {
    if !opened.machine.membership().voter_ids().eq([config.node]) {
        return Ok(());
    }
    let cluster_id = opened.identity.cluster_id();
    match formation::told_of_others(config.initial_cluster.len(), &config.join) {
        Some(told) => Err(StartError::Config(formation::alone(config.node, &cluster_id, told))),
        None => Ok(()),
    }
}

/// Raft's own settings.
pub(crate) fn raft_config<T>(config: &ClusterConfig<T>) -> Result<openraft::Config, StartError> {
    let timings = Timings {
        snapshot_entries: config.snapshot_after_entries,
        log_entries_kept: config.log_entries_kept,
        ..config.timings.clone()
    };
    settings::raft_config(&timings).map_err(|error| StartError::Config(error.to_string()))
}

/// Asks the applied state, which says it after a restart as well.
pub(crate) fn is_removed(view: StateView) -> Box<dyn Fn(u64) -> bool + Send + Sync> {
    Box::new(move |node| view.load().cluster().is_some_and(|cluster| cluster.value.removed_nodes.contains(&node)))
}

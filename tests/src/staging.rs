//! Clusters that are laid out first and started later, so that something can be done to their nodes before they run.

use crate::cluster::{Cluster, ClusterOptions};
use crate::network::Network;

impl Cluster {
    /// A cluster none of whose nodes runs yet; with `apart`, each in a namespace of its own. [`Cluster::bring_up`]
    /// starts it.
    ///
    /// # Errors
    /// When its files cannot be written, there are no free ports, or no such network can be made.
    pub fn laid_out(options: ClusterOptions, apart: bool) -> anyhow::Result<Self> {
        Self::prepare(options, apart.then(|| Network::new(options.nodes)).transpose()?)
    }
}

//! What watches are fed from: the state that a node has published, and its change history. Who is
//! told what is not here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openshell_raft::{Cluster, Page, PageLimit};
use openshell_state::State;
use tokio::sync::watch;

/// A node, as watches see it.
pub(crate) trait Feed: Send + Sync {
    /// What is published.
    fn state(&self) -> Arc<State>;

    /// The published revision as it grows, never ahead of the state. Borrow it only for a moment.
    fn revisions(&self) -> watch::Receiver<u64>;

    /// The history is complete after this revision. It may be ahead of the published state: entries
    /// are cut, and a snapshot begins the history anew, before the state is published.
    fn floor(&self) -> u64;

    /// The entries after a revision, when memory has all of them. They may be ahead of the published
    /// state as well.
    fn recent_after(&self, revision: u64, limit: PageLimit) -> Option<Page>;

    /// The entries after a revision. May read the disk: not for a hot path.
    ///
    /// # Errors
    /// The disk's; a retry meets the same.
    fn read_after(&self, revision: u64, limit: PageLimit) -> io::Result<Page>;

    /// The time since the node knew that it was current.
    fn age(&self) -> Duration;
}

impl Feed for Cluster {
    fn state(&self) -> Arc<State> {
        Cluster::state(self)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.watch_revision()
    }

    fn floor(&self) -> u64 {
        self.history().floor()
    }

    fn recent_after(&self, revision: u64, limit: PageLimit) -> Option<Page> {
        self.history().recent_after(revision, limit)
    }

    fn read_after(&self, revision: u64, limit: PageLimit) -> io::Result<Page> {
        self.history().read_after(revision, limit)
    }

    fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms())
    }
}

#[cfg(test)]
pub(super) mod tests;

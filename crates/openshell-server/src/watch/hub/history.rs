//! The hub's way to the history of its node: from memory, or off the hot path from the disk.

use std::sync::Arc;

use openshell_proto::log::HistoryEntry;
use openshell_raft::{Page, PageLimit};
use tonic::Status;

use super::{Hub, PAGE};

impl Hub {
    /// A page of the history.
    ///
    /// # Errors
    /// The disk's, in words.
    pub(in crate::watch) async fn read_after(&self, revision: u64) -> Result<Page, String> {
        self.page_after(revision, PAGE).await
    }

    /// What one revision changed; none when it changed nothing.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` when it is kept no more: other nodes may have it. `UNAVAILABLE` when the disk does not
    /// give it.
    pub(crate) async fn entry_at(&self, revision: u64) -> Result<Option<Arc<HistoryEntry>>, Status> {
        const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };
        match self.page_after(revision.saturating_sub(1), ONE).await {
            Ok(Page::Entries(entries)) => Ok(entries.into_iter().next().filter(|entry| entry.revision == revision)),
            Ok(Page::Gone { floor }) => Err(Status::out_of_range(format!(
                "this node does not keep what revision {revision} changed: its history begins after revision {floor}"
            ))),
            Err(reason) => Err(Status::unavailable(format!("this node cannot read its change history: {reason}"))),
        }
    }

    async fn page_after(&self, revision: u64, limit: PageLimit) -> Result<Page, String> {
        if let Some(page) = self.feed.recent_after(revision, limit) {
            return Ok(page);
        }
        let feed = Arc::clone(&self.feed);
        match tokio::task::spawn_blocking(move || feed.read_after(revision, limit)).await {
            Ok(page) => page.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

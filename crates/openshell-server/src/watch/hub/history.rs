//! The hub's way to the history of its node: from memory, or off the hot path from the disk.

use std::sync::Arc;

use openshell_proto::peer::ChangedKeys;
use openshell_raft::{Page, PageLimit};

use super::{Hub, PAGE};

impl Hub {
    /// A page of the history.
    ///
    /// # Errors
    /// The disk's, in words.
    pub(in crate::watch) async fn read_after(&self, revision: u64) -> Result<Page, String> {
        self.page_after(revision, PAGE).await
    }

    /// Which records the entry at a revision wrote, when this node keeps that; another one may.
    ///
    /// # Errors
    /// The disk's, in words.
    pub(crate) async fn changed_keys(&self, revision: u64) -> Result<ChangedKeys, String> {
        const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };
        // The history has no entry of what is still to come either, which does not mean that it changes nothing.
        if self.feed.state().revision() < revision {
            return Ok(ChangedKeys::default());
        }
        match self.page_after(revision.saturating_sub(1), ONE).await? {
            Page::Entries(entries) => {
                let entry = entries.first().filter(|entry| entry.revision == revision);
                let changes = entry.into_iter().flat_map(|entry| &entry.changes);
                let keys = changes.filter_map(|change| change.key.clone()).collect();
                Ok(ChangedKeys { kept: true, keys, floor: 0 })
            }
            Page::Gone { floor } => Ok(ChangedKeys { floor, ..ChangedKeys::default() }),
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

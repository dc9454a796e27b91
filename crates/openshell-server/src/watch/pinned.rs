//! What a reader takes piece by piece, a state or a page of the history, let go after a while: a reader
//! that stands still must not keep it in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Something for a limited time.
pub(super) struct Pinned<T> {
    held: Arc<Mutex<Option<Arc<T>>>>,
    expiry: JoinHandle<()>,
}

impl<T: Send + Sync + 'static> Pinned<T> {
    pub(super) fn new(held: Arc<T>, limit: Duration) -> Self {
        let held = Arc::new(Mutex::new(Some(held)));
        let expiring = Arc::clone(&held);
        // Aborted when the reader is done or gone.
        let expiry = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            expiring.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        Self { held, expiry }
    }

    /// What is held, unless its time is over.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

#[cfg(test)]
mod tests {
    use openshell_state::State;

    use super::*;

    #[tokio::test]
    async fn a_state_is_let_go_when_its_time_is_over() {
        let state = Arc::new(State::empty());
        let held = Pinned::new(Arc::clone(&state), Duration::from_secs(3600));
        let mut over = Pinned::new(Arc::clone(&state), Duration::ZERO);
        (&mut over.expiry).await.unwrap();
        assert!(over.get().is_none());
        assert!(held.get().is_some());
        assert_eq!(Arc::strong_count(&state), 2, "the one here and the one that is held");
        drop(held);
    }
}

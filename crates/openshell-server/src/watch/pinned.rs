//! A state that a reader takes piece by piece, let go after a while: a reader that stands still
//! must not keep an old state in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openshell_state::State;
use tokio::task::JoinHandle;

/// A state for a limited time.
pub(super) struct Pinned {
    state: Arc<Mutex<Option<Arc<State>>>>,
    expiry: JoinHandle<()>,
}

impl Pinned {
    pub(super) fn new(state: Arc<State>, limit: Duration) -> Self {
        let state = Arc::new(Mutex::new(Some(state)));
        let held = Arc::clone(&state);
        // Aborted when the reader is done or gone.
        let expiry = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            held.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        Self { state, expiry }
    }

    /// The state, unless its time is over.
    pub(super) fn state(&self) -> Option<Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_is_let_go_when_its_time_is_over() {
        let state = Arc::new(State::empty());
        let held = Pinned::new(Arc::clone(&state), Duration::from_secs(3600));
        let mut over = Pinned::new(Arc::clone(&state), Duration::ZERO);
        (&mut over.expiry).await.unwrap();
        assert!(over.state().is_none());
        assert!(held.state().is_some());
        assert_eq!(Arc::strong_count(&state), 2, "the one here and the one that is held");
        drop(held);
    }
}

//! What the rest of the node sees of the state machine: the newest state, and signals that it
//! moved. Nothing here writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use openshell_state::{Digest, State};
use tokio::sync::watch;

/// Nodes note their digest at every revision that this divides, so that they have noted it at the
/// same ones: under load they are hardly ever seen at one revision.
const SAMPLE_EVERY: u64 = 64;
/// How many are kept: those of the last 4096 revisions.
const SAMPLES_KEPT: usize = 64;

type Samples = Arc<Mutex<VecDeque<(u64, Digest)>>>;

/// The published state. Cheap to clone; every clone sees the same.
///
/// The state is published before the install is counted, the install before the revision, and the
/// revision before any proposer hears of it: who was told a revision finds the state at least
/// there, and knows of the jump that brought it.
#[derive(Clone)]
pub struct StateView {
    state: Arc<ArcSwap<State>>,
    applied: watch::Receiver<u64>,
    installs: watch::Receiver<u64>,
    samples: Samples,
}

impl StateView {
    /// The newest state. A caller loads once and works on one revision to the end.
    #[must_use]
    pub fn load(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The applied revision. Await changes on it; borrow it only for a moment.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// Grows by one with every installed snapshot: the state jumped, caches must drop.
    #[must_use]
    pub fn installs(&self) -> watch::Receiver<u64> {
        self.installs.clone()
    }

    /// Digests of earlier revisions, oldest first: every 64th, the last 64 of them.
    #[must_use]
    pub fn samples(&self) -> Vec<(u64, Digest)> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

/// The one side that publishes.
pub(super) struct Publisher {
    state: Arc<ArcSwap<State>>,
    applied: watch::Sender<u64>,
    installs: watch::Sender<u64>,
    samples: Samples,
}

impl Publisher {
    pub(super) fn new(state: State) -> Self {
        let applied = watch::Sender::new(state.revision());
        Self {
            state: Arc::new(ArcSwap::from_pointee(state)),
            applied,
            installs: watch::Sender::new(0),
            samples: Samples::default(),
        }
    }

    /// Notes the digest when it is due.
    pub(super) fn sample(&self, state: &State) {
        if !state.revision().is_multiple_of(SAMPLE_EVERY) {
            return;
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_KEPT {
            samples.pop_front();
        }
        samples.push_back((state.revision(), state.digest()));
    }

    pub(super) fn view(&self) -> StateView {
        StateView {
            state: Arc::clone(&self.state),
            applied: self.applied.subscribe(),
            installs: self.installs.subscribe(),
            samples: Arc::clone(&self.samples),
        }
    }

    pub(super) fn load(&self) -> Arc<State> {
        self.state.load_full()
    }

    pub(super) fn publish(&self, state: Arc<State>) {
        let revision = state.revision();
        self.state.store(state);
        self.applied.send_replace(revision);
    }

    /// As [`Publisher::publish`], with the tick in between: who drops its caches fills them from the
    /// new state, and nobody sees the new revision without knowing that the state jumped.
    pub(super) fn publish_install(&self, state: Arc<State>) {
        self.state.store(Arc::clone(&state));
        self.installs.send_modify(|installs| *installs += 1);
        self.publish(state);
    }
}

//! Bells of those who follow the configuration of one sandbox: they ring when something that it is composed
//! from may have changed, or its record has. Found by the state's own indexes, so that what a change costs grows
//! with those whom it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_proto::log::Kind;
use openshell_state::{Concerned, Key, State};
use tokio::sync::Notify;

use super::Hub;

/// By the key of the sandbox.
#[derive(Default)]
pub(super) struct Followers(BTreeMap<Key, BTreeMap<u64, Arc<Notify>>>);

/// Rings for one sandbox; it is taken away when this goes.
pub(crate) struct Following {
    hub: Arc<Hub>,
    id: u64,
    sandbox: Key,
    bell: Arc<Notify>,
}

impl Hub {
    /// A bell for a sandbox by its key.
    pub(crate) fn follow(self: &Arc<Self>, sandbox: &Key) -> Following {
        let bell = Arc::new(Notify::new());
        let mut inner = self.lock();
        let id = inner.new_id();
        inner.followers.0.entry(sandbox.clone()).or_default().insert(id, Arc::clone(&bell));
        Following { hub: Arc::clone(self), id, sandbox: sandbox.clone(), bell }
    }
}

impl Followers {
    /// Rings for those whom a change of these records concerns, in a state that has it.
    pub(super) fn ring(&self, keys: &[Key], state: &State) {
        if self.0.is_empty() {
            return;
        }
        for key in keys {
            // Also for what its phase says, and when it is gone.
            if key.kind == Kind::Sandbox {
                self.ring_one(key);
                continue;
            }
            match state.concerned_by(key) {
                Concerned::Nobody => {}
                Concerned::Sandboxes(sandboxes) => sandboxes.iter().for_each(|sandbox| self.ring_one(sandbox)),
                Concerned::Everybody => return self.ring_all(),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ring_all(&self) {
        self.0.values().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
    }

    fn ring_one(&self, sandbox: &Key) {
        self.0.get(sandbox).into_iter().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
    }
}

impl Following {
    /// Waits until there may be something new since the last time.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        if let Some(bells) = inner.followers.0.get_mut(&self.sandbox) {
            bells.remove(&self.id);
            if bells.is_empty() {
                inner.followers.0.remove(&self.sandbox);
            }
        }
    }
}

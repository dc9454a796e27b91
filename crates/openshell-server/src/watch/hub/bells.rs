//! Bells by key: whoever waits for a record hangs one up under each key that it is about, and they are taken away
//! when the guard goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_state::Key;
use tokio::sync::Notify;

use super::{Hub, Inner};

/// Those of one purpose.
#[derive(Default)]
pub(super) struct Bells(BTreeMap<Key, BTreeMap<u64, Arc<Notify>>>);

/// The bells that one hangs among.
type Among = fn(&mut Inner) -> &mut Bells;

/// Rings when something may have changed; it is taken away when this goes.
pub(crate) struct Bell {
    hub: Arc<Hub>,
    among: Among,
    id: u64,
    keys: Vec<Key>,
    bell: Arc<Notify>,
}

impl Bells {
    /// Rings those of one key.
    pub(super) fn ring(&self, key: &Key) {
        self.0.get(key).into_iter().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
    }

    pub(super) fn ring_all(&self) {
        self.0.values().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, key: &Key, id: u64, bell: &Arc<Notify>) {
        self.0.entry(key.clone()).or_default().insert(id, Arc::clone(bell));
    }

    fn remove(&mut self, key: &Key, id: u64) {
        if let Some(bells) = self.0.get_mut(key) {
            bells.remove(&id);
            if bells.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

impl Hub {
    /// Hangs a bell up under each of these keys.
    pub(super) fn hang(self: &Arc<Self>, among: Among, keys: Vec<Key>) -> Bell {
        let bell = Arc::new(Notify::new());
        let mut inner = self.lock();
        let id = inner.new_id();
        for key in &keys {
            among(&mut inner).add(key, id, &bell);
        }
        Bell { hub: Arc::clone(self), among, id, keys, bell }
    }
}

impl Bell {
    /// Waits until there may be something new since the last time.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        for key in &self.keys {
            (self.among)(&mut inner).remove(key, self.id);
        }
    }
}

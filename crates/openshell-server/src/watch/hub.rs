//! The one reader of the change history of a node. It follows the applied revision, and hands each
//! entry to the queues of those whom it concerns, found by workspace and by sandbox: what a change
//! costs grows with its audience, not with the number of watchers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::log::{HistoryEntry, Kind};
use openshell_raft::{Cluster, Page, PageLimit};
use openshell_state::Key;
use openshell_state::query::watch::{Audience, Interest, audience};
use prost::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::watch::queue::{End, Queue};

/// What is read of the history at a time.
pub(super) const PAGE: PageLimit = PageLimit { entries: 512, bytes: 1024 * 1024 };

/// The distributor of a node.
pub(crate) struct Hub {
    cluster: Cluster,
    inner: Mutex<Inner>,
    watches: AtomicU64,
    cut_off: AtomicU64,
    queued_bytes: Arc<AtomicU64>,
}

struct Inner {
    /// Every queue has what concerns it of the entries through this revision.
    routed: u64,
    next_id: u64,
    /// By workspace; none for those who watch all.
    queues: BTreeMap<Option<Arc<str>>, BTreeMap<u64, Arc<Queue>>>,
    /// By the key of the sandbox, and by the key of its policies without their version.
    bells: BTreeMap<Key, BTreeMap<u64, Arc<Notify>>>,
}

/// Numbers for the metrics page.
pub(crate) struct HubGauges {
    /// Watches of `Cluster.Watch` that go on.
    pub(crate) watches: u64,
    /// Watches of single sandboxes that go on.
    pub(crate) sandbox_watches: u64,
    /// Bytes of changes that wait for readers, counted once for each.
    pub(crate) queued_bytes: u64,
    /// Readers that were cut off since start.
    pub(crate) cut_off: u64,
}

/// Ends the watch that is counted when it goes.
pub(super) struct Counted(Arc<Hub>);

/// A queue at the hub; it is taken away when this goes.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    scope: Option<Arc<str>>,
    pub(super) queue: Arc<Queue>,
}

/// Rings when a sandbox may have changed; it is taken away when this goes.
pub(super) struct Bell {
    hub: Arc<Hub>,
    id: u64,
    keys: [Key; 2],
    bell: Arc<Notify>,
}

impl Hub {
    pub(crate) fn new(cluster: Cluster) -> Arc<Self> {
        let inner =
            Inner { routed: cluster.state().revision(), next_id: 0, queues: BTreeMap::new(), bells: BTreeMap::new() };
        Arc::new(Self {
            cluster,
            inner: Mutex::new(inner),
            watches: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
            queued_bytes: Arc::default(),
        })
    }

    /// Distributes what is applied until the node stops.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut revisions = self.cluster.watch_revision();
        let following = async {
            loop {
                let applied = *revisions.borrow_and_update();
                self.route_through(applied).await;
                if revisions.changed().await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(following).await;
    }

    async fn route_through(&self, applied: u64) {
        loop {
            let routed = self.routed();
            if routed >= applied {
                return;
            }
            match self.read_after(routed).await {
                Ok(Page::Entries(entries)) => self.deliver(&entries, applied),
                Ok(Page::Gone { floor }) => self.skip_to(floor),
                Err(reason) => {
                    tracing::error!(routed, applied, reason, "the change history cannot be read: watches begin anew");
                    self.skip_to(applied);
                }
            }
        }
    }

    /// A page of the history: from memory, or off the hot path from the disk.
    ///
    /// # Errors
    /// The disk's, in words.
    pub(super) async fn read_after(&self, revision: u64) -> Result<Page, String> {
        if let Some(page) = self.cluster.history().recent_after(revision, PAGE) {
            return Ok(page);
        }
        let history = self.cluster.history().clone();
        match tokio::task::spawn_blocking(move || history.read_after(revision, PAGE)).await {
            Ok(page) => page.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Hands on the entries that are published; there is nothing else through the last of them, or
    /// through `applied` when they go beyond it or are none.
    fn deliver(&self, entries: &[Arc<HistoryEntry>], applied: u64) {
        let mut inner = self.lock();
        let published = entries.iter().take_while(|entry| entry.revision <= applied);
        for entry in published.clone() {
            let keys = entry.changes.iter().filter_map(|change| Key::from_proto(change.key.as_ref()?).ok());
            let keys: Vec<Key> = keys.collect();
            let cut = inner.offer(entry, &keys);
            self.cut_off.fetch_add(cut, Ordering::Relaxed);
            inner.ring(&keys);
        }
        inner.routed = match published.last() {
            Some(last) if entries.last().is_some_and(|newest| newest.revision <= applied) => last.revision,
            Some(_) | None => applied,
        };
    }

    /// The node jumped, and nobody knows what happened in between.
    fn skip_to(&self, floor: u64) {
        let mut inner = self.lock();
        for queue in inner.queues.values().flat_map(BTreeMap::values) {
            queue.end(End::Gone { floor });
        }
        for bell in inner.bells.values().flat_map(BTreeMap::values) {
            bell.notify_one();
        }
        inner.routed = floor;
    }

    /// Every queue has what concerns it through this revision.
    pub(super) fn routed(&self) -> u64 {
        self.lock().routed
    }

    /// A queue for a reader who has everything through `position`; none when it has to read the
    /// history first.
    pub(super) fn join(self: &Arc<Self>, position: u64, interest: &Interest) -> Option<Subscription> {
        const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };
        let mut inner = self.lock();
        if position < inner.routed {
            match self.cluster.history().recent_after(position, ONE) {
                Some(Page::Entries(entries)) if entries.first().is_none_or(|next| next.revision > inner.routed) => {}
                Some(_) | None => return None,
            }
        }
        let id = inner.new_id();
        let queue = Arc::new(Queue::new(interest.clone(), position, Arc::clone(&self.queued_bytes)));
        let scope = interest.workspace().cloned();
        inner.queues.entry(scope.clone()).or_default().insert(id, Arc::clone(&queue));
        Some(Subscription { hub: Arc::clone(self), id, scope, queue })
    }

    /// A bell for a sandbox, by its key and its id.
    pub(super) fn bell(self: &Arc<Self>, sandbox: &Key, id: &str) -> Bell {
        let keys = [sandbox.clone(), Key::new(Kind::PolicyRevision, &sandbox.workspace, id)];
        let bell = Arc::new(Notify::new());
        let mut inner = self.lock();
        let number = inner.new_id();
        for key in &keys {
            inner.bells.entry(key.clone()).or_default().insert(number, Arc::clone(&bell));
        }
        Bell { hub: Arc::clone(self), id: number, keys, bell }
    }

    /// Counts a watch for as long as it goes on.
    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.watches.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    /// The cluster whose changes these are.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Numbers for the metrics page.
    pub(crate) fn gauges(&self) -> HubGauges {
        HubGauges {
            watches: self.watches.load(Ordering::Relaxed),
            sandbox_watches: self
                .lock()
                .bells
                .iter()
                .filter(|(key, _)| key.kind == Kind::Sandbox)
                .map(|(_, bells)| bells.len() as u64)
                .sum(),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            cut_off: self.cut_off.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Offers an entry to whom it may concern, and says how many that cut off.
    fn offer(&self, entry: &Arc<HistoryEntry>, keys: &[Key]) -> u64 {
        let mut scopes: BTreeSet<Option<Arc<str>>> = BTreeSet::from([None]);
        let mut all = false;
        for key in keys {
            match audience(key) {
                Audience::Everyone => all = true,
                Audience::Workspace(workspace) => {
                    scopes.insert(Some(workspace.into()));
                }
                Audience::Platform | Audience::Nobody => {}
            }
        }
        let bytes = entry.encoded_len();
        let offer = |queues: &BTreeMap<u64, Arc<Queue>>| {
            queues.values().filter(|queue| queue.offer(entry, bytes, keys)).count() as u64
        };
        if all {
            return self.queues.values().map(offer).sum();
        }
        scopes.iter().filter_map(|scope| self.queues.get(scope)).map(offer).sum()
    }

    fn ring(&self, keys: &[Key]) {
        for key in keys {
            let bells = match key.name.split_once('/') {
                Some((sandbox, _)) if key.kind == Kind::PolicyRevision => {
                    self.bells.get(&Key::new(Kind::PolicyRevision, &key.workspace, sandbox))
                }
                Some(_) | None => self.bells.get(key),
            };
            bells.into_iter().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
        }
    }
}

impl Bell {
    /// Waits until the sandbox may have changed since the last time.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        if let Some(queues) = inner.queues.get_mut(&self.scope) {
            queues.remove(&self.id);
            if queues.is_empty() {
                inner.queues.remove(&self.scope);
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        for key in &self.keys {
            if let Some(bells) = inner.bells.get_mut(key) {
                bells.remove(&self.id);
                if bells.is_empty() {
                    inner.bells.remove(key);
                }
            }
        }
    }
}

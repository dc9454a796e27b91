//! The one reader of the change history of a node. It follows the applied revision, and hands each
//! entry to the queues of those whom it concerns, found by workspace and by sandbox: what a change
//! costs grows with its audience, not with the number of watchers.

mod bells;
mod followers;
mod history;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openshell_chaos::{Bug, Point, changes, point};
use openshell_proto::log::{HistoryEntry, Kind};
use openshell_raft::{Page, PageLimit};
use openshell_state::Key;
use openshell_state::access::Principal;
use openshell_state::query::watch::{Audience, Interest, audience};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(crate) use self::bells::Bell;
use self::bells::Bells;
use crate::logs::Keeper;
use crate::watch::census::{Admitted, Census, Limits, Subject};
use crate::watch::feed::Feed;
use crate::watch::queue::{End, Queue};

/// What is read of the history at a time.
pub(super) const PAGE: PageLimit = PageLimit { entries: 512, bytes: 1024 * 1024 };

/// The distributor of a node.
pub(crate) struct Hub {
    feed: Arc<dyn Feed>,
    limits: Limits,
    census: Arc<Census>,
    inner: Mutex<Inner>,
    cut_off: AtomicU64,
    queued_bytes: Arc<AtomicU64>,
    /// Room for pages of the history that readers hold.
    pages: Arc<Semaphore>,
    /// Holds log lines of sandboxes, until they are deleted.
    log_keeper: Arc<Keeper>,
}

struct Inner {
    /// Every queue has what concerns it of the entries through this revision.
    routed: u64,
    next_id: u64,
    /// By workspace; none for those who watch all.
    queues: BTreeMap<Option<Arc<str>>, BTreeMap<u64, Arc<Queue>>>,
    /// By the key of the sandbox, by the key of its policies without their version, by the key of its draft
    /// inbox, and by the key of the membership by which its watcher may see it.
    bells: Bells,
    /// By the key of the sandbox whose configuration is followed.
    followers: Bells,
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
    /// Watches that were not taken, since start, because there were too many.
    pub(crate) refused: u64,
}

/// A queue at the hub; it is taken away when this goes.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    scope: Option<Arc<str>>,
    pub(super) queue: Arc<Queue>,
}

impl Hub {
    pub(crate) fn new(feed: Arc<dyn Feed>, log_keeper: Arc<Keeper>, limits: Limits) -> Arc<Self> {
        let inner = Inner {
            routed: feed.state().revision(),
            next_id: 0,
            queues: BTreeMap::new(),
            bells: Bells::default(),
            followers: Bells::default(),
        };
        Arc::new(Self {
            feed,
            census: Census::new(&limits),
            pages: Arc::new(Semaphore::new(limits.pages)),
            log_keeper,
            limits,
            inner: Mutex::new(inner),
            cut_off: AtomicU64::new(0),
            queued_bytes: Arc::default(),
        })
    }

    /// Distributes what is applied until the node stops.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut revisions = self.feed.revisions();
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

    /// Distributes what is published through `applied`.
    async fn route_through(&self, applied: u64) {
        loop {
            let routed = self.routed();
            if routed >= applied {
                return;
            }
            match self.read_after(routed).await {
                Ok(Page::Entries(entries)) => self.deliver(&entries, applied),
                // What follows is gone before the state that takes its place is published, and who were
                // told now would look at the old one. The publication comes here again.
                Ok(Page::Gone { floor }) if floor > applied => return,
                Ok(Page::Gone { floor }) => self.skip_to(floor),
                Err(reason) => {
                    tracing::error!(routed, applied, reason, "the change history cannot be read: watches begin anew");
                    self.skip_to(applied);
                }
            }
        }
    }

    /// Waits until one more page may be held by a reader, first come, first served.
    pub(super) async fn room_for_a_page(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.pages).acquire_owned().await.expect("the room is never closed")
    }

    /// How old the node's state is, when that is too old for watches.
    pub(crate) fn too_old(&self) -> Option<Duration> {
        let age = self.feed.age();
        self.limits.age.is_some_and(|age_max| age > age_max).then_some(age)
    }

    /// Hands on the entries that are published; there is nothing else through the last of them, or
    /// through `applied` when they go beyond it or are none.
    fn deliver(&self, entries: &[Arc<HistoryEntry>], applied: u64) {
        let state = self.feed.state();
        let mut inner = self.lock();
        let published = entries.iter().take_while(|entry| entry.revision <= applied);
        for entry in published.clone().filter(|entry| !changes(Bug::DroppedEvent, entry.node)) {
            point(Point::WatchBeforeSend);
            let keys = entry.changes.iter().filter_map(|change| Key::from_proto(change.key.as_ref()?).ok());
            let keys: Vec<Key> = keys.collect();
            let cut = inner.offer(entry, &keys);
            let relieved = inner.relieve(&self.queued_bytes, self.limits.queued_bytes);
            self.cut_off.fetch_add(cut + relieved, Ordering::Relaxed);
            inner.ring(&keys);
            followers::ring(&inner.followers, &keys, &state);
            self.log_keeper.forget_deleted(&keys, &state);
        }
        inner.routed = match published.last() {
            Some(last) if entries.last().is_some_and(|newest| newest.revision <= applied) => last.revision,
            Some(_) | None => applied,
        };
    }

    /// The node jumped, and nobody knows what happened in between. The state that it jumped to is
    /// published.
    fn skip_to(&self, floor: u64) {
        let mut inner = self.lock();
        for queue in inner.queues.values().flat_map(BTreeMap::values) {
            queue.skip_to(floor);
        }
        inner.bells.ring_all();
        inner.followers.ring_all();
        self.log_keeper.forget_all_deleted(&self.feed.state());
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
            match self.feed.recent_after(position, ONE) {
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

    /// A bell for a sandbox, by its key and its id, for a watcher.
    pub(super) fn bell(self: &Arc<Self>, sandbox: &Key, id: &str, principal: &Principal) -> Bell {
        let workspace = &sandbox.workspace;
        let policies = Key::new(Kind::PolicyRevision, workspace, id);
        let mut keys = vec![sandbox.clone(), policies, Key::draft_inbox(workspace, id)];
        if let Principal::User(user) = principal {
            keys.push(Key::member(workspace, &user.subject));
        }
        self.hang(|inner| &mut inner.bells, keys)
    }

    /// Counts a watch for as long as it goes on.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many; another node may take it.
    pub(super) fn admit(&self, subject: Subject, principal: &Principal) -> Result<Admitted, Status> {
        self.census.admit(subject, principal)
    }

    /// The node whose changes these are.
    pub(super) fn feed(&self) -> &dyn Feed {
        &*self.feed
    }

    /// What watches may cost here.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Numbers for the metrics page.
    pub(crate) fn gauges(&self) -> HubGauges {
        HubGauges {
            watches: self.census.count(Subject::Changes),
            sandbox_watches: self.census.count(Subject::Sandbox),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            cut_off: self.cut_off.load(Ordering::Relaxed),
            refused: self.census.refused(),
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

    /// Cuts off the readers for whom most waits, until no more than `bytes_max` waits for all of them
    /// together, and says how many.
    fn relieve(&self, queued_bytes: &AtomicU64, bytes_max: u64) -> u64 {
        if queued_bytes.load(Ordering::Relaxed) <= bytes_max {
            return 0;
        }
        let queues = self.queues.values().flat_map(BTreeMap::values);
        let mut queues: Vec<(usize, &Arc<Queue>)> = queues.map(|queue| (queue.bytes(), queue)).collect();
        queues.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let mut cut = 0;
        for (bytes, queue) in queues {
            if bytes == 0 || queued_bytes.load(Ordering::Relaxed) <= bytes_max {
                break;
            }
            queue.end(End::Slow);
            cut += 1;
        }
        cut
    }

    fn ring(&self, keys: &[Key]) {
        for key in keys {
            // Who is no member any more is to hear so now, not when something else happens.
            if key.kind == Kind::WorkspaceMember {
                let queues = self.queues.get(&Some(Arc::clone(&key.workspace)));
                queues.into_iter().flat_map(BTreeMap::values).for_each(|queue| queue.wake());
            }
            match key.name.split_once('/') {
                Some((sandbox, _)) if key.kind == Kind::PolicyRevision => {
                    self.bells.ring(&Key::new(Kind::PolicyRevision, &key.workspace, sandbox));
                }
                Some(_) | None => self.bells.ring(key),
            }
        }
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

#[cfg(test)]
mod tests;

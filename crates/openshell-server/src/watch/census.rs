//! How many watches a node carries and for whom, and the bounds on that: whoever begins watches
//! without end, or reads none of them, must not take the node's memory from the others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openshell_state::access::Principal;
use tonic::Status;

/// What watches of one node may cost, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Watches of both kinds that go on.
    pub(crate) watches: u64,
    /// Of them, those of one principal.
    pub(crate) watches_of_one: u64,
    /// Bytes of changes that wait for all readers, counted once for each.
    pub(crate) queued_bytes: u64,
    /// Pages of the history that readers hold at once, each of 1 MiB, or of one entry that is larger.
    pub(crate) pages: usize,
    /// How long a reader may hold one.
    pub(crate) page_time: Duration,
    /// How long a reader may take for the state that a watch begins with.
    pub(crate) listing: Duration,
    /// After so long without a message the reader is told how far it is.
    pub(crate) quiet: Duration,
    /// A node whose state is older than this ends its watches; none: it goes on with them.
    pub(crate) age: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            watches: 10_000,
            watches_of_one: 1_000,
            queued_bytes: 512 * 1024 * 1024,
            pages: 64,
            page_time: Duration::from_secs(5),
            listing: Duration::from_secs(60),
            quiet: Duration::from_secs(5),
            age: None,
        }
    }
}

/// What a watch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Of everything that changes: `Cluster.Watch`.
    Changes,
    /// Of one sandbox: `WatchSandbox`.
    Sandbox,
}

/// The watches of a node that go on.
pub(super) struct Census {
    watches_max: u64,
    watches_of_one_max: u64,
    refused: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_subject: BTreeMap<Subject, u64>,
    /// By the principal as text.
    by_principal: BTreeMap<String, u64>,
}

/// A watch that is counted until this goes.
pub(super) struct Admitted {
    census: Arc<Census>,
    subject: Subject,
    principal: String,
}

impl Census {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            watches_max: limits.watches,
            watches_of_one_max: limits.watches_of_one,
            refused: AtomicU64::new(0),
            inner: Mutex::default(),
        })
    }

    /// Counts a watch for as long as it goes on.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many, on this node or of this principal. Nothing began;
    /// another node may take the watch, and this one may take it later.
    pub(super) fn admit(self: &Arc<Self>, subject: Subject, principal: &Principal) -> Result<Admitted, Status> {
        let principal = principal.subject();
        let mut inner = self.lock();
        let all: u64 = inner.by_subject.values().sum();
        let own = inner.by_principal.get(&principal).copied().unwrap_or(0);
        let text = if all >= self.watches_max {
            format!("this node carries {all} watches and takes no more; watch through another node, or later")
        } else if own >= self.watches_of_one_max {
            format!(
                "{principal} has {own} watches at this node, which is as many as one caller may have; end some of them, or \
                 watch a whole workspace with one (openshell.cluster.v1.Cluster/Watch)"
            )
        } else {
            *inner.by_subject.entry(subject).or_default() += 1;
            *inner.by_principal.entry(principal.clone()).or_default() += 1;
            return Ok(Admitted { census: Arc::clone(self), subject, principal });
        };
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Status::resource_exhausted(text))
    }

    /// Watches that go on.
    pub(super) fn count(&self, subject: Subject) -> u64 {
        self.lock().by_subject.get(&subject).copied().unwrap_or(0)
    }

    /// Watches that were not taken, since start.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut inner = self.census.lock();
        if let Entry::Occupied(mut count) = inner.by_subject.entry(self.subject) {
            *count.get_mut() -= 1;
        }
        if let Entry::Occupied(mut count) = inner.by_principal.entry(std::mem::take(&mut self.principal)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_state::access::User;
    use tonic::Code;

    fn user(subject: &str) -> Principal {
        Principal::User(User { subject: subject.to_owned(), ..User::default() })
    }

    #[test]
    fn a_node_takes_so_many_watches_and_no_more_until_one_ends() {
        let census = Census::new(&Limits { watches: 3, watches_of_one: 2, ..Limits::default() });
        let refused = |principal: &str, words: &str| {
            let Err(status) = census.admit(Subject::Changes, &user(principal)) else { panic!("{principal} is let in") };
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.message().contains(words), "{}", status.message());
        };
        let admit = |subject, principal: &str| census.admit(subject, &user(principal)).expect("there is room");
        let first = admit(Subject::Changes, "ann");
        let second = admit(Subject::Sandbox, "ann");
        refused("ann", "has 2 watches");
        let third = admit(Subject::Changes, "bob");
        refused("eve", "carries 3 watches");
        assert_eq!((census.count(Subject::Changes), census.count(Subject::Sandbox), census.refused()), (2, 1, 2));
        drop(second);
        let fourth = admit(Subject::Sandbox, "eve");
        refused("ann", "carries 3 watches");
        drop((first, third, fourth));
        assert_eq!((census.count(Subject::Changes), census.count(Subject::Sandbox)), (0, 0));
        assert!(census.lock().by_principal.is_empty(), "who watches no more is forgotten");
    }
}

//! What waits for one reader: entries of the history, shared with all other readers, bounded in
//! bytes. A reader that lets more than that pile up is cut off, and the queue is empty at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::log::HistoryEntry;
use openshell_state::Key;
use openshell_state::query::watch::Interest;
use tokio::sync::Notify;

/// Encoded bytes of entries that may wait for one reader. One larger entry may wait alone.
pub(super) const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The reader did not take what waited for it.
    Slow,
    /// The node skipped changes; the history is complete after this revision.
    Gone { floor: u64 },
}

/// What a reader finds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    Entry(Arc<HistoryEntry>),
    Nothing,
    End(End),
}

/// The queue of one reader.
pub(super) struct Queue {
    interest: Interest,
    /// The reader has everything through this revision.
    after: u64,
    inner: Mutex<Inner>,
    wake: Notify,
    /// Bytes in all queues of the node.
    total: Arc<AtomicU64>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<(Arc<HistoryEntry>, usize)>,
    bytes: usize,
    end: Option<End>,
}

impl Queue {
    pub(super) fn new(interest: Interest, after: u64, total: Arc<AtomicU64>) -> Self {
        Self { interest, after, inner: Mutex::default(), wake: Notify::new(), total }
    }

    /// Adds an entry that changed these records, when it concerns the reader. Whether it cut the
    /// reader off.
    pub(super) fn offer(&self, entry: &Arc<HistoryEntry>, bytes: usize, keys: &[Key]) -> bool {
        if entry.revision <= self.after || !keys.iter().any(|key| self.interest.covers(key)) {
            return false;
        }
        let mut inner = self.lock();
        if inner.end.is_some() {
            return false;
        }
        let full = !inner.entries.is_empty() && inner.bytes + bytes > QUEUE_BYTES_MAX;
        if full {
            self.close(&mut inner, End::Slow);
        } else {
            inner.bytes += bytes;
            self.total.fetch_add(bytes as u64, Ordering::Relaxed);
            inner.entries.push_back((Arc::clone(entry), bytes));
        }
        drop(inner);
        self.wake.notify_one();
        full
    }

    /// The node skipped what came through `floor`. A reader who has that goes on.
    pub(super) fn skip_to(&self, floor: u64) {
        if self.after < floor {
            self.end(End::Gone { floor });
        }
    }

    /// Encoded bytes of the entries that wait.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Nothing more comes; what waits is dropped.
    pub(super) fn end(&self, end: End) {
        self.close(&mut self.lock(), end);
        self.wake.notify_one();
    }

    /// The oldest entry that waits.
    pub(super) fn take(&self) -> Taken {
        let mut inner = self.lock();
        if let Some(end) = inner.end {
            return Taken::End(end);
        }
        let Some((entry, bytes)) = inner.entries.pop_front() else { return Taken::Nothing };
        inner.bytes -= bytes;
        self.total.fetch_sub(bytes as u64, Ordering::Relaxed);
        Taken::Entry(entry)
    }

    /// Has the reader look around although nothing waits for it.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be something to take.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn close(&self, inner: &mut Inner, end: End) {
        self.total.fetch_sub(inner.bytes as u64, Ordering::Relaxed);
        *inner = Inner { end: Some(inner.end.unwrap_or(end)), ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.total.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::cluster::WatchRequest;
    use openshell_state::State;
    use openshell_state::access::Principal;

    fn queue(total: &Arc<AtomicU64>) -> Queue {
        let request = WatchRequest { all_workspaces: true, ..WatchRequest::default() };
        let interest = Interest::read(&State::empty(), &Principal::Cluster, &request).unwrap();
        Queue::new(interest, 10, Arc::clone(total))
    }

    fn entry(revision: u64) -> Arc<HistoryEntry> {
        Arc::new(HistoryEntry { revision, ..HistoryEntry::default() })
    }

    #[test]
    fn a_reader_that_takes_nothing_is_cut_off_and_holds_nothing_any_more() {
        let total = Arc::new(AtomicU64::new(0));
        let (slow, quick) = (queue(&total), queue(&total));
        let keys = [Key::workspace("w")];
        let quarter = QUEUE_BYTES_MAX / 4;
        for revision in 11..=15 {
            let cut = slow.offer(&entry(revision), quarter, &keys);
            assert_eq!(cut, revision == 15, "the fifth quarter is too much");
            assert!(total.load(Ordering::Relaxed) <= QUEUE_BYTES_MAX as u64);
            quick.offer(&entry(revision), quarter, &keys);
            assert_eq!(quick.take(), Taken::Entry(entry(revision)));
        }
        assert_eq!(total.load(Ordering::Relaxed), 0);
        assert_eq!(slow.take(), Taken::End(End::Slow));
        assert!(!slow.offer(&entry(16), 1, &keys), "nothing is added to it");
        assert_eq!(total.load(Ordering::Relaxed), 0);
        assert_eq!(quick.take(), Taken::Nothing);
    }

    #[test]
    fn only_what_is_new_and_concerns_the_reader_waits_for_it() {
        let total = Arc::new(AtomicU64::new(0));
        let queue = queue(&total);
        assert!(!queue.offer(&entry(10), 1, &[Key::workspace("w")]));
        assert!(!queue.offer(&entry(11), 1, &[Key::cluster()]));
        assert_eq!(queue.take(), Taken::Nothing);
        // One entry may be larger than the bound.
        assert!(!queue.offer(&entry(12), 2 * QUEUE_BYTES_MAX, &[Key::workspace("w")]));
        drop(queue);
        assert_eq!(total.load(Ordering::Relaxed), 0, "what waited goes with its reader");
    }
}

//! What waits for one reader of log lines: bounded in lines and bytes. A reader that lets more pile up is
//! cut off, what waited is dropped at once, and how much that was is told to it (`config.md` SR-49).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::limits::Limits;
use super::line::Line;
use super::merge;

/// What a word about a node takes, about.
const WORD_COST: usize = 256;

/// What a reader is told.
pub(super) enum Item {
    Line(Arc<Line>),
    /// What a node has received before, and still has.
    Tail(u64, Vec<Arc<Line>>),
    /// The lines of a node cannot be had, and why.
    Missing(u64, String),
    /// A node has not said in time what it has.
    Late(u64),
    /// The lines of a node can be had again.
    Back(u64),
    /// A node has let so many lines go that were to come here.
    Lost(u64, u64),
}

/// What a reader finds.
pub(super) enum Taken {
    Item(Item),
    Nothing,
    /// So many were dropped, and nothing more comes.
    Cut(u64),
}

/// What waits in all queues of a node.
#[derive(Default)]
pub(super) struct Waiting {
    bytes: AtomicU64,
    /// Readers that were cut off, since start.
    cut_off: AtomicU64,
}

/// The queue of one reader.
pub(super) struct Queue {
    limits: Limits,
    inner: Mutex<Inner>,
    wake: Notify,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    /// All that waits, in bytes.
    bytes: usize,
    /// Of that, what came one by one: what was there before has a bound of its own.
    loose: Load,
    dropped: u64,
    cut: bool,
}

#[derive(Clone, Copy, Default)]
struct Load {
    lines: usize,
    bytes: usize,
}

impl Item {
    fn load(&self) -> Load {
        match self {
            Self::Line(line) => Load { lines: 1, bytes: line.cost() },
            Self::Tail(_, lines) => Load { lines: lines.len(), bytes: lines.iter().map(|line| line.cost()).sum() },
            Self::Missing(_, reason) => Load { lines: 1, bytes: WORD_COST + reason.len() },
            Self::Late(_) | Self::Back(_) | Self::Lost(..) => Load { lines: 1, bytes: WORD_COST },
        }
    }

    fn is_loose(&self) -> bool {
        !matches!(self, Self::Tail(..))
    }
}

impl Waiting {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }
}

impl Queue {
    pub(super) fn new(limits: Limits, waiting: Arc<Waiting>) -> Self {
        Self { limits, inner: Mutex::default(), wake: Notify::new(), waiting }
    }

    /// Adds lines as they came.
    pub(super) fn offer(&self, lines: impl Iterator<Item = Arc<Line>>) {
        let mut inner = self.lock();
        for line in lines {
            self.add(&mut inner, Item::Line(line));
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Adds a word about a node, or what it has received before.
    pub(super) fn say(&self, item: Item) {
        self.add(&mut self.lock(), item);
        self.wake.notify_one();
    }

    fn add(&self, inner: &mut Inner, item: Item) {
        let load = item.load();
        if inner.cut {
            inner.dropped = inner.dropped.saturating_add(load.lines as u64);
            return;
        }
        if item.is_loose() {
            // One that is larger than the bound may wait alone.
            let more = inner.loose.lines + load.lines;
            let full = more > self.limits.queue_lines || inner.loose.bytes + load.bytes > self.limits.queue_bytes;
            if full && inner.loose.lines > 0 {
                self.close(inner, load.lines as u64);
                return;
            }
        }
        self.grow(inner, &item);
        inner.items.push_back(item);
    }

    fn grow(&self, inner: &mut Inner, item: &Item) {
        let load = item.load();
        inner.bytes += load.bytes;
        self.waiting.bytes.fetch_add(load.bytes as u64, Ordering::Relaxed);
        if item.is_loose() {
            inner.loose.lines += load.lines;
            inner.loose.bytes += load.bytes;
        }
    }

    fn shrink(&self, inner: &mut Inner, item: &Item) {
        let load = item.load();
        inner.bytes -= load.bytes;
        self.waiting.bytes.fetch_sub(load.bytes as u64, Ordering::Relaxed);
        if item.is_loose() {
            inner.loose.lines -= load.lines;
            inner.loose.bytes -= load.bytes;
        }
    }

    /// Those of these nodes that have not said yet what they have; none once the reader is cut off.
    pub(super) fn unheard(&self, nodes: impl Iterator<Item = u64>) -> Vec<u64> {
        let inner = self.lock();
        if inner.cut {
            return Vec::new();
        }
        let heard = |node: u64| {
            inner.items.iter().any(|item| match item {
                Item::Tail(of, _) | Item::Missing(of, _) => *of == node,
                Item::Line(_) | Item::Late(_) | Item::Back(_) | Item::Lost(..) => false,
            })
        };
        nodes.filter(|node| !heard(*node)).collect()
    }

    /// Puts what the nodes have received before in front, as one list: so many lines at most.
    pub(super) fn settle(&self, lines_max: usize) {
        let mut inner = self.lock();
        let (tails, rest): (Vec<Item>, Vec<Item>) = inner.items.drain(..).partition(|item| !item.is_loose());
        inner.items = rest.into();
        let mut parts = BTreeMap::new();
        for tail in tails {
            self.shrink(&mut inner, &tail);
            if let Item::Tail(node, lines) = tail {
                parts.insert(node, lines);
            }
        }
        let lines = merge::newest(parts.into_values().collect(), lines_max, self.limits.answer_bytes);
        for line in lines.into_iter().rev().map(Item::Line) {
            self.grow(&mut inner, &line);
            inner.items.push_front(line);
        }
    }

    /// What has waited longest.
    pub(super) fn take(&self) -> Taken {
        let mut inner = self.lock();
        loop {
            if inner.cut {
                return Taken::Cut(inner.dropped);
            }
            let Some(item) = inner.items.pop_front() else { return Taken::Nothing };
            self.shrink(&mut inner, &item);
            let Item::Tail(_, lines) = item else { return Taken::Item(item) };
            for line in lines.into_iter().rev().map(Item::Line) {
                self.grow(&mut inner, &line);
                inner.items.push_front(line);
            }
        }
    }

    /// Waits until there may be something to take.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// What waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Nothing more comes, and what waits is dropped, beside what was dropped elsewhere.
    pub(super) fn cut(&self, dropped: u64) {
        self.close(&mut self.lock(), dropped);
        self.wake.notify_one();
    }

    /// Whether the reader is cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.lock().cut
    }

    fn close(&self, inner: &mut Inner, dropped: u64) {
        let lines: usize = inner.items.iter().map(|item| item.load().lines).sum();
        self.waiting.bytes.fetch_sub(inner.bytes as u64, Ordering::Relaxed);
        if !inner.cut {
            self.waiting.cut_off.fetch_add(1, Ordering::Relaxed);
        }
        *inner = Inner {
            dropped: inner.dropped.saturating_add(lines as u64).saturating_add(dropped),
            cut: true,
            ..Inner::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.waiting.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

//! A bounded map from sandboxes to what was composed for them. Who reads takes no lock: each part of the
//! map is a persistent one that is replaced as a whole. Who adds something takes the lock of its part.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use imbl::OrdMap;
use openshell_chaos::{Bug, bug};

/// Parts, so that few who add meet at one.
const PARTS: usize = 16;
/// About what an entry costs beside its value: its key twice, its place in map and queue.
const ENTRY_BYTES: usize = 256;
/// With every entry that is added so many others are looked at, and go if they no longer hold.
const LOOKED_AT: usize = 2;

/// What is kept, by sandbox id.
#[derive(Debug)]
pub(super) struct Shelf<V> {
    parts: Box<[Part<V>]>,
    /// Of one part.
    bytes_max: usize,
}

/// What was composed, and on what.
#[derive(Debug)]
pub(super) struct Kept<V> {
    pub(super) value: V,
    /// What the state said: equal states of one node say the same.
    since: u64,
    size: usize,
    /// It was asked for since somebody last looked for room.
    used: AtomicBool,
}

type Map<V> = OrdMap<Arc<str>, Arc<Kept<V>>>;

#[derive(Debug)]
struct Part<V> {
    map: ArcSwap<Map<V>>,
    order: Mutex<Order>,
    recalled: AtomicU64,
    missed: AtomicU64,
}

/// Every id of a part once, those first that are the next to be looked at.
#[derive(Debug, Default)]
struct Order {
    queue: VecDeque<Arc<str>>,
    bytes: usize,
}

/// How much is kept, and how it was used since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Answers that are kept, some of which may no longer hold.
    pub kept: u64,
    /// About how many bytes of memory they take.
    pub bytes: u64,
    /// Questions that were answered by what was kept.
    pub recalled: u64,
    /// Questions for which an answer had to be composed.
    pub missed: u64,
}

impl<V> Shelf<V> {
    pub(super) fn new(bytes_max: usize) -> Self {
        let part = || Part {
            map: ArcSwap::from_pointee(Map::new()),
            order: Mutex::default(),
            recalled: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        };
        Self { parts: std::iter::repeat_with(part).take(PARTS).collect(), bytes_max: bytes_max / PARTS }
    }

    /// What was kept for a sandbox, if the state still says `since` and `holds` agrees.
    pub(super) fn recall(&self, id: &str, since: u64, holds: impl FnOnce(&V) -> bool) -> Option<Arc<Kept<V>>> {
        let part = self.part(id);
        let map = part.map.load();
        let said_the_same = |kept: &Arc<Kept<V>>| kept.since == since || bug(Bug::StaleAnswer);
        let kept = map.get(id).filter(|kept| said_the_same(kept) && holds(&kept.value));
        let count = if kept.is_some() { &part.recalled } else { &part.missed };
        count.fetch_add(1, Ordering::Relaxed);
        let kept = kept?;
        // Written when it changes only: a cache line that is written is taken from other processors.
        if !kept.used.load(Ordering::Relaxed) {
            kept.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(kept))
    }

    /// Keeps a value of about `size` bytes, composed on a state that said `since`. What is too large for the
    /// whole part is not kept. Others go for it: those of which `holds` says, by id and what their state
    /// said, that they no longer do, then those that were not asked for lately.
    pub(super) fn keep(&self, id: &str, since: u64, value: V, size: usize, holds: impl Fn(&str, u64) -> bool) {
        let size = size + ENTRY_BYTES;
        if size > self.bytes_max {
            return;
        }
        let part = self.part(id);
        let mut order = part.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = Map::clone(&part.map.load());
        if map.get(id).is_some_and(|there| there.since > since) {
            // Composed on an older state than what is there.
            return;
        }
        let id: Arc<str> = id.into();
        let kept = Arc::new(Kept { value, since, size, used: AtomicBool::new(true) });
        match map.insert(Arc::clone(&id), kept) {
            Some(before) => order.bytes -= before.size,
            None => order.queue.push_back(id),
        }
        order.bytes += size;
        for _ in 0..LOOKED_AT {
            order.look(&mut map, |id, kept| holds(id, kept.since));
        }
        while order.bytes > self.bytes_max {
            order.look(&mut map, |id, kept| holds(id, kept.since) && kept.used.swap(false, Ordering::Relaxed));
        }
        part.map.store(Arc::new(map));
    }

    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for part in &self.parts {
            usage.kept += part.map.load().len() as u64;
            usage.bytes += part.order.lock().unwrap_or_else(PoisonError::into_inner).bytes as u64;
            usage.recalled += part.recalled.load(Ordering::Relaxed);
            usage.missed += part.missed.load(Ordering::Relaxed);
        }
        usage
    }

    fn part(&self, id: &str) -> &Part<V> {
        let mixed = id.bytes().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.parts[mixed % PARTS]
    }
}

impl Order {
    /// Looks at the next one, which goes unless it `stays`.
    fn look<V>(&mut self, map: &mut Map<V>, stays: impl FnOnce(&str, &Kept<V>) -> bool) {
        let Some(id) = self.queue.pop_front() else { return };
        let kept = map.get(&id).expect("what is queued is kept");
        if stays(&id, kept) {
            self.queue.push_back(id);
        } else {
            self.bytes -= kept.size;
            map.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;

//! What a node keeps: of each sandbox the newest lines, so many and of so many bytes; and when all of them
//! together take too much, the sandbox that has most gives up its oldest, so that who is quiet loses
//! nothing to who is not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use openshell_state::Key;

use super::filter::Filter;
use super::limits::Limits;
use super::line::{Line, Pushed};

/// What a sandbox takes beside its lines, about.
const RING_COST: usize = 512;
/// Room for lines that is not used is given back from here on.
const SLOTS_KEPT: usize = 64;

/// The lines of all sandboxes.
pub(super) struct Rings {
    limits: Limits,
    rings: BTreeMap<Arc<str>, Ring>,
    /// Ids by the key of their records: one, or more while a name is used again.
    by_key: BTreeMap<Key, BTreeSet<Arc<str>>>,
    /// What each takes, largest last.
    by_bytes: BTreeSet<(usize, Arc<str>)>,
    bytes: usize,
    lines: usize,
    forgotten: u64,
}

/// The lines of one sandbox, oldest first.
struct Ring {
    key: Key,
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// Number of the newest line.
    last: u64,
}

/// Which of the lines that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The last so many of those that fit.
    Last(usize),
    /// Those after this number.
    After(u64),
}

/// What was there.
pub(super) struct Began {
    pub(super) lines: Vec<Arc<Line>>,
    /// Number of the newest line, whether or not it fits.
    pub(super) through: u64,
    /// Lines after the start that are not kept any more.
    pub(super) forgotten: u64,
}

impl Rings {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rings: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_bytes: BTreeSet::new(),
            bytes: 0,
            lines: 0,
            forgotten: 0,
        }
    }

    /// Adds lines of a sandbox, by the key of its record and its id.
    pub(super) fn append(&mut self, key: &Key, id: &str, pushed: Vec<Pushed>) -> Vec<Arc<Line>> {
        let id = self.entry(key, id);
        let ring = self.rings.get_mut(&id).expect("it was just made");
        let before = (ring.bytes, ring.lines.len());
        let added: Vec<Arc<Line>> = pushed.into_iter().map(|line| ring.push(line)).collect();
        let mut forgotten = 0;
        while ring.lines.len() > self.limits.sandbox_lines || ring.bytes > self.limits.sandbox_bytes {
            if ring.pop().is_none() {
                break;
            }
            forgotten += 1;
        }
        let after = (ring.bytes, ring.lines.len());
        self.account(&id, before, after);
        self.forgotten += forgotten;
        self.relieve();
        added
    }

    fn entry(&mut self, key: &Key, id: &str) -> Arc<str> {
        if let Some((id, _)) = self.rings.get_key_value(id) {
            return Arc::clone(id);
        }
        let id: Arc<str> = id.into();
        let ring = Ring { key: key.clone(), lines: VecDeque::new(), bytes: RING_COST, last: 0 };
        self.rings.insert(Arc::clone(&id), ring);
        self.by_key.entry(key.clone()).or_default().insert(Arc::clone(&id));
        self.by_bytes.insert((RING_COST, Arc::clone(&id)));
        self.bytes += RING_COST;
        id
    }

    /// Lets lines go until all sandboxes together fit.
    fn relieve(&mut self) {
        while self.bytes > self.limits.node_bytes {
            let Some(id) = self.by_bytes.last().map(|(_, id)| Arc::clone(id)) else { return };
            let ring = self.rings.get_mut(&id).expect("it is in the order");
            let before = (ring.bytes, ring.lines.len());
            if ring.pop().is_none() {
                return;
            }
            let after = (ring.bytes, ring.lines.len());
            self.account(&id, before, after);
            self.forgotten += 1;
        }
    }

    /// A sandbox has other bytes and lines than before.
    fn account(&mut self, id: &Arc<str>, before: (usize, usize), after: (usize, usize)) {
        self.by_bytes.remove(&(before.0, Arc::clone(id)));
        self.by_bytes.insert((after.0, Arc::clone(id)));
        self.bytes = self.bytes + after.0 - before.0;
        self.lines = self.lines + after.1 - before.1;
    }

    /// What is there of a sandbox.
    pub(super) fn begin(&self, id: &str, filter: &Filter, start: Start) -> Began {
        let Some(ring) = self.rings.get(id) else { return Began { lines: Vec::new(), through: 0, forgotten: 0 } };
        let through = ring.last;
        match start {
            Start::Last(most) => {
                let newest_first = ring.lines.iter().rev().filter(|line| filter.lets(line));
                let mut lines: Vec<Arc<Line>> = newest_first.take(most).cloned().collect();
                lines.reverse();
                Began { lines, through, forgotten: 0 }
            }
            Start::After(number) => {
                let oldest = ring.lines.front().map_or(ring.last.saturating_add(1), |line| line.number);
                let skipped = ring.lines.partition_point(|line| line.number <= number);
                let lines = ring.lines.range(skipped..).filter(|line| filter.lets_live(line)).cloned().collect();
                Began { lines, through, forgotten: oldest.saturating_sub(number.saturating_add(1)) }
            }
        }
    }

    /// The ids that lines are kept under for a record's key.
    pub(super) fn ids(&self, key: &Key) -> Vec<Arc<str>> {
        self.by_key.get(key).into_iter().flatten().cloned().collect()
    }

    /// All ids that lines are kept under.
    pub(super) fn all_ids(&self) -> Vec<Arc<str>> {
        self.rings.keys().cloned().collect()
    }

    /// Drops what is kept of a sandbox.
    pub(super) fn forget(&mut self, id: &str) {
        let Some((id, ring)) = self.rings.remove_entry(id) else { return };
        if let Some(ids) = self.by_key.get_mut(&ring.key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(&ring.key);
            }
        }
        self.by_bytes.remove(&(ring.bytes, id));
        self.bytes -= ring.bytes;
        self.lines -= ring.lines.len();
    }

    /// Lines that are kept.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lines that were let go because there were too many, since start.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Ring {
    fn push(&mut self, line: Pushed) -> Arc<Line> {
        self.last += 1;
        let line = line.numbered(self.last);
        self.bytes += line.cost();
        self.lines.push_back(Arc::clone(&line));
        line
    }

    fn pop(&mut self) -> Option<Arc<Line>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.cost();
        // What the node's bound took away is not used again by the same sandbox.
        if self.lines.capacity() > SLOTS_KEPT && self.lines.len() * 4 < self.lines.capacity() {
            self.lines.shrink_to(self.lines.len() * 2);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests;

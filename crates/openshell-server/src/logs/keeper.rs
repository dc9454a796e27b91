//! The log lines that one node has received, and who follows them: readers of this node, and other nodes for
//! theirs. Who may read is judged before; what waits for whom is in `queue`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::log::Kind;
use openshell_state::{Key, State};

use super::counts::Counts;
use super::filter::Filter;
use super::limits::Limits;
use super::line::{Line, Pushed};
use super::queue::{Queue, Waiting};
use super::rings::{Began, Rings, Start};

/// The lines of a node.
pub(crate) struct Keeper {
    limits: Limits,
    life: u64,
    inner: Mutex<Inner>,
    waiting: Arc<Waiting>,
    counts: Arc<Counts>,
}

struct Inner {
    rings: Rings,
    next_reader: u64,
    /// By sandbox.
    readers: BTreeMap<Arc<str>, BTreeMap<u64, Reader>>,
}

struct Reader {
    filter: Filter,
    queue: Arc<Queue>,
}

/// Numbers for the metrics page.
pub(crate) struct LogGauges {
    /// Lines that are kept.
    pub(crate) lines: u64,
    /// What they take.
    pub(crate) bytes: u64,
    /// Lines that were let go because there were too many, since start.
    pub(crate) forgotten: u64,
    /// Streams that sandboxes push through.
    pub(crate) pushes: u64,
    /// Readers of this node that follow.
    pub(crate) followers: u64,
    /// What waits for readers, those of other nodes too.
    pub(crate) queued_bytes: u64,
    /// Readers that were cut off, since start.
    pub(crate) cut_off: u64,
}

/// A reader's place; it is taken away when this goes.
pub(super) struct Following {
    keeper: Arc<Keeper>,
    sandbox: Arc<str>,
    id: u64,
}

impl Keeper {
    /// `life` differs after each start of the node.
    pub(crate) fn new(limits: Limits, life: u64) -> Arc<Self> {
        let inner = Inner { rings: Rings::new(limits), next_reader: 0, readers: BTreeMap::new() };
        Arc::new(Self { limits, life, inner: Mutex::new(inner), waiting: Arc::default(), counts: Counts::new(&limits) })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Who pushes and who follows here.
    pub(super) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Differs after each start.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Keeps lines of a sandbox, by the key of its record and its id, and hands them to who follows.
    pub(super) fn push(&self, key: &Key, id: &str, lines: Vec<Pushed>) {
        if lines.is_empty() {
            return;
        }
        let mut inner = self.lock();
        let lines = inner.rings.append(key, id, lines);
        for reader in inner.readers.get(id).into_iter().flat_map(BTreeMap::values) {
            reader.offer(&lines);
        }
        self.relieve_all(&inner);
    }

    /// Cuts off the readers for whom most waits, until no more waits for all of them than may.
    pub(super) fn relieve(&self) {
        if self.is_overfull() {
            self.relieve_all(&self.lock());
        }
    }

    fn is_overfull(&self) -> bool {
        self.waiting.bytes() > self.limits.queued_bytes
    }

    fn relieve_all(&self, inner: &Inner) {
        if !self.is_overfull() {
            return;
        }
        let queues = inner.readers.values().flat_map(BTreeMap::values).map(|reader| &reader.queue);
        let mut queues: Vec<(usize, &Arc<Queue>)> = queues.map(|queue| (queue.bytes(), queue)).collect();
        queues.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        for (_, queue) in queues.into_iter().take_while(|(bytes, _)| *bytes > 0 && self.is_overfull()) {
            queue.cut(0);
        }
    }

    /// Records with these keys have changed: what is kept of sandboxes that are gone is dropped.
    pub(crate) fn forget_deleted(&self, keys: &[Key], state: &State) {
        let mut sandboxes = keys.iter().filter(|key| key.kind == Kind::Sandbox).peekable();
        if sandboxes.peek().is_none() {
            return;
        }
        let mut inner = self.lock();
        for id in sandboxes.flat_map(|key| inner.rings.ids(key)).collect::<Vec<_>>() {
            inner.forget_unless_there(&id, state);
        }
    }

    /// The same, of any records.
    pub(crate) fn forget_all_deleted(&self, state: &State) {
        let mut inner = self.lock();
        for id in inner.rings.all_ids() {
            inner.forget_unless_there(&id, state);
        }
    }

    /// The same, of one sandbox by its id.
    pub(super) fn forget_if_deleted(&self, id: &str, state: &State) {
        self.lock().forget_unless_there(id, state);
    }

    /// A queue for a reader.
    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::new(Queue::new(self.limits, Arc::clone(&self.waiting)))
    }

    /// What is there of a sandbox, and a place for the reader: what comes after it goes into the queue.
    pub(super) fn follow(
        self: &Arc<Self>,
        sandbox: &str,
        filter: Filter,
        start: Start,
        queue: &Arc<Queue>,
    ) -> (Began, Following) {
        let mut inner = self.lock();
        let began = inner.rings.begin(sandbox, &filter, start);
        inner.next_reader += 1;
        let (id, sandbox): (u64, Arc<str>) = (inner.next_reader, sandbox.into());
        let reader = Reader { filter, queue: Arc::clone(queue) };
        inner.readers.entry(Arc::clone(&sandbox)).or_default().insert(id, reader);
        (began, Following { keeper: Arc::clone(self), sandbox, id })
    }

    /// What is there of a sandbox.
    pub(super) fn begin(&self, sandbox: &str, filter: &Filter, start: Start) -> Began {
        self.lock().rings.begin(sandbox, filter, start)
    }

    /// Numbers for the metrics page.
    pub(crate) fn gauges(&self) -> LogGauges {
        let inner = self.lock();
        LogGauges {
            lines: inner.rings.lines() as u64,
            bytes: inner.rings.bytes() as u64,
            forgotten: inner.rings.forgotten(),
            pushes: self.counts.pushes(),
            followers: self.counts.followers(),
            queued_bytes: self.waiting.bytes(),
            cut_off: self.waiting.cut_off(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_unless_there(&mut self, id: &str, state: &State) {
        if state.sandbox_by_id(id).is_none() {
            self.rings.forget(id);
        }
    }
}

impl Reader {
    fn offer(&self, lines: &[Arc<Line>]) {
        let mut fitting = lines.iter().filter(|line| self.filter.lets_live(line)).cloned().peekable();
        // Who gets nothing is not woken.
        if fitting.peek().is_some() {
            self.queue.offer(fitting);
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut inner = self.keeper.lock();
        if let Some(readers) = inner.readers.get_mut(&self.sandbox) {
            readers.remove(&self.id);
            if readers.is_empty() {
                inner.readers.remove(&self.sandbox);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! A disk in memory with an explicit boundary between what was synced and what was not: for
//! tests and simulation. It can lose power, hold a sync for as long as it is told, and fail.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Batch, Disk, Family, Step, Visit};

type Content = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

/// A handle to a simulated disk; clones are handles to the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// What the journal starts from.
    base: Content,
    /// Batches since, in order.
    journal: Vec<Batch>,
    /// How many batches of the journal were synced.
    synced: usize,
    /// Every length of the journal at which a sync was completed.
    boundaries: Vec<usize>,
    content: Content,
    /// High-water marks, each with the length of the journal when it was kept.
    marks: Vec<(usize, u64)>,
    holding: bool,
    delay: Duration,
    failure: Option<String>,
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power: every write that waits or comes later on the old handles fails.
    /// The disk that is found afterwards holds what was synced, and nothing else.
    #[must_use]
    pub fn lose_power(&self) -> SimulatedDisk {
        let kept = self.inner().synced;
        self.lose_power_keeping(kept)
    }

    /// As [`SimulatedDisk::lose_power`], but the first `kept` batches survive: more than were
    /// synced when the system wrote some back by itself, fewer when the disk lied about a sync.
    #[must_use]
    pub fn lose_power_keeping(&self, kept: usize) -> SimulatedDisk {
        let survivor = self.copy(kept, usize::MAX);
        self.fail("the power is off");
        survivor
    }

    /// What would have been found had the power gone when there were `kept` batches; this
    /// disk goes on.
    #[must_use]
    pub fn image(&self, kept: usize) -> SimulatedDisk {
        self.copy(kept, kept)
    }

    /// A copy with the first `kept` batches and the mark of when there were `marked`.
    fn copy(&self, kept: usize, marked: usize) -> SimulatedDisk {
        let inner = self.inner();
        let kept = kept.min(inner.journal.len());
        let mut content = inner.base.clone();
        for batch in &inner.journal[..kept] {
            install(&mut content, batch);
        }
        let marks = inner.marks.iter().filter(|(length, _)| *length <= marked).map(|(_, mark)| (0, *mark)).collect();
        let survivor = Inner { base: content.clone(), content, marks, ..Inner::default() };
        SimulatedDisk(Arc::new(Shared { inner: Mutex::new(survivor), changed: Condvar::new() }))
    }

    /// From now on (or no longer) a write with `sync` waits until syncs are released. Only for
    /// a writer with a thread of its own.
    pub fn hold_syncs(&self, holding: bool) {
        self.inner().holding = holding;
        self.0.changed.notify_all();
    }

    /// How long each write takes from now on, for a writer that is a task.
    pub fn set_delay(&self, delay: Duration) {
        self.inner().delay = delay;
    }

    /// Every write from now on fails with this text.
    pub fn fail(&self, text: &str) {
        self.inner().failure = Some(text.to_owned());
        self.0.changed.notify_all();
    }

    /// How many batches were written, synced or not.
    #[must_use]
    pub fn written(&self) -> usize {
        self.inner().journal.len()
    }

    /// How many of the batches written are synced.
    #[must_use]
    pub fn synced(&self) -> usize {
        self.inner().synced
    }

    /// The numbers of batches after which a sync was completed.
    #[must_use]
    pub fn boundaries(&self) -> Vec<usize> {
        self.inner().boundaries.clone()
    }

    /// Forgets the single batches that are synced, so that a long run does not keep them all.
    /// Counts of batches start again.
    pub fn fold(&self) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        for batch in inner.journal.drain(..inner.synced) {
            install(&mut inner.base, &batch);
        }
        inner.synced = 0;
        inner.boundaries.clear();
        let mark = inner.marks.last().map(|(_, mark)| (0, *mark));
        inner.marks = mark.into_iter().collect();
    }

    /// Flips one bit of a stored value: damage that a disk did not notice.
    ///
    /// # Panics
    /// When there is no such value or byte.
    pub fn flip_bit(&self, family: Family, key: &[u8], byte: usize, bit: u8) {
        let mut inner = self.inner();
        let value = inner.content.get_mut(&(family, key.to_vec())).expect("the value exists");
        value[byte] ^= 1 << bit;
    }

    /// Every key and value, in order.
    #[must_use]
    pub fn dump(&self) -> Vec<(Family, Vec<u8>, Vec<u8>)> {
        let inner = self.inner();
        inner.content.iter().map(|((family, key), value)| (*family, key.clone(), value.clone())).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some(text) => Err(io::Error::other(text.clone())),
            None => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        install(&mut inner.content, &batch);
        inner.journal.push(batch);
        if sync {
            let length = inner.journal.len();
            while inner.holding && inner.failure.is_none() {
                inner = self.0.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            inner.check()?;
            inner.synced = length;
            inner.boundaries.push(length);
        }
        Ok(())
    }

    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inner().content.get(&(family, key.to_vec())).cloned())
    }

    fn scan(&self, family: Family, from: &[u8], to: &[u8], visit: Visit<'_>) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let inner = self.inner();
        for ((_, key), value) in inner.content.range((family, from.to_vec())..(family, to.to_vec())) {
            if let ControlFlow::Break(()) = visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn mark(&self) -> io::Result<u64> {
        Ok(self.inner().marks.last().map_or(0, |(_, mark)| *mark))
    }

    fn verify(&self) -> io::Result<()> {
        // Nothing rots in memory.
        Ok(())
    }

    fn set_mark(&self, mark: u64) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        let length = inner.journal.len();
        inner.marks.push((length, mark));
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.inner().delay
    }
}

fn install(content: &mut Content, batch: &Batch) {
    for step in batch.steps() {
        match step {
            Step::Put(family, key, value) => {
                content.insert((*family, key.clone()), value.clone());
            }
            Step::Delete(family, key) => {
                content.remove(&(*family, key.clone()));
            }
            Step::DeleteRange(family, from, to) if from < to => {
                let doomed: Vec<_> =
                    content.range((*family, from.clone())..(*family, to.clone())).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    content.remove(&key);
                }
            }
            Step::DeleteRange(..) => {}
        }
    }
}

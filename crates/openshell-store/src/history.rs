//! The change history: what each entry changed, by whom and when. Written with the entry's
//! own batch, kept for the newest entries only, and read by watchers and auditors.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::log::HistoryEntry;
use prost::Message;

use crate::disk::{Batch, Disk, END, Family};
use crate::envelope;
use crate::meta;

/// A page of the history.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// Entries after the revision asked for, oldest first, without a gap.
    Entries(Vec<Arc<HistoryEntry>>),
    /// What followed is no longer kept: list the state again, at this revision or a later
    /// one, and go on from there.
    Gone {
        /// The history is complete after this revision.
        floor: u64,
    },
}

/// The history of this node. Clones share it.
#[derive(Clone)]
pub struct History(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    kept: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    floor: u64,
    /// The revisions that are kept, oldest first.
    revisions: VecDeque<u64>,
    /// Written by the machine, perhaps not by the disk yet.
    pending: BTreeMap<u64, Arc<HistoryEntry>>,
}

impl History {
    pub(crate) fn open(disk: Arc<dyn Disk>, kept: usize) -> io::Result<Self> {
        let floor = meta::read_array(&*disk, meta::HISTORY_FLOOR)?.map_or(0, u64::from_be_bytes);
        let mut revisions = VecDeque::new();
        disk.scan(Family::History, &[], &END, &mut |key, _| {
            revisions.push_back(revision_of(key)?);
            Ok(ControlFlow::Continue(()))
        })?;
        // Revisions have gaps, and no digest covers the history: only the count tells a lost table.
        let counted = meta::read_array(&*disk, meta::HISTORY_COUNT)?.map(u64::from_be_bytes);
        if let Some(counted) = counted
            && counted != revisions.len() as u64
        {
            let text = format!("the stored history has {} entries where {counted} belong", revisions.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let inner = Inner { floor, revisions, pending: BTreeMap::new() };
        Ok(Self(Arc::new(Shared { disk, kept, inner: Mutex::new(inner) })))
    }

    /// The history is complete after this revision.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.lock().floor
    }

    /// How many entries are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().revisions.len()
    }

    /// Whether no entry is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries after a revision, at most `count_max`. Reads the disk: not for a hot path.
    ///
    /// # Errors
    /// The disk's, and `InvalidData` for a damaged entry; a retry meets the same.
    pub fn read_after(&self, revision: u64, count_max: usize) -> io::Result<Page> {
        // The pending ones first: what leaves them meanwhile is on disk by then.
        let (floor, pending) = {
            let inner = self.lock();
            (
                inner.floor,
                inner
                    .pending
                    .range(revision.saturating_add(1)..)
                    .map(|(_, entry)| Arc::clone(entry))
                    .collect::<Vec<_>>(),
            )
        };
        if revision < floor {
            return Ok(Page::Gone { floor });
        }
        let mut entries = BTreeMap::new();
        let from = revision.saturating_add(1).to_be_bytes();
        self.0.disk.scan(Family::History, &from, &END, &mut |key, value| {
            if entries.len() == count_max {
                return Ok(ControlFlow::Break(()));
            }
            let revision = revision_of(key)?;
            entries.insert(revision, Arc::new(decode(revision, value)?));
            Ok(ControlFlow::Continue(()))
        })?;
        // It may have been cut while it was read.
        let floor = self.floor();
        if revision < floor {
            return Ok(Page::Gone { floor });
        }
        entries.extend(pending.into_iter().map(|entry| (entry.revision, entry)));
        Ok(Page::Entries(entries.into_values().take(count_max).collect()))
    }

    /// Adds an entry to the batch of its log entry, and cuts what is beyond the bound.
    pub(crate) fn add(&self, batch: &mut Batch, entry: HistoryEntry) {
        let revision = entry.revision;
        batch.put(Family::History, revision.to_be_bytes(), encode(&entry));
        let mut inner = self.lock();
        inner.revisions.push_back(revision);
        inner.pending.insert(revision, Arc::new(entry));
        // Not with every entry: each cut leaves a tombstone.
        let slack = (self.0.kept / 100).max(1);
        if inner.revisions.len() >= self.0.kept + slack {
            let excess = inner.revisions.len() - self.0.kept;
            let from = inner.revisions.front().copied().unwrap_or(0);
            let cut = inner.revisions.drain(..excess).next_back();
            if let Some(floor) = cut {
                batch.delete_range(Family::History, from.to_be_bytes(), (floor + 1).to_be_bytes());
                set_floor(batch, floor);
                inner.floor = floor;
            }
        }
        set_count(batch, inner.revisions.len());
    }

    /// The batch with these revisions is written.
    pub(crate) fn written_through(&self, revision: u64) {
        let mut inner = self.lock();
        inner.pending = inner.pending.split_off(&revision.saturating_add(1));
    }

    /// A snapshot came in: there is no history before it.
    pub(crate) fn restart_at(&self, batch: &mut Batch, revision: u64) {
        batch.clear(Family::History);
        set_floor(batch, revision);
        set_count(batch, 0);
        *self.lock() = Inner { floor: revision, ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `[format u8][crc32c u32 little-endian][log.HistoryEntry]`.
fn encode(entry: &HistoryEntry) -> Vec<u8> {
    envelope::seal(&entry.encode_to_vec())
}

fn decode(revision: u64, value: &[u8]) -> io::Result<HistoryEntry> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("history entry {revision}: {error}"))
    };
    let content = envelope::open(value).map_err(|damage| invalid(&damage))?;
    HistoryEntry::decode(content).map_err(|error| invalid(&error))
}

fn set_floor(batch: &mut Batch, floor: u64) {
    meta::put(batch, meta::HISTORY_FLOOR, &floor.to_be_bytes());
}

fn set_count(batch: &mut Batch, count: usize) {
    meta::put(batch, meta::HISTORY_COUNT, &(count as u64).to_be_bytes());
}

fn revision_of(key: &[u8]) -> io::Result<u64> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, format!("a history key of {} bytes", key.len()));
    key.try_into().map(u64::from_be_bytes).map_err(invalid)
}

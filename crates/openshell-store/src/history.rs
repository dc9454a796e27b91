//! The change history: what each entry changed, by whom and when. Written with the entry's
//! own batch, kept for the newest entries only, and read by watchers and auditors.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::log::{HistoryEntry, HistoryStamp};
use prost::Message;

use crate::disk::{Batch, Disk, Family};
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

/// What the history keeps. The newest entry is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Entries, about: they are cut a hundredth at a time.
    pub entries: usize,
    /// Encoded bytes of entries, likewise.
    pub bytes: usize,
    /// Milliseconds between the stamps of the oldest entry and the newest, likewise.
    pub age_ms: i64,
    /// Bytes of the newest entries that are kept in memory as well, so that those who follow the
    /// history do not read the disk.
    pub recent_bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
        Self { entries: 100_000, bytes: 256 * 1024 * 1024, age_ms: WEEK_MS, recent_bytes: 16 * 1024 * 1024 }
    }
}

/// How much a page holds: it ends with the entry that reaches one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Entries, at least one.
    pub entries: usize,
    /// Encoded bytes.
    pub bytes: usize,
}

/// The history of this node. Clones share it.
#[derive(Clone)]
pub struct History(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    retention: Retention,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    floor: u64,
    /// What is kept, oldest first.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// The newest entries with their sizes, oldest first: all after `recent_floor`.
    recent: VecDeque<(Arc<HistoryEntry>, usize)>,
    recent_bytes: usize,
    recent_floor: u64,
    /// What the disk has. The entries after it are in memory whatever their size.
    written: u64,
}

#[derive(Clone, Copy)]
struct Kept {
    revision: u64,
    bytes: usize,
    time_ms: i64,
}

impl History {
    pub(crate) fn open(disk: Arc<dyn Disk>, retention: Retention) -> io::Result<Self> {
        let floor = meta::read_array(&*disk, meta::HISTORY_FLOOR)?.map_or(0, u64::from_be_bytes);
        let mut inner = Inner { floor, ..Inner::default() };
        disk.scan_all(Family::History, &mut |key, value| {
            let revision = revision_of(key)?;
            inner.keep(Kept { revision, bytes: value.len(), time_ms: stamp(revision, value)? });
            Ok(ControlFlow::Continue(()))
        })?;
        // Revisions have gaps, and no digest covers the history: only the count tells a lost table.
        let counted = meta::read_array(&*disk, meta::HISTORY_COUNT)?.map(u64::from_be_bytes);
        if let Some(counted) = counted
            && counted != inner.kept.len() as u64
        {
            let text = format!("the stored history has {} entries where {counted} belong", inner.kept.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        inner.written = inner.kept.back().map_or(floor, |newest| newest.revision);
        inner.recent_floor = inner.written;
        Ok(Self(Arc::new(Shared { disk, retention, inner: Mutex::new(inner) })))
    }

    /// The history is complete after this revision.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.lock().floor
    }

    /// How many entries are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Whether no entry is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded bytes of the entries that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().kept_bytes
    }

    /// The entries after a revision, when memory has all of them. Never reads the disk.
    #[must_use]
    pub fn recent_after(&self, revision: u64, limit: PageLimit) -> Option<Page> {
        let inner = self.lock();
        if revision < inner.floor {
            return Some(Page::Gone { floor: inner.floor });
        }
        (revision >= inner.recent_floor).then(|| Page::Entries(inner.recent_after(revision, limit)))
    }

    /// The entries after a revision; none when nothing came after it. May read the disk: not for a
    /// hot path.
    ///
    /// # Errors
    /// The disk's, and `InvalidData` for a damaged entry; a retry meets the same.
    pub fn read_after(&self, revision: u64, limit: PageLimit) -> io::Result<Page> {
        let mut after = revision;
        loop {
            if let Some(page) = self.recent_after(after, limit) {
                return Ok(page);
            }
            // The disk has everything through it.
            let through = self.lock().recent_floor;
            let entries = self.scan(after, through, limit)?;
            let floor = self.floor();
            if after < floor {
                // It was cut while it was read.
                return Ok(Page::Gone { floor });
            }
            if !entries.is_empty() {
                return Ok(Page::Entries(entries));
            }
            after = through;
        }
    }

    fn scan(&self, after: u64, through: u64, limit: PageLimit) -> io::Result<Vec<Arc<HistoryEntry>>> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let (from, to) = (after.saturating_add(1).to_be_bytes(), through.saturating_add(1).to_be_bytes());
        self.0.disk.scan(Family::History, &from, &to, &mut |key, value| {
            entries.push(Arc::new(decode(revision_of(key)?, value)?));
            bytes += value.len();
            let full = entries.len() >= limit.entries || bytes >= limit.bytes;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(entries)
    }

    /// Adds an entry to the batch of its log entry, and cuts what is beyond the retention.
    pub(crate) fn add(&self, batch: &mut Batch, entry: HistoryEntry) {
        let (revision, time_ms) = (entry.revision, entry.time_ms);
        let value = encode(&entry);
        let bytes = value.len();
        batch.put(Family::History, revision.to_be_bytes(), value);
        let mut inner = self.lock();
        inner.keep(Kept { revision, bytes, time_ms });
        inner.recent_bytes += bytes;
        inner.recent.push_back((Arc::new(entry), bytes));
        let from = inner.kept.front().map_or(0, |oldest| oldest.revision);
        if let Some(floor) = inner.cut(&self.0.retention) {
            batch.delete_range(Family::History, from.to_be_bytes(), (floor + 1).to_be_bytes());
            set_floor(batch, floor);
        }
        set_count(batch, inner.kept.len());
        inner.trim(self.0.retention.recent_bytes);
    }

    /// The batches with everything through this revision are written.
    pub(crate) fn written_through(&self, revision: u64) {
        let mut inner = self.lock();
        inner.written = inner.written.max(revision);
        inner.trim(self.0.retention.recent_bytes);
    }

    /// A snapshot came in: [`History::begin_at`] its revision once the batch is written.
    pub(crate) fn clear(batch: &mut Batch, revision: u64) {
        batch.clear(Family::History);
        set_floor(batch, revision);
        set_count(batch, 0);
    }

    /// There is no history before this revision, on disk already.
    pub(crate) fn begin_at(&self, revision: u64) {
        *self.lock() = Inner { floor: revision, recent_floor: revision, written: revision, ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, kept: Kept) {
        self.kept_bytes += kept.bytes;
        self.kept.push_back(kept);
    }

    fn recent_after(&self, revision: u64, limit: PageLimit) -> Vec<Arc<HistoryEntry>> {
        let first = self.recent.partition_point(|(entry, _)| entry.revision <= revision);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for (entry, size) in self.recent.range(first..) {
            entries.push(Arc::clone(entry));
            bytes += size;
            if entries.len() >= limit.entries || bytes >= limit.bytes {
                break;
            }
        }
        entries
    }

    /// Forgets what is beyond the retention, and says through which revision. Not with every
    /// entry: each cut leaves a tombstone on the disk.
    fn cut(&mut self, retention: &Retention) -> Option<u64> {
        let newest_ms = self.kept.back()?.time_ms;
        let oldest_ms = self.kept.front()?.time_ms;
        let due = self.kept.len() >= retention.entries + (retention.entries / 100).max(1)
            || self.kept_bytes > retention.bytes + retention.bytes / 100
            || newest_ms.saturating_sub(oldest_ms) > retention.age_ms.saturating_add(retention.age_ms / 100);
        if !due {
            return None;
        }
        while self.kept.len() > 1
            && let Some(oldest) = self.kept.front().copied()
            && (self.kept.len() > retention.entries
                || self.kept_bytes > retention.bytes
                || newest_ms.saturating_sub(oldest.time_ms) > retention.age_ms)
        {
            self.kept.pop_front();
            self.kept_bytes -= oldest.bytes;
            self.floor = oldest.revision;
        }
        Some(self.floor)
    }

    /// Drops entries from memory that the disk has, beyond the bound.
    fn trim(&mut self, bytes_max: usize) {
        while self.recent_bytes > bytes_max
            && let Some((entry, bytes)) = self.recent.front()
            && entry.revision <= self.written
        {
            self.recent_floor = entry.revision;
            self.recent_bytes -= bytes;
            self.recent.pop_front();
        }
    }
}

/// `[format u8][crc32c u32 little-endian][log.HistoryEntry]`.
fn encode(entry: &HistoryEntry) -> Vec<u8> {
    envelope::seal(&entry.encode_to_vec())
}

fn decode<M: Message + Default>(revision: u64, value: &[u8]) -> io::Result<M> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("history entry {revision}: {error}"))
    };
    let content = envelope::open(value).map_err(|damage| invalid(&damage))?;
    M::decode(content).map_err(|error| invalid(&error))
}

/// When an entry was written. A start asks for this of all that is kept, and for nothing else.
fn stamp(revision: u64, value: &[u8]) -> io::Result<i64> {
    decode(revision, value).map(|HistoryStamp { time_ms }| time_ms)
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

#[cfg(test)]
mod tests {
    use openshell_proto::log::Change;

    use super::*;

    #[test]
    fn the_stamp_is_the_entrys_own_and_a_damaged_entry_has_none() {
        let entry = HistoryEntry {
            revision: 7,
            time_ms: 1_700_000_000_123,
            principal: "somebody".to_owned(),
            rpc: "UpdateProvider".to_owned(),
            request_id: vec![1; 16],
            node: 3,
            changes: vec![Change::default(); 3],
            touches: Vec::new(),
        };
        let value = encode(&entry);
        assert_eq!(stamp(7, &value).expect("a stamp"), entry.time_ms);
        assert_eq!(decode::<HistoryEntry>(7, &value).expect("an entry"), entry);
        for place in 0..value.len() {
            let mut damaged = value.clone();
            damaged[place] ^= 1;
            let error = stamp(7, &damaged).expect_err("damage is noticed");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}

//! The Raft log and the vote: openraft's log storage over the writer. An append is in memory
//! when it returns and is reported durable when its sync is done; reading never waits for
//! either. Applying entries is in `machine`.

pub(crate) mod entry;
mod tail;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, ControlFlow, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use openshell_chaos::{Bug, Point, bug, disk_point, point};

use crate::disk::{Batch, Disk, Family};
use crate::meta;
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::writer::Writer;
use entry::Sized;
use tail::Tail;

/// One read for replication takes this many bytes of stored entries at most, or one entry.
/// A message between nodes is at most sixteen times as large.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// The log of this node. Clones share it.
#[derive(Clone)]
pub struct LogStore(Arc<Shared>);

struct Shared {
    writer: Writer,
    tail: Mutex<Tail>,
    cache_bytes: usize,
}

impl LogStore {
    /// Reads where the log begins and ends, and verifies every entry in between.
    pub(crate) fn open(writer: Writer, cache_bytes: usize) -> io::Result<Self> {
        let disk = Arc::clone(writer.disk());
        let purged: Option<LogId> = meta::read_message(&*disk, meta::PURGED)?;
        let (first, last) = verify(&*disk, purged)?;
        let mut tail = Tail::new(purged, first, last.or(purged));
        tail.vote = meta::read_message(&*disk, meta::VOTE)?;
        tail.committed = meta::read_message(&*disk, meta::COMMITTED)?;
        Ok(Self(Arc::new(Shared { writer, tail: Mutex::new(tail), cache_bytes })))
    }

    /// The last entry of the log, on disk or about to be; none in an empty log.
    #[must_use]
    pub fn last_log_id(&self) -> Option<LogId> {
        self.tail().last
    }

    /// The last vote that is on disk.
    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.tail().vote
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.0.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries of a range from its first one on, at most `bytes_max` of them but one at
    /// least when there is one.
    async fn read_piece(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Sized>> {
        loop {
            let look = self.tail().look(range.clone(), bytes_max);
            let mut entries = if look.on_disk.is_empty() {
                Vec::new()
            } else {
                let on_disk = look.on_disk.clone();
                match self.0.writer.read(move |disk| entry::read(disk, on_disk, bytes_max)).await {
                    Ok(entries) => entries,
                    // Entries were removed under the reader: it looks again. Removals are rare.
                    Err(_) if self.tail().removals() != look.removals => continue,
                    Err(error) => return Err(error),
                }
            };
            if self.tail().removals() != look.removals {
                continue;
            }
            let mut total: usize = entries.iter().map(|item| item.bytes).sum();
            let complete =
                u64::try_from(entries.len()).is_ok_and(|count| count == look.on_disk.end - look.on_disk.start);
            if complete {
                for item in look.in_memory {
                    if total > 0 && total + item.bytes > bytes_max {
                        break;
                    }
                    total += item.bytes;
                    entries.push(item);
                }
            }
            return Ok(entries);
        }
    }
}

/// Reads the whole log once: every checksum, every index, no gap. Returns the first index and
/// the last entry.
pub(crate) fn verify(disk: &dyn Disk, purged: Option<LogId>) -> io::Result<(u64, Option<LogId>)> {
    let mut first = None;
    let mut last: Option<LogId> = None;
    disk.scan_all(Family::Log, &mut |key, value| {
        let log_id = entry::decode(key, value)?.log_id;
        if let Some(last) = last
            && log_id.index != last.index + 1
        {
            return Err(entry::missing(last.index + 1, log_id.index));
        }
        first.get_or_insert(log_id.index);
        last = Some(log_id);
        Ok(ControlFlow::Continue(()))
    })?;
    let after_purge = purged.map(|purged| purged.index + 1);
    match (after_purge, first) {
        (Some(expected), Some(found)) if expected != found => Err(entry::missing(expected, found)),
        (expected, found) => Ok((found.or(expected).unwrap_or(0), last)),
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

fn entries(items: Vec<Sized>) -> Vec<Entry> {
    items.into_iter().map(|item| Entry::clone(&item.entry)).collect()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        // Complete, whatever it takes: openraft counts on it. In pieces, so that no read is long.
        let Range { mut start, end } = bounds(&range);
        let mut found = Vec::new();
        loop {
            let piece = self.read_piece(start..end, READ_BYTES_MAX).await?;
            let Some(last) = piece.last() else { return Ok(found) };
            start = last.entry.log_id.index + 1;
            found.extend(entries(piece));
        }
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.vote())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read_piece(start..end, READ_BYTES_MAX).await.map(entries)
    }

    /// In pieces: what is to be applied after a stall or a start has no bound.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let pieces = stream::unfold((self.clone(), bounds(&range)), |(log, range)| async move {
            match log.read_piece(range.clone(), READ_BYTES_MAX).await {
                Err(error) => Some((vec![Err(error)], (log, range.end..range.end))),
                Ok(piece) => {
                    let next = piece.last()?.entry.log_id.index + 1;
                    Some((entries(piece).into_iter().map(Ok).collect(), (log, next..range.end)))
                }
            }
        });
        Box::pin(futures::StreamExt::flat_map(pieces, |piece: Vec<io::Result<Entry>>| stream::iter(piece)))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = Batch::new();
        meta::put_message(&mut batch, meta::VOTE, vote);
        disk_point(Point::VoteBeforeSave)?;
        if bug(Bug::UnsyncedVote) {
            self.submit(batch, None).await?;
        } else {
            // A vote that is forgotten makes two leaders in one term.
            self.0.writer.write(batch, true).await?;
        }
        self.tail().vote = Some(*vote);
        disk_point(Point::VoteAfterSave)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut batch = Batch::new();
        match &committed {
            Some(committed) => meta::put_message(&mut batch, meta::COMMITTED, committed),
            None => batch.delete(Family::Meta, meta::COMMITTED),
        }
        self.tail().committed = committed;
        self.submit(batch, None).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let tail = self.tail();
        // Never beyond the log: openraft would apply entries that are not there.
        Ok(tail.committed.map(|committed| tail.last.map_or(committed, |last| committed.min(last))))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Batch::new();
        let mut items = Vec::new();
        for entry in entries {
            let value = entry::encode(&entry);
            items.push(Sized { bytes: value.len(), entry: Arc::new(entry) });
            let index = items.last().map_or(0, |item| item.entry.log_id.index);
            batch.put(Family::Log, entry::key(index), value);
        }
        disk_point(Point::AppendBeforeWrite)?;
        let append = self.tail().append(items);
        if bug(Bug::EarlyAcknowledgement) {
            callback.io_completed(Ok(()));
            return self.0.writer.submit(batch, true, Box::new(|_result| ())).await;
        }
        // Weak: the writer must not keep itself alive through what it is to call.
        let shared = Arc::downgrade(&self.0);
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok()
                && let Some(shared) = shared.upgrade()
            {
                let mut tail = shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.durable_through(append, shared.cache_bytes);
            }
            point(Point::AppendAfterSync);
            callback.io_completed(result);
        });
        // Commitment is computed from it: synced before it is reported.
        self.0.writer.submit(batch, true, done).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let mut batch = Batch::new();
        let start = last_log_id.map_or(0, |last| last.index + 1);
        disk_point(Point::TruncateBeforeWrite)?;
        {
            let mut tail = self.tail();
            let end = tail.next_index().unwrap_or(0);
            batch.delete_range(Family::Log, entry::key(start.max(tail.first())), entry::key(end));
            tail.truncate_after(last_log_id);
        }
        // Not synced: an append that matters is behind it in the same write-ahead log.
        self.submit(batch, Some(Point::TruncateAfterWrite)).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let mut batch = Batch::new();
        meta::put_message(&mut batch, meta::PURGED, &log_id);
        disk_point(Point::PurgeBeforeWrite)?;
        {
            let mut tail = self.tail();
            // From the last purge on, so that no read crosses the tombstones of all before.
            batch.delete_range(Family::Log, entry::key(tail.first()), entry::key(log_id.index + 1));
            tail.purge(log_id);
        }
        // Not synced: the state that covers it is before it in the same write-ahead log, and
        // losing the purge only brings entries back.
        self.submit(batch, Some(Point::PurgeAfterWrite)).await
    }
}

impl LogStore {
    /// Queues a batch that need not be synced. `after` is passed once it is written.
    async fn submit(&self, batch: Batch, after: Option<Point>) -> io::Result<()> {
        self.0.writer.submit(batch, false, Box::new(move |_result| after.into_iter().for_each(point))).await
    }
}

#[cfg(test)]
mod tests;

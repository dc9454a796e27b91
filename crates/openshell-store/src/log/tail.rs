//! What of the log is in memory: where it begins and ends, the vote, and its newest entries.
//! An entry is here from the moment it is appended, so that it can be read before it is on
//! disk; it stays at least until it is durable, and then while there is room.

use std::collections::VecDeque;
use std::ops::Range;

use super::entry::Sized;
use crate::types::{LogId, Vote};

#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) purged: Option<LogId>,
    /// The last entry; the last one purged when there is none.
    pub(super) last: Option<LogId>,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    /// Index of the first entry of the log.
    first: u64,
    /// The newest entries, without a gap up to the last.
    cached: VecDeque<Cached>,
    cached_bytes: usize,
    /// Number of the append that comes next.
    next_append: u64,
    /// Grows whenever entries are removed, so that a reader notices.
    removals: u64,
}

#[derive(Debug)]
struct Cached {
    item: Sized,
    append: u64,
    durable: bool,
}

/// What a reader needs of one moment.
pub(super) struct Look {
    /// To be read from disk, in order, before the rest.
    pub(super) on_disk: Range<u64>,
    pub(super) in_memory: Vec<Sized>,
    /// To be compared afterwards with [`Tail::removals`].
    pub(super) removals: u64,
}

impl Tail {
    pub(super) fn new(purged: Option<LogId>, first: u64, last: Option<LogId>) -> Self {
        Self { purged, last, first, ..Self::default() }
    }

    /// Index that an appended entry must have; none while any may come.
    pub(super) fn next_index(&self) -> Option<u64> {
        self.last.map(|last| last.index + 1)
    }

    pub(super) fn removals(&self) -> u64 {
        self.removals
    }

    /// What there is of a range. `bytes_max` bounds what is taken from memory.
    pub(super) fn look(&self, range: Range<u64>, bytes_max: usize) -> Look {
        let end = range.end.min(self.next_index().unwrap_or(0));
        let start = range.start.max(self.first);
        let removals = self.removals;
        if start >= end {
            return Look { on_disk: start..start, in_memory: Vec::new(), removals };
        }
        let memory_start = self.cached.front().map_or(end, |first| first.item.entry.log_id.index).clamp(start, end);
        let mut in_memory = Vec::new();
        // Memory is read only when the disk's part does not use up the bound by itself; the
        // caller asks again from where the disk's part ended.
        if memory_start < end {
            let base = self.cached.front().map_or(0, |first| first.item.entry.log_id.index);
            let offset = usize::try_from(memory_start - base).unwrap_or(usize::MAX);
            let count = usize::try_from(end - memory_start).unwrap_or(usize::MAX);
            let mut bytes = 0;
            for cached in self.cached.iter().skip(offset).take(count) {
                if bytes > 0 && bytes + cached.item.bytes > bytes_max {
                    break;
                }
                bytes += cached.item.bytes;
                in_memory.push(cached.item.clone());
            }
        }
        Look { on_disk: start..memory_start, in_memory, removals }
    }

    /// Appends entries and returns the number of this append.
    pub(super) fn append(&mut self, items: Vec<Sized>) -> u64 {
        let append = self.next_append;
        self.next_append += 1;
        for item in items {
            let log_id = item.entry.log_id;
            if let Some(next) = self.next_index() {
                assert!(log_id.index == next, "appended {} where {next} belongs", log_id.index);
            } else {
                self.first = log_id.index;
            }
            self.last = Some(log_id);
            self.cached_bytes += item.bytes;
            self.cached.push_back(Cached { item, append, durable: false });
        }
        append
    }

    /// Everything up to this append is on disk: what is beyond the bound may go.
    pub(super) fn durable_through(&mut self, append: u64, bytes_max: usize) {
        // What is durable is in front: looking for its end must not cost what is cached.
        let first = self.cached.partition_point(|cached| cached.durable);
        for cached in self.cached.range_mut(first..) {
            if cached.append > append {
                break;
            }
            cached.durable = true;
        }
        while self.cached_bytes > bytes_max && self.cached.front().is_some_and(|cached| cached.durable) {
            self.forget_front();
        }
    }

    /// Removes the entries after an index; all when there is none. Nothing when the log does
    /// not reach that far.
    pub(super) fn truncate_after(&mut self, after: Option<LogId>) {
        if after.is_some_and(|after| self.last.is_none_or(|last| last.index <= after.index)) {
            return;
        }
        self.removals += 1;
        let start = after.map_or(0, |after| after.index + 1);
        while let Some(cached) = self.cached.back() {
            if cached.item.entry.log_id.index < start {
                break;
            }
            self.cached_bytes -= cached.item.bytes;
            self.cached.pop_back();
        }
        self.last = after.or(self.purged);
    }

    /// Removes the entries up to an index, which may lie beyond the last.
    pub(super) fn purge(&mut self, upto: LogId) {
        self.removals += 1;
        while self.cached.front().is_some_and(|cached| cached.item.entry.log_id.index <= upto.index) {
            self.forget_front();
        }
        self.first = upto.index + 1;
        self.purged = Some(upto);
        if self.last.is_none_or(|last| last.index < upto.index) {
            self.last = Some(upto);
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    fn forget_front(&mut self) {
        if let Some(cached) = self.cached.pop_front() {
            self.cached_bytes -= cached.item.bytes;
        }
    }
}

//! One entry on disk: key and value, and reading a range of them with every check.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::disk::{Disk, Family};
use crate::envelope;
use crate::types::{Durable, Entry};

/// Key of the entry at an index: byte order is index order.
pub(super) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// `[format u8][crc32c u32 little-endian][log.LogEntry]`.
pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    envelope::seal(&entry.to_bytes())
}

/// Reads one entry back.
///
/// # Errors
/// `InvalidData` naming the index when the value is damaged or another entry's.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> io::Result<Entry> {
    let Ok(index) = key.try_into().map(u64::from_be_bytes) else {
        return Err(invalid(format!("the log has a key of {} bytes", key.len())));
    };
    let content = envelope::open(value).map_err(|damage| invalid(format!("log entry {index}: {damage}")))?;
    let entry = Entry::from_bytes(content).map_err(|error| invalid(format!("log entry {index}: {error}")))?;
    if entry.log_id.index != index {
        return Err(invalid(format!("log entry {index} holds the entry {}", entry.log_id)));
    }
    Ok(entry)
}

/// An entry in memory with the size of its stored value.
#[derive(Clone, Debug)]
pub(super) struct Sized {
    pub(super) entry: Arc<Entry>,
    pub(super) bytes: usize,
}

/// Reads entries from disk, in order and without a gap, until the range ends or `bytes_max`
/// is reached; one at least when there is one. The range begins at the first one expected.
///
/// # Errors
/// The disk's, and `InvalidData` naming the index of a damaged, misplaced or missing entry.
pub(super) fn read(disk: &dyn Disk, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Sized>> {
    let mut entries: Vec<Sized> = Vec::new();
    let mut total = 0;
    let mut next = range.start;
    let mut full = false;
    disk.scan(Family::Log, &key(range.start), &key(range.end), &mut |key, value| {
        if total > 0 && total + value.len() > bytes_max {
            full = true;
            return Ok(ControlFlow::Break(()));
        }
        let entry = decode(key, value)?;
        if entry.log_id.index != next {
            return Err(missing(next, entry.log_id.index));
        }
        next += 1;
        total += value.len();
        entries.push(Sized { entry: Arc::new(entry), bytes: value.len() });
        Ok(ControlFlow::Continue(()))
    })?;
    if !full && next < range.end {
        return Err(missing(next, range.end));
    }
    Ok(entries)
}

pub(super) fn missing(index: u64, found: u64) -> io::Error {
    invalid(format!("log entry {index} is missing: the log goes on at {found}"))
}

pub(super) fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

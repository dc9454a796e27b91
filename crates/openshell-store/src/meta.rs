//! The keys of the family [`Family::Meta`]. Each value is wrapped (see `envelope`).

use std::io;

use crate::disk::{Batch, Disk, Family};
use crate::envelope;
use crate::types::Durable;

/// `log.Vote`.
pub(crate) const VOTE: &str = "vote";
/// `log.LogId`: what Raft reported as committed.
pub(crate) const COMMITTED: &str = "committed";
/// `log.LogId`: the last entry purged.
pub(crate) const PURGED: &str = "purged";
/// `log.LogId`: the last entry applied.
pub(crate) const APPLIED: &str = "applied";
/// `log.StoredMembership`: the last one applied.
pub(crate) const MEMBERSHIP: &str = "membership";
/// `log.StateMarks`.
pub(crate) const MARKS: &str = "marks";
/// The half that the state is in, one byte: 0 the first, 1 the second. Absent: the first.
pub(crate) const HALF: &str = "half";
/// The state's digest, 32 bytes.
pub(crate) const DIGEST: &str = "digest";
/// Revision, eight bytes big-endian: the history is complete after it.
pub(crate) const HISTORY_FLOOR: &str = "history-floor";
/// How many entries the history holds, eight bytes big-endian; absent before the first.
pub(crate) const HISTORY_COUNT: &str = "history-count";
/// Number of synced batches, eight bytes big-endian.
pub(crate) const COUNTER: &str = "counter";
/// Format version, four bytes big-endian.
pub(crate) const FORMAT: &str = "format";
/// Node id, eight bytes big-endian.
pub(crate) const NODE: &str = "node";
/// Cluster id as text; empty until the node belongs to one.
pub(crate) const CLUSTER: &str = "cluster";
/// Digest of the initial cluster, 32 bytes.
pub(crate) const INITIAL_CLUSTER: &str = "initial-cluster";
/// Present once an empty node has promised to be a member of what its initial cluster forms.
pub(crate) const PROMISE: &str = "promise";
/// Present once the node was told that it was removed from its cluster.
pub(crate) const EXPELLED: &str = "expelled";
/// Present once the node's digest was found to differ from that of its cluster: the revision, eight bytes
/// big-endian, the digest here, 32 bytes, and the cluster's, 32 bytes.
pub(crate) const DIVERGED: &str = "diverged";
/// Present while an export is written into the data directory.
pub(crate) const RESTORING: &str = "restoring";
/// SHA-256 over that of the export that the data was restored from and the epoch that it was given, 32
/// bytes; none for data that grew here.
pub(crate) const RESTORED: &str = "restored";
/// Check value of the secrets key, 32 bytes.
pub(crate) const SECRETS_KEY: &str = "secrets-key";

/// Reads and unwraps a value.
///
/// # Errors
/// The disk's, or `InvalidData` naming the key when the value is damaged.
pub(crate) fn read(disk: &dyn Disk, key: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(value) = disk.get(Family::Meta, key.as_bytes())? else { return Ok(None) };
    match envelope::open(&value) {
        Ok(content) => Ok(Some(content.to_vec())),
        Err(damage) => Err(damaged(key, damage)),
    }
}

/// Reads a value with a message.
pub(crate) fn read_message<T: Durable>(disk: &dyn Disk, key: &str) -> io::Result<Option<T>> {
    let decode = |bytes: Vec<u8>| T::from_bytes(&bytes).map_err(|error| damaged(key, error));
    read(disk, key)?.map(decode).transpose()
}

/// Reads a value of a fixed width.
pub(crate) fn read_array<const WIDTH: usize>(disk: &dyn Disk, key: &str) -> io::Result<Option<[u8; WIDTH]>> {
    let width = |bytes: Vec<u8>| {
        let length = bytes.len();
        bytes.try_into().map_err(|_| damaged(key, format!("{length} bytes where {WIDTH} belong")))
    };
    read(disk, key)?.map(width).transpose()
}

/// Wraps and sets a value.
pub(crate) fn put(batch: &mut Batch, key: &str, content: &[u8]) {
    batch.put(Family::Meta, key, envelope::seal(content));
}

/// Sets a value with a message.
pub(crate) fn put_message<T: Durable>(batch: &mut Batch, key: &str, value: &T) {
    put(batch, key, &value.to_bytes());
}

pub(crate) fn put_counter(batch: &mut Batch, counter: u64) {
    put(batch, COUNTER, &counter.to_be_bytes());
}

fn damaged(key: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the stored {key:?}: {error}"))
}

//! The log against a disk that holds, loses and damages.

use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorageExt;
use openraft::type_config::TypeConfigExt;

use super::*;
use crate::disk::simulated::SimulatedDisk;
use crate::types::{LeaderId, Proposal};
use crate::writer::WriterMode;

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: 1 }, index)
}

fn command(term: u64, index: u64, bytes: usize) -> Entry {
    let payload = openraft::EntryPayload::Normal(Proposal::from_bytes(vec![b'x'; bytes]));
    Entry { log_id: log_id(term, index), payload }
}

fn blank(term: u64, index: u64) -> Entry {
    Entry::new_blank(log_id(term, index))
}

fn open(disk: &SimulatedDisk, mode: WriterMode, cache_bytes: usize) -> io::Result<LogStore> {
    let writer = Writer::start(Arc::new(disk.clone()), mode, 1 << 20, Arc::new(|_| ()), 0)?;
    LogStore::open(writer, cache_bytes)
}

async fn indexes(log: &mut LogStore, range: Range<u64>) -> Vec<u64> {
    let entries = log.try_get_log_entries(range).await.expect("readable");
    entries.iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn an_entry_is_readable_before_it_is_on_disk() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, WriterMode::Thread, 1 << 20).expect("opened");
    disk.hold_syncs(true);
    let (sender, receiver) = TypeConfig::oneshot();
    let flushed = IOFlushed::signal(sender);
    log.append([blank(1, 0), blank(1, 1)], flushed).await.expect("appended");
    assert_eq!(indexes(&mut log, 0..9).await, [0, 1]);
    assert_eq!(disk.synced(), 0);
    disk.hold_syncs(false);
    receiver.await.expect("told").expect("flushed");
    assert_eq!(disk.synced(), disk.written());
}

#[tokio::test]
async fn a_failed_sync_is_reported_and_not_dropped() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, WriterMode::Thread, 1 << 20).expect("opened");
    disk.hold_syncs(true);
    let (sender, receiver) = TypeConfig::oneshot();
    log.append([blank(1, 0)], IOFlushed::signal(sender)).await.expect("appended");
    disk.fail("the cable is out");
    assert!(receiver.await.expect("told").expect_err("failed").to_string().contains("the cable is out"));
    assert!(log.save_vote(&Vote::new(1, 1)).await.is_err());
}

#[tokio::test]
async fn reads_are_the_same_from_memory_and_from_disk() {
    for cache_bytes in [0, 400, 1 << 20] {
        let disk = SimulatedDisk::new();
        let mut log = open(&disk, WriterMode::Inline, cache_bytes).expect("opened");
        for index in 0..30 {
            log.blocking_append([command(1, index, 50)]).await.expect("appended");
        }
        assert!(log.tail().cached_bytes() <= cache_bytes);
        assert_eq!(indexes(&mut log, 0..100).await, (0..30).collect::<Vec<_>>());
        assert_eq!(indexes(&mut log, 7..13).await, (7..13).collect::<Vec<_>>());
        log.truncate_after(Some(log_id(1, 19))).await.expect("truncated");
        log.blocking_append([command(2, 20, 50), command(2, 21, 50)]).await.expect("appended");
        log.purge(log_id(1, 4)).await.expect("purged");
        assert_eq!(indexes(&mut log, 0..100).await, (5..22).collect::<Vec<_>>());
        let twenty = log.try_get_log_entries(20..21).await.expect("read");
        assert_eq!(twenty[0].log_id, log_id(2, 20));
        // The same after a restart, when nothing is in memory.
        drop(log);
        let mut log = open(&disk, WriterMode::Inline, cache_bytes).expect("opened");
        assert_eq!(indexes(&mut log, 0..100).await, (5..22).collect::<Vec<_>>());
        assert_eq!(log.get_log_state().await.expect("read").last_log_id, Some(log_id(2, 21)));
    }
}

#[tokio::test]
async fn a_read_for_replication_is_bounded_but_never_empty() {
    for cache_bytes in [0, 16 << 20] {
        let disk = SimulatedDisk::new();
        let mut log = open(&disk, WriterMode::Inline, cache_bytes).expect("opened");
        let large = READ_BYTES_MAX / 3;
        let entries = [
            command(1, 0, 10),
            command(1, 1, large),
            command(1, 2, large),
            command(1, 3, large),
            command(1, 4, 2 << 20),
        ];
        log.blocking_append(entries).await.expect("appended");
        assert_eq!(log.limited_get_log_entries(0, 5).await.expect("read").len(), 3);
        assert_eq!(log.limited_get_log_entries(3, 5).await.expect("read").len(), 1);
        assert_eq!(log.limited_get_log_entries(4, 5).await.expect("read").len(), 1);
        assert_eq!(indexes(&mut log, 0..5).await.len(), 5);
        let streamed: Vec<_> = futures::StreamExt::collect(log.entries_stream(0..5_u64).await).await;
        assert_eq!(
            streamed.into_iter().map(|entry| entry.expect("read").log_id.index).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
    }
}

#[tokio::test]
async fn every_flipped_bit_of_an_entry_is_refused_by_name() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, WriterMode::Inline, 0).expect("opened");
    log.blocking_append([blank(1, 0), command(1, 1, 20), blank(1, 2)]).await.expect("appended");
    let length = disk.get(Family::Log, &entry::key(1)).expect("read").expect("there").len();
    for byte in 0..length {
        for bit in [0, 3, 7] {
            disk.flip_bit(Family::Log, &entry::key(1), byte, bit);
            let error = log.try_get_log_entries(0..3).await.expect_err("refused");
            assert!(error.to_string().contains("log entry 1"), "{error}");
            assert!(open(&disk, WriterMode::Inline, 0).is_err());
            disk.flip_bit(Family::Log, &entry::key(1), byte, bit);
        }
    }
    assert_eq!(indexes(&mut log, 0..3).await.len(), 3);
}

#[tokio::test]
async fn a_gap_and_a_misplaced_entry_are_refused_by_name() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, WriterMode::Inline, 0).expect("opened");
    log.blocking_append((0..5).map(|index| blank(1, index))).await.expect("appended");
    let three = disk.get(Family::Log, &entry::key(3)).expect("read").expect("there");
    let mut batch = Batch::new();
    batch.delete(Family::Log, entry::key(2));
    disk.write(batch, true).expect("written");
    let error = log.try_get_log_entries(0..5).await.expect_err("refused");
    assert_eq!(error.to_string(), "log entry 2 is missing: the log goes on at 3");
    assert!(open(&disk, WriterMode::Inline, 0).is_err());
    let mut batch = Batch::new();
    batch.put(Family::Log, entry::key(2), three);
    disk.write(batch, true).expect("written");
    let error = log.try_get_log_entries(0..5).await.expect_err("refused");
    assert_eq!(error.to_string(), "log entry 2 holds the entry T1-N1.3");
}

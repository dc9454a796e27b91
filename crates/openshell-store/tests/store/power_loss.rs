//! Power is cut at every point of a workload. What was reported durable is found again, the
//! state is one that the log led to, and going on from there leads to the same state.

use std::sync::Arc;

use crate::support::{apply, blank, log_id, open_with, options, replayed, try_open, workload};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::{OpenError, Opened, Vote, WriterMode};

const ENTRIES: u64 = 60;

/// One node's work: appends by threes, applies a little behind, purges now and then. Returns
/// for each number of batches the index that was reported durable by then.
async fn work(disk: &SimulatedDisk) -> Vec<(usize, u64)> {
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    let mut durable = Vec::new();
    store.log.save_vote(&Vote::new_committed(1, 1)).await.expect("saved");
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    apply(&mut store.machine, [blank(1, 0)]).await.expect("applied");
    for from in (1..ENTRIES).step_by(3) {
        store.log.blocking_append(workload(from, 3)).await.expect("appended");
        durable.push((disk.written(), from + 2));
        apply(&mut store.machine, workload(from, 3)).await.expect("applied");
        store.log.save_committed(Some(log_id(1, 1, from + 2))).await.expect("saved");
        if from % 12 == 1 && from > 12 {
            store.log.purge(log_id(1, 1, from - 10)).await.expect("purged");
        }
    }
    durable
}

async fn reopened(disk: &SimulatedDisk) -> Opened {
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    let state = store.view.load();
    assert_eq!(state.digest(), replayed(state.revision()).digest(), "revision {}", state.revision());
    store
}

#[tokio::test]
async fn what_was_reported_durable_survives_and_the_state_is_one_the_log_led_to() {
    let disk = SimulatedDisk::new();
    let durable = work(&disk).await;
    for kept in 1..=disk.written() {
        let found = disk.image(kept);
        let mut store = reopened(&found).await;
        let promised = durable.iter().take_while(|(written, _)| *written <= kept).last().map_or(0, |(_, index)| *index);
        let last = store.log.last_log_id().map_or(0, |last| last.index);
        assert!(last >= promised, "{kept} batches kept: the log ends at {last}, {promised} was reported durable");
        let applied = store.machine.applied().map_or(0, |applied| applied.index);
        assert!(applied <= last, "{kept} batches kept: applied {applied} beyond the log's end {last}");
        // Going on from the log gives the state that was there before.
        let rest = store.log.try_get_log_entries(applied + 1..=last).await.expect("readable");
        apply(&mut store.machine, rest).await.expect("applied");
        assert_eq!(store.view.load().digest(), replayed(last).digest());
    }
}

#[tokio::test]
async fn losing_power_at_a_sync_keeps_exactly_what_was_synced() {
    let disk = SimulatedDisk::new();
    work(&disk).await;
    let (written, synced) = (disk.written(), disk.synced());
    assert!(synced < written, "the last applies are not synced");
    assert_eq!(disk.lose_power().dump(), disk.image(synced).dump());
}

#[tokio::test]
async fn a_disk_that_forgets_what_it_synced_is_refused() {
    let disk = SimulatedDisk::new();
    work(&disk).await;
    // The store was closed in order, so that the mark names the last synced batch.
    let lying = disk.lose_power_keeping(disk.written() / 2);
    let error = try_open(Arc::new(lying), options(1, WriterMode::Inline)).err().expect("refused");
    assert!(matches!(error, OpenError::LostWrites { .. }), "{error}");
    assert!(error.to_string().contains("join again under a new node id"), "{error}");
}

/// What the mark cannot notice: it is kept some batches (on a server: at most a second) after the
/// batch that it names. A disk that forgets those alone is believed; one that forgets more is not.
#[tokio::test]
async fn a_disk_that_forgets_no_more_than_the_mark_lags_is_believed() {
    let disk = SimulatedDisk::new();
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    for from in 1..100 {
        store.log.blocking_append(workload(from, 1)).await.expect("appended");
    }
    // As after a crash: the store is not closed, so the mark stays where it was.
    let mark = openshell_store::disk::Disk::mark(&disk).expect("read");
    let synced = disk.boundaries();
    assert!(0 < mark && mark < synced.len() as u64, "the mark {mark} lags behind {}", synced.len());
    let image = |kept| {
        let lying = disk.image(kept);
        openshell_store::disk::Disk::set_mark(&lying, mark).expect("kept");
        try_open(Arc::new(lying), options(1, WriterMode::Inline)).err()
    };
    for (count, kept) in (1..).zip(synced) {
        let error = image(kept);
        if count < mark {
            assert!(matches!(error, Some(OpenError::LostWrites { .. })), "{count} of {mark}: {error:?}");
        } else {
            assert!(error.is_none(), "{count} of {mark}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_vote_survives_once_it_was_saved() {
    let disk = SimulatedDisk::new();
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Thread);
    let vote = Vote::new(7, 3);
    store.log.save_vote(&vote).await.expect("saved");
    let found = open_with(Arc::new(disk.lose_power()), WriterMode::Thread);
    assert_eq!(found.log.vote(), Some(vote));
}

//! The change history: what is kept, where it begins, and that a reader who follows it misses
//! nothing, wherever the entries come from.

use std::sync::Arc;

use crate::support::{apply, blank, open_with, options, put_workspace, try_open, workload};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use openshell_proto::log::{HistoryEntry, change::Act};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::{History, Opened, Options, Page, PageLimit, Retention, WriterMode};

const PAGE: PageLimit = PageLimit { entries: 5, bytes: usize::MAX };

fn open(disk: &SimulatedDisk, retention: Retention) -> Opened {
    let options = Options { history: retention, ..options(1, WriterMode::Inline) };
    try_open(Arc::new(disk.clone()), options).expect("opened")
}

fn page(history: &History, after: u64, limit: PageLimit) -> Vec<Arc<HistoryEntry>> {
    match history.read_after(after, limit).expect("read") {
        Page::Entries(entries) => entries,
        Page::Gone { floor } => panic!("the history begins after {floor}"),
    }
}

fn revisions(entries: &[Arc<HistoryEntry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.revision).collect()
}

/// Everything after a revision, page by page.
fn follow(history: &History, mut after: u64) -> Vec<Arc<HistoryEntry>> {
    let mut all = Vec::new();
    loop {
        let entries = page(history, after, PAGE);
        let Some(last) = entries.last() else { return all };
        after = last.revision;
        all.extend(entries);
    }
}

#[tokio::test]
async fn the_history_keeps_the_newest_entries_and_says_where_it_begins() {
    let disk = SimulatedDisk::new();
    let retention = Retention { entries: 10, ..Retention::default() };
    let mut store = open(&disk, retention);
    apply(&mut store.machine, workload(1, 40)).await.expect("applied");
    for store in [store, open(&disk, retention)] {
        assert_eq!((store.history.len(), store.history.floor()), (10, 30));
        assert_eq!(store.history.read_after(29, PAGE).expect("read"), Page::Gone { floor: 30 });
        let entries = page(&store.history, 30, PAGE);
        assert_eq!(revisions(&entries), [31, 32, 33, 34, 35]);
        assert_eq!(entries[0].principal, "alice");
        assert_eq!(page(&store.history, 40, PAGE), []);
    }
}

#[tokio::test]
async fn bytes_and_age_bound_the_history_as_well() {
    let disk = SimulatedDisk::new();
    let mut store = open(&disk, Retention::default());
    apply(&mut store.machine, workload(1, 40)).await.expect("applied");
    let all = store.history.bytes();
    assert_eq!(store.history.floor(), 0);
    // The workload's stamps are a millisecond apart.
    for retention in
        [Retention { bytes: all / 4, ..Retention::default() }, Retention { age_ms: 9, ..Retention::default() }]
    {
        let disk = SimulatedDisk::new();
        let mut store = open(&disk, retention);
        apply(&mut store.machine, workload(1, 40)).await.expect("applied");
        let floor = store.history.floor();
        assert!((28..32).contains(&floor), "{retention:?}: {floor}");
        assert_eq!(revisions(&follow(&store.history, floor)), (floor + 1..=40).collect::<Vec<_>>());
        let again = open(&disk, retention).history;
        assert_eq!((again.floor(), again.len(), again.bytes()), (floor, store.history.len(), store.history.bytes()));
    }
}

#[tokio::test]
async fn a_reader_misses_nothing_whether_memory_or_the_disk_has_it() {
    let mut kept = Vec::new();
    for recent_bytes in [0, 900, usize::MAX] {
        let disk = SimulatedDisk::new();
        let retention = Retention { recent_bytes, ..Retention::default() };
        let mut store = open(&disk, retention);
        apply(&mut store.machine, workload(1, 20)).await.expect("applied");
        apply(&mut store.machine, [blank(1, 21)]).await.expect("applied");
        let mut store = open(&disk, retention);
        apply(&mut store.machine, workload(22, 20)).await.expect("applied");
        for after in 0..=41 {
            let expected: Vec<u64> = (after + 1..=41).filter(|revision| *revision != 21).collect();
            assert_eq!(revisions(&follow(&store.history, after)), expected, "with {recent_bytes} in memory");
        }
        kept.push(follow(&store.history, 0));
    }
    assert!(kept.windows(2).all(|pair| pair[0] == pair[1]), "memory and disk say the same");
}

#[tokio::test]
async fn an_entry_has_the_values_it_wrote_and_a_page_is_bounded_in_bytes() {
    let disk = SimulatedDisk::new();
    let mut store = open(&disk, Retention::default());
    apply(&mut store.machine, workload(1, 20)).await.expect("applied");
    for entry in follow(&store.history, 0) {
        for change in &entry.changes {
            assert_eq!(change.value.is_some(), change.act() != Act::Deleted, "at {}", entry.revision);
        }
    }
    let one = PageLimit { entries: usize::MAX, bytes: 1 };
    assert_eq!(revisions(&page(&store.history, 7, one)), [8]);
}

#[tokio::test]
async fn after_a_snapshot_the_history_begins_with_it_and_survives_a_restart() {
    let mut sender = open(&SimulatedDisk::new(), Retention::default());
    sender.identity.adopt_cluster_id("cluster-1").await.expect("adopted");
    apply(&mut sender.machine, workload(1, 50)).await.expect("applied");
    let mut builder = sender.machine.try_create_snapshot_builder(true).await.expect("a builder");
    let snapshot = builder.build_snapshot().await.expect("built");

    let disk = SimulatedDisk::new();
    let mut receiver = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    apply(&mut receiver.machine, workload(1, 20)).await.expect("applied");
    assert_eq!(revisions(&page(&receiver.history, 10, PAGE)), [11, 12, 13, 14, 15]);
    receiver.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.expect("installed");
    let next = crate::support::entry(1, 51, &put_workspace(51, "w"));
    apply(&mut receiver.machine, [next]).await.expect("applied");
    for history in [receiver.history, open_with(Arc::new(disk), WriterMode::Inline).history] {
        for gone in [0, 10, 20, 49] {
            assert_eq!(history.read_after(gone, PAGE).expect("read"), Page::Gone { floor: 50 }, "after {gone}");
        }
        assert_eq!(revisions(&page(&history, 50, PAGE)), [51]);
    }
}

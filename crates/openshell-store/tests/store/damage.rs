//! Whole node stores on real files, damaged in every way that a disk may: the node comes up with
//! everything that was reported synced, or refuses in a sentence; it is never silently short.
//! What RocksDB alone does is in `rocksdb.rs`; what the mark cannot notice in `power_loss.rs`.
#![expect(clippy::print_stdout, reason = "figures of the trials, and what to repeat them with")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::support::damage::{
    Kind, Random, copy_into, crashed_copy, files, first_seed, flip, length, newest, truncate, zero,
};
use crate::support::{apply, blank, log_id, options, replayed, try_open, workload};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::disk::{Batch, Disk, END, Family};
use openshell_store::{OpenError, Opened, Page, PageLimit, Vote, WriterMode};
use tempfile::TempDir;

/// Entries of the workload, all synced; the last three are applied without a sync.
const LAST: u64 = 90;
const CLUSTER: &str = "cluster-1";

fn open(directory: &Path) -> Result<Opened, OpenError> {
    try_open(Arc::new(RocksDisk::open(directory)?), options(1, WriterMode::Inline))
}

async fn work(store: &mut Opened, from: u64, to: u64) {
    for from in (from..=to).step_by(3) {
        store.log.blocking_append(workload(from, 3)).await.expect("appended");
        store.log.save_committed(Some(log_id(1, 1, from + 2))).await.expect("saved");
        apply(&mut store.machine, workload(from, 3)).await.expect("applied");
    }
}

/// Log, state, history, vote and marks of a node that ran twice: what it wrote in its first run is
/// in tables, what it wrote in its second in the write-ahead log. The mark is up to date.
async fn node() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path()).expect("opened");
    store.identity.adopt_cluster_id(CLUSTER).await.expect("adopted");
    store.log.save_vote(&Vote::new_committed(1, 1)).await.expect("saved");
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    apply(&mut store.machine, [blank(1, 0)]).await.expect("applied");
    work(&mut store, 1, 60).await;
    store.log.purge(log_id(1, 1, 20)).await.expect("purged");
    drop(store);
    let mut store = open(directory.path()).expect("opened again");
    work(&mut store, 61, 87).await;
    store.log.save_vote(&Vote::new(2, 3)).await.expect("saved");
    work(&mut store, 88, LAST).await;
    drop(store);
    assert!(!files(directory.path(), Kind::Sst).is_empty() && !files(directory.path(), Kind::Wal).is_empty());
    directory
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Everything,
    EverythingSynced,
    Refused,
    SilentlyShort,
}

fn revisions(store: &Opened) -> Result<Vec<u64>, String> {
    match store.history.read_after(store.history.floor(), PageLimit { entries: usize::MAX, bytes: usize::MAX }) {
        Ok(Page::Entries(entries)) => Ok(entries.iter().map(|entry| entry.revision).collect()),
        other => Err(format!("{other:?}")),
    }
}

/// Opens what is left, and judges it.
fn judge(directory: &Path) -> (Outcome, String) {
    let store = match open(directory) {
        Ok(store) => store,
        Err(error) => {
            let sentence = error.to_string();
            // The file, or which of the contents is not what it was.
            let place = directory.to_string_lossy();
            let named = [&*place, "synced writes", "manifest", "the stored", "log entry", "the state at revision"];
            assert!(named.iter().any(|name| sentence.contains(name)), "what is damaged? {sentence}");
            assert!(sentence.contains("join again under a new node id"), "what to do? {sentence}");
            return (Outcome::Refused, sentence);
        }
    };
    let state = store.view.load();
    let last = store.log.last_log_id().map_or(0, |last| last.index);
    let whole = state.digest() == replayed(state.revision()).digest();
    // One entry of the workload is one entry of the history.
    let history = revisions(&store) == Ok((store.history.floor() + 1..=state.revision()).collect());
    let vote = store.log.vote() == Some(Vote::new(2, 3));
    let told = format!("log to {last}, state of {}, vote {:?}", state.revision(), store.log.vote());
    let sound = whole && history && vote && store.identity.cluster_id() == CLUSTER && store.history.floor() == 0;
    match (sound && last == LAST, state.revision()) {
        (true, LAST) => (Outcome::Everything, told),
        (true, _) => (Outcome::EverythingSynced, told),
        (false, _) => (Outcome::SilentlyShort, told),
    }
}

/// One way of damaging one file.
type Damage = fn(&Path, &mut Random);

fn flip_one(path: &Path, random: &mut Random) {
    flip(path, random.below(length(path)), u32::try_from(random.below(8)).expect("small"));
}

fn cut(path: &Path, random: &mut Random) {
    truncate(path, random.below(length(path)));
}

fn zeroes(path: &Path, random: &mut Random) {
    zero(path, random.below(length(path)), 4096);
}

fn remove(path: &Path, _: &mut Random) {
    fs::remove_file(path).expect("removed");
}

const TRIALS: &[(Kind, &str, Damage, u64)] = &[
    (Kind::Wal, "one bit flipped", flip_one, 80),
    (Kind::Wal, "truncated", cut, 120),
    (Kind::Wal, "4 KiB zeroed", zeroes, 20),
    (Kind::Wal, "removed", remove, 1),
    (Kind::Sst, "one bit flipped", flip_one, 80),
    (Kind::Sst, "truncated", cut, 10),
    (Kind::Sst, "4 KiB zeroed", zeroes, 20),
    (Kind::Sst, "removed", remove, 5),
    (Kind::Manifest, "one bit flipped", flip_one, 120),
    (Kind::Manifest, "truncated", cut, 60),
    (Kind::Manifest, "removed", remove, 1),
    (Kind::Current, "one bit flipped", flip_one, 20),
    (Kind::Current, "truncated", cut, 5),
    (Kind::Current, "removed", remove, 1),
    (Kind::Options, "one bit flipped", flip_one, 5),
    (Kind::Mark, "one bit flipped", flip_one, 20),
    (Kind::Mark, "truncated", cut, 5),
    (Kind::Mark, "removed", remove, 1),
];

#[tokio::test]
async fn a_damaged_node_has_everything_that_was_synced_or_refuses_and_is_never_silently_short() {
    let base = node().await;
    assert_eq!(judge(crashed_copy(base.path()).path()).0, Outcome::Everything);
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    let mut table: BTreeMap<(Kind, &str), [u64; 4]> = BTreeMap::new();
    let mut short = Vec::new();
    for &(kind, name, damage, count) in TRIALS {
        for number in 0..count {
            let mut random = Random::new(seed.wrapping_add(number));
            let copy = crashed_copy(base.path());
            let file = random.pick(&files(copy.path(), kind)).clone();
            damage(&file, &mut random);
            let (outcome, told) = judge(copy.path());
            table.entry((kind, name)).or_default()[outcome as usize] += 1;
            if outcome == Outcome::SilentlyShort {
                short.push(format!("{kind:?} {name}, trial {number}, {}: {told}", file.display()));
            }
        }
    }
    println!("{:<28}{:>12}{:>18}{:>10}{:>16}", "fault", "everything", "all that synced", "refused", "silently short");
    for ((kind, name), [everything, synced, refused, short]) in table {
        println!("{:<28}{everything:>12}{synced:>18}{refused:>10}{short:>16}", format!("{kind:?} {name}"));
    }
    assert!(short.is_empty(), "{short:#?}");
}

#[tokio::test]
async fn a_write_ahead_log_cut_anywhere_below_the_mark_is_refused_and_above_it_opens() {
    let base = node().await;
    let log = newest(base.path(), Kind::Wal);
    let step = usize::try_from(length(&log) / 150).expect("a small file").max(1);
    let mut outcomes = Vec::new();
    for cut in (0..length(&log)).step_by(step) {
        let copy = crashed_copy(base.path());
        truncate(&newest(copy.path(), Kind::Wal), cut);
        let (outcome, told) = judge(copy.path());
        assert_ne!(outcome, Outcome::SilentlyShort, "cut at {cut}: {told}");
        outcomes.push(outcome);
    }
    // The last write was not synced: cutting it off is what a loss of power does.
    outcomes.dedup();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::EverythingSynced]);
}

/// As [`node`], but ended while its newest writes are in two write-ahead logs: a table of one family was
/// written in between, and the log before it is closed and still needed for the others.
async fn node_with_a_closed_log() -> TempDir {
    let directory = node().await;
    let disk = Arc::new(RocksDisk::open(directory.path()).expect("opened"));
    let shared: Arc<dyn Disk> = Arc::clone(&disk) as Arc<dyn Disk>;
    let mut store = try_open(shared, options(1, WriterMode::Inline)).expect("opened again");
    work(&mut store, LAST + 1, LAST + 30).await;
    // More than the family of marks keeps in memory; no zeros, which zeroing would not damage.
    for number in 1..=30_u8 {
        let mut filling = Batch::new();
        filling.put(Family::Meta, "filling", vec![number; 100 * 1024]);
        disk.write(filling, true).expect("written");
    }
    work(&mut store, LAST + 31, LAST + 60).await;
    drop((store, disk));
    // Closed before it is copied, so that no table is half written; what is in the logs stays there.
    assert!(files(directory.path(), Kind::Wal).len() >= 2, "a closed log and an open one");
    directory
}

#[tokio::test]
async fn a_closed_write_ahead_log_that_is_damaged_is_refused() {
    let base = node_with_a_closed_log().await;
    let opened = open(crashed_copy(base.path()).path()).expect("sound");
    assert_eq!(opened.view.load().revision(), LAST + 60);
    drop(opened);
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    for (name, damage, count) in [
        ("one bit flipped", flip_one as Damage, 25),
        ("truncated", cut, 25),
        ("4 KiB zeroed", zeroes, 10),
        ("removed", remove, 1),
    ] {
        for number in 0..count {
            let mut random = Random::new(seed.wrapping_add(number));
            let copy = crashed_copy(base.path());
            damage(&files(copy.path(), Kind::Wal)[0], &mut random);
            assert!(open(copy.path()).is_err(), "{name}, trial {number}: opened");
        }
    }
}

#[tokio::test]
async fn power_that_is_lost_after_a_table_was_written_leaves_what_was_synced_before_and_after_it() {
    let base = node_with_a_closed_log().await;
    let log = newest(base.path(), Kind::Wal);
    let mut opened = 0;
    for thousandths in (0..1000).step_by(20) {
        let copy = crashed_copy(base.path());
        truncate(&newest(copy.path(), Kind::Wal), length(&log) * thousandths / 1000);
        // The mark of then, not the one that was kept since.
        for mark in files(copy.path(), Kind::Mark) {
            fs::remove_file(mark).expect("removed");
        }
        let store = open(copy.path()).expect("an open log that ends early is what a loss of power leaves");
        let state = store.view.load();
        assert!(state.revision() >= LAST + 30, "what the closed log held: {}", state.revision());
        assert_eq!(state.digest(), replayed(state.revision()).digest());
        opened += 1;
    }
    assert_eq!(opened, 50);
}

#[tokio::test]
async fn a_database_that_is_swapped_for_an_older_copy_is_refused_unless_the_mark_goes_back_with_it() {
    let base = node().await;
    let older = crashed_copy(base.path());
    let mut store = open(base.path()).expect("opened again");
    work(&mut store, LAST + 1, LAST + 30).await;
    drop(store);
    let swap = |with_mark: bool| {
        let copy = crashed_copy(base.path());
        let (newer, older) = (copy.path().join("db"), older.path().join("db"));
        fs::remove_dir_all(&newer).expect("removed");
        copy_into(&older, &newer);
        if with_mark {
            fs::copy(older.with_file_name("high-water-mark"), newer.with_file_name("high-water-mark")).expect("copied");
        }
        copy
    };
    let Err(error) = open(swap(false).path()) else { panic!("an older copy is taken for the newest data") };
    assert!(matches!(error, OpenError::LostWrites { .. }), "{error}");
    // The limit that docs/operations.md states.
    let opened = open(swap(true).path()).expect("nothing tells it from what it was");
    assert_eq!(opened.view.load().revision(), LAST);
}

#[tokio::test]
async fn a_table_is_read_to_its_end_at_a_start_whatever_was_removed_of_it() {
    const ENTRIES: u64 = 900;
    const LEAST_BYTES: u64 = 8 * 1024;
    let base = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(base.path()).expect("opened");
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    apply(&mut store.machine, [blank(1, 0)]).await.expect("applied");
    work(&mut store, 1, ENTRIES).await;
    drop(store);
    // The entries are in a table now, and that they are gone will be in another.
    let mut store = open(base.path()).expect("opened again");
    store.log.purge(log_id(1, 1, ENTRIES - 10)).await.expect("purged");
    drop(store);
    drop(open(base.path()).expect("opened once more"));
    let tables = files(base.path(), Kind::Sst);
    let large: Vec<_> = tables.iter().filter(|table| length(table) >= LEAST_BYTES).collect();
    assert!(large.len() >= 2, "log and history fill tables: {tables:?}");
    let mut hidden = 0;
    for table in large {
        // What describes a table is at its end.
        for part in 0..6 {
            let copy = crashed_copy(base.path());
            let damaged = copy.path().join(table.strip_prefix(base.path()).expect("a table of the node"));
            flip(&damaged, length(table) * part / 8, 3);
            let disk = RocksDisk::open(copy.path()).expect("RocksDB reads no table to its end by itself");
            let is_read = |family| disk.scan(family, &[], &END, &mut |_, _| Ok(ControlFlow::Continue(()))).is_ok();
            hidden += u32::from(Family::ALL.into_iter().all(is_read));
            drop(disk);
            let (outcome, told) = judge(copy.path());
            assert_eq!(outcome, Outcome::Refused, "{}, part {part}: {told}", table.display());
        }
    }
    assert!(hidden > 0, "whoever reads what is there meets the damage, and the test shows nothing");
}

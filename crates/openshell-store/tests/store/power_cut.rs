//! Power is cut under RocksDB: its real files, with the write-ahead log ending at a random moment
//! at or after the last sync. The same claims as of the simulated disk in `power_loss.rs`.
#![expect(clippy::print_stdout, reason = "figures of the trials, and what to repeat them with")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::damage::{Kind, Random, crashed_copy, files, first_seed, length, newest, truncate};
use crate::support::{apply, blank, log_id, open_with, replayed, workload};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::disk::{Batch, Disk, Family, Visit};
use openshell_store::{Opened, Vote, WriterMode};

const MARK: &str = "high-water-mark";

/// What the files were after a write had returned.
struct Moment {
    log_bytes: u64,
    synced: bool,
    /// The file of the high-water mark, which is synced by itself.
    mark: Vec<u8>,
}

/// Passes everything on to RocksDB and notes how far its write-ahead log reached.
struct Noting {
    disk: RocksDisk,
    directory: PathBuf,
    log: PathBuf,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl Noting {
    fn mark_file(&self) -> Vec<u8> {
        fs::read(self.directory.join(MARK)).expect("the mark was kept by the first run")
    }
}

impl Disk for Noting {
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        self.disk.write(batch, sync)?;
        let moment = Moment { log_bytes: length(&self.log), synced: sync, mark: self.mark_file() };
        self.moments.lock().expect("a test's lock").push(moment);
        Ok(())
    }

    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.disk.get(family, key)
    }

    fn scan(&self, family: Family, from: &[u8], to: &[u8], visit: Visit<'_>) -> io::Result<()> {
        self.disk.scan(family, from, to, visit)
    }

    fn scan_all(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        self.disk.scan_all(family, visit)
    }

    fn mark(&self) -> io::Result<u64> {
        self.disk.mark()
    }

    fn verify(&self) -> io::Result<()> {
        self.disk.verify()
    }

    fn set_mark(&self, mark: u64) -> io::Result<()> {
        self.disk.set_mark(mark)?;
        if let Some(last) = self.moments.lock().expect("a test's lock").last_mut() {
            last.mark = self.mark_file();
        }
        Ok(())
    }
}

/// What was reported durable when there were so many moments.
struct Promise {
    moments: usize,
    last: u64,
    vote: Vote,
}

async fn run(store: &mut Opened, from: u64, to: u64, mut reported: impl FnMut(u64, Vote)) {
    let mut vote = store.log.vote().expect("a vote");
    for from in (from..=to).step_by(3) {
        store.log.blocking_append(workload(from, 3)).await.expect("appended");
        reported(from + 2, vote);
        apply(&mut store.machine, workload(from, 3)).await.expect("applied");
        store.log.save_committed(Some(log_id(1, 1, from + 2))).await.expect("saved");
        if from % 12 == 1 && from > 12 {
            store.log.purge(log_id(1, 1, from - 10)).await.expect("purged");
        }
        if from % 30 == 1 {
            vote = Vote::new(from, 2);
            store.log.save_vote(&vote).await.expect("saved");
            reported(from + 2, vote);
        }
    }
}

/// The directory as it was when the power went, after so many writes and so many bytes.
fn cut(directory: &Path, moment: &Moment, log_bytes: u64) -> tempfile::TempDir {
    let found = crashed_copy(directory);
    truncate(&newest(found.path(), Kind::Wal), log_bytes);
    fs::write(found.path().join(MARK), &moment.mark).expect("written");
    found
}

#[tokio::test]
async fn what_was_reported_durable_survives_a_power_cut_at_any_byte() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open_with(Arc::new(RocksDisk::open(directory.path()).expect("opened")), WriterMode::Inline);
    store.log.save_vote(&Vote::new_committed(1, 1)).await.expect("saved");
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    apply(&mut store.machine, [blank(1, 0)]).await.expect("applied");
    run(&mut store, 1, 60, |_, _| ()).await;
    drop(store);

    // The second run finds the first in tables and writes to a log of its own.
    let disk = RocksDisk::open(directory.path()).expect("opened");
    let log = directory.path().join("db");
    let log = fs::read_dir(log).expect("listed").map(|entry| entry.expect("listed").path());
    let log = log.filter(|path| Kind::of(path) == Some(Kind::Wal)).max().expect("a write-ahead log");
    let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let tables = files(directory.path(), Kind::Sst);
    let noting = Noting { disk, directory: directory.path().to_path_buf(), log, moments: Arc::clone(&moments) };
    let mut store = open_with(Arc::new(noting), WriterMode::Inline);
    let mut promises = Vec::new();
    let count = || moments.lock().expect("a test's lock").len();
    run(&mut store, 61, 240, |last, vote| promises.push(Promise { moments: count(), last, vote })).await;
    assert_eq!(files(directory.path(), Kind::Sst), tables, "no table was written meanwhile");

    let moments = std::mem::take(&mut *moments.lock().expect("a test's lock"));
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    let first = moments.iter().position(|moment| moment.synced).expect("something was synced");
    for trial in 0..80 {
        let mut random = Random::new(seed.wrapping_add(trial));
        let at = first + usize::try_from(random.below((moments.len() - first) as u64)).expect("small");
        let moment = &moments[at];
        let synced = moments[..=at].iter().rfind(|moment| moment.synced).expect("the first one");
        let bytes = synced.log_bytes + random.below(moment.log_bytes - synced.log_bytes + 1);
        let promise = promises.iter().rfind(|promise| promise.moments <= at + 1);
        let told = format!("trial {trial}, after write {at}, {bytes} bytes of the log");

        let found = cut(directory.path(), moment, bytes);
        let mut store = open_with(Arc::new(RocksDisk::open(found.path()).expect(&told)), WriterMode::Inline);
        let last = store.log.last_log_id().map_or(0, |last| last.index);
        let (promised, vote) = promise.map_or((60, Vote::new(31, 2)), |promise| (promise.last, promise.vote));
        assert!(last >= promised, "{told}: the log ends at {last}, {promised} was reported durable");
        assert!(store.log.vote() >= Some(vote), "{told}: the vote {:?} after {vote} was saved", store.log.vote());
        let state = store.view.load();
        assert_eq!(state.digest(), replayed(state.revision()).digest(), "{told}: revision {}", state.revision());
        assert!(state.revision() <= last, "{told}: applied {} beyond the log's end {last}", state.revision());
        // Going on from the log gives the state that was there before.
        let rest = store.log.try_get_log_entries(state.revision() + 1..=last).await.expect("readable");
        apply(&mut store.machine, rest).await.expect("applied");
        assert_eq!(store.view.load().digest(), replayed(last).digest(), "{told}");
    }
}

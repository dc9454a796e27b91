//! One store over each disk, the same random work and the same losses of power on both: what is found
//! afterwards is the same to the byte, and so is what follows. That is why what was tried over the
//! simulated disk says something about RocksDB.
#![expect(clippy::print_stdout, reason = "a trial that fails is repeated from what the test printed")]

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::damage::{Kind, Random, crashed_copy_of_an_open_one, first_seed, length, truncate};
use crate::support::{apply, delete_workspace, entry, open_with, put_workspace};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Batch, Disk, END, Family, Visit};
use openshell_store::{Entry, LogId, Opened, Vote, WriterMode};
use tempfile::TempDir;

const TRIALS: u64 = 12;
const STEPS: u64 = 120;

/// Passes everything on to RocksDB, and notes how far its write-ahead log reached after each write.
struct Noting {
    disk: RocksDisk,
    log: PathBuf,
    lengths: Arc<Mutex<Vec<u64>>>,
}

impl Disk for Noting {
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        self.disk.write(batch, sync)?;
        self.lengths.lock().expect("a test's lock").push(length(&self.log));
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
        self.disk.set_mark(mark)
    }
}

/// The store over RocksDB, and what is needed to cut its power.
struct Rocks {
    store: Option<Opened>,
    disk: Arc<Noting>,
    directory: TempDir,
    lengths: Arc<Mutex<Vec<u64>>>,
}

impl Rocks {
    fn open(directory: TempDir) -> Self {
        let disk = RocksDisk::open(directory.path()).expect("opened");
        let log = logs(directory.path()).max().expect("a write-ahead log");
        let lengths = Arc::new(Mutex::new(vec![length(&log)]));
        let disk = Arc::new(Noting { disk, log, lengths: Arc::clone(&lengths) });
        let store = open_with(Arc::clone(&disk) as Arc<dyn Disk>, WriterMode::Inline);
        Self { store: Some(store), disk, directory, lengths }
    }

    /// The directory as it is found when the power goes and the first so many writes of this life survive.
    fn lose_power(self, kept: usize) -> Self {
        let found = crashed_copy_of_an_open_one(self.directory.path());
        let bytes = self.lengths.lock().expect("a test's lock")[kept];
        let name = self.disk.log.file_name().expect("a file");
        truncate(&found.path().join("db").join(name), bytes);
        Self::open(found)
    }

    fn restart(mut self) -> Self {
        drop(self.store.take());
        let Self { disk, directory, .. } = self;
        drop(disk);
        Self::open(directory)
    }
}

fn logs(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(directory.join("db")).expect("listed").map(|entry| entry.expect("listed").path());
    paths.filter(|path| Kind::of(path) == Some(Kind::Wal))
}

/// Everything that is on a disk.
fn content(disk: &dyn Disk) -> Vec<(Family, Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    for family in Family::ALL {
        let mut visit = |key: &[u8], value: &[u8]| {
            rows.push((family, key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        };
        disk.scan(family, &[], &END, &mut visit).expect("readable");
    }
    rows
}

/// One step of a node's work.
#[derive(Clone, Debug)]
enum Work {
    Append(Vec<Entry>),
    Vote(Vote),
    Truncate(Option<LogId>),
    /// Applies the entries up to an index, and notes that they are committed.
    Apply(u64),
    Purge(LogId),
    /// Takes the node's own state as a snapshot of another.
    Install,
}

async fn carry_out(store: &mut Opened, work: &Work) {
    match work.clone() {
        Work::Append(entries) => store.log.blocking_append(entries).await.expect("appended"),
        Work::Vote(vote) => store.log.save_vote(&vote).await.expect("saved"),
        Work::Truncate(last) => store.log.truncate_after(last).await.expect("truncated"),
        Work::Apply(to) => {
            let from = store.machine.applied().map_or(1, |applied| applied.index + 1);
            let entries = store.log.try_get_log_entries(from..=to).await.expect("readable");
            let last = entries.last().map(|entry| entry.log_id);
            apply(&mut store.machine, entries).await.expect("applied");
            store.log.save_committed(last).await.expect("saved");
        }
        Work::Purge(upto) => store.log.purge(upto).await.expect("purged"),
        Work::Install => {
            let snapshot = store.machine.get_current_snapshot().await.expect("readable").expect("something is applied");
            store.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.expect("installed");
        }
    }
}

/// What a node might do next, from where it is.
async fn next(store: &mut Opened, random: &mut Random, term: &mut u64) -> Work {
    let last = store.log.last_log_id().map_or(0, |last| last.index);
    let applied = store.machine.applied();
    let done = applied.map_or(0, |applied| applied.index);
    let purged = store.log.get_log_state().await.expect("readable").last_purged_log_id.map_or(0, |id| id.index);
    match random.below(10) {
        0 => Work::Vote(Vote::new(*term + random.below(3), 1 + random.below(3))),
        1 if done < last => {
            *term += 1;
            let keep = done + random.below(last - done);
            let kept = store.log.try_get_log_entries(keep..=keep).await.expect("readable");
            match kept.first() {
                Some(kept) => Work::Truncate(Some(kept.log_id)),
                // It is purged, and the last one applied.
                None => Work::Truncate(applied),
            }
        }
        2 | 3 if done < last => Work::Apply(done + 1 + random.below(last - done)),
        4 if purged < done => {
            let upto = purged + 1 + random.below(done - purged);
            let entries = store.log.try_get_log_entries(upto..=upto).await.expect("readable");
            Work::Purge(entries.first().expect("an entry that is not purged").log_id)
        }
        5 if done > 0 && random.below(3) == 0 => Work::Install,
        _ => {
            let count = 1 + random.below(4);
            Work::Append((last + 1..=last + count).map(|index| made(*term, index)).collect())
        }
    }
}

/// An entry of some term: each has a number, and so a request id, of its own.
fn made(term: u64, index: u64) -> Entry {
    let (name, number) = (format!("w{}", index % 7), index * 1_000 + term);
    let command = if index % 5 == 4 { delete_workspace(number, &name) } else { put_workspace(number, &name) };
    entry(term, index, &command)
}

async fn seen(store: &mut Opened) -> impl PartialEq + std::fmt::Debug {
    let state = store.view.load();
    let entries = store.log.try_get_log_entries(0..).await.expect("readable");
    (
        (store.log.last_log_id(), store.log.vote(), store.log.read_committed().await.expect("readable")),
        (store.machine.applied(), state.revision(), state.digest(), store.history.len(), store.history.floor()),
        entries,
    )
}

#[tokio::test]
async fn the_same_work_and_the_same_losses_of_power_leave_both_disks_the_same() {
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    for trial in 0..TRIALS {
        let mut random = Random::new(seed.wrapping_add(trial));
        let (mut simulated, mut term) = (SimulatedDisk::new(), 1);
        let mut store = open_with(Arc::new(simulated.clone()), WriterMode::Inline);
        let mut rocks = Rocks::open(tempfile::tempdir().expect("a temporary directory"));
        // Of this life: a disk that was found begins to count anew.
        let mut cuts = 0;
        for step in 0..STEPS {
            let told = format!("trial {trial}, step {step}");
            match random.below(16) {
                0 => {
                    let (synced, written) = (simulated.synced(), simulated.written());
                    let kept = synced + usize::try_from(random.below((written - synced) as u64 + 1)).expect("small");
                    assert_eq!(rocks.lengths.lock().expect("a test's lock").len(), written + 1, "{told}: writes");
                    rocks = rocks.lose_power(kept);
                    simulated = simulated.lose_power_keeping(kept);
                    store = open_with(Arc::new(simulated.clone()), WriterMode::Inline);
                    cuts += 1;
                }
                1 => {
                    drop(store);
                    simulated = simulated.image(simulated.written());
                    store = open_with(Arc::new(simulated.clone()), WriterMode::Inline);
                    rocks = rocks.restart();
                }
                _ => {
                    let work = next(&mut store, &mut random, &mut term).await;
                    carry_out(&mut store, &work).await;
                    carry_out(rocks.store.as_mut().expect("open"), &work).await;
                }
            }
            assert_eq!(content(&*rocks.disk), content(&simulated), "{told}: on disk");
            let found = seen(rocks.store.as_mut().expect("open")).await;
            assert_eq!(found, seen(&mut store).await, "{told}: what the store says");
        }
        assert!(cuts > 0, "trial {trial} cut no power");
    }
}

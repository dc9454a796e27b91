//! Damage to the files of a database, done to a copy that looks as after a crash.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Numbers that a seed determines (SplitMix64): no more is asked of them than to differ.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to before `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(things.len() as u64)).expect("a small number");
        &things[at]
    }
}

/// Where a run of random trials begins: `STORE_TEST_SEED`, so that a failure can be repeated, or
/// a number that differs from run to run.
pub fn first_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let given = std::env::var("STORE_TEST_SEED").ok().map(|text| text.parse().expect("a number"));
    given.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish() >> 16)
}

/// What a file of the database is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Wal,
    Sst,
    Manifest,
    Current,
    Options,
    Mark,
}

impl Kind {
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        match name {
            "CURRENT" => Some(Kind::Current),
            "high-water-mark" => Some(Kind::Mark),
            _ if name.ends_with(".log") => Some(Kind::Wal),
            _ if name.ends_with(".sst") => Some(Kind::Sst),
            _ if name.starts_with("MANIFEST-") => Some(Kind::Manifest),
            _ if name.starts_with("OPTIONS-") => Some(Kind::Options),
            _ => None,
        }
    }
}

/// The files of one kind below a directory that are not empty, in the order of their names.
pub fn files(directory: &Path, kind: Kind) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                open.push(path);
            } else if Kind::of(&path) == Some(kind) && length(&path) > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The newest file of a kind: RocksDB numbers its files.
pub fn newest(directory: &Path, kind: Kind) -> PathBuf {
    files(directory, kind).pop().unwrap_or_else(|| panic!("there is no {kind:?} in {}", directory.display()))
}

pub fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// A copy of a directory as the end of the process would leave it.
pub fn crashed_copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary directory");
    copy_into(directory, copy.path());
    copy
}

/// The same while the database is open: again, until nothing was made or removed while it was copied.
pub fn crashed_copy_of_an_open_one(directory: &Path) -> tempfile::TempDir {
    let names = || {
        let entries = fs::read_dir(directory.join("db")).expect("listed");
        entries.map(|entry| entry.expect("listed").file_name()).collect::<BTreeSet<_>>()
    };
    for _ in 0..100 {
        let before = names();
        let copy = crashed_copy(directory);
        if names() == before {
            return copy;
        }
    }
    panic!("{} never stands still", directory.display());
}

/// Copies what is in a directory into another one, made when it is not there. What RocksDB removes meanwhile,
/// because it needs it no more, is left out.
pub fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), ErrorKind::NotFound, "copied: {error}");
        }
    }
}

/// Flips one bit.
pub fn flip(path: &Path, byte: u64, bit: u32) {
    let mut bytes = fs::read(path).expect("read");
    bytes[usize::try_from(byte).expect("a small file")] ^= 1 << bit;
    fs::write(path, bytes).expect("written");
}

/// Cuts a file off after some bytes.
pub fn truncate(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).expect("opened").set_len(length).expect("cut");
}

/// Overwrites a part with zeroes, as a file system may after a crash.
pub fn zero(path: &Path, from: u64, count: u64) {
    let mut bytes = fs::read(path).expect("read");
    let from = usize::try_from(from).expect("a small file");
    let to = (from + usize::try_from(count).expect("a small number")).min(bytes.len());
    bytes[from..to].fill(0);
    fs::write(path, bytes).expect("written");
}

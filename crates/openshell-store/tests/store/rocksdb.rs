//! What RocksDB, in the version and with the options that we use, does with damaged files. Each
//! row is a fact that the store above relies on, not a wish: where RocksDB notices nothing, the
//! row says so, and the high-water mark or a checksum of ours has to. An upgrade that changes a
//! row is noticed here.
#![expect(clippy::print_stdout, reason = "a trial that fails is repeated from what the test printed")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use crate::support::damage::{Kind, Random, crashed_copy, files, first_seed, flip, length, newest, truncate, zero};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::disk::{Batch, Disk, END, Family};
use rocksdb::{DB, DBRecoveryMode, IteratorMode, Options};
use tempfile::TempDir;

const COUNT: usize = 400;

/// What is found after some damage.
#[derive(Debug, PartialEq)]
enum Found {
    /// It does not open.
    Refused(String),
    /// It opens; a read fails.
    Unreadable(String),
    /// It opens with the first so many keys, and none after a gap.
    Prefix(usize),
    /// It opens with keys missing in between.
    Holes(usize),
}

use Found::{Prefix, Refused, Unreadable};

impl Found {
    fn is_noticed(&self) -> bool {
        matches!(self, Refused(_) | Unreadable(_))
    }
}

fn value(number: usize) -> Vec<u8> {
    let mut random = Random::new(number as u64);
    (0..100 + number % 200).map(|_| random.next() as u8).collect()
}

fn put(disk: &RocksDisk, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let mut batch = Batch::new();
        batch.put(Family::Log, (number as u64).to_be_bytes(), value(number));
        disk.write(batch, true).expect("written");
    }
}

/// Every key in the write-ahead log, none in a table, as the end of the process leaves it.
fn in_the_log() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = RocksDisk::open(directory.path()).expect("opened");
    put(&disk, 0..COUNT);
    crashed_copy(directory.path())
}

/// Every key in a table: RocksDB writes what it replays from a log into one.
fn in_a_table() -> TempDir {
    let directory = in_the_log();
    drop(RocksDisk::open(directory.path()).expect("opened"));
    directory
}

fn found(directory: &Path) -> Found {
    let disk = match RocksDisk::open(directory) {
        Ok(disk) => disk,
        Err(error) => return Refused(error.to_string()),
    };
    let mut numbers = Vec::new();
    let read = disk.scan(Family::Log, &[], &END, &mut |key, found| {
        let number = u64::from_be_bytes(key.try_into().expect("eight bytes")) as usize;
        assert_eq!(found, value(number), "key {number} has another value");
        numbers.push(number);
        Ok(ControlFlow::Continue(()))
    });
    match read {
        Err(error) => Unreadable(error.to_string()),
        Ok(()) if numbers.iter().copied().eq(0..numbers.len()) => Prefix(numbers.len()),
        Ok(()) => Found::Holes(numbers.len()),
    }
}

/// Does damage to a copy of a database and says what is found then.
fn after(base: &TempDir, kind: Kind, damage: impl FnOnce(&Path)) -> Found {
    let copy = crashed_copy(base.path());
    damage(&newest(copy.path(), kind));
    found(copy.path())
}

fn share(path: &Path, thousandths: u64) -> u64 {
    length(path) * thousandths / 1000
}

/// Flips `count` random bits in files of a kind, one in each trial.
fn flips(base: &TempDir, kind: Kind, count: u64) -> Vec<Found> {
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    let trial = |number| {
        let mut random = Random::new(seed.wrapping_add(number));
        after(base, kind, |path| {
            flip(path, random.below(length(path)), u32::try_from(random.below(8)).expect("small"));
        })
    };
    (0..count).map(trial).collect()
}

#[test]
fn without_damage_everything_is_there() {
    assert_eq!(found(in_the_log().path()), Prefix(COUNT));
    assert_eq!(found(in_a_table().path()), Prefix(COUNT));
}

/// Opens the bare database with one recovery mode and all other options as they come.
fn found_in_mode(directory: &Path, mode: DBRecoveryMode) -> Found {
    let mut options = Options::default();
    options.set_wal_recovery_mode(mode);
    let names = Family::ALL.map(Family::name);
    let database = match DB::open_cf(&options, directory.join("db"), names) {
        Ok(database) => database,
        Err(error) => return Refused(error.to_string()),
    };
    let family = database.cf_handle(Family::Log.name()).expect("opened");
    let mut numbers = Vec::new();
    for item in database.iterator_cf(family, IteratorMode::Start) {
        match item {
            Ok((key, _)) => numbers.push(u64::from_be_bytes((*key).try_into().expect("eight bytes")) as usize),
            Err(error) => return Unreadable(error.to_string()),
        }
    }
    match numbers.iter().copied().eq(0..numbers.len()) {
        true => Prefix(numbers.len()),
        false => Found::Holes(numbers.len()),
    }
}

/// One fault of the table: its name, and what does it to the log.
type Fault = (&'static str, fn(&Path));

/// What RocksDB makes of each fault, on the version that we build: why the log is opened in
/// the second mode and in no other. A letter for each mode: refused, short, holes, or nothing missing but
/// the torn record.
#[test]
fn only_one_recovery_mode_refuses_damage_and_forgives_a_torn_record() {
    let modes = [
        DBRecoveryMode::PointInTime,
        DBRecoveryMode::TolerateCorruptedTailRecords,
        DBRecoveryMode::AbsoluteConsistency,
        DBRecoveryMode::SkipAnyCorruptedRecord,
    ];
    let faults: [Fault; 7] = [
        ("one bit in the middle", |log| flip(log, share(log, 500), 3)),
        ("one bit in the last record", |log| flip(log, length(log) - 20, 3)),
        ("torn last record", |log| truncate(log, length(log) - 37)),
        // Within a record.
        ("cut in half", |log| truncate(log, share(log, 500) + 10)),
        ("4 KiB zeroed in the middle", |log| zero(log, share(log, 500), 4096)),
        ("4 KiB zeroed at the end", |log| zero(log, length(log) - 4096, 4096)),
        ("gone", |log| fs::remove_file(log).expect("removed")),
    ];
    let base = in_the_log();
    let table = faults.map(|(name, damage)| {
        let row = modes.map(|mode| {
            let copy = crashed_copy(base.path());
            damage(&newest(copy.path(), Kind::Wal));
            match found_in_mode(copy.path(), mode) {
                Refused(_) | Unreadable(_) => 'r',
                Prefix(count) if name == "torn last record" && count == COUNT - 1 => 't',
                Prefix(count) if count < COUNT => 's',
                Prefix(_) => '=',
                Found::Holes(_) => 'h',
            }
        });
        (name, String::from_iter(row))
    });
    let expected = [
        ("one bit in the middle", "srrh"),
        ("one bit in the last record", "srrs"),
        ("torn last record", "ttrt"),
        ("cut in half", "ssrs"),
        ("4 KiB zeroed in the middle", "srrh"),
        ("4 KiB zeroed at the end", "srrs"),
        ("gone", "ssss"),
    ];
    assert_eq!(table.each_ref().map(|(name, row)| (*name, row.as_str())), expected);
}

#[test]
fn a_flipped_bit_in_the_middle_of_the_log_is_refused() {
    assert!(matches!(after(&in_the_log(), Kind::Wal, |log| flip(log, share(log, 500), 3)), Refused(_)));
}

#[test]
fn a_flipped_bit_in_the_last_record_of_the_log_is_refused() {
    assert!(matches!(after(&in_the_log(), Kind::Wal, |log| flip(log, length(log) - 20, 3)), Refused(_)));
}

#[test]
fn every_flipped_bit_of_the_log_is_refused_unless_it_looks_like_a_torn_end() {
    let found = flips(&in_the_log(), Kind::Wal, 60);
    // A length that reaches beyond the end of the file is what a torn write leaves, too: what it takes with
    // it is for the high-water mark to notice.
    let torn = found.iter().filter(|found| matches!(found, Prefix(count) if *count < COUNT)).count();
    let refused = found.iter().filter(|found| matches!(found, Refused(_))).count();
    assert!(torn + refused == found.len() && torn <= 3, "{found:?}");
}

#[test]
fn a_log_that_rocksdb_would_read_for_ever_is_refused() {
    // The first record that has its kind in one bit: of the kind of a recycled file it has two.
    let flip_a_kind = |log: &Path| {
        let bytes = fs::read(log).expect("read");
        let second = 7 + usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        assert_eq!(bytes[second + 6], 1, "a whole record");
        flip(log, second as u64 + 6, 2);
    };
    let Refused(error) = after(&in_the_log(), Kind::Wal, flip_a_kind) else { panic!("it opens") };
    assert!(error.contains(".log: the record at byte"), "{error}");
    let copy = crashed_copy(in_the_log().path());
    flip_a_kind(&newest(copy.path(), Kind::Wal));
    assert!(RocksDisk::open_read_only(copy.path()).is_err(), "not even what is left can be read");
}

#[test]
fn a_torn_last_record_of_the_log_is_forgiven() {
    assert_eq!(after(&in_the_log(), Kind::Wal, |log| truncate(log, length(log) - 37)), Prefix(COUNT - 1));
}

/// Why there is a high-water mark.
#[test]
fn a_log_that_is_cut_in_half_is_not_noticed() {
    let found = after(&in_the_log(), Kind::Wal, |log| truncate(log, length(log) / 2));
    assert!(matches!(found, Prefix(count) if count < COUNT * 6 / 10), "{found:?}");
}

#[test]
fn zeroes_in_the_middle_of_the_log_are_refused() {
    assert!(matches!(after(&in_the_log(), Kind::Wal, |log| zero(log, length(log) / 2, 4096)), Refused(_)));
}

#[test]
fn zeroes_at_the_end_of_the_log_are_refused() {
    assert!(matches!(after(&in_the_log(), Kind::Wal, |log| zero(log, length(log) - 4096, 4096)), Refused(_)));
}

#[test]
fn rubbish_after_the_end_of_the_log_costs_nothing() {
    let found = after(&in_the_log(), Kind::Wal, |log| {
        let mut bytes = fs::read(log).expect("read");
        bytes.extend([b'Z'; 333]);
        fs::write(log, bytes).expect("written");
    });
    assert_eq!(found, Prefix(COUNT));
}

/// Why there is a high-water mark.
#[test]
fn a_log_that_is_gone_is_not_noticed() {
    let found = after(&in_the_log(), Kind::Wal, |log| fs::remove_file(log).expect("removed"));
    assert_eq!(found, Prefix(0));
}

#[test]
fn every_flipped_bit_of_a_table_is_noticed_or_harmless() {
    let found = flips(&in_a_table(), Kind::Sst, 60);
    assert!(found.iter().all(|found| found.is_noticed() || *found == Prefix(COUNT)), "{found:?}");
    assert!(found.iter().any(Found::is_noticed));
}

#[test]
fn a_table_that_is_cut_off_or_gone_is_refused() {
    let base = in_a_table();
    assert!(matches!(after(&base, Kind::Sst, |table| truncate(table, length(table) / 2)), Refused(_)));
    assert!(matches!(after(&base, Kind::Sst, |table| fs::remove_file(table).expect("removed")), Refused(_)));
}

/// RocksDB alone would open some as an empty database, and never return from others (11.8 reads a
/// record of unknown type again and again): the framing is checked before RocksDB sees the file.
#[test]
fn every_flipped_bit_of_the_manifest_is_noticed_unless_it_looks_like_a_torn_end() {
    let base = in_a_table();
    let manifest = newest(base.path(), Kind::Manifest);
    let seed = first_seed();
    println!("STORE_TEST_SEED={seed}");
    let mut refused = 0;
    for byte in 0..length(&manifest) {
        let bit = u32::try_from(Random::new(seed.wrapping_add(byte)).below(8)).expect("small");
        match after(&base, Kind::Manifest, |manifest| flip(manifest, byte, bit)) {
            Refused(_) => refused += 1,
            // A length that reaches beyond the end of the file is what a torn write leaves, too.
            Prefix(count) => println!("byte {byte} bit {bit}: {count} of {COUNT}, for the high-water mark to notice"),
            other => panic!("byte {byte} bit {bit}: {other:?}"),
        }
    }
    assert!(refused * 100 >= length(&manifest) * 95, "{refused} of {}", length(&manifest));
}

#[test]
fn a_manifest_that_is_cut_off_in_its_first_half_or_gone_is_refused() {
    let base = in_a_table();
    assert!(matches!(after(&base, Kind::Manifest, |manifest| truncate(manifest, length(manifest) / 2)), Refused(_)));
    assert!(matches!(after(&base, Kind::Manifest, |manifest| fs::remove_file(manifest).expect("removed")), Refused(_)));
}

#[test]
fn a_damaged_pointer_to_the_manifest_is_refused() {
    let base = in_a_table();
    assert!(matches!(after(&base, Kind::Current, |current| flip(current, 12, 1)), Refused(_)));
    assert!(matches!(after(&base, Kind::Current, |current| truncate(current, 5)), Refused(_)));
    assert!(matches!(after(&base, Kind::Current, |current| fs::remove_file(current).expect("removed")), Refused(_)));
}

#[test]
fn the_file_of_options_does_not_matter() {
    let base = in_a_table();
    assert_eq!(after(&base, Kind::Options, |options| flip(options, 200, 1)), Prefix(COUNT));
    assert_eq!(after(&base, Kind::Options, |options| truncate(options, 100)), Prefix(COUNT));
    assert!(!files(base.path(), Kind::Options).is_empty());
}

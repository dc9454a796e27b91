//! What every disk has to do, checked on each, and both compared on random steps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::simulated::SimulatedDisk;
use super::*;

const RECORDS: Family = Family::Records(Half::First);
const FENCES: Family = Family::Fences(Half::First);

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows(disk: &dyn Disk, family: Family, from: &[u8], to: &[u8]) -> Rows {
    visited(|visit| disk.scan(family, from, to, visit))
}

/// All rows of a family, which a start reads in its own way.
fn all_rows(disk: &dyn Disk, family: Family) -> Rows {
    let all = visited(|visit| disk.scan_all(family, visit));
    assert_eq!(all, rows(disk, family, &[], &END));
    all
}

fn visited(scan: impl FnOnce(Visit<'_>) -> io::Result<()>) -> Rows {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(ControlFlow::Continue(()))
    };
    scan(&mut visit).expect("the disk is readable");
    rows
}

fn row(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}

/// The conformance suite.
fn conforms(disk: &dyn Disk) {
    let mut batch = Batch::new();
    for (key, value) in [("b", "2"), ("a", "1"), ("d", "4"), ("c", "3")] {
        batch.put(RECORDS, key, value);
    }
    batch.put(FENCES, "b", "other");
    disk.write(batch, true).expect("written");
    assert_eq!(disk.get(RECORDS, b"b").expect("read"), Some(b"2".to_vec()));
    assert_eq!(disk.get(RECORDS, b"x").expect("read"), None);
    assert_eq!(rows(disk, RECORDS, b"b", b"d"), [row("b", "2"), row("c", "3")]);
    assert_eq!(rows(disk, RECORDS, b"d", b"b"), []);
    assert_eq!(all_rows(disk, RECORDS).len(), 4);

    // Steps of a batch take effect in order; a range leaves its end and other families alone.
    let mut batch = Batch::new();
    batch.delete_range(RECORDS, "a", "c");
    batch.put(RECORDS, "b", "5");
    batch.delete(RECORDS, "d");
    batch.delete(RECORDS, "never there");
    batch.delete_range(RECORDS, "z", "a");
    disk.write(batch, false).expect("written");
    assert_eq!(all_rows(disk, RECORDS), [row("b", "5"), row("c", "3")]);
    assert_eq!(all_rows(disk, FENCES), [row("b", "other")]);

    let mut batch = Batch::new();
    batch.clear(RECORDS);
    batch.put(RECORDS, [0xfe; 20], "high");
    disk.write(batch, true).expect("written");
    assert_eq!(all_rows(disk, RECORDS), [(vec![0xfe; 20], b"high".to_vec())]);
    disk.write(Batch::new(), true).expect("an empty batch may be synced");

    let mut visited = 0;
    let stop = disk.scan(FENCES, &[], &END, &mut |_, _| {
        visited += 1;
        Err(io::Error::other("the visitor's own"))
    });
    assert_eq!((visited, stop.expect_err("passed on").to_string()), (1, "the visitor's own".to_owned()));

    assert_eq!(disk.mark().expect("read"), 0);
    disk.set_mark(7).expect("kept");
    disk.set_mark(8).expect("kept");
    assert_eq!(disk.mark().expect("read"), 8);
}

#[test]
fn the_simulated_disk_conforms() {
    conforms(&SimulatedDisk::new());
}

#[test]
fn power_loss_keeps_what_was_synced_and_nothing_else() {
    let disk = SimulatedDisk::new();
    let put = |key: &str, sync| {
        let mut batch = Batch::new();
        batch.put(Family::Log, key, "v");
        disk.write(batch, sync)
    };
    for (key, sync) in [("a", false), ("b", true), ("c", false)] {
        put(key, sync).expect("written");
    }
    assert_eq!((disk.written(), disk.synced(), disk.boundaries()), (3, 2, vec![2]));
    let lying = disk.image(1);
    let lawful = disk.image(3);
    let found = disk.lose_power();
    assert_eq!(put("d", true).expect_err("refused").to_string(), "the power is off");
    assert_eq!(rows(&found, Family::Log, &[], &END), [row("a", "v"), row("b", "v")]);
    assert_eq!(rows(&lying, Family::Log, &[], &END), [row("a", "v")]);
    assert_eq!(rows(&lawful, Family::Log, &[], &END).len(), 3);
}

#[test]
fn folding_forgets_batches_but_no_content() {
    let disk = SimulatedDisk::new();
    for number in 0..4_u8 {
        let mut batch = Batch::new();
        batch.put(Family::Meta, [number], [number]);
        disk.write(batch, number != 3).expect("written");
    }
    disk.fold();
    assert_eq!((disk.written(), disk.synced()), (1, 0));
    assert_eq!(disk.lose_power().dump().len(), 3);
}

/// One step of the differential test, over few keys so that steps meet.
fn step() -> impl Strategy<Value = Step> {
    let family = prop::sample::select(Family::ALL.to_vec());
    let key = || prop::collection::vec(0..4_u8, 0..3).prop_map(|tail| [b"k".as_slice(), &tail].concat());
    prop_oneof![
        4 => (family.clone(), key(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(f, k, v)| Step::Put(f, k, v)),
        1 => (family.clone(), key()).prop_map(|(f, k)| Step::Delete(f, k)),
        1 => (family, key(), key()).prop_map(|(f, a, b)| Step::DeleteRange(f, a, b)),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(), 1..8), 1..12)
}

fn batch_of(steps: &[Step]) -> Batch {
    let mut batch = Batch::new();
    for step in steps.iter().cloned() {
        batch.push(step);
    }
    batch
}

/// What batches mean, without a disk: one map, step by step.
fn model(batches: &[Vec<Step>]) -> BTreeMap<(Family, Vec<u8>), Vec<u8>> {
    let mut model = BTreeMap::new();
    for step in batches.iter().flatten() {
        match step {
            Step::Put(family, key, value) => drop(model.insert((*family, key.clone()), value.clone())),
            Step::Delete(family, key) => drop(model.remove(&(*family, key.clone()))),
            Step::DeleteRange(family, from, to) => {
                model.retain(|(of, key), _| of != family || key < from || key >= to);
            }
        }
    }
    model
}

fn content(disk: &dyn Disk) -> BTreeMap<(Family, Vec<u8>), Vec<u8>> {
    let of = |family| all_rows(disk, family).into_iter().map(move |(key, value)| ((family, key), value));
    Family::ALL.into_iter().flat_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_power_loss_leaves_a_prefix_of_batches(batches in batches(), kept in 0..12_usize) {
        let disk = SimulatedDisk::new();
        for steps in &batches {
            disk.write(batch_of(steps), false).expect("written");
        }
        let kept = kept.min(batches.len());
        prop_assert_eq!(content(&disk.image(kept)), model(&batches[..kept]));
        prop_assert_eq!(content(&disk), model(&batches));
    }
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use super::super::rocks::RocksDisk;
    use super::*;

    #[test]
    fn rocksdb_conforms_and_keeps_everything_over_a_restart() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        conforms(&RocksDisk::open(directory.path()).expect("opened"));
        let disk = RocksDisk::open(directory.path()).expect("opened again");
        assert_eq!(all_rows(&disk, RECORDS).len(), 1);
        assert_eq!(disk.mark().expect("read"), 8);
    }

    #[test]
    fn a_start_reads_all_rows_of_tables_that_are_larger_than_the_pieces_it_reads_in() {
        const ROWS: u32 = 3_000;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RocksDisk::open(directory.path()).expect("opened");
        for number in 0..ROWS {
            let mut batch = Batch::new();
            // What a table cannot make smaller.
            let mut value = vec![0; 1_024];
            for (index, chunk) in (0_u32..).zip(value.chunks_exact_mut(4)) {
                chunk.copy_from_slice(&crc32c::crc32c(&[number, index].map(u32::to_be_bytes).concat()).to_be_bytes());
            }
            batch.put(Family::History, number.to_be_bytes(), value);
            disk.write(batch, false).expect("written");
        }
        drop(disk);
        // What was in the write-ahead log is in a table from now on.
        let disk = RocksDisk::open(directory.path()).expect("opened again");
        let tables = std::fs::read_dir(directory.path().join("db")).expect("listed").map(|file| file.expect("listed"));
        let largest = tables.filter(|file| file.path().extension().is_some_and(|end| end == "sst"));
        let largest = largest.map(|file| file.metadata().expect("read").len()).max().expect("there is a table");
        assert!(largest > 2 * 1_024 * 1_024, "{largest} bytes");
        assert_eq!(all_rows(&disk, Family::History).len(), usize::try_from(ROWS).expect("few"));
    }

    #[test]
    fn a_damaged_mark_is_an_error_and_not_a_zero() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RocksDisk::open(directory.path()).expect("opened");
        disk.set_mark(3).expect("kept");
        let path = directory.path().join("high-water-mark");
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[7] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        assert!(disk.mark().expect_err("refused").to_string().contains("checksum"));
    }

    #[test]
    fn a_second_process_cannot_open_the_same_directory() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let _first = RocksDisk::open(directory.path()).expect("opened");
        assert!(RocksDisk::open(directory.path()).is_err());
    }

    /// The write-ahead log of a database that was not closed in order.
    fn crashed_copy(disk: &std::path::Path) -> (tempfile::TempDir, std::path::PathBuf) {
        let copy = tempfile::tempdir().expect("a temporary directory");
        let target = copy.path().join("db");
        std::fs::create_dir(&target).expect("made");
        let mut log = None;
        for file in std::fs::read_dir(disk.join("db")).expect("listed") {
            let file = file.expect("listed");
            let name = file.file_name().into_string().expect("a name in text");
            let to = target.join(&name);
            std::fs::copy(file.path(), &to).expect("copied");
            let length = file.metadata().expect("read").len();
            if name.ends_with(".log") && length > 0 {
                log = Some(to);
            }
        }
        (copy, log.expect("there is a write-ahead log"))
    }

    fn filled() -> (tempfile::TempDir, RocksDisk) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RocksDisk::open(directory.path()).expect("opened");
        for number in 0..20_u8 {
            let mut batch = Batch::new();
            batch.put(Family::Log, [number], vec![number; 100]);
            disk.write(batch, true).expect("written");
        }
        (directory, disk)
    }

    #[test]
    fn a_torn_tail_of_the_write_ahead_log_is_forgiven_and_leaves_a_prefix() {
        let (directory, disk) = filled();
        let whole = content(&disk);
        for cut in [1, 50, 150, 400, 1000] {
            let (copy, log) = crashed_copy(directory.path());
            let length = std::fs::metadata(&log).expect("read").len();
            let file = std::fs::OpenOptions::new().write(true).open(&log).expect("opened");
            file.set_len(length - cut).expect("cut");
            let found = content(&RocksDisk::open(copy.path()).expect("a torn tail is ordinary"));
            assert!(!found.is_empty() && found.len() < whole.len(), "cut {cut}: {} rows", found.len());
            assert!(whole.iter().zip(&found).all(|(one, other)| one == other), "cut {cut} leaves no prefix");
        }
    }

    #[test]
    fn damage_in_the_middle_of_the_write_ahead_log_is_refused() {
        let (directory, _disk) = filled();
        let (copy, log) = crashed_copy(directory.path());
        let mut bytes = std::fs::read(&log).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        std::fs::write(&log, bytes).expect("written");
        assert!(RocksDisk::open(copy.path()).is_err(), "acknowledged writes behind the damage would be lost");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn both_disks_hold_the_same_after_the_same_batches(batches in batches()) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let simulated = SimulatedDisk::new();
            let rocks = RocksDisk::open(directory.path()).expect("opened");
            for steps in &batches {
                simulated.write(batch_of(steps), true).expect("written");
                rocks.write(batch_of(steps), false).expect("written");
                prop_assert_eq!(content(&rocks), content(&simulated));
            }
            prop_assert_eq!(content(&rocks), model(&batches));
            drop(rocks);
            prop_assert_eq!(content(&RocksDisk::open(directory.path()).expect("opened")), content(&simulated));
        }

        #[test]
        fn both_disks_hold_the_same_after_a_power_loss_at_any_batch(batches in batches(), kept in 0..12_usize) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let simulated = SimulatedDisk::new();
            let rocks = RocksDisk::open(directory.path()).expect("opened");
            let mut lengths = vec![0];
            for steps in &batches {
                simulated.write(batch_of(steps), false).expect("written");
                rocks.write(batch_of(steps), true).expect("written");
                let (_copy, log) = crashed_copy(directory.path());
                lengths.push(std::fs::metadata(log).expect("read").len());
            }
            let kept = kept.min(batches.len());
            let (copy, log) = crashed_copy(directory.path());
            let file = std::fs::OpenOptions::new().write(true).open(log).expect("opened");
            file.set_len(lengths[kept]).expect("cut");
            let found = RocksDisk::open(copy.path()).expect("opened");
            prop_assert_eq!(content(&found), content(&simulated.image(kept)));
        }
    }
}

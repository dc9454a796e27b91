//! Opening: whose data it is, and what is refused in which words.

use std::sync::Arc;

use crate::support::{Recorder, apply, expected, open_with, options, try_open, workload};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Batch, Disk, Family, Half};
use openshell_store::{Expected, OpenError, Options, WriterMode};

fn refusal(disk: &SimulatedDisk, change: impl FnOnce(&mut Expected)) -> String {
    let mut options = options(1, WriterMode::Inline);
    change(&mut options.expected);
    match try_open(Arc::new(disk.clone()), options) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it must be refused"),
    }
}

#[tokio::test]
async fn data_of_another_node_cluster_or_key_is_refused_in_one_sentence() {
    let disk = SimulatedDisk::new();
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.identity.adopt_cluster_id("c1").await.expect("adopted");
    drop(store);
    let node = refusal(&disk, |expected| expected.node_id = 2);
    assert_eq!(node, "the data directory belongs to node 1, but --node-id is 2; give the node its own directory");
    assert!(
        refusal(&disk, |expected| expected.initial_cluster = Some([9; 32])).starts_with("--initial-cluster is not")
    );
    assert!(refusal(&disk, |expected| expected.secrets_key = [9; 32]).starts_with("--secrets-key-file does not hold"));
    // No initial cluster given: none is compared.
    let none = Expected { initial_cluster: None, ..expected(1) };
    let options = Options { expected: none, ..options(1, WriterMode::Inline) };
    assert!(try_open(Arc::new(disk), options).is_ok());
}

#[tokio::test]
async fn data_that_nobody_relies_on_takes_another_identity_until_it_has_promised() {
    let disk = SimulatedDisk::new();
    drop(open_with(Arc::new(disk.clone()), WriterMode::Inline));
    let mistaken = Expected { node_id: 2, initial_cluster: Some([9; 32]), secrets_key: [9; 32] };
    let options = Options { expected: mistaken, ..options(1, WriterMode::Inline) };
    let store = try_open(Arc::new(disk.clone()), options.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!store.identity.is_promised());
    store.identity.promise().await.expect("promised");
    store.identity.promise().await.expect("said again");
    drop(store);
    let disk = disk.lose_power();
    assert!(refusal(&disk, |_| ()).starts_with("the data directory belongs to node 2"));
    let store = try_open(Arc::new(disk), options).unwrap_or_else(|error| panic!("{error}"));
    assert!(store.identity.is_promised(), "a promise survives a power loss");
    assert_eq!(store.identity.cluster_id(), "");
}

#[tokio::test]
async fn a_format_version_that_is_not_known_is_refused() {
    let disk = SimulatedDisk::new();
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.identity.adopt_cluster_id("c1").await.expect("adopted");
    drop(store);
    // Wrapped as every value of its kind: format, checksum, content.
    let version = 99_u32.to_be_bytes();
    let wrapped = [&[1][..], &crc32c::crc32c(&version).to_le_bytes(), &version].concat();
    let mut batch = Batch::new();
    batch.put(Family::Meta, "format", wrapped);
    disk.write(batch, true).expect("written");
    assert!(refusal(&disk, |_| ()).starts_with("the data has format version 99, this build reads 1"));
}

#[tokio::test]
async fn a_cluster_id_is_adopted_once_and_survives_a_power_loss() {
    let disk = SimulatedDisk::new();
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    assert_eq!(store.identity.cluster_id(), "");
    store.identity.adopt_cluster_id("c1").await.expect("adopted");
    store.identity.adopt_cluster_id("c1").await.expect("said again");
    let error = store.identity.adopt_cluster_id("c2").await.expect_err("refused");
    assert_eq!(error.to_string(), "the data directory belongs to cluster c1; it cannot join cluster c2");
    assert!(store.identity.adopt_cluster_id("").await.is_err());
    let found = open_with(Arc::new(disk.lose_power()), WriterMode::Inline);
    assert_eq!((found.identity.cluster_id(), found.identity.node_id()), ("c1".to_owned(), 1));
}

#[tokio::test]
async fn data_without_a_format_version_is_refused() {
    let disk = SimulatedDisk::new();
    let mut batch = Batch::new();
    batch.put(Family::Log, "x", "y");
    disk.write(batch, true).expect("written");
    assert!(refusal(&disk, |_| ()).contains("no format version"));
}

#[tokio::test]
async fn every_damaged_byte_of_the_stored_state_is_refused() {
    let disk = SimulatedDisk::new();
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    apply(&mut store.machine, workload(1, 12)).await.expect("applied");
    drop(store);
    let mut damaged = 0;
    for (family, key, value) in disk.dump() {
        if !matches!(family, Family::Records(_) | Family::Fences(_) | Family::Requests(_)) {
            continue;
        }
        for byte in 0..value.len() {
            disk.flip_bit(family, &key, byte, 2);
            let result = try_open(Arc::new(disk.clone()), options(1, WriterMode::Inline));
            assert!(result.is_err(), "{family:?} byte {byte}");
            disk.flip_bit(family, &key, byte, 2);
            damaged += 1;
        }
    }
    assert!(damaged > 100, "only {damaged} bytes were tried");
    assert!(try_open(Arc::new(disk), options(1, WriterMode::Inline)).is_ok());
}

#[tokio::test]
async fn what_can_be_read_and_means_nothing_in_a_state_is_refused() {
    let disk = SimulatedDisk::new();
    drop(open_with(Arc::new(disk.clone()), WriterMode::Inline));
    let mut batch = Batch::new();
    // A remembered request of which nothing is set, the id neither.
    batch.put(Family::Requests(Half::First), "no id", "");
    disk.write(batch, true).expect("written");
    let error = try_open(Arc::new(disk), options(1, WriterMode::Inline)).err().expect("refused");
    assert!(matches!(error, OpenError::State(_)), "{error}");
}

#[tokio::test]
async fn a_fault_is_told_to_the_hook_and_stops_every_later_write() {
    let disk = SimulatedDisk::new();
    let recorder = Recorder::default();
    let options = Options { on_fault: recorder.hook(), ..options(1, WriterMode::Inline) };
    let mut store = try_open(Arc::new(disk.clone()), options).expect("opened");
    disk.fail("input/output error");
    assert!(apply(&mut store.machine, workload(1, 3)).await.is_err());
    assert!(store.identity.adopt_cluster_id("c").await.is_err());
    assert_eq!(recorder.told()[0], "a write to the log database failed: input/output error");
    assert_eq!(store.view.load().revision(), 0, "nothing is published that was not handed on");
}

#[test]
fn every_refusal_says_what_to_do() {
    let damaged = OpenError::Damaged { what: "log entry 3".into() }.to_string();
    assert!(damaged.contains("log entry 3") && damaged.contains("join again under a new node id"), "{damaged}");
    let format = OpenError::Format { found: 2, known: 1 }.to_string();
    assert!(format.contains("format version 2") && format.contains("start the release that wrote it"), "{format}");
}

//! Exports of a stopped node, and what is made of them: the same records in the next epoch, or
//! nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{BEGIN_MS, apply, blank, entry, expected, log_id, open_with, options, try_open, workload};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_proto::log::{self, Command, Origin, command};
use openshell_state::{Draft, Key};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::{Divergence, OpenError, WriterMode, export, offline};

const CLUSTER: &str = "cluster-1";
const APPLIED: u64 = 20;
const LAST: u64 = 31;

/// The entry that makes the cluster's record.
fn formation() -> Command {
    let record = log::Cluster {
        cluster_id: CLUSTER.into(),
        epoch: 4,
        feature_level: 1,
        removed_nodes: vec![7],
        ..log::Cluster::default()
    };
    let mut draft = Draft::new();
    draft.put(&Key::cluster(), &record);
    let origin = Origin { time_ms: BEGIN_MS, principal: "cluster".into(), ..Origin::default() };
    Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) }
}

/// A stopped node's disk. Its state is behind its log.
async fn stopped() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.identity.adopt_cluster_id(CLUSTER).await.expect("adopted");
    let entries: Vec<_> = [blank(1, 0), entry(1, 1, &formation())].into_iter().chain(workload(2, LAST - 1)).collect();
    store.log.blocking_append(entries.clone()).await.expect("appended");
    store.log.save_committed(Some(log_id(1, 1, APPLIED - 5))).await.expect("saved");
    let applied = entries.into_iter().take_while(|entry| entry.log_id.index <= APPLIED);
    apply(&mut store.machine, applied).await.expect("applied");
    disk
}

async fn exported() -> Vec<u8> {
    let disk = stopped().await;
    let mut bytes = Vec::new();
    export::write(&offline::read(&disk).expect("readable"), &mut bytes).expect("written");
    bytes
}

fn members() -> BTreeMap<u64, String> {
    (1..=3).map(|node| (node, format!("127.0.0.1:{node}"))).collect()
}

#[tokio::test]
async fn an_export_holds_the_whole_log_and_says_what_was_not_known_to_be_committed() {
    let disk = stopped().await;
    let (written, before) = (disk.written(), disk.dump());
    let stopped = offline::read(&disk).expect("readable");
    assert_eq!(stopped.data.state().revision(), LAST);
    assert_eq!(stopped.doubtful, LAST - APPLIED);
    assert_eq!((stopped.owner.node_id, stopped.data.cluster_id()), (1, CLUSTER));
    assert_eq!((disk.written(), disk.dump()), (written, before), "the store is as it was");
    assert!(matches!(offline::read(&SimulatedDisk::new()), Err(OpenError::Empty)));
}

#[tokio::test]
async fn a_restored_node_has_the_same_records_in_the_next_epoch_and_no_cluster_yet() {
    let bytes = exported().await;
    let source = offline::read(&stopped().await).expect("readable");
    let disk = SimulatedDisk::new();
    let export = export::read(&mut bytes.as_slice()).expect("sound");
    let (digest, sha256) = (export.records_digest.clone(), export.sha256);
    offline::restore(&disk, export, &expected(1), &members(), None).expect("restored");
    let mut store = try_open(Arc::new(disk.clone()), options(1, WriterMode::Inline)).expect("opens");
    let state = store.view.load();
    assert_eq!(state.records_digest().to_string(), digest);
    assert_eq!(state.records_digest(), source.data.state().records_digest());
    assert_ne!(state.digest(), source.data.state().digest(), "the epoch is part of the state's own digest");
    assert_eq!((state.epoch(), state.revision(), state.is_formed()), (5, LAST, false));
    assert!(state.cluster().expect("a record").value.removed_nodes.is_empty(), "ids belong to a cluster");
    assert_eq!(store.identity.cluster_id(), "");
    let origin = store.identity.restored_from().expect("it was restored");
    assert_ne!(origin, sha256, "the epoch is part of where it comes from");
    assert_eq!(store.history.floor(), LAST);
    let log = store.log.get_log_state().await.expect("readable");
    assert_eq!(log.last_purged_log_id, log.last_log_id);
    assert_eq!(log.last_log_id.expect("a log id").index, LAST);
    // What is there is not overwritten.
    let again = export::read(&mut bytes.as_slice()).expect("sound");
    assert!(matches!(offline::restore(&disk, again, &expected(1), &members(), None), Err(OpenError::NotEmpty)));
}

#[tokio::test]
async fn a_damaged_export_is_refused_wherever_the_damage_is() {
    let bytes = exported().await;
    assert!(export::read(&mut bytes.as_slice()).is_ok());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(export::read(&mut damaged.as_slice()).is_err(), "a bit of byte {at} of {}", bytes.len());
        assert!(export::read(&mut &bytes[..at]).is_err(), "cut off at byte {at} of {}", bytes.len());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(export::read(&mut longer.as_slice()).is_err(), "something after the end");
}

#[tokio::test]
async fn a_restore_that_is_cut_off_is_opened_by_nobody() {
    let bytes = exported().await;
    let disk = SimulatedDisk::new();
    let restore = |disk: &SimulatedDisk| {
        let export = export::read(&mut bytes.as_slice()).expect("sound");
        offline::restore(disk, export, &expected(1), &members(), None)
    };
    restore(&disk).expect("restored");
    assert!(disk.written() >= 3, "the mark, pieces, and what makes them a node's");
    for kept in 1..disk.written() {
        let cut = disk.image(kept);
        let Err(error) = try_open(Arc::new(cut.clone()), options(1, WriterMode::Inline)) else {
            panic!("opened after {kept} batches")
        };
        assert!(matches!(error, OpenError::Restoring), "{kept} batches: {error}");
        assert!(matches!(offline::read(&cut), Err(OpenError::Restoring)));
        assert!(matches!(restore(&cut), Err(OpenError::NotEmpty)));
    }
    try_open(Arc::new(disk.image(disk.written())), options(1, WriterMode::Inline)).expect("opens");
}

#[tokio::test]
async fn an_epoch_that_is_not_later_is_refused_before_anything_is_written() {
    let bytes = exported().await;
    let disk = SimulatedDisk::new();
    let restore = |epoch| {
        let export = export::read(&mut bytes.as_slice()).expect("sound");
        offline::restore(&disk, export, &expected(1), &members(), Some(epoch))
    };
    assert!(matches!(restore(4), Err(OpenError::Export(_))));
    assert_eq!(disk.written(), 0);
    assert_eq!(restore(9).expect("restored").epoch(), 9);
}

#[tokio::test]
async fn a_node_that_differs_from_its_cluster_is_not_exported() {
    let disk = stopped().await;
    assert!(offline::read(&disk).is_ok());
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    let digest = store.view.load().digest().to_bytes();
    store.identity.diverge(Divergence { revision: 1, mine: digest, theirs: [9; 32] }).await.expect("written down");
    assert!(matches!(offline::read(&disk), Err(OpenError::Differs)));
}

#[tokio::test]
async fn a_node_that_was_removed_is_not_exported() {
    let disk = stopped().await;
    let store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.identity.expel().await.expect("written down");
    assert!(matches!(offline::read(&disk), Err(OpenError::Removed)));
}

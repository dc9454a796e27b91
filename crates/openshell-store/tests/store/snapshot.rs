//! A snapshot equals the replay of the log it stands for, and nothing damaged is accepted.

use std::sync::Arc;

use crate::support::{apply, blank, entry, open_with, put_large_workspace, workload};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use openshell_proto::log::SnapshotPart;
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Family, Half};
use openshell_store::snapshot::{Assembler, Limits, SnapshotError, parts};
use openshell_store::{LeaderId, Opened, SnapshotData, WriterMode};
use prost::Message;

const CLUSTER: &str = "cluster-1";

fn limits() -> Limits {
    Limits { cluster_id: Some(CLUSTER.into()), leader: None, bytes_max: 1 << 30 }
}

async fn applied(count: u64) -> Opened {
    let mut store = open_with(Arc::new(SimulatedDisk::new()), WriterMode::Inline);
    store.identity.adopt_cluster_id(CLUSTER).await.expect("adopted");
    apply(&mut store.machine, workload(1, count)).await.expect("applied");
    store
}

async fn snapshot(store: &mut Opened) -> SnapshotData {
    let mut builder = store.machine.try_create_snapshot_builder(true).await.expect("a builder");
    builder.build_snapshot().await.expect("built").snapshot
}

fn assemble(parts: impl IntoIterator<Item = SnapshotPart>) -> Result<SnapshotData, SnapshotError> {
    let mut assembler = Assembler::new(limits());
    for part in parts {
        assembler.push(&part)?;
    }
    assembler.finish()
}

#[tokio::test]
async fn an_installed_snapshot_equals_the_replayed_log_and_survives_a_power_loss() {
    let mut sender = applied(50).await;
    let sent = snapshot(&mut sender).await;
    let received = assemble(parts(&sent)).expect("sound");
    assert_eq!(received.meta(), sent.meta());

    let disk = SimulatedDisk::new();
    let mut receiver = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    // It holds something else before.
    apply(&mut receiver.machine, workload(3, 4)).await.expect("applied");
    let installs = receiver.view.installs();
    receiver.machine.install_snapshot(&received.meta(), received).await.expect("installed");
    assert!(installs.has_changed().expect("open"), "caches must hear of it");
    assert_eq!(*receiver.view.applied().borrow(), 50);
    let items = |store: &Opened| store.view.load().items().collect::<Vec<_>>();
    assert_eq!(items(&receiver), items(&sender));
    assert_eq!(receiver.view.load().digest(), sender.view.load().digest());
    assert_eq!(receiver.history.floor(), 50);

    let mut found = open_with(Arc::new(disk.lose_power()), WriterMode::Inline);
    assert_eq!(items(&found), items(&sender));
    // Both go on alike.
    for store in [&mut found, &mut sender] {
        apply(&mut store.machine, workload(51, 20)).await.expect("applied");
    }
    assert_eq!(found.view.load().digest(), sender.view.load().digest());
}

/// A state of several megabytes.
async fn large(number: u64) -> SnapshotData {
    let mut store = open_with(Arc::new(SimulatedDisk::new()), WriterMode::Inline);
    store.identity.adopt_cluster_id(CLUSTER).await.expect("adopted");
    let entries = (1..=number).map(|at| entry(1, at, &put_large_workspace(at, &format!("large-{at}"), 250_000)));
    apply(&mut store.machine, entries).await.expect("applied");
    snapshot(&mut store).await
}

/// How many rows of state are in a half.
fn rows(disk: &SimulatedDisk, half: Half) -> usize {
    disk.dump().iter().filter(|(family, ..)| Family::of_state(half).contains(family)).count()
}

#[tokio::test]
async fn power_that_is_lost_while_a_snapshot_is_installed_leaves_the_state_before_it_or_the_new_one() {
    let disk = SimulatedDisk::new();
    let mut receiver = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    apply(&mut receiver.machine, workload(1, 12)).await.expect("applied");
    let mut tried = 0;
    // The second one goes back to the half that the first one left.
    for entries in [20, 24] {
        let new = large(entries).await;
        let (before, begin) = (receiver.view.load().digest(), disk.written());
        receiver.machine.install_snapshot(&new.meta(), new.clone()).await.expect("installed");
        assert!(disk.written() >= begin + 4, "it is written in pieces");
        for kept in begin..=disk.written() {
            let found = disk.image(kept);
            let mut store = open_with(Arc::new(found.clone()), WriterMode::Inline);
            let expected = if kept == disk.written() { new.state().digest() } else { before };
            assert_eq!(store.view.load().digest(), expected, "{kept} batches kept of {}", disk.written());
            let spare = if entries == 20 { Half::Second } else { Half::First };
            if kept < disk.written() {
                assert_eq!(rows(&found, spare), 0, "what an unfinished one left behind is removed");
            }
            store.machine.install_snapshot(&new.meta(), new.clone()).await.expect("installed again");
            let again = open_with(Arc::new(found.lose_power()), WriterMode::Inline);
            assert_eq!(again.view.load().digest(), new.state().digest());
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried} points were tried");
    assert_eq!((rows(&disk, Half::First) > 24, rows(&disk, Half::Second)), (true, 0), "one half is in use");
}

#[tokio::test]
async fn a_snapshot_does_not_move_while_entries_are_applied() {
    let mut store = applied(20).await;
    let taken = snapshot(&mut store).await;
    let before: Vec<_> = parts(&taken).collect();
    apply(&mut store.machine, workload(21, 20)).await.expect("applied");
    assert_eq!(parts(&taken).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn every_flipped_byte_of_every_part_is_refused() {
    let mut store = applied(15).await;
    let sent: Vec<SnapshotPart> = parts(&snapshot(&mut store).await).collect();
    assert!(assemble(sent.clone()).is_ok());
    let mut tried = 0;
    for (number, part) in sent.iter().enumerate() {
        let bytes = part.encode_to_vec();
        for byte in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[byte] ^= flip;
                tried += 1;
                let Ok(part) = SnapshotPart::decode(damaged.as_slice()) else { continue };
                let mut parts = sent.clone();
                parts[number] = part;
                assert!(assemble(parts).is_err(), "part {number} byte {byte} flipped by {flip:#x}");
            }
        }
    }
    assert!(tried > 1000);
}

#[tokio::test]
async fn missing_repeated_and_swapped_parts_are_refused() {
    let mut store = applied(15).await;
    let sent: Vec<SnapshotPart> = parts(&snapshot(&mut store).await).collect();
    assert_eq!(sent.len(), 3, "header, one chunk, trailer");
    for skipped in 0..sent.len() {
        let parts = sent.iter().enumerate().filter(|(number, _)| *number != skipped).map(|(_, part)| part.clone());
        assert!(assemble(parts).is_err(), "without part {skipped}");
    }
    for repeated in 0..sent.len() {
        let parts =
            sent.iter().enumerate().flat_map(|(number, part)| vec![part.clone(); 1 + usize::from(number == repeated)]);
        assert!(assemble(parts).is_err(), "part {repeated} twice");
    }
    let [header, chunk, trailer] = <[SnapshotPart; 3]>::try_from(sent).expect("three parts");
    assert!(assemble([chunk.clone(), header.clone(), trailer.clone()]).is_err());
    assert!(assemble([header, trailer, chunk]).is_err());
    assert!(assemble([]).is_err());
}

#[tokio::test]
async fn a_snapshot_of_another_cluster_or_beyond_the_limit_is_refused_in_words() {
    let mut store = applied(15).await;
    let sent: Vec<SnapshotPart> = parts(&snapshot(&mut store).await).collect();
    let mut other = Assembler::new(Limits { cluster_id: Some("cluster-2".into()), ..limits() });
    let error = other.push(&sent[0]).expect_err("refused").to_string();
    assert_eq!(error, "the snapshot was refused: it is of cluster \"cluster-1\", this node belongs to \"cluster-2\"");
    let mut small = Assembler::new(Limits { bytes_max: 200, ..limits() });
    small.push(&sent[0]).expect("the header fits");
    assert!(matches!(small.push(&sent[1]), Err(SnapshotError::TooLarge { bytes_max: 200 })));
}

#[tokio::test]
async fn a_snapshot_that_ends_beyond_its_senders_term_is_refused_with_its_header() {
    let mut store = applied(15).await;
    let snapshot = snapshot(&mut store).await;
    let header = parts(&snapshot).next().expect("a header");
    let last = *snapshot.last_log_id().expect("entries").committed_leader_id();
    let push = |leader| Assembler::new(Limits { leader: Some(leader), ..limits() }).push(&header);
    push(last).expect("its own");
    push(LeaderId { term: last.term + 1, ..last }).expect("a later leader's");
    let error = push(LeaderId { term: last.term - 1, ..last }).expect_err("refused").to_string();
    assert!(error.contains("of a later leader than its sender"), "{error}");
}

#[tokio::test]
async fn a_large_state_is_sent_in_bounded_chunks() {
    let mut store = open_with(Arc::new(SimulatedDisk::new()), WriterMode::Inline);
    store.identity.adopt_cluster_id(CLUSTER).await.expect("adopted");
    let large = |index: u64| {
        crate::support::entry(
            1,
            index,
            &crate::support::put_workspace(index, &format!("{index}{}", "x".repeat(60_000))),
        )
    };
    apply(&mut store.machine, [blank(1, 0)]).await.expect("applied");
    apply(&mut store.machine, (1..40).map(large)).await.expect("applied");
    let sent: Vec<SnapshotPart> = parts(&snapshot(&mut store).await).collect();
    assert!(sent.len() > 5, "{} parts", sent.len());
    assert!(sent.iter().all(|part| part.bytes.len() <= openshell_store::snapshot::PART_BYTES_MAX * 11 / 10));
    assert_eq!(assemble(sent).expect("sound").state().digest(), store.view.load().digest());
}

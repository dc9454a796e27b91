//! What a stopped node has stored can be read, also when some of it is damaged; a running one is
//! left alone.

use std::path::Path;
use std::sync::Arc;

use crate::support::damage::{Kind, crashed_copy, flip, length, newest};
use crate::support::{apply, blank, open_with, workload};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::inspect::{Found, inspect};
use openshell_store::{Opened, Vote, WriterMode};

async fn fill(directory: &Path) -> Opened {
    let mut store = open_with(Arc::new(RocksDisk::open(directory).expect("opened")), WriterMode::Inline);
    store.identity.adopt_cluster_id("c1").await.expect("adopted");
    store.log.save_vote(&Vote::new_committed(1, 1)).await.expect("saved");
    store.log.blocking_append([blank(1, 0)]).await.expect("appended");
    store.log.blocking_append(workload(1, 30)).await.expect("appended");
    apply(&mut store.machine, workload(1, 30)).await.expect("applied");
    store
}

fn found(directory: &Path) -> Vec<Found> {
    let (disk, damage) = RocksDisk::open_read_only(directory).expect("opened for reading");
    let mut found: Vec<_> = damage.into_iter().map(|what| Found::Damage { place: "database".into(), what }).collect();
    inspect(&disk, &mut |one| {
        found.push(one);
        Ok(())
    })
    .expect("told");
    found
}

fn count(found: &[Found], kind: &str) -> usize {
    let of_kind = |found: &&Found| match found {
        Found::Message { kind: of, .. } => *of == kind,
        Found::Record { .. } => kind == "record",
        Found::Fence { .. } => kind == "fence",
        Found::Damage { .. } => kind == "damage",
        Found::Identity { .. } => kind == "identity",
        Found::Marks { .. } => kind == "marks",
        Found::Withdrawn { .. } => kind == "withdrawn",
    };
    found.iter().filter(of_kind).count()
}

#[tokio::test]
async fn a_running_node_is_left_alone_and_a_stopped_one_is_told_whole_and_unchanged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = fill(directory.path()).await;
    let running = RocksDisk::open_read_only(directory.path()).err().expect("refused").to_string();
    assert!(running.contains("is in use by another process; stop that first"), "{running}");
    drop(store);

    let files = || {
        let listed = std::fs::read_dir(directory.path().join("db")).expect("listed");
        let mut files: Vec<_> = listed.map(|entry| entry.expect("listed").path()).map(|p| (length(&p), p)).collect();
        files.sort();
        files
    };
    let before = files();
    let found = found(directory.path());
    assert_eq!(before, files(), "inspecting changes nothing");
    let counts = ["identity", "marks", "vote", "entry", "request", "history"].map(|kind| count(&found, kind));
    assert_eq!(counts, [1, 1, 1, 31, 30, 30]);
    assert!(count(&found, "record") > 0 && count(&found, "fence") > 0);
    assert_eq!(count(&found, "damage"), 0, "{found:?}");
    assert!(found.contains(&Found::Identity { format: Some(1), node_id: Some(1), cluster_id: Some("c1".into()) }));
}

#[tokio::test]
async fn what_a_damaged_log_still_holds_is_told_and_so_is_the_damage() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(fill(directory.path()).await);
    let copy = crashed_copy(directory.path());
    let log = newest(copy.path(), Kind::Wal);
    flip(&log, length(&log) * 9 / 10, 2);
    assert!(RocksDisk::open(copy.path()).is_err(), "a node does not start on it");
    let found = found(copy.path());
    assert!(count(&found, "entry") > 0, "{found:?}");
    let named = |found: &Found| matches!(found, Found::Damage { what, .. } if what.contains(&*log.to_string_lossy()));
    assert!(found.iter().any(named), "the damaged file is named: {found:?}");
}

#[test]
fn a_directory_without_a_node_is_refused_and_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let error = RocksDisk::open_read_only(directory.path()).err().expect("refused").to_string();
    assert!(error.contains("holds no node's data"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
}

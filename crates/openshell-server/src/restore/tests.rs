//! Exports of a real cluster of one, and which of them is restored.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use openshell_proto::v1::CreateWorkspaceRequest;
use openshell_state::{Key, decide};
use openshell_store::Retention;

use super::*;
use crate::alone;
use crate::export::Export as Arguments;
use crate::identifiers::RandomIdentifiers;

const KEY: [u8; 32] = [7; 32];

/// Lets the cluster of one in the folder make workspaces, stops it, and exports it.
fn exported(folder: &Path, name: &str, workspaces: &[&str]) -> PathBuf {
    let data_dir = folder.join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let secrets = Arc::new(Secrets::of(&KEY));
        let identifiers = Arc::new(RandomIdentifiers::from_os());
        let cluster = alone::start(&data_dir, &secrets, secrets.clone(), identifiers).await;
        for workspace in workspaces {
            let request = CreateWorkspaceRequest { name: (*workspace).to_owned(), ..CreateWorkspaceRequest::default() };
            alone::decide(&cluster, |call| decide::workspace::create(call, &request).into()).await;
        }
        cluster.shutdown().await;
    });
    drop(runtime);
    let to = folder.join(name);
    let before = content(&data_dir);
    export::run(&Arguments { data_dir: data_dir.clone(), to: to.clone() }).unwrap();
    assert_eq!(content(&data_dir), before, "an export changes nothing in the data directory");
    to
}

/// Every file under a folder with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(content(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}

fn arguments(folder: &Path, from: &[&Path], into: &str, epoch: Option<u64>) -> Restore {
    let secrets_key_file = folder.join("key");
    let mut digits = String::new();
    KEY.iter().for_each(|byte| write!(digits, "{byte:02x}").unwrap());
    fs::write(&secrets_key_file, digits).unwrap();
    Restore {
        from: from.iter().map(|path| path.to_path_buf()).collect(),
        data_dir: folder.join(into),
        node_id: 1,
        initial_cluster: None,
        secrets_key_file,
        epoch,
    }
}

fn restored(folder: &Path, from: &[&Path], into: &str, epoch: Option<u64>) -> anyhow::Result<Restored> {
    let arguments = arguments(folder, from, into, epoch);
    restore(&arguments, &members(&arguments).unwrap())
}

#[test]
fn of_several_exports_the_one_whose_log_goes_furthest_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let early = exported(folder.path(), "early", &["one"]);
    let late = exported(folder.path(), "late", &["two"]);
    for (into, from) in [("a", [early.as_path(), &late]), ("b", [late.as_path(), &early])] {
        let found = restored(folder.path(), &from, into, None).unwrap();
        assert_eq!(found.from, late);
        assert!(found.state.record(&Key::workspace("two")).is_some());
        assert_eq!(found.state.epoch(), 2);
    }
    let found = restored(folder.path(), &[&early], "c", None).unwrap();
    assert!(found.state.record(&Key::workspace("one")).is_some());
    assert!(found.state.record(&Key::workspace("two")).is_none());
}

#[test]
fn exports_of_two_clusters_are_not_compared_and_nothing_is_written() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = [exported(one.path(), "export", &[]), exported(other.path(), "export", &[])];
    let Err(error) = restored(one.path(), &from.each_ref().map(PathBuf::as_path), "new", None) else {
        panic!("two clusters are one")
    };
    assert!(error.to_string().contains("exports of one cluster in one epoch"), "{error:#}");
    assert!(!one.path().join("new").exists());
}

#[test]
fn a_second_cluster_of_one_export_takes_a_later_epoch_and_no_node_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let from = exported(folder.path(), "export", &[]);
    let Err(error) = restored(folder.path(), &[&from], "same", Some(1)) else { panic!("the epoch is the same") };
    assert!(error.to_string().contains("--epoch 1 is not greater"), "{error:#}");
    assert!(!folder.path().join("same").exists());
    let epochs = [None, Some(2), Some(7)].map(|epoch| {
        let into = format!("{epoch:?}");
        let arguments = arguments(folder.path(), &[&from], &into, epoch);
        let members = members(&arguments).unwrap();
        let state = restore(&arguments, &members).unwrap().state;
        let expected = Expected {
            node_id: 1,
            initial_cluster: Some(initial_cluster_digest(&members)),
            secrets_key: Secrets::of(&KEY).check_value,
        };
        let fault: openshell_raft::FaultHook = Arc::new(|sentence| panic!("{sentence}"));
        let opened = storage::open(&arguments.data_dir, expected, Retention::default(), fault).unwrap();
        let origin = opened.identity.restored_from().unwrap();
        (state.epoch(), origin)
    });
    assert_eq!(epochs.each_ref().map(|(epoch, _)| *epoch), [2, 2, 7]);
    assert_eq!(epochs[0].1, epochs[1].1, "nodes of one cluster have the same origin");
    assert_ne!(epochs[0].1, epochs[2].1, "nodes of two clusters have not");
}

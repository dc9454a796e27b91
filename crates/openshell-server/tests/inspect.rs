//! `openshell-gateway inspect` on the data of a stopped node, a running one, a damaged one and none.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use openshell_store::disk::rocks::RocksDisk;
use openshell_store::{Expected, Opened, Options, Store};
use serde_json::Value;

/// Opens the database where the gateway keeps it.
async fn node(data_dir: &Path) -> Opened {
    let place = data_dir.join("db");
    let disk = RocksDisk::open(&place).expect("opened");
    let expected = Expected { node_id: 7, initial_cluster: None, secrets_key: [2; 32] };
    let store = Store::open(Arc::new(disk), Options::new(expected, Arc::new(|_| ()))).expect("opened");
    store.identity.adopt_cluster_id("cluster-7").await.expect("adopted");
    store
}

fn inspect(data_dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openshell-gateway"));
    command.arg("inspect").arg("--data-dir").arg(data_dir).output().expect("it runs")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[tokio::test]
async fn a_stopped_node_is_printed_and_a_running_one_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = node(directory.path()).await;
    let running = inspect(directory.path());
    assert!(!running.status.success());
    let said = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(said.contains("is in use by another process; stop that first"), "{said}");

    drop(store);
    let stopped = inspect(directory.path());
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    let lines = lines(&stopped);
    assert_eq!(lines[0]["type"], "identity");
    assert_eq!((&lines[0]["node_id"], &lines[0]["cluster_id"]), (&7.into(), &"cluster-7".into()));
    let marks = lines.iter().find(|line| line["type"] == "marks").expect("marks");
    assert_eq!(marks["counter"], marks["high_water_mark"]);
}

#[tokio::test]
async fn damage_is_a_line_and_an_exit_status_and_no_node_is_a_sentence() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(node(directory.path()).await);
    let mark = directory.path().join("db/high-water-mark");
    let mut bytes = std::fs::read(&mark).expect("read");
    bytes[7] ^= 1;
    std::fs::write(&mark, bytes).expect("written");
    let output = inspect(directory.path());
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let damage = lines.iter().find(|line| line["type"] == "damage").expect("damage");
    assert!(damage["what"].as_str().is_some_and(|what| what.contains("high-water-mark")), "{damage}");
    assert!(lines.iter().any(|line| line["type"] == "identity"), "the rest is printed");

    let empty = tempfile::tempdir().expect("a temporary directory");
    let output = inspect(empty.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("holds no node's data"), "{said}");
}

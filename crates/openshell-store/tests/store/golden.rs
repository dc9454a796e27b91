//! Durable bytes never change their meaning: encodings of every kind are kept beside this
//! test, in hexadecimal. Files are added, never edited: with `GOLDEN=add` in the environment
//! a missing one is written, and one that is there is only ever compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::support::{apply, blank, entry, log_id, open_with, put_workspace};
use openraft::EntryPayload;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openshell_proto::log::change::Act;
use openshell_proto::log::{Change, HistoryEntry, Key, Kind, SnapshotHeader, SnapshotTrailer};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::snapshot::parts;
use openshell_store::{Durable, Entry, LogId, Member, Membership, Proposal, StoredMembership, Vote, WriterMode};
use prost::Message;

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").expect("text takes more");
        }
        text.push('\n');
    }
    text
}

fn check(name: &str, bytes: &[u8]) {
    let path = Path::new("tests/store/golden").join(format!("{name}.hex"));
    let found = hex(bytes);
    match std::fs::read_to_string(&path) {
        Ok(kept) => assert_eq!(found, kept, "{name}: what is written now differs from what was written before"),
        Err(_) if std::env::var("GOLDEN").is_ok_and(|value| value == "add") => {
            std::fs::write(path, found).expect("written");
        }
        Err(_) => panic!("there is no tests/store/golden/{name}.hex; if the format is new, add it with GOLDEN=add"),
    }
}

fn membership() -> Membership {
    let member = |number: u8| Member {
        peer_address: format!("10.0.0.{number}:17770"),
        client_address: format!("https://node{number}.example:17670"),
        zone: format!("zone-{number}"),
    };
    let members = BTreeMap::from([(1, member(1)), (2, member(2)), (3, member(3))]);
    Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 3])], members).expect("valid")
}

fn history_entry() -> HistoryEntry {
    let key = |name: &str| Some(Key { kind: Kind::Sandbox as i32, workspace: "default".into(), name: name.into() });
    let written = Change { key: key("a"), act: Act::Updated as i32, value: Some(vec![1, 2]), ..Change::default() };
    let labels_before = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let deleted = Change { key: key("b"), act: Act::Deleted as i32, value: None, labels_before };
    HistoryEntry {
        revision: 300,
        time_ms: 1_750_000_000_000,
        principal: "user:mtls:ann".into(),
        rpc: "openshell.v1.OpenShell/DeleteSandbox".into(),
        request_id: vec![9; 16],
        node: 2,
        changes: vec![written, deleted],
        touches: Vec::new(),
    }
}

#[test]
fn messages_are_encoded_as_ever() {
    check("history_entry", &history_entry().encode_to_vec());
    check("log_id", &log_id(7, 2, 300).to_bytes());
    check("vote", &Vote::new(7, 2).to_bytes());
    check("vote_committed", &Vote::new_committed(7, 2).to_bytes());
    check("membership_joint", &membership().to_bytes());
    check("stored_membership", &StoredMembership::new(Some(log_id(7, 2, 299)), membership()).to_bytes());
    check("entry_blank", &blank(7, 300).to_bytes());
    check("entry_command", &entry(7, 301, &put_workspace(5, "team-a")).to_bytes());
    let entry = Entry { log_id: log_id(7, 2, 302), payload: EntryPayload::Membership(membership()) };
    check("entry_membership", &entry.to_bytes());
    check("transaction", Proposal::new(&put_workspace(5, "team-a")).bytes());
}

#[test]
fn what_was_encoded_once_is_read_for_ever() {
    let read = |name: &str| {
        let path = Path::new("tests/store/golden").join(format!("{name}.hex"));
        let text: String = std::fs::read_to_string(path).expect("kept").split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
        (0..text.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    };
    assert_eq!(LogId::from_bytes(&read("log_id")), Ok(log_id(7, 2, 300)));
    assert_eq!(Vote::from_bytes(&read("vote_committed")), Ok(Vote::new_committed(7, 2)));
    assert_eq!(Membership::from_bytes(&read("membership_joint")), Ok(membership()));
    assert_eq!(Entry::from_bytes(&read("entry_blank")), Ok(blank(7, 300)));
    assert_eq!(Entry::from_bytes(&read("entry_command")), Ok(entry(7, 301, &put_workspace(5, "team-a"))));
}

/// A whole disk after a short life: every key and every stored value.
#[tokio::test]
async fn a_disk_holds_the_same_bytes_as_ever() {
    let disk = SimulatedDisk::new();
    let mut store = open_with(Arc::new(disk.clone()), WriterMode::Inline);
    store.identity.adopt_cluster_id("0190b8a0-0000-7000-8000-000000000001").await.expect("adopted");
    store.log.save_vote(&Vote::new_committed(7, 1)).await.expect("saved");
    let membership = Entry { log_id: log_id(7, 1, 0), payload: EntryPayload::Membership(membership()) };
    let entries = vec![
        membership,
        blank(7, 1),
        entry(7, 2, &put_workspace(5, "team-a")),
        entry(7, 3, &put_workspace(6, "team-b")),
    ];
    store.log.blocking_append(entries.clone()).await.expect("appended");
    store.log.save_committed(Some(log_id(7, 1, 3))).await.expect("saved");
    apply(&mut store.machine, entries).await.expect("applied");
    store.log.purge(log_id(7, 1, 1)).await.expect("purged");
    let mut text = Vec::new();
    for (family, key, value) in disk.dump() {
        text.extend_from_slice(family.name().as_bytes());
        text.push(b'/');
        text.extend_from_slice(&key);
        text.push(b'=');
        text.extend_from_slice(&value);
        text.push(b'\n');
    }
    check("disk", &text);
    let snapshot = openraft::storage::RaftStateMachine::get_current_snapshot(&mut store.machine).await.expect("taken");
    let snapshot = snapshot.expect("there is one").snapshot;
    let sent: Vec<_> = parts(&snapshot).collect();
    // The version of this program is in the header, and so in the trailer's hash: both vary.
    let mut header = SnapshotHeader::decode(sent[0].bytes.as_slice()).expect("a header");
    header.created_by_version = "0.1.0".into();
    check("snapshot_header", &header.encode_to_vec());
    check("snapshot_chunk", &sent[1].encode_to_vec());
    let mut trailer = SnapshotTrailer::decode(sent[2].bytes.as_slice()).expect("a trailer");
    trailer.sha256 = vec![0; 32];
    check("snapshot_trailer", &trailer.encode_to_vec());
}

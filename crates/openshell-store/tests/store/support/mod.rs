//! What the tests of this crate share: opening stores, and transactions to apply.
// Without the feature `rocksdb` some of it has no user.
#![allow(dead_code, unreachable_pub)]

pub mod damage;

use std::sync::{Arc, Mutex};

use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openshell_proto::datamodel::{ObjectMeta, Workspace};
use openshell_proto::log::{self, Command, Kind, Origin, Transaction, Write, command, write};
use openshell_state::State;
use openshell_store::disk::Disk;
use openshell_store::{
    Entry, Expected, FaultHook, LeaderId, LogId, Machine, OpenError, Opened, Options, Proposal, Store, TypeConfig,
    WriterMode,
};
use prost::Message;

/// A time in 2025, in milliseconds.
pub const BEGIN_MS: i64 = 1_750_000_000_000;

/// Faults that a store told of.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    pub fn hook(&self) -> FaultHook {
        let told = Arc::clone(&self.0);
        Arc::new(move |text| told.lock().expect("a test's lock").push(text.to_owned()))
    }

    pub fn told(&self) -> Vec<String> {
        self.0.lock().expect("a test's lock").clone()
    }
}

pub fn expected(node_id: u64) -> Expected {
    Expected { node_id, initial_cluster: Some([1; 32]), secrets_key: [2; 32] }
}

pub fn options(node_id: u64, writer: WriterMode) -> Options {
    Options { writer, ..Options::new(expected(node_id), Recorder::default().hook()) }
}

pub fn try_open(disk: Arc<dyn Disk>, options: Options) -> Result<Opened, OpenError> {
    Store::open(disk, options)
}

pub fn open_with(disk: Arc<dyn Disk>, writer: WriterMode) -> Opened {
    try_open(disk, options(1, writer)).expect("opened")
}

pub fn log_id(term: u64, node_id: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id }, index)
}

/// A UUIDv7 made at a time, told apart by a number.
pub fn request_id(time_ms: i64, number: u64) -> Vec<u8> {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[6] = 0x70;
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    bytes.to_vec()
}

fn workspace_key(name: &str) -> log::Key {
    log::Key { kind: Kind::Workspace as i32, workspace: String::new(), name: name.into() }
}

fn origin(number: u64) -> Origin {
    let time_ms = BEGIN_MS + i64::try_from(number).expect("a small number");
    Origin {
        request_id: request_id(time_ms, number),
        principal: "alice".into(),
        rpc: "openshell.v1.OpenShell/CreateWorkspace".into(),
        fingerprint: vec![7; 32],
        time_ms,
        node: 1,
    }
}

fn transaction(number: u64, name: &str, change: write::Change) -> Command {
    let transaction = Transaction {
        origin: Some(origin(number)),
        guards: Vec::new(),
        writes: vec![Write { key: Some(workspace_key(name)), change: Some(change) }],
        touches: vec![log::Key {
            kind: Kind::FenceWorkspaceContents as i32,
            workspace: String::new(),
            name: name.into(),
        }],
        reply: Some(log::Reply { outcome: Some(log::reply::Outcome::Message(number.to_be_bytes().to_vec())) }),
    };
    Command { kind: Some(command::Kind::Transaction(transaction)) }
}

/// Writes the record of a workspace.
pub fn put_workspace(number: u64, name: &str) -> Command {
    transaction(number, name, write::Change::Put(Workspace::default().encode_to_vec()))
}

/// Writes the record of a workspace that takes so many bytes.
pub fn put_large_workspace(number: u64, name: &str, bytes: usize) -> Command {
    let metadata = ObjectMeta { name: "x".repeat(bytes), ..ObjectMeta::default() };
    let workspace = Workspace { metadata: Some(metadata), ..Workspace::default() };
    transaction(number, name, write::Change::Put(workspace.encode_to_vec()))
}

/// Deletes it.
pub fn delete_workspace(number: u64, name: &str) -> Command {
    transaction(number, name, write::Change::Delete(true))
}

pub fn entry(term: u64, index: u64, command: &Command) -> Entry {
    Entry { log_id: log_id(term, 1, index), payload: EntryPayload::Normal(Proposal::new(command)) }
}

pub fn blank(term: u64, index: u64) -> Entry {
    Entry { log_id: log_id(term, 1, index), payload: EntryPayload::Blank }
}

/// Applies entries as a follower does: nobody waits for them.
pub async fn apply(machine: &mut Machine, entries: impl IntoIterator<Item = Entry>) -> std::io::Result<()> {
    let items: Vec<std::io::Result<EntryResponder<TypeConfig>>> =
        entries.into_iter().map(|entry| Ok((entry, None))).collect();
    machine.apply(futures::stream::iter(items)).await
}

/// Entries that write, rewrite and delete some workspaces.
pub fn workload(from: u64, count: u64) -> Vec<Entry> {
    let one = |index: u64| {
        let name = format!("w{}", index % 7);
        let command = if index % 5 == 4 { delete_workspace(index, &name) } else { put_workspace(index, &name) };
        entry(1, index, &command)
    };
    (from..from + count).map(one).collect()
}

/// The state after the entries of [`workload`] up to an index, with no disk in between.
pub fn replayed(upto: u64) -> State {
    let mut state = State::empty();
    for entry in workload(1, upto) {
        let EntryPayload::Normal(proposal) = &entry.payload else { continue };
        let command = proposal.decode().expect("a command");
        state.apply(entry.log_id.index, &command).expect("applied");
    }
    state
}

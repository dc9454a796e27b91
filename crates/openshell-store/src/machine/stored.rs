//! The state on disk: how a change of it is written, and how all of it is read back.

use std::io;
use std::ops::ControlFlow;

use openshell_proto::log::snapshot_item::{FenceMark, Item, KeyedRecord};
use openshell_proto::log::{Record, RememberedRequest, SnapshotItem, StateMarks};
use openshell_state::{Fault, Key, State, StateChange};
use prost::Message;

use crate::disk::{Batch, Disk, END, Family};
use crate::fault::OpenError;
use crate::meta;
use crate::types::{LogId, StoredMembership};

/// What the machine knows beside the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Position {
    pub(super) applied: Option<LogId>,
    pub(super) membership: StoredMembership,
}

/// Writes one change.
pub(super) fn put_change(batch: &mut Batch, change: &StateChange) {
    match change {
        StateChange::Record(key, Some(record)) => {
            batch.put(Family::Records, key.to_bytes(), record.to_proto().encode_to_vec());
        }
        StateChange::Record(key, None) => batch.delete(Family::Records, key.to_bytes()),
        StateChange::Fence(key, revision) => batch.put(Family::Fences, key.to_bytes(), revision.to_be_bytes()),
        StateChange::Remembered(id, request) => batch.put(Family::Requests, *id.as_bytes(), request.encode_to_vec()),
        StateChange::Forgotten(id) => batch.delete(Family::Requests, *id.as_bytes()),
    }
}

/// Writes marks, digest, applied index and membership: in every batch that changes the state.
pub(super) fn put_position(batch: &mut Batch, state: &State, position: &Position) {
    meta::put(batch, meta::MARKS, &state.marks().encode_to_vec());
    meta::put(batch, meta::DIGEST, &state.digest().to_bytes());
    if let Some(applied) = &position.applied {
        meta::put_message(batch, meta::APPLIED, applied);
    }
    meta::put_message(batch, meta::MEMBERSHIP, &position.membership);
}

/// Replaces everything by this state.
pub(super) fn put_all(batch: &mut Batch, state: &State) {
    for family in [Family::Records, Family::Fences, Family::Requests] {
        batch.clear(family);
    }
    for item in state.items() {
        match item.item.expect("the state yields items with content") {
            Item::Record(KeyedRecord { key, record }) => {
                let record = record.expect("the state yields records with content");
                batch.put(Family::Records, stored_key(key.as_ref()), record.encode_to_vec());
            }
            Item::Fence(FenceMark { key, revision }) => {
                batch.put(Family::Fences, stored_key(key.as_ref()), revision.to_be_bytes());
            }
            Item::Request(request) => {
                let value = request.encode_to_vec();
                batch.put(Family::Requests, request.request_id, value);
            }
        }
    }
}

fn stored_key(key: Option<&openshell_proto::log::Key>) -> Vec<u8> {
    let key = key.expect("the state yields items with keys");
    Key::from_proto(key).expect("the state yields keys that it knows").to_bytes()
}

/// Reads the whole state back and compares its digest with the one stored.
pub(crate) fn load(disk: &dyn Disk) -> Result<(State, Position), OpenError> {
    let reading = OpenError::io("reading the state");
    let (items, marks, position, digest) = read(disk).map_err(reading)?;
    let state = State::from_items(&marks, items.into_iter().map(Ok::<_, Fault>))?;
    let found = state.digest();
    let expected = digest.unwrap_or_else(|| State::empty().digest().to_bytes());
    if found.to_bytes() != expected {
        let what =
            format!("the state at revision {} has the digest {found}, it was written with another", marks.revision);
        return Err(OpenError::Damaged { what });
    }
    Ok((state, position))
}

type Stored = (Vec<SnapshotItem>, StateMarks, Position, Option<[u8; 32]>);

fn read(disk: &dyn Disk) -> io::Result<Stored> {
    let mut items = Vec::new();
    let mut visit = |item: Item| {
        items.push(SnapshotItem { item: Some(item) });
        Ok(ControlFlow::Continue(()))
    };
    disk.scan(Family::Records, &[], &END, &mut |key, value| {
        let record = Record::decode(value).map_err(invalid)?;
        visit(Item::Record(KeyedRecord { key: Some(read_key(key)?), record: Some(record) }))
    })?;
    disk.scan(Family::Fences, &[], &END, &mut |key, value| {
        let revision = value.try_into().map(u64::from_be_bytes).map_err(invalid)?;
        visit(Item::Fence(FenceMark { key: Some(read_key(key)?), revision }))
    })?;
    disk.scan(Family::Requests, &[], &END, &mut |_, value| {
        visit(Item::Request(RememberedRequest::decode(value).map_err(invalid)?))
    })?;
    let marks = match meta::read(disk, meta::MARKS)? {
        Some(bytes) => StateMarks::decode(bytes.as_slice()).map_err(invalid)?,
        None => StateMarks::default(),
    };
    let position = Position {
        applied: meta::read_message(disk, meta::APPLIED)?,
        membership: meta::read_message(disk, meta::MEMBERSHIP)?.unwrap_or_default(),
    };
    Ok((items, marks, position, meta::read_array(disk, meta::DIGEST)?))
}

fn read_key(bytes: &[u8]) -> io::Result<openshell_proto::log::Key> {
    Key::from_bytes(bytes).map(|key| key.to_proto()).map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the stored state: {error}"))
}

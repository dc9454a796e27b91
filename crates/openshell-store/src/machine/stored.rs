//! The state on disk: how a change of it is written, and how all of it is read back.

use std::io;
use std::ops::ControlFlow;

use openshell_proto::log::snapshot_item::{FenceMark, Item, KeyedRecord};
use openshell_proto::log::{Record, RememberedRequest, SnapshotItem, StateMarks};
use openshell_state::{Key, Loader, State, StateChange};
use prost::Message;

use crate::disk::{Batch, Disk, END, Family, Half};
use crate::fault::OpenError;
use crate::meta;
use crate::types::{LogId, StoredMembership};

/// What the machine knows beside the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Position {
    pub(super) applied: Option<LogId>,
    pub(super) membership: StoredMembership,
}

/// Writes one change of the state in this half.
pub(super) fn put_change(batch: &mut Batch, half: Half, change: &StateChange) {
    let (records, fences, requests) = (Family::Records(half), Family::Fences(half), Family::Requests(half));
    match change {
        StateChange::Record(key, Some(record)) => {
            batch.put(records, key.to_bytes(), record.to_proto().encode_to_vec());
        }
        StateChange::Record(key, None) => batch.delete(records, key.to_bytes()),
        StateChange::Fence(key, revision) => batch.put(fences, key.to_bytes(), revision.to_be_bytes()),
        StateChange::Remembered(id, request) => batch.put(requests, *id.as_bytes(), request.encode_to_vec()),
        StateChange::Forgotten(id) => batch.delete(requests, *id.as_bytes()),
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

/// Says which half the state is in from now on.
pub(super) fn put_half(batch: &mut Batch, half: Half) {
    meta::put(
        batch,
        meta::HALF,
        &[match half {
            Half::First => 0,
            Half::Second => 1,
        }],
    );
}

/// Removes whatever is in a half.
pub(super) fn clear(batch: &mut Batch, half: Half) {
    for family in Family::of_state(half) {
        batch.clear(family);
    }
}

/// Removes what an installation left behind that did not come to its end. For a store that is being
/// opened: nobody else writes.
pub(crate) fn clear_spare(disk: &dyn Disk) -> io::Result<()> {
    let spare = half(disk)?.other();
    let mut found = false;
    for family in Family::of_state(spare) {
        disk.scan(family, &[], &END, &mut |_, _| {
            found = true;
            Ok(ControlFlow::Break(()))
        })?;
    }
    if !found {
        return Ok(());
    }
    let mut batch = Batch::new();
    clear(&mut batch, spare);
    disk.write(batch, false)
}

/// Writes one item of a state into a half.
pub(super) fn put_item(batch: &mut Batch, half: Half, item: SnapshotItem) {
    match item.item.expect("the state yields items with content") {
        Item::Record(KeyedRecord { key, record }) => {
            let record = record.expect("the state yields records with content");
            batch.put(Family::Records(half), stored_key(key.as_ref()), record.encode_to_vec());
        }
        Item::Fence(FenceMark { key, revision }) => {
            batch.put(Family::Fences(half), stored_key(key.as_ref()), revision.to_be_bytes());
        }
        Item::Request(request) => {
            let value = request.encode_to_vec();
            batch.put(Family::Requests(half), request.request_id, value);
        }
    }
}

fn stored_key(key: Option<&openshell_proto::log::Key>) -> Vec<u8> {
    let key = key.expect("the state yields items with keys");
    Key::from_proto(key).expect("the state yields keys that it knows").to_bytes()
}

/// The half that the state is in.
pub(crate) fn half(disk: &dyn Disk) -> io::Result<Half> {
    match meta::read_array(disk, meta::HALF)? {
        None | Some([0]) => Ok(Half::First),
        Some([1]) => Ok(Half::Second),
        Some([other]) => Err(invalid(format!("it is in a half number {other}"))),
    }
}

/// In what pieces the state is read from the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pieces {
    /// As a start reads, which meets with all that is on the disk anyway.
    Large,
    /// As small as the disk has them: a place that cannot be read costs nothing that lies beside it.
    Small,
}

/// Reads the whole state back and compares its digest with the one stored.
pub(super) fn load(disk: &dyn Disk, pieces: Pieces) -> Result<(State, Position), OpenError> {
    let (half, marks, position, digest) = beside(disk).map_err(OpenError::io("reading where the state is"))?;
    let mut loader = Loader::new(&marks);
    load_family((disk, pieces), Family::Records(half), &mut loader, |key, value| {
        let record = Record::decode(value).map_err(invalid)?;
        Ok(Item::Record(KeyedRecord { key: Some(read_key(key)?), record: Some(record) }))
    })?;
    load_family((disk, pieces), Family::Fences(half), &mut loader, |key, value| {
        let revision = value.try_into().map(u64::from_be_bytes).map_err(invalid)?;
        Ok(Item::Fence(FenceMark { key: Some(read_key(key)?), revision }))
    })?;
    load_family((disk, pieces), Family::Requests(half), &mut loader, |_, value| {
        RememberedRequest::decode(value).map(Item::Request).map_err(invalid)
    })?;
    let state = loader.finish();
    let found = state.digest();
    let expected = digest.unwrap_or_else(|| State::empty().digest().to_bytes());
    if found.to_bytes() != expected {
        let what =
            format!("the state at revision {} has the digest {found}, it was written with another", marks.revision);
        return Err(OpenError::Damaged { what });
    }
    Ok((state, position))
}

type Beside = (Half, StateMarks, Position, Option<[u8; 32]>);

/// What is stored beside the items of the state.
fn beside(disk: &dyn Disk) -> io::Result<Beside> {
    let marks = match meta::read(disk, meta::MARKS)? {
        Some(bytes) => StateMarks::decode(bytes.as_slice()).map_err(invalid)?,
        None => StateMarks::default(),
    };
    let position = Position {
        applied: meta::read_message(disk, meta::APPLIED)?,
        membership: meta::read_message(disk, meta::MEMBERSHIP)?.unwrap_or_default(),
    };
    Ok((half(disk)?, marks, position, meta::read_array(disk, meta::DIGEST)?))
}

/// Adds the items of a family one by one: a list of all of them would be as large as the state itself.
fn load_family(
    (disk, pieces): (&dyn Disk, Pieces),
    family: Family,
    loader: &mut Loader,
    decode: impl Fn(&[u8], &[u8]) -> io::Result<Item>,
) -> Result<(), OpenError> {
    let mut fault = None;
    let mut visit = |key: &[u8], value: &[u8]| {
        fault = loader.add(SnapshotItem { item: Some(decode(key, value)?) }).err();
        Ok(if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    let scanned = match pieces {
        Pieces::Large => disk.scan_all(family, &mut visit),
        Pieces::Small => disk.scan(family, &[], &END, &mut visit),
    };
    scanned.map_err(OpenError::io("reading the state"))?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

fn read_key(bytes: &[u8]) -> io::Result<openshell_proto::log::Key> {
    Key::from_bytes(bytes).map(|key| key.to_proto()).map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the stored state: {error}"))
}

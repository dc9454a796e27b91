//! A store whose node is stopped: everything that it holds read out, and an export put into an
//! empty store. Nothing is written to the store that is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use openraft::EntryPayload;
use openshell_state::State;
use sha2::{Digest, Sha256};

use crate::disk::{Batch, Disk, END, Family};
use crate::export::Export;
use crate::fault::OpenError;
use crate::identity::{self, Expected};
use crate::log::entry;
use crate::snapshot::SnapshotData;
use crate::types::{LeaderId, LogId, Member, Membership, StoredMembership, Vote};
use crate::{machine, meta};

/// What a stopped node's store holds, its whole log applied.
pub struct Stopped {
    /// Whose it is: node id and check value of the secrets key.
    pub owner: Expected,
    /// The state after the last entry of the log.
    pub data: SnapshotData,
    /// How many of the log's entries this node did not know to be committed. They are applied all the
    /// same: a majority may have acknowledged them.
    pub doubtful: u64,
}

/// Reads the store of a stopped node.
///
/// # Errors
/// [`OpenError`] when it is empty, damaged, has lost what it had synced, or withdrew because its state
/// differed from that of its cluster.
pub fn read(disk: &dyn Disk) -> Result<Stopped, OpenError> {
    let owner = identity::stored(disk)?;
    if meta::read(disk, meta::DIVERGED).map_err(OpenError::io("reading whether the state differs"))?.is_some() {
        return Err(OpenError::Differs);
    }
    if meta::read(disk, meta::EXPELLED).map_err(OpenError::io("reading whether the node was removed"))?.is_some() {
        return Err(OpenError::Removed);
    }
    let counter = meta::read_array(disk, meta::COUNTER).map_err(OpenError::io("reading the counter"))?;
    let stored = counter.map_or(0, u64::from_be_bytes);
    let kept = disk.mark().map_err(OpenError::io("reading the high-water mark"))?;
    if kept > stored {
        return Err(OpenError::LostWrites { stored, kept });
    }
    let (mut state, mut applied, mut membership) = machine::load(disk)?;
    let reading = || OpenError::io("reading the log");
    let committed: Option<LogId> = meta::read_message(disk, meta::COMMITTED).map_err(reading())?;
    let known = committed.max(applied).map_or(0, |id| id.index);
    let mut doubtful = 0;
    let from = applied.map_or(0, |id| id.index + 1);
    disk.scan(Family::Log, &from.to_be_bytes(), &END, &mut |key, value| {
        let entry = entry::decode(key, value)?;
        let (expected, found) = (applied.map_or(0, |id| id.index + 1), entry.log_id.index);
        if found != expected {
            return Err(invalid(format!("log entry {expected} is missing: the log goes on at {found}")));
        }
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(members) => {
                membership = StoredMembership::new(Some(entry.log_id), members.clone());
            }
            EntryPayload::Normal(proposal) => {
                state.apply(found, &proposal.decode()?).map_err(invalid)?;
            }
        }
        // The membership that forms a cluster has index 0, which is the empty state's own.
        if state.revision() < found {
            state.advance(found);
        }
        doubtful += u64::from(found > known);
        applied = Some(entry.log_id);
        Ok(ControlFlow::Continue(()))
    })
    .map_err(reading())?;
    let cluster_id = meta::read(disk, meta::CLUSTER).map_err(OpenError::io("reading the cluster id"))?;
    let cluster_id = String::from_utf8_lossy(&cluster_id.unwrap_or_default()).into_owned();
    let data = SnapshotData { state: Arc::new(state), cluster_id, last_log_id: applied, membership };
    Ok(Stopped { owner, data, doubtful })
}

/// Makes an empty store that of a member of a new cluster, with an export's records in a later epoch:
/// the one given, or else the next. It is written in pieces under a mark, which goes with the last of
/// them, synced: a store whose restore was cut off is opened by nobody. The cluster's id is agreed on
/// when its nodes start; nodes whose export or epoch differ do not form a cluster.
///
/// # Errors
/// [`OpenError`] when the store is not empty, the export is not of a formed cluster, or the epoch is
/// not later than that of the export: nothing was written. No retry helps.
pub fn restore(
    disk: &dyn Disk,
    export: Export,
    owner: &Expected,
    initial_cluster: &BTreeMap<u64, String>,
    epoch: Option<u64>,
) -> Result<Arc<State>, OpenError> {
    let reading = OpenError::io("looking whether the data directory is empty");
    if !identity::is_empty(disk).map_err(reading)? {
        return Err(OpenError::NotEmpty);
    }
    let Export { data, sha256, .. } = export;
    let damaged = |what: String| OpenError::Damaged { what };
    let last = data.last_log_id.ok_or_else(|| damaged("the export ends before the first entry".into()))?;
    let state = State::clone(&data.state).into_later_epoch(epoch).map_err(OpenError::Export)?;
    let voters: BTreeSet<u64> = initial_cluster.keys().copied().collect();
    let members: BTreeMap<u64, Member> = initial_cluster
        .iter()
        .map(|(id, address)| (*id, Member { peer_address: address.clone(), ..Member::default() }))
        .collect();
    let membership = Membership::new(vec![voters], members).map_err(|error| damaged(error.to_string()))?;
    let writing = || OpenError::io("writing the restored data");
    let mut mark = Batch::new();
    meta::put(&mut mark, meta::RESTORING, b"");
    disk.write(mark, true).map_err(writing())?;
    machine::put_items(disk, &state).map_err(writing())?;
    let mut batch = identity::first_batch(owner);
    meta::put(&mut batch, meta::RESTORED, &origin(&sha256, state.epoch()));
    put_log(&mut batch, last);
    machine::put_position(&mut batch, &state, last, StoredMembership::new(Some(last), membership));
    // The history of the exported cluster stays with it.
    meta::put(&mut batch, meta::HISTORY_FLOOR, &state.revision().to_be_bytes());
    meta::put_counter(&mut batch, 1);
    batch.delete(Family::Meta, meta::RESTORING);
    disk.write(batch, true).map_err(writing())?;
    Ok(Arc::new(state))
}

/// What nodes compare before they form a cluster out of restored data.
fn origin(export: &[u8; 32], epoch: u64) -> [u8; 32] {
    Sha256::new().chain_update(export).chain_update(epoch.to_be_bytes()).finalize().into()
}

/// A log that was purged up to the export, as after the install of a snapshot, on every node alike.
fn put_log(batch: &mut Batch, last: LogId) {
    meta::put_message(batch, meta::PURGED, &last);
    meta::put_message(batch, meta::COMMITTED, &last);
    // A term beyond that of every entry, in which nobody leads.
    let leader_id = LeaderId { term: last.leader_id.term + 1, node_id: last.leader_id.node_id };
    meta::put_message(batch, meta::VOTE, &Vote { leader_id, committed: false });
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

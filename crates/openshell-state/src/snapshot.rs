//! The state as a list of items, for snapshots, for loading from disk and for comparing.
//! What carries the items (chunks, checksums, files) is the storage's concern.

use std::sync::Arc;

use openshell_proto::log::snapshot_item::{FenceMark, Item as SnapshotKind, KeyedRecord};
use openshell_proto::log::{Cluster, RememberedRequest, SnapshotItem, StateMarks};
use prost::Message;

use crate::digest::{Digest, Item};
use crate::fault::Fault;
use crate::key::Key;
use crate::record::{Record, Value};
use crate::requests::{RequestId, RequestMemory};
use crate::state::State;

impl State {
    /// The scalars beside the items.
    #[must_use]
    pub fn marks(&self) -> StateMarks {
        StateMarks {
            revision: self.revision,
            last_time_ms: self.last_time_ms,
            forgotten_through_ms: self.requests.forgotten_through_ms(),
        }
    }

    /// The digest of the records alone, without the cluster's own: the same before an export and
    /// after a restore, which changes cluster id and epoch and nothing else.
    #[must_use]
    pub fn records_digest(&self) -> Digest {
        let mut digest = Digest::default();
        for (key, record) in self.records.iter().filter(|(key, _)| **key != Key::cluster()) {
            digest.add(Item::Record, &key.to_bytes(), &record.to_proto().encode_to_vec());
        }
        digest
    }

    /// This state without its memory of request ids, and with the digest that it has with them. For a planted
    /// fault alone.
    #[must_use]
    pub fn without_requests(mut self) -> Self {
        self.requests = RequestMemory::new(self.requests.forgotten_through_ms());
        self
    }

    /// This state as the first of a new cluster: it has a later epoch, the next one unless one is
    /// given, and who the members are is yet to be said. The revision stays, so that revisions grow
    /// from epoch to epoch.
    ///
    /// # Errors
    /// A sentence when the state is none of a formed cluster, or the epoch given is not later than its
    /// own; no retry helps.
    pub fn into_later_epoch(mut self, epoch: Option<u64>) -> Result<Self, String> {
        let Some(before) = self.records.get(&Key::cluster()).cloned() else {
            return Err("it is of a cluster that was never formed".to_owned());
        };
        let Value::Cluster(cluster) = &before.value else { panic!("{} holds {:?}", Key::cluster(), before.value) };
        let later = epoch.unwrap_or(cluster.epoch + 1);
        if later <= cluster.epoch {
            return Err(format!("it is of epoch {}, and epoch {later} is not later", cluster.epoch));
        }
        let next = Cluster {
            cluster_id: String::new(),
            epoch: later,
            removed_nodes: Vec::new(),
            replacement: None,
            ..cluster.clone()
        };
        let record = Record { bytes: next.encode_to_vec(), value: Value::Cluster(next), ..Record::clone(&before) };
        self.put(&Key::cluster(), Some(&before), Some(Arc::new(record)));
        Ok(self)
    }

    /// How many items [`State::items`] yields.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.records.len() + self.fences.len() + self.requests.len()
    }

    /// Every record, fence and request id, in key order: equal states yield equal items.
    pub fn items(&self) -> impl Iterator<Item = SnapshotItem> {
        let records = self.records.iter().map(|(key, record)| {
            SnapshotKind::Record(KeyedRecord { key: Some(key.to_proto()), record: Some(record.to_proto()) })
        });
        let fences = self
            .fences
            .iter()
            .map(|(key, revision)| SnapshotKind::Fence(FenceMark { key: Some(key.to_proto()), revision: *revision }));
        let requests =
            self.requests.iter().map(|(_, request)| SnapshotKind::Request(RememberedRequest::clone(request)));
        records.chain(fences).chain(requests).map(|item| SnapshotItem { item: Some(item) })
    }

    /// The state that marks and items make. Its digest is recomputed; the caller compares it.
    ///
    /// # Errors
    /// [`Fault`] when an item does not mean anything to this build.
    pub fn from_items(
        marks: &StateMarks,
        items: impl IntoIterator<Item = Result<SnapshotItem, Fault>>,
    ) -> Result<Self, Fault> {
        let mut loader = Loader::new(marks);
        for item in items {
            loader.add(item?)?;
        }
        Ok(loader.finish())
    }
}

/// A state that is put together item by item, so that its items need not all be in memory beside it.
pub struct Loader(State);

impl Loader {
    /// What marks alone make.
    #[must_use]
    pub fn new(marks: &StateMarks) -> Self {
        let mut state = State::empty();
        state.revision = marks.revision;
        state.last_time_ms = marks.last_time_ms;
        state.requests = RequestMemory::new(marks.forgotten_through_ms);
        if marks.forgotten_through_ms != 0 {
            state.digest.add(Item::Forgotten, b"", &marks.forgotten_through_ms.to_le_bytes());
        }
        Self(state)
    }

    /// Adds an item.
    ///
    /// # Errors
    /// [`Fault`] when the item does not mean anything to this build; no retry helps.
    pub fn add(&mut self, item: SnapshotItem) -> Result<(), Fault> {
        let Self(state) = self;
        let incomplete = |part| Fault::Incomplete { what: "a stored item", part };
        match item.item.ok_or_else(|| incomplete("its content"))? {
            SnapshotKind::Record(KeyedRecord { key, record }) => {
                let key = Key::from_proto(&key.ok_or_else(|| incomplete("its key"))?)?;
                let record = Record::from_proto(&key, record.ok_or_else(|| incomplete("its record"))?)?;
                state.put(&key, None, Some(Arc::new(record)));
            }
            SnapshotKind::Fence(FenceMark { key, revision }) => {
                let key = Key::from_proto(&key.ok_or_else(|| incomplete("its key"))?)?;
                state.touch(&key, revision);
            }
            SnapshotKind::Request(request) => {
                let id = RequestId::from_bytes(&request.request_id).ok_or_else(|| incomplete("a UUIDv7"))?;
                state.remember(id, Arc::new(request));
            }
        }
        Ok(())
    }

    /// The state with all that was added. Its digest is computed from the items; the caller compares it.
    #[must_use]
    pub fn finish(self) -> State {
        let Self(mut state) = self;
        state.begin_touched();
        state
    }
}

//! Draft chunks as a state finds them: by sandbox, and by their ids within it. What they are for
//! is known to `decide::draft`.

use std::ops::Deref;

use openshell_proto::log::{DraftInbox, Kind};

use crate::key::Key;
use crate::record::{DraftChunk, Record, Value};
use crate::state::{Entry, State};

/// Chunks in the order in which they came: by draft version, then by time and id.
pub(crate) fn in_order<C: Deref<Target = DraftChunk>>(mut chunks: Vec<C>) -> Vec<C> {
    chunks.sort_by(|left, right| left.age().cmp(&right.age()));
    chunks
}

/// The highest draft version among chunks; 0 when there are none.
pub(crate) fn highest_version<C: Deref<Target = DraftChunk>>(chunks: impl IntoIterator<Item = C>) -> i64 {
    chunks.into_iter().map(|chunk| chunk.stored.draft_version).max().unwrap_or(0)
}

impl State {
    /// One chunk of a sandbox's draft inbox.
    #[must_use]
    pub fn draft_chunk(&self, workspace: &str, sandbox_id: &str, chunk_id: &str) -> Option<Entry<'_, DraftChunk>> {
        let key = Key::draft_chunk(workspace, sandbox_id, chunk_id);
        let record = self.record(&key)?;
        match &record.value {
            Value::DraftChunk(chunk) => Some(Entry { revision: record.revision, value: &**chunk }),
            other => panic!("{key} holds {other:?}"),
        }
    }

    /// The chunks of a sandbox's draft inbox, in order of id.
    pub fn draft_chunks(&self, workspace: &str, sandbox_id: &str) -> impl Iterator<Item = Entry<'_, DraftChunk>> {
        let records = self.draft_records(workspace, sandbox_id);
        records.map(|(record, value)| Entry { revision: record.revision, value })
    }

    /// The same, each with its record.
    pub(crate) fn draft_records(
        &self,
        workspace: &str,
        sandbox_id: &str,
    ) -> impl Iterator<Item = (&Record, &DraftChunk)> {
        let prefix = format!("{sandbox_id}/");
        let first = Key::new(Kind::DraftChunk, workspace, &prefix);
        let workspace = first.workspace.clone();
        self.records
            .range(first..)
            .take_while(move |(key, _)| {
                key.kind == Kind::DraftChunk && key.workspace == workspace && key.name.starts_with(&prefix)
            })
            .map(|(key, record)| match &record.value {
                Value::DraftChunk(chunk) => (&**record, &**chunk),
                other => panic!("{key} holds {other:?}"),
            })
    }

    /// What guards the chunks of a sandbox's draft inbox; none before the first of them.
    #[must_use]
    pub fn draft_inbox(&self, workspace: &str, sandbox_id: &str) -> Option<Entry<'_, DraftInbox>> {
        let key = Key::draft_inbox(workspace, sandbox_id);
        let record = self.record(&key)?;
        match &record.value {
            Value::DraftInbox(inbox) => Some(Entry { revision: record.revision, value: inbox }),
            other => panic!("{key} holds {other:?}"),
        }
    }
}

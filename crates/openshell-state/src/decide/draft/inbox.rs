//! The draft inbox of one sandbox while a call decides about it: its chunks with what the call
//! changes, and how much an inbox may hold. Guarded as a whole by one record, since what a call does
//! with one chunk depends on the others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_proto::log::DraftInbox;
use openshell_proto::v1::StoredDraftChunk;
use prost::Message;

use crate::decide::draft::{APPROVED, PENDING, REJECTED};
use crate::decision::Draft;
use crate::key::Key;
use crate::record::DraftChunk;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// What an inbox may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    chunks: usize,
    /// Encoded.
    bytes: usize,
}

/// All chunks of an inbox are answered in one message, and released clients read 4 MiB.
const INBOX_MAX: Load = Load { chunks: 256, bytes: 3 * 1024 * 1024 };
/// What nobody decided about may fill half of it: a sandbox that proposes without end cannot drive out
/// what was approved.
const PENDING_MAX: Load = Load { chunks: INBOX_MAX.chunks / 2, bytes: INBOX_MAX.bytes / 2 };

/// The chunks of one sandbox.
pub(super) struct Inbox<'a> {
    state: &'a State,
    workspace: &'a str,
    sandbox_id: &'a str,
    /// By id: what this call wrote, or none for what it removed.
    changed: BTreeMap<String, Option<DraftChunk>>,
}

impl<'a> Inbox<'a> {
    /// The inbox as it is. The draft relies on it.
    pub(super) fn open(state: &'a State, draft: &mut Draft, workspace: &'a str, sandbox_id: &'a str) -> Self {
        draft.rely_on(state, Key::draft_inbox(workspace, sandbox_id));
        Self { state, workspace, sandbox_id, changed: BTreeMap::new() }
    }

    /// Every chunk, in order of id.
    pub(super) fn chunks(&self) -> Vec<Cow<'_, DraftChunk>> {
        let kept = self.state.draft_chunks(self.workspace, self.sandbox_id).map(|entry| entry.value);
        let kept = kept.filter(|chunk| !self.changed.contains_key(&chunk.stored.id)).map(Cow::Borrowed);
        kept.chain(self.changed.values().flatten().map(Cow::Borrowed)).collect()
    }

    /// The chunks in the order in which they came: by draft version, then in order of id.
    pub(super) fn in_order(&self) -> Vec<Cow<'_, DraftChunk>> {
        let mut chunks = self.chunks();
        chunks.sort_by(|left, right| age(&left.stored).cmp(&age(&right.stored)));
        chunks
    }

    /// The chunk with this id.
    ///
    /// Refuses with `NOT_FOUND`, also for a chunk of another sandbox.
    pub(super) fn find(&self, id: &str) -> Result<Cow<'_, DraftChunk>, Refusal> {
        let found = match self.changed.get(id) {
            Some(changed) => changed.as_ref().map(Cow::Borrowed),
            None => {
                let kept = self.state.draft_chunk(self.workspace, self.sandbox_id, id);
                kept.map(|entry| Cow::Borrowed(entry.value))
            }
        };
        found.ok_or_else(|| Refusal::not_found(format!("draft chunk {id:?} does not exist in this sandbox's inbox")))
    }

    /// Adds a chunk, or takes another version of it.
    pub(super) fn put(&mut self, chunk: DraftChunk) {
        self.changed.insert(chunk.stored.id.clone(), Some(chunk));
    }

    /// Removes a chunk.
    pub(super) fn remove(&mut self, id: &str) {
        self.changed.insert(id.to_owned(), None);
    }

    /// The draft version of the next submission.
    pub(super) fn next_version(&self) -> i64 {
        self.chunks().iter().map(|chunk| chunk.stored.draft_version).max().unwrap_or(0).saturating_add(1)
    }

    /// Whether anything changed.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Makes room by letting decided chunks go that this call did not touch: rejected ones first, the
    /// one decided longest ago before others. What nobody decided yet is never let go.
    ///
    /// Refuses with `RESOURCE_EXHAUSTED` when that is not enough.
    pub(super) fn make_room(&mut self) -> Result<(), Refusal> {
        let (mut all, mut pending) = (Load::NOTHING, Load::NOTHING);
        let mut decided: Vec<(bool, i64, String, usize)> = Vec::new();
        for chunk in self.chunks() {
            let stored = &chunk.stored;
            let bytes = stored.encoded_len();
            all.add(bytes);
            if stored.status == PENDING {
                pending.add(bytes);
            } else if !self.changed.contains_key(&stored.id) {
                let at_ms = stored.decided_at_ms.unwrap_or(0);
                decided.push((stored.status == APPROVED, at_ms, stored.id.clone(), bytes));
            }
        }
        decided.sort();
        for (_, _, id, bytes) in decided {
            if all.fits(INBOX_MAX) {
                break;
            }
            self.remove(&id);
            all.take(bytes);
        }
        if all.fits(INBOX_MAX) && pending.fits(PENDING_MAX) {
            return Ok(());
        }
        let Load { chunks, bytes } = PENDING_MAX;
        Err(Refusal::new(
            Code::ResourceExhausted,
            format!(
                "the draft inbox is full: {} chunks with {} bytes would be pending, and at most {chunks} with {bytes} \
                 bytes may be; decide about them, or clear them",
                pending.chunks, pending.bytes
            ),
        ))
    }

    /// As [`Inbox::make_room`]; before it refuses, what the call changed keeps hashes in the place of policies.
    pub(super) fn make_room_by_hashes(&mut self) -> Result<(), Refusal> {
        let before = self.changed.clone();
        if self.make_room().is_ok() {
            return Ok(());
        }
        // What went for nothing stays.
        self.changed = before;
        self.changed.values_mut().flatten().for_each(without_copies);
        self.make_room()
    }

    /// As [`Inbox::make_room_by_hashes`] for a call that adds no chunk, and that goes on without room.
    pub(super) fn fit(&mut self) {
        let _ = self.make_room_by_hashes();
    }

    /// As [`Inbox::fit`] for a call that can make chunks larger. What is pending may be more than its half:
    /// somebody who decides is not kept from it by what a sandbox proposes.
    ///
    /// Refuses with `RESOURCE_EXHAUSTED` when the inbox would hold more than it may.
    pub(super) fn fit_or_refuse(&mut self) -> Result<(), Refusal> {
        self.fit();
        let mut all = Load::NOTHING;
        self.chunks().iter().for_each(|chunk| all.add(chunk.stored.encoded_len()));
        if all.fits(INBOX_MAX) {
            return Ok(());
        }
        let Load { chunks, bytes } = INBOX_MAX;
        Err(Refusal::new(
            Code::ResourceExhausted,
            format!(
                "the draft inbox is full: it would hold {} chunks with {} bytes, and at most {chunks} with {bytes} \
                 bytes are allowed; decide about some, or clear them",
                all.chunks, all.bytes
            ),
        ))
    }

    /// Writes what changed, and the record that guards the inbox.
    pub(super) fn save(self, draft: &mut Draft) {
        if self.changed.is_empty() {
            return;
        }
        for (id, chunk) in &self.changed {
            let key = Key::draft_chunk(self.workspace, self.sandbox_id, id);
            match chunk {
                Some(chunk) => draft.put(&key, &chunk.stored),
                None => draft.delete(&key),
            }
        }
        let before = self.state.draft_inbox(self.workspace, self.sandbox_id);
        if before.is_none() {
            draft.touch(Key::workspace_contents(self.workspace));
        }
        let resource_version = before.map_or(0, |inbox| inbox.value.resource_version) + 1;
        draft.put(&Key::draft_inbox(self.workspace, self.sandbox_id), &DraftInbox { resource_version });
    }
}

impl Load {
    const NOTHING: Self = Self { chunks: 0, bytes: 0 };

    fn add(&mut self, bytes: usize) {
        self.chunks += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: usize) {
        self.chunks -= 1;
        self.bytes -= bytes;
    }

    fn fits(self, most: Self) -> bool {
        self.chunks <= most.chunks && self.bytes <= most.bytes
    }
}

/// Leaves the hashes of the policies that a chunk was evaluated on.
pub(super) fn without_copies(chunk: &mut DraftChunk) {
    chunk.stored.current_effective_policy = None;
    chunk.stored.candidate_effective_policy = None;
}

/// What chunks are ordered by.
pub(crate) fn age(stored: &StoredDraftChunk) -> (i64, i64, &str) {
    (stored.draft_version, stored.created_at_ms, &stored.id)
}

/// Marks a chunk as rejected.
pub(super) fn reject(chunk: &mut DraftChunk, reason: String, now_ms: i64) {
    REJECTED.clone_into(&mut chunk.stored.status);
    chunk.stored.rejection_reason = reason;
    chunk.stored.decided_at_ms = Some(now_ms);
}

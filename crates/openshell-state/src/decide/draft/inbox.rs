//! The draft inbox of one sandbox while a call decides about it: its chunks with what the call
//! changes, and how much an inbox may hold. Guarded as a whole by one record, since what a call does
//! with one chunk depends on the others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_proto::log::DraftInbox;
use openshell_proto::v1::StoredDraftChunk;
use prost::Message;

use crate::decide::draft::applied::without_before;
use crate::decision::Draft;
use crate::drafts;
use crate::key::Key;
use crate::record::DraftChunk;
use crate::record::chunk_status::{APPROVED, PENDING, REJECTED};
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// What an inbox may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    chunks: usize,
    /// Encoded, with [`DECISION_BYTES`] for each chunk that is pending.
    bytes: usize,
}

/// What would be left of an inbox.
struct Left {
    /// Ids of the chunks that would go.
    gone: Vec<String>,
    all: Load,
    /// What of that is pending.
    pending: Load,
}

/// All chunks of an inbox are answered in one message, and released clients read 4 MiB.
const INBOX_MAX: Load = Load { chunks: 256, bytes: 3 * 1024 * 1024 };
/// What nobody decided about may fill half of it: a sandbox that proposes without end cannot drive out
/// what was approved.
const PENDING_MAX: Load = Load { chunks: INBOX_MAX.chunks / 2, bytes: INBOX_MAX.bytes / 2 };

/// Kept free for each pending chunk: what rejecting it without a reason adds, so that there is always room for that.
const DECISION_BYTES: usize = 64;

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
        drafts::in_order(self.chunks())
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
        drafts::highest_version(self.chunks()).saturating_add(1)
    }

    /// Whether anything changed.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Makes room for a call that adds chunks, as [`Inbox::settle`] does.
    ///
    /// Refuses with `RESOURCE_EXHAUSTED` when that is not enough.
    pub(super) fn make_room(&mut self) -> Result<(), Refusal> {
        let (all, pending) = self.settle();
        if !pending.fits(PENDING_MAX) {
            let Load { chunks, bytes } = PENDING_MAX;
            return Err(full(&format!(
                "{} chunks with {} bytes would be pending, and at most {chunks} with {bytes} bytes may be; decide about \
                 them, or clear them",
                pending.chunks, pending.bytes
            )));
        }
        if !all.fits(INBOX_MAX) {
            let remedy = "send fewer proposals at once, or decide about those that are pending, or clear them";
            return Err(too_much(all, remedy));
        }
        Ok(())
    }

    /// Makes room for a call that adds no chunk but can make chunks larger, as [`Inbox::settle`] does. What is pending
    /// may be more than its half: somebody who decides is not kept from it by what a sandbox proposes.
    ///
    /// Refuses with `RESOURCE_EXHAUSTED` when the inbox would hold more than it may, and more than it does: who takes
    /// something out of one that is too full goes on.
    pub(super) fn fit(&mut self) -> Result<(), Refusal> {
        let (all, _) = self.settle();
        let mut before = Load::NOTHING;
        let kept = self.state.draft_chunks(self.workspace, self.sandbox_id);
        kept.for_each(|chunk| before.add(weight(&chunk.value.stored)));
        if all.fits(INBOX_MAX) || all.fits(before) {
            return Ok(());
        }
        Err(too_much(all, "decide about fewer at once, reject some without a reason, or clear them"))
    }

    /// Makes room where it is short: decided chunks go; when that is not enough, what the call changed keeps hashes in
    /// the place of policies; and when the inbox is still too large, not what rules were before an approval.
    fn settle(&mut self) -> (Load, Load) {
        let mut left = self.let_go();
        if !(left.all.fits(INBOX_MAX) && left.pending.fits(PENDING_MAX)) {
            self.changed.values_mut().flatten().for_each(without_copies);
            left = self.let_go();
        }
        if !left.all.fits(INBOX_MAX) {
            self.changed.values_mut().flatten().for_each(without_before);
            left = self.let_go();
        }
        // Only now: what would have gone for nothing stays.
        left.gone.iter().for_each(|id| self.remove(id));
        (left.all, left.pending)
    }

    /// What is left once decided chunks go that this call did not touch, while the inbox holds more than it may:
    /// rejected ones first, the one decided longest ago before others. What nobody decided yet is never let go.
    fn let_go(&self) -> Left {
        let (mut all, mut pending) = (Load::NOTHING, Load::NOTHING);
        let mut decided: Vec<(bool, i64, String, usize)> = Vec::new();
        for chunk in self.chunks() {
            let stored = &chunk.stored;
            let bytes = weight(stored);
            all.add(bytes);
            if stored.status == PENDING {
                pending.add(bytes);
            } else if !self.changed.contains_key(&stored.id) {
                let at_ms = stored.decided_at_ms.unwrap_or(0);
                decided.push((stored.status == APPROVED, at_ms, stored.id.clone(), bytes));
            }
        }
        decided.sort();
        let mut gone = Vec::new();
        for (_, _, id, bytes) in decided {
            if all.fits(INBOX_MAX) {
                break;
            }
            gone.push(id);
            all.take(bytes);
        }
        Left { gone, all, pending }
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

/// The refusal of what there is no room for.
fn full(why: &str) -> Refusal {
    Refusal::new(Code::ResourceExhausted, format!("the draft inbox is full: {why}"))
}

/// The refusal of what would make an inbox hold so much, and what to do about it.
fn too_much(all: Load, remedy: &str) -> Refusal {
    let Load { chunks, bytes } = INBOX_MAX;
    full(&format!(
        "it would hold {} chunks with {} bytes, and at most {chunks} with {bytes} bytes are allowed; {remedy}",
        all.chunks, all.bytes
    ))
}

/// How much of an inbox a chunk takes.
fn weight(stored: &StoredDraftChunk) -> usize {
    stored.encoded_len() + if stored.status == PENDING { DECISION_BYTES } else { 0 }
}

/// Leaves the hashes of the policies that a chunk was evaluated on.
pub(super) fn without_copies(chunk: &mut DraftChunk) {
    chunk.stored.current_effective_policy = None;
    chunk.stored.candidate_effective_policy = None;
}

/// Marks a chunk as rejected.
pub(super) fn reject(chunk: &mut DraftChunk, reason: String, now_ms: i64) {
    REJECTED.clone_into(&mut chunk.stored.status);
    chunk.stored.rejection_reason = reason;
    chunk.stored.decided_at_ms = Some(now_ms);
}

//! `RejectDraftChunk` and `UndoDraftChunk` (`config.md` DC-7). What was approved leaves the policy first: the rule
//! that the chunk went into is put back as it was, or, once somebody else has changed it, loses the binaries that
//! the chunk added.

use openshell_proto::v1::{
    RejectDraftChunkRequest, RejectDraftChunkResponse, UndoDraftChunkRequest, UndoDraftChunkResponse,
};

use crate::decide::draft::applied::Applied;
use crate::decide::draft::evaluation::{self, Evaluator};
use crate::decide::draft::inbox::{self, Inbox};
use crate::decide::draft::write::{self, Written};
use crate::decide::draft::{Desk, bounded, enter, open, wrong_status};
use crate::decide::policy::not_global;
use crate::decision::{Call, Decision, Draft};
use crate::record::DraftChunk;
use crate::record::chunk_status::{APPROVED, PENDING};
use crate::refusal::Refusal;

/// Decides a rejection.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND`; `FAILED_PRECONDITION` for a chunk that
/// is rejected already, and for an approved one while a global policy is set, or when what it added cannot
/// be taken back alone; `RESOURCE_EXHAUSTED` when the inbox has no room for the reason.
pub fn reject(call: Call<'_>, request: &RejectDraftChunkRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let needed = [("name", request.name.as_str()), ("chunk_id", &request.chunk_id)];
    let workspace = enter(&call, &mut draft, &request.workspace, &needed)?;
    bounded("reason", &request.reason)?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let mut chunk = inbox.find(&request.chunk_id)?.into_owned();
    match chunk.stored.status.as_str() {
        PENDING => {}
        APPROVED => {
            take_back(&call, &mut draft, &desk, &mut chunk)?;
        }
        status => return Err(wrong_status(&chunk.stored.id, status, &format!("{PENDING} or {APPROVED}"))),
    }
    inbox::reject(&mut chunk, request.reason.clone(), call.stamp.time_ms);
    inbox.put(chunk);
    inbox.fit()?;
    inbox.save(&mut draft);
    Ok(draft.answer(&RejectDraftChunkResponse {}))
}

/// Decides that an approved chunk is pending again.
///
/// # Errors
/// As [`reject`]; `FAILED_PRECONDITION` for a chunk that is not approved.
pub fn undo(call: Call<'_>, request: &UndoDraftChunkRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let needed = [("name", request.name.as_str()), ("chunk_id", &request.chunk_id)];
    let workspace = enter(&call, &mut draft, &request.workspace, &needed)?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let mut chunk = inbox.find(&request.chunk_id)?.into_owned();
    if chunk.stored.status != APPROVED {
        return Err(wrong_status(&chunk.stored.id, &chunk.stored.status, APPROVED));
    }
    let written = take_back(&call, &mut draft, &desk, &mut chunk)?;
    PENDING.clone_into(&mut chunk.stored.status);
    chunk.stored.rejection_reason.clear();
    chunk.stored.decided_at_ms = None;
    inbox.put(chunk);
    inbox.fit()?;
    inbox.save(&mut draft);
    let response = UndoDraftChunkResponse { policy_version: written.version, policy_hash: written.hash };
    Ok(draft.answer(&response))
}

/// Takes what an approved chunk added out of the policy, and evaluates the chunk on what is left.
fn take_back(call: &Call<'_>, draft: &mut Draft, desk: &Desk<'_>, chunk: &mut DraftChunk) -> Result<Written, Refusal> {
    not_global(call.state, draft)?;
    let mut evaluator = Evaluator::open(call.state, draft, desk.workspace, desk.sandbox)?;
    let left = evaluator.without(chunk)?;
    let written = match evaluator.base().is_none_or(|base| *base == left) {
        true => write::latest(call, desk),
        false => write::revision(call, draft, desk, &evaluator, &left)?,
    };
    Applied::clear(&mut chunk.stored);
    evaluator.rebase(left, None);
    evaluation::refresh(&mut evaluator, chunk);
    Ok(written)
}

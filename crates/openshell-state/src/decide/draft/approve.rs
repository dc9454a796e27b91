//! `ApproveDraftChunk` (`config.md` DC-6): the rule goes into the policy, if what it comes to is what was
//! reviewed. Otherwise the refusal goes with the newest evaluation, for another review.

use openshell_proto::v1::{ApproveDraftChunkRequest, ApproveDraftChunkResponse};

use crate::decide::draft::applied::Applied;
use crate::decide::draft::evaluation::{self, Evaluator};
use crate::decide::draft::inbox::Inbox;
use crate::decide::draft::{enter, open, write, wrong_status};
use crate::decide::policy::not_global;
use crate::decision::{Call, Decision, Draft};
use crate::record::DraftChunk;
use crate::record::chunk_status::{APPROVED, PENDING, REJECTED};
use crate::refusal::Refusal;

/// Decides an approval of one chunk.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND`; `FAILED_PRECONDITION` while a global
/// policy is set, for a chunk that is approved already, and when the token is not that of what the chunk
/// comes to now: a retry needs another review; `RESOURCE_EXHAUSTED` when the inbox has no room for what the
/// approval changed, or for another evaluation.
pub fn approve(call: Call<'_>, request: &ApproveDraftChunkRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let needed = [("name", request.name.as_str()), ("chunk_id", &request.chunk_id)];
    let workspace = enter(&call, &mut draft, &request.workspace, &needed)?;
    not_global(call.state, &mut draft)?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let mut chunk = inbox.find(&request.chunk_id)?.into_owned();
    if ![PENDING, REJECTED].contains(&chunk.stored.status.as_str()) {
        let allowed = format!("{PENDING} or {REJECTED}");
        return Err(wrong_status(&chunk.stored.id, &chunk.stored.status, &allowed));
    }
    let mut evaluator = Evaluator::open(call.state, &mut draft, desk.workspace, desk.sandbox)?;
    let evaluation = evaluator.evaluate(&chunk.stored.rule_name, &chunk.rule);
    let refusal = match &evaluation {
        Ok(evaluation) if evaluation.token != chunk.stored.review_token => stale(&chunk),
        Ok(_) if request.review_token != chunk.stored.review_token => return Err(not_reviewed(&chunk)),
        Ok(evaluation) => {
            let written = write::revision(&call, &mut draft, &desk, &evaluator, &evaluation.merged)?;
            accept(&mut chunk, evaluation.applied.clone(), call.stamp.time_ms);
            inbox.put(chunk);
            inbox.fit()?;
            inbox.save(&mut draft);
            let response = ApproveDraftChunkResponse { policy_version: written.version, policy_hash: written.hash };
            return Ok(draft.answer(&response));
        }
        Err(why) => Refusal::precondition(format!("draft chunk {:?} cannot be applied: {why}", chunk.stored.id)),
    };
    let before = chunk.stored.clone();
    match evaluation {
        Ok(evaluation) => evaluation.store(&mut chunk),
        Err(why) => evaluation::store_failure(&mut chunk, &why),
    }
    if chunk.stored == before {
        return Err(refusal);
    }
    inbox.put(chunk);
    inbox.fit()?;
    inbox.save(&mut draft);
    Ok(draft.refuse(refusal))
}

/// Marks a chunk as approved, with what it added to the policy.
pub(super) fn accept(chunk: &mut DraftChunk, applied: Applied, now_ms: i64) {
    applied.write(&mut chunk.stored);
    APPROVED.clone_into(&mut chunk.stored.status);
    chunk.stored.rejection_reason.clear();
    chunk.stored.application_error.clear();
    chunk.stored.decided_at_ms = Some(now_ms);
}

fn stale(chunk: &DraftChunk) -> Refusal {
    Refusal::precondition(format!(
        "what draft chunk {:?} would come to has changed since it was evaluated; it was evaluated again: review it and \
         approve it with its new review_token",
        chunk.stored.id
    ))
}

fn not_reviewed(chunk: &DraftChunk) -> Refusal {
    Refusal::precondition(format!(
        "review_token is not that of draft chunk {:?} as it is now; read it again, review it and send its review_token",
        chunk.stored.id
    ))
}

//! `EditDraftChunk`: another rule in the place of the one proposed, with a review of its own
//! (`config.md` DC-7).

use openshell_proto::v1::{EditDraftChunkRequest, EditDraftChunkResponse};

use crate::decide::draft::evaluation::Evaluator;
use crate::decide::draft::inbox::Inbox;
use crate::decide::draft::proposal::{self, Target};
use crate::decide::draft::{enter, open, wrong_status};
use crate::decision::{Call, Decision, Draft};
use crate::record::chunk_status::PENDING;
use crate::refusal::Refusal;

/// Decides another rule for a pending chunk. What repetitions of the proposal are recognised by stays, so
/// that they count for the edited chunk and never bring the old rule back.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND`; `FAILED_PRECONDITION` for a chunk that
/// is not pending; what merging the rule into the sandbox's policy is refused with;
/// `RESOURCE_EXHAUSTED` when the inbox has no room for the rule.
pub fn edit(call: Call<'_>, request: &EditDraftChunkRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let needed = [("name", request.name.as_str()), ("chunk_id", &request.chunk_id)];
    let workspace = enter(&call, &mut draft, &request.workspace, &needed)?;
    let rule = request.proposed_rule.as_ref().ok_or_else(|| Refusal::invalid("proposed_rule is required"))?;
    let rule = proposal::acceptable(rule).map_err(Refusal::invalid)?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let mut chunk = inbox.find(&request.chunk_id)?.into_owned();
    if chunk.stored.status != PENDING {
        return Err(wrong_status(&chunk.stored.id, &chunk.stored.status, PENDING));
    }
    let mut evaluator = Evaluator::open(call.state, &mut draft, desk.workspace, desk.sandbox)?;
    evaluator.evaluate(&chunk.stored.rule_name, &rule)?.store(&mut chunk);
    Target::of(&rule).write(&mut chunk.stored);
    proposal::set_rule(&mut chunk, rule);
    inbox.put(chunk);
    inbox.fit()?;
    inbox.save(&mut draft);
    Ok(draft.answer(&EditDraftChunkResponse {}))
}

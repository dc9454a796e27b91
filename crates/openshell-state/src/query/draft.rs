//! The draft inbox of a sandbox as it is read (`config.md` DC-7, DC-11). Everything is answered as it is
//! stored: nothing is evaluated here.

use openshell_proto::v1::{
    DraftHistoryEntry, GetDraftHistoryRequest, GetDraftHistoryResponse, GetDraftPolicyRequest, GetDraftPolicyResponse,
    PolicyChunk, Sandbox, StoredDraftChunk,
};

use crate::access::{Principal, Role, workspace_or_default};
use crate::drafts;
use crate::query::{enter, enter_or_own, sandbox};
use crate::record::DraftChunk;
use crate::record::chunk_status::PENDING;
use crate::refusal::Refusal;
use crate::state::State;

/// `GetDraftPolicy`: the chunks in the order in which they came, for a member of the workspace and for the
/// sandbox itself.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`, and for a sandbox that asks about
/// another one `PERMISSION_DENIED`, whether that exists or not.
pub fn get(
    state: &State,
    principal: &Principal,
    request: &GetDraftPolicyRequest,
) -> Result<GetDraftPolicyResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter_or_own(state, principal, workspace, Role::User)?;
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required: name the sandbox"));
    }
    let found = match principal {
        Principal::Sandbox { id } => sandbox::own(state, workspace, &request.name, id)?,
        Principal::Anonymous | Principal::User(_) | Principal::Cluster => {
            sandbox::find(state, workspace, &request.name)?
        }
    };
    let chunks = in_order(state, workspace, found);
    let asked = |chunk: &&&DraftChunk| request.status_filter.is_empty() || chunk.stored.status == request.status_filter;
    Ok(GetDraftPolicyResponse {
        draft_version: version(&chunks),
        last_analyzed_at_ms: chunks.iter().map(|chunk| chunk.stored.created_at_ms).max().unwrap_or(0),
        chunks: chunks.iter().filter(asked).map(|chunk| shown(chunk)).collect(),
        rolling_summary: String::new(),
    })
}

/// `GetDraftHistory`: when each chunk was proposed, and when it was decided.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn history(
    state: &State,
    principal: &Principal,
    request: &GetDraftHistoryRequest,
) -> Result<GetDraftHistoryResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    let found = sandbox::find(state, workspace, &request.name)?;
    let mut entries: Vec<DraftHistoryEntry> = Vec::new();
    for chunk in in_order(state, workspace, found) {
        let stored = &chunk.stored;
        let entry = |timestamp_ms, event_type: &str, description| DraftHistoryEntry {
            timestamp_ms,
            event_type: event_type.to_owned(),
            description,
            chunk_id: stored.id.clone(),
        };
        let name = &stored.rule_name;
        let proposed = format!("rule {name:?} proposed ({})", mode(stored));
        entries.push(entry(stored.created_at_ms, "proposed", proposed));
        if let Some(decided_at_ms) = stored.decided_at_ms {
            let reason = match stored.rejection_reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            let decided = format!("rule {name:?} {}{reason}", stored.status);
            entries.push(entry(decided_at_ms, &stored.status, decided));
        }
    }
    // Stable: what was proposed and decided at once stays in this order.
    entries.sort_by_key(|entry| entry.timestamp_ms);
    Ok(GetDraftHistoryResponse { entries })
}

/// How an inbox stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The highest draft version that is stored.
    pub draft_version: u64,
    /// Chunks that nobody decided about.
    pub pending: u32,
    /// Chunks that came after the revision asked about.
    pub new: u32,
}

/// How the inbox of a sandbox stands, seen by who knows it as it was at the revision `since`.
#[must_use]
pub fn standing(state: &State, workspace: &str, sandbox_id: &str, since: u64) -> Standing {
    let mut standing = Standing::default();
    let mut chunks = Vec::new();
    for (record, chunk) in state.draft_records(workspace, sandbox_id) {
        standing.pending += u32::from(chunk.stored.status == PENDING);
        standing.new += u32::from(record.created_revision > since);
        chunks.push(chunk);
    }
    Standing { draft_version: version(&chunks), ..standing }
}

fn in_order<'a>(state: &'a State, workspace: &str, sandbox: &Sandbox) -> Vec<&'a DraftChunk> {
    let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    drafts::in_order(state.draft_chunks(workspace, id).map(|entry| entry.value).collect())
}

fn version(chunks: &[&DraftChunk]) -> u64 {
    u64::try_from(drafts::highest_version(chunks.iter().copied())).unwrap_or(0)
}

fn mode(stored: &StoredDraftChunk) -> &str {
    if stored.analysis_mode.is_empty() { "no analysis mode given" } else { &stored.analysis_mode }
}

/// A stored chunk as answers show it.
pub(super) fn shown(chunk: &DraftChunk) -> PolicyChunk {
    let stored = &chunk.stored;
    PolicyChunk {
        id: stored.id.clone(),
        status: stored.status.clone(),
        rule_name: stored.rule_name.clone(),
        proposed_rule: Some(chunk.rule.clone()),
        rationale: stored.rationale.clone(),
        security_notes: stored.security_notes.clone(),
        // It came as a float of this size.
        confidence: stored.confidence as f32,
        created_at_ms: stored.created_at_ms,
        decided_at_ms: stored.decided_at_ms.unwrap_or(0),
        hit_count: stored.hit_count,
        first_seen_ms: stored.first_seen_ms,
        last_seen_ms: stored.last_seen_ms,
        binary: stored.binary.clone(),
        validation_result: stored.validation_result.clone(),
        rejection_reason: stored.rejection_reason.clone(),
        application_error: stored.application_error.clone(),
        review_token: stored.review_token.clone(),
        current_effective_policy_hash: stored.current_effective_policy_hash.clone(),
        candidate_effective_policy_hash: stored.candidate_effective_policy_hash.clone(),
        current_effective_policy: stored.current_effective_policy.clone(),
        candidate_effective_policy: stored.candidate_effective_policy.clone(),
        ..PolicyChunk::default()
    }
}

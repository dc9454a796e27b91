//! `ClearDraftChunks`: everything that nobody decided yet goes (`config.md` DC-7).

use openshell_proto::v1::{ClearDraftChunksRequest, ClearDraftChunksResponse};

use crate::decide::draft::inbox::Inbox;
use crate::decide::draft::{enter, open};
use crate::decision::{Call, Decision, Draft};
use crate::record::chunk_status::PENDING;
use crate::refusal::Refusal;

/// Decides the removal of all pending chunks of a sandbox.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn clear(call: Call<'_>, request: &ClearDraftChunksRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = enter(&call, &mut draft, &request.workspace, &[("name", &request.name)])?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let pending: Vec<String> = inbox
        .chunks()
        .iter()
        .filter(|chunk| chunk.stored.status == PENDING)
        .map(|chunk| chunk.stored.id.clone())
        .collect();
    pending.iter().for_each(|id| inbox.remove(id));
    let response = ClearDraftChunksResponse { chunks_cleared: u32::try_from(pending.len()).unwrap_or(u32::MAX) };
    if pending.is_empty() {
        return Ok(Decision::answer(&response));
    }
    inbox.save(&mut draft);
    Ok(draft.answer(&response))
}

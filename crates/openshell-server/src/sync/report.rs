//! `Sync.Report`: what became of a configuration at a sandbox, as far as this node remembers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openshell_proto::sync::{ReportRequest, ReportResponse};
use openshell_state::access::Principal;
use openshell_state::query;
use tokio::time::Instant;
use tonic::Status;

use crate::grpc::{Gateway, refused};

/// Takes a report of the sandbox whose own principal calls. It may be repeated, and says each time that somebody
/// is there.
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox; `FAILED_PRECONDITION` when no stream of that name goes on here;
/// `INVALID_ARGUMENT` about a position that was never sent.
pub(crate) async fn report(
    gateway: Arc<Gateway>,
    principal: Principal,
    request: ReportRequest,
) -> Result<ReportResponse, Status> {
    let own = query::sandbox::own_id(&principal).map_err(|refusal| refused(&refusal))?;
    if own != request.sandbox_id {
        return Err(Status::permission_denied("a sandbox may only report about itself"));
    }
    let Some(session) = gateway.sessions.find(own, &request.session) else {
        let text = "this node has no such session, or not any more: begin the stream again and report by its name";
        return Err(Status::failed_precondition(text));
    };
    gateway.sessions.heard(&session, Instant::now());
    let state = gateway.cluster.state();
    let position = request.position.unwrap_or_default();
    let failure = Some(request.failed.as_str()).filter(|failed| !failed.is_empty());
    if position.epoch != state.epoch() || !session.reported(position.revision, failure) {
        return Err(Status::invalid_argument("position is none that this session has sent"));
    }
    if let Some((_, entry)) = state.sandbox_by_id(own) {
        gateway.sessions.arrives(&session, entry.value);
    }
    gateway.sessions.counts.reports.fetch_add(1, Ordering::Relaxed);
    Ok(ReportResponse {})
}

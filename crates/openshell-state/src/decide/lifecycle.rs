//! Stopping and starting a sandbox, as transitions of its record (`config.md` SR-36, SR-39, SR-40). No
//! compute driver carries them out: a stop is done when it is written, a start when the supervisor of the
//! sandbox, whoever starts it, is connected.

use openshell_proto::v1::{
    Sandbox, SandboxPhase, SandboxResponse, SandboxStatus, StartSandboxRequest, StopSandboxRequest,
};

use crate::access::{Role, workspace_or_default};
use crate::decide::{Need, enter_workspace, next_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::phase;
use crate::query;
use crate::refusal::Refusal;

/// Decides a stop.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`; `FAILED_PRECONDITION` when the sandbox
/// is neither ready, stopping nor stopped.
pub fn stop(call: Call<'_>, request: &StopSandboxRequest) -> Result<Decision, Refusal> {
    let (draft, workspace, before) = enter(&call, &request.workspace, &request.name)?;
    let after = match phase_of(before) {
        SandboxPhase::Stopped => None,
        SandboxPhase::Ready | SandboxPhase::Stopping => phase::stopped(&status(before), call.stamp.time_ms),
        other => return Err(not_now(&request.name, other, "stopped", "READY")),
    };
    Ok(answer(draft, workspace, before, after))
}

/// Decides a start.
///
/// # Errors
/// As [`stop`]; `FAILED_PRECONDITION` when the sandbox is neither stopped, starting nor ready.
pub fn start(call: Call<'_>, request: &StartSandboxRequest) -> Result<Decision, Refusal> {
    let (draft, workspace, before) = enter(&call, &request.workspace, &request.name)?;
    let after = match phase_of(before) {
        SandboxPhase::Ready => None,
        SandboxPhase::Stopped | SandboxPhase::Starting => phase::starting(&status(before), call.stamp.time_ms),
        other => return Err(not_now(&request.name, other, "started", "STOPPED")),
    };
    Ok(answer(draft, workspace, before, after))
}

fn enter<'a>(call: &Call<'a>, workspace: &'a str, name: &str) -> Result<(Draft, &'a str, &'a Sandbox), Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let mut draft = Draft::new();
    let workspace = workspace_or_default(workspace);
    enter_workspace(call, &mut draft, workspace, Role::User, Need::Existing)?;
    let sandbox = query::sandbox::find(call.state, workspace, name)?;
    draft.rely_on(call.state, Key::sandbox(workspace, name));
    Ok((draft, workspace, sandbox))
}

/// The record, written only when its status is another.
fn answer(mut draft: Draft, workspace: &str, before: &Sandbox, after: Option<SandboxStatus>) -> Decision {
    let shown = |sandbox| SandboxResponse { sandbox: Some(sandbox), ..SandboxResponse::default() };
    let Some(status) = after else { return Decision::answer(&shown(before.clone())) };
    let sandbox = put(&mut draft, workspace, before, status);
    draft.answer(&shown(sandbox))
}

/// Writes a sandbox with another status, as its next version. Touches no fence: nobody relies on it.
pub(super) fn put(draft: &mut Draft, workspace: &str, before: &Sandbox, status: SandboxStatus) -> Sandbox {
    let metadata = next_metadata(before.metadata.as_ref());
    let key = Key::sandbox(workspace, &metadata.name);
    let after = Sandbox { metadata: Some(metadata), spec: before.spec.clone(), status: Some(status) };
    draft.put(&key, &after);
    after
}

/// What is recorded of a sandbox's running.
pub(super) fn status(sandbox: &Sandbox) -> SandboxStatus {
    sandbox.status.clone().unwrap_or_default()
}

fn phase_of(sandbox: &Sandbox) -> SandboxPhase {
    sandbox.status.as_ref().map_or(SandboxPhase::Unspecified, SandboxStatus::phase)
}

fn not_now(name: &str, phase: SandboxPhase, what: &str, needed: &str) -> Refusal {
    let phase = phase.as_str_name().trim_start_matches("SANDBOX_PHASE_");
    Refusal::precondition(format!("sandbox {name:?} is {phase} and cannot be {what}; it has to be {needed} first"))
}

//! Policy revisions as they are read (`config.md` PR-6).

use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, PolicyStatus, SandboxPolicyRevision,
};

use crate::access::{Principal, Role, workspace_or_default};
use crate::effective::version_of;
use crate::key::GLOBAL_SCOPE;
use crate::query::{enter, sandbox};
use crate::record::PolicyRevision;
use crate::refusal::Refusal;
use crate::state::State;

/// `GetSandboxPolicyStatus`: one revision of a sandbox's policy or of the global one; version
/// 0 is the latest.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn status(
    state: &State,
    principal: &Principal,
    request: &GetSandboxPolicyStatusRequest,
) -> Result<GetSandboxPolicyStatusResponse, Refusal> {
    let (workspace, scope, active_version) = if request.global {
        principal.require_platform_admin()?;
        ("", GLOBAL_SCOPE, 0)
    } else {
        let workspace = workspace_or_default(&request.workspace);
        enter(state, principal, workspace, Role::User)?;
        let sandbox = sandbox::find(state, workspace, &request.name)?;
        let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        (workspace, id, sandbox.status.as_ref().map_or(0, |status| status.current_policy_version))
    };
    let revision = match request.version {
        0 => state.latest_policy(workspace, scope),
        version => state.policy_revision(workspace, scope, version),
    };
    match revision {
        Some(entry) => Ok(GetSandboxPolicyStatusResponse { revision: Some(shown(entry.value)), active_version }),
        None if request.version == 0 => Err(Refusal::not_found("no policy revision exists")),
        None => Err(Refusal::not_found(format!("policy revision {} does not exist", request.version))),
    }
}

/// A stored revision as answers show it.
pub(super) fn shown(revision: &PolicyRevision) -> SandboxPolicyRevision {
    let stored = &revision.stored;
    let status = match stored.status.as_str() {
        "pending" => PolicyStatus::Pending,
        "loaded" => PolicyStatus::Loaded,
        "failed" => PolicyStatus::Failed,
        "superseded" => PolicyStatus::Superseded,
        _ => PolicyStatus::Unspecified,
    };
    SandboxPolicyRevision {
        version: version_of(stored),
        policy_hash: stored.policy_hash.clone(),
        status: status as i32,
        load_error: stored.load_error.clone().unwrap_or_default(),
        created_at_ms: stored.created_at_ms,
        loaded_at_ms: stored.loaded_at_ms.unwrap_or(0),
        policy: Some(revision.policy.clone()),
        provenance: stored.provenance.clone(),
    }
}

//! Policy revisions as they are read (`config.md` PR-6, PR-7).

use openshell_proto::sandbox::LeftOutProfile;
use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, ListSandboxPoliciesRequest,
    ListSandboxPoliciesResponse, PolicyStatus, Sandbox, SandboxPolicyRevision,
};

use crate::access::{Principal, Role, workspace_or_default};
use crate::composition::{self, View};
use crate::effective::version_of;
use crate::key::{GLOBAL_SCOPE, Key};
use crate::query::{enter, page, sandbox};
use crate::record::PolicyRevision;
use crate::record::revision_status::{FAILED, LOADED, PENDING, SUPERSEDED};
use crate::refusal::Refusal;
use crate::state::State;

/// Whether nobody has said yet what became of the latest revision of a sandbox's policy.
#[must_use]
pub fn is_pending(state: &State, (key, sandbox): (&Key, &Sandbox)) -> bool {
    let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let latest = state.latest_policy(&key.workspace, id);
    latest.is_some_and(|latest| latest.value.stored.status == PENDING)
}

/// Whose revisions are asked for.
struct Scope<'a> {
    workspace: &'a str,
    /// A sandbox's id, or what stands for the gateway.
    id: &'a str,
    /// None for the gateway.
    sandbox: Option<&'a Sandbox>,
}

impl<'a> Scope<'a> {
    /// Of the gateway, for platform admins, or of a sandbox.
    fn of(
        state: &'a State,
        principal: &Principal,
        global: bool,
        workspace: &'a str,
        name: &str,
    ) -> Result<Self, Refusal> {
        if global {
            principal.require_platform_admin()?;
            return Ok(Self { workspace: "", id: GLOBAL_SCOPE, sandbox: None });
        }
        let workspace = workspace_or_default(workspace);
        enter(state, principal, workspace, Role::User)?;
        let sandbox = sandbox::find(state, workspace, name)?;
        let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        Ok(Self { workspace, id, sandbox: Some(sandbox) })
    }

    /// The version that the sandbox enforces, as it reported; 0 when it reported none, and for the gateway.
    fn active_version(&self) -> u32 {
        self.sandbox.and_then(|sandbox| sandbox.status.as_ref()).map_or(0, |status| status.current_policy_version)
    }

    /// What the sandbox composes without; nothing for the gateway.
    fn left_out(&self, state: &State) -> Vec<LeftOutProfile> {
        let listed =
            self.sandbox.and_then(|sandbox| sandbox.spec.as_ref()).into_iter().flat_map(|spec| &spec.providers);
        let view = View::of(state);
        let members: Vec<_> = listed.filter_map(|name| view.member(self.workspace, name)).collect();
        composition::left_out(&members)
    }
}

/// `GetSandboxPolicyStatus`: one revision of a sandbox's policy or of the global one; version
/// 0 is the latest. Whatever the revision, it says what is left out for the sandbox now.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn status(
    state: &State,
    principal: &Principal,
    request: &GetSandboxPolicyStatusRequest,
) -> Result<GetSandboxPolicyStatusResponse, Refusal> {
    let scope = Scope::of(state, principal, request.global, &request.workspace, &request.name)?;
    let revision = match request.version {
        0 => state.latest_policy(scope.workspace, scope.id),
        version => state.policy_revision(scope.workspace, scope.id, version),
    };
    match revision {
        Some(entry) => Ok(GetSandboxPolicyStatusResponse {
            revision: Some(shown(entry.value)),
            active_version: scope.active_version(),
            left_out_profiles: scope.left_out(state),
        }),
        None if request.version == 0 => Err(Refusal::not_found("no policy revision exists")),
        None => Err(Refusal::not_found(format!("policy revision {} does not exist", request.version))),
    }
}

/// `ListSandboxPolicies`: the revisions of a sandbox's policy or of the global one, newest first, without
/// the policies themselves.
///
/// # Errors
/// As [`status`], but for revisions that do not exist.
pub fn list(
    state: &State,
    principal: &Principal,
    request: &ListSandboxPoliciesRequest,
) -> Result<ListSandboxPoliciesResponse, Refusal> {
    let scope = Scope::of(state, principal, request.global, &request.workspace, &request.name)?;
    let revisions = state.policy_revisions(scope.workspace, scope.id);
    let listed = revisions.map(|entry| without_policy(entry.value));
    Ok(ListSandboxPoliciesResponse { revisions: page(listed, request.offset, request.limit, 50) })
}

/// A stored revision as answers show it.
pub(super) fn shown(revision: &PolicyRevision) -> SandboxPolicyRevision {
    SandboxPolicyRevision { policy: Some(revision.policy.clone()), ..without_policy(revision) }
}

/// A stored revision as lists show it.
fn without_policy(revision: &PolicyRevision) -> SandboxPolicyRevision {
    let stored = &revision.stored;
    let status = match stored.status.as_str() {
        PENDING => PolicyStatus::Pending,
        LOADED => PolicyStatus::Loaded,
        FAILED => PolicyStatus::Failed,
        SUPERSEDED => PolicyStatus::Superseded,
        _ => PolicyStatus::Unspecified,
    };
    SandboxPolicyRevision {
        version: version_of(stored),
        policy_hash: stored.policy_hash.clone(),
        status: status as i32,
        load_error: stored.load_error.clone().unwrap_or_default(),
        created_at_ms: stored.created_at_ms,
        loaded_at_ms: stored.loaded_at_ms.unwrap_or(0),
        policy: None,
        provenance: stored.provenance.clone(),
    }
}

//! Sandboxes as they are read (`config.md` 1.2).

use openshell_proto::log::Kind;
use openshell_proto::v1::{
    GetSandboxRequest, ListSandboxProvidersRequest, ListSandboxProvidersResponse, ListSandboxesRequest,
    ListSandboxesResponse, Sandbox, SandboxResponse,
};

use crate::access::{Principal, Role, workspace_or_default};
use crate::composition::View;
use crate::key::Key;
use crate::names;
use crate::query::provider::redacted;
use crate::query::{enter, page, scope};
use crate::record::{Record, Value};
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// A sandbox by name.
///
/// # Errors
/// `INVALID_ARGUMENT` when the name is empty, `NOT_FOUND` when there is no such sandbox.
pub fn find<'a>(state: &'a State, workspace: &str, name: &str) -> Result<&'a Sandbox, Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid("the sandbox's name is required"));
    }
    match state.sandbox(workspace, name) {
        Some(entry) => Ok(entry.value),
        None => Err(Refusal::not_found(format!("sandbox {name:?} does not exist in workspace {workspace:?}"))),
    }
}

/// A sandbox by id, for a caller who may see it; who may not hears what a random id hears
/// (`config.md` AU-23).
///
/// # Errors
/// `NOT_FOUND`; `PERMISSION_DENIED` for another sandbox's principal, before the lookup.
pub fn find_by_id<'a>(state: &'a State, principal: &Principal, id: &str) -> Result<(&'a Key, &'a Sandbox), Refusal> {
    if let Principal::Sandbox { id: own } = principal
        && own != id
    {
        return Err(Refusal::denied("a sandbox may only ask about itself"));
    }
    let missing = || Refusal::not_found(format!("sandbox with id {id:?} does not exist"));
    let (key, entry) = state.sandbox_by_id(id).ok_or_else(missing)?;
    principal
        .require_role(state, &key.workspace, Role::User)
        .map_err(|refusal| if refusal.code == Code::PermissionDenied { missing() } else { refusal })?;
    Ok((key, entry.value))
}

/// The sandbox whose own principal asks, for calls that only sandboxes make.
///
/// # Errors
/// `UNAUTHENTICATED` for nobody in particular, `PERMISSION_DENIED` for a user; `NOT_FOUND` when the
/// sandbox is gone: ids are not used again, so that the token of a deleted sandbox reaches nothing.
pub fn of_principal<'a>(state: &'a State, principal: &Principal) -> Result<(&'a Key, &'a Sandbox), Refusal> {
    find_by_id(state, principal, own_id(principal)?)
}

/// The id of the sandbox whose own principal asks.
///
/// # Errors
/// `UNAUTHENTICATED` for nobody in particular, `PERMISSION_DENIED` for a user.
pub fn own_id(principal: &Principal) -> Result<&str, Refusal> {
    match principal {
        Principal::Sandbox { id } => Ok(id),
        Principal::Anonymous => principal.require_user().and_then(|()| Err(only_sandboxes())),
        Principal::User(_) | Principal::Cluster => Err(only_sandboxes()),
    }
}

/// The sandbox of this name, when it is the one with this id. A sandbox cannot learn whether another
/// exists (`config.md` UC-4).
///
/// # Errors
/// `PERMISSION_DENIED`, in the same words whether there is another one or none.
pub fn own<'a>(state: &'a State, workspace: &str, name: &str, id: &str) -> Result<&'a Sandbox, Refusal> {
    let found = state.sandbox(workspace, name).map(|entry| entry.value);
    let own = found.filter(|sandbox| sandbox.metadata.as_ref().is_some_and(|metadata| metadata.id == id));
    own.ok_or_else(|| Refusal::denied(format!("sandbox {name:?} is not owned by caller")))
}

/// The sandbox whose own principal asks, of itself and by its id (`config.md` PE-1).
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox's principal, before the lookup; as [`of_principal`].
pub fn of_itself<'a>(state: &'a State, principal: &Principal, id: &str) -> Result<(&'a Key, &'a Sandbox), Refusal> {
    match principal {
        Principal::Sandbox { .. } => find_by_id(state, principal, id),
        Principal::Anonymous | Principal::User(_) | Principal::Cluster => of_principal(state, principal),
    }
}

fn only_sandboxes() -> Refusal {
    Refusal::denied("this call requires a sandbox principal")
}

/// The sandbox that a token is asked for, by a workspace's admin.
///
/// # Errors
/// A refusal about the name, the caller or the workspace; `NOT_FOUND`.
pub fn for_token<'a>(
    state: &'a State,
    principal: &Principal,
    workspace: &str,
    name: &str,
) -> Result<&'a Sandbox, Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let workspace = workspace_or_default(workspace);
    enter(state, principal, workspace, Role::Admin)?;
    find(state, workspace, name)
}

/// `GetSandbox`.
///
/// # Errors
/// A refusal about the name, the caller or the workspace; `NOT_FOUND`.
pub fn get(state: &State, principal: &Principal, request: &GetSandboxRequest) -> Result<SandboxResponse, Refusal> {
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    let sandbox = find(state, workspace, &request.name)?;
    Ok(SandboxResponse { sandbox: Some(sandbox.clone()), ..SandboxResponse::default() })
}

/// `ListSandboxes`: of one workspace, or of all for a platform admin.
///
/// # Errors
/// A refusal about the request, the caller, the workspace or the selector.
pub fn list(
    state: &State,
    principal: &Principal,
    request: &ListSandboxesRequest,
) -> Result<ListSandboxesResponse, Refusal> {
    let scope = scope(state, principal, &request.workspace, request.all_workspaces)?;
    let terms = names::selector(&request.label_selector)?;
    let shown = |(_, record): (Key, &std::sync::Arc<Record>)| match &record.value {
        Value::Sandbox(sandbox) => {
            let labels = sandbox.metadata.as_ref().map(|metadata| &metadata.labels);
            names::selected(&terms, labels).then(|| Sandbox::clone(sandbox))
        }
        other => panic!("a sandbox's key holds {other:?}"),
    };
    let (offset, limit) = (request.offset, request.limit);
    let sandboxes = match scope {
        None => page(state.by_creation_everywhere(Kind::Sandbox).filter_map(shown), offset, limit, 100),
        Some(workspace) => page(state.by_creation(Kind::Sandbox, workspace).filter_map(shown), offset, limit, 100),
    };
    Ok(ListSandboxesResponse { sandboxes })
}

/// `ListSandboxProviders`: redacted, in attachment order.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`;
/// `FAILED_PRECONDITION` when a listed provider does not exist.
pub fn providers(
    state: &State,
    principal: &Principal,
    request: &ListSandboxProvidersRequest,
) -> Result<ListSandboxProvidersResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    let sandbox = find(state, workspace, &request.sandbox_name)?;
    let names = sandbox.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
    let members = View::of(state).members(workspace, names)?;
    let providers = members.iter().map(|member| redacted(&member.provider)).collect();
    Ok(ListSandboxProvidersResponse { providers })
}

//! Workspaces and their members as they are read (`config.md` WS-3, WS-4, WS-10).

use openshell_proto::log::Kind;
use openshell_proto::v1::{
    GetWorkspaceRequest, GetWorkspaceResponse, ListWorkspaceMembersRequest, ListWorkspaceMembersResponse,
    ListWorkspacesRequest, ListWorkspacesResponse,
};

use crate::access::{Principal, Role, workspace_or_default};
use crate::names;
use crate::query::{enter, page};
use crate::record::Value;
use crate::refusal::Refusal;
use crate::state::State;

/// `GetWorkspace`.
///
/// # Errors
/// A refusal about the name or the caller; `NOT_FOUND`.
pub fn get(
    state: &State,
    principal: &Principal,
    request: &GetWorkspaceRequest,
) -> Result<GetWorkspaceResponse, Refusal> {
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    principal.refuse_sandboxes()?;
    principal.require_role(state, &request.name, Role::User)?;
    match state.workspace(&request.name) {
        Some(entry) => Ok(GetWorkspaceResponse { workspace: Some(entry.value.clone()) }),
        None => Err(Refusal::not_found(format!("workspace {:?} does not exist", request.name))),
    }
}

/// `ListWorkspaces`: those that the caller is a member of, all for a platform admin.
///
/// # Errors
/// A refusal about the selector; `UNAUTHENTICATED` for nobody in particular.
pub fn list(
    state: &State,
    principal: &Principal,
    request: &ListWorkspacesRequest,
) -> Result<ListWorkspacesResponse, Refusal> {
    principal.require_user()?;
    let terms = names::selector(&request.label_selector)?;
    let all = state.by_creation(Kind::Workspace, "").filter_map(|(key, record)| match &record.value {
        Value::Workspace(workspace) => {
            let labels = workspace.metadata.as_ref().map(|metadata| &metadata.labels);
            let visible = principal.require_role(state, &key.name, Role::User).is_ok();
            (visible && names::selected(&terms, labels)).then(|| workspace.clone())
        }
        other => panic!("{key} holds {other:?}"),
    });
    Ok(ListWorkspacesResponse { workspaces: page(all, request.offset, request.limit, 100) })
}

/// `ListWorkspaceMembers`: oldest first, then by subject.
///
/// # Errors
/// A refusal about the caller or the workspace.
pub fn members(
    state: &State,
    principal: &Principal,
    request: &ListWorkspaceMembersRequest,
) -> Result<ListWorkspaceMembersResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    let all = state.by_creation(Kind::WorkspaceMember, workspace).map(|(key, record)| match &record.value {
        Value::Member(member) => member.clone(),
        other => panic!("{key} holds {other:?}"),
    });
    Ok(ListWorkspaceMembersResponse { members: page(all, request.offset, request.limit, 100) })
}

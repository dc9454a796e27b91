//! Workspaces: create and delete (`config.md` 8). Their members are in `workspace_member`.

use std::collections::BTreeMap;

use openshell_proto::datamodel::{Workspace, WorkspacePhase, WorkspaceStatus};
use openshell_proto::log::Kind;
use openshell_proto::v1::{
    CreateWorkspaceRequest, CreateWorkspaceResponse, DeleteWorkspaceRequest, DeleteWorkspaceResponse,
};

use crate::access::DEFAULT_WORKSPACE;
use crate::decide::{new_metadata, next_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::names;
use crate::refusal::Refusal;
use crate::state::State;

/// What keeps a workspace from being deleted, in words.
const BLOCKERS: [(Kind, &str); 7] = [
    (Kind::Sandbox, "sandboxes"),
    (Kind::Provider, "providers"),
    (Kind::ProviderProfile, "provider profiles"),
    (Kind::SandboxSettings, "sandbox settings"),
    (Kind::PolicyRevision, "sandbox policies"),
    (Kind::DraftChunk, "draft policy chunks"),
    (Kind::ProviderRefresh, "credential refresh states"),
];

/// Decides a creation.
///
/// # Errors
/// A refusal about the caller, the name or the labels; `ALREADY_EXISTS`.
pub fn create(call: Call<'_>, request: &CreateWorkspaceRequest) -> Result<Decision, Refusal> {
    call.principal.require_platform_admin()?;
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    names::routable("workspace", &request.name)?;
    names::labels(&request.labels)?;
    let mut draft = Draft::new();
    let key = Key::workspace(&request.name);
    draft.rely_on(call.state, key.clone());
    if call.state.record(&key).is_some() {
        return Err(Refusal::exists(format!("workspace {:?} already exists", request.name)));
    }
    let workspace = new(&call, &request.name, &request.labels);
    draft.put(&key, &workspace);
    Ok(draft.answer(&CreateWorkspaceResponse { workspace: Some(workspace) }))
}

/// A new, active workspace.
pub(super) fn new(call: &Call<'_>, name: &str, labels: &BTreeMap<String, String>) -> Workspace {
    let mut metadata = new_metadata(call, "", name);
    metadata.labels.clone_from(labels);
    let status = WorkspaceStatus { phase: WorkspacePhase::Active as i32 };
    Workspace { metadata: Some(metadata), status: Some(status) }
}

/// Decides a deletion: an empty workspace goes with its members; one that still holds
/// something is marked TERMINATING, which goes with the refusal (WS-5).
///
/// # Errors
/// A refusal about the caller or the name; `NOT_FOUND`; `FAILED_PRECONDITION` naming what the
/// workspace still holds, or for the workspace `default`.
pub fn delete(call: Call<'_>, request: &DeleteWorkspaceRequest) -> Result<Decision, Refusal> {
    call.principal.require_platform_admin()?;
    let name = request.name.as_str();
    if name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    if name == DEFAULT_WORKSPACE {
        return Err(Refusal::precondition("workspace \"default\" cannot be deleted"));
    }
    let Some(entry) = call.state.workspace(name) else {
        return Err(Refusal::not_found(format!("workspace {name:?} does not exist")));
    };
    let mut draft = Draft::new();
    let key = Key::workspace(name);
    draft.rely_on(call.state, key.clone());
    draft.rely_on(call.state, Key::workspace_contents(name));
    let held: Vec<&str> =
        BLOCKERS.iter().filter(|(kind, _)| holds(call.state, *kind, name)).map(|(_, words)| *words).collect();
    if !held.is_empty() {
        let refusal = Refusal::precondition(format!(
            "workspace {name:?} still contains resources: {}; delete them and repeat the call",
            held.join(", ")
        ));
        return Ok(terminating(&call, draft, &key, entry.value, refusal));
    }
    // Who is added meanwhile would be left behind.
    draft.rely_on(call.state, Key::workspace_members(name));
    for (member, _) in call.state.by_creation(Kind::WorkspaceMember, name) {
        draft.delete(&member);
    }
    draft.delete(&key);
    draft.touch(Key::workspace_members(name));
    Ok(draft.answer(&DeleteWorkspaceResponse { deleted: true }))
}

fn holds(state: &State, kind: Kind, workspace: &str) -> bool {
    state.by_creation(kind, workspace).next().is_some()
}

/// Marks the workspace, or only refuses when it is marked already.
fn terminating(call: &Call<'_>, mut draft: Draft, key: &Key, before: &Workspace, refusal: Refusal) -> Decision {
    if before.status.as_ref().is_some_and(|status| status.phase() == WorkspacePhase::Terminating) {
        return Decision::Refuse(refusal);
    }
    let mut metadata = next_metadata(before.metadata.as_ref());
    metadata.deletion_timestamp_ms = call.stamp.time_ms;
    let status = WorkspaceStatus { phase: WorkspacePhase::Terminating as i32 };
    draft.put(key, &Workspace { metadata: Some(metadata), status: Some(status) });
    draft.refuse(refusal)
}

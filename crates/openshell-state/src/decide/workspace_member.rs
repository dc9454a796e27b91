//! Members of workspaces: add and remove (`config.md` WS-8, WS-9). A role is changed by removing
//! the member and adding it again.

use openshell_proto::v1::{
    AddWorkspaceMemberRequest, AddWorkspaceMemberResponse, RemoveWorkspaceMemberRequest, RemoveWorkspaceMemberResponse,
    WorkspaceMember, WorkspaceRole,
};

use crate::access::{Role, workspace_or_default};
use crate::decide::{Need, enter_workspace, new_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::names;
use crate::refusal::{Code, Refusal};

/// Most members of one workspace (`config.md` 0.2).
const MEMBERS_MAX: usize = 1000;
/// Longest subject, bytes: what `OpenID` Connect allows. With [`MEMBERS_MAX`] it bounds the entry that
/// deletes a workspace with its members.
const SUBJECT_MAX: usize = 255;

/// Decides an addition.
///
/// # Errors
/// A refusal about the caller, the workspace, the subject or the role; `RESOURCE_EXHAUSTED` when the
/// workspace has as many members as it may; `ALREADY_EXISTS` for a member, whatever its role.
pub fn add(call: Call<'_>, request: &AddWorkspaceMemberRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Active)?;
    let subject = subject(&request.principal_subject)?;
    match request.role() {
        WorkspaceRole::User => {}
        WorkspaceRole::Admin => call.principal.require_platform_admin().map_err(|refusal| {
            Refusal::new(refusal.code, format!("{}: it makes an admin of a workspace", refusal.message))
        })?,
        WorkspaceRole::Unspecified => {
            return Err(Refusal::invalid(format!(
                "role {} must be WORKSPACE_ROLE_USER or WORKSPACE_ROLE_ADMIN",
                request.role
            )));
        }
    }
    // Of two additions at once the second is decided again, with the first one counted.
    draft.rely_on(call.state, Key::workspace_members(workspace));
    if call.state.member_count(workspace) >= MEMBERS_MAX {
        return Err(Refusal::new(
            Code::ResourceExhausted,
            format!("workspace {workspace:?} has {MEMBERS_MAX} members, as many as it may; remove one first"),
        ));
    }
    let key = Key::member(workspace, subject);
    draft.rely_on(call.state, key.clone());
    if call.state.record(&key).is_some() {
        let text =
            format!("{subject:?} is a member of workspace {workspace:?} already; to change a role, remove it first");
        return Err(Refusal::exists(text));
    }
    let member = WorkspaceMember {
        metadata: Some(new_metadata(&call, workspace, subject)),
        principal_subject: subject.to_owned(),
        role: request.role,
    };
    draft.put(&key, &member);
    draft.touch(Key::workspace_members(workspace));
    Ok(draft.answer(&AddWorkspaceMemberResponse { member: Some(member) }))
}

/// Decides a removal; who is no member is `removed = false`. The last admin may go too: platform
/// admins can make another.
///
/// # Errors
/// A refusal about the caller, the workspace or the subject.
pub fn remove(call: Call<'_>, request: &RemoveWorkspaceMemberRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let subject = subject(&request.principal_subject)?;
    let key = Key::member(workspace, subject);
    if call.state.record(&key).is_none() {
        return Ok(Decision::answer(&RemoveWorkspaceMemberResponse { removed: false }));
    }
    draft.rely_on(call.state, key.clone());
    draft.delete(&key);
    draft.touch(Key::workspace_members(workspace));
    Ok(draft.answer(&RemoveWorkspaceMemberResponse { removed: true }))
}

fn subject(subject: &str) -> Result<&str, Refusal> {
    if subject.is_empty() {
        return Err(Refusal::invalid("principal_subject is required"));
    }
    names::bounded("principal_subject", subject, SUBJECT_MAX)?;
    Ok(subject)
}

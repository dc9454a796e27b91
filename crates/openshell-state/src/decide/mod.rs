//! The rules for calls that change the state, one module per noun. Each takes a [`Call`] and
//! the request and answers a [`Decision`](crate::Decision): refuse, answer, or a draft that
//! names everything it relied on. Rules are pure and run again on fresh state when a guard
//! fails.

pub mod attachment;
pub mod draft;
pub mod formation;
pub mod lifecycle;
pub mod membership;
pub mod policy;
pub mod presence;
pub mod profile;
pub mod provider;
pub mod refresh;
pub mod report;
pub mod sandbox;
pub mod settings;
pub mod workspace;
pub mod workspace_member;

mod config;
mod spec;

pub use config::update_config;

use openshell_proto::datamodel::{ObjectMeta, WorkspacePhase};

use crate::access::Role;
use crate::decision::{Call, Draft};
use crate::key::Key;
use crate::refusal::Refusal;

/// What a rule needs of the workspace that a call names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It exists.
    Existing,
    /// It exists and is not being deleted.
    Active,
}

/// Authorises a user in a workspace and finds the workspace, in this order
/// (`config.md` AU-21), and records what that relied on.
fn enter_workspace(call: &Call<'_>, draft: &mut Draft, workspace: &str, role: Role, need: Need) -> Result<(), Refusal> {
    call.principal.refuse_sandboxes()?;
    enter_workspace_or_own(call, draft, workspace, role, need)
}

/// As [`enter_workspace`], for a call that sandboxes make too and that judges itself what they may.
fn enter_workspace_or_own(
    call: &Call<'_>,
    draft: &mut Draft,
    workspace: &str,
    role: Role,
    need: Need,
) -> Result<(), Refusal> {
    if let Some(membership) = call.principal.require_role(call.state, workspace, role)? {
        draft.rely_on(call.state, membership);
    }
    let Some(entry) = call.state.workspace(workspace) else {
        return Err(Refusal::not_found(format!("workspace {workspace:?} does not exist")));
    };
    let phase = entry.value.status.as_ref().map_or(WorkspacePhase::Unspecified, |status| status.phase());
    if need == Need::Active {
        draft.rely_on(call.state, Key::workspace(workspace));
        if phase == WorkspacePhase::Terminating {
            return Err(Refusal::precondition(format!("workspace {workspace:?} is being deleted")));
        }
    }
    Ok(())
}

/// Metadata of a new record.
fn new_metadata(call: &Call<'_>, workspace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        id: call.stamp.identifiers.uuid(),
        name: name.to_owned(),
        created_at_ms: call.stamp.time_ms,
        resource_version: 1,
        workspace: workspace.to_owned(),
        ..ObjectMeta::default()
    }
}

/// Metadata of the next version of a record.
fn next_metadata(before: Option<&ObjectMeta>) -> ObjectMeta {
    let before = before.cloned().unwrap_or_default();
    ObjectMeta { resource_version: before.resource_version + 1, ..before }
}

/// The caller's own expectation of a record's version: 0 is none.
fn expect_version(what: &str, expected: u64, current: u64) -> Result<(), Refusal> {
    if expected == 0 || expected == current {
        return Ok(());
    }
    Err(Refusal::aborted(format!(
        "{what} was modified concurrently (concurrent modification): expected resource_version {expected}, the current \
         resource_version is {current}; read it again and repeat the change"
    )))
}

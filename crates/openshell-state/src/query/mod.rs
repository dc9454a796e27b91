//! Questions about one state: pure functions of the state, the caller and the request. Which
//! state is asked, that is how fresh it is, is decided outside.

pub mod draft;
pub mod policy;
pub mod presence;
pub mod profile;
pub mod provider;
pub mod refresh;
pub mod rollout;
pub mod sandbox;
pub mod settings;
pub mod watch;
pub mod workspace;

use openshell_proto::log::Kind;
use openshell_proto::v1::Sandbox;

use crate::access::{Principal, Role, workspace_or_default};
use crate::key::Key;
use crate::record::{Record, Value};
use crate::refusal::Refusal;
use crate::state::State;

/// Authorises a read in a workspace and finds the workspace, in this order.
fn enter(state: &State, principal: &Principal, workspace: &str, role: Role) -> Result<(), Refusal> {
    principal.refuse_sandboxes()?;
    enter_or_own(state, principal, workspace, role)
}

/// As [`enter`], for a read that sandboxes make too and that judges itself what they may see.
fn enter_or_own(state: &State, principal: &Principal, workspace: &str, role: Role) -> Result<(), Refusal> {
    principal.require_role(state, workspace, role)?;
    if state.workspace(workspace).is_none() {
        return Err(Refusal::not_found(format!("workspace {workspace:?} does not exist")));
    }
    Ok(())
}

/// The workspace that a list or a watch is of, authorised; none for all of them, which is for platform
/// admins.
fn scope<'a>(
    state: &State,
    principal: &Principal,
    workspace: &'a str,
    all_workspaces: bool,
) -> Result<Option<&'a str>, Refusal> {
    if !all_workspaces {
        let workspace = workspace_or_default(workspace);
        enter(state, principal, workspace, Role::User)?;
        return Ok(Some(workspace));
    }
    if !workspace.is_empty() {
        return Err(Refusal::invalid("all_workspaces and workspace exclude each other"));
    }
    principal.require_platform_admin()?;
    Ok(None)
}

/// The sandboxes of a workspace, or all of them, in order of their keys.
fn sandboxes<'a>(state: &'a State, workspace: Option<&str>) -> impl Iterator<Item = (&'a Key, &'a Sandbox)> {
    let first = Key::new(Kind::Sandbox, workspace.unwrap_or_default(), "");
    let is_within = move |key: &Key| workspace.is_none_or(|workspace| *key.workspace == *workspace);
    let all = state.records.range(first..).take_while(move |(key, _)| key.kind == Kind::Sandbox && is_within(key));
    all.map(|(key, record)| (key, sandbox_of(key, record)))
}

/// What a sandbox's key holds.
fn sandbox_of<'a>(key: &Key, record: &'a Record) -> &'a Sandbox {
    match &record.value {
        Value::Sandbox(sandbox) => sandbox,
        other => panic!("{key} holds {other:?}"),
    }
}

/// The part of a list that a page shows: `limit` 0 means `default`, and never more than 1,000
/// (`config.md` GR-8).
fn page<T>(items: impl Iterator<Item = T>, offset: u32, limit: u32, default: u32) -> Vec<T> {
    const PAGE_MAX: u32 = 1000;
    let limit = if limit == 0 { default } else { limit.min(PAGE_MAX) };
    items.skip(offset as usize).take(limit as usize).collect()
}

//! `UpdateConfig` (`config.md` 3.3): who may change what, and which of its modes a request is.

use openshell_proto::v1::UpdateConfigRequest;

use crate::access::{Principal, Role, workspace_or_default};
use crate::decide::{Need, enter_workspace_or_own, policy, settings};
use crate::decision::{Call, Decision, Draft};
use crate::names;
use crate::query;
use crate::refusal::Refusal;

/// Decides a change of a policy or a setting, of one sandbox or of the gateway.
///
/// # Errors
/// A refusal about the caller, the mode, the policy or the setting; `ABORTED` when the
/// caller's expected version does not hold.
pub fn update_config(call: Call<'_>, request: &UpdateConfigRequest) -> Result<Decision, Refusal> {
    names::annotations(&request.annotations)?;
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    if request.global {
        call.principal.require_platform_admin()?;
    } else {
        enter_workspace_or_own(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    }
    if let Principal::Sandbox { id } = call.principal {
        own_policy_only(&call, workspace, id, request)?;
    }
    let key = request.setting_key.trim();
    let modes = [request.policy.is_some(), !key.is_empty(), !request.merge_operations.is_empty()];
    match modes.iter().filter(|mode| **mode).count() {
        0 => return Err(Refusal::invalid("one of policy, setting_key or merge_operations is required")),
        1 => {}
        _ => return Err(Refusal::invalid("policy, setting_key and merge_operations are mutually exclusive")),
    }
    if request.global {
        return global(&call, draft, request, key);
    }
    let sandbox = query::sandbox::find(call.state, workspace, &request.name)?;
    let change = policy::Change {
        workspace,
        sandbox,
        annotations: &request.annotations,
        expected_resource_version: request.expected_resource_version,
    };
    match &request.policy {
        Some(policy) => policy::set(&call, draft, &change, policy),
        None if key.is_empty() => policy::merge(&call, draft, &change, &request.merge_operations),
        None => settings::change_sandbox(&call, draft, workspace, sandbox, key, request),
    }
}

fn global(call: &Call<'_>, draft: Draft, request: &UpdateConfigRequest, key: &str) -> Result<Decision, Refusal> {
    if !request.annotations.is_empty() {
        return Err(Refusal::invalid("annotations belong to a sandbox; global changes take none"));
    }
    if !request.merge_operations.is_empty() {
        return Err(Refusal::invalid("merge_operations apply to a sandbox's policy; a global policy is set whole"));
    }
    match &request.policy {
        Some(_) if request.delete_setting => {
            Err(Refusal::invalid("delete_setting cannot be combined with policy; delete the setting key \"policy\""))
        }
        Some(policy) => policy::set_global(call, draft, policy),
        None => settings::change_global(call, draft, key, request),
    }
}

/// A sandbox may set its own policy and nothing else; it cannot learn whether another exists
/// (UC-4).
fn own_policy_only(call: &Call<'_>, workspace: &str, id: &str, request: &UpdateConfigRequest) -> Result<(), Refusal> {
    let only_policy = !request.global
        && !request.delete_setting
        && !request.name.trim().is_empty()
        && request.policy.is_some()
        && request.setting_key.trim().is_empty();
    if !only_policy {
        return Err(Refusal::denied("a sandbox may only set the policy of its own sandbox, by name"));
    }
    query::sandbox::own(call.state, workspace, &request.name, id).map(drop)
}

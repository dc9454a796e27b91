//! Sandboxes as records: create and delete (`config.md` 1.1, 1.4). There is no compute driver:
//! a sandbox stays in phase PROVISIONING, and deleting it removes the record at once.

use std::borrow::Cow;

use openshell_policy::{credentials, hash, reserved, safety};
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, DeleteSandboxResponse, Sandbox, SandboxPhase, SandboxResponse,
    SandboxSpec, SandboxStatus, SandboxTemplate, StoredPolicyRevision,
};
use prost::Message;

use crate::access::{Role, workspace_or_default};
use crate::checks;
use crate::composition::{self, Member, View};
use crate::decide::{Need, enter_workspace, new_metadata, spec};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::names;
use crate::record::revision_status::LOADED;
use crate::refusal::Refusal;

/// Runs when the caller names no command (SR-2).
const DEFAULT_COMMAND: [&str; 2] = ["/bin/bash", "-l"];
/// How often a made-up name that is taken is replaced by another.
const NAME_ATTEMPTS: usize = 20;

/// Decides a creation.
///
/// # Errors
/// A refusal about the caller, the workspace, a field, the policy or the providers;
/// `ALREADY_EXISTS` when the workspace has a sandbox of that name.
pub fn create(call: Call<'_>, request: &CreateSandboxRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    let mut spec = requested_spec(request)?;
    // The token opens the credentials of the providers, which are an admin's.
    let role = if request.issue_token { Role::Admin } else { Role::User };
    enter_workspace(&call, &mut draft, workspace, role, Need::Active)?;
    let members = View::of(call.state).members(workspace, &spec.providers)?;
    composition::rely_on_providers(&mut draft, call.state, workspace, &members);
    composition::rely_on_profiles(&mut draft, call.state, &members);
    checks::environment_keys(&members, call.stamp.time_ms)?;
    spec.template.get_or_insert_with(SandboxTemplate::default);
    if let Some(policy) = &mut spec.policy {
        acceptable(policy)?;
    }
    draft.rely_on(call.state, Key::gateway_settings());
    preflight(&call, spec.policy.as_ref(), &members)?;
    let name = chosen_name(&call, workspace, &request.name)?;
    let key = Key::sandbox(workspace, &name);
    draft.rely_on(call.state, key.clone());
    if call.state.record(&key).is_some() {
        return Err(Refusal::exists(format!("sandbox {name:?} already exists in workspace {workspace:?}")));
    }
    let mut metadata = new_metadata(&call, workspace, &name);
    metadata.labels.clone_from(&request.labels);
    metadata.annotations.clone_from(&request.annotations);
    let mut status = SandboxStatus { sandbox_name: name, ..SandboxStatus::default() };
    status.set_phase(SandboxPhase::Provisioning);
    if let Some(policy) = &spec.policy {
        let first = first_revision(&call, &metadata.id, policy);
        draft.put(&Key::policy_revision(workspace, &metadata.id, 1), &first);
    }
    let sandbox = Sandbox { metadata: Some(metadata), spec: Some(spec), status: Some(status) };
    draft.put(&key, &sandbox);
    touch(&mut draft, workspace, &members);
    draft.touch(Key::workspace_contents(workspace));
    Ok(draft.answer(&SandboxResponse { sandbox: Some(sandbox), ..SandboxResponse::default() }))
}

/// Everything that can be refused without looking at the state (SR-1 to SR-7).
fn requested_spec(request: &CreateSandboxRequest) -> Result<SandboxSpec, Refusal> {
    let mut spec = request.spec.clone().ok_or_else(|| Refusal::invalid("spec is required"))?;
    if spec.command.is_empty() {
        spec.command = DEFAULT_COMMAND.map(str::to_owned).to_vec();
        spec.tty = true;
    }
    if !request.name.is_empty() {
        names::routable("sandbox", &request.name)?;
    }
    spec::check(&spec)?;
    names::labels(&request.labels)?;
    names::annotations(&request.annotations)?;
    // A name listed twice would compose twice and mean nothing more (C-13).
    let mut seen = std::collections::BTreeSet::new();
    spec.providers.retain(|provider| seen.insert(provider.clone()));
    Ok(spec)
}

/// A policy that a user may write: no reserved keys, safe, with middlewares that exist
/// (SR-13). Marks that only the gateway sets are cleared.
pub(super) fn acceptable(policy: &mut SandboxPolicy) -> Result<(), Refusal> {
    credentials::clear_markers(policy);
    if let Some(key) = reserved::first_key(policy) {
        return Err(Refusal::invalid(reserved::refusal(key)));
    }
    safe(policy)
}

/// A policy that is safe, with middlewares that exist.
pub(super) fn safe(policy: &SandboxPolicy) -> Result<(), Refusal> {
    let violations = safety::violations(policy);
    if !violations.is_empty() {
        return Err(Refusal::invalid(safety::refusal(&violations)));
    }
    let violations = safety::middleware_violations(policy, &[]);
    if !violations.is_empty() {
        return Err(Refusal::invalid(safety::middleware_refusal(&violations)));
    }
    Ok(())
}

/// What the sandbox would get must not be ambiguous, wrongly bound, uninspected or unsafe (SR-14, SR-16).
fn preflight(call: &Call<'_>, policy: Option<&SandboxPolicy>, members: &[Member<'_>]) -> Result<(), Refusal> {
    let base = policy.map_or_else(|| Cow::Owned(SandboxPolicy::default()), Cow::Borrowed);
    let on = composition::is_on(call.state)?;
    let composed = checks::composed(base, members, on)?;
    let global = composition::global_policy(call.state)?;
    checks::uninspected(global.as_ref().unwrap_or(&composed), members)?;
    checks::endpoint_ambiguity(&composed)?;
    checks::credential_context(&composed, members)?;
    checks::environment_size(&composed, members)?;
    checks::safe(&composed)
}

/// The name asked for, or one made up that is free.
fn chosen_name(call: &Call<'_>, workspace: &str, asked: &str) -> Result<String, Refusal> {
    if !asked.is_empty() {
        return Ok(asked.to_owned());
    }
    let identifiers = call.stamp.identifiers;
    let free = |name: &String| call.state.sandbox(workspace, name).is_none();
    let pet = (0..NAME_ATTEMPTS).map(|_| names::pet_name(identifiers)).find(free);
    let letters = (0..NAME_ATTEMPTS).map(|_| identifiers.letters()).find(free);
    pet.or(letters).ok_or_else(|| Refusal::exists("every name made up for the sandbox is taken; give it a name"))
}

/// The policy that a sandbox is created with is its revision 1, loaded (`config.md` PR-10; here
/// with the creation instead of with the first read).
fn first_revision(call: &Call<'_>, sandbox_id: &str, policy: &SandboxPolicy) -> StoredPolicyRevision {
    StoredPolicyRevision {
        id: call.stamp.identifiers.uuid(),
        sandbox_id: sandbox_id.to_owned(),
        version: 1,
        policy_payload: policy.encode_to_vec(),
        policy_hash: hash::policy_hash(policy),
        status: LOADED.to_owned(),
        load_error: None,
        created_at_ms: call.stamp.time_ms,
        loaded_at_ms: None,
        provenance: Default::default(),
    }
}

/// Touches the fences of everyone whose verdict depends on which sandboxes list these providers.
pub(super) fn touch(draft: &mut Draft, workspace: &str, members: &[Member<'_>]) {
    for member in members {
        draft.touch(Key::provider_users(workspace, &member.name));
    }
    composition::touch_users(draft, members);
}

/// Decides a deletion: the sandbox with its settings, policy revisions and draft chunks (SR-38).
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn delete(call: Call<'_>, request: &DeleteSandboxRequest) -> Result<Decision, Refusal> {
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::User, Need::Existing)?;
    let sandbox = crate::query::sandbox::find(call.state, workspace, &request.name)?;
    let key = Key::sandbox(workspace, &request.name);
    draft.rely_on(call.state, key.clone());
    let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    for revision in call.state.policy_revisions(workspace, id) {
        let version = crate::effective::version_of(&revision.value.stored);
        draft.delete(&Key::policy_revision(workspace, id, version));
    }
    // A revision written meanwhile would stay behind.
    draft.rely_on(call.state, super::policy::next_revision_key(call.state, workspace, id));
    for chunk in call.state.draft_chunks(workspace, id) {
        draft.delete(&Key::draft_chunk(workspace, id, &chunk.value.stored.id));
    }
    // It guards the chunks: one written meanwhile would stay behind.
    let inbox = Key::draft_inbox(workspace, id);
    draft.rely_on(call.state, inbox.clone());
    if call.state.record(&inbox).is_some() {
        draft.delete(&inbox);
    }
    let settings = Key::sandbox_settings(workspace, &request.name);
    draft.rely_on(call.state, settings.clone());
    if call.state.record(&settings).is_some() {
        draft.delete(&settings);
    }
    let view = View::of(call.state);
    let names = sandbox.spec.iter().flat_map(|spec| &spec.providers);
    let members: Vec<_> = names.filter_map(|name| view.member(workspace, name)).collect();
    touch(&mut draft, workspace, &members);
    draft.touch(Key::workspace_contents(workspace));
    draft.delete(&key);
    Ok(draft.answer(&DeleteSandboxResponse { deleted: true }))
}

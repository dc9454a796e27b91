//! Policies: of one sandbox and global, as numbered revisions (`config.md` 2.5, 3.4, 3.5).
//! One entry writes the revision, supersedes those below and updates what hangs on it.

use openshell_policy::{ambiguity, credentials, hash, reserved, static_fields};
use openshell_proto::sandbox::{SandboxPolicy, SettingValue, setting_value};
use openshell_proto::v1::{Sandbox, StoredPolicyRevision, UpdateConfigRequest, UpdateConfigResponse};
use prost::Message;

use crate::access::Principal;
use crate::checks;
use crate::composition::{self, GLOBAL_POLICY, View};
use crate::decide::settings::SettingsRecord;
use crate::decide::{expect_version, next_metadata, sandbox as sandboxes};
use crate::decision::{Call, Decision, Draft};
use crate::effective::version_of;
use crate::key::{GLOBAL_SCOPE, Key};
use crate::record::PolicyRevision;
use crate::refusal::Refusal;
use crate::state::{Entry, State};

const PENDING: &str = "pending";
const LOADED: &str = "loaded";
const SUPERSEDED: &str = "superseded";

/// A policy that a sandbox is to have.
pub(super) struct Change<'a> {
    pub(super) workspace: &'a str,
    pub(super) sandbox: &'a Sandbox,
    pub(super) policy: &'a SandboxPolicy,
    pub(super) request: &'a UpdateConfigRequest,
}

/// The key of the revision that would be written next; relying on its absence is relying on
/// the latest revision.
pub(crate) fn next_revision_key(state: &State, workspace: &str, sandbox_id: &str) -> Key {
    Key::policy_revision(workspace, sandbox_id, next_version(state.latest_policy(workspace, sandbox_id)))
}

fn next_version(latest: Option<Entry<'_, PolicyRevision>>) -> u32 {
    latest.map_or(0, |revision| version_of(&revision.value.stored)) + 1
}

/// Decides a full policy of a sandbox (UC-23 to UC-31).
pub(super) fn set(call: &Call<'_>, mut draft: Draft, change: &Change<'_>) -> Result<Decision, Refusal> {
    let state = call.state;
    let metadata = change.sandbox.metadata.clone().unwrap_or_default();
    let spec = change.sandbox.spec.clone().unwrap_or_default();
    draft.rely_on(state, Key::sandbox(change.workspace, &metadata.name));
    draft.rely_on(state, Key::gateway_settings());
    draft.rely_on(state, next_revision_key(state, change.workspace, &metadata.id));
    if composition::global_policy(state)?.is_some() {
        return Err(Refusal::precondition("the policy is managed globally; delete the global policy first"));
    }
    let policy = accepted(call, change, spec.policy.as_ref())?;
    let members = View::of(state).members(change.workspace, &spec.providers)?;
    composition::rely_on_profiles(&mut draft, state, &members);
    let composed = checks::composed(&policy, &members, composition::is_on(state)?);
    checks::endpoint_ambiguity(&composed)?;
    checks::credential_context(&composed, &members)?;
    if matches!(call.principal, Principal::User(_) | Principal::Cluster) {
        checks::uninspected(&composed, &members)?;
    }
    let policy_hash = hash::policy_hash(&policy);
    let latest = state.latest_policy(change.workspace, &metadata.id);
    let provenance = &change.request.annotations;
    let same = latest.filter(|latest| {
        latest.value.stored.policy_hash == policy_hash && latest.value.stored.provenance == *provenance
    });
    let (sandbox, changed) = projected(change, &policy, spec.policy.is_none());
    let current = metadata.resource_version;
    if changed || same.is_none() {
        let expected = change.request.expected_resource_version;
        expect_version(&format!("sandbox {:?}", metadata.name), expected, current)?;
    }
    if changed {
        draft.put(&Key::sandbox(change.workspace, &metadata.name), &sandbox);
    }
    let version = match same {
        Some(latest) => version_of(&latest.value.stored),
        None => {
            let version = next_version(latest);
            let revision = revision(call, &metadata.id, version, &policy, &policy_hash, PENDING, provenance);
            draft.put(&Key::policy_revision(change.workspace, &metadata.id, version), &revision);
            supersede(state, &mut draft, change.workspace, &metadata.id);
            if version == 1 {
                draft.touch(Key::workspace_contents(change.workspace));
            }
            composition::touch_users(&mut draft, &members);
            version
        }
    };
    let annotations = sandbox.metadata.map(|metadata| metadata.annotations).unwrap_or_default();
    let response = UpdateConfigResponse { version, policy_hash, annotations, ..UpdateConfigResponse::default() };
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

/// The policy as it would be stored, refused when it may not be (UC-23 to UC-26).
fn accepted(call: &Call<'_>, change: &Change<'_>, baseline: Option<&SandboxPolicy>) -> Result<SandboxPolicy, Refusal> {
    let mut policy = change.policy.clone();
    credentials::clear_markers(&mut policy);
    if matches!(call.principal, Principal::Sandbox { .. }) {
        reserved::strip(&mut policy);
    } else if let Some(key) = reserved::first_key(&policy) {
        return Err(Refusal::invalid(reserved::refusal(key)));
    }
    if let Some(baseline) = baseline {
        let violations = static_fields::violations(baseline, &policy);
        if !violations.is_empty() {
            return Err(Refusal::invalid(format!("static policy fields cannot be changed: {}", violations.join("; "))));
        }
    }
    sandboxes::safe(&policy)?;
    Ok(policy)
}

/// The sandbox with the request's annotations and, when it had no baseline, the policy as its
/// baseline (PR-3 c, d); and whether that changes it.
fn projected(change: &Change<'_>, policy: &SandboxPolicy, backfill: bool) -> (Sandbox, bool) {
    let mut after = change.sandbox.clone();
    if backfill {
        after.spec.get_or_insert_default().policy = Some(policy.clone());
    }
    let metadata = after.metadata.get_or_insert_default();
    metadata.annotations.extend(change.request.annotations.clone());
    let changed = after != *change.sandbox;
    if changed {
        after.metadata = Some(next_metadata(after.metadata.as_ref()));
    }
    (after, changed)
}

fn revision(
    call: &Call<'_>,
    scope: &str,
    version: u32,
    policy: &SandboxPolicy,
    policy_hash: &str,
    status: &str,
    provenance: &std::collections::BTreeMap<String, String>,
) -> StoredPolicyRevision {
    StoredPolicyRevision {
        id: call.stamp.identifiers.uuid(),
        sandbox_id: scope.to_owned(),
        version: i64::from(version),
        policy_payload: policy.encode_to_vec(),
        policy_hash: policy_hash.to_owned(),
        status: status.to_owned(),
        load_error: None,
        created_at_ms: call.stamp.time_ms,
        loaded_at_ms: (status == LOADED).then_some(call.stamp.time_ms),
        provenance: provenance.clone(),
    }
}

/// Marks pending and loaded revisions as superseded (PR-2). Relies on each, since what a sandbox
/// reports about a revision is written into the same record.
pub(super) fn supersede(state: &State, draft: &mut Draft, workspace: &str, scope: &str) {
    for revision in state.policy_revisions(workspace, scope) {
        let stored = &revision.value.stored;
        if stored.status == PENDING || stored.status == LOADED {
            let key = Key::policy_revision(workspace, scope, version_of(stored));
            draft.rely_on(state, key.clone());
            draft.put(&key, &StoredPolicyRevision { status: SUPERSEDED.to_owned(), ..stored.clone() });
        }
    }
}

/// Decides a global policy (UC-8 to UC-11).
pub(super) fn set_global(call: &Call<'_>, mut draft: Draft, policy: &SandboxPolicy) -> Result<Decision, Refusal> {
    let mut policy = policy.clone();
    sandboxes::acceptable(&mut policy)?;
    let conflicts = ambiguity::conflicts(&policy);
    if !conflicts.is_empty() {
        return Err(Refusal::precondition(ambiguity::refusal(&conflicts)));
    }
    if !credentials::bindings(&policy).map_err(Refusal::invalid)?.is_empty() {
        return Err(Refusal::precondition(
            "a global policy cannot use credential_binding: a binding names a provider of one sandbox",
        ));
    }
    let state = call.state;
    draft.rely_on(state, next_revision_key(state, "", GLOBAL_SCOPE));
    let policy_hash = hash::policy_hash(&policy);
    let latest = state.latest_global_policy();
    let same =
        latest.filter(|latest| latest.value.stored.policy_hash == policy_hash && latest.value.stored.status == LOADED);
    let version = match same {
        Some(latest) => version_of(&latest.value.stored),
        None => {
            let version = next_version(latest);
            let revision = revision(call, GLOBAL_SCOPE, version, &policy, &policy_hash, LOADED, &Default::default());
            draft.put(&Key::global_policy_revision(version), &revision);
            supersede(state, &mut draft, "", GLOBAL_SCOPE);
            version
        }
    };
    let value = SettingValue { value: Some(setting_value::Value::BytesValue(policy.encode_to_vec())) };
    let settings_revision = SettingsRecord::open(state, &mut draft).put(&mut draft, GLOBAL_POLICY, Some(&value));
    let response = UpdateConfigResponse { version, policy_hash, settings_revision, ..UpdateConfigResponse::default() };
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

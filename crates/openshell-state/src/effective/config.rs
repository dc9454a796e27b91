//! `GetSandboxConfig` (`config.md` 4.1): policy source, provider rules, marks, hashes, settings.

use std::borrow::Cow;

use openshell_policy::credentials::{self, Bindings};
use openshell_policy::{hash, safety};
use openshell_proto::sandbox::{GetSandboxConfigResponse, PolicySource, SandboxPolicy, setting_value};
use openshell_proto::v1::Sandbox;
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::checks;
use crate::composition::{self, Member, Subject, View};
use crate::effective::{VALIDATION_FAILURE_MODE, environment_revision};
use crate::query::settings;
use crate::refusal::Refusal;
use crate::state::State;

/// The policy that a sandbox is to enforce, with where it came from.
pub(super) struct EffectivePolicy {
    /// Composed and stamped; none when nobody provided one.
    pub(super) policy: Option<SandboxPolicy>,
    /// Of the policy; none without one.
    pub(super) bindings: Bindings,
    /// Sandbox or global.
    source: PolicySource,
    /// Version of the sandbox's own latest revision, at least 1 under a global policy.
    version: u32,
    /// Version of the active global policy, otherwise 0.
    global_version: u32,
}

/// The effective configuration of a sandbox.
///
/// # Errors
/// `FAILED_PRECONDITION` when an attached provider is missing or what is composed is not a
/// valid policy; `INTERNAL` when a stored setting does not decode. A retry on the same state
/// hears the same.
pub fn sandbox_config(state: &State, workspace: &str, sandbox: &Sandbox) -> Result<GetSandboxConfigResponse, Refusal> {
    let subject = Subject::stored(state, workspace, sandbox);
    let members = View::of(state).members(workspace, &subject.providers)?;
    let effective = effective_policy(state, &subject, sandbox, &members)?;
    let policy_hash = effective.policy.as_ref().map(hash::policy_hash).unwrap_or_default();
    if let Some(policy) = &effective.policy {
        known_middlewares(policy)?;
        checks::credential_context(policy, &members)?;
    }
    let settings = settings::effective(state, workspace, subject.name)?;
    // By what the state holds, not by what this build can do: equal revisions answer equally.
    let cluster = state.cluster();
    let extension_authentication_enabled = cluster.is_some_and(|entry| !entry.value.sealed_signing_key.is_empty());
    let provider_env_revision = environment_revision(&members, &effective.bindings)?;
    let mut answer = GetSandboxConfigResponse {
        policy: effective.policy,
        version: effective.version,
        policy_hash,
        settings,
        config_revision: 0,
        policy_source: effective.source as i32,
        global_policy_version: effective.global_version,
        provider_env_revision,
        supervisor_middleware_services: Vec::new(),
        workspace: workspace.to_owned(),
        policy_validation_failure_mode: VALIDATION_FAILURE_MODE.to_owned(),
        extension_authentication_enabled,
        left_out_profiles: composition::left_out(&members),
    };
    answer.config_revision = config_revision(&answer);
    Ok(answer)
}

/// The policy as it is to be enforced (EC-4, EC-7 to EC-11).
pub(super) fn effective_policy(
    state: &State,
    subject: &Subject<'_>,
    sandbox: &Sandbox,
    members: &[Member<'_>],
) -> Result<EffectivePolicy, Refusal> {
    // Also where it has no influence: a setting of another type is never read over (EC-5).
    let providers_v2 = composition::providers_v2(state)?;
    let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let own_version =
        state.latest_policy(subject.workspace, id).map_or(0, |revision| version_of(&revision.value.stored));
    let (given, source, version, global_version) = match composition::global_policy(state)? {
        Some(global) => {
            let global_version = state.latest_global_policy().map_or(0, |revision| version_of(&revision.value.stored));
            (Some(global), PolicySource::Global, own_version.max(1), global_version)
        }
        None => (subject.base.as_deref().cloned(), PolicySource::Sandbox, own_version, 0),
    };
    let on = source == PolicySource::Sandbox && providers_v2;
    let enforced = given.map(|given| enforced(given, members, on)).transpose()?;
    let (policy, bindings) = enforced.map(|(policy, bindings)| (Some(policy), bindings)).unwrap_or_default();
    Ok(EffectivePolicy { policy, bindings, source, version, global_version })
}

/// A policy as it is to be enforced, with the providers' rules if these are composed, and what it binds.
fn enforced(mut policy: SandboxPolicy, members: &[Member<'_>], on: bool) -> Result<(SandboxPolicy, Bindings), Refusal> {
    credentials::clear_markers(&mut policy);
    let mut policy = checks::composed(Cow::Owned(policy), members, on)?.into_owned();
    checks::safe(&policy)?;
    let bindings = credentials::bindings(&policy).map_err(Refusal::invalid)?;
    credentials::stamp(&mut policy, &checks::credential_scopes(&bindings, members));
    Ok((policy, bindings))
}

/// The policy of a sandbox as it is to be enforced, composed and stamped; none when nobody provided one.
///
/// Refuses as [`sandbox_config`] does.
pub(crate) fn policy(
    state: &State,
    subject: &Subject<'_>,
    sandbox: &Sandbox,
    members: &[Member<'_>],
) -> Result<Option<SandboxPolicy>, Refusal> {
    effective_policy(state, subject, sandbox, members).map(|effective| effective.policy)
}

/// The version of a stored revision on the wire.
pub(crate) fn version_of(stored: &openshell_proto::v1::StoredPolicyRevision) -> u32 {
    u32::try_from(stored.version).expect("policy versions are written from u32")
}

/// Every middleware that a policy names is one that sandboxes have (EC-14).
pub(super) fn known_middlewares(policy: &SandboxPolicy) -> Result<(), Refusal> {
    let violations = safety::middleware_violations(policy, &[]);
    if violations.is_empty() {
        return Ok(());
    }
    Err(Refusal::precondition(format!("policy middleware validation failed: {}", violations.join("; "))))
}

/// The revision of an answer: the first eight bytes of a SHA-256 over what a sandbox has to react to, and
/// over nothing else of it (EC-52, EC-53). `policy_hash` must be that of the policy.
#[must_use]
pub fn config_revision(answer: &GetSandboxConfigResponse) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(answer.policy_source.to_le_bytes());
    hasher.update(&answer.policy_validation_failure_mode);
    hasher.update([u8::from(answer.extension_authentication_enabled)]);
    if answer.policy.is_some() {
        hasher.update(&answer.policy_hash);
    }
    for (key, setting) in &answer.settings {
        hasher.update(key);
        hasher.update(setting.scope.to_le_bytes());
        match setting.value.as_ref().and_then(|value| value.value.as_ref()) {
            None => {}
            Some(setting_value::Value::StringValue(text)) => {
                hasher.update([0]);
                hasher.update(text);
            }
            Some(setting_value::Value::BoolValue(flag)) => hasher.update([1, u8::from(*flag)]),
            Some(setting_value::Value::IntValue(number)) => {
                hasher.update([2]);
                hasher.update(number.to_le_bytes());
            }
            Some(setting_value::Value::BytesValue(bytes)) => {
                hasher.update([3]);
                hasher.update(bytes);
            }
        }
    }
    let mut services: Vec<_> = answer.supervisor_middleware_services.iter().collect();
    services.sort_by_key(|service| &service.name);
    services.into_iter().for_each(|service| hasher.update(service.encode_to_vec()));
    first_eight(hasher)
}

/// The first eight bytes of a digest, little-endian.
pub(crate) fn first_eight(hasher: Sha256) -> u64 {
    let hash: [u8; 32] = hasher.finalize().into();
    let (first, _) = hash.split_first_chunk::<8>().expect("a SHA-256 has 32 bytes");
    u64::from_le_bytes(*first)
}

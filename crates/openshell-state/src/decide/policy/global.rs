//! The global policy: which one replaces every sandbox's own, as a numbered revision and a setting in one entry
//! (`config.md` 3.4).

use openshell_policy::{ambiguity, credentials, hash};
use openshell_proto::sandbox::{SandboxPolicy, SettingValue, setting_value};
use openshell_proto::v1::UpdateConfigResponse;
use prost::Message;

use super::{forget, next_revision_key, next_version, revision, supersede};
use crate::composition::GLOBAL_POLICY;
use crate::decide::settings::SettingsRecord;
use crate::decide::{sandbox as sandboxes, spec};
use crate::decision::{Call, Decision, Draft};
use crate::effective::version_of;
use crate::key::{GLOBAL_SCOPE, Key};
use crate::record::revision_status::LOADED;
use crate::refusal::Refusal;

/// Decides a global policy (UC-8 to UC-11).
pub(in crate::decide) fn set_global(
    call: &Call<'_>,
    mut draft: Draft,
    policy: &SandboxPolicy,
) -> Result<Decision, Refusal> {
    let mut policy = policy.clone();
    spec::policy_size("policy", &policy)?;
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
            supersede(state, &mut draft, "", GLOBAL_SCOPE, 0);
            forget(state, &mut draft, "", GLOBAL_SCOPE, &revision, 0);
            version
        }
    };
    let value = SettingValue { value: Some(setting_value::Value::BytesValue(policy.encode_to_vec())) };
    let settings_revision = SettingsRecord::open(state, &mut draft).put(&mut draft, GLOBAL_POLICY, Some(&value));
    let response = UpdateConfigResponse { version, policy_hash, settings_revision, ..UpdateConfigResponse::default() };
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

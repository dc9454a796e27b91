//! Settings at both scopes (`config.md` 3.1, 3.4, 3.5). What switches provider composition on
//! is checked against every sandbox that it would affect.

use openshell_proto::log::Settings;
use openshell_proto::sandbox::{SettingValue, setting_value};
use openshell_proto::v1::{Sandbox, UpdateConfigRequest, UpdateConfigResponse};
use prost::Message;

use crate::checks;
use crate::composition::{self, GLOBAL_POLICY, PROVIDERS_V2, Subject, View};
use crate::decide::{expect_version, next_metadata, policy};
use crate::decision::{Call, Decision, Draft};
use crate::key::{GLOBAL_SCOPE, Key};
use crate::names;
use crate::query::settings::{SettingType, registered};
use crate::refusal::Refusal;
use crate::state::State;

/// A settings record that is being changed.
pub(super) struct SettingsRecord {
    key: Key,
    before: Settings,
}

impl SettingsRecord {
    /// The gateway's settings.
    pub(super) fn open(state: &State, draft: &mut Draft) -> Self {
        Self::at(state, draft, Key::gateway_settings())
    }

    fn at(state: &State, draft: &mut Draft, key: Key) -> Self {
        draft.rely_on(state, key.clone());
        let before = match state.record(&key).map(|record| &record.value) {
            Some(crate::record::Value::Settings(settings)) => settings.clone(),
            Some(other) => panic!("{key} holds {other:?}"),
            None => Settings::default(),
        };
        Self { key, before }
    }

    /// Sets or removes one value; writes and counts only a real change (ST-6). Returns the
    /// revision that then holds.
    pub(super) fn put(&self, draft: &mut Draft, key: &str, value: Option<&SettingValue>) -> u64 {
        let mut after = self.before.clone();
        match value {
            Some(value) => after.values.insert(key.to_owned(), value.encode_to_vec()),
            None => after.values.remove(key),
        };
        if after.values == self.before.values {
            return self.before.revision;
        }
        after.revision += 1;
        after.resource_version += 1;
        draft.put(&self.key, &after);
        after.revision
    }

    fn has(&self, key: &str) -> bool {
        self.before.values.contains_key(key)
    }
}

/// Decides a change of a global setting (UC-12 to UC-16).
pub(super) fn change_global(
    call: &Call<'_>,
    mut draft: Draft,
    key: &str,
    request: &UpdateConfigRequest,
) -> Result<Decision, Refusal> {
    let state = call.state;
    let settings = SettingsRecord::open(state, &mut draft);
    let value = if request.delete_setting {
        if key != GLOBAL_POLICY {
            registered(key)?;
        }
        None
    } else {
        if key == GLOBAL_POLICY {
            return Err(Refusal::invalid("setting \"policy\" is reserved; send the policy in the field policy"));
        }
        registered(key)?;
        Some(checked(key, request.setting_value.as_ref())?)
    };
    let deleted = request.delete_setting && settings.has(key);
    activation(call, &mut draft, key, value.as_ref())?;
    let settings_revision = settings.put(&mut draft, key, value.as_ref());
    if deleted && key == GLOBAL_POLICY {
        draft.rely_on(state, policy::next_revision_key(state, "", GLOBAL_SCOPE));
        policy::supersede(state, &mut draft, "", GLOBAL_SCOPE, 0);
    }
    let response = UpdateConfigResponse { settings_revision, deleted, ..UpdateConfigResponse::default() };
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

/// A change that switches composition on must leave every sandbox with providers unambiguous (UC-14), and
/// with a policy that it gets: safe, and with what its bindings and signing endpoints need (EC-10, EC-18).
fn activation(call: &Call<'_>, draft: &mut Draft, key: &str, value: Option<&SettingValue>) -> Result<(), Refusal> {
    let state = call.state;
    let v2 = match (key, value.and_then(|value| value.value.as_ref())) {
        (PROVIDERS_V2, value) => value == Some(&setting_value::Value::BoolValue(true)),
        _ => composition::providers_v2(state)?,
    };
    let global_policy = key != GLOBAL_POLICY && composition::global_policy(state)?.is_some();
    if composition::is_on(state)? || !v2 || global_policy {
        return Ok(());
    }
    draft.rely_on(state, Key::composition());
    let view = View::of(state);
    for (workspace, name) in state.sandboxes_with_providers() {
        let sandbox = state.sandbox(workspace, name).expect("an indexed sandbox exists").value;
        let subject = Subject::stored(state, workspace, sandbox);
        composes(&view, &subject).map_err(|refusal| {
            Refusal::precondition(format!("sandbox {workspace}/{name} would not compose: {}", refusal.message))
        })?;
    }
    Ok(())
}

fn composes(view: &View<'_>, subject: &Subject<'_>) -> Result<(), Refusal> {
    let members = view.members(subject.workspace, &subject.providers)?;
    let composed = checks::composed(subject.base_or_empty(), &members, true)?;
    checks::endpoint_ambiguity(&composed)?;
    checks::credential_context(&composed, &members)?;
    checks::safe(&composed)
}

/// Decides a change of a sandbox's setting (UC-18 to UC-22), with its annotations.
pub(super) fn change_sandbox(
    call: &Call<'_>,
    mut draft: Draft,
    workspace: &str,
    sandbox: &Sandbox,
    key: &str,
    request: &UpdateConfigRequest,
) -> Result<Decision, Refusal> {
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    let sandbox_key = Key::sandbox(workspace, &metadata.name);
    draft.rely_on(call.state, sandbox_key.clone());
    if key == GLOBAL_POLICY {
        return Err(Refusal::invalid("setting \"policy\" is reserved; send the policy in the field policy"));
    }
    if SettingsRecord::open(call.state, &mut draft).has(key) {
        return Err(Refusal::precondition(format!(
            "setting {key:?} is managed globally; delete the global value before changing it for a sandbox"
        )));
    }
    let value = if request.delete_setting { None } else { Some(checked(key, request.setting_value.as_ref())?) };
    let settings = SettingsRecord::at(call.state, &mut draft, Key::sandbox_settings(workspace, &metadata.name));
    let deleted = request.delete_setting && settings.has(key);
    let annotations = names::merged_annotations(&metadata.annotations, &request.annotations)?;
    if annotations != metadata.annotations {
        let what = format!("sandbox {:?}", metadata.name);
        expect_version(&what, request.expected_resource_version, metadata.resource_version)?;
        let mut after = sandbox.clone();
        let next = next_metadata(after.metadata.as_ref());
        after.metadata = Some(openshell_proto::datamodel::ObjectMeta { annotations: annotations.clone(), ..next });
        draft.put(&sandbox_key, &after);
    }
    let settings_revision = settings.put(&mut draft, key, value.as_ref());
    if settings_revision == 1 {
        draft.touch(Key::workspace_contents(workspace));
    }
    let response = UpdateConfigResponse { settings_revision, deleted, annotations, ..UpdateConfigResponse::default() };
    Ok(if draft.writes.is_empty() { Decision::answer(&response) } else { draft.answer(&response) })
}

/// A value of the type, and among the words, that a registered key takes (UC-13, UC-20).
fn checked(key: &str, value: Option<&SettingValue>) -> Result<SettingValue, Refusal> {
    let value = value.ok_or_else(|| Refusal::invalid("setting_value is required"))?;
    let Some(kind) = &value.value else {
        return Err(Refusal::invalid("setting_value is empty; give it a string, bool or int"));
    };
    match (registered(key)?, kind) {
        (SettingType::Bool, setting_value::Value::BoolValue(_)) => Ok(value.clone()),
        (SettingType::Words(words), setting_value::Value::StringValue(text)) if words.contains(&text.as_str()) => {
            Ok(value.clone())
        }
        (SettingType::Words(words), setting_value::Value::StringValue(text)) => Err(Refusal::invalid(format!(
            "setting {key:?} cannot be {text:?}; the allowed values are {}",
            words.join(", ")
        ))),
        (SettingType::Bool, _) => Err(Refusal::invalid(format!("setting {key:?} takes a bool"))),
        (SettingType::Words(_), _) => Err(Refusal::invalid(format!("setting {key:?} takes a string"))),
    }
}

//! Settings: the registered keys, their types, and how they are read (`config.md` 3.1, 3.2).

use std::collections::BTreeMap;

use openshell_proto::cluster::WatchedSettings;
use openshell_proto::log::Settings;
use openshell_proto::sandbox::{
    EffectiveSetting, GetGatewayConfigResponse, SandboxPolicy, SettingScope, SettingValue, setting_value,
};
use prost::Message;

use crate::composition::GLOBAL_POLICY;
use crate::refusal::Refusal;
use crate::state::State;

/// What a registered setting may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingType {
    /// A flag.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// Every registered key with its type, in order.
pub const REGISTERED: [(&str, SettingType); 4] = [
    ("agent_policy_proposals_enabled", SettingType::Bool),
    ("ocsf_json_enabled", SettingType::Bool),
    ("proposal_approval_mode", SettingType::Words(&["manual", "auto"])),
    ("providers_v2_enabled", SettingType::Bool),
];

/// The type of a registered key.
///
/// # Errors
/// `INVALID_ARGUMENT` listing the keys, for any other (`config.md` UC-12).
pub fn registered(key: &str) -> Result<SettingType, Refusal> {
    REGISTERED.iter().find(|(name, _)| *name == key).map(|(_, of)| *of).ok_or_else(|| {
        let names: Vec<&str> = REGISTERED.iter().map(|(name, _)| *name).collect();
        Refusal::invalid(format!("unknown setting key {key:?}; the keys are {}", names.join(", ")))
    })
}

/// Decodes one value of a settings record.
fn read(settings: &Settings, key: &str) -> Result<Option<SettingValue>, Refusal> {
    let decode = |bytes: &Vec<u8>| {
        SettingValue::decode(bytes.as_slice())
            .map_err(|error| Refusal::internal(format!("stored setting {key:?} does not decode: {error}")))
    };
    settings.values.get(key).map(decode).transpose()
}

/// The registered keys that a record sets, as a watch shows them.
pub(super) fn watched(settings: &Settings) -> WatchedSettings {
    let set = REGISTERED.iter().filter_map(|(key, _)| Some(((*key).to_owned(), read(settings, key).ok()??)));
    WatchedSettings { settings_revision: settings.revision, settings: set.collect() }
}

/// A value of the gateway's settings.
pub(crate) fn global(state: &State, key: &str) -> Result<Option<SettingValue>, Refusal> {
    state.gateway_settings().map_or(Ok(None), |settings| read(settings.value, key))
}

/// The active global policy.
pub(crate) fn global_policy(state: &State) -> Result<Option<SandboxPolicy>, Refusal> {
    let Some(value) = global(state, GLOBAL_POLICY)? else { return Ok(None) };
    let Some(setting_value::Value::BytesValue(bytes)) = value.value else {
        return Err(Refusal::internal("the stored global policy is not bytes"));
    };
    SandboxPolicy::decode(bytes.as_slice())
        .map(Some)
        .map_err(|error| Refusal::internal(format!("the stored global policy does not decode: {error}")))
}

/// The effective value of every registered key for one sandbox: global, then sandbox, then
/// unset (`config.md` ST-2, EC-15).
pub(crate) fn effective(
    state: &State,
    workspace: &str,
    sandbox: &str,
) -> Result<BTreeMap<String, EffectiveSetting>, Refusal> {
    let own = state.sandbox_settings(workspace, sandbox);
    let mut effective = BTreeMap::new();
    for (key, _) in REGISTERED {
        let setting = if let Some(value) = global(state, key)? {
            EffectiveSetting { value: Some(value), scope: SettingScope::Global as i32 }
        } else if let Some(value) = own.map_or(Ok(None), |settings| read(settings.value, key))? {
            EffectiveSetting { value: Some(value), scope: SettingScope::Sandbox as i32 }
        } else {
            EffectiveSetting { value: None, scope: SettingScope::Unspecified as i32 }
        };
        effective.insert(key.to_owned(), setting);
    }
    Ok(effective)
}

/// `GetGatewayConfig`: every registered key, unset ones without a value (`config.md` EC-21).
///
/// # Errors
/// `INTERNAL` when a stored value does not decode.
pub fn gateway_config(state: &State) -> Result<GetGatewayConfigResponse, Refusal> {
    let mut settings = BTreeMap::new();
    for (key, _) in REGISTERED {
        settings.insert(key.to_owned(), global(state, key)?.unwrap_or_default());
    }
    let settings_revision = state.gateway_settings().map_or(0, |settings| settings.value.revision);
    Ok(GetGatewayConfigResponse { settings, settings_revision })
}

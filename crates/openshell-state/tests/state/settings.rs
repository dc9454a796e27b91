//! The scenarios of `config.md` 10.4 about settings, by number, and what of 3.1 and 3.2 goes with them.

use openshell_proto::sandbox::{SandboxPolicy, SettingScope, SettingValue, setting_value};
use openshell_proto::v1::UpdateConfigRequest;
use openshell_state::{Code, query};
use prost::Message;

use crate::support::{
    World, config, global_policy, global_setting, map, policy, sandbox, says, setting, setting_value as flag,
};

const KEY: &str = "ocsf_json_enabled";

fn cleared(request: UpdateConfigRequest) -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..request }
}

fn text(value: &str) -> SettingValue {
    SettingValue { value: Some(setting_value::Value::StringValue(value.to_owned())) }
}

fn with_sandbox() -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world
}

/// The effective value of [`KEY`] and where it comes from.
fn shown(world: &World, name: &str) -> (Option<SettingValue>, SettingScope) {
    let setting = world.effective(name).settings.remove(KEY).expect("every registered key is there");
    (setting.value.clone(), setting.scope())
}

#[test]
fn config_scenario_59_unset_is_a_state_of_its_own() {
    let world = with_sandbox();
    let settings = world.effective("s").settings;
    assert_eq!(settings.len(), 4);
    assert!(settings.values().all(|setting| setting.value.is_none() && setting.scope() == SettingScope::Unspecified));
    let gateway = query::settings::gateway_config(&world.state).expect("settings");
    assert_eq!((gateway.settings.len(), gateway.settings_revision), (4, 0));
    assert!(gateway.settings.values().all(|setting| setting.value.is_none()));
}

#[test]
fn config_scenario_60_the_gateways_value_hides_the_sandboxs() {
    let mut world = with_sandbox();
    world.ok(&setting("s", KEY, false));
    assert_eq!(shown(&world, "s"), (Some(flag(false)), SettingScope::Sandbox));
    world.ok(&global_setting(KEY, true));
    assert_eq!(shown(&world, "s"), (Some(flag(true)), SettingScope::Global));
    says(&world.refused(Code::FailedPrecondition, &setting("s", KEY, true)), &["managed globally"]);
    world.refused(Code::FailedPrecondition, &cleared(setting("s", KEY, true)));
    assert!(world.ok(&cleared(global_setting(KEY, true))).deleted);
    assert_eq!(shown(&world, "s"), (Some(flag(false)), SettingScope::Sandbox));
    assert!(world.ok(&cleared(setting("s", KEY, true))).deleted);
    assert_eq!(shown(&world, "s"), (None, SettingScope::Unspecified));
}

#[test]
fn config_scenario_61_keys_and_values() {
    let mut world = with_sandbox();
    let mode = |value: SettingValue| UpdateConfigRequest {
        setting_key: "proposal_approval_mode".to_owned(),
        setting_value: Some(value),
        ..config("s")
    };
    says(&world.refused(Code::InvalidArgument, &setting("s", "nope", true)), &["unknown setting key", KEY]);
    says(&world.refused(Code::InvalidArgument, &global_setting("nope", true)), &["unknown setting key"]);
    says(&world.refused(Code::InvalidArgument, &cleared(global_setting("nope", true))), &["unknown setting key"]);
    assert!(!world.ok(&cleared(setting("s", "nope", true))).deleted, "UC-19: not so for a sandbox");
    let worded = UpdateConfigRequest { setting_value: Some(text("true")), ..setting("s", KEY, true) };
    world.refused(Code::InvalidArgument, &worded);
    says(&world.refused(Code::InvalidArgument, &mode(text("autom"))), &["manual", "auto"]);
    world.refused(Code::InvalidArgument, &mode(SettingValue { value: None }));
    world
        .refused(Code::InvalidArgument, &mode(SettingValue { value: Some(setting_value::Value::BytesValue(vec![1])) }));
    world.refused(Code::InvalidArgument, &UpdateConfigRequest { setting_value: None, ..setting("s", KEY, true) });
    world.ok(&mode(text("auto")));
    for request in [setting("s", "policy", true), cleared(setting("s", "policy", true)), global_setting("policy", true)]
    {
        world.refused(Code::InvalidArgument, &request);
    }
}

#[test]
fn config_scenario_62_only_a_change_counts() {
    let mut world = with_sandbox();
    for request in [global_setting(KEY, true), setting("s", "agent_policy_proposals_enabled", true)] {
        assert_eq!(world.ok(&request).settings_revision, 1);
        let entries = world.log.len();
        assert_eq!(world.ok(&request).settings_revision, 1);
        assert_eq!(world.log.len(), entries, "what changes nothing is no entry");
        let other = UpdateConfigRequest { setting_value: Some(flag(false)), ..request };
        assert_eq!(world.ok(&other).settings_revision, 2);
    }
}

#[test]
fn st_4_equal_names_in_two_workspaces() {
    let mut world = with_sandbox();
    world.workspace("other");
    let mut elsewhere = sandbox("s", &[], None);
    elsewhere.workspace = "other".to_owned();
    world.ok(&elsewhere);
    world.ok(&UpdateConfigRequest { workspace: "other".to_owned(), ..setting("s", KEY, true) });
    assert_eq!(shown(&world, "s"), (None, SettingScope::Unspecified));
}

#[test]
fn st_5_a_record_has_a_revision_each_value_in_its_type_and_the_gateways_the_global_policy() {
    let mut world = with_sandbox();
    let mode = text("auto");
    world.ok(&global_setting(KEY, true));
    world.ok(&UpdateConfigRequest {
        setting_value: Some(mode.clone()),
        ..global_setting("proposal_approval_mode", true)
    });
    let sent = policy("g.example.com");
    world.ok(&global_policy(sent.clone()));
    let stored = world.state.gateway_settings().expect("a record").value;
    assert_eq!((stored.revision, stored.values.len()), (3, 3));
    let value = |key: &str| SettingValue::decode(stored.values[key].as_slice()).expect("a value");
    assert_eq!([value(KEY), value("proposal_approval_mode")], [flag(true), mode]);
    let Some(setting_value::Value::BytesValue(bytes)) = value("policy").value else { panic!("not bytes") };
    assert_eq!(SandboxPolicy::decode(bytes.as_slice()).expect("a policy"), sent);
}

#[test]
fn annotations_go_with_a_setting_and_only_they_are_held_to_a_version() {
    let mut world = with_sandbox();
    let stale = UpdateConfigRequest { expected_resource_version: 9, ..setting("s", KEY, true) };
    world.ok(&stale);
    let annotated = UpdateConfigRequest { annotations: map(&[("why", "test")]), ..stale };
    world.refused(Code::Aborted, &annotated);
    let answer = world.ok(&UpdateConfigRequest { expected_resource_version: 1, ..annotated });
    assert_eq!(answer.annotations, map(&[("why", "test")]));
    assert_eq!(world.sandbox_version("s"), 2);
}

#[test]
fn a_request_has_exactly_one_mode() {
    let mut world = with_sandbox();
    world.refused(Code::InvalidArgument, &config("s"));
    world.refused(Code::InvalidArgument, &cleared(config("s")));
    let both = UpdateConfigRequest { policy: Some(Default::default()), ..setting("s", KEY, true) };
    world.refused(Code::InvalidArgument, &both);
    let merge = UpdateConfigRequest { merge_operations: vec![Default::default()], ..config("s") };
    world.refused(Code::InvalidArgument, &merge);
    world.refused(Code::NotFound, &setting("unknown", KEY, true));
    world.refused(Code::InvalidArgument, &setting("", KEY, true));
}

//! The rules of `config.md` 4 about what a sandbox gets as its configuration, by number. What no call would
//! leave behind is written past the rules: a read must bear it.

mod context;
mod providers;

use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::log::Settings;
use openshell_proto::sandbox::{
    MiddlewareEndpointSelector, NetworkMiddlewareConfig, PolicySource, SandboxPolicy, SettingScope, SettingValue,
    setting_value,
};
use openshell_proto::v1::{DeleteWorkspaceRequest, ProviderProfile, StoredProviderProfile, WorkspaceRole};
use openshell_state::access::Principal;
use openshell_state::{Answers, Code, Key, State, effective, query};
use prost::Message;

use crate::support::{
    World, attach, credential, detach, global_policy, global_setting, imported, policy, provider, sandbox, says,
    setting, static_profile, update, update_policy, user,
};

const V2: &str = "providers_v2_enabled";

/// A profile `tool` with one credential, for `tool.example.com`.
fn tool() -> ProviderProfile {
    ProviderProfile { credentials: vec![credential("k", "TOOL_KEY")], ..static_profile("tool", "tool.example.com") }
}

/// A sandbox `s` with a policy for `a.example.com` and the provider `p` of the profile `tool`.
fn with_tool() -> World {
    let mut world = World::new();
    imported(&mut world, "default", tool());
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    world
}

/// Writes a profile past the rules.
fn write_profile(world: &mut World, key: &Key, profile: ProviderProfile) {
    let metadata = Some(ObjectMeta { resource_version: 9, ..ObjectMeta::default() });
    world.write(key, Some(&StoredProviderProfile { metadata, profile: Some(profile), ..Default::default() }));
}

/// Writes the policy of sandbox `s` past the rules.
fn write_policy(world: &mut World, policy: &SandboxPolicy) {
    let id = world.sandbox_id("s");
    let mut stored = world.revisions("s").last().expect("a revision").stored.clone();
    stored.policy_payload = policy.encode_to_vec();
    let version = u32::try_from(stored.version).expect("a version");
    world.write(&Key::policy_revision("default", &id, version), Some(&stored));
}

/// Writes one value of the gateway's settings past the rules.
fn write_global(world: &mut World, key: &str, value: setting_value::Value) {
    let mut settings = world.state.gateway_settings().map(|found| found.value.clone()).unwrap_or_default();
    settings.values.insert(key.to_owned(), SettingValue { value: Some(value) }.encode_to_vec());
    world.write::<Settings>(&Key::gateway_settings(), Some(&settings));
}

#[track_caller]
fn refused(world: &World, code: Code, words: &[&str]) {
    let refusal = world.try_effective("s").expect_err("it is refused");
    assert_eq!(refusal.code, code, "{}", refusal.message);
    says(&refusal.message, words);
}

#[test]
fn ec_1_and_2_who_may_read_a_configuration() {
    let mut world = with_tool();
    let ask =
        |world: &World, principal: &Principal, id: &str| world.config_as(principal, id).map(|answer| answer.workspace);
    let (own, id) = (Principal::Sandbox { id: world.sandbox_id("s") }, world.sandbox_id("s"));
    assert_eq!(ask(&world, &own, &id).as_deref(), Ok("default"));
    // EC-1: before the look-up, so that nothing is to be heard of others.
    let another = ask(&world, &own, "no such id").expect_err("not its own");
    assert_eq!(another.code, Code::PermissionDenied);
    world.ok(&sandbox("t", &[], None));
    assert_eq!(ask(&world, &own, &world.sandbox_id("t")).expect_err("not its own"), another);
    // EC-2: who may not see it hears what a wrong id hears.
    let missing = |id: &str| format!("sandbox with id {id:?} does not exist");
    for (principal, asked) in [(user("stranger", false), id.as_str()), (world.principal.clone(), "no such id")] {
        let refusal = ask(&world, &principal, asked).expect_err("not to be seen");
        assert_eq!((refusal.code, refusal.message), (Code::NotFound, missing(asked)));
    }
    world.member("default", "bob", WorkspaceRole::User);
    assert!(ask(&world, &user("bob", false), &id).is_ok());
    world.workspace("team");
    let mut there = sandbox("u", &[], None);
    there.workspace = "team".to_owned();
    let id = world.ok(&there).sandbox.and_then(|sandbox| sandbox.metadata).expect("metadata").id;
    let marked = world.call(&DeleteWorkspaceRequest { name: "team".to_owned() });
    assert_eq!(marked.expect_err("it holds a sandbox").code, Code::FailedPrecondition);
    assert_eq!(ask(&world, &world.principal, &id).as_deref(), Ok("team"), "while it is being deleted too");
}

#[test]
fn ec_3_one_state_answers_the_whole_request() {
    let mut world = with_tool();
    world.ok(&global_setting(V2, true));
    let (before, held) = (world.effective("s"), world.clone());
    assert!(world.ok(&update("default", 1, static_profile("tool", "new.example.com"))).updated);
    world.ok(&update_policy("s", policy("new.example.com")));
    assert_eq!(held.effective("s"), before, "who holds a state is answered from it");
    assert_ne!(world.effective("s"), before);
}

#[test]
fn ec_4_the_policy_is_the_latest_revision_and_reading_writes_nothing() {
    let mut world = with_tool();
    let before = (world.state.digest(), world.state.revision());
    let answer = world.effective("s");
    assert_eq!((answer.version, answer.policy_source()), (1, PolicySource::Sandbox));
    assert_eq!((world.state.digest(), world.state.revision()), before);
    world.ok(&update_policy("s", policy("b.example.com")));
    let answer = world.effective("s");
    assert_eq!(answer.version, 2);
    assert_eq!(answer.policy.expect("a policy").network_policies["r1"].endpoints[0].host, "b.example.com");
    world.ok(&sandbox("bare", &["p"], None));
    let bare = world.effective("bare");
    assert_eq!((bare.policy, bare.version, bare.policy_hash.as_str()), (None, 0, ""));
}

#[test]
fn ec_5_a_setting_of_another_type_is_not_read_over() {
    let mut world = with_tool();
    write_global(&mut world, V2, setting_value::Value::StringValue("true".to_owned()));
    refused(&world, Code::Internal, &[V2]);
    let bytes = policy("g.example.com").encode_to_vec();
    write_global(&mut world, "policy", setting_value::Value::BytesValue(bytes));
    refused(&world, Code::Internal, &[V2]);
}

#[test]
fn ec_7_a_global_policy_replaces_the_sandboxes() {
    let mut world = with_tool();
    world.ok(&sandbox("bare", &[], None));
    world.ok(&update_policy("s", policy("b.example.com")));
    for (host, version) in [("g.example.com", 1), ("h.example.com", 2)] {
        world.ok(&global_policy(policy(host)));
        let answer = world.effective("s");
        assert_eq!(answer.policy_source(), PolicySource::Global);
        assert_eq!((answer.version, answer.global_policy_version), (2, version));
        assert_eq!(answer.policy.expect("a policy").network_policies["r1"].endpoints[0].host, host);
    }
    assert_eq!(world.effective("bare").version, 1, "0 would mean that there is none");
}

#[test]
fn ec_9_layers_need_the_setting_a_policy_and_a_profile() {
    let mut world = with_tool();
    assert_eq!(world.rules("s"), ["r1"], "the setting is off");
    world.ok(&global_setting(V2, true));
    assert_eq!(world.rules("s"), ["_provider_p", "r1"]);
    world.ok(&sandbox("bare", &["p"], None));
    assert_eq!(world.effective("bare").policy, None, "no policy, no layers");
    world.ok(&provider("q", "unheard-of", &["Q_KEY"]));
    world.ok(&sandbox("t", &["q"], Some(policy("a.example.com"))));
    assert_eq!(world.rules("t"), ["r1"]);
    world.ok(&global_policy(policy("g.example.com")));
    assert_eq!(world.rules("s"), ["r1"], "a global policy has none");
}

#[test]
fn ec_10_what_is_composed_must_be_safe_and_may_be_ambiguous() {
    let mut world = with_tool();
    world.ok(&global_setting(V2, true));
    let key = Key::profile("default", "tool");
    write_profile(&mut world, &key, static_profile("tool", "*.com"));
    refused(&world, Code::FailedPrecondition, &["invalid effective policy", "_provider_p"]);
    let mut contradicting = static_profile("tool", "a.example.com");
    contradicting.endpoints[0].tls = "skip".to_owned();
    write_profile(&mut world, &key, contradicting);
    assert_eq!(world.rules("s"), ["_provider_p", "r1"], "every write was checked for that");
}

#[test]
fn ec_13_the_hash_is_that_of_what_is_composed() {
    let mut world = with_tool();
    let stored = world.ok(&update_policy("s", policy("tool.example.com"))).policy_hash;
    let stamped = world.effective("s");
    assert_ne!(stamped.policy_hash, stored, "its endpoint is marked");
    world.ok(&global_setting(V2, true));
    let composed = world.effective("s");
    assert_ne!(composed.policy_hash, stamped.policy_hash);
    assert_eq!(composed.policy_hash, openshell_policy::hash::policy_hash(&composed.policy.expect("a policy")));
    world.ok(&detach("s", "p"));
    assert_eq!(world.effective("s").policy_hash, stored, "nothing is composed or marked");
}

#[test]
fn ec_14_and_16_only_the_built_in_middleware_is_known() {
    let mut world = with_tool();
    let named = |middleware: &str| {
        let endpoints = MiddlewareEndpointSelector { include: vec!["*.example.com".to_owned()], exclude: Vec::new() };
        let entry = NetworkMiddlewareConfig {
            name: "m".to_owned(),
            middleware: middleware.to_owned(),
            endpoints: Some(endpoints),
            ..NetworkMiddlewareConfig::default()
        };
        SandboxPolicy { network_middlewares: [("m".to_owned(), entry)].into(), ..policy("a.example.com") }
    };
    write_policy(&mut world, &named("somebody/else"));
    refused(&world, Code::FailedPrecondition, &["policy middleware validation failed", "somebody/else"]);
    write_policy(&mut world, &named("openshell/regex"));
    let answer = world.effective("s");
    assert_eq!(answer.supervisor_middleware_services, [], "the built-in one is no service");
    assert_eq!(answer.policy.expect("a policy").network_middlewares.len(), 1);
}

#[test]
fn ec_15_every_registered_setting_is_there_and_nothing_else() {
    let mut world = with_tool();
    world.ok(&setting("s", "ocsf_json_enabled", false));
    world.ok(&setting("s", "agent_policy_proposals_enabled", false));
    world.ok(&global_setting("agent_policy_proposals_enabled", true));
    world.ok(&global_policy(policy("g.example.com")));
    write_global(&mut world, "unheard_of", setting_value::Value::BoolValue(true));
    let settings = world.effective("s").settings;
    let seen: Vec<_> = settings
        .iter()
        .map(|(key, setting)| {
            (key.as_str(), setting.scope(), setting.value.as_ref().and_then(|value| value.value.clone()))
        })
        .collect();
    let flag = |value| Some(setting_value::Value::BoolValue(value));
    assert_eq!(
        seen,
        [
            ("agent_policy_proposals_enabled", SettingScope::Global, flag(true)),
            ("ocsf_json_enabled", SettingScope::Sandbox, flag(false)),
            ("proposal_approval_mode", SettingScope::Unspecified, None),
            (V2, SettingScope::Unspecified, None),
        ]
    );
}

#[test]
fn ec_17_and_19_both_revisions_are_in_the_answer() {
    let world = with_tool();
    let answer = world.effective("s");
    assert_eq!(answer.config_revision, effective::config_revision(&answer));
    let composed = effective::Environment::compose(&world.state, "default", world.stored_sandbox("s"), world.time_ms);
    let encoded = composed.expect("an environment").answer(&Nothing, false).expect("nothing to open");
    let given = openshell_proto::v1::GetSandboxProviderEnvironmentResponse::decode(encoded.as_slice());
    assert_eq!(given.expect("an answer").provider_env_revision, answer.provider_env_revision);
}

/// Opens nothing.
struct Nothing;

impl openshell_state::Opener for Nothing {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn ec_20_workspace_failure_mode_and_extension_authentication() {
    let mut world = with_tool();
    let answer = world.effective("s");
    assert_eq!((answer.workspace.as_str(), answer.policy_validation_failure_mode.as_str()), ("default", "fail_closed"));
    assert!(answer.extension_authentication_enabled, "the cluster signs the tokens of its sandboxes");
    let mut cluster = world.state.cluster().expect("formed").value.clone();
    cluster.sealed_signing_key.clear();
    world.write(&Key::cluster(), Some(&cluster));
    let without = world.effective("s");
    assert!(!without.extension_authentication_enabled);
    assert_ne!(without.config_revision, answer.config_revision);
}

#[test]
fn ec_21_the_gateways_settings_are_all_there() {
    let mut world = World::new();
    let unset = query::settings::gateway_config(&world.state).expect("settings");
    assert_eq!(unset.settings_revision, 0);
    assert_eq!(unset.settings.len(), 4);
    assert!(unset.settings.values().all(|value| value.value.is_none()));
    world.ok(&global_setting(V2, true));
    world.ok(&global_policy(policy("g.example.com")));
    let set = query::settings::gateway_config(&world.state).expect("settings");
    assert_eq!((set.settings_revision, set.settings.len()), (2, 4), "the policy is no setting of its own");
    assert_eq!(set.settings[V2].value, Some(setting_value::Value::BoolValue(true)));
}

#[test]
fn ec_54_replicas_and_restarts_give_byte_equal_answers() {
    let mut world = with_tool();
    world.ok(&global_setting(V2, true));
    world.ok(&provider("q", "tool", &["Q_KEY"]));
    world.ok(&attach("s", "q"));
    let mut replayed = State::empty();
    for (index, command) in &world.log {
        replayed.apply(*index, command).expect("our own commands are known");
    }
    let restored = State::from_items(&world.state.marks(), world.state.items().map(Ok)).expect("our own items");
    let key = Key::sandbox("default", "s");
    let bytes = |state: &State| {
        let found = state.sandbox("default", "s").expect("the sandbox exists").value;
        let composed = effective::sandbox_config(state, "default", found).expect("a configuration").encode_to_vec();
        let kept = Answers::new(1 << 20).config(state, (&key, found)).expect("a configuration");
        assert_eq!(composed, kept);
        composed
    };
    let here = bytes(&world.state);
    assert_eq!(bytes(&replayed), here);
    assert_eq!(bytes(&restored), here);
    assert_eq!(world.rules("s"), ["_provider_p", "_provider_q", "r1"]);
}

//! The rules of `UpdateConfig` about callers, modes, global scope and sandboxes (`config.md` 3.1 to 3.5), one by
//! one, as far as no scenario states them. Merge operations are in `merging`.

use openshell_proto::sandbox::{
    NetworkBinary, NetworkCredentialBinding, NetworkEndpoint, NetworkMiddlewareConfig, SandboxPolicy, SettingScope,
    SettingValue, setting_value,
};
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, UpdateConfigRequest, WorkspaceRole};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision, Key, Outcome, Refusal, query};

use crate::support::{
    World, add_rule, attach, config, credential, draft, endpoint, global_policy, global_setting, import, map, merge,
    minimal, policy, policy_of, provider, sandbox, says, setting, setting_value as flag, signing, static_profile,
    update_policy, user,
};

const KEY: &str = "ocsf_json_enabled";

fn cleared(request: UpdateConfigRequest) -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..request }
}

fn with_sandbox() -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    world
}

fn refusal(world: &World, principal: &Principal, request: &UpdateConfigRequest) -> Refusal {
    match world.decide_as(principal, request) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn shown(world: &World) -> (Option<SettingValue>, SettingScope) {
    let setting = world.effective("s").settings.remove(KEY).expect("every registered key is there");
    (setting.value.clone(), setting.scope())
}

#[test]
fn st_1_unset_is_not_false() {
    let mut world = with_sandbox();
    assert_eq!(shown(&world), (None, SettingScope::Unspecified));
    assert!(world.state.gateway_settings().is_none(), "nothing is stored by default");
    world.ok(&setting("s", KEY, false));
    assert_eq!(shown(&world), (Some(flag(false)), SettingScope::Sandbox));
}

#[test]
fn st_2_3_a_global_value_hides_and_locks_the_sandboxs() {
    let mut world = with_sandbox();
    world.ok(&setting("s", KEY, false));
    world.ok(&global_setting(KEY, true));
    assert_eq!(shown(&world), (Some(flag(true)), SettingScope::Global));
    for request in [setting("s", KEY, true), cleared(setting("s", KEY, true))] {
        says(&world.refused(Code::FailedPrecondition, &request), &["managed globally"]);
    }
    world.ok(&cleared(global_setting(KEY, true)));
    assert_eq!(shown(&world), (Some(flag(false)), SettingScope::Sandbox));
}

#[test]
fn st_6_revisions_count_changes_each_for_itself() {
    let mut world = with_sandbox();
    world.ok(&sandbox("t", &[], None));
    assert_eq!(world.ok(&global_setting(KEY, true)).settings_revision, 1);
    assert_eq!(world.ok(&cleared(global_setting(KEY, true))).settings_revision, 2);
    assert_eq!(world.ok(&cleared(global_setting(KEY, true))).settings_revision, 2);
    assert_eq!(world.ok(&setting("s", KEY, true)).settings_revision, 1);
    assert_eq!(world.ok(&setting("t", KEY, true)).settings_revision, 1);
    assert_eq!(world.ok(&setting("t", KEY, true)).settings_revision, 1);
}

#[test]
fn st_7_changes_of_different_keys_at_once_are_both_there() {
    let mut world = with_sandbox();
    let requests = [global_setting(KEY, true), global_setting("agent_policy_proposals_enabled", true)];
    let [first, second] = requests.each_ref().map(|request| draft(world.decide(request)));
    assert_eq!(world.commit(first).outcome, Outcome::Installed);
    assert_eq!(world.commit(second).outcome, Outcome::GuardFailed { key: Key::gateway_settings() });
    assert_eq!(world.ok(&requests[1]).settings_revision, 2, "decided again");
    let settings = world.effective("s").settings;
    assert!(requests.iter().all(|request| settings[&request.setting_key].value == Some(flag(true))));
}

#[test]
fn uc_1_nobody_in_particular_changes_nothing() {
    let world = with_sandbox();
    let change = update_policy("s", policy("b.example.com"));
    for request in [change, setting("s", KEY, true), merge("s", &[]), global_setting(KEY, true), config("")] {
        let refusal = refusal(&world, &Principal::Anonymous, &request);
        assert_eq!(refusal.code, Code::Unauthenticated, "{request:?}");
    }
}

#[test]
fn uc_2_annotations_are_looked_at_first() {
    let world = with_sandbox();
    let stranger = user("stranger", false);
    let bad = UpdateConfigRequest { annotations: map(&[("not a key!", "x")]), ..config("") };
    assert_eq!(refusal(&world, &stranger, &bad).code, Code::InvalidArgument);
    let many = (0..129).map(|number| (format!("k{number}"), String::new())).collect();
    let many = UpdateConfigRequest { annotations: many, ..config("") };
    assert_eq!(refusal(&world, &stranger, &many).code, Code::InvalidArgument);
}

#[test]
fn uc_3_who_may_change_what() {
    let mut world = with_sandbox();
    world.workspace("other");
    world.member("default", "uma", WorkspaceRole::User);
    world.member("default", "ada", WorkspaceRole::Admin);
    let code = |subject: &str, request: &UpdateConfigRequest| refusal(&world, &user(subject, false), request).code;
    let anywhere = |workspace: &str| UpdateConfigRequest { workspace: workspace.to_owned(), ..setting("s", KEY, true) };
    assert_eq!(code("ada", &global_setting(KEY, true)), Code::PermissionDenied);
    assert_eq!(code("uma", &setting("s", KEY, true)), Code::PermissionDenied);
    for workspace in ["other", "nowhere"] {
        assert_eq!(code("ada", &anywhere(workspace)), Code::PermissionDenied, "{workspace}");
    }
    assert_eq!(refusal(&world, &world.principal, &anywhere("nowhere")).code, Code::NotFound);
    assert!(matches!(world.decide_as(&user("ada", false), &setting("s", KEY, true)), Decision::Transact(_)));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    assert_eq!(refusal(&world, &own, &global_policy(policy("a.example.com"))).code, Code::PermissionDenied);
    // What is going may still be changed.
    let mut inside = sandbox("inside", &[], None);
    inside.workspace = "other".to_owned();
    world.ok(&inside);
    let gone = openshell_proto::v1::DeleteWorkspaceRequest { name: "other".to_owned() };
    assert!(world.call(&gone).is_err());
    world.ok(&UpdateConfigRequest { workspace: "other".to_owned(), ..setting("inside", KEY, true) });
}

#[test]
fn config_scenario_65_the_gateways_settings_are_read_by_anybody_and_its_policy_by_its_admins() {
    let mut world = with_sandbox();
    world.ok(&global_policy(policy("g.example.com")));
    world.member("default", "ada", WorkspaceRole::Admin);
    let ada = user("ada", false);
    assert_eq!(query::settings::gateway_config(&world.state).expect("settings").settings.len(), 4);
    for request in
        [global_setting(KEY, true), global_policy(policy("a.example.com")), cleared(global_setting("policy", true))]
    {
        assert_eq!(refusal(&world, &ada, &request).code, Code::PermissionDenied);
    }
    let read = GetSandboxPolicyStatusRequest { global: true, ..GetSandboxPolicyStatusRequest::default() };
    let told = query::policy::status(&world.state, &ada, &read).expect_err("not for her");
    assert_eq!(told.code, Code::PermissionDenied);
    assert!(query::policy::status(&world.state, &world.principal, &read).is_ok());
}

#[test]
fn uc_4_a_sandbox_that_names_another_hears_the_same_as_for_one_that_is_not_there() {
    let mut world = with_sandbox();
    world.ok(&sandbox("t", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let told = |name: &str| {
        refusal(&world, &own, &update_policy(name, policy("a.example.com")))
            .message
            .replace(&format!("{name:?}"), "NAME")
    };
    assert_eq!(told("t"), told("u"));
    says(&told("t"), &["not owned by caller"]);
}

#[test]
fn uc_5_one_mode_and_no_more() {
    let mut world = with_sandbox();
    let merged = merge("s", &[add_rule("n", endpoint("b.example.com", 443))]);
    let spaces = UpdateConfigRequest { setting_key: "  ".to_owned(), ..config("s") };
    for none in [config("s"), cleared(config("s")), spaces] {
        world.refused(Code::InvalidArgument, &none);
    }
    for two in [
        UpdateConfigRequest { policy: Some(policy("a.example.com")), ..merged.clone() },
        UpdateConfigRequest { setting_key: KEY.to_owned(), ..merged },
        UpdateConfigRequest { policy: Some(policy("a.example.com")), ..setting("s", KEY, true) },
    ] {
        says(&world.refused(Code::InvalidArgument, &two), &["mutually exclusive"]);
    }
    let padded = UpdateConfigRequest { setting_key: format!(" {KEY} "), ..setting("s", KEY, true) };
    world.ok(&padded);
    assert_eq!(shown(&world).1, SettingScope::Sandbox);
}

#[test]
fn uc_6_global_changes_take_no_annotations_and_no_operations() {
    let mut world = World::new();
    for request in [global_setting(KEY, true), global_policy(policy("a.example.com"))] {
        let annotated = UpdateConfigRequest { annotations: map(&[("a", "b")]), ..request };
        says(&world.refused(Code::InvalidArgument, &annotated), &["annotations"]);
    }
    let merged = UpdateConfigRequest { global: true, ..merge("", &[add_rule("n", endpoint("a.example.com", 443))]) };
    says(&world.refused(Code::InvalidArgument, &merged), &["merge_operations"]);
}

#[test]
fn uc_7_a_global_policy_is_not_deleted_by_sending_it() {
    let mut world = World::new();
    let both = UpdateConfigRequest { delete_setting: true, ..global_policy(policy("a.example.com")) };
    world.refused(Code::InvalidArgument, &both);
}

/// Middleware that nobody registered.
fn with_middleware() -> SandboxPolicy {
    let mut policy = policy("a.example.com");
    let include = vec!["a.example.com".to_owned()];
    let endpoints = Some(openshell_proto::sandbox::MiddlewareEndpointSelector { include, exclude: vec![] });
    let middleware = NetworkMiddlewareConfig { middleware: "unknown".to_owned(), endpoints, ..Default::default() };
    policy.network_middlewares.insert("m".to_owned(), middleware);
    policy
}

fn bound(name: &str) -> SandboxPolicy {
    let credential_binding = Some(NetworkCredentialBinding { provider: name.to_owned() });
    policy_of("r1", NetworkEndpoint { credential_binding, ..endpoint("a.example.com", 443) })
}

fn ambiguous() -> SandboxPolicy {
    let mut both = policy("a.example.com");
    let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com", 443) };
    both.network_policies.extend(policy_of("r2", open).network_policies);
    both
}

#[test]
fn uc_8_what_a_global_policy_must_be() {
    let mut world = World::new();
    let mut marked = policy("a.example.com");
    marked.network_policies.get_mut("r1").expect("r1").endpoints[0].provider_credentialed = true;
    for (code, policy, word) in [
        (Code::InvalidArgument, policy_of("_provider_x", endpoint("a.example.com", 443)), "_provider_x"),
        (Code::InvalidArgument, policy("*.com"), "unsafe content"),
        (Code::InvalidArgument, with_middleware(), "middleware validation failed"),
        (Code::FailedPrecondition, ambiguous(), "ambiguity validation failed"),
        (Code::InvalidArgument, bound(" "), "credential_binding"),
        (Code::FailedPrecondition, bound("p"), "credential_binding"),
    ] {
        says(&world.refused(code, &global_policy(policy)), &[word]);
    }
    let plain = openshell_policy::hash::policy_hash(&policy("a.example.com"));
    assert_eq!(world.ok(&global_policy(marked)).policy_hash, plain, "marks are cleared first");
}

#[test]
fn uc_9_10_11_the_same_global_policy_again_is_the_same_revision() {
    let mut world = World::new();
    let answer = world.ok(&global_policy(policy("a.example.com")));
    assert_eq!((answer.version, answer.settings_revision, answer.deleted), (1, 1, false));
    assert_eq!(answer.policy_hash, openshell_policy::hash::policy_hash(&policy("a.example.com")));
    assert!(answer.annotations.is_empty());
    let first = world.state.latest_global_policy().expect("a revision").value.stored.clone();
    assert_eq!((first.status.as_str(), first.loaded_at_ms), ("loaded", Some(world.time_ms)));
    let again = world.ok(&global_policy(policy("a.example.com")));
    assert_eq!((again.version, again.settings_revision), (1, 1));
    let other = world.ok(&global_policy(policy("b.example.com")));
    assert_eq!((other.version, other.settings_revision), (2, 2));
    let back = world.ok(&global_policy(policy("a.example.com")));
    assert_eq!((back.version, back.settings_revision), (3, 3), "only the latest revision is looked at");
    // Deleted and set again: the latest has the same hash, and is no longer loaded.
    world.ok(&cleared(global_setting("policy", true)));
    assert_eq!(world.ok(&global_policy(policy("a.example.com"))).version, 4);
}

#[test]
fn uc_12_13_16_global_settings() {
    let mut world = World::new();
    says(&world.refused(Code::InvalidArgument, &global_setting("policy", true)), &["reserved"]);
    for request in [global_setting("nope", true), cleared(global_setting("nope", true))] {
        says(&world.refused(Code::InvalidArgument, &request), &["unknown setting key", KEY, "proposal_approval_mode"]);
    }
    let with = |value: Option<setting_value::Value>| UpdateConfigRequest {
        setting_value: Some(SettingValue { value }),
        ..global_setting(KEY, true)
    };
    for value in [
        None,
        Some(setting_value::Value::BytesValue(vec![1])),
        Some(setting_value::Value::IntValue(1)),
        Some(setting_value::Value::StringValue("true".to_owned())),
    ] {
        world.refused(Code::InvalidArgument, &with(value));
    }
    world.refused(Code::InvalidArgument, &UpdateConfigRequest { setting_value: None, ..global_setting(KEY, true) });
    let word = |text: &str| UpdateConfigRequest {
        setting_key: "proposal_approval_mode".to_owned(),
        ..with(Some(setting_value::Value::StringValue(text.to_owned())))
    };
    says(&world.refused(Code::InvalidArgument, &word("Auto")), &["manual", "auto"]);
    world.ok(&word("auto"));
    let answer = world.ok(&global_setting(KEY, true));
    assert_eq!((answer.version, answer.policy_hash.as_str(), answer.deleted), (0, "", false));
    assert!(world.ok(&cleared(global_setting(KEY, true))).deleted);
    let gone = world.ok(&cleared(global_setting(KEY, true)));
    assert_eq!((gone.deleted, gone.settings_revision), (false, 3));
}

#[test]
fn uc_14_composition_begins_only_where_every_sandbox_would_compose() {
    let mut world = World::new();
    let on = global_setting("providers_v2_enabled", true);
    world.ok(&provider("p", "no-profile", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    let before = world.clone();
    world.ok(&on);
    world.ok(&on);
    let mut world = before;
    world.write::<openshell_proto::datamodel::Provider>(&Key::provider("default", "p"), None);
    says(&world.refused(Code::FailedPrecondition, &on), &["default/s", "\"p\""]);
    assert!(world.state.gateway_settings().is_none(), "nothing was saved");
}

#[test]
fn uc_15_deleting_the_global_policy_supersedes_its_revisions_and_the_counter_goes_on() {
    let mut world = World::new();
    world.ok(&global_policy(policy("a.example.com")));
    world.ok(&global_policy(policy("b.example.com")));
    assert!(!world.ok(&cleared(global_setting(KEY, true))).deleted);
    assert!(world.ok(&cleared(global_setting("policy", true))).deleted);
    let statuses = world.state.policy_revisions("", "__global__").map(|entry| entry.value.stored.status.clone());
    assert_eq!(statuses.collect::<Vec<_>>(), ["superseded", "superseded"]);
    assert!(!world.ok(&cleared(global_setting("policy", true))).deleted);
    assert_eq!(world.ok(&global_policy(policy("b.example.com"))).version, 3);
}

#[test]
fn uc_17_the_sandbox_is_named_and_there() {
    let mut world = with_sandbox();
    for request in [
        update_policy("", policy("a.example.com")),
        setting("", KEY, true),
        merge("", &[add_rule("n", endpoint("a.example.com", 443))]),
    ] {
        world.refused(Code::InvalidArgument, &request);
        world.refused(Code::NotFound, &UpdateConfigRequest { name: "unknown".to_owned(), ..request });
    }
}

#[test]
fn uc_18_19_20_22_settings_of_a_sandbox() {
    let mut world = with_sandbox();
    for request in [setting("s", "policy", true), cleared(setting("s", "policy", true))] {
        world.refused(Code::InvalidArgument, &request);
    }
    assert!(!world.ok(&cleared(setting("s", "nope", true))).deleted);
    world.refused(Code::InvalidArgument, &setting("s", "nope", true));
    world.refused(Code::InvalidArgument, &UpdateConfigRequest { setting_value: None, ..setting("s", KEY, true) });
    let with = |key: &str, value: Option<setting_value::Value>| UpdateConfigRequest {
        setting_key: key.to_owned(),
        setting_value: Some(SettingValue { value }),
        ..config("s")
    };
    let word = |text: &str| Some(setting_value::Value::StringValue(text.to_owned()));
    for (request, words) in [
        (with(KEY, None), &["setting_value"][..]),
        (with(KEY, word("true")), &[KEY, "bool"]),
        (with("proposal_approval_mode", Some(setting_value::Value::BoolValue(true))), &["string"]),
        (with("proposal_approval_mode", word("Auto")), &["manual", "auto"]),
    ] {
        says(&world.refused(Code::InvalidArgument, &request), words);
    }
    let annotated = UpdateConfigRequest { annotations: map(&[("a", "1")]), ..setting("s", KEY, true) };
    let answer = world.ok(&annotated);
    assert_eq!((answer.settings_revision, answer.version, answer.deleted), (1, 0, false));
    assert_eq!(answer.annotations, map(&[("a", "1")]));
    let deleted = world.ok(&cleared(setting("s", KEY, true)));
    assert_eq!((deleted.settings_revision, deleted.deleted), (2, true));
    assert_eq!(deleted.annotations, map(&[("a", "1")]));
    world.ok(&global_setting(KEY, true));
    let valueless = UpdateConfigRequest { setting_value: None, ..setting("s", KEY, true) };
    says(&world.refused(Code::FailedPrecondition, &valueless), &["managed globally"]);
}

#[test]
fn uc_21_a_stale_version_with_new_annotations_changes_nothing_at_all() {
    let mut world = with_sandbox();
    let stale = UpdateConfigRequest {
        annotations: map(&[("a", "1")]),
        expected_resource_version: 9,
        ..setting("s", KEY, true)
    };
    says(&world.refused(Code::Aborted, &stale), &["concurrent modification"]);
    assert_eq!(shown(&world), (None, SettingScope::Unspecified), "a departure: the setting is not saved either");
    world.ok(&UpdateConfigRequest { expected_resource_version: 1, ..stale.clone() });
    assert_eq!(world.ok(&stale).settings_revision, 1, "no annotation changes, so the version is not looked at");
}

#[test]
fn uc_23_24_marks_global_policies_and_reserved_keys() {
    let mut world = with_sandbox();
    let reserved = policy_of("_provider_x", endpoint("a.example.com", 443));
    says(
        &world.refused(Code::InvalidArgument, &update_policy("s", reserved.clone())),
        &["policy get <sandbox> --base"],
    );
    let mut marked = policy("b.example.com");
    marked.network_policies.get_mut("r1").expect("r1").endpoints[0].provider_credentialed = true;
    let answer = world.ok(&update_policy("s", marked));
    assert_eq!(answer.policy_hash, openshell_policy::hash::policy_hash(&policy("b.example.com")), "UC-31");
    world.ok(&global_policy(policy("g.example.com")));
    // The global policy is told of before the key.
    says(&world.refused(Code::FailedPrecondition, &update_policy("s", reserved)), &["managed globally"]);
}

#[test]
fn uc_25_the_first_policy_is_the_baseline_and_later_ones_are_held_to_it() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.ok(&update_policy("s", policy("a.example.com")));
    let spec = world.stored_sandbox("s").spec.clone().expect("a spec");
    assert_eq!((spec.policy, world.sandbox_version("s")), (Some(policy("a.example.com")), 2));
    let mut other = policy("b.example.com");
    other.process = Some(openshell_proto::sandbox::ProcessPolicy::default());
    says(&world.refused(Code::InvalidArgument, &update_policy("s", other)), &["process"]);
    world.ok(&update_policy("s", policy("b.example.com")));
    let spec = world.stored_sandbox("s").spec.clone().expect("a spec");
    assert_eq!((spec.policy, world.sandbox_version("s")), (Some(policy("a.example.com")), 2), "PR-11");
}

#[test]
fn uc_26_27_what_a_sandboxs_policy_must_be() {
    let mut world = World::composing();
    let mut tool = static_profile("tool", "tool.example.com");
    tool.credentials = vec![credential("k", "TOOL_KEY")];
    let mut keyed = minimal("keyed");
    keyed.credentials = vec![credential("k", "OTHER_KEY")];
    assert!(world.ok(&import("default", &[tool, keyed])).imported);
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("tool.example.com", 443) };
    let plain = NetworkEndpoint { protocol: String::new(), access: String::new(), ..endpoint("tool.example.com", 443) };
    for (code, policy, word) in [
        (Code::InvalidArgument, policy("*.com"), "unsafe content"),
        (Code::InvalidArgument, with_middleware(), "middleware validation failed"),
        (Code::FailedPrecondition, policy_of("r1", open), "ambiguity validation failed"),
        (Code::InvalidArgument, bound(" "), "credential_binding"),
        (Code::FailedPrecondition, bound("q"), "not attached"),
        (Code::FailedPrecondition, policy_of("r1", signing("s3.example.com")), "no resolvable AWS credential source"),
        (Code::FailedPrecondition, policy_of("r1", plain.clone()), "uninspected"),
    ] {
        says(&world.refused(code, &update_policy("s", policy)), &[word]);
    }
    let sender = Principal::Sandbox { id: world.sandbox_id("s") };
    let sent = update_policy("s", policy_of("r1", plain));
    assert!(matches!(world.decide_as(&sender, &sent), Decision::Transact(_)), "a sandbox is not held to UC-27");
    world.ok(&provider("q", "keyed", &["OTHER_KEY"]));
    world.ok(&attach("s", "q"));
    world.ok(&update_policy("s", bound("q")));
    world.write::<openshell_proto::datamodel::Provider>(&Key::provider("default", "q"), None);
    says(&world.refused(Code::FailedPrecondition, &update_policy("s", policy("a.example.com"))), &["\"q\""]);
}

#[test]
fn uc_28_29_32_policies_set_at_once_follow_each_other() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let requests = ["a", "b"].map(|name| update_policy("s", policy(&format!("{name}.example.com"))));
    let [first, second] = requests.each_ref().map(|request| draft(world.decide(request)));
    assert_eq!(world.commit(first).outcome, Outcome::Installed);
    assert!(matches!(world.commit(second).outcome, Outcome::GuardFailed { .. }));
    assert_eq!(world.ok(&requests[1]).version, 2, "decided again, on what the first left");
    let hosts = world.revisions("s").into_iter().map(|one| one.policy.network_policies["r1"].endpoints[0].host.clone());
    assert_eq!(hosts.collect::<Vec<_>>(), ["a.example.com", "b.example.com"], "each once");
    let spec = world.stored_sandbox("s").spec.clone().expect("a spec");
    assert_eq!(spec.policy, Some(policy("a.example.com")), "the first is the baseline");
}

#[test]
fn uc_29_30_31_the_same_again_and_the_same_for_another_reason() {
    let mut world = with_sandbox();
    let because = |why: &str, host: &str| UpdateConfigRequest {
        annotations: map(&[("why", why)]),
        ..update_policy("s", policy(host))
    };
    let first = world.ok(&because("x", "b.example.com"));
    assert_eq!((first.version, first.settings_revision, first.annotations), (2, 0, map(&[("why", "x")])));
    let entries = world.log.len();
    assert_eq!(world.ok(&because("x", "b.example.com")).version, 2);
    assert_eq!(world.log.len(), entries);
    let other = world.ok(&because("y", "b.example.com"));
    assert_eq!((other.version, other.policy_hash), (3, first.policy_hash));
    // Same policy and provenance as the latest; only the sandbox has lost its annotations.
    let mut bare = world.stored_sandbox("s").clone();
    bare.metadata.as_mut().expect("metadata").annotations.clear();
    world.write(&Key::sandbox("default", "s"), Some(&bare));
    let version = world.sandbox_version("s");
    let stale = UpdateConfigRequest { expected_resource_version: 99, ..because("y", "b.example.com") };
    world.refused(Code::Aborted, &stale);
    assert_eq!(world.ok(&because("y", "b.example.com")).version, 3);
    assert_eq!(world.sandbox_version("s"), version + 1, "they are put back");
}

#[test]
fn uc_33_the_version_of_a_sandbox_says_nothing_about_the_gateway() {
    let mut world = with_sandbox();
    for request in
        [global_setting(KEY, true), global_policy(policy("g.example.com")), cleared(global_setting(KEY, true))]
    {
        world.ok(&UpdateConfigRequest { expected_resource_version: 99, ..request });
    }
}

#[test]
fn c_17_a_policy_is_bounded_however_it_comes_about() {
    let mut world = with_sandbox();
    let mut large = policy("b.example.com");
    let path = |number| NetworkBinary { path: format!("/usr/bin/{number:0>100}"), harness: false };
    large.network_policies.get_mut("r1").expect("r1").binaries = (0..3000).map(path).collect();
    for request in [update_policy("s", large.clone()), global_policy(large)] {
        says(&world.refused(Code::InvalidArgument, &request), &["encoded bytes", "262144"]);
    }
}

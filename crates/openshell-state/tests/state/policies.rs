//! The scenarios of `config.md` 10.2, 10.5 and 10.6 about policies and what a sandbox gets of
//! them, by number.

use openshell_proto::log::Kind;
use openshell_proto::sandbox::{
    FilesystemPolicy, LandlockPolicy, NetworkCredentialBinding, NetworkEndpoint, PolicySource, ProcessPolicy,
    SandboxPolicy,
};
use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, PolicyStatus, UpdateConfigRequest,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Refusal, query};

use crate::support::{
    World, attach, config, credential, detach, endpoint, global_policy, global_setting, imported, map, minimal, policy,
    policy_of, provider, sandbox, says, setting, signing, static_profile, texts, token_grant, update, update_policy,
    update_provider,
};

fn status(world: &World, name: &str, version: u32) -> Result<GetSandboxPolicyStatusResponse, Refusal> {
    let request = GetSandboxPolicyStatusRequest {
        name: name.to_owned(),
        version,
        global: name.is_empty(),
        ..GetSandboxPolicyStatusRequest::default()
    };
    query::policy::status(&world.state, &world.principal, &request)
}

/// Status and load time of one revision.
fn state_of(world: &World, name: &str, version: u32) -> (PolicyStatus, i64) {
    let revision = status(world, name, version).expect("the revision exists").revision.expect("a revision");
    (revision.status(), revision.loaded_at_ms)
}

fn with_policy(host: &str) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy(host))));
    world
}

#[test]
fn config_scenario_28_the_policy_of_the_spec_is_revision_1() {
    let world = with_policy("a.example.com");
    let before = world.state.digest();
    assert_eq!(world.effective("s").version, 1);
    assert_eq!(state_of(&world, "s", 1), (PolicyStatus::Loaded, 0));
    assert_eq!(world.state.digest(), before, "a departure from PR-10: a read writes nothing");
    assert_eq!(status(&world, "s", 7).expect_err("there is one").code, Code::NotFound);
}

#[test]
fn config_scenario_29_a_policy_before_the_first_read() {
    let mut world = with_policy("a.example.com");
    let answer = world.ok(&update_policy("s", policy("b.example.com")));
    assert_eq!(answer.version, 2, "a departure: revision 1 is the policy of the spec");
    world.ok(&sandbox("t", &[], None));
    assert_eq!(world.ok(&update_policy("t", policy("b.example.com"))).version, 1);
}

#[test]
fn config_scenario_30_without_a_policy_there_is_none() {
    let mut world = World::composing();
    imported(&mut world, "default", static_profile("tool", "a.example.com"));
    world.ok(&provider("p", "tool", &["KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    let effective = world.effective("s");
    assert_eq!((effective.policy, effective.version, effective.policy_hash.as_str()), (None, 0, ""));
    assert_eq!(status(&world, "s", 0).expect_err("none").code, Code::NotFound);
}

#[test]
fn config_scenario_31_a_new_policy_supersedes() {
    let mut world = with_policy("a.example.com");
    let before = world.sandbox_version("s");
    let answer = world.ok(&update_policy("s", policy("b.example.com")));
    assert_eq!((answer.version, answer.settings_revision), (2, 0));
    assert_eq!(state_of(&world, "s", 2).0, PolicyStatus::Pending);
    assert_eq!(state_of(&world, "s", 1).0, PolicyStatus::Superseded);
    assert_eq!(world.sandbox_version("s"), before);
    assert_eq!(world.effective("s").version, 2);
}

#[test]
fn config_scenario_32_the_same_policy_is_the_same_revision() {
    let mut world = with_policy("a.example.com");
    let entries = world.log.len();
    let stale = UpdateConfigRequest { expected_resource_version: 9, ..update_policy("s", policy("a.example.com")) };
    assert_eq!(world.ok(&stale).version, 1, "the version is not looked at when nothing changes");
    assert_eq!(world.log.len(), entries);
    let stale = UpdateConfigRequest { expected_resource_version: 9, ..update_policy("s", policy("b.example.com")) };
    world.refused(Code::Aborted, &stale);
}

#[test]
fn config_scenario_33_34_annotations() {
    let mut world = with_policy("a.example.com");
    let annotated = |pair: &[(&str, &str)]| UpdateConfigRequest {
        annotations: map(pair),
        ..update_policy("s", policy("a.example.com"))
    };
    let first = world.ok(&annotated(&[("a", "1")]));
    assert_eq!(first.version, 2, "another provenance is another revision");
    assert_eq!(world.revisions("s")[1].stored.provenance, map(&[("a", "1")]));
    assert_eq!(world.revisions("s")[0].stored.policy_hash, world.revisions("s")[1].stored.policy_hash);
    assert_eq!(world.ok(&annotated(&[])).annotations, map(&[("a", "1")]));
    assert_eq!(world.ok(&annotated(&[("b", "2")])).annotations, map(&[("a", "1"), ("b", "2")]));
    assert_eq!(world.sandbox_version("s"), 3);
}

#[test]
fn config_scenario_35_bad_annotations_in_any_mode() {
    let mut world = with_policy("a.example.com");
    let bad = map(&[("not a key!", "x")]);
    for request in [update_policy("s", policy("a.example.com")), setting("s", "ocsf_json_enabled", true), config("s")] {
        world.refused(Code::InvalidArgument, &UpdateConfigRequest { annotations: bad.clone(), ..request });
    }
}

#[test]
fn config_scenario_38_static_fields() {
    let filesystem = |include_workdir, read_only: &[&str]| FilesystemPolicy {
        include_workdir,
        read_only: read_only.iter().map(|path| (*path).to_owned()).collect(),
        read_write: Vec::new(),
    };
    let with = |filesystem| SandboxPolicy { filesystem, ..policy("a.example.com") };
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(with(Some(filesystem(false, &["/usr"]))))));
    world.ok(&update_policy("s", with(Some(filesystem(false, &["/usr", "/opt"])))));
    let landlock = Some(LandlockPolicy { compatibility: "best_effort".to_owned() });
    let process = Some(ProcessPolicy { run_as_user: "1000".to_owned(), ..ProcessPolicy::default() });
    let kept = with(Some(filesystem(false, &["/usr"])));
    for changed in [
        with(Some(filesystem(false, &["/opt"]))),
        with(None),
        with(Some(filesystem(true, &["/usr"]))),
        SandboxPolicy { landlock, ..kept.clone() },
        SandboxPolicy { process, ..kept },
    ] {
        world.refused(Code::InvalidArgument, &update_policy("s", changed));
    }
    world.ok(&sandbox("t", &[], Some(with(None))));
    world.ok(&update_policy("t", with(Some(filesystem(false, &["/opt"])))));
}

#[test]
fn config_scenario_39_all_violations_in_one_answer() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let mut bad = policy("*.com");
    bad.process = Some(ProcessPolicy { run_as_user: "root".to_owned(), ..ProcessPolicy::default() });
    says(&world.refused(Code::InvalidArgument, &update_policy("s", bad.clone())), &["*.com", "root"]);
    world.refused(Code::InvalidArgument, &sandbox("t", &[], Some(bad.clone())));
    world.refused(Code::InvalidArgument, &global_policy(bad));
}

fn contradicting() -> SandboxPolicy {
    let mut both = policy("a.example.com");
    let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com", 443) };
    both.network_policies.extend(policy_of("r2", open).network_policies);
    both
}

#[test]
fn config_scenario_44_endpoints_that_contradict_each_other() {
    let mut world = with_policy("a.example.com");
    says(&world.refused(Code::FailedPrecondition, &update_policy("s", contradicting())), &["tls"]);
    world.refused(Code::FailedPrecondition, &sandbox("t", &[], Some(contradicting())));
    world.refused(Code::FailedPrecondition, &global_policy(contradicting()));
    assert_eq!(world.revisions("s").len(), 1);
    assert!(world.state.latest_global_policy().is_none());
}

fn globally_cleared() -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..global_setting("policy", true) }
}

#[test]
fn config_scenario_66_67_68_a_global_policy() {
    let mut world = with_policy("a.example.com");
    world.ok(&update_policy("s", policy("b.example.com")));
    world.ok(&sandbox("bare", &[], None));
    let answer = world.ok(&global_policy(policy("g.example.com")));
    assert_eq!((answer.version, answer.settings_revision), (1, 1));
    let effective = world.effective("s");
    assert_eq!(effective.policy_source(), PolicySource::Global);
    assert_eq!((effective.version, effective.global_policy_version), (2, 1));
    assert_eq!(effective.policy_hash, answer.policy_hash);
    assert_eq!(world.effective("bare").version, 1);
    let entries = world.log.len();
    assert_eq!(world.ok(&global_policy(policy("g.example.com"))).version, 1);
    assert_eq!(world.log.len(), entries);
    assert_eq!(world.ok(&global_policy(policy("h.example.com"))).version, 2);
    assert_eq!(state_of(&world, "", 2), (PolicyStatus::Loaded, world.time_ms));
    assert_eq!(state_of(&world, "", 1).0, PolicyStatus::Superseded);
    let text = world.refused(Code::FailedPrecondition, &update_policy("s", policy("c.example.com")));
    says(&text, &["managed globally"]);
    assert!(world.ok(&globally_cleared()).deleted);
    assert_eq!(world.effective("s").policy_source(), PolicySource::Sandbox);
    assert_eq!(state_of(&world, "", 2).0, PolicyStatus::Superseded);
    assert_eq!(world.ok(&global_policy(policy("h.example.com"))).version, 3);
}

/// Provider `my-github` of a profile for `tool.example.com`, on sandbox `s` with a policy.
fn layered(world: &mut World) {
    let mut tool = static_profile("tool", "tool.example.com");
    tool.credentials = vec![credential("k", "TOOL_KEY")];
    imported(world, "default", tool);
    world.ok(&provider("my-github", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["my-github"], Some(policy("a.example.com"))));
}

#[test]
fn config_scenario_69_a_global_policy_has_no_layers() {
    let mut world = World::composing();
    layered(&mut world);
    assert_eq!(world.rules("s"), ["_provider_my_github", "r1"]);
    world.ok(&global_policy(policy("g.example.com")));
    assert_eq!(world.rules("s"), ["r1"]);
}

#[test]
fn config_scenario_70_what_a_global_policy_may_not_hold() {
    let mut world = World::new();
    let mut bound = endpoint("a.example.com", 443);
    bound.credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
    world.refused(Code::FailedPrecondition, &global_policy(policy_of("r1", bound)));
    world.refused(Code::InvalidArgument, &global_policy(policy_of("_provider_x", endpoint("a.example.com", 443))));
    let annotated = UpdateConfigRequest { annotations: map(&[("a", "b")]), ..global_policy(policy("a.example.com")) };
    world.refused(Code::InvalidArgument, &annotated);
    let merge = UpdateConfigRequest { merge_operations: vec![Default::default()], global: true, ..config("") };
    world.refused(Code::InvalidArgument, &merge);
    let deleted = UpdateConfigRequest { delete_setting: true, ..global_policy(policy("a.example.com")) };
    world.refused(Code::InvalidArgument, &deleted);
}

#[test]
fn config_scenario_71_composition_is_switched_on_only_when_all_compose() {
    let mut world = World::new();
    let mut open = static_profile("open", "a.example.com");
    open.endpoints[0].tls = "skip".to_owned();
    imported(&mut world, "default", open);
    world.ok(&provider("p", "open", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    let on = global_setting("providers_v2_enabled", true);
    says(&world.refused(Code::FailedPrecondition, &on), &["default/s"]);
    world.ok(&global_policy(policy("g.example.com")));
    world.ok(&on);
    says(&world.refused(Code::FailedPrecondition, &globally_cleared()), &["default/s"]);
    world.ok(&detach("s", "p"));
    assert!(world.ok(&globally_cleared()).deleted);
    world.refused(Code::FailedPrecondition, &attach("s", "p"));
}

#[test]
fn config_scenario_72_layers_while_the_setting_is_on() {
    let mut world = World::new();
    layered(&mut world);
    assert_eq!(world.rules("s"), ["r1"]);
    let before = world.effective("s").policy.expect("a policy");
    world.ok(&global_setting("providers_v2_enabled", true));
    let mut after = world.effective("s").policy.expect("a policy");
    let layer = after.network_policies.remove("_provider_my_github").expect("the layer");
    assert_eq!((layer.endpoints[0].host.as_str(), layer.endpoints.len()), ("tool.example.com", 1));
    assert_eq!(after, before);
    world.ok(&update_policy("s", policy("b.example.com")));
    for (_, record) in world.state.by_creation_everywhere(Kind::PolicyRevision) {
        assert!(!String::from_utf8_lossy(&record.bytes).contains("_provider_"));
    }
}

#[test]
fn config_scenario_73_two_names_for_one_rule() {
    let mut world = World::composing();
    imported(&mut world, "default", static_profile("tool", "tool.example.com"));
    for (name, key) in [("a.b", "ONE"), ("a-b", "TWO")] {
        world.ok(&provider(name, "tool", &[key]));
    }
    world.ok(&sandbox("s", &["a.b", "a-b"], Some(policy("a.example.com"))));
    assert_eq!(world.rules("s"), ["_provider_a_b", "_provider_a_b_2", "r1"]);
}

#[test]
fn config_scenario_74_a_provider_without_a_profile_has_no_layer() {
    let mut world = World::composing();
    world.ok(&provider("p", "no-profile", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    assert_eq!(world.rules("s"), ["r1"]);
}

#[test]
fn config_scenario_75_an_updated_profile_reaches_the_sandbox() {
    let mut world = World::composing();
    layered(&mut world);
    let before = world.state.record(&openshell_state::Key::provider("default", "my-github")).expect("it").bytes.clone();
    let hash = world.effective("s").policy_hash;
    world.ok(&update("default", 1, static_profile("tool", "new.example.com")));
    let effective = world.effective("s");
    assert_ne!(effective.policy_hash, hash);
    let rules = effective.policy.expect("a policy").network_policies;
    assert_eq!(rules["_provider_my_github"].endpoints[0].host, "new.example.com");
    let after = &world.state.record(&openshell_state::Key::provider("default", "my-github")).expect("it").bytes;
    assert_eq!(*after, before);
}

#[test]
fn config_scenario_76_the_scope_of_a_provider_chooses_its_profile() {
    let mut world = World::composing();
    imported(&mut world, "", static_profile("tool", "platform.example.com"));
    imported(&mut world, "default", static_profile("tool", "workspace.example.com"));
    let mut wide = provider("wide", "tool", &["WIDE"]);
    wide.provider.as_mut().expect("a provider").profile_workspace = String::new();
    world.ok(&wide);
    world.ok(&provider("own", "tool", &["OWN"]));
    world.ok(&sandbox("s", &["wide", "own"], Some(policy("a.example.com"))));
    let rules = world.effective("s").policy.expect("a policy").network_policies;
    assert_eq!(rules["_provider_wide"].endpoints[0].host, "platform.example.com");
    assert_eq!(rules["_provider_own"].endpoints[0].host, "workspace.example.com");
}

fn credentialed(world: &World, rule: &str) -> bool {
    let rules = world.effective("s").policy.expect("a policy").network_policies;
    rules[rule].endpoints[0].provider_credentialed
}

#[test]
fn config_scenario_77_78_marks_are_the_gateways() {
    let mut world = World::new();
    layered(&mut world);
    let answer = world.ok(&update_policy("s", policy("tool.example.com")));
    assert!(credentialed(&world, "r1"));
    assert_ne!(world.effective("s").policy_hash, answer.policy_hash);
    let mut marked = policy("elsewhere.example.com");
    marked.network_policies.get_mut("r1").expect("r1").endpoints[0].provider_credentialed = true;
    world.ok(&update_policy("s", marked));
    assert!(!credentialed(&world, "r1"));
}

#[test]
fn config_scenario_79_credentials_do_not_travel_uninspected() {
    let mut world = World::new();
    layered(&mut world);
    let plain = |allow| NetworkEndpoint {
        host: "tool.example.com".to_owned(),
        port: 443,
        allow_uninspected_credentials: allow,
        ..NetworkEndpoint::default()
    };
    let (open, allowed) = (policy_of("r1", plain(false)), policy_of("r1", plain(true)));
    world.refused(Code::FailedPrecondition, &update_policy("s", open.clone()));
    world.refused(Code::FailedPrecondition, &sandbox("t", &["my-github"], Some(open.clone())));
    world.ok(&sandbox("t", &[], Some(open.clone())));
    world.refused(Code::FailedPrecondition, &attach("t", "my-github"));
    world.ok(&update_policy("s", allowed));
    world.principal = Principal::Sandbox { id: world.sandbox_id("s") };
    world.ok(&update_policy("s", open));
    assert!(credentialed(&world, "r1"), "and it is shown all the same");
}

#[test]
fn config_scenario_80_bindings() {
    let mut world = World::new();
    layered(&mut world);
    let mut keyed = minimal("keyed");
    keyed.credentials = vec![credential("k", "P_KEY")];
    imported(&mut world, "default", keyed);
    world.ok(&provider("p", "keyed", &["P_KEY"]));
    let bound = |name: &str| {
        let mut bound = endpoint("a.example.com", 443);
        bound.credential_binding = Some(NetworkCredentialBinding { provider: name.to_owned() });
        policy_of("r1", bound)
    };
    says(&world.refused(Code::FailedPrecondition, &update_policy("s", bound("p"))), &["not attached"]);
    let text = world.refused(Code::FailedPrecondition, &update_policy("s", bound("my-github")));
    says(&text, &["profile already defines endpoints"]);
    world.refused(Code::InvalidArgument, &update_policy("s", bound(" ")));
    world.ok(&attach("s", "p"));
    let before = world.effective("s").provider_env_revision;
    world.ok(&update_policy("s", bound("p")));
    assert_ne!(world.effective("s").provider_env_revision, before);
    let mut pointed = static_profile("keyed", "k.example.com");
    pointed.credentials = vec![credential("k", "P_KEY")];
    let answer = world.ok(&update("default", 1, pointed));
    assert!(!answer.updated, "AS-D2: it would be bound twice");
    says(&texts(&answer.diagnostics), &["twice"]);
}

#[test]
fn config_scenario_81_signed_requests_need_a_source() {
    let mut world = World::new();
    let mut keys = minimal("keys");
    keys.credentials = vec![credential("id", "AWS_ACCESS_KEY_ID"), credential("key", "AWS_SECRET_ACCESS_KEY")];
    let mut covering = keys.clone();
    covering.id = "covering".to_owned();
    covering.endpoints = vec![endpoint("*.aws.example.com", 443)];
    imported(&mut world, "default", keys);
    imported(&mut world, "default", covering);
    for (name, of) in [("keys", "keys"), ("cover", "covering")] {
        world.ok(&provider(name, of, &[&format!("{}_X", name.to_uppercase())]));
    }
    let signed = policy_of("r1", signing("s3.aws.example.com"));
    let text = world.refused(Code::FailedPrecondition, &sandbox("s", &[], Some(signed.clone())));
    says(&text, &["no resolvable AWS credential source"]);
    world.refused(Code::FailedPrecondition, &sandbox("s", &["keys"], Some(signed.clone())));
    world.ok(&sandbox("s", &["cover"], Some(signed)));
    let outside = policy_of("r1", signing("s3.other.example.com"));
    world.refused(Code::FailedPrecondition, &update_policy("s", outside));
    let mut bound = signing("s3.aws.example.com");
    bound.credential_binding = Some(NetworkCredentialBinding { provider: "keys".to_owned() });
    world.ok(&sandbox("t", &["keys"], Some(policy_of("r1", bound))));
}

#[test]
fn config_scenario_82_equal_states_give_equal_answers() {
    let mut world = World::composing();
    layered(&mut world);
    let replica = openshell_state::State::from_items(&world.state.marks(), world.state.items().map(Ok)).expect("items");
    let there = World { state: replica, ..world.clone() };
    assert_eq!(there.effective("s"), world.effective("s"));
}

#[test]
fn config_scenario_83_what_changes_the_revisions() {
    let mut world = World::composing();
    layered(&mut world);
    let seen = |world: &World| {
        let effective = world.effective("s");
        (effective.config_revision, effective.provider_env_revision)
    };
    let start = seen(&world);
    let same = UpdateConfigRequest { annotations: map(&[("a", "b")]), ..update_policy("s", policy("a.example.com")) };
    assert_eq!(world.ok(&same).version, 2);
    assert_eq!(seen(&world), start, "another revision of the same content");
    world.ok(&update_provider("my-github", &[("TOOL_KEY", "rotated")], &[]));
    let rotated = seen(&world);
    assert_eq!(rotated.0, start.0);
    assert_ne!(rotated.1, start.1);
    world.ok(&setting("s", "ocsf_json_enabled", false));
    let set = seen(&world);
    assert_ne!(set.0, rotated.0);
    world.ok(&global_setting("ocsf_json_enabled", false));
    assert_ne!(seen(&world).0, set.0, "the same value from another scope");
    assert_eq!(seen(&world).1, rotated.1);
}

#[test]
fn er_4_and_7_the_environments_revision_moves_with_profiles_in_use_and_no_other() {
    let mut world = World::new();
    imported(&mut world, "default", token_grant("used", "a.example.com", "/v1/**"));
    imported(&mut world, "default", token_grant("unused", "b.example.com", "/v1/**"));
    world.ok(&provider("p", "used", &["KEY"]));
    world.ok(&provider("q", "used", &["OTHER"]));
    world.ok(&sandbox("s", &["p"], None));
    let mut last = world.effective("s").provider_env_revision;
    world.ok(&update("default", 1, token_grant("unused", "c.example.com", "/v1/**")));
    assert_eq!(world.effective("s").provider_env_revision, last, "a departure from ER-4");
    let mut moved = |world: &World, what: &str| {
        let now = world.effective("s").provider_env_revision;
        assert_ne!(now, last, "{what}");
        last = now;
    };
    let mut changed = token_grant("used", "a.example.com", "/v1/**");
    let grant = changed.credentials[0].token_grant.as_mut().expect("a grant");
    grant.scopes = vec!["read".to_owned()];
    assert!(world.ok(&update("default", 1, changed)).updated);
    moved(&world, "a changed token grant");
    world.ok(&update_provider("p", &[], &[]));
    moved(&world, "a provider written again");
    world.time_ms -= 1;
    world.ok(&update_provider("p", &[], &[]));
    moved(&world, "twice in one millisecond");
    imported(&mut world, "default", token_grant("second", "d.example.com", "/v1/**"));
    world.ok(&provider("r", "second", &["R"]));
    world.ok(&attach("s", "r"));
    moved(&world, "an attachment");
    world.ok(&detach("s", "r"));
    moved(&world, "a detachment");
    let before = world.effective("s").provider_env_revision;
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(world.effective("s").provider_env_revision, before, "ER-7: the setting alone does not");
}

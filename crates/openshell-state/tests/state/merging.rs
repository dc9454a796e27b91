//! Merge operations of `UpdateConfig` (`config.md` 3.6 and 10.3): what a sandbox's policy becomes, and who is
//! told no. What each operation does to a policy is in the policy crate.

use openshell_proto::sandbox::{
    FilesystemPolicy, L7Allow, L7Rule, NetworkBinary, NetworkCredentialBinding, NetworkEndpoint,
    NetworkMiddlewareConfig, SandboxPolicy,
};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddAllowRules, AddDenyRules, RemoveNetworkBinary, RemoveNetworkEndpoint, StoredPolicyRevision, UpdateConfigRequest,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Key, Outcome};
use prost::Message;

use crate::support::{
    World, add_rule, credential, draft, endpoint, global_policy, global_setting, import, map, merge, minimal, policy,
    policy_of, provider, remove_rule, sandbox, says, signing, static_profile, texts, update_policy,
};

fn with_policy(host: &str) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy(host))));
    world
}

fn without_policy() -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world
}

/// The latest stored policy of `s`.
fn stored(world: &World) -> SandboxPolicy {
    world.revisions("s").last().expect("a revision").policy.clone()
}

fn allow(host: &str, method: &str, path: &str) -> Operation {
    let (method, path) = (method.to_owned(), path.to_owned());
    let rules = vec![L7Rule { allow: Some(L7Allow { method, path, ..L7Allow::default() }) }];
    Operation::AddAllowRules(AddAllowRules { host: host.to_owned(), port: 443, rules })
}

fn remove_endpoint(host: &str, port: u32) -> Operation {
    Operation::RemoveEndpoint(RemoveNetworkEndpoint { rule_name: String::new(), host: host.to_owned(), port })
}

/// `add_rule` for another binary than every other rule here.
fn add_for(binary: &str, rule_name: &str, endpoint: NetworkEndpoint) -> Operation {
    let mut operation = add_rule(rule_name, endpoint);
    let Operation::AddRule(add) = &mut operation else { panic!("it adds a rule") };
    add.rule.as_mut().expect("a rule").binaries = vec![NetworkBinary { path: binary.to_owned(), harness: false }];
    operation
}

fn with_rules(host: &str, method: &str, path: &str) -> NetworkEndpoint {
    let (method, path) = (method.to_owned(), path.to_owned());
    let rules = vec![L7Rule { allow: Some(L7Allow { method, path, ..L7Allow::default() }) }];
    NetworkEndpoint { access: String::new(), rules, ..endpoint(host, 443) }
}

#[test]
fn uc_40_under_a_global_policy_nothing_is_merged() {
    let mut world = with_policy("a.example.com");
    world.ok(&global_policy(policy("g.example.com")));
    // Before anything of the operations is looked at.
    let text = world.refused(Code::FailedPrecondition, &merge("s", &[remove_rule("")]));
    says(&text, &["managed globally"]);
}

#[test]
fn uc_41_operations_are_read_before_any_is_applied() {
    let mut world = with_policy("a.example.com");
    let unknown =
        Operation::AddDenyRules(AddDenyRules { host: "x".to_owned(), port: 1, deny_rules: vec![Default::default()] });
    let text = world.refused(Code::InvalidArgument, &merge("s", &[unknown, remove_rule(" ")]));
    says(&text, &["merge_operations[1].remove_rule.rule_name"]);
    let nothing = UpdateConfigRequest { merge_operations: vec![Default::default()], ..merge("s", &[]) };
    says(&world.refused(Code::InvalidArgument, &nothing), &["merge_operations[0]"]);
}

#[test]
fn config_scenario_50_uc_42_what_no_rule_may_name() {
    let mut world = with_policy("a.example.com");
    let ips = |entry: &str| NetworkEndpoint { allowed_ips: vec![entry.to_owned()], ..endpoint("x.example.com", 443) };
    let host = |host: &str| add_rule("n", endpoint(host, 443));
    for (operation, words) in [
        (add_rule("_provider_x", endpoint("x.example.com", 443)), "_provider_x"),
        (host("localhost"), "localhost"),
        (host("169.254.169.254"), "169.254.169.254"),
        (host("metadata.google.internal"), "metadata.google.internal"),
        (add_rule("n", ips("127.0.0.0/8")), "127.0.0.0/8"),
        (allow("127.0.0.1", "GET", "/"), "127.0.0.1"),
    ] {
        says(&world.refused(Code::InvalidArgument, &merge("s", &[operation])), &["merge_operations[0].", words]);
    }
    world.ok(&merge("s", &[add_rule("n", ips("10.0.0.0/8"))]));
}

#[test]
fn uc_43_the_sandboxs_providers_must_exist() {
    let mut world = World::new();
    world.ok(&provider("p", "no-profile", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    world.write::<openshell_proto::datamodel::Provider>(&Key::provider("default", "p"), None);
    says(&world.refused(Code::FailedPrecondition, &merge("s", &[remove_rule("r1")])), &["\"p\""]);
}

#[test]
fn uc_43_layers_count_only_while_they_are_composed() {
    let mut world = World::new();
    let mut open = static_profile("open", "b.example.com");
    open.endpoints[0].tls = "skip".to_owned();
    assert!(world.ok(&import("default", &[open])).imported);
    world.ok(&provider("p", "open", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    let contradiction = merge("s", &[add_rule("n", endpoint("b.example.com", 443))]);
    let before = world.clone();
    world.ok(&contradiction);
    let mut world = before;
    world.ok(&global_setting("providers_v2_enabled", true));
    says(&world.refused(Code::FailedPrecondition, &contradiction), &["ambiguity", "tls"]);
}

#[test]
fn uc_44_the_base_is_the_latest_revision_then_the_specs_policy_then_nothing() {
    let mut world = with_policy("a.example.com");
    world.ok(&update_policy("s", policy("b.example.com")));
    world.ok(&merge("s", &[add_rule("n", endpoint("c.example.com", 443))]));
    assert_eq!(stored(&world).network_policies["r1"].endpoints[0].host, "b.example.com");
    let mut world = with_policy("a.example.com");
    world.write::<StoredPolicyRevision>(&Key::policy_revision("default", &world.sandbox_id("s"), 1), None);
    assert_eq!(world.ok(&merge("s", &[add_rule("n", endpoint("c.example.com", 443))])).version, 1);
    assert_eq!(stored(&world).network_policies.len(), 2);
    let mut world = without_policy();
    assert_eq!(world.ok(&merge("s", &[add_rule("n", endpoint("c.example.com", 443))])).version, 1);
    assert_eq!(stored(&world).network_policies.len(), 1);
    assert_eq!(world.stored_sandbox("s").spec.as_ref().expect("a spec").policy, None, "UC-45: no backfill");
}

#[test]
fn uc_44_the_result_is_judged_like_a_whole_policy() {
    let mut world = with_policy("a.example.com");
    let mut skipped = endpoint("a.example.com", 443);
    skipped.tls = "skip".to_owned();
    skipped.path = "/other".to_owned();
    for (code, endpoint, word) in [
        (Code::InvalidArgument, endpoint("x.example.com", 70_000), "70000"),
        (Code::FailedPrecondition, skipped, "ambiguity"),
        (Code::FailedPrecondition, bound("p"), "not attached"),
        (Code::InvalidArgument, bound(" "), "credential_binding"),
        (Code::FailedPrecondition, signing("s3.example.com"), "AWS"),
    ] {
        says(&world.refused(code, &merge("s", &[add_rule("n", endpoint)])), &[word]);
    }
    let mut large = endpoint("x.example.com", 443);
    large.allowed_ips = (0..40_000).map(|number| format!("10.0.{}.{}", number / 250, number % 250)).collect();
    let text = world.refused(Code::InvalidArgument, &merge("s", &[add_rule("n", large)]));
    says(&text, &["encoded bytes"]);
}

fn bound(name: &str) -> NetworkEndpoint {
    let credential_binding = Some(NetworkCredentialBinding { provider: name.to_owned() });
    NetworkEndpoint { credential_binding, ..endpoint("k.example.com", 443) }
}

#[test]
fn uc_44_credentials_do_not_begin_to_travel_uninspected() {
    let mut world = World::new();
    let mut tool = static_profile("tool", "tool.example.com");
    tool.credentials = vec![credential("k", "TOOL_KEY")];
    assert!(world.ok(&import("default", &[tool])).imported);
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("a.example.com"))));
    let plain = NetworkEndpoint { host: "tool.example.com".to_owned(), port: 443, ..NetworkEndpoint::default() };
    says(&world.refused(Code::FailedPrecondition, &merge("s", &[add_rule("n", plain.clone())])), &["uninspected"]);
    let allowed = NetworkEndpoint { allow_uninspected_credentials: true, ..plain };
    world.ok(&merge("s", &[add_rule("n", allowed)]));
}

#[test]
fn uc_44_static_fields_and_middlewares_are_not_reached_by_operations() {
    let mut world = with_policy("a.example.com");
    // As if an earlier build had let a middleware in that this one does not know.
    let mut latest = world.revisions("s")[0].stored.clone();
    let mut odd = policy("a.example.com");
    let selector = Some(openshell_proto::sandbox::MiddlewareEndpointSelector {
        include: vec!["a.example.com".to_owned()],
        exclude: vec![],
    });
    let middleware =
        NetworkMiddlewareConfig { middleware: "unknown".to_owned(), endpoints: selector, ..Default::default() };
    odd.network_middlewares.insert("m".to_owned(), middleware);
    latest.policy_payload = odd.encode_to_vec();
    world.write(&Key::policy_revision("default", &world.sandbox_id("s"), 1), Some(&latest));
    world.ok(&merge("s", &[add_rule("n", endpoint("c.example.com", 443))]));
    assert_eq!(stored(&world).network_middlewares, odd.network_middlewares, "C-18");
    odd.filesystem = Some(FilesystemPolicy { include_workdir: true, ..FilesystemPolicy::default() });
    odd.process = Some(openshell_proto::sandbox::ProcessPolicy::default());
    latest.policy_payload = odd.encode_to_vec();
    world.write(&Key::policy_revision("default", &world.sandbox_id("s"), 2), Some(&latest));
    let text = world.refused(Code::InvalidArgument, &merge("s", &[remove_rule("n")]));
    says(&text, &["process"]);
}

#[test]
fn uc_45_what_changes_nothing_is_the_latest_revision() {
    let mut world = with_policy("a.example.com");
    let nothing = merge("s", &[remove_rule("unknown")]);
    let entries = world.log.len();
    let answer = world.ok(&nothing);
    assert_eq!((answer.version, answer.policy_hash.as_str()), (1, world.effective("s").policy_hash.as_str()));
    assert_eq!(world.log.len(), entries, "a departure from UC-46: watchers are not woken for nothing");
    let annotated = UpdateConfigRequest { annotations: map(&[("why", "test")]), ..nothing.clone() };
    assert_eq!(world.ok(&annotated).version, 2, "another provenance is another revision");
    assert_eq!(world.ok(&annotated).version, 2);
    assert_eq!(world.ok(&nothing).version, 3, "none is another one too");
    assert_eq!(world.ok(&nothing).annotations, map(&[("why", "test")]));
}

#[test]
fn uc_45_without_any_revision_nothing_is_version_0() {
    let mut world = without_policy();
    let nothing = merge("s", &[remove_rule("unknown")]);
    let answer = world.ok(&nothing);
    let empty = openshell_policy::hash::policy_hash(&SandboxPolicy::default());
    assert_eq!((answer.version, answer.policy_hash), (0, empty));
    let annotated = UpdateConfigRequest { annotations: map(&[("why", "test")]), ..nothing };
    let stale = UpdateConfigRequest { expected_resource_version: 9, ..annotated.clone() };
    world.refused(Code::Aborted, &stale);
    let answer = world.ok(&annotated);
    assert_eq!((answer.version, answer.annotations), (0, map(&[("why", "test")])));
    assert_eq!((world.revisions("s").len(), world.sandbox_version("s")), (0, 2));
}

#[test]
fn uc_46_the_answer_is_that_of_a_whole_policy() {
    let mut world = with_policy("a.example.com");
    let answer = world.ok(&UpdateConfigRequest {
        annotations: map(&[("a", "1")]),
        ..merge("s", &[add_rule("n", endpoint("c.example.com", 443))])
    });
    assert_eq!((answer.version, answer.settings_revision, answer.deleted), (2, 0, false));
    assert_eq!(answer.policy_hash, openshell_policy::hash::policy_hash(&stored(&world)));
    assert_eq!(answer.annotations, map(&[("a", "1")]));
    let history: Vec<_> = world.revisions("s").iter().map(|revision| revision.stored.status.clone()).collect();
    assert_eq!(history, ["superseded", "pending"]);
}

#[test]
fn uc_33_a_stale_version_is_aborted_and_nothing_is_stored() {
    let mut world = with_policy("a.example.com");
    let change = merge("s", &[add_rule("n", endpoint("c.example.com", 443))]);
    let expecting = |version| UpdateConfigRequest { expected_resource_version: version, ..change.clone() };
    says(&world.refused(Code::Aborted, &expecting(9)), &["concurrent modification"]);
    assert_eq!(world.ok(&expecting(1)).version, 2);
    assert_eq!(world.sandbox_version("s"), 1, "PR-4: no annotations, no new version of the sandbox");
    assert_eq!(world.ok(&expecting(9)).version, 2, "nothing changes, so nothing is compared");
}

#[test]
fn marks_of_the_gateway_are_not_taken_from_an_operation() {
    let mut world = with_policy("a.example.com");
    let marked = NetworkEndpoint { provider_credentialed: true, ..endpoint("c.example.com", 443) };
    world.ok(&merge("s", &[add_rule("n", marked)]));
    assert!(!stored(&world).network_policies["n"].endpoints[0].provider_credentialed);
}

#[test]
fn config_scenario_48_a_rule_is_added_or_folded_into_one_that_is_there() {
    let mut world = without_policy();
    assert_eq!(world.ok(&merge("s", &[add_rule("n1", endpoint("api.example.com", 443))])).version, 1);
    assert_eq!(world.rules("s"), ["n1"]);
    world.ok(&merge("s", &[add_rule("n2", with_rules("api.example.com", "PUT", "/x"))]));
    assert_eq!(world.rules("s"), ["n1"]);
    assert_eq!(stored(&world).network_policies["n1"].endpoints[0].rules.len(), 4);
}

#[test]
fn config_scenario_49_a_proposal_for_another_binary_stands_alone() {
    let mut world = with_policy("a.example.com");
    let before = stored(&world);
    let proposal = |name| add_for("/usr/bin/b", name, with_rules("a.example.com", "POST", "/x"));
    world.refused(Code::FailedPrecondition, &merge("s", &[proposal("r1")]));
    world.ok(&merge("s", &[proposal("n2")]));
    let after = stored(&world);
    assert_eq!(after.network_policies["r1"], before.network_policies["r1"]);
    assert_eq!(after.network_policies["n2"].binaries[0].path, "/usr/bin/b");
}

#[test]
fn config_scenario_51_rules_for_one_endpoint() {
    let mut world = with_policy("a.example.com");
    world.ok(&merge("s", &[allow("a.example.com", "POST", "/x")]));
    let endpoint_of = stored(&world).network_policies["r1"].endpoints[0].clone();
    let rules = endpoint_of.rules.iter().filter_map(|rule| rule.allow.as_ref());
    let rules: Vec<_> = rules.map(|allow| format!("{} {}", allow.method, allow.path)).collect();
    assert_eq!(
        (endpoint_of.access.as_str(), rules),
        ("", ["GET **", "HEAD **", "OPTIONS **", "POST /x"].map(str::to_owned).to_vec())
    );
    let below = NetworkEndpoint { path: "/v1".to_owned(), ..endpoint("b.example.com", 443) };
    world.ok(&merge("s", &[add_rule("n1", endpoint("b.example.com", 443)), add_rule("n2", below)]));
    world.refused(Code::FailedPrecondition, &merge("s", &[allow("b.example.com", "POST", "/x")]));
    for (rule_name, protocol) in [("l4", ""), ("ql", "graphql")] {
        let access = if protocol.is_empty() { String::new() } else { "full".to_owned() };
        let host = format!("{rule_name}.example.com");
        let other = NetworkEndpoint { protocol: protocol.to_owned(), access, ..endpoint(&host, 443) };
        world.ok(&merge("s", &[add_rule(rule_name, other)]));
        world.refused(Code::FailedPrecondition, &merge("s", &[allow(&host, "POST", "/x")]));
    }
}

#[test]
fn config_scenario_52_removing_endpoints() {
    let mut world = without_policy();
    let ports = NetworkEndpoint { ports: vec![443, 8443], ..endpoint("a.example.com", 443) };
    world.ok(&merge("s", &[add_rule("n", ports)]));
    world.ok(&merge("s", &[remove_endpoint("a.example.com", 443)]));
    assert_eq!(stored(&world).network_policies["n"].endpoints[0].ports, [8443]);
    assert_eq!(world.ok(&merge("s", &[remove_endpoint("unknown.example.com", 443)])).version, 2);
    world.ok(&merge("s", &[remove_endpoint("a.example.com", 8443)]));
    assert!(stored(&world).network_policies.is_empty());
}

#[test]
fn config_scenario_53_removing_binaries() {
    let mut world = with_policy("a.example.com");
    let remove = |rule_name: &str| {
        let (rule_name, binary_path) = (rule_name.to_owned(), "/usr/bin/curl".to_owned());
        Operation::RemoveBinary(RemoveNetworkBinary { rule_name, binary_path })
    };
    let mut any = add_rule("any", endpoint("b.example.com", 443));
    let Operation::AddRule(add) = &mut any else { panic!("it adds a rule") };
    add.rule.as_mut().expect("a rule").binaries.clear();
    world.ok(&merge("s", &[any, remove("r1")]));
    assert_eq!(world.rules("s"), ["any"]);
    world.refused(Code::FailedPrecondition, &merge("s", &[remove("any")]));
}

#[test]
fn config_scenario_54_a_batch_whose_third_operation_fails_leaves_nothing() {
    let mut world = with_policy("a.example.com");
    let (first, second) = (add_rule("n1", endpoint("b.example.com", 443)), remove_rule("r1"));
    let text =
        world.refused(Code::FailedPrecondition, &merge("s", &[first, second, allow("a.example.com", "GET", "/")]));
    says(&text, &["merge_operations[2]"]);
    assert_eq!((world.revisions("s").len(), world.rules("s")), (1, vec!["r1".to_owned()]));
}

#[test]
fn config_scenario_55_two_merges_at_once_both_survive() {
    let mut world = with_policy("a.example.com");
    let requests =
        ["n1", "n2"].map(|name| merge("s", &[add_rule(name, endpoint(&format!("{name}.example.com"), 443))]));
    let [first, second] = requests.each_ref().map(|request| draft(world.decide(request)));
    assert_eq!(world.commit(first).outcome, Outcome::Installed);
    let Outcome::GuardFailed { .. } = world.commit(second).outcome else { panic!("it was decided on revision 1") };
    assert_eq!(world.ok(&requests[1]).version, 3, "decided again, on what the first left");
    assert_eq!(world.rules("s"), ["n1", "n2", "r1"]);
}

#[test]
fn config_scenario_56_a_global_policy_takes_the_sandboxs_place() {
    let mut world = with_policy("a.example.com");
    world.ok(&global_policy(policy("g.example.com")));
    let requests =
        [merge("s", &[add_rule("n", endpoint("b.example.com", 443))]), update_policy("s", policy("b.example.com"))];
    for request in requests {
        says(&world.refused(Code::FailedPrecondition, &request), &["managed globally"]);
    }
}

#[test]
fn config_scenario_57_annotations_come_with_a_merge() {
    let mut world = with_policy("a.example.com");
    let with = |name: &str, annotations: &[(&str, &str)]| UpdateConfigRequest {
        annotations: map(annotations),
        ..merge("s", &[add_rule(name, endpoint(&format!("{name}.example.com"), 443))])
    };
    world.ok(&with("n1", &[("a", "1")]));
    assert_eq!(world.ok(&with("n2", &[])).annotations, map(&[("a", "1")]));
    assert!(world.revisions("s")[2].stored.provenance.is_empty());
    let entries = world.log.len();
    world.ok(&with("n3", &[("b", "2")]));
    assert_eq!(world.log.len(), entries + 1, "one entry has both");
    assert_eq!(world.revisions("s")[3].stored.provenance, map(&[("b", "2")]));
    let metadata = world.stored_sandbox("s").metadata.as_ref().expect("metadata");
    assert_eq!(metadata.annotations, map(&[("a", "1"), ("b", "2")]));
}

#[test]
fn config_scenario_58_one_host_and_port_is_inspected_in_one_way() {
    let mut world = without_policy();
    let rules = vec![L7Rule { allow: Some(L7Allow { method: "*".to_owned(), ..L7Allow::default() }) }];
    let spoken =
        NetworkEndpoint { protocol: "mcp".to_owned(), access: String::new(), rules, ..endpoint("h.example.com", 443) };
    world.ok(&merge("s", &[add_rule("m", spoken)]));
    let other = NetworkEndpoint { path: "/other".to_owned(), ..endpoint("h.example.com", 443) };
    says(&world.refused(Code::FailedPrecondition, &merge("s", &[add_rule("n", other)])), &["MCP"]);
}

#[test]
fn config_scenario_44_a_merge_that_would_contradict_the_rest() {
    let mut world = with_policy("a.example.com");
    let open = NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("*.example.com", 443) };
    says(&world.refused(Code::FailedPrecondition, &merge("s", &[add_rule("n", open)])), &["tls"]);
    assert_eq!(world.revisions("s").len(), 1);
}

#[test]
fn config_scenario_47_a_sandbox_merges_nothing() {
    let mut world = with_policy("a.example.com");
    world.principal = Principal::Sandbox { id: world.sandbox_id("s") };
    world.refused(Code::PermissionDenied, &merge("s", &[remove_rule("r1")]));
}

#[test]
fn a_binding_that_is_merged_needs_its_provider() {
    let mut world = World::new();
    let mut keyed = minimal("keyed");
    keyed.credentials = vec![credential("k", "P_KEY")];
    let answer = world.ok(&import("default", &[keyed]));
    assert!(answer.imported, "{}", texts(&answer.diagnostics));
    world.ok(&provider("p", "keyed", &["P_KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy_of("r1", endpoint("a.example.com", 443)))));
    let before = world.effective("s").provider_env_revision;
    world.ok(&merge("s", &[add_rule("n", bound("p"))]));
    assert_ne!(world.effective("s").provider_env_revision, before);
}

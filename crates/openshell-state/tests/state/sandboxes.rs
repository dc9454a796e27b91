//! The scenarios of `config.md` 10.1 about sandbox records, by number.

use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{NetworkCredentialBinding, ProcessPolicy, SandboxPolicy};
use openshell_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, GetSandboxRequest, GpuResourceRequirements,
    ListSandboxProvidersRequest, ListSandboxesRequest, ResourceRequirements, Sandbox, SandboxPhase, SandboxSpec,
    SandboxTemplate,
};
use openshell_state::{Code, Key, Outcome, query};

use crate::support::{
    World, attach, credential, detach, draft, endpoint, import, map, minimal, policy, policy_of, provider, sandbox,
    says, setting, texts,
};

fn with_spec(name: &str, change: impl FnOnce(&mut SandboxSpec)) -> CreateSandboxRequest {
    let mut request = sandbox(name, &[], None);
    change(request.spec.as_mut().expect("a spec"));
    request
}

fn spec(sandbox: &Sandbox) -> &SandboxSpec {
    sandbox.spec.as_ref().expect("a spec")
}

fn providers(world: &mut World, names: &[&str]) {
    for name in names {
        world.ok(&provider(name, "no-profile", &[&format!("{}_KEY", name.to_uppercase())]));
    }
}

#[test]
fn config_scenario_1_a_spec_is_required() {
    World::new().refused(Code::InvalidArgument, &CreateSandboxRequest::default());
}

#[test]
fn config_scenario_2_the_command_when_none_is_given() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let stored = spec(world.stored_sandbox("s"));
    assert_eq!((stored.command.join(" "), stored.tty), ("/bin/bash -l".to_owned(), true));
    world.ok(&with_spec("t", |spec| spec.command = vec!["run".to_owned()]));
    let stored = spec(world.stored_sandbox("t"));
    assert_eq!((stored.command.join(" "), stored.tty), ("run".to_owned(), false));
}

#[test]
fn config_scenario_3_names() {
    let mut world = World::new();
    world.ok(&sandbox(&"n".repeat(19), &[], None));
    world.ok(&sandbox("a-b", &[], None));
    world.ok(&sandbox("123", &[], None));
    for name in [&*"n".repeat(20), "Ab", "-a", "a-", "a--b", "a_b"] {
        world.refused(Code::InvalidArgument, &sandbox(name, &[], None));
    }
}

#[test]
fn config_scenario_4_a_name_made_up() {
    let mut world = World::new();
    for _ in 0..20 {
        let made = world.ok(&sandbox("", &[], None)).sandbox.expect("a sandbox");
        let name = made.metadata.expect("metadata").name;
        assert!(!name.is_empty() && name.len() <= 19, "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
    }
    assert_eq!(world.state.by_creation(openshell_proto::log::Kind::Sandbox, "default").count(), 20);
}

#[test]
fn config_scenario_5_a_name_is_unique_within_its_workspace() {
    let mut world = World::new();
    world.workspace("other");
    world.ok(&sandbox("s1", &[], None));
    world.refused(Code::AlreadyExists, &sandbox("s1", &[], None));
    let mut elsewhere = sandbox("s1", &[], None);
    elsewhere.workspace = "other".to_owned();
    world.ok(&elsewhere);
    world.ok(&setting("s1", "ocsf_json_enabled", true));
    assert!(world.state.sandbox_settings("other", "s1").is_none());
    assert!(world.ok(&DeleteSandboxRequest { name: "s1".to_owned(), ..DeleteSandboxRequest::default() }).deleted);
    assert!(world.state.sandbox("other", "s1").is_some() && world.state.sandbox_settings("default", "s1").is_none());
}

#[test]
fn config_scenario_6_environment() {
    let mut world = World::new();
    for (key, value) in [("OPENSHELL_X", "x"), ("1A", "x"), ("A", "two\nlines"), ("A", "nul\0")] {
        world.refused(Code::InvalidArgument, &with_spec("s", |spec| spec.environment = map(&[(key, value)])));
        let template = SandboxTemplate { environment: map(&[(key, value)]), ..SandboxTemplate::default() };
        world.refused(Code::InvalidArgument, &with_spec("s", |spec| spec.template = Some(template)));
    }
    world.ok(&with_spec("s", |spec| spec.environment = map(&[("_A1", "x")])));
}

#[test]
fn config_scenario_7_sizes() {
    let mut world = World::new();
    let names: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    providers(&mut world, &names);
    world.ok(&sandbox("s", &names[..32], None));
    world.refused(Code::InvalidArgument, &sandbox("t", &names, None));
    let gpu = |count| {
        let resources = ResourceRequirements { gpu: Some(GpuResourceRequirements { count }) };
        with_spec("g", |spec| spec.resource_requirements = Some(resources))
    };
    world.refused(Code::InvalidArgument, &gpu(Some(0)));
    world.ok(&gpu(None));
    let mut large = policy("a.example.com");
    let rule = large.network_policies.get_mut("r1").expect("r1");
    rule.binaries[0].path = format!("/{}", "x".repeat(262_144));
    world.refused(Code::InvalidArgument, &sandbox("l", &[], Some(large)));
}

#[test]
fn config_scenario_8_labels_and_annotations() {
    let mut world = World::new();
    let long = "v".repeat(1000);
    let annotated = CreateSandboxRequest { annotations: map(&[("a", &long)]), ..sandbox("s", &[], None) };
    world.ok(&annotated);
    assert_eq!(world.stored_sandbox("s").metadata.as_ref().expect("metadata").annotations, map(&[("a", &long)]));
    let labelled = CreateSandboxRequest { labels: map(&[("a", &"v".repeat(64))]), ..sandbox("t", &[], None) };
    world.refused(Code::InvalidArgument, &labelled);
}

#[test]
fn config_scenario_9_a_listed_provider_exists() {
    let mut world = World::new();
    says(&world.refused(Code::FailedPrecondition, &sandbox("s", &["nope"], None)), &["\"nope\""]);
    assert!(world.state.sandbox("default", "s").is_none());
}

#[test]
fn config_scenario_10_two_providers_do_not_offer_one_key() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.ok(&provider(name, "no-profile", &["API_KEY"]));
    }
    let text = world.refused(Code::FailedPrecondition, &sandbox("s", &["a", "b"], None));
    says(&text, &["API_KEY", "\"a\"", "\"b\""]);
    world.ok(&sandbox("s", &["a"], None));
    world.refused(Code::FailedPrecondition, &attach("s", "b"));
}

#[test]
fn config_scenario_11_reserved_rules() {
    let reserved = policy_of("_provider_x", endpoint("a.example.com", 443));
    let text = World::new().refused(Code::InvalidArgument, &sandbox("s", &[], Some(reserved)));
    says(&text, &["_provider_x", "reserved '_provider_' prefix", "policy get <sandbox> --base"]);
}

#[test]
fn config_scenario_12_a_user_without_a_group_stays_so() {
    let mut world = World::new();
    let process = ProcessPolicy { run_as_user: "1000".to_owned(), ..ProcessPolicy::default() };
    world.ok(&sandbox("s", &[], Some(SandboxPolicy { process: Some(process.clone()), ..SandboxPolicy::default() })));
    let stored = spec(world.stored_sandbox("s")).policy.as_ref().expect("a policy");
    assert_eq!(stored.process.as_ref(), Some(&process));
}

#[test]
fn a_new_sandbox_is_provisioning_with_version_1() {
    let mut world = World::new();
    let made = world.ok(&sandbox("s", &[], None)).sandbox.expect("a sandbox");
    let metadata = made.metadata.expect("metadata");
    assert_eq!((metadata.resource_version, metadata.created_at_ms), (1, world.time_ms));
    assert_eq!(made.status.expect("a status").phase(), SandboxPhase::Provisioning);
    assert!(spec(world.stored_sandbox("s")).template.is_some());
}

#[test]
fn config_scenario_16_lists_and_selectors() {
    let mut world = World::new();
    for (name, labels) in [("c3", map(&[("k", "v")])), ("b2", map(&[])), ("a1", map(&[("k", "v")]))] {
        world.ok(&CreateSandboxRequest { labels, ..sandbox(name, &[], None) });
    }
    let list = |selector: &str, limit, offset| {
        let request = ListSandboxesRequest { limit, offset, label_selector: selector.to_owned(), ..Default::default() };
        let listed = query::sandbox::list(&world.state, &world.principal, &request)?;
        let names = listed.sandboxes.into_iter().map(|sandbox| sandbox.metadata.expect("metadata").name);
        Ok::<_, openshell_state::Refusal>(names.collect::<Vec<_>>())
    };
    assert_eq!(list("", 0, 0).expect("all"), ["c3", "b2", "a1"], "oldest first");
    assert_eq!(list("k=v", 1, 1).expect("the second"), ["a1"]);
    assert_eq!(list("k=v,", 0, 0), list("k=v", 0, 0));
    assert_eq!(list("k", 0, 0).expect_err("no term").code, Code::InvalidArgument);
    assert_eq!(list("k=w", 0, 0).expect("none"), Vec::<String>::new());
}

#[test]
fn config_scenario_17_attaching_twice() {
    let mut world = World::new();
    providers(&mut world, &["p"]);
    world.ok(&sandbox("s", &[], None));
    let first = world.ok(&attach("s", "p"));
    assert!(first.attached && world.sandbox_version("s") == 2);
    let again = world.ok(&attach("s", "p"));
    assert!(!again.attached && world.sandbox_version("s") == 3);
    assert_eq!(world.listed("s"), ["p"]);
}

#[test]
fn config_scenario_18_the_callers_version() {
    let mut world = World::new();
    providers(&mut world, &["p", "q"]);
    world.ok(&sandbox("s", &[], None));
    let mut attached = attach("s", "p");
    attached.expected_resource_version = 9;
    says(&world.refused(Code::Aborted, &attached), &["concurrent modification", "resource_version is 1"]);
    attached.expected_resource_version = 1;
    world.ok(&attached);
    let mut detached = detach("s", "p");
    detached.expected_resource_version = 1;
    world.refused(Code::Aborted, &detached);
    assert_eq!(world.listed("s"), ["p"]);
    detached.expected_resource_version = 2;
    assert!(world.ok(&detached).detached);
}

#[test]
fn config_scenario_19_three_attachments_at_once() {
    let mut world = World::new();
    providers(&mut world, &["p", "q", "r"]);
    world.ok(&sandbox("s", &[], None));
    let requests = ["p", "q", "r"].map(|name| {
        let mut request = attach("s", name);
        request.expected_resource_version = 1;
        request
    });
    let decided = requests.each_ref().map(|request| draft(world.decide(request)));
    let outcomes = decided.map(|draft| world.commit(draft).outcome);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Installed).count(), 1);
    for request in &requests[1..] {
        world.refused(Code::Aborted, request);
    }
    assert_eq!(world.listed("s"), ["p"]);
}

#[test]
fn config_scenario_20_thirty_two_providers() {
    let mut world = World::new();
    let names: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    providers(&mut world, &names);
    world.ok(&sandbox("s", &names[..32], None));
    world.refused(Code::InvalidArgument, &attach("s", "p32"));
    assert!(!world.ok(&attach("s", "p31")).attached);
}

#[test]
fn config_scenario_21_what_is_listed_twice() {
    let mut world = World::new();
    providers(&mut world, &["p", "q"]);
    world.ok(&sandbox("s", &["p", "q", "p"], None));
    assert_eq!(world.listed("s"), ["p", "q"], "a departure from SR-21: a repetition means nothing");
    let mut repeated = world.stored_sandbox("s").clone();
    repeated.spec.as_mut().expect("a spec").providers = ["p", "q", "p"].map(str::to_owned).to_vec();
    world.write(&Key::sandbox("default", "s"), Some(&repeated));
    assert!(world.ok(&detach("s", "p")).detached);
    assert_eq!(world.listed("s"), ["q"]);
    assert!(!world.ok(&detach("s", "p")).detached);
}

#[test]
fn config_scenario_22_a_bound_provider_stays_attached() {
    let mut world = World::new();
    let mut keyed = minimal("keyed");
    keyed.credentials = vec![credential("k", "P_KEY")];
    assert!(world.ok(&import("default", &[keyed])).imported);
    world.ok(&provider("p", "keyed", &["P_KEY"]));
    let mut bound = endpoint("a.example.com", 443);
    bound.credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
    world.ok(&sandbox("s", &["p"], Some(policy_of("r1", bound))));
    says(&world.refused(Code::FailedPrecondition, &detach("s", "p")), &["not attached"]);
    assert_eq!(world.listed("s"), ["p"]);
}

#[test]
fn config_scenario_23_the_providers_of_a_sandbox() {
    let mut world = World::new();
    providers(&mut world, &["q", "p"]);
    world.ok(&sandbox("s", &["q", "p"], None));
    let request = ListSandboxProvidersRequest { sandbox_name: "s".to_owned(), ..Default::default() };
    let listed = query::sandbox::providers(&world.state, &world.principal, &request).expect("a list").providers;
    let names: Vec<_> =
        listed.iter().map(|provider| provider.metadata.as_ref().expect("metadata").name.as_str()).collect();
    assert_eq!(names, ["q", "p"], "in order of attachment");
    assert_eq!(listed[0].credentials, map(&[("Q_KEY", "REDACTED")]));
    world.write::<Provider>(&Key::provider("default", "p"), None);
    let refusal = query::sandbox::providers(&world.state, &world.principal, &request).expect_err("p is missing");
    assert_eq!(refusal.code, Code::FailedPrecondition);
}

#[test]
fn config_scenario_24_provider_names_that_are_missing() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.refused(Code::InvalidArgument, &attach("s", ""));
    world.refused(Code::InvalidArgument, &detach("s", ""));
    world.refused(Code::InvalidArgument, &attach("s", &"p".repeat(254)));
    world.refused(Code::FailedPrecondition, &attach("s", "unknown"));
    assert!(!world.ok(&detach("s", "unknown")).detached);
    world.refused(Code::NotFound, &detach("unknown", "p"));
    world.refused(Code::InvalidArgument, &detach("", "p"));
}

#[test]
fn deleting_a_sandbox_takes_its_settings_and_policies_along() {
    let mut world = World::new();
    let before = world.state.record_count();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    world.ok(&crate::support::update_policy("s", policy("b.example.com")));
    world.ok(&setting("s", "ocsf_json_enabled", true));
    let delete = DeleteSandboxRequest { name: "s".to_owned(), ..DeleteSandboxRequest::default() };
    assert!(world.ok(&delete).deleted);
    assert_eq!(world.state.record_count(), before);
    world.refused(Code::NotFound, &delete);
    world.refused(Code::InvalidArgument, &DeleteSandboxRequest::default());
    let missing = GetSandboxRequest { name: "s".to_owned(), ..GetSandboxRequest::default() };
    let refusal = query::sandbox::get(&world.state, &world.principal, &missing).expect_err("gone");
    assert_eq!(refusal.code, Code::NotFound);
}

#[test]
fn what_is_refused_says_where() {
    let mut world = World::new();
    let answer = world.ok(&import("default", &[minimal("Bad Id")]));
    assert!(!answer.imported, "{}", texts(&answer.diagnostics));
    let text = world.refused(Code::InvalidArgument, &with_spec("s", |spec| spec.log_level = "l".repeat(33)));
    says(&text, &["spec.log_level", "33", "32"]);
}

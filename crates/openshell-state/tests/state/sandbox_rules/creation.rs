//! What is asked of a creation in the state that it comes to, and what it leaves there: SR-8 to SR-24.

use std::collections::BTreeSet;

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint, ProcessPolicy, SandboxPolicy};
use openshell_proto::v1::{
    CreateSandboxRequest, DeleteProviderRequest, DeleteWorkspaceRequest, SandboxPhase, SandboxSpec, SandboxTemplate,
    WorkspaceRole,
};
use openshell_state::{Code, Key, Outcome};

use super::{code, plain, providers, tool};
use crate::support::{
    World, attach, draft, endpoint, global_policy, map, policy, policy_of, provider, sandbox, says, signing, user,
};

#[test]
fn sr_8_and_9_rights_come_before_the_workspace_and_its_phase() {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "uma", WorkspaceRole::User);
    let inside = |workspace: &str| CreateSandboxRequest { workspace: workspace.to_owned(), ..sandbox("s", &[], None) };
    let (member, stranger) = (user("uma", false), user("eve", false));
    for workspace in ["team", "no-such", ""] {
        assert_eq!(code(&world, &stranger, &inside(workspace)), Some(Code::PermissionDenied), "{workspace}");
    }
    assert_eq!(code(&world, &member, &inside("")), Some(Code::PermissionDenied), "the default one is another");
    assert_eq!(code(&world, &world.principal, &inside("no-such")), Some(Code::NotFound));
    assert_eq!(code(&world, &member, &inside("team")), None);
    world.ok(&inside("team"));
    world.call(&DeleteWorkspaceRequest { name: "team".to_owned() }).expect_err("it holds a sandbox");
    let another = CreateSandboxRequest { name: "t".to_owned(), ..inside("team") };
    assert_eq!(code(&world, &stranger, &another), Some(Code::PermissionDenied));
    says(&world.refused(Code::FailedPrecondition, &another), &["is being deleted"]);
}

#[test]
fn sr_10_and_11_providers_exist_and_offer_each_key_once() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.ok(&provider(name, "no-profile", &["KEY"]));
    }
    says(&world.refused(Code::FailedPrecondition, &sandbox("s", &["a", "nope"], None)), &["\"nope\""]);
    says(&world.refused(Code::FailedPrecondition, &sandbox("s", &["a", "b"], None)), &["KEY"]);
    // Earlier than what is wrong with the policy.
    let text = world.refused(Code::FailedPrecondition, &sandbox("s", &["nope"], Some(policy("*.com"))));
    says(&text, &["\"nope\""]);
}

#[test]
fn sr_12_and_20_a_new_record_is_what_was_sent_with_what_is_filled_in() {
    let mut world = World::new();
    let mut sent =
        CreateSandboxRequest { labels: map(&[("l", "1")]), annotations: map(&[("a", "2")]), ..sandbox("s", &[], None) };
    let spec = sent.spec.as_mut().expect("a spec");
    spec.log_level = "debug".to_owned();
    spec.environment = map(&[("A", "b")]);
    spec.command = vec!["run".to_owned()];
    let answered = world.ok(&sent).sandbox.expect("a sandbox");
    assert_eq!(answered, *world.stored_sandbox("s"));
    let metadata = answered.metadata.expect("metadata");
    assert_eq!((metadata.name.as_str(), metadata.workspace.as_str()), ("s", "default"));
    assert_eq!((metadata.resource_version, metadata.created_at_ms), (1, world.time_ms));
    assert_eq!((metadata.labels, metadata.annotations), (sent.labels, sent.annotations));
    assert_eq!(metadata.deletion_timestamp_ms, 0);
    let template = Some(SandboxTemplate::default());
    assert_eq!(answered.spec.expect("a spec"), SandboxSpec { template, ..sent.spec.expect("a spec") });
    let status = answered.status.expect("a status");
    assert_eq!((status.phase(), status.current_policy_version), (SandboxPhase::Provisioning, 0));
}

#[test]
fn sr_13_a_policy_is_checked_in_order_and_its_marks_are_cleared() {
    let mut world = World::new();
    let mut reserved = policy_of("_provider_x", endpoint("*.com", 443));
    says(&world.refused(Code::InvalidArgument, &sandbox("s", &[], Some(reserved.clone()))), &["_provider_x"]);
    let rule = reserved.network_policies.remove("_provider_x").expect("the rule");
    reserved.network_policies.insert("x".to_owned(), rule);
    says(&world.refused(Code::InvalidArgument, &sandbox("s", &[], Some(reserved))), &["unsafe content"]);
    let marked = NetworkEndpoint { provider_credentialed: true, ..endpoint("a.example.com", 443) };
    world.ok(&sandbox("s", &[], Some(policy_of("r1", marked))));
    assert_eq!(world.revisions("s")[0].policy, policy("a.example.com"));
}

#[test]
fn sr_14_credentials_are_inspected_by_the_policy_that_the_sandbox_would_get() {
    let mut world = World::new();
    tool(&mut world);
    says(&world.refused(Code::FailedPrecondition, &sandbox("s", &["p"], Some(plain()))), &["tool.example.com"]);
    world.ok(&sandbox("without", &["p"], None));
    world.ok(&global_policy(policy("elsewhere.example.com")));
    world.ok(&sandbox("replaced", &["p"], Some(plain())));
    world.ok(&global_policy(plain()));
    world.refused(Code::FailedPrecondition, &sandbox("s", &["p"], Some(policy("a.example.com"))));
}

#[test]
fn sr_15_ids_are_random_and_a_name_that_is_missing_is_made_up() {
    let mut world = World::new();
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let metadata = world.ok(&sandbox("", &[], None)).sandbox.expect("a sandbox").metadata.expect("metadata");
        assert!(metadata.name.len() <= 19 && !metadata.name.ends_with('-') && metadata.name.contains('-'));
        assert_eq!((metadata.id.len(), metadata.id.as_bytes()[14]), (36, b'4'), "a UUID of version 4");
        assert!(ids.insert(metadata.id));
    }
}

#[test]
fn sr_16_and_31_what_the_sandbox_composes_to_is_bound_signed_and_unambiguous() {
    let mut world = World::composing();
    tool(&mut world);
    let skipped = NetworkEndpoint {
        tls: "skip".to_owned(),
        allow_uninspected_credentials: true,
        ..endpoint("tool.example.com", 443)
    };
    let bound = |provider: &str| NetworkEndpoint {
        credential_binding: Some(NetworkCredentialBinding { provider: provider.to_owned() }),
        ..endpoint("a.example.com", 443)
    };
    let wrong = [
        (skipped, Code::FailedPrecondition, "ambiguity validation failed"),
        (bound(" x "), Code::InvalidArgument, "credential_binding"),
        (bound("x"), Code::FailedPrecondition, "not attached"),
        (bound("p"), Code::FailedPrecondition, "profile already defines endpoints"),
        (signing("a.example.com"), Code::FailedPrecondition, "no resolvable AWS credential source"),
    ];
    for (number, (endpoint, code, words)) in wrong.into_iter().enumerate() {
        let policy = policy_of("r1", endpoint);
        says(&world.refused(code, &sandbox("s", &["p"], Some(policy.clone()))), &[words]);
        // As the latest revision, past every rule, it is what an attachment is judged by.
        let name = format!("t{number}");
        world.ok(&sandbox(&name, &[], Some(crate::support::policy("elsewhere.example.com"))));
        let mut revision = world.revisions(&name)[0].stored.clone();
        revision.policy_payload = prost::Message::encode_to_vec(&policy);
        let key = Key::policy_revision("default", &world.sandbox_id(&name), 1);
        world.write(&key, Some(&revision));
        says(&world.refused(code, &attach(&name, "p")), &[words]);
    }
}

#[test]
fn sr_19_a_name_is_taken_only_once_all_else_is_right() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.refused(Code::FailedPrecondition, &sandbox("s", &["nope"], None));
    world.refused(Code::AlreadyExists, &sandbox("s", &[], None));
    assert_eq!(world.sandbox_version("s"), 1);
}

#[test]
fn sr_21_a_provider_listed_twice_counts_once() {
    let mut world = World::new();
    providers(&mut world, &["p", "q"]);
    world.ok(&sandbox("s", &["p", "q", "p"], None));
    assert_eq!(world.listed("s"), ["p", "q"], "a departure");
    let many = vec!["p"; 33];
    world.refused(Code::InvalidArgument, &sandbox("t", &many, None));
}

#[test]
fn sr_22_a_policy_of_a_creation_is_its_first_revision() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    world.ok(&sandbox("t", &[], None));
    assert_eq!((world.revisions("s").len(), world.revisions("t").len()), (1, 0), "a departure");
}

#[test]
fn sr_23_half_an_identity_is_stored_as_half_an_identity() {
    let mut world = World::new();
    for (name, user, group) in [("u", "1000", ""), ("g", "", "sandbox")] {
        let process = ProcessPolicy { run_as_user: user.to_owned(), run_as_group: group.to_owned() };
        let sent = SandboxPolicy { process: Some(process), ..policy("a.example.com") };
        world.ok(&sandbox(name, &[], Some(sent.clone())));
        assert_eq!(world.revisions(name)[0].policy, sent);
    }
}

#[test]
fn sr_24_a_creation_relies_on_the_providers_that_it_was_checked_with() {
    let mut world = World::new();
    providers(&mut world, &["p"]);
    let creation = draft(world.decide(&sandbox("s", &["p"], None)));
    assert!(creation.guards.contains_key(&Key::provider("default", "p")));
    assert!(creation.touches.contains(&Key::provider_users("default", "p")));
    world.ok(&DeleteProviderRequest { name: "p".to_owned(), ..Default::default() });
    assert!(matches!(world.commit(creation).outcome, Outcome::GuardFailed { .. }));
}

//! Rules about policies that the cluster decides rather than the policy language: PM-40 to PM-43, where the
//! others of `config.md` 2 are applied, and where endpoints are compared (AM-8).

use openshell_proto::sandbox::{FilesystemPolicy, NetworkEndpoint, NetworkMiddlewareConfig, SandboxPolicy};
use openshell_state::Code;

use crate::support::{
    World, attach, detach, endpoint, global_policy, global_setting, import, policy, policy_of, provider, sandbox, says,
    static_profile, texts, update, update_policy,
};

/// The endpoint `r1` with one change.
fn with(change: impl FnOnce(&mut NetworkEndpoint)) -> SandboxPolicy {
    let mut changed = endpoint("a.example.com", 443);
    change(&mut changed);
    policy_of("r1", changed)
}

/// The first endpoint of rule `r1`.
fn stored(policy: &SandboxPolicy) -> &NetworkEndpoint {
    &policy.network_policies["r1"].endpoints[0]
}

#[test]
fn pm_18_to_36_what_is_unsafe_is_refused_wherever_it_is_written() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let unsafe_policy = policy("*.com");
    for text in [
        world.refused(Code::InvalidArgument, &sandbox("t", &[], Some(unsafe_policy.clone()))),
        world.refused(Code::InvalidArgument, &update_policy("s", unsafe_policy.clone())),
        world.refused(Code::InvalidArgument, &global_policy(unsafe_policy.clone())),
        world.as_sandbox("s", |world| world.refused(Code::InvalidArgument, &update_policy("s", unsafe_policy))),
    ] {
        says(&text, &["unsafe content", "TLD wildcard"]);
    }
}

#[test]
fn pm_37_middlewares_are_checked_wherever_a_whole_policy_is_written() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let mut unknown = policy("a.example.com");
    let selector = openshell_proto::sandbox::MiddlewareEndpointSelector {
        include: vec!["a.example.com".to_owned()],
        exclude: Vec::new(),
    };
    let middleware = NetworkMiddlewareConfig {
        name: "m".to_owned(),
        middleware: "acme/scan".to_owned(),
        endpoints: Some(selector),
        ..NetworkMiddlewareConfig::default()
    };
    unknown.network_middlewares.insert("m".to_owned(), middleware);
    for text in [
        world.refused(Code::InvalidArgument, &sandbox("t", &[], Some(unknown.clone()))),
        world.refused(Code::InvalidArgument, &update_policy("s", unknown.clone())),
        world.refused(Code::InvalidArgument, &global_policy(unknown.clone())),
    ] {
        says(&text, &["policy middleware validation failed", "acme/scan"]);
    }
    unknown.network_middlewares.get_mut("m").expect("m").middleware = "openshell/regex".to_owned();
    world.ok(&update_policy("s", unknown));
}

#[test]
fn pm_40_users_write_no_rule_with_the_prefix_of_providers() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let named = |key: &str| policy_of(key, endpoint("a.example.com", 443));
    for text in [
        world.refused(Code::InvalidArgument, &sandbox("t", &[], Some(named("_provider_x")))),
        world.refused(Code::InvalidArgument, &update_policy("s", named("_provider_x"))),
        world.refused(Code::InvalidArgument, &global_policy(named("_provider_x"))),
    ] {
        says(&text, &["_provider_x", "reserved '_provider_' prefix", "policy get <sandbox> --base"]);
    }
    for (number, key) in ["provider_x", "x_provider_y"].into_iter().enumerate() {
        world.ok(&sandbox(&format!("t{number}"), &[], Some(named(key))));
    }
}

#[test]
fn pm_41_fixed_fields_are_compared_with_the_baseline_and_not_with_the_latest_revision() {
    let paths = |paths: &[&str]| SandboxPolicy {
        filesystem: Some(FilesystemPolicy {
            read_only: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..FilesystemPolicy::default()
        }),
        ..policy("a.example.com")
    };
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(paths(&["/usr"]))));
    world.ok(&update_policy("s", paths(&["/usr", "/opt"])));
    world.ok(&update_policy("s", paths(&["/usr"])));
    world.refused(Code::InvalidArgument, &update_policy("s", paths(&["/opt"])));
}

#[test]
fn pm_42_only_the_gateway_marks_endpoints_as_credentialed() {
    let mut world = World::new();
    let marked = || {
        with(|endpoint| {
            endpoint.provider_credentialed = true;
            endpoint.advisor_proposed = true;
        })
    };
    world.ok(&sandbox("s", &[], Some(marked())));
    world.ok(&sandbox("t", &[], None));
    world.ok(&update_policy("t", marked()));
    for name in ["s", "t"] {
        for revision in world.revisions(name) {
            let endpoint = stored(&revision.policy);
            assert_eq!((endpoint.provider_credentialed, endpoint.advisor_proposed), (false, true), "{name}");
        }
        let spec = world.stored_sandbox(name).spec.as_ref().expect("a spec");
        assert!(!stored(spec.policy.as_ref().expect("a policy")).provider_credentialed);
    }
    world.ok(&global_policy(marked()));
    let global = world.state.latest_global_policy().expect("a policy").value.policy.clone();
    assert!(!stored(&global).provider_credentialed && stored(&global).advisor_proposed);
    // And never believed where it is read.
    assert!(!stored(&world.effective("s").policy.expect("a policy")).provider_credentialed);
}

#[test]
fn pm_43_a_whole_policy_is_stored_as_it_was_sent() {
    let mut world = World::new();
    let sent = with(|endpoint| {
        endpoint.ports = vec![443, 80, 443];
        endpoint.port = 7;
        endpoint.host = "A.Example.COM".to_owned();
    });
    world.ok(&sandbox("s", &[], Some(sent.clone())));
    world.ok(&sandbox("t", &[], None));
    world.ok(&update_policy("t", sent.clone()));
    assert_eq!(world.revisions("s")[0].policy, sent);
    assert_eq!(world.revisions("t")[0].policy, sent);
}

/// A world that composes, with provider `p`, whose profile contradicts [`policy`] of its host.
fn contradicted() -> World {
    let mut world = World::composing();
    let mut open = static_profile("open", "a.example.com");
    open.endpoints[0].tls = "skip".to_owned();
    assert!(world.ok(&import("default", &[open])).imported);
    world.ok(&provider("p", "open", &["KEY"]));
    world
}

#[test]
fn am_8_endpoints_are_compared_on_every_way_to_write_them() {
    let mut world = contradicted();
    let wanted = || Some(policy("a.example.com"));
    let ambiguous = |text: &str| says(text, &["ambiguity validation failed", "tls"]);
    ambiguous(&world.refused(Code::FailedPrecondition, &sandbox("s", &["p"], wanted())));
    world.ok(&sandbox("s", &[], wanted()));
    ambiguous(&world.refused(Code::FailedPrecondition, &attach("s", "p")));
    world.ok(&sandbox("t", &["p"], Some(policy("elsewhere.example.com"))));
    ambiguous(&world.refused(Code::FailedPrecondition, &update_policy("t", policy("a.example.com"))));
    let mut moved = static_profile("open", "elsewhere.example.com");
    moved.endpoints[0].tls = "skip".to_owned();
    let answer = world.ok(&update("default", 1, moved));
    assert!(!answer.updated, "a profile's change that would contradict a policy");
    says(&texts(&answer.diagnostics), &["tls"]);
    let both = {
        let mut both = policy("a.example.com");
        both.network_policies.extend(
            policy_of("r2", NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com", 443) })
                .network_policies,
        );
        both
    };
    ambiguous(&world.refused(Code::FailedPrecondition, &global_policy(both)));
}

#[test]
fn am_8_endpoints_are_compared_when_composition_begins_and_when_a_provider_goes() {
    let mut world = contradicted();
    world.ok(&global_setting("providers_v2_enabled", false));
    world.ok(&provider("q", "no-profile", &["Q"]));
    world.ok(&sandbox("s", &["p", "q"], Some(policy("a.example.com"))));
    let text = world.refused(Code::FailedPrecondition, &global_setting("providers_v2_enabled", true));
    says(&text, &["default/s", "ambiguity validation failed"]);
    // Switched on past every rule: what is left after a detachment is compared all the same.
    let composing = World::composing();
    let settings = composing.state.gateway_settings().expect("settings").value.clone();
    world.write(&openshell_state::Key::gateway_settings(), Some(&settings));
    says(&world.refused(Code::FailedPrecondition, &detach("s", "q")), &["ambiguity validation failed"]);
    assert!(world.ok(&detach("s", "p")).detached);
}

#[test]
fn am_8_reading_compares_nothing() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let mut both = world.stored_sandbox("s").clone();
    let id = world.sandbox_id("s");
    let mut revision = world.revisions("s")[0].stored.clone();
    let mut contradicting = policy("a.example.com");
    contradicting.network_policies.extend(
        policy_of("r2", NetworkEndpoint { tls: "skip".to_owned(), ..endpoint("a.example.com", 443) }).network_policies,
    );
    revision.policy_payload = prost::Message::encode_to_vec(&contradicting);
    world.write(&openshell_state::Key::policy_revision("default", &id, 1), Some(&revision));
    both.spec.as_mut().expect("a spec").policy = Some(contradicting);
    world.write(&openshell_state::Key::sandbox("default", "s"), Some(&both));
    assert_eq!(world.rules("s"), ["r1", "r2"]);
}

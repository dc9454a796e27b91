//! The largest sandboxes that may be: what they come to is bounded and counted before it is made, and what would be
//! larger than a sandbox can be sent is refused where it is asked for. Work of comparisons is counted beside these, in
//! `token_grant/tests.rs`, `credentials/coverage/tests.rs` and `ambiguity/tests.rs`.

use openshell_proto::log::Kind;
use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint, SandboxPolicy};
use openshell_proto::v1::{ProviderProfile, ProviderProfileCredential};
use openshell_state::effective::Environment;
use openshell_state::{Code, Key, Opener, Outcome};
use prost::Message;

use crate::support::{
    World, attach, credential, detach, draft, endpoint, global_setting, import, minimal, policy_of, provider, sandbox,
    says, texts, update, update_policy, update_provider,
};

const PROVIDERS: usize = 32;
/// What released clients read.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Opens everything, as a short text.
struct Short;

impl Opener for Short {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Option<Vec<u8>> {
        Some(vec![b'x'; 8])
    }
}

/// A profile of one credential and so many endpoints, each of a host of its own.
fn wide(id: &str, endpoints: usize) -> ProviderProfile {
    let host = |at: usize| endpoint(&format!("{id}-{at:05}.example.com"), 443);
    let variable = format!("{}_KEY", id.to_uppercase().replace('-', "_"));
    ProviderProfile {
        credentials: vec![credential("key", &variable)],
        endpoints: (0..endpoints).map(host).collect(),
        ..minimal(id)
    }
}

/// A world with 32 providers, each of a profile of its own with so many endpoints.
fn furnished(endpoints: usize) -> World {
    let mut world = World::composing();
    for at in 0..PROVIDERS {
        let (id, key) = (format!("tool-{at:02}"), format!("TOOL_{at:02}_KEY"));
        assert!(world.ok(&import("default", &[wide(&id, endpoints)])).imported);
        world.ok(&provider(&format!("p{at:02}"), &id, &[&key]));
    }
    world
}

fn name(at: usize) -> String {
    format!("p{at:02}")
}

/// How many bytes sandbox `s` is answered: configuration and environment.
fn answered(world: &World) -> (usize, usize) {
    let environment = Environment::compose(&world.state, "default", world.stored_sandbox("s"), world.time_ms);
    let environment = environment.expect("an environment").answer(&Short, true).expect("it opens");
    (world.effective("s").encoded_len(), environment.len())
}

#[test]
fn thirty_two_large_profiles_compose_within_one_message() {
    let mut world = furnished(1_500);
    let names: Vec<String> = (0..PROVIDERS).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.ok(&sandbox("s", &names, Some(policy_of("own", endpoint("own.example.com", 443)))));
    let (config, environment) = answered(&world);
    assert_eq!(world.rules("s").len(), PROVIDERS + 1);
    assert!((2 * 1024 * 1024..MESSAGE_BYTES_MAX).contains(&config), "{config} bytes of configuration");
    assert!((1024 * 1024..MESSAGE_BYTES_MAX).contains(&environment), "{environment} bytes of environment");
}

#[test]
fn a_provider_too_many_is_refused_and_the_sandbox_goes_on() {
    let mut world = furnished(4_000);
    world.ok(&sandbox("s", &[], Some(policy_of("own", endpoint("own.example.com", 443)))));
    let fit = (0..PROVIDERS).take_while(|at| world.call(&attach("s", &name(*at))).is_ok()).count();
    assert!((5..PROVIDERS).contains(&fit), "{fit} fit");
    let before = answered(&world);
    assert!(before.0 < MESSAGE_BYTES_MAX && before.1 < MESSAGE_BYTES_MAX, "{before:?}");
    assert_eq!(world.rules("s").len(), fit + 1);
    let text = world.refused(Code::FailedPrecondition, &attach("s", &name(fit)));
    says(&text, &["3145728 bytes", &format!("_provider_p{fit:02}"), "detach some providers"]);
    let all: Vec<String> = (0..=fit).map(name).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    says(&world.refused(Code::FailedPrecondition, &sandbox("t", &all, None)), &["3145728 bytes"]);
    // A profile may not grow so much either, and the others of its batch are none the worse.
    let answer = world.ok(&update("default", 1, wide("tool-00", 30_000)));
    assert!(!answer.updated);
    says(&texts(&answer.diagnostics), &["without a configuration", "\"s\"", "3145728 bytes"]);
    assert_eq!(answered(&world), before);
    // Nor may all be composed at once where one sandbox would be too large; that one is named.
    world.ok(&global_setting("providers_v2_enabled", false));
    let bare = (fit..PROVIDERS).take_while(|at| world.call(&attach("s", &name(*at))).is_ok()).count();
    assert!(bare > 0, "the environment has room for another one");
    let text = world.refused(Code::FailedPrecondition, &global_setting("providers_v2_enabled", true));
    says(&text, &["default/s", "3145728 bytes"]);
}

#[test]
fn what_is_too_large_already_is_refused_when_read_and_can_be_made_smaller() {
    let mut world = furnished(4_000);
    world.ok(&sandbox("s", &[], Some(policy_of("own", endpoint("own.example.com", 443)))));
    world.ok(&sandbox("t", &[], Some(policy_of("own", endpoint("own.example.com", 443)))));
    // As a program without the bound may have left it.
    let mut stored = world.stored_sandbox("s").clone();
    stored.spec.as_mut().expect("a spec").providers = (0..PROVIDERS).map(name).collect();
    world.write(&Key::sandbox("default", "s"), Some(&stored));
    let refusal = world.try_effective("s").expect_err("too large");
    assert_eq!(refusal.code, Code::FailedPrecondition);
    says(&refusal.message, &["3145728 bytes"]);
    let environment = Environment::compose(&world.state, "default", world.stored_sandbox("s"), world.time_ms);
    says(&environment.expect_err("too large").message, &["3145728 bytes"]);
    // Nobody else minds, its profiles can still be updated, and detaching is the way back.
    assert_eq!(world.rules("t"), ["own"]);
    assert!(world.ok(&update("default", 1, wide("tool-00", 3_999))).updated);
    world.ok(&update_provider("p00", &[("TOOL_00_KEY", "another")], &[]));
    for at in (4..PROVIDERS).rev() {
        assert!(world.ok(&detach("s", &name(at))).detached);
    }
    assert_eq!(world.rules("s").len(), 5);
}

/// A policy that binds provider `p` at so many ports.
fn binding(ports: u32) -> SandboxPolicy {
    policy_of(
        "bound",
        NetworkEndpoint {
            port: 0,
            ports: (1..=ports).collect(),
            credential_binding: Some(NetworkCredentialBinding { provider: "p".to_owned() }),
            ..endpoint("bound.example.com", 0)
        },
    )
}

/// Imports the profile `many`: 32 optional keys and no endpoints.
fn import_many(world: &mut World) -> Vec<String> {
    let keys: Vec<String> = (0..32).map(|at| format!("KEY_{at:02}")).collect();
    let optional = |key: &String| ProviderProfileCredential { required: false, ..credential(&key.to_lowercase(), key) };
    let credentials = keys.iter().map(optional).collect();
    assert!(world.ok(&import("default", &[ProviderProfile { credentials, ..minimal("many") }])).imported);
    keys
}

#[test]
fn each_key_at_each_place_is_counted_before_an_environment_is_made() {
    let mut world = World::composing();
    let keys = import_many(&mut world);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.ok(&provider("p", "many", &keys[..8]));
    world.ok(&sandbox("s", &["p"], Some(binding(10))));
    let more: Vec<(&str, &str)> = keys[8..].iter().map(|key| (*key, "secret")).collect();
    let late = draft(world.decide(&update_provider("p", &more, &[])));
    world.ok(&update_policy("s", binding(10_000)));
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    let (_, environment) = answered(&world);
    assert!((1024 * 1024..MESSAGE_BYTES_MAX).contains(&environment), "{environment} bytes");
    // More keys at these places, or more places for these keys, are too much; that either is added at the same time
    // as the other is noticed.
    let text = world.refused(Code::FailedPrecondition, &update_provider("p", &more, &[]));
    says(&text, &["sandbox \"s\"", "environment", "3145728 bytes", "\"p\""]);
    world.ok(&update_policy("s", binding(10)));
    let late = draft(world.decide(&update_policy("s", binding(10_000))));
    world.ok(&update_provider("p", &more, &[]));
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    let text = world.refused(Code::FailedPrecondition, &update_policy("s", binding(10_000)));
    says(&text, &["environment", "3145728 bytes"]);
}

#[test]
fn a_profile_that_grows_counts_the_keys_that_another_provider_gets_at_the_same_time() {
    let mut world = World::composing();
    let keys = import_many(&mut world);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert!(world.ok(&import("default", &[wide("tool-b", 10)])).imported);
    world.ok(&provider("p", "many", &keys[..8]));
    world.ok(&provider("b", "tool-b", &["TOOL_B_KEY"]));
    world.ok(&sandbox("s", &["p", "b"], Some(binding(7_000))));
    let more: Vec<(&str, &str)> = keys[8..12].iter().map(|key| (*key, "secret")).collect();
    let wider = update("default", 1, wide("tool-b", 8_000));
    // Either fits alone, and both do not, whichever comes first.
    let late = draft(world.decide(&wider));
    world.ok(&update_provider("p", &more, &[]));
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    let answer = world.ok(&wider);
    assert!(!answer.updated);
    says(&texts(&answer.diagnostics), &["without a configuration", "\"s\"", "3145728 bytes"]);
    let gone: Vec<(&str, &str)> = more.iter().map(|(key, _)| (*key, "")).collect();
    world.ok(&update_provider("p", &gone, &[]));
    let late = draft(world.decide(&update_provider("p", &more, &[])));
    assert!(world.ok(&wider).updated);
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    says(&world.refused(Code::FailedPrecondition, &update_provider("p", &more, &[])), &["\"s\"", "3145728 bytes"]);
    answered(&world);
}

#[test]
fn a_longer_value_takes_no_environment_away_and_config_counts_as_it_is_sent() {
    let mut world = World::composing();
    let keys = import_many(&mut world);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.ok(&provider("p", "many", &keys[..8]));
    world.ok(&sandbox("s", &["p"], Some(binding(9_000))));
    // Longest values at once, and configuration of which nothing is sent.
    let longest = "x".repeat(8192);
    let values: Vec<(&str, &str)> = keys[..8].iter().map(|key| (*key, longest.as_str())).collect();
    let names: Vec<String> = (0..64).map(|at| format!("note_{at:02}")).collect();
    let config: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), longest.as_str())).collect();
    world.ok(&update_provider("p", &values, &config));
    let (_, environment) = answered(&world);
    assert!(environment < MESSAGE_BYTES_MAX, "{environment}");
}

#[test]
fn an_update_of_a_provider_relies_on_policies_only_where_bindings_count() {
    let mut world = furnished(2);
    import_many(&mut world);
    world.ok(&provider("p", "many", &["KEY_00"]));
    world.ok(&sandbox("bound", &["p"], Some(binding(10))));
    world.ok(&sandbox("plain", &["p00"], Some(policy_of("own", endpoint("own.example.com", 443)))));
    let policies = |world: &World, request: &openshell_proto::v1::UpdateProviderRequest| {
        let guards = draft(world.decide(request)).guards;
        guards.into_keys().filter(|key| key.to_proto().kind == Kind::PolicyRevision as i32).count()
    };
    assert_eq!(policies(&world, &update_provider("p", &[("KEY_01", "more")], &[])), 1);
    assert_eq!(policies(&world, &update_provider("p", &[("KEY_00", "another")], &[])), 0, "nothing grows");
    assert_eq!(policies(&world, &update_provider("p00", &[("OTHER_KEY", "more")], &[])), 0);
}

//! Bindings, signing and the gate on uninspected credentials (`config.md` 4.4 and 4.5).

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint, SandboxPolicy};
use openshell_proto::v1::ProviderProfile;
use openshell_state::access::Principal;
use openshell_state::{Code, Key};

use super::{V2, imported, refused, with_tool, write_policy, write_profile};
use crate::drafts::no_global_policy;
use crate::support::{
    World, attach, credential, detach, endpoint, global_policy, global_setting, minimal, policy, policy_of, provider,
    sandbox, says, signing, static_profile, update, update_policy, update_provider,
};

/// A policy whose one endpoint is bound to a provider.
fn bound(name: &str) -> SandboxPolicy {
    let credential_binding = Some(NetworkCredentialBinding { provider: name.to_owned() });
    policy_of("r1", NetworkEndpoint { credential_binding, ..endpoint("bound.example.com", 443) })
}

#[test]
fn ec_11_and_30_a_malformed_binding_is_an_invalid_argument() {
    let mut world = with_tool();
    let mut no_port = bound("p");
    no_port.network_policies.get_mut("r1").expect("r1").endpoints[0].port = 0;
    for (wrong, words) in [(bound(" p"), &["spaces"]), (bound(" "), &["provider"])] {
        write_policy(&mut world, &wrong);
        refused(&world, Code::InvalidArgument, words);
    }
    // What is not safe is said first.
    write_policy(&mut world, &no_port);
    refused(&world, Code::FailedPrecondition, &["invalid effective policy"]);
}

#[test]
fn ec_33_a_bound_provider_is_attached_and_has_a_profile_without_endpoints() {
    let mut world = with_tool();
    let mut bare = minimal("bare");
    bare.credentials = vec![credential("k", "BARE_KEY")];
    imported(&mut world, "default", bare.clone());
    world.ok(&provider("bare", "bare", &["BARE_KEY"]));
    world.ok(&provider("unknown", "unheard-of", &["UNKNOWN_KEY"]));
    world.ok(&attach("s", "unknown"));
    for (name, words) in [
        ("bare", &["not attached"]),
        ("nobody", &["not attached"]),
        ("unknown", &["no profile"]),
        ("p", &["profile already defines endpoints"]),
    ] {
        says(&world.refused(Code::FailedPrecondition, &update_policy("s", bound(name))), words);
        write_policy(&mut world, &bound(name));
        refused(&world, Code::FailedPrecondition, words);
        write_policy(&mut world, &policy("a.example.com"));
    }
    world.ok(&attach("s", "bare"));
    world.ok(&update_policy("s", bound("bare")));
    assert!(world.try_effective("s").is_ok());
    // A profile that comes to have endpoints breaks what was bound.
    bare.endpoints = vec![endpoint("new.example.com", 443)];
    write_profile(&mut world, &Key::profile("default", "bare"), bare);
    refused(&world, Code::FailedPrecondition, &["profile already defines endpoints"]);
    world.refused(Code::FailedPrecondition, &global_policy(bound("bare")));
}

/// Profiles that declare the keys of AWS: one without endpoints, one for some hosts and paths.
fn aws() -> [ProviderProfile; 2] {
    let credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| credential(name, name)).to_vec();
    let covering = |host: &str, port, path: &str| NetworkEndpoint { path: path.to_owned(), ..endpoint(host, port) };
    let endpoints = vec![covering("*.aws.example.com", 443, ""), covering("s3.example.com", 8443, "/bucket/**")];
    let bare = ProviderProfile { credentials, ..minimal("bare") };
    [ProviderProfile { id: "covering".to_owned(), endpoints, ..bare.clone() }, bare]
}

/// Whether a signing endpoint has a source, of which `change` says the rest, with these providers.
fn has_source(providers: &[&str], change: impl FnOnce(&mut NetworkEndpoint)) -> bool {
    let mut world = World::new();
    for profile in aws() {
        imported(&mut world, "default", profile);
    }
    let mut half = minimal("half");
    half.credentials = vec![credential("id", "AWS_ACCESS_KEY_ID")];
    half.endpoints = vec![endpoint("*.aws.example.com", 443)];
    imported(&mut world, "default", half);
    for name in ["bare", "covering", "half"] {
        world.ok(&provider(name, name, &[&format!("{}_KEY", name.to_uppercase())]));
    }
    let mut asked = signing("s3.aws.example.com");
    change(&mut asked);
    match world.call(&sandbox("s", providers, Some(policy_of("r1", asked)))) {
        Ok(_) => {
            world.effective("s");
            true
        }
        Err(refusal) => {
            assert_eq!(refusal.code, Code::FailedPrecondition, "{}", refusal.message);
            says(&refusal.message, &["no resolvable AWS credential source"]);
            false
        }
    }
}

#[test]
fn ec_34_a_source_that_takes_too_long_to_find_is_told_apart_from_one_that_is_missing() {
    let mut world = World::new();
    let [mut covering, _] = aws();
    // Each pattern has a port of its own, so that only the search for a source compares them all.
    let other = |at: u32| endpoint(&format!("*.h{at:05}.example.com"), 1000 + at);
    covering.endpoints = (0..4_000).map(other).chain([endpoint("*.aws.example.com", 443)]).collect();
    imported(&mut world, "default", covering);
    world.ok(&provider("p", "covering", &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]));
    let signs = |at: usize| signing(&format!("a{at:04}.aws.example.com"));
    world.ok(&sandbox("one", &["p"], Some(policy_of("r1", signs(0)))));
    let mut many = policy_of("r1", signs(0));
    many.network_policies.get_mut("r1").expect("r1").endpoints = (0..600).map(signs).collect();
    let text = world.refused(Code::FailedPrecondition, &sandbox("many", &["p"], Some(many)));
    says(&text, &["signs requests", "too many patterns", "bind a provider"]);
}

#[test]
fn ec_34_a_signing_endpoint_has_a_source_of_credentials() {
    let bind = |name: &str| {
        let binding = Some(NetworkCredentialBinding { provider: name.to_owned() });
        move |endpoint: &mut NetworkEndpoint| endpoint.credential_binding = binding
    };
    assert!(!has_source(&[], |_| {}));
    assert!(!has_source(&["bare"], |_| {}), "without endpoints it covers nothing");
    assert!(has_source(&["bare"], bind("bare")));
    assert!(!has_source(&["half"], |_| {}), "half a key pair is none");
    assert!(has_source(&["half", "covering"], |_| {}));
    assert!(has_source(&["covering"], |endpoint| endpoint.host = "*.AWS.example.com".to_owned()), "equal but for case");
    assert!(
        !has_source(&["covering"], |endpoint| endpoint.host = "**.aws.example.com".to_owned()),
        "a pattern is no host"
    );
    assert!(!has_source(&["covering"], |endpoint| endpoint.host = "s3.other.example.com".to_owned()));
    assert!(!has_source(&["covering"], |endpoint| endpoint.ports = vec![443, 8443]), "every port needs an endpoint");
    let at_bucket = |path: &'static str| {
        move |endpoint: &mut NetworkEndpoint| {
            (endpoint.host, endpoint.port) = ("s3.example.com".to_owned(), 8443);
            path.clone_into(&mut endpoint.path);
        }
    };
    assert!(has_source(&["covering"], at_bucket("/bucket/key")));
    assert!(has_source(&["covering"], at_bucket("/bucket/**")), "equal");
    assert!(!has_source(&["covering"], at_bucket("/bucket/*")), "a pattern is no path");
    assert!(!has_source(&["covering"], at_bucket("/other")));
}

#[test]
fn ec_18_a_signing_endpoint_of_a_global_policy_needs_a_source_in_each_sandbox() {
    let mut world = with_tool();
    let [covering, _] = aws();
    imported(&mut world, "default", covering);
    world.ok(&provider("c", "covering", &["C_KEY"]));
    world.ok(&sandbox("t", &["c"], None));
    world.ok(&global_policy(policy_of("r1", signing("s3.aws.example.com"))));
    refused(&world, Code::FailedPrecondition, &["no resolvable AWS credential source"]);
    assert_eq!(world.rules("t"), ["r1"]);
}

#[test]
fn ec_18_c_20_a_sandbox_that_a_global_policy_leaves_without_a_configuration_is_in_nobodys_way() {
    let mut world = with_tool();
    let [mut covering, _] = aws();
    imported(&mut world, "default", covering.clone());
    world.ok(&provider("c", "covering", &["C_KEY"]));
    world.ok(&provider("d", "covering", &["D_KEY"]));
    world.ok(&sandbox("t", &["c"], Some(policy("b.example.com"))));
    world.ok(&sandbox("u", &[], None));
    world.ok(&global_policy(policy_of("r1", signing("s3.aws.example.com"))));
    for bad in ["s", "u"] {
        let refusal = world.try_effective(bad).expect_err("it has no source");
        says(&refusal.message, &["no resolvable AWS credential source"]);
    }
    // Whatever else is done goes on: other sandboxes, their providers and profiles, settings, another policy.
    world.ok(&sandbox("v", &["c"], None));
    world.ok(&attach("t", "d"));
    covering.description = "another".to_owned();
    assert!(world.ok(&update("default", 1, covering.clone())).updated);
    world.ok(&update_provider("c", &[("C_KEY", "another")], &[]));
    world.ok(&global_setting(V2, true));
    for good in ["t", "v"] {
        assert_eq!(world.rules(good), ["r1"]);
    }
    let mut wide = policy_of("r1", signing("s3.aws.example.com"));
    wide.network_policies.insert("r2".to_owned(), policy("b.example.com").network_policies["r1"].clone());
    world.ok(&global_policy(wide));
    assert_eq!(world.rules("t"), ["r1", "r2"]);
    // Those that have a source keep it, and the others have two ways out.
    covering.endpoints.remove(0);
    assert!(!world.ok(&update("default", 2, covering)).updated);
    world.ok(&attach("u", "c"));
    assert_eq!(world.rules("u"), ["r1", "r2"]);
    world.ok(&no_global_policy());
    world.effective("s");
    assert_eq!(world.rules("t").len(), 3, "its own rule, and those of its two providers");
}

/// An endpoint at the profile's place, of which `change` says the rest.
fn at_the_tool(change: impl FnOnce(&mut NetworkEndpoint)) -> SandboxPolicy {
    let mut plain = NetworkEndpoint { host: "tool.example.com".to_owned(), port: 443, ..NetworkEndpoint::default() };
    change(&mut plain);
    policy_of("r1", plain)
}

#[test]
fn ec_40_credentials_that_travel_uninspected_are_refused_where_users_write() {
    let mut world = with_tool();
    let open = || at_the_tool(|_| {});
    let text = world.refused(Code::FailedPrecondition, &update_policy("s", open()));
    says(&text, &["credentials could travel uninspected", "r1", "tool.example.com"]);
    let skipped = at_the_tool(|endpoint| {
        (endpoint.protocol, endpoint.access, endpoint.tls) =
            ("rest".to_owned(), "full".to_owned(), " Skip ".to_owned());
    });
    world.refused(Code::FailedPrecondition, &update_policy("s", skipped));
    world.refused(Code::FailedPrecondition, &sandbox("t", &["p"], Some(open())));
    world.ok(&sandbox("t", &[], Some(open())));
    world.refused(Code::FailedPrecondition, &attach("t", "p"));
    world.ok(&update_policy("s", at_the_tool(|endpoint| endpoint.allow_uninspected_credentials = true)));
    world.ok(&update_policy("s", at_the_tool(|endpoint| endpoint.protocol = "tcp".to_owned())));
    // Not what a supervisor syncs, not detaching, not global policies, not settings.
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let admin = std::mem::replace(&mut world.principal, own);
    world.ok(&update_policy("s", open()));
    world.principal = admin;
    imported(&mut world, "default", static_profile("other", "other.example.com"));
    world.ok(&provider("q", "other", &["Q_KEY"]));
    world.ok(&sandbox("u", &["q"], Some(policy("a.example.com"))));
    world.ok(&detach("u", "q"));
    world.ok(&global_policy(open()));
    world.ok(&global_setting(V2, true));
}

#[test]
fn ec_12_what_travels_uninspected_is_no_error_of_a_read() {
    let mut world = with_tool();
    write_policy(&mut world, &at_the_tool(|_| {}));
    let rules = world.effective("s").policy.expect("a policy").network_policies;
    assert!(rules["r1"].endpoints[0].provider_credentialed, "it is shown");
}

//! What providers contribute: which are found, which profile each of them means, and where their credentials
//! are marked (`config.md` 4.2 and 4.3).

use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{NetworkBinary, NetworkCredentialBinding, NetworkEndpoint};
use openshell_state::{Code, Key};

use super::{V2, imported, refused, tool, with_tool, write_policy, write_profile};
use crate::support::{
    World, credential, endpoint, global_policy, global_setting, minimal, policy, policy_of, provider, sandbox,
    static_profile,
};

#[test]
fn ec_6_and_22_a_missing_provider_is_said_whatever_the_setting() {
    let mut world = with_tool();
    // One of that name elsewhere is another one.
    world.workspace("team");
    let mut elsewhere = provider("p", "tool", &["TOOL_KEY"]);
    elsewhere.workspace = "team".to_owned();
    elsewhere.provider.as_mut().expect("a provider").profile_workspace = String::new();
    world.ok(&elsewhere);
    world.write::<Provider>(&Key::provider("default", "p"), None);
    for on in [false, true] {
        world.ok(&global_setting("ocsf_json_enabled", on));
        refused(&world, Code::FailedPrecondition, &["\"p\"", "does not exist", "default"]);
    }
    // Past the check that turns composition on.
    super::write_global(&mut world, V2, openshell_proto::sandbox::setting_value::Value::BoolValue(true));
    refused(&world, Code::FailedPrecondition, &["\"p\"", "does not exist"]);
}

/// The host of the layer of provider `p` of a type, whatever the profiles are.
fn host(world: &mut World, provider_type: &str, profile_workspace: &str) -> Option<String> {
    let name = format!("s{}", world.state.revision());
    let mut request = provider(&name, provider_type, &[&name.to_uppercase()]);
    request.provider.as_mut().expect("a provider").profile_workspace = profile_workspace.to_owned();
    world.ok(&request);
    world.ok(&sandbox(&name, &[&name], Some(policy("a.example.com"))));
    let rules = world.effective(&name).policy.expect("a policy").network_policies;
    Some(rules.get(&format!("_provider_{name}"))?.endpoints.first()?.host.clone())
}

#[test]
fn ec_23_a_type_means_a_profile_however_it_is_written() {
    let mut world = World::composing();
    imported(&mut world, "default", static_profile("my-tool", "tool.example.com"));
    for written in ["my-tool", " My-Tool "] {
        assert_eq!(host(&mut world, written, "default").as_deref(), Some("tool.example.com"), "{written}");
    }
    let github = host(&mut world, "github", "").expect("it is built in");
    assert_eq!(host(&mut world, "gh", ""), Some(github), "an alias");
}

#[test]
fn ec_24_the_scope_of_a_provider_says_where_its_profile_is_looked_for() {
    let mut world = World::composing();
    imported(&mut world, "", static_profile("wide", "platform.example.com"));
    imported(&mut world, "", static_profile("both", "platform.example.com"));
    imported(&mut world, "default", static_profile("both", "workspace.example.com"));
    imported(&mut world, "default", static_profile("own", "workspace.example.com"));
    for (provider_type, scope, expected) in [
        ("wide", "default", Some("platform.example.com")),
        ("wide", "", Some("platform.example.com")),
        ("both", "default", Some("workspace.example.com")),
        ("both", "", Some("platform.example.com")),
        ("own", "default", Some("workspace.example.com")),
        ("own", "", None),
        ("nowhere", "default", None),
    ] {
        assert_eq!(host(&mut world, provider_type, scope).as_deref(), expected, "{provider_type} in {scope:?}");
    }
    // A newer catalogue's comes before all others.
    write_profile(&mut world, &Key::builtin_profile("both"), static_profile("both", "built-in.example.com"));
    assert_eq!(host(&mut world, "both", "default").as_deref(), Some("built-in.example.com"));
}

#[test]
fn ec_26_a_layer_is_the_profiles_endpoints_and_binaries_as_they_are() {
    let mut world = World::composing();
    let mut wide = tool();
    wide.endpoints.push(NetworkEndpoint { ports: vec![8443, 443], port: 0, ..endpoint("b.example.com", 0) });
    wide.binaries = vec![NetworkBinary { path: "/usr/bin/b".to_owned(), harness: false }];
    imported(&mut world, "default", wide.clone());
    imported(&mut world, "default", minimal("bare"));
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&provider("q", "bare", &["Q_KEY"]));
    world.ok(&sandbox("s", &["p", "q"], Some(policy("a.example.com"))));
    let rules = world.effective("s").policy.expect("a policy").network_policies;
    let mut layer = rules["_provider_p"].clone();
    assert!(layer.endpoints.iter().all(|endpoint| endpoint.provider_credentialed));
    layer.endpoints.iter_mut().for_each(|endpoint| endpoint.provider_credentialed = false);
    assert_eq!((layer.endpoints, layer.binaries), (wide.endpoints, wide.binaries));
    assert_eq!(rules["_provider_q"].endpoints, [], "a profile without endpoints has a layer all the same");
}

/// Whether rule `r1` of sandbox `s` is marked.
fn marked(world: &World) -> bool {
    world.effective("s").policy.expect("a policy").network_policies["r1"].endpoints[0].provider_credentialed
}

#[test]
fn ec_8_and_32_marks_are_the_gateways_also_without_composition_and_under_a_global_policy() {
    let mut world = with_tool();
    let sent =
        |host: &str, marked| policy_of("r1", NetworkEndpoint { provider_credentialed: marked, ..endpoint(host, 443) });
    write_policy(&mut world, &sent("elsewhere.example.com", true));
    assert!(!marked(&world), "a stored mark is not believed");
    write_policy(&mut world, &sent("TOOL.example.com", false));
    assert!(marked(&world));
    write_policy(&mut world, &sent("*.example.com", false));
    assert!(marked(&world), "patterns overlap");
    let mut other_port = sent("tool.example.com", true);
    other_port.network_policies.get_mut("r1").expect("r1").endpoints[0].port = 8443;
    write_policy(&mut world, &other_port);
    assert!(!marked(&world));
    world.ok(&global_policy(policy("tool.example.com")));
    assert!(marked(&world), "under a global policy");
    // What EC-27 marked is marked anew: a profile without credentials gives none.
    write_profile(&mut world, &Key::profile("default", "tool"), static_profile("tool", "tool.example.com"));
    assert!(!marked(&world));
}

#[test]
fn ec_27_a_profile_that_signs_is_credentialed_too() {
    let mut world = with_tool();
    write_policy(&mut world, &policy("tool.example.com"));
    let mut signing = static_profile("tool", "tool.example.com");
    signing
        .endpoints
        .push(NetworkEndpoint { credential_signing: "sigv4".to_owned(), ..endpoint("s3.example.com", 443) });
    write_profile(&mut world, &Key::profile("default", "tool"), signing);
    assert!(marked(&world), "each of its endpoints, not only the one that signs");
}

#[test]
fn ec_31_a_bound_endpoint_of_a_provider_without_endpoints_is_marked_whatever_its_path() {
    let mut world = with_tool();
    let mut bare = minimal("bare");
    bare.credentials = vec![credential("k", "BARE_KEY")];
    imported(&mut world, "default", bare);
    world.ok(&provider("q", "bare", &["BARE_KEY"]));
    world.ok(&crate::support::attach("s", "q"));
    let at = |path: &str, port, bound: bool| NetworkEndpoint {
        path: path.to_owned(),
        credential_binding: bound.then(|| NetworkCredentialBinding { provider: "q".to_owned() }),
        ..endpoint("Bound.example.com", port)
    };
    let mut both = policy_of("r1", at("/other", 443, false));
    both.network_policies.get_mut("r1").expect("r1").endpoints.extend([at("/v1", 443, true), at("/v1", 80, false)]);
    write_policy(&mut world, &both);
    let endpoints = world.effective("s").policy.expect("a policy").network_policies["r1"].endpoints.clone();
    let marks: Vec<bool> = endpoints.iter().map(|endpoint| endpoint.provider_credentialed).collect();
    assert_eq!(marks, [true, true, false]);
}

#[test]
fn ec_29_nothing_composed_is_stored() {
    let mut world = with_tool();
    world.ok(&global_setting(V2, true));
    let before = world.state.digest();
    assert_eq!(world.rules("s"), ["_provider_p", "r1"]);
    assert_eq!(world.state.digest(), before);
    for revision in world.revisions("s") {
        assert_eq!(revision.policy.network_policies.keys().collect::<Vec<_>>(), ["r1"]);
    }
}

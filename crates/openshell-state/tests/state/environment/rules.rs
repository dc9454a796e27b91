//! The rules of `config.md` 6 that the scenarios leave out, by number. What no call would leave behind is
//! written past the rules.

use openshell_proto::datamodel::CredentialHandle;
use openshell_proto::v1::StoredProviderProfile;
use openshell_state::effective::sandbox_config;

use super::*;
use crate::support::global_policy;

/// Changes a stored provider past the rules.
fn change(world: &mut World, name: &str, change: impl FnOnce(&mut Provider)) {
    let mut provider = world.stored_provider(name).clone();
    change(&mut provider);
    world.write(&Key::provider("default", name), Some(&provider));
}

/// Changes the stored profile `tool` past the rules.
fn change_tool(world: &mut World, change: impl FnOnce(&mut ProviderProfile)) {
    let mut stored: StoredProviderProfile = world.stored_profile("default", "tool").clone();
    change(stored.profile.as_mut().expect("a profile"));
    world.write(&Key::profile("default", "tool"), Some(&stored));
}

#[test]
fn pe_1_a_sandbox_asks_for_itself_before_anything_is_looked_up() {
    let mut world = with_tool();
    world.ok(&sandbox("other", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let ask = |principal: &Principal, id: &str| {
        query::sandbox::of_itself(&world.state, principal, id)
            .map(|(key, _)| key.clone())
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(ask(&own, &world.sandbox_id("s")), Ok(Key::sandbox("default", "s")));
    for asked in [world.sandbox_id("other").as_str(), "no such id", ""] {
        assert_eq!(ask(&own, asked), Err(Code::PermissionDenied), "{asked:?}");
    }
    let gone = Principal::Sandbox { id: "gone".to_owned() };
    assert_eq!(ask(&gone, "gone"), Err(Code::NotFound));
    assert_eq!(ask(&world.principal, &world.sandbox_id("s")), Err(Code::PermissionDenied));
    assert_eq!(ask(&Principal::Anonymous, ""), Err(Code::Unauthenticated));
}

#[test]
fn pe_2_without_a_policy_it_is_that_of_an_empty_one_and_nothing_is_written() {
    let world = with_tool();
    let before = world.state.digest();
    assert_eq!(keys(&environment(&world).environment), ["TOOL_KEY"]);
    assert_eq!(world.state.digest(), before);
    assert_eq!(world.effective("s").version, 0);
}

#[test]
fn pe_3_and_11_what_breaks_a_binding_is_refused_here_as_for_the_configuration() {
    let mut world = World::new();
    imported(&mut world, "default", ProviderProfile { credentials: vec![credential("k", "P_KEY")], ..minimal("tool") });
    world.ok(&provider("p", "tool", &["P_KEY"]));
    world.ok(&sandbox("s", &["p"], Some(bound("/v1"))));
    assert_eq!(keys(&environment(&world).environment), ["P_KEY"]);
    change_tool(&mut world, |profile| profile.endpoints = vec![endpoint("new.example.com", 443)]);
    let words = ["\"p\"", "profile already defines endpoints"];
    says(&refused(&world, Code::FailedPrecondition), &words);
    let config = sandbox_config(&world.state, "default", world.stored_sandbox("s")).expect_err("refused");
    assert_eq!(config.code, Code::FailedPrecondition);
    says(&config.message, &words);
}

#[test]
fn pe_4_neither_composition_nor_a_global_policy_changes_what_providers_give() {
    let mut world = with_tool();
    world.ok(&update_policy("s", crate::support::policy("a.example.com")));
    let off = environment(&world);
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(environment(&world), off);
    world.ok(&global_policy(crate::support::policy("g.example.com")));
    assert_eq!(environment(&world), off);
}

#[test]
fn pe_5_and_9_only_what_is_sealed_is_a_candidate_and_only_what_expires_has_an_expiry() {
    let mut world = World::new();
    let expiry = world.time_ms + 1_000_000;
    world.ok(&expiring("p", "anything", &[("EXPIRES", expiry), ("NEVER", 0)]));
    world.ok(&sandbox("s", &["p"], None));
    // A departure from PE-9: a credential in plain text would be one that nobody sealed.
    change(&mut world, "p", |provider| drop(provider.credentials.insert("PLAIN".to_owned(), "plain".to_owned())));
    let answer = environment(&world);
    assert_eq!(answer.environment, map(&[("EXPIRES", "secret"), ("NEVER", "secret")]));
    assert_eq!(answer.credential_expires_at_ms, [("EXPIRES".to_owned(), expiry)].into());
}

#[test]
fn pe_6_what_is_no_variable_and_what_has_expired_is_left_out_everywhere() {
    let mut world = with_tool();
    let now_ms = world.time_ms;
    change(&mut world, "p", |provider| {
        let sealed = provider.credential_handles["TOOL_KEY"].clone();
        for key in ["not a variable", "1KEY", "EXPIRED_KEY"] {
            provider.credential_handles.insert(key.to_owned(), sealed.clone());
        }
        provider.credential_expires_at_ms.insert("EXPIRED_KEY".to_owned(), now_ms);
    });
    let answer = environment(&world);
    assert_eq!(keys(&answer.environment), ["TOOL_KEY"]);
    assert_eq!(keys(&answer.static_credential_bindings), ["TOOL_KEY"]);
    assert_eq!(answer.credential_expires_at_ms, BTreeMap::new());
}

#[test]
fn pe_7_a_credential_that_somebody_else_keeps_is_an_error_and_not_a_missing_key() {
    let mut world = with_tool();
    change(&mut world, "p", |provider| {
        let handle = CredentialHandle { driver: "elsewhere".to_owned(), ..CredentialHandle::default() };
        provider.credential_handles.insert("FOREIGN_KEY".to_owned(), handle);
    });
    says(&refused(&world, Code::Internal), &["FOREIGN_KEY", "\"p\"", "elsewhere"]);
}

#[test]
fn pe_8_without_a_usable_place_all_of_a_providers_credentials_are_withheld() {
    let mut world = with_tool();
    world.ok(&update_provider("p", &[("OTHER_KEY", "secret")], &[]));
    let expiry = world.time_ms + 1_000_000;
    change(&mut world, "p", |provider| {
        provider.credential_expires_at_ms.insert("OTHER_KEY".to_owned(), expiry);
    });
    assert_eq!(keys(&environment(&world).environment), ["OTHER_KEY", "TOOL_KEY"]);
    for change in
        [(|profile: &mut ProviderProfile| profile.endpoints[0].port = 0) as fn(&mut ProviderProfile), |profile| {
            profile.endpoints.clear()
        }]
    {
        change_tool(&mut world, change);
        let answer = environment(&world);
        assert!(answer.environment.is_empty() && answer.static_credential_bindings.is_empty(), "{answer:?}");
        assert!(answer.credential_expires_at_ms.is_empty());
    }
}

#[test]
fn pe_10_a_credential_may_be_used_at_every_port_of_every_endpoint_of_its_profile() {
    let mut world = with_tool();
    change_tool(&mut world, |profile| {
        let many =
            NetworkEndpoint { ports: vec![8443, 0, 443], path: "/v1/**".to_owned(), ..endpoint("B.example.com", 80) };
        profile.endpoints = vec![many, endpoint("a.example.com", 443), endpoint("none.example.com", 0)];
    });
    let places: Vec<_> = environment(&world).static_credential_bindings["TOOL_KEY"]
        .endpoints
        .iter()
        .map(|place| (place.host.clone(), place.port, place.path.clone()))
        .collect();
    let place = |host: &str, port, path: &str| (host.to_owned(), port, path.to_owned());
    assert_eq!(
        places,
        [
            place("B.example.com", 8443, "/v1/**"),
            place("B.example.com", 443, "/v1/**"),
            place("a.example.com", 443, "")
        ]
    );
}

#[test]
fn pe_13_a_provider_without_an_id_has_no_handle() {
    let mut world = with_tool();
    let mut state = refresh(&world, "p", "r1", "TOOL_KEY", "epoch-1");
    state.provider_id.clear();
    change(&mut world, "p", |provider| provider.metadata.as_mut().expect("metadata").id.clear());
    world.write_refresh(&state);
    says(&refused(&world, Code::FailedPrecondition), &["\"p\"", "has no id"]);
}

#[test]
fn pe_14_configuration_yields_to_the_providers_own_credentials() {
    let mut world = World::new();
    world.ok(&provider("p", "gcp", &["GCP_PROJECT_ID"]));
    world.ok(&update_provider("p", &[], &[("project_id", "configured"), ("region", " "), ("unknown", "x")]));
    world.ok(&sandbox("s", &["p"], None));
    let fixed = [("GCE_METADATA_HOST", "gcp.metadata.openshell.internal"), ("GOOGLE_CLOUD_PROJECT", "configured")];
    // Its profile has no places, so that the credential is withheld and in no one's way; a blank value is none.
    let withheld = environment(&world);
    assert_eq!(withheld.environment, map(&[fixed[0], fixed[1], ("GCP_PROJECT_ID", "configured")]));
    assert_eq!(withheld.non_secret_environment_keys.len(), 3);
    world.ok(&update_policy("s", bound("")));
    let given = environment(&world);
    assert_eq!(given.environment, map(&[fixed[0], fixed[1], ("GCP_PROJECT_ID", "secret")]));
    assert_eq!(given.non_secret_environment_keys, ["GCE_METADATA_HOST", "GOOGLE_CLOUD_PROJECT"]);
    assert_eq!(keys(&given.static_credential_bindings), ["GCP_PROJECT_ID"]);
}

#[test]
fn pe_15_bindings_and_what_is_not_secret_are_a_partition_of_the_environment() {
    let mut world = with_tool();
    world.ok(&provider("cloud", "google-cloud", &["GCP_ADC_ACCESS_TOKEN"]));
    world.ok(&update_provider("cloud", &[], &[("project_id", "x")]));
    world.ok(&attach("s", "cloud"));
    let answer = environment(&world);
    let mut parts: Vec<&str> = answer.non_secret_environment_keys.iter().map(String::as_str).collect();
    assert!(parts.iter().all(|key| !answer.static_credential_bindings.contains_key(*key)));
    parts.extend(keys(&answer.static_credential_bindings));
    parts.sort_unstable();
    assert_eq!(parts, keys(&answer.environment));
    assert!(parts.contains(&"TOOL_KEY") && parts.contains(&"GCP_PROJECT_ID"), "{parts:?}");
}

#[test]
fn pe_16_a_granted_token_has_a_key_for_each_port_of_each_endpoint() {
    let mut world = World::new();
    let mut profile = token_grant("grant", "API.example.com", "/v1");
    profile.endpoints[0].ports = vec![443, 8443];
    profile.endpoints.push(endpoint("b.example.com", 80));
    imported(&mut world, "default", profile);
    world.ok(&provider("g", "grant", &[]));
    world.ok(&sandbox("s", &["g"], None));
    assert_eq!(
        keys(&environment(&world).dynamic_credentials),
        [
            "api.example.com\t443\t/v1\tg:access_token",
            "api.example.com\t8443\t/v1\tg:access_token",
            "b.example.com\t80\t\tg:access_token",
        ]
    );
}

#[test]
fn pe_17_an_override_that_does_not_match_chooses_nothing() {
    let mut world = World::new();
    let mut profile = token_grant("grant", "api.example.com", "/v1");
    let grant = profile.credentials[0].token_grant.as_mut().expect("a grant");
    grant.audience = "usual".to_owned();
    let chosen = |host: &str, port, audience: &str| ProviderCredentialTokenGrantAudienceOverride {
        host: host.to_owned(),
        port,
        path: "/chosen".to_owned(),
        audience: audience.to_owned(),
        ..Default::default()
    };
    grant.audience_overrides =
        vec![chosen("other.example.com", 0, "wrong"), chosen("", 8443, "wrong"), chosen("*.example.com", 443, "right")];
    imported(&mut world, "default", profile);
    world.ok(&provider("g", "grant", &[]));
    world.ok(&sandbox("s", &["g"], None));
    let given = environment(&world).dynamic_credentials;
    let audiences: Vec<_> = given
        .iter()
        .map(|(key, credential)| (key.as_str(), credential.token_grant.as_ref().expect("a grant").audience.as_str()))
        .collect();
    assert_eq!(
        audiences,
        [
            ("*.example.com\t443\t/chosen\tg:access_token", "right"),
            ("api.example.com\t443\t/v1\tg:access_token", "usual")
        ]
    );
}

#[test]
fn pe_18_dynamic_credentials_are_there_whatever_becomes_of_the_static_ones() {
    let mut world = World::new();
    imported(&mut world, "default", token_grant("grant", "api.example.com", "/v1"));
    world.ok(&provider("g", "grant", &[]));
    // Without a profile it spoils the static set, in the eyes of a supervisor.
    world.ok(&provider("spoiling", "unheard-of", &["SOME_KEY"]));
    world.ok(&sandbox("s", &["g", "spoiling"], None));
    for flag in [true, false] {
        assert_eq!(answer(&world, flag).dynamic_credentials.len(), 1);
    }
}

#[test]
fn pe_19_the_flag_takes_what_is_static_and_leaves_the_revision() {
    let world = with_tool();
    let (with, without) = (environment(&world), answer(&world, false));
    assert_eq!(keys(&with.environment), ["TOOL_KEY"]);
    assert!(without.environment.is_empty() && without.static_credential_bindings.is_empty());
    assert_eq!(without.provider_env_revision, with.provider_env_revision);
}

#[test]
fn pe_20_a_key_that_will_be_minted_collides_before_it_is() {
    let mut world = with_tool();
    world.ok(&provider("other", "unheard-of", &["MINTED_KEY"]));
    let mut state = refresh(&world, "p", "r1", "UNUSED_KEY", "epoch-1");
    state.additional_output_keys = map(&[("session", "MINTED_KEY")]);
    world.write_refresh(&state);
    let words = ["MINTED_KEY", "\"other\"", "\"p\""];
    says(&world.refused(Code::FailedPrecondition, &attach("s", "other")), &words);
    says(&world.refused(Code::FailedPrecondition, &sandbox("t", &["p", "other"], None)), &words);
    // As a restored record may have it.
    let mut listed = world.stored_sandbox("s").clone();
    listed.spec.as_mut().expect("a spec").providers.push("other".to_owned());
    world.write(&Key::sandbox("default", "s"), Some(&listed));
    says(&refused(&world, Code::FailedPrecondition), &words);
}

#[test]
fn pe_21_a_credential_must_not_be_what_another_provider_generates() {
    let mut world = World::new();
    world.ok(&provider("cloud", "gcp", &["GCP_ADC_ACCESS_TOKEN"]));
    world.ok(&provider("other", "unheard-of", &["GCE_METADATA_HOST"]));
    world.ok(&sandbox("s", &["cloud"], None));
    let words = ["GCE_METADATA_HOST", "\"other\"", "\"cloud\""];
    says(&world.refused(Code::FailedPrecondition, &attach("s", "other")), &words);
    says(&world.refused(Code::FailedPrecondition, &sandbox("t", &["other", "cloud"], None)), &words);
}

#[test]
fn pe_22_token_grants_that_tie_are_refused() {
    let mut world = World::new();
    imported(&mut world, "default", token_grant("one", "api.example.com", "/v1/**"));
    imported(&mut world, "default", token_grant("two", "api.example.com", "/v1/**"));
    for name in ["one", "two"] {
        world.ok(&provider(name, name, &[]));
    }
    world.ok(&sandbox("s", &["one"], None));
    let words = ["dynamic token grants", "ambiguous"];
    says(&world.refused(Code::FailedPrecondition, &attach("s", "two")), &words);
    says(&world.refused(Code::FailedPrecondition, &sandbox("t", &["one", "two"], None)), &words);
}

#[test]
fn pe_23_a_provider_does_not_collide_with_itself() {
    let mut world = World::new();
    // The key is its credential and generated from its configuration.
    world.ok(&provider("cloud", "gcp", &["GCP_PROJECT_ID"]));
    world.ok(&update_provider("cloud", &[], &[("project_id", "x")]));
    world.ok(&sandbox("s", &["cloud"], None));
    assert!(environment(&world).environment.contains_key("GCP_PROJECT_ID"));
    let mut state = refresh(&world, "cloud", "r1", "GCP_PROJECT_ID", "epoch-1");
    state.additional_output_keys = map(&[("same", "GCP_PROJECT_ID")]);
    world.write_refresh(&state);
    assert!(environment(&world).environment.contains_key("GCP_PROJECT_ID"));
}

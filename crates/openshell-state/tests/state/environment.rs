//! The scenarios of `config.md` 10.7, by number, and rules of its section 6; more of these are in `rules`.

mod rules;

use std::collections::BTreeMap;

use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint, SandboxPolicy};
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, DeleteSandboxRequest, GetSandboxProviderEnvironmentResponse,
    ProviderCredentialRefreshStrategy as Strategy, ProviderCredentialTokenGrantAudienceOverride, ProviderProfile,
    WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::effective::Environment;
use openshell_state::{Code, Key, Opener, Refusal, Sealer, query};
use prost::Message;

use crate::support::{
    Seeded, World, admin, attach, credential, detach, endpoint, global_setting, imported, map, minimal, policy_of,
    provider, refresh, remove_member, sandbox, says, static_profile, token_grant, update, update_policy,
    update_provider, user,
};

/// Opens what the world's sealer sealed in this place, when that was `secret`.
pub(crate) struct Secret;

impl Opener for Secret {
    fn open(&self, kind: &str, workspace: &str, name: &str, field: &str, sealed: &str) -> Option<Vec<u8>> {
        let expected = Seeded::new(0).seal(kind, workspace, name, field, b"secret");
        (sealed == expected).then(|| b"secret".to_vec())
    }
}

fn composed(world: &World, name: &str, now_ms: i64) -> Result<Environment, Refusal> {
    Environment::compose(&world.state, "default", world.stored_sandbox(name), now_ms)
}

/// What the sandbox `s` gets now.
fn environment(world: &World) -> GetSandboxProviderEnvironmentResponse {
    answer(world, true)
}

fn answer(world: &World, static_bindings: bool) -> GetSandboxProviderEnvironmentResponse {
    let composed = composed(world, "s", world.time_ms).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    opened(&composed, static_bindings)
}

pub(crate) fn opened(composed: &Environment, static_bindings: bool) -> GetSandboxProviderEnvironmentResponse {
    let encoded = composed.answer(&Secret, static_bindings).expect("what was sealed opens");
    let answer = GetSandboxProviderEnvironmentResponse::decode(encoded.as_slice()).expect("an answer");
    assert_eq!(answer.encode_to_vec(), encoded, "fields and keys are in order");
    answer
}

fn refused(world: &World, code: Code) -> String {
    let refusal = composed(world, "s", world.time_ms).expect_err("it is refused");
    assert_eq!(refusal.code, code, "{}", refusal.message);
    refusal.message
}

fn keys<V>(map: &BTreeMap<String, V>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

/// A profile `tool` with one credential, for `tool.example.com`.
fn tool() -> ProviderProfile {
    ProviderProfile { credentials: vec![credential("token", "TOOL_KEY")], ..static_profile("tool", "tool.example.com") }
}

/// A sandbox `s` and a provider `p` of the profile `tool`, which it lists.
fn with_tool() -> World {
    let mut world = World::new();
    imported(&mut world, "default", tool());
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    world
}

fn expiring(name: &str, provider_type: &str, expiries: &[(&str, i64)]) -> CreateProviderRequest {
    let mut request = provider(name, provider_type, &[]);
    let asked: &mut Provider = request.provider.as_mut().expect("a provider");
    for (key, expiry) in expiries {
        asked.credentials.insert((*key).to_owned(), "secret".to_owned());
        asked.credential_expires_at_ms.insert((*key).to_owned(), *expiry);
    }
    request
}

fn bound(path: &str) -> SandboxPolicy {
    let credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
    let path = path.to_owned();
    policy_of("r1", NetworkEndpoint { credential_binding, path, ..endpoint("bound.example.com", 443) })
}

#[test]
fn config_scenario_85_attaching_and_detaching_change_keys_and_revision() {
    let mut world = with_tool();
    world.ok(&detach("s", "p"));
    let mut revisions = vec![environment(&world).provider_env_revision];
    assert!(environment(&world).environment.is_empty());
    world.ok(&attach("s", "p"));
    let attached = environment(&world);
    assert_eq!(attached.environment, map(&[("TOOL_KEY", "secret")]));
    assert_eq!(attached.provider_env_revision, world.effective("s").provider_env_revision);
    revisions.push(attached.provider_env_revision);
    world.ok(&detach("s", "p"));
    assert_eq!(environment(&world).environment, BTreeMap::new());
    revisions.push(environment(&world).provider_env_revision);
    assert!(revisions[0] != revisions[1] && revisions[1] != revisions[2], "{revisions:?}");
}

#[test]
fn config_scenario_86_two_updates_of_a_provider_give_two_revisions() {
    let mut world = with_tool();
    let mut seen = vec![environment(&world).provider_env_revision];
    for _ in 0..2 {
        world.ok(&update_provider("p", &[("TOOL_KEY", "secret")], &[]));
        // Also within one millisecond.
        world.time_ms -= 1;
        seen.push(environment(&world).provider_env_revision);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[test]
fn config_scenario_87_without_bindings_there_are_no_credentials() {
    let mut world = with_tool();
    imported(&mut world, "default", token_grant("grant", "h.example.com", "/v1"));
    world.ok(&provider("g", "grant", &[]));
    world.ok(&provider("cloud", "google-cloud", &["GCP_ADC_ACCESS_TOKEN"]));
    imported(&mut world, "default", ProviderProfile { id: "timed".to_owned(), ..tool() });
    world.ok(&expiring("timed", "timed", &[("TIMED_KEY", world.time_ms + 10_000)]));
    for name in ["g", "cloud", "timed"] {
        world.ok(&attach("s", name));
    }
    let (with, without) = (environment(&world), answer(&world, false));
    assert_eq!(keys(&with.environment), ["GCE_METADATA_HOST", "TIMED_KEY", "TOOL_KEY"]);
    assert_eq!(keys(&with.static_credential_bindings), ["TIMED_KEY", "TOOL_KEY"]);
    assert_eq!(keys(&with.credential_expires_at_ms), ["TIMED_KEY"]);
    assert_eq!(keys(&without.environment), ["GCE_METADATA_HOST"]);
    assert!(without.static_credential_bindings.is_empty() && without.credential_expires_at_ms.is_empty());
    assert_eq!(without.non_secret_environment_keys, ["GCE_METADATA_HOST"]);
    assert_eq!(without.dynamic_credentials, with.dynamic_credentials);
    assert_eq!(without.dynamic_credentials.len(), 1);
    assert_eq!(without.provider_env_revision, with.provider_env_revision);
    // PE-15: what is not secret and what is bound are all there is.
    let mut parts: Vec<&str> = keys(&with.static_credential_bindings);
    parts.extend(with.non_secret_environment_keys.iter().map(String::as_str));
    parts.sort_unstable();
    assert_eq!(parts, keys(&with.environment));
}

#[test]
fn config_scenario_88_an_expired_credential_is_absent() {
    let mut world = World::new();
    let now_ms = world.time_ms + 60_000;
    let expiries = [("EXPIRED", now_ms - 1000), ("NOW", now_ms), ("NEXT", now_ms + 1), ("NEVER", 0)];
    world.ok(&expiring("p", "anything", &expiries));
    world.ok(&sandbox("s", &["p"], None));
    let composed = composed(&world, "s", now_ms).expect("composed");
    let answer = opened(&composed, true);
    assert_eq!(keys(&answer.environment), ["NEVER", "NEXT"]);
    assert_eq!(answer.credential_expires_at_ms, [("NEXT".to_owned(), now_ms + 1)].into());
    assert_eq!(composed.valid_until_ms(), Some(now_ms + 1));
    assert!(composed.holds_at(now_ms) && !composed.holds_at(now_ms + 1));
    assert!(!composed.holds_at(now_ms - 1), "what expired meanwhile was there then");
}

#[test]
fn config_scenario_89_without_a_place_a_credential_is_withheld() {
    let mut world = World::new();
    imported(
        &mut world,
        "default",
        ProviderProfile { credentials: vec![credential("k", "P_KEY")], ..minimal("keyed") },
    );
    world.ok(&provider("p", "keyed", &["P_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    let withheld = environment(&world);
    assert!(withheld.environment.is_empty() && withheld.static_credential_bindings.is_empty());
    world.ok(&update_policy("s", bound("/v1")));
    let given = environment(&world);
    assert_eq!(given.environment, map(&[("P_KEY", "secret")]));
    let places = &given.static_credential_bindings["P_KEY"].endpoints;
    let [place] = places.as_slice() else { panic!("one place: {places:?}") };
    assert_eq!((place.host.as_str(), place.port, place.path.as_str()), ("bound.example.com", 443, "/v1"));
    world.ok(&update_policy("s", bound("/v2")));
    let moved = environment(&world);
    assert_eq!(moved.static_credential_bindings["P_KEY"].endpoints[0].path, "/v2");
    let revisions = [&withheld, &given, &moved].map(|answer| answer.provider_env_revision);
    assert!(revisions[0] != revisions[1] && revisions[1] != revisions[2], "{revisions:?}");
}

#[test]
fn config_scenario_90_a_provider_without_a_profile_has_no_binding() {
    let mut world = World::new();
    world.ok(&provider("p", "unheard-of", &["SOME_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    let answer = environment(&world);
    assert_eq!(answer.environment, map(&[("SOME_KEY", "secret")]));
    assert!(answer.static_credential_bindings.is_empty() && answer.non_secret_environment_keys.is_empty());
}

#[test]
fn config_scenario_91_token_grants_are_dynamic_credentials() {
    let mut world = World::new();
    let mut profile = token_grant("grant", "H.example.com", "/v1");
    profile.endpoints[0].port = 80;
    imported(&mut world, "default", profile.clone());
    world.ok(&provider("g", "grant", &[]));
    world.ok(&sandbox("s", &["g"], None));
    let key = "h.example.com\t80\t/v1\tg:access_token";
    let before = environment(&world);
    assert_eq!(keys(&before.dynamic_credentials), [key]);
    let grant = profile.credentials[0].token_grant.as_mut().expect("a grant");
    grant.audience_overrides = vec![ProviderCredentialTokenGrantAudienceOverride {
        host: "h.example.com".to_owned(),
        audience: "special".to_owned(),
        scopes: vec!["narrow".to_owned()],
        ..Default::default()
    }];
    let answer = world.ok(&update("default", 1, profile));
    assert!(answer.updated, "{}", crate::support::texts(&answer.diagnostics));
    let after = environment(&world);
    assert_ne!(after.provider_env_revision, before.provider_env_revision);
    let grant = after.dynamic_credentials[key].token_grant.as_ref().expect("a grant");
    assert_eq!((grant.audience.as_str(), grant.scopes.as_slice()), ("special", &["narrow".to_owned()][..]));
    assert!(grant.audience_overrides.is_empty());
}

#[test]
fn config_scenario_92_composition_has_no_influence() {
    let mut world = with_tool();
    let off = environment(&world);
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(environment(&world), off);
}

#[test]
fn pe_1_only_the_sandbox_itself_is_found_and_only_while_it_exists() {
    let mut world = with_tool();
    world.ok(&sandbox("other", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let (key, _) = query::sandbox::of_principal(&world.state, &own).expect("it exists");
    assert_eq!(*key, Key::sandbox("default", "s"));
    for (principal, code) in
        [(world.principal.clone(), Code::PermissionDenied), (Principal::Anonymous, Code::Unauthenticated)]
    {
        assert_eq!(query::sandbox::of_principal(&world.state, &principal).expect_err("nobody else").code, code);
    }
    world.ok(&DeleteSandboxRequest { name: "s".to_owned(), ..DeleteSandboxRequest::default() });
    world.ok(&sandbox("s", &["p"], None));
    let gone = query::sandbox::of_principal(&world.state, &own).expect_err("an id is not used again");
    assert_eq!(gone.code, Code::NotFound);
}

#[test]
fn pe_12_a_credential_is_known_by_its_provider_and_key() {
    let mut world = with_tool();
    let id = world.stored_provider("p").metadata.as_ref().expect("metadata").id.clone();
    let binding = &environment(&world).static_credential_bindings["TOOL_KEY"];
    assert_eq!(binding.credential_identity, format!("{id}:TOOL_KEY"));
    assert_eq!(binding.workload_credential_handle, "");
    world.ok(&update_provider("p", &[("not_a_profile_key", "secret")], &[]));
    assert_eq!(keys(&environment(&world).environment), ["TOOL_KEY", "not_a_profile_key"]);
}

#[test]
fn pe_6_what_never_enters_a_sandbox_stays_out() {
    let mut world = World::new();
    world.ok(&provider("p", "vertex", &["GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_VERTEX_AI_TOKEN"]));
    world.ok(&update_provider("p", &[], &[("VERTEX_AI_PROJECT_ID", " proj "), ("VERTEX_AI_REGION", " ")]));
    world.ok(&sandbox("s", &["p"], None));
    let answer = environment(&world);
    assert_eq!(
        keys(&answer.environment),
        [
            "ANTHROPIC_VERTEX_PROJECT_ID",
            "GCP_PROJECT_ID",
            "GOOGLE_CLOUD_PROJECT",
            "GOOGLE_VERTEX_AI_TOKEN",
            "GOOSE_PROVIDER"
        ]
    );
    assert_eq!(answer.environment["GCP_PROJECT_ID"], "proj");
}

#[test]
fn pe_14_of_two_providers_the_earlier_ones_configuration_wins() {
    let mut world = World::new();
    for (name, project) in [("one", "first"), ("two", "second")] {
        world.ok(&provider(name, "gcp", &[&format!("{}_TOKEN", name.to_uppercase())]));
        world.ok(&update_provider(name, &[], &[("project_id", project)]));
    }
    for (order, wins) in [(["one", "two"], "first"), (["two", "one"], "second")] {
        world.ok(&sandbox(wins, &order, None));
        let composed = composed(&world, wins, world.time_ms).expect("composed");
        let answer = opened(&composed, true);
        assert_eq!(answer.environment["GCP_PROJECT_ID"], wins);
        let hosts = answer.non_secret_environment_keys.iter().filter(|key| *key == "GCE_METADATA_HOST");
        assert_eq!(hosts.count(), 1, "each key is named once");
    }
}

#[test]
fn pe_20_keys_that_collide_are_refused_until_one_expires() {
    let mut world = World::new();
    let until_ms = world.time_ms + 1_000_000;
    world.ok(&expiring("a", "one", &[("KEY", 1)]));
    world.ok(&provider("b", "two", &["KEY"]));
    world.ok(&sandbox("s", &["a", "b"], None));
    // As a restored record may have it: no call would make a live collision.
    let mut living = world.stored_provider("a").clone();
    living.credential_expires_at_ms.insert("KEY".to_owned(), until_ms);
    world.write(&Key::provider("default", "a"), Some(&living));
    says(&refused(&world, Code::FailedPrecondition), &["KEY", "\"a\"", "\"b\""]);
    world.time_ms = until_ms;
    assert_eq!(environment(&world).environment, map(&[("KEY", "secret")]));
}

#[test]
fn pe_2_a_missing_provider_is_said() {
    let mut world = with_tool();
    world.write::<Provider>(&Key::provider("default", "p"), None);
    says(&refused(&world, Code::FailedPrecondition), &["\"p\"", "does not exist"]);
}

#[test]
fn pe_13_a_minted_credential_has_a_handle_that_outlives_its_tokens() {
    let mut world = with_tool();
    let mut state = refresh(&world, "p", "r1", "TOOL_KEY", "epoch-1");
    world.write_refresh(&state);
    let handle = |world: &World| environment(world).static_credential_bindings["TOOL_KEY"].clone();
    let first = handle(&world);
    assert_eq!(first.workload_credential_handle.len(), 64);
    assert_eq!(first.credential_identity, format!("refresh:{}", first.workload_credential_handle));
    // Computed by hand from the rule, for this sandbox and provider.
    let id = world.sandbox_id("s");
    let mut expected = sha2::Sha256::default();
    for part in ["openshell-workload-credential-handle-v1", &id, &state.provider_id, "TOOL_KEY", "epoch-1"]
        .map(str::as_bytes)
        .into_iter()
        .chain([b"tool.example.com".as_slice(), &443u32.to_le_bytes(), b"/**"])
    {
        sha2::Digest::update(&mut expected, (part.len() as u64).to_le_bytes());
        sha2::Digest::update(&mut expected, part);
    }
    assert_eq!(first.workload_credential_handle, hex::encode(sha2::Digest::finalize(expected)));
    world.ok(&update_provider("p", &[], &[("other", "value")]));
    assert_eq!(handle(&world), first, "tokens and configuration come and go");
    state.authorization_epoch = "epoch-2".to_owned();
    world.write_refresh(&state);
    let granted_again = handle(&world);
    assert_ne!(granted_again, first);
    world.ok(&update("default", 1, ProviderProfile { endpoints: vec![endpoint("new.example.com", 443)], ..tool() }));
    assert_ne!(handle(&world), granted_again, "another endpoint, another handle");
    let mut second = refresh(&world, "p", "r2", "OTHER_KEY", "epoch-3");
    second.additional_output_keys = map(&[("session", "TOOL_KEY")]);
    world.write_refresh(&second);
    says(&refused(&world, Code::FailedPrecondition), &["TOOL_KEY", "two refresh authorizations"]);
    second.status = "deleting".to_owned();
    world.write_refresh(&second);
    assert_eq!(handle(&world).credential_identity.len(), "refresh:".len() + 64, "one that goes does not count");
    state.strategy = Strategy::External as i32;
    world.write_refresh(&state);
    assert_eq!(handle(&world).workload_credential_handle, "", "nobody mints it here");
}

#[test]
fn a_token_is_an_admins_to_ask_for() {
    let mut world = with_tool();
    for (role, allowed) in [(WorkspaceRole::User, false), (WorkspaceRole::Admin, true)] {
        world.principal = admin();
        world.ok(&remove_member("", "bob"));
        world.member("default", "bob", role);
        world.principal = user("bob", false);
        let asked = query::sandbox::for_token(&world.state, &world.principal, "", "s");
        assert_eq!(
            asked.map(|_| ()).map_err(|refusal| refusal.code),
            if allowed { Ok(()) } else { Err(Code::PermissionDenied) }
        );
        let name = if allowed { "made" } else { "refused" };
        let request = CreateSandboxRequest { issue_token: true, ..sandbox(name, &["p"], None) };
        if allowed {
            assert_eq!(world.ok(&request).token, "", "it is made while answering, and not kept");
        } else {
            world.refused(Code::PermissionDenied, &request);
            world.ok(&CreateSandboxRequest { issue_token: false, ..request });
        }
    }
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let asked = query::sandbox::for_token(&world.state, &own, "", "s");
    assert_eq!(asked.expect_err("it renews its own").code, Code::PermissionDenied);
}

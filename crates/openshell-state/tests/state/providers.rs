//! The scenarios of `providers.md` 9 about providers, by number.

use openshell_proto::datamodel::{CredentialHandle, Provider};
use openshell_proto::v1::{
    CreateProviderRequest, DeleteProviderRequest, GetProviderRequest, ListProvidersRequest, ProviderCredentialRefresh,
    ProviderCredentialRefreshStrategy, ProviderProfileCredential, UpdateProviderRequest,
};
use openshell_state::{Code, Key, Outcome, Refusal, query};

use crate::support::{
    World, attach, credential, draft, import, map, minimal, provider, sandbox, says, texts, update_provider,
};

fn get(world: &World, name: &str) -> Result<Provider, Refusal> {
    let request = GetProviderRequest { name: name.to_owned(), ..GetProviderRequest::default() };
    query::provider::get(&world.state, &world.principal, &request).map(|answer| answer.provider.expect("a provider"))
}

fn delete(name: &str) -> DeleteProviderRequest {
    DeleteProviderRequest { name: name.to_owned(), ..DeleteProviderRequest::default() }
}

fn changed(request: CreateProviderRequest, change: impl FnOnce(&mut Provider)) -> CreateProviderRequest {
    let mut request = request;
    change(request.provider.as_mut().expect("a provider"));
    request
}

fn changing(name: &str, change: impl FnOnce(&mut Provider)) -> UpdateProviderRequest {
    let mut request = update_provider(name, &[], &[]);
    change(request.provider.as_mut().expect("a provider"));
    request
}

fn version(provider: &Provider) -> u64 {
    provider.metadata.as_ref().expect("metadata").resource_version
}

#[test]
fn providers_scenario_53_round_trip() {
    let mut world = World::new();
    world.ok(&changed(provider("gitlab-local", "gitlab", &["A", "B"]), |asked| {
        asked.config = map(&[("region", "eu"), ("url", "https://x")]);
    }));
    let answer = world.ok(&update_provider("gitlab-local", &[("A", "new")], &[("region", "us")]));
    let read = get(&world, "gitlab-local").expect("it is there");
    assert_eq!(Some(&read), answer.provider.as_ref());
    assert_eq!(read.credentials, map(&[("A", "REDACTED"), ("B", "REDACTED")]));
    assert_eq!(read.config, map(&[("region", "us"), ("url", "https://x")]));
    assert!(read.credential_handles.is_empty());
    assert!(world.ok(&delete("gitlab-local")).deleted);
    assert!(!world.ok(&delete("gitlab-local")).deleted);
    assert_eq!(get(&world, "gitlab-local").expect_err("gone").code, Code::NotFound);
}

#[test]
fn an_answer_that_is_sent_back_replaces_no_secret() {
    let mut world = World::new();
    world.ok(&provider("p", "github", &["TOKEN"]));
    let before = world.stored_provider("p").clone();
    let echoed = get(&world, "p").expect("it is there");
    assert_eq!(echoed.credentials["TOKEN"], "REDACTED");
    let update = UpdateProviderRequest { provider: Some(echoed.clone()), ..UpdateProviderRequest::default() };
    says(&world.refused(Code::InvalidArgument, &update), &["TOKEN", "REDACTED", "leave the key out"]);
    let create = changed(provider("q", "github", &[]), |asked| asked.credentials = echoed.credentials);
    says(&world.refused(Code::InvalidArgument, &create), &["TOKEN", "REDACTED"]);
    assert_eq!(world.stored_provider("p"), &before);
}

#[test]
fn no_credential_is_readable_in_any_record_or_entry() {
    let mut world = World::new();
    let canary = "canary-4711";
    world.ok(&changed(provider("p", "github", &[]), |asked| asked.credentials = map(&[("TOKEN", canary)])));
    world.ok(&update_provider("p", &[("OTHER", canary)], &[]));
    let stored = world.stored_provider("p");
    assert!(stored.credentials.is_empty());
    assert!(stored.credential_handles.values().all(|handle| handle.driver == "sealed"));
    let text = format!("{:?} {:?}", world.log, world.state);
    let bytes = world.state.items().flat_map(|item| prost::Message::encode_to_vec(&item)).collect::<Vec<_>>();
    assert!(!text.contains(canary) && !String::from_utf8_lossy(&bytes).contains(canary));
}

#[test]
fn providers_scenario_54_a_name_is_unique_within_its_workspace() {
    let mut world = World::new();
    world.workspace("other");
    let first = world.ok(&provider("p", "github", &["KEY"])).provider.expect("a provider");
    world.refused(Code::AlreadyExists, &provider("p", "gitlab", &["KEY"]));
    let mut elsewhere = changed(provider("p", "github", &["KEY"]), |asked| asked.profile_workspace = String::new());
    elsewhere.workspace = "other".to_owned();
    let second = world.ok(&elsewhere).provider.expect("a provider");
    assert_ne!(first.metadata.expect("metadata").id, second.metadata.expect("metadata").id);
}

#[test]
fn providers_scenario_55_which_providers_may_have_no_credentials() {
    let mut world = World::new();
    world.refused(Code::InvalidArgument, &provider("p", "gitlab", &[]));
    world.ok(&provider("vertex", "google-vertex-ai", &[]));
    let refreshed = ProviderProfileCredential {
        refresh: Some(ProviderCredentialRefresh {
            strategy: ProviderCredentialRefreshStrategy::Oauth2ClientCredentials as i32,
            token_url: "https://auth.example.com/token".to_owned(),
            ..ProviderCredentialRefresh::default()
        }),
        ..credential("minted", "MINTED")
    };
    let fixed = |required| ProviderProfileCredential { required, ..credential("fixed", "FIXED") };
    for (id, credentials, accepted) in [
        ("minted", vec![refreshed.clone()], true),
        ("mixed", vec![refreshed.clone(), fixed(true)], false),
        ("optional", vec![refreshed, fixed(false)], true),
    ] {
        let mut profile = minimal(id);
        profile.credentials = credentials;
        let answer = world.ok(&import("default", &[profile]));
        assert!(answer.imported, "{}", texts(&answer.diagnostics));
        let made = world.call(&provider(&format!("of-{id}"), id, &[]));
        assert_eq!(
            made.map(|_| ()).map_err(|refusal| refusal.code),
            accepted.then_some(()).ok_or(Code::InvalidArgument)
        );
    }
}

#[test]
fn providers_scenario_56_arguments_that_are_missing() {
    let mut world = World::new();
    world.refused(Code::InvalidArgument, &provider("p", " ", &["KEY"]));
    world.refused(Code::InvalidArgument, &CreateProviderRequest::default());
    assert_eq!(get(&world, "").expect_err("no name").code, Code::InvalidArgument);
    world.refused(Code::InvalidArgument, &delete(""));
    world.refused(Code::NotFound, &update_provider("unknown", &[], &[]));
    world.refused(Code::InvalidArgument, &update_provider("", &[], &[]));
}

#[test]
fn providers_scenario_57_an_update_of_nothing_counts() {
    let mut world = World::new();
    let before = world.ok(&provider("p", "github", &["KEY"])).provider.expect("a provider");
    let after = world.ok(&update_provider("p", &[], &[])).provider.expect("a provider");
    assert_eq!((version(&before), version(&after)), (1, 2));
    assert_eq!((before.credentials, before.config), (after.credentials, after.config));
}

#[test]
fn providers_scenario_58_an_empty_value_deletes() {
    let mut world = World::new();
    world.ok(&changed(provider("p", "github", &["PRIMARY", "SECONDARY"]), |asked| {
        asked.config = map(&[("region", "eu"), ("zone", "a")]);
        asked.credential_expires_at_ms = [("SECONDARY".to_owned(), 5)].into_iter().collect();
    }));
    let after = world.ok(&update_provider("p", &[("SECONDARY", "")], &[("region", "")])).provider.expect("a provider");
    assert_eq!(after.credentials, map(&[("PRIMARY", "REDACTED")]));
    assert_eq!(after.config, map(&[("zone", "a")]));
    assert_eq!(after.credential_expires_at_ms.len(), 1, "MG-1: an expiry stays");
    let mut request = changing("p", |asked| asked.credential_expires_at_ms = [("SECONDARY".to_owned(), 9)].into());
    request.credential_expires_at_ms = [("SECONDARY".to_owned(), -1)].into();
    let after = world.ok(&request).provider.expect("a provider");
    assert!(after.credential_expires_at_ms.is_empty(), "the request's own map wins");
}

#[test]
fn providers_scenario_59_a_type_never_changes() {
    let mut world = World::new();
    world.ok(&provider("p", "github", &["KEY"]));
    let text = world.refused(Code::InvalidArgument, &changing("p", |asked| asked.r#type = "gitlab".to_owned()));
    says(&text, &["type cannot be changed"]);
    world.refused(Code::InvalidArgument, &changing("p", |asked| asked.r#type = "gh".to_owned()));
    world.ok(&changing("p", |asked| asked.r#type = " GitHub ".to_owned()));
    assert_eq!(world.stored_provider("p").r#type, "github");
    let mut long = world.stored_provider("p").clone();
    long.r#type = "t".repeat(65);
    world.write(&Key::provider("default", "p"), Some(&long));
    world.ok(&update_provider("p", &[("KEY", "rotated")], &[]));
}

#[test]
fn providers_scenario_60_versions() {
    let mut world = World::new();
    assert_eq!(version(&world.ok(&provider("p", "github", &["KEY"])).provider.expect("a provider")), 1);
    let at = |version| {
        changing("p", |asked| {
            asked.metadata.as_mut().expect("metadata").resource_version = version;
            asked.credentials = map(&[("KEY", "new")]);
        })
    };
    assert_eq!(version(&world.ok(&at(1)).provider.expect("a provider")), 2);
    assert_eq!(version(&world.ok(&at(0)).provider.expect("a provider")), 3);
    says(&world.refused(Code::Aborted, &at(99)), &["modified concurrently", "resource_version is 3"]);
    let decided = [1, 2, 3].map(|seed| draft(world.decide_seeded(seed, &at(3))));
    let outcomes = decided.map(|draft| world.commit(draft).outcome);
    let installed = outcomes.iter().filter(|outcome| **outcome == Outcome::Installed).count();
    assert_eq!(installed, 1, "of three racing updates with one version one succeeds: {outcomes:?}");
    world.refused(Code::Aborted, &at(3));
    assert_eq!(version(world.stored_provider("p")), 4);
}

#[test]
fn an_invalid_update_with_a_stale_version_is_invalid() {
    let mut world = World::new();
    world.ok(&provider("p", "github", &["KEY"]));
    let request = changing("p", |asked| {
        asked.metadata.as_mut().expect("metadata").resource_version = 99;
        asked.credentials = map(&[("1A", "x")]);
    });
    world.refused(Code::InvalidArgument, &request);
}

#[test]
fn providers_scenario_61_handles_are_the_gateways_own() {
    let mut world = World::new();
    let handles = [("KEY".to_owned(), CredentialHandle::default())];
    let request = changed(provider("p", "github", &["KEY"]), |asked| asked.credential_handles = handles.clone().into());
    says(&world.refused(Code::InvalidArgument, &request), &["internal gateway state"]);
    world.ok(&provider("p", "github", &["KEY"]));
    world.refused(Code::InvalidArgument, &changing("p", |asked| asked.credential_handles = handles.into()));
}

#[test]
fn providers_scenario_62_the_scope_of_a_providers_profile() {
    let mut world = World::new();
    let of = |name: &str, scope: &str| {
        changed(provider(name, "github", &["KEY"]), |asked| asked.profile_workspace = scope.to_owned())
    };
    says(&world.refused(Code::InvalidArgument, &of("p", "other")), &["profile_workspace"]);
    for (name, scope) in [("p", ""), ("q", "default")] {
        assert_eq!(world.ok(&of(name, scope)).provider.expect("a provider").profile_workspace, scope);
    }
    world.refused(Code::InvalidArgument, &changing("p", |asked| asked.profile_workspace = "default".to_owned()));
    world.ok(&changing("q", |asked| asked.profile_workspace = String::new()));
    assert_eq!(world.stored_provider("q").profile_workspace, "default");
}

#[test]
fn providers_scenario_63_sizes() {
    let mut world = World::new();
    world.refused(Code::InvalidArgument, &provider("p", "github", &[&"K".repeat(257)]));
    let large = |asked: &mut Provider| asked.config = map(&[("k", &"v".repeat(8193))]);
    world.refused(Code::InvalidArgument, &changed(provider("p", "github", &["KEY"]), large));
    world.refused(Code::InvalidArgument, &provider(&"n".repeat(254), "github", &["KEY"]));
    world.refused(Code::InvalidArgument, &provider("p", &"t".repeat(65), &["KEY"]));
    let keys: Vec<String> = (0..33).map(|number| format!("K{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.refused(Code::InvalidArgument, &provider("p", "github", &keys));
    world.ok(&provider("p", "github", &keys[..32]));
    world.refused(Code::InvalidArgument, &update_provider("p", &[("K32", "x")], &[]));
    assert_eq!(version(world.stored_provider("p")), 1);
}

#[test]
fn providers_scenario_64_an_attached_provider_is_not_deleted() {
    let mut world = World::new();
    world.ok(&provider("p", "github", &["KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    says(&world.refused(Code::FailedPrecondition, &delete("p")), &["sandboxes s;"]);
}

#[test]
fn providers_scenario_65_an_update_must_not_take_a_neighbours_key() {
    let mut world = World::new();
    world.ok(&provider("a", "one", &["MS_GRAPH_ACCESS_TOKEN"]));
    world.ok(&provider("b", "two", &["OTHER"]));
    world.ok(&sandbox("s", &["a", "b"], None));
    let text = world.refused(Code::FailedPrecondition, &update_provider("b", &[("MS_GRAPH_ACCESS_TOKEN", "x")], &[]));
    says(&text, &["\"s\"", "MS_GRAPH_ACCESS_TOKEN", "\"a\"", "\"b\""]);
}

#[test]
fn providers_scenario_66_a_credential_must_not_be_a_neighbours_generated_key() {
    for order in [["cloud", "other"], ["other", "cloud"]] {
        let mut world = World::new();
        world.ok(&changed(provider("cloud", "google-cloud", &["CLOUD_KEY"]), |asked| {
            asked.config = map(&[("project_id", "x")]);
        }));
        world.ok(&provider("other", "one", &["OTHER"]));
        world.ok(&sandbox("s", &order, None));
        let text = world.refused(Code::FailedPrecondition, &update_provider("other", &[("GCP_PROJECT_ID", "x")], &[]));
        says(&text, &["GCP_PROJECT_ID", "\"cloud\"", "\"other\""]);
    }
}

#[test]
fn providers_scenario_67_lists() {
    let mut world = World::new();
    world.workspace("other");
    world.ok(&provider("p", "github", &["KEY"]));
    let mut elsewhere = changed(provider("q", "github", &["KEY"]), |asked| asked.profile_workspace = String::new());
    elsewhere.workspace = "other".to_owned();
    world.ok(&elsewhere);
    let list = |request: ListProvidersRequest| query::provider::list(&world.state, &world.principal, &request);
    let everywhere = ListProvidersRequest { all_workspaces: true, ..ListProvidersRequest::default() };
    let both = ListProvidersRequest { workspace: "other".to_owned(), ..everywhere.clone() };
    assert_eq!(list(both).expect_err("contradictory").code, Code::InvalidArgument);
    assert_eq!(list(everywhere).expect("all").providers.len(), 2);
    let own = list(ListProvidersRequest::default()).expect("one").providers;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].credentials, map(&[("KEY", "REDACTED")]));
}

#[test]
fn a_provider_without_a_name_gets_one() {
    let mut world = World::new();
    let made = world.ok(&changed(provider("", "github", &["KEY"]), |_| {})).provider.expect("a provider");
    let name = made.metadata.expect("metadata").name;
    assert!(name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
}

#[test]
fn a_collision_through_an_expired_credential_is_none() {
    let mut world = World::new();
    world.ok(&changed(provider("a", "one", &["KEY"]), |asked| {
        asked.credential_expires_at_ms = [("KEY".to_owned(), 1)].into();
    }));
    world.ok(&provider("b", "two", &["KEY"]));
    world.ok(&sandbox("s", &["a"], None));
    assert!(world.ok(&attach("s", "b")).attached);
}

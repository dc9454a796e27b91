//! The scenarios of `providers.md` 9 about profiles, by number, and the batch of our own.

use openshell_proto::log::Kind;
use openshell_proto::sandbox::{NetworkBinary, NetworkCredentialBinding};
use openshell_proto::v1::{
    DeleteProviderProfileRequest, DeleteWorkspaceRequest, GetProviderProfileRequest, ImportProviderProfilesRequest,
    LintProviderProfilesRequest, LintProviderProfilesResponse, ListProviderProfilesRequest, ProviderProfile,
    ProviderProfileCategory, ProviderProfileImportItem, ProviderProfileUpdate, UpdateProviderProfilesRequest,
    UpdateProviderProfilesResponse,
};
use openshell_state::{Code, Decision, Key, Refusal, query};

use crate::support::{
    World, attach, detach, endpoint, fields, global_setting, import, imported, item, map, minimal, policy, provider,
    sandbox, says, static_profile, texts, token_grant, update,
};

const BUILT_IN: usize = 12;

fn get(world: &World, scope: &str, id: &str) -> Result<ProviderProfile, Refusal> {
    let request = GetProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() };
    query::profile::get(&world.state, &world.principal, &request).map(|answer| answer.profile.expect("a profile"))
}

fn missing(world: &World, scope: &str, id: &str) {
    assert_eq!(get(world, scope, id).expect_err("it is not there").code, Code::NotFound);
}

fn list_page(world: &World, scope: &str, offset: u32, limit: u32) -> Vec<ProviderProfile> {
    let request = ListProviderProfilesRequest { limit, offset, workspace: scope.to_owned() };
    query::profile::list(&world.state, &world.principal, &request).expect("a list").profiles
}

/// (id, scope) of the custom profiles that a scope shows.
fn custom(world: &World, scope: &str) -> Vec<(String, String)> {
    let listed = list_page(world, scope, 0, 1000).into_iter().filter(|profile| profile.source == "user");
    listed.map(|profile| (profile.id, profile.scope)).collect()
}

fn lint(world: &World, scope: &str, profiles: &[ProviderProfile]) -> LintProviderProfilesResponse {
    let profiles = profiles.iter().cloned().map(item).collect();
    let request = LintProviderProfilesRequest { profiles, workspace: scope.to_owned() };
    query::profile::lint(&world.state, &world.principal, &request).expect("an answer")
}

fn delete(scope: &str, id: &str) -> DeleteProviderProfileRequest {
    DeleteProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() }
}

/// An update that is answered with diagnostics and writes nothing.
fn rejected(world: &mut World, request: &UpdateProviderProfilesRequest) -> UpdateProviderProfilesResponse {
    let before = world.state.digest();
    let answer = world.ok(request);
    assert!(!answer.updated && answer.profile.is_none() && !answer.diagnostics.is_empty(), "{answer:?}");
    assert_eq!(world.state.digest(), before);
    answer
}

fn broken_endpoint(id: &str) -> ProviderProfile {
    static_profile(id, "").clone_with_port(0)
}

trait WithPort {
    fn clone_with_port(self, port: u32) -> Self;
}

impl WithPort for ProviderProfile {
    fn clone_with_port(mut self, port: u32) -> Self {
        self.endpoints[0].port = port;
        self
    }
}

#[test]
fn providers_scenario_1_the_built_in_profiles_are_listed_in_order() {
    let listed = list_page(&World::new(), "", 0, 100);
    // Thirteen with `pypi`, which the catalogue leaves out.
    assert_eq!(listed.len(), BUILT_IN);
    assert!(listed.is_sorted_by(|left, right| left.id < right.id));
    let github = listed.iter().find(|profile| profile.id == "github").expect("github is built in");
    assert_eq!(github.category(), ProviderProfileCategory::SourceControl);
}

#[test]
fn providers_scenario_2_a_built_in_profile_and_a_legacy_type() {
    let world = World::new();
    let github = get(&world, "default", "github").expect("built in");
    assert_eq!((github.source.as_str(), github.scope.as_str(), github.resource_version), ("builtin", "", 0));
    missing(&world, "default", "generic");
}

#[test]
fn providers_scenario_3_an_imported_profile_is_read() {
    let mut world = World::new();
    let answer = world.ok(&import("default", &[minimal("custom-api")]));
    assert!(answer.imported && answer.diagnostics.is_empty());
    assert_eq!((answer.profiles[0].resource_version, answer.profiles[0].source.as_str()), (1, ""));
    let read = get(&world, "default", "custom-api").expect("imported");
    assert_eq!((read.source.as_str(), read.scope.as_str(), read.resource_version), ("user", "workspace", 1));
    assert_eq!(custom(&world, "default"), [("custom-api".to_owned(), "workspace".to_owned())]);
}

#[test]
fn providers_scenario_4_ids_in_requests_are_normalised() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("alex-api"));
    assert_eq!(get(&world, "default", " Alex-API ").expect("found").id, "alex-api");
    assert!(world.ok(&delete("default", " Alex-API ")).deleted);
}

#[test]
fn providers_scenario_5_bad_ids_in_requests() {
    let world = World::new();
    for id in ["alex_api", "", "   "] {
        assert_eq!(get(&world, "default", id).expect_err("no id").code, Code::InvalidArgument);
    }
}

#[test]
fn providers_scenario_6_pages() {
    let mut world = World::new();
    assert_eq!(list_page(&world, "", 0, 0).len(), BUILT_IN);
    assert_eq!(list_page(&world, "", 10, 5).len(), BUILT_IN - 10);
    assert_eq!(list_page(&world, "", 50, 5).len(), 0);
    assert_eq!(list_page(&world, "", 0, 5000).len(), BUILT_IN);
    let many: Vec<_> = (0..1000).map(|number| minimal(&format!("many-{number}"))).collect();
    assert!(world.ok(&import("", &many)).imported);
    assert_eq!((list_page(&world, "", 0, 0).len(), list_page(&world, "", 0, 5000).len()), (100, 1000));
    assert_eq!(list_page(&world, "", 1000, 5000).len(), BUILT_IN);
}

#[test]
fn providers_scenario_7_platform_profiles_are_seen_from_workspaces() {
    let mut world = World::new();
    imported(&mut world, "", minimal("for-all"));
    imported(&mut world, "default", minimal("for-one"));
    let (all, one) = (("for-all".to_owned(), "platform".to_owned()), ("for-one".to_owned(), "workspace".to_owned()));
    assert_eq!(custom(&world, "default"), [all.clone(), one]);
    assert_eq!(custom(&world, ""), [all]);
}

#[test]
fn providers_scenario_8_a_workspace_profile_shadows_the_platforms() {
    let mut world = World::new();
    imported(&mut world, "", minimal("shadow-target"));
    let shadow = ProviderProfile { display_name: "D".to_owned(), ..minimal("shadow-target") };
    imported(&mut world, "default", shadow);
    let read = get(&world, "default", "shadow-target").expect("both are there");
    assert_eq!((read.display_name.as_str(), read.scope.as_str()), ("D", "workspace"));
    let scopes: Vec<_> = custom(&world, "default").into_iter().map(|(_, scope)| scope).collect();
    assert_eq!(scopes, ["workspace", "platform"]);
    assert_eq!(get(&world, "", "shadow-target").expect("the platform's").scope, "platform");
}

#[test]
fn providers_scenario_9_workspaces_do_not_see_each_others_profiles() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.workspace(name);
    }
    imported(&mut world, "a", minimal("mine"));
    imported(&mut world, "b", minimal("mine"));
    assert_eq!((custom(&world, "a").len(), custom(&world, "b").len(), custom(&world, "c").len()), (1, 1, 0));
}

#[test]
fn providers_scenario_10_11_12_ids_that_may_and_may_not_be_imported() {
    let mut world = World::new();
    let answer = world.ok(&import("default", &[minimal("github")]));
    assert!(!answer.imported && fields(&answer.diagnostics) == ["id"]);
    says(&texts(&answer.diagnostics), &["managed by source 'builtin'"]);
    imported(&mut world, "default", minimal("openai"));
    let answer = world.ok(&import("default", &[minimal(" alex-api "), minimal("alex_api"), minimal("Alex-API")]));
    assert!(!answer.imported && fields(&answer.diagnostics).len() >= 3, "{}", texts(&answer.diagnostics));
    assert_eq!(custom(&world, "default").len(), 1);
}

#[test]
fn providers_scenario_13_an_import_is_not_partial() {
    let mut world = World::new();
    let before = world.state.digest();
    let answer = world.ok(&import("default", &[minimal("bulk-one"), broken_endpoint("bulk-bad"), minimal("bulk-two")]));
    assert!(!answer.imported && answer.profiles.is_empty());
    let found = answer.diagnostics.iter().any(|found| found.profile_id == "bulk-bad" && found.field == "endpoints[0]");
    assert!(found, "{:?}", answer.diagnostics);
    assert_eq!(world.state.digest(), before);
    missing(&world, "default", "bulk-one");
    missing(&world, "default", "bulk-two");
}

#[test]
fn providers_scenario_14_a_batch_names_an_id_once() {
    let mut world = World::new();
    let answer = world.ok(&import("default", &[minimal("dup"), minimal("dup")]));
    assert!(!answer.imported && fields(&answer.diagnostics).contains(&"id"));
    missing(&world, "default", "dup");
}

#[test]
fn providers_scenario_15_an_import_only_creates() {
    let mut world = World::new();
    world.workspace("other");
    imported(&mut world, "default", minimal("custom-api"));
    let answer = world.ok(&import("default", &[minimal("custom-api")]));
    assert!(!answer.imported && fields(&answer.diagnostics) == ["id"]);
    says(&texts(&answer.diagnostics), &["already exists"]);
    imported(&mut world, "other", minimal("custom-api"));
}

#[test]
fn providers_scenario_16_shadowing_warns() {
    let mut world = World::new();
    imported(&mut world, "", minimal("shadow-warn"));
    let answer = world.ok(&import("default", &[minimal("shadow-warn")]));
    assert!(answer.imported);
    assert_eq!(answer.diagnostics.iter().map(|found| found.severity.as_str()).collect::<Vec<_>>(), ["warning"]);
}

#[test]
fn providers_scenario_17_lint_stores_nothing() {
    let world = World::new();
    let answer = lint(&world, "default", &[minimal("one"), broken_endpoint("bad"), minimal("two")]);
    assert!(!answer.valid && fields(&answer.diagnostics).contains(&"endpoints[0]"));
    assert_eq!(custom(&world, "default"), []);
}

#[test]
fn providers_scenario_18_lint_looks_at_the_requests_workspace() {
    let mut world = World::new();
    world.workspace("alpha");
    imported(&mut world, "default", minimal("scoped-lint"));
    let answer = lint(&world, "default", &[minimal("scoped-lint")]);
    assert!(!answer.valid);
    says(&texts(&answer.diagnostics), &["already exists"]);
    assert!(lint(&world, "alpha", &[minimal("scoped-lint")]).valid);
}

#[test]
fn providers_scenario_19_an_empty_request() {
    let mut world = World::new();
    assert_eq!(fields(&world.ok(&import("default", &[])).diagnostics), ["profiles"]);
    let answer = lint(&world, "default", &[]);
    assert!(!answer.valid && fields(&answer.diagnostics) == ["profiles"]);
}

#[test]
fn providers_scenario_20_an_item_without_a_profile() {
    let mut world = World::new();
    let item = ProviderProfileImportItem { source: "a.yaml".to_owned(), profile: None };
    let request = ImportProviderProfilesRequest { profiles: vec![item], workspace: "default".to_owned() };
    let answer = world.ok(&request);
    assert!(!answer.imported && answer.diagnostics.len() == 1);
    let found = &answer.diagnostics[0];
    assert_eq!((found.field.as_str(), found.source.as_str(), found.profile_id.as_str()), ("profile", "a.yaml", ""));
}

#[test]
fn providers_scenario_21_a_profile_binds_no_provider() {
    let mut world = World::new();
    let mut profile = static_profile("bound", "a.example.com");
    profile.endpoints.push(endpoint("b.example.com", 443));
    profile.endpoints[1].credential_binding = Some(NetworkCredentialBinding { provider: "p".to_owned() });
    let answer = world.ok(&import("default", &[profile]));
    assert!(!answer.imported && fields(&answer.diagnostics).contains(&"endpoints[1].credential_binding"));
}

#[test]
fn providers_scenario_22_what_is_imported_is_read_unchanged() {
    let mut world = World::new();
    let mut profile = static_profile("lossless", "a.example.com");
    let endpoint = &mut profile.endpoints[0];
    (endpoint.port, endpoint.ports) = (443, vec![443, 8443]);
    endpoint.allowed_ips = vec!["10.0.0.0/8".to_owned()];
    (endpoint.allow_encoded_slash, endpoint.path) = (true, "/v1".to_owned());
    profile.binaries.push(NetworkBinary { path: "/usr/bin/tool".to_owned(), harness: true });
    imported(&mut world, "default", profile.clone());
    let read = get(&world, "default", "lossless").expect("imported");
    assert_eq!((read.endpoints[0].ports.clone(), &read.binaries), (vec![443, 8443], &profile.binaries));
    assert_eq!(read.endpoints[0].allowed_ips, profile.endpoints[0].allowed_ips);
    assert!(read.endpoints[0].allow_encoded_slash && read.endpoints[0].path == "/v1");
}

#[test]
fn providers_scenario_24_an_update_replaces_the_profile_and_keeps_its_identity() {
    let mut world = World::new();
    imported(&mut world, "default", static_profile("custom-api", "old.example.com"));
    let mut labelled = world.stored_profile("default", "custom-api").clone();
    labelled.metadata.as_mut().expect("metadata").labels = map(&[("team", "platform")]);
    world.write(&Key::profile("default", "custom-api"), Some(&labelled));
    let changed = ProviderProfile {
        display_name: "New".to_owned(),
        source: "ignored".to_owned(),
        ..static_profile("custom-api", "new.example.com")
    };
    let answer = world.ok(&update("default", 1, changed));
    assert!(answer.updated && answer.diagnostics.is_empty());
    assert_eq!(answer.profile.expect("a profile").resource_version, 2);
    let stored = world.stored_profile("default", "custom-api").clone();
    let (before, after) = (labelled.metadata.expect("metadata"), stored.metadata.expect("metadata"));
    assert_eq!((&before.id, &before.name, before.created_at_ms), (&after.id, &after.name, after.created_at_ms));
    assert_eq!((&before.labels, after.resource_version), (&after.labels, 2));
    let profile = stored.profile.expect("a profile");
    assert_eq!((profile.display_name.as_str(), profile.endpoints[0].host.as_str()), ("New", "new.example.com"));
    assert_eq!((profile.source.as_str(), profile.resource_version), ("", 0));
}

#[test]
fn providers_scenario_25_a_built_in_profile_is_not_updated() {
    let mut world = World::new();
    let answer = rejected(&mut world, &update("default", 1, minimal("github")));
    says(&texts(&answer.diagnostics), &["managed by source 'builtin'", "cannot be updated"]);
    assert_eq!(answer.diagnostics[0].source, "github");
}

#[test]
fn providers_scenario_26_a_missing_profile_is_a_diagnostic() {
    let mut world = World::new();
    let answer = rejected(&mut world, &update("default", 1, minimal("missing-custom")));
    says(&texts(&answer.diagnostics), &["does not exist"]);
    let both = rejected(&mut world, &update("default", 0, minimal("missing-custom")));
    assert_eq!(fields(&both.diagnostics), ["id", "resource_version"], "UPD-7");
}

#[test]
fn providers_scenario_27_an_update_states_the_version_it_edited() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("custom-api"));
    let answer = rejected(&mut world, &update("default", 0, minimal("custom-api")));
    assert_eq!(fields(&answer.diagnostics), ["resource_version"]);
    says(&texts(&answer.diagnostics), &["non-zero resource_version"]);
}

#[test]
fn providers_scenario_28_a_stale_version_is_aborted_with_the_current_one() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("custom-api"));
    let stale = ProviderProfile { resource_version: 99, ..minimal("custom-api") };
    says(&world.refused(Code::Aborted, &update("default", 0, stale)), &["current resource_version is 1"]);
}

#[test]
fn providers_scenario_29_the_requests_version_wins() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("custom-api"));
    let embedded = |version| ProviderProfile { resource_version: version, ..minimal("custom-api") };
    assert!(world.ok(&update("default", 1, embedded(99))).updated);
    world.refused(Code::Aborted, &update("default", 99, embedded(2)));
}

#[test]
fn providers_scenario_30_an_id_never_changes() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("profile-a"));
    imported(&mut world, "default", minimal("profile-b"));
    let mut request = update("default", 1, minimal("profile-b"));
    request.id = "profile-a".to_owned();
    let answer = rejected(&mut world, &request);
    assert_eq!(fields(&answer.diagnostics), ["id"]);
    says(&texts(&answer.diagnostics), &["payload id", "profile-a", "profile-b"]);
    request.id = "not an id".to_owned();
    world.refused(Code::InvalidArgument, &request);
}

#[test]
fn providers_scenario_31_what_is_invalid_and_stale_is_invalid() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("custom-api"));
    let answer = rejected(&mut world, &update("default", 99, broken_endpoint("custom-api")));
    assert!(fields(&answer.diagnostics).contains(&"endpoints[0]"));
}

#[test]
fn providers_scenario_32_a_profile_must_not_contradict_the_policy_it_is_composed_with() {
    let mut world = World::composing();
    imported(&mut world, "default", static_profile("fanout", "other.example.com"));
    world.ok(&provider("p", "fanout", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("api.example.com"))));
    let mut changed = static_profile("fanout", "api.example.com");
    changed.endpoints[0].tls = "skip".to_owned();
    let answer = rejected(&mut world, &update("default", 1, changed.clone()));
    assert_eq!(fields(&answer.diagnostics), ["endpoints"]);
    says(&texts(&answer.diagnostics), &["update would", "ambiguous network endpoints", "\"s\"", "tls"]);
    world.ok(&global_setting("providers_v2_enabled", false));
    assert!(world.ok(&update("default", 1, changed)).updated, "nothing is composed while the setting is off");
}

/// Provider `a` of `grant-existing` and provider `b` of `grant-new`, both on sandbox `s`.
fn granted(attached: bool) -> World {
    let mut world = World::new();
    imported(&mut world, "default", token_grant("grant-existing", "api.example.com", "/v1/**"));
    world.ok(&provider("a", "grant-existing", &["A_KEY"]));
    world.ok(&provider("b", "grant-new", &["B_KEY"]));
    if attached {
        world.ok(&sandbox("s", &["a", "b"], None));
    }
    world
}

const TIED: &str = "credentials.token_grant.audience_overrides";

#[test]
fn providers_scenario_33_an_import_must_not_tie_token_grants() {
    let mut world = granted(true);
    let before = world.state.digest();
    let answer = world.ok(&import("default", &[token_grant("grant-new", "api.example.com", "/v1/**")]));
    assert!(!answer.imported && fields(&answer.diagnostics) == [TIED]);
    says(&texts(&answer.diagnostics), &["import would", "ambiguous dynamic token grants", "\"s\""]);
    assert_eq!(world.state.digest(), before);
}

#[test]
fn providers_scenario_34_an_update_must_not_tie_token_grants() {
    let mut world = granted(true);
    imported(&mut world, "default", token_grant("grant-new", "api.example.com", "/v2/**"));
    let tied = token_grant("grant-new", "api.example.com", "/v1/**");
    let answer = rejected(&mut world, &update("default", 1, tied));
    assert_eq!(fields(&answer.diagnostics), [TIED]);
    says(&texts(&answer.diagnostics), &["update would"]);
}

#[test]
fn providers_scenario_35_a_more_specific_path_does_not_tie() {
    let mut world = granted(false);
    imported(&mut world, "default", token_grant("grant-new", "api.example.com", "/v1/admin/**"));
    world.ok(&sandbox("s", &["a"], None));
    assert!(world.ok(&attach("s", "b")).attached);
}

#[test]
fn providers_scenario_36_providers_on_no_sandbox_do_not_tie() {
    let mut world = granted(false);
    imported(&mut world, "default", token_grant("grant-new", "api.example.com", "/v1/**"));
    world.ok(&sandbox("s", &["a"], None));
    let text = world.refused(Code::FailedPrecondition, &attach("s", "b"));
    says(&text, &["dynamic token grants", "ambiguous"]);
}

#[test]
fn providers_scenario_37_a_provider_uses_the_candidate_it_would_resolve_to() {
    let mut world = World::new();
    imported(&mut world, "", token_grant("grant-existing", "api.example.com", "/v1/**"));
    for (name, of) in [("a", "grant-existing"), ("b", "grant-new")] {
        let mut request = provider(name, of, &[&format!("{}_KEY", name.to_uppercase())]);
        request.provider.as_mut().expect("a provider").profile_workspace = String::new();
        world.ok(&request);
    }
    world.ok(&sandbox("s", &["a", "b"], None));
    let tied = token_grant("grant-new", "api.example.com", "/v1/**");
    imported(&mut world, "default", tied.clone());
    let answer = world.ok(&import("", &[tied]));
    assert!(!answer.imported && fields(&answer.diagnostics) == [TIED]);
    // A departure from AS-6: a provider of the workspace's scope uses the platform's profile as
    // long as the workspace has none of that id, so a tie through it is found too.
    let mut world = granted(true);
    let answer = world.ok(&import("", &[token_grant("grant-new", "api.example.com", "/v1/**")]));
    assert!(!answer.imported && fields(&answer.diagnostics) == [TIED]);
}

#[test]
fn providers_scenario_38_a_built_in_profile_is_not_deleted() {
    let mut world = World::new();
    let text = world.refused(Code::FailedPrecondition, &delete("default", "github"));
    says(&text, &["managed by source 'builtin'"]);
}

#[test]
fn a_profile_whose_id_a_newer_catalogue_took_may_be_deleted() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("tool"));
    let builtin = world.stored_profile("default", "tool").clone();
    world.write(&Key::builtin_profile("tool"), Some(&builtin));
    assert!(world.ok(&delete("default", "tool")).deleted);
    world.refused(Code::FailedPrecondition, &delete("default", "tool"));
}

#[test]
fn providers_scenario_39_a_profile_in_use_is_not_deleted() {
    let mut world = World::new();
    imported(&mut world, "default", minimal("used"));
    imported(&mut world, "", minimal("wide"));
    world.ok(&provider("p", "used", &["KEY"]));
    world.ok(&provider("q", "wide", &["OTHER"]));
    world.ok(&sandbox("s", &["p", "q"], None));
    says(&world.refused(Code::FailedPrecondition, &delete("default", "used")), &["sandboxes s;"]);
    says(&world.refused(Code::FailedPrecondition, &delete("", "wide")), &["default/s"]);
    world.ok(&detach("s", "p"));
    assert!(world.ok(&delete("default", "used")).deleted);
    assert!(world.state.provider("default", "p").is_some());
}

#[test]
fn providers_scenario_40_an_unknown_profile_is_not_found() {
    World::new().refused(Code::NotFound, &delete("default", "unknown"));
}

#[test]
fn providers_scenario_41_a_scope_is_exact() {
    let mut world = World::new();
    imported(&mut world, "", minimal("wide"));
    world.refused(Code::NotFound, &delete("default", "wide"));
    let answer = rejected(&mut world, &update("default", 1, minimal("wide")));
    says(&texts(&answer.diagnostics), &["does not exist"]);
    assert!(world.ok(&delete("", "wide")).deleted);
}

#[test]
fn providers_scenario_44_a_workspace_being_deleted_takes_nothing_new() {
    let mut world = World::new();
    world.workspace("team");
    imported(&mut world, "team", minimal("tool"));
    let mut kept = provider("p", "github", &["KEY"]);
    kept.workspace = "team".to_owned();
    kept.provider.as_mut().expect("a provider").profile_workspace = String::new();
    world.ok(&kept);
    world.call(&DeleteWorkspaceRequest { name: "team".to_owned() }).expect_err("it holds something");
    world.refused(Code::FailedPrecondition, &kept);
    world.refused(Code::FailedPrecondition, &import("team", &[minimal("more")]));
    world.refused(Code::FailedPrecondition, &update("team", 1, minimal("tool")));
    assert_eq!(custom(&world, "team").len(), 1);
    assert!(get(&world, "team", "tool").is_ok() && lint(&world, "team", &[minimal("more")]).valid);
    assert!(world.ok(&delete("team", "tool")).deleted);
}

fn batch(updates: &[(u64, ProviderProfile)]) -> UpdateProviderProfilesRequest {
    let updates = updates.iter().map(|(expected, profile)| ProviderProfileUpdate {
        id: profile.id.clone(),
        item: Some(item(profile.clone())),
        expected_resource_version: *expected,
    });
    UpdateProviderProfilesRequest {
        updates: updates.collect(),
        workspace: "default".to_owned(),
        ..UpdateProviderProfilesRequest::default()
    }
}

#[test]
fn a_batch_is_one_entry_and_writes_only_what_differs() {
    let mut world = World::new();
    imported(&mut world, "default", static_profile("one", "one.example.com"));
    imported(&mut world, "default", static_profile("two", "two.example.com"));
    let stored = world.stored_profile("default", "two").profile.clone().expect("a profile");
    let entries = world.log.len();
    let answer = world.ok(&batch(&[(1, static_profile("one", "new.example.com")), (1, stored.clone())]));
    assert!(answer.updated && answer.profile.is_none());
    let results: Vec<_> = answer.results.iter().map(|result| (result.id.as_str(), result.changed)).collect();
    assert_eq!(results, [("one", true), ("two", false)]);
    assert_eq!(world.log.len(), entries + 1);
    let unchanged = batch(&[(1, stored)]);
    assert!(matches!(world.decide(&unchanged), Decision::Answer(_)), "nothing to write is no entry");
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut world = World::new();
    imported(&mut world, "default", static_profile("one", "one.example.com"));
    imported(&mut world, "default", static_profile("two", "two.example.com"));
    let good = static_profile("one", "new.example.com");
    rejected(&mut world, &batch(&[(1, good.clone()), (1, broken_endpoint("two"))]));
    rejected(&mut world, &batch(&[(1, good.clone()), (1, good.clone())]));
    rejected(&mut world, &batch(&[(1, good.clone()), (1, minimal("missing"))]));
    world.refused(Code::Aborted, &batch(&[(1, good.clone()), (7, static_profile("two", "x.example.com"))]));
    let mut both = batch(&[(1, good)]);
    both.id = "one".to_owned();
    world.refused(Code::InvalidArgument, &both);
}

#[test]
fn two_profiles_of_one_batch_may_change_places() {
    let mut world = granted(true);
    imported(&mut world, "default", token_grant("grant-new", "api.example.com", "/v2/**"));
    let one = token_grant("grant-existing", "api.example.com", "/v2/**");
    let other = token_grant("grant-new", "api.example.com", "/v1/**");
    rejected(&mut world, &update("default", 1, one.clone()));
    assert!(world.ok(&batch(&[(1, one.clone()), (1, other)])).updated);
    let tied = token_grant("grant-new", "api.example.com", "/v3/**");
    let answer = rejected(
        &mut world,
        &batch(&[(2, ProviderProfile { id: "grant-existing".to_owned(), ..tied.clone() }), (2, tied)]),
    );
    assert_eq!(fields(&answer.diagnostics), [TIED, TIED], "one diagnostic for each profile used");
}

#[test]
fn provider_records_are_byte_identical_before_and_after_a_profiles_update() {
    let mut world = World::composing();
    imported(&mut world, "default", static_profile("tool", "old.example.com"));
    world.ok(&provider("p", "tool", &["KEY"]));
    world.ok(&sandbox("s", &["p"], Some(policy("elsewhere.example.com"))));
    let bytes = |world: &World| {
        let records = [Kind::Provider, Kind::Sandbox, Kind::PolicyRevision].map(|kind| {
            world.state.by_creation_everywhere(kind).map(|(_, record)| record.bytes.clone()).collect::<Vec<_>>()
        });
        records.concat()
    };
    let before = bytes(&world);
    world.ok(&update("default", 1, static_profile("tool", "new.example.com")));
    assert_eq!(bytes(&world), before);
}

//! Stored profiles that are not valid any more (`providers.md` CAT-4, CAT-11): a leader with newer rules
//! or another built-in catalogue says so in the log, they are listed with the reason, what they would
//! add is left out, and nothing else stands still.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::log::{Cluster, Kind};
use openshell_proto::sandbox::{LeftOutProfile, NetworkBinary, NetworkCredentialBinding, NetworkEndpoint};
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, DeleteProviderProfileRequest, GetProviderProfileRequest,
    GetSandboxPolicyStatusRequest, ListProviderProfilesRequest, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfile, ProviderProfileUpdate, StoredProviderProfile, UpdateProviderProfilesRequest,
};
use openshell_providers::{builtin, verdict};
use openshell_state::access::Principal;
use openshell_state::decide::formation;
use openshell_state::effective::Environment;
use openshell_state::{Call, Code, Decision, Draft, Key, Opener, Outcome, Stamp, query};
use proptest::prelude::any;
use proptest::test_runner::Config;
use proptest::{prop_assert, prop_assert_eq, proptest};
use prost::Message;

use crate::laws;
use crate::support::{
    Seeded, World, attach, credential, detach, endpoint, fields, import, imported, item, minimal, policy, policy_of,
    provider, sandbox, says, signing, static_profile, token_grant, update, update_policy, update_provider,
};

/// What the cluster's own upgrade decides now.
fn upgrade(world: &World) -> Decision {
    let seeded = Seeded::new(world.state.revision());
    let stamp = Stamp { time_ms: world.time_ms, identifiers: &seeded, sealer: &seeded };
    formation::upgrade(Call { state: &world.state, principal: &Principal::Cluster, stamp }).expect("it is formed")
}

fn verdicts(world: &World) -> Draft {
    crate::support::draft(upgrade(world))
}

/// A new leader of this build brings what the cluster lacks. How many entries it took.
pub(crate) fn new_leader(world: &mut World) -> usize {
    let mut entries = 0;
    while let Decision::Transact(draft) = upgrade(world) {
        assert_eq!(world.commit(draft).outcome, Outcome::Installed);
        entries += 1;
        assert!(entries < 100, "it comes to an end");
    }
    assert!(formation::is_upgraded(&world.state));
    entries
}

/// The cluster's record, changed past every rule.
fn change_cluster(world: &mut World, change: impl Fn(&mut Cluster)) {
    let mut cluster = world.state.cluster().expect("it is formed").value.clone();
    change(&mut cluster);
    world.write(&Key::cluster(), Some(&cluster));
}

/// The last judgement was by rules that are older than those of this build.
pub(crate) fn older_rules(world: &mut World) {
    change_cluster(world, |cluster| cluster.profile_rules = 0);
}

/// What a build with older rules stored: no number of its rules, and the content as it is.
pub(crate) fn store(world: &mut World, scope: &str, profile: ProviderProfile) {
    let key = Key::profile(scope, &profile.id);
    let before = world.state.profile(scope, &profile.id).and_then(|entry| entry.value.metadata.clone());
    let metadata = before.unwrap_or_else(|| ObjectMeta {
        name: profile.id.clone(),
        workspace: scope.to_owned(),
        resource_version: 1,
        ..ObjectMeta::default()
    });
    let stored =
        StoredProviderProfile { metadata: Some(metadata), profile: Some(profile), ..StoredProviderProfile::default() };
    world.write(&key, Some(&stored));
}

/// The profile with a binary that has no path, which today's rules refuse.
fn spoiled(profile: &ProviderProfile) -> ProviderProfile {
    let mut spoiled = profile.clone();
    spoiled.binaries.push(NetworkBinary::default());
    spoiled
}

/// A stored profile becomes one that only older rules let pass.
pub(crate) fn spoil(world: &mut World, scope: &str, id: &str) {
    let profile = world.stored_profile(scope, id).profile.clone().expect("a profile");
    store(world, scope, spoiled(&profile));
    older_rules(world);
    new_leader(world);
}

/// A profile `tool` with one credential, for `tool.example.com`.
pub(crate) fn tool() -> ProviderProfile {
    ProviderProfile { credentials: vec![credential("token", "TOOL_KEY")], ..static_profile("tool", "tool.example.com") }
}

/// The sandbox `s` lists providers of the profiles `tool` and `other`, `bystander` one of `other` alone.
pub(crate) fn furnished() -> World {
    let mut world = World::composing();
    imported(&mut world, "default", tool());
    imported(&mut world, "default", static_profile("other", "other.example.com"));
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&provider("q", "other", &["OTHER_KEY"]));
    world.ok(&provider("r", "other", &["THIRD_KEY"]));
    world.ok(&sandbox("s", &["p", "q"], Some(policy("elsewhere.example.com"))));
    world.ok(&sandbox("bystander", &["r"], Some(policy("elsewhere.example.com"))));
    world
}

/// A world in which `g` and `h` have profiles whose token grants tie, and `s` lists `g`.
fn with_rivals() -> World {
    let mut world = furnished();
    imported(&mut world, "default", token_grant("grant", "api.example.com", "/v1/**"));
    imported(&mut world, "default", token_grant("rival", "api.example.com", "/v1/**"));
    world.ok(&provider("g", "grant", &["GRANT_KEY"]));
    world.ok(&provider("h", "rival", &["RIVAL_KEY"]));
    world.ok(&attach("s", "g"));
    world
}

fn get(world: &World, scope: &str, id: &str) -> ProviderProfile {
    let request = GetProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() };
    query::profile::get(&world.state, &world.principal, &request).expect("it is there").profile.expect("a profile")
}

/// (scope, id) and reason of all that are listed as not valid.
pub(crate) fn listed_invalid(world: &World, scope: &str) -> Vec<(String, String, String)> {
    let request = ListProviderProfilesRequest { workspace: scope.to_owned(), ..ListProviderProfilesRequest::default() };
    let listed = query::profile::list(&world.state, &world.principal, &request).expect("a list").profiles;
    let invalid = listed.into_iter().filter(|profile| !profile.invalid_reason.is_empty());
    invalid.map(|profile| (profile.scope, profile.id, profile.invalid_reason)).collect()
}

pub(crate) fn left_out(world: &World, name: &str) -> Vec<LeftOutProfile> {
    let by_config = world.effective(name).left_out_profiles;
    let request = GetSandboxPolicyStatusRequest { name: name.to_owned(), ..GetSandboxPolicyStatusRequest::default() };
    let status = query::policy::status(&world.state, &world.principal, &request).expect("a status");
    assert_eq!(status.left_out_profiles, by_config, "both answers say the same");
    by_config
}

fn environment(world: &World, name: &str) -> Environment {
    let composed = Environment::compose(&world.state, "default", world.stored_sandbox(name), world.time_ms);
    composed.unwrap_or_else(|refusal| panic!("{}", refusal.message))
}

fn delete(scope: &str, id: &str) -> DeleteProviderProfileRequest {
    DeleteProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() }
}

#[test]
fn cat_4_and_11_one_invalid_stored_profile_is_listed_with_its_reason_and_stops_nothing() {
    let mut world = furnished();
    imported(&mut world, "", minimal("tool"));
    spoil(&mut world, "default", "tool");
    let [(scope, id, reason)] = &listed_invalid(&world, "default")[..] else { panic!("one is not valid") };
    assert_eq!((scope.as_str(), id.as_str()), ("workspace", "tool"));
    says(reason, &["binaries[0]", "path"]);
    assert_eq!(&get(&world, "default", "tool").invalid_reason, reason);
    assert_eq!(get(&world, "", "tool").invalid_reason, "", "another one");
    assert_eq!(listed_invalid(&world, ""), []);
    // Everything that takes the catalogue goes on.
    imported(&mut world, "default", minimal("more"));
    assert!(world.ok(&update("default", 1, static_profile("other", "new.example.com"))).updated);
    world.ok(&provider("t", "tool", &["NEXT_KEY"]));
    world.ok(&attach("bystander", "t"));
    world.ok(&update_provider("p", &[("TOOL_KEY", "secret")], &[]));
    world.ok(&detach("bystander", "t"));
    assert!(world.ok(&delete("default", "more")).deleted);
    // The id is still taken.
    let answer = world.ok(&import("default", &[tool()]));
    assert!(!answer.imported && fields(&answer.diagnostics) == ["id"]);
}

#[test]
fn a_sandbox_is_composed_without_the_rules_of_an_invalid_profile_and_says_so() {
    let mut world = furnished();
    let before = world.effective("s");
    let bystander = world.effective("bystander");
    assert_eq!(world.rules("s"), ["_provider_p", "_provider_q", "r1"]);
    spoil(&mut world, "default", "tool");
    assert_eq!(world.rules("s"), ["_provider_q", "r1"]);
    let [only] = &left_out(&world, "s")[..] else { panic!("one profile is left out") };
    assert_eq!([&only.provider, &only.profile, &only.scope], ["p", "tool", "workspace"]);
    assert_eq!(only.reason, get(&world, "default", "tool").invalid_reason);
    let after = world.effective("s");
    assert_ne!(after.policy_hash, before.policy_hash);
    assert_ne!(after.config_revision, before.config_revision);
    assert_ne!(after.provider_env_revision, before.provider_env_revision);
    assert_eq!(world.effective("bystander"), bystander);
    assert_eq!(left_out(&world, "bystander"), []);
}

#[test]
fn an_invalid_profile_does_not_make_room_for_the_platforms_of_the_same_id() {
    let mut world = furnished();
    imported(&mut world, "", static_profile("tool", "platform.example.com"));
    spoil(&mut world, "default", "tool");
    assert_eq!(world.rules("s"), ["_provider_q", "r1"], "nothing was checked for what the platform's would add");
}

#[test]
fn of_a_provider_whose_profile_is_left_out_no_credential_leaves() {
    let mut world = furnished();
    imported(&mut world, "default", token_grant("grant", "grant.example.com", "/v1/**"));
    world.ok(&provider("g", "grant", &["GRANT_KEY"]));
    world.ok(&attach("s", "g"));
    let keys = |world: &World| {
        let answer = crate::environment::opened(&environment(world, "s"), true);
        let grants: Vec<_> = answer.dynamic_credentials.into_keys().collect();
        let bound: Vec<_> = answer.static_credential_bindings.into_keys().collect();
        let variables: Vec<_> = answer.environment.into_keys().collect();
        assert_eq!(variables, bound);
        (variables, grants.len())
    };
    assert_eq!(keys(&world), (vec!["GRANT_KEY".to_owned(), "OTHER_KEY".to_owned(), "TOOL_KEY".to_owned()], 1));
    spoil(&mut world, "default", "tool");
    spoil(&mut world, "default", "grant");
    assert_eq!(keys(&world), (vec!["OTHER_KEY".to_owned()], 0));
    assert_eq!(
        crate::environment::opened(&environment(&world, "s"), true).provider_env_revision,
        world.effective("s").provider_env_revision
    );
}

#[test]
fn what_a_sandbox_binds_to_a_provider_does_not_stop_it_when_the_providers_profile_is_left_out() {
    let mut world = furnished();
    imported(&mut world, "default", ProviderProfile { credentials: vec![credential("b", "B_KEY")], ..minimal("bare") });
    let aws = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let credentials = aws.map(|variable| credential(variable, variable)).to_vec();
    let endpoints = vec![signing("s3.example.com")];
    imported(&mut world, "default", ProviderProfile { credentials, endpoints, ..minimal("signer") });
    world.ok(&provider("b", "bare", &["B_KEY"]));
    world.ok(&provider("a", "signer", &aws));
    let binding = Some(NetworkCredentialBinding { provider: "b".to_owned() });
    let mut both =
        policy_of("r1", NetworkEndpoint { credential_binding: binding, ..endpoint("bound.example.com", 443) });
    both.network_policies.extend(policy_of("r2", signing("s3.example.com")).network_policies);
    world.ok(&sandbox("bound", &["a", "b"], Some(both.clone())));
    spoil(&mut world, "default", "bare");
    spoil(&mut world, "default", "signer");
    assert_eq!(world.rules("bound"), ["r1", "r2"]);
    let answer = crate::environment::opened(&environment(&world, "bound"), true);
    assert!(answer.environment.is_empty(), "{:?}", answer.environment);
    // Nor does it stop what else is done with the sandbox.
    world.ok(&attach("bound", "q"));
    world.ok(&detach("bound", "q"));
    both.network_policies.extend(policy_of("r3", endpoint("more.example.com", 443)).network_policies);
    world.ok(&update_policy("bound", both));
}

#[test]
fn an_invalid_profile_is_updated_by_the_version_that_its_owner_knows_and_takes_part_again() {
    let mut world = furnished();
    let before = world.effective("s");
    spoil(&mut world, "default", "tool");
    assert_eq!(get(&world, "default", "tool").resource_version, 1, "nobody changed it");
    let answer = world.ok(&update("default", 1, spoiled(&tool())));
    assert!(!answer.updated && fields(&answer.diagnostics) == ["binaries[0]"], "the same diagnostics as on import");
    let answer = world.ok(&update("default", 1, tool()));
    assert!(answer.updated, "{:?}", answer.diagnostics);
    assert_eq!(answer.profile.expect("a profile").invalid_reason, "");
    assert_eq!((listed_invalid(&world, "default"), left_out(&world, "s")), (Vec::new(), Vec::new()));
    assert_eq!(world.effective("s").policy, before.policy);
    // In a batch as well, and what would be valid as it is counts as changed.
    store(&mut world, "default", tool());
    let stored = world.stored_profile("default", "tool").clone();
    let flagged = StoredProviderProfile { invalid_reason: "by rules that are gone".to_owned(), ..stored };
    world.write(&Key::profile("default", "tool"), Some(&flagged));
    let updates =
        vec![ProviderProfileUpdate { id: "tool".to_owned(), item: Some(item(tool())), expected_resource_version: 2 }];
    let workspace = "default".to_owned();
    let batch = UpdateProviderProfilesRequest { updates, workspace, ..UpdateProviderProfilesRequest::default() };
    let results = world.ok(&batch).results;
    assert!(results[0].changed && listed_invalid(&world, "default").is_empty(), "{results:?}");
}

#[test]
fn a_repair_is_checked_against_what_was_attached_meanwhile() {
    let mut world = with_rivals();
    world.refused(Code::FailedPrecondition, &attach("s", "h"));
    spoil(&mut world, "default", "grant");
    world.ok(&attach("s", "h"));
    let answer = world.ok(&update("default", 1, token_grant("grant", "api.example.com", "/v1/**")));
    assert!(!answer.updated);
    says(&crate::support::texts(&answer.diagnostics), &["ambiguous dynamic token grants", "\"s\""]);
    assert!(world.ok(&update("default", 1, token_grant("grant", "api.example.com", "/v2/**"))).updated);
}

#[test]
fn an_invalid_profile_is_deleted_once_no_sandbox_uses_it() {
    let mut world = furnished();
    spoil(&mut world, "default", "tool");
    says(&world.refused(Code::FailedPrecondition, &delete("default", "tool")), &["in use by sandboxes s;"]);
    world.ok(&detach("s", "p"));
    assert!(world.ok(&delete("default", "tool")).deleted);
    assert_eq!(listed_invalid(&world, "default"), []);
}

#[test]
fn a_provider_of_an_invalid_profile_is_not_made_and_not_configured_by_it() {
    let mut world = furnished();
    imported(&mut world, "default", token_grant("grant", "api.example.com", "/v1/**"));
    world.ok(&provider("empty", "grant", &[]));
    spoil(&mut world, "default", "grant");
    says(&world.refused(Code::InvalidArgument, &provider("late", "grant", &[])), &["left out", "binaries[0]"]);
    let configure = ConfigureProviderRefreshRequest {
        provider: "empty".to_owned(),
        credential_key: "KEY".to_owned(),
        strategy: Strategy::Oauth2ClientCredentials as i32,
        ..ConfigureProviderRefreshRequest::default()
    };
    says(&world.refused(Code::FailedPrecondition, &configure), &["\"grant\"", "left out", "binaries[0]"]);
}

/// A world with a custom profile `github`, made when no built-in one had that id.
fn before_github() -> World {
    let mut world = furnished();
    world.write::<StoredProviderProfile>(&Key::builtin_profile("github"), None);
    change_cluster(&mut world, |cluster| cluster.catalogue_number = 0);
    imported(&mut world, "default", static_profile("github", "git.example.com"));
    world.ok(&provider("g", "github", &["GIT_KEY"]));
    world.ok(&attach("s", "g"));
    assert_eq!(
        world.effective("s").policy.expect("a policy").network_policies["_provider_g"].endpoints[0].host,
        "git.example.com"
    );
    world
}

#[test]
fn cat_11_a_profile_whose_id_a_newer_catalogue_took_is_listed_and_the_built_in_one_is_used() {
    let mut world = before_github();
    assert_eq!(new_leader(&mut world), 1, "catalogue and verdicts are one entry");
    let [(scope, id, reason)] = &listed_invalid(&world, "default")[..] else { panic!("one is not valid") };
    assert_eq!((scope.as_str(), id.as_str()), ("workspace", "github"));
    says(reason, &["built-in", "used instead"]);
    let [only] = &left_out(&world, "s")[..] else { panic!("one profile is left out") };
    assert_eq!([&only.provider, &only.profile, &only.reason], ["g", "github", reason]);
    let layer = world.effective("s").policy.expect("a policy").network_policies["_provider_g"].clone();
    let ours = builtin::catalogue().iter().find(|profile| profile.id == "github").expect("it is built in");
    assert_eq!(layer.endpoints.len(), ours.endpoints.len());
    // It may be changed, which does not help, and deleted, though providers have its id as their type.
    let answer = world.ok(&update("default", 1, static_profile("github", "new.example.com")));
    assert!(answer.updated && answer.profile.expect("a profile").invalid_reason == *reason);
    assert_eq!(get(&world, "default", "github").endpoints[0].host, "new.example.com");
    assert!(world.ok(&delete("default", "github")).deleted);
    assert_eq!((listed_invalid(&world, "default"), left_out(&world, "s")), (Vec::new(), Vec::new()));
    let refused = world.ok(&update("default", 1, static_profile("github", "new.example.com")));
    says(&crate::support::texts(&refused.diagnostics), &["managed by source 'builtin'"]);
}

#[test]
fn a_profile_that_no_built_in_one_hides_any_more_takes_part_again_unless_that_would_harm_a_sandbox() {
    for (path, valid) in [("/v2/**", true), ("/v1/**", false)] {
        let mut world = furnished();
        imported(&mut world, "default", token_grant("rival", "api.example.com", "/v1/**"));
        imported(&mut world, "default", token_grant("gone", "api.example.com", path));
        let hidden = StoredProviderProfile {
            invalid_reason: "a built-in one has its id".to_owned(),
            ..world.stored_profile("default", "gone").clone()
        };
        let builtin = StoredProviderProfile { profile: Some(minimal("gone")), ..StoredProviderProfile::default() };
        world.write(&Key::profile("default", "gone"), Some(&hidden));
        world.write(&Key::builtin_profile("gone"), Some(&builtin));
        change_cluster(&mut world, |cluster| cluster.catalogue_number = 0);
        world.ok(&provider("g", "gone", &["GONE_KEY"]));
        world.ok(&provider("h", "rival", &["RIVAL_KEY"]));
        world.ok(&attach("s", "g"));
        world.ok(&attach("s", "h"));
        assert_eq!(new_leader(&mut world), 2, "first the catalogue, then what it makes room for");
        assert!(world.state.builtin_profile("gone").is_none());
        assert_eq!(listed_invalid(&world, "default").is_empty(), valid);
        assert_eq!(crate::racing::violations(&world.state), Vec::<String>::new());
    }
}

#[test]
fn a_record_that_is_not_what_its_key_says_is_invalid() {
    let mut world = furnished();
    let renamed = StoredProviderProfile { profile: Some(minimal("else")), ..StoredProviderProfile::default() };
    world.write(&Key::profile("default", "tool"), Some(&renamed));
    world.write(&Key::profile("default", "other"), Some(&StoredProviderProfile::default()));
    older_rules(&mut world);
    new_leader(&mut world);
    assert_eq!(world.rules("s"), ["r1"]);
    let reasons: Vec<_> = left_out(&world, "s").into_iter().map(|left_out| left_out.reason).collect();
    says(&reasons[0], &["stored as \"tool\"", "\"else\""]);
    says(&reasons[1], &["no profile"]);
}

#[test]
fn rules_that_judge_milder_let_a_profile_take_part_again_unless_that_would_harm_a_sandbox() {
    let mut world = with_rivals();
    let flag = |world: &mut World, id: &str| {
        let stored = world.stored_profile("default", id).clone();
        let flagged =
            StoredProviderProfile { judged_by_rules: 0, invalid_reason: "by rules that are gone".to_owned(), ..stored };
        world.write(&Key::profile("default", id), Some(&flagged));
    };
    flag(&mut world, "grant");
    flag(&mut world, "tool");
    world.ok(&attach("s", "h"));
    older_rules(&mut world);
    new_leader(&mut world);
    let invalid = listed_invalid(&world, "default");
    let [(_, id, reason)] = &invalid[..] else { panic!("one stays invalid: {invalid:?}") };
    assert_eq!(id, "grant");
    says(reason, &["valid again", "update it"]);
    assert!(!reason.contains("\"s\""), "it may be read where the sandbox may not: {reason}");
    assert!(world.rules("s").contains(&"_provider_p".to_owned()));
    // Asked again, it says the same and is no entry for ever.
    older_rules(&mut world);
    assert_eq!(new_leader(&mut world), 1);
    assert_eq!(listed_invalid(&world, "default"), invalid);
    world.ok(&detach("s", "h"));
    older_rules(&mut world);
    new_leader(&mut world);
    assert_eq!(listed_invalid(&world, "default"), []);
}

#[test]
fn what_an_older_leader_writes_is_judged_by_the_next_newer_one_and_nothing_else_is() {
    let mut world = furnished();
    assert!(formation::is_upgraded(&world.state), "imports are judged as they are written");
    older_rules(&mut world);
    assert_eq!(new_leader(&mut world), 1, "the mark alone");
    let marked = world.state.cluster().expect("it is formed").value.profiles_judged_through;
    assert!(marked > 0);
    // Before the mark: judged, with whatever number it was written.
    assert!(matches!(upgrade(&world), Decision::Answer(_)));
    store(&mut world, "default", spoiled(&static_profile("other", "other.example.com")));
    assert!(!formation::is_upgraded(&world.state));
    assert_eq!(new_leader(&mut world), 1);
    let reasons = listed_invalid(&world, "default");
    assert_eq!(reasons.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["other"]);
    // A cluster that newer rules have judged is not for this build to judge.
    store(&mut world, "default", spoiled(&tool()));
    change_cluster(&mut world, |cluster| cluster.profile_rules = verdict::RULES_NUMBER + 1);
    assert!(formation::is_upgraded(&world.state));
    assert_eq!(listed_invalid(&world, "default"), reasons);
}

#[test]
fn verdicts_on_many_large_profiles_take_several_entries_of_bounded_size() {
    let mut world = furnished();
    let filling = "x".repeat(200_000);
    for number in 0..13 {
        let large = ProviderProfile { description: filling.clone(), ..minimal(&format!("large-{number}")) };
        store(&mut world, "default", spoiled(&large));
    }
    older_rules(&mut world);
    let first = verdicts(&world);
    let bytes: usize = first.writes.iter().map(Message::encoded_len).sum();
    assert!((1_000_000..2_500_000).contains(&bytes), "{bytes}");
    let mut half = world.clone();
    assert_eq!(half.commit(first).outcome, Outcome::Installed);
    assert!(!formation::is_upgraded(&half.state) && !listed_invalid(&half, "default").is_empty());
    assert_eq!(new_leader(&mut world), 3);
    assert_eq!(listed_invalid(&world, "default").len(), 13);
}

#[test]
fn many_profiles_that_take_part_again_take_several_entries_that_rely_on_a_bounded_number_of_things() {
    let mut world = World::composing();
    for number in 0..2500 {
        let profile = Some(minimal(&format!("tool-{number}")));
        let invalid_reason = "older rules had something against it".to_owned();
        let key = Key::profile("default", &format!("tool-{number}"));
        world.write(&key, Some(&StoredProviderProfile { profile, invalid_reason, ..Default::default() }));
    }
    older_rules(&mut world);
    let mut entries = 0;
    while let Decision::Transact(draft) = upgrade(&world) {
        assert!(draft.guards.len() < 5000, "{}", draft.guards.len());
        assert_eq!(world.commit(draft).outcome, Outcome::Installed);
        entries += 1;
        assert!(entries < 20, "it comes to an end");
    }
    assert!(entries > 1 && formation::is_upgraded(&world.state), "{entries}");
    assert_eq!(listed_invalid(&world, "default"), []);
}

#[test]
fn a_verdict_falls_on_the_content_that_was_judged_or_not_at_all() {
    let mut world = furnished();
    store(&mut world, "default", spoiled(&tool()));
    older_rules(&mut world);
    let late = verdicts(&world);
    let mut repaired = world.clone();
    assert!(repaired.ok(&update("default", 1, tool())).updated);
    let key = Key::profile("default", "tool");
    let unguarded = Draft { guards: BTreeMap::new(), ..late.clone() };
    let mut harmed = repaired.clone();
    assert_eq!(harmed.commit(unguarded).outcome, Outcome::Installed);
    assert_eq!(listed_invalid(&harmed, "default").len(), 1, "the repair was undone");
    assert_eq!(repaired.commit(late).outcome, Outcome::GuardFailed { key });
}

#[test]
fn a_profile_that_takes_part_again_and_an_attachment_that_it_would_tie_with_do_not_both_commit() {
    let mut world = with_rivals();
    let stored = world.stored_profile("default", "grant").clone();
    let flagged = StoredProviderProfile { judged_by_rules: 0, invalid_reason: "gone".to_owned(), ..stored };
    world.write(&Key::profile("default", "grant"), Some(&flagged));
    older_rules(&mut world);
    let attached = crate::support::draft(world.decide(&attach("s", "h")));
    for (first, second) in [(verdicts(&world), attached.clone()), (attached, verdicts(&world))] {
        let mut end = world.clone();
        assert_eq!(end.commit(first).outcome, Outcome::Installed);
        assert!(matches!(end.commit(second).outcome, Outcome::GuardFailed { .. }));
        assert_eq!(crate::racing::violations(&end.state), Vec::<String>::new());
    }
}

#[test]
fn nobody_sends_a_verdict_and_none_counts_as_content() {
    let mut world = furnished();
    let echoed = ProviderProfile { invalid_reason: "made up".to_owned(), ..minimal("echo") };
    imported(&mut world, "default", echoed.clone());
    assert_eq!(get(&world, "default", "echo").invalid_reason, "");
    assert!(world.ok(&update("default", 1, echoed.clone())).updated);
    assert_eq!(get(&world, "default", "echo").invalid_reason, "");
    let stored = world.stored_profile("default", "echo");
    assert_eq!((stored.judged_by_rules, stored.invalid_reason.as_str()), (verdict::RULES_NUMBER, ""));
    assert_eq!(stored.profile.as_ref().expect("a profile").invalid_reason, "");
    // What is said of a profile, and by which rules, moves no revision of an environment.
    let before = world.effective("s");
    let stored = StoredProviderProfile { judged_by_rules: 77, ..world.stored_profile("default", "tool").clone() };
    world.write(&Key::profile("default", "tool"), Some(&stored));
    assert_eq!(world.effective("s"), before);
    spoil(&mut world, "default", "tool");
    let flagged = world.effective("s");
    let worded = StoredProviderProfile {
        invalid_reason: "in other words".to_owned(),
        ..world.stored_profile("default", "tool").clone()
    };
    world.write(&Key::profile("default", "tool"), Some(&worded));
    let after = world.effective("s");
    assert_eq!(
        (after.provider_env_revision, after.config_revision, &after.policy_hash),
        (flagged.provider_env_revision, flagged.config_revision, &flagged.policy_hash)
    );
    assert_eq!(after.left_out_profiles[0].reason, "in other words");
}

/// Opens whatever it is given, to that itself.
struct Anything;

impl Opener for Anything {
    fn open(&self, _kind: &str, _workspace: &str, _name: &str, _field: &str, sealed: &str) -> Option<Vec<u8>> {
        Some(sealed.as_bytes().to_vec())
    }
}

/// What every sandbox gets: configuration without what is said of left out profiles, and environment.
fn answers(world: &World) -> BTreeMap<Key, (String, String)> {
    let sandboxes = world.state.by_creation_everywhere(Kind::Sandbox);
    let shown = sandboxes.map(|(key, _)| {
        let sandbox = world.state.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists").value;
        let config = openshell_state::effective::sandbox_config(&world.state, &key.workspace, sandbox);
        let environment = Environment::compose(&world.state, &key.workspace, sandbox, world.time_ms)
            .map(|composed| composed.answer(&Anything, true).expect("it opens"));
        (key, (format!("{config:?}"), format!("{environment:?}")))
    });
    shown.collect()
}

/// (workspace, sandbox) -> the rules that a sandbox gets.
fn rules(world: &World) -> BTreeMap<Key, BTreeSet<String>> {
    let sandboxes = world.state.by_creation_everywhere(Kind::Sandbox);
    let rules = sandboxes.map(|(key, _)| {
        let sandbox = world.state.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists").value;
        let config = openshell_state::effective::sandbox_config(&world.state, &key.workspace, sandbox);
        let policy = config.expect("every sandbox composes").policy.unwrap_or_default();
        (key, policy.network_policies.into_keys().collect())
    });
    rules.collect()
}

proptest! {
    #![proptest_config(Config { cases: 96, ..laws::config() })]

    /// After any history, one profile is spoiled: who uses it loses its rules and nothing else, everybody
    /// else gets byte for byte what they got, and the repair brings back what there was.
    #[test]
    fn an_invalid_profile_takes_its_own_rules_away_and_touches_nobody_else(
        history in laws::history(0..30), which in any::<proptest::sample::Index>()
    ) {
        let mut world = laws::remembered(&history);
        let profiles: Vec<Key> = world.state.all_profiles().map(|(key, _)| key.clone()).collect();
        if profiles.is_empty() {
            return Ok(());
        }
        let key = which.get(&profiles).clone();
        let original = world.stored_profile(&key.workspace, &key.name).clone();
        let (before, rules_before) = (answers(&world), rules(&world));
        spoil(&mut world, &key.workspace, &key.name);
        let (after, rules_after) = (answers(&world), rules(&world));
        for (sandbox, answer) in &before {
            let stored = world.state.sandbox(&sandbox.workspace, &sandbox.name).expect("it is there").value;
            let config = openshell_state::effective::sandbox_config(&world.state, &sandbox.workspace, stored);
            let without = config.expect("every sandbox composes").left_out_profiles;
            if without.is_empty() {
                prop_assert_eq!(answer, &after[sandbox]);
                continue;
            }
            prop_assert!(without.iter().all(|one| *one.profile == *key.name && !one.reason.is_empty()));
            let gone: BTreeSet<_> = without.iter().map(|one| format!("_provider_{}", one.provider)).collect();
            let kept: BTreeSet<_> = rules_before[sandbox].difference(&gone).cloned().collect();
            prop_assert_eq!(&rules_after[sandbox], &kept);
        }
        let profile = original.profile.expect("a profile");
        let version = original.metadata.expect("metadata").resource_version;
        prop_assert!(world.ok(&update(&key.workspace, version, profile)).updated);
        prop_assert_eq!(rules(&world), rules_before);
    }
}

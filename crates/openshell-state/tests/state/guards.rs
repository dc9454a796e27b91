//! One test per kind of guard: two decisions race on one state, the first is applied. With
//! all guards the second fails; without those of the kind it is installed and does the harm that
//! the test names, so that the guard is what prevents it.

use openshell_proto::log::{Kind, command};
use openshell_proto::v1::{
    DeleteProviderRequest, DeleteWorkspaceRequest, StoredPolicyRevision, StoredProviderProfile, WorkspaceMember,
    WorkspaceRole,
};
use openshell_state::decide::formation;
use openshell_state::{Draft, Key, Outcome, Stamp};

use crate::racing::violations;
use crate::support::{
    Decide, Seeded, World, add_member, attach, draft, endpoint, global_setting, import, minimal, policy, policy_of,
    provider, remove_member, sandbox, setting, static_profile, token_grant, transaction, update, update_policy,
    update_provider, user,
};

/// `first` wins the race. What the world looks like when `second` has all its guards, which must
/// fail, and when it lacks those that `guards` names.
fn race(world: &World, first: &dyn Decide, second: &dyn Decide, guards: impl Fn(&Key) -> bool) -> World {
    let won = draft(world.decide_seeded(1, first));
    let late = draft(world.decide_seeded(2, second));
    let mut world = world.clone();
    assert_eq!(world.commit(won).outcome, Outcome::Installed, "the first of two always goes in");
    outrun(world, late, guards)
}

/// `late` was decided before the last change of this world.
fn outrun(mut world: World, late: Draft, guards: impl Fn(&Key) -> bool) -> World {
    let before = world.state.digest();
    match world.commit(late.clone()).outcome {
        Outcome::GuardFailed { key } => assert!(guards(&key), "{key} failed, which the test is not about"),
        other => panic!("no guard failed: {other:?}"),
    }
    assert_eq!(world.state.digest(), before, "a failed guard changes nothing");
    let mut unguarded = late;
    let count = unguarded.guards.len();
    unguarded.guards.retain(|key, _| !guards(key));
    assert!(unguarded.guards.len() < count);
    assert_eq!(world.commit(unguarded).outcome, Outcome::Installed, "another guard would have prevented it");
    world
}

fn harmed(world: &World, words: &str) {
    let found = violations(&world.state).join("; ");
    assert!(found.contains(words), "{words:?} is not among: {found}");
}

/// Two token-grant profiles whose providers `a` and `b` exist; sandbox `s` lists these.
fn granted(first: &str, second: &str, listed: &[&str]) -> World {
    let mut world = World::new();
    world.ok(&import("default", &[token_grant("grant-a", "api.example.com", first)]));
    world.ok(&import("default", &[token_grant("grant-b", "api.example.com", second)]));
    world.ok(&provider("a", "grant-a", &["A_KEY"]));
    world.ok(&provider("b", "grant-b", &["B_KEY"]));
    world.ok(&sandbox("s", listed, None));
    world
}

/// Provider `p` whose rules contradict the policy of sandbox `s` once composed.
fn contradicting() -> World {
    let mut world = World::new();
    let mut open = static_profile("open", "api.example.com");
    open.endpoints[0].tls = "skip".to_owned();
    assert!(world.ok(&import("default", &[open])).imported);
    world.ok(&provider("p", "open", &["P_KEY"]));
    world.ok(&sandbox("s", &[], Some(policy("api.example.com"))));
    world
}

#[test]
fn the_record_of_a_profile_keeps_an_update_from_being_lost() {
    let world = granted("/v1/**", "/v2/**", &[]);
    let first = update("default", 1, token_grant("grant-a", "api.example.com", "/v3/**"));
    let second = update("default", 1, token_grant("grant-a", "api.example.com", "/v4/**"));
    let harmed = race(&world, &first, &second, |key| *key == Key::profile("default", "grant-a"));
    let stored = harmed.stored_profile("default", "grant-a").metadata.as_ref().expect("metadata");
    assert_eq!(stored.resource_version, 2, "two updates, one version");
}

#[test]
fn the_fence_of_a_profiles_users_keeps_an_attachment_from_slipping_in() {
    let world = granted("/v1/**", "/v2/**", &["a"]);
    let second = update("default", 1, token_grant("grant-b", "api.example.com", "/v1/**"));
    let end = race(&world, &attach("s", "b"), &second, |key| key.kind == Kind::FenceProfileUsers);
    harmed(&end, "token grants");
}

#[test]
fn the_records_of_other_profiles_keep_two_updates_from_meeting() {
    let world = granted("/v1/**", "/v2/**", &["a", "b"]);
    let first = update("default", 1, token_grant("grant-a", "api.example.com", "/v3/**"));
    let second = update("default", 1, token_grant("grant-b", "api.example.com", "/v3/**"));
    let others = |key: &Key| key.kind == Kind::ProviderProfile && &*key.name != "grant-b";
    harmed(&race(&world, &first, &second, others), "token grants");
}

#[test]
fn the_built_in_catalogue_keeps_an_import_from_taking_its_new_id() {
    let world = World::new();
    let late = draft(world.decide(&import("", &[minimal("new-tool")])));
    let mut upgraded = world.clone();
    let builtin = StoredProviderProfile { profile: Some(minimal("new-tool")), ..StoredProviderProfile::default() };
    upgraded.write(&Key::builtin_profile("new-tool"), Some(&builtin));
    let end = outrun(upgraded, late, |key| key.kind == Kind::BuiltinProfile);
    assert!(end.state.profile("", "new-tool").is_some() && end.state.builtin_profile("new-tool").is_some());
}

#[test]
fn the_gateways_settings_keep_composition_from_being_switched_on_unseen() {
    let world = contradicting();
    let switched = global_setting("providers_v2_enabled", true);
    let end = race(&world, &switched, &attach("s", "p"), |key| key.kind == Kind::GatewaySettings);
    harmed(&end, "endpoints");
}

#[test]
fn the_fence_of_composition_keeps_an_attachment_from_escaping_activation() {
    let world = contradicting();
    let switched = global_setting("providers_v2_enabled", true);
    let end = race(&world, &attach("s", "p"), &switched, |key| key.kind == Kind::FenceComposition);
    harmed(&end, "endpoints");
}

#[test]
fn the_record_of_a_provider_keeps_a_deleted_one_from_being_listed() {
    let world = granted("/v1/**", "/v2/**", &["a"]);
    let deleted = DeleteProviderRequest { name: "b".to_owned(), ..DeleteProviderRequest::default() };
    let end = race(&world, &deleted, &attach("s", "b"), |key| key.kind == Kind::Provider);
    harmed(&end, "does not exist");
}

#[test]
fn the_record_of_a_provider_keeps_a_colliding_key_from_being_attached() {
    let world = granted("/v1/**", "/v2/**", &["a"]);
    let rekeyed = update_provider("b", &[("A_KEY", "other")], &[]);
    let end = race(&world, &rekeyed, &attach("s", "b"), |key| key.kind == Kind::Provider);
    harmed(&end, "A_KEY");
}

#[test]
fn the_fence_of_a_providers_users_keeps_a_key_from_colliding_where_it_was_just_attached() {
    let world = granted("/v1/**", "/v2/**", &["a"]);
    let rekeyed = update_provider("b", &[("A_KEY", "other")], &[]);
    let end = race(&world, &attach("s", "b"), &rekeyed, |key| key.kind == Kind::FenceProviderUsers);
    harmed(&end, "A_KEY");
}

#[test]
fn the_fence_of_a_providers_users_keeps_a_listed_one_from_being_deleted() {
    let world = granted("/v1/**", "/v2/**", &[]);
    let deleted = DeleteProviderRequest { name: "b".to_owned(), ..DeleteProviderRequest::default() };
    let end = race(&world, &attach("s", "b"), &deleted, |key| key.kind == Kind::FenceProviderUsers);
    harmed(&end, "does not exist");
}

#[test]
fn the_record_of_a_sandbox_keeps_an_attachment_from_being_lost() {
    let world = granted("/v1/**", "/v2/**", &[]);
    let end = race(&world, &attach("s", "a"), &attach("s", "b"), |key| key.kind == Kind::Sandbox);
    assert_eq!(end.listed("s"), ["b"], "a was attached and is gone");
}

#[test]
fn the_absence_of_the_next_policy_revision_keeps_an_attachment_on_the_policy_it_saw() {
    let mut world = contradicting();
    world.ok(&global_setting("providers_v2_enabled", true));
    world.ok(&sandbox("t", &[], Some(policy("other.example.com"))));
    let changed = update_policy("t", policy("api.example.com"));
    let end = race(&world, &changed, &attach("t", "p"), |key| key.kind == Kind::PolicyRevision);
    harmed(&end, "endpoints");
}

#[test]
fn the_absence_of_the_next_policy_revision_keeps_its_number_for_one() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let (first, second) = (update_policy("s", policy("b.example.com")), update_policy("s", policy("c.example.com")));
    let end = race(&world, &first, &second, |key| key.kind == Kind::PolicyRevision);
    assert_eq!(end.revisions("s").len(), 2, "three policies, two revisions");
}

#[test]
fn the_record_of_a_policy_revision_keeps_a_report_about_it() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    let late = draft(world.decide(&update_policy("s", policy("b.example.com"))));
    let key = Key::policy_revision("default", &world.sandbox_id("s"), 1);
    let failed = StoredPolicyRevision {
        status: "failed".to_owned(),
        load_error: Some("no such binary".to_owned()),
        ..world.revisions("s")[0].stored.clone()
    };
    world.write(&key, Some(&failed));
    let end = outrun(world, late, |guarded| *guarded == key);
    assert_eq!(end.revisions("s")[0].stored.load_error, None, "the report is overwritten");
}

#[test]
fn the_record_of_a_sandboxs_settings_keeps_a_setting_from_being_lost() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let (first, second) =
        (setting("s", "ocsf_json_enabled", true), setting("s", "agent_policy_proposals_enabled", true));
    let end = race(&world, &first, &second, |key| key.kind == Kind::SandboxSettings);
    let stored = end.state.sandbox_settings("default", "s").expect("settings").value;
    assert_eq!(stored.values.len(), 1, "two settings, one kept");
}

#[test]
fn the_record_of_a_workspace_keeps_new_things_out_of_a_deleted_one() {
    let mut world = World::new();
    world.workspace("team");
    let mut created = sandbox("s", &[], None);
    created.workspace = "team".to_owned();
    let deleted = DeleteWorkspaceRequest { name: "team".to_owned() };
    let end = race(&world, &deleted, &created, |key| key.kind == Kind::Workspace);
    harmed(&end, "workspace \"team\" does not exist");
}

#[test]
fn the_fence_of_a_workspaces_contents_keeps_it_while_it_holds_something() {
    let mut world = World::new();
    world.workspace("team");
    let mut created = sandbox("s", &[], None);
    created.workspace = "team".to_owned();
    let deleted = DeleteWorkspaceRequest { name: "team".to_owned() };
    let end = race(&world, &created, &deleted, |key| key.kind == Kind::FenceWorkspaceContents);
    harmed(&end, "workspace \"team\" does not exist");
}

#[test]
fn the_record_of_a_membership_keeps_a_former_member_out() {
    let mut world = World::new();
    world.member("default", "mia", WorkspaceRole::User);
    let late = draft(world.decide_as(&user("mia", false), &sandbox("s", &[], None)));
    world.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    let end = outrun(world, late, |key| key.kind == Kind::WorkspaceMember);
    assert!(end.state.sandbox("default", "s").is_some(), "made by somebody who had no right to it any more");
}

#[test]
fn the_fence_of_a_workspaces_members_keeps_two_additions_from_exceeding_the_bound() {
    let mut world = World::new();
    for number in 0..999 {
        world.member("default", &format!("user-{number}"), WorkspaceRole::User);
    }
    let (first, second) = (add_member("", "ann", WorkspaceRole::User), add_member("", "bob", WorkspaceRole::User));
    let end = race(&world, &first, &second, |key| key.kind == Kind::FenceWorkspaceMembers);
    harmed(&end, "has 1001 members");
}

#[test]
fn the_fence_and_the_record_of_a_member_keep_it_from_being_added_twice() {
    let world = World::new();
    let (first, second) = (add_member("", "mia", WorkspaceRole::Admin), add_member("", "mia", WorkspaceRole::User));
    let end = race(&world, &first, &second, |key| {
        key.kind == Kind::FenceWorkspaceMembers || *key == Key::member("default", "mia")
    });
    assert_eq!(end.state.member("default", "mia").expect("a member").value.role(), WorkspaceRole::User, "overwritten");
}

#[test]
fn the_fence_of_a_workspaces_members_keeps_nobody_behind_when_it_is_deleted() {
    let mut world = World::new();
    world.workspace("team");
    let deleted = DeleteWorkspaceRequest { name: "team".to_owned() };
    let added = add_member("team", "mia", WorkspaceRole::User);
    let end = race(&world, &added, &deleted, |key| key.kind == Kind::FenceWorkspaceMembers);
    harmed(&end, "workspace \"team\" does not exist");
}

#[test]
fn the_record_of_a_workspace_keeps_members_out_of_a_deleted_one() {
    let mut world = World::new();
    world.workspace("team");
    let deleted = DeleteWorkspaceRequest { name: "team".to_owned() };
    let added = add_member("team", "mia", WorkspaceRole::User);
    let end =
        race(&world, &deleted, &added, |key| key.kind == Kind::Workspace || key.kind == Kind::FenceWorkspaceMembers);
    harmed(&end, "workspace \"team\" does not exist");
}

#[test]
fn the_record_of_a_membership_keeps_a_former_admin_from_adding_members() {
    let mut world = World::new();
    world.member("default", "ann", WorkspaceRole::Admin);
    let late = draft(world.decide_as(&user("ann", false), &add_member("", "mia", WorkspaceRole::User)));
    world.ok(&remove_member("", "ann"));
    let end = outrun(world, late, |key| key.kind == Kind::WorkspaceMember || key.kind == Kind::FenceWorkspaceMembers);
    assert!(end.state.member("default", "mia").is_some(), "added by somebody who was no admin any more");
}

#[test]
fn the_record_of_the_cluster_keeps_it_from_being_formed_again() {
    let world = World::new();
    let seeded = Seeded::new(9);
    let mut again = formation::form("other", 2, Stamp { time_ms: 1, identifiers: &seeded, sealer: &seeded });
    let mut formed = world.clone();
    assert!(matches!(formed.apply(again.clone()).outcome, Outcome::GuardFailed { .. }));
    assert_eq!(formed.state.digest(), world.state.digest());
    let Some(command::Kind::Transaction(content)) = &mut again.kind else { panic!("no transaction") };
    content.guards.clear();
    assert_eq!(formed.apply(transaction(content.clone())).outcome, Outcome::Installed);
    assert_eq!(formed.state.epoch(), 2, "another cluster over the first one's state");
}

#[test]
fn endpoints_that_do_not_overlap_compose() {
    let mut world = contradicting();
    world.ok(&sandbox("t", &["p"], Some(policy_of("r1", endpoint("elsewhere.example.com", 443)))));
    assert_eq!(violations(&world.state), Vec::<String>::new());
}

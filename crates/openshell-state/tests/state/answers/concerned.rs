//! Whom each kind of entry concerns.

use openshell_proto::log::Settings;
use openshell_proto::v1::{
    DeleteSandboxRequest, StoredProviderCredentialRefreshState, StoredProviderProfile, StoredRefreshClaim,
    WorkspaceRole,
};
use openshell_state::{Concerned, Key};

use super::sandboxes;
use crate::support::{
    World, attach, detach, global_policy, global_setting, import, map, policy, provider, sandbox, setting,
    static_profile, update, update_policy, update_provider,
};

/// The sandboxes `a` and `b` in `default`, with the providers `p` of the profile `tool` and `q` of the
/// profile `wide` (of the platform), `c` with none, and `a` of the workspace `team` with its own `p`.
fn world() -> World {
    let mut world = World::new();
    world.workspace("team");
    world.ok(&import("default", &[static_profile("tool", "tool.example.com")]));
    world.ok(&import("", &[static_profile("wide", "wide.example.com")]));
    world.ok(&provider("p", "tool", &["P"]));
    world.ok(&provider("q", "wide", &["Q"]));
    let mut elsewhere = provider("p", "tool", &["P"]);
    elsewhere.workspace = "team".to_owned();
    elsewhere.provider.as_mut().expect("a provider").profile_workspace = "team".to_owned();
    world.ok(&elsewhere);
    world.ok(&sandbox("a", &["p"], Some(policy("a.example.com"))));
    world.ok(&sandbox("b", &["p", "q"], Some(policy("b.example.com"))));
    world.ok(&sandbox("c", &[], None));
    let mut there = sandbox("a", &["p"], None);
    there.workspace = "team".to_owned();
    world.ok(&there);
    world
}

/// Whom what `change` does concerns, as `workspace/name`.
#[track_caller]
fn check(what: &str, change: impl FnOnce(&mut World), concerned: &[&str]) {
    let mut world = world();
    let since = |world: &World| -> Vec<(Key, u64)> {
        sandboxes(&world.state).into_iter().map(|key| (key.clone(), world.state.unchanged_since(&key))).collect()
    };
    let before = since(&world);
    let entries = world.log.len();
    change(&mut world);
    let moved = since(&world).into_iter().filter(|(key, now)| !before.contains(&(key.clone(), *now)));
    let mut moved: Vec<String> = moved.map(|(key, _)| format!("{}/{}", key.workspace, key.name)).collect();
    moved.sort();
    assert_eq!(moved, concerned, "{what}");
    for sandbox in moved {
        assert!(found(&world, entries).contains(&sandbox), "{what}: {sandbox} is not found by what was written");
    }
}

/// Whom the state finds, as `workspace/name`, by the keys alone that entries after the first so many wrote.
fn found(world: &World, entries: usize) -> Vec<String> {
    let keys = world.log[entries..].iter().flat_map(|(_, command)| match &command.kind {
        Some(openshell_proto::log::command::Kind::Transaction(transaction)) => transaction.writes.clone(),
        other => panic!("no transaction but {other:?}"),
    });
    let keys = keys.map(|write| Key::from_proto(write.key.as_ref().expect("a key")).expect("a known kind"));
    let found = keys.flat_map(|key| match world.state.concerned_by(&key) {
        Concerned::Nobody => Vec::new(),
        Concerned::Sandboxes(sandboxes) => sandboxes,
        Concerned::Everybody => sandboxes(&world.state),
    });
    found.map(|key| format!("{}/{}", key.workspace, key.name)).collect()
}

const ALL: [&str; 4] = ["default/a", "default/b", "default/c", "team/a"];

#[test]
fn an_entry_ends_the_answers_of_those_whom_it_concerns_and_no_others() {
    let tool = || static_profile("tool", "new.example.com");
    check("a sandbox beside them", |world| drop(world.ok(&sandbox("d", &["p"], None))), &["default/d"]);
    check("an attachment", |world| drop(world.ok(&attach("c", "q"))), &["default/c"]);
    check("a detachment", |world| drop(world.ok(&detach("b", "q"))), &["default/b"]);
    check("a policy", |world| drop(world.ok(&update_policy("a", policy("new.example.com")))), &["default/a"]);
    check("a setting", |world| drop(world.ok(&setting("c", "ocsf_json_enabled", true))), &["default/c"]);
    check("a provider", |world| drop(world.ok(&update_provider("p", &[], &[]))), &["default/a", "default/b"]);
    check("a profile", |world| assert!(world.ok(&update("default", 1, tool())).updated), &["default/a", "default/b"]);
    check(
        "the platform's",
        |world| drop(world.ok(&update("", 1, static_profile("wide", "new.example.com")))),
        &["default/b"],
    );
    check(
        "one that comes to hide it",
        |world| drop(world.ok(&import("default", &[static_profile("wide", "h.example.com")]))),
        &["default/b"],
    );
    check("one of the same id elsewhere", |world| drop(world.ok(&import("team", &[tool()]))), &["team/a"]);
    check(
        "one of the platform's",
        |world| drop(world.ok(&import("", &[tool()]))),
        &["default/a", "default/b", "team/a"],
    );
    check(
        "one that nobody uses",
        |world| drop(world.ok(&import("", &[static_profile("other", "o.example.com")]))),
        &[],
    );
    check("a global setting", |world| drop(world.ok(&global_setting("ocsf_json_enabled", true))), &ALL);
    check("a global policy", |world| drop(world.ok(&global_policy(policy("g.example.com")))), &ALL);
    check("a workspace", |world| world.workspace("new"), &[]);
    check("a member", |world| world.member("default", "bob", WorkspaceRole::User), &[]);
}

/// A refresh state of the provider `q`, and its key.
fn refresh(world: &World) -> (Key, StoredProviderCredentialRefreshState) {
    let id = world.stored_provider("q").metadata.as_ref().expect("metadata").id.clone();
    let state = StoredProviderCredentialRefreshState {
        provider_id: id.clone(),
        provider_name: "q".to_owned(),
        credential_key: "Q".to_owned(),
        ..StoredProviderCredentialRefreshState::default()
    };
    (Key::refresh("default", &id, "Q"), state)
}

#[test]
fn records_that_are_written_past_the_rules_concern_those_who_use_them() {
    let written = |world: &mut World| {
        let (key, state) = refresh(world);
        world.write(&key, Some(&state));
    };
    check("a refresh state", written, &["default/b"]);
    let removed = |world: &mut World| {
        written(world);
        let since = world.state.unchanged_since(&Key::sandbox("default", "b"));
        let (key, _) = refresh(world);
        world.write::<StoredProviderCredentialRefreshState>(&key, None);
        assert!(world.state.unchanged_since(&Key::sandbox("default", "b")) > since);
    };
    check("one that goes", removed, &["default/b"]);
    let catalogue = |world: &mut World| {
        let profile = Some(static_profile("wide", "built-in.example.com"));
        world.write(
            &Key::builtin_profile("wide"),
            Some(&StoredProviderProfile { profile, ..StoredProviderProfile::default() }),
        );
    };
    check("a newer catalogue", catalogue, &["default/b"]);
    check(
        "settings",
        |world| world.write(&Key::sandbox_settings("team", "a"), Some(&Settings::default())),
        &["team/a"],
    );
    check(
        "a cluster that can do more",
        |world| {
            let mut cluster = world.state.cluster().expect("formed").value.clone();
            cluster.feature_level += 1;
            world.write(&Key::cluster(), Some(&cluster));
        },
        &ALL,
    );
    check(
        "a cluster that loses its key",
        |world| {
            let mut cluster = world.state.cluster().expect("formed").value.clone();
            cluster.sealed_signing_key.clear();
            world.write(&Key::cluster(), Some(&cluster));
        },
        &ALL,
    );
}

/// Whether a change of a refresh state ends the answers of who uses its provider.
fn moves(change: impl FnOnce(&mut StoredProviderCredentialRefreshState)) -> bool {
    let mut world = world();
    let (key, mut state) = refresh(&world);
    world.write(&key, Some(&state));
    let since = world.state.unchanged_since(&Key::sandbox("default", "b"));
    change(&mut state);
    world.write(&key, Some(&state));
    world.state.unchanged_since(&Key::sandbox("default", "b")) > since
}

#[test]
fn how_a_refresh_goes_concerns_nobody_until_it_brings_another_grant() {
    assert!(!moves(|state| state.claim = Some(StoredRefreshClaim::default())), "a claim");
    assert!(!moves(|state| (state.status, state.consecutive_failures) = ("error".to_owned(), 1)), "a failure");
    assert!(!moves(|state| state.next_refresh_at_ms = 1), "another try");
    assert!(moves(|state| state.status = "deleting".to_owned()), "the end");
    assert!(moves(|state| state.authorization_epoch = "two".to_owned()), "another authorization");
    assert!(moves(|state| state.metadata.get_or_insert_default().resource_version += 1), "another credential");
    assert!(moves(|state| state.strategy += 1), "another strategy");
    assert!(moves(|state| drop(state.additional_output_keys.insert("o".to_owned(), "R".to_owned()))), "an output");
}

#[test]
fn reports_and_labels_concern_nobody() {
    check(
        "a member that is let in no more",
        |world| {
            let mut cluster = world.state.cluster().expect("formed").value.clone();
            cluster.removed_nodes.push(7);
            world.write(&Key::cluster(), Some(&cluster));
        },
        &[],
    );
    check(
        "a report about a sandbox",
        |world| {
            let mut reported = world.stored_sandbox("a").clone();
            reported.status.get_or_insert_default().current_policy_version = 1;
            reported.metadata.as_mut().expect("metadata").labels = map(&[("k", "v")]);
            world.write(&Key::sandbox("default", "a"), Some(&reported));
        },
        &[],
    );
    check(
        "a report about its policy",
        |world| {
            let id = world.sandbox_id("a");
            let mut revision = world.revisions("a")[0].stored.clone();
            revision.status = "failed".to_owned();
            world.write(&Key::policy_revision("default", &id, 1), Some(&revision));
        },
        &[],
    );
}

#[test]
fn a_sandbox_that_is_made_again_is_another() {
    let mut world = world();
    let key = Key::sandbox("default", "a");
    let before = world.state.unchanged_since(&key);
    world.ok(&DeleteSandboxRequest { name: "a".to_owned(), ..DeleteSandboxRequest::default() });
    world.ok(&sandbox("a", &["p"], None));
    assert!(world.state.unchanged_since(&key) > before);
}

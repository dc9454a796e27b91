//! What a watch shows: whoever lists a state once and follows the history from there has what is
//! listed at any later revision, and sees nothing that the lists would not show.

use std::collections::BTreeMap;

use openshell_proto::cluster::watch_event::{Act, Object};
use openshell_proto::cluster::{WatchEvent, WatchKind, WatchRequest};
use openshell_proto::datamodel::{ObjectMeta, Workspace};
use openshell_proto::log::{Command, HistoryEntry};
use openshell_proto::v1::{CreateSandboxRequest, DeleteWorkspaceRequest, WorkspaceMember, WorkspaceRole};
use openshell_state::access::Principal;
use openshell_state::query::watch::Interest;
use openshell_state::{Code, Key, State};
use proptest::prelude::any;
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, proptest};

use crate::laws;
use crate::support::{
    World, admin, global_policy, global_setting, import, map, minimal, policy, provider, remove_member, sandbox, user,
};

/// What a watcher holds: by kind, workspace and name.
type Replica = BTreeMap<(i32, String, String), Option<Object>>;

fn all() -> WatchRequest {
    WatchRequest { all_workspaces: true, ..WatchRequest::default() }
}

fn interest(state: &State, principal: &Principal, request: &WatchRequest) -> Interest {
    Interest::read(state, principal, request).unwrap_or_else(|refusal| panic!("{}", refusal.message))
}

/// Everything selected in a state, in pages of about one object.
fn listed(state: &State, interest: &Interest) -> Replica {
    let (mut replica, mut after) = (Replica::new(), None);
    loop {
        let (events, last) = interest.page(state, after.as_ref(), 1);
        if events.is_empty() {
            return replica;
        }
        assert_eq!(events.len(), 1, "a page ends with its bytes");
        for event in events {
            assert_eq!(event.act(), Act::Created);
            let before = replica.insert((event.kind, event.workspace, event.name), event.object);
            assert_eq!(before, None, "listed twice");
        }
        after = last;
    }
}

/// A watcher takes an event: what is made is new, what is changed or deleted it has.
fn take(replica: &mut Replica, event: WatchEvent) {
    let (act, key) = (event.act(), (event.kind, event.workspace, event.name));
    assert_eq!(replica.contains_key(&key), act != Act::Created, "{act:?} {key:?}");
    assert_eq!(event.object.is_some(), act != Act::Deleted, "{act:?} {key:?}");
    match act {
        Act::Deleted => replica.remove(&key),
        Act::Created | Act::Updated | Act::Unspecified => replica.insert(key, event.object),
    };
}

/// Every state of a log, and what each entry left in the history.
fn replayed(log: &[(u64, Command)]) -> (Vec<State>, Vec<Option<HistoryEntry>>) {
    let mut state = State::empty();
    let (mut states, mut history) = (vec![state.clone()], Vec::new());
    for (index, command) in log {
        history.push(state.apply(*index, command).expect("known").history);
        states.push(state.clone());
    }
    (states, history)
}

proptest! {
    #![proptest_config(Config { cases: 64, ..laws::config() })]

    #[test]
    fn who_lists_and_follows_has_what_is_listed_later(
        operations in laws::history(1..40), cut in any::<proptest::sample::Index>()
    ) {
        let world = laws::remembered(&operations);
        let (states, history) = replayed(&world.log);
        let (last, begin) = (states.last().expect("one"), 1 + cut.index(states.len() - 1));
        let of_default = WatchRequest::default();
        let two_kinds = WatchRequest { kinds: vec![WatchKind::Sandbox as i32, WatchKind::Policy as i32], ..all() };
        for request in [all(), of_default, two_kinds] {
            let interest = interest(last, &admin(), &request);
            let mut replica = listed(&states[begin], &interest);
            for entry in history[begin..].iter().flatten() {
                for event in interest.events(entry).expect("complete") {
                    prop_assert_eq!(event.revision, entry.revision);
                    take(&mut replica, event);
                }
            }
            prop_assert_eq!(replica, listed(last, &interest));
        }
    }
}

/// The events of what `act` does to a world.
fn events(world: &mut World, interest: &Interest, act: impl FnOnce(&mut World)) -> Vec<WatchEvent> {
    let before = world.log.len();
    act(world);
    let (_, history) = replayed(&world.log);
    history[before..].iter().flatten().flat_map(|entry| interest.events(entry).expect("complete")).collect()
}

fn acts(events: &[WatchEvent]) -> Vec<(Act, &str)> {
    events.iter().map(|event| (event.act(), event.name.as_str())).collect()
}

#[test]
fn what_leaves_a_selection_is_deleted_and_what_enters_it_is_created() {
    let mut world = World::new();
    let request = WatchRequest { label_selector: "tier=gold".to_owned(), ..all() };
    let interest = interest(&world.state, &admin(), &request);
    let labelled = |tier: &str| Workspace {
        metadata: Some(ObjectMeta { name: "w".to_owned(), labels: map(&[("tier", tier)]), ..ObjectMeta::default() }),
        status: None,
    };
    let key = Key::workspace("w");
    for (value, expected) in [
        (Some("silver"), None),
        (Some("gold"), Some(Act::Created)),
        (Some("gold"), Some(Act::Updated)),
        (Some("silver"), Some(Act::Deleted)),
        (Some("lead"), None),
        (None, None),
        (Some("gold"), Some(Act::Created)),
        (None, Some(Act::Deleted)),
    ] {
        let seen = events(&mut world, &interest, |world| world.write(&key, value.map(labelled).as_ref()));
        assert_eq!(acts(&seen).first().map(|(act, _)| *act), expected, "{value:?}");
    }
    let unlabelled = events(&mut world, &interest, |world| {
        world.ok(&global_setting("providers_v2_enabled", true));
    });
    assert_eq!(acts(&unlabelled), [], "settings have no labels");
}

#[test]
fn a_watch_of_a_workspace_sees_its_own_and_what_the_platform_shares() {
    let mut world = World::composing();
    world.workspace("team");
    let request = WatchRequest { workspace: "team".to_owned(), ..WatchRequest::default() };
    let interest = interest(&world.state, &admin(), &request);
    let seen = events(&mut world, &interest, |world| {
        world.ok(&import("team", &[minimal("own")]));
        world.ok(&import("", &[minimal("shared")]));
        world.ok(&import("default", &[minimal("foreign")]));
        world.ok(&sandbox("foreign", &[], None));
        world.ok(&CreateSandboxRequest { workspace: "team".to_owned(), ..sandbox("mine", &[], None) });
        world.workspace("other");
        world.ok(&global_setting("ocsf_json_enabled", true));
        world.ok(&global_policy(policy("a.example.com")));
    });
    let names: Vec<_> = acts(&seen).into_iter().filter(|(_, name)| !name.contains('/')).collect();
    assert_eq!(
        names,
        [
            (Act::Created, "own"),
            (Act::Created, "shared"),
            (Act::Created, "mine"),
            (Act::Updated, "global"),
            (Act::Updated, "global")
        ]
    );
    assert!(seen.iter().all(|event| !event.name.starts_with("__global__")), "{seen:?}");
    let Some(Object::ProviderProfile(shared)) = &seen[1].object else { panic!("{seen:?}") };
    assert_eq!((shared.scope.as_str(), shared.resource_version), ("platform", 1));
}

#[test]
fn who_may_not_list_may_not_watch_and_hears_when_that_ends() {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "mia", WorkspaceRole::User);
    let (mia, of_team) = (user("mia", false), WatchRequest { workspace: "team".to_owned(), ..WatchRequest::default() });
    let refused = |request: &WatchRequest, principal: &Principal, code: Code| {
        let refusal = Interest::read(&world.state, principal, request).expect_err("refused");
        assert_eq!(refusal.code, code, "{}", refusal.message);
    };
    refused(&all(), &mia, Code::PermissionDenied);
    refused(&WatchRequest::default(), &mia, Code::PermissionDenied);
    refused(&of_team, &Principal::Anonymous, Code::Unauthenticated);
    refused(&of_team, &Principal::Sandbox { id: "x".to_owned() }, Code::PermissionDenied);
    refused(&WatchRequest { workspace: "nowhere".to_owned(), ..WatchRequest::default() }, &admin(), Code::NotFound);
    refused(&WatchRequest { workspace: "team".to_owned(), ..all() }, &admin(), Code::InvalidArgument);
    refused(&WatchRequest { kinds: vec![0], ..all() }, &admin(), Code::InvalidArgument);
    refused(&WatchRequest { kinds: vec![77], ..all() }, &admin(), Code::InvalidArgument);
    refused(&WatchRequest { label_selector: "gold".to_owned(), ..all() }, &admin(), Code::InvalidArgument);

    let interest = interest(&world.state, &mia, &of_team);
    let entry = HistoryEntry { principal: "user:x:ann".to_owned(), ..HistoryEntry::default() };
    assert_eq!(interest.origin(&entry), None, "who did it is for platform admins");
    interest.permit(&world.state, &mia).expect("she is a member");
    world.write::<WorkspaceMember>(&Key::member("team", "mia"), None);
    assert_eq!(interest.permit(&world.state, &mia).expect_err("not any more").code, Code::PermissionDenied);
}

#[test]
fn members_are_watched_by_admins_and_who_is_none_any_more_hears_so() {
    let mut world = World::new();
    for name in ["team", "other"] {
        world.workspace(name);
    }
    world.member("team", "ann", WorkspaceRole::Admin);
    world.member("team", "uma", WorkspaceRole::User);
    let (ann, uma) = (user("ann", false), user("uma", false));
    let of_team = || WatchRequest { workspace: "team".to_owned(), ..WatchRequest::default() };
    let members = WatchRequest { kinds: vec![WatchKind::WorkspaceMember as i32], ..of_team() };
    let refusal = Interest::read(&world.state, &uma, &members).expect_err("a user of the workspace");
    assert_eq!(refusal.code, Code::PermissionDenied, "{}", refusal.message);
    let everywhere = WatchRequest { kinds: members.kinds.clone(), ..all() };
    let refusal = Interest::read(&world.state, &ann, &everywhere).expect_err("no platform admin");
    assert_eq!(refusal.code, Code::PermissionDenied);

    let asked = interest(&world.state, &ann, &members);
    let (all_kinds, platform) = (interest(&world.state, &ann, &of_team()), interest(&world.state, &admin(), &all()));
    let subjects: Vec<String> = listed(&world.state, &asked).into_keys().map(|(_, _, name)| name).collect();
    assert_eq!(subjects, ["ann", "uma"]);
    assert!(listed(&world.state, &all_kinds).keys().all(|(kind, _, _)| *kind != WatchKind::WorkspaceMember as i32));
    assert_eq!(listed(&world.state, &platform).keys().filter(|(kind, _, _)| *kind == 7).count(), 2);

    let from = world.log.len();
    world.member("other", "uma", WorkspaceRole::User);
    world.member("team", "mia", WorkspaceRole::User);
    world.ok(&remove_member("team", "uma"));
    world.ok(&DeleteWorkspaceRequest { name: "team".to_owned() });
    let (states, history) = replayed(&world.log);
    let shown = |interest: &Interest| -> Vec<WatchEvent> {
        history[from..].iter().flatten().flat_map(|entry| interest.events(entry).expect("complete")).collect()
    };
    let seen = shown(&asked);
    assert_eq!(
        acts(&seen),
        [(Act::Created, "mia"), (Act::Deleted, "uma"), (Act::Deleted, "ann"), (Act::Deleted, "mia")],
        "of this workspace, and those that go with it"
    );
    let Some(Object::WorkspaceMember(mia)) = &seen[0].object else { panic!("{seen:?}") };
    assert_eq!((mia.principal_subject.as_str(), mia.role()), ("mia", WorkspaceRole::User));
    assert_eq!(acts(&shown(&all_kinds)), [(Act::Deleted, "team")]);
    assert_eq!(shown(&platform).len(), 6);

    // Who was an admin and is a user goes on watching what users watch.
    let mut world = World::new();
    world.state = states[from].clone();
    world.ok(&remove_member("team", "ann"));
    world.member("team", "ann", WorkspaceRole::User);
    assert_eq!(asked.permit(&world.state, &ann).expect_err("no admin").code, Code::PermissionDenied);
    all_kinds.permit(&world.state, &ann).expect("a user");
    platform.permit(&world.state, &admin()).expect("a platform admin");
}

#[test]
fn credentials_are_never_shown_not_even_sealed() {
    let mut world = World::composing();
    let interest = interest(&world.state, &admin(), &all());
    world.ok(&import("default", &[minimal("acme")]));
    let seen = events(&mut world, &interest, |world| {
        world.ok(&provider("main", "acme", &["ACME_TOKEN"]));
    });
    let Some(Object::Provider(shown)) = &seen[0].object else { panic!("{seen:?}") };
    assert_eq!(shown.credentials.get("ACME_TOKEN").map(String::as_str), Some("REDACTED"));
    let text = format!("{seen:?} {:?}", listed(&world.state, &interest));
    for secret in ["\"secret\"", "sealed:"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn an_entry_without_its_values_is_not_passed_over_in_silence() {
    let mut world = World::new();
    let interest = interest(&world.state, &admin(), &all());
    world.workspace("w");
    let (_, history) = replayed(&world.log);
    let mut entry = history.last().cloned().flatten().expect("a history");
    interest.events(&entry).expect("complete");
    entry.changes.iter_mut().for_each(|change| change.value = None);
    assert!(interest.events(&entry).expect_err("incomplete").to_string().contains("a value"));
}

#[test]
fn a_stored_profile_that_is_found_invalid_is_an_event_that_says_why() {
    let mut world = World::new();
    assert!(world.ok(&import("default", &[minimal("tool")])).imported);
    let interest = interest(&world.state, &admin(), &WatchRequest::default());
    let seen = events(&mut world, &interest, |world| crate::invalid_profiles::spoil(world, "default", "tool"));
    assert_eq!(acts(&seen), [(Act::Updated, "tool"), (Act::Updated, "tool")]);
    let reasons: Vec<_> = seen
        .iter()
        .map(|event| match &event.object {
            Some(Object::ProviderProfile(profile)) => profile.invalid_reason.as_str(),
            other => panic!("no profile but {other:?}"),
        })
        .collect();
    assert!(reasons[0].is_empty() && reasons[1].contains("binaries[0]"), "{reasons:?}");
}

//! Which sandboxes a change concerns, for who asks how far it is.

use openshell_proto::log::{HistoryEntry, Key};
use openshell_proto::peer::RecordPresenceRequest;
use openshell_proto::sync::GetRolloutRequest;
use openshell_proto::v1::WorkspaceRole;
use openshell_state::decide::presence;
use openshell_state::query::rollout;
use openshell_state::{Applied, Call, Code, Decision, Outcome, Stamp};

use crate::support::{Seeded, World, attach, global_setting, import, provider, sandbox, static_profile, update, user};

/// `a` and `b` use the provider `p` of the profile `tool`, `c` nothing; `a` of `team` has its own.
fn world() -> World {
    let mut world = World::new();
    world.workspace("team");
    world.ok(&import("", &[static_profile("tool", "tool.example.com")]));
    world.ok(&provider("p", "tool", &["P"]));
    for (name, providers) in [("a", &["p"][..]), ("b", &["p"]), ("c", &[])] {
        world.ok(&sandbox(name, providers, None));
    }
    let mut elsewhere = provider("p", "tool", &["P"]);
    elsewhere.workspace = "team".to_owned();
    elsewhere.provider.as_mut().expect("a provider").profile_workspace = "team".to_owned();
    world.ok(&elsewhere);
    let mut there = sandbox("a", &["p"], None);
    there.workspace = "team".to_owned();
    world.ok(&there);
    world
}

/// What the last entry changed, as the history keeps it.
fn last_entry(world: &World) -> HistoryEntry {
    let (index, command) = world.log.last().expect("something was written");
    let mut before = openshell_state::State::empty();
    for (index, command) in &world.log[..world.log.len() - 1] {
        before.apply(*index, command).expect("our own commands are known");
    }
    let Applied { history, .. } = before.apply(*index, command).expect("our own commands are known");
    history.expect("it changed something")
}

/// Those whom an entry concerns.
fn concerned(world: &World, workspace: Option<&str>, entry: &HistoryEntry) -> Vec<String> {
    let written: Vec<Key> = entry.changes.iter().filter_map(|change| change.key.clone()).collect();
    let found = rollout::concerned(&world.state, workspace, entry.revision, &written);
    found.keys().map(|key| format!("{}/{}", key.workspace, key.name)).collect()
}

#[track_caller]
fn check(world: &World, workspace: Option<&str>, expected: &[&str]) {
    assert_eq!(concerned(world, workspace, &last_entry(world)), expected);
}

#[test]
fn a_change_concerns_those_who_use_what_it_wrote_in_the_workspace_asked_for() {
    let mut world = world();
    assert!(world.ok(&update("", 1, static_profile("tool", "new.example.com"))).updated);
    check(&world, None, &["default/a", "default/b", "team/a"]);
    check(&world, Some("team"), &["team/a"]);
    check(&world, Some("default"), &["default/a", "default/b"]);
    world.ok(&attach("c", "p"));
    check(&world, Some("default"), &["default/c"]);
    world.ok(&global_setting("ocsf_json_enabled", true));
    check(&world, None, &["default/a", "default/b", "default/c", "team/a"]);
    check(&world, Some("default"), &["default/a", "default/b", "default/c"]);
    world.workspace("new");
    check(&world, None, &[]);
}

#[test]
fn an_entry_that_composes_nothing_new_concerns_nobody() {
    let mut world = world();
    let connected = vec![world.sandbox_id("a"), world.sandbox_id("c")];
    let request = RecordPresenceRequest { connected, ..RecordPresenceRequest::default() };
    let seeded = Seeded::new(1);
    let stamp = Stamp { time_ms: world.time_ms + 1, identifiers: &seeded, sealer: &seeded };
    let call = Call { state: &world.state, principal: &world.principal, stamp };
    let Decision::Transact(draft) = presence::record(call, &request) else { panic!("both become ready") };
    assert_eq!(world.commit(draft).outcome, Outcome::Installed);
    let phases = last_entry(&world);
    assert_eq!(phases.changes.len(), 2);
    check(&world, None, &[]);
    // Whoever is sent something later has come so far with it.
    world.ok(&attach("c", "p"));
    assert_eq!(concerned(&world, None, &phases), ["default/c"]);
}

#[test]
fn members_look_at_their_workspace_and_platform_admins_at_all() {
    let mut world = world();
    world.member("team", "uma", WorkspaceRole::User);
    let asked = |workspace: &str, all_workspaces, revision| GetRolloutRequest {
        workspace: workspace.to_owned(),
        all_workspaces,
        revision,
        ..GetRolloutRequest::default()
    };
    let within = |principal, request: &GetRolloutRequest| {
        let within = rollout::within(&world.state, principal, request);
        within.map(|workspace| workspace.map(str::to_owned)).map_err(|refusal| refusal.code)
    };
    let (admin, member) = (&world.principal, &user("uma", false));
    assert_eq!(within(member, &asked("team", false, 1)), Ok(Some("team".to_owned())));
    assert_eq!(within(member, &asked("default", false, 1)), Err(Code::PermissionDenied));
    assert_eq!(within(member, &asked("", true, 1)), Err(Code::PermissionDenied));
    assert_eq!(within(admin, &asked("", true, 1)), Ok(None));
    assert_eq!(within(admin, &asked("team", true, 1)), Err(Code::InvalidArgument));
    assert_eq!(within(admin, &asked("team", false, 0)), Err(Code::InvalidArgument));
}

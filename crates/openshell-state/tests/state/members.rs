//! Members of workspaces: who is one, who makes one, how many there may be, and what goes with a
//! workspace (`config.md` WS-8 to WS-10).

use openshell_proto::log::Kind;
use openshell_proto::v1::{
    AddWorkspaceMemberRequest, DeleteWorkspaceRequest, ListWorkspaceMembersRequest, WorkspaceMember, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision, Refusal, query};
use prost::Message;

use crate::support::{START_MS, World, add_member, admin, draft, remove_member, says, user};

fn list(
    world: &World,
    principal: &Principal,
    (workspace, limit, offset): (&str, u32, u32),
) -> Result<Vec<WorkspaceMember>, Refusal> {
    let request = ListWorkspaceMembersRequest { workspace: workspace.to_owned(), limit, offset };
    query::workspace::members(&world.state, principal, &request).map(|answer| answer.members)
}

fn subjects(world: &World, page: (&str, u32, u32)) -> Vec<String> {
    let members = list(world, &world.principal, page).expect("a list");
    members.into_iter().map(|member| member.principal_subject).collect()
}

/// A workspace `team` with an admin `ann` and a user `uma`, who is asked by `principal`.
fn team(principal: &str) -> World {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "ann", WorkspaceRole::Admin);
    world.member("team", "uma", WorkspaceRole::User);
    world.principal = user(principal, false);
    world
}

#[test]
fn ws_8_a_member_has_a_record_of_its_own() {
    let mut world = World::new();
    let member = world.ok(&add_member("", "mia@example.com", WorkspaceRole::User)).member.expect("a member");
    assert_eq!((member.principal_subject.as_str(), member.role()), ("mia@example.com", WorkspaceRole::User));
    let metadata = member.metadata.clone().expect("metadata");
    assert_eq!((metadata.name.as_str(), metadata.workspace.as_str()), ("mia@example.com", "default"));
    assert_eq!((metadata.resource_version, metadata.created_at_ms), (1, START_MS + 1));
    assert_eq!((metadata.id.len(), metadata.id.as_bytes()[14]), (36, b'4'), "a random UUID: {}", metadata.id);
    assert_eq!(world.state.member("default", "mia@example.com").expect("stored").value, &member);
}

#[test]
fn ws_8_what_is_wrong_with_an_addition_is_said() {
    let mut world = World::new();
    let role = |role: i32| AddWorkspaceMemberRequest { role, ..add_member("", "mia", WorkspaceRole::User) };
    let says_subject = world.refused(Code::InvalidArgument, &add_member("", "", WorkspaceRole::User));
    says(&says_subject, &["principal_subject is required"]);
    for number in [0, 3, -1] {
        says(&world.refused(Code::InvalidArgument, &role(number)), &["role", &number.to_string()]);
    }
    let long = "m".repeat(256);
    says(&world.refused(Code::InvalidArgument, &add_member("", &long, WorkspaceRole::User)), &["256 bytes", "255"]);
    world.ok(&add_member("", &long[1..], WorkspaceRole::User));
    world.ok(&add_member("", "mia", WorkspaceRole::User));
    // Whatever the role: it is changed by removing and adding.
    for role in [WorkspaceRole::User, WorkspaceRole::Admin] {
        says(&world.refused(Code::AlreadyExists, &add_member("", "mia", role)), &["mia", "remove it first"]);
    }
    assert!(world.ok(&remove_member("", "mia")).removed);
    world.ok(&add_member("", "mia", WorkspaceRole::Admin));
    assert_eq!(world.state.member("default", "mia").expect("a member").value.role(), WorkspaceRole::Admin);
    world.refused(Code::NotFound, &add_member("nowhere", "mia", WorkspaceRole::User));
}

#[test]
fn config_scenario_98_an_admin_adds_users_and_no_admins() {
    let mut world = team("uma");
    for role in [WorkspaceRole::User, WorkspaceRole::Admin] {
        says(&world.refused(Code::PermissionDenied, &add_member("team", "new", role)), &["admin role"]);
    }
    world.refused(Code::PermissionDenied, &remove_member("team", "ann"));
    world.principal = user("ann", false);
    let refused = world.refused(Code::PermissionDenied, &add_member("team", "new", WorkspaceRole::Admin));
    says(&refused, &["platform admin"]);
    world.ok(&add_member("team", "new", WorkspaceRole::User));
    world.refused(Code::AlreadyExists, &add_member("team", "new", WorkspaceRole::User));
    assert!(!world.ok(&remove_member("team", "nobody")).removed);
    world.principal = admin();
    world.ok(&add_member("team", "second", WorkspaceRole::Admin));
}

#[test]
fn ws_9_a_removal_ends_what_a_member_may_at_once() {
    let mut world = team("ann");
    world.refused(Code::InvalidArgument, &remove_member("team", ""));
    let digest = world.state.digest();
    assert!(matches!(world.decide(&remove_member("team", "nobody")), Decision::Answer(_)), "nothing to write");
    assert!(!world.ok(&remove_member("team", "nobody")).removed);
    assert_eq!(world.state.digest(), digest);
    assert!(world.ok(&remove_member("team", "uma")).removed);
    assert!(!world.ok(&remove_member("team", "uma")).removed);
    let refusal = list(&world, &user("uma", false), ("team", 0, 0)).expect_err("no member any more");
    assert_eq!(refusal.code, Code::PermissionDenied);
    // Also one's own, and the last admin's: platform admins are left.
    assert!(world.ok(&remove_member("team", "ann")).removed);
    world.refused(Code::PermissionDenied, &add_member("team", "ann", WorkspaceRole::User));
    world.principal = admin();
    world.refused(Code::NotFound, &remove_member("nowhere", "ann"));
}

#[test]
fn ws_10_members_are_listed_oldest_first_in_pages() {
    let mut world = team("uma");
    assert_eq!(subjects(&world, ("team", 0, 0)), ["ann", "uma"], "a user of the workspace may know");
    let refusal = list(&world, &user("eve", false), ("team", 0, 0)).expect_err("a stranger may not");
    assert_eq!(refusal.code, Code::PermissionDenied);
    world.principal = admin();
    assert_eq!(list(&world, &admin(), ("nowhere", 0, 0)).expect_err("there is none").code, Code::NotFound);
    assert_eq!(subjects(&world, ("", 0, 0)), Vec::<String>::new(), "of the workspace default");
    // Names do not count before the time of the addition does.
    for subject in ["zoe", "bea"] {
        world.ok(&add_member("team", subject, WorkspaceRole::User));
    }
    assert_eq!(subjects(&world, ("team", 0, 0)), ["ann", "uma", "zoe", "bea"]);
    assert_eq!(subjects(&world, ("team", 2, 1)), ["uma", "zoe"]);
    assert_eq!(subjects(&world, ("team", 9, 4)), Vec::<String>::new());
    for number in 0..100 {
        world.ok(&add_member("team", &format!("user-{number}"), WorkspaceRole::User));
    }
    assert_eq!(subjects(&world, ("team", 0, 0)).len(), 100, "the default of a page");
    assert_eq!(subjects(&world, ("team", 5000, 0)).len(), 104);
}

#[test]
fn ws_8_and_5_a_workspace_has_at_most_1000_members_and_all_of_them_go_with_it_in_one_entry() {
    const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
    let mut world = World::new();
    let name = "a-name-of-nineteen1";
    world.workspace(name);
    // As long as subjects may be, and longest as text of other scripts.
    let subject = |number: usize| format!("{number:03}{}", "\u{ffff}".repeat(84));
    for number in 0..1000 {
        assert_eq!(world.state.member_count(name), number);
        world.ok(&add_member(name, &subject(number), WorkspaceRole::User));
    }
    // Before it is looked whether the member is there.
    for late in ["late".to_owned(), subject(7)] {
        let refused = world.refused(Code::ResourceExhausted, &add_member(name, &late, WorkspaceRole::User));
        says(&refused, &["1000 members"]);
    }
    world.ok(&add_member("", "late", WorkspaceRole::User));
    assert!(world.ok(&remove_member(name, &subject(7))).removed);
    world.ok(&add_member(name, "late", WorkspaceRole::User));
    world.refused(Code::ResourceExhausted, &add_member(name, &subject(7), WorkspaceRole::User));

    let request = DeleteWorkspaceRequest { name: name.to_owned() };
    let entry = draft(world.decide(&request)).into_transaction(Default::default());
    assert_eq!(entry.writes.len(), 1001);
    assert!(entry.encoded_len() < ENTRY_BYTES_MAX / 8, "{} bytes", entry.encoded_len());
    assert!(world.ok(&request).deleted);
    assert_eq!((world.state.member_count(name), world.state.member_count("default")), (0, 1));
    assert_eq!(world.state.by_creation(Kind::WorkspaceMember, name).count(), 0);
    // Who made it anew finds nobody in it.
    world.workspace(name);
    assert_eq!(subjects(&world, (name, 0, 0)), Vec::<String>::new());
}

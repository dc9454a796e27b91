//! Workspaces: the rules of `config.md` 8 and the scenarios of 10.8 about them, by number. Their members
//! are in `members`.

use openshell_proto::datamodel::WorkspacePhase;
use openshell_proto::log::Kind;
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateSandboxRequest, CreateWorkspaceRequest, DeleteProviderProfileRequest,
    DeleteProviderRequest, DeleteSandboxRequest, DeleteWorkspaceRequest, DetachSandboxProviderRequest,
    GetSandboxRequest, GetWorkspaceRequest, ListWorkspaceMembersRequest, ListWorkspacesRequest, UpdateConfigRequest,
    WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision, Outcome, query};

use crate::support::{
    Decide, START_MS, World, add_member, admin, attach, detach, draft, import, map, minimal, policy, provider,
    remove_member, sandbox, says, setting, update, update_policy, update_provider, user,
};

fn create(name: &str) -> CreateWorkspaceRequest {
    CreateWorkspaceRequest { name: name.to_owned(), ..CreateWorkspaceRequest::default() }
}

fn delete(name: &str) -> DeleteWorkspaceRequest {
    DeleteWorkspaceRequest { name: name.to_owned() }
}

fn phase(world: &World, name: &str) -> WorkspacePhase {
    let request = GetWorkspaceRequest { name: name.to_owned() };
    let found = query::workspace::get(&world.state, &world.principal, &request).expect("it exists");
    found.workspace.expect("a workspace").status.expect("a status").phase()
}

#[test]
fn ws_1_the_workspace_default_is_there_from_the_first_entry_on() {
    let world = World::new();
    assert_eq!(world.state.revision(), 1);
    assert_eq!(phase(&world, "default"), WorkspacePhase::Active);
    let record = world.state.workspace("default").expect("it exists").value.metadata.clone().expect("metadata");
    assert_eq!((record.resource_version, record.created_at_ms), (1, START_MS));
}

#[test]
fn ws_2_a_workspace_is_made_by_platform_admins_and_has_an_id_of_its_own() {
    let mut world = World::new();
    let request = CreateWorkspaceRequest { labels: map(&[("env", "dev")]), ..create("team-a") };
    world.principal = user("mia", false);
    world.refused(Code::PermissionDenied, &request);
    world.principal = admin();
    let made = world.ok(&request).workspace.expect("a workspace");
    let metadata = made.metadata.expect("metadata");
    assert_eq!((metadata.name.as_str(), metadata.workspace.as_str()), ("team-a", ""));
    assert_eq!((metadata.resource_version, metadata.labels), (1, map(&[("env", "dev")])));
    assert_eq!((metadata.id.len(), metadata.id.as_bytes()[14]), (36, b'4'), "a random UUID: {}", metadata.id);
    assert_eq!(made.status.expect("a status").phase(), WorkspacePhase::Active);
    for labels in [map(&[("-", "x")]), map(&[("k", "-")]), map(&[("k", &"v".repeat(64))])] {
        world.refused(Code::InvalidArgument, &CreateWorkspaceRequest { labels, ..create("other") });
    }
    world.ok(&create(&"t".repeat(19)));
}

#[test]
fn ws_3_a_workspace_is_shown_to_its_members() {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "mia", WorkspaceRole::User);
    let get = |principal: &Principal, name: &str| {
        let request = GetWorkspaceRequest { name: name.to_owned() };
        query::workspace::get(&world.state, principal, &request).map_err(|refusal| refusal.code)
    };
    let mia = user("mia", false);
    assert_eq!(get(&mia, "").expect_err("no name"), Code::InvalidArgument);
    assert!(get(&mia, "team").is_ok());
    for name in ["default", "nowhere"] {
        assert_eq!(get(&mia, name).expect_err("not hers"), Code::PermissionDenied, "{name}");
    }
    assert_eq!(get(&admin(), "nowhere").expect_err("there is none"), Code::NotFound);
}

#[test]
fn ws_4_workspaces_are_selected_before_they_are_paged() {
    let mut world = World::new();
    for (name, env) in [("a", "dev"), ("b", "live"), ("c", "dev"), ("d", "dev")] {
        world.ok(&CreateWorkspaceRequest { labels: map(&[("env", env)]), ..create(name) });
        if name != "a" {
            world.member(name, "mia", WorkspaceRole::User);
        }
    }
    let list = |principal: &Principal, label_selector: &str, limit, offset| {
        let label_selector = label_selector.to_owned();
        let request = ListWorkspacesRequest { limit, offset, label_selector };
        let listed = query::workspace::list(&world.state, principal, &request).map_err(|refusal| refusal.code)?;
        Ok(listed.workspaces.into_iter().map(|workspace| workspace.metadata.expect("metadata").name).collect())
    };
    let mia = user("mia", false);
    assert_eq!(list(&mia, "env=dev", 1, 1), Ok(vec!["d".to_owned()]), "the second of hers that is selected");
    assert_eq!(list(&mia, "env=dev", 9, 2), Ok(Vec::new()));
    assert_eq!(list(&admin(), "env=dev,", 1, 1), Ok(vec!["c".to_owned()]));
    assert_eq!(list(&mia, "env", 0, 0), Err(Code::InvalidArgument));
    assert_eq!(list(&Principal::Anonymous, "", 0, 0), Err(Code::Unauthenticated));
    assert_eq!(list(&user("eve", false), "", 0, 0), Ok(Vec::new()));
}

#[test]
fn ws_5_a_deletion_is_a_platform_admins_and_says_what_is_in_the_way() {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "ann", WorkspaceRole::Admin);
    world.principal = user("ann", false);
    for name in ["team", "default", "nowhere", ""] {
        world.refused(Code::PermissionDenied, &delete(name));
    }
    world.principal = admin();
    world.ok(&import("team", &[minimal("tool")]));
    let mut made = provider("p", "github", &["KEY"]);
    made.workspace = "team".to_owned();
    made.provider.as_mut().expect("a provider").profile_workspace = String::new();
    world.ok(&made);
    let refusal = world.call(&delete("team")).expect_err("it holds something");
    assert_eq!(refusal.code, Code::FailedPrecondition);
    says(&refusal.message, &["still contains resources", "providers", "provider profiles"]);
    let marked = world.state.workspace("team").expect("it is kept").value.metadata.clone().expect("metadata");
    assert_eq!((marked.resource_version, marked.deletion_timestamp_ms), (2, world.time_ms));
    // Repeated, it says so again and writes nothing.
    world.refused(Code::FailedPrecondition, &delete("team"));
    world.ok(&DeleteProviderRequest { name: "p".to_owned(), workspace: "team".to_owned() });
    says(&world.refused(Code::FailedPrecondition, &delete("team")), &["provider profiles"]);
    world.ok(&DeleteProviderProfileRequest { id: "tool".to_owned(), workspace: "team".to_owned() });
    assert!(world.ok(&delete("team")).deleted);
    world.refused(Code::NotFound, &delete("team"));
    assert_eq!(world.state.member_count("team"), 0);
}

#[test]
fn ws_6_a_workspace_being_deleted_takes_nothing_new_and_lets_everything_go() {
    let mut world = World::new();
    world.workspace("team");
    let team = || "team".to_owned();
    let in_team = |name: &str, key: &str| {
        let mut made = provider(name, "no-profile", &[key]);
        made.workspace = team();
        made.provider.as_mut().expect("a provider").profile_workspace = String::new();
        made
    };
    world.ok(&in_team("p", "P_KEY"));
    world.ok(&in_team("q", "Q_KEY"));
    world.ok(&import("team", &[minimal("tool")]));
    world.ok(&CreateSandboxRequest { workspace: team(), ..sandbox("s", &["p"], None) });
    world.member("team", "mia", WorkspaceRole::User);
    world.member("team", "ann", WorkspaceRole::Admin);
    world.call(&delete("team")).expect_err("it holds something");

    let create = CreateSandboxRequest { workspace: team(), ..sandbox("t", &[], None) };
    let attached = AttachSandboxProviderRequest { workspace: team(), ..attach("s", "q") };
    for principal in [admin(), user("ann", false)] {
        let (made, imported, updated, added) = (
            in_team("r", "R_KEY"),
            import("team", &[minimal("more")]),
            update("team", 1, minimal("tool")),
            add_member("team", "new", WorkspaceRole::User),
        );
        let new: [&dyn Decide; 6] = [&create, &attached, &made, &imported, &updated, &added];
        for request in new {
            let Decision::Refuse(refusal) = world.decide_as(&principal, request) else { panic!("{request:?}") };
            assert_eq!(refusal.code, Code::FailedPrecondition, "{request:?}: {}", refusal.message);
            says(&refusal.message, &["is being deleted"]);
        }
    }
    // There is no way back: its name is taken for as long as it is there.
    world.refused(Code::AlreadyExists, &CreateWorkspaceRequest { name: team(), ..Default::default() });

    let mia = user("mia", false);
    let read = GetSandboxRequest { name: "s".to_owned(), workspace: team() };
    query::sandbox::get(&world.state, &mia, &read).expect("reads go on");
    let members = ListWorkspaceMembersRequest { workspace: team(), ..Default::default() };
    assert_eq!(query::workspace::members(&world.state, &mia, &members).expect("a list").members.len(), 2);
    world.ok(&UpdateConfigRequest { workspace: team(), ..setting("s", "ocsf_json_enabled", true) });
    world.ok(&UpdateConfigRequest { workspace: team(), ..update_policy("s", policy("a.example.com")) });
    let mut change = update_provider("p", &[("P_KEY", "new")], &[]);
    change.workspace = team();
    world.ok(&change);
    assert!(world.ok(&DetachSandboxProviderRequest { workspace: team(), ..detach("s", "p") }).detached);
    assert!(world.ok(&remove_member("team", "mia")).removed);
    for name in ["p", "q"] {
        world.ok(&DeleteProviderRequest { name: name.to_owned(), workspace: team() });
    }
    world.ok(&DeleteProviderProfileRequest { id: "tool".to_owned(), workspace: team() });
    world.ok(&DeleteSandboxRequest { name: "s".to_owned(), workspace: team() });
    assert!(world.ok(&delete("team")).deleted, "its settings and policies went with the sandbox");
    assert!(world.state.member("team", "ann").is_none());
}

#[test]
fn ws_7_of_a_creation_and_a_deletion_at_once_one_is_decided_again() {
    let mut world = World::new();
    world.workspace("team");
    let made = CreateSandboxRequest { workspace: "team".to_owned(), ..sandbox("s", &[], None) };
    let (creation, deletion) = (draft(world.decide(&made)), draft(world.decide(&delete("team"))));
    for (first, second) in [(creation.clone(), deletion.clone()), (deletion, creation)] {
        let mut raced = world.clone();
        assert_eq!(raced.commit(first).outcome, Outcome::Installed);
        assert!(matches!(raced.commit(second).outcome, Outcome::GuardFailed { .. }));
    }
}

#[test]
fn ws_11_equal_names_in_two_workspaces_have_nothing_in_common() {
    let mut world = World::new();
    world.workspace("team");
    for (workspace, host) in [("", "default.example.com"), ("team", "team.example.com")] {
        let mut made = provider("p", "no-profile", &["KEY"]);
        made.workspace = workspace.to_owned();
        made.provider.as_mut().expect("a provider").profile_workspace = String::new();
        world.ok(&made);
        let workspace = workspace.to_owned();
        world.ok(&CreateSandboxRequest { workspace, ..sandbox("s", &["p"], Some(policy(host))) });
    }
    let team = || "team".to_owned();
    world.ok(&UpdateConfigRequest { workspace: team(), ..setting("s", "ocsf_json_enabled", true) });
    assert!(world.state.sandbox_settings("default", "s").is_none());
    world.ok(&UpdateConfigRequest { workspace: team(), ..update_policy("s", policy("new.example.com")) });
    assert_eq!(world.revisions("s").len(), 1, "the other's policy is as it was");
    let mut change = update_provider("p", &[], &[("region", "eu")]);
    change.workspace = team();
    world.ok(&change);
    assert!(world.stored_provider("p").config.is_empty());
    world.ok(&DetachSandboxProviderRequest { workspace: team(), ..detach("s", "p") });
    assert_eq!(world.listed("s"), ["p"]);
    world.ok(&DeleteSandboxRequest { name: "s".to_owned(), workspace: team() });
    world.ok(&DeleteProviderRequest { name: "p".to_owned(), workspace: team() });
    let kept = world.effective("s").policy.expect("a policy");
    assert_eq!(kept.network_policies["r1"].endpoints[0].host, "default.example.com");
    assert!(world.ok(&delete("team")).deleted, "nothing of the others is in its way");
}

#[test]
fn config_scenario_96_names_of_workspaces() {
    let mut world = World::new();
    let made = world.ok(&create("team-a")).workspace.expect("a workspace");
    assert_eq!(made.metadata.expect("metadata").resource_version, 1);
    assert_eq!(phase(&world, "team-a"), WorkspacePhase::Active);
    world.refused(Code::AlreadyExists, &create("team-a"));
    for name in ["Team", &*"t".repeat(20), "a--b", ""] {
        world.refused(Code::InvalidArgument, &create(name));
    }
    world.refused(Code::FailedPrecondition, &delete("default"));
    world.refused(Code::NotFound, &delete("unknown"));
    world.refused(Code::InvalidArgument, &delete(""));
    assert_eq!(phase(&world, "default"), WorkspacePhase::Active);
}

#[test]
fn config_scenario_97_a_workspace_that_holds_something_is_marked_and_kept() {
    let mut world = World::new();
    world.workspace("team");
    world.member("team", "mia", WorkspaceRole::User);
    let mut made = sandbox("s", &[], None);
    made.workspace = "team".to_owned();
    world.ok(&made);
    let refusal = world.call(&delete("team")).expect_err("it holds a sandbox");
    assert_eq!(refusal.code, Code::FailedPrecondition);
    says(&refusal.message, &["still contains resources", "sandboxes"]);
    assert_eq!(phase(&world, "team"), WorkspacePhase::Terminating);
    assert!(matches!(world.decide(&delete("team")), Decision::Refuse(_)), "marked once");
    made.name = "t".to_owned();
    says(&world.refused(Code::FailedPrecondition, &made), &["is being deleted"]);
    world.ok(&DeleteSandboxRequest { name: "s".to_owned(), workspace: "team".to_owned() });
    assert!(world.ok(&delete("team")).deleted);
    assert_eq!(world.state.by_creation(Kind::WorkspaceMember, "team").count(), 0);
    assert!(world.state.workspace("team").is_none());
}

#[test]
fn config_scenario_99_members_see_their_workspaces() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.ok(&CreateWorkspaceRequest { labels: map(&[("of", name)]), ..create(name) });
    }
    world.member("c", "mia", WorkspaceRole::User);
    world.member("a", "mia", WorkspaceRole::Admin);
    let list = |principal, limit, offset| {
        let request = ListWorkspacesRequest { limit, offset, ..ListWorkspacesRequest::default() };
        let listed = query::workspace::list(&world.state, principal, &request).expect("a list").workspaces;
        listed.into_iter().map(|workspace| workspace.metadata.expect("metadata").name).collect::<Vec<_>>()
    };
    let mia = user("mia", false);
    assert_eq!(list(&mia, 0, 0), ["a", "c"]);
    assert_eq!(list(&mia, 1, 1), ["c"], "pages count what is seen");
    assert_eq!(list(&world.principal, 0, 0), ["default", "a", "b", "c"]);
}

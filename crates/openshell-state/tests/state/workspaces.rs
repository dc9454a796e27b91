//! The scenarios of `config.md` 10.8 about workspaces, by number.

use openshell_proto::datamodel::WorkspacePhase;
use openshell_proto::log::Kind;
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateWorkspaceRequest, DeleteSandboxRequest, DeleteWorkspaceRequest,
    DetachSandboxProviderRequest, GetWorkspaceRequest, ListWorkspacesRequest, UpdateConfigRequest, WorkspaceRole,
};
use openshell_state::{Code, Decision, query};

use crate::support::{World, attach, detach, map, provider, sandbox, says, setting};

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
fn in_a_workspace_being_deleted_nothing_is_attached_but_all_else_goes_on() {
    let mut world = World::new();
    world.workspace("team");
    for name in ["p", "q"] {
        let mut made = provider(name, "no-profile", &[&format!("{}_KEY", name.to_uppercase())]);
        made.workspace = "team".to_owned();
        made.provider.as_mut().expect("a provider").profile_workspace = String::new();
        world.ok(&made);
    }
    let mut made = sandbox("s", &["p"], None);
    made.workspace = "team".to_owned();
    world.ok(&made);
    world.call(&delete("team")).expect_err("it holds something");
    let team = || "team".to_owned();
    world.refused(Code::FailedPrecondition, &AttachSandboxProviderRequest { workspace: team(), ..attach("s", "q") });
    world.ok(&UpdateConfigRequest { workspace: team(), ..setting("s", "ocsf_json_enabled", true) });
    assert!(world.ok(&DetachSandboxProviderRequest { workspace: team(), ..detach("s", "p") }).detached);
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
    let mia = crate::support::user("mia", false);
    assert_eq!(list(&mia, 0, 0), ["a", "c"]);
    assert_eq!(list(&mia, 1, 1), ["c"], "pages count what is seen");
    assert_eq!(list(&world.principal, 0, 0), ["default", "a", "b", "c"]);
}

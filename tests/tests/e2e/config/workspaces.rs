//! Workspaces and their members over the wire: scenarios 14, 15 and 96 to 99, what a member loses that
//! is removed, and the bound on members under concurrent additions.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use openshell_client::{CallError, CallOptions, Watch, WatchError, methods};
use openshell_proto::cluster::watch_event::{Act, Object};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{WatchKind, WatchRequest, WatchResponse};
use openshell_proto::datamodel::WorkspacePhase;
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{
    CreateWorkspaceRequest, DeleteSandboxRequest, DeleteWorkspaceRequest, GetSandboxRequest, GetWorkspaceRequest,
    ListSandboxesRequest, ListWorkspaceMembersRequest, ListWorkspacesRequest, RemoveWorkspaceMemberRequest,
    WatchSandboxRequest, WorkspaceRole,
};
use openshell_tests::{Cluster, unique};
use tonic::Code;

use super::people::{People, Person, add, everywhere, sandbox};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

fn create(name: &str) -> CreateWorkspaceRequest {
    CreateWorkspaceRequest { name: name.to_owned(), ..CreateWorkspaceRequest::default() }
}

fn delete(name: &str) -> DeleteWorkspaceRequest {
    DeleteWorkspaceRequest { name: name.to_owned() }
}

fn remove(workspace: &str, subject: &str) -> RemoveWorkspaceMemberRequest {
    RemoveWorkspaceMemberRequest { workspace: workspace.to_owned(), principal_subject: subject.to_owned() }
}

fn list(workspace: &str) -> ListWorkspaceMembersRequest {
    ListWorkspaceMembersRequest { workspace: workspace.to_owned(), limit: 1000, offset: 0 }
}

fn named(workspace: &str, name: &str) -> GetSandboxRequest {
    GetSandboxRequest { name: name.to_owned(), workspace: workspace.to_owned() }
}

async fn phase(person: &Person, workspace: &str) -> WorkspacePhase {
    let answer = person.ok(&methods::GET_WORKSPACE, GetWorkspaceRequest { name: workspace.to_owned() }).await;
    answer.workspace.expect("a workspace").status.expect("a status").phase()
}

/// Makes a sandbox; its id.
async fn made(person: &Person, workspace: &str, name: &str) -> String {
    let answer = person.ok(&methods::CREATE_SANDBOX, sandbox(workspace, name)).await;
    answer.sandbox.expect("a sandbox").metadata.expect("metadata").id
}

#[tokio::test]
async fn config_scenario_14_a_stranger_learns_nothing() {
    everywhere(async |people: People| {
        let (workspace, _, uma) = people.team().await;
        let id = made(&uma, &workspace, "s").await;
        let eve = people.user("eve");
        for place in [workspace.as_str(), "no-such-workspace"] {
            let text = eve.refused(Code::PermissionDenied, &methods::GET_SANDBOX, named(place, "s")).await;
            assert!(text.contains("not a member of workspace"), "{text}");
        }
        let by_id = |id: &str| GetSandboxConfigRequest { sandbox_id: id.to_owned() };
        uma.ok(&methods::GET_SANDBOX_CONFIG, by_id(&id)).await;
        let foreign = eve.refused(Code::NotFound, &methods::GET_SANDBOX_CONFIG, by_id(&id)).await;
        let random = eve.refused(Code::NotFound, &methods::GET_SANDBOX_CONFIG, by_id("random")).await;
        assert_eq!(foreign.replace(&id, "ID"), random.replace("random", "ID"));
        let request = WatchSandboxRequest { id: id.clone(), ..WatchSandboxRequest::default() };
        let watched = eve.api.client().stream(&methods::WATCH_SANDBOX, request, &CallOptions::default()).await;
        match watched {
            Err(CallError::Refused(status)) => {
                assert_eq!(status.message().replace(&id, "ID"), random.replace("random", "ID"))
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn config_scenario_15_all_workspaces_are_for_platform_admins() {
    everywhere(async |people: People| {
        let (workspace, ann, _) = people.team().await;
        let all = ListSandboxesRequest { all_workspaces: true, ..ListSandboxesRequest::default() };
        let both = ListSandboxesRequest { workspace, ..all.clone() };
        people.admin().refused(Code::InvalidArgument, &methods::LIST_SANDBOXES, both).await;
        ann.refused(Code::PermissionDenied, &methods::LIST_SANDBOXES, all.clone()).await;
        people.admin().ok(&methods::LIST_SANDBOXES, all).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_96_names_of_workspaces() {
    everywhere(async |people: People| {
        let (admin, name) = (people.admin(), unique("w"));
        let workspace = admin.ok(&methods::CREATE_WORKSPACE, create(&name)).await.workspace.expect("a workspace");
        assert_eq!(workspace.metadata.expect("metadata").resource_version, 1);
        admin.refused(Code::AlreadyExists, &methods::CREATE_WORKSPACE, create(&name)).await;
        for name in ["Team", &"t".repeat(20), "a--b", ""] {
            admin.refused(Code::InvalidArgument, &methods::CREATE_WORKSPACE, create(name)).await;
        }
        admin.refused(Code::FailedPrecondition, &methods::DELETE_WORKSPACE, delete("default")).await;
        let eve = people.user("eve");
        eve.refused(Code::PermissionDenied, &methods::CREATE_WORKSPACE, create(&unique("w"))).await;
        eve.refused(Code::PermissionDenied, &methods::DELETE_WORKSPACE, delete(&name)).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_97_a_workspace_goes_with_its_members_once_it_is_empty() {
    everywhere(async |people: People| {
        let (workspace, ann, uma) = people.team().await;
        let admin = people.admin();
        made(&uma, &workspace, "s").await;
        for _ in 0..2 {
            let text = admin.refused(Code::FailedPrecondition, &methods::DELETE_WORKSPACE, delete(&workspace)).await;
            assert!(text.contains("still contains resources") && text.contains("sandboxes"), "{text}");
            assert_eq!(phase(&uma, &workspace).await, WorkspacePhase::Terminating);
        }
        for person in [&uma, &admin] {
            let new = sandbox(&workspace, "new");
            let text = person.refused(Code::FailedPrecondition, &methods::CREATE_SANDBOX, new).await;
            assert!(text.contains("is being deleted"), "{text}");
        }
        let late = add(&workspace, "late", WorkspaceRole::User);
        ann.refused(Code::FailedPrecondition, &methods::ADD_WORKSPACE_MEMBER, late).await;
        assert_eq!(ann.ok(&methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await.members.len(), 2);
        let gone = DeleteSandboxRequest { name: "s".to_owned(), workspace: workspace.clone() };
        assert!(uma.ok(&methods::DELETE_SANDBOX, gone).await.deleted);
        assert!(admin.ok(&methods::DELETE_WORKSPACE, delete(&workspace)).await.deleted);
        admin.refused(Code::NotFound, &methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await;
        // Who makes it anew finds nobody in it.
        admin.ok(&methods::CREATE_WORKSPACE, create(&workspace)).await;
        assert!(admin.ok(&methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await.members.is_empty());
        ann.refused(Code::PermissionDenied, &methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_98_who_makes_whom_a_member() {
    everywhere(async |people: People| {
        let (workspace, ann, uma) = people.team().await;
        let new = |role| add(&workspace, "new", role);
        for role in [WorkspaceRole::User, WorkspaceRole::Admin] {
            uma.refused(Code::PermissionDenied, &methods::ADD_WORKSPACE_MEMBER, new(role)).await;
        }
        ann.refused(Code::PermissionDenied, &methods::ADD_WORKSPACE_MEMBER, new(WorkspaceRole::Admin)).await;
        let member = ann.ok(&methods::ADD_WORKSPACE_MEMBER, new(WorkspaceRole::User)).await.member.expect("a member");
        assert_eq!((member.principal_subject.as_str(), member.role()), ("new", WorkspaceRole::User));
        ann.refused(Code::AlreadyExists, &methods::ADD_WORKSPACE_MEMBER, new(WorkspaceRole::User)).await;
        assert!(!ann.ok(&methods::REMOVE_WORKSPACE_MEMBER, remove(&workspace, "nobody")).await.removed);
        uma.refused(Code::PermissionDenied, &methods::REMOVE_WORKSPACE_MEMBER, remove(&workspace, "new")).await;
        assert!(ann.ok(&methods::REMOVE_WORKSPACE_MEMBER, remove(&workspace, "new")).await.removed);
        people.admin().ok(&methods::ADD_WORKSPACE_MEMBER, new(WorkspaceRole::Admin)).await;
        let members = uma.ok(&methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await.members;
        let listed: Vec<_> = members.iter().map(|member| (member.principal_subject.as_str(), member.role())).collect();
        let expected = [
            (ann.name.as_str(), WorkspaceRole::Admin),
            (uma.name.as_str(), WorkspaceRole::User),
            ("new", WorkspaceRole::Admin),
        ];
        assert_eq!(listed, expected, "oldest first");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_99_a_member_sees_their_workspaces_and_pages_count_these() {
    everywhere(async |people: People| {
        let mia = people.user("mia");
        let mut hers = Vec::new();
        for number in 0..4 {
            let workspace = people.workspace().await;
            if number != 1 {
                let added = add(&workspace, &mia.name, WorkspaceRole::User);
                people.admin().ok(&methods::ADD_WORKSPACE_MEMBER, added).await;
                hers.push(workspace);
            }
        }
        let names = async |person: &Person, limit, offset| -> Vec<String> {
            let request = ListWorkspacesRequest { limit, offset, ..ListWorkspacesRequest::default() };
            let workspaces = person.ok(&methods::LIST_WORKSPACES, request).await.workspaces;
            workspaces.into_iter().map(|workspace| workspace.metadata.expect("metadata").name).collect()
        };
        let seen = names(&mia, 0, 0).await;
        assert_eq!(seen.iter().collect::<BTreeSet<_>>(), hers.iter().collect::<BTreeSet<_>>());
        assert_eq!(names(&mia, 1, 1).await, seen[1..2], "pages count what is seen");
        assert_eq!(names(&mia, 2, 3).await, Vec::<String>::new());
        assert_eq!(names(&people.user("eve"), 0, 0).await, Vec::<String>::new());
        let all: BTreeSet<String> = names(&people.admin(), 1000, 0).await.into_iter().collect();
        assert!(all.contains("default") && hers.iter().all(|name| all.contains(name)));
    })
    .await;
}

async fn next(watch: &mut Watch) -> Result<WatchResponse, WatchError> {
    tokio::time::timeout(LIMIT, watch.next()).await.expect("a message in time")
}

/// A watch that has had the state.
async fn watching(person: &Person, workspace: &str, kinds: &[WatchKind]) -> Watch {
    let kinds = kinds.iter().map(|kind| *kind as i32).collect();
    let request = WatchRequest { kinds, workspace: workspace.to_owned(), ..WatchRequest::default() };
    let mut watch = Watch::new(person.api.client(), request, LIMIT);
    while next(&mut watch).await.expect("the state").r#type() != Type::Synced {}
    watch
}

#[tokio::test]
async fn a_member_that_is_removed_loses_the_watches_that_are_under_way() {
    everywhere(async |people: People| {
        let (workspace, ann, uma) = people.team().await;
        let id = made(&uma, &workspace, "s").await;
        let mut changes = watching(&uma, &workspace, &[]).await;
        let request = WatchSandboxRequest { id: id.clone(), follow_status: true, ..WatchSandboxRequest::default() };
        let options = CallOptions::default();
        let mut of_sandbox =
            uma.api.client().stream(&methods::WATCH_SANDBOX, request, &options).await.expect("a member may watch");
        of_sandbox.message().await.expect("no error").expect("the record");

        assert!(ann.ok(&methods::REMOVE_WORKSPACE_MEMBER, remove(&workspace, &uma.name)).await.removed);
        loop {
            match next(&mut changes).await {
                Ok(response) => assert_eq!(response.r#type(), Type::Progress, "nothing is shown any more"),
                Err(WatchError::Call(CallError::Refused(status))) => {
                    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        let end = tokio::time::timeout(LIMIT, of_sandbox.message()).await.expect("in time").expect_err("the end");
        assert_eq!(end.code(), Code::NotFound, "as for a random id: {end}");
        uma.refused(Code::PermissionDenied, &methods::GET_SANDBOX, named(&workspace, "s")).await;
    })
    .await;
}

#[tokio::test]
async fn an_admin_of_a_workspace_watches_its_members() {
    everywhere(async |people: People| {
        let (workspace, ann, uma) = people.team().await;
        let kinds = [WatchKind::WorkspaceMember];
        let request = WatchRequest { kinds: vec![kinds[0] as i32], workspace: workspace.clone(), ..Default::default() };
        let mut refused = Watch::new(uma.api.client(), request, LIMIT);
        match next(&mut refused).await {
            Err(WatchError::Call(CallError::Refused(status))) => assert_eq!(status.code(), Code::PermissionDenied),
            other => panic!("{other:?}"),
        }
        let mut members = watching(&ann, &workspace, &kinds).await;
        made(&uma, &workspace, "s").await;
        ann.ok(&methods::ADD_WORKSPACE_MEMBER, add(&workspace, "mia", WorkspaceRole::User)).await;
        ann.ok(&methods::REMOVE_WORKSPACE_MEMBER, remove(&workspace, &uma.name)).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(next(&mut members).await.expect("changes").events);
        }
        let acts: Vec<_> = seen.iter().map(|event| (event.act(), event.kind(), event.name.as_str())).collect();
        assert_eq!(
            acts,
            [
                (Act::Created, WatchKind::WorkspaceMember, "mia"),
                (Act::Deleted, WatchKind::WorkspaceMember, uma.name.as_str())
            ]
        );
        let Some(Object::WorkspaceMember(mia)) = &seen[0].object else { panic!("{seen:?}") };
        assert_eq!(mia.role(), WorkspaceRole::User);
    })
    .await;
}

#[tokio::test]
async fn ws_8_additions_at_once_through_all_nodes_stop_at_1000_members() {
    const AT_ONCE: usize = 8;
    let cluster = Cluster::shared_with_roles().await;
    let people = People { node: 1, cluster };
    let workspace = people.workspace().await;
    let through: Vec<Person> =
        people.cluster.ids().map(|node| Person { name: "harness".to_owned(), api: people.cluster.api(node) }).collect();
    let added = async |number: usize, subject: String| {
        let person = &through[number % through.len()];
        match person.api.call(&methods::ADD_WORKSPACE_MEMBER, add(&workspace, &subject, WorkspaceRole::User)).await {
            Ok(_) => Code::Ok,
            Err(CallError::Refused(status)) => status.code(),
            Err(error) => panic!("{error}"),
        }
    };
    let codes = async |subjects: Vec<String>| -> Vec<Code> {
        let adding = subjects.into_iter().enumerate().map(|(number, subject)| added(number, subject));
        stream::iter(adding).buffer_unordered(AT_ONCE).collect().await
    };
    let count = |codes: &[Code], code: Code| codes.iter().filter(|found| **found == code).count();

    let same = codes(vec!["same".to_owned(); AT_ONCE]).await;
    assert_eq!((count(&same, Code::Ok), count(&same, Code::AlreadyExists)), (1, AT_ONCE - 1));
    let many = codes((0..1100).map(|number| format!("user-{number}")).collect()).await;
    assert_eq!((count(&many, Code::Ok), count(&many, Code::ResourceExhausted)), (999, 101));
    for person in &through {
        assert_eq!(person.ok(&methods::LIST_WORKSPACE_MEMBERS, list(&workspace)).await.members.len(), 1000);
    }
    assert!(through[0].ok(&methods::DELETE_WORKSPACE, delete(&workspace)).await.deleted, "all of them in one entry");
}

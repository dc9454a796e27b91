//! Scenarios 42 to 44: who may call, and workspaces that are going. No admin role is configured in these
//! clusters, so that every user is platform admin, and who is none is a sandbox. What a user without the role is
//! told is decided on a state in memory, `state/membership.rs`, and over the wire in `config/callers.rs`.

use openshell_client::{CallError, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::v1::{
    DeleteWorkspaceRequest, LintProviderProfilesRequest, ListProvidersRequest, UpdateProviderRequest,
};
use openshell_tests::{Api, Cluster, Scene, policy_allowing};
use tonic::Code;

use super::{Stage, delete, everywhere, get, import, minimal, page, update};
use crate::rpc::Calls;

/// The same workspace, seen by a sandbox in it.
async fn seen_by_a_sandbox(stage: &Stage, endpoint: &str) -> Stage {
    stage.scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let request = IssueSandboxTokenRequest { name: "box".to_owned(), workspace: stage.own().to_owned() };
    let answer = stage.scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
    let api = Api::bearer(endpoint, &answer.message.token).linearizable();
    Stage { scene: Scene { workspace: stage.own().to_owned(), api }, prefix: stage.prefix.clone() }
}

/// Codes of the six RPCs of profiles in a scope.
async fn about_profiles(stage: &Stage, scope: &str) -> Vec<Code> {
    let lint = LintProviderProfilesRequest { workspace: scope.to_owned(), ..Default::default() };
    let answers = [
        stage.call(&page(scope, 0, 0)).await.map(drop),
        stage.call(&get(scope, "github")).await.map(drop),
        stage.call(&lint).await.map(drop),
        stage.call(&import(scope, &[minimal("x")])).await.map(drop),
        stage.call(&update(scope, 1, minimal("x"))).await.map(drop),
        stage.call(&delete(scope, "github")).await.map(drop),
    ];
    answers.into_iter().map(code).collect()
}

/// Codes of the RPCs of providers in a workspace.
async fn about_providers(stage: &Stage, workspace: &str) -> Vec<Code> {
    let in_it = || workspace.to_owned();
    let mut create = stage.provider("p", "github", &["KEY"]);
    create.workspace = in_it();
    let change = UpdateProviderRequest { workspace: in_it(), ..stage.update_provider("p", |_| {}) };
    let mut remove = stage.delete_provider("p");
    remove.workspace = in_it();
    let mut read = stage.get_provider("p");
    read.workspace = in_it();
    let list = ListProvidersRequest { workspace: in_it(), ..ListProvidersRequest::default() };
    let answers = [
        stage.call(&create).await.map(drop),
        stage.call(&change).await.map(drop),
        stage.call(&remove).await.map(drop),
        stage.call(&read).await.map(drop),
        stage.call(&list).await.map(drop),
    ];
    answers.into_iter().map(code).collect()
}

fn code(answer: Result<(), CallError>) -> Code {
    match answer {
        Ok(()) => Code::Ok,
        Err(CallError::Refused(status)) => status.code(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn providers_scenario_42_and_43_a_sandbox_learns_nothing_of_scopes_and_workspaces() {
    for cluster in [Cluster::shared().await, Cluster::shared_single().await] {
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        let stage = Stage::open(cluster.api(node)).await;
        let own = seen_by_a_sandbox(&stage, &cluster.gateway(node).endpoint()).await;
        for scope in ["", "no-such-ws", stage.own()] {
            assert_eq!(about_profiles(&own, scope).await, [Code::PermissionDenied; 6], "{scope:?}");
            assert_eq!(about_providers(&own, scope).await, [Code::PermissionDenied; 5], "{scope:?}");
        }
        // Who may know it hears it.
        assert_eq!(about_profiles(&stage, "no-such-ws").await, [Code::NotFound; 6]);
        assert_eq!(about_providers(&stage, "no-such-ws").await, [Code::NotFound; 5]);
    }
}

#[tokio::test]
async fn providers_scenario_44_a_workspace_being_deleted_takes_nothing_new() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("tool")]).await;
        let kept = stage.provider("p", "github", &["KEY"]);
        stage.ok(&kept).await;
        let going = DeleteWorkspaceRequest { name: stage.own().to_owned() };
        stage.refused(Code::FailedPrecondition, &going).await;
        stage.refused(Code::FailedPrecondition, &stage.provider("q", "github", &["KEY"])).await;
        stage.refused(Code::FailedPrecondition, &import(stage.own(), &[minimal("more")])).await;
        stage.refused(Code::FailedPrecondition, &update(stage.own(), 1, minimal("tool"))).await;
        stage.get(stage.own(), "tool").await;
        assert!(stage.list(stage.own()).await.iter().any(|profile| profile.id == "tool"));
        assert!(stage.lint(stage.own(), &[minimal("more")]).await.valid);
        stage.ok(&stage.get_provider("p")).await;
        stage.ok(&stage.update_provider("p", |_| {})).await;
        assert!(stage.ok(&delete(stage.own(), "tool")).await.deleted);
        assert!(stage.ok(&stage.delete_provider("p")).await.deleted);
        assert!(stage.ok(&going).await.deleted, "nothing is left in it");
    })
    .await;
}

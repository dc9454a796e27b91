//! Scenarios 36, 37, 46, 100 and 102: what a sandbox sends about its policy.

use futures::future::join_all;
use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, GetSandboxProviderEnvironmentRequest, PolicyStatus,
    ReportPolicyStatusRequest, UpdateConfigRequest,
};
use openshell_tests::{Api, Cluster};
use tonic::Code;

use super::attaching::code;
use super::{Stage, policy};
use crate::rpc::Calls;

/// Runs a scenario with a user and sandbox `s`, both at a follower and both at a single node.
pub(super) async fn with_a_sandbox(policy: Option<SandboxPolicy>, scenario: impl AsyncFn(Stage, Stage)) {
    for cluster in [Cluster::shared().await, Cluster::shared_single().await] {
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        let user = Stage::open(cluster.api(node)).await;
        user.made("s", policy.clone()).await;
        let request = IssueSandboxTokenRequest { name: "s".to_owned(), workspace: user.own().to_owned() };
        let answer = user.scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
        let api = Api::bearer(&cluster.gateway(node).endpoint(), &answer.message.token).linearizable();
        let own = Stage { scene: user.scene.through(api) };
        scenario(user, own).await;
    }
}

async fn id(user: &Stage) -> String {
    user.record("s").await.metadata.expect("sandboxes have metadata").id
}

fn report(sandbox_id: &str, version: u32, status: PolicyStatus, error: &str) -> ReportPolicyStatusRequest {
    ReportPolicyStatusRequest {
        sandbox_id: sandbox_id.to_owned(),
        version,
        status: status.into(),
        load_error: error.to_owned(),
    }
}

async fn status(user: &Stage, version: u32) -> GetSandboxPolicyStatusResponse {
    let (name, workspace) = ("s".to_owned(), user.own().to_owned());
    user.ok(&GetSandboxPolicyStatusRequest { name, version, workspace, global: false }).await
}

#[tokio::test]
async fn config_scenario_36_reports_about_a_revision() {
    with_a_sandbox(Some(policy("a.example.com")), async |user, own| {
        assert_eq!(user.ok(&user.set_policy("s", policy("b.example.com"))).await.version, 2);
        let id = id(&user).await;
        own.ok(&report(&id, 2, PolicyStatus::Loaded, "")).await;
        let answer = status(&user, 2).await;
        assert_eq!(answer.active_version, 2);
        let revision = answer.revision.expect("a revision");
        assert_eq!(revision.status(), PolicyStatus::Loaded);
        assert!(revision.loaded_at_ms >= revision.created_at_ms);
        let recorded = user.record("s").await.status.expect("a status").current_policy_version;
        assert_eq!(recorded, 2);
        own.ok(&report(&id, 2, PolicyStatus::Failed, "x")).await;
        let answer = status(&user, 2).await;
        assert_eq!(answer.active_version, 2);
        let revision = answer.revision.expect("a revision");
        assert_eq!((revision.status(), revision.load_error.as_str()), (PolicyStatus::Failed, "x"));
    })
    .await;
}

#[tokio::test]
async fn config_scenario_37_reports_that_are_refused() {
    with_a_sandbox(Some(policy("a.example.com")), async |user, own| {
        let id = id(&user).await;
        let other = user.made("t", None).await.metadata.expect("sandboxes have metadata").id;
        own.refused(Code::InvalidArgument, &report(&id, 0, PolicyStatus::Loaded, "")).await;
        own.refused(Code::InvalidArgument, &report(&id, 1, PolicyStatus::Pending, "")).await;
        own.refused(Code::NotFound, &report(&id, 99, PolicyStatus::Loaded, "")).await;
        own.refused(Code::PermissionDenied, &report(&other, 1, PolicyStatus::Loaded, "")).await;
        user.refused(Code::PermissionDenied, &report(&id, 1, PolicyStatus::Loaded, "")).await;
    })
    .await;
}

#[tokio::test]
async fn config_scenario_46_a_baseline_is_filled_in_once() {
    with_a_sandbox(None, async |user, own| {
        let sent = |host: &str, expected| UpdateConfigRequest {
            expected_resource_version: expected,
            ..own.set_policy("s", policy(host))
        };
        own.refused(Code::Aborted, &sent("a.example.com", 9)).await;
        assert_eq!(user.version("s").await, 1);
        let requests = ["a", "b", "c"].map(|name| sent(&format!("{name}.example.com"), 1));
        let answers = join_all(requests.iter().map(|request| own.call(request))).await;
        let codes: Vec<_> = answers.iter().map(code).collect();
        assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Code::Aborted).count(), 2, "{codes:?}");
        let won = codes.iter().position(|code| *code == Code::Ok).expect("one succeeded");
        assert_eq!((status(&user, 0).await.revision.expect("a revision").version, user.version("s").await), (1, 2));
        let stored = user.record("s").await.spec.expect("a spec").policy;
        assert_eq!(stored, requests[won].policy);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_100_a_supervisor_begins() {
    with_a_sandbox(None, async |user, own| {
        let record = user.record("s").await;
        let id = id(&user).await;
        assert_eq!(own.effective(&record).await.policy, None);
        assert_eq!(own.ok(&own.set_policy("s", policy("a.example.com"))).await.version, 1);
        let config = own.effective(&record).await;
        assert_eq!((config.version, config.policy), (1, Some(policy("a.example.com"))));
        let request =
            GetSandboxProviderEnvironmentRequest { sandbox_id: id.clone(), supports_static_credential_bindings: true };
        let answer = own.scene.api.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await;
        assert_eq!(answer.expect("an environment").message.provider_env_revision, config.provider_env_revision);
        own.ok(&report(&id, 1, PolicyStatus::Loaded, "")).await;
        assert_eq!(status(&user, 1).await.active_version, 1);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_102_the_same_report_twice() {
    with_a_sandbox(Some(policy("a.example.com")), async |user, own| {
        let id = id(&user).await;
        for (reported, error) in [(PolicyStatus::Failed, "x"), (PolicyStatus::Loaded, "")] {
            own.ok(&report(&id, 1, reported, error)).await;
            let before = (user.record("s").await, status(&user, 1).await);
            own.ok(&report(&id, 1, reported, error)).await;
            assert_eq!((user.record("s").await, status(&user, 1).await), before, "{reported:?}");
        }
    })
    .await;
}

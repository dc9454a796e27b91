//! Credentials that the cluster mints: through any node, once, and never lost with a leader that goes
//! in order. The token endpoint is a real one on loopback. Scenarios of `providers.md` carry their numbers;
//! those of them that are cheap run through a follower and on a single node.

use std::time::Duration;

use openshell_client::{CallError, Uuid, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, DeleteProviderRefreshRequest, GetProviderRefreshStatusRequest,
    GetSandboxProviderEnvironmentRequest, GetSandboxProviderEnvironmentResponse, ProviderCredentialRefresh,
    ProviderCredentialRefreshStatus, ProviderCredentialRefreshStrategy as Strategy, RotateProviderCredentialRequest,
};
use openshell_tests::{Api, Cluster, ClusterOptions, Issuer, Scene, eventually, policy_allowing, profile};
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(60);
const KEY: &str = "ACME_TOKEN";
/// Far enough that nothing is due while a test runs.
const FAR_MS: i64 = 4_102_444_800_000;

/// A provider `main` whose profile names this issuer, in a workspace of its own.
async fn scene(api: Api, issuer: &Issuer) -> Scene {
    let scene = Scene::open(api).await;
    let mut profile = profile("acme", &["a.example.com"]);
    profile.credentials[0].refresh = Some(ProviderCredentialRefresh {
        strategy: Strategy::Oauth2RefreshToken as i32,
        token_url: issuer.url().to_owned(),
        ..ProviderCredentialRefresh::default()
    });
    scene.import(profile).await;
    scene.create_provider("main", "acme").await;
    scene
}

/// Runs a scenario through a follower of the shared cluster, and on the shared single node.
async fn everywhere(scenario: impl AsyncFn(&Cluster, &Scene, &Issuer)) {
    let (three, single) = (Cluster::shared().await, Cluster::shared_single().await);
    let clusters: [(&Cluster, Api); 2] = [(&three, three.follower_api().await), (&single, single.api(1))];
    for (cluster, api) in clusters {
        let issuer = Issuer::start().await;
        let scene = scene(api, &issuer).await;
        scenario(cluster, &scene, &issuer).await;
    }
}

async fn configure(scene: &Scene, expires_at_ms: Option<i64>) {
    let material = [("client_id", "me"), ("refresh_token", "first"), ("client_secret", "s")];
    let request = ConfigureProviderRefreshRequest {
        provider: "main".to_owned(),
        credential_key: KEY.to_owned(),
        strategy: Strategy::Oauth2RefreshToken as i32,
        material: material.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        expires_at_ms,
        workspace: scene.workspace.clone(),
        ..ConfigureProviderRefreshRequest::default()
    };
    scene.api.call(&methods::CONFIGURE_PROVIDER_REFRESH, request).await.expect("it is configured");
}

async fn delete(scene: &Scene) {
    let request = DeleteProviderRefreshRequest {
        provider: "main".to_owned(),
        credential_key: KEY.to_owned(),
        workspace: scene.workspace.clone(),
    };
    let answer = scene.api.call(&methods::DELETE_PROVIDER_REFRESH, request).await.expect("it is deleted");
    assert!(answer.message.deleted);
}

fn rotation(scene: &Scene) -> RotateProviderCredentialRequest {
    RotateProviderCredentialRequest {
        provider: "main".to_owned(),
        credential_key: KEY.to_owned(),
        workspace: scene.workspace.clone(),
    }
}

async fn rotate(scene: &Scene, api: &Api) -> Result<ProviderCredentialRefreshStatus, CallError> {
    let answer = api.call(&methods::ROTATE_PROVIDER_CREDENTIAL, rotation(scene)).await?;
    Ok(answer.message.status.expect("a status"))
}

async fn status(scene: &Scene) -> ProviderCredentialRefreshStatus {
    let request = GetProviderRefreshStatusRequest {
        provider: "main".to_owned(),
        workspace: scene.workspace.clone(),
        ..GetProviderRefreshStatusRequest::default()
    };
    let answer = scene.api.call(&methods::GET_PROVIDER_REFRESH_STATUS, request).await.expect("a status");
    answer.message.credentials.into_iter().next().expect("it is configured")
}

async fn status_word(scene: &Scene, word: &str) -> ProviderCredentialRefreshStatus {
    let shown = async || Some(status(scene).await).filter(|status| status.status == word);
    eventually(&format!("status {word}"), LIMIT, shown).await.expect("it comes to that")
}

/// What a sandbox with the provider gets, from each of these nodes.
async fn environments(
    cluster: &Cluster,
    scene: &Scene,
    nodes: &[u64],
    id: &str,
) -> Vec<GetSandboxProviderEnvironmentResponse> {
    let request = IssueSandboxTokenRequest { name: "box".to_owned(), workspace: scene.workspace.clone() };
    let token = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("a token").message.token;
    let mut environments = Vec::new();
    for node in nodes {
        let own = Api::bearer(&cluster.gateway(*node).endpoint(), &token).linearizable();
        let request = GetSandboxProviderEnvironmentRequest {
            sandbox_id: id.to_owned(),
            supports_static_credential_bindings: true,
        };
        let answer = own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await.expect("an environment");
        environments.push(answer.message);
    }
    environments
}

async fn sandbox(scene: &Scene) -> String {
    scene.create_sandbox("box", &["main"], policy_allowing("docs.example.com")).await
}

/// The token that a new sandbox with the provider gets, from each of these nodes.
async fn tokens(cluster: &Cluster, scene: &Scene, nodes: &[u64]) -> Vec<Option<String>> {
    let id = sandbox(scene).await;
    let environments = environments(cluster, scene, nodes, &id).await;
    environments.iter().map(|answer| answer.environment.get(KEY).cloned()).collect()
}

#[tokio::test]
async fn rt_1_and_rt_4_a_rotation_reaches_the_sandbox_on_every_node() {
    everywhere(async |cluster, scene, issuer| {
        issuer.answer(200, r#"{"access_token":"token-{n}","expires_in":3600,"refresh_token":"next-{n}"}"#);
        configure(scene, Some(FAR_MS)).await;
        let first = rotate(scene, &scene.api).await.expect("minted");
        assert_eq!((first.status.as_str(), first.last_error.as_str()), ("refreshed", ""));
        rotate(scene, &scene.api).await.expect("minted again");
        let asked = issuer.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked[0].contains("refresh_token=first") && asked[1].contains("refresh_token=next-1"), "{asked:?}");
        let nodes: Vec<u64> = cluster.ids().collect();
        assert_eq!(tokens(cluster, scene, &nodes).await, vec![Some("token-2".to_owned()); nodes.len()]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_74_a_configuration_is_a_new_epoch_and_a_rotation_is_not() {
    everywhere(async |cluster, scene, _| {
        configure(scene, Some(FAR_MS)).await;
        rotate(scene, &scene.api).await.expect("minted");
        let id = sandbox(scene).await;
        // The handle by which a sandbox names the credential is made of the epoch, never of the token.
        let handle = async || {
            let environment = environments(cluster, scene, &[1], &id).await.remove(0);
            let binding = environment.static_credential_bindings.get(KEY).cloned().expect("a binding");
            assert!(!binding.workload_credential_handle.is_empty(), "{binding:?}");
            binding.workload_credential_handle
        };
        let first = handle().await;
        let rotated = rotate(scene, &scene.api).await.expect("minted again");
        assert_eq!(handle().await, first);
        configure(scene, Some(FAR_MS)).await;
        assert_ne!(handle().await, first);
        let again = status(scene).await;
        assert_eq!((again.status.as_str(), again.last_refresh_at_ms), ("configured", rotated.last_refresh_at_ms));
    })
    .await;
}

/// What a rotation hears when something happens to its refresh while the issuer is asked.
async fn overtaken(scene: &Scene, issuer: &Issuer, by: impl Future<Output = ()>) {
    issuer.hold();
    let asked = issuer.asked().len();
    let overtaking = async {
        issuer.asked_times(asked + 1, LIMIT).await;
        by.await;
        issuer.release();
    };
    let (answer, ()) = tokio::join!(rotate(scene, &scene.api), overtaking);
    let Err(CallError::Refused(refusal)) = answer else { panic!("nothing was minted: {answer:?}") };
    assert_eq!(refusal.code(), Code::Aborted, "{refusal:?}");
    assert!(refusal.message().contains("changed or deleted"), "{}", refusal.message());
    // The call may be answered before the issuer has: what that says in the end changes nothing.
    issuer.release();
}

#[tokio::test]
async fn providers_scenario_75_a_rotation_that_a_configuration_overtook_is_aborted() {
    everywhere(async |cluster, scene, issuer| {
        configure(scene, Some(FAR_MS)).await;
        overtaken(scene, issuer, configure(scene, Some(FAR_MS))).await;
        let shown = status(scene).await;
        assert_eq!((shown.status.as_str(), shown.last_refresh_at_ms), ("configured", 0));
        rotate(scene, &scene.api).await.expect("minted under the second configuration");
        assert_eq!(tokens(cluster, scene, &[1]).await, [Some("token-2".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_75_a_rotation_that_a_deletion_overtook_is_aborted_and_brings_nothing_back() {
    everywhere(async |_, scene, issuer| {
        configure(scene, Some(FAR_MS)).await;
        overtaken(scene, issuer, delete(scene)).await;
        let request = GetProviderRefreshStatusRequest {
            provider: "main".to_owned(),
            workspace: scene.workspace.clone(),
            ..GetProviderRefreshStatusRequest::default()
        };
        let answer = scene.api.call(&methods::GET_PROVIDER_REFRESH_STATUS, request).await.expect("a status");
        assert!(answer.message.credentials.is_empty(), "RT-5: {answer:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_due_is_minted_without_being_asked_for_and_once() {
    let cluster = Cluster::shared().await;
    let issuer = Issuer::start().await;
    let scene = scene(cluster.api_of_all(), &issuer).await;
    configure(&scene, None).await;
    let minted = status_word(&scene, "refreshed").await;
    assert!(minted.next_refresh_at_ms > minted.last_refresh_at_ms, "{minted:?}");
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn rotations_at_once_through_every_node_are_one_flight() {
    let cluster = Cluster::shared().await;
    let issuer = Issuer::start().await;
    let scene = scene(cluster.api_of_all(), &issuer).await;
    configure(&scene, Some(FAR_MS)).await;
    issuer.hold();
    let apis: Vec<Api> = cluster.ids().map(|node| cluster.api(node)).collect();
    let calls = futures::future::join_all(apis.iter().map(|api| rotate(&scene, api)));
    let releasing = async {
        issuer.asked_times(1, LIMIT).await;
        issuer.release();
    };
    let (answers, ()) = tokio::join!(calls, releasing);
    for answer in answers {
        assert_eq!(answer.expect("minted").status, "refreshed");
    }
    // Who came after the first had landed flew once more; nobody flew beside another.
    assert!(issuer.asked().len() <= 2, "{:?}", issuer.asked());
}

#[tokio::test]
async fn a_repeated_rotation_does_not_mint_again_through_whichever_node() {
    let cluster = Cluster::shared().await;
    let issuer = Issuer::start().await;
    let scene = scene(cluster.api_of_all(), &issuer).await;
    configure(&scene, Some(FAR_MS)).await;
    let id = Uuid::now_v7();
    let mut answers = Vec::new();
    for (attempt, node) in (1..).zip(cluster.ids()) {
        answers.push(rotate(&scene, &cluster.api(node).request(id, attempt)).await.expect("the same answer"));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn providers_scenario_73_a_failing_issuer_shows_in_the_status_and_the_last_good_token_stays() {
    everywhere(async |cluster, scene, issuer| {
        configure(scene, Some(FAR_MS)).await;
        rotate(scene, &scene.api).await.expect("minted");
        issuer.answer(400, r#"{"error":"invalid_grant","error_description":"first is used up"}"#);
        let refused = rotate(scene, &scene.api).await;
        let Err(CallError::Refused(refusal)) = refused else { panic!("a refusal is expected: {refused:?}") };
        assert_eq!(refusal.code(), Code::FailedPrecondition);
        assert!(refusal.message().contains("invalid_grant"), "{}", refusal.message());
        let shown = status(scene).await;
        assert_eq!((shown.status.as_str(), shown.failure_code.as_str()), ("error", "invalid_grant"));
        assert!(!shown.last_error.contains("used up"), "only words of the standard are repeated: {}", shown.last_error);
        assert_eq!(tokens(cluster, scene, &[1]).await, [Some("token-1".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn what_a_leader_mints_while_it_stops_is_settled_by_its_successor() {
    let mut cluster = Cluster::start().await;
    let issuer = Issuer::start().await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.ids().filter(|node| *node != leader).collect();
    let scene = scene(cluster.api_of_all_from(others[0]), &issuer).await;
    issuer.answer(200, r#"{"access_token":"token-{n}","expires_in":3600,"refresh_token":"next-{n}"}"#);
    configure(&scene, Some(FAR_MS)).await;
    issuer.hold();
    let stopping = async {
        issuer.asked_times(1, LIMIT).await;
        cluster.gateway(leader).ask_to_stop().expect("it runs");
        let succeeded = async || Some(cluster.leader().await).filter(|now| *now != leader);
        eventually("a successor", LIMIT, succeeded).await.expect("somebody leads");
        issuer.release();
    };
    let (answer, ()) = tokio::join!(rotate(&scene, &scene.api), stopping);
    assert_eq!(answer.expect("minted").status, "refreshed");
    assert_eq!(status(&scene).await.status, "refreshed");
    assert_eq!(issuer.asked().len(), 1, "nobody minted twice");
    cluster.gateway_mut(leader).terminate(LIMIT).await.ok();
    rotate(&scene, &scene.api).await.expect("minted again");
    assert!(issuer.asked()[1].contains("refresh_token=next-1"), "the replaced token was not lost");
    assert_eq!(tokens(&cluster, &scene, &others).await, vec![Some("token-2".to_owned()); 2]);
}

#[tokio::test]
async fn nobody_mints_beside_a_leader_that_was_killed_while_it_did() {
    let mut cluster = Cluster::start().await;
    let issuer = Issuer::start().await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.ids().filter(|node| *node != leader).collect();
    let scene = scene(cluster.api_of_all_from(others[0]), &issuer).await;
    issuer.hold();
    // Due at once, so that the successor's worker would like to mint it too.
    configure(&scene, None).await;
    issuer.asked_times(1, LIMIT).await;
    cluster.kill(leader);
    issuer.release();
    let answer = rotate(&scene, &scene.api.deadline(Duration::from_secs(6))).await;
    assert!(matches!(answer, Err(CallError::NotDone { .. } | CallError::Unknown { .. })), "{answer:?}");
    assert_eq!(issuer.asked().len(), 1, "the claim holds until its time is over");
    assert_eq!(status(&scene).await.status, "configured");
}

#[tokio::test]
async fn a_token_endpoint_on_loopback_is_called_through_no_proxy() {
    let mut cluster =
        Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await.expect("one node");
    cluster.kill(1);
    // Nobody listens there, and who does could read what is sent.
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        cluster.gateway_mut(1).set_variable(name, Some("http://127.0.0.1:1"));
    }
    cluster.gateway_mut(1).set_variable("NO_PROXY", Some("elsewhere.example"));
    cluster.restart(1).await;
    let issuer = Issuer::start().await;
    let scene = scene(cluster.api(1), &issuer).await;
    configure(&scene, Some(FAR_MS)).await;
    let status = rotate(&scene, &scene.api).await.expect("minted");
    assert_eq!((status.status.as_str(), issuer.asked().len()), ("refreshed", 1));
}

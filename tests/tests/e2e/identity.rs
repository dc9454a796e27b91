//! Sandboxes as callers: who gets their tokens, where these are valid, what they reach.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, Uuid, methods, parse_endpoints};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, GetSandboxProviderEnvironmentRequest,
    GetSandboxProviderEnvironmentResponse, RefreshSandboxTokenRequest, SandboxResponse, SandboxSpec,
};
use openshell_proto::{AuthMode, method_rules};
use openshell_tests::{Api, Cluster, CommandLine, Scene, eventually, policy_allowing, profile};
use tonic::{Code, Status};

const LIMIT: Duration = Duration::from_secs(60);

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> Status {
    match result {
        Err(CallError::Refused(status)) => status,
        other => panic!("a refusal is expected: {other:?}"),
    }
}

/// A sandbox `box` with the provider `main`, and its id.
async fn scene(cluster: &Cluster) -> (Scene, String) {
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("main", "acme").await;
    let id = scene.create_sandbox("box", &["main"], policy_allowing("docs.example.com")).await;
    (scene, id)
}

async fn token(scene: &Scene, sandbox: &str) -> String {
    let request = IssueSandboxTokenRequest { name: sandbox.to_owned(), workspace: scene.workspace.clone() };
    scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token").message.token
}

async fn environment(api: &Api, id: &str) -> Result<GetSandboxProviderEnvironmentResponse, CallError> {
    let request =
        GetSandboxProviderEnvironmentRequest { sandbox_id: id.to_owned(), supports_static_credential_bindings: true };
    // As a supervisor that has just been started by someone who has seen the sandbox.
    Ok(api.linearizable().call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await?.message)
}

#[tokio::test]
async fn a_token_is_valid_on_every_node_and_outlives_a_leader() {
    let mut cluster = Cluster::start().await;
    let (scene, id) = scene(&cluster).await;
    let token = token(&scene, "box").await;
    for node in cluster.ids() {
        let own = Api::bearer(&cluster.gateway(node).endpoint(), &token);
        let answer = environment(&own, &id).await.expect("its own environment");
        assert_eq!(answer.environment["ACME_TOKEN"], "not-a-real-secret", "node {node}");
        let request = GetSandboxConfigRequest { sandbox_id: id.clone() };
        let config = own.linearizable().call(&methods::GET_SANDBOX_CONFIG, request).await.expect("its own").message;
        assert_eq!(config.provider_env_revision, answer.provider_env_revision);
        assert!(config.extension_authentication_enabled, "the cluster has an issuer");
        // What one node renews, the others take.
        let renewed = own.call(&methods::REFRESH_SANDBOX_TOKEN, RefreshSandboxTokenRequest::default()).await;
        let renewed = renewed.expect("renewed").message;
        assert_eq!(renewed.expires_at_ms, 0);
        let elsewhere = Api::bearer(&cluster.endpoints(), &renewed.token);
        environment(&elsewhere, &id).await.expect("valid on the others");
    }
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let others: Vec<u64> = cluster.ids().filter(|node| *node != leader).collect();
    for node in others {
        let own = Api::bearer(&cluster.gateway(node).endpoint(), &token);
        let local =
            GetSandboxProviderEnvironmentRequest { sandbox_id: id.clone(), supports_static_credential_bindings: true };
        // Without a leader as with one: it is answered from the node's own state.
        let answer = own.local().call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, local).await.expect("answered");
        assert_eq!(answer.message.environment["ACME_TOKEN"], "not-a-real-secret", "node {node}");
    }
    cluster.restart_all().await;
    let own = Api::bearer(&cluster.gateway(leader).endpoint(), &token);
    environment(&own, &id).await.expect("the key comes back from the disk");
}

#[tokio::test]
async fn config_scenario_93_and_94_principals_reach_only_their_methods() {
    let cluster = Cluster::shared().await;
    let (scene, id) = scene(&cluster).await;
    let token = token(&scene, "box").await;
    let endpoint = cluster.gateway(2).endpoint();
    let user = Client::new(&endpoint).expect("a URL");
    let builder = ClientBuilder::new(parse_endpoints(&endpoint).expect("a URL"));
    let own = builder.header("authorization", &format!("Bearer {token}")).build().expect("a header");
    let options = CallOptions::default().once();
    let mut refused = (0, 0);
    for (name, rule) in method_rules() {
        let (client, anchor, count) = match rule.auth {
            AuthMode::Bearer => (&own, "sandbox principals may not call", &mut refused.0),
            AuthMode::Sandbox => (&user, "requires a sandbox principal", &mut refused.1),
            AuthMode::Dual | AuthMode::Unauthenticated => continue,
        };
        // Also where nothing is built that would answer.
        let status = refusal(client.unary::<(), ()>(name, (), &options).await);
        assert_eq!(status.code(), Code::PermissionDenied, "{name}: {status}");
        assert!(status.message().contains(anchor), "{name}: {status}");
        *count += 1;
    }
    assert!(refused.0 > 50 && refused.1 >= 8, "{refused:?}");
    // Another sandbox is as far as the rest of the house.
    let other = scene.create_sandbox("other", &[], policy_allowing("docs.example.com")).await;
    let own = Api::bearer(&endpoint, &token);
    for asked in [other.as_str(), "no such sandbox", ""] {
        assert_eq!(refusal(environment(&own, asked).await).code(), Code::PermissionDenied, "{asked:?}");
    }
    environment(&own, &id).await.expect("its own is its own");
}

#[tokio::test]
async fn a_token_that_is_not_this_clusters_is_refused_and_not_taken_for_a_user() {
    let cluster = Cluster::shared().await;
    let (scene, id) = scene(&cluster).await;
    let token = token(&scene, "box").await;
    let changed = format!("{}AAAA", &token[..token.len() - 4]);
    let endpoint = cluster.gateway(1).endpoint();
    for call in ["environment", "config"] {
        let api = Api::bearer(&endpoint, &changed);
        let status = match call {
            "environment" => refusal(environment(&api, &id).await),
            _ => {
                let request = GetSandboxConfigRequest { sandbox_id: id.clone() };
                refusal(api.call(&methods::GET_SANDBOX_CONFIG, request).await)
            }
        };
        assert_eq!(status.code(), Code::Unauthenticated, "{call}: {status}");
        assert!(status.message().contains("invalid token"), "{status}");
    }
    let mut request = RefreshSandboxTokenRequest::default();
    request.extension_service_names.push("anything".to_owned());
    let status = refusal(Api::bearer(&endpoint, &token).call(&methods::REFRESH_SANDBOX_TOKEN, request).await);
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn the_token_of_a_deleted_sandbox_reaches_nothing_also_when_its_name_is_used_again() {
    let cluster = Cluster::shared().await;
    let (scene, id) = scene(&cluster).await;
    let token = token(&scene, "box").await;
    let request = DeleteSandboxRequest { name: "box".to_owned(), workspace: scene.workspace.clone() };
    scene.api.call(&methods::DELETE_SANDBOX, request).await.expect("deleted");
    let again = scene.create_sandbox("box", &["main"], policy_allowing("docs.example.com")).await;
    assert_ne!(again, id, "ids are not used again");
    for node in cluster.ids() {
        let own = Api::bearer(&cluster.gateway(node).endpoint(), &token).linearizable();
        assert_eq!(refusal(environment(&own, &id).await).code(), Code::NotFound, "node {node}");
        assert_eq!(refusal(environment(&own, &again).await).code(), Code::PermissionDenied, "node {node}");
        let renewed = eventually("the deletion to be known", LIMIT, async || {
            let renewed = own.call(&methods::REFRESH_SANDBOX_TOKEN, RefreshSandboxTokenRequest::default()).await;
            renewed.is_err().then(|| refusal(renewed))
        });
        assert_eq!(renewed.await.expect("refused").code(), Code::NotFound, "node {node}");
    }
}

#[tokio::test]
async fn a_creation_that_asks_for_a_token_answers_one_that_is_not_remembered() {
    let cluster = Cluster::shared().await;
    let (scene, _) = scene(&cluster).await;
    let request = CreateSandboxRequest {
        spec: Some(SandboxSpec { providers: vec!["main".to_owned()], ..SandboxSpec::default() }),
        name: "asked".to_owned(),
        workspace: scene.workspace.clone(),
        issue_token: true,
        ..CreateSandboxRequest::default()
    };
    let id = Uuid::now_v7();
    let mut answers: Vec<SandboxResponse> = Vec::new();
    for (attempt, node) in (1..).zip(cluster.ids()) {
        let api = cluster.api(node).request(id, attempt);
        answers
            .push(api.call(&methods::CREATE_SANDBOX, request.clone()).await.expect("created, or remembered").message);
    }
    let sandbox = answers[0].sandbox.clone().expect("the sandbox");
    let metadata = sandbox.metadata.expect("metadata");
    for (answer, node) in answers.iter().zip(cluster.ids()) {
        let again = answer.sandbox.as_ref().and_then(|sandbox| sandbox.metadata.as_ref()).expect("the sandbox");
        assert_eq!(again.id, metadata.id, "one effect, one sandbox");
        let own = Api::bearer(&cluster.gateway(node).endpoint(), &answer.token);
        environment(&own, &metadata.id).await.expect("every answer has a token that is valid");
    }
    let without = CreateSandboxRequest { name: "unasked".to_owned(), issue_token: false, ..request };
    let answer = scene.api.call(&methods::CREATE_SANDBOX, without).await.expect("created").message;
    assert_eq!(answer.token, "");
}

#[tokio::test]
async fn the_command_writes_a_token_for_its_owner_alone() {
    let cluster = Cluster::shared().await;
    let (scene, id) = scene(&cluster).await;
    let person = CommandLine::new();
    let words = ["sandbox", "token", "box", "--output", "token", "--workspace", &scene.workspace];
    let output = person.run(&cluster.endpoints(), &words).await;
    output.success();
    let path = person.home().join("token");
    let token = std::fs::read_to_string(&path).expect("the file is written");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert!(!output.stdout.contains(token.trim()) && !output.stderr.contains(token.trim()), "{output:?}");
    environment(&Api::bearer(&cluster.endpoints(), token.trim()), &id).await.expect("it is the sandbox's");
    let again = person.run(&cluster.endpoints(), &words).await;
    assert!(again.failure().contains("--force"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("as it was"), token);
    let mut forced = words.to_vec();
    forced.push("--force");
    person.run(&cluster.endpoints(), &forced).await.success();
    let missing = ["sandbox", "token", "nobody", "--output", "other", "--workspace", &scene.workspace];
    assert!(person.run(&cluster.endpoints(), &missing).await.failure().contains("does not exist"));
    assert!(!person.home().join("other").exists(), "no file without a token");
}

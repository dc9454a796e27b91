//! Streams end with the token or the certificate that they were begun with. What becomes of a sandbox that
//! follows its configuration then is in `syncing/tokens.rs`.

use std::time::Duration;

use openshell_client::{CallOptions, methods};
use openshell_proto::cluster::WatchRequest;
use openshell_proto::v1::{GetSandboxLogsRequest, GetSandboxRequest, WatchSandboxRequest};
use openshell_tests::{Cluster, ClusterOptions, LogPusher, Scene, eventually, log_line, policy_allowing};
use tonic::{Code, Status, Streaming};

use super::{LIMIT, supervised};

/// Longer than a token of a second is taken, clocks that differ included (AU-11).
const TOKEN_LIMIT: Duration = Duration::from_secs(150);

/// How a stream ends, whatever it says before.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    let ending = async {
        loop {
            match stream.message().await {
                Ok(message) => assert!(message.is_some(), "it ends with a reason"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(LIMIT, ending).await.expect("it ends in time")
}

#[tokio::test]
async fn what_a_sandbox_pushes_ends_with_its_token_also_while_it_pushes_nothing() {
    let options = ClusterOptions { nodes: 1, sandbox_token_ttl: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id.clone()).await;
    let pushing = LogPusher::open(&cluster.gateway(1).endpoint(), Some(&sandbox.token)).await;
    pushing.push(&id, vec![log_line(1, "while it is good")]).await;
    let over = eventually("it to end", TOKEN_LIMIT, async || pushing.is_over().then_some(()));
    over.await.expect("it ends with the token");
    let ended = pushing.refused().await;
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let request = GetSandboxLogsRequest { sandbox_id: id, ..GetSandboxLogsRequest::default() };
    let kept = scene.api.call(&methods::GET_SANDBOX_LOGS, request).await.expect("the node has them").message;
    let kept: Vec<&str> = kept.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(kept, ["while it is good"], "what came before is kept");
}

#[tokio::test]
async fn what_a_user_watches_ends_with_the_certificate_and_the_connection_is_good_for_no_call_more() {
    let options = ClusterOptions { nodes: 1, admin_role: Some("ops"), ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let short = cluster.api_for(1, "ann", &["ops"], Duration::from_secs(10));
    let (client, options) = (short.client(), CallOptions::default());
    let request = GetSandboxRequest { name: "box".to_owned(), workspace: scene.workspace.clone() };
    short.call(&methods::GET_SANDBOX, request.clone()).await.expect("it is good");
    let watched = WatchSandboxRequest { id, follow_status: true, ..WatchSandboxRequest::default() };
    let sandbox = client.stream(&methods::WATCH_SANDBOX, watched, &options).await.expect("a watch of the sandbox");
    let everything = WatchRequest { all_workspaces: true, ..WatchRequest::default() };
    let changes = client.stream(&methods::WATCH, everything, &options).await.expect("a watch");
    let (sandbox, changes) = tokio::join!(end(sandbox), end(changes));
    for ended in [sandbox, changes] {
        assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    }
    let refused = eventually("the connection to be refused", LIMIT, async || {
        short.call(&methods::GET_SANDBOX, request.clone()).await.err()
    });
    let refused = refused.await.expect("the certificate has expired");
    assert_eq!(refused.refusal_code(), Some(Code::Unauthenticated), "{refused}");
}

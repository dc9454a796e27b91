//! What every answer carries, what a caller may ask for beside its request, and how a watch lives
//! and ends.

use std::time::Duration;

use openshell_client::{CallError, CallOptions, Client, Seen, methods};
use openshell_proto::v1::{
    CreateWorkspaceRequest, ExecSandboxRequest, GetWorkspaceRequest, ImportProviderProfilesRequest,
    ListWorkspacesRequest, ListWorkspacesResponse, ProviderProfileImportItem, SandboxPhase, SandboxStreamEvent,
    UpdateConfigRequest, WatchSandboxRequest, sandbox_stream_event,
};
use openshell_tests::{Cluster, Scene, policy_allowing, profile, unique};
use prost::Message;
use tonic::{Code, Status, Streaming};

const LIMIT: Duration = Duration::from_secs(30);

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> Status {
    match result {
        Err(CallError::Refused(status)) => status,
        other => panic!("a refusal is expected: {other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_says_which_state_it_speaks_of() {
    let cluster = Cluster::shared().await;
    for node in cluster.ids() {
        let request = GetWorkspaceRequest { name: unique("no") };
        let status = refusal(cluster.api(node).linearizable().call(&methods::GET_WORKSPACE, request).await);
        assert_eq!(status.code(), Code::NotFound);
        let seen = Seen::from_metadata(status.metadata());
        assert_eq!((seen.node, seen.epoch), (Some(node), Some(1)));
        assert!(seen.revision.is_some() && seen.age_ms.is_some(), "{seen:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_not_built_says_so_in_a_sentence() {
    let cluster = Cluster::shared().await;
    let client = Client::new(&cluster.gateway(2).endpoint()).expect("a URL");
    let options = CallOptions::default().once();
    let path = "openshell.v1.OpenShell/ExecSandbox";
    let answer = client.unary::<_, ListWorkspacesResponse>(path, ExecSandboxRequest::default(), &options).await;
    let status = refusal(answer);
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("no compute driver"), "{}", status.message());
    assert!(Seen::from_metadata(status.metadata()).revision.is_some());
}

#[tokio::test]
async fn what_the_caller_has_seen_of_another_cluster_is_refused_for_reads_and_writes() {
    let cluster = Cluster::shared().await;
    let ahead = Seen { epoch: Some(1), revision: Some(u64::MAX), ..Seen::default() };
    let elsewhere = Seen { epoch: Some(77), revision: Some(1), ..Seen::default() };
    for seen in [ahead, elsewhere] {
        let api = cluster.api(3).not_before(&seen);
        let read = api.call(&methods::LIST_WORKSPACES, ListWorkspacesRequest::default()).await;
        assert_eq!(refusal(read).code(), Code::FailedPrecondition, "{seen:?}");
        let request = CreateWorkspaceRequest { name: unique("w"), ..CreateWorkspaceRequest::default() };
        let write = api.call(&methods::CREATE_WORKSPACE, request.clone()).await;
        assert_eq!(refusal(write).code(), Code::FailedPrecondition, "{seen:?}");
        let request = GetWorkspaceRequest { name: request.name };
        let there = cluster.api(1).linearizable().call(&methods::GET_WORKSPACE, request).await;
        assert_eq!(refusal(there).code(), Code::NotFound, "nothing was written");
    }
}

/// The largest request that is taken, in bytes (`config.md` GR-10).
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// What `make` makes of the padding with which it has so many encoded bytes.
fn sized<M: Message>(bytes: usize, make: impl Fn(String) -> M) -> M {
    let mut padding = bytes;
    while make("a".repeat(padding)).encoded_len() > bytes {
        padding -= 1 + (make("a".repeat(padding)).encoded_len() - bytes) / 2;
    }
    let request = make("a".repeat(padding));
    assert_eq!(request.encoded_len(), bytes);
    request
}

#[tokio::test]
async fn gr_10_a_request_of_one_mebibyte_is_taken_and_one_byte_more_is_refused_for_its_size() {
    let cluster = Cluster::shared().await;
    for node in cluster.ids() {
        let scene = Scene::open(cluster.api(node)).await;
        scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
        for (bytes, too_large) in [(REQUEST_BYTES_MAX, false), (REQUEST_BYTES_MAX + 1, true)] {
            let update = sized(bytes, |host| UpdateConfigRequest {
                name: "box".to_owned(),
                workspace: scene.workspace.clone(),
                policy: Some(policy_allowing(&host)),
                ..UpdateConfigRequest::default()
            });
            let read = sized(bytes, |name| GetWorkspaceRequest { name });
            let write = sized(bytes, |name| CreateWorkspaceRequest { name, ..CreateWorkspaceRequest::default() });
            for status in [
                refusal(scene.api.call(&methods::UPDATE_CONFIG, update).await),
                refusal(scene.api.call(&methods::GET_WORKSPACE, read).await),
                refusal(scene.api.call(&methods::CREATE_WORKSPACE, write).await),
            ] {
                let by_size = status.code() == Code::OutOfRange
                    && [bytes, REQUEST_BYTES_MAX].iter().all(|number| status.message().contains(&number.to_string()));
                assert_eq!(by_size, too_large, "{bytes}: {:?} {:.200}", status.code(), status.message());
                let by_rule = [Code::InvalidArgument, Code::NotFound].contains(&status.code());
                assert_eq!(by_rule, !too_large, "{bytes}: {:?} {:.200}", status.code(), status.message());
            }
        }
        assert_eq!(
            scene.through(scene.api.linearizable()).stored_policy("box").await.version,
            1,
            "nothing was written"
        );
    }
}

async fn next(stream: &mut Streaming<SandboxStreamEvent>) -> Result<Option<SandboxStreamEvent>, Status> {
    tokio::time::timeout(LIMIT, stream.message()).await.expect("an event in time")
}

#[tokio::test]
async fn a_watch_shows_the_record_then_its_changes_and_ends_with_its_node() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api(1)).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("main", "acme").await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let created = Seen {
        revision: scene
            .api
            .call(&methods::LIST_WORKSPACES, ListWorkspacesRequest::default())
            .await
            .expect("an answer")
            .seen
            .revision,
        epoch: Some(1),
        ..Seen::default()
    };
    let client = Client::new(&cluster.gateway(2).endpoint()).expect("a URL");
    let request = WatchSandboxRequest { id, follow_status: true, ..WatchSandboxRequest::default() };
    let options = CallOptions::default().not_before(&created);
    let mut events = client.stream(&methods::WATCH_SANDBOX, request, &options).await.expect("a watch");
    for providers in [0, 1] {
        let event = next(&mut events).await.expect("no error").expect("an event");
        let Some(sandbox_stream_event::Payload::Sandbox(sandbox)) = event.payload else {
            panic!("a record is expected")
        };
        assert_eq!(sandbox.status.map(|status| status.phase()), Some(SandboxPhase::Provisioning));
        assert_eq!(sandbox.spec.expect("a spec").providers.len(), providers);
        if providers == 0 {
            scene.try_attach("box", "main").await.expect("attached through another node");
        }
    }
    // The node does not wait for its watchers: it tells them, and goes.
    let status = cluster.gateway_mut(2).terminate(Duration::from_secs(8)).await.expect("it ends in time");
    assert!(status.success(), "{status}");
    let end = next(&mut events).await.expect_err("the watch ends with its node");
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
}

#[tokio::test]
async fn a_request_that_would_take_memory_beyond_its_length_is_refused_on_every_node() {
    let cluster = Cluster::shared().await;
    for node in cluster.ids() {
        let profiles = vec![ProviderProfileImportItem::default(); 400_000];
        let request = ImportProviderProfilesRequest { profiles, workspace: "default".to_owned() };
        let status = refusal(cluster.api(node).call(&methods::IMPORT_PROVIDER_PROFILES, request).await);
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("small messages"), "{status}");
    }
}

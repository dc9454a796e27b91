//! Where watches end: readers that are too slow, positions that are no longer kept. Each says where
//! to go on or at which revision to begin anew.

use std::collections::BTreeSet;

use openshell_client::{CallOptions, Client, Watch, WatchError, methods};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{Position, WatchKind, WatchRequest};
use openshell_proto::v1::{CreateSandboxRequest, SandboxSpec};
use openshell_tests::{Cluster, ClusterOptions, Scene, profile, scrape};
use tonic::Code;

use crate::watch::{next, synced, watch};

const MIB: f64 = 1024.0 * 1024.0;

async fn gauge(cluster: &Cluster, node: u64, name: &str) -> f64 {
    let page = scrape(cluster.gateway(node).ports().metrics).await.expect("the node answers");
    page.sum(name).unwrap_or_else(|| panic!("the page has {name}"))
}

/// What a watch that begins at a position hears when that is not kept: the revision to begin at.
async fn begin_anew(watching: &mut Watch) -> u64 {
    loop {
        match next(watching).await {
            // What it still had.
            Ok(_) => {}
            Err(WatchError::BeginAnew { list_revision, status }) => {
                assert_eq!(status.code(), Code::OutOfRange);
                assert!(status.message().contains(&format!("revision {list_revision}")), "{}", status.message());
                return list_revision;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn below_what_is_kept_a_watch_is_told_at_which_revision_to_begin_anew() {
    let options = ClusterOptions { nodes: 1, history_entries_kept: 20, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    let endpoint = cluster.gateway(1).endpoint();
    let (_, begin) = synced(&mut watch(&endpoint, &scene, None)).await;
    for update in 0..60 {
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
    }
    let list_revision = begin_anew(&mut watch(&endpoint, &scene, Some(begin))).await;
    assert_eq!(gauge(&cluster, 1, "openshell_history_floor_revision").await, list_revision as f64);
    assert!((20.0..=21.0).contains(&gauge(&cluster, 1, "openshell_history_entries").await));
    let (_, now) = synced(&mut watch(&endpoint, &scene, None)).await;
    assert!(now.revision >= list_revision && list_revision > begin.revision);
    // The last entry that is not kept needs not be.
    let from = Position { revision: list_revision, ..begin };
    let response = next(&mut watch(&endpoint, &scene, Some(from))).await.expect("changes");
    assert_eq!(response.r#type(), Type::Changes);
    assert!(response.events[0].revision > list_revision);
}

/// Makes a sandbox whose record is large.
async fn create_large(scene: &Scene, number: u32) {
    let annotations = (0..100).map(|key| (format!("key-{key}"), "x".repeat(6000))).collect();
    let request = CreateSandboxRequest {
        name: format!("box-{number}"),
        workspace: scene.workspace.clone(),
        annotations,
        spec: Some(SandboxSpec::default()),
        ..CreateSandboxRequest::default()
    };
    scene.api.call(&methods::CREATE_SANDBOX, request).await.expect("created");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_off_and_goes_on_from_where_it_was() {
    const ENOUGH: u32 = 60;
    let cluster = Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await;
    let cluster = cluster.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let client = Client::new(&cluster.gateway(1).endpoint()).expect("a URL");
    let request = WatchRequest {
        kinds: vec![WatchKind::Sandbox as i32],
        workspace: scene.workspace.clone(),
        ..WatchRequest::default()
    };
    let options = CallOptions::default();
    let mut stream = client.stream(&methods::WATCH, request.clone(), &options).await.expect("a watch");
    let begin = stream.message().await.expect("no error").expect("a message");
    assert_eq!(begin.r#type(), Type::Synced);
    // Nobody reads from here on.
    let mut made = 0;
    while gauge(&cluster, 1, "openshell_watches_cut_off").await == 0.0 {
        assert!(made < ENOUGH, "it is never cut off");
        create_large(&scene, made).await;
        made += 1;
        let queued = gauge(&cluster, 1, "openshell_watch_queued_bytes").await;
        assert!(queued <= 4.0 * MIB, "{queued} bytes wait");
    }
    assert_eq!(gauge(&cluster, 1, "openshell_watch_queued_bytes").await, 0.0, "nothing is held for it any more");
    let mut names = BTreeSet::new();
    let mut position = begin.position.expect("a position");
    let status = loop {
        match stream.message().await {
            Ok(Some(response)) => {
                position = response.position.expect("a position");
                names.extend(response.events.into_iter().map(|event| event.name));
            }
            Ok(None) => panic!("the end is said"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!((names.len() as u32) < made, "it had everything");
    let resume = status.metadata().get("x-openshell-resume-revision").expect("a revision").to_str().expect("text");
    assert_eq!(resume, position.revision.to_string());
    let request = WatchRequest { from: Some(position), ..request };
    let mut stream = client.stream(&methods::WATCH, request, &options).await.expect("a watch");
    while (names.len() as u32) < made {
        let response = stream.message().await.expect("no error").expect("a message");
        for event in response.events {
            assert!(names.insert(event.name), "seen twice");
        }
    }
}

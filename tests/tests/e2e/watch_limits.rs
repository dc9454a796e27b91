//! Where watches end: readers that are too slow, positions that are no longer kept, nodes that
//! caught up by a snapshot. Each says where to go on or at which revision to begin anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openshell_client::{Answer, CallOptions, Client, Seen, Watch, WatchError, methods};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{Position, WatchKind, WatchRequest};
use openshell_proto::v1::{
    CreateSandboxRequest, ProviderProfile, SandboxSpec, WatchSandboxRequest, sandbox_stream_event,
};
use openshell_tests::{Cluster, ClusterOptions, Scene, eventually, layered_hosts, policy_allowing, profile, scrape};
use tokio::task::JoinSet;
use tonic::Code;

use crate::watch::{LIMIT, next, synced, watch};

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

/// Updates one profile until it is told to stop; the last answer.
async fn updates(
    scene: Scene,
    mut stored: ProviderProfile,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Answer<ProviderProfile> {
    loop {
        let host = format!("h{}.example.com", stored.resource_version);
        let updated = ProviderProfile { resource_version: stored.resource_version, ..profile(&stored.id, &[&host]) };
        let answer = scene.update(updated).await;
        done.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return answer;
        }
        stored = answer.message;
    }
}

#[tokio::test]
async fn a_node_that_stood_still_for_thousands_of_writes_catches_up_by_a_snapshot_and_tells_its_watchers() {
    let cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let away = cluster.followers().await[0];
    let others: Vec<String> =
        cluster.gateways().iter().filter(|node| node.id() != away).map(openshell_tests::Gateway::endpoint).collect();
    let scene = Scene::open(openshell_tests::Api::new(&others.join(","))).await;
    let mut profiles = Vec::new();
    for number in 0..4 {
        profiles.push(scene.import(profile(&format!("p{number}"), &["a.example.com"])).await);
    }
    scene.create_provider("main", "p0").await;
    let sandbox = scene.create_sandbox("box", &["main"], policy_allowing("docs.example.com")).await;
    let here = scene.through(cluster.api(away));
    // Everything that it composes from, and watchers of both kinds.
    scene.through(cluster.api(away).linearizable()).config(&sandbox).await;
    let mut watching = watch(&cluster.gateway(away).endpoint(), &scene, None);
    let (_, begin) = synced(&mut watching).await;
    let client = Client::new(&cluster.gateway(away).endpoint()).expect("a URL");
    let request = WatchSandboxRequest { id: sandbox.clone(), follow_status: true, ..WatchSandboxRequest::default() };
    let mut of_sandbox =
        client.stream(&methods::WATCH_SANDBOX, request, &CallOptions::default()).await.expect("a watch");
    of_sandbox.message().await.expect("no error").expect("the record");
    let installs = gauge(&cluster, away, "openshell_snapshot_installs").await;
    let applied = gauge(&cluster, away, "openshell_raft_applied_revision").await;

    cluster.gateway(away).pause().expect("it runs");
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for stored in profiles {
        writers.spawn(updates(scene.clone(), stored, Arc::clone(&done), Arc::clone(&stop)));
    }
    // Far more than the entries that are kept and the 512 that are purged together.
    let enough = eventually("enough updates", LIMIT * 3, async || (done.load(Ordering::Relaxed) >= 2000).then_some(()));
    enough.await.expect("the others go on");
    scene.detach("box", "main").await;
    cluster.gateway(away).resume().expect("it lives");

    // Writes go on while it catches up.
    let caught_up = eventually("a snapshot to be installed", LIMIT, async || {
        let page = scrape(cluster.gateway(away).ports().metrics).await.ok()?;
        (page.sum("openshell_snapshot_installs")? > installs).then_some(())
    });
    caught_up.await.expect("it comes by a snapshot");
    let list_revision = begin_anew(&mut watching).await;
    assert!(list_revision as f64 > applied + 1.0);
    scene.try_attach("box", "main").await.expect("attached again");
    stop.store(true, Ordering::Relaxed);
    let mut last: Option<Answer<ProviderProfile>> = None;
    while let Some(answer) = writers.join_next().await {
        let answer = answer.expect("every update is acknowledged");
        if answer.message.id == "p0" {
            last = Some(answer);
        }
    }
    let last = last.expect("the profile in use");

    // From here on it is as any node: what was acknowledged is composed, nothing is left of before.
    let config = here.through(cluster.api(away).local().not_before(&last.seen)).config(&sandbox).await.message;
    let host = last.message.endpoints[0].host.clone();
    assert_eq!(layered_hosts(&config.policy.clone().expect("a policy"), "main"), [host]);
    assert_eq!(scene.through(scene.api.linearizable()).config(&sandbox).await.message, config);
    let anew = Seen { epoch: Some(begin.epoch), revision: Some(list_revision), ..Seen::default() };
    here.through(cluster.api(away).not_before(&anew)).profile("p0").await;
    let (objects, now) = synced(&mut watch(&cluster.gateway(away).endpoint(), &scene, None)).await;
    assert!(now.revision >= list_revision);
    assert!(objects.iter().any(|object| object.name == "p0"));
    // A position of before is below its history for good; another node may still have it.
    begin_anew(&mut watch(&cluster.gateway(away).endpoint(), &scene, Some(begin))).await;
    newer_record(&mut of_sandbox).await;
}

/// The watch of the sandbox shows a record from after the pause, unless the connection did not
/// survive it.
async fn newer_record(events: &mut tonic::Streaming<openshell_proto::v1::SandboxStreamEvent>) {
    match tokio::time::timeout(LIMIT, events.message()).await.expect("an event in time") {
        Ok(Some(event)) => {
            let Some(sandbox_stream_event::Payload::Sandbox(sandbox)) = event.payload else { panic!("a record") };
            assert!(sandbox.metadata.expect("metadata").resource_version > 1);
        }
        Ok(None) => panic!("the sandbox still exists"),
        Err(status) => assert!(std::error::Error::source(&status).is_some(), "a node said {status:?}"),
    }
}

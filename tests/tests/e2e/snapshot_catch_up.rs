//! A node that was cut off for longer than the others keep their log: it catches up by a snapshot
//! while writes go on, and who watched through it, or was answered from what it kept, does not go
//! on from a state with a hole in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openshell_client::{CallOptions, Watch, WatchError, methods};
use openshell_proto::cluster::watch_event::{Act, Object};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{IssueSandboxTokenRequest, Position, WatchKind, WatchRequest};
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentRequest, ProviderProfile, Sandbox, SandboxStreamEvent, UpdateProviderRequest,
    WatchSandboxRequest, sandbox_stream_event,
};
use openshell_tests::{Api, Cluster, Cut, Scene, eventually, policy_allowing, profile};
use tokio::task::JoinHandle;
use tonic::{Code, Streaming};

use crate::partition::apart;
use crate::watch::{next, synced};

const LIMIT: Duration = Duration::from_secs(90);
/// Written after the node is back, at least, so that it catches up with something that moves.
const UPDATES_AFTERWARDS: u64 = 50;

/// Updates a profile without a pause until told to stop; the profile as it was left.
struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<ProviderProfile>,
}

impl Writer {
    fn start(scene: Scene, mut stored: ProviderProfile) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                stored.display_name = format!("After version {}", stored.resource_version);
                stored = scene.update(stored).await.message;
            }
            stored
        });
        Self { stop, task }
    }

    async fn stop(self) -> ProviderProfile {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every update is acknowledged")
    }
}

async fn token(scene: &Scene, sandbox: &str) -> String {
    let request = IssueSandboxTokenRequest { name: sandbox.to_owned(), workspace: scene.workspace.clone() };
    scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token").message.token
}

/// The value that the sandbox's own node gives it, as that node has it.
async fn credential(own: &Api, id: &str) -> String {
    let request =
        GetSandboxProviderEnvironmentRequest { sandbox_id: id.to_owned(), supports_static_credential_bindings: true };
    let answer = own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await.expect("its own environment");
    answer.message.environment["ACME_TOKEN"].clone()
}

async fn rotate(scene: &Scene, provider: &str, value: &str) {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: provider.to_owned(), ..ObjectMeta::default() }),
        credentials: [("ACME_TOKEN".to_owned(), value.to_owned())].into(),
        ..Provider::default()
    };
    let request = UpdateProviderRequest {
        provider: Some(provider),
        workspace: scene.workspace.clone(),
        ..UpdateProviderRequest::default()
    };
    scene.api.call(&methods::UPDATE_PROVIDER, request).await.expect("the credential is replaced");
}

async fn record(stream: &mut Streaming<SandboxStreamEvent>) -> Sandbox {
    let event = tokio::time::timeout(LIMIT, stream.message()).await.expect("an event in time");
    match event.expect("no error").expect("it goes on").payload {
        Some(sandbox_stream_event::Payload::Sandbox(sandbox)) => sandbox,
        other => panic!("a record is expected: {other:?}"),
    }
}

/// Follows the changes of a profile from a position: every version once, through the last one.
async fn follow(watching: &mut Watch, last_seen: Option<u64>, last: u64) {
    tokio::time::timeout(LIMIT, follow_all(watching, last_seen, last)).await.expect("the node goes on by entries");
}

async fn follow_all(watching: &mut Watch, mut last_seen: Option<u64>, last: u64) {
    while last_seen != Some(last) {
        let response = next(watching).await.expect("changes");
        assert_ne!(response.r#type(), Type::Initial);
        for event in response.events {
            assert_eq!(event.act(), Act::Updated);
            let Some(Object::ProviderProfile(profile)) = event.object else { panic!("{:?}", event.name) };
            if let Some(before) = last_seen {
                assert_eq!(profile.resource_version, before + 1, "nothing is missed, nothing comes twice");
            }
            last_seen = Some(profile.resource_version);
        }
    }
}

/// Waits until no node of these has an entry left that the cut-off one misses.
async fn log_is_cut(cluster: &Cluster, others: &[u64], missed_from: f64) {
    for &node in others {
        let waiting = eventually("the log to be cut beyond what is missed", LIMIT, async || {
            let purged = cluster.gateway(node).metric("openshell_raft_purged_revision").await?;
            (purged > missed_from).then_some(())
        });
        waiting.await.expect("snapshots are taken while a node is away");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_by_a_snapshot_begins_its_watches_anew_and_drops_what_it_kept() {
    let Some(cluster) = apart().await else { return };
    cluster.api_of_all().enable_providers_v2(true).await;
    let away = cluster.followers().await[0];
    let others: Vec<u64> = cluster.ids().filter(|id| *id != away).collect();
    let scene = Scene::open(cluster.api(others[0])).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("main", "acme").await;
    let id = scene.create_sandbox("box", &["main"], policy_allowing("docs.example.com")).await;
    let own = cluster.gateway(away).access().bearer(&token(&scene, "box").await);
    assert_eq!(credential(&own.linearizable(), &id).await, "not-a-real-secret");
    let local = own.local();
    assert_eq!(credential(&local, &id).await, "not-a-real-secret", "kept from now on");

    let request = WatchRequest {
        kinds: vec![WatchKind::ProviderProfile as i32],
        workspace: scene.workspace.clone(),
        ..WatchRequest::default()
    };
    let watched = |from: Option<Position>| {
        Watch::new(cluster.api(away).client(), WatchRequest { from, ..request.clone() }, LIMIT)
    };
    let mut lives_through = watched(None);
    let (_, begin) = synced(&mut lives_through).await;
    let client = cluster.api(away).client();
    let asked = WatchSandboxRequest { id: id.clone(), follow_status: true, ..WatchSandboxRequest::default() };
    let mut sandbox = client.stream(&methods::WATCH_SANDBOX, asked, &CallOptions::default()).await.expect("a watch");
    assert_eq!(record(&mut sandbox).await.spec.expect("a spec").providers, ["main"]);

    let network = cluster.network().expect("a network of its own");
    network.cut(&Cut::Apart(vec![away])).expect("the network can be cut");
    let writer = Writer::start(scene.clone(), stored);
    rotate(&scene, "main", "another-value").await;
    scene.detach("box", "main").await;
    scene.try_attach("box", "main").await.expect("attached again");
    let has = cluster.gateway(away).metric("openshell_raft_applied_revision").await.expect("it answers");
    log_is_cut(&cluster, &others, has + 1.0).await;
    assert_eq!(credential(&local, &id).await, "not-a-real-secret", "it knows no better yet");
    assert_eq!(cluster.gateway(away).metric("openshell_snapshot_installs").await, Some(0.0));
    assert!(network.heal().expect("the network can be healed") > 0, "the cut was felt");

    let installed = eventually("a snapshot", LIMIT, async || {
        let count = cluster.gateway(away).metric("openshell_snapshot_installs").await?;
        (count >= 1.0).then_some(())
    });
    installed.await.expect("the node catches up by a snapshot");
    assert_eq!(credential(&local, &id).await, "another-value", "what it kept is gone");
    assert!(record(&mut sandbox).await.spec.is_some(), "the released watch shows the newest record");
    let list_revision = begin_anew(&mut lives_through, begin.revision).await;

    // Begun anew as it was told to, while it all goes on.
    let mut anew = watched(None);
    let (objects, position) = synced(&mut anew).await;
    assert!(position.revision >= list_revision);
    let listed = objects.iter().find_map(|event| match &event.object {
        Some(Object::ProviderProfile(profile)) if event.workspace == scene.workspace => Some(profile),
        Some(_) | None => None,
    });
    let listed = listed.expect("the state has the profile").resource_version;
    let floor = Position { revision: list_revision, ..begin };
    let mut from_the_floor = watched(Some(floor));
    let enough = eventually("more updates", LIMIT, async || {
        let now = scene.profile("acme").await.resource_version;
        (now > listed + UPDATES_AFTERWARDS).then_some(())
    });
    enough.await.expect("writes go on");
    let last = writer.stop().await.resource_version;
    follow(&mut anew, Some(listed), last).await;
    follow(&mut from_the_floor, None, last).await;
    let digests = cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

/// What a watch hears that was open when the snapshot came: everything that the node had of its own,
/// then the revision to begin at.
async fn begin_anew(watching: &mut Watch, begin: u64) -> u64 {
    loop {
        match next(watching).await {
            Ok(response) => assert!(response.position.expect("a position").revision >= begin),
            Err(WatchError::BeginAnew { list_revision, status }) => {
                assert_eq!(status.code(), Code::OutOfRange);
                assert!(list_revision > begin, "{list_revision} after {begin}");
                return list_revision;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

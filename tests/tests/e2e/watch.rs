//! Watches: what they begin with, that nothing is missed and nothing comes twice, on whichever node
//! they go on.

use std::collections::BTreeMap;
use std::time::Duration;

use openshell_client::{Client, Watch, WatchError, methods};
use openshell_proto::cluster::watch_event::{Act, Object};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{Position, WatchEvent, WatchKind, WatchRequest, WatchResponse};
use openshell_proto::v1::{CreateSandboxRequest, DeleteSandboxRequest, ProviderProfile};
use openshell_tests::{Cluster, CommandLine, Scene, eventually, profile, scrape};
use tokio::task::JoinSet;
use tonic::Code;

/// Far more than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
const WRITERS: u64 = 3;
const UPDATES: u64 = 80;

/// A watch of a workspace through some nodes.
pub(crate) fn watch(endpoints: &str, scene: &Scene, from: Option<Position>) -> Watch {
    let request = WatchRequest { workspace: scene.workspace.clone(), from, ..WatchRequest::default() };
    Watch::new(Client::new(endpoints).expect("URLs"), request, LIMIT)
}

pub(crate) async fn next(watch: &mut Watch) -> Result<WatchResponse, WatchError> {
    tokio::time::timeout(LIMIT, watch.next()).await.expect("a message in time")
}

/// The objects of the state, and its position.
pub(crate) async fn synced(watch: &mut Watch) -> (Vec<WatchEvent>, Position) {
    let mut objects = Vec::new();
    loop {
        let response = next(watch).await.expect("the state");
        let position = response.position.expect("a position");
        match response.r#type() {
            Type::Initial => objects.extend(response.events),
            Type::Synced => return (objects, position),
            other => panic!("{other:?} before the state is complete"),
        }
    }
}

/// The next changes, past what says how far the node is; their position.
async fn changes(watch: &mut Watch) -> (Vec<WatchEvent>, Position) {
    loop {
        let response = next(watch).await.expect("changes");
        if response.r#type() == Type::Changes {
            return (response.events, response.position.expect("a position"));
        }
        assert_eq!(response.r#type(), Type::Progress);
    }
}

fn names(events: &[WatchEvent]) -> Vec<(Act, WatchKind, &str)> {
    events.iter().map(|event| (event.act(), event.kind(), event.name.as_str())).collect()
}

#[tokio::test]
async fn a_watch_begins_with_the_state_and_goes_on_anywhere() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    // A linearizable read through the node: it has the profile.
    let made = scene.through(cluster.api(2).linearizable()).profile("acme").await;
    let mut through_2 = watch(&cluster.gateway(2).endpoint(), &scene, None);
    let (objects, position) = synced(&mut through_2).await;
    let own: Vec<_> = objects.iter().filter(|object| object.workspace == scene.workspace).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0].object, Some(Object::ProviderProfile(made.clone())));
    let kinds = |kind: WatchKind| objects.iter().filter(|object| object.kind() == kind).count();
    assert_eq!((kinds(WatchKind::Workspace), kinds(WatchKind::Settings)), (1, 1));
    assert!(kinds(WatchKind::ProviderProfile) > 1, "the built-in ones are shared");

    let updated = scene.update(ProviderProfile { display_name: "New".to_owned(), ..made }).await;
    let (events, after) = changes(&mut through_2).await;
    assert_eq!(names(&events), [(Act::Updated, WatchKind::ProviderProfile, "acme")]);
    assert_eq!(events[0].object, Some(Object::ProviderProfile(scene.profile("acme").await)));
    assert_eq!(Some(after.revision), updated.seen.revision, "the revision is the one of the acknowledgement");
    scene.create_sandbox("box", &[], openshell_tests::policy_allowing("docs.example.com")).await;
    let (events, _) = changes(&mut through_2).await;
    let kinds: Vec<_> = names(&events).into_iter().map(|(act, kind, _)| (act, kind)).collect();
    assert_eq!(
        kinds,
        [(Act::Created, WatchKind::Policy), (Act::Created, WatchKind::Sandbox)],
        "what one call writes comes together"
    );

    let mut through_3 = watch(&cluster.gateway(3).endpoint(), &scene, Some(position));
    let (again, same) = changes(&mut through_3).await;
    assert_eq!((names(&again), same), (vec![(Act::Updated, WatchKind::ProviderProfile, "acme")], after));
}

#[tokio::test]
async fn a_quiet_watch_is_told_how_far_the_node_is() {
    let cluster = Cluster::shared().await;
    let (quiet, busy) = (Scene::open(cluster.api(1)).await, Scene::open(cluster.api(2)).await);
    quiet.through(cluster.api(3).linearizable()).try_profile("none").await.expect_err("nothing is there");
    let mut watching = watch(&cluster.gateway(3).endpoint(), &quiet, None);
    let (_, begin) = synced(&mut watching).await;
    busy.import(profile("acme", &["a.example.com"])).await;
    let response = next(&mut watching).await.expect("a message");
    assert_eq!((response.r#type(), response.events.len()), (Type::Progress, 0));
    let position = response.position.expect("a position");
    assert!(position.revision > begin.revision);
    // From there on, elsewhere.
    quiet.import(profile("own", &["b.example.com"])).await;
    let (events, _) = changes(&mut watch(&cluster.gateway(1).endpoint(), &quiet, Some(position))).await;
    assert_eq!(names(&events), [(Act::Created, WatchKind::ProviderProfile, "own")]);
}

#[tokio::test]
async fn a_watch_of_an_idle_cluster_is_told_again_where_it_is() {
    let options = openshell_tests::ClusterOptions { nodes: 1, ..openshell_tests::ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let mut watching = watch(&cluster.endpoints(), &scene, None);
    let (_, position) = synced(&mut watching).await;
    for _ in 0..2 {
        let response = next(&mut watching).await.expect("a message");
        assert_eq!((response.r#type(), response.position), (Type::Progress, Some(position)));
    }
}

#[tokio::test]
async fn a_selection_sees_what_enters_and_what_leaves_it() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let request = WatchRequest {
        kinds: vec![WatchKind::Sandbox as i32],
        workspace: scene.workspace.clone(),
        label_selector: "tier=gold".to_owned(),
        ..WatchRequest::default()
    };
    let client = Client::new(&cluster.gateway(2).endpoint()).expect("a URL");
    scene.through(cluster.api(2).linearizable()).try_profile("none").await.expect_err("nothing is there");
    let mut watching = Watch::new(client, request, LIMIT);
    assert_eq!(synced(&mut watching).await.0, []);
    for (name, tier) in [("one", "gold"), ("two", "silver"), ("three", "gold")] {
        let request = CreateSandboxRequest {
            name: name.to_owned(),
            workspace: scene.workspace.clone(),
            labels: [("tier".to_owned(), tier.to_owned())].into(),
            spec: Some(openshell_proto::v1::SandboxSpec::default()),
            ..CreateSandboxRequest::default()
        };
        scene.api.call(&methods::CREATE_SANDBOX, request).await.expect("created");
    }
    for name in ["two", "one"] {
        let request = DeleteSandboxRequest { name: name.to_owned(), workspace: scene.workspace.clone() };
        scene.api.call(&methods::DELETE_SANDBOX, request).await.expect("deleted");
    }
    for expected in [(Act::Created, "one"), (Act::Created, "three"), (Act::Deleted, "one")] {
        let (events, _) = changes(&mut watching).await;
        assert_eq!(names(&events), [(expected.0, WatchKind::Sandbox, expected.1)]);
    }
}

#[tokio::test]
async fn a_position_of_another_cluster_or_of_the_future_is_refused() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    for from in [Position { epoch: 77, revision: 1 }, Position { epoch: 1, revision: u64::MAX }] {
        match next(&mut watch(&cluster.gateway(2).endpoint(), &scene, Some(from))).await {
            Err(WatchError::Call(error)) => assert_eq!(error.refusal_code(), Some(Code::FailedPrecondition)),
            other => panic!("{from:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_command_line_prints_what_changes() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let person = CommandLine::new();
    let words = ["cluster", "watch", "--workspace", &scene.workspace, "--kind", "provider-profile"];
    let mut lines = person.follow(&cluster.endpoints(), &words);
    let begin = loop {
        let line = lines.line().await;
        match line.split_once(" synced") {
            Some((revision, _)) => break revision.trim().to_owned(),
            None => assert!(line.contains(" is provider_profile "), "{line}"),
        }
    };
    scene.import(profile("acme", &["a.example.com"])).await;
    let wanted = format!("created provider_profile {}/acme  by user:", scene.workspace);
    let line = lines.line().await;
    assert!(line.contains(&wanted), "{line}");
    let again = [&words[..], &["--from", &begin, "-o", "json"]].concat();
    let mut lines = person.follow(&cluster.endpoints(), &again);
    let line = loop {
        let line = lines.line().await;
        if !line.contains("\"progress\"") {
            break line;
        }
    };
    assert!(line.contains("\"act\":\"created\"") && line.contains("\"name\":\"acme\""), "{line}");
    let refused = person.run(&cluster.endpoints(), &["cluster", "watch", "--from", "77/1"]).await;
    assert!(refused.failure().contains("epoch"), "{refused:?}");
}

/// Updates one profile again and again; the revisions at which it was acknowledged, by version.
async fn updates(scene: Scene, mut stored: ProviderProfile) -> (String, BTreeMap<u64, u64>) {
    let mut acknowledged = BTreeMap::new();
    for update in 1..=UPDATES {
        stored.display_name = format!("Update {update}");
        let answer = scene.update(stored).await;
        acknowledged.insert(answer.message.resource_version, answer.seen.revision.expect("a revision"));
        stored = answer.message;
    }
    (stored.id, acknowledged)
}

/// What a watch saw of updates: by name and version, at which revision.
#[derive(Default)]
struct Sightings {
    versions: BTreeMap<String, BTreeMap<u64, u64>>,
    count: u64,
    last: u64,
}

impl Sightings {
    fn take(&mut self, (events, position): &(Vec<WatchEvent>, Position)) {
        assert!(position.revision > self.last, "{} after {}", position.revision, self.last);
        self.last = position.revision;
        for event in events {
            let Some(Object::ProviderProfile(profile)) = &event.object else { panic!("{:?}", event.act()) };
            assert_eq!((event.act(), event.revision), (Act::Updated, self.last));
            let versions = self.versions.entry(event.name.clone()).or_default();
            assert_eq!(versions.insert(profile.resource_version, self.last), None, "seen twice");
            self.count += 1;
        }
    }
}

/// The node that the one watch of a cluster is on, as the metrics say.
async fn watched_node(cluster: &Cluster) -> u64 {
    let looking = eventually("the node of the watch", LIMIT, async || {
        for gateway in cluster.gateways() {
            if scrape(gateway.ports().metrics).await.is_ok_and(|page| page.sum("openshell_watches") == Some(1.0)) {
                return Some(gateway.id());
            }
        }
        None
    });
    looking.await.expect("it is on some node")
}

#[tokio::test]
async fn a_watch_whose_node_is_killed_goes_on_elsewhere_and_sees_every_acknowledged_change_once() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut profiles = Vec::new();
    for writer in 0..WRITERS {
        profiles.push(scene.import(profile(&format!("profile-{writer}"), &["a.example.com"])).await);
    }
    let mut watching = watch(&cluster.endpoints(), &scene, None);
    assert_eq!(synced(&mut watching).await.0.iter().filter(|object| object.workspace == scene.workspace).count(), 3);
    let mut writers = JoinSet::new();
    for stored in profiles {
        writers.spawn(updates(scene.through(cluster.api_of_all()), stored));
    }
    let mut sightings = Sightings::default();
    let mut kills = 0;
    while sightings.count < WRITERS * UPDATES {
        sightings.take(&changes(&mut watching).await);
        if kills < 2 && sightings.count >= (kills + 1) * WRITERS * UPDATES / 3 {
            // It goes on meanwhile: what is on its way comes from the node before.
            let on = loop {
                tokio::select! {
                    on = watched_node(&cluster) => break on,
                    seen = changes(&mut watching) => sightings.take(&seen),
                }
            };
            cluster.kill(on);
            cluster.restart(on).await;
            kills += 1;
        }
    }
    assert_eq!(kills, 2);
    let mut acknowledged = BTreeMap::new();
    while let Some(writer) = writers.join_next().await {
        let (name, versions) = writer.expect("every update is acknowledged");
        acknowledged.insert(name, versions);
    }
    for (name, versions) in &acknowledged {
        let expected: Vec<u64> = (2..=UPDATES + 1).collect();
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), expected);
        assert_eq!(sightings.versions[name].keys().copied().collect::<Vec<_>>(), expected, "{name}");
        for (version, revision) in &sightings.versions[name] {
            assert!(
                *revision <= versions[version],
                "version {version} of {name} was written before it was acknowledged"
            );
        }
    }
}

//! What was acknowledged survives the death of processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Cluster, Scene, eventually, policy_allowing, profile};
use tokio::task::JoinSet;

const WRITERS: u64 = 4;
const UPDATES: u64 = 120;

#[tokio::test]
async fn after_a_kill_of_the_leader_in_a_stream_of_updates_every_acknowledged_one_is_there_once() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let stored = scene.import(profile(&format!("profile-{writer}"), &["a.example.com"])).await;
        writers.spawn(stream_of_updates(scene.through(cluster.api_of_all()), stored, acknowledged.clone()));
    }
    let limit = Duration::from_secs(60);
    for part in 1..=2 {
        let enough = eventually("a part of the updates", limit, async || {
            (acknowledged.load(Ordering::Relaxed) >= part * WRITERS * UPDATES / 4).then_some(())
        });
        enough.await.expect("the updates go on");
        let leader = cluster.leader().await;
        cluster.kill(leader);
        let before = acknowledged.load(Ordering::Relaxed);
        let goes_on = eventually("updates without the node", limit, async || {
            (acknowledged.load(Ordering::Relaxed) > before + WRITERS).then_some(())
        });
        goes_on.await.expect("the others take over");
        cluster.restart(leader).await;
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("no version is skipped or repeated");
    }
    for node in cluster.ids() {
        let there = scene.through(cluster.api(node).linearizable());
        for writer in 0..WRITERS {
            let read = there.profile(&format!("profile-{writer}")).await;
            assert_eq!(read.resource_version, UPDATES + 1, "through node {node}");
            assert_eq!(read.display_name, format!("Update {UPDATES}"));
        }
    }
    let digests = cluster.digests_at_rest(limit).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

/// Updates one profile again and again; each acknowledgement must have the next version.
async fn stream_of_updates(scene: Scene, mut stored: ProviderProfile, acknowledged: Arc<AtomicU64>) {
    for update in 1..=UPDATES {
        let expected = stored.resource_version + 1;
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
        assert_eq!(stored.resource_version, expected);
        assert_eq!(stored.display_name, format!("Update {update}"));
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn after_a_kill_of_all_three_the_nodes_have_the_same_digest_as_before() {
    let mut cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api(2)).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    // More entries than a snapshot waits for, so that the restart begins from one.
    for update in 0..250 {
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
    }
    let config = scene.through(scene.api.linearizable()).config(&sandbox).await.message;
    let limit = Duration::from_secs(60);
    let before = cluster.digests_at_rest(limit).await.expect("the nodes come to rest");
    assert!(before.iter().all(|digest| digest.digest == before[0].digest), "{before:?}");
    for node in cluster.ids() {
        cluster.kill(node);
    }
    cluster.restart_all().await;
    let after = cluster.digests_at_rest(limit).await.expect("the nodes come to rest");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.digest, after.digest, "on node {}", after.node);
        assert_eq!(before.epoch, after.epoch);
        assert!(after.revision >= before.revision);
    }
    for node in cluster.ids() {
        let there = scene.through(cluster.api(node).linearizable());
        assert_eq!(there.profile("acme").await.resource_version, 251);
        assert_eq!(there.config(&sandbox).await.message, config, "through node {node}");
    }
}

#[tokio::test]
async fn a_node_that_was_away_longer_than_the_log_is_kept_catches_up() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    let away = cluster.followers().await[0];
    cluster.kill(away);
    for update in 0..700 {
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
    }
    cluster.restart(away).await;
    let digests = cluster.digests_at_rest(Duration::from_secs(60)).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
    let read = scene.through(cluster.api(away).local()).profile("acme").await;
    assert_eq!(read.resource_version, 701);
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_and_ends_well() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    let leader = cluster.leader().await;
    let status = cluster.gateway_mut(leader).terminate(Duration::from_secs(20)).await.expect("it ends");
    assert!(status.success(), "{status}");
    stored.display_name = "After the handing over".to_owned();
    stored = scene.update(stored).await.message;
    assert_eq!(stored.resource_version, 2);
    let now = cluster.leader().await;
    assert_ne!(now, leader);
    cluster.restart(leader).await;
    let read = scene.through(cluster.api(leader).linearizable()).profile("acme").await;
    assert_eq!(read.display_name, "After the handing over");
}

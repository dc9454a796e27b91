//! Nodes that have not heard of their cluster for a while, and are to answer nothing then.

use std::time::Duration;

use openshell_tests::{Cluster, ClusterOptions, Cut, Scene, eventually, policy_allowing};

use crate::partition::apart_with;

const LIMIT: Duration = Duration::from_secs(60);
const REFUSING: u64 = 2;

fn refusing() -> ClusterOptions {
    ClusterOptions { stale_after: REFUSING, when_stale: "refuse", ..ClusterOptions::default() }
}

/// Waits until a sandbox's read is refused for its age. What is answered before is not older.
async fn refused(scene: &Scene, sandbox: &str) -> String {
    let scene = scene.through(scene.api.local().once());
    let said = eventually("a refusal of what is old", LIMIT, async || {
        let said = scene.try_config(sandbox).await.err().map(|error| format!("{error:?}"))?;
        said.contains("does not answer from old state").then_some(said)
    });
    said.await.expect("it is refused")
}

#[tokio::test]
async fn a_node_that_is_started_alone_refuses_what_may_be_old() {
    let mut cluster = Cluster::start_with(refusing()).await.expect("it starts");
    let scene = Scene::open(cluster.api_of_all()).await;
    let sandbox = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    for id in cluster.ids() {
        cluster.kill(id);
    }
    cluster.gateway_mut(1).start().expect("it starts");
    refused(&scene.through(cluster.api(1)), &sandbox).await;
    cluster.restart_all().await;
    assert!(scene.through(cluster.api(1).local()).config(&sandbox).await.message.policy.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_cut_off_refuses_what_is_old_and_serves_again_when_it_hears() {
    let Some(mut cluster) = apart_with(refusing()).await else { return };
    let scene = Scene::open(cluster.api_of_all()).await;
    let sandbox = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let follower = cluster.followers().await[0];
    let there = scene.through(cluster.api(follower));
    let network = cluster.network().expect("a network of its own");
    network.cut(&Cut::Apart(vec![follower])).expect("the network can be cut");
    refused(&there, &sandbox).await;
    assert!(network.heal().expect("the network can be healed") > 0, "the cut was felt");
    cluster.ready(LIMIT).await.expect("all nodes are ready again");
    assert!(scene.through(cluster.api(follower).local()).config(&sandbox).await.message.policy.is_some());
}

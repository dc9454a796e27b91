//! Nodes in network namespaces, cut off from each other while clients still reach all of them: the
//! case in which a leader does not know that it leads no more. Without root no such network can be
//! made, and the test says so.

use std::time::Duration;

use openshell_tests::{Cluster, ClusterOptions, Cut, Network, Scene, eventually, policy_allowing, profile};

const LIMIT: Duration = Duration::from_secs(90);
/// For calls that must not be answered; how long they are tried does not decide what they prove.
const PATIENCE: Duration = Duration::from_secs(3);

/// A cluster that can be cut; nothing where the obstacle is this user's, not the product's.
async fn apart() -> Option<Cluster> {
    match Cluster::start_apart(ClusterOptions::default()).await {
        Ok(cluster) => Some(cluster),
        Err(error) => {
            let obstacle = Network::obstacle().unwrap_or_else(|| panic!("no network can be made: {error:#}"));
            assert!(!nix::unistd::geteuid().is_root(), "root can make networks, but: {obstacle}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_only_clients_reach_answers_no_linearizable_read_and_acknowledges_nothing() {
    let Some(mut cluster) = apart().await else { return };
    let leader = cluster.leader().await;
    let follower = cluster.ids().find(|id| *id != leader).expect("three nodes");
    let there = Scene::open(cluster.api(leader)).await;
    let stored = there.import(profile("cut", &["a.example.com"])).await;
    let sandbox = there.create_sandbox("cut-off", &[], policy_allowing("base.example.com")).await;
    let network = cluster.network().expect("a network of its own");

    network.cut(&Cut::Apart(vec![leader])).expect("the network can be cut");
    let mut edited = stored.clone();
    edited.display_name = "Written by the majority".to_owned();
    let here = there.through(cluster.api(follower));
    let acknowledged = here.update(edited).await.message;

    let cut_off = there.through(cluster.api(leader).once().deadline(PATIENCE));
    let asked = cut_off.through(cluster.api(leader).once().linearizable().deadline(PATIENCE));
    asked.try_profile("cut").await.expect_err("nobody can prove here that this is current");
    let mut lost = stored.clone();
    lost.display_name = "Written by nobody".to_owned();
    cut_off.try_update(lost).await.expect_err("no majority has it");
    let local = there.through(cluster.api(leader).local()).config(&sandbox).await;
    assert!(local.message.policy.is_some(), "a sandbox is served from what the node has");
    assert!(local.seen.revision < here.config(&sandbox).await.seen.revision, "it is older, and says so");

    assert!(network.heal().expect("the network can be healed") > 0, "the cut was felt");
    cluster.ready(LIMIT).await.expect("all nodes are ready again");
    let read = eventually("the old leader to read what the majority wrote", LIMIT, async || {
        there.try_profile("cut").await.ok()
    });
    let read = read.await.expect("a read");
    assert_eq!((read.resource_version, read.display_name), (acknowledged.resource_version, acknowledged.display_name));
    let digests = cluster.digests_at_rest(LIMIT).await.expect("digests");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
}

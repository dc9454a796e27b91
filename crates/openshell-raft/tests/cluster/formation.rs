//! How clusters come to be, and what does not become one.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_raft::{Consistency, Timings};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Batch, Disk, Family};

use crate::harness::{Nodes, OpenDisk, Setup, simulated, soon, until};
use crate::rules::{bump, call, create, insist, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_one_cluster_and_elect_one_leader() {
    let nodes = Nodes::formed(3).await;
    let id = nodes.node(1).cluster_id();
    assert!(!id.is_empty());
    for node in nodes.running.values() {
        assert_eq!(node.cluster_id(), id);
        assert_eq!(node.state().cluster().expect("formed").value.cluster_id, id);
    }
    let leaders = nodes.running.values().filter(|node| node.is_leader()).count();
    assert_eq!(leaders, 1);
    let members = nodes.node(2).members();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(members.iter().all(|member| member.voter && member.zone == format!("zone-{}", member.id)));
    assert_eq!(members[2].client_address, "http://client-3");
    let status = nodes.node(1).peer_status(3, soon()).await.expect("an answer");
    assert_eq!((status.node, status.cluster_id), (3, id));
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_a_cluster_and_keeps_everything_over_a_restart() {
    let mut nodes = Nodes::formed(1).await;
    let id = nodes.node(1).cluster_id();
    insist(&nodes, call(None), create("a")).await;
    let before = nodes.node(1).state();
    assert_eq!(nodes.node(1).age_ms(), 0);
    nodes.stop(1).await;
    nodes.start(1).await.expect("started");
    nodes.all_ready().await;
    let state = nodes.node(1).read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(nodes.node(1).cluster_id(), id);
    assert_eq!((version(&state, "a"), state.digest()), (1, before.digest()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_comes_back_from_its_disks() {
    let mut nodes = Nodes::formed(3).await;
    for _ in 0..10 {
        insist(&nodes, call(None), bump("a")).await;
    }
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    nodes.all_ready().await;
    for node in nodes.running.values() {
        let state = node.read(Consistency::Linearizable, soon()).await.expect("read");
        assert_eq!(version(&state, "a"), 10);
    }
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_does_not_form_while_a_node_is_missing_and_says_which() {
    let mut nodes = Nodes::new(3, Setup::default(), |_| simulated()).await;
    nodes.start(1).await.expect("started");
    nodes.start(2).await.expect("started");
    let waits = |node: u64| nodes.node(node).ready().err().filter(|reason| reason.contains("waiting for node 3 at"));
    until("node 1 says what it waits for", || waits(1)).await;
    until("node 2 says what it waits for", || waits(2)).await;
    assert!(nodes.node(1).cluster_id().is_empty());
    nodes.start(3).await.expect("started");
    nodes.all_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_different_initial_clusters_do_not_form() {
    let mut nodes = Nodes::new(3, Setup::default(), |_| simulated()).await;
    let place = nodes.places.get_mut(&3).expect("a place");
    place.initial.insert(4, "127.0.0.1:1".to_owned());
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    let same = "node 3 to be started with the same initial cluster";
    until("node 1 says why", || nodes.node(1).ready().err().filter(|reason| reason.contains(same))).await;
    assert!(nodes.node(1).cluster_id().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_is_not_talked_to() {
    let mut nodes = Nodes::new(2, Setup::default(), |_| simulated()).await;
    nodes.places.get_mut(&2).expect("a place").key = [8; 32];
    nodes.start(1).await.expect("started");
    nodes.start(2).await.expect("started");
    let key = "node 2 does not hold this cluster's key";
    until("node 1 says why", || nodes.node(1).ready().err().filter(|reason| reason.contains(key))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_refuses_to_come_back() {
    let mut nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), create("a")).await;
    let follower = nodes.follower().await.node();
    nodes.stop(follower).await;
    let empty = SimulatedDisk::new();
    let disk = empty.clone();
    nodes.places.get_mut(&follower).expect("a place").disk =
        Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>));
    nodes.start(follower).await.expect("started");
    let fault = nodes.node(follower).refused().await;
    assert!(fault.contains(&format!("node {follower} is empty")), "{fault}");
    assert!(fault.contains("add a new node under an id that was never used"), "{fault}");
    assert_eq!(nodes.node(follower).ready(), Err(fault));
    // It took no part: no vote, no entry.
    assert_eq!(nodes.node(follower).state().revision(), 0);
    assert_eq!(nodes.node(follower).gauges().last_log_index, 0);
    // The others go on.
    insist(&nodes, call(None), bump("a")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_rafts_first_call_does_not_keep_the_cluster_from_forming() {
    let mut nodes = Nodes::new(3, Setup::default(), |_| simulated()).await;
    let first = SimulatedDisk::new();
    let (place, looked_at) = (first.clone(), first.clone());
    nodes.places.get_mut(&1).expect("a place").disk = Arc::new(move || Some(Arc::new(place.clone()) as Arc<dyn Disk>));
    // Node 1 asks, takes a cluster id, initialises Raft, and then reaches nobody any more: its
    // connections are made anew when it has the id. Every value is wrapped in five bytes.
    nodes
        .switches
        .gate(1, move || !looked_at.dump().iter().any(|(_, key, value)| key == b"cluster" && value.len() > 5));
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    let initialised = || first.dump().iter().any(|(family, _, _)| *family == Family::Log).then_some(());
    until("node 1 has initialised Raft", initialised).await;
    let id = nodes.node(1).cluster_id();
    for node in 2..=3 {
        assert_eq!(nodes.node(node).cluster_id(), "", "node {node} has heard nothing of it");
    }
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    nodes.switches.gate(1, || true);
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    nodes.all_ready().await;
    assert!(nodes.running.values().all(|node| node.cluster_id() == id));
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_half_started_clusters_that_share_a_node_never_both_form() {
    let shared = SimulatedDisk::new();
    let disk = shared.clone();
    let mut nodes = Nodes::new(5, Setup::default(), |_| simulated()).await;
    let addresses: Vec<String> = nodes.places.values().map(|place| place.address.clone()).collect();
    let list = |ids: [u64; 3]| {
        ids.iter()
            .zip(ids.map(|id| addresses[id as usize - 1].clone()))
            .map(|(id, at)| (*id, at))
            .collect::<BTreeMap<_, _>>()
    };
    let (one, other) = (list([1, 3, 5]), list([2, 3, 4]));
    for (node, place) in &mut nodes.places {
        place.initial = if [2, 4].contains(node) { other.clone() } else { one.clone() };
    }
    nodes.places.get_mut(&3).expect("a place").disk = Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>));
    for node in 1..=4 {
        nodes.start(node).await.expect("started");
    }
    let waits = "node 3 to be started with the same initial cluster";
    until("node 2 says why", || nodes.node(2).ready().err().filter(|reason| reason.contains(waits))).await;
    let promised = || shared.dump().iter().any(|(_, key, _)| key == b"promise").then_some(());
    until("node 3 has promised", promised).await;
    // It cannot go over to the other one any more, also while nothing is formed yet.
    nodes.stop(3).await;
    nodes.places.get_mut(&3).expect("a place").initial = other;
    assert!(nodes.refusal_of_disk(3).await.starts_with("--initial-cluster is not the one"));
    nodes.places.get_mut(&3).expect("a place").initial = one;
    nodes.start(3).await.expect("started");
    nodes.start(5).await.expect("started");
    for node in [1, 3, 5] {
        until("the first cluster forms", || nodes.node(node).ready().ok()).await;
    }
    for node in [2, 4] {
        let refusal = nodes.node(node).refused().await;
        assert!(refusal.contains("node 3 of its --initial-cluster is a member of a cluster"), "{refusal}");
        assert_eq!(nodes.node(node).cluster_id(), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_data_of_another_cluster_refuses_to_run_and_the_others_do_not() {
    let mut nodes = Nodes::formed(3).await;
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    let old = Arc::clone(&nodes.places[&3].disk);
    for place in nodes.places.values_mut() {
        place.disk = simulated();
    }
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    nodes.all_ready().await;
    nodes.stop(3).await;
    let own = std::mem::replace(&mut nodes.places.get_mut(&3).expect("a place").disk, old);
    nodes.start(3).await.expect("started");
    let refusal = nodes.node(3).refused().await;
    let (mine, theirs) = (nodes.node(3).cluster_id(), nodes.node(1).cluster_id());
    assert!(refusal.contains(&format!("belong to cluster {mine}, but most of its peers")), "{refusal}");
    assert!(refusal.contains(&theirs), "{refusal}");
    insist(&nodes, call(None), create("a")).await.reply.expect("the others go on");
    nodes.stop(3).await;
    nodes.places.get_mut(&3).expect("a place").disk = own;
    nodes.start(3).await.expect("started");
    nodes.all_ready().await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_cluster_without_the_node_itself_is_refused() {
    let mut nodes = Nodes::new(1, Setup::default(), |_| simulated()).await;
    let place = nodes.places.get_mut(&1).expect("a place");
    place.initial = [(2, "127.0.0.1:1".to_owned())].into();
    let refusal = nodes.start(1).await.expect_err("refused").to_string();
    assert!(refusal.contains("does not hold this node, 1"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timings_that_do_not_fit_together_are_refused() {
    let timings = Timings { heartbeat_ms: 200, ..Timings::lan() };
    let mut nodes = Nodes::new(1, Setup { timings, ..Setup::default() }, |_| simulated()).await;
    let refusal = nodes.start(1).await.expect_err("refused").to_string();
    assert!(refusal.contains("three times heartbeat_ms"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_a_cluster_of_one_are_refused_in_the_place_of_a_member_before_raft_starts() {
    let disk = SimulatedDisk::new();
    let open = disk.clone();
    let disk_of = |_| -> OpenDisk {
        let disk = open.clone();
        Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>))
    };
    let mut nodes = Nodes::formed_as(1, Setup::default(), disk_of).await;
    insist(&nodes, call(None), create("a")).await;
    nodes.stop(1).await;
    // As data are that do not say from which list they were made: the store has nothing to compare.
    let mut batch = Batch::new();
    batch.delete(Family::Meta, "initial-cluster");
    disk.write(batch, true).expect("written");
    let before = disk.dump();
    let alone = nodes.places[&1].initial.clone();
    let longer = [(2, "127.0.0.1:1".to_owned()), (3, "127.0.0.1:2".to_owned())];
    for (initial, join, told) in [
        (alone.clone().into_iter().chain(longer).collect(), vec![], "--initial-cluster names other nodes as well"),
        (alone.clone(), vec!["127.0.0.1:1".to_owned()], "--join names members of another"),
    ] {
        let place = nodes.places.get_mut(&1).expect("a place");
        (place.initial, place.join) = (initial, join);
        let refusal = nodes.start(1).await.expect_err("refused").to_string();
        assert!(refusal.contains("which has no other member") && refusal.contains(told), "{refusal}");
    }
    assert_eq!(disk.dump(), before, "no effect");
    let place = nodes.places.get_mut(&1).expect("a place");
    (place.initial, place.join) = (alone, Vec::new());
    nodes.start(1).await.expect("started as what it is");
    nodes.all_ready().await;
    assert_eq!(version(&nodes.node(1).state(), "a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_node_with_another_key_than_most_ends_with_a_sentence() {
    let mut nodes = Nodes::formed(3).await;
    let empty = nodes.follower().await.node();
    nodes.stop(empty).await;
    let place = nodes.places.get_mut(&empty).expect("a place");
    (place.disk, place.key) = (simulated(), [8; 32]);
    nodes.start(empty).await.expect("started");
    let refusal = nodes.node(empty).refused().await;
    assert!(
        refusal.contains(&format!("node {empty} does not hold the key that most nodes of its cluster hold")),
        "{refusal}"
    );
    assert_eq!(nodes.node(empty).cluster_id(), "");
    insist(&nodes, call(None), create("a")).await.reply.expect("the others go on");
}

//! A member is replaced by a node that waits: dead or alive, leading or not, interrupted or not.

use std::sync::Arc;
use std::time::Duration;

use openshell_raft::{Consistency, Replaced, Unavailable};
use openshell_state::access::Principal;
use openshell_state::{Refusal, State};
use openshell_store::disk::Disk;
use openshell_store::disk::simulated::SimulatedDisk;
use tokio::time::Instant;

use crate::harness::{Nodes, simulated, soon, until};
use crate::rules::{bump, call, insist, version};

/// Asks whoever leads, again and again, until it is done or refused.
pub(crate) async fn replace(nodes: &Nodes, old: u64, new: u64) -> Result<(), Refusal> {
    loop {
        let leader = nodes.leader().await;
        match leader.replace(&Principal::Cluster, old, new, soon()).await {
            Ok(Ok(Replaced::Done)) => return Ok(()),
            Ok(Ok(Replaced::CatchingUp { .. })) | Err(Unavailable::NotDone { .. } | Unavailable::Unknown { .. }) => {
                tokio::task::yield_now().await;
            }
            Ok(Err(refusal)) => return Err(refusal),
        }
    }
}

/// Refused with these words, and without effect on record and members.
async fn refused(nodes: &Nodes, old: u64, new: u64, words: &str) {
    let facts = |state: &State| state.cluster().expect("formed").value.clone();
    let leader = nodes.leader().await;
    let (before, members) = (facts(&leader.state()), voters(nodes, leader.node()));
    let refusal = replace(nodes, old, new).await.expect_err("refused");
    assert!(refusal.message.contains(words), "{:?} should say {words:?}", refusal.message);
    let leader = nodes.leader().await;
    assert_eq!(facts(&leader.state()), before);
    assert_eq!(voters(nodes, leader.node()), members);
}

fn voters(nodes: &Nodes, at: u64) -> Vec<u64> {
    nodes.node(at).members().iter().filter(|member| member.voter).map(|member| member.id).collect()
}

/// Waits until every running node sees exactly these voters.
async fn all_see(nodes: &Nodes, expected: &[u64]) {
    for node in nodes.running.keys() {
        until("every node sees the members", || (voters(nodes, *node) == expected).then_some(())).await;
    }
}

/// Starts a node that waits to be added.
pub(crate) async fn start_newcomer(nodes: &mut Nodes, node: u64) {
    nodes.newcomer(node).await;
    nodes.start(node).await.expect("started");
    let waits = format!("openshell cluster replace <a member's id> --with {node}");
    until("it says what it waits for", || nodes.node(node).ready().err().filter(|reason| reason.contains(&waits)))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_is_replaced_while_writes_go_on_and_is_never_let_in_again() {
    let mut nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), bump("a")).await;
    let old = nodes.follower().await.node();
    nodes.stop(old).await;
    start_newcomer(&mut nodes, 4).await;
    assert!(nodes.node(4).cluster_id().is_empty());
    let writes = async {
        for _ in 0..100 {
            insist(&nodes, call(None), bump("a")).await;
        }
    };
    let (replaced, ()) = tokio::join!(replace(&nodes, old, 4), writes);
    replaced.expect("replaced");
    let expected: Vec<u64> = (1..=4).filter(|node| *node != old).collect();
    all_see(&nodes, &expected).await;
    until("the new node is ready", || nodes.node(4).ready().ok()).await;
    let state = nodes.node(4).read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(version(&state, "a"), 101);
    assert_eq!(state.cluster().expect("formed").value.removed_nodes, [old]);
    // To ask again is to hear the same.
    replace(&nodes, old, 4).await.expect("it is done");
    nodes.agree().await;
    // The old disk comes back: refused by everybody, told so, and not serving.
    nodes.start(old).await.expect("started");
    let told = format!("node {old} was removed from the cluster");
    until("the old node says so", || nodes.node(old).ready().err().filter(|reason| reason.contains(&told))).await;
    assert!(nodes.node(old).withdrawn().is_some_and(|reason| reason.contains(&told)));
    nodes.stop(old).await;
    // Everybody else restarts, with what they were started with before.
    for node in &expected {
        nodes.stop(*node).await;
    }
    // With nobody there to say it again, the old one takes no part from its first moment on.
    nodes.start(old).await.expect("started");
    assert!(nodes.node(old).withdrawn().is_some_and(|reason| reason.contains(&told)));
    nodes.stop(old).await;
    for node in &expected {
        nodes.start(*node).await.expect("started");
    }
    nodes.all_ready().await;
    insist(&nodes, call(None), bump("a")).await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_to_be_replaced_hands_over_first_and_learns_that_it_was_removed() {
    let mut nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), bump("a")).await;
    start_newcomer(&mut nodes, 4).await;
    let old = nodes.leader().await.node();
    replace(&nodes, old, 4).await.expect("replaced");
    let told = format!("node {old} was removed from the cluster");
    until("the old node says so", || nodes.node(old).ready().err().filter(|reason| reason.contains(&told))).await;
    assert_ne!(nodes.leader().await.node(), old);
    nodes.stop(old).await;
    insist(&nodes, call(None), bump("a")).await;
    nodes.all_ready().await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_cannot_be_is_refused_before_it_has_any_effect() {
    let mut nodes = Nodes::formed(3).await;
    refused(&nodes, 2, 2, "cannot be replaced by itself").await;
    refused(&nodes, 7, 4, "node 7 is not a member; the members are 1, 2, 3").await;
    refused(&nodes, 1, 2, "node 2 is a member already").await;
    refused(&nodes, 1, 4, "no node 4 waits to be added; start it").await;
    start_newcomer(&mut nodes, 4).await;
    // Another member is down: what stays is no majority without the new node.
    let leader = nodes.leader().await.node();
    let [old, down] = [1, 2, 3].into_iter().filter(|node| *node != leader).collect::<Vec<_>>()[..] else { panic!() };
    nodes.stop(down).await;
    refused(&nodes, old, 4, "would cost the quorum").await;
    // It is the one that is down that can be replaced.
    replace(&nodes, down, 4).await.expect("replaced");
    // Its id is spent: an empty node under it is not taken.
    nodes.places.get_mut(&down).expect("a place").disk = simulated();
    let peers = nodes.places.values().flat_map(|place| place.initial.values().cloned()).collect();
    nodes.places.get_mut(&down).expect("a place").join = peers;
    nodes.start(down).await.expect("started");
    let refusal = nodes.node(down).refused().await;
    assert!(refusal.contains(&format!("node {down} was removed from the cluster")), "{refusal}");
    nodes.stop(down).await;
    refused(&nodes, old, down, &format!("node id {down} was used in this cluster before")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_disk_is_not_taken_for_a_new_node() {
    let mut nodes = Nodes::formed(3).await;
    let lost = nodes.follower().await.node();
    nodes.stop(lost).await;
    let peers = nodes.places[&lost].initial.values().cloned().collect();
    let place = nodes.places.get_mut(&lost).expect("a place");
    (place.disk, place.join) = (simulated(), peers);
    nodes.start(lost).await.expect("started");
    let refusal = nodes.node(lost).refused().await;
    assert!(refusal.contains(&format!("node {lost} is empty, but is a member of this cluster")), "{refusal}");
    assert_eq!(nodes.node(lost).gauges().last_log_index, 0);
}

/// A replacement of a follower by node 4, which cannot catch up while its disk holds its syncs, and
/// a leader that is not the one who began it.
pub(crate) async fn half_done() -> (Nodes, u64, SimulatedDisk) {
    let mut nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), bump("a")).await;
    let old = nodes.follower().await.node();
    start_newcomer(&mut nodes, 4).await;
    nodes.stop(4).await;
    let disk = SimulatedDisk::new();
    let own = disk.clone();
    nodes.places.get_mut(&4).expect("a place").disk = Arc::new(move || Some(Arc::new(own.clone()) as Arc<dyn Disk>));
    nodes.start(4).await.expect("started");
    disk.hold_syncs(true);
    let leader = nodes.leader().await.clone();
    let first = leader.replace(&Principal::Cluster, old, 4, soon()).await;
    assert!(matches!(first, Ok(Ok(Replaced::CatchingUp { .. }))), "{first:?}");
    assert_eq!(voters(&nodes, leader.node()), [1, 2, 3]);
    leader.hand_over(soon()).await;
    (nodes, old, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_was_interrupted_is_completed_by_another_leader() {
    let (nodes, old, disk) = half_done().await;
    disk.hold_syncs(false);
    replace(&nodes, old, 4).await.expect("replaced");
    insist(&nodes, call(None), bump("a")).await;
    until("the new node is ready", || nodes.node(4).ready().ok()).await;
    let expected: Vec<u64> = (1..=4).filter(|node| *node != old).collect();
    assert_eq!(voters(&nodes, 4), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_by_a_node_that_was_lost_is_given_up_for_another() {
    let (mut nodes, old, disk) = half_done().await;
    disk.hold_syncs(false);
    nodes.stop(4).await;
    start_newcomer(&mut nodes, 5).await;
    let other = (1..=3).find(|node| *node != old).expect("another");
    refused(&nodes, other, 5, &format!("node {old} is being replaced by node 4")).await;
    replace(&nodes, old, 5).await.expect("replaced by another");
    let leader = nodes.leader_but(old).await;
    let state = leader.state();
    let cluster = state.cluster().expect("formed").value;
    assert_eq!((cluster.replacement, cluster.removed_nodes.as_slice()), (None, [4, old].as_slice()));
    assert!(leader.members().iter().all(|member| member.id != 4 && member.id != old));
    insist(&nodes, call(None), bump("a")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_that_lost_its_disk_before_it_was_a_member_is_not_taken_back() {
    let (mut nodes, old, disk) = half_done().await;
    disk.hold_syncs(false);
    insist(&nodes, call(None), bump("a")).await;
    until("the new node has what was written", || (version(&nodes.node(4).state(), "a") == 2).then_some(())).await;
    nodes.stop(4).await;
    nodes.places.get_mut(&4).expect("a place").disk = simulated();
    nodes.start(4).await.expect("started");
    let refusal = nodes.node(4).refused().await;
    assert!(refusal.contains("node 4 lost its data while it was being added, and its id is spent"), "{refusal}");
    assert_eq!(nodes.node(4).gauges().last_log_index, 0, "it took no entry");
    refused(&nodes, old, 4, "node 4 lost its data while it was being added").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_that_hears_nobody_is_not_ready_and_has_only_what_it_had() {
    let mut nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), bump("a")).await;
    nodes.agree().await;
    let old = nodes.follower().await.node();
    nodes.stop(old).await;
    start_newcomer(&mut nodes, 4).await;
    replace(&nodes, old, 4).await.expect("replaced");
    let others: Vec<u64> = nodes.running.keys().copied().collect();
    for node in &others {
        nodes.stop(*node).await;
    }
    // Nobody told it, and nobody is there to tell it: it is as a node that is cut off.
    nodes.start(old).await.expect("started");
    let local = nodes.node(old).read(Consistency::Local, soon()).await.expect("what it has");
    assert_eq!(version(&local, "a"), 1);
    let short = Instant::now() + Duration::from_millis(500);
    let read = nodes.node(old).read(Consistency::Linearizable, short).await;
    assert!(matches!(read, Err(Unavailable::NotDone { .. })));
    assert_eq!(nodes.node(old).withdrawn(), None);
    assert!(nodes.node(old).ready().is_err());
    for node in &others {
        nodes.start(*node).await.expect("started");
    }
    until("it hears that it was removed", || {
        assert!(nodes.node(old).ready().is_err(), "never ready");
        nodes.node(old).withdrawn()
    })
    .await;
}

//! Leadership that changes hands because somebody asks for it, or is refused to.

use std::collections::BTreeMap;
use std::sync::Arc;

use openshell_raft::{Heir, Unavailable};
use openshell_state::Refusal;
use openshell_state::access::Principal;
use openshell_store::disk::Disk;
use openshell_store::disk::simulated::SimulatedDisk;

use crate::harness::{Nodes, OpenDisk, Setup, soon, until};
use crate::replacing::{half_done, start_newcomer};
use crate::rules::{bump, call, insist, version};

/// Asks whoever leads, as a gateway does.
async fn transfer(nodes: &Nodes, heir: Heir) -> Result<u64, Refusal> {
    loop {
        match nodes.leader().await.transfer(&Principal::Cluster, heir, false, soon()).await {
            Ok(answer) => return answer,
            Err(Unavailable::NotDone { .. } | Unavailable::Unknown { .. }) => tokio::task::yield_now().await,
        }
    }
}

/// Refused with these words; the leader stays and goes on.
async fn refused(nodes: &Nodes, heir: Heir, words: &str) {
    let leader = nodes.leader().await.node();
    let refusal = transfer(nodes, heir).await.expect_err("refused");
    assert!(refusal.message.contains(words), "{:?} should say {words:?}", refusal.message);
    assert_eq!(nodes.leader().await.node(), leader);
    insist(nodes, call(None), bump("b")).await.reply.expect("it takes changes still");
    assert!(nodes.node(leader).is_leader());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_is_named_leads_and_the_answer_says_so() {
    let nodes = Nodes::formed(3).await;
    for to in [2, 3, 1] {
        if nodes.leader().await.node() != to {
            assert_eq!(transfer(&nodes, Heir::Node(to)).await, Ok(to));
        }
        let answered = insist(&nodes, call(None), bump("a")).await;
        assert!(version(&answered.state, "a") > 0);
        assert_eq!(nodes.leader().await.node(), to);
    }
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anyone_else_leads_and_a_repetition_moves_nothing_again() {
    let nodes = Nodes::formed(3).await;
    let old = nodes.leader().await.node();
    let new = transfer(&nodes, Heir::AnyoneBut(old)).await.expect("handed over");
    assert_ne!(new, old);
    assert_eq!(transfer(&nodes, Heir::AnyoneBut(old)).await, Ok(new), "as it is already");
    let again = nodes.leader().await.transfer(&Principal::Cluster, Heir::Node(new), true, soon()).await;
    assert_eq!(again, Ok(Ok(new)), "a repeated attempt finds it done");
    let asked = nodes.node(old).transfer(&Principal::Cluster, Heir::Node(old), false, soon()).await;
    assert!(matches!(asked, Err(Unavailable::NotDone { leader_hint: Some(hint), .. }) if hint == new), "{asked:?}");
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_lead_is_refused_before_anything_is_given_up() {
    let mut nodes = Nodes::formed(3).await;
    let leader = nodes.leader().await.node();
    refused(&nodes, Heir::Node(leader), &format!("node {leader} leads already")).await;
    refused(&nodes, Heir::Node(9), "node 9 is not a member; the members are 1, 2, 3").await;
    start_newcomer(&mut nodes, 4).await;
    refused(&nodes, Heir::Node(4), "node 4 is not a member").await;
    nodes.stop(4).await;
    let follower = nodes.follower().await.node();
    nodes.stop(follower).await;
    refused(&nodes, Heir::Node(follower), &format!("node {follower} cannot be reached")).await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_is_no_heir() {
    let (mut nodes, _, disk) = half_done().await;
    refused(&nodes, Heir::Node(4), "node 4 is no voter, so it cannot lead; the voters are 1, 2, 3").await;
    disk.hold_syncs(false);
    nodes.stop(4).await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_voter_keeps_leading() {
    let nodes = Nodes::formed(1).await;
    refused(&nodes, Heir::AnyoneBut(1), "node 1 is the only voter").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_that_lags_is_refused_until_it_has_caught_up() {
    let disks: BTreeMap<u64, SimulatedDisk> = (1..=3).map(|node| (node, SimulatedDisk::new())).collect();
    let nodes = Nodes::formed_as(3, Setup::default(), |node| -> OpenDisk {
        let disk = disks[&node].clone();
        Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>))
    })
    .await;
    let slow = nodes.follower().await.node();
    disks[&slow].hold_syncs(true);
    for _ in 0..200 {
        insist(&nodes, call(None), bump("a")).await;
    }
    refused(&nodes, Heir::Node(slow), &format!("node {slow} lags: it has entry ")).await;
    disks[&slow].hold_syncs(false);
    until("it has caught up", || (version(&nodes.node(slow).state(), "a") == 200).then_some(())).await;
    assert_eq!(transfer(&nodes, Heir::Node(slow)).await, Ok(slow));
    nodes.agree().await;
}

//! What a node does because it leads, or is to lead no more: it proposes the cluster's first
//! command until it is in, and hands over before a planned stop.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openshell_proto::log::command;
use openshell_state::decide::formation;
use openshell_store::Proposal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::Unavailable;
use crate::node::Node;
use crate::quorum;

/// Between two attempts at the first command.
const GENESIS_PAUSE: Duration = Duration::from_millis(50);
/// How long one attempt may take.
const GENESIS_TIMEOUT: Duration = Duration::from_secs(5);

/// Passes Raft's leader on, and ends the node when Raft ends.
pub(crate) async fn observe(node: Arc<Node>, leader: watch::Sender<Option<u64>>) {
    let mut metrics = node.raft.metrics();
    loop {
        let (running, current, led) = {
            let metrics = metrics.borrow_and_update();
            (metrics.running_state.clone(), metrics.current_leader, quorum::term_led(&metrics))
        };
        node.tenure.note(led, Instant::now());
        leader.send_if_modified(|known| std::mem::replace(known, current) != current);
        if node.withdrawn.get().is_some() && running.is_err() {
            // Raft was stopped on purpose. Who waits for a leader waits until the node ends.
            leader.send_replace(None);
            return node.stop.cancelled().await;
        }
        if let Err(fatal) = running {
            return node.fail(format!("storage or Raft failed: {fatal}"));
        }
        if metrics.changed().await.is_err() {
            if node.withdrawn.get().is_some() {
                leader.send_replace(None);
                return node.stop.cancelled().await;
            }
            return node.fail("Raft ended without a word".to_owned());
        }
    }
}

/// Proposes the first command whenever this node leads a cluster that has no record of itself.
pub(crate) async fn propose_genesis(node: Arc<Node>) {
    let mut leader = node.leader_changes.clone();
    while !node.view.load().is_formed() {
        if node.is_leader() {
            // A restored cluster of one elects its leader before it has taken an id.
            if !node.myself.cluster_id().is_empty()
                && let Err(unavailable) = attempt_genesis(&node).await
            {
                tracing::info!(%unavailable, "the cluster's first command is not in yet");
            }
            sleep(GENESIS_PAUSE).await;
            continue;
        }
        let mut revisions = node.view.applied();
        revisions.mark_unchanged();
        tokio::select! {
            changed = leader.changed() => if changed.is_err() { return },
            changed = revisions.changed() => if changed.is_err() { return },
        }
    }
}

async fn attempt_genesis(node: &Node) -> Result<(), Unavailable> {
    let deadline = Instant::now() + GENESIS_TIMEOUT;
    let turn = node.proposals.turn(false, deadline).await?;
    // Everything that an earlier leader left is applied first: it may hold the command.
    let state = node.prove_leadership(deadline).await?;
    if state.is_formed() {
        return Ok(());
    }
    let now_ms = node.clock.now_ms().max(state.last_time_ms());
    let cluster_id = node.myself.cluster_id();
    let command = match state.cluster() {
        Some(_) => formation::reform(&state, &cluster_id, now_ms),
        None => (node.genesis)(&cluster_id, now_ms),
    };
    if let Some(command::Kind::Transaction(transaction)) = &command.kind
        && let Err(fault) = openshell_state::check(transaction)
    {
        return Err(Unavailable::not_done(format!("the first entry could not be read back: {fault}"), None));
    }
    node.propose(Proposal::new(&command), turn, deadline).await.map(drop)
}

/// Makes the voter that has most of the log the leader, and waits until another node leads.
/// Gives up at the deadline; then an election follows the stop, as after a crash.
pub(crate) async fn hand_over(node: &Node, deadline: Instant) {
    let mut leader = node.leader_changes.clone();
    let mut tried = Vec::new();
    while node.is_leader() && Instant::now() < deadline {
        let Some(heir) = heir(node, &tried).or_else(|| heir(node, &[])) else { return };
        tried.push(heir);
        tracing::info!(node = node.id, heir, "handing leadership over");
        if node.raft.trigger().transfer_leader(heir).await.is_err() {
            return;
        }
        // Long enough for an election; then the next one is asked.
        let patience = deadline.min(Instant::now() + node.pace.election * 2);
        let elsewhere = leader.wait_for(|leader| leader.is_some_and(|leader| leader != node.id));
        if let Ok(Ok(leader)) = timeout_at(patience, elsewhere).await {
            tracing::info!(node = node.id, leader = ?*leader, "handed leadership over");
            return;
        }
    }
}

/// The voter with most of the log that was not tried yet.
fn heir(node: &Node, tried: &[u64]) -> Option<u64> {
    let metrics = node.metrics();
    let matched = metrics.replication.unwrap_or_default();
    let voters = metrics.membership_config.voter_ids().filter(|voter| *voter != node.id && !tried.contains(voter));
    voters.max_by_key(|voter| matched.get(voter).copied().flatten().map(|id| id.index))
}

//! A leader whose process is gone is succeeded at once. Its lease protects a leader that lives; the system of its
//! machine says of one that does not, since nothing listens at its address any more. So nobody waits for the lease to end
//! and for a chance to stand, which is most of what a failover takes: the first of the others asks for votes as an heir
//! does to whom leadership is handed over (Raft dissertation, 4.2.3).
//!
//! Safe for the same reason: votes go by terms and logs, and no read relies on a lease. A leader that is only out of reach,
//! or stands still, is not gone: of it nothing is known, and the lease holds.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::raft::TransferLeaderRequest;
use openshell_proto::peer::NodeStatusResponse;
use openshell_store::Vote;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::node::Node;
use crate::peer::nobody_listens;
use crate::status::{CANDIDATE, LEADER};

/// Between two looks while nothing certain is known.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A peer that lives answers by then.
const ANSWER_LIMIT: Duration = Duration::from_millis(200);
/// Ended connections that wait for a look; with so many of them there will be one.
const DEPARTURES_MAX: usize = 16;

/// Where to tell of nodes whose connections have ended, and the other end for [`watch`].
pub(crate) fn departures() -> (mpsc::Sender<u64>, mpsc::Receiver<u64>) {
    mpsc::channel(DEPARTURES_MAX)
}

/// Looks after the leader whenever a connection that it made has ended, and at the start: all nodes may have been
/// started at one moment, and then nobody leads.
pub(crate) async fn watch(node: Arc<Node>, mut departures: mpsc::Receiver<u64>) {
    node.succeed(Sign::Start).await;
    while let Some(departed) = departures.recv().await {
        if node.followed().is_some_and(|(leader, _)| leader == departed) {
            node.succeed(Sign::Departure).await;
        }
    }
}

/// Why the leader is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// This node was started. That it cannot reach the leader says little: perhaps others can.
    Start,
    /// A connection that the leader made has ended.
    Departure,
}

impl Node {
    /// Whom this node follows as a voter, and by which vote. After a start it is the leader of before, until another is heard of.
    fn followed(&self) -> Option<(u64, Vote)> {
        let metrics = self.server_metrics();
        let leader = metrics.current_leader.filter(|leader| *leader != self.id)?;
        let is_voter = metrics.membership_config.voter_ids().any(|voter| voter == self.id);
        (is_voter && self.withdrawn.get().is_none()).then_some((leader, metrics.vote))
    }

    /// Takes the leader's place if it is gone. Gives up when it is not, when there is another, or when elections
    /// go on without this.
    async fn succeed(&self, sign: Sign) {
        let Some((leader, vote)) = self.followed() else { return };
        let is_followed = || self.followed() == Some((leader, vote));
        let limit = Instant::now() + self.pace.election * 2;
        while is_followed() && Instant::now() < limit {
            match self.leads(leader, sign).await {
                Some(true) => return,
                Some(false) if self.may_stand(leader, &vote).await => {
                    // One after the other, so that the votes are not split.
                    sleep(self.pace.heartbeat * self.rank(leader)).await;
                    if is_followed() {
                        self.stand(leader, vote).await;
                    }
                    return;
                }
                Some(false) | None => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Whether a node says that it leads; nothing while it does not answer and yet may live. One that was started
    /// anew does not resume its term.
    async fn leads(&self, leader: u64, sign: Sign) -> Option<bool> {
        match self.ask_status(leader, Instant::now() + ANSWER_LIMIT).await {
            // It may be about to lead.
            Ok(status) if status.role == CANDIDATE => None,
            Ok(status) => Some(status.role == LEADER),
            Err(status) if sign == Sign::Departure && nobody_listens(&status) => Some(false),
            Err(_) => None,
        }
    }

    /// Whether a majority is there to vote for this node, and nobody of it knows better.
    async fn may_stand(&self, leader: u64, vote: &Vote) -> bool {
        let metrics = self.metrics();
        let own = metrics.last_log_index.unwrap_or(0);
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let others = voters.iter().filter(|voter| **voter != self.id);
        let deadline = Instant::now() + ANSWER_LIMIT;
        let mut answers: FuturesUnordered<_> = others.map(|voter| self.ask_status(*voter, deadline)).collect();
        let mut there = 1;
        while there * 2 <= voters.len() {
            match answers.next().await {
                Some(Ok(status)) if knows_better(&status, leader, vote.leader_id.term) => return false,
                // It would refuse its vote, and this node's new term would be in the way of who gets it.
                Some(Ok(status)) if status.last_log_index > own => return false,
                Some(Ok(status)) if status.withdrawn.is_empty() => there += 1,
                Some(Ok(_) | Err(_)) => {}
                None => return false,
            }
        }
        true
    }

    /// How many voters stand before this one.
    fn rank(&self, leader: u64) -> u32 {
        let metrics = self.server_metrics();
        let before = metrics.membership_config.voter_ids().filter(|voter| *voter < self.id && *voter != leader);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    /// Asks for votes, unless Raft knows of another vote by now.
    async fn stand(&self, leader: u64, vote: Vote) {
        tracing::info!(node = self.id, leader, "the leader's process is gone, this node stands for its place");
        let request = TransferLeaderRequest::new(vote, self.id, None);
        match timeout(self.pace.election, self.raft.handle_transfer_leader(request)).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::info!(%error, "this node does not stand"),
            Ok(Err(fatal)) => tracing::debug!(%fatal, "Raft has stopped"),
            Err(_) => tracing::info!("Raft did not take it up in time"),
        }
    }
}

/// Whether a voter leads, follows another leader, or has heard of a later election than that of this term.
fn knows_better(status: &NodeStatusResponse, leader: u64, term: u64) -> bool {
    status.role == LEADER || status.term > term || ![0, leader].contains(&status.leader)
}

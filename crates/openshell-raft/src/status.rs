//! What a node says about itself: to people and peers (status, members, readiness), and to the
//! metrics page (gauges).

use openraft::ServerState;
use openshell_proto::peer::{DigestSample, NodeStatusRequest, NodeStatusResponse};
use openshell_store::Member;
use std::sync::PoisonError;
use tokio::time::Instant;
use tonic::Status;

use crate::node::Node;
use crate::peer::{sentence, within};
use crate::propose::ProposalCounts;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its node id.
    pub id: u64,
    /// `host:port` for peers.
    pub peer_address: String,
    /// Where clients reach it.
    pub client_address: String,
    /// Where it is placed; may be empty.
    pub zone: String,
    /// It counts for majorities. Otherwise a learner.
    pub voter: bool,
}

/// Numbers for the metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    pub role: &'static str,
    /// Raft's term.
    pub term: u64,
    /// The term of the vote on disk: it never goes back, over restarts either. Raft has a term in mind before
    /// it has written it, and answers nobody in it until then.
    pub saved_term: u64,
    /// The leader known.
    pub leader: Option<u64>,
    /// The newest revision known to be committed.
    pub committed: u64,
    /// The newest revision applied here.
    pub applied: u64,
    /// The newest entry in this node's log.
    pub last_log_index: u64,
    /// The newest entry that was dropped from this node's log, since a snapshot holds it; 0 for none.
    pub purged: u64,
    /// What became of this node's proposals.
    pub proposals: ProposalCounts,
    /// Proposals that met a changed state.
    pub guard_failures: u64,
    /// Decisions that were made alone.
    pub exclusive_decisions: u64,
}

/// The role of a node that leads.
pub(crate) const LEADER: &str = "leader";
/// That of one that asks for votes.
pub(crate) const CANDIDATE: &str = "candidate";

fn role(state: ServerState) -> &'static str {
    match state {
        ServerState::Leader => LEADER,
        ServerState::Follower => "follower",
        ServerState::Candidate => CANDIDATE,
        ServerState::Learner => "learner",
        ServerState::Shutdown => "stopped",
    }
}

impl Node {
    /// What this node says about itself now.
    pub(crate) fn status(&self) -> NodeStatusResponse {
        let gauges = self.gauges();
        let state = self.view.load();
        NodeStatusResponse {
            node: self.id,
            role: gauges.role.to_owned(),
            term: gauges.term,
            leader: gauges.leader.unwrap_or(0),
            applied_revision: state.revision(),
            committed_revision: gauges.committed.max(state.revision()),
            last_log_index: gauges.last_log_index,
            age_ms: self.age_ms(),
            version: self.version.clone(),
            zone: self.me.zone.clone(),
            peer_address: self.me.peer_address.clone(),
            client_address: self.me.client_address.clone(),
            digest: state.digest().to_bytes().to_vec(),
            epoch: state.epoch(),
            cluster_id: self.myself.cluster_id().as_ref().clone(),
            digest_revision: state.revision(),
            samples: self
                .view
                .samples()
                .into_iter()
                .map(|(revision, digest)| DigestSample { revision, digest: digest.to_bytes().to_vec() })
                .collect(),
            withdrawn: self.withdrawn.get().cloned().unwrap_or_default(),
        }
    }

    /// Age in whole milliseconds.
    pub(crate) fn age_ms(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks a peer for its status.
    pub(crate) async fn peer_status(&self, peer: u64, deadline: Instant) -> Result<NodeStatusResponse, String> {
        if peer == self.id {
            return Ok(self.status());
        }
        self.ask_status(peer, deadline).await.map_err(|status| sentence(&status))
    }

    /// The same, with all that is known of a failure.
    pub(crate) async fn ask_status(&self, peer: u64, deadline: Instant) -> Result<NodeStatusResponse, Status> {
        let link = self.link(peer).ok_or_else(|| Status::not_found(format!("node {peer} is not a member")))?;
        let mut control = link.channels().control.clone();
        let limit = deadline.saturating_duration_since(Instant::now());
        let status = within(limit, control.node_status(NodeStatusRequest {})).await?;
        let member = Member {
            peer_address: status.peer_address.clone(),
            client_address: status.client_address.clone(),
            zone: status.zone.clone(),
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, member);
        Ok(status)
    }

    /// Every member, by id. What a member said about itself lately replaces what the membership says.
    pub(crate) fn members(&self) -> Vec<MemberInfo> {
        let metrics = self.server_metrics();
        let membership = metrics.membership_config.membership();
        let info = |(id, stored): (&u64, &Member)| {
            let said = if *id == self.id { Some(self.me.clone()) } else { self.heard_from(*id) };
            let Member { peer_address, client_address, zone } = said.unwrap_or_else(|| stored.clone());
            let voter = membership.voter_ids().any(|voter| voter == *id);
            MemberInfo { id: *id, peer_address, client_address, zone, voter }
        };
        membership.nodes().map(info).collect()
    }

    /// Whether the node can serve, or the reason why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        if let Some(refusal) = &*self.refusal.borrow() {
            return Err(refusal.clone());
        }
        if let Some(withdrawn) = self.withdrawn.get() {
            return Err(withdrawn.clone());
        }
        if self.stop.is_cancelled() {
            return Err("the node is stopping".to_owned());
        }
        let state = self.view.load();
        if !state.is_formed() {
            return Err(match self.raft_is_empty() || self.myself.cluster_id().is_empty() {
                true if !self.formation.join.is_empty() => {
                    format!("this node is not part of a cluster yet: waiting for {}", self.formation.waiting_for())
                }
                true => format!("the cluster is being formed: waiting for {}", self.formation.waiting_for()),
                false => "the cluster's first entry is not applied here yet".to_owned(),
            });
        }
        if self.leader().is_none() {
            return Err("no leader is known".to_owned());
        }
        // What is on disk names the last leader, and may be young.
        if !self.is_leader() && !self.freshness.has_caught_up(state.revision()) {
            return Err("this node has not caught up with a leader since it was started".to_owned());
        }
        let (age, age_max) = (self.age(), self.pace.ready_age_max());
        if age > age_max {
            let (age, age_max) = (age.as_millis(), age_max.as_millis());
            return Err(format!(
                "the state is {age} ms old, more than {age_max} ms: no leader is heard, or the node lags"
            ));
        }
        Ok(())
    }

    fn raft_is_empty(&self) -> bool {
        self.server_metrics().membership_config.voter_ids().next().is_none()
    }

    /// Numbers for the metrics page.
    pub(crate) fn gauges(&self) -> Gauges {
        // First what is applied: whatever Raft has said since then counts it among what is committed.
        let applied = self.view.load().revision();
        let metrics = self.metrics();
        let committed = metrics.cluster_committed.max(metrics.local_committed);
        let proposals = self.proposals.counts.read();
        Gauges {
            role: role(metrics.state),
            term: metrics.current_term,
            saved_term: self.log.vote().map_or(0, |vote| vote.leader_id.term),
            leader: metrics.current_leader,
            committed: committed.map_or(0, |id| id.index),
            applied,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            purged: metrics.purged.map_or(0, |id| id.index),
            proposals,
            guard_failures: proposals.guard_failed,
            exclusive_decisions: self.proposals.counts.exclusive(),
        }
    }
}

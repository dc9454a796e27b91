//! Leadership that changes hands because somebody asks for it, on the leader. What can be known to go
//! wrong is refused before anything is given up: a leader that hands over takes nothing more, also when
//! its heir never takes over.

use std::collections::BTreeSet;
use std::time::Duration;

use openshell_state::Refusal;
use openshell_state::access::Principal;
use openshell_store::StoredMembership;
use tokio::time::{Instant, timeout_at};

use crate::call::Unavailable;
use crate::leadership;
use crate::node::Node;
use crate::step::{Step, agreed};

/// How long an heir that lags may take to catch up, when the caller has the time.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Who is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// This node.
    Node(u64),
    /// Whoever has most of the log, if this node still leads: another leader is what was wanted.
    AnyoneBut(u64),
}

impl Node {
    /// Hands leadership over and says who leads then. A repeated attempt finds done what an earlier one did.
    pub(crate) async fn transfer(
        &self,
        principal: &Principal,
        heir: Heir,
        is_repeated: bool,
        deadline: Instant,
    ) -> Step<u64> {
        self.check_leading()?;
        self.prove_leadership(deadline).await?;
        let members = self.server_metrics().membership_config.as_ref().clone();
        let subject = principal.subject();
        match heir {
            Heir::AnyoneBut(other) if other != self.id => return Ok(Ok(self.id)),
            Heir::Node(to) if to == self.id && is_repeated => return Ok(Ok(self.id)),
            Heir::AnyoneBut(_) => {
                agreed!(has_another_voter(&members, self.id));
                tracing::info!(node = self.id, by = %subject, "leadership is handed over on request");
                leadership::hand_over(self, deadline).await;
            }
            Heir::Node(to) => {
                agreed!(allowed(&members, self.id, to));
                agreed!(self.answers(to, deadline).await);
                agreed!(self.has_caught_up(to, deadline).await?);
                tracing::info!(node = self.id, to, by = %subject, "leadership is handed over on request");
                let stopped = |error| Unavailable::not_done(format!("Raft has stopped: {error}"), None);
                self.raft.trigger().transfer_leader(to).await.map_err(stopped)?;
            }
        }
        let mut leader = self.leader_changes.clone();
        let elsewhere = leader.wait_for(|leader| leader.is_some_and(|leader| leader != self.id));
        let found = match timeout_at(deadline, elsewhere).await {
            Ok(Ok(leader)) => *leader,
            Ok(Err(_)) | Err(_) => None,
        };
        match (found, heir) {
            (None, _) => Err(Unavailable::unknown("the deadline passed before another node was known to lead")),
            (Some(leader), Heir::Node(to)) if leader != to => {
                let reason = format!("node {leader} was elected before node {to} could take over");
                Err(Unavailable::not_done(reason, Some(leader)))
            }
            (Some(leader), _) => {
                tracing::info!(node = self.id, leader, by = %subject, "leadership was handed over");
                Ok(Ok(leader))
            }
        }
    }

    /// The heir is there, and takes part.
    async fn answers(&self, to: u64, deadline: Instant) -> Result<(), Refusal> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Instant::now() + self.pace.call_limit().max(Duration::from_secs(1)).min(left / 3);
        match self.peer_status(to, limit).await {
            Ok(status) if status.withdrawn.is_empty() => Ok(()),
            Ok(status) => Err(Refusal::precondition(format!("node {to} cannot lead: {}", status.withdrawn))),
            Err(why) => Err(Refusal::precondition(format!("node {to} cannot be reached, so it cannot lead: {why}"))),
        }
    }

    /// The heir has nearly everything, at once or in a moment.
    async fn has_caught_up(&self, to: u64, deadline: Instant) -> Step<()> {
        let now = Instant::now();
        let patience = now + CATCH_UP_MAX.min(deadline.saturating_duration_since(now) / 3);
        Ok(self.catches_up(to, patience).await?.map_err(|(has, of)| {
            Refusal::precondition(format!(
                "node {to} lags: it has entry {has} of {of}; ask again once it has caught up, or name another node"
            ))
        }))
    }
}

fn has_another_voter(members: &StoredMembership, me: u64) -> Result<(), Refusal> {
    match members.voter_ids().any(|voter| voter != me) {
        true => Ok(()),
        false => Err(Refusal::precondition(format!("node {me} is the only voter, nobody else can lead"))),
    }
}

/// What can be refused by looking at the members.
fn allowed(members: &StoredMembership, me: u64, to: u64) -> Result<(), Refusal> {
    if to == me {
        return Err(Refusal::precondition(format!("node {to} leads already")));
    }
    let voters: BTreeSet<u64> = members.voter_ids().collect();
    if voters.contains(&to) {
        return Ok(());
    }
    let names = voters.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    Err(Refusal::precondition(match members.membership().get_node(&to) {
        Some(_) => format!("node {to} is no voter, so it cannot lead; the voters are {names}"),
        None => format!("node {to} is not a member; the members are {names}"),
    }))
}

//! Replacing a member, on the leader. Written down in the cluster's record first, so that it can be
//! completed by whoever leads and whoever asks again; then the new node is added as a learner, and
//! once it has caught up one change of the membership puts it in the old one's place. At last the
//! old id is struck from those that are let in. Each step looks what is there already.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::{ClientWriteResponse, Precondition};
use openshell_chaos::{Point, point};
use openshell_proto::log::Replacement;
use openshell_proto::peer::AdmitRequest;
use openshell_state::access::Principal;
use openshell_state::decide::membership;
use openshell_state::{Decision, Refusal, State};
use openshell_store::{Member, StoredMembership, TypeConfig};
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::{CallContext, Unavailable};
use crate::leadership;
use crate::node::Node;
use crate::peer::{sentence, within};
use crate::step::{Step, agreed};

const RPC: &str = "openshell.cluster.v1.Cluster/ReplaceNode";
/// How long a node that was just started may take to say that it waits, when the caller has the time.
const APPLICANT_WAIT: Duration = Duration::from_secs(3);
/// How long a call waits for the new node to catch up before it says how far it is.
const CATCH_UP_SLICE: Duration = Duration::from_secs(2);
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How often a leader looks whether something was left half done.
const FINISH_PAUSE: Duration = Duration::from_secs(1);
const FINISH_MAX: Duration = Duration::from_secs(10);

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The new node is a member and the old one is none.
    Done,
    /// The new node lacks entries: it has those up to `has`, of `of`.
    CatchingUp {
        /// Log index.
        has: u64,
        /// Log index.
        of: u64,
    },
}

type Written = Result<ClientWriteResponse<TypeConfig>, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

impl Node {
    /// One call of it: as far as it comes before the deadline.
    pub(crate) async fn replace(&self, principal: &Principal, old: u64, new: u64, deadline: Instant) -> Step<Replaced> {
        if old == new {
            return Ok(Err(Refusal::invalid(format!("node {old} cannot be replaced by itself; give another id"))));
        }
        let late = |_| Unavailable::not_done("another replacement is under way on the leader", Some(self.id));
        let _one_at_a_time = timeout_at(deadline, self.replacing.lock()).await.map_err(late)?;
        self.check_leading()?;
        let state = self.prove_leadership(deadline).await?;
        let members = self.server_metrics().membership_config.as_ref().clone();
        match stage(&state, &members, old, new) {
            Stage::Done => return Ok(Ok(Replaced::Done)),
            Stage::Changed => return self.conclude(principal, old, new, deadline).await,
            Stage::Changing => {}
            Stage::Before => {
                agreed!(allowed(&state, &members, old, new));
                agreed!(self.keeps_quorum(&members, old, new, deadline).await);
                let under_way = is_under_way(&state, old, new);
                let member = agreed!(self.admit(&members, new, under_way, deadline).await?);
                agreed!(self.decide_on(principal, deadline, |call| membership::begin(call, old, new).into()).await?);
                point(Point::ReplaceAfterRecord);
                if old == self.id {
                    leadership::hand_over(self, deadline).await;
                    let hint = self.leader().filter(|leader| *leader != self.id);
                    return Err(Unavailable::not_done(format!("node {old} leads, and hands over first"), hint));
                }
                self.add_learner(new, member, deadline).await?;
                // When that takes long, whoever asked hears how far it is, and asks again.
                let slice = half_of_what_is_left(deadline, CATCH_UP_SLICE);
                if let Err((has, of)) = self.catches_up(new, slice).await? {
                    return Ok(Ok(Replaced::CatchingUp { has, of }));
                }
                point(Point::ReplaceAfterLearner);
            }
        }
        self.swap(old, new, deadline).await?;
        point(Point::ReplaceAfterSwap);
        self.conclude(principal, old, new, deadline).await
    }

    /// The members that stay must be a majority without the new one: it has proved nothing yet.
    async fn keeps_quorum(
        &self,
        members: &StoredMembership,
        old: u64,
        new: u64,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let staying: Vec<u64> = members.voter_ids().filter(|id| *id != old && *id != new).collect();
        // A member that stands still must not take the time that is needed for the rest.
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Instant::now() + self.pace.call_limit().max(Duration::from_secs(2)).min(left / 3);
        let asked = staying.iter().map(|id| self.peer_status(*id, limit));
        let answers = futures::future::join_all(asked).await;
        let well = answers.iter().flatten().filter(|status| status.withdrawn.is_empty()).count();
        let majority = staying.len().div_ceil(2) + 1;
        if well >= majority {
            return Ok(());
        }
        let lost: Vec<String> = staying
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.as_ref().map_or(true, |status| !status.withdrawn.is_empty()))
            .map(|(id, _)| format!("node {id}"))
            .collect();
        let lost = if lost.is_empty() { "nobody else".to_owned() } else { lost.join(", ") };
        Err(Refusal::precondition(format!(
            "replacing node {old} would cost the quorum: of the members that stay {well} can be reached, and {majority} \
             must be, without the new one (missing: {lost}); bring those back or replace them first"
        )))
    }

    /// Finds the new node and has it take Raft's calls.
    async fn admit(&self, members: &StoredMembership, new: u64, under_way: bool, deadline: Instant) -> Step<Member> {
        let known = members.membership().get_node(&new).cloned();
        let patience = half_of_what_is_left(deadline, APPLICANT_WAIT);
        let member = loop {
            if let Some(member) = known.clone().or_else(|| self.applicant(new)) {
                break member;
            }
            if Instant::now() >= deadline {
                return Err(Unavailable::not_done("the time was over before the new node was found", Some(self.id)));
            }
            if Instant::now() >= patience {
                return Ok(Err(Refusal::precondition(format!(
                    "no node {new} waits to be added; start it in an empty directory, with the cluster's secrets key: \
                     openshell-gateway --node-id {new} --join {}",
                    self.me.peer_address
                ))));
            }
            sleep(LOOK_PAUSE).await;
        };
        let had_entries = known.is_some() && self.matched(new).is_some();
        let mut control = self.links.to(new, &member.peer_address).channels().control.clone();
        let limit = deadline.saturating_duration_since(Instant::now()).min(APPLICANT_WAIT);
        let admitted = match within(limit, control.admit(AdmitRequest { had_entries })).await {
            Ok(answer) if had_entries && !answer.initialised => Err(Refusal::precondition(lost(new))),
            Ok(answer) if answer.initialised && !under_way => Err(Refusal::precondition(format!(
                "node {new} holds data already; a new node starts in an empty directory"
            ))),
            Ok(_) => Ok(member),
            Err(_) if Instant::now() >= deadline => {
                return Err(Unavailable::not_done(
                    format!("the time was over before node {new} answered"),
                    Some(self.id),
                ));
            }
            Err(status) => {
                let (at, why) = (&member.peer_address, sentence(&status));
                Err(Refusal::precondition(format!("node {new} at {at} cannot be reached: {why}")))
            }
        };
        Ok(admitted)
    }

    /// Has the new node receive the log. One that was given up for it goes.
    async fn add_learner(&self, new: u64, member: Member, deadline: Instant) -> Result<(), Unavailable> {
        let state = self.view.load();
        let removed = state.cluster().map(|cluster| cluster.value.removed_nodes.clone()).unwrap_or_default();
        let members = self.server_metrics().membership_config.as_ref().clone();
        let given_up: BTreeSet<u64> =
            members.membership().learner_ids().filter(|learner| removed.contains(learner)).collect();
        if !given_up.is_empty() {
            self.change(ChangeMembers::RemoveNodes(given_up), &members, deadline).await?;
        }
        if members.membership().get_node(&new).is_some() {
            return Ok(());
        }
        let raft = self.raft.clone();
        self.carried_out(deadline, async move { raft.add_learner(new, member, false).await }).await
    }

    /// The one change of the membership, or the second half of it.
    async fn swap(&self, old: u64, new: u64, deadline: Instant) -> Result<(), Unavailable> {
        let members = self.server_metrics().membership_config.as_ref().clone();
        let voters: BTreeSet<u64> = members.voter_ids().filter(|id| *id != old).chain([new]).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters), &members, deadline).await
    }

    /// Changes the membership, unless it is another one than looked at.
    async fn change(
        &self,
        change: ChangeMembers<u64, Member>,
        members: &StoredMembership,
        deadline: Instant,
    ) -> Result<(), Unavailable> {
        let raft = self.raft.clone();
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *members.log_id() };
        self.carried_out(deadline, async move { raft.change_membership_if(change, false, [unchanged]).await }).await
    }

    async fn carried_out(
        &self,
        deadline: Instant,
        change: impl Future<Output = Written> + Send + 'static,
    ) -> Result<(), Unavailable> {
        // A task of its own: half of a change of the membership is worse than all of it.
        let changing = self.tasks.spawn(change);
        match timeout_at(deadline, changing).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) => {
                let hint = self.leader().filter(|leader| *leader != self.id);
                Err(Unavailable::not_done(format!("the members could not be changed: {error}"), hint))
            }
            Ok(Err(error)) => Err(Unavailable::unknown(format!("the change of the members was interrupted: {error}"))),
            Err(_) => Err(Unavailable::unknown("the deadline passed while the members were being changed")),
        }
    }

    async fn conclude(&self, principal: &Principal, old: u64, new: u64, deadline: Instant) -> Step<Replaced> {
        agreed!(self.decide_on(principal, deadline, |call| membership::conclude(call, old, new).into()).await?);
        tracing::info!(node = self.id, old, new, "a member was replaced");
        Ok(Ok(Replaced::Done))
    }

    async fn decide_on<F>(&self, principal: &Principal, deadline: Instant, rule: F) -> Step<()>
    where
        F: Fn(openshell_state::Call<'_>) -> Decision + Send + Sync,
    {
        let call = CallContext {
            principal: principal.clone(),
            rpc: RPC.to_owned(),
            request_id: None,
            repeated_attempt: false,
            fingerprint: [0; 32],
            deadline,
        };
        Ok(self.decide(&call, &rule).await?.reply.map(drop))
    }
}

/// When to stop waiting: an answer that comes at the deadline reaches nobody.
fn half_of_what_is_left(deadline: Instant, longest: Duration) -> Instant {
    let now = Instant::now();
    now + longest.min(deadline.saturating_duration_since(now) / 2)
}

/// What is said of a node that had entries of this cluster before it was a member, and is empty.
pub(crate) fn lost(node: u64) -> String {
    format!(
        "node {node} lost its data while it was being added, and its id is spent; start a node under an id that was never \
         used, and name that one"
    )
}

/// Where a replacement stands.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// The members are as before, or the new one is a learner.
    Before,
    /// Between the two halves of the change.
    Changing,
    /// The members are as they are to be, and the record does not say so yet.
    Changed,
    /// The record says so.
    Done,
}

fn stage(state: &State, members: &StoredMembership, old: u64, new: u64) -> Stage {
    let has = |id: u64| members.voter_ids().any(|voter| voter == id);
    let removed = state.cluster().is_some_and(|cluster| cluster.value.removed_nodes.contains(&old));
    let joint = members.membership().get_joint_config().len() > 1;
    match is_under_way(state, old, new) {
        true if joint && has(new) => Stage::Changing,
        true if has(new) && !has(old) => Stage::Changed,
        false if removed && has(new) && !has(old) => Stage::Done,
        true | false => Stage::Before,
    }
}

fn is_under_way(state: &State, old: u64, new: u64) -> bool {
    state.cluster().is_some_and(|cluster| cluster.value.replacement == Some(Replacement { old, new }))
}

/// What can be refused by looking at state and members.
fn allowed(state: &State, members: &StoredMembership, old: u64, new: u64) -> Result<(), Refusal> {
    let removed = state.cluster().map(|cluster| cluster.value.removed_nodes.as_slice()).unwrap_or_default();
    if !members.voter_ids().any(|voter| voter == old) {
        let ids: BTreeSet<String> = members.voter_ids().map(|id| id.to_string()).collect();
        let ids = ids.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Refusal::precondition(format!("node {old} is not a member; the members are {ids}")));
    }
    if members.voter_ids().any(|voter| voter == new) {
        return Err(Refusal::precondition(format!("node {new} is a member already; a new node has an id of its own")));
    }
    if removed.contains(&new) {
        return Err(membership::used(new));
    }
    // To give that one up for another would leave a voter more, whose id is spent.
    let under_way = state.cluster().and_then(|cluster| cluster.value.replacement);
    if let Some(Replacement { old, new }) = under_way
        && members.voter_ids().any(|voter| voter == new)
    {
        return Err(Refusal::precondition(format!(
            "node {new} is taking the place of node {old} just now, and is a member already; complete that first: \
             openshell cluster replace {old} --with {new}"
        )));
    }
    if members.membership().get_joint_config().len() > 1 {
        return Err(Refusal::precondition(
            "the members are being changed just now; ask again when that is done".to_owned(),
        ));
    }
    Ok(())
}

/// Whenever this node leads, it completes what another leader left between the two halves of a
/// change, or unrecorded. What has not changed the members yet waits for whoever wanted it.
pub(crate) async fn finish(node: Arc<Node>) {
    loop {
        sleep(FINISH_PAUSE).await;
        if !node.is_leader() {
            continue;
        }
        let state = node.view.load();
        let Some(Replacement { old, new }) = state.cluster().and_then(|cluster| cluster.value.replacement) else {
            continue;
        };
        let members = node.server_metrics().membership_config.as_ref().clone();
        if matches!(stage(&state, &members, old, new), Stage::Changing | Stage::Changed) {
            let finished = node.replace(&Principal::Cluster, old, new, Instant::now() + FINISH_MAX).await;
            tracing::info!(node = node.id, old, new, ?finished, "completing a replacement");
        }
    }
}

#[cfg(test)]
mod tests;

//! A node that waits to be added to a running cluster: empty, started with the address of a member
//! instead of an initial cluster. It says that it is there, again and again, to every member that
//! it hears of, until it is a voter. Adding it is the leader's (`replace`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openshell_proto::peer::{JoinRequest, JoinResponse};
use openshell_store::Member;
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::peer::{Link, has_other_key, sentence, was_removed, within};
use crate::{formation, replace};

/// Between two rounds of saying so.
const ROUND_PAUSE: Duration = Duration::from_millis(300);
/// How long a member may take to answer, connecting included.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// After so long without a word a node counts as not waiting any more.
pub(crate) const WORD_AGE_MAX: Duration = Duration::from_secs(10);
/// More nodes than this do not wait at a time: operators start them.
const APPLICANTS_MAX: usize = 64;

/// What came of a round.
enum Heard {
    /// Noted by a member; these are all of them.
    Noted(Vec<String>),
    /// This node cannot be added.
    Refused(String),
    /// Nobody answered, and why.
    Nothing(String),
}

/// Waits until this node is a voter, or ends it when it can never be one.
pub(crate) async fn run(node: &Arc<Node>) {
    let mut links: BTreeMap<String, Link> = BTreeMap::new();
    let mut addresses: BTreeSet<String> = node.formation.join.iter().cloned().collect();
    while !node.is_voter() {
        for address in addresses.iter().filter(|address| **address != node.me.peer_address) {
            links.entry(address.clone()).or_insert_with(|| node.links.stranger(address));
        }
        match round(node, &links).await {
            Heard::Noted(members) => {
                addresses.extend(members);
                let text = format!("somebody to run: openshell cluster replace <a member's id> --with {}", node.id);
                node.formation.waiting_for.store(Arc::new(text));
            }
            Heard::Nothing(reason) => {
                node.formation.waiting_for.store(Arc::new(format!("a member to answer: {reason}")));
            }
            Heard::Refused(reason) => return node.refuse(reason),
        }
        sleep(ROUND_PAUSE).await;
    }
    if let Some(told) = formation::told_of_others(1, &node.formation.join)
        && formation::is_alone(node)
    {
        node.refuse(formation::alone(node.id, &node.myself.cluster_id(), told));
    }
}

/// Tells every address once.
async fn round(node: &Node, links: &BTreeMap<String, Link>) -> Heard {
    let empty = node.is_empty().await;
    let request = JoinRequest { member: Some(node.me.to_message(node.id)), empty };
    let telling = links.iter().map(async |(address, link)| {
        let mut control = link.channels().control.clone();
        (address, within(ANSWER_MAX, control.join(request.clone())).await)
    });
    let mut heard = Heard::Nothing("no other address is known".to_owned());
    let mut other_keys = 0;
    for (address, answer) in futures::future::join_all(telling).await {
        other_keys += usize::from(answer.as_ref().is_err_and(has_other_key));
        match answer {
            // A slow member may speak of a node that was empty when it asked, and was added since.
            Ok(JoinResponse { refusal, .. }) if !refusal.is_empty() && empty && !node.is_empty().await => {
                heard = Heard::Nothing(format!("{address}: {refusal}"));
            }
            Ok(JoinResponse { refusal, .. }) if !refusal.is_empty() => return Heard::Refused(refusal),
            Ok(JoinResponse { members, .. }) => {
                heard = Heard::Noted(members.into_iter().map(|member| member.peer_address).collect());
            }
            // An address that is gone does not matter while another answers.
            Err(_) if matches!(heard, Heard::Noted(_)) => {}
            Err(status) => heard = Heard::Nothing(format!("{address}: {}", sentence(&status))),
        }
    }
    if node.myself.expelled.get().is_some() {
        return Heard::Refused(was_removed(node.id));
    }
    if empty && other_keys > links.len() / 2 {
        return Heard::Refused(formation::other_key_than_most(node.id));
    }
    heard
}

/// Notes a node that waits, or says why it need not.
pub(crate) fn answer(node: &Node, caller: u64, request: JoinRequest) -> JoinResponse {
    let refuse = |refusal: String| JoinResponse { refusal, members: Vec::new() };
    let Some((id, member)) = request.member.map(Member::from_message) else {
        return refuse("the request does not say who waits".to_owned());
    };
    if id != caller {
        return refuse(format!("node {caller} speaks for node {id}"));
    }
    let metrics = node.server_metrics();
    let membership = metrics.membership_config.membership();
    if request.empty && membership.voter_ids().any(|voter| voter == id) {
        return refuse(format!(
            "node {id} is empty, but is a member of this cluster: it has lost its data, and a node never comes back \
             empty under its old id, because it has forgotten its votes; start it under an id that was never used, and \
             replace node {id} by it"
        ));
    }
    if request.empty && membership.get_node(&id).is_some() && node.matched(id).is_some() {
        return refuse(replace::lost(id));
    }
    let mut applicants = node.applicants.lock().unwrap_or_else(PoisonError::into_inner);
    applicants.retain(|_, (_, said_at)| said_at.elapsed() < WORD_AGE_MAX);
    if applicants.len() < APPLICANTS_MAX || applicants.contains_key(&id) {
        applicants.insert(id, (member, Instant::now()));
    }
    let members = membership.nodes().map(|(id, member)| member.to_message(*id)).collect();
    JoinResponse { refusal: String::new(), members }
}

impl Node {
    /// Whether this node holds nothing of a cluster yet.
    async fn is_empty(&self) -> bool {
        !self.is_initialised().await.unwrap_or(false)
    }

    /// Whether this node counts for majorities, as far as it knows.
    fn is_voter(&self) -> bool {
        self.server_metrics().membership_config.voter_ids().any(|voter| voter == self.id)
    }

    /// A node that waits to be added.
    pub(crate) fn applicant(&self, id: u64) -> Option<Member> {
        let applicants = self.applicants.lock().unwrap_or_else(PoisonError::into_inner);
        let (member, said_at) = applicants.get(&id)?;
        (said_at.elapsed() < WORD_AGE_MAX).then(|| member.clone())
    }
}

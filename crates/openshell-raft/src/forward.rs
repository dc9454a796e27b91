//! A call passed on whole to the leader, one hop, for as long as that node leads. Whether it may
//! have been handled there is told apart from whether it certainly was not.

use std::time::Duration;

use openshell_chaos::{Bug, bug};
use openshell_proto::log::{Reply, reply};
use openshell_proto::peer::forward_response::Outcome;
use openshell_proto::peer::{ForwardRequest, ForwardResponse};
use openshell_state::access::{Principal, User};
use tokio::time::Instant;
use tonic::Code;

use crate::call::{Answered, IdStanding, Unavailable};
use crate::node::Node;
use crate::peer::{sentence, was_never_sent, within};
use crate::succession::superseded;

/// After another node was elected, for answers on their way: a leader that hands over in order
/// answers what it still took.
const HAND_OVER_GRACE: Duration = Duration::from_millis(100);

impl Node {
    /// Passes a call on to a leader and waits for its answer, unless another node leads meanwhile.
    pub(crate) async fn forward(
        &self,
        to: u64,
        request: ForwardRequest,
        deadline: Instant,
    ) -> Result<ForwardResponse, Unavailable> {
        let other = superseded(self.leader_changes.clone(), to, HAND_OVER_GRACE);
        tokio::select! {
            biased;
            answer = self.pass_on(to, request, deadline) => answer,
            () = other => Err(Unavailable::unknown(format!("node {to} did not answer and leads no more"))),
        }
    }

    async fn pass_on(
        &self,
        to: u64,
        mut request: ForwardRequest,
        deadline: Instant,
    ) -> Result<ForwardResponse, Unavailable> {
        let Some(link) = self.link(to) else {
            let reason = match to == self.id {
                true => "a call is not forwarded to the node that it is on".to_owned(),
                false => format!("node {to} is not a member"),
            };
            return Err(Unavailable::not_done(reason, None));
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        request.deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        if request.deadline_ms == 0 {
            return Err(Unavailable::not_done("the deadline passed before the call could be forwarded", Some(to)));
        }
        if bug(Bug::BorrowedIdentity) {
            let node = User { subject: format!("node-{}", self.id), platform_admin: true, ..User::default() };
            request.caller = Some(Principal::User(node).to_proto());
        }
        let mut client = link.channels().forward.clone();
        within(limit, client.forward(request)).await.map_err(|status| {
            let reason = format!("node {to} did not answer: {}", sentence(&status));
            // Refused before it was looked at: the receiver says so with this code and no other.
            if was_never_sent(&status) || status.code() == Code::FailedPrecondition {
                Unavailable::not_done(reason, None)
            } else {
                Unavailable::unknown(reason)
            }
        })
    }
}

/// What the leader made of a call, as it goes to the node that the call entered by.
#[must_use]
pub fn forwarded(outcome: Result<Answered, Unavailable>) -> ForwardResponse {
    match outcome {
        Ok(Answered { reply, revision, standing, state }) => {
            let outcome = match reply {
                Ok(message) => reply::Outcome::Message(message),
                Err(refusal) => reply::Outcome::Refusal(refusal.to_proto()),
            };
            ForwardResponse {
                outcome: Outcome::Answered as i32,
                reply: Some(Reply { outcome: Some(outcome) }),
                revision,
                epoch: state.epoch(),
                settled: standing == IdStanding::Settled,
                id_time_ms: match standing {
                    IdStanding::Untimely { take_ms } => take_ms,
                    IdStanding::Open | IdStanding::Settled => 0,
                },
                ..ForwardResponse::default()
            }
        }
        Err(Unavailable::NotDone { reason, leader_hint }) => {
            let outcome = Outcome::NotDone as i32;
            ForwardResponse { outcome, reason, leader_hint: leader_hint.unwrap_or(0), ..ForwardResponse::default() }
        }
        Err(Unavailable::Unknown { reason }) => {
            ForwardResponse { outcome: Outcome::Unknown as i32, reason, ..ForwardResponse::default() }
        }
    }
}

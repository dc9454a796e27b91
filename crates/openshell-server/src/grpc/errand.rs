//! One decision on its way to the leader, attempt after attempt under one request id: what the
//! attempts so far amount to, and so whether an answer may be believed. Who leads, and how long
//! to wait, is not known here.

use openshell_proto::log::reply;
use openshell_proto::peer::forward_response::Outcome;
use openshell_proto::peer::{ForwardRequest, ForwardResponse};
use openshell_raft::Unavailable;

/// A call and what is known of its attempts.
pub(crate) struct Errand {
    /// What the next attempt sends.
    pub(crate) call: ForwardRequest,
    /// The last attempt that may have taken effect.
    doubt: Option<Unavailable>,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// The call has its answer.
    Answer(ForwardResponse),
    /// The same call again, and why.
    Again(Unavailable),
    /// No further attempt can tell.
    GiveUp(Unavailable),
}

impl Errand {
    /// `replaceable_id` in the call: the node made the id for its caller.
    pub(crate) fn new(call: ForwardRequest) -> Self {
        Self { call, doubt: None }
    }

    /// Takes what an attempt came to. `mint` makes an id at a time (milliseconds since the Unix epoch).
    pub(crate) fn note(
        &mut self,
        attempt: Result<ForwardResponse, Unavailable>,
        mint: impl FnOnce(i64) -> [u8; 16],
    ) -> Next {
        let error = match attempt {
            Ok(response) => match response.outcome() {
                Outcome::Answered => return self.judge(response, mint),
                Outcome::NotDone => {
                    let leader_hint = (response.leader_hint != 0).then_some(response.leader_hint);
                    if self.replace_id(response.id_time_ms, mint) {
                        tracing::debug!("the id made for a call did not fit the cluster's time; made another");
                    }
                    Unavailable::NotDone { reason: response.reason, leader_hint }
                }
                Outcome::Unknown | Outcome::Unspecified => Unavailable::Unknown { reason: response.reason },
            },
            Err(error) => error,
        };
        if let Unavailable::Unknown { .. } = error {
            self.call.repeated_attempt = true;
            self.call.replaceable_id = false;
            self.doubt = Some(error.clone());
        }
        Next::Again(error)
    }

    /// Whether an answer is one to the whole errand. After doubt a refusal is only when the leader
    /// remembers it: any other says nothing about the attempts before.
    fn judge(&mut self, response: ForwardResponse, mint: impl FnOnce(i64) -> [u8; 16]) -> Next {
        if self.replace_id(response.id_time_ms, mint) {
            let reason = "the id made for the call did not fit the cluster's time".to_owned();
            return Next::Again(Unavailable::NotDone { reason, leader_hint: None });
        }
        let refusal = match response.reply.as_ref().and_then(|reply| reply.outcome.as_ref()) {
            Some(reply::Outcome::Refusal(refusal)) => refusal,
            Some(reply::Outcome::Message(_)) | None => return Next::Answer(response),
        };
        match &self.doubt {
            Some(doubt) if !response.settled => {
                let reason = format!("{doubt}; a repetition was refused: {}", refusal.message);
                Next::GiveUp(Unavailable::Unknown { reason })
            }
            Some(_) | None => Next::Answer(response),
        }
    }

    /// Only an id that nobody can have used is replaced.
    fn replace_id(&mut self, time_ms: i64, mint: impl FnOnce(i64) -> [u8; 16]) -> bool {
        let replace = time_ms != 0 && self.call.replaceable_id;
        if replace {
            self.call.request_id = mint(time_ms).to_vec();
        }
        replace
    }

    /// Why the errand has no answer: a doubt that was never cleared is worth more than the last reason.
    pub(crate) fn unanswered(self, last: Unavailable) -> Unavailable {
        self.doubt.unwrap_or(last)
    }
}

#[cfg(test)]
mod tests;

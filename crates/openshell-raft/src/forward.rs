//! A call passed on whole to another node, one hop. Whether it may have been handled there is
//! told apart from whether it certainly was not.

use openshell_proto::peer::{ForwardRequest, ForwardResponse};
use tokio::time::Instant;
use tonic::Code;

use crate::call::Unavailable;
use crate::node::Node;
use crate::peer::{sentence, was_never_sent, within};

impl Node {
    /// Passes a call on and waits for its answer.
    pub(crate) async fn forward(
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

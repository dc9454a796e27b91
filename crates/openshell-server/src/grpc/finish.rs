//! The end of a decision whose answer is completed on the node that the caller asked, with what is
//! never kept. By then the call has taken effect: whatever fails here is no refusal.

use tonic::Status;

use crate::grpc::context::Context;
use crate::grpc::gateway::{Answer, Gateway};
use crate::grpc::status::incomplete;
use crate::grpc::table::Complete;

/// The answer, completed from a state that holds what was decided: this node has until the call's
/// deadline to apply it. A refusal has nothing to complete.
pub(super) async fn completed(gateway: &Gateway, context: &Context, complete: Complete, answer: Answer) -> Answer {
    let Answer { reply: Ok(reply), at, .. } = answer else { return answer };
    let completed = match gateway.cluster.wait_for_revision(at.revision, context.deadline).await {
        true => complete(gateway, &context.principal, reply),
        false => Err(Status::unavailable(format!(
            "node {} is behind and has not applied revision {} in time",
            gateway.cluster.node(),
            at.revision
        ))),
    };
    match completed {
        Ok(reply) => Answer { reply: Ok(reply), ..answer },
        Err(reason) => Answer { reply: Err(incomplete(&reason)), at, settled: false },
    }
}

#[cfg(test)]
mod tests;

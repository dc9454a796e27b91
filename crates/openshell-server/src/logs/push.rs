//! `PushSandboxLogs`: a sandbox's supervisor sends lines, batch after batch, for as long as it runs
//! (`config.md` SR-52). A batch is read when the one before is kept, so that who sends faster waits.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use openshell_proto::v1::PushSandboxLogsResponse;
use openshell_raft::Consistency;
use openshell_state::access::Principal;
use openshell_state::{Key, Refusal, State, query};
use prost::Message;
use tokio::time::Instant;
use tonic::Status;

use super::line::Batch;
use crate::grpc::{CALL_MAX, Context, Gateway, Messages, Method, refused};

/// Takes batches until the sandbox ends the stream, is deleted, or the node stops.
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox's id, `NOT_FOUND` when the sandbox does not exist or not any
/// more, `INVALID_ARGUMENT` when a batch does not decode, `RESOURCE_EXHAUSTED` when the sandbox has too many
/// streams here, `UNAUTHENTICATED` when the token ends that it was begun with, `UNAVAILABLE` when the node stops.
/// Lines of the batches before are kept in any case.
pub(crate) async fn push(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    context: Context,
    mut batches: Messages,
) -> Result<Bytes, Status> {
    let keeper = gateway.logs.keeper();
    let _pushing = keeper.counts().push(&context.principal.subject())?;
    loop {
        let batch = tokio::select! {
            batch = batches.next() => batch,
            () = gateway.streams_end.cancelled() => {
                return Err(Status::unavailable("the node is stopping; push through another node"));
            }
        };
        let Some(batch) = batch else {
            return Ok(PushSandboxLogsResponse {}.encode_to_vec().into());
        };
        let malformed = |error| Status::invalid_argument(format!("the request does not decode: {error}"));
        let batch = Batch::decode(batch?).map_err(malformed)?;
        if batch.sandbox_id.is_empty() {
            continue;
        }
        let key = sandbox(&gateway, &method, &context, &batch.sandbox_id).await?;
        let id = batch.sandbox_id.clone();
        keeper.push(&key, &id, batch.lines().map_err(malformed)?);
        // It may have been deleted between look and push, and what is kept of it been dropped already.
        keeper.forget_if_deleted(&id, &gateway.cluster.state());
    }
}

/// The key of the caller's own sandbox. One that this node does not know may have been made a moment ago
/// through another node: the leader is asked before it is said that there is none.
async fn sandbox(gateway: &Gateway, method: &Method, context: &Context, id: &str) -> Result<Key, Status> {
    let own = matches!(&context.principal, Principal::Sandbox { id: own } if own == id);
    if !own {
        return Err(refused(&Refusal::denied("a sandbox may only push logs of its own")));
    }
    // The call goes on for longer than any deadline; a look at the state does not.
    let context = Context { deadline: Instant::now() + CALL_MAX, ..context.clone() };
    let look = |state: &State| query::sandbox::of_principal(state, &context.principal).map(|(key, _)| key.clone());
    if let Ok(key) = look(&*gateway.state_for(method, &context).await?) {
        return Ok(key);
    }
    let asked = Context { consistency: Some(Consistency::Linearizable), ..context.clone() };
    look(&*gateway.state_for(method, &asked).await?).map_err(|refusal| refused(&refusal))
}

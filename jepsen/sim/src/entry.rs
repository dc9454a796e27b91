//! The node that a call comes to: carries it to the leader until there is an answer or the time is
//! over, as the gateway does. The gateway itself is not in the simulation; everything that it calls is.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use openshell_proto::log::reply;
use openshell_proto::peer::forward_response::Outcome;
use openshell_proto::peer::{
    ChangedKeys, ForwardRequest, ForwardResponse, LogLines, Presence, ReadChangedKeysRequest, ReadLogsRequest,
    ReadPresenceRequest, ReadSessionsRequest, Sessions,
};
use openshell_raft::{CallContext, CallHandler, Cluster, Unavailable, forwarded};
use openshell_state::access::Principal;
use openshell_state::{Refusal, RequestId};
use tokio::time::{Instant, sleep, timeout_at};

use crate::rules::{Held, Write, decoded};
use crate::trace::Trace;

const RPC: &str = "simulation/Write";
/// Between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// How long the answering node waits until it has applied what was written.
const APPLY_WAIT: Duration = Duration::from_secs(1);

/// A write, and under which id.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) id: RequestId,
    /// The id was sent before.
    pub(crate) is_repeated: bool,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It took effect at this revision, and left this.
    Done { revision: u64, held: Held },
    /// A rule said no, of the state at this revision.
    Refused { revision: u64, refusal: Refusal },
    /// The id was refused for its time. One made then is taken.
    Untimely { take_ms: i64 },
    /// Nothing happened and nothing will.
    NotDone,
    /// It may have happened, or happen yet.
    Unknown,
}

/// Carries a write to the leader, attempt after attempt under one id.
pub(crate) async fn submit(cluster: &Cluster, padding: usize, request: Request, limit: Duration) -> Heard {
    let deadline = Instant::now() + limit;
    let mut call = ForwardRequest {
        rpc: RPC.to_owned(),
        request: request.write.encode(),
        caller: Some(Principal::Anonymous.to_proto()),
        request_id: request.id.as_bytes().to_vec(),
        repeated_attempt: request.is_repeated,
        ..ForwardRequest::default()
    };
    let mut is_in_doubt = false;
    loop {
        let attempt = match cluster.leader() {
            Some(leader) if leader == cluster.node() => Ok(decide_here(cluster, padding, &call, deadline).await),
            Some(leader) => cluster.forward(leader, call.clone(), deadline).await,
            None => Err(Unavailable::NotDone { reason: "no leader is known".to_owned(), leader_hint: None }),
        };
        match attempt {
            Ok(response) if response.outcome() == Outcome::Answered => {
                let patience = deadline.min(Instant::now() + APPLY_WAIT);
                cluster.wait_for_revision(response.revision, patience).await;
                return conclude(response, is_in_doubt || request.is_repeated);
            }
            Ok(response) => is_in_doubt |= response.outcome() != Outcome::NotDone,
            Err(Unavailable::NotDone { .. }) => {}
            Err(Unavailable::Unknown { .. }) => is_in_doubt = true,
        }
        call.repeated_attempt |= is_in_doubt;
        if cluster.quorum_lost().is_some() || Instant::now() + RETRY_PAUSE >= deadline {
            return if is_in_doubt { Heard::Unknown } else { Heard::NotDone };
        }
        wait_for_leader(cluster, deadline).await;
    }
}

/// After doubt a refusal counts only when it is remembered under the id.
fn conclude(response: ForwardResponse, is_in_doubt: bool) -> Heard {
    let ForwardResponse { revision, settled, id_time_ms, reply, .. } = response;
    match reply.and_then(|reply| reply.outcome) {
        Some(reply::Outcome::Message(message)) => match decoded(&message) {
            Some(held) => Heard::Done { revision, held },
            None => Heard::Unknown,
        },
        Some(reply::Outcome::Refusal(_)) if is_in_doubt && !settled => Heard::Unknown,
        Some(reply::Outcome::Refusal(_)) if id_time_ms != 0 => Heard::Untimely { take_ms: id_time_ms },
        Some(reply::Outcome::Refusal(refusal)) => Heard::Refused { revision, refusal: Refusal::from_proto(&refusal) },
        None => Heard::Unknown,
    }
}

async fn wait_for_leader(cluster: &Cluster, deadline: Instant) {
    let mut leader = cluster.watch_leader();
    let is_known = leader.borrow_and_update().is_some();
    if !is_known {
        let found = timeout_at(deadline, leader.wait_for(Option::is_some));
        let is_closed = found.await.is_ok_and(|found| found.is_err());
        if !is_closed {
            return;
        }
    }
    // A leader that did not take the call, or a node that ends: not to be asked again at once.
    sleep(RETRY_PAUSE).await;
}

/// Decides a call on this node, which has to lead.
async fn decide_here(cluster: &Cluster, padding: usize, call: &ForwardRequest, deadline: Instant) -> ForwardResponse {
    let Some(write) = Write::decode(&call.request) else {
        return ForwardResponse { outcome: Outcome::NotDone as i32, ..ForwardResponse::default() };
    };
    let context = CallContext {
        principal: Principal::Anonymous,
        rpc: call.rpc.clone(),
        request_id: RequestId::from_bytes(&call.request_id),
        repeated_attempt: call.repeated_attempt,
        fingerprint: fingerprint(&call.request),
        deadline,
    };
    forwarded(cluster.decide(context, |call| write.decide(call, padding)).await)
}

/// Tells two requests apart; it need not keep a secret here.
fn fingerprint(request: &[u8]) -> [u8; 32] {
    use std::hash::Hasher;
    let mut trace = Trace::default();
    trace.write(request);
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&trace.finish().to_be_bytes());
    fingerprint
}

/// Answers other nodes: decides the calls that they pass on, until its node has ended. No sandbox has log
/// lines here, or follows.
pub(crate) struct FromPeers {
    /// None once the process has ended: the node holds its handler, and would be kept by it.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) padding: usize,
}

impl CallHandler for FromPeers {
    fn handle(&self, request: ForwardRequest) -> BoxFuture<'_, ForwardResponse> {
        let deadline = Instant::now() + Duration::from_millis(request.deadline_ms);
        async move {
            match &self.cluster {
                Some(cluster) => decide_here(cluster, self.padding, &request, deadline).await,
                None => ForwardResponse::default(),
            }
        }
        .boxed()
    }

    fn read_logs(&self, _: &ReadLogsRequest) -> LogLines {
        LogLines::default()
    }

    fn follow_logs(&self, _: &ReadLogsRequest) -> BoxStream<'static, LogLines> {
        stream::empty().boxed()
    }

    fn read_sessions(&self, _: &ReadSessionsRequest) -> Sessions {
        Sessions::default()
    }

    fn read_presence(&self, _: &ReadPresenceRequest) -> Presence {
        Presence::default()
    }

    fn read_changed_keys(&self, _: &ReadChangedKeysRequest) -> BoxFuture<'_, Result<ChangedKeys, String>> {
        async { Ok(ChangedKeys::default()) }.boxed()
    }
}

//! A call finds its state or its leader: queries read this node's state at the consistency
//! asked for, decisions go to the leader and are repeated through elections until the deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openshell_proto::cluster::Position;
use openshell_proto::log::reply;
use openshell_proto::peer::forward_response::Outcome;
use openshell_proto::peer::{ForwardRequest, ForwardResponse};
use openshell_proto::{Route, weight};
use openshell_raft::{CallContext, Clock, Cluster, Consistency, SystemClock, Unavailable, forwarded};
use openshell_state::access::Principal;
use openshell_state::{Refusal, RequestId, State};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::grpc::context::Context;
use crate::grpc::errand::{Errand, Next};
use crate::grpc::facts::Facts;
use crate::grpc::finish;
use crate::grpc::leader::{self, RETRY_PAUSE};
use crate::grpc::peers::FromPeers;
use crate::grpc::status::{Seen, position_lost, refused, refused_id, unavailable};
use crate::grpc::table::{Handler, Method, Table};
use crate::identifiers::RandomIdentifiers;
use crate::logs::{self, Keeper, Logs};
use crate::options::WhenStale;
use crate::refresh::Refresher;
use crate::sandbox::Sandboxes;
use crate::secrets::Secrets;
use crate::sync::{self, Sessions};
use crate::watch::{Hub, Limits};

/// How long a node waits to catch up with what its caller has seen before it asks the leader.
const CATCH_UP: Duration = Duration::from_millis(250);
/// How long an answer of the leader waits for this node to apply it.
const APPLY_WAIT: Duration = Duration::from_secs(1);

/// The gateway of one node.
pub(crate) struct Gateway {
    pub(crate) cluster: Cluster,
    table: Table,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) identifiers: Arc<RandomIdentifiers>,
    /// Mints credentials while this node leads.
    pub(crate) refresher: Refresher,
    /// After so long without a word of the cluster it is stale.
    stale_after: Duration,
    /// Who is told of changes.
    pub(crate) hub: Arc<Hub>,
    /// The sandboxes' log lines.
    pub(crate) logs: Arc<Logs>,
    /// The sandboxes that follow their configuration through this node.
    pub(crate) sessions: Arc<Sessions>,
    /// Open streams end: the node takes no more calls, or no part any more.
    pub(crate) streams_end: CancellationToken,
}

/// An answer with the state that it speaks of.
pub(crate) struct Answer {
    pub(crate) reply: Result<Bytes, Status>,
    pub(crate) at: Position,
    /// A refusal is one for every attempt of the call: none took effect or will.
    pub(crate) settled: bool,
}

impl Gateway {
    pub(crate) fn new(
        cluster: Cluster,
        table: Table,
        secrets: Arc<Secrets>,
        sandboxes: Sandboxes,
        identifiers: Arc<RandomIdentifiers>,
        facts: Facts,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let streams_end = stop.child_token();
        let (withdrawing, ending) = (cluster.clone(), streams_end.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(withdrawing.until_withdrawn()).await;
            ending.cancel();
        });
        let age = (facts.when_stale == WhenStale::Refuse).then_some(facts.stale_after);
        let life = identifiers.life();
        let keeper = Keeper::new(logs::Limits::default(), life);
        let limits = Limits { age, ..Limits::default() };
        let hub = Hub::new(Arc::new(cluster.clone()), Arc::clone(&keeper), limits);
        let logs = Logs::new(keeper, Arc::new(cluster.clone()));
        let refresher = Refresher::new();
        let limits = sync::Limits { grace: facts.disconnect_grace, ..sync::Limits::default() };
        let sessions = Sessions::new(limits, life);
        let gateway = Arc::new(Self {
            cluster,
            table,
            secrets,
            sandboxes,
            identifiers,
            refresher,
            stale_after: facts.stale_after,
            hub,
            logs,
            sessions,
            streams_end,
        });
        gateway.cluster.set_call_handler(Arc::new(FromPeers(Arc::clone(&gateway))));
        gateway
    }

    /// The RPC of a path.
    pub(crate) fn method(&self, name: &str) -> Option<&Arc<Method>> {
        self.table.get(name)
    }

    /// Where this node's state is.
    pub(crate) fn here(&self) -> Position {
        position(&self.cluster.state())
    }

    /// What this node's answers say about the state they speak of.
    pub(crate) fn seen(&self, at: Position) -> Seen {
        Seen { at, node: self.cluster.node(), age_ms: self.cluster.age_ms() }
    }

    /// A refusal with the headers that every answer carries.
    pub(crate) fn marked(&self, mut status: Status) -> Status {
        self.seen(self.here()).write(status.metadata_mut());
        status
    }

    /// Answers a unary call.
    pub(crate) async fn answer(self: &Arc<Self>, method: &Method, context: &Context, request: Bytes) -> Answer {
        let answered = async {
            context.permit(&method.rule)?;
            self.takes_part()?;
            weight::check_request(&method.name, &request)
                .map_err(|too_heavy| Status::invalid_argument(too_heavy.to_string()))?;
            match &method.handler {
                Handler::Absent(sentence) => Err(Status::unimplemented(*sentence)),
                Handler::Watch(_) | Handler::Collect(_) => {
                    Err(Status::internal("a stream was called as a unary method"))
                }
                Handler::Node(answer) => {
                    let at = self.here();
                    let reply = answer(Arc::clone(self), context.principal.clone(), request).await;
                    Ok(Answer { reply, at, settled: false })
                }
                Handler::Query(query) => {
                    let state = self.state_for(method, context).await?;
                    let reply = query(&state, &context.principal, &request)?;
                    let reply = reply.map_err(|refusal| refused(&refusal));
                    // A query has no effect that an earlier attempt could have had.
                    Ok(Answer { reply, at: position(&state), settled: true })
                }
                Handler::Gather(answer) => {
                    let state = self.state_for(method, context).await?;
                    let at = position(&state);
                    let reply = answer(Arc::clone(self), state, context.clone(), request).await;
                    Ok(Answer { reply, at, settled: true })
                }
                Handler::Lead(check, _) => {
                    check(&request)?;
                    self.submit(&method.name, context, &request).await
                }
                Handler::WithKeeper(answer) => {
                    let state = self.state_for(method, context).await?;
                    let reply = answer(self, &state, &context.principal, &request);
                    Ok(Answer { reply, at: position(&state), settled: true })
                }
                Handler::Decide { prepare, finish } => {
                    // What does not even decode needs no leader.
                    prepare(&request)?;
                    let state = self.cluster.state();
                    context.fits(&state)?;
                    if let Some(seen) = context.least_revision().filter(|seen| *seen > state.revision()) {
                        let state = self.at_least(seen, context.deadline).await?;
                        context.fits(&state)?;
                    }
                    let complete = finish.as_ref().map(|finish| finish(&request)).transpose()?.flatten();
                    let answer = self.submit(&method.name, context, &request).await?;
                    let Some(complete) = complete else { return Ok(answer) };
                    Ok(finish::completed(self, context, complete, answer).await)
                }
            }
        };
        // Where it stands by now: what it waited for may be of a restored cluster, and the refusal say so.
        answered.await.unwrap_or_else(|status| Answer { reply: Err(status), at: self.here(), settled: false })
    }

    /// It has not heard of the cluster for too long.
    pub(crate) fn is_stale(&self) -> bool {
        Duration::from_millis(self.cluster.age_ms()) > self.stale_after
    }

    /// A node that was removed, or whose state differs, answers nothing.
    pub(crate) fn takes_part(&self) -> Result<(), Status> {
        match self.cluster.withdrawn() {
            Some(reason) => Err(unavailable(&Unavailable::NotDone { reason: reason.to_owned(), leader_hint: None })),
            None => Ok(()),
        }
    }

    /// The state that a query is answered from.
    pub(crate) async fn state_for(&self, method: &Method, context: &Context) -> Result<Arc<State>, Status> {
        let consistency = match (method.rule.route, context.consistency) {
            (_, Some(asked)) => asked,
            (Route::Local, None) => Consistency::Local,
            (Route::Linearizable | Route::Leader, None) => Consistency::Linearizable,
        };
        context.fits(&self.cluster.state())?;
        let state = self.cluster.read(consistency, context.deadline).await.map_err(|error| unavailable(&error))?;
        let state = match context.min_revision {
            Some(seen) if state.revision() < seen => self.at_least(seen, context.deadline).await?,
            _ => state,
        };
        if !state.is_formed() {
            return Err(Status::unavailable("the cluster is not formed yet"));
        }
        context.fits(&state)?;
        if consistency == Consistency::Local
            && let Some(age) = self.hub.too_old()
        {
            let text = format!(
                "this node has not heard of the cluster for {} s and does not answer from old state",
                age.as_secs()
            );
            return Err(Status::unavailable(text));
        }
        Ok(state)
    }

    /// A state that is not older than what the caller has seen: waits a little, then asks the leader how far the cluster is.
    pub(crate) async fn at_least(&self, revision: u64, deadline: Instant) -> Result<Arc<State>, Status> {
        let patience = deadline.min(Instant::now() + CATCH_UP);
        if !self.cluster.wait_for_revision(revision, patience).await {
            let state =
                self.cluster.read(Consistency::Linearizable, deadline).await.map_err(|error| unavailable(&error))?;
            if state.revision() < revision {
                return Err(position_lost(format!(
                    "the caller has seen revision {revision}, the cluster is at {}: it is not the same cluster",
                    state.revision()
                )));
            }
        }
        Ok(self.cluster.state())
    }

    /// Carries a decision to the leader, wherever it is, until the deadline. The same id goes with every attempt, so that
    /// one takes effect at most. A leader that lost its majority gives up at once: only another node can find the next.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        rpc: &str,
        context: &Context,
        request: &[u8],
    ) -> Result<Answer, Status> {
        let id = match &context.request_id {
            Some(id) => *id.as_bytes(),
            // The cluster's time never runs back: an id must not be older than its last entry.
            None => self.identifiers.request_id(SystemClock.now_ms().max(self.cluster.state().last_time_ms())),
        };
        let mut errand = Errand::new(ForwardRequest {
            rpc: rpc.to_owned(),
            request: request.to_vec(),
            caller: Some(context.principal.to_proto()),
            request_id: id.to_vec(),
            repeated_attempt: context.repeated_attempt,
            deadline_ms: 0,
            replaceable_id: context.request_id.is_none(),
        });
        loop {
            let attempt = self.attempt(&errand.call, context.deadline).await;
            let error = match errand.note(attempt, |time_ms| self.identifiers.request_id(time_ms)) {
                Next::Answer(response) => return self.conclude(response, context.deadline).await,
                Next::GiveUp(error) => return Err(unavailable(&error)),
                Next::Again(error) => error,
            };
            if let Some(lost) = self.cluster.quorum_lost() {
                return Err(unavailable(&errand.unanswered(lost)));
            }
            if Instant::now() + RETRY_PAUSE >= context.deadline {
                return Err(unavailable(&errand.unanswered(error)));
            }
            leader::wait(self.cluster.watch_leader(), context.deadline).await;
        }
    }

    /// One attempt: here when this node leads, otherwise at the leader it knows.
    async fn attempt(
        self: &Arc<Self>,
        call: &ForwardRequest,
        deadline: Instant,
    ) -> Result<ForwardResponse, Unavailable> {
        match self.cluster.leader() {
            Some(leader) if leader == self.cluster.node() => Ok(self.decide_here(call, deadline).await),
            Some(leader) => self.cluster.forward(leader, call.clone(), deadline).await,
            None => Err(Unavailable::NotDone { reason: "no leader is known".to_owned(), leader_hint: None }),
        }
    }

    /// Turns the leader's answer into this node's, once this node has applied it.
    async fn conclude(&self, response: ForwardResponse, deadline: Instant) -> Result<Answer, Status> {
        // It is done; a node that cannot catch up says so with the answer's revision.
        let patience = deadline.min(Instant::now() + APPLY_WAIT);
        self.cluster.wait_for_revision(response.revision, patience).await;
        let reply = match response.reply.and_then(|reply| reply.outcome) {
            Some(reply::Outcome::Message(message)) => Ok(Bytes::from(message)),
            Some(reply::Outcome::Refusal(no)) => Err(refused_id(&Refusal::from_proto(&no), response.id_time_ms)),
            None => Err(Status::internal("the leader's answer is empty")),
        };
        let at = Position { epoch: response.epoch, revision: response.revision };
        Ok(Answer { reply, at, settled: response.settled })
    }

    /// Decides a call on this node, which has to lead.
    pub(super) async fn decide_here(self: &Arc<Self>, call: &ForwardRequest, deadline: Instant) -> ForwardResponse {
        let not_done = |reason: &str| ForwardResponse {
            outcome: Outcome::NotDone as i32,
            reason: reason.to_owned(),
            ..ForwardResponse::default()
        };
        let principal = call.caller.clone().map_or(Principal::Anonymous, Principal::from_proto);
        let fingerprint = self.secrets.fingerprint(&principal.subject(), &call.rpc, &call.request);
        let request_id = RequestId::from_bytes(&call.request_id);
        if let Some(id) = request_id.filter(|_| call.replaceable_id)
            && let Some(id_time_ms) = self.cluster.untimely(&id)
        {
            return ForwardResponse { id_time_ms, ..not_done("the request id has to be made at another time") };
        }
        let context = CallContext {
            principal,
            rpc: call.rpc.clone(),
            request_id,
            repeated_attempt: call.repeated_attempt,
            fingerprint,
            deadline,
        };
        if let Some(carry_out) = self.table.carried_out(&call.rpc) {
            return forwarded(carry_out(Arc::clone(self), context, call.request.clone().into()).await);
        }
        let Some(Handler::Decide { prepare, .. }) = self.table.get(&call.rpc).map(|method| &method.handler) else {
            return not_done("this node does not decide calls of that name; it may be of another version");
        };
        match prepare(&call.request) {
            Ok(rule) => forwarded(self.cluster.decide(context, |call| rule(call)).await),
            Err(status) => not_done(status.message()),
        }
    }
}

/// Where a state is.
fn position(state: &State) -> Position {
    Position { epoch: state.epoch(), revision: state.revision() }
}

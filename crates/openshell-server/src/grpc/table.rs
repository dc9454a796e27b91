//! What answers each RPC, by full method name: a rule, a query, or the node itself. Built once
//! at start and compared with the descriptor, so that no RPC goes without an answer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use openshell_proto::{MethodRule, Route, method_rules};
use openshell_raft::{Answered, CallContext, Unavailable};
use openshell_state::access::Principal;
use openshell_state::{Call, Decision, Refusal, State};
use prost::Message;
use tonic::Status;

use crate::grpc::context::Context;
use crate::grpc::gateway::Gateway;

/// A rule with its request read: runs on any state, any number of times.
pub(crate) type Rule = Arc<dyn Fn(Call<'_>) -> Decision + Send + Sync>;

/// Reads a request and makes its rule.
type Prepare = Box<dyn Fn(&[u8]) -> Result<Rule, Status> + Send + Sync>;
/// Reads a request and answers it from a state; the outer error is about the request's bytes.
type Query = Box<dyn Fn(&State, &Principal, &[u8]) -> Result<Result<Bytes, Refusal>, Status> + Send + Sync>;
/// Reads a request and answers it from a state, with what the node has beside it: its key, and answers
/// that it keeps.
type WithKeeper = Box<dyn Fn(&Gateway, &State, &Principal, &[u8]) -> Result<Bytes, Status> + Send + Sync>;
/// Adds to the leader's answer, on the node that the caller asked, what is never kept.
pub(crate) type Complete = Box<dyn FnOnce(&Gateway, &Principal, Bytes) -> Result<Bytes, Status> + Send>;
/// Reads a request and says what completes its answer, if anything does.
pub(crate) type Finish = Box<dyn Fn(&[u8]) -> Result<Option<Complete>, Status> + Send + Sync>;
/// Reads a request and answers it by what the node knows about itself.
type Own = Box<dyn Fn(Arc<Gateway>, Principal, Bytes) -> BoxFuture<'static, Result<Bytes, Status>> + Send + Sync>;

/// Says whether a request can be read.
type Check = Box<dyn Fn(&[u8]) -> Result<(), Status> + Send + Sync>;
/// What the leader made of a call.
pub(crate) type Led = Result<Answered, Unavailable>;
/// Carries a request out on the leader.
pub(crate) type CarryOut = Box<dyn Fn(Arc<Gateway>, CallContext, Bytes) -> BoxFuture<'static, Led> + Send + Sync>;
/// Encoded messages, until the end or an error.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
/// Reads a request and answers it from a state, with what other nodes have beside it.
type Gather =
    Box<dyn Fn(Arc<Gateway>, Arc<State>, Context, Bytes) -> BoxFuture<'static, Result<Bytes, Status>> + Send + Sync>;
/// Takes requests one after the other, still encoded, and answers when they end.
type Collect = Box<
    dyn Fn(Arc<Gateway>, Arc<Method>, Context, Messages) -> BoxFuture<'static, Result<Bytes, Status>> + Send + Sync,
>;
/// Reads a request and begins its stream, on the revision said.
type Open = Box<
    dyn Fn(Arc<Gateway>, Arc<Method>, Context, Bytes) -> BoxFuture<'static, Result<(u64, Messages), Status>>
        + Send
        + Sync,
>;

/// How an RPC is answered.
pub(crate) enum Handler {
    /// By the leader, through the log.
    Decide { prepare: Prepare, finish: Option<Finish> },
    /// From a state.
    Query(Query),
    /// By the leader, which does more than to decide: what checks the request, and what carries it out.
    /// Under one request id it may be carried out any number of times.
    Lead(Check, CarryOut),
    /// From a state, with what this node has beside it.
    WithKeeper(WithKeeper),
    /// By this node about itself.
    Node(Own),
    /// From a state, and from what other nodes have that no state holds.
    Gather(Gather),
    /// By a stream.
    Watch(Open),
    /// At the end of a stream of requests.
    Collect(Collect),
    /// Not at all.
    Absent(&'static str),
}

/// An RPC: what it declares about itself and how it is answered.
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) rule: MethodRule,
    pub(crate) handler: Handler,
}

/// Every RPC by full method name without the leading slash.
#[derive(Default)]
pub(crate) struct Table {
    methods: BTreeMap<String, Arc<Method>>,
    between_nodes: BTreeMap<&'static str, CarryOut>,
    service: &'static str,
}

impl Table {
    /// What follows belongs to this service.
    pub(crate) fn service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// An RPC that may change the state.
    pub(crate) fn decide<Q, F>(self, name: &str, rule: F) -> Self
    where
        Q: Message + Default + 'static,
        F: for<'a> Fn(Call<'a>, &Q) -> Result<Decision, Refusal> + Copy + Send + Sync + 'static,
    {
        self.method(name, Handler::Decide { prepare: prepare(rule), finish: None })
    }

    /// An RPC that may change the state, and whose answer is completed by the node that was asked.
    pub(crate) fn decide_then<Q, F, T>(self, name: &str, rule: F, finish: T) -> Self
    where
        Q: Message + Default + 'static,
        F: for<'a> Fn(Call<'a>, &Q) -> Result<Decision, Refusal> + Copy + Send + Sync + 'static,
        T: Fn(Q) -> Option<Complete> + Send + Sync + 'static,
    {
        let finish: Finish = Box::new(move |bytes| read(bytes).map(&finish));
        self.method(name, Handler::Decide { prepare: prepare(rule), finish: Some(finish) })
    }

    /// An RPC that only reads, and whose answer holds what only a node with the key can open, or is kept encoded.
    pub(crate) fn with_keeper<Q, F>(self, name: &str, answer: F) -> Self
    where
        Q: Message + Default + 'static,
        F: Fn(&Gateway, &State, &Principal, &Q) -> Result<Bytes, Status> + Send + Sync + 'static,
    {
        self.method(
            name,
            Handler::WithKeeper(Box::new(move |gateway, state, principal, bytes| {
                let request: Q = read(bytes)?;
                answer(gateway, state, principal, &request)
            })),
        )
    }

    /// An RPC that only reads.
    pub(crate) fn query<Q, A, F>(self, name: &str, query: F) -> Self
    where
        Q: Message + Default + 'static,
        A: Message,
        F: for<'a> Fn(&'a State, &Principal, &Q) -> Result<A, Refusal> + Send + Sync + 'static,
    {
        self.method(
            name,
            Handler::Query(Box::new(move |state, principal, bytes| {
                let request: Q = read(bytes)?;
                Ok(query(state, principal, &request).map(|answer| answer.encode_to_vec().into()))
            })),
        )
    }

    /// An RPC that the leader carries out, and does more for than to decide.
    pub(crate) fn lead<Q, F, W>(self, name: &str, carry_out: F) -> Self
    where
        Q: Message + Default + 'static,
        F: Fn(Arc<Gateway>, CallContext, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Led> + Send + 'static,
    {
        let check = Box::new(|bytes: &[u8]| read::<Q>(bytes).map(drop));
        self.method(name, Handler::Lead(check, carried_out(carry_out)))
    }

    /// What nodes ask of the leader among themselves. No client reaches it.
    pub(crate) fn between_nodes<Q, F, W>(mut self, name: &'static str, carry_out: F) -> Self
    where
        Q: Message + Default + 'static,
        F: Fn(Arc<Gateway>, CallContext, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Led> + Send + 'static,
    {
        let before = self.between_nodes.insert(name, carried_out(carry_out));
        assert!(before.is_none(), "{name} is answered twice");
        self
    }

    /// An RPC about the node that was asked.
    pub(crate) fn node<Q, A, F, W>(self, name: &str, answer: F) -> Self
    where
        Q: Message + Default + 'static,
        A: Message,
        F: Fn(Arc<Gateway>, Principal, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Result<A, Status>> + Send + 'static,
    {
        self.method(
            name,
            Handler::Node(Box::new(move |gateway, principal, bytes| {
                let answering = read(&bytes).map(|request| answer(gateway, principal, request));
                Box::pin(async move { Ok(answering?.await?.encode_to_vec().into()) })
            })),
        )
    }

    /// An RPC that is answered by a stream, which begins on the revision said.
    pub(crate) fn watch<Q, A, S, F, W>(self, name: &str, open: F) -> Self
    where
        Q: Message + Default + 'static,
        A: Message,
        S: Stream<Item = Result<A, Status>> + Send + 'static,
        F: Fn(Arc<Gateway>, Arc<Method>, Context, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(u64, S), Status>> + Send + 'static,
    {
        self.method(
            name,
            Handler::Watch(Box::new(move |gateway, method, context, bytes| {
                let opening = read(&bytes).map(|request| open(gateway, method, context, request));
                Box::pin(async move {
                    let (revision, events) = opening?.await?;
                    let events = events.map(|event| event.map(|event| event.encode_to_vec().into()));
                    Ok((revision, Box::pin(events) as Messages))
                })
            })),
        )
    }

    /// An RPC that only reads, also what other nodes have beside the state.
    pub(crate) fn gather<Q, F, W>(self, name: &str, answer: F) -> Self
    where
        Q: Message + Default + 'static,
        F: Fn(Arc<Gateway>, Arc<State>, Context, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        self.method(
            name,
            Handler::Gather(Box::new(move |gateway, state, context, bytes| {
                let answering = read(&bytes).map(|request| answer(gateway, state, context, request));
                Box::pin(async move { answering?.await })
            })),
        )
    }

    /// An RPC whose requests are a stream. They come encoded, none is read before the last was dealt with,
    /// and none before the caller's permission is known.
    pub(crate) fn collect<F, W>(self, name: &str, take: F) -> Self
    where
        F: Fn(Arc<Gateway>, Arc<Method>, Context, Messages) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        self.method(
            name,
            Handler::Collect(Box::new(move |gateway, method, context, requests| {
                Box::pin(take(gateway, method, context, requests))
            })),
        )
    }

    /// RPCs that this gateway does not have, with the sentence that says so.
    pub(crate) fn absent(self, names: &[&str], sentence: &'static str) -> Self {
        names.iter().fold(self, |table, name| table.method(name, Handler::Absent(sentence)))
    }

    fn method(mut self, name: &str, handler: Handler) -> Self {
        let name = format!("{}/{name}", self.service);
        let rule = method_rules().get(&name).unwrap_or_else(|| panic!("{name} is not in the descriptor")).clone();
        let fits = match &handler {
            Handler::Decide { .. } | Handler::Lead(..) => rule.route == Route::Leader,
            Handler::Query(_) | Handler::WithKeeper(_) | Handler::Gather(_) => rule.route != Route::Leader,
            Handler::Node(_) | Handler::Watch(_) | Handler::Collect(_) => rule.route == Route::Local,
            Handler::Absent(_) => true,
        };
        assert!(fits, "{name} is answered otherwise than its route {:?} says", rule.route);
        let before = self.methods.insert(name.clone(), Arc::new(Method { name: name.clone(), rule, handler }));
        assert!(before.is_none(), "{name} is answered twice");
        self
    }

    /// The table, once every RPC of the descriptor is in it.
    pub(crate) fn complete(self) -> Self {
        for name in method_rules().keys() {
            assert!(self.methods.contains_key(name), "nothing answers {name}");
        }
        self
    }

    /// The RPC of a path.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Method>> {
        self.methods.get(name)
    }

    /// What the leader carries out under this name, for a client or for another node.
    pub(crate) fn carried_out(&self, name: &str) -> Option<&CarryOut> {
        match self.methods.get(name).map(|method| &method.handler) {
            Some(Handler::Lead(_, carry_out)) => Some(carry_out),
            Some(_) => None,
            None => self.between_nodes.get(name),
        }
    }
}

/// Reads the request before it is carried out.
fn carried_out<Q, F, W>(carry_out: F) -> CarryOut
where
    Q: Message + Default + 'static,
    F: Fn(Arc<Gateway>, CallContext, Q) -> W + Send + Sync + 'static,
    W: Future<Output = Led> + Send + 'static,
{
    Box::new(move |gateway, context, bytes: Bytes| match read::<Q>(&bytes) {
        Ok(request) => Box::pin(carry_out(gateway, context, request)),
        Err(status) => {
            let reason = status.message().to_owned();
            Box::pin(std::future::ready(Err(Unavailable::NotDone { reason, leader_hint: None })))
        }
    })
}

/// A rule that waits for its request.
fn prepare<Q, F>(rule: F) -> Prepare
where
    Q: Message + Default + 'static,
    F: for<'a> Fn(Call<'a>, &Q) -> Result<Decision, Refusal> + Copy + Send + Sync + 'static,
{
    Box::new(move |bytes| {
        let request: Q = read(bytes)?;
        Ok(Arc::new(move |call: Call<'_>| rule(call, &request).into()))
    })
}

/// Reads a request.
fn read<Q: Message + Default>(bytes: &[u8]) -> Result<Q, Status> {
    Q::decode(bytes).map_err(|error| Status::invalid_argument(format!("the request does not decode: {error}")))
}

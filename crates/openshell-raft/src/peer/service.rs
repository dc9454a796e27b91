//! The peer service, answering side. Every call is checked against who the connection's handshake
//! found at its other end; Raft's calls are let in only on a node that is, or is being made,
//! a member of the caller's cluster.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use openshell_proto::peer::peer_server::{Peer, PeerServer};
use openshell_proto::peer::{
    AdmitRequest, AdmitResponse, AppendRequest, AppendResponse, ChangedKeys, ForwardRequest, ForwardResponse,
    IntroduceRequest, IntroduceResponse, JoinRequest, JoinResponse, LogLines, NodeStatusRequest, NodeStatusResponse,
    Presence, ReadChangedKeysRequest, ReadIndexRequest, ReadIndexResponse, ReadLogsRequest, ReadPresenceRequest,
    ReadSessionsRequest, Sessions, SnapshotRequest, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse, forward_response,
};
use openshell_store::{Malformed, Vote};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::handshake::{PeerIdentity, was_removed};
use super::links::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use super::wire::Wire;
use super::{append_server, messages, snapshot};
use crate::join;
use crate::node::{Handler, Node};

/// Calls that one connection may have under way: each log that somebody follows through the peer is one.
const CALLS_MAX: u32 = 8192;
/// Who dials pings far more often, and dials anew; this is for the end that answers, which would otherwise keep a connection
/// that only the other one has given up, and its descriptor, for ever.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Without an answer for so long, a connection is over.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The header of a refusal that tells its caller that it was removed.
pub(crate) const REMOVED: &str = "openshell-removed";

/// Answers peers for one node.
#[derive(Clone)]
pub(crate) struct PeerService {
    node: Arc<Node>,
}

/// Serves peers, for ever. Connections come authenticated, and end with the node's stop token:
/// append streams never end by themselves.
pub(crate) async fn serve(node: Arc<Node>, wire: Arc<Wire>) {
    let streams = ReceiverStream::new(wire.listen(&node.tasks, &node.stop));
    let service = PeerServer::new(PeerService { node })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        // All who follow logs through a peer may go at once, and must not be taken for an attack.
        .http2_max_pending_accept_reset_streams(Some(CALLS_MAX as usize))
        .add_service(service);
    if let Err(error) = server.serve_with_incoming(streams).await {
        tracing::error!(%error, "the peer server ended");
    }
}

impl PeerService {
    fn caller<T>(&self, request: &Request<T>) -> Result<PeerIdentity, Status> {
        let identity = request.extensions().get::<PeerIdentity>().cloned();
        let identity = identity.ok_or_else(|| Status::internal("the connection carries no peer identity"))?;
        // The connection may be older than the removal.
        if (self.node.myself.is_removed)(identity.node) {
            let mut status = Status::permission_denied(was_removed(identity.node));
            status.metadata_mut().insert(REMOVED, MetadataValue::from_static("true"));
            return Err(status);
        }
        Ok(identity)
    }

    /// Who answers what is not Raft's.
    fn handler(&self) -> Result<Arc<Handler>, Status> {
        let starting = || Status::unavailable(format!("node {} is starting and takes no calls yet", self.node.id));
        self.node.call_handler.load_full().ok_or_else(starting)
    }

    /// Lets a call of the caller's cluster in; a node without a cluster joins it here.
    async fn member<T>(&self, request: &Request<T>) -> Result<PeerIdentity, Status> {
        let caller = self.caller(request)?;
        if caller.cluster_id.is_empty() {
            let text = format!("node {} had no cluster when it connected; it must connect again", caller.node);
            return Err(Status::failed_precondition(text));
        }
        self.node.formation.join(&self.node, &caller.cluster_id).await.map_err(Status::failed_precondition)?;
        Ok(caller)
    }
}

/// The vote of a Raft call must be its sender's own.
pub(super) fn check_sender(caller: &PeerIdentity, vote: &Vote) -> Result<(), Status> {
    let sender = vote.leader_id.node_id;
    if sender == caller.node {
        return Ok(());
    }
    Err(Status::permission_denied(format!("node {} sent a call in the name of node {sender}", caller.node)))
}

pub(super) fn malformed(error: &Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Raft has stopped on this node: to its peers it is not there.
pub(super) fn stopped(error: &impl std::fmt::Display) -> Status {
    Status::unavailable(format!("raft has stopped on this node: {error}"))
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn introduce(&self, request: Request<IntroduceRequest>) -> Result<Response<IntroduceResponse>, Status> {
        let caller = self.caller(&request)?;
        let digest = request.into_inner().initial_cluster_digest;
        self.node.formation.introduce(&self.node, caller.node, &digest).await.map(Response::new)
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        let caller = self.member(&request).await?;
        let request = messages::read_vote_request(request.into_inner()).map_err(|error| malformed(&error))?;
        check_sender(&caller, &request.vote)?;
        let response = self.node.raft.vote(request).await.map_err(|error| stopped(&error))?;
        Ok(Response::new(messages::vote_response(&response)))
    }

    async fn pre_vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        let caller = self.member(&request).await?;
        let request = messages::read_vote_request(request.into_inner()).map_err(|error| malformed(&error))?;
        check_sender(&caller, &request.vote)?;
        let response = self.node.raft.pre_vote(request).await.map_err(|error| stopped(&error))?;
        Ok(Response::new(messages::vote_response(&response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let caller = self.member(&request).await?;
        let request = messages::read_transfer_request(request.into_inner()).map_err(|error| malformed(&error))?;
        check_sender(&caller, request.from_leader())?;
        let handled = self.node.raft.handle_transfer_leader(request).await.map_err(|error| stopped(&error))?;
        handled.map_err(|error| Status::aborted(error.to_string()))?;
        Ok(Response::new(TransferLeaderResponse {}))
    }

    async fn heartbeat(&self, request: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        let caller = self.member(&request).await?;
        let request = messages::read_append_request(request.into_inner()).map_err(|error| malformed(&error))?;
        check_sender(&caller, &request.vote)?;
        append_server::single(&self.node, request).await.map(Response::new)
    }

    type AppendStreamStream = ReceiverStream<Result<AppendResponse, Status>>;

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let caller = self.member(&request).await?;
        let answers = append_server::pipeline(Arc::clone(&self.node), caller, request.into_inner());
        Ok(Response::new(answers))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<SnapshotRequest>>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let caller = self.member(&request).await?;
        snapshot::receive(&self.node, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn read_index(&self, request: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        self.member(&request).await?;
        let response = match self.node.leader_read_index().await {
            Ok(index) => ReadIndexResponse { index: Some(index), leader_hint: self.node.id },
            Err(_) => ReadIndexResponse { index: None, leader_hint: self.node.leader().unwrap_or(0) },
        };
        Ok(Response::new(response))
    }

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<ForwardResponse>, Status> {
        self.member(&request).await?;
        let response = match self.node.call_handler.load_full() {
            Some(handler) => handler.0.handle(request.into_inner()).await,
            None => ForwardResponse {
                outcome: forward_response::Outcome::NotDone as i32,
                leader_hint: self.node.leader().unwrap_or(0),
                reason: format!("node {} is starting and takes no calls yet", self.node.id),
                ..ForwardResponse::default()
            },
        };
        Ok(Response::new(response))
    }

    async fn node_status(&self, request: Request<NodeStatusRequest>) -> Result<Response<NodeStatusResponse>, Status> {
        self.caller(&request)?;
        Ok(Response::new(self.node.status()))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(join::answer(&self.node, caller.node, request.into_inner())))
    }

    async fn admit(&self, request: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        let caller = self.caller(&request)?;
        if caller.cluster_id.is_empty() {
            return Err(Status::failed_precondition(format!("node {} has no cluster to let a node into", caller.node)));
        }
        let initialised = self.node.is_initialised().await.map_err(|error| stopped(&error))?;
        if initialised || !request.get_ref().had_entries {
            self.node.formation.admit().map_err(Status::failed_precondition)?;
        }
        Ok(Response::new(AdmitResponse { initialised }))
    }

    async fn read_logs(&self, request: Request<ReadLogsRequest>) -> Result<Response<LogLines>, Status> {
        self.member(&request).await?;
        Ok(Response::new(self.handler()?.0.read_logs(request.get_ref())))
    }

    type FollowLogsStream = BoxStream<'static, Result<LogLines, Status>>;

    async fn follow_logs(&self, request: Request<ReadLogsRequest>) -> Result<Response<Self::FollowLogsStream>, Status> {
        self.member(&request).await?;
        let lines = self.handler()?.0.follow_logs(request.get_ref());
        Ok(Response::new(lines.map(Ok).boxed()))
    }

    async fn read_sessions(&self, request: Request<ReadSessionsRequest>) -> Result<Response<Sessions>, Status> {
        self.member(&request).await?;
        Ok(Response::new(self.handler()?.0.read_sessions(request.get_ref())))
    }

    async fn read_presence(&self, request: Request<ReadPresenceRequest>) -> Result<Response<Presence>, Status> {
        self.member(&request).await?;
        Ok(Response::new(self.handler()?.0.read_presence(request.get_ref())))
    }

    async fn read_changed_keys(
        &self,
        request: Request<ReadChangedKeysRequest>,
    ) -> Result<Response<ChangedKeys>, Status> {
        self.member(&request).await?;
        let handler = self.handler()?;
        handler.0.read_changed_keys(request.get_ref()).await.map(Response::new).map_err(Status::unavailable)
    }
}

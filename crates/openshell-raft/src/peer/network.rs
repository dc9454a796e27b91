//! openraft's view of the network: a factory that makes a client for each peer and purpose, and
//! the client, which turns Raft's calls into RPCs with a deadline each, and what goes wrong into
//! the kinds that openraft backs off by.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RPCTypes,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use openshell_store::{Malformed, Member, NodeId, TypeConfig, Vote};
use tonic::{Code, Status};

use super::links::{Client, Link, Links, sentence, within};
use super::{append, messages, snapshot};
use crate::config::Pace;

type RpcError = RPCError<TypeConfig>;
type AppendResults<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>;

/// A call between nodes that waits for a disk may take a while; one that is answered at all
/// is answered within this many heartbeats.
const VOTE_HEARTBEATS: u32 = 4;
/// The first pause after a peer could not be reached, and the longest: a follower that comes
/// back must not wait for long.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_HEARTBEATS_MAX: u32 = 4;

/// Makes the clients.
pub(crate) struct Network {
    pub(crate) node: NodeId,
    pub(crate) links: Arc<Links>,
    pub(crate) pace: Pace,
}

/// What a client is for: heartbeats are single calls on the control channel, not a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Replication,
    Heartbeat,
}

/// A client for one peer.
pub(crate) struct Peer {
    node: NodeId,
    link: Arc<Link>,
    pace: Pace,
    purpose: Purpose,
}

impl Network {
    fn client(&self, target: NodeId, member: &Member, purpose: Purpose) -> Peer {
        let link = self.links.to(target, &member.peer_address);
        Peer { node: self.node, link, pace: self.pace, purpose }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, member: &Member) -> Peer {
        self.client(target, member, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, member: &Member) -> Peer {
        self.client(target, member, Purpose::Heartbeat)
    }
}

impl Peer {
    fn control(&self) -> Client {
        self.link.channels().control.clone()
    }

    /// Votes wait for an fsync, which may take longer than a heartbeat; an election waits longer.
    fn vote_limit(&self) -> Duration {
        self.pace.heartbeat * VOTE_HEARTBEATS
    }

    fn failed(&self, status: &Status, action: RPCTypes, limit: Duration) -> RpcError {
        rpc_error(status, action, self.node, self.link.node, limit)
    }
}

/// The kind of a failure. Unreachable backs off at once, the others are tried again soon.
pub(super) fn rpc_error(status: &Status, action: RPCTypes, id: u64, target: u64, timeout: Duration) -> RpcError {
    match status.code() {
        Code::DeadlineExceeded => Timeout { action, id, target, timeout }.into(),
        Code::Unavailable | Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition => {
            Unreachable::from_string(sentence(status)).into()
        }
        _ => NetworkError::from_string(sentence(status)).into(),
    }
}

pub(super) fn malformed(error: &Malformed) -> RpcError {
    NetworkError::new(error).into()
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let (limit, mut control) = (self.vote_limit(), self.control());
        let answer = within(limit, control.vote(messages::vote_request(&request))).await;
        let answer = answer.map_err(|status| self.failed(&status, RPCTypes::Vote, limit))?;
        messages::read_vote_response(answer).map_err(|error| malformed(&error))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let (limit, mut control) = (self.vote_limit(), self.control());
        let answer = within(limit, control.pre_vote(messages::vote_request(&request))).await;
        let answer = answer.map_err(|status| self.failed(&status, RPCTypes::Vote, limit))?;
        messages::read_vote_response(answer).map_err(|error| malformed(&error))
    }
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let (limit, mut control) = (self.pace.election, self.control());
        let answer = within(limit, control.transfer_leader(messages::transfer_request(&request))).await;
        match answer {
            Ok(_) => Ok(Ok(())),
            Err(status) => Err(self.failed(&status, RPCTypes::TransferLeader, limit)),
        }
    }
}

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendResults<'s>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        match self.purpose {
            Purpose::Heartbeat => {
                let peer: &Self = self;
                let results = input.then(move |request| peer.heartbeat(request, option.hard_ttl()));
                Box::pin(async move { Ok(results.boxed()) })
            }
            Purpose::Replication => Box::pin(append::pipeline(
                self.link.channels().append.clone(),
                input,
                append::Ends { node: self.node, target: self.link.node },
                self.pace.append_silence(),
            )),
        }
    }
}

impl Peer {
    async fn heartbeat(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
        let answer = within(limit, self.control().heartbeat(messages::append_request(&request))).await;
        let answer = answer.map_err(|status| self.failed(&status, RPCTypes::AppendEntries, limit))?;
        messages::read_append_response(answer).map_err(|error| malformed(&error))
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = snapshot::Data;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, snapshot::Data>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let client = self.link.channels().snapshot.clone();
        let sending = snapshot::send(client, vote, snapshot);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = sending => answer.map_err(|status| {
                self.failed(&status, RPCTypes::InstallSnapshot, snapshot::SILENCE_MAX).into()
            }),
        }
    }
}

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        let longest = self.pace.heartbeat * BACKOFF_HEARTBEATS_MAX;
        Some(Backoff::new(iter::successors(Some(BACKOFF_FIRST), move |pause| Some((*pause * 2).min(longest)))))
    }
}

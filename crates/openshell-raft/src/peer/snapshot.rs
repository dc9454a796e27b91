//! Snapshots between nodes: the parts that the store makes, one message each, with a bound on how
//! long a transfer may stand still. A snapshot is verified whole before Raft hears of it, and a
//! node takes one at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use openraft::Snapshot;
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::SnapshotOf;
use openshell_chaos::{Point, point};
use openshell_proto::log::SnapshotPart;
use openshell_proto::log::snapshot_part::Part;
use openshell_proto::peer;
use openshell_store::snapshot::{Assembler, Limits, SnapshotError, parts};
use openshell_store::{Durable, TypeConfig, Vote};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::handshake::PeerIdentity;
use super::links::Client;
use super::service::{check_sender, malformed, stopped};
use crate::node::Node;

/// What a snapshot carries.
pub(crate) type Data = openshell_store::snapshot::SnapshotData;

/// How long a transfer may stand still.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long the receiver may take to verify and install once it has every part.
const INSTALL_MAX: Duration = Duration::from_secs(60);
/// Parts that are encoded before the connection takes them.
const PARTS_AHEAD: usize = 2;
/// No snapshot is larger: the state is held in memory.
const SNAPSHOT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How often the sender looks whether the transfer stands still.
const LOOK: Duration = Duration::from_secs(1);

/// When the transfer last moved, and how long it may stand still from then on.
#[derive(Clone)]
struct Progress(Arc<Mutex<(Instant, Duration)>>);

impl Progress {
    fn moved(&self, patience: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), patience);
    }

    fn stands_still(&self) -> bool {
        let (since, patience) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.elapsed() > patience
    }
}

/// Sends a snapshot and waits until it is installed.
///
/// # Errors
/// A status; the transfer may be started again.
pub(super) async fn send(
    mut client: Client,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, Data>,
) -> Result<SnapshotResponse<TypeConfig>, Status> {
    let progress = Progress(Arc::new(Mutex::new((Instant::now(), SILENCE_MAX))));
    let (messages, encoded) = mpsc::channel(PARTS_AHEAD);
    // Ends when everything is sent, or when nobody takes it any more.
    tokio::spawn(encode(vote, snapshot.snapshot, messages, progress.clone()));
    let mut answer = Box::pin(client.snapshot(ReceiverStream::new(encoded)));
    loop {
        if let Ok(answer) = timeout(LOOK, &mut answer).await {
            let vote = answer?.into_inner().vote.ok_or_else(|| Status::internal("an answer without a vote"))?;
            return Ok(SnapshotResponse::new(Vote::from_message(vote).map_err(|error| malformed(&error))?));
        }
        if progress.stands_still() {
            return Err(Status::deadline_exceeded("the snapshot transfer stands still"));
        }
    }
}

async fn encode(vote: Vote, data: Data, messages: mpsc::Sender<peer::SnapshotRequest>, progress: Progress) {
    let mut vote = Some(vote.to_message());
    for part in parts(&data) {
        point(Point::SnapshotSendPart);
        if messages.send(peer::SnapshotRequest { vote: vote.take(), part: Some(part) }).await.is_err() {
            return;
        }
        progress.moved(SILENCE_MAX);
    }
    // What follows is the receiver's disk.
    progress.moved(INSTALL_MAX);
}

/// Takes a snapshot from a leader and installs it.
pub(super) async fn receive(
    node: &Node,
    caller: &PeerIdentity,
    mut parts: Streaming<peer::SnapshotRequest>,
) -> Result<peer::SnapshotResponse, Status> {
    let busy = || Status::resource_exhausted(format!("node {} takes another snapshot just now", node.id));
    let _one_at_a_time = node.receiving_snapshot.try_lock().map_err(|_| busy())?;
    let first = next(&mut parts).await?.ok_or_else(|| Status::invalid_argument("a snapshot without parts"))?;
    let vote = first.vote.ok_or_else(|| Status::invalid_argument("a snapshot without a vote"))?;
    let vote = Vote::from_message(vote).map_err(|error| malformed(&error))?;
    check_sender(caller, &vote)?;
    let damaged = |error: &dyn std::fmt::Display| Status::data_loss(format!("the snapshot is refused: {error}"));
    let cluster_id = Some(node.myself.cluster_id().as_ref().clone());
    // Raft takes an entry that is beyond the vote for a fault of its own and stops the node.
    let leader = Some(vote.leader_id);
    let mut assembler = Assembler::new(Limits { cluster_id, leader, bytes_max: SNAPSHOT_BYTES_MAX });
    let mut part = first.part;
    loop {
        let received = part.ok_or_else(|| Status::invalid_argument("a message without a part"))?;
        point(Point::SnapshotReceivePart);
        assembler = push(assembler, received).await?.map_err(|error| damaged(&error))?;
        match next(&mut parts).await? {
            Some(message) => part = message.part,
            None => break,
        }
    }
    let data = assembler.finish().map_err(|error| damaged(&error))?;
    let snapshot = Snapshot { meta: data.meta(), snapshot: data };
    let response = node.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| stopped(&error))?;
    Ok(peer::SnapshotResponse { vote: Some(response.vote.to_message()) })
}

/// The last part makes a state of all of them, which takes a while: not where others are served. A runtime
/// of one thread, as a simulation's, has no other place.
async fn push(mut assembler: Assembler, part: SnapshotPart) -> Result<Result<Assembler, SnapshotError>, Status> {
    let is_last = part.part() == Part::Trailer;
    let push = move || assembler.push(&part).map(|()| assembler);
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread if is_last => {
            tokio::task::spawn_blocking(push).await.map_err(|error| Status::internal(error.to_string()))
        }
        _ => Ok(push()),
    }
}

async fn next(parts: &mut Streaming<peer::SnapshotRequest>) -> Result<Option<peer::SnapshotRequest>, Status> {
    match timeout(SILENCE_MAX, parts.next()).await {
        Ok(part) => part.transpose(),
        Err(_) => Err(Status::deadline_exceeded("the snapshot's sender stands still")),
    }
}

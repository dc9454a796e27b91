//! Heartbeats and the append stream, answering side. What cannot be read ends the stream with an
//! error: to pass over one batch would leave a gap. What each request says of the leader's commit
//! index is noted when the request was taken, so that this node knows how fresh it is.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, StreamAppendError};
use openshell_proto::peer::{AppendRequest, AppendResponse};
use openshell_store::{LogId, TypeConfig};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::handshake::PeerIdentity;
use super::messages;
use super::service::{check_sender, malformed, stopped};
use crate::age::proven_commit;
use crate::node::Node;

/// Answers that wait for the connection; openraft itself takes 64 requests ahead.
const ANSWERS_AHEAD: usize = 64;

type Request = AppendEntriesRequest<TypeConfig>;

/// Takes one request that stands alone: a heartbeat.
pub(super) async fn single(node: &Node, request: Request) -> Result<AppendResponse, Status> {
    use openraft::raft::AppendEntriesResponse as Answer;
    let (told_at, commit) = (Instant::now(), proven_commit(&request.vote, request.leader_commit.as_ref()));
    let previous = request.prev_log_id;
    let last = request.entries.last().map(|entry| entry.log_id).or(previous);
    let answer = node.raft.append_entries(request).await.map_err(|error| stopped(&error))?;
    let result = match (answer, previous) {
        (Answer::Success, _) => Ok(last),
        (Answer::PartialSuccess(matching), _) => Ok(matching),
        (Answer::HigherVote(vote), _) => Err(StreamAppendError::HigherVote(vote)),
        (Answer::Conflict, Some(at)) => Err(StreamAppendError::Conflict(at)),
        (Answer::Conflict, None) => return Err(Status::internal("a request without a previous entry conflicts")),
    };
    if let (Ok(_), Some(commit)) = (&result, commit) {
        node.freshness.told(commit, told_at, node.view.load().revision());
    }
    Ok(messages::append_response(&result))
}

/// What the two halves of a stream share.
#[derive(Default)]
struct Shared {
    /// Of the requests without an answer, oldest first: when taken, and the commit index that is proven.
    told: VecDeque<(Instant, Option<u64>)>,
    /// Why the stream ends.
    failure: Option<Status>,
}

/// Takes a stream of requests and answers them in order.
pub(super) fn pipeline(
    node: Arc<Node>,
    caller: PeerIdentity,
    requests: Streaming<AppendRequest>,
) -> ReceiverStream<Result<AppendResponse, Status>> {
    let (answers, answered) = mpsc::channel(ANSWERS_AHEAD);
    let (tasks, stop) = (node.tasks.clone(), node.stop.clone());
    // Ends with the node, or when the caller is gone and with it the receiver of the answers.
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = answers.closed() => {}
            () = answer_all(&node, caller, requests, &answers) => {}
        }
    });
    ReceiverStream::new(answered)
}

async fn answer_all(
    node: &Node,
    caller: PeerIdentity,
    requests: Streaming<AppendRequest>,
    answers: &mpsc::Sender<Result<AppendResponse, Status>>,
) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let results = node.raft.stream_append(taken(caller, requests, Arc::clone(&shared)));
    let mut results = pin!(results);
    while let Some(result) = results.next().await {
        let told = shared.lock().unwrap_or_else(PoisonError::into_inner).told.pop_front();
        if let (Ok(Ok(_)), Some((told_at, Some(commit)))) = (&result, told) {
            node.freshness.told(commit, told_at, node.view.load().revision());
        }
        let answer = result.map(|result| messages::append_response(&result)).map_err(|error| stopped(&error));
        if answers.send(answer).await.is_err() {
            return;
        }
    }
    let failure = shared.lock().unwrap_or_else(PoisonError::into_inner).failure.take();
    if let Some(status) = failure {
        // When the caller is gone it needs no reason.
        drop(answers.send(Err(status)).await);
    }
}

/// The requests, up to the first that cannot be read or is not the caller's.
fn taken(
    caller: PeerIdentity,
    requests: Streaming<AppendRequest>,
    shared: Arc<Mutex<Shared>>,
) -> impl Stream<Item = Request> + Send + 'static {
    futures::stream::unfold(requests, move |mut requests| {
        let (caller, shared) = (caller.clone(), Arc::clone(&shared));
        async move {
            let read = read(&caller, requests.next().await?);
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(request) => {
                    let commit = proven_commit(&request.vote, request.leader_commit.as_ref());
                    shared.told.push_back((Instant::now(), commit));
                    drop(shared);
                    Some((request, requests))
                }
                Err(status) => {
                    shared.failure = Some(status);
                    None
                }
            }
        }
    })
}

fn read(caller: &PeerIdentity, message: Result<AppendRequest, Status>) -> Result<Request, Status> {
    let request = messages::read_append_request(message?).map_err(|error| malformed(&error))?;
    check_sender(caller, &request.vote)?;
    let gapless = request.entries.iter().try_fold(request.prev_log_id, follows);
    match gapless {
        Ok(_) => Ok(request),
        Err(index) => Err(Status::invalid_argument(format!("entry {index} does not follow the one before it"))),
    }
}

/// openraft takes a batch on trust, and a gap in it would be a gap in the log.
fn follows(previous: Option<LogId>, entry: &openshell_store::Entry) -> Result<Option<LogId>, u64> {
    let index = entry.log_id.index;
    let expected = previous.map_or(0, |id| id.index + 1);
    if index == expected { Ok(Some(entry.log_id)) } else { Err(index) }
}

//! The append stream, sending side: requests go out without waiting for answers, answers come
//! back in order. A stream on which a sent request stays unanswered for too long fails, since
//! openraft itself puts no bound on it; an idle stream does not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::base::BoxStream;
use openraft::errors::{RPCError, Timeout};
use openraft::network::RPCTypes;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use openshell_proto::peer::AppendResponse;
use openshell_store::TypeConfig;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tonic::Streaming;

use super::links::{Client, within};
use super::messages;
use super::network::{malformed, rpc_error};

/// How long a stream may take to open, connecting and handshake included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// How many times within the bound the stream looks whether it is over.
const LOOKS: u32 = 4;

/// Who talks to whom, for error texts.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) node: u64,
    pub(super) target: u64,
}

/// When the requests without an answer were sent, oldest first.
type Unanswered = Arc<Mutex<VecDeque<Instant>>>;

struct Answers {
    stream: Streaming<AppendResponse>,
    unanswered: Unanswered,
    looks: Interval,
    ends: Ends,
    silence_max: Duration,
}

type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Opens the stream and hands out its answers. An error ends it.
///
/// Only once there is something to send: openraft pauses after errors where it hands out requests,
/// so a stream that was opened before would be opened again at once, without end, while a peer is down.
pub(super) async fn pipeline<'s, S>(
    mut client: Client,
    mut input: S,
    ends: Ends,
    silence_max: Duration,
) -> Result<BoxStream<'s, Item>, RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    let unanswered = Unanswered::default();
    let sent = Arc::clone(&unanswered);
    let Some(first) = input.next().await else { return Ok(futures::stream::empty().boxed()) };
    let requests = futures::stream::iter([first]).chain(input).map(move |request| {
        sent.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
        messages::append_request(&request)
    });
    let stream = within(OPEN_TIMEOUT, client.append_stream(requests))
        .await
        .map_err(|status| rpc_error(&status, RPCTypes::AppendEntries, ends.node, ends.target, OPEN_TIMEOUT))?;
    let mut looks = interval(silence_max / LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let answers = Answers { stream, unanswered, looks, ends, silence_max };
    Ok(futures::stream::unfold(Some(answers), next).boxed())
}

async fn next(answers: Option<Answers>) -> Option<(Item, Option<Answers>)> {
    let mut answers = answers?;
    loop {
        tokio::select! {
            biased;
            answer = answers.stream.next() => {
                let item = answers.read(answer?);
                // After an error the stream says nothing true any more.
                let rest = item.is_ok().then_some(answers);
                return Some((item, rest));
            }
            _ = answers.looks.tick() => if let Some(error) = answers.overdue() {
                return Some((Err(error), None));
            }
        }
    }
}

impl Answers {
    fn read(&self, answer: Result<AppendResponse, tonic::Status>) -> Item {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Ends { node, target } = self.ends;
        let answer =
            answer.map_err(|status| rpc_error(&status, RPCTypes::AppendEntries, node, target, self.silence_max))?;
        messages::read_append_response(answer).map_err(|error| malformed(&error))
    }

    fn overdue(&self) -> Option<RPCError<TypeConfig>> {
        let oldest = *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).front()?;
        let Ends { node: id, target } = self.ends;
        (oldest.elapsed() > self.silence_max)
            .then(|| Timeout { action: RPCTypes::AppendEntries, id, target, timeout: self.silence_max }.into())
    }
}

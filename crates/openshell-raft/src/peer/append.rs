//! The append stream, sending side: requests go out without waiting for answers, answers come
//! back in order. A stream on which a sent request stays unanswered for too long fails, since
//! openraft itself puts no bound on it; an idle stream does not. One that ends before all is answered
//! fails as well: openraft would repeat an order that it has given up since. Which answers openraft hears of
//! is in `unanswered`.

use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::base::BoxStream;
use openraft::errors::{RPCError, Timeout, Unreachable};
use openraft::network::RPCTypes;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use openshell_proto::peer::AppendResponse;
use openshell_store::TypeConfig;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::Status;

use super::lend::{Lender, lend};
use super::links::{Client, within};
use super::messages;
use super::network::{malformed, rpc_error};
use super::unanswered::{Unanswered, noted};

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

/// Answers of the type `T`, to requests of the type `S`.
struct Answers<T, S> {
    stream: T,
    /// No request is made for longer than answers are read: dropped before what lets requests go on.
    _requests: Lender<S>,
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
    input: S,
    ends: Ends,
    silence_max: Duration,
) -> Result<BoxStream<'s, Item>, RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    let (lender, input) = lend(input);
    // Noted before it goes, so that a stream that ends without any answer is not taken for one that is done.
    let (unanswered, mut outgoing) = noted(input);
    let Some(first) = outgoing.next().await else { return Ok(futures::stream::empty().boxed()) };
    let requests = futures::stream::iter([first]).chain(outgoing);
    let stream = within(OPEN_TIMEOUT, client.append_stream(requests))
        .await
        .map_err(|status| rpc_error(&status, RPCTypes::AppendEntries, ends.node, ends.target, OPEN_TIMEOUT))?;
    let mut looks = interval(silence_max / LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let answers = Answers { stream, _requests: lender, unanswered, looks, ends, silence_max };
    Ok(futures::stream::unfold(Some(answers), next).boxed())
}

async fn next<T, S>(answers: Option<Answers<T, S>>) -> Option<(Item, Option<Answers<T, S>>)>
where
    T: Stream<Item = Result<AppendResponse, Status>> + Unpin,
{
    let mut answers = answers?;
    // It asks for the next answer once it is through with the one before.
    answers.unanswered.counted();
    loop {
        tokio::select! {
            biased;
            answer = answers.stream.next() => {
                let item = match answer {
                    Some(answer) => answers.read(answer),
                    None => Some(Err(answers.ended_early()?)),
                };
                let Some(item) = item else { continue };
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

impl<T, S> Answers<T, S> {
    /// An answer as openraft is to hear of it; nothing when that of a later request says as much.
    fn read(&self, answer: Result<AppendResponse, Status>) -> Option<Item> {
        let Ends { node, target } = self.ends;
        let answer =
            answer.map_err(|status| rpc_error(&status, RPCTypes::AppendEntries, node, target, self.silence_max));
        let item = answer.and_then(|answer| messages::read_append_response(answer).map_err(|error| malformed(&error)));
        match &item {
            Ok(Ok(matching)) => self.unanswered.answered(*matching).then_some(item),
            Ok(Err(_)) | Err(_) => {
                self.unanswered.failed();
                Some(item)
            }
        }
    }

    fn overdue(&self) -> Option<RPCError<TypeConfig>> {
        let Ends { node: id, target } = self.ends;
        (self.unanswered.longest()? > self.silence_max)
            .then(|| Timeout { action: RPCTypes::AppendEntries, id, target, timeout: self.silence_max }.into())
    }

    fn ended_early(&self) -> Option<RPCError<TypeConfig>> {
        let target = self.ends.target;
        self.unanswered
            .longest()
            .map(|_| Unreachable::from_string(format!("node {target} ended the stream before it answered all")).into())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::stream;

    use super::*;
    use crate::peer::unanswered::tests::{log_id, sent};

    /// What comes of answers that say these, to requests that end there.
    async fn outcomes(said: &[u64], requests: &[(u64, u64)]) -> Vec<Item> {
        let answer = |index: &u64| Ok(messages::append_response(&Ok(Some(log_id(*index)))));
        let (lender, _lent) = lend(stream::empty::<()>());
        let answers = Answers {
            stream: stream::iter(said.iter().map(answer).collect::<Vec<_>>()),
            _requests: lender,
            unanswered: sent(requests),
            looks: interval(Duration::from_secs(1)),
            ends: Ends { node: 1, target: 2 },
            silence_max: Duration::from_secs(4),
        };
        pin!(stream::unfold(Some(answers), next)).collect().await
    }

    #[tokio::test]
    async fn a_stream_that_ends_with_every_request_answered_just_ends() {
        let outcomes = outcomes(&[5, 6], &[(4, 5), (5, 6)]).await;
        assert!(matches!(outcomes[..], [Ok(Ok(Some(_))), Ok(Ok(Some(_)))]), "{outcomes:?}");
    }

    #[tokio::test]
    async fn a_stream_that_ends_before_every_request_is_answered_fails() {
        let outcomes = outcomes(&[5], &[(4, 5), (5, 6)]).await;
        assert!(matches!(outcomes[..], [Ok(Ok(Some(_))), Err(RPCError::Unreachable(_))]), "{outcomes:?}");
    }

    #[tokio::test]
    async fn an_answer_that_would_count_for_a_request_without_entries_is_not_told_before_the_answer_to_that() {
        let outcomes = outcomes(&[5, 5], &[(4, 5), (5, 5)]).await;
        assert!(matches!(outcomes[..], [Ok(Ok(Some(_)))]), "{outcomes:?}");
        let unanswered = self::outcomes(&[5], &[(4, 5), (5, 5)]).await;
        assert!(matches!(unanswered[..], [Err(RPCError::Unreachable(_))]), "{unanswered:?}");
    }

    #[tokio::test]
    async fn a_request_that_stays_unanswered_fails_the_stream_in_time_and_ends_its_requests() {
        let (lender, mut lent) = lend(stream::repeat(()));
        let silence_max = Duration::from_millis(40);
        let answers = Answers {
            stream: stream::pending(),
            _requests: lender,
            unanswered: sent(&[(4, 5)]),
            looks: interval(silence_max / LOOKS),
            ends: Ends { node: 1, target: 2 },
            silence_max,
        };
        assert!(lent.next().await.is_some());
        let (item, rest) = next(Some(answers)).await.expect("an error");
        assert!(matches!(item, Err(RPCError::Timeout(_))), "{item:?}");
        assert!(rest.is_none() && lent.next().await.is_none(), "no request is made that nobody reads the answer of");
    }
}

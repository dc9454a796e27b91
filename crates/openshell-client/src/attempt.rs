//! One attempt at one endpoint, of a call or to open a stream, and what its end means.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::client::Client;
use crate::error::{EndpointFailure, causes};
use crate::line::{Line, Patience};
use crate::options::CallOptions;
use crate::position::Position;
use crate::seen::Seen;

/// An endpoint has so long to take the connection, however many there are: a round trip or two through TLS
/// from far away.
const CONNECT_MIN: Duration = Duration::from_secs(1);

/// What came of one attempt.
pub(crate) enum Outcome<T> {
    Answered(T, Seen),
    Refused(Status),
    /// A node answered, and promised that nothing happened.
    NotDone(Status),
    /// A node may have received the call.
    Doubt(Status),
    /// Certainly nothing was sent.
    NotReached(EndpointFailure),
}

impl<T> Outcome<T> {
    /// Why there is no answer, in words.
    pub(crate) fn reason(&self) -> String {
        let of_status = |status: &Status| {
            let mut words = vec![status.message().to_owned()];
            words.extend(std::error::Error::source(status).into_iter().flat_map(|source| causes(source).pop()));
            words.dedup();
            words.join(": ")
        };
        match self {
            Self::Answered(..) => String::new(),
            Self::Refused(status) | Self::NotDone(status) | Self::Doubt(status) => of_status(status),
            Self::NotReached(failure) => failure.causes.join(": "),
        }
    }
}

impl Client {
    /// Connects, asks, and judges what came of it. With several endpoints an attempt has a share of
    /// the time, so that a silent one leaves some for the rest.
    pub(crate) async fn attempt<M, F>(
        &self,
        line: &Line,
        deadline: Instant,
        options: &CallOptions,
        ask: impl FnOnce(Grpc<Channel>, Duration) -> F,
    ) -> Outcome<M>
    where
        F: Future<Output = Result<Response<M>, Status>>,
    {
        let remaining = || deadline.saturating_duration_since(Instant::now());
        let connection = match line.connection(self.patience(remaining(), options)).await {
            Ok(connection) => connection,
            Err(failure) => return Outcome::NotReached(failure),
        };
        let limit = match self.inner.lines.len() {
            1 => remaining(),
            _ => remaining().min(options.attempt_limit.unwrap_or(self.inner.attempt_limit)),
        };
        let asking = async {
            let mut grpc = Grpc::new(connection.channel.clone());
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            ask(grpc, limit).await
        };
        let outcome = match timeout(limit, asking).await {
            Ok(Ok(response)) => {
                let seen = Seen::from_metadata(response.metadata());
                Outcome::Answered(response.into_inner(), seen)
            }
            Ok(Err(status)) => judge(line, status),
            Err(_) => Outcome::Doubt(Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()))),
        };
        match &outcome {
            Outcome::Answered(..) | Outcome::Refused(_) | Outcome::NotDone(_) => {}
            Outcome::Doubt(_) | Outcome::NotReached(_) => line.forget(&connection).await,
        }
        outcome
    }

    /// Each endpoint is waited for an equal share of the time for connecting, so that one silent endpoint leaves
    /// time for the rest. With many of them that is less than a far one needs: it goes on connecting, and
    /// [`Client::reached_late`] finds it when nobody else was there.
    fn patience(&self, remaining: Duration, options: &CallOptions) -> Patience {
        let endpoints = u32::try_from(self.inner.lines.len()).unwrap_or(u32::MAX);
        let share = self.inner.connect_limit / endpoints;
        let whole = remaining.min(share.max(CONNECT_MIN.min(self.inner.connect_limit)));
        // Who asks no other endpoint waits for this one.
        let waited = if options.attempts_max == 1 { whole } else { remaining.min(share) };
        Patience { waited, whole }
    }

    /// An endpoint that took the connection, though later than it was waited for. Those that are still
    /// connecting are waited for.
    pub(crate) async fn reached_late(&self, deadline: Instant) -> Option<usize> {
        let mut waiting = JoinSet::new();
        for (index, line) in self.inner.lines.iter().cloned().enumerate() {
            waiting.spawn(async move { line.is_connected().await.then_some(index) });
        }
        let first = async {
            while let Some(looked) = waiting.join_next().await {
                if let Ok(Some(index)) = looked {
                    return Some(index);
                }
            }
            None
        };
        timeout_at(deadline, first).await.ok().flatten()
    }

    pub(crate) fn headed<Q>(
        &self,
        message: Q,
        options: &CallOptions,
        carried: Option<Position>,
        (request_id, attempt): (Uuid, u32),
    ) -> Request<Q> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        for (name, value) in &self.inner.headers {
            metadata.insert(name, value.clone());
        }
        let mut id = Uuid::encode_buffer();
        let id: &str = request_id.hyphenated().encode_lower(&mut id);
        if let Ok(id) = id.parse::<MetadataValue<Ascii>>() {
            metadata.insert("x-openshell-request-id", id);
        }
        metadata.insert("x-openshell-attempt", MetadataValue::from(attempt));
        if let Some(consistency) = self.inner.consistency.or(options.consistency) {
            metadata.insert("x-openshell-consistency", MetadataValue::from_static(consistency.as_str()));
        }
        let at_least = options.at_least.or(carried.map(|position| (position.epoch, position.revision)));
        if let Some((epoch, revision)) = at_least {
            metadata.insert("x-openshell-epoch", MetadataValue::from(epoch));
            metadata.insert("x-openshell-min-revision", MetadataValue::from(revision));
        }
        request
    }
}

/// Whether tonic says that the end of an answer is missing. It makes these statuses itself, without a source, and the
/// second one with the node's headers: no node has said them, and whether the call took effect is not known.
fn is_cut_short(status: &Status) -> bool {
    let said = ["Missing response message.", "Unexpected EOF decoding stream."];
    status.code() == Code::Internal && said.contains(&status.message())
}

/// The node that said this; none of a status that tonic made out of what became of a connection, also where the headers of
/// a node came before it.
#[must_use]
pub fn said_by(status: &Status) -> Option<u64> {
    let is_made = std::error::Error::source(status).is_some() || is_cut_short(status);
    Seen::from_metadata(status.metadata()).node.filter(|_| !is_made)
}

/// What a failed attempt means. tonic gives a status that it made itself, out of a broken connection or a timer, a source,
/// but where the answer [is cut short](is_cut_short); any other without a source was said by a node.
fn judge<T>(line: &Line, status: Status) -> Outcome<T> {
    if let Some(source) = std::error::Error::source(&status) {
        return match connect_error(source) {
            Some(error) => Outcome::NotReached(line.failure(error)),
            None => Outcome::Doubt(status),
        };
    }
    match status.code() {
        Code::Unavailable if outcome_is(&status, "not-done") => Outcome::NotDone(status),
        // Something that the cluster had to call did not answer: that is the answer.
        Code::Unavailable if outcome_is(&status, "refused") => Outcome::Refused(status),
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled => Outcome::Doubt(status),
        Code::Internal if is_cut_short(&status) => Outcome::Doubt(status),
        // Written out, so that a code added to the library is judged by a person.
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Outcome::Refused(status),
    }
}

/// Whether a node refused a call for the position that it carried, before it looked at the request: the
/// position is of another life of the cluster, or lies ahead of it.
pub(crate) fn is_lost(position: Position, refusal: &Status) -> bool {
    if refusal.code() != Code::FailedPrecondition || outcome_is(refusal, "unknown") {
        return false;
    }
    let seen = Seen::from_metadata(refusal.metadata());
    let is_of_another_epoch = seen.epoch.is_some_and(|epoch| epoch != 0 && epoch != position.epoch);
    is_of_another_epoch || refusal.metadata().get("x-openshell-position").is_some_and(|value| value == "lost")
}

/// At which time another request id is to be made, in milliseconds since the Unix epoch, when the refused one does not fit
/// the cluster's time. Nothing was done in the refused attempt.
#[must_use]
pub fn id_time_ms(refusal: &Status) -> Option<u64> {
    refusal.metadata().get("x-openshell-id-time-ms")?.to_str().ok()?.parse().ok()
}

pub(crate) fn outcome_is(status: &Status, outcome: &str) -> bool {
    status.metadata().get("x-openshell-outcome").is_some_and(|value| value == outcome)
}

fn connect_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<tonic::ConnectError>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

//! One logical call: the same request id on every attempt, the next endpoint after a failure, until
//! an answer, a refusal or the deadline. A refusal is never repeated; doubt always is, because the
//! cluster remembers the id and answers a repetition with the first answer. After doubt a refusal
//! counts for the whole call only when the node says so; else it is about its own attempt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::client::Client;
use crate::error::{CallError, EndpointFailure};
use crate::line::Line;
use crate::method::Method;
use crate::options::CallOptions;
use crate::seen::Seen;

/// An answer and what is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// The message itself.
    pub message: T,
    /// The state that it was made from.
    pub seen: Seen,
    /// The identity under which the call was made.
    pub request_id: Uuid,
    /// Attempts that may have reached a node, the successful one included.
    pub attempts: u32,
}

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

/// What the attempts so far amount to.
struct Progress {
    /// That may have reached a node.
    attempts: u32,
    /// The last failure that left doubt.
    doubt: Option<Status>,
    /// The last failure that left none.
    not_done: Option<Status>,
    /// By endpoint.
    failures: Vec<Option<EndpointFailure>>,
}

impl Client {
    /// Makes a unary call and repeats it as `options` allow.
    ///
    /// # Errors
    /// [`CallError`], whose variants say whether the call may have taken effect and how it may be
    /// repeated.
    pub async fn call<Q, A>(
        &self,
        method: &Method<Q, A>,
        request: Q,
        options: &CallOptions,
    ) -> Result<Answer<A>, CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let inner = &self.inner;
        let endpoints = inner.lines.len();
        let path = path_of(method.path())?;
        let deadline = Instant::now() + options.deadline;
        let request_id = options.request_id.unwrap_or_else(|| inner.source.request_id());
        let first = inner.preferred.load(Ordering::Relaxed);
        let mut progress = Progress { attempts: 0, doubt: None, not_done: None, failures: vec![None; endpoints] };
        let mut rounds: u32 = 0;
        loop {
            let index = (first + rounds as usize) % endpoints;
            let attempt = options.first_attempt.saturating_add(progress.attempts);
            let request = self.headed(request.clone(), options, request_id, attempt);
            match self.attempt(&inner.lines[index], path.clone(), request, deadline).await {
                Outcome::Answered(message, seen) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    return Ok(Answer { message, seen, request_id, attempts: progress.attempts + 1 });
                }
                Outcome::Refused(status) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    let doubt = progress.doubt.is_some() || options.first_attempt > 1;
                    return Err(match doubt && !is_for_all_attempts(&status) {
                        true => CallError::Unknown { request_id, status, attempts: progress.attempts + 1 },
                        false => CallError::Refused(status),
                    });
                }
                failed @ (Outcome::NotDone(_) | Outcome::Doubt(_) | Outcome::NotReached(_)) => {
                    progress.note(index, failed)
                }
            }
            rounds += 1;
            let pause = inner.source.jittered(pause_before(rounds, endpoints));
            let out_of_time = Instant::now() + pause >= deadline;
            if out_of_time || rounds >= options.attempts_max || progress.is_hopeless() {
                return Err(progress.verdict(request_id));
            }
            tracing::debug!(%request_id, rounds, "the call is repeated");
            sleep(pause).await;
        }
    }

    /// Makes a unary call by its path (`openshell.v1.OpenShell/GetProvider`), for callers that learn
    /// the method at run time.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn unary<Q, A>(&self, path: &str, request: Q, options: &CallOptions) -> Result<Answer<A>, CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.call(&Method::named(path), request, options).await
    }

    async fn attempt<Q, A>(
        &self,
        line: &Line,
        path: PathAndQuery,
        mut request: Request<Q>,
        deadline: Instant,
    ) -> Outcome<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let remaining = || deadline.saturating_duration_since(Instant::now());
        let connection = match line.connection(self.connect_limit(remaining())).await {
            Ok(connection) => connection,
            Err(failure) => return Outcome::NotReached(failure),
        };
        let limit = match self.inner.lines.len() {
            1 => remaining(),
            _ => remaining().min(self.inner.attempt_limit),
        };
        request.set_timeout(limit);
        let calling = async {
            let mut grpc = Grpc::new(connection.channel.clone());
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
        };
        let outcome = match timeout(limit, calling).await {
            Ok(Ok(response)) => {
                let seen = Seen::from_metadata(response.metadata());
                Outcome::Answered(response.into_inner(), seen)
            }
            Ok(Err(status)) => judge(line, status),
            Err(_) => Outcome::Doubt(no_answer(limit)),
        };
        match &outcome {
            Outcome::Answered(..) | Outcome::Refused(_) | Outcome::NotDone(_) => {}
            Outcome::Doubt(_) | Outcome::NotReached(_) => line.forget(&connection).await,
        }
        outcome
    }

    /// An equal share of the time for connecting, so that one silent endpoint leaves time for the rest.
    pub(crate) fn connect_limit(&self, remaining: Duration) -> Duration {
        let endpoints = u32::try_from(self.inner.lines.len()).unwrap_or(u32::MAX);
        remaining.min(self.inner.connect_limit / endpoints)
    }

    pub(crate) fn headed<Q>(&self, message: Q, options: &CallOptions, request_id: Uuid, attempt: u32) -> Request<Q> {
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
        if let Some(consistency) = options.consistency {
            metadata.insert("x-openshell-consistency", MetadataValue::from_static(consistency.as_str()));
        }
        if let Some((epoch, revision)) = options.at_least {
            metadata.insert("x-openshell-epoch", MetadataValue::from(epoch));
            metadata.insert("x-openshell-min-revision", MetadataValue::from(revision));
        }
        request
    }
}

impl Progress {
    fn note<T>(&mut self, index: usize, outcome: Outcome<T>) {
        match outcome {
            Outcome::Answered(..) => self.attempts += 1,
            Outcome::Refused(status) | Outcome::NotDone(status) => {
                self.attempts += 1;
                self.not_done = Some(status);
            }
            Outcome::Doubt(status) => {
                self.attempts += 1;
                self.doubt = Some(status);
            }
            Outcome::NotReached(failure) => self.failures[index] = Some(failure),
        }
    }

    /// Nothing was sent and no endpoint is left to try: the caller should hear it at once.
    fn is_hopeless(&self) -> bool {
        self.attempts == 0 && self.failures.iter().all(Option::is_some)
    }

    /// One attempt in doubt leaves the whole call in doubt, whatever the others said.
    fn verdict(self, request_id: Uuid) -> CallError {
        match (self.doubt, self.not_done) {
            (Some(status), _) => CallError::Unknown { request_id, status, attempts: self.attempts },
            (None, Some(status)) => CallError::NotDone { status, attempts: self.attempts },
            (None, None) => CallError::Unreachable(self.failures.into_iter().flatten().collect()),
        }
    }
}

/// What a failed attempt means. tonic gives a status a source exactly when it made the status itself,
/// out of a broken connection or a timer; one without a source was said by a node.
pub(crate) fn judge<T>(line: &Line, status: Status) -> Outcome<T> {
    if let Some(source) = std::error::Error::source(&status) {
        return match connect_error(source) {
            Some(error) => Outcome::NotReached(line.failure(error)),
            None => Outcome::Doubt(status),
        };
    }
    match status.code() {
        Code::Unavailable if outcome_is(&status, "not-done") => Outcome::NotDone(status),
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled => Outcome::Doubt(status),
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

/// The node says that no attempt under the request id took effect or will: it has claimed the id, or
/// the call has no effect at all.
fn is_for_all_attempts(refusal: &Status) -> bool {
    outcome_is(refusal, "refused")
}

fn outcome_is(status: &Status, outcome: &str) -> bool {
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

pub(crate) fn no_answer(limit: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()))
}

/// No pause until every endpoint was asked once, then one before each further attempt, doubling with
/// each time round up to 0.8 s.
fn pause_before(rounds: u32, endpoints: usize) -> Duration {
    let times_round = rounds as usize / endpoints;
    match u32::try_from(times_round) {
        Ok(0) => Duration::ZERO,
        Ok(times) => Duration::from_millis(25) * 2_u32.pow((times - 1).min(5)),
        Err(_) => Duration::from_millis(800),
    }
}

pub(crate) fn path_of(path: &str) -> Result<PathAndQuery, CallError> {
    path.parse().map_err(|_| CallError::Refused(Status::invalid_argument(format!("'{path}' is no path of an RPC"))))
}

#[cfg(test)]
mod tests;

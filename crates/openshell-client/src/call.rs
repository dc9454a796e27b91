//! One logical call: the same request id on every attempt, the next endpoint after a failure, until
//! an answer, a refusal or the deadline. A refusal is never repeated; doubt always is, because the
//! cluster remembers the id and answers a repetition with the first answer. After doubt a refusal
//! counts for the whole call only when the node says so; else it is about its own attempt. A failure
//! with the outcome `unknown` is never a refusal, whatever its code.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::attempt::{Outcome, outcome_is};
use crate::client::Client;
use crate::error::{CallError, EndpointFailure};
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

/// What the attempts so far amount to.
pub(crate) struct Progress {
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
        let mut progress = Progress::new(endpoints);
        let mut rounds: u32 = 0;
        loop {
            let index = (first + rounds as usize) % endpoints;
            let attempt = options.first_attempt.saturating_add(progress.attempts);
            let request = self.headed(request.clone(), options, request_id, attempt);
            let path = path.clone();
            let ask = |mut grpc: Grpc<Channel>, limit: Duration| {
                let mut request = request;
                request.set_timeout(limit);
                async move { grpc.unary(request, path, ProstCodec::<Q, A>::default()).await }
            };
            match self.attempt(&inner.lines[index], deadline, options, ask).await {
                Outcome::Answered(message, seen) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    return Ok(Answer { message, seen, request_id, attempts: progress.attempts + 1 });
                }
                Outcome::Refused(status) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    let doubt = progress.doubt.is_some() || options.first_attempt > 1;
                    let unknown = outcome_is(&status, "unknown") || doubt && !is_for_all_attempts(&status);
                    return Err(match unknown {
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
}

impl Progress {
    /// Of a call that may go to so many endpoints.
    pub(crate) fn new(endpoints: usize) -> Self {
        Self { attempts: 0, doubt: None, not_done: None, failures: vec![None; endpoints] }
    }

    pub(crate) fn note<T>(&mut self, index: usize, outcome: Outcome<T>) {
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
    pub(crate) fn verdict(self, request_id: Uuid) -> CallError {
        match (self.doubt, self.not_done) {
            (Some(status), _) => CallError::Unknown { request_id, status, attempts: self.attempts },
            (None, Some(status)) => CallError::NotDone { status, attempts: self.attempts },
            (None, None) => CallError::Unreachable(self.failures.into_iter().flatten().collect()),
        }
    }
}

/// The node says that no attempt under the request id took effect or will: it has claimed the id, or
/// the call has no effect at all.
fn is_for_all_attempts(refusal: &Status) -> bool {
    outcome_is(refusal, "refused")
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

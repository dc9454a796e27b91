//! One logical call: the same request id on every attempt, the next endpoint after a failure, until
//! an answer, a refusal or the deadline. A refusal is never repeated; doubt always is, because the
//! cluster remembers the id and answers a repetition with the first answer. After doubt a refusal
//! counts for the whole call only when the node says so; else it is about its own attempt. A failure
//! with the outcome `unknown` is never a refusal, whatever its code. An id that nobody but this call has chosen, and that
//! does not fit the cluster's time, is replaced before there is any doubt.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::attempt::{Outcome, id_time_ms, is_lost, outcome_is};
use crate::client::Client;
use crate::error::{CallError, EndpointFailure};
use crate::event::Telling;
use crate::method::Method;
use crate::nearest::Nearness;
use crate::options::CallOptions;
use crate::seen::Seen;

/// So many other ids are made for a call whose id does not fit the cluster's time: that goes on while others write.
const OTHER_IDS_MAX: u32 = 5;

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
    /// Attempts without an answer.
    rounds: u32,
    /// Endpoints asked since all of them were.
    asked: Vec<bool>,
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
        let path = path_of(method.path())?;
        let deadline = Instant::now() + options.deadline.unwrap_or(inner.deadline);
        let mut request_id = options.request_id.unwrap_or_else(|| inner.source.request_id());
        let may_choose = options.request_id.is_none() && options.attempts_max > 1;
        let (mut ids_left, mut under_other_ids) = (if may_choose { OTHER_IDS_MAX } else { 0 }, 0);
        let mut telling = Telling::begin(inner, method.path());
        // When there is no time left, the attempt says so.
        let _ = timeout_at(deadline, inner.nearness.measure(&inner.lines)).await;
        let mut progress = Progress::new(inner.lines.len());
        let mut index = progress.turn(&inner.nearness);
        let mut may_lose = options.attempts_max > 1;
        loop {
            let attempt = options.first_attempt.saturating_add(progress.attempts - under_other_ids);
            let carried = inner.carried(options);
            let request = self.headed(request.clone(), options, carried, (request_id, attempt));
            let path = path.clone();
            let ask = |mut grpc: Grpc<Channel>, limit: Duration| {
                let mut request = request;
                request.set_timeout(limit);
                async move { grpc.unary(request, path, ProstCodec::<Q, A>::default()).await }
            };
            let failed = match self.attempt(&inner.lines[index], deadline, options, ask).await {
                Outcome::Answered(message, seen) => {
                    inner.nearness.prefer(index);
                    let attempts = progress.attempts + 1;
                    telling.answered(index, attempts, seen);
                    return Ok(Answer { message, seen, request_id, attempts });
                }
                Outcome::Refused(status) => {
                    inner.nearness.prefer(index);
                    let in_doubt = progress.doubt.is_some() || options.first_attempt > 1;
                    let may_repeat = ids_left > 0 && !in_doubt && Instant::now() < deadline;
                    if let Some(time_ms) = id_time_ms(&status).filter(|_| may_repeat) {
                        telling.repeated(request_id, index, status.message(), index);
                        request_id = inner.source.request_id_at(time_ms);
                        ids_left -= 1;
                        progress.note(index, Outcome::<A>::Refused(status));
                        under_other_ids = progress.attempts;
                        continue;
                    }
                    if let Some(lost) = carried.filter(|carried| is_lost(*carried, &status)) {
                        let repeats = may_lose && !in_doubt;
                        telling.lost(lost, &status, repeats);
                        if repeats {
                            may_lose = false;
                            progress.note(index, Outcome::<A>::Refused(status));
                            continue;
                        }
                    }
                    telling.refused(index, progress.attempts + 1, &status);
                    return Err(refusal(status, in_doubt, request_id, progress.attempts + 1));
                }
                failed @ (Outcome::NotDone(_) | Outcome::Doubt(_) | Outcome::NotReached(_)) => failed,
            };
            let reason = failed.reason();
            progress.note(index, failed);
            let pause = inner.source.jittered(pause_before(progress.rounds, inner.lines.len()));
            let out_of_time = Instant::now() + pause >= deadline;
            if out_of_time || progress.rounds >= options.attempts_max || self.is_hopeless(&progress, deadline).await {
                return Err(telling.failed(progress.verdict(request_id)));
            }
            let next = progress.turn(&inner.nearness);
            telling.repeated(request_id, index, &reason, next);
            sleep(pause).await;
            index = next;
        }
    }

    /// Nothing was sent and no endpoint is left to try: the caller should hear it at once. One that took the
    /// connection late is asked next.
    pub(crate) async fn is_hopeless(&self, progress: &Progress, deadline: Instant) -> bool {
        if !progress.has_reached_nobody() {
            return false;
        }
        match self.reached_late(deadline).await {
            Some(index) => {
                self.inner.nearness.prefer(index);
                false
            }
            None => true,
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
        Self {
            attempts: 0,
            rounds: 0,
            asked: vec![false; endpoints],
            doubt: None,
            not_done: None,
            failures: vec![None; endpoints],
        }
    }

    /// The endpoint whose turn it is: each once, then all of them again.
    pub(crate) fn turn(&mut self, nearness: &Nearness) -> usize {
        if self.has_asked_all() {
            self.asked.fill(false);
        }
        let index = nearness.next(&self.asked).unwrap_or_default();
        self.asked[index] = true;
        index
    }

    pub(crate) fn note<T>(&mut self, index: usize, outcome: Outcome<T>) {
        match outcome {
            Outcome::Answered(..) => self.attempts += 1,
            Outcome::Refused(status) => {
                self.attempts += 1;
                self.not_done = Some(status);
            }
            Outcome::NotDone(status) => {
                self.attempts += 1;
                self.rounds += 1;
                self.not_done = Some(status);
            }
            Outcome::Doubt(status) => {
                self.attempts += 1;
                self.rounds += 1;
                self.doubt = Some(status);
            }
            Outcome::NotReached(failure) => {
                self.rounds += 1;
                self.failures[index] = Some(failure);
            }
        }
    }

    /// That may have reached a node.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Every endpoint was asked since this began, or since all of them were.
    pub(crate) fn has_asked_all(&self) -> bool {
        self.asked.iter().all(|asked| *asked)
    }

    /// Nothing was sent, and every endpoint has failed.
    fn has_reached_nobody(&self) -> bool {
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

/// What a node's no means. After doubt it is about its own attempt only, unless the node says more.
fn refusal(status: Status, in_doubt: bool, request_id: Uuid, attempts: u32) -> CallError {
    let unknown = outcome_is(&status, "unknown") || in_doubt && !is_for_all_attempts(&status);
    match unknown {
        true => CallError::Unknown { request_id, status, attempts },
        false => CallError::Refused(status),
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

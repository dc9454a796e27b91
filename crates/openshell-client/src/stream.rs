//! Opening a server stream at whichever endpoint takes it. What comes through it, and what happens
//! when it breaks, is the caller's; `watch` resumes one kind of stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::call::{Outcome, judge, no_answer, path_of};
use crate::client::Client;
use crate::error::CallError;
use crate::line::Line;
use crate::method::Method;
use crate::options::CallOptions;

/// One message of a stream may hold everything that one transaction changed.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Client {
    /// Opens a server stream at the first endpoint that takes it, beginning with the one that
    /// answered last. The stream is not resumed when it breaks; the deadline bounds the opening only.
    ///
    /// # Errors
    /// [`CallError::Refused`] by the first endpoint that answers; otherwise, of the last failure,
    /// [`CallError::Unknown`], or [`CallError::Unreachable`] when no endpoint could be connected.
    /// Opening a stream again does no harm.
    pub async fn stream<Q, A>(
        &self,
        method: &Method<Q, A>,
        request: Q,
        options: &CallOptions,
    ) -> Result<Streaming<A>, CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let inner = &self.inner;
        let endpoints = inner.lines.len();
        let request_id = options.request_id.unwrap_or_else(|| inner.source.request_id());
        let first = inner.preferred.load(Ordering::Relaxed);
        let deadline = Instant::now() + options.deadline;
        let (mut doubt, mut failures) = (None, Vec::new());
        for index in (first..first + endpoints).map(|index| index % endpoints) {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let limit = if endpoints == 1 { remaining } else { remaining.min(inner.attempt_limit) };
            match self.open(&inner.lines[index], method, request.clone(), options, request_id, limit).await {
                Outcome::Answered(stream, _) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Outcome::Refused(status) => return Err(CallError::Refused(status)),
                Outcome::NotDone(status) | Outcome::Doubt(status) => doubt = Some(status),
                Outcome::NotReached(failure) => failures.push(failure),
            }
        }
        Err(match doubt {
            Some(status) => CallError::Unknown { request_id, status, attempts: options.first_attempt },
            None => CallError::Unreachable(failures),
        })
    }

    /// Lets the next call or stream begin at another endpoint.
    pub(crate) fn prefer_next(&self) {
        let next = (self.inner.preferred.load(Ordering::Relaxed) + 1) % self.inner.lines.len();
        self.inner.preferred.store(next, Ordering::Relaxed);
    }

    async fn open<Q, A>(
        &self,
        line: &Line,
        method: &Method<Q, A>,
        request: Q,
        options: &CallOptions,
        request_id: Uuid,
        limit: Duration,
    ) -> Outcome<Streaming<A>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = match path_of(method.path()) {
            Ok(path) => path,
            Err(error) => return Outcome::Refused(Status::invalid_argument(error.to_string())),
        };
        let connection = match line.connection(self.connect_limit(limit)).await {
            Ok(connection) => connection,
            Err(failure) => return Outcome::NotReached(failure),
        };
        let request = self.headed(request, options, request_id, options.first_attempt);
        let opening = async {
            let mut grpc = Grpc::new(connection.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            grpc.server_streaming(request, path, ProstCodec::<Q, A>::default()).await
        };
        let outcome = match timeout(limit, opening).await {
            Ok(Ok(response)) => {
                let seen = crate::seen::Seen::from_metadata(response.metadata());
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
}

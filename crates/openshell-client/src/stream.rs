//! Opening a server stream at whichever endpoint takes it. What comes through it, and what happens
//! when it breaks, is the caller's; `watch` resumes one kind of stream.

use std::sync::atomic::Ordering;

use prost::Message;
use tokio::time::Instant;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::attempt::Outcome;
use crate::call::{Progress, path_of};
use crate::client::Client;
use crate::error::CallError;
use crate::method::Method;
use crate::options::CallOptions;

/// One message of a stream may hold everything that one transaction changed.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Client {
    /// Opens a server stream at the first endpoint that takes it, beginning with the one that
    /// answered last. The stream is not resumed when it breaks; the deadline bounds the opening only.
    ///
    /// # Errors
    /// [`CallError::Refused`] by the first endpoint that answers; otherwise what the failures
    /// amount to, as of [`Client::call`].
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
        let path = path_of(method.path())?;
        let mut progress = Progress::new(endpoints);
        for index in (first..first + endpoints).map(|index| index % endpoints) {
            let request = self.headed(request.clone(), options, request_id, options.first_attempt);
            let path = path.clone();
            let ask = |grpc: Grpc<Channel>, _| async move {
                let mut grpc = grpc.max_decoding_message_size(MESSAGE_BYTES_MAX);
                grpc.server_streaming(request, path, ProstCodec::<Q, A>::default()).await
            };
            match self.attempt(&inner.lines[index], deadline, options, ask).await {
                Outcome::Answered(stream, _) => {
                    inner.preferred.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Outcome::Refused(status) => return Err(CallError::Refused(status)),
                failed @ (Outcome::NotDone(_) | Outcome::Doubt(_) | Outcome::NotReached(_)) => {
                    progress.note(index, failed);
                }
            }
        }
        Err(progress.verdict(request_id))
    }

    /// Lets the next call or stream begin at another endpoint.
    pub(crate) fn prefer_next(&self) {
        let next = (self.inner.preferred.load(Ordering::Relaxed) + 1) % self.inner.lines.len();
        self.inner.preferred.store(next, Ordering::Relaxed);
    }
}

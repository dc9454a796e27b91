//! Opening a server stream at whichever endpoint takes it. What comes through it, and what happens
//! when it breaks, is the caller's; `watch` resumes one kind of stream.

use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::attempt::{Outcome, is_lost};
use crate::call::{Progress, path_of};
use crate::client::Client;
use crate::error::CallError;
use crate::event::Telling;
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
    /// amount to, as of [`Client::call`], but never in doubt: opening a stream changes nothing.
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
        let request_id = options.request_id.unwrap_or_else(|| inner.source.request_id());
        let deadline = Instant::now() + options.deadline.unwrap_or(inner.deadline);
        let path = path_of(method.path())?;
        let mut telling = Telling::begin(inner, method.path());
        let _ = timeout_at(deadline, inner.nearness.measure(&inner.lines)).await;
        let mut progress = Progress::new(inner.lines.len());
        let mut index = progress.turn(&inner.nearness);
        let mut may_lose = true;
        loop {
            let carried = inner.carried(options);
            let request = self.headed(request.clone(), options, carried, (request_id, options.first_attempt));
            let path = path.clone();
            let ask = |grpc: Grpc<Channel>, _| async move {
                let mut grpc = grpc.max_decoding_message_size(MESSAGE_BYTES_MAX);
                grpc.server_streaming(request, path, ProstCodec::<Q, A>::default()).await
            };
            let failed = match self.attempt(&inner.lines[index], deadline, options, ask).await {
                Outcome::Answered(stream, seen) => {
                    inner.nearness.prefer(index);
                    telling.answered(index, progress.attempts() + 1, seen);
                    return Ok(stream);
                }
                Outcome::Refused(status) => {
                    // Opening a stream leaves no doubt, as it changes nothing.
                    if let Some(lost) = carried.filter(|carried| is_lost(*carried, &status)) {
                        telling.lost(lost, &status, may_lose);
                        if std::mem::take(&mut may_lose) {
                            continue;
                        }
                    }
                    telling.refused(index, progress.attempts() + 1, &status);
                    return Err(CallError::Refused(status));
                }
                failed @ (Outcome::NotDone(_) | Outcome::Doubt(_) | Outcome::NotReached(_)) => failed,
            };
            let reason = failed.reason();
            progress.note(index, failed);
            if progress.has_asked_all() && (progress.attempts() > 0 || self.is_hopeless(&progress, deadline).await) {
                return Err(telling.failed(progress.verdict(request_id).of_a_read()));
            }
            let next = progress.turn(&inner.nearness);
            telling.repeated(request_id, index, &reason, next);
            index = next;
        }
    }

    /// Lets the next call or stream begin at another endpoint.
    pub(crate) fn prefer_next(&self) {
        self.inner.nearness.prefer_next();
    }
}

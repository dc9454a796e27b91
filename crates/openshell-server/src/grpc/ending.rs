//! No stream outlives what opened it. A call is judged by the token or the certificate that it shows; a stream,
//! which goes on for days, ends with that one, in either direction, and its caller begins another by what is good
//! then. What a principal may see is asked again and again elsewhere.

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::grpc::table::Messages;

/// A stream that ends with `UNAUTHENTICATED` at this instant, whatever it has to say by then; without one, as it is.
pub(super) fn at(ends: Option<Instant>, messages: Messages) -> Messages {
    let Some(ends) = ends else { return messages };
    let going_on = (messages, Box::pin(sleep_until(ends)));
    Box::pin(stream::unfold(Some(going_on), |going_on| async move {
        let (mut messages, mut over) = going_on?;
        tokio::select! {
            biased;
            () = &mut over => Some((Err(expired()), None)),
            message = messages.next() => message.map(|message| (message, Some((messages, over)))),
        }
    }))
}

fn expired() -> Status {
    Status::unauthenticated(
        "the token or certificate that this stream was begun with has expired; begin another one with a new one",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::Stream;
    use tokio::time::timeout;
    use tonic::Code;

    use super::*;

    /// Far more than anything takes.
    const LIMIT: Duration = Duration::from_secs(60);

    fn one() -> impl Stream<Item = Result<Bytes, Status>> {
        stream::iter([Ok(Bytes::from_static(b"one"))])
    }

    /// What it says, each by its length or its code.
    async fn said(messages: Messages) -> Vec<Result<usize, Code>> {
        let said = messages.map(|message| message.map(|message| message.len()).map_err(|status| status.code()));
        timeout(LIMIT, said.collect()).await.expect("it ends")
    }

    #[tokio::test]
    async fn a_quiet_stream_ends_when_its_callers_credential_does() {
        let soon = Instant::now() + Duration::from_millis(10);
        let quiet = at(Some(soon), Box::pin(stream::pending()));
        assert_eq!(said(quiet).await, [Err(Code::Unauthenticated)]);
        assert!(Instant::now() >= soon, "not before");
    }

    #[tokio::test]
    async fn what_is_over_says_nothing_more_though_there_is_something_to_say() {
        // A timer counts whole milliseconds, and begins the next one.
        let before = Instant::now() - Duration::from_millis(10);
        let over = at(Some(before), Box::pin(one().chain(stream::pending())));
        assert_eq!(said(over).await, [Err(Code::Unauthenticated)]);
    }

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_ends_as_it_did() {
        for ends in [None, Some(Instant::now() + 10 * LIMIT)] {
            assert_eq!(said(at(ends, Box::pin(one()))).await, [Ok(3)]);
            let failing = one().chain(stream::iter([Err(Status::aborted("no more"))]));
            assert_eq!(said(at(ends, Box::pin(failing))).await, [Ok(3), Err(Code::Aborted)]);
        }
    }
}

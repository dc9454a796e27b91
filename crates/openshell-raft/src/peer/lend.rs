//! A stream that is lent to someone who may keep it for longer than it is wanted, and is taken back.
//!
//! The requests of an append stream go to the transport, which drops them when its connection comes to it.
//! All streams of requests for one follower take from one place in openraft: one that outlives its answers
//! takes the first request of the next, openraft then repeats its last order from before, and the follower
//! waits for entries that are no longer there, for ever. So the requests end with the answers, at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::{Stream, StreamExt};

type Slot<S> = Arc<Mutex<Inside<S>>>;

/// What both halves reach.
struct Inside<S> {
    /// None once it was taken back.
    stream: Option<S>,
    /// Who waits for its next item. The stream knows them too, and goes without a word.
    reader: Option<Waker>,
}

/// Who lent it: dropping this drops the stream, wherever the other half is.
pub(super) struct Lender<S>(Slot<S>);

/// Who uses it: ends when the stream does, or was taken back.
pub(super) struct Lent<S>(Slot<S>);

/// Parts a stream into the right to end it and the right to read it.
pub(super) fn lend<S>(stream: S) -> (Lender<S>, Lent<S>) {
    let slot = Arc::new(Mutex::new(Inside { stream: Some(stream), reader: None }));
    (Lender(Arc::clone(&slot)), Lent(slot))
}

impl<S> Drop for Lender<S> {
    fn drop(&mut self) {
        let (stream, reader) = {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (inside.stream.take(), inside.reader.take())
        };
        // After the lock is free: what is dropped may wake who waits for it.
        drop(stream);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<S: Stream + Unpin> Stream for Lent<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = inside.stream.as_mut().map_or(Poll::Ready(None), |stream| stream.poll_next_unpin(context));
        inside.reader = polled.is_pending().then(|| context.waker().clone());
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn what_was_lent_is_read_to_its_end() {
        let (_lender, lent) = lend(stream::iter([1, 2, 3]));
        assert_eq!(lent.collect::<Vec<_>>().await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn what_is_taken_back_is_dropped_although_the_other_half_is_kept() {
        let inside = Arc::new(());
        let held = Arc::clone(&inside);
        let (lender, mut lent) =
            lend(stream::repeat(1).map(move |item| item + i32::from(Arc::strong_count(&held) == 0)));
        assert_eq!(lent.next().await, Some(1));
        assert_eq!(Arc::strong_count(&inside), 2);
        drop(lender);
        assert_eq!(Arc::strong_count(&inside), 1, "dropped at once");
        assert_eq!(lent.next().await, None);
    }

    #[tokio::test]
    async fn who_waits_for_what_is_taken_back_hears_that_it_has_ended() {
        let (lender, mut lent) = lend(stream::pending::<u8>());
        let (said, waits) = tokio::sync::oneshot::channel();
        let reading = tokio::spawn(async move {
            assert!(futures::poll!(lent.next()).is_pending());
            said.send(()).expect("somebody listens");
            lent.next().await
        });
        waits.await.expect("it waits");
        tokio::task::yield_now().await;
        drop(lender);
        assert_eq!(reading.await.expect("it ends"), None);
    }
}

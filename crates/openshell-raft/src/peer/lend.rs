//! A stream that is lent to someone who may keep it for longer than it is wanted, and is taken back.
//!
//! The requests of an append stream go to the transport, which drops them when its connection comes to it.
//! All streams of requests for one follower take from one place in openraft: one that outlives its answers
//! takes the first request of the next, openraft then repeats its last order from before, and the follower
//! waits for entries that are no longer there, for ever. So the requests end with the answers, at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

type Slot<S> = Arc<Mutex<Option<S>>>;

/// Who lent it: dropping this drops the stream, wherever the other half is.
pub(super) struct Lender<S>(Slot<S>);

/// Who uses it: ends when the stream does, or was taken back.
pub(super) struct Lent<S>(Slot<S>);

/// Parts a stream into the right to end it and the right to read it.
pub(super) fn lend<S>(stream: S) -> (Lender<S>, Lent<S>) {
    let slot = Arc::new(Mutex::new(Some(stream)));
    (Lender(Arc::clone(&slot)), Lent(slot))
}

impl<S> Drop for Lender<S> {
    fn drop(&mut self) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // After the lock is free: what is dropped may wake who waits for it.
        drop(stream);
    }
}

impl<S: Stream + Unpin> Stream for Lent<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().map_or(Poll::Ready(None), |stream| stream.poll_next_unpin(context))
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
}

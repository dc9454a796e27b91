//! The requests of an append stream that wait for their answers, and whose turn it is.
//!
//! openraft counts an answer for every request that ends where the answer does, or before: for one without
//! entries too, which was sent later and only tells the commit index. A leader that stood still would take an
//! answer of before for one to what it has sent since, and believe that a majority follows it: a read that it
//! then answers may be stale. So an answer is withheld while a later request waits that it would count for,
//! whose own answer says the same; and while openraft counts an answer, it is asked for no further request.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::raft::AppendEntriesRequest;
use openshell_proto::peer::AppendRequest;
use openshell_store::{LogId, TypeConfig};
use tokio::time::Instant;

use super::messages;

/// One request that was sent.
struct Sent {
    at: Instant,
    last: Option<LogId>,
}

impl Sent {
    fn of(request: &AppendEntriesRequest<TypeConfig>) -> Self {
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        Self { at: Instant::now(), last }
    }
}

/// What both halves of a stream reach.
#[derive(Default)]
struct Inside {
    /// Oldest first: none ends before an earlier one does.
    sent: VecDeque<Sent>,
    /// openraft has an answer in hand, and may not have counted it.
    is_counting: bool,
    /// Who waits until it has.
    sender: Option<Waker>,
}

type Shared = Arc<Mutex<Inside>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Inside> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who reads the answers: dropping this lets the requests go on, or end.
pub(super) struct Unanswered(Shared);

/// The requests as they go out.
pub(super) struct Outgoing<S> {
    requests: S,
    shared: Shared,
}

/// Parts a stream of requests into the requests themselves and what is known of those without an answer.
pub(super) fn noted<S>(requests: S) -> (Unanswered, Outgoing<S>) {
    let shared = Shared::default();
    (Unanswered(Arc::clone(&shared)), Outgoing { requests, shared })
}

impl Unanswered {
    /// Takes the oldest request for failed: what became of it is not counted.
    pub(super) fn failed(&self) {
        lock(&self.0).sent.pop_front();
    }

    /// Takes the oldest request for answered, with all there up to `matching`. Whether openraft may hear of it;
    /// if so, it is counting until [`Unanswered::counted`].
    pub(super) fn answered(&self, matching: Option<LogId>) -> bool {
        let mut inside = lock(&self.0);
        inside.sent.pop_front();
        inside.is_counting = inside.sent.front().is_none_or(|next| next.last > matching);
        inside.is_counting
    }

    /// openraft has counted what it was given, or counts no more.
    pub(super) fn counted(&self) {
        let sender = {
            let mut inside = lock(&self.0);
            inside.is_counting = false;
            inside.sender.take()
        };
        if let Some(sender) = sender {
            sender.wake();
        }
    }

    /// For how long the oldest request has waited; none when none does.
    pub(super) fn longest(&self) -> Option<Duration> {
        lock(&self.0).sent.front().map(|oldest| oldest.at.elapsed())
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.counted();
    }
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> Stream for Outgoing<S> {
    type Item = AppendRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AppendRequest>> {
        let Self { requests, shared } = &mut *self;
        // Held while openraft is asked: it notes the request as sent, and no answer may come between that and
        // our own note.
        let mut inside = lock(shared);
        if inside.is_counting {
            inside.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        let polled = requests.poll_next_unpin(context);
        if let Poll::Ready(Some(request)) = &polled {
            inside.sent.push_back(Sent::of(request));
        }
        // Answers need not wait for what follows, which copies entries.
        drop(inside);
        polled.map(|request| request.as_ref().map(messages::append_request))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use futures::stream;
    use openshell_store::{LeaderId, Vote};

    use super::*;

    pub(in crate::peer) fn log_id(index: u64) -> LogId {
        LogId::new(LeaderId { term: 1, node_id: 1 }, index)
    }

    /// Entries after `previous` up to `last`; none when they are the same.
    fn request(previous: u64, last: u64) -> AppendEntriesRequest<TypeConfig> {
        let entry = |index| openraft::entry::RaftEntry::new_blank(log_id(index));
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(log_id(previous)),
            entries: (previous + 1..=last).map(entry).collect(),
            leader_commit: None,
        }
    }

    pub(in crate::peer) fn sent(requests: &[(u64, u64)]) -> Unanswered {
        let (unanswered, _outgoing) = noted(stream::empty::<()>());
        let notes = requests.iter().map(|(previous, last)| Sent::of(&request(*previous, *last)));
        lock(&unanswered.0).sent.extend(notes);
        unanswered
    }

    #[test]
    fn an_answer_is_withheld_while_a_later_request_ends_at_the_same_entry() {
        let unanswered = sent(&[(4, 5), (5, 5), (5, 5), (5, 7)]);
        assert!(!unanswered.answered(Some(log_id(5))), "two later requests end there");
        assert!(!unanswered.answered(Some(log_id(5))), "one does");
        assert!(unanswered.answered(Some(log_id(5))), "what follows goes on");
        assert!(unanswered.answered(Some(log_id(7))), "it was the last");
        assert_eq!(unanswered.longest(), None);
    }

    #[test]
    fn answers_in_the_order_of_entries_are_told_at_once() {
        let unanswered = sent(&[(4, 5), (5, 6), (6, 6)]);
        assert!(unanswered.answered(Some(log_id(5))));
        assert!(!unanswered.answered(Some(log_id(6))));
        unanswered.failed();
        assert_eq!(unanswered.longest(), None);
    }

    #[tokio::test]
    async fn while_an_answer_is_counted_no_further_request_is_made() {
        let (unanswered, mut outgoing) = noted(stream::iter([request(4, 5), request(5, 5)]));
        assert_eq!(outgoing.next().await, Some(messages::append_request(&request(4, 5))));
        assert!(unanswered.answered(Some(log_id(5))));
        assert!(futures::poll!(outgoing.next()).is_pending(), "the answer would count for the next one too");
        let waiting = tokio::spawn(async move { outgoing.next().await });
        tokio::task::yield_now().await;
        unanswered.counted();
        assert_eq!(waiting.await.expect("it ends"), Some(messages::append_request(&request(5, 5))));
        assert!(unanswered.longest().is_some());
    }
}

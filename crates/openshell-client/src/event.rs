//! What a client tells while it works, for whoever shows it to people or keeps it. What is shown,
//! and how, is the listener's business.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::client::Inner;
use crate::endpoint::EndpointUrl;
use crate::error::CallError;
use crate::position::{Position, Step};
use crate::seen::Seen;

/// Hears what a client does, on the task that makes the call: it should not block.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Something that happened to a call or to the opening of a stream.
#[derive(Debug)]
pub enum Event<'a> {
    /// It begins. [`Event::Ended`] follows, whatever happens.
    Begun,
    /// An attempt has no answer, and another one follows under the same request id.
    Repeated {
        /// Who was asked.
        endpoint: &'a EndpointUrl,
        /// Why there is no answer, in words.
        reason: &'a str,
        /// Who is asked next.
        next: &'a EndpointUrl,
    },
    /// The position that the client kept is of another life of the cluster, or of another cluster, and is
    /// dropped.
    Restored {
        /// What was kept.
        kept: Position,
        /// Where the cluster is, as far as the answer says it.
        now: Seen,
        /// Whether the call is made again without the position.
        repeats: bool,
    },
    /// The client has seen a later state than before.
    Moved(Position),
    /// It is over.
    Ended(Ended<'a>),
}

/// How a call, or the opening of a stream, ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The RPC's path.
    pub path: &'a str,
    /// Who answered last, if anybody did.
    pub endpoint: Option<&'a EndpointUrl>,
    /// What the answer or the refusal was made from.
    pub seen: Seen,
    /// Attempts that may have reached a node.
    pub attempts: u32,
    /// From the first attempt on.
    pub elapsed: Duration,
    /// What came of it.
    pub end: End,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An answer.
    Answered,
    /// A refusal.
    Refused(Code),
    /// Neither, in the time there was.
    Failed,
    /// Whoever made it did not wait for its end.
    Abandoned,
}

/// One call as it is told to the listener.
pub(crate) struct Telling<'a> {
    inner: &'a Inner,
    path: &'a str,
    begun: Instant,
    /// Endpoint that answered, attempts, what the answer was made from, and how it ended.
    last: (Option<usize>, u32, Seen, End),
}

impl<'a> Telling<'a> {
    pub(crate) fn begin(inner: &'a Inner, path: &'a str) -> Self {
        inner.tell(&Event::Begun);
        Self { inner, path, begun: Instant::now(), last: (None, 0, Seen::default(), End::Abandoned) }
    }

    /// A node answered from this state.
    pub(crate) fn answered(&mut self, index: usize, attempts: u32, seen: Seen) {
        self.last = (Some(index), attempts, seen, End::Answered);
        self.saw(&seen);
    }

    /// A node refused, and that is the answer.
    pub(crate) fn refused(&mut self, index: usize, attempts: u32, status: &Status) {
        let seen = Seen::from_metadata(status.metadata());
        self.last = (Some(index), attempts, seen, End::Refused(status.code()));
        self.saw(&seen);
    }

    /// An attempt at one endpoint failed, and another follows.
    pub(crate) fn repeated(&self, request_id: Uuid, index: usize, reason: &str, next: usize) {
        let (endpoint, next) = (self.inner.lines[index].endpoint(), self.inner.lines[next].endpoint());
        tracing::debug!(%request_id, %endpoint, reason, "the call is repeated");
        self.inner.tell(&Event::Repeated { endpoint, reason, next });
    }

    /// Nobody answered in time.
    pub(crate) fn failed(&mut self, error: CallError) -> CallError {
        let attempts = match &error {
            CallError::NotDone { attempts, .. } | CallError::Unknown { attempts, .. } => *attempts,
            CallError::Refused(_) | CallError::Unreachable(_) => 0,
        };
        self.last = (None, attempts, Seen::default(), End::Failed);
        error
    }

    fn saw(&self, seen: &Seen) {
        let Some(track) = &self.inner.track else { return };
        match track.saw(seen) {
            Step::Stayed => {}
            Step::Moved(position) => self.inner.tell(&Event::Moved(position)),
            Step::Entered { kept, now } => {
                self.inner.tell(&Event::Restored { kept, now: *seen, repeats: false });
                self.inner.tell(&Event::Moved(now));
            }
        }
    }

    /// Drops a position that a node has refused as that of another cluster.
    pub(crate) fn lost(&self, carried: Position, status: &Status, repeats: bool) {
        if let Some(track) = &self.inner.track {
            track.lose(carried);
        }
        let now = Seen::from_metadata(status.metadata());
        self.inner.tell(&Event::Restored { kept: carried, now, repeats });
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let (index, attempts, seen, end) = self.last;
        let endpoint = index.map(|index| self.inner.lines[index].endpoint());
        let elapsed = self.begun.elapsed();
        self.inner.tell(&Event::Ended(Ended { path: self.path, endpoint, seen, attempts, elapsed, end }));
    }
}

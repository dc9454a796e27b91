//! A watch that goes on at another node when its node goes away: from the position of the last
//! message, so that nothing is missed and nothing comes twice. So it does when its node says nothing
//! any more: one that is well says how far it is, whatever happens or not.

use std::time::Duration;

use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{WatchRequest, WatchResponse};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status, Streaming};

use crate::client::Client;
use crate::error::CallError;
use crate::method::methods;
use crate::options::CallOptions;

/// Before the next attempt to go on, when every endpoint failed.
const PAUSE: Duration = Duration::from_millis(200);
/// A node says something every 5 s to who follows what changes. After four times that it is gone, or
/// cannot be reached any more.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Says from which revision to go on.
const RESUME_REVISION: &str = "x-openshell-resume-revision";

/// Why a watch cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What came after the last position is no longer kept: take the state anew, that is watch
    /// without a position, and do not accept a state before this revision.
    #[error("{}", .status.message())]
    BeginAnew {
        /// The least revision to begin at.
        list_revision: u64,
        /// What the node said.
        status: Status,
    },
    /// A refusal, or no node took the watch for as long as the patience lasts. Nor is a watch begun
    /// again that was cut off because its reader did not take the state in time: it would be again.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Who is told of breaks.
type Tell = Box<dyn FnMut(&Status) + Send + Sync>;

/// A watch of `openshell.cluster.v1.Cluster/Watch`.
pub struct Watch {
    client: Client,
    request: WatchRequest,
    patience: Duration,
    stream: Option<Streaming<WatchResponse>>,
    /// Since when there is no stream.
    lost: Option<Instant>,
    /// When the stream last said something.
    heard: Instant,
    silence_max: Duration,
    on_break: Option<Tell>,
    /// Endpoints that said one after the other that they do not keep what comes next.
    gone: usize,
}

impl Watch {
    /// A watch that begins where the request says, with the first call of [`Watch::next`]. `patience`
    /// is how long it looks for a node that takes it before it gives up.
    #[must_use]
    pub fn new(client: Client, request: WatchRequest, patience: Duration) -> Self {
        Self {
            client,
            request,
            patience,
            stream: None,
            lost: None,
            heard: Instant::now(),
            silence_max: SILENCE_MAX,
            on_break: None,
            gone: 0,
        }
    }

    /// Goes on at another node after so long without a word, in place of 20 s. Only once the state is
    /// complete: what a large state takes is not bounded here. A node that is well is never silent for
    /// longer than 5 s.
    #[must_use]
    pub fn silence_max(self, silence_max: Duration) -> Self {
        Self { silence_max, ..self }
    }

    /// Tells of what ended a stream, and of the last failure of each round of attempts to open one, when the watch goes on
    /// all the same: a node that fails again and again is noticed by nobody else.
    #[must_use]
    pub fn on_break(self, tell: impl FnMut(&Status) + Send + Sync + 'static) -> Self {
        Self { on_break: Some(Box::new(tell)), ..self }
    }

    /// The next message. After a break the watch goes on from the last position; when it broke
    /// before the state was complete ([`Type::Synced`]), the state begins again.
    ///
    /// # Errors
    /// [`WatchError`]; the watch is over then.
    pub async fn next(&mut self) -> Result<WatchResponse, WatchError> {
        loop {
            if self.stream.is_none() {
                self.open().await?;
                continue;
            }
            let status = match self.message().await {
                Ok(Some(response)) => {
                    (self.lost, self.gone, self.heard) = (None, 0, Instant::now());
                    if response.r#type() != Type::Initial {
                        self.request.from = response.position;
                    }
                    return Ok(response);
                }
                Ok(None) => Status::unavailable("the node ended the watch"),
                Err(status) if is_broken(&status) => status,
                Err(status) => self.refused(status)?,
            };
            self.stream = None;
            self.client.prefer_next();
            // A stream that opens and says nothing is no better than one that does not open.
            if self.lost.is_some_and(|lost| lost.elapsed() >= self.patience) {
                return Err(CallError::NotDone { status, attempts: 1 }.into());
            }
            tracing::debug!(%status, from = ?self.request.from, "the watch goes on at another node");
            self.broke(&status);
            if self.lost.is_some() {
                sleep(PAUSE).await;
            }
        }
    }

    /// What the stream says next, or that it was silent for too long. What it said already comes first,
    /// however late it is asked for.
    async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        if self.request.from.is_none() {
            return stream.message().await;
        }
        match timeout_at(self.heard + self.silence_max, stream.message()).await {
            Ok(message) => message,
            Err(_) => Err(Status::unavailable(format!("the node said nothing for {:?}", self.silence_max))),
        }
    }

    async fn open(&mut self) -> Result<(), WatchError> {
        let lost = *self.lost.get_or_insert_with(Instant::now);
        let left = self.patience.saturating_sub(lost.elapsed());
        let options = CallOptions::default().deadline(left.max(PAUSE));
        match self.client.stream(&methods::WATCH, self.request.clone(), &options).await {
            Ok(stream) => {
                (self.stream, self.heard) = (Some(stream), Instant::now());
                Ok(())
            }
            Err(CallError::Refused(status)) if !may_pass(status.code()) => {
                self.refused(status)?;
                self.client.prefer_next();
                Ok(())
            }
            Err(error) if left.is_zero() => Err(error.into()),
            Err(error) => {
                if let Some(status) = error.status() {
                    self.broke(status);
                }
                sleep(PAUSE).await;
                self.client.prefer_next();
                Ok(())
            }
        }
    }

    fn broke(&mut self, status: &Status) {
        if let Some(tell) = &mut self.on_break {
            tell(status);
        }
    }

    /// A node's no is the end of the watch, unless only its own history is too short: each node
    /// keeps its own, and one that caught up by a snapshot has less than the others.
    fn refused(&mut self, status: Status) -> Result<Status, WatchError> {
        let revision = status.metadata().get("x-openshell-list-revision");
        let revision = revision.and_then(|value| value.to_str().ok()?.parse().ok());
        match (status.code(), revision) {
            (Code::OutOfRange, Some(list_revision)) => {
                self.gone += 1;
                let asked_all = self.gone >= self.client.endpoints().count();
                if asked_all { Err(WatchError::BeginAnew { list_revision, status }) } else { Ok(status) }
            }
            (_, _) => Err(CallError::Refused(status).into()),
        }
    }
}

/// Whether a watch that ended like this can go on, or begin again, at another node or the same one. A
/// reader that was cut off can when it is told from where; else it was too slow for the state itself.
fn is_broken(end: &Status) -> bool {
    may_pass(end.code()) && (end.code() != Code::ResourceExhausted || end.metadata().get(RESUME_REVISION).is_some())
}

/// Whether another node, or the same one later, may take a watch that was refused like this: a node
/// has too many of them already, for one.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal
    )
}

#[cfg(test)]
mod tests;

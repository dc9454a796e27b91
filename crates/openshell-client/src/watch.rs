//! A watch that goes on at another node when its node goes away: from the position of the last
//! message, so that nothing is missed and nothing comes twice.

use std::time::Duration;

use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{WatchRequest, WatchResponse};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status, Streaming};

use crate::client::Client;
use crate::error::CallError;
use crate::method::methods;
use crate::options::CallOptions;

/// Before the next attempt to go on, when every endpoint failed.
const PAUSE: Duration = Duration::from_millis(200);

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
    /// A refusal, or no node took the watch for as long as the patience lasts.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A watch of `openshell.cluster.v1.Cluster/Watch`.
pub struct Watch {
    client: Client,
    request: WatchRequest,
    patience: Duration,
    stream: Option<Streaming<WatchResponse>>,
    /// Since when there is no stream.
    lost: Option<Instant>,
    /// Endpoints that said one after the other that they do not keep what comes next.
    gone: usize,
}

impl Watch {
    /// A watch that begins where the request says, with the first call of [`Watch::next`]. `patience`
    /// is how long it looks for a node that takes it before it gives up.
    #[must_use]
    pub fn new(client: Client, request: WatchRequest, patience: Duration) -> Self {
        Self { client, request, patience, stream: None, lost: None, gone: 0 }
    }

    /// The next message. After a break the watch goes on from the last position; when it broke
    /// before the state was complete ([`Type::Synced`]), the state begins again.
    ///
    /// # Errors
    /// [`WatchError`]; the watch is over then.
    pub async fn next(&mut self) -> Result<WatchResponse, WatchError> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let status = match stream.message().await {
                Ok(Some(response)) => {
                    (self.lost, self.gone) = (None, 0);
                    if response.r#type() != Type::Initial {
                        self.request.from = response.position;
                    }
                    return Ok(response);
                }
                Ok(None) => Status::unavailable("the node ended the watch"),
                Err(status) if passes(status.code()) => status,
                Err(status) => self.refused(status)?,
            };
            tracing::debug!(%status, from = ?self.request.from, "the watch goes on at another node");
            self.stream = None;
            self.client.prefer_next();
        }
    }

    async fn open(&mut self) -> Result<(), WatchError> {
        let lost = *self.lost.get_or_insert_with(Instant::now);
        let left = self.patience.saturating_sub(lost.elapsed());
        let options = CallOptions::default().deadline(left.max(PAUSE));
        match self.client.stream(&methods::WATCH, self.request.clone(), &options).await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(CallError::Refused(status)) if !passes(status.code()) => {
                self.refused(status)?;
                self.client.prefer_next();
                Ok(())
            }
            Err(error) if left.is_zero() => Err(error.into()),
            Err(_) => {
                sleep(PAUSE).await;
                self.client.prefer_next();
                Ok(())
            }
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

/// Whether another node, or the same one later, may take the watch.
fn passes(code: Code) -> bool {
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

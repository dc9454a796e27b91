//! `Cluster.Watch`: the state as it is, then everything that changes, in order, without gap or
//! repetition; or everything after a position. A reader is at one of three stages: it takes the
//! state, it catches up from the change history, or it lives on what the hub hands it.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{Position, WatchRequest, WatchResponse};
use openshell_proto::log::HistoryEntry;
use openshell_raft::Page;
use openshell_state::access::Principal;
use openshell_state::query::watch::Interest;
use openshell_state::{Key, State};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::grpc::{Context, Gateway, Method, refused};
use crate::watch::census::{Admitted, Subject};
use crate::watch::hub::{Hub, Subscription};
use crate::watch::pinned::Pinned;
use crate::watch::queue::{End, Taken};

/// Bytes of records in one message of that state, about.
const INITIAL_BYTES: usize = 256 * 1024;
/// Says at which revision, or a later one, to begin anew.
const LIST_REVISION: &str = "x-openshell-list-revision";
/// Says from which revision to go on.
const RESUME_REVISION: &str = "x-openshell-resume-revision";

/// Where a reader is.
enum Stage {
    /// It takes the state, and has had what is up to the key.
    Listing(Pinned<State>, Option<Key>),
    /// It has read these entries of the history and not sent them; none before it has read any.
    CatchingUp(Option<Chunk>),
    Live(Subscription),
}

/// A page of the history that a reader takes, and its room on the node. Let go after a while: who takes it
/// more slowly reads what is left again.
struct Chunk {
    page: Pinned<(Vec<Arc<HistoryEntry>>, OwnedSemaphorePermit)>,
    taken: usize,
}

impl Chunk {
    fn next(&mut self) -> Option<Arc<HistoryEntry>> {
        let page = self.page.get()?;
        let entry = page.0.get(self.taken)?;
        self.taken += 1;
        Some(Arc::clone(entry))
    }
}

/// One watch.
struct Watcher {
    hub: Arc<Hub>,
    principal: Principal,
    interest: Interest,
    epoch: u64,
    /// Everything through this revision was sent.
    position: u64,
    last_sent: Instant,
    stage: Stage,
    stop: CancellationToken,
    _admitted: Admitted,
}

/// Begins a watch of this node; says on which revision.
///
/// # Errors
/// A refusal about the request, the caller, the position or the number of watches, or the cluster
/// cannot say.
pub(crate) async fn open(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    mut context: Context,
    request: WatchRequest,
) -> Result<(u64, impl Stream<Item = Result<WatchResponse, Status>> + use<>), Status> {
    if let Some(from) = request.from {
        // As every caller who has seen a revision: another epoch is refused, a later revision awaited.
        context.epoch = Some(from.epoch);
        context.min_revision = context.min_revision.max(Some(from.revision));
    }
    let state = gateway.state_for(&method, &context).await?;
    let watcher = Watcher::begin(&gateway.hub, &state, context.principal, &request, gateway.streams_end.clone())?;
    Ok((state.revision(), watcher.messages()))
}

impl Watcher {
    fn begin(
        hub: &Arc<Hub>,
        state: &Arc<State>,
        principal: Principal,
        request: &WatchRequest,
        stop: CancellationToken,
    ) -> Result<Self, Status> {
        let interest = Interest::read(state, &principal, request).map_err(|refusal| refused(&refusal))?;
        let admitted = hub.admit(Subject::Changes, &principal)?;
        let (position, stage) = match request.from {
            Some(from) => {
                let floor = hub.feed().floor();
                if from.revision < floor {
                    return Err(gone(from.revision, floor));
                }
                (from.revision, Stage::CatchingUp(None))
            }
            None => {
                let pinned = Pinned::new(Arc::clone(state), hub.limits().listing);
                (state.revision(), Stage::Listing(pinned, None))
            }
        };
        Ok(Self {
            hub: Arc::clone(hub),
            principal,
            interest,
            epoch: state.epoch(),
            position,
            last_sent: Instant::now(),
            stage,
            stop,
            _admitted: admitted,
        })
    }

    /// Everything that this watch has to say, until it ends.
    fn messages(self) -> impl Stream<Item = Result<WatchResponse, Status>> + use<> {
        stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(response) => Some((Ok(response), Some(watcher))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next message. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            self.may_go_on()?;
            let entry = match &mut self.stage {
                Stage::Listing(pinned, after) => {
                    let (state, after) =
                        (pinned.get().ok_or_else(|| overdue(self.hub.limits().listing))?, after.clone());
                    return Ok(self.list(&state, after));
                }
                Stage::CatchingUp(chunk) => match chunk.as_mut().and_then(Chunk::next) {
                    Some(entry) => entry,
                    None => {
                        self.catch_up().await?;
                        continue;
                    }
                },
                Stage::Live(subscription) => {
                    // In this order: what it says is in the queue before it says so.
                    let routed = self.hub.routed();
                    match subscription.queue.take() {
                        Taken::Entry(entry) => entry,
                        Taken::End(End::Slow) => return Err(self.slow()),
                        Taken::End(End::Gone { floor }) => return Err(gone(self.position, floor)),
                        Taken::Nothing => {
                            self.position = self.position.max(routed);
                            if let Some(progress) = self.rest().await? {
                                return Ok(progress);
                            }
                            continue;
                        }
                    }
                }
            };
            if let Some(message) = self.changes(&entry)?.or_else(|| self.progress()) {
                return Ok(message);
            }
        }
    }

    /// Whether this node still serves this caller.
    fn may_go_on(&self) -> Result<(), Status> {
        if self.stop.is_cancelled() {
            return Err(self.leaving("the node is stopping"));
        }
        if let Some(age) = self.hub.too_old() {
            let text = format!("this node has not heard of the cluster for {} s and ends its watches", age.as_secs());
            return Err(self.leaving(&text));
        }
        self.interest.permit(&self.hub.feed().state(), &self.principal).map_err(|refusal| refused(&refusal))
    }

    /// Some more of the state, or the mark that it is complete.
    fn list(&mut self, state: &State, after: Option<Key>) -> WatchResponse {
        let (events, last) = self.interest.page(state, after.as_ref(), INITIAL_BYTES);
        match (&mut self.stage, last) {
            (Stage::Listing(_, after), Some(last)) => *after = Some(last),
            _ => {
                self.stage = Stage::CatchingUp(None);
                return self.message(Type::Synced);
            }
        }
        WatchResponse { events, ..self.message(Type::Initial) }
    }

    /// Joins the hub once nothing is between, else reads on.
    async fn catch_up(&mut self) -> Result<(), Status> {
        if let Some(subscription) = self.hub.join(self.position, &self.interest) {
            self.stage = Stage::Live(subscription);
            return Ok(());
        }
        // What was read before is let go first: nobody holds two.
        self.stage = Stage::CatchingUp(None);
        let room = tokio::select! {
            room = self.hub.room_for_a_page() => room,
            () = self.stop.cancelled() => return Err(self.leaving("the node is stopping")),
        };
        match self.hub.read_after(self.position).await {
            Ok(Page::Entries(entries)) => {
                // Not what is ahead of the published state.
                let applied = self.hub.feed().state().revision();
                let entries: Vec<_> = entries.into_iter().take_while(|entry| entry.revision <= applied).collect();
                let page = Pinned::new(Arc::new((entries, room)), self.hub.limits().page_time);
                self.stage = Stage::CatchingUp(Some(Chunk { page, taken: 0 }));
                // The runtime has others to serve.
                tokio::task::yield_now().await;
                Ok(())
            }
            Ok(Page::Gone { floor }) => Err(gone(self.position, floor)),
            Err(reason) => Err(Status::unavailable(format!(
                "this node cannot read its change history ({reason}); go on at another node from revision {}",
                self.position
            ))),
        }
    }

    /// What an entry changed, if it shows here.
    fn changes(&mut self, entry: &HistoryEntry) -> Result<Option<WatchResponse>, Status> {
        let events = self.interest.events(entry).map_err(|fault| {
            tracing::warn!(revision = entry.revision, %fault, "a watch begins anew");
            gone(self.position, entry.revision)
        })?;
        self.position = entry.revision;
        if events.is_empty() {
            return Ok(None);
        }
        let origin = self.interest.origin(entry);
        Ok(Some(WatchResponse { events, origin, ..self.message(Type::Changes) }))
    }

    /// Waits for something to happen; a message when nothing did for a while.
    async fn rest(&mut self) -> Result<Option<WatchResponse>, Status> {
        if let Some(progress) = self.progress() {
            return Ok(Some(progress));
        }
        let due = self.last_sent + self.hub.limits().quiet;
        let Stage::Live(subscription) = &self.stage else { return Ok(None) };
        tokio::select! {
            () = subscription.queue.woken() => Ok(None),
            () = sleep_until(due) => Ok(None),
            () = self.stop.cancelled() => Err(self.leaving("the node is stopping")),
        }
    }

    /// How far the reader is, when it heard nothing for a while. Also when it knows: a reader who hears
    /// nothing takes the node for one that is gone.
    fn progress(&mut self) -> Option<WatchResponse> {
        (self.last_sent.elapsed() >= self.hub.limits().quiet).then(|| self.message(Type::Progress))
    }

    /// A message that the reader can go on from, unless it is of the state.
    fn message(&mut self, of: Type) -> WatchResponse {
        self.last_sent = Instant::now();
        let position = Some(Position { epoch: self.epoch, revision: self.position });
        WatchResponse { r#type: of as i32, position, ..WatchResponse::default() }
    }

    fn slow(&self) -> Status {
        let text = format!(
            "changes come faster than this reader takes them, and it was cut off; go on from revision {}",
            self.position
        );
        with(Status::resource_exhausted(text), RESUME_REVISION, self.position)
    }

    /// This node serves the watch no longer; another one can.
    fn leaving(&self, reason: &str) -> Status {
        let position = self.position;
        match self.stage {
            Stage::Listing(..) => Status::unavailable(format!("{reason}; begin anew at another node")),
            Stage::CatchingUp(_) | Stage::Live(_) => {
                let text = format!("{reason}; go on at another node from revision {position}");
                with(Status::unavailable(text), RESUME_REVISION, position)
            }
        }
    }
}

fn gone(position: u64, floor: u64) -> Status {
    let text = format!(
        "this node does not keep the changes after revision {position} any more; take the state anew, at revision \
         {floor} or a later one, and go on from there"
    );
    with(Status::out_of_range(text), LIST_REVISION, floor)
}

/// There is nothing to go on from, and whoever began anew would be as slow.
fn overdue(limit: Duration) -> Status {
    Status::resource_exhausted(format!(
        "this reader did not take the state within {} s and was cut off; it has to read faster, or to watch less: one \
         workspace, some kinds, or a selector of labels",
        limit.as_secs()
    ))
}

fn with(mut status: Status, name: &'static str, revision: u64) -> Status {
    status.metadata_mut().insert(name, MetadataValue::from(revision));
    status
}

#[cfg(test)]
mod tests;

//! `Sync.Follow`: the configuration of a sandbox, whole at the beginning, then again whenever something that
//! concerns it has changed or a credential expires, always from the newest state; in between, that it still
//! holds. Between two messages a stream holds neither a state nor anything that it sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{Stream, stream};
use openshell_proto::sync::{self, FollowRequest, Heartbeat, SyncPosition};
use openshell_proto::v1::Sandbox;
use openshell_state::{Identifiers, Key, State, query};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::composed::{self, Known, Mark};
use super::message::{Configuration, Event};
use super::session::End;
use super::sessions::Held;
use crate::grpc::{Context, Gateway, Method, refused};
use crate::watch::Bell;

/// One stream.
struct Follower {
    gateway: Arc<Gateway>,
    held: Held,
    /// Rings when something that concerns the sandbox may have changed.
    bell: Bell,
    beat: watch::Receiver<()>,
    /// Something has to be said.
    is_due: bool,
    stage: Stage,
}

enum Stage {
    /// Nothing was said.
    Unannounced(Known),
    /// The stream has its name.
    Announced(Known),
    Following(Sent),
}

/// What was sent last.
struct Sent {
    /// Until when it holds: as long as the state says this of the sandbox, and until a credential expires.
    unchanged_since: u64,
    valid_until_ms: Option<i64>,
    /// None when it was refused.
    mark: Option<Mark>,
}

/// Begins the stream of a sandbox, whose own principal asks; says on which revision.
///
/// # Errors
/// A refusal about the caller or the id; the node has too many streams, is too old, or cannot catch up with what
/// the sandbox has seen.
pub(crate) async fn open(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    context: Context,
    request: FollowRequest,
) -> Result<(u64, impl Stream<Item = Result<Event, Status>> + use<>), Status> {
    let state = caught_up(&gateway, &method, &context, &request).await?;
    let found = query::sandbox::of_itself(&state, &context.principal, &request.sandbox_id);
    let (key, _) = found.map_err(|refusal| refused(&refusal))?;
    let (known, holds) = composed::told(&state, &request);
    let held = gateway.sessions.begin(&request.sandbox_id, gateway.identifiers.uuid(), holds)?;
    // Before the state is read again, so that no change is lost.
    let bell = gateway.hub.follow(key);
    let beat = gateway.sessions.beat(&held.session);
    let revision = state.revision();
    drop(state);
    let follower = Follower { gateway, held, bell, beat, is_due: false, stage: Stage::Unannounced(known) };
    Ok((revision, follower.events()))
}

/// A state that is not older than what the sandbox has. Beyond what the cluster has there is nothing to wait for.
async fn caught_up(
    gateway: &Gateway,
    method: &Method,
    context: &Context,
    request: &FollowRequest,
) -> Result<Arc<State>, Status> {
    let state = gateway.state_for(method, context).await?;
    let newer = |position: &&SyncPosition| position.epoch == state.epoch() && position.revision > state.revision();
    let Some(installed) = request.installed.as_ref().filter(newer) else { return Ok(state) };
    match gateway.at_least(installed.revision, context.deadline).await {
        Err(status) if status.code() == Code::FailedPrecondition => Ok(gateway.cluster.state()),
        state => state,
    }
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Status>> + use<> {
        stream::unfold(Some(self), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(event) => Some((Ok(event), Some(follower))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next message. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self) -> Result<Event, Status> {
        loop {
            if let Some(event) = self.due()? {
                self.is_due = false;
                return Ok(event);
            }
            tokio::select! {
                () = self.bell.rung() => {}
                _ = self.beat.changed() => self.is_due = true,
                () = self.gateway.streams_end.cancelled() => {}
            }
        }
    }

    /// What has to be said now, if anything.
    fn due(&mut self) -> Result<Option<Event>, Status> {
        self.may_go_on()?;
        let known = match &self.stage {
            Stage::Unannounced(known) => {
                self.stage = Stage::Announced(*known);
                return Ok(Some(self.announcement()));
            }
            Stage::Announced(known) => *known,
            Stage::Following(_) => Known::Nothing,
        };
        let gateway = Arc::clone(&self.gateway);
        // Before the state: what is said of it may be older than it is, never younger.
        let age_ms = gateway.cluster.age_ms();
        let state = gateway.cluster.state();
        let Some((key, entry)) = state.sandbox_by_id(&self.held.session.sandbox) else {
            return Err(Status::not_found("the sandbox is gone"));
        };
        if let Stage::Following(sent) = &self.stage {
            // Who is silent is on the way out, or was recorded as gone already: its stream brings it back no more.
            gateway.sessions.arrives(&self.held.session, entry.value);
            let expired = sent.valid_until_ms.is_some_and(|until_ms| until_ms <= gateway.sandboxes.now_ms(&state));
            if sent.unchanged_since == state.unchanged_since(key) && !expired {
                return Ok(self.is_due.then(|| self.heartbeat(&state, age_ms)));
            }
        }
        let known = self.known(known);
        let mut configuration = self.configuration(&state, (key, entry.value), known);
        configuration.age_ms = age_ms;
        Ok(Some(Event { configuration: Some(configuration), ..Event::default() }))
    }

    /// Whether this node still serves this stream.
    fn may_go_on(&self) -> Result<(), Status> {
        match self.held.session.end() {
            Some(End::Slow) => {
                let text = "nobody read this stream for too long, and it was ended; begin another one";
                return Err(Status::resource_exhausted(text));
            }
            Some(End::Replaced) => {
                return Err(Status::aborted("the sandbox has begun another stream at this node, which ends this one"));
            }
            None => {}
        }
        if self.gateway.streams_end.is_cancelled() {
            return Err(Status::unavailable("the node is stopping; follow through another node"));
        }
        match self.gateway.hub.too_old() {
            Some(age) => Err(Status::unavailable(format!(
                "this node has not heard of the cluster for {} s and ends its streams; follow through another node",
                age.as_secs()
            ))),
            None => Ok(()),
        }
    }

    fn announcement(&self) -> Event {
        let heartbeat_ms = self.gateway.sessions.limits.quiet.as_millis();
        let session = sync::Session {
            id: self.held.session.id.clone(),
            node: self.gateway.cluster.node(),
            zone: self.gateway.cluster.zone().to_owned(),
            heartbeat_ms: u32::try_from(heartbeat_ms).unwrap_or(u32::MAX),
        };
        self.held.session.took(0);
        Event { session: Some(session), ..Event::default() }
    }

    /// What the sandbox has: of what was sent, only what it has said that it applied, and not since that it failed.
    fn known(&self, told: Known) -> Known {
        match &self.stage {
            Stage::Unannounced(_) | Stage::Announced(_) => told,
            Stage::Following(sent) => match sent.mark {
                Some(mark) if self.held.session.is_current() => Known::Sent(mark),
                Some(_) | None => Known::Nothing,
            },
        }
    }

    fn configuration(&mut self, state: &State, found: (&Key, &Sandbox), known: Known) -> Configuration {
        let composed = composed::composed(&self.gateway.sandboxes, state, found, known);
        let revision = state.revision();
        let is_unchanged = composed.configuration.unchanged;
        self.held.session.took_configuration(revision, is_unchanged, composed.refusal.as_deref());
        self.gateway.sessions.counts.messages.fetch_add(1, Ordering::Relaxed);
        self.stage = Stage::Following(Sent {
            unchanged_since: state.unchanged_since(found.0),
            valid_until_ms: composed.valid_until_ms,
            mark: composed.mark,
        });
        composed.configuration
    }

    fn heartbeat(&self, state: &State, age_ms: u64) -> Event {
        self.held.session.took(state.revision());
        let position = Some(SyncPosition { epoch: state.epoch(), revision: state.revision() });
        let heartbeat = Heartbeat { position, age_ms };
        Event { heartbeat: Some(heartbeat), ..Event::default() }
    }
}

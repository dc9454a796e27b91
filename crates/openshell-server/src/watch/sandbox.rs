//! `WatchSandbox` as released clients know it (`config.md` 1.6), derived from applied entries:
//! the record first, then again whenever it or its latest policy revision has changed. States
//! in between may be skipped. Who may not see the record any more is told so. Logs and events need a running sandbox and do not appear.

use std::sync::Arc;

use futures::{Stream, stream};
use openshell_proto::v1::{Sandbox, SandboxPhase, SandboxStreamEvent, WatchSandboxRequest, sandbox_stream_event};
use openshell_state::access::Principal;
use openshell_state::{Refusal, State, query};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::grpc::{Context, Gateway, Method, refused};
use crate::watch::census::{Admitted, Subject};
use crate::watch::hub::{Bell, Hub};

/// What a watcher reacts to: when record and policy were last written.
type Version = (u64, u64);

struct Watcher {
    hub: Arc<Hub>,
    bell: Bell,
    principal: Principal,
    asked: WatchSandboxRequest,
    sent: Option<Version>,
    /// The record that was sent last is the last one.
    finished: bool,
    stop: CancellationToken,
    _admitted: Admitted,
}

/// Begins the stream of one watcher; says on which revision. It ends when the sandbox is deleted,
/// and with `stop_on_terminal` when it is ready; a node that stops says so.
///
/// # Errors
/// A refusal about the caller, the id (`config.md` SR-45) or the number of watches, or the cluster
/// cannot say.
pub(crate) async fn open(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    context: Context,
    asked: WatchSandboxRequest,
) -> Result<(u64, impl Stream<Item = Result<SandboxStreamEvent, Status>> + use<>), Status> {
    let state = gateway.state_for(&method, &context).await?;
    let watcher = Watcher::begin(&gateway.hub, &state, context.principal, asked, gateway.streams_end.clone())?;
    Ok((state.revision(), watcher.events()))
}

impl Watcher {
    fn begin(
        hub: &Arc<Hub>,
        state: &State,
        principal: Principal,
        asked: WatchSandboxRequest,
        stop: CancellationToken,
    ) -> Result<Self, Status> {
        if asked.id.is_empty() {
            return Err(Status::invalid_argument("id is required"));
        }
        let found = query::sandbox::find_by_id(state, &principal, &asked.id);
        let (key, _) = found.map_err(|refusal| refused(&refusal))?;
        let admitted = hub.admit(Subject::Sandbox, &principal)?;
        // Before the record is read, so that no change is lost.
        let bell = hub.bell(key, &asked.id, &principal);
        let hub = Arc::clone(hub);
        Ok(Self { hub, bell, principal, asked, sent: None, finished: false, stop, _admitted: admitted })
    }

    /// The record and its changes, until the watch ends.
    fn events(self) -> impl Stream<Item = Result<SandboxStreamEvent, Status>> + use<> {
        stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await? {
                Ok(event) => Some((Ok(event), Some(watcher))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next event; none when there will be no more.
    async fn next(&mut self) -> Option<Result<SandboxStreamEvent, Status>> {
        while !self.finished {
            if let Some(age) = self.hub.too_old() {
                return Some(Err(Status::unavailable(format!(
                    "this node has not heard of the cluster for {} s and ends its watches; watch through another node",
                    age.as_secs()
                ))));
            }
            let changed = match self.changed()? {
                Ok(changed) => changed,
                Err(refusal) => return Some(Err(refused(&refusal))),
            };
            if let Some(sandbox) = changed {
                let ready = sandbox.status.as_ref().is_some_and(|status| status.phase() == SandboxPhase::Ready);
                self.finished = self.asked.stop_on_terminal && ready;
                let payload = Some(sandbox_stream_event::Payload::Sandbox(sandbox));
                return Some(Ok(SandboxStreamEvent { payload }));
            }
            tokio::select! {
                () = self.bell.rung() => {}
                // Nothing rings when the node grows old.
                () = tokio::time::sleep(self.hub.limits().quiet), if self.hub.limits().age.is_some() => {}
                () = self.stop.cancelled() => {
                    return Some(Err(Status::unavailable("the node is stopping; watch through another node")));
                }
            }
        }
        None
    }

    /// The record, when it is another than the one sent last; none outside when it is deleted. Who
    /// may not see it any more is refused as who asks for it now.
    fn changed(&mut self) -> Option<Result<Option<Sandbox>, Refusal>> {
        let state = self.hub.feed().state();
        let (version, sandbox) = find(&state, &self.asked.id)?;
        if let Err(refusal) = query::sandbox::find_by_id(&state, &self.principal, &self.asked.id) {
            return Some(Err(refusal));
        }
        if self.sent == Some(version) || (self.sent.is_some() && !self.asked.follow_status) {
            return Some(Ok(None));
        }
        self.sent = Some(version);
        Some(Ok(Some(sandbox.clone())))
    }
}

/// The record as it is now, borrowed: it is copied only for an event.
fn find<'a>(state: &'a State, id: &str) -> Option<(Version, &'a Sandbox)> {
    let (key, entry) = state.sandbox_by_id(id)?;
    let policy = state.latest_policy(&key.workspace, id).map_or(0, |policy| policy.revision);
    Some(((entry.revision, policy), entry.value))
}

#[cfg(test)]
mod tests;

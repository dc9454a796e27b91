//! `WatchSandbox` as released clients know it (`config.md` 1.6), derived from applied entries:
//! the record first, then again whenever it or its latest policy revision has changed. States
//! in between may be skipped. Logs and events need a running sandbox and do not appear.

use std::sync::Arc;

use futures::{Stream, stream};
use openshell_proto::v1::{Sandbox, SandboxPhase, SandboxStreamEvent, WatchSandboxRequest, sandbox_stream_event};
use openshell_state::{State, query};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::grpc::{Context, Gateway, Method, refused};
use crate::watch::hub::{Bell, Hub};

/// What a watcher reacts to: when record and policy were last written.
type Version = (u64, u64);

struct Watcher {
    hub: Arc<Hub>,
    bell: Bell,
    asked: WatchSandboxRequest,
    sent: Option<Version>,
    /// The record that was sent last is the last one.
    finished: bool,
    stop: CancellationToken,
}

/// Begins the stream of one watcher; says on which revision. It ends when the sandbox is deleted,
/// and with `stop_on_terminal` when it is ready; a node that stops says so.
///
/// # Errors
/// A refusal about the caller or the id (`config.md` SR-45), or the cluster cannot say.
pub(crate) async fn open(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    context: Context,
    asked: WatchSandboxRequest,
) -> Result<(u64, impl Stream<Item = Result<SandboxStreamEvent, Status>> + use<>), Status> {
    let state = gateway.state_for(&method, &context).await?;
    if asked.id.is_empty() {
        return Err(Status::invalid_argument("id is required"));
    }
    let found = query::sandbox::find_by_id(&state, &context.principal, &asked.id);
    let (key, _) = found.map_err(|refusal| refused(&refusal))?;
    let hub = Arc::clone(&gateway.hub);
    // Before the record is read, so that no change is lost.
    let bell = hub.bell(key, &asked.id);
    let watcher = Watcher { hub, bell, asked, sent: None, finished: false, stop: gateway.streams_end.clone() };
    let events = stream::unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        match watcher.next().await? {
            Ok(event) => Some((Ok(event), Some(watcher))),
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok((state.revision(), events))
}

impl Watcher {
    /// The next event; none when there will be no more.
    async fn next(&mut self) -> Option<Result<SandboxStreamEvent, Status>> {
        while !self.finished {
            if let Some(sandbox) = self.changed()? {
                let ready = sandbox.status.as_ref().is_some_and(|status| status.phase() == SandboxPhase::Ready);
                self.finished = self.asked.stop_on_terminal && ready;
                let payload = Some(sandbox_stream_event::Payload::Sandbox(sandbox));
                return Some(Ok(SandboxStreamEvent { payload }));
            }
            tokio::select! {
                () = self.bell.rung() => {}
                () = self.stop.cancelled() => {
                    return Some(Err(Status::unavailable("the node is stopping; watch through another node")));
                }
            }
        }
        None
    }

    /// The record, when it is another than the one sent last; none outside when it is deleted.
    fn changed(&mut self) -> Option<Option<Sandbox>> {
        let state = self.hub.cluster().state();
        let (version, sandbox) = find(&state, &self.asked.id)?;
        if self.sent == Some(version) || (self.sent.is_some() && !self.asked.follow_status) {
            return Some(None);
        }
        self.sent = Some(version);
        Some(Some(sandbox.clone()))
    }
}

/// The record as it is now, borrowed: it is copied only for an event.
fn find<'a>(state: &'a State, id: &str) -> Option<(Version, &'a Sandbox)> {
    let (key, entry) = state.sandbox_by_id(id)?;
    let policy = state.latest_policy(&key.workspace, id).map_or(0, |policy| policy.revision);
    Some(((entry.revision, policy), entry.value))
}

//! `WatchSandbox` as released clients know it (`config.md` 1.6), derived from applied entries:
//! the record first, then again whenever it, its latest policy revision or its draft inbox has changed; and how
//! the inbox stands when that has. States in between may be skipped. With `follow_logs` the last log lines come
//! after the first record, and new ones as any node receives them. Who may not see the record any more is told
//! so. Platform events need a compute driver and do not appear.

mod drafts;

use std::sync::Arc;

use futures::{Stream, stream};
use openshell_proto::v1::sandbox_stream_event::Payload;
use openshell_proto::v1::{Sandbox, SandboxStreamEvent, SandboxStreamWarning, WatchSandboxRequest};
use openshell_state::access::Principal;
use openshell_state::{Refusal, State, phase, query};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::grpc::{Context, Gateway, Method, refused};
use crate::logs::{Follow, Said};
use crate::watch::census::{Admitted, Subject};
use crate::watch::hub::{Bell, Hub};
use crate::watch::sandbox::drafts::Drafts;

/// What a watcher reacts to: when the record was last written, the version of the latest policy, and when the
/// draft inbox was last written. What became of a policy shows in the record, unless it failed, which wakes
/// nobody (`config.md` PR-8).
type Version = (u64, i64, u64);

struct Watcher {
    hub: Arc<Hub>,
    bell: Bell,
    principal: Principal,
    asked: WatchSandboxRequest,
    /// Log lines, when they are followed.
    lines: Option<Follow>,
    /// A line that was taken and is not sent yet.
    line: Option<Said>,
    sent: Option<Version>,
    drafts: Drafts,
    /// At this revision neither the record nor the inbox had anything to say: no line needs another look.
    quiet_at: Option<u64>,
    /// The record that was sent last is the last one.
    finished: bool,
    stop: CancellationToken,
    _admitted: Admitted,
}

/// Begins the stream of one watcher; says on which revision. It ends when the sandbox is deleted,
/// and with `stop_on_terminal` when it is ready; a node that stops says so.
///
/// # Errors
/// A refusal about the caller, the id (`config.md` SR-45), the sources or the number of watches, or the
/// cluster cannot say.
pub(crate) async fn open(
    gateway: Arc<Gateway>,
    method: Arc<Method>,
    context: Context,
    asked: WatchSandboxRequest,
) -> Result<(u64, impl Stream<Item = Result<SandboxStreamEvent, Status>> + use<>), Status> {
    let state = gateway.state_for(&method, &context).await?;
    let mut watcher = Watcher::begin(&gateway.hub, &state, context.principal, asked, gateway.streams_end.clone())?;
    if watcher.asked.follow_logs {
        // Before the record is read, as the bell was.
        watcher.lines = Some(gateway.logs.follow(&watcher.asked)?);
    }
    // As long as it goes on, a watch holds no more than it needs.
    (watcher.asked.log_sources, watcher.asked.log_min_level) = (Vec::new(), String::new());
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
        let drafts = Drafts::known(state, key, &asked);
        Ok(Self {
            hub,
            bell,
            principal,
            asked,
            lines: None,
            line: None,
            sent: None,
            drafts,
            quiet_at: None,
            finished: false,
            stop,
            _admitted: admitted,
        })
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
            if let Some(payload) = changed {
                if let Payload::Sandbox(sandbox) = &payload {
                    self.finished = self.asked.stop_on_terminal && phase::is_ready(sandbox);
                }
                return Some(Ok(event(payload)));
            }
            // Only now: who may still see the record was asked at this revision.
            if let Some(said) = self.line.take() {
                return Some(Ok(event(said_as(said))));
            }
            tokio::select! {
                () = self.bell.rung() => {}
                said = next_line(&mut self.lines) => match said {
                    Ok(said) => self.line = Some(said),
                    Err(status) => return Some(Err(status)),
                },
                // Nothing rings when the node grows old.
                () = tokio::time::sleep(self.hub.limits().quiet), if self.hub.limits().age.is_some() => {}
                () = self.stop.cancelled() => {
                    return Some(Err(Status::unavailable("the node is stopping; watch through another node")));
                }
            }
        }
        None
    }

    /// The record, when it is another than the one sent last, and then how its inbox stands, when that has
    /// changed; none outside when it is deleted. Who may not see it any more is refused as who asks for it now.
    fn changed(&mut self) -> Option<Result<Option<Payload>, Refusal>> {
        let state = self.hub.feed().state();
        if self.quiet_at == Some(state.revision()) {
            return Some(Ok(None));
        }
        let (version, sandbox) = find(&state, &self.asked.id)?;
        let key = match query::sandbox::find_by_id(&state, &self.principal, &self.asked.id) {
            Ok((key, _)) => key,
            Err(refusal) => return Some(Err(refusal)),
        };
        if self.sent == Some(version) || (self.sent.is_some() && !self.asked.follow_status) {
            let (_, _, inbox) = version;
            let update = self.drafts.changed(&state, (key, &self.asked.id), inbox);
            self.quiet_at = update.is_none().then(|| state.revision());
            return Some(Ok(update.map(Payload::DraftPolicyUpdate)));
        }
        self.sent = Some(version);
        Some(Ok(Some(Payload::Sandbox(sandbox.clone()))))
    }
}

/// The next line, for who follows them.
async fn next_line(lines: &mut Option<Follow>) -> Result<Said, Status> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

fn said_as(said: Said) -> Payload {
    match said {
        Said::Line(line) => Payload::Log(line),
        Said::Warning(message) => Payload::Warning(SandboxStreamWarning { message }),
    }
}

fn event(payload: Payload) -> SandboxStreamEvent {
    SandboxStreamEvent { payload: Some(payload) }
}

/// The record as it is now, borrowed: it is copied only for an event.
fn find<'a>(state: &'a State, id: &str) -> Option<(Version, &'a Sandbox)> {
    let (key, entry) = state.sandbox_by_id(id)?;
    let policy = state.latest_policy(&key.workspace, id).map_or(0, |policy| policy.value.stored.version);
    let drafts = state.draft_inbox(&key.workspace, id).map_or(0, |inbox| inbox.revision);
    Some(((entry.revision, policy, drafts), entry.value))
}

#[cfg(test)]
mod tests;

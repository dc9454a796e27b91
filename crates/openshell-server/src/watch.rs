//! `WatchSandbox` as released clients know it (`config.md` 1.6), derived from applied entries:
//! the record first, then again whenever it or its latest policy revision has changed. States
//! in between may be skipped. Logs and events need a running sandbox and do not appear.

use futures::Stream;
use openshell_proto::v1::{Sandbox, SandboxPhase, SandboxStreamEvent, WatchSandboxRequest, sandbox_stream_event};
use openshell_raft::Cluster;
use openshell_state::access::Principal;
use openshell_state::{State, query};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::grpc::refused;

/// Events that wait for a slow reader; beyond, it gets the newest state only.
const BUFFER: usize = 16;

/// What a watcher reacts to: when record and policy were last written.
type Version = (u64, u64);

/// The stream of one watcher. It ends when the sandbox is deleted, and with `stop_on_terminal`
/// when it is ready; a node that stops says so.
pub(crate) fn sandbox(
    cluster: Cluster,
    state: &State,
    stop: CancellationToken,
    principal: Principal,
    asked: WatchSandboxRequest,
) -> Result<impl Stream<Item = Result<SandboxStreamEvent, Status>> + use<>, Status> {
    if asked.id.is_empty() {
        return Err(Status::invalid_argument("id is required"));
    }
    query::sandbox::find_by_id(state, &principal, &asked.id).map_err(|refusal| refused(&refusal))?;
    let (events, stream) = tokio::sync::mpsc::channel(BUFFER);
    // The task ends with its reader, with the sandbox, or with the node.
    tokio::spawn(async move {
        let mut revisions = cluster.watch_revision();
        let mut sent: Option<Version> = None;
        loop {
            let state = cluster.state();
            let Some((version, sandbox)) = find(&state, &asked.id) else { return };
            if sent != Some(version) && (sent.is_none() || asked.follow_status) {
                sent = Some(version);
                let sandbox = sandbox.clone();
                let ready = sandbox.status.as_ref().is_some_and(|status| status.phase() == SandboxPhase::Ready);
                let event = SandboxStreamEvent { payload: Some(sandbox_stream_event::Payload::Sandbox(sandbox)) };
                if events.send(Ok(event)).await.is_err() || (asked.stop_on_terminal && ready) {
                    return;
                }
            }
            drop(state);
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { return },
                () = events.closed() => return,
                () = stop.cancelled() => {
                    let status = Status::unavailable("the node is stopping; watch through another node");
                    // A reader that is gone needs no farewell.
                    drop(events.send(Err(status)).await);
                    return;
                }
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}

/// The record as it is now, borrowed: it is copied only for an event.
fn find<'a>(state: &'a State, id: &str) -> Option<(Version, &'a Sandbox)> {
    let (key, entry) = state.sandbox_by_id(id)?;
    let policy = state.latest_policy(&key.workspace, id).map_or(0, |policy| policy.revision);
    Some(((entry.revision, policy), entry.value))
}

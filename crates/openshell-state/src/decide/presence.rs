//! Sandboxes that are connected, or have not been for a while, as transitions of their records (`config.md`
//! SR-41): one entry for many of them, and none where the record says so already. Who is connected is known
//! outside; nothing of that is kept but the phase.

use openshell_proto::peer::RecordPresenceRequest;
use openshell_proto::v1::{Sandbox, SandboxPhase, SandboxStatus};
use prost::Message;

use crate::decide::lifecycle;
use crate::decision::{Call, Decision, Draft};
use crate::phase;

/// Records that one entry changes have so many bytes together, or one more record.
const ENTRY_BYTES: usize = 1024 * 1024;

/// Decides it for the cluster itself, by the sandboxes' ids. What is more than one entry holds is left, as is
/// who is gone or does not change: to be asked again until the records say so.
#[must_use]
pub fn record(call: Call<'_>, request: &RecordPresenceRequest) -> Decision {
    let mut draft = Draft::new();
    let mut bytes = 0;
    let connected = request.connected.iter().map(|id| (id, true));
    let disconnected = request.disconnected.iter().map(|id| (id, false));
    for (id, is_connected) in connected.chain(disconnected) {
        let Some((key, entry)) = call.state.sandbox_by_id(id) else { continue };
        let Some(after) = moved(entry.value, is_connected, call.stamp.time_ms) else { continue };
        if bytes > ENTRY_BYTES {
            break;
        }
        bytes += entry.value.encoded_len();
        draft.rely_on(call.state, key.clone());
        lifecycle::put(&mut draft, &key.workspace, entry.value, after);
    }
    if draft.writes.is_empty() { Decision::Answer(Vec::new()) } else { Decision::Transact(draft) }
}

/// The status that a sandbox comes to. Which instance of the main process runs, a stream of configurations
/// does not say: it stays.
fn moved(sandbox: &Sandbox, is_connected: bool, time_ms: i64) -> Option<SandboxStatus> {
    let before = lifecycle::status(sandbox);
    match is_connected {
        true if before.phase() == SandboxPhase::Ready => None,
        true => phase::connected(&before, &before.main_process_instance_id, time_ms),
        false => phase::disconnected(&before, time_ms),
    }
}

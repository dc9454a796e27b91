//! What the watcher of one sandbox hears about its draft inbox: how many proposals are new and how many
//! wait. The proposals themselves are read with `GetDraftPolicy`.

use openshell_proto::v1::{DraftPolicyUpdate, WatchSandboxRequest};
use openshell_state::query::draft::standing;
use openshell_state::{Key, State};

/// What one watcher knows of the inbox.
pub(super) struct Drafts {
    asked: bool,
    sandbox_id: String,
    /// The revision of the last change that it knows.
    known: u64,
}

impl Drafts {
    /// The inbox as it is when the watch begins, of which nothing is said.
    pub(super) fn known(state: &State, sandbox: &Key, asked: &WatchSandboxRequest) -> Self {
        let known = state.draft_inbox(&sandbox.workspace, &asked.id).map_or(0, |inbox| inbox.revision);
        Self { asked: asked.follow_status || asked.follow_events, sandbox_id: asked.id.clone(), known }
    }

    /// How the inbox stands, when that has changed and the watcher wants to hear of it.
    pub(super) fn changed(&mut self, state: &State, sandbox: &Key) -> Option<DraftPolicyUpdate> {
        if !self.asked {
            return None;
        }
        let revision = state.draft_inbox(&sandbox.workspace, &self.sandbox_id).map_or(0, |inbox| inbox.revision);
        if revision == self.known {
            return None;
        }
        let standing = standing(state, &sandbox.workspace, &self.sandbox_id, self.known);
        self.known = revision;
        Some(DraftPolicyUpdate {
            draft_version: standing.draft_version,
            new_chunks: standing.new,
            total_pending: standing.pending,
            summary: format!("{} new, {} pending", standing.new, standing.pending),
        })
    }
}

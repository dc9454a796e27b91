//! What the watcher of one sandbox hears about its draft inbox: how many proposals are new and how many
//! wait. The proposals themselves are read with `GetDraftPolicy`.

use openshell_proto::v1::{DraftPolicyUpdate, WatchSandboxRequest};
use openshell_state::query::draft::standing;
use openshell_state::{Key, State};

/// What one watcher knows of the inbox.
pub(super) struct Drafts {
    asked: bool,
    /// The revision of the last change that it knows.
    known: u64,
}

impl Drafts {
    /// The inbox as it is when the watch begins, of which nothing is said.
    pub(super) fn known(state: &State, sandbox: &Key, asked: &WatchSandboxRequest) -> Self {
        let known = state.draft_inbox(&sandbox.workspace, &asked.id).map_or(0, |inbox| inbox.revision);
        Self { asked: asked.follow_status || asked.follow_events, known }
    }

    /// How the inbox of a sandbox, by its key and its id, stands, when that has changed since the watcher heard of
    /// it, and it wants to. `revision` is that of the inbox's last change.
    pub(super) fn changed(
        &mut self,
        state: &State,
        (sandbox, id): (&Key, &str),
        revision: u64,
    ) -> Option<DraftPolicyUpdate> {
        if !self.asked || revision == self.known {
            return None;
        }
        let standing = standing(state, &sandbox.workspace, id, self.known);
        self.known = revision;
        Some(DraftPolicyUpdate {
            draft_version: standing.draft_version,
            new_chunks: standing.new,
            total_pending: standing.pending,
            summary: format!("{} new, {} pending", standing.new, standing.pending),
        })
    }
}

//! Policies: of one sandbox and global, as numbered revisions (`config.md` 2.5, 3.4, 3.5, 3.6).
//! One entry writes the revision, supersedes those below, lets go of the oldest and updates what hangs on it.

mod global;
mod merge;
pub(super) mod sandbox;

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::StoredPolicyRevision;
use prost::Message;

use crate::composition;
use crate::decision::{Call, Draft};
use crate::effective::version_of;
use crate::key::Key;
use crate::record::PolicyRevision;
use crate::record::revision_status::{LOADED, PENDING, SUPERSEDED};
use crate::refusal::Refusal;
use crate::state::{Entry, State};

pub(super) use global::set_global;
pub(super) use merge::merge;
pub(super) use sandbox::{Change, set};

/// How many revisions of one policy are kept, the newest; beside them the one that the sandbox enforces.
const REVISIONS_KEPT: u32 = 200;
/// How many bytes the records of these have together at most. The newest and the one before it, which may be what is
/// enforced until the newest is loaded, are kept whatever they have.
const REVISIONS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many older ones one entry lets go: more than come with each entry, and little beside what it may hold.
const FORGOTTEN_AT_ONCE_MAX: usize = 1000;

/// While a global policy is set no sandbox's own policy is changed. The draft relies on that.
pub(super) fn not_global(state: &State, draft: &mut Draft) -> Result<(), Refusal> {
    draft.rely_on(state, Key::gateway_settings());
    if composition::global_policy(state)?.is_some() {
        return Err(Refusal::precondition("the policy is managed globally; delete the global policy first"));
    }
    Ok(())
}

/// The key of the revision that would be written next; relying on its absence is relying on
/// the latest revision.
pub(crate) fn next_revision_key(state: &State, workspace: &str, sandbox_id: &str) -> Key {
    Key::policy_revision(workspace, sandbox_id, next_version(state.latest_policy(workspace, sandbox_id)))
}

fn next_version(latest: Option<Entry<'_, PolicyRevision>>) -> u32 {
    latest.map_or(0, |revision| version_of(&revision.value.stored)) + 1
}

fn revision(
    call: &Call<'_>,
    scope: &str,
    version: u32,
    policy: &SandboxPolicy,
    policy_hash: &str,
    status: &str,
    provenance: &BTreeMap<String, String>,
) -> StoredPolicyRevision {
    StoredPolicyRevision {
        id: call.stamp.identifiers.uuid(),
        sandbox_id: scope.to_owned(),
        version: i64::from(version),
        policy_payload: policy.encode_to_vec(),
        policy_hash: policy_hash.to_owned(),
        status: status.to_owned(),
        load_error: None,
        created_at_ms: call.stamp.time_ms,
        loaded_at_ms: (status == LOADED).then_some(call.stamp.time_ms),
        provenance: provenance.clone(),
    }
}

/// The revision that is enforced, and the one before the next, are no longer so (PR-2). Relies on each, since what
/// a sandbox reports about a revision is written into the same record.
///
/// Only these two are looked at, however many there are: no other is pending or loaded. What is written becomes
/// the latest and supersedes; what is reported as loaded becomes the `current` one of its sandbox in the same entry,
/// and the one that was current before is superseded there. Before any report, when `current` is 0, only the first may
/// be loaded, by the creation of its sandbox. The gateway's own revisions have no `current` one: they are loaded as
/// long as they are the latest.
pub(super) fn supersede(state: &State, draft: &mut Draft, workspace: &str, scope: &str, current: u32) {
    let latest = state.latest_policy(workspace, scope).map_or(0, |revision| version_of(&revision.value.stored));
    for version in BTreeSet::from([latest, current.max(1)]) {
        let Some(revision) = state.policy_revision(workspace, scope, version) else { continue };
        let stored = &revision.value.stored;
        if stored.status == PENDING || stored.status == LOADED {
            let key = Key::policy_revision(workspace, scope, version);
            draft.rely_on(state, key.clone());
            draft.put(&key, &StoredPolicyRevision { status: SUPERSEDED.to_owned(), ..stored.clone() });
        }
    }
}

/// Lets go of what is more than [`REVISIONS_KEPT`] or [`REVISIONS_BYTES_MAX`] back once `next` is written, but for the
/// `current` one of the sandbox. Where older programs kept more, each entry takes a part of them. Relies on nothing:
/// whoever makes a revision current writes its sandbox, which every change of a policy relies on.
pub(super) fn forget(
    state: &State,
    draft: &mut Draft,
    workspace: &str,
    scope: &str,
    next: &StoredPolicyRevision,
    current: u32,
) {
    let first_kept = first_kept(state, workspace, scope, next);
    let older = state.policy_revisions_before(workspace, scope, first_kept);
    let older = older.map(|entry| version_of(&entry.value.stored)).filter(|older| *older != current);
    for older in older.take(FORGOTTEN_AT_ONCE_MAX) {
        draft.delete(&Key::policy_revision(workspace, scope, older));
    }
}

/// The oldest revision that stays once `next` is written: by number, and by bytes, each from the newest.
fn first_kept(state: &State, workspace: &str, scope: &str, next: &StoredPolicyRevision) -> u32 {
    let version = version_of(next);
    let by_number = (version + 1).saturating_sub(REVISIONS_KEPT);
    let mut bytes = next.encoded_len();
    let kept = state.policy_revisions(workspace, scope).map(|entry| &entry.value.stored).take_while(|stored| {
        bytes += stored.encoded_len();
        version_of(stored) >= by_number && bytes <= REVISIONS_BYTES_MAX
    });
    kept.last().map_or(version, version_of).min(version.saturating_sub(1))
}

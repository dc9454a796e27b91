//! Which sandboxes a change concerns (`openshell.sync.v1`): those that depend on what its entry wrote, as they
//! are now. How far each of them is, no state knows.

use std::collections::BTreeMap;

use openshell_proto::log;
use openshell_proto::sync::GetRolloutRequest;
use openshell_proto::v1::Sandbox;

use crate::access::Principal;
use crate::key::Key;
use crate::query::{sandbox_of, sandboxes, scope};
use crate::refusal::Refusal;
use crate::state::State;
use crate::touched::Concerned;

/// The workspace that a rollout is looked at in; none for all.
///
/// # Errors
/// `INVALID_ARGUMENT` without a revision, or with a workspace beside all of them; a refusal about the caller or
/// the workspace.
pub fn within<'a>(
    state: &State,
    principal: &Principal,
    request: &'a GetRolloutRequest,
) -> Result<Option<&'a str>, Refusal> {
    if request.revision == 0 {
        return Err(Refusal::invalid("revision is required: that of the answer to the change"));
    }
    scope(state, principal, &request.workspace, request.all_workspaces)
}

/// The sandboxes that a revision concerns, which wrote the records of these keys, in order of their own. Nobody
/// is concerned by what composes nothing new, such as a phase or what became of a policy: nothing is sent to a
/// sandbox that nothing has changed for since, and nobody could wait for it.
#[must_use]
pub fn concerned<'a>(
    state: &'a State,
    workspace: Option<&str>,
    revision: u64,
    written: &[log::Key],
) -> BTreeMap<&'a Key, &'a Sandbox> {
    let is_within = |key: &Key| workspace.is_none_or(|workspace| *key.workspace == *workspace);
    let is_changed = |key: &Key| state.unchanged_since(key) >= revision;
    let mut found = BTreeMap::new();
    for key in written.iter().filter_map(|key| Key::from_proto(key).ok()) {
        match state.concerned_by(&key) {
            Concerned::Nobody => {}
            Concerned::Sandboxes(those) => {
                let there = those.iter().filter(|key| is_within(key) && is_changed(key));
                let there = there.filter_map(|key| state.records.get_key_value(key));
                found.extend(there.map(|(key, record)| (key, sandbox_of(key, record))));
            }
            Concerned::Everybody => {
                return sandboxes(state, workspace).filter(|(key, _)| is_changed(key)).collect();
            }
        }
    }
    found
}

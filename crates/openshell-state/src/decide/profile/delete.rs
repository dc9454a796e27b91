//! `DeleteProviderProfile` (`providers.md` 4.7): refused while an attached provider uses it.

use std::collections::BTreeSet;

use openshell_proto::v1::{DeleteProviderProfileRequest, DeleteProviderProfileResponse};

use crate::composition::{Source, View};
use crate::decide::Need;
use crate::decide::profile::conflicts::scope_name;
use crate::decide::profile::enter_scope;
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;

/// Decides a deletion.
///
/// # Errors
/// A refusal about the caller, the workspace or the id; `NOT_FOUND` when the scope has no such
/// profile; `FAILED_PRECONDITION` for a built-in id, or naming the sandboxes that use it.
pub fn delete(call: Call<'_>, request: &DeleteProviderProfileRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let scope = request.workspace.as_str();
    enter_scope(&call, &mut draft, scope, Need::Existing)?;
    let id = crate::query::profile::id_argument(&request.id)?;
    // A newer built-in catalogue may claim the id of a profile that was imported before; that one
    // is shadowed for ever, and may go (`providers.md` D.2, CAT-11).
    if call.state.builtin_profile(&id).is_some() && call.state.profile(scope, &id).is_none() {
        return Err(Refusal::precondition(format!(
            "profile {id:?} is managed by source 'builtin' and cannot be deleted"
        )));
    }
    if call.state.profile(scope, &id).is_none() {
        return Err(Refusal::not_found(format!("custom profile {id:?} does not exist in {}", scope_name(scope))));
    }
    draft.rely_on(call.state, Key::profile(scope, &id));
    draft.rely_on(call.state, Key::profile_users(scope, &id));
    let users = users(call.state, scope, &id);
    if !users.is_empty() {
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        return Err(Refusal::precondition(format!(
            "profile {id:?} is in use by sandboxes {}; detach its providers first",
            users.join(", ")
        )));
    }
    draft.delete(&Key::profile(scope, &id));
    if !scope.is_empty() {
        draft.touch(Key::workspace_contents(scope));
    }
    draft.touch(Key::composition());
    Ok(draft.answer(&DeleteProviderProfileResponse { deleted: true }))
}

/// Labels of the sandboxes with a provider that resolves to the profile, or would if it were valid: their
/// names in a workspace, `workspace/name` across them (DEL-3).
fn users(state: &State, scope: &str, profile: &str) -> BTreeSet<String> {
    let view = View::of(state);
    let source = if scope.is_empty() { Source::Platform } else { Source::Workspace };
    let mut users = BTreeSet::new();
    for (workspace, name) in state.providers_of_profile(profile) {
        let Some(member) = view.member(workspace, name) else { continue };
        let uses = match (&member.resolved, &member.left_out) {
            (Some(resolved), _) => resolved.source == source && resolved.workspace == scope,
            (None, Some(left_out)) => left_out.source == source && left_out.workspace == scope,
            (None, None) => false,
        };
        if uses {
            let sandboxes = state.sandboxes_listing(workspace, name);
            users.extend(
                sandboxes.map(
                    |sandbox| {
                        if scope.is_empty() { format!("{workspace}/{sandbox}") } else { sandbox.to_string() }
                    },
                ),
            );
        }
    }
    users
}

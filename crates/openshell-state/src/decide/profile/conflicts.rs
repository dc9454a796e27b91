//! Whether an id is free in a scope (`providers.md` 3.2). Used by Import and Lint.

use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic};
use openshell_providers::{id, validate};

use crate::decision::Draft;
use crate::key::Key;
use crate::state::State;

/// The diagnostics V-CONF-1 to 3 for profiles that would be created in `scope`. Records what
/// they relied on.
pub(crate) fn conflicts(
    state: &State,
    draft: &mut Draft,
    scope: &str,
    profiles: &[(String, ProviderProfile)],
) -> Vec<ProviderProfileDiagnostic> {
    let mut found = Vec::new();
    for (source, profile) in profiles {
        let Some(id) = id::normalise(&profile.id) else { continue };
        draft.rely_on(state, Key::builtin_profile(&id));
        draft.rely_on(state, Key::profile(scope, &id));
        draft.rely_on(state, Key::profile("", &id));
        if state.builtin_profile(&id).is_some() {
            let message =
                format!("profile {id:?} is managed by source 'builtin' and cannot be imported; choose another id");
            found.push(validate::error(source, &id, "id", message));
        } else if state.profile(scope, &id).is_some() {
            let message = format!("profile {id:?} already exists in {}; update it instead", scope_name(scope));
            found.push(validate::error(source, &id, "id", message));
        } else if !scope.is_empty() && state.profile("", &id).is_some() {
            let message =
                format!("profile {id:?} shadows the platform-scoped profile of the same id in {}", scope_name(scope));
            found.push(ProviderProfileDiagnostic {
                severity: "warning".to_owned(),
                ..validate::error(source, &id, "id", message)
            });
        }
    }
    found
}

/// A scope in words.
pub(super) fn scope_name(scope: &str) -> String {
    if scope.is_empty() { "the platform scope".to_owned() } else { format!("workspace {scope:?}") }
}

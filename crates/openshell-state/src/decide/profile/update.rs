//! `UpdateProviderProfiles`: replaces profiles (`providers.md` 4.3), one by the released
//! fields, or several at once by the field `updates`, all or none.

use std::borrow::Cow;
use std::collections::BTreeSet;

use openshell_proto::v1::{
    ProviderProfile, ProviderProfileDiagnostic, ProviderProfileImportItem, ProviderProfileUpdate,
    ProviderProfileUpdateResult, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
};
use openshell_providers::{id, validate};

use crate::decide::profile::attached::{Candidate, attached_diagnostics};
use crate::decide::profile::conflicts::scope_name;
use crate::decide::profile::{accepted, answered, enter_scope, has_error, stored_payload};
use crate::decide::{Need, expect_version, next_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::query::profile::id_argument;
use crate::refusal::Refusal;
use crate::state::State;

/// One item with its target id normalised and its payload as it would be stored.
struct Item {
    id: String,
    source: String,
    profile: ProviderProfile,
    expected: u64,
}

/// Decides an update.
///
/// # Errors
/// A refusal about the caller, the workspace or an id argument; `ABORTED` with the current
/// version when the caller's expectation does not hold. What is wrong with a profile is a
/// diagnostic in the answer, and nothing is written.
pub fn update(call: Call<'_>, request: &UpdateProviderProfilesRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let scope = request.workspace.as_str();
    enter_scope(&call, &mut draft, scope, Need::Active)?;
    let batch = !request.updates.is_empty();
    let updates = requested(request)?;
    let mut diagnostics = Vec::new();
    let mut items = Vec::with_capacity(updates.len());
    for update in &updates {
        let imports: &[ProviderProfileImportItem] = update.item.as_slice();
        diagnostics.extend(validate::items(imports));
        if imports.is_empty() {
            diagnostics.push(validate::empty_request());
        }
        let target = id_argument(&update.id)?;
        diagnostics.extend(target_diagnostics(call.state, &mut draft, scope, &target, update.item.as_ref()));
        if let Some(item) = read(update, target) {
            items.push(item);
        }
    }
    diagnostics.extend(repeated_targets(&items));
    let sources: Vec<_> = items.iter().map(|item| (item.source.as_str(), &item.profile)).collect();
    diagnostics.extend(validate::profiles(&sources));
    let (unchanged, items): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| batch && is_stored(call.state, scope, item));
    diagnostics.extend(items.iter().filter(|item| item.expected == 0).map(|item| {
        let message = "a non-zero resource_version is needed: export the profile, edit that file and keep its version";
        validate::error(&item.source, &item.profile.id, "resource_version", message.to_owned())
    }));
    if !has_error(&diagnostics) {
        let candidates: Vec<_> =
            items.iter().map(|item| Candidate::new(&item.source, scope, Cow::Borrowed(&item.profile))).collect();
        diagnostics.extend(attached_diagnostics(call.state, &mut draft, "update", &candidates)?);
    }
    if has_error(&diagnostics) {
        return Ok(refused(diagnostics));
    }
    replace(&call, draft, scope, batch, &unchanged, items)
}

/// The items of a request: the batch, or the one that the released fields describe.
fn requested(request: &UpdateProviderProfilesRequest) -> Result<Vec<ProviderProfileUpdate>, Refusal> {
    if request.updates.is_empty() {
        return Ok(vec![ProviderProfileUpdate {
            item: request.profile.clone(),
            id: request.id.clone(),
            expected_resource_version: request.expected_resource_version,
        }]);
    }
    if request.profile.is_some() || !request.id.is_empty() || request.expected_resource_version != 0 {
        return Err(Refusal::invalid("updates cannot be combined with profile, id or expected_resource_version"));
    }
    Ok(request.updates.clone())
}

/// U-1 to U-4: what the ids say before the payload is looked at.
fn target_diagnostics(
    state: &State,
    draft: &mut Draft,
    scope: &str,
    target: &str,
    item: Option<&ProviderProfileImportItem>,
) -> Vec<ProviderProfileDiagnostic> {
    let mut diagnostics = Vec::new();
    let source = item.map_or("", |item| item.source.as_str());
    let payload = item.and_then(|item| item.profile.as_ref()).and_then(|profile| id::normalise(&profile.id));
    draft.rely_on(state, Key::builtin_profile(target));
    draft.rely_on(state, Key::profile(scope, target));
    let renamed = payload.as_deref().filter(|id| *id != target);
    if let Some(id) = renamed {
        let message = format!("payload id {id:?} differs from the target {target:?}; a profile's id never changes");
        diagnostics.push(validate::error(source, id, "id", message));
    }
    let is_stored = state.profile(scope, target).is_some();
    // One that a newer catalogue hides is still its owner's to change (CAT-11).
    if state.builtin_profile(target).is_some() && !is_stored {
        let message = format!("profile {target:?} is managed by source 'builtin' and cannot be updated");
        diagnostics.push(validate::error(target, target, "id", message));
        return diagnostics;
    }
    if !is_stored {
        let message = format!("custom profile {target:?} does not exist in {}; import it first", scope_name(scope));
        diagnostics.push(validate::error(target, target, "id", message));
    }
    if let Some(id) = renamed.filter(|id| state.builtin_profile(id).is_some()) {
        let message = format!("profile {id:?} is managed by source 'builtin'; choose another id");
        diagnostics.push(validate::error(source, id, "id", message));
    }
    diagnostics
}

/// The item as it would be stored; none without a payload. An expected version of the request
/// wins over the embedded one (UPD-1).
fn read(update: &ProviderProfileUpdate, id: String) -> Option<Item> {
    let item = update.item.as_ref()?;
    let profile = item.profile.clone()?;
    let embedded = profile.resource_version;
    let expected = if update.expected_resource_version == 0 { embedded } else { update.expected_resource_version };
    Some(Item { id, source: item.source.clone(), profile: stored_payload(profile), expected })
}

/// A batch names each target once. Equal payload ids are found by validation; this is about
/// arguments.
fn repeated_targets(items: &[Item]) -> Vec<ProviderProfileDiagnostic> {
    let mut seen = BTreeSet::new();
    let repeated = items.iter().filter(|item| !seen.insert(&item.id) && item.profile.id != item.id);
    repeated
        .map(|item| {
            let message = format!("profile {:?} is updated twice in one batch", item.id);
            validate::error(&item.source, &item.id, "id", message)
        })
        .collect()
}

/// Nothing would change. What is left out is written again all the same: it is accepted by that.
fn is_stored(state: &State, scope: &str, item: &Item) -> bool {
    state.profile(scope, &item.id).is_some_and(|stored| {
        stored.value.profile.as_ref() == Some(&item.profile) && stored.value.invalid_reason.is_empty()
    })
}

/// Writes the items over what is stored, each on the version that its caller expects.
fn replace(
    call: &Call<'_>,
    mut draft: Draft,
    scope: &str,
    batch: bool,
    unchanged: &[Item],
    items: Vec<Item>,
) -> Result<Decision, Refusal> {
    let stored = |id: &str| call.state.profile(scope, id).map(|entry| entry.value.clone());
    let mut results: Vec<_> = unchanged
        .iter()
        .map(|item| ProviderProfileUpdateResult {
            id: item.id.clone(),
            changed: false,
            profile: stored(&item.id).as_ref().map(answered),
        })
        .collect();
    let writes = !items.is_empty();
    for item in items {
        let before = stored(&item.id)
            .ok_or_else(|| Refusal::not_found(format!("profile {:?} is gone from {}", item.id, scope_name(scope))))?;
        let current = before.metadata.as_ref().map_or(0, |metadata| metadata.resource_version);
        expect_version(&format!("profile {:?}", item.id), item.expected, current)?;
        let is_hidden = call.state.builtin_profile(&item.id).is_some();
        let after = accepted(next_metadata(before.metadata.as_ref()), item.profile, is_hidden);
        draft.put(&Key::profile(scope, &item.id), &after);
        results.push(ProviderProfileUpdateResult { id: item.id, changed: true, profile: Some(answered(&after)) });
    }
    draft.touch(Key::composition());
    results.sort_by(|left, right| left.id.cmp(&right.id));
    let profile = if batch { None } else { results.first().and_then(|result| result.profile.clone()) };
    let results = if batch { results } else { Vec::new() };
    let response = UpdateProviderProfilesResponse { diagnostics: Vec::new(), profile, updated: true, results };
    Ok(if writes { draft.answer(&response) } else { Decision::answer(&response) })
}

fn refused(diagnostics: Vec<ProviderProfileDiagnostic>) -> Decision {
    Decision::answer(&UpdateProviderProfilesResponse { diagnostics, ..UpdateProviderProfilesResponse::default() })
}

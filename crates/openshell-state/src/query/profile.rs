//! Provider profiles as they are read: get, list, lint (`providers.md` 4.4 to 4.6).

use openshell_proto::v1::{
    GetProviderProfileRequest, LintProviderProfilesRequest, LintProviderProfilesResponse, ListProviderProfilesRequest,
    ListProviderProfilesResponse, ProviderProfile, ProviderProfileResponse, StoredProviderProfile,
};
use openshell_providers::{id, validate};

use crate::access::{Principal, Role};
use crate::composition::Source;
use crate::decide::profile::conflicts;
use crate::decision::Draft;
use crate::query::{enter, page};
use crate::refusal::Refusal;
use crate::state::State;

/// A profile id given as an argument (`providers.md` ID-4).
///
/// # Errors
/// `INVALID_ARGUMENT` when it is blank or cannot be normalised.
pub fn id_argument(argument: &str) -> Result<String, Refusal> {
    if argument.trim().is_empty() {
        return Err(Refusal::invalid("id is required: name the profile"));
    }
    id::normalise(argument).ok_or_else(|| {
        Refusal::invalid(format!(
            "id {argument:?} is not lowercase kebab-case: groups of a-z and 0-9 joined by single '-'"
        ))
    })
}

/// A read in a scope: the platform needs a platform admin (`providers.md` AUTHZ-4).
fn enter_scope(state: &State, principal: &Principal, scope: &str) -> Result<(), Refusal> {
    if scope.is_empty() { principal.require_platform_admin() } else { enter(state, principal, scope, Role::User) }
}

/// `GetProviderProfile`.
///
/// # Errors
/// A refusal about the caller, the workspace or the id; `NOT_FOUND`.
pub fn get(
    state: &State,
    principal: &Principal,
    request: &GetProviderProfileRequest,
) -> Result<ProviderProfileResponse, Refusal> {
    let scope = request.workspace.as_str();
    enter_scope(state, principal, scope)?;
    let id = id_argument(&request.id)?;
    let own = || (!scope.is_empty()).then(|| state.profile(scope, &id)).flatten();
    let found = own()
        .map(|entry| answered(entry.value, Source::Workspace))
        .or_else(|| state.profile("", &id).map(|entry| answered(entry.value, Source::Platform)))
        .or_else(|| state.builtin_profile(&id).map(|entry| answered(entry.value, Source::Builtin)));
    match found {
        Some(profile) => Ok(ProviderProfileResponse { profile: Some(profile) }),
        None => Err(Refusal::not_found(format!("provider profile {id:?} not found"))),
    }
}

/// `ListProviderProfiles`: by id; a shadowed platform profile follows the one that hides it.
///
/// # Errors
/// A refusal about the caller or the workspace.
pub fn list(
    state: &State,
    principal: &Principal,
    request: &ListProviderProfilesRequest,
) -> Result<ListProviderProfilesResponse, Refusal> {
    let scope = request.workspace.as_str();
    enter_scope(state, principal, scope)?;
    let own = (!scope.is_empty()).then(|| state.profiles(scope)).into_iter().flatten();
    let mut profiles: Vec<ProviderProfile> = own
        .map(|(_, entry)| answered(entry.value, Source::Workspace))
        .chain(state.profiles("").map(|(_, entry)| answered(entry.value, Source::Platform)))
        .chain(state.builtin_profiles().map(|(_, entry)| answered(entry.value, Source::Builtin)))
        .collect();
    // A stable sort: of equal ids the workspace's comes first.
    profiles.sort_by(|left, right| left.id.cmp(&right.id));
    let profiles = page(profiles.into_iter(), request.offset, request.limit, 100);
    Ok(ListProviderProfilesResponse { profiles })
}

/// `LintProviderProfiles`: what an import would say, without the sandboxes.
///
/// # Errors
/// A refusal about the caller or the workspace.
pub fn lint(
    state: &State,
    principal: &Principal,
    request: &LintProviderProfilesRequest,
) -> Result<LintProviderProfilesResponse, Refusal> {
    let scope = request.workspace.as_str();
    enter_scope(state, principal, scope)?;
    let mut diagnostics = validate::items(&request.profiles);
    if request.profiles.is_empty() {
        diagnostics.push(validate::empty_request());
    }
    let profiles: Vec<_> = request
        .profiles
        .iter()
        .filter_map(|item| Some((item.source.clone(), openshell_providers::normalise_profile(item.profile.clone()?))))
        .collect();
    diagnostics.extend(conflicts(state, &mut Draft::new(), scope, &profiles));
    let sources: Vec<_> = profiles.iter().map(|(source, profile)| (source.as_str(), profile)).collect();
    diagnostics.extend(validate::profiles(&sources));
    let valid = diagnostics.iter().all(|diagnostic| diagnostic.severity != "error");
    Ok(LintProviderProfilesResponse { diagnostics, valid })
}

/// A stored profile as answers show it: with why it is left out, should it be.
pub(super) fn answered(stored: &StoredProviderProfile, source: Source) -> ProviderProfile {
    ProviderProfile {
        source: source.id().to_owned(),
        scope: source.scope().to_owned(),
        resource_version: stored.metadata.as_ref().map_or(0, |metadata| metadata.resource_version),
        invalid_reason: stored.invalid_reason.clone(),
        ..stored.profile.clone().unwrap_or_default()
    }
}

//! How the refresh of credentials goes: `GetProviderRefreshStatus` (`providers.md` 7.2). Material is
//! never answered.

use openshell_proto::v1::{
    GetProviderRefreshStatusRequest, GetProviderRefreshStatusResponse, ProviderCredentialRefreshStatus,
    ProviderCredentialRefreshStrategy as Strategy, StoredProviderCredentialRefreshState,
};

use openshell_providers::predicates;

use crate::access::{Principal, Role, workspace_or_default};
use crate::key::Key;
use crate::query::enter;
use crate::refusal::Refusal;
use crate::state::State;

/// What is said of a refresh state.
#[must_use]
pub fn status_of(state: &StoredProviderCredentialRefreshState) -> ProviderCredentialRefreshStatus {
    ProviderCredentialRefreshStatus {
        provider_name: state.provider_name.clone(),
        provider_id: state.provider_id.clone(),
        credential_key: state.credential_key.clone(),
        strategy: state.strategy,
        status: state.status.clone(),
        expires_at_ms: state.expires_at_ms,
        next_refresh_at_ms: state.next_refresh_at_ms,
        last_refresh_at_ms: state.last_refresh_at_ms,
        last_error: state.last_error.clone(),
        recovery_action: state.recovery_action,
        failure_code: state.failure_code.clone(),
        provider_error_subtype: state.provider_error_subtype.clone(),
        last_error_at_ms: state.last_error_at_ms,
    }
}

/// `GetProviderRefreshStatus`: all of a provider, in order of creation, or the one of a key. A key without
/// a refresh is an empty answer.
///
/// # Errors
/// A refusal about the caller, the workspace or the provider's name; `NOT_FOUND` for the provider.
pub fn status(
    state: &State,
    principal: &Principal,
    request: &GetProviderRefreshStatusRequest,
) -> Result<GetProviderRefreshStatusResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    let (name, credential_key) = (request.provider.trim(), request.credential_key.trim());
    if name.is_empty() {
        return Err(Refusal::invalid("provider is required: name the provider"));
    }
    let Some(provider) = state.provider(workspace, name) else {
        return Err(Refusal::not_found(format!("provider {name:?} does not exist in workspace {workspace:?}")));
    };
    let id = provider.value.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let mut found: Vec<_> = match credential_key {
        "" => state.refresh_states(workspace, id).map(|entry| entry.value).collect(),
        key => state.refresh(&Key::refresh(workspace, id, key)).map(|entry| entry.value).into_iter().collect(),
    };
    found.sort_by_key(|state| state.metadata.as_ref().map_or(0, |metadata| metadata.created_at_ms));
    Ok(GetProviderRefreshStatusResponse { credentials: found.into_iter().map(status_of).collect() })
}

/// Where a mint can be waited for: whether a claim still stands.
#[must_use]
pub fn is_claimed(state: &State, workspace: &str, provider: &str, credential_key: &str, claim: &str) -> bool {
    current(state, workspace, provider, credential_key)
        .is_some_and(|refresh| refresh.claim.as_ref().is_some_and(|held| held.id == claim))
}

/// The refresh state of a provider's key as it is stored, with its material sealed.
#[must_use]
pub fn current<'a>(
    state: &'a State,
    workspace: &str,
    provider: &str,
    credential_key: &str,
) -> Option<&'a StoredProviderCredentialRefreshState> {
    let provider = state.provider(workspace_or_default(workspace), provider.trim())?.value;
    let id = provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let key = Key::refresh(workspace_or_default(workspace), id, credential_key.trim());
    state.refresh(&key).map(|entry| entry.value)
}

/// Whether a refresh is to be minted now, by whoever leads (`providers.md` 7.4, worker): it is due, and
/// nobody mints it. `now_ms` is milliseconds since the Unix epoch.
#[must_use]
pub fn is_due(state: &StoredProviderCredentialRefreshState, now_ms: i64) -> bool {
    predicates::is_mintable(state.strategy())
        && state.strategy() != Strategy::AwsStsAssumeRole
        && state.next_refresh_at_ms <= now_ms
        && state.claim.as_ref().is_none_or(|claim| claim.deadline_ms <= now_ms)
}

//! `ConfigureProviderRefresh`: how a credential of a provider is minted (`providers.md` 7.3).

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, ConfigureProviderRefreshResponse, ProviderCredentialRefresh,
    ProviderCredentialRefreshStrategy as Strategy, StoredProviderCredentialRefreshState,
};
use openshell_providers::{environment, predicates};

use crate::access::{Role, workspace_or_default};
use crate::composition::{self, View};
use crate::decide::provider::attached_sandboxes;
use crate::decide::refresh::{CONFIGURED, Found, arguments, find, material, timing};
use crate::decide::{Need, enter_workspace, new_metadata, next_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::query::refresh::status_of;
use crate::refusal::{Code, Refusal};

/// Decides a configuration.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND` for the provider;
/// `FAILED_PRECONDITION` naming the sandbox on which the key is taken; `UNIMPLEMENTED` for a strategy
/// that this gateway cannot mint with. Nothing is written then.
pub fn configure(call: Call<'_>, request: &ConfigureProviderRefreshRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let (provider, credential_key) = arguments(&request.provider, &request.credential_key)?;
    if !environment::is_env_name(credential_key) {
        return Err(Refusal::invalid(format!(
            "credential_key {credential_key:?} is not the name of an environment variable"
        )));
    }
    mintable(&call, &mut draft, request)?;
    material::check(request)?;
    if let Some(expires_at_ms) = request.expires_at_ms.filter(|expires_at_ms| *expires_at_ms < 0) {
        return Err(Refusal::invalid(format!("expires_at_ms is negative: {expires_at_ms}")));
    }
    let found = find(&call, &mut draft, workspace, provider, credential_key)?;
    let view = View::of(call.state);
    let (resolved, left_out) = view.resolve(found.provider);
    let members: Vec<_> = view.member(workspace, provider).into_iter().collect();
    composition::rely_on_profiles(&mut draft, call.state, &members);
    if let (None, Some(left_out)) = (&resolved, left_out) {
        // It names the token endpoint, and the material.
        return Err(Refusal::precondition(format!(
            "profile {:?} of provider {provider:?} is not valid and left out: {}; update it first",
            left_out.id, left_out.reason
        )));
    }
    let profile = resolved.as_ref().map(|resolved| &*resolved.profile);
    let declared = profile
        .and_then(|profile| predicates::credential_for_key(profile, credential_key))
        .and_then(|credential| credential.refresh.as_ref());
    let mut state = configured(&call, workspace, credential_key, &found, request, declared)?;
    state.additional_output_keys =
        profile.map(|profile| predicates::additional_outputs(profile, credential_key)).unwrap_or_default();
    let after = with_expiry(&found, credential_key, request.expires_at_ms);
    reserve(&call, &mut draft, workspace, &state, &after)?;
    if request.strategy() == Strategy::AwsStsAssumeRole {
        sts(credential_key, declared, &state)?;
    }
    material::complete(request, declared)?;
    draft.put(&found.key, &state);
    // Whoever relies on the keys that a provider offers relies on its record.
    draft.put(&Key::provider(workspace, provider), &after);
    Ok(draft.answer(&ConfigureProviderRefreshResponse { status: Some(status_of(&state)) }))
}

/// The strategy is one that a gateway mints with.
fn mintable(call: &Call<'_>, draft: &mut Draft, request: &ConfigureProviderRefreshRequest) -> Result<(), Refusal> {
    let strategy = request.strategy();
    if strategy == Strategy::Unspecified {
        return Err(Refusal::invalid("strategy is required: say how the credential is minted"));
    }
    if !predicates::is_mintable(strategy) {
        return Err(Refusal::invalid(format!("strategy {} is not gateway-mintable", strategy.as_str_name())));
    }
    if strategy == Strategy::AwsStsAssumeRole {
        draft.rely_on(call.state, Key::gateway_settings());
        if !composition::providers_v2(call.state)? {
            return Err(Refusal::precondition(
                "strategy aws_sts_assume_role needs the global setting providers_v2_enabled",
            ));
        }
    }
    Ok(())
}

/// The new state: a new authorisation of the same record (RC-3).
fn configured(
    call: &Call<'_>,
    workspace: &str,
    credential_key: &str,
    found: &Found<'_>,
    request: &ConfigureProviderRefreshRequest,
    declared: Option<&ProviderCredentialRefresh>,
) -> Result<StoredProviderCredentialRefreshState, Refusal> {
    let before = found.state;
    let name = || format!("provider-refresh-{}-{}", found.provider_id, hex::encode(credential_key));
    let metadata: ObjectMeta = match before {
        Some(before) => next_metadata(before.metadata.as_ref()),
        None => new_metadata(call, workspace, &name()),
    };
    let kept_expiry = before.map_or(0, |before| before.expires_at_ms);
    let expires_at_ms = request.expires_at_ms.unwrap_or(kept_expiry);
    let of_profile = |value: fn(&ProviderCredentialRefresh) -> i64| declared.map_or(0, value);
    let refresh_before_seconds = material::seconds(request, "refresh_before_seconds")?
        .unwrap_or_else(|| of_profile(|refresh| refresh.refresh_before_seconds));
    let max_lifetime_seconds = material::seconds(request, "max_lifetime_seconds")?
        .unwrap_or_else(|| of_profile(|refresh| refresh.max_lifetime_seconds));
    let scopes = material::scopes(request).or_else(|| declared.map(|refresh| refresh.scopes.clone()));
    let place = (workspace, found.provider_id, credential_key);
    Ok(StoredProviderCredentialRefreshState {
        metadata: Some(metadata),
        provider_id: found.provider_id.to_owned(),
        provider_name: found.provider.metadata.as_ref().map_or_else(String::new, |metadata| metadata.name.clone()),
        credential_key: credential_key.to_owned(),
        strategy: request.strategy,
        secret_material_keys: material::secret_names(request, declared),
        secret_material_handles: material::sealed(call, place, &request.material),
        expires_at_ms,
        next_refresh_at_ms: timing::due(expires_at_ms, refresh_before_seconds),
        last_refresh_at_ms: before.map_or(0, |before| before.last_refresh_at_ms),
        status: CONFIGURED.to_owned(),
        token_url: declared.map(|refresh| refresh.token_url.clone()).unwrap_or_default(),
        scopes: scopes.unwrap_or_default(),
        refresh_before_seconds,
        max_lifetime_seconds,
        authorization_epoch: call.stamp.identifiers.uuid(),
        ..StoredProviderCredentialRefreshState::default()
    })
}

/// The provider with the expiry that the caller states, or as it is.
fn with_expiry(found: &Found<'_>, credential_key: &str, expires_at_ms: Option<i64>) -> Provider {
    let Some(expires_at_ms) = expires_at_ms else { return found.provider.clone() };
    let metadata = Some(next_metadata(found.provider.metadata.as_ref()));
    let mut after = Provider { metadata, ..found.provider.clone() };
    if expires_at_ms > 0 {
        after.credential_expires_at_ms.insert(credential_key.to_owned(), expires_at_ms);
    } else {
        after.credential_expires_at_ms.remove(credential_key);
    }
    after
}

/// From now on the key, and those of additional outputs, are this provider's on every sandbox that
/// lists it, minted or not (RC-5).
fn reserve(
    call: &Call<'_>,
    draft: &mut Draft,
    workspace: &str,
    state: &StoredProviderCredentialRefreshState,
    after: &Provider,
) -> Result<(), Refusal> {
    let view = View { refresh: Some(state), ..View::of(call.state) };
    attached_sandboxes(call, draft, workspace, &state.provider_name, view, after)
}

/// What assuming an AWS role needs of the profile. The rest of it is not built: better said here than
/// at the first mint.
fn sts(
    credential_key: &str,
    declared: Option<&ProviderCredentialRefresh>,
    state: &StoredProviderCredentialRefreshState,
) -> Result<(), Refusal> {
    let output = |name: &str| state.additional_output_keys.get(name).map(String::as_str);
    let declares = declared.is_some_and(|refresh| refresh.strategy() == Strategy::AwsStsAssumeRole)
        && credential_key == "AWS_ACCESS_KEY_ID"
        && output("secret_access_key") == Some("AWS_SECRET_ACCESS_KEY")
        && output("session_token") == Some("AWS_SESSION_TOKEN");
    if !declares {
        return Err(Refusal::precondition(format!(
            "the profile of provider {:?} declares no aws_sts_assume_role refresh of {credential_key:?} with \
             AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN as its outputs",
            state.provider_name
        )));
    }
    Err(Refusal::new(
        Code::Unimplemented,
        "this gateway does not mint by aws_sts_assume_role; give the AWS credentials with the provider and renew them \
         by UpdateProvider",
    ))
}

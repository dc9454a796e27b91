//! The second entry of a mint: what it came to (`providers.md` 7.4, RT-2 to RT-5).

use std::collections::BTreeMap;

use openshell_proto::datamodel::Provider;
use openshell_proto::peer::{MintFailure, Minted, SettleRefreshRequest, settle_refresh_request};
use openshell_proto::v1::{
    ProviderCredentialRefreshRecoveryAction as Recovery, RotateProviderCredentialResponse,
    StoredProviderCredentialRefreshState,
};

use crate::composition::View;
use crate::decide::next_metadata;
use crate::decide::provider::{attached_sandboxes, bounded, seal};
use crate::decide::refresh::{ERROR, Found, REFRESHED, find, material, superseded, timing};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::query::refresh::status_of;
use crate::refusal::{Code, Refusal};

/// Failure code of a credential that was minted and does not fit.
const UNUSABLE: &str = "credential_unusable";

/// Decides the end of a mint. Nobody is authorised here: who made the claim was, and only the claim's
/// holder knows its id.
///
/// # Errors
/// `ABORTED` when the claim does not stand any more: the refresh was deleted or configured again, or the
/// mint was given up. Nothing is written then. A mint that failed is recorded, and refused with its reason.
pub fn settle(call: Call<'_>, request: &SettleRefreshRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let (workspace, provider, credential_key) = (&request.workspace, &request.provider, &request.credential_key);
    let superseded = || superseded(provider, credential_key);
    let found = find(&call, &mut draft, workspace, provider, credential_key).map_err(|_| superseded())?;
    let claimed = |state: &&StoredProviderCredentialRefreshState| {
        state.claim.as_ref().is_some_and(|claim| claim.id == request.claim)
    };
    let before = found.state.filter(claimed).ok_or_else(superseded)?;
    let (failure, minted) = match &request.result {
        Some(settle_refresh_request::Result::Minted(minted)) => {
            let mut minting = draft.clone();
            match minted_into(&call, &mut minting, workspace, &found, before, minted) {
                Ok((state, after)) => {
                    minting.put(&found.key, &state);
                    minting.put(&Key::provider(workspace, provider), &after);
                    let status = Some(status_of(&state));
                    return Ok(minting.answer(&RotateProviderCredentialResponse { status }));
                }
                Err(refusal) => {
                    // Why it was refused is relied on, as what was written would have been.
                    draft.guards.append(&mut minting.guards);
                    (cannot_be_used(&refusal), Some(minted))
                }
            }
        }
        Some(settle_refresh_request::Result::Failure(failure)) => (failure.clone(), None),
        None => return Err(Refusal::invalid("result is required: what the mint came to")),
    };
    let mut state = failed(before, &failure, call.stamp.time_ms);
    if let Some(minted) = minted {
        // The issuer takes the one before no more, whether its credential was of use or not.
        keep_refresh_token(&call, workspace, &found, minted, &mut state);
    }
    draft.put(&found.key, &state);
    Ok(draft.refuse(Refusal::new(Code::from_number(failure.code), state.last_error)))
}

/// State and provider once the credential is in.
fn minted_into(
    call: &Call<'_>,
    draft: &mut Draft,
    workspace: &str,
    found: &Found<'_>,
    before: &StoredProviderCredentialRefreshState,
    minted: &Minted,
) -> Result<(StoredProviderCredentialRefreshState, Provider), Refusal> {
    let now_ms = call.stamp.time_ms;
    let expires_at_ms = timing::expiry(now_ms, minted.lifetime_seconds, before.max_lifetime_seconds);
    let mut after =
        Provider { metadata: Some(next_metadata(found.provider.metadata.as_ref())), ..found.provider.clone() };
    let values = BTreeMap::from([(before.credential_key.clone(), minted.value.clone())]);
    after.credentials.remove(&before.credential_key);
    after.credential_expires_at_ms.insert(before.credential_key.clone(), expires_at_ms);
    seal(call, &mut after, workspace, &values);
    bounded(&values, &after)?;
    attached_sandboxes(call, draft, workspace, &before.provider_name, View::of(call.state), &after)?;
    let mut state = StoredProviderCredentialRefreshState {
        metadata: Some(next_metadata(before.metadata.as_ref())),
        status: REFRESHED.to_owned(),
        expires_at_ms,
        next_refresh_at_ms: timing::due_again(now_ms, expires_at_ms, before.refresh_before_seconds),
        last_refresh_at_ms: now_ms,
        last_error: String::new(),
        failure_code: String::new(),
        provider_error_subtype: String::new(),
        recovery_action: Recovery::Unspecified as i32,
        claim: None,
        consecutive_failures: 0,
        ..before.clone()
    };
    keep_refresh_token(call, workspace, found, minted, &mut state);
    Ok((state, after))
}

/// Seals the refresh token that the issuer put in the place of the one it was asked with (RT-4).
fn keep_refresh_token(
    call: &Call<'_>,
    workspace: &str,
    found: &Found<'_>,
    minted: &Minted,
    state: &mut StoredProviderCredentialRefreshState,
) {
    if !minted.refresh_token.is_empty() {
        let place = (workspace, found.provider_id, state.credential_key.as_str());
        let replaced = BTreeMap::from([("refresh_token".to_owned(), minted.refresh_token.clone())]);
        let sealed = material::sealed(call, place, &replaced);
        state.secret_material_handles.extend(sealed);
    }
}

/// A credential was minted and does not fit the provider or its sandboxes.
fn cannot_be_used(refusal: &Refusal) -> MintFailure {
    MintFailure {
        code: Code::FailedPrecondition as u32,
        message: format!("the credential was minted and cannot be used: {}", refusal.message),
        failure_code: UNUSABLE.to_owned(),
        recovery_action: Recovery::FixConfiguration as i32,
        ..MintFailure::default()
    }
}

/// The state after a failure. The provider keeps the credential that it has.
fn failed(
    before: &StoredProviderCredentialRefreshState,
    failure: &MintFailure,
    now_ms: i64,
) -> StoredProviderCredentialRefreshState {
    let failures = before.consecutive_failures.saturating_add(1);
    let mut last_error = failure.message.clone();
    // Who answers with a credential took what it was asked with.
    let doubted = failure.failure_code != UNUSABLE;
    if doubted && before.claim.as_ref().is_some_and(|claim| claim.after_unknown) {
        last_error.push_str(
            "; the outcome of the attempt before is not known: if the issuer replaces refresh tokens, the stored one may \
             have been used up, and the refresh has to be configured again",
        );
    }
    StoredProviderCredentialRefreshState {
        status: ERROR.to_owned(),
        last_error,
        last_error_at_ms: now_ms,
        failure_code: failure.failure_code.clone(),
        provider_error_subtype: failure.provider_error_subtype.clone(),
        recovery_action: failure.recovery_action,
        next_refresh_at_ms: timing::retry(now_ms, failures),
        claim: None,
        consecutive_failures: failures,
        ..before.clone()
    }
}

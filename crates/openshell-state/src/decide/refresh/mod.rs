//! Refresh of providers' credentials (`providers.md` 7). What is configured is stored; a mint goes in
//! two entries. The first *claims* it, so that one node calls the token endpoint and no other; the
//! second *settles* it, and counts only while the state still holds that claim. What happens in
//! between, over HTTP, is not known here.

mod claim;
mod configure;
mod delete;
mod material;
mod settle;
mod standing;
mod timing;

pub use claim::{Claiming, claim};
pub use configure::configure;
pub use delete::delete;
pub use material::opened;
pub use settle::settle;
pub use standing::{Awaited, standing};

use openshell_proto::datamodel::Provider;
use openshell_proto::v1::StoredProviderCredentialRefreshState;

use crate::decision::{Call, Draft};
use crate::key::Key;
use crate::refusal::Refusal;

/// Status word of a state that was configured and not minted since.
const CONFIGURED: &str = "configured";
/// Status word after a successful mint.
const REFRESHED: &str = "refreshed";
/// Status word after a failed one.
const ERROR: &str = "error";

/// A provider and its refresh state for one key, as a decision found them.
struct Found<'a> {
    provider: &'a Provider,
    /// The provider's id, which the state belongs to.
    provider_id: &'a str,
    key: Key,
    state: Option<&'a StoredProviderCredentialRefreshState>,
}

/// The provider's name and the credential key of a request, trimmed.
fn arguments<'a>(provider: &'a str, credential_key: &'a str) -> Result<(&'a str, &'a str), Refusal> {
    let (provider, credential_key) = (provider.trim(), credential_key.trim());
    if provider.is_empty() {
        return Err(Refusal::invalid("provider is required: name the provider"));
    }
    if credential_key.is_empty() {
        return Err(Refusal::invalid("credential_key is required: name the credential's environment variable"));
    }
    Ok((provider, credential_key))
}

/// Finds a provider and its state for a key, and records that the decision relied on both.
fn find<'a>(
    call: &Call<'a>,
    draft: &mut Draft,
    workspace: &str,
    provider: &str,
    credential_key: &str,
) -> Result<Found<'a>, Refusal> {
    draft.rely_on(call.state, Key::provider(workspace, provider));
    let Some(entry) = call.state.provider(workspace, provider) else {
        return Err(Refusal::not_found(format!("provider {provider:?} does not exist in workspace {workspace:?}")));
    };
    let provider_id = entry.value.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let key = Key::refresh(workspace, provider_id, credential_key);
    draft.rely_on(call.state, key.clone());
    let state = call.state.refresh(&key).map(|entry| entry.value);
    Ok(Found { provider: entry.value, provider_id, key, state })
}

/// The claim under which a credential was minted counts no more.
fn superseded(provider: &str, credential_key: &str) -> Refusal {
    Refusal::aborted(format!(
        "the refresh of {credential_key:?} on provider {provider:?} was changed or deleted while its credential was \
         minted; nothing was written (concurrent modification)"
    ))
}

/// Nothing is configured for the key.
fn not_configured(provider: &str, credential_key: &str) -> Refusal {
    Refusal::not_found(format!("provider {provider:?} has no refresh configured for {credential_key:?}"))
}

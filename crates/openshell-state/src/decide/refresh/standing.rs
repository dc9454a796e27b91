//! What a call hears that waited for a mint (`providers.md` 7.4).

use openshell_proto::v1::{
    RotateProviderCredentialRequest, RotateProviderCredentialResponse, StoredProviderCredentialRefreshState,
    StoredRefreshClaim,
};

use crate::access::{Role, workspace_or_default};
use crate::decide::refresh::{CONFIGURED, ERROR, arguments, find, superseded};
use crate::decide::{Need, enter_workspace};
use crate::decision::{Call, Decision, Draft};
use crate::query::refresh::status_of;
use crate::refusal::Refusal;

/// A rotation, and the claim that it waited for.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// What was asked for.
    pub request: RotateProviderCredentialRequest,
    /// The claim, as it was made. It does not stand any more.
    pub claim: StoredRefreshClaim,
}

/// What became of a claim that does not stand any more.
///
/// # Errors
/// A refusal about the caller or the workspace; `ABORTED` when the refresh was deleted or configured again
/// since, or the claim was given up for another; `FAILED_PRECONDITION` with what the mint failed of.
pub fn standing(call: Call<'_>, awaited: &Awaited) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let Awaited { request, claim } = awaited;
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let (provider, credential_key) = arguments(&request.provider, &request.credential_key)?;
    let superseded = || superseded(provider, credential_key);
    let found = find(&call, &mut draft, workspace, provider, credential_key).map_err(|_| superseded())?;
    let state = found.state.filter(|state| settled(state, claim)).ok_or_else(superseded)?;
    if state.status == ERROR {
        return Err(Refusal::precondition(state.last_error.clone()));
    }
    Ok(Decision::answer(&RotateProviderCredentialResponse { status: Some(status_of(state)) }))
}

/// Whether the state shows what a mint under this claim, or a later one that took its place, came to. A
/// later claim that stands says whether the one before it was settled or given up.
fn settled(state: &StoredProviderCredentialRefreshState, claim: &StoredRefreshClaim) -> bool {
    // Nothing says the epoch in claims of earlier builds; a configuration that was not minted under shows without.
    let same = claim.authorization_epoch.is_empty() || claim.authorization_epoch == state.authorization_epoch;
    same && state.status != CONFIGURED
        && state.claim.as_ref().is_none_or(|held| held.id != claim.id && !held.after_unknown)
}

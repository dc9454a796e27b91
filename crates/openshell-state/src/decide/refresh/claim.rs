//! The first entry of a mint: one node says that it mints, and until when (`providers.md` 7.4).

use openshell_proto::v1::{StoredProviderCredentialRefreshState, StoredRefreshClaim};

use crate::access::{Role, workspace_or_default};
use crate::decide::refresh::{arguments, find, not_configured};
use crate::decide::{Need, enter_workspace};
use crate::decision::{Call, Decision, Draft};
use crate::refusal::Refusal;

/// Who wants to mint what.
#[derive(Clone, Debug)]
pub struct Claiming {
    /// The workspace as the caller names it.
    pub workspace: String,
    /// The provider's name.
    pub provider: String,
    /// The credential's key.
    pub credential_key: String,
    /// Names the claim, should it be made. Never used twice.
    pub id: String,
    /// The node that will call the token endpoint.
    pub node: u64,
    /// The term in which it leads.
    pub term: u64,
    /// After so long the claim is given up for lost, milliseconds.
    pub patience_ms: i64,
    /// Only a credential that is due is minted.
    pub only_when_due: bool,
}

/// Decides a claim. The answer is the claim that holds from now on, a [`StoredRefreshClaim`]: the asked
/// one, or that of a mint which is under way, or one without an id when nothing is due.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND` for the provider or when no refresh
/// is configured.
pub fn claim(call: Call<'_>, claiming: &Claiming) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&claiming.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let (provider, credential_key) = arguments(&claiming.provider, &claiming.credential_key)?;
    let found = find(&call, &mut draft, workspace, provider, credential_key)?;
    let before = found.state.ok_or_else(|| not_configured(provider, credential_key))?;
    let now_ms = call.stamp.time_ms;
    if claiming.only_when_due && before.next_refresh_at_ms > now_ms {
        return Ok(Decision::answer(&StoredRefreshClaim::default()));
    }
    if let Some(held) = before.claim.as_ref().filter(|held| held.deadline_ms > now_ms) {
        return Ok(Decision::answer(held));
    }
    let claim = StoredRefreshClaim {
        id: claiming.id.clone(),
        node: claiming.node,
        term: claiming.term,
        started_at_ms: now_ms,
        deadline_ms: now_ms.saturating_add(claiming.patience_ms),
        after_unknown: before.claim.is_some(),
        authorization_epoch: before.authorization_epoch.clone(),
    };
    draft.put(&found.key, &StoredProviderCredentialRefreshState { claim: Some(claim.clone()), ..before.clone() });
    Ok(draft.answer(&claim))
}

//! `DeleteProviderRefresh`: nothing mints the credential any more (`providers.md` 7.5).

use openshell_proto::datamodel::Provider;
use openshell_proto::v1::{DeleteProviderRefreshRequest, DeleteProviderRefreshResponse};

use crate::access::{Role, workspace_or_default};
use crate::composition::minted_keys;
use crate::decide::refresh::{arguments, find};
use crate::decide::{Need, enter_workspace, next_metadata};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::refusal::Refusal;

/// Decides a deletion. The credential's value stays with the provider; its expiry goes where it is still
/// the one that the refresh had set (RD-1). A mint under way comes to nothing.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `NOT_FOUND` for the provider.
pub fn delete(call: Call<'_>, request: &DeleteProviderRefreshRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let (provider, credential_key) = arguments(&request.provider, &request.credential_key)?;
    let found = find(&call, &mut draft, workspace, provider, credential_key)?;
    let Some(state) = found.state else {
        return Ok(Decision::answer(&DeleteProviderRefreshResponse { deleted: false }));
    };
    draft.delete(&found.key);
    let mut after = found.provider.clone();
    for key in minted_keys(state) {
        if after.credential_expires_at_ms.get(key) == Some(&state.expires_at_ms) {
            after.credential_expires_at_ms.remove(key);
        }
    }
    if after.credential_expires_at_ms != found.provider.credential_expires_at_ms {
        after = Provider { metadata: Some(next_metadata(found.provider.metadata.as_ref())), ..after };
    }
    draft.put(&Key::provider(workspace, provider), &after);
    Ok(draft.answer(&DeleteProviderRefreshResponse { deleted: true }))
}

//! Providers as they are read: redacted, always (`providers.md` PR-3).

use openshell_proto::datamodel::Provider;
use openshell_proto::log::Kind;
use openshell_proto::v1::{GetProviderRequest, ListProvidersRequest, ListProvidersResponse, ProviderResponse};

use crate::access::{Principal, Role, workspace_or_default};
use crate::key::Key;
use crate::query::{enter, page, scope};
use crate::record::{Record, Value};
use crate::refusal::Refusal;
use crate::state::State;

/// Stands for every credential value in answers.
pub(crate) const REDACTED: &str = "REDACTED";

/// The provider with every credential key and no credential value.
#[must_use]
pub fn redacted(provider: &Provider) -> Provider {
    let mut shown = provider.clone();
    let handles = std::mem::take(&mut shown.credential_handles);
    for value in shown.credentials.values_mut() {
        REDACTED.clone_into(value);
    }
    for key in handles.into_keys() {
        shown.credentials.entry(key).or_insert_with(|| REDACTED.to_owned());
    }
    shown
}

/// `GetProvider`.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `NOT_FOUND`.
pub fn get(state: &State, principal: &Principal, request: &GetProviderRequest) -> Result<ProviderResponse, Refusal> {
    let workspace = workspace_or_default(&request.workspace);
    enter(state, principal, workspace, Role::User)?;
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    match state.provider(workspace, &request.name) {
        Some(entry) => Ok(ProviderResponse { provider: Some(redacted(entry.value)) }),
        None => {
            Err(Refusal::not_found(format!("provider {:?} does not exist in workspace {workspace:?}", request.name)))
        }
    }
}

/// `ListProviders`: of one workspace, or of all for a platform admin.
///
/// # Errors
/// A refusal about the request, the caller or the workspace.
pub fn list(
    state: &State,
    principal: &Principal,
    request: &ListProvidersRequest,
) -> Result<ListProvidersResponse, Refusal> {
    let shown = |(_, record): (Key, &std::sync::Arc<Record>)| match &record.value {
        Value::Provider(provider) => redacted(provider),
        other => panic!("a provider's key holds {other:?}"),
    };
    let (offset, limit) = (request.offset, request.limit);
    let providers = match scope(state, principal, &request.workspace, request.all_workspaces)? {
        None => page(state.by_creation_everywhere(Kind::Provider).map(shown), offset, limit, 100),
        Some(workspace) => page(state.by_creation(Kind::Provider, workspace).map(shown), offset, limit, 100),
    };
    Ok(ListProvidersResponse { providers })
}

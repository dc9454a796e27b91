//! What a node answers sandboxes by more than the state: tokens, configurations that it keeps encoded, and
//! environments with their credentials opened. Nothing of it is written.

use bytes::Bytes;
use openshell_proto::cluster;
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{
    CreateSandboxRequest, GetSandboxProviderEnvironmentRequest, RefreshSandboxTokenRequest,
    RefreshSandboxTokenResponse, Sandbox, SandboxResponse,
};
use openshell_state::access::{Principal, Role, workspace_or_default};
use openshell_state::{Refusal, State, query};
use prost::Message;
use tonic::Status;

use crate::grpc::gateway::Gateway;
use crate::grpc::status::refused;
use crate::grpc::table::Complete;

/// Most extension services that one call may name (`config.md` AU-14).
const EXTENSION_SERVICES_MAX: usize = 64;

/// `GetSandboxConfig`: of a sandbox that the caller may see (EC-1, EC-2).
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox's principal; `NOT_FOUND`; what is composed is refused.
pub(super) fn config(
    gateway: &Gateway,
    state: &State,
    principal: &Principal,
    request: &GetSandboxConfigRequest,
) -> Result<Bytes, Status> {
    let found = query::sandbox::find_by_id(state, principal, &request.sandbox_id);
    let config = found.and_then(|found| gateway.sandboxes.config(state, found));
    if let (Principal::Sandbox { id }, Ok(_)) = (principal, &config) {
        gateway.sessions.polled(id, state.revision());
    }
    config.map_err(|refusal| refused(&refusal))
}

/// `GetSandboxProviderEnvironment`: of the sandbox whose own principal asks (PE-1).
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox's principal, `NOT_FOUND` when the sandbox is gone; what is
/// composed is refused, or a credential does not open.
pub(super) fn environment(
    gateway: &Gateway,
    state: &State,
    principal: &Principal,
    request: &GetSandboxProviderEnvironmentRequest,
) -> Result<Bytes, Status> {
    let found = query::sandbox::of_itself(state, principal, &request.sandbox_id);
    let static_bindings = request.supports_static_credential_bindings;
    found
        .and_then(|found| gateway.sandboxes.environment(state, found, static_bindings))
        .map_err(|refusal| refused(&refusal))
}

/// `RefreshSandboxToken`: another token for the sandbox that shows one (AU-13). The old one stays
/// valid as long as it says.
///
/// # Errors
/// `NOT_FOUND` when the sandbox is gone; `INVALID_ARGUMENT` about extension services; as
/// `Tokens::mint`.
pub(super) fn refresh(
    gateway: &Gateway,
    state: &State,
    principal: &Principal,
    request: &RefreshSandboxTokenRequest,
) -> Result<Bytes, Status> {
    let (_, sandbox) = query::sandbox::of_principal(state, principal).map_err(|refusal| refused(&refusal))?;
    extension_services(&request.extension_service_names).map_err(|refusal| refused(&refusal))?;
    let token = gateway.sandboxes.tokens.mint(state, id(sandbox))?;
    let answer = RefreshSandboxTokenResponse {
        token: token.token,
        expires_at_ms: token.expires_at_ms,
        extension_credentials: Vec::new(),
    };
    Ok(answer.encode_to_vec().into())
}

/// Extension services are a policy's middlewares, of which this gateway has none (AU-14).
fn extension_services(names: &[String]) -> Result<(), Refusal> {
    if names.len() > EXTENSION_SERVICES_MAX {
        let text =
            format!("extension_service_names has {} names; at most {EXTENSION_SERVICES_MAX} are allowed", names.len());
        return Err(Refusal::invalid(text));
    }
    match names.first() {
        None => Ok(()),
        Some(name) => Err(Refusal::invalid(format!(
            "extension_service_names: {name:?} is not a middleware service of the sandbox's policy; this gateway has none"
        ))),
    }
}

/// `Cluster.IssueSandboxToken`: for an admin of the sandbox's workspace.
///
/// # Errors
/// A refusal about the name, the caller or the workspace; `NOT_FOUND`; as `Tokens::mint`.
pub(super) fn issue(
    gateway: &Gateway,
    state: &State,
    principal: &Principal,
    request: &cluster::IssueSandboxTokenRequest,
) -> Result<Bytes, Status> {
    let sandbox = query::sandbox::for_token(state, principal, &request.workspace, &request.name);
    let sandbox = sandbox.map_err(|refusal| refused(&refusal))?;
    let token = gateway.sandboxes.tokens.mint(state, id(sandbox))?;
    let answer = cluster::IssueSandboxTokenResponse {
        token: token.token,
        expires_at_ms: token.expires_at_ms,
        sandbox_id: id(sandbox).to_owned(),
    };
    Ok(answer.encode_to_vec().into())
}

/// The end of `CreateSandbox`, on the node that the caller asked: puts a token into the answer when the
/// request asked for one. The remembered answer has none; a repetition gets a token of its own.
pub(super) fn created(request: CreateSandboxRequest) -> Option<Complete> {
    request.issue_token.then(|| -> Complete {
        Box::new(move |gateway, principal, reply| with_token(gateway, principal, &request.workspace, reply))
    })
}

/// # Errors
/// `PERMISSION_DENIED` when a repetition comes from who is no longer an admin; as `Tokens::mint`. The
/// sandbox is there all the same, and a retry under the same request id is safe.
fn with_token(gateway: &Gateway, principal: &Principal, workspace: &str, reply: Bytes) -> Result<Bytes, Status> {
    let state = gateway.cluster.state();
    let role = principal.require_role(&state, workspace_or_default(workspace), Role::Admin);
    role.map_err(|refusal| refused(&refusal))?;
    let unreadable = |error| Status::internal(format!("the answer to a creation does not decode: {error}"));
    let mut answer = SandboxResponse::decode(reply).map_err(unreadable)?;
    let token = gateway.sandboxes.tokens.mint(&state, answer.sandbox.as_ref().map_or("", id))?;
    answer.token = token.token;
    answer.token_expires_at_ms = token.expires_at_ms;
    Ok(answer.encode_to_vec().into())
}

fn id(sandbox: &Sandbox) -> &str {
    sandbox.metadata.as_ref().map_or("", |metadata| &metadata.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_state::Code;

    #[test]
    fn au_14_no_extension_service_is_known_and_more_than_64_are_not_looked_at() {
        assert_eq!(extension_services(&[]), Ok(()));
        let names = |count: usize| (0..count).map(|number| format!("service-{number}")).collect::<Vec<_>>();
        for (asked, word) in [(names(65), "at most 64"), (names(64), "service-0"), (vec![String::new()], "\"\"")] {
            let refusal = extension_services(&asked).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument);
            assert!(refusal.message.contains(word), "{}", refusal.message);
        }
        assert!(extension_services(&["twice".to_owned(), "twice".to_owned()]).is_err());
    }
}

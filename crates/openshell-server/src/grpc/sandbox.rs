//! What a node answers with its key in hand: tokens of sandboxes, and environments with their
//! credentials opened. Nothing of it is written or kept.

use bytes::Bytes;
use openshell_proto::cluster;
use openshell_proto::v1::{
    CreateSandboxRequest, GetSandboxProviderEnvironmentRequest, RefreshSandboxTokenRequest,
    RefreshSandboxTokenResponse, Sandbox, SandboxResponse,
};
use openshell_state::access::{Principal, Role, workspace_or_default};
use openshell_state::{Refusal, State, query};
use prost::Message;
use tonic::Status;
use zeroize::Zeroize;

use crate::grpc::gateway::Gateway;
use crate::grpc::status::refused;
use crate::grpc::table::Complete;

/// Most extension services that one call may name (`config.md` AU-14).
const EXTENSION_SERVICES_MAX: usize = 64;

/// `GetSandboxProviderEnvironment`: of the sandbox whose own principal asks (PE-1).
///
/// # Errors
/// `PERMISSION_DENIED` for another sandbox's principal, `NOT_FOUND` when the sandbox is gone; what
/// `Environment::compose` and `Environment::answer` refuse.
pub(super) fn environment(
    gateway: &Gateway,
    state: &State,
    principal: &Principal,
    request: &GetSandboxProviderEnvironmentRequest,
) -> Result<Bytes, Status> {
    let answer = || {
        if let Principal::Sandbox { id } = principal
            && *id != request.sandbox_id
        {
            return Err(Refusal::denied("a sandbox may only ask about itself"));
        }
        let (key, sandbox) = query::sandbox::of_principal(state, principal)?;
        let installs = *gateway.cluster.watch_installs().borrow();
        let environments = &gateway.sandboxes.environments;
        environments.answer(state, installs, (&key.workspace, sandbox), request.supports_static_credential_bindings)
    };
    let mut answer = answer().map_err(|refusal| refused(&refusal))?;
    let encoded = answer.encode_to_vec().into();
    // The encoded answer goes with the connection's own buffers; this copy need not outlive it.
    answer.environment.values_mut().for_each(Zeroize::zeroize);
    Ok(encoded)
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

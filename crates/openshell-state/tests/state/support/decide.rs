//! Requests of every kind behind one name, so that histories can mix them.

use std::fmt::Debug;

use openshell_proto::peer::SettleRefreshRequest;
use openshell_proto::v1::{
    AttachSandboxProviderRequest, AttachSandboxProviderResponse, ConfigureProviderRefreshRequest,
    ConfigureProviderRefreshResponse, CreateProviderRequest, CreateSandboxRequest, CreateWorkspaceRequest,
    CreateWorkspaceResponse, DeleteProviderProfileRequest, DeleteProviderProfileResponse, DeleteProviderRefreshRequest,
    DeleteProviderRefreshResponse, DeleteProviderRequest, DeleteProviderResponse, DeleteSandboxRequest,
    DeleteSandboxResponse, DeleteWorkspaceRequest, DeleteWorkspaceResponse, DetachSandboxProviderRequest,
    DetachSandboxProviderResponse, ImportProviderProfilesRequest, ImportProviderProfilesResponse, ProviderResponse,
    RotateProviderCredentialRequest, RotateProviderCredentialResponse, SandboxResponse, StoredRefreshClaim,
    UpdateConfigRequest, UpdateConfigResponse, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
    UpdateProviderRequest,
};
use openshell_state::decide::refresh::Claiming;
use openshell_state::{Call, Decision, decide};

/// A request that the rules decide.
pub(crate) trait Decide: Debug {
    fn decide(&self, call: Call<'_>) -> Decision;
}

/// A request with the type of its answer.
pub(crate) trait Rpc: Decide {
    type Response: prost::Message + Default;
}

macro_rules! rpc {
    ($($request:ty => $rule:path, $response:ty;)*) => {
        $(
            impl Decide for $request {
                fn decide(&self, call: Call<'_>) -> Decision {
                    $rule(call, self).into()
                }
            }
            impl Rpc for $request {
                type Response = $response;
            }
        )*
    };
}

rpc! {
    ImportProviderProfilesRequest => decide::profile::import, ImportProviderProfilesResponse;
    UpdateProviderProfilesRequest => decide::profile::update, UpdateProviderProfilesResponse;
    DeleteProviderProfileRequest => decide::profile::delete, DeleteProviderProfileResponse;
    CreateProviderRequest => decide::provider::create, ProviderResponse;
    UpdateProviderRequest => decide::provider::update, ProviderResponse;
    DeleteProviderRequest => decide::provider::delete, DeleteProviderResponse;
    CreateSandboxRequest => decide::sandbox::create, SandboxResponse;
    DeleteSandboxRequest => decide::sandbox::delete, DeleteSandboxResponse;
    AttachSandboxProviderRequest => decide::attachment::attach, AttachSandboxProviderResponse;
    DetachSandboxProviderRequest => decide::attachment::detach, DetachSandboxProviderResponse;
    UpdateConfigRequest => decide::update_config, UpdateConfigResponse;
    CreateWorkspaceRequest => decide::workspace::create, CreateWorkspaceResponse;
    DeleteWorkspaceRequest => decide::workspace::delete, DeleteWorkspaceResponse;
    ConfigureProviderRefreshRequest => decide::refresh::configure, ConfigureProviderRefreshResponse;
    DeleteProviderRefreshRequest => decide::refresh::delete, DeleteProviderRefreshResponse;
    Claiming => decide::refresh::claim, StoredRefreshClaim;
    SettleRefreshRequest => decide::refresh::settle, RotateProviderCredentialResponse;
    RotateProviderCredentialRequest => decide::refresh::standing, RotateProviderCredentialResponse;
}

//! Requests that know their method, so that a scenario names only the request, and what it is asked with.

use std::fmt::Debug;

use openshell_client::{CallError, Method, methods};
use openshell_proto::sandbox::{
    GetGatewayConfigRequest, GetGatewayConfigResponse, GetSandboxConfigRequest, GetSandboxConfigResponse,
};
use openshell_proto::v1::{
    AttachSandboxProviderRequest, AttachSandboxProviderResponse, ConfigureProviderRefreshRequest,
    ConfigureProviderRefreshResponse, CreateProviderRequest, CreateSandboxRequest, DeleteProviderProfileRequest,
    DeleteProviderProfileResponse, DeleteProviderRefreshRequest, DeleteProviderRefreshResponse, DeleteProviderRequest,
    DeleteProviderResponse, DeleteSandboxRequest, DeleteSandboxResponse, DeleteWorkspaceRequest,
    DeleteWorkspaceResponse, DetachSandboxProviderRequest, DetachSandboxProviderResponse, GetProviderProfileRequest,
    GetProviderRefreshStatusRequest, GetProviderRefreshStatusResponse, GetProviderRequest,
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, GetSandboxRequest, ImportProviderProfilesRequest,
    ImportProviderProfilesResponse, LintProviderProfilesRequest, LintProviderProfilesResponse,
    ListProviderProfilesRequest, ListProviderProfilesResponse, ListProvidersRequest, ListProvidersResponse,
    ListSandboxPoliciesRequest, ListSandboxPoliciesResponse, ListSandboxProvidersRequest, ListSandboxProvidersResponse,
    ListSandboxesRequest, ListSandboxesResponse, ProviderProfileResponse, ProviderResponse,
    ReportMainProcessExitRequest, ReportMainProcessExitResponse, ReportPolicyStatusRequest, ReportPolicyStatusResponse,
    RotateProviderCredentialRequest, RotateProviderCredentialResponse, SandboxResponse, StartSandboxRequest,
    StopSandboxRequest, UpdateConfigRequest, UpdateConfigResponse, UpdateProviderProfilesRequest,
    UpdateProviderProfilesResponse, UpdateProviderRequest,
};
use openshell_tests::Api;
use prost::Message;
use tonic::Code;

/// A request that knows its method.
pub(crate) trait Rpc: Message + Clone + Debug + 'static {
    type Answer: Message + Default + Debug + 'static;
    const METHOD: Method<Self, Self::Answer>;
}

/// Calls through one node, by their requests.
pub(crate) trait Calls {
    /// The node.
    fn api(&self) -> &Api;

    async fn call<R: Rpc>(&self, request: &R) -> Result<R::Answer, CallError> {
        Ok(self.api().call(&R::METHOD, request.clone()).await?.message)
    }

    /// A call that must succeed.
    async fn ok<R: Rpc>(&self, request: &R) -> R::Answer {
        self.call(request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// A call that must be refused with this code; answers the text.
    async fn refused<R: Rpc>(&self, code: Code, request: &R) -> String {
        match self.call(request).await {
            Err(CallError::Refused(status)) if status.code() == code => status.message().to_owned(),
            other => panic!("{code:?} was due for {request:?}: {other:?}"),
        }
    }
}

macro_rules! rpc {
    ($($request:ty => $method:ident, $answer:ty;)*) => {
        $(impl Rpc for $request {
            type Answer = $answer;
            const METHOD: Method<Self, Self::Answer> = methods::$method;
        })*
    };
}

rpc! {
    ListProviderProfilesRequest => LIST_PROVIDER_PROFILES, ListProviderProfilesResponse;
    GetProviderProfileRequest => GET_PROVIDER_PROFILE, ProviderProfileResponse;
    LintProviderProfilesRequest => LINT_PROVIDER_PROFILES, LintProviderProfilesResponse;
    ImportProviderProfilesRequest => IMPORT_PROVIDER_PROFILES, ImportProviderProfilesResponse;
    UpdateProviderProfilesRequest => UPDATE_PROVIDER_PROFILES, UpdateProviderProfilesResponse;
    DeleteProviderProfileRequest => DELETE_PROVIDER_PROFILE, DeleteProviderProfileResponse;
    CreateProviderRequest => CREATE_PROVIDER, ProviderResponse;
    GetProviderRequest => GET_PROVIDER, ProviderResponse;
    ListProvidersRequest => LIST_PROVIDERS, ListProvidersResponse;
    UpdateProviderRequest => UPDATE_PROVIDER, ProviderResponse;
    DeleteProviderRequest => DELETE_PROVIDER, DeleteProviderResponse;
    CreateSandboxRequest => CREATE_SANDBOX, SandboxResponse;
    AttachSandboxProviderRequest => ATTACH_SANDBOX_PROVIDER, AttachSandboxProviderResponse;
    DeleteWorkspaceRequest => DELETE_WORKSPACE, DeleteWorkspaceResponse;
    UpdateConfigRequest => UPDATE_CONFIG, UpdateConfigResponse;
    GetSandboxConfigRequest => GET_SANDBOX_CONFIG, GetSandboxConfigResponse;
    GetGatewayConfigRequest => GET_GATEWAY_CONFIG, GetGatewayConfigResponse;
    GetSandboxPolicyStatusRequest => GET_SANDBOX_POLICY_STATUS, GetSandboxPolicyStatusResponse;
    GetSandboxRequest => GET_SANDBOX, SandboxResponse;
    ListSandboxesRequest => LIST_SANDBOXES, ListSandboxesResponse;
    DeleteSandboxRequest => DELETE_SANDBOX, DeleteSandboxResponse;
    StopSandboxRequest => STOP_SANDBOX, SandboxResponse;
    StartSandboxRequest => START_SANDBOX, SandboxResponse;
    ListSandboxProvidersRequest => LIST_SANDBOX_PROVIDERS, ListSandboxProvidersResponse;
    DetachSandboxProviderRequest => DETACH_SANDBOX_PROVIDER, DetachSandboxProviderResponse;
    ListSandboxPoliciesRequest => LIST_SANDBOX_POLICIES, ListSandboxPoliciesResponse;
    ReportPolicyStatusRequest => REPORT_POLICY_STATUS, ReportPolicyStatusResponse;
    ReportMainProcessExitRequest => REPORT_MAIN_PROCESS_EXIT, ReportMainProcessExitResponse;
    ConfigureProviderRefreshRequest => CONFIGURE_PROVIDER_REFRESH, ConfigureProviderRefreshResponse;
    GetProviderRefreshStatusRequest => GET_PROVIDER_REFRESH_STATUS, GetProviderRefreshStatusResponse;
    RotateProviderCredentialRequest => ROTATE_PROVIDER_CREDENTIAL, RotateProviderCredentialResponse;
    DeleteProviderRefreshRequest => DELETE_PROVIDER_REFRESH, DeleteProviderRefreshResponse;
}

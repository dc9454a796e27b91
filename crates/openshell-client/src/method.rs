//! The RPCs by name, each with the types of its request and answer, so that one mechanism calls
//! them all. Calls of ssh, exec, relays and inference are not listed: no gateway of ours serves them.

use std::borrow::Cow;
use std::marker::PhantomData;

/// One unary or server-streaming RPC.
pub struct Method<Request, Response> {
    path: Cow<'static, str>,
    types: PhantomData<fn(Request) -> Response>,
}

impl<Request, Response> Method<Request, Response> {
    /// Names an RPC by its path: a slash, the service's full name, a slash, the method's name. The
    /// types are the caller's promise; an answer of another type does not decode.
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        Self { path: Cow::Borrowed(path), types: PhantomData }
    }

    /// The same for a path learned at run time, with or without its leading slash.
    #[must_use]
    pub fn named(path: &str) -> Self {
        Self { path: Cow::Owned(format!("/{}", path.trim_start_matches('/'))), types: PhantomData }
    }

    /// The path, with its leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

macro_rules! methods {
    ($($name:ident: $path:literal, $request:ty => $response:ty;)*) => {
        /// Every RPC that the clients of this project call.
        pub mod methods {
            use super::Method;
            use openshell_proto::{cluster, sandbox, sync, v1};
            $(
                #[doc = concat!("`", $path, "`.")]
                pub const $name: Method<$request, $response> = Method::new(concat!("/", $path));
            )*
        }

        #[cfg(test)]
        mod tests {
            use openshell_proto::{cluster, sandbox, sync, v1};

            #[test]
            fn every_listed_method_has_the_types_that_the_descriptor_gives_it() {
                let listed = [$((
                    $path,
                    std::any::type_name::<$request>(),
                    std::any::type_name::<$response>(),
                )),*];
                let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
                for (path, request, response) in listed {
                    let (service, method) = path.split_once('/').expect("a path has a slash");
                    let service = openshell_proto::pool().get_service_by_name(service).expect(path);
                    let method = service.methods().find(|candidate| candidate.name() == method).expect(path);
                    assert_eq!(method.input().name(), last(request), "{path}");
                    assert_eq!(method.output().name(), last(response), "{path}");
                }
            }
        }
    };
}

methods! {
    HEALTH: "openshell.v1.OpenShell/Health", v1::HealthRequest => v1::HealthResponse;
    GET_GATEWAY_INFO: "openshell.v1.OpenShell/GetGatewayInfo", v1::GetGatewayInfoRequest => v1::GetGatewayInfoResponse;
    GET_CURRENT_USER: "openshell.v1.OpenShell/GetCurrentUser", v1::GetCurrentUserRequest => v1::GetCurrentUserResponse;
    CREATE_SANDBOX: "openshell.v1.OpenShell/CreateSandbox", v1::CreateSandboxRequest => v1::SandboxResponse;
    GET_SANDBOX: "openshell.v1.OpenShell/GetSandbox", v1::GetSandboxRequest => v1::SandboxResponse;
    LIST_SANDBOXES: "openshell.v1.OpenShell/ListSandboxes", v1::ListSandboxesRequest => v1::ListSandboxesResponse;
    DELETE_SANDBOX: "openshell.v1.OpenShell/DeleteSandbox", v1::DeleteSandboxRequest => v1::DeleteSandboxResponse;
    STOP_SANDBOX: "openshell.v1.OpenShell/StopSandbox", v1::StopSandboxRequest => v1::SandboxResponse;
    START_SANDBOX: "openshell.v1.OpenShell/StartSandbox", v1::StartSandboxRequest => v1::SandboxResponse;
    WATCH_SANDBOX: "openshell.v1.OpenShell/WatchSandbox", v1::WatchSandboxRequest => v1::SandboxStreamEvent;
    GET_SANDBOX_LOGS: "openshell.v1.OpenShell/GetSandboxLogs", v1::GetSandboxLogsRequest => v1::GetSandboxLogsResponse;
    LIST_SANDBOX_PROVIDERS: "openshell.v1.OpenShell/ListSandboxProviders",
        v1::ListSandboxProvidersRequest => v1::ListSandboxProvidersResponse;
    ATTACH_SANDBOX_PROVIDER: "openshell.v1.OpenShell/AttachSandboxProvider",
        v1::AttachSandboxProviderRequest => v1::AttachSandboxProviderResponse;
    DETACH_SANDBOX_PROVIDER: "openshell.v1.OpenShell/DetachSandboxProvider",
        v1::DetachSandboxProviderRequest => v1::DetachSandboxProviderResponse;
    CREATE_PROVIDER: "openshell.v1.OpenShell/CreateProvider", v1::CreateProviderRequest => v1::ProviderResponse;
    GET_PROVIDER: "openshell.v1.OpenShell/GetProvider", v1::GetProviderRequest => v1::ProviderResponse;
    LIST_PROVIDERS: "openshell.v1.OpenShell/ListProviders", v1::ListProvidersRequest => v1::ListProvidersResponse;
    UPDATE_PROVIDER: "openshell.v1.OpenShell/UpdateProvider", v1::UpdateProviderRequest => v1::ProviderResponse;
    DELETE_PROVIDER: "openshell.v1.OpenShell/DeleteProvider", v1::DeleteProviderRequest => v1::DeleteProviderResponse;
    LIST_PROVIDER_PROFILES: "openshell.v1.OpenShell/ListProviderProfiles",
        v1::ListProviderProfilesRequest => v1::ListProviderProfilesResponse;
    GET_PROVIDER_PROFILE: "openshell.v1.OpenShell/GetProviderProfile",
        v1::GetProviderProfileRequest => v1::ProviderProfileResponse;
    IMPORT_PROVIDER_PROFILES: "openshell.v1.OpenShell/ImportProviderProfiles",
        v1::ImportProviderProfilesRequest => v1::ImportProviderProfilesResponse;
    UPDATE_PROVIDER_PROFILES: "openshell.v1.OpenShell/UpdateProviderProfiles",
        v1::UpdateProviderProfilesRequest => v1::UpdateProviderProfilesResponse;
    UPDATE_PROVIDER_PROFILE: "openshell.v1.OpenShell/UpdateProviderProfile",
        v1::UpdateProviderProfilesRequest => v1::UpdateProviderProfilesResponse;
    LINT_PROVIDER_PROFILES: "openshell.v1.OpenShell/LintProviderProfiles",
        v1::LintProviderProfilesRequest => v1::LintProviderProfilesResponse;
    DELETE_PROVIDER_PROFILE: "openshell.v1.OpenShell/DeleteProviderProfile",
        v1::DeleteProviderProfileRequest => v1::DeleteProviderProfileResponse;
    GET_SANDBOX_CONFIG: "openshell.v1.OpenShell/GetSandboxConfig",
        sandbox::GetSandboxConfigRequest => sandbox::GetSandboxConfigResponse;
    GET_GATEWAY_CONFIG: "openshell.v1.OpenShell/GetGatewayConfig",
        sandbox::GetGatewayConfigRequest => sandbox::GetGatewayConfigResponse;
    UPDATE_CONFIG: "openshell.v1.OpenShell/UpdateConfig", v1::UpdateConfigRequest => v1::UpdateConfigResponse;
    GET_SANDBOX_POLICY_STATUS: "openshell.v1.OpenShell/GetSandboxPolicyStatus",
        v1::GetSandboxPolicyStatusRequest => v1::GetSandboxPolicyStatusResponse;
    LIST_SANDBOX_POLICIES: "openshell.v1.OpenShell/ListSandboxPolicies",
        v1::ListSandboxPoliciesRequest => v1::ListSandboxPoliciesResponse;
    REPORT_POLICY_STATUS: "openshell.v1.OpenShell/ReportPolicyStatus",
        v1::ReportPolicyStatusRequest => v1::ReportPolicyStatusResponse;
    REPORT_MAIN_PROCESS_EXIT: "openshell.v1.OpenShell/ReportMainProcessExit",
        v1::ReportMainProcessExitRequest => v1::ReportMainProcessExitResponse;
    GET_SANDBOX_PROVIDER_ENVIRONMENT: "openshell.v1.OpenShell/GetSandboxProviderEnvironment",
        v1::GetSandboxProviderEnvironmentRequest => v1::GetSandboxProviderEnvironmentResponse;
    SUBMIT_POLICY_ANALYSIS: "openshell.v1.OpenShell/SubmitPolicyAnalysis",
        v1::SubmitPolicyAnalysisRequest => v1::SubmitPolicyAnalysisResponse;
    GET_DRAFT_POLICY: "openshell.v1.OpenShell/GetDraftPolicy", v1::GetDraftPolicyRequest => v1::GetDraftPolicyResponse;
    APPROVE_DRAFT_CHUNK: "openshell.v1.OpenShell/ApproveDraftChunk",
        v1::ApproveDraftChunkRequest => v1::ApproveDraftChunkResponse;
    REJECT_DRAFT_CHUNK: "openshell.v1.OpenShell/RejectDraftChunk",
        v1::RejectDraftChunkRequest => v1::RejectDraftChunkResponse;
    APPROVE_ALL_DRAFT_CHUNKS: "openshell.v1.OpenShell/ApproveAllDraftChunks",
        v1::ApproveAllDraftChunksRequest => v1::ApproveAllDraftChunksResponse;
    EDIT_DRAFT_CHUNK: "openshell.v1.OpenShell/EditDraftChunk", v1::EditDraftChunkRequest => v1::EditDraftChunkResponse;
    UNDO_DRAFT_CHUNK: "openshell.v1.OpenShell/UndoDraftChunk", v1::UndoDraftChunkRequest => v1::UndoDraftChunkResponse;
    CLEAR_DRAFT_CHUNKS: "openshell.v1.OpenShell/ClearDraftChunks",
        v1::ClearDraftChunksRequest => v1::ClearDraftChunksResponse;
    GET_DRAFT_HISTORY: "openshell.v1.OpenShell/GetDraftHistory",
        v1::GetDraftHistoryRequest => v1::GetDraftHistoryResponse;
    CREATE_WORKSPACE: "openshell.v1.OpenShell/CreateWorkspace", v1::CreateWorkspaceRequest => v1::CreateWorkspaceResponse;
    GET_WORKSPACE: "openshell.v1.OpenShell/GetWorkspace", v1::GetWorkspaceRequest => v1::GetWorkspaceResponse;
    LIST_WORKSPACES: "openshell.v1.OpenShell/ListWorkspaces", v1::ListWorkspacesRequest => v1::ListWorkspacesResponse;
    DELETE_WORKSPACE: "openshell.v1.OpenShell/DeleteWorkspace", v1::DeleteWorkspaceRequest => v1::DeleteWorkspaceResponse;
    ADD_WORKSPACE_MEMBER: "openshell.v1.OpenShell/AddWorkspaceMember",
        v1::AddWorkspaceMemberRequest => v1::AddWorkspaceMemberResponse;
    REMOVE_WORKSPACE_MEMBER: "openshell.v1.OpenShell/RemoveWorkspaceMember",
        v1::RemoveWorkspaceMemberRequest => v1::RemoveWorkspaceMemberResponse;
    LIST_WORKSPACE_MEMBERS: "openshell.v1.OpenShell/ListWorkspaceMembers",
        v1::ListWorkspaceMembersRequest => v1::ListWorkspaceMembersResponse;
    GET_STATUS: "openshell.cluster.v1.Cluster/GetStatus", cluster::GetStatusRequest => cluster::GetStatusResponse;
    REFRESH_SANDBOX_TOKEN: "openshell.v1.OpenShell/RefreshSandboxToken",
        v1::RefreshSandboxTokenRequest => v1::RefreshSandboxTokenResponse;
    GET_DIGEST: "openshell.cluster.v1.Cluster/GetDigest", cluster::GetDigestRequest => cluster::GetDigestResponse;
    GET_PROVIDER_REFRESH_STATUS: "openshell.v1.OpenShell/GetProviderRefreshStatus",
        v1::GetProviderRefreshStatusRequest => v1::GetProviderRefreshStatusResponse;
    CONFIGURE_PROVIDER_REFRESH: "openshell.v1.OpenShell/ConfigureProviderRefresh",
        v1::ConfigureProviderRefreshRequest => v1::ConfigureProviderRefreshResponse;
    ROTATE_PROVIDER_CREDENTIAL: "openshell.v1.OpenShell/RotateProviderCredential",
        v1::RotateProviderCredentialRequest => v1::RotateProviderCredentialResponse;
    DELETE_PROVIDER_REFRESH: "openshell.v1.OpenShell/DeleteProviderRefresh",
        v1::DeleteProviderRefreshRequest => v1::DeleteProviderRefreshResponse;
    REPLACE_NODE: "openshell.cluster.v1.Cluster/ReplaceNode",
        cluster::ReplaceNodeRequest => cluster::ReplaceNodeResponse;
    TRANSFER_LEADERSHIP: "openshell.cluster.v1.Cluster/TransferLeadership",
        cluster::TransferLeadershipRequest => cluster::TransferLeadershipResponse;
    WATCH: "openshell.cluster.v1.Cluster/Watch", cluster::WatchRequest => cluster::WatchResponse;
    GET_MEMBERS: "openshell.cluster.v1.Cluster/GetMembers", cluster::GetMembersRequest => cluster::GetMembersResponse;
    FOLLOW: "openshell.sync.v1.Sync/Follow", sync::FollowRequest => sync::FollowResponse;
    REPORT: "openshell.sync.v1.Sync/Report", sync::ReportRequest => sync::ReportResponse;
    GET_ROLLOUT: "openshell.sync.v1.Sync/GetRollout", sync::GetRolloutRequest => sync::GetRolloutResponse;
    ISSUE_SANDBOX_TOKEN: "openshell.cluster.v1.Cluster/IssueSandboxToken",
        cluster::IssueSandboxTokenRequest => cluster::IssueSandboxTokenResponse;
}

//! Requests of every kind behind one name, so that histories can mix them.

use std::fmt::Debug;

use openshell_proto::peer::SettleRefreshRequest;
use openshell_proto::v1::{
    AddWorkspaceMemberRequest, AddWorkspaceMemberResponse, ApproveAllDraftChunksRequest, ApproveAllDraftChunksResponse,
    ApproveDraftChunkRequest, ApproveDraftChunkResponse, AttachSandboxProviderRequest, AttachSandboxProviderResponse,
    ClearDraftChunksRequest, ClearDraftChunksResponse, ConfigureProviderRefreshRequest,
    ConfigureProviderRefreshResponse, CreateProviderRequest, CreateSandboxRequest, CreateWorkspaceRequest,
    CreateWorkspaceResponse, DeleteProviderProfileRequest, DeleteProviderProfileResponse, DeleteProviderRefreshRequest,
    DeleteProviderRefreshResponse, DeleteProviderRequest, DeleteProviderResponse, DeleteSandboxRequest,
    DeleteSandboxResponse, DeleteWorkspaceRequest, DeleteWorkspaceResponse, DetachSandboxProviderRequest,
    DetachSandboxProviderResponse, EditDraftChunkRequest, EditDraftChunkResponse, ImportProviderProfilesRequest,
    ImportProviderProfilesResponse, ProviderResponse, RejectDraftChunkRequest, RejectDraftChunkResponse,
    RemoveWorkspaceMemberRequest, RemoveWorkspaceMemberResponse, ReportMainProcessExitRequest,
    ReportMainProcessExitResponse, ReportPolicyStatusRequest, ReportPolicyStatusResponse,
    RotateProviderCredentialResponse, SandboxResponse, StartSandboxRequest, StopSandboxRequest, StoredRefreshClaim,
    SubmitPolicyAnalysisRequest, SubmitPolicyAnalysisResponse, UndoDraftChunkRequest, UndoDraftChunkResponse,
    UpdateConfigRequest, UpdateConfigResponse, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
    UpdateProviderRequest,
};
use openshell_state::decide::refresh::{Awaited, Claiming};
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
    StopSandboxRequest => decide::lifecycle::stop, SandboxResponse;
    StartSandboxRequest => decide::lifecycle::start, SandboxResponse;
    ReportPolicyStatusRequest => decide::report::policy_status, ReportPolicyStatusResponse;
    ReportMainProcessExitRequest => decide::report::main_process_exit, ReportMainProcessExitResponse;
    AttachSandboxProviderRequest => decide::attachment::attach, AttachSandboxProviderResponse;
    DetachSandboxProviderRequest => decide::attachment::detach, DetachSandboxProviderResponse;
    UpdateConfigRequest => decide::update_config, UpdateConfigResponse;
    SubmitPolicyAnalysisRequest => decide::draft::submit, SubmitPolicyAnalysisResponse;
    ApproveDraftChunkRequest => decide::draft::approve, ApproveDraftChunkResponse;
    RejectDraftChunkRequest => decide::draft::reject, RejectDraftChunkResponse;
    ApproveAllDraftChunksRequest => decide::draft::approve_all, ApproveAllDraftChunksResponse;
    EditDraftChunkRequest => decide::draft::edit, EditDraftChunkResponse;
    UndoDraftChunkRequest => decide::draft::undo, UndoDraftChunkResponse;
    ClearDraftChunksRequest => decide::draft::clear, ClearDraftChunksResponse;
    CreateWorkspaceRequest => decide::workspace::create, CreateWorkspaceResponse;
    DeleteWorkspaceRequest => decide::workspace::delete, DeleteWorkspaceResponse;
    AddWorkspaceMemberRequest => decide::workspace_member::add, AddWorkspaceMemberResponse;
    RemoveWorkspaceMemberRequest => decide::workspace_member::remove, RemoveWorkspaceMemberResponse;
    ConfigureProviderRefreshRequest => decide::refresh::configure, ConfigureProviderRefreshResponse;
    DeleteProviderRefreshRequest => decide::refresh::delete, DeleteProviderRefreshResponse;
    Claiming => decide::refresh::claim, StoredRefreshClaim;
    SettleRefreshRequest => decide::refresh::settle, RotateProviderCredentialResponse;
    Awaited => decide::refresh::standing, RotateProviderCredentialResponse;
}

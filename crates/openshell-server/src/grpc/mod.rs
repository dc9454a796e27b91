//! The gateway's RPCs, one line each. The rules and queries behind them are in
//! `openshell-state`; how a call finds its state or its leader is in `gateway`.

mod codec;
mod context;
mod errand;
mod finish;
mod gateway;
mod node;
mod sandbox;
mod service;
mod status;
mod table;

pub(crate) use context::Context;
pub(crate) use gateway::{Facts, Gateway};
pub(crate) use service::GatewayService;
pub(crate) use status::refused;
pub(crate) use table::{Led, Method};

use openshell_state::{decide, query};

use crate::grpc::table::Table;
use crate::{refresh, watch};

const NO_COMPUTE: &str = "this gateway keeps records and has no compute driver: it cannot reach into a running sandbox";
const NO_KUBERNETES: &str =
    "this gateway knows no Kubernetes service accounts; an admin issues a sandbox's token: openshell sandbox token";
const NOT_YET: &str = "this gateway does not answer this call yet";

/// Every public RPC.
///
/// # Panics
/// When an RPC of the descriptor is missing: such a program must not start.
pub(crate) fn table() -> Table {
    Table::default()
        .service("openshell.v1.OpenShell")
        .node("Health", node::health)
        .node("GetCurrentUser", node::current_user)
        .node("GetGatewayInfo", node::gateway_info)
        .decide_then("CreateSandbox", decide::sandbox::create, sandbox::created)
        .query("GetSandbox", query::sandbox::get)
        .query("ListSandboxes", query::sandbox::list)
        .decide("DeleteSandbox", decide::sandbox::delete)
        .query("ListSandboxProviders", query::sandbox::providers)
        .decide("AttachSandboxProvider", decide::attachment::attach)
        .decide("DetachSandboxProvider", decide::attachment::detach)
        .watch("WatchSandbox", watch::sandbox::open)
        .decide("CreateProvider", decide::provider::create)
        .query("GetProvider", query::provider::get)
        .query("ListProviders", query::provider::list)
        .decide("UpdateProvider", decide::provider::update)
        .decide("DeleteProvider", decide::provider::delete)
        .query("GetProviderRefreshStatus", query::refresh::status)
        .decide("ConfigureProviderRefresh", decide::refresh::configure)
        .lead("RotateProviderCredential", refresh::rotate)
        .decide("DeleteProviderRefresh", decide::refresh::delete)
        .query("ListProviderProfiles", query::profile::list)
        .query("GetProviderProfile", query::profile::get)
        .decide("ImportProviderProfiles", decide::profile::import)
        .decide("UpdateProviderProfiles", decide::profile::update)
        .decide("UpdateProviderProfile", decide::profile::update)
        .query("LintProviderProfiles", query::profile::lint)
        .decide("DeleteProviderProfile", decide::profile::delete)
        .query("GetSandboxConfig", query::sandbox::config)
        .with_key("GetSandboxProviderEnvironment", sandbox::environment)
        .with_key("RefreshSandboxToken", sandbox::refresh)
        .query("GetGatewayConfig", |state, _, _: &openshell_proto::sandbox::GetGatewayConfigRequest| {
            query::settings::gateway_config(state)
        })
        .decide("UpdateConfig", decide::update_config)
        .query("GetSandboxPolicyStatus", query::policy::status)
        .decide("CreateWorkspace", decide::workspace::create)
        .query("GetWorkspace", query::workspace::get)
        .query("ListWorkspaces", query::workspace::list)
        .decide("DeleteWorkspace", decide::workspace::delete)
        .absent(&ABSENT_LIVE, NO_COMPUTE)
        .absent(&ABSENT_YET, NOT_YET)
        .absent(&["IssueSandboxToken"], NO_KUBERNETES)
        .service("openshell.cluster.v1.Cluster")
        .node("GetStatus", node::cluster_status)
        .node("GetDigest", node::digest)
        .lead("ReplaceNode", node::replace)
        .watch("Watch", watch::changes::open)
        .with_key("IssueSandboxToken", sandbox::issue)
        .between_nodes(refresh::SETTLE, refresh::settled)
        .complete()
}

/// Calls that need a running sandbox.
const ABSENT_LIVE: [&str; 15] = [
    "StopSandbox",
    "StartSandbox",
    "ConnectSupervisor",
    "ReportMainProcessExit",
    "CreateSshSession",
    "RevokeSshSession",
    "ExposeService",
    "GetService",
    "ListServices",
    "DeleteService",
    "ExecSandbox",
    "ExecSandboxInteractive",
    "ForwardTcp",
    "RelayStream",
    "ExchangeProviderSubjectToken",
];

/// Calls of the released API that need nothing but the state, and are not built.
const ABSENT_YET: [&str; 16] = [
    "ListSandboxPolicies",
    "ReportPolicyStatus",
    "SubmitPolicyAnalysis",
    "GetDraftPolicy",
    "ApproveDraftChunk",
    "RejectDraftChunk",
    "ApproveAllDraftChunks",
    "EditDraftChunk",
    "UndoDraftChunk",
    "ClearDraftChunks",
    "GetDraftHistory",
    "AddWorkspaceMember",
    "RemoveWorkspaceMember",
    "ListWorkspaceMembers",
    "PushSandboxLogs",
    "GetSandboxLogs",
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_rpc_has_an_answer_and_a_permission_and_a_route() {
        // Building the table panics otherwise.
        super::table();
    }
}

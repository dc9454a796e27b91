//! The gateway's RPCs, one line each. The rules and queries behind them are in
//! `openshell-state`; how a call finds its state or its leader is in `gateway`.

mod codec;
mod context;
mod ending;
mod errand;
mod facts;
mod finish;
mod gateway;
mod leader;
mod node;
mod peers;
mod sandbox;
mod service;
mod status;
mod table;

pub(crate) use context::{CALL_MAX, Context};
pub(crate) use facts::Facts;
pub(crate) use gateway::Gateway;
pub(crate) use service::GatewayService;
pub(crate) use status::refused;
pub(crate) use table::{Complete, Led, Messages, Method};

use openshell_state::{decide, query};

use crate::grpc::table::Table;
use crate::sandbox::activity;
use crate::{logs, refresh, sync, watch};

const NO_COMPUTE: &str = "this gateway keeps records and has no compute driver: it cannot reach into a running sandbox";
const NO_KUBERNETES: &str =
    "this gateway knows no Kubernetes service accounts; an admin issues a sandbox's token: openshell sandbox token";

/// Every public RPC.
///
/// # Panics
/// When an RPC of the descriptor is missing: such a program must not start.
pub(crate) fn table() -> Table {
    let released = Table::default()
        .service("openshell.v1.OpenShell")
        .node("Health", node::health)
        .node("GetCurrentUser", node::current_user)
        .node("GetGatewayInfo", node::gateway_info)
        .decide_then("CreateSandbox", decide::sandbox::create, sandbox::created)
        .query("GetSandbox", query::sandbox::get)
        .query("ListSandboxes", query::sandbox::list)
        .decide("DeleteSandbox", decide::sandbox::delete)
        .decide("StopSandbox", decide::lifecycle::stop)
        .decide("StartSandbox", decide::lifecycle::start)
        .decide("ReportMainProcessExit", decide::report::main_process_exit)
        .query("ListSandboxProviders", query::sandbox::providers)
        .decide("AttachSandboxProvider", decide::attachment::attach)
        .decide("DetachSandboxProvider", decide::attachment::detach)
        .watch("WatchSandbox", watch::sandbox::open)
        .collect("PushSandboxLogs", logs::push)
        .gather("GetSandboxLogs", logs::get)
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
        .with_keeper("GetSandboxConfig", sandbox::config)
        .with_keeper("GetSandboxProviderEnvironment", sandbox::environment)
        .with_keeper("RefreshSandboxToken", sandbox::refresh)
        .query("GetGatewayConfig", |state, _, _: &openshell_proto::sandbox::GetGatewayConfigRequest| {
            query::settings::gateway_config(state)
        })
        .decide("UpdateConfig", decide::update_config)
        .query("GetSandboxPolicyStatus", query::policy::status)
        .query("ListSandboxPolicies", query::policy::list)
        .decide("ReportPolicyStatus", decide::report::policy_status)
        .decide_then("SubmitPolicyAnalysis", decide::draft::submit, activity::counted)
        .query("GetDraftPolicy", query::draft::get)
        .decide("ApproveDraftChunk", decide::draft::approve)
        .decide("RejectDraftChunk", decide::draft::reject)
        .decide("ApproveAllDraftChunks", decide::draft::approve_all)
        .decide("EditDraftChunk", decide::draft::edit)
        .decide("UndoDraftChunk", decide::draft::undo)
        .decide("ClearDraftChunks", decide::draft::clear)
        .query("GetDraftHistory", query::draft::history)
        .decide("CreateWorkspace", decide::workspace::create)
        .query("GetWorkspace", query::workspace::get)
        .query("ListWorkspaces", query::workspace::list)
        .decide("DeleteWorkspace", decide::workspace::delete)
        .decide("AddWorkspaceMember", decide::workspace_member::add)
        .decide("RemoveWorkspaceMember", decide::workspace_member::remove)
        .query("ListWorkspaceMembers", query::workspace::members)
        .absent(&ABSENT_LIVE, NO_COMPUTE)
        .absent(&["IssueSandboxToken"], NO_KUBERNETES);
    with_ours(released).complete()
}

/// What is ours beside the released API, and what nodes ask each other.
fn with_ours(table: Table) -> Table {
    table
        .service("openshell.cluster.v1.Cluster")
        .node("GetStatus", node::cluster_status)
        .node("GetMembers", node::members)
        .node("GetDigest", node::digest)
        .lead("ReplaceNode", node::replace)
        .lead("TransferLeadership", node::transfer)
        .watch("Watch", watch::changes::open)
        .with_keeper("IssueSandboxToken", sandbox::issue)
        .service("openshell.sync.v1.Sync")
        .watch("Follow", sync::open)
        .node("Report", sync::report)
        .gather("GetRollout", sync::rollout)
        .between_nodes(refresh::SETTLE, refresh::settled)
        .between_nodes(sync::RECORD, sync::recorded)
}

/// Calls that need a running sandbox.
const ABSENT_LIVE: [&str; 12] = [
    "ConnectSupervisor",
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_rpc_has_an_answer_and_a_permission_and_a_route() {
        // Building the table panics otherwise.
        super::table();
    }
}

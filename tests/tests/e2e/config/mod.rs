//! Sandboxes, policies and settings by the contract, `config.md`: the acceptance scenarios by number and the
//! recorded answers, through a follower of a cluster of three and on a single node.

mod attaching;
mod callers;
mod commands;
mod creating;
mod drafts;
mod effective;
mod environment;
mod furnished;
mod global;
mod merging;
mod own_policy;
mod people;
mod polling;
mod reporting;
mod revisions;
mod settings;
mod vectors;
mod workload;
mod workspaces;

use std::collections::BTreeMap;

use openshell_proto::sandbox::{
    GetSandboxConfigRequest, GetSandboxConfigResponse, NetworkBinary, NetworkEndpoint, NetworkPolicyRule,
    SandboxPolicy, SettingValue, setting_value,
};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    CreateSandboxRequest, GetSandboxPolicyStatusRequest, GetSandboxRequest, PolicyMergeOperation, Sandbox,
    SandboxPolicyRevision, SandboxSpec, UpdateConfigRequest,
};
use openshell_tests::{Api, Cluster, ClusterOptions, Scene};

use crate::rpc::{Calls, Rpc};
use crate::scenario::{map, says};

/// A workspace of its own, seen through one node, in which a scenario happens.
#[derive(Clone)]
struct Stage {
    scene: Scene,
}

/// Runs a scenario through a follower of the shared cluster, and on the shared single node. Providers are
/// composed there; what changes the gateway's own settings needs a cluster of its own.
async fn everywhere(scenario: impl AsyncFn(Stage)) {
    let clusters = [Cluster::shared().await, Cluster::shared_single().await];
    for api in [clusters[0].follower_api().await, clusters[1].api(1)] {
        scenario(Stage::open(api).await).await;
    }
}

/// As [`everywhere`], each time in a cluster of the scenario's own.
async fn everywhere_alone(scenario: impl AsyncFn(Stage)) {
    for nodes in [3, 1] {
        let options = ClusterOptions { nodes, ..ClusterOptions::default() };
        let cluster = Cluster::start_with(options).await.expect("a cluster starts");
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        scenario(Stage::open(cluster.api(node)).await).await;
    }
}

impl Calls for Stage {
    fn api(&self) -> &Api {
        &self.scene.api
    }
}

impl Stage {
    async fn open(api: Api) -> Self {
        Self { scene: Scene::open(api).await }
    }

    /// The name of the workspace.
    fn own(&self) -> &str {
        &self.scene.workspace
    }

    fn sandbox(&self, name: &str, providers: &[&str], policy: Option<SandboxPolicy>) -> CreateSandboxRequest {
        let providers = providers.iter().map(|name| (*name).to_owned()).collect();
        CreateSandboxRequest {
            name: name.to_owned(),
            spec: Some(SandboxSpec { providers, policy, ..SandboxSpec::default() }),
            workspace: self.own().to_owned(),
            ..CreateSandboxRequest::default()
        }
    }

    /// A sandbox that must be made.
    async fn made(&self, name: &str, policy: Option<SandboxPolicy>) -> Sandbox {
        self.ok(&self.sandbox(name, &[], policy)).await.sandbox.expect("a creation answers the sandbox")
    }

    /// A sandbox as it is now.
    async fn record(&self, name: &str) -> Sandbox {
        let request = GetSandboxRequest { name: name.to_owned(), workspace: self.own().to_owned() };
        self.ok(&request).await.sandbox.expect("a read answers the sandbox")
    }

    /// Its version.
    async fn version(&self, name: &str) -> u64 {
        self.record(name).await.metadata.expect("sandboxes have metadata").resource_version
    }

    /// A change of a sandbox, without what is to change.
    fn config(&self, sandbox: &str) -> UpdateConfigRequest {
        UpdateConfigRequest { name: sandbox.to_owned(), workspace: self.own().to_owned(), ..Default::default() }
    }

    fn set_policy(&self, sandbox: &str, policy: SandboxPolicy) -> UpdateConfigRequest {
        UpdateConfigRequest { policy: Some(policy), ..self.config(sandbox) }
    }

    fn merge(&self, sandbox: &str, operations: &[Operation]) -> UpdateConfigRequest {
        let operations = operations.iter().cloned();
        let merge_operations = operations.map(|one| PolicyMergeOperation { operation: Some(one) }).collect();
        UpdateConfigRequest { merge_operations, ..self.config(sandbox) }
    }

    fn set(&self, sandbox: &str, key: &str, value: bool) -> UpdateConfigRequest {
        UpdateConfigRequest { setting_key: key.to_owned(), setting_value: Some(flag(value)), ..self.config(sandbox) }
    }

    /// One stored revision of a sandbox's policy, 0 being the latest.
    async fn revision(&self, sandbox: &str, version: u32) -> SandboxPolicyRevision {
        let (name, workspace) = (sandbox.to_owned(), self.own().to_owned());
        let request = GetSandboxPolicyStatusRequest { name, version, workspace, global: false };
        self.ok(&request).await.revision.expect("an answer has the revision")
    }

    /// The rules of a sandbox's stored policy.
    async fn rules(&self, sandbox: &str) -> BTreeMap<String, NetworkPolicyRule> {
        self.revision(sandbox, 0).await.policy.expect("a revision has its policy").network_policies
    }

    /// What a sandbox gets.
    async fn effective(&self, sandbox: &Sandbox) -> GetSandboxConfigResponse {
        let sandbox_id = sandbox.metadata.as_ref().expect("sandboxes have metadata").id.clone();
        let api = self.scene.api.linearizable();
        let request = GetSandboxConfigRequest { sandbox_id };
        api.call(&GetSandboxConfigRequest::METHOD, request).await.expect("the configuration is answered").message
    }
}

fn flag(value: bool) -> SettingValue {
    SettingValue { value: Some(setting_value::Value::BoolValue(value)) }
}

fn cleared(request: UpdateConfigRequest) -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..request }
}

/// For the gateway, and with that for all sandboxes.
fn globally(request: UpdateConfigRequest) -> UpdateConfigRequest {
    UpdateConfigRequest { global: true, name: String::new(), ..request }
}

/// The endpoint of "P(host)".
fn endpoint(host: &str) -> NetworkEndpoint {
    NetworkEndpoint { access: "read-only".to_owned(), ..openshell_tests::endpoint(host) }
}

/// A rule of one endpoint.
fn rule(name: &str, endpoint: NetworkEndpoint) -> NetworkPolicyRule {
    let binaries = vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), harness: false }];
    NetworkPolicyRule { name: name.to_owned(), endpoints: vec![endpoint], binaries }
}

/// "P(host)" of the scenarios.
fn policy(host: &str) -> SandboxPolicy {
    policy_of("r1", endpoint(host))
}

fn policy_of(key: &str, endpoint: NetworkEndpoint) -> SandboxPolicy {
    let network_policies = [(key.to_owned(), rule(key, endpoint))].into();
    SandboxPolicy { version: 1, network_policies, ..SandboxPolicy::default() }
}

//! Each rule about merging, with the shortest policy that shows it.

use std::collections::BTreeMap;

use openshell_proto::sandbox::{
    GraphqlOperation, L7Allow, L7DenyRule, L7Rule, McpOptions, NetworkBinary, NetworkCredentialBinding,
    NetworkEndpoint, NetworkPolicyRule, SandboxPolicy,
};
use openshell_proto::v1::policy_merge_operation::Operation as Wire;
use openshell_proto::v1::{
    AddAllowRules, AddDenyRules, AddNetworkRule, PolicyMergeOperation, RemoveNetworkBinary, RemoveNetworkEndpoint,
    RemoveNetworkRule,
};

use super::*;

mod adding;
mod laws;
mod parsing;
mod targets;

/// An inspected endpoint with a preset.
fn rest(host: &str, port: u32, access: &str) -> NetworkEndpoint {
    NetworkEndpoint { protocol: "rest".to_owned(), access: access.to_owned(), ..bare(host, &[port]) }
}

/// An endpoint in normal form that says nothing about requests.
fn bare(host: &str, ports: &[u32]) -> NetworkEndpoint {
    NetworkEndpoint { host: host.to_owned(), port: ports[0], ports: ports.to_vec(), ..NetworkEndpoint::default() }
}

fn allowed(method: &str, path: &str) -> L7Rule {
    let (method, path) = (method.to_owned(), path.to_owned());
    L7Rule { allow: Some(L7Allow { method, path, ..L7Allow::default() }) }
}

fn denied(method: &str, path: &str) -> L7DenyRule {
    L7DenyRule { method: method.to_owned(), path: path.to_owned(), ..L7DenyRule::default() }
}

fn binaries(paths: &[&str]) -> Vec<NetworkBinary> {
    paths.iter().map(|path| NetworkBinary { path: (*path).to_owned(), harness: false }).collect()
}

fn rule(name: &str, endpoints: &[NetworkEndpoint], paths: &[&str]) -> NetworkPolicyRule {
    NetworkPolicyRule { name: name.to_owned(), endpoints: endpoints.to_vec(), binaries: binaries(paths) }
}

/// A policy whose rules have their keys as names.
fn policy(rules: &[NetworkPolicyRule]) -> SandboxPolicy {
    let network_policies: BTreeMap<_, _> = rules.iter().map(|rule| (rule.name.clone(), rule.clone())).collect();
    SandboxPolicy { version: 1, network_policies, ..SandboxPolicy::default() }
}

fn add(rule_name: &str, rule: NetworkPolicyRule) -> Operation {
    Operation::AddRule { rule_name: rule_name.to_owned(), rule }
}

/// The policy after one operation.
#[track_caller]
fn after(base: &SandboxPolicy, operation: Operation) -> SandboxPolicy {
    apply(base, &[operation]).unwrap_or_else(|error| panic!("{error}"))
}

/// Why one operation is not applied, as `FAILED_PRECONDITION`.
#[track_caller]
fn refused(base: &SandboxPolicy, operation: Operation) -> Reason {
    let error = apply(base, &[operation]).expect_err("refused");
    assert!(!error.is_invalid(), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.reason
}

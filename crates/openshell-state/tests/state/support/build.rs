//! Requests and what they carry, as short as the scenarios state them.

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::{
    NetworkBinary, NetworkEndpoint, NetworkPolicyRule, SandboxPolicy, SettingValue, setting_value as kind,
};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddNetworkRule, AddWorkspaceMemberRequest, AttachSandboxProviderRequest, CreateProviderRequest,
    CreateSandboxRequest, DetachSandboxProviderRequest, ImportProviderProfilesRequest, PolicyMergeOperation,
    PolicyStatus, ProviderCredentialTokenGrant, ProviderProfile, ProviderProfileCategory, ProviderProfileCredential,
    ProviderProfileImportItem, RemoveNetworkRule, RemoveWorkspaceMemberRequest, ReportPolicyStatusRequest, SandboxSpec,
    UpdateConfigRequest, UpdateProviderProfilesRequest, UpdateProviderRequest, WorkspaceRole,
};

use crate::support::map;

/// "Minimal profile X" of the scenarios.
pub(crate) fn minimal(id: &str) -> ProviderProfile {
    ProviderProfile {
        id: id.to_owned(),
        display_name: id.to_owned(),
        category: ProviderProfileCategory::Other as i32,
        ..ProviderProfile::default()
    }
}

pub(crate) fn endpoint(host: &str, port: u32) -> NetworkEndpoint {
    NetworkEndpoint {
        host: host.to_owned(),
        port,
        protocol: "rest".to_owned(),
        access: "read-only".to_owned(),
        ..NetworkEndpoint::default()
    }
}

/// A credential that some header carries.
pub(crate) fn credential(name: &str, variable: &str) -> ProviderProfileCredential {
    ProviderProfileCredential {
        name: name.to_owned(),
        env_vars: vec![variable.to_owned()],
        required: true,
        auth_style: "bearer".to_owned(),
        header_name: "authorization".to_owned(),
        ..ProviderProfileCredential::default()
    }
}

/// A profile with one endpoint and no credential.
pub(crate) fn static_profile(id: &str, host: &str) -> ProviderProfile {
    ProviderProfile { endpoints: vec![endpoint(host, 443)], ..minimal(id) }
}

/// "TG profile X(host, 443, path)" of the scenarios.
pub(crate) fn token_grant(id: &str, host: &str, path: &str) -> ProviderProfile {
    let grant = ProviderCredentialTokenGrant {
        token_endpoint: "https://auth.example.com/token".to_owned(),
        ..ProviderCredentialTokenGrant::default()
    };
    let credential =
        ProviderProfileCredential { token_grant: Some(grant), env_vars: Vec::new(), ..credential("access_token", "") };
    let endpoint = NetworkEndpoint { path: path.to_owned(), access: "full".to_owned(), ..endpoint(host, 443) };
    ProviderProfile { credentials: vec![credential], endpoints: vec![endpoint], ..minimal(id) }
}

pub(crate) fn item(profile: ProviderProfile) -> ProviderProfileImportItem {
    ProviderProfileImportItem { source: format!("{}.yaml", profile.id), profile: Some(profile) }
}

pub(crate) fn import(scope: &str, profiles: &[ProviderProfile]) -> ImportProviderProfilesRequest {
    ImportProviderProfilesRequest {
        profiles: profiles.iter().cloned().map(item).collect(),
        workspace: scope.to_owned(),
    }
}

pub(crate) fn update(scope: &str, expected: u64, profile: ProviderProfile) -> UpdateProviderProfilesRequest {
    UpdateProviderProfilesRequest {
        id: profile.id.clone(),
        profile: Some(item(profile)),
        expected_resource_version: expected,
        workspace: scope.to_owned(),
        updates: Vec::new(),
    }
}

/// A provider of the workspace's own scope in `default`, with the value `secret` under each key.
pub(crate) fn provider(name: &str, provider_type: &str, keys: &[&str]) -> CreateProviderRequest {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
        r#type: provider_type.to_owned(),
        credentials: keys.iter().map(|key| ((*key).to_owned(), "secret".to_owned())).collect(),
        profile_workspace: "default".to_owned(),
        ..Provider::default()
    };
    CreateProviderRequest { provider: Some(provider), workspace: String::new() }
}

pub(crate) fn update_provider(
    name: &str,
    credentials: &[(&str, &str)],
    config: &[(&str, &str)],
) -> UpdateProviderRequest {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
        credentials: map(credentials),
        config: map(config),
        ..Provider::default()
    };
    UpdateProviderRequest { provider: Some(provider), ..UpdateProviderRequest::default() }
}

pub(crate) fn sandbox(name: &str, providers: &[&str], policy: Option<SandboxPolicy>) -> CreateSandboxRequest {
    let spec = SandboxSpec {
        providers: providers.iter().map(|name| (*name).to_owned()).collect(),
        policy,
        ..SandboxSpec::default()
    };
    CreateSandboxRequest { name: name.to_owned(), spec: Some(spec), ..CreateSandboxRequest::default() }
}

pub(crate) fn attach(sandbox: &str, provider: &str) -> AttachSandboxProviderRequest {
    AttachSandboxProviderRequest {
        sandbox_name: sandbox.to_owned(),
        provider_name: provider.to_owned(),
        ..AttachSandboxProviderRequest::default()
    }
}

pub(crate) fn detach(sandbox: &str, provider: &str) -> DetachSandboxProviderRequest {
    DetachSandboxProviderRequest {
        sandbox_name: sandbox.to_owned(),
        provider_name: provider.to_owned(),
        ..DetachSandboxProviderRequest::default()
    }
}

/// "P(host)" of the scenarios: rule `r1` with one endpoint.
pub(crate) fn policy(host: &str) -> SandboxPolicy {
    policy_of("r1", endpoint(host, 443))
}

pub(crate) fn policy_of(rule: &str, endpoint: NetworkEndpoint) -> SandboxPolicy {
    let binaries = vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), ..NetworkBinary::default() }];
    let rule_of = NetworkPolicyRule { name: rule.to_owned(), endpoints: vec![endpoint], binaries };
    SandboxPolicy {
        version: 1,
        network_policies: [(rule.to_owned(), rule_of)].into_iter().collect(),
        ..SandboxPolicy::default()
    }
}

/// An endpoint whose requests are signed for AWS.
pub(crate) fn signing(host: &str) -> NetworkEndpoint {
    NetworkEndpoint {
        credential_signing: "sigv4".to_owned(),
        signing_service: "s3".to_owned(),
        signing_region: "eu-west-1".to_owned(),
        ..endpoint(host, 443)
    }
}

/// What the sandbox of this id reports about a revision of its policy.
pub(crate) fn report(sandbox_id: &str, version: u32, status: PolicyStatus, error: &str) -> ReportPolicyStatusRequest {
    ReportPolicyStatusRequest {
        sandbox_id: sandbox_id.to_owned(),
        version,
        status: status as i32,
        load_error: error.to_owned(),
    }
}

pub(crate) fn config(sandbox: &str) -> UpdateConfigRequest {
    UpdateConfigRequest { name: sandbox.to_owned(), ..UpdateConfigRequest::default() }
}

pub(crate) fn update_policy(sandbox: &str, policy: SandboxPolicy) -> UpdateConfigRequest {
    UpdateConfigRequest { policy: Some(policy), ..config(sandbox) }
}

pub(crate) fn merge(sandbox: &str, operations: &[Operation]) -> UpdateConfigRequest {
    let operations = operations.iter().cloned();
    let merge_operations = operations.map(|operation| PolicyMergeOperation { operation: Some(operation) }).collect();
    UpdateConfigRequest { merge_operations, ..config(sandbox) }
}

/// Adds a rule for one endpoint and the binary that every policy here is for.
pub(crate) fn add_rule(rule_name: &str, endpoint: NetworkEndpoint) -> Operation {
    let rule = policy_of("", endpoint).network_policies.into_values().next();
    Operation::AddRule(AddNetworkRule { rule_name: rule_name.to_owned(), rule })
}

pub(crate) fn remove_rule(rule_name: &str) -> Operation {
    Operation::RemoveRule(RemoveNetworkRule { rule_name: rule_name.to_owned() })
}

pub(crate) fn global_policy(policy: SandboxPolicy) -> UpdateConfigRequest {
    UpdateConfigRequest { global: true, ..update_policy("", policy) }
}

pub(crate) fn setting_value(value: bool) -> SettingValue {
    SettingValue { value: Some(kind::Value::BoolValue(value)) }
}

pub(crate) fn setting(sandbox: &str, key: &str, value: bool) -> UpdateConfigRequest {
    UpdateConfigRequest { setting_key: key.to_owned(), setting_value: Some(setting_value(value)), ..config(sandbox) }
}

pub(crate) fn global_setting(key: &str, value: bool) -> UpdateConfigRequest {
    UpdateConfigRequest { global: true, ..setting("", key, value) }
}

pub(crate) fn add_member(workspace: &str, subject: &str, role: WorkspaceRole) -> AddWorkspaceMemberRequest {
    AddWorkspaceMemberRequest {
        workspace: workspace.to_owned(),
        principal_subject: subject.to_owned(),
        role: role as i32,
    }
}

pub(crate) fn remove_member(workspace: &str, subject: &str) -> RemoveWorkspaceMemberRequest {
    RemoveWorkspaceMemberRequest { workspace: workspace.to_owned(), principal_subject: subject.to_owned() }
}

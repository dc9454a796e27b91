//! What the scenarios about effective configurations and environments need around a sandbox: profiles,
//! providers, settings of the gateway, and the sandbox itself as a caller.

use openshell_client::{CallError, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::{
    NetworkCredentialBinding, NetworkEndpoint, NetworkPolicyRule, SandboxPolicy, SettingValue,
};
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, GetSandboxProviderEnvironmentRequest,
    GetSandboxProviderEnvironmentResponse, ProviderProfile, ProviderProfileCredential, ProviderProfileImportItem,
    Sandbox, UpdateConfigRequest, UpdateProviderProfilesRequest, UpdateProviderRequest,
};
use openshell_tests::{Api, bool_setting};

use super::{Stage, endpoint};
use crate::rpc::Calls;
use crate::scenario::{self, minimal};

pub(super) fn credential(name: &str, variable: &str) -> ProviderProfileCredential {
    ProviderProfileCredential {
        name: name.to_owned(),
        env_vars: vec![variable.to_owned()],
        auth_style: "bearer".to_owned(),
        header_name: "authorization".to_owned(),
        ..ProviderProfileCredential::default()
    }
}

/// A profile with a credential in this variable; for one host, or for none.
pub(super) fn keyed(id: &str, variable: &str, host: Option<&str>) -> ProviderProfile {
    ProviderProfile {
        credentials: vec![credential("key", variable)],
        endpoints: host.map(endpoint).into_iter().collect(),
        ..minimal(id)
    }
}

/// "P(host)" of the contract: rule `r1` with one endpoint.
pub(super) fn policy(host: &str) -> SandboxPolicy {
    policy_of(endpoint(host))
}

pub(super) fn policy_of(endpoint: NetworkEndpoint) -> SandboxPolicy {
    let rule = NetworkPolicyRule { name: "r1".to_owned(), endpoints: vec![endpoint], binaries: Vec::new() };
    SandboxPolicy { version: 1, network_policies: [("r1".to_owned(), rule)].into(), ..SandboxPolicy::default() }
}

/// A policy whose one endpoint is bound to a provider.
pub(super) fn bound(provider: &str, host: &str, path: &str) -> SandboxPolicy {
    let credential_binding = Some(NetworkCredentialBinding { provider: provider.to_owned() });
    policy_of(NetworkEndpoint { credential_binding, path: path.to_owned(), ..endpoint(host) })
}

/// The keys of a policy's network rules.
pub(super) fn rules(policy: Option<&SandboxPolicy>) -> Vec<&str> {
    policy.into_iter().flat_map(|policy| policy.network_policies.keys()).map(String::as_str).collect()
}

pub(super) fn id(sandbox: &Sandbox) -> &str {
    &sandbox.metadata.as_ref().expect("sandboxes have metadata").id
}

pub(super) fn global_setting(key: &str, value: Option<bool>) -> UpdateConfigRequest {
    UpdateConfigRequest {
        global: true,
        setting_key: key.to_owned(),
        setting_value: value.map(|value| -> SettingValue { bool_setting(value) }),
        delete_setting: value.is_none(),
        ..UpdateConfigRequest::default()
    }
}

pub(super) fn global_policy(policy: SandboxPolicy) -> UpdateConfigRequest {
    UpdateConfigRequest { global: true, policy: Some(policy), ..UpdateConfigRequest::default() }
}

impl Stage {
    /// Profiles of the workspace that must be accepted.
    pub(super) async fn profiles(&self, profiles: &[ProviderProfile]) {
        for profile in profiles {
            self.scene.import(profile.clone()).await;
        }
    }

    /// An update of a profile that must be accepted, whatever its version.
    pub(super) async fn profile_is_now(&self, profile: ProviderProfile) {
        let stored = self.scene.profile(&profile.id).await;
        let item = ProviderProfileImportItem { source: "test".to_owned(), profile: Some(profile) };
        let request = UpdateProviderProfilesRequest {
            profile: Some(item),
            expected_resource_version: stored.resource_version,
            id: stored.id,
            workspace: self.own().to_owned(),
            updates: Vec::new(),
        };
        let answer = self.ok(&request).await;
        assert!(answer.updated, "{:?}", answer.diagnostics);
    }

    /// A provider in the workspace, not made yet, with the value `secret` under each key.
    pub(super) fn provider(&self, name: &str, provider_type: &str, keys: &[&str]) -> CreateProviderRequest {
        let credentials: Vec<_> = keys.iter().map(|key| (*key, "secret")).collect();
        scenario::provider(self.own(), name, provider_type, &credentials)
    }

    pub(super) fn update_provider(&self, name: &str, credentials: &[(&str, &str)]) -> UpdateProviderRequest {
        let provider = Provider {
            metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
            credentials: super::map(credentials),
            ..Provider::default()
        };
        let workspace = self.own().to_owned();
        UpdateProviderRequest { provider: Some(provider), workspace, ..UpdateProviderRequest::default() }
    }

    pub(super) async fn attach(&self, sandbox: &str, provider: &str) {
        self.scene.try_attach(sandbox, provider).await.expect("the provider is attached");
    }

    /// A sandbox with these providers that must be made.
    pub(super) async fn with_providers(
        &self,
        name: &str,
        providers: &[&str],
        policy: Option<SandboxPolicy>,
    ) -> Sandbox {
        let request: CreateSandboxRequest = self.sandbox(name, providers, policy);
        self.ok(&request).await.sandbox.expect("a creation answers the sandbox")
    }

    pub(super) fn update_policy(&self, sandbox: &str, policy: SandboxPolicy) -> UpdateConfigRequest {
        UpdateConfigRequest { policy: Some(policy), ..self.config(sandbox) }
    }

    /// The sandbox itself as a caller of the same node.
    pub(super) async fn as_sandbox(&self, sandbox: &Sandbox) -> Api {
        let name = sandbox.metadata.as_ref().expect("sandboxes have metadata").name.clone();
        let request = IssueSandboxTokenRequest { name, workspace: self.own().to_owned() };
        let token = self.scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
        self.scene.api.showing(&token.message.token)
    }

    /// The environment of a sandbox, as the sandbox itself gets it.
    pub(super) async fn environment(&self, sandbox: &Sandbox) -> GetSandboxProviderEnvironmentResponse {
        let own = self.as_sandbox(sandbox).await;
        environment(&own, id(sandbox), true).await.expect("the environment is answered")
    }
}

/// What a caller hears of a sandbox's environment.
pub(super) async fn environment(
    api: &Api,
    sandbox_id: &str,
    static_bindings: bool,
) -> Result<GetSandboxProviderEnvironmentResponse, CallError> {
    let request = GetSandboxProviderEnvironmentRequest {
        sandbox_id: sandbox_id.to_owned(),
        supports_static_credential_bindings: static_bindings,
    };
    Ok(api.linearizable().call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await?.message)
}

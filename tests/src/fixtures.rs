//! Profiles, policies and proposals as small as the rules allow, and looks into composed policies. Values
//! only; who stores them where is in `scene`.

use openshell_proto::sandbox::{
    NetworkBinary, NetworkEndpoint, NetworkPolicyRule, SandboxPolicy, SettingValue, setting_value,
};
use openshell_proto::v1::{
    PolicyChunk, ProviderCredentialTokenGrant, ProviderProfile, ProviderProfileCategory, ProviderProfileCredential,
};

/// How the keys of composed provider rules begin (`config.md` EC-25).
const LAYER_PREFIX: &str = "_provider_";

/// An inspected endpoint on port 443 with full access.
#[must_use]
pub fn endpoint(host: &str) -> NetworkEndpoint {
    NetworkEndpoint {
        host: host.to_owned(),
        port: 443,
        protocol: "rest".to_owned(),
        access: "full".to_owned(),
        ..NetworkEndpoint::default()
    }
}

/// A custom profile with one required bearer token, in the variable `<ID>_TOKEN`, for these hosts.
#[must_use]
pub fn profile(id: &str, hosts: &[&str]) -> ProviderProfile {
    ProviderProfile {
        id: id.to_owned(),
        display_name: format!("Profile {id}"),
        category: ProviderProfileCategory::Other.into(),
        credentials: vec![ProviderProfileCredential {
            name: "token".to_owned(),
            env_vars: vec![token_variable(id)],
            required: true,
            auth_style: "bearer".to_owned(),
            header_name: "authorization".to_owned(),
            ..ProviderProfileCredential::default()
        }],
        endpoints: hosts.iter().map(|host| endpoint(host)).collect(),
        ..ProviderProfile::default()
    }
}

/// The variable of a [`profile`]'s credential.
pub(crate) fn token_variable(id: &str) -> String {
    format!("{}_TOKEN", id.replace('-', "_").to_uppercase())
}

/// A custom profile whose token is granted at run time, for one path of `api.example.com`: the
/// "TG profile" of `providers.md` 9.
#[must_use]
pub fn token_grant_profile(id: &str, path: &str) -> ProviderProfile {
    let mut profile = profile(id, &["api.example.com"]);
    profile.endpoints[0].path = path.to_owned();
    profile.credentials[0].name = "access_token".to_owned();
    profile.credentials[0].token_grant = Some(ProviderCredentialTokenGrant {
        token_endpoint: "https://auth.example.com/token".to_owned(),
        ..ProviderCredentialTokenGrant::default()
    });
    profile
}

/// A policy of one rule, `base`, for one host.
#[must_use]
pub fn policy_allowing(host: &str) -> SandboxPolicy {
    let rule = NetworkPolicyRule {
        name: "base".to_owned(),
        endpoints: vec![endpoint(host)],
        binaries: vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), ..NetworkBinary::default() }],
    };
    SandboxPolicy { version: 1, network_policies: [("base".to_owned(), rule)].into(), ..SandboxPolicy::default() }
}

/// The same with a rule of 180 KB, of the 256 that a stored policy may have: what is composed of it does not
/// fit into buffers on the way.
#[must_use]
pub fn large_policy(host: &str) -> SandboxPolicy {
    let mut policy = policy_allowing(host);
    let long = |number: u32| NetworkBinary { path: format!("/{number}/{}", "x".repeat(2_000)), ..Default::default() };
    for rule in policy.network_policies.values_mut() {
        rule.binaries = (0..90).map(long).collect();
    }
    policy
}

/// A proposal of one rule, named after its host, for `curl`, as a sandbox makes it.
#[must_use]
pub fn proposal(host: &str) -> PolicyChunk {
    let rule = NetworkPolicyRule {
        name: String::new(),
        endpoints: vec![endpoint(host)],
        binaries: vec![NetworkBinary { path: "/usr/bin/curl".to_owned(), ..NetworkBinary::default() }],
    };
    PolicyChunk {
        rule_name: host.replace('.', "_"),
        proposed_rule: Some(rule),
        rationale: format!("{host} was denied"),
        confidence: 0.9,
        ..PolicyChunk::default()
    }
}

/// A boolean setting.
#[must_use]
pub fn bool_setting(on: bool) -> SettingValue {
    SettingValue { value: Some(setting_value::Value::BoolValue(on)) }
}

/// The key of a provider's rule in a composed policy, for plain provider names.
#[must_use]
pub fn layer_key(provider: &str) -> String {
    format!("{LAYER_PREFIX}{}", provider.replace('-', "_"))
}

/// The keys of all provider rules in a policy.
#[must_use]
pub fn layered_keys(policy: &SandboxPolicy) -> Vec<String> {
    policy.network_policies.keys().filter(|key| key.starts_with(LAYER_PREFIX)).cloned().collect()
}

/// The hosts that a provider's rule allows in a composed policy; empty without such a rule.
#[must_use]
pub fn layered_hosts(policy: &SandboxPolicy, provider: &str) -> Vec<String> {
    let rule = policy.network_policies.get(&layer_key(provider));
    rule.into_iter().flat_map(|rule| &rule.endpoints).map(|endpoint| endpoint.host.clone()).collect()
}

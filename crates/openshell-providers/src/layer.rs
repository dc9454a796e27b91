//! What a profile adds to a sandbox's policy: one rule per attached provider. Inserting it into a
//! policy, and choosing a free key for it, is the policy language's work.

use openshell_policy::layering::provider_rule_name;
use openshell_proto::sandbox::NetworkPolicyRule;
use openshell_proto::v1::ProviderProfile;

use crate::predicates::is_credentialed;

/// The rule that a provider of this profile contributes: endpoints and binaries in the profile's
/// order, without credential bindings, every endpoint marked when the profile is credentialed. A
/// profile without endpoints gives a rule without endpoints.
///
/// Source: config.md EC-25, EC-26, EC-27.
pub fn layer(provider_name: &str, profile: &ProviderProfile) -> NetworkPolicyRule {
    let credentialed = is_credentialed(profile);
    let mut endpoints = profile.endpoints.clone();
    for endpoint in &mut endpoints {
        endpoint.credential_binding = None;
        endpoint.provider_credentialed = credentialed;
    }
    NetworkPolicyRule { name: provider_rule_name(provider_name), endpoints, binaries: profile.binaries.clone() }
}

#[cfg(test)]
mod tests {
    use openshell_proto::sandbox::{NetworkBinary, NetworkCredentialBinding, NetworkEndpoint};
    use openshell_proto::v1::ProviderProfileCredential;

    use super::*;

    fn endpoint(host: &str) -> NetworkEndpoint {
        let binding = Some(NetworkCredentialBinding { provider: "other".to_owned() });
        NetworkEndpoint { host: host.to_owned(), port: 443, credential_binding: binding, ..Default::default() }
    }

    #[test]
    fn ec_25_the_rule_is_named_after_the_provider() {
        for (provider, name) in [
            ("my-github", "_provider_my_github"),
            ("Work GitHub!", "_provider_work_github"),
            ("...", "_provider_unnamed"),
            ("__a__", "_provider_a"),
            ("é", "_provider_unnamed"),
        ] {
            assert_eq!(layer(provider, &ProviderProfile::default()).name, name);
        }
    }

    #[test]
    fn ec_26_endpoints_keep_their_order_and_lose_their_bindings() {
        let binaries = vec![NetworkBinary { path: "/bin/a".to_owned(), harness: true }];
        let profile = ProviderProfile {
            endpoints: vec![endpoint("b.example.com"), endpoint("a.example.com")],
            binaries: binaries.clone(),
            ..Default::default()
        };
        let rule = layer("p", &profile);
        let hosts: Vec<_> = rule.endpoints.iter().map(|endpoint| endpoint.host.as_str()).collect();
        assert_eq!(hosts, ["b.example.com", "a.example.com"]);
        assert!(rule.endpoints.iter().all(|e| e.credential_binding.is_none() && !e.provider_credentialed));
        assert_eq!(rule.binaries, binaries);
    }

    #[test]
    fn ec_27_endpoints_are_marked_when_a_credential_is_declared_or_one_of_them_signs() {
        let mut profile = ProviderProfile {
            endpoints: vec![endpoint("a.example.com"), endpoint("b.example.com")],
            ..Default::default()
        };
        profile.endpoints[1].credential_signing = "sigv4".to_owned();
        assert!(layer("p", &profile).endpoints.iter().all(|endpoint| endpoint.provider_credentialed));
        profile.endpoints[1].credential_signing.clear();
        profile.credentials = vec![ProviderProfileCredential::default()];
        assert!(layer("p", &profile).endpoints.iter().all(|endpoint| endpoint.provider_credentialed));
    }

    #[test]
    fn ec_26_a_profile_without_endpoints_still_has_a_rule() {
        assert_eq!(layer("p", &ProviderProfile::default()).name, "_provider_p");
    }
}

//! What a change of an enforced policy newly makes possible and somebody should look at before it is
//! allowed: uses of credentials, and addresses that a rule opens itself. What is compared is composed and
//! stamped; who decides on what is found is not known here.

use std::collections::BTreeSet;
use std::fmt;

use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};
use prost::Message;

use crate::ports;
use crate::rule_name::display;

/// The verdict on a change without findings, exactly (config.md DC-5).
pub const NOTHING: &str = "prover: no new findings";
/// Findings that a verdict names; more are counted.
const NAMED_MAX: usize = 10;

/// Why somebody should look at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Credentials of a provider are used there.
    Credentialed,
    /// Credentials of a provider are used there, and nobody looks at the traffic.
    Uninspected,
    /// It names the addresses that the host may have, which opens private networks.
    NamesAddresses,
}

/// An endpoint that some program may newly reach, or may newly use in this way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Display name of the rule.
    pub rule: String,
    /// Host as written.
    pub host: String,
    /// Effective ports, as people read them.
    pub ports: String,
    /// What is the matter.
    pub concern: Concern,
}

/// What the second policy newly makes possible, in order and without repetitions.
///
/// Cautious: an endpoint counts as new unless the same rule had exactly this endpoint before, for every program
/// that it is for now. A change that only takes away finds nothing.
pub fn between(before: &SandboxPolicy, after: &SandboxPolicy) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    for (key, rule) in &after.network_policies {
        let known = before.network_policies.get(key);
        if known == Some(rule) {
            continue;
        }
        let covered = known.filter(|known| covers_binaries(known, rule));
        let endpoints = covered.map(|known| known.endpoints.as_slice()).unwrap_or_default();
        let same: BTreeSet<Vec<u8>> = endpoints.iter().map(NetworkEndpoint::encode_to_vec).collect();
        for endpoint in &rule.endpoints {
            let Some(concern) = concern(endpoint) else { continue };
            if !same.contains(&endpoint.encode_to_vec()) {
                let (host, ports) = (endpoint.host.clone(), ports::text(&ports::effective(endpoint)));
                found.insert(Finding { rule: display(key, rule).to_owned(), host, ports, concern });
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a rule was for every program already that another is for.
fn covers_binaries(known: &NetworkPolicyRule, rule: &NetworkPolicyRule) -> bool {
    let paths: BTreeSet<&str> = known.binaries.iter().map(|binary| binary.path.as_str()).collect();
    known.binaries.is_empty()
        || (!rule.binaries.is_empty() && rule.binaries.iter().all(|binary| paths.contains(binary.path.as_str())))
}

fn concern(endpoint: &NetworkEndpoint) -> Option<Concern> {
    let inspected = !endpoint.protocol.trim().is_empty() && !endpoint.tls.trim().eq_ignore_ascii_case("skip");
    // Whether the provider's profile can be read now does not matter: what is bound or signed uses credentials.
    let credentialed = endpoint.provider_credentialed || asks_for_credentials(endpoint);
    match (credentialed, inspected) {
        (true, false) => Some(Concern::Uninspected),
        (true, true) => Some(Concern::Credentialed),
        (false, _) => (!endpoint.allowed_ips.is_empty()).then_some(Concern::NamesAddresses),
    }
}

/// Whether an endpoint itself says that a provider's credentials are to be used there.
pub fn asks_for_credentials(endpoint: &NetworkEndpoint) -> bool {
    endpoint.credential_binding.is_some() || !endpoint.credential_signing.trim().is_empty()
}

/// What was found in one line: [`NOTHING`], or how much and where.
pub fn verdict(found: &[Finding]) -> String {
    if found.is_empty() {
        return NOTHING.to_owned();
    }
    let named: Vec<String> = found.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match found.len() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let plural = if found.len() == 1 { "finding" } else { "findings" };
    format!("prover: {} new {plural}: {}{more}", found.len(), named.join("; "))
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.concern {
            Concern::Credentialed => "uses credentials of a provider",
            Concern::Uninspected => "uses credentials of a provider and is not inspected",
            Concern::NamesAddresses => "opens addresses of its own (allowed_ips)",
        };
        write!(out, "rule '{}' at {}:{} {what}", self.rule, self.host, self.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    fn policy(rules: &str) -> SandboxPolicy {
        parse(&format!("version: 1\nnetwork_policies: {{{rules}}}")).expect("a policy")
    }

    /// Every endpoint of `api.x` carries credentials.
    fn stamped(rules: &str) -> SandboxPolicy {
        let mut policy = policy(rules);
        for endpoint in policy.network_policies.values_mut().flat_map(|rule| &mut rule.endpoints) {
            endpoint.provider_credentialed = endpoint.host == "api.x";
        }
        policy
    }

    fn concerns(before: &str, after: &str) -> Vec<Concern> {
        between(&stamped(before), &stamped(after)).into_iter().map(|finding| finding.concern).collect()
    }

    const API: &str =
        "a: {endpoints: [{host: api.x, port: 443, protocol: rest, access: read-only}], binaries: [{path: /c}]}";

    #[test]
    fn dc_5_what_carries_no_credentials_and_opens_nothing_has_no_findings() {
        let other = "b: {endpoints: [{host: docs.x, port: 443}], binaries: [{path: /c}]}";
        assert!(concerns(API, &format!("{API}, {other}")).is_empty());
        assert_eq!(verdict(&[]), "prover: no new findings");
    }

    #[test]
    fn dc_5_a_program_that_newly_uses_credentials_is_found() {
        assert_eq!(concerns("", API), [Concern::Credentialed]);
        assert_eq!(concerns(API, &API.replace("/c}", "/c}, {path: /d}")), [Concern::Credentialed]);
        assert_eq!(concerns(API, &API.replace("[{path: /c}]", "[]")), [Concern::Credentialed]);
        assert_eq!(concerns(API, &API.replace("read-only", "full")), [Concern::Credentialed], "more than before");
        assert!(concerns(API, API).is_empty());
        assert!(concerns(&API.replace("[{path: /c}]", "[]"), API).is_empty(), "any program was allowed before");
    }

    #[test]
    fn dc_5_what_asks_for_credentials_is_found_without_a_stamp() {
        let mut after = policy(API);
        let endpoint = &mut after.network_policies.get_mut("a").expect("the rule").endpoints[0];
        endpoint.credential_signing = "sigv4".to_owned();
        assert_eq!(between(&policy(""), &after)[0].concern, Concern::Credentialed);
    }

    #[test]
    fn dc_5_credentials_that_nobody_looks_at_are_found() {
        let open = API.replace("protocol: rest, access: read-only", "allow_uninspected_credentials: true");
        assert_eq!(concerns("", &open), [Concern::Uninspected]);
        assert_eq!(concerns("", &API.replace("port:", "tls: skip, port:")), [Concern::Uninspected]);
    }

    #[test]
    fn dc_5_addresses_that_a_rule_opens_are_found_and_named() {
        let rules =
            "b: {endpoints: [{host: docs.x, ports: [80, 443], allowed_ips: [10.0.0.0/8]}], binaries: [{path: /c}]}";
        let found = between(&policy(""), &policy(rules));
        assert_eq!(
            verdict(&found),
            "prover: 1 new finding: rule 'b' at docs.x:80,443 opens addresses of its own (allowed_ips)"
        );
        let many: Vec<Finding> = (0..12).map(|port| Finding { ports: port.to_string(), ..found[0].clone() }).collect();
        assert!(verdict(&many).starts_with("prover: 12 new findings: ") && verdict(&many).ends_with("; and 2 more"));
    }
}

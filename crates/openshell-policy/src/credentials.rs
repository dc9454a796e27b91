//! Which endpoints carry credentials: bindings that a policy states, the marks that a gateway sets, and
//! what may not carry any. Which providers are attached, and what they hold, is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};

use crate::host_pattern::HostPattern;
use crate::language::Budget;
use crate::ports;

mod coverage;

pub use coverage::Coverage;

/// What comparing an endpoint with a scope costs, beside its ports and its pattern.
const PAIR_COST: usize = 4;

/// Clears the mark `provider_credentialed` everywhere: it is never believed from outside (config.md PM-42).
pub fn clear_markers(policy: &mut SandboxPolicy) {
    for rule in policy.network_policies.values_mut() {
        for endpoint in &mut rule.endpoints {
            endpoint.provider_credentialed = false;
        }
    }
}

/// One endpoint that a provider's credentials are bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoundEndpoint {
    /// Host as written in the policy.
    pub host: Arc<str>,
    /// Port, 1 to 65535.
    pub port: u32,
    /// Path as written in the policy.
    pub path: Arc<str>,
}

/// What a policy binds credentials to: provider name to its endpoints.
pub type Bindings = BTreeMap<String, BTreeSet<BoundEndpoint>>;

/// The credential bindings of a policy: provider name to its endpoints, without duplicates, in order.
///
/// Errors: one sentence naming the endpoint, when a provider name is blank or has spaces around it, the host
/// is blank, or a port is missing or outside 1..65535. The policy must be changed first, so a retry is of
/// no use. Source: config.md EC-30.
pub fn bindings(policy: &SandboxPolicy) -> Result<Bindings, String> {
    let mut bound = Bindings::new();
    for (key, rule) in &policy.network_policies {
        for (index, endpoint) in rule.endpoints.iter().enumerate() {
            let Some(binding) = &endpoint.credential_binding else { continue };
            let place = format!("network_policies.{key}.endpoints[{index}]");
            let provider = binding.provider.as_str();
            if provider.trim().is_empty() {
                return Err(format!("{place}.credential_binding.provider: is empty; name an attached provider"));
            }
            if provider.trim() != provider {
                return Err(format!(
                    "{place}.credential_binding.provider: '{provider}' has spaces around it; remove them"
                ));
            }
            if endpoint.host.trim().is_empty() {
                return Err(format!("{place}.host: is empty; a credential binding needs a host"));
            }
            let ports = ports::effective(endpoint);
            if ports.is_empty() {
                return Err(format!("{place}.port: is missing; a credential binding needs a port in 1..65535"));
            }
            // Shared by all ports.
            let (host, path): (Arc<str>, Arc<str>) = (endpoint.host.as_str().into(), endpoint.path.as_str().into());
            let bound = bound.entry(provider.to_owned()).or_default();
            for port in ports {
                if !(1..=ports::PORT_MAX).contains(&port) {
                    return Err(format!("{place}.port: {port} is outside 1..65535, as a credential binding needs it"));
                }
                bound.insert(BoundEndpoint { host: Arc::clone(&host), port, path: Arc::clone(&path) });
            }
        }
    }
    Ok(bound)
}

/// Hosts and ports at which some attached provider's credentials are used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// A host pattern (config.md PM-36), in any case.
    pub host: String,
    /// Ports; none means every port.
    pub ports: Vec<u32>,
}

/// Sets `provider_credentialed` on every endpoint: true exactly where a scope overlaps it.
///
/// An empty or invalid host, of scope or endpoint, overlaps nothing; no ports on either side means all.
/// Marks that were there before are overwritten. Source: config.md EC-32.
pub fn stamp(policy: &mut SandboxPolicy, scopes: &[Scope]) {
    let scopes: BTreeSet<&Scope> = scopes.iter().collect();
    let scopes: Vec<(HostPattern, BTreeSet<u32>)> = scopes
        .into_iter()
        .filter_map(|scope| Some((HostPattern::parse(&scope.host).ok()?, scope.ports.iter().copied().collect())))
        .collect();
    let mut budget = Budget::for_policy();
    for rule in policy.network_policies.values_mut() {
        for endpoint in &mut rule.endpoints {
            let ports = ports::effective(endpoint);
            let shares = |scope: &BTreeSet<u32>| {
                ports.is_empty() || scope.is_empty() || ports.iter().any(|port| scope.contains(port))
            };
            endpoint.provider_credentialed = HostPattern::parse(&endpoint.host).is_ok_and(|host| {
                scopes.iter().any(|(scope, at)| {
                    // In doubt it carries credentials, and is to be inspected.
                    !budget.spend(PAIR_COST + ports.len()) || shares(at) && scope.overlaps_within(&host, &mut budget)
                })
            });
        }
    }
}

/// Why a credentialed endpoint's traffic would not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UninspectedReason {
    /// No protocol: only hosts and ports are enforced.
    L4Only,
    /// `tls` is `skip`: the traffic stays encrypted.
    TlsSkipped,
}

/// An endpoint that carries credentials without being inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uninspected {
    /// Display name of the rule.
    pub rule: String,
    /// Place of the endpoint in the rule, from 0.
    pub endpoint: usize,
    /// Host as written.
    pub host: String,
    /// Effective ports.
    pub ports: Vec<u32>,
    /// What is missing.
    pub reason: UninspectedReason,
}

impl fmt::Display for Uninspected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            UninspectedReason::L4Only => "is L4-only (it has no protocol)",
            UninspectedReason::TlsSkipped => "has tls: skip",
        };
        write!(
            out,
            "rule '{}' endpoint {} ({}:{}) carries provider credentials but {reason}; set a protocol and let TLS be \
             inspected, or set allow_uninspected_credentials: true",
            self.rule,
            self.endpoint,
            self.host,
            ports::text(&self.ports)
        )
    }
}

/// The marked endpoints whose traffic is not inspected and that do not allow it. Stamp first.
///
/// Shape: in key order, then endpoint order. Source: config.md EC-40.
pub fn uninspected(policy: &SandboxPolicy) -> Vec<Uninspected> {
    let mut found = Vec::new();
    for (key, rule) in &policy.network_policies {
        for (index, endpoint) in rule.endpoints.iter().enumerate() {
            if !endpoint.provider_credentialed || endpoint.allow_uninspected_credentials {
                continue;
            }
            let reason = if endpoint.protocol.trim().is_empty() {
                UninspectedReason::L4Only
            } else if endpoint.tls.trim().eq_ignore_ascii_case("skip") {
                UninspectedReason::TlsSkipped
            } else {
                continue;
            };
            found.push(Uninspected {
                rule: crate::rule_name::display(key, rule).to_owned(),
                endpoint: index,
                host: endpoint.host.clone(),
                ports: ports::effective(endpoint),
                reason,
            });
        }
    }
    found
}

/// An endpoint whose requests the sandbox signs.
#[derive(Debug, Clone, Copy)]
pub struct SigningEndpoint<'a> {
    /// Display name of the rule.
    pub rule: &'a str,
    /// Place of the endpoint in the rule, from 0.
    pub index: usize,
    /// The endpoint itself.
    pub endpoint: &'a NetworkEndpoint,
}

/// The endpoints with `credential_signing`, in key order, then endpoint order (config.md EC-34).
pub fn signing_endpoints(policy: &SandboxPolicy) -> impl Iterator<Item = SigningEndpoint<'_>> {
    policy.network_policies.iter().flat_map(|(key, rule)| {
        let rule_name = crate::rule_name::display(key, rule);
        let all = rule.endpoints.iter().enumerate();
        all.filter(|(_, endpoint)| !endpoint.credential_signing.is_empty())
            .map(move |(index, endpoint)| SigningEndpoint { rule: rule_name, index, endpoint })
    })
}

#[cfg(test)]
mod tests;

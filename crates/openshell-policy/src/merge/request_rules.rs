//! Adding request rules to the one endpoint that a host and port name.

use openshell_proto::sandbox::{L7DenyRule, L7Rule, NetworkEndpoint, SandboxPolicy};
use prost::Message;

use super::{Reason, access, append_missing};
use crate::ports;
use crate::reserved::PREFIX;

/// Protocols, exactly so, whose requests have a method and a path.
const PROTOCOLS: [&str; 2] = ["rest", "websocket"];

/// Allows requests; an access preset becomes the rules that it stands for (config.md UC-62).
pub(super) fn allow(policy: &mut SandboxPolicy, host: &str, port: u32, rules: &[L7Rule]) -> Result<(), Reason> {
    let endpoint = target(policy, host, port)?;
    access::expand(endpoint)?;
    append_missing(&mut endpoint.rules, rules, L7Rule::encode_to_vec);
    Ok(())
}

/// Denies requests of what is allowed (config.md UC-62).
pub(super) fn deny(policy: &mut SandboxPolicy, host: &str, port: u32, rules: &[L7DenyRule]) -> Result<(), Reason> {
    let endpoint = target(policy, host, port)?;
    if endpoint.access.is_empty() && endpoint.rules.is_empty() {
        return Err(Reason::NothingAllowed { host: host.to_owned(), port });
    }
    append_missing(&mut endpoint.deny_rules, rules, L7DenyRule::encode_to_vec);
    Ok(())
}

/// The one endpoint of the user's rules with this host and port. Paths do not count: rules for one of two
/// paths would be a guess.
fn target<'a>(policy: &'a mut SandboxPolicy, host: &str, port: u32) -> Result<&'a mut NetworkEndpoint, Reason> {
    let mut found: Vec<(&String, &mut NetworkEndpoint)> = Vec::new();
    for (key, rule) in policy.network_policies.iter_mut().filter(|(key, _)| !key.starts_with(PREFIX)) {
        let meant = |endpoint: &&mut NetworkEndpoint| {
            endpoint.host.eq_ignore_ascii_case(host) && ports::effective(endpoint).contains(&port)
        };
        found.extend(rule.endpoints.iter_mut().filter(meant).map(|endpoint| (key, endpoint)));
    }
    let host = host.to_owned();
    if found.len() > 1 {
        let mut rules: Vec<String> = found.iter().map(|(key, _)| (*key).clone()).collect();
        rules.dedup();
        return Err(Reason::SeveralEndpoints { host, port, rules });
    }
    let Some((_, endpoint)) = found.pop() else { return Err(Reason::NoEndpoint { host, port }) };
    if !PROTOCOLS.contains(&endpoint.protocol.as_str()) {
        return Err(Reason::NoRequests { host, port, protocol: endpoint.protocol.clone() });
    }
    Ok(endpoint)
}

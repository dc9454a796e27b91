//! Taking ports and binaries away. What is not there is no mistake; what is left empty goes.

use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};

use super::Reason;
use super::endpoint::set_ports;
use crate::ports;

/// Removes a port from the endpoints with this host, of one rule, or of every rule when `rule_name` is empty
/// (config.md UC-63).
pub(super) fn endpoint(policy: &mut SandboxPolicy, rule_name: &str, host: &str, port: u32) {
    policy.network_policies.retain(|key, rule| {
        let meant = rule_name.is_empty() || rule_name == key;
        !meant || !take_port(rule, host, port) || !rule.endpoints.is_empty()
    });
}

/// Whether an endpoint of the rule had the port.
fn take_port(rule: &mut NetworkPolicyRule, host: &str, port: u32) -> bool {
    let mut taken = false;
    rule.endpoints.retain_mut(|endpoint: &mut NetworkEndpoint| {
        let mut left = ports::effective(endpoint);
        if !endpoint.host.eq_ignore_ascii_case(host) || !left.contains(&port) {
            return true;
        }
        taken = true;
        left.retain(|one| *one != port);
        set_ports(endpoint, left);
        !endpoint.ports.is_empty()
    });
    taken
}

/// Removes a binary from a rule, and the rule with its last one: a rule without binaries is for any
/// (config.md UC-65).
pub(super) fn binary(policy: &mut SandboxPolicy, rule_name: &str, path: &str) -> Result<(), Reason> {
    let Some(rule) = policy.network_policies.get_mut(rule_name) else { return Ok(()) };
    if rule.binaries.is_empty() {
        return Err(Reason::AnyBinary { rule: rule_name.to_owned() });
    }
    rule.binaries.retain(|binary| binary.path != path);
    if rule.binaries.is_empty() {
        policy.network_policies.remove(rule_name);
    }
    Ok(())
}

//! Small changes of a policy's network rules, applied in order and all or nothing. Whether the result may be
//! stored (safe, unambiguous, static fields unchanged) is judged by the other modules, as for a whole policy.

mod access;
mod add_rule;
mod always_blocked;
mod authorization;
mod endpoint;
mod error;
mod mcp;
mod parse;
mod remove;
mod request_rules;

use std::collections::BTreeSet;

use openshell_proto::sandbox::{L7DenyRule, L7Rule, NetworkPolicyRule, SandboxPolicy};

pub use always_blocked::check as check_always_blocked;
pub use error::{MergeError, Reason};
pub use parse::{OPERATIONS_MAX, parse};

/// One change of a policy's network rules. What comes from outside is made by [`parse`].
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Adds a rule, or what it allows to the rule that has its key or one of its endpoints (UC-50 to UC-61).
    AddRule {
        /// The key asked for.
        rule_name: String,
        /// What is to be allowed.
        rule: NetworkPolicyRule,
    },
    /// Takes a port from the endpoints with a host (UC-63).
    RemoveEndpoint {
        /// Key of the rule; empty means every rule.
        rule_name: String,
        /// Host as written in the policy, in any case.
        host: String,
        /// The port to remove.
        port: u32,
    },
    /// Removes a rule (UC-64).
    RemoveRule {
        /// Its key.
        rule_name: String,
    },
    /// Forbids requests at the one endpoint with this host and port (UC-62).
    AddDenyRules {
        /// Host as written in the policy, in any case.
        host: String,
        /// One of the endpoint's ports.
        port: u32,
        /// What is forbidden.
        rules: Vec<L7DenyRule>,
    },
    /// Allows requests at the one endpoint with this host and port (UC-62).
    AddAllowRules {
        /// Host as written in the policy, in any case.
        host: String,
        /// One of the endpoint's ports.
        port: u32,
        /// What is allowed.
        rules: Vec<L7Rule>,
    },
    /// Takes a binary from a rule (UC-65).
    RemoveBinary {
        /// Key of the rule.
        rule_name: String,
        /// Path of the binary.
        path: String,
    },
}

/// The policy with every operation applied, in order; the base stays as it is.
///
/// Shape: endpoints that no operation touches stay byte for byte; those that `AddRule` touches are in normal
/// form (ports ascending, `port` the first of them, nothing twice). Work grows with the size of the policy
/// times the number of operations.
///
/// Errors: the first operation that cannot be applied, or a conflict of MCP contracts that the operations
/// together bring about (UC-60); nothing of the result is to be used then. A retry on the same base is of no
/// use. Source: config.md UC-44, UC-50 to UC-66.
pub fn apply(base: &SandboxPolicy, operations: &[Operation]) -> Result<SandboxPolicy, MergeError> {
    let mut policy = base.clone();
    for (index, operation) in operations.iter().enumerate() {
        apply_one(&mut policy, operation).map_err(|reason| MergeError { operation: Some(index), reason })?;
    }
    let before = mcp::conflicts(base);
    match mcp::conflicts(&policy).into_iter().find(|conflict| !before.contains(conflict)) {
        None => Ok(policy),
        Some(conflict) => Err(MergeError { operation: None, reason: conflict.into_reason() }),
    }
}

fn apply_one(policy: &mut SandboxPolicy, operation: &Operation) -> Result<(), Reason> {
    match operation {
        Operation::AddRule { rule_name, rule } => add_rule::add(policy, rule_name, rule),
        Operation::RemoveEndpoint { rule_name, host, port } => {
            remove::endpoint(policy, rule_name, host, *port);
            Ok(())
        }
        Operation::RemoveRule { rule_name } => {
            policy.network_policies.remove(rule_name);
            Ok(())
        }
        Operation::AddDenyRules { host, port, rules } => request_rules::deny(policy, host, *port, rules),
        Operation::AddAllowRules { host, port, rules } => request_rules::allow(policy, host, *port, rules),
        Operation::RemoveBinary { rule_name, path } => remove::binary(policy, rule_name, path),
    }
}

/// Leaves the first of those items that `key` does not tell apart.
fn keep_first<T, K: Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(key(item)));
}

/// Appends what is not there yet, each once.
fn append_missing<T: Clone, K: Ord>(items: &mut Vec<T>, more: &[T], key: impl Fn(&T) -> K) {
    let mut seen: BTreeSet<K> = items.iter().map(&key).collect();
    items.extend(more.iter().filter(|item| seen.insert(key(item))).cloned());
}

#[cfg(test)]
mod tests;

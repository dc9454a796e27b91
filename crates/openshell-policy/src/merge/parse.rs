//! Operations as they come from outside: what each must have, whatever the policy.

use openshell_proto::sandbox::NetworkPolicyRule;
use openshell_proto::v1::PolicyMergeOperation;
use openshell_proto::v1::policy_merge_operation::Operation as Wire;

use super::{MergeError, Operation, Reason};
use crate::reserved::PREFIX;
use crate::safety;

/// Operations of one request. Each may look at the whole policy, so their number is bounded.
pub const OPERATIONS_MAX: usize = 1000;

/// Reads all operations of a request. Names, hosts and paths of their own fields are trimmed; what is inside
/// of rules stays as it is.
///
/// Errors: the first operation that lacks something, with the field; all are `INVALID_ARGUMENT`. The request
/// must be changed first, so a retry is of no use. Source: config.md UC-41, UC-42 (reserved names).
pub fn parse(operations: &[PolicyMergeOperation]) -> Result<Vec<Operation>, MergeError> {
    if operations.len() > OPERATIONS_MAX {
        return Err(MergeError { operation: None, reason: Reason::TooMany { count: operations.len() } });
    }
    if let Some(what) = excess(operations) {
        return Err(MergeError { operation: None, reason: Reason::TooLarge { what } });
    }
    let one = |(index, operation): (usize, &PolicyMergeOperation)| {
        read(operation).map_err(|reason| MergeError { operation: Some(index), reason })
    };
    operations.iter().enumerate().map(one).collect()
}

/// What of the rules to add is beyond what a policy may hold: nothing is made of them before.
fn excess(operations: &[PolicyMergeOperation]) -> Option<String> {
    let rules = operations.iter().enumerate().filter_map(|(index, operation)| {
        let Some(Wire::AddRule(add)) = &operation.operation else { return None };
        Some((format!("[{index}].add_rule.rule"), add.rule.as_ref()?))
    });
    safety::excess_of_rules("add_rule", rules)
}

fn read(operation: &PolicyMergeOperation) -> Result<Operation, Reason> {
    match operation.operation.as_ref().ok_or(Reason::Nothing)? {
        Wire::AddRule(add) => Ok(Operation::AddRule {
            rule_name: own_name(text("add_rule.rule_name", &add.rule_name)?)?,
            rule: rule(add.rule.as_ref())?,
        }),
        Wire::RemoveEndpoint(remove) => Ok(Operation::RemoveEndpoint {
            rule_name: remove.rule_name.trim().to_owned(),
            host: text("remove_endpoint.host", &remove.host)?,
            port: port("remove_endpoint.port", remove.port)?,
        }),
        Wire::RemoveRule(remove) => {
            Ok(Operation::RemoveRule { rule_name: text("remove_rule.rule_name", &remove.rule_name)? })
        }
        Wire::AddDenyRules(add) => Ok(Operation::AddDenyRules {
            host: text("add_deny_rules.host", &add.host)?,
            port: port("add_deny_rules.port", add.port)?,
            rules: some("add_deny_rules.deny_rules", &add.deny_rules)?,
        }),
        Wire::AddAllowRules(add) => {
            let rules = some("add_allow_rules.rules", &add.rules)?;
            if let Some(at) = rules.iter().position(|rule| rule.allow.is_none()) {
                return Err(missing(&format!("add_allow_rules.rules[{at}].allow"), "is missing; say what is allowed"));
            }
            let host = text("add_allow_rules.host", &add.host)?;
            Ok(Operation::AddAllowRules { host, port: port("add_allow_rules.port", add.port)?, rules })
        }
        Wire::RemoveBinary(remove) => Ok(Operation::RemoveBinary {
            rule_name: text("remove_binary.rule_name", &remove.rule_name)?,
            path: text("remove_binary.binary_path", &remove.binary_path)?,
        }),
    }
}

fn missing(field: &str, what: &'static str) -> Reason {
    Reason::Missing { field: field.to_owned(), what }
}

fn text(field: &str, value: &str) -> Result<String, Reason> {
    match value.trim() {
        "" => Err(missing(field, "is empty")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

fn port(field: &str, value: u32) -> Result<u32, Reason> {
    if value == 0 { Err(missing(field, "is missing; give a port in 1..65535")) } else { Ok(value) }
}

fn some<T: Clone>(field: &str, values: &[T]) -> Result<Vec<T>, Reason> {
    if values.is_empty() { Err(missing(field, "is empty; give at least one rule")) } else { Ok(values.to_vec()) }
}

fn own_name(name: String) -> Result<String, Reason> {
    if name.starts_with(PREFIX) { Err(Reason::ReservedName { rule: name }) } else { Ok(name) }
}

fn rule(rule: Option<&NetworkPolicyRule>) -> Result<NetworkPolicyRule, Reason> {
    let rule = rule.ok_or_else(|| missing("add_rule.rule", "is missing"))?;
    if rule.endpoints.is_empty() {
        return Err(missing("add_rule.rule.endpoints", "is empty; give at least one endpoint"));
    }
    Ok(rule.clone())
}

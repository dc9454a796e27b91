//! Laws of every merge, over small policies whose rules meet each other.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

use super::*;
use crate::ports;

fn small_endpoint() -> impl Strategy<Value = NetworkEndpoint> {
    let place = (select(vec!["x.example", "X.example", "y.example"]), select(vec!["", "/v1"]), vec(1..4_u32, 1..3));
    let about = (select(vec!["", "rest", "mcp"]), select(vec!["", "read-only", "full"]), any::<bool>());
    let rules = (vec(select(vec!["GET", "PUT"]), 0..2), vec(select(vec!["POST"]), 0..2));
    (place, about, rules).prop_map(|((host, path, ports), (protocol, access, slash), (rules, denied_methods))| {
        NetworkEndpoint {
            host: host.to_owned(),
            path: path.to_owned(),
            port: ports[0],
            ports: if ports.len() > 1 { ports } else { vec![] },
            protocol: protocol.to_owned(),
            access: if rules.is_empty() { access.to_owned() } else { String::new() },
            rules: rules.into_iter().map(|method| allowed(method, "/")).collect(),
            deny_rules: denied_methods.into_iter().map(|method| denied(method, "/")).collect(),
            allow_encoded_slash: slash,
            ..NetworkEndpoint::default()
        }
    })
}

fn small_rule() -> impl Strategy<Value = NetworkPolicyRule> {
    (vec(small_endpoint(), 1..4), vec(select(vec!["/a", "/b", "/c"]), 0..3))
        .prop_map(|(endpoints, paths)| NetworkPolicyRule { name: String::new(), endpoints, binaries: binaries(&paths) })
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["k1", "k2", "k3", "_provider_k"]).prop_map(str::to_owned)
}

fn small_policy() -> impl Strategy<Value = SandboxPolicy> {
    proptest::collection::btree_map(key(), small_rule(), 0..4)
        .prop_map(|network_policies| SandboxPolicy { network_policies, ..SandboxPolicy::default() })
}

fn operation() -> impl Strategy<Value = Operation> {
    let at = || (select(vec!["x.example", "Y.EXAMPLE"]).prop_map(str::to_owned), 1..4_u32);
    let own_key = || select(vec!["k1", "k2", "k3", "k4"]).prop_map(str::to_owned);
    prop_oneof![
        6 => (own_key(), small_rule()).prop_map(|(rule_name, rule)| Operation::AddRule { rule_name, rule }),
        2 => (prop_oneof![key(), Just(String::new())], at())
            .prop_map(|(rule_name, (host, port))| Operation::RemoveEndpoint { rule_name, host, port }),
        1 => key().prop_map(|rule_name| Operation::RemoveRule { rule_name }),
        1 => at().prop_map(|(host, port)| Operation::AddDenyRules { host, port, rules: vec![denied("PUT", "/d")] }),
        1 => at().prop_map(|(host, port)| Operation::AddAllowRules { host, port, rules: vec![allowed("PUT", "/a")] }),
        1 => (key(), select(vec!["/a", "/b"])).prop_map(|(rule_name, path)| {
            Operation::RemoveBinary { rule_name, path: path.to_owned() }
        }),
    ]
}

fn shares(left: &NetworkEndpoint, right: &NetworkEndpoint) -> bool {
    let common = ports::effective(left).iter().any(|port| ports::effective(right).contains(port));
    left.host.eq_ignore_ascii_case(&right.host) && left.path == right.path && common
}

/// Whether an operation may change this endpoint of this rule.
fn concerns(operation: &Operation, key: &str, rule: &NetworkPolicyRule, endpoint: &NetworkEndpoint) -> bool {
    let named =
        |host: &str, port: u32| endpoint.host.eq_ignore_ascii_case(host) && ports::effective(endpoint).contains(&port);
    match operation {
        // Endpoints of one operation meet each other in the order in which they come, so ports may pass on.
        Operation::AddRule { rule: added, .. } => {
            let mut reach: Vec<&NetworkEndpoint> = vec![endpoint];
            let all: Vec<&NetworkEndpoint> = added.endpoints.iter().chain(&rule.endpoints).collect();
            let mut known = 0;
            while known < reach.len() {
                known = reach.len();
                let more: Vec<_> = all
                    .iter()
                    .filter(|one| reach.iter().any(|other| shares(one, other)))
                    .filter(|one| !reach.iter().any(|other| std::ptr::eq(*other, **one)))
                    .copied()
                    .collect();
                reach.extend(more);
            }
            reach.iter().any(|one| added.endpoints.iter().any(|incoming| std::ptr::eq(*one, incoming)))
        }
        Operation::RemoveEndpoint { rule_name, host, port } => {
            (rule_name.is_empty() || rule_name == key) && named(host, *port)
        }
        Operation::RemoveRule { rule_name } | Operation::RemoveBinary { rule_name, .. } => rule_name == key,
        Operation::AddDenyRules { host, port, .. } | Operation::AddAllowRules { host, port, .. } => named(host, *port),
    }
}

/// What a rule lets through, port by port.
fn lets_through(rule: &NetworkPolicyRule) -> BTreeSet<(String, u32, Vec<u8>)> {
    let one = |endpoint: &NetworkEndpoint| {
        let mut rest = endpoint.clone();
        (rest.port, rest.ports, rest.host) = (0, vec![], rest.host.to_lowercase());
        keep_first(&mut rest.rules, L7Rule::encode_to_vec);
        keep_first(&mut rest.deny_rules, L7DenyRule::encode_to_vec);
        let at = format!("{}{}", rest.host, rest.path);
        ports::effective(endpoint)
            .into_iter()
            .map(move |port| (at.clone(), port, rest.encode_to_vec()))
            .collect::<Vec<_>>()
    };
    rule.endpoints.iter().flat_map(one).collect()
}

fn paths(rule: &NetworkPolicyRule) -> BTreeSet<&str> {
    rule.binaries.iter().map(|binary| binary.path.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn equal_policies_and_operations_come_to_equal_bytes(base in small_policy(), operations in vec(operation(), 1..4)) {
        let copy = SandboxPolicy::decode(base.encode_to_vec().as_slice()).expect("our own bytes");
        let bytes = |base: &SandboxPolicy| apply(base, &operations).map(|merged| merged.encode_to_vec());
        prop_assert_eq!(bytes(&base), bytes(&copy));
    }

    #[test]
    fn uc_55_an_endpoint_that_an_operation_does_not_concern_keeps_its_bytes(
        base in small_policy(), operation in operation()
    ) {
        if let Ok(merged) = apply(&base, std::slice::from_ref(&operation)) {
            for (key, rule) in &base.network_policies {
                for endpoint in rule.endpoints.iter().filter(|one| !concerns(&operation, key, rule, one)) {
                    let kept = merged.network_policies.get(key).is_some_and(|rule| rule.endpoints.contains(endpoint));
                    prop_assert!(kept, "{key}: {endpoint:?} became {:?}", merged.network_policies.get(key));
                }
            }
        }
    }

    #[test]
    fn an_error_is_that_of_the_first_operation_that_cannot_be_applied(
        base in small_policy(), operations in vec(operation(), 1..5)
    ) {
        let before = base.clone();
        if let Err(error) = apply(&base, &operations) {
            match error.operation {
                Some(index) => {
                    let shorter = apply(&base, &operations[..index]).err().and_then(|error| error.operation);
                    prop_assert_eq!(shorter, None);
                    prop_assert_eq!(apply(&base, &operations[..=index]), Err(error));
                }
                None => {
                    let is_about_mcp =
                        matches!(error.reason, Reason::McpBesideOther { .. } | Reason::SeveralMcpContracts { .. });
                    prop_assert!(is_about_mcp, "{error}");
                }
            }
        }
        prop_assert_eq!(base, before);
    }

    #[test]
    fn adding_an_endpoint_again_changes_nothing(base in small_policy(), name in key(), mut rule in small_rule()) {
        rule.endpoints.truncate(1);
        let operation = [Operation::AddRule { rule_name: name, rule }];
        if let Ok(once) = apply(&base, &operation) {
            prop_assert_eq!(apply(&once, &operation), Ok(once));
        }
    }

    #[test]
    fn uc_57_58_59_nobody_inherits_what_an_operation_does_not_say(
        base in small_policy(), name in key(), rule in small_rule()
    ) {
        let operation = [Operation::AddRule { rule_name: name, rule: rule.clone() }];
        if let Ok(merged) = apply(&base, &operation) {
            let declared = lets_through(&rule).into_iter().map(|(at, port, _)| (at, port));
            let declared: BTreeSet<(String, u32)> = declared.collect();
            for (key, before) in &base.network_policies {
                let after = &merged.network_policies[key];
                let unlisted = !rule.binaries.is_empty() && !paths(&rule).is_superset(&paths(before));
                if unlisted || (before.binaries.is_empty() && !rule.binaries.is_empty()) {
                    let (before, after) = (lets_through(before), lets_through(after));
                    prop_assert!(after.is_subset(&before), "{key}: {after:?} was {before:?}");
                }
                let is_wider = after.binaries.is_empty() || !paths(before).is_superset(&paths(after));
                if is_wider && !before.binaries.is_empty() {
                    for (at, port, _) in lets_through(after) {
                        prop_assert!(declared.contains(&(at.clone(), port)), "{key}: {at}:{port} is inherited");
                    }
                }
            }
        }
    }
}

//! What operations must have, whatever the policy.

use super::*;

fn wire(operation: Wire) -> PolicyMergeOperation {
    PolicyMergeOperation { operation: Some(operation) }
}

fn add_rule(rule_name: &str, rule: Option<NetworkPolicyRule>) -> Wire {
    Wire::AddRule(AddNetworkRule { rule_name: rule_name.to_owned(), rule })
}

fn remove_endpoint(rule_name: &str, host: &str, port: u32) -> Wire {
    Wire::RemoveEndpoint(RemoveNetworkEndpoint { rule_name: rule_name.to_owned(), host: host.to_owned(), port })
}

fn add_allow(host: &str, port: u32, rules: &[L7Rule]) -> Wire {
    Wire::AddAllowRules(AddAllowRules { host: host.to_owned(), port, rules: rules.to_vec() })
}

fn add_deny(host: &str, port: u32, rules: &[L7DenyRule]) -> Wire {
    Wire::AddDenyRules(AddDenyRules { host: host.to_owned(), port, deny_rules: rules.to_vec() })
}

fn remove_binary(rule_name: &str, path: &str) -> Wire {
    Wire::RemoveBinary(RemoveNetworkBinary { rule_name: rule_name.to_owned(), binary_path: path.to_owned() })
}

fn remove_rule(rule_name: &str) -> Wire {
    Wire::RemoveRule(RemoveNetworkRule { rule_name: rule_name.to_owned() })
}

#[test]
fn uc_41_every_operation_says_what_it_is_about() {
    let one = || Some(rule("n", &[bare("x.example", &[1])], &[]));
    let fine = wire(remove_rule("x"));
    for (operation, field) in [
        (add_rule(" ", one()), "add_rule.rule_name"),
        (add_rule("x", None), "add_rule.rule"),
        (add_rule("x", Some(rule("n", &[], &["/a"]))), "add_rule.rule.endpoints"),
        (remove_endpoint("", " ", 1), "remove_endpoint.host"),
        (remove_endpoint("", "x", 0), "remove_endpoint.port"),
        (remove_rule("\t"), "remove_rule.rule_name"),
        (add_deny("", 1, &[denied("GET", "/")]), "add_deny_rules.host"),
        (add_deny("x", 0, &[denied("GET", "/")]), "add_deny_rules.port"),
        (add_deny("x", 1, &[]), "add_deny_rules.deny_rules"),
        (add_allow("", 1, &[allowed("GET", "/")]), "add_allow_rules.host"),
        (add_allow("x", 0, &[allowed("GET", "/")]), "add_allow_rules.port"),
        (add_allow("x", 1, &[]), "add_allow_rules.rules"),
        (add_allow("x", 1, &[allowed("GET", "/"), L7Rule { allow: None }]), "add_allow_rules.rules[1].allow"),
        (remove_binary("", "/a"), "remove_binary.rule_name"),
        (remove_binary("x", " "), "remove_binary.binary_path"),
    ] {
        let error = parse(&[fine.clone(), wire(operation)]).expect_err(field);
        assert!(error.is_invalid() && error.operation == Some(1), "{error}");
        assert!(error.to_string().starts_with(&format!("merge_operations[1].{field}: ")), "{error}");
    }
    let error = parse(&[PolicyMergeOperation { operation: None }]).expect_err("no operation");
    assert!(error.is_invalid() && error.reason == Reason::Nothing, "{error}");
}

#[test]
fn uc_41_names_hosts_and_paths_of_an_operation_are_trimmed_and_rules_are_not() {
    let inside = rule(" n ", &[bare(" x ", &[1])], &[" /a "]);
    let operations = [
        add_rule(" r ", Some(inside.clone())),
        remove_endpoint(" r ", " x ", 1),
        remove_rule(" r "),
        add_deny(" x ", 1, &[denied("GET", " / ")]),
        add_allow(" x ", 1, &[allowed("GET", " / ")]),
        remove_binary(" r ", " /a "),
    ];
    let (r, x, path) = ("r".to_owned(), "x".to_owned(), "/a".to_owned());
    let expected = [
        add("r", inside),
        Operation::RemoveEndpoint { rule_name: r.clone(), host: x.clone(), port: 1 },
        Operation::RemoveRule { rule_name: r.clone() },
        Operation::AddDenyRules { host: x.clone(), port: 1, rules: vec![denied("GET", " / ")] },
        Operation::AddAllowRules { host: x, port: 1, rules: vec![allowed("GET", " / ")] },
        Operation::RemoveBinary { rule_name: r, path },
    ];
    assert_eq!(parse(&operations.map(wire)).expect("complete"), expected);
}

#[test]
fn uc_42_reserved_names_are_refused_and_similar_ones_are_not() {
    let named = |name: &str| parse(&[wire(add_rule(name, Some(rule("", &[bare("x", &[1])], &[]))))]);
    let error = named(" _provider_x ").expect_err("reserved");
    assert!(error.is_invalid() && error.to_string().contains("reserved '_provider_' prefix"), "{error}");
    assert!(named("provider_x").is_ok() && named("x_provider_y").is_ok());
}

#[test]
fn uc_42_rules_for_what_is_always_blocked_are_refused() {
    let mut addressed = bare("x.example", &[1]);
    addressed.allowed_ips = vec!["10.0.0.0/8".to_owned(), "127.0.0.0/8".to_owned()];
    let allow = Operation::AddAllowRules { host: "LOCALHOST".to_owned(), port: 1, rules: vec![allowed("GET", "/")] };
    for (operation, field) in [
        (add("r", rule("", &[bare("x", &[1]), bare("127.0.0.1", &[1])], &[])), "add_rule.rule.endpoints[1].host"),
        (add("r", rule("", &[addressed.clone()], &[])), "add_rule.rule.endpoints[0].allowed_ips[1]"),
        (allow, "add_allow_rules.host"),
    ] {
        let error = check_always_blocked(&[operation]).expect_err(field);
        assert!(
            error.is_invalid() && error.to_string().starts_with(&format!("merge_operations[0].{field}: ")),
            "{error}"
        );
    }
    addressed.allowed_ips.truncate(1);
    let fine = [
        add("r", rule("", &[addressed], &[])),
        Operation::RemoveEndpoint { rule_name: String::new(), host: "localhost".to_owned(), port: 1 },
        Operation::AddDenyRules { host: "localhost".to_owned(), port: 1, rules: vec![denied("GET", "/")] },
    ];
    assert_eq!(check_always_blocked(&fine), Ok(()));
}

#[test]
fn a_request_has_a_bounded_number_of_operations() {
    let many = vec![wire(remove_rule("x")); OPERATIONS_MAX + 1];
    assert_eq!(parse(&many[1..]).expect("as many as allowed").len(), OPERATIONS_MAX);
    let error = parse(&many).expect_err("one too many");
    assert!(error.is_invalid() && error.operation.is_none(), "{error}");
}

#[test]
fn uc_66_an_error_says_which_operation_and_whether_the_request_is_at_fault() {
    let base = policy(&[rule("a", &[rest("x.example", 1, "odd")], &["/a"])]);
    let nothing = Operation::RemoveRule { rule_name: "z".to_owned() };
    let allow = Operation::AddAllowRules { host: "x.example".to_owned(), port: 1, rules: vec![allowed("GET", "/")] };
    let error = apply(&base, &[nothing.clone(), allow]).expect_err("an unknown preset");
    assert!(error.is_invalid() && error.operation == Some(1), "{error}");
    assert!(error.to_string().contains("odd"), "{error}");
    let deny = Operation::AddDenyRules { host: "y.example".to_owned(), port: 1, rules: vec![denied("GET", "/")] };
    let error = apply(&base, &[nothing.clone(), nothing, deny]).expect_err("no such endpoint");
    assert!(!error.is_invalid() && error.operation == Some(2), "{error}");
}

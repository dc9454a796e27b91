//! Operations that name an endpoint, a rule or a binary.

use super::*;

fn allow(host: &str, port: u32, rules: &[L7Rule]) -> Operation {
    Operation::AddAllowRules { host: host.to_owned(), port, rules: rules.to_vec() }
}

fn deny(host: &str, port: u32, rules: &[L7DenyRule]) -> Operation {
    Operation::AddDenyRules { host: host.to_owned(), port, rules: rules.to_vec() }
}

fn remove_endpoint(rule_name: &str, host: &str, port: u32) -> Operation {
    Operation::RemoveEndpoint { rule_name: rule_name.to_owned(), host: host.to_owned(), port }
}

fn remove_binary(rule_name: &str, path: &str) -> Operation {
    Operation::RemoveBinary { rule_name: rule_name.to_owned(), path: path.to_owned() }
}

/// Methods and paths of the rules of the first endpoint of rule `a`.
fn rules(policy: &SandboxPolicy) -> Vec<String> {
    let rules = policy.network_policies["a"].endpoints[0].rules.iter().filter_map(|rule| rule.allow.as_ref());
    rules.map(|allow| format!("{} {}", allow.method, allow.path)).collect()
}

#[test]
fn uc_62_allowing_expands_the_preset_and_appends_what_is_missing() {
    let base = policy(&[rule("a", &[rest("x.example", 1, "read-only")], &["/a"])]);
    let merged =
        after(&base, allow("X.EXAMPLE", 1, &[allowed("POST", "/x"), allowed("POST", "/x"), allowed("GET", "**")]));
    assert_eq!(rules(&merged), ["GET **", "HEAD **", "OPTIONS **", "POST /x"]);
    assert_eq!(merged.network_policies["a"].endpoints[0].access, "");
    assert_eq!(after(&merged, allow("x.example", 1, &[allowed("POST", "/x")])), merged);
}

#[test]
fn uc_56_presets_stand_for_methods_by_protocol() {
    for (protocol, access, methods) in [
        ("rest", "full", "*"),
        ("rest", "read-only", "GET HEAD OPTIONS"),
        ("rest", "read-write", "GET HEAD OPTIONS POST PUT PATCH"),
        ("websocket", "full", "*"),
        ("websocket", "read-only", "GET"),
        ("websocket", "read-write", "GET WEBSOCKET_TEXT"),
    ] {
        let mut endpoint = rest("x.example", 1, access);
        endpoint.protocol = protocol.to_owned();
        let merged =
            after(&policy(&[rule("a", &[endpoint], &["/a"])]), allow("x.example", 1, &[allowed("TRACE", "/")]));
        let expected: Vec<String> = methods.split(' ').map(|method| format!("{method} **")).collect();
        assert_eq!(rules(&merged), [expected, vec!["TRACE /".to_owned()]].concat(), "{protocol} {access}");
    }
}

#[test]
fn uc_62_denying_needs_something_that_is_allowed_and_keeps_the_preset() {
    let base = policy(&[rule("a", &[rest("x.example", 1, "read-only")], &["/a"])]);
    let merged = after(&base, deny("x.example", 1, &[denied("POST", "/x"), denied("POST", "/x")]));
    let mut expected = base.clone();
    let endpoint = &mut expected.network_policies.get_mut("a").expect("a rule").endpoints[0];
    endpoint.deny_rules = vec![denied("POST", "/x")];
    assert_eq!(merged, expected);
    let nothing = policy(&[rule("a", &[rest("x.example", 1, "")], &["/a"])]);
    let reason = refused(&nothing, deny("x.example", 1, &[denied("POST", "/x")]));
    assert!(matches!(reason, Reason::NothingAllowed { .. }), "{reason:?}");
}

#[test]
fn uc_62_exactly_one_endpoint_of_the_users_rules_is_meant() {
    let twice = policy(&[
        rule("a", &[rest("x.example", 1, "full")], &["/a"]),
        rule("b", &[NetworkEndpoint { path: "/v1".to_owned(), ..rest("X.example", 1, "full") }], &["/a"]),
        rule("_provider_c", &[rest("y.example", 1, "full"), rest("z.example", 1, "full")], &["/a"]),
        rule("d", &[rest("z.example", 1, "full")], &["/a"]),
    ]);
    for operation in [allow("x.example", 1, &[allowed("GET", "/")]), deny("x.example", 1, &[denied("GET", "/")])] {
        match refused(&twice, operation) {
            Reason::SeveralEndpoints { rules, .. } => assert_eq!(rules, ["a", "b"]),
            other => panic!("{other:?}"),
        }
    }
    for (host, port) in [("y.example", 1), ("x.example", 2)] {
        let reason = refused(&twice, allow(host, port, &[allowed("GET", "/")]));
        assert!(matches!(reason, Reason::NoEndpoint { .. }), "{reason:?}");
    }
    assert_ne!(after(&twice, allow("z.example", 1, &[allowed("GET", "/")])), twice);
}

#[test]
fn uc_62_only_rest_and_websocket_have_request_rules() {
    for protocol in ["", "graphql", "REST", "mcp", "json-rpc", "sql", "tcp"] {
        let endpoint = NetworkEndpoint { protocol: protocol.to_owned(), ..rest("x.example", 1, "full") };
        let base = policy(&[rule("a", &[endpoint], &["/a"])]);
        for operation in [allow("x.example", 1, &[allowed("GET", "/")]), deny("x.example", 1, &[denied("GET", "/")])] {
            let reason = refused(&base, operation);
            assert!(matches!(reason, Reason::NoRequests { .. }), "{protocol}: {reason:?}");
        }
    }
}

#[test]
fn uc_63_a_port_goes_then_its_endpoint_then_its_rule() {
    let base = policy(&[rule("a", &[bare("x.example", &[1, 2]), bare("y.example", &[1])], &["/a"])]);
    let one = after(&base, remove_endpoint("a", "X.Example", 1));
    assert_eq!(one, policy(&[rule("a", &[bare("x.example", &[2]), bare("y.example", &[1])], &["/a"])]));
    let two = after(&one, remove_endpoint("a", "x.example", 2));
    assert_eq!(two, policy(&[rule("a", &[bare("y.example", &[1])], &["/a"])]));
    assert_eq!(after(&two, remove_endpoint("a", "y.example", 1)), policy(&[]));
}

#[test]
fn uc_63_what_is_not_there_is_no_mistake_and_without_a_name_every_rule_is_meant() {
    let other = rule("b", &[bare("x.example", &[1, 3])], &["/a"]);
    let base = policy(&[
        rule("_provider_p", &[bare("x.example", &[1])], &["/a"]),
        rule("a", &[bare("x.example", &[1])], &["/a"]),
        other,
        rule("empty", &[], &["/a"]),
    ]);
    for operation in [("b", "x.example", 2), ("z", "x.example", 1), ("a", "y.example", 1), ("empty", "x.example", 1)] {
        assert_eq!(after(&base, remove_endpoint(operation.0, operation.1, operation.2)), base);
    }
    let left = policy(&[rule("b", &[bare("x.example", &[3])], &["/a"]), rule("empty", &[], &["/a"])]);
    assert_eq!(after(&base, remove_endpoint("", "x.example", 1)), left);
}

#[test]
fn uc_64_removing_a_rule_that_is_not_there_is_no_mistake() {
    let base = policy(&[rule("a", &[bare("x.example", &[1])], &["/a"])]);
    assert_eq!(after(&base, Operation::RemoveRule { rule_name: "b".to_owned() }), base);
    assert_eq!(after(&base, Operation::RemoveRule { rule_name: "a".to_owned() }), policy(&[]));
}

#[test]
fn uc_65_the_last_binary_takes_its_rule_with_it() {
    let endpoints = [bare("x.example", &[1])];
    let base = policy(&[rule("a", &endpoints, &["/a", "/b"])]);
    for (name, path) in [("z", "/a"), ("a", "/c")] {
        assert_eq!(after(&base, remove_binary(name, path)), base);
    }
    let one = after(&base, remove_binary("a", "/a"));
    assert_eq!(one, policy(&[rule("a", &endpoints, &["/b"])]));
    assert_eq!(after(&one, remove_binary("a", "/b")), policy(&[]));
    let any = policy(&[rule("a", &endpoints, &[])]);
    assert_eq!(refused(&any, remove_binary("a", "/b")), Reason::AnyBinary { rule: "a".to_owned() });
}

#[test]
fn config_scenario_54_a_batch_is_applied_whole_or_not_at_all() {
    let base = policy(&[rule("a", &[rest("x.example", 1, "full")], &["/a"])]);
    let operations = [
        add("b", rule("", &[rest("y.example", 1, "full")], &["/a"])),
        deny("y.example", 1, &[denied("DELETE", "/**")]),
        Operation::RemoveRule { rule_name: "a".to_owned() },
        allow("x.example", 1, &[allowed("GET", "/")]),
    ];
    let error = apply(&base, &operations).expect_err("the rule is gone by then");
    assert_eq!(error.operation, Some(3));
    let merged = apply(&base, &operations[..3]).expect("applied in order");
    assert_eq!(merged.network_policies.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(merged.network_policies["b"].endpoints[0].deny_rules, [denied("DELETE", "/**")]);
}

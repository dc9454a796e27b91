//! Each flag as the operation that it stands for, and each mistake with its sentence.

use super::*;

fn flags(change: impl FnOnce(&mut UpdateArguments)) -> UpdateArguments {
    let mut arguments = UpdateArguments::default();
    change(&mut arguments);
    arguments
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn added_endpoint(text: &str) -> Result<NetworkEndpoint, String> {
    let operations = from_flags(&flags(|flags| flags.add_endpoint = owned(&[text])))?;
    match operations.into_iter().next().and_then(|one| one.operation) {
        Some(Operation::AddRule(add)) => Ok(add.rule.expect("a rule").endpoints.remove(0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endpoint_is_written_part_by_part() {
    let plain = NetworkEndpoint { host: "a.example".to_owned(), port: 443, ..NetworkEndpoint::default() };
    assert_eq!(added_endpoint("a.example:443"), Ok(plain.clone()));
    let rest = NetworkEndpoint { access: "read-only".into(), protocol: "rest".into(), ..plain.clone() };
    assert_eq!(added_endpoint("a.example:443:read-only:rest"), Ok(rest.clone()));
    let audited = NetworkEndpoint { enforcement: "audit".into(), ..rest };
    assert_eq!(added_endpoint("a.example:443:read-only:rest:audit"), Ok(audited.clone()));
    let tcp = NetworkEndpoint { protocol: "tcp".into(), ..plain };
    assert_eq!(added_endpoint("a.example:443::tcp"), Ok(tcp));
    let options = "allow-uninspected-credentials,websocket-credential-rewrite,request-body-credential-rewrite,\
                   allowed-ip=fd00::/8,allowed-ip=10.0.0.1";
    let all = NetworkEndpoint {
        allow_uninspected_credentials: true,
        websocket_credential_rewrite: true,
        request_body_credential_rewrite: true,
        allowed_ips: owned(&["fd00::/8", "10.0.0.1"]),
        ..audited
    };
    assert_eq!(added_endpoint(&format!("a.example:443:read-only:rest:audit:{options}")), Ok(all));
}

#[test]
fn a_wrong_endpoint_is_refused_in_a_sentence() {
    for (text, word) in [
        ("a.example", "HOST:PORT"),
        (":443", "host"),
        ("a b:443", "host"),
        ("a/b:443", "host"),
        ("a:0", "port"),
        ("a:65536", "port"),
        ("a:x", "port"),
        ("a:1:some", "access"),
        ("a:1:", "access"),
        ("a:1:full:http", "protocol"),
        ("a:1:full:rest:maybe", "enforcement"),
        ("a:1:full::enforce", "protocol"),
        ("a:1:full:tcp", "tcp"),
        ("a:1::tcp:audit", "tcp"),
        ("a:1:full:sql::websocket-credential-rewrite", "rest or websocket"),
        ("a:1:full:websocket::request-body-credential-rewrite", "rest"),
        ("a:1:full:rest::x", "option 'x'"),
        ("a:1:full:rest::allowed-ip=", "option"),
        ("a:1:full:rest::allow-uninspected-credentials=yes", "option"),
    ] {
        let error = added_endpoint(text).expect_err(text);
        assert!(error.starts_with("--add-endpoint ") && error.contains(word), "{error}");
    }
}

#[test]
fn flags_that_need_or_exclude_each_other() {
    let one = || owned(&["a:1"]);
    for arguments in [
        UpdateArguments::default(),
        flags(|flags| (flags.add_endpoint, flags.dry_run, flags.wait) = (one(), true, true)),
        flags(|flags| (flags.remove_endpoint, flags.binary) = (one(), owned(&["/a"]))),
        flags(|flags| (flags.remove_endpoint, flags.rule_name) = (one(), Some("r".into()))),
        flags(|flags| (flags.add_endpoint, flags.rule_name) = (owned(&["a:1", "b:1"]), Some("r".into()))),
    ] {
        assert!(from_flags(&arguments).is_err(), "{arguments:?}");
    }
}

#[test]
fn a_rule_is_named_after_its_endpoint_unless_it_is_given_a_name() {
    let names = |arguments: &UpdateArguments| -> Vec<String> {
        let operations = from_flags(arguments).expect("well-formed").into_iter();
        let name = |one: PolicyMergeOperation| match one.operation {
            Some(Operation::AddRule(add)) => {
                let rule = add.rule.expect("a rule");
                assert_eq!((&rule.name, rule.binaries.len()), (&add.rule_name, 2));
                add.rule_name
            }
            other => panic!("{other:?}"),
        };
        operations.map(name).collect()
    };
    let with = |endpoints: &[&str], rule_name: Option<&str>| {
        flags(|flags| {
            flags.add_endpoint = owned(endpoints);
            flags.binary = owned(&["/a", "/b"]);
            flags.rule_name = rule_name.map(str::to_owned);
        })
    };
    let endpoints = ["api.my-host.example:443", "*.b.example:8443"];
    assert_eq!(names(&with(&endpoints, None)), ["allow_api_my_host_example_443", "allow__b_example_8443"]);
    assert_eq!(names(&with(&endpoints[..1], Some("mine"))), ["mine"]);
}

#[test]
fn operations_come_in_a_fixed_order_and_requests_by_endpoint() {
    let arguments = flags(|flags| {
        flags.add_deny = owned(&["a:1:delete:**"]);
        flags.add_allow = owned(&["a:1:get:/x", "b:1:*:**/y", "a:1:PUT:/p:q"]);
        flags.remove_rule = owned(&["old"]);
        flags.remove_endpoint = owned(&["c:2"]);
        flags.add_endpoint = owned(&["a:1:full:rest"]);
    });
    let operations: Vec<Operation> =
        from_flags(&arguments).expect("well-formed").into_iter().filter_map(|one| one.operation).collect();
    let allowed = |method: &str, path: &str| L7Rule {
        allow: Some(L7Allow { method: method.into(), path: path.into(), ..L7Allow::default() }),
    };
    let denied = L7DenyRule { method: "DELETE".into(), path: "**".into(), ..L7DenyRule::default() };
    assert!(matches!(operations[0], Operation::AddRule(_)));
    assert_eq!(
        operations[1..],
        [
            Operation::RemoveEndpoint(RemoveNetworkEndpoint { rule_name: String::new(), host: "c".into(), port: 2 }),
            Operation::RemoveRule(RemoveNetworkRule { rule_name: "old".into() }),
            Operation::AddAllowRules(AddAllowRules {
                host: "a".into(),
                port: 1,
                rules: vec![allowed("GET", "/x"), allowed("PUT", "/p:q")]
            }),
            Operation::AddAllowRules(AddAllowRules { host: "b".into(), port: 1, rules: vec![allowed("*", "**/y")] }),
            Operation::AddDenyRules(AddDenyRules { host: "a".into(), port: 1, deny_rules: vec![denied] }),
        ]
    );
    for text in ["a:1:GET", "a:0:GET:/", "a:1::/", "a:1:GET:x", "a:1:GET:**x", "a:1:GET:"] {
        let error = from_flags(&flags(|flags| flags.add_allow = owned(&[text]))).expect_err(text);
        assert!(error.starts_with("--add-allow "), "{error}");
    }
}

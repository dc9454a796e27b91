//! Claims about ambiguous endpoints, with the examples of providers.md Appendix B.

use super::*;
use crate::yaml::parse;

/// The fields in which two endpoints, each in flow form and in a rule of its own, conflict.
fn fields(left: &str, right: &str) -> Vec<&'static str> {
    let text =
        format!("version: 1\nnetwork_policies: {{a: {{endpoints: [{{{left}}}]}}, b: {{endpoints: [{{{right}}}]}}}}");
    let policy = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let found = conflicts(&policy);
    assert!(found.len() <= 1, "{found:?}");
    found.into_iter().flat_map(|conflict| conflict.fields).collect()
}

/// As [`fields`], for endpoints of one host and port.
fn same_host(left: &str, right: &str) -> Vec<&'static str> {
    fields(&format!("host: a.x, port: 443, {left}"), &format!("host: a.x, port: 443, {right}"))
}

const NONE: [&str; 0] = [];

#[test]
fn am_1_and_2_ports_and_hosts_must_both_meet() {
    let skip = "tls: skip";
    for (left, right, expected) in [
        ("host: a.x, port: 443", "host: A.X, port: 443", true),
        ("host: a.x, port: 443", "host: a.x, port: 80", false),
        ("host: a.x, ports: [80, 443]", "host: a.x, ports: [443, 22]", true),
        ("host: a.x, ports: [0]", "host: a.x, ports: [0]", false),
        ("host: a.x", "host: a.x", false),
        ("host: a.x, port: 443", "host: b.x, port: 443", false),
        ("port: 443", "host: b.x, port: 443", true),
        ("host: '*-aiplatform.x', port: 443", "host: us-aiplatform.x, port: 443", true),
        ("host: '*.x', port: 443", "host: a.b.x, port: 443", false),
        ("host: '**.x', port: 443", "host: a.b.x, port: 443", true),
        ("host: '**x', port: 443", "host: x, port: 443", true),
        ("host: 'a?.x', port: 443", "host: ab.x, port: 443", false),
        ("host: '*.a.*', port: 443", "host: 'b.*.c', port: 443", true),
    ] {
        assert_eq!(!fields(left, &format!("{right}, {skip}")).is_empty(), expected, "{left} {right}");
    }
}

#[test]
fn am_3_a_connection_is_handled_one_way() {
    assert_eq!(same_host("protocol: tcp", "tls: ''"), ["transparent_tcp_eligible"]);
    assert_eq!(same_host("tls: skip", "tls: terminate"), ["tls"]);
    assert_eq!(same_host("tls: auto", "protocol: ''"), NONE);
    assert_eq!(same_host("allowed_ips: [10.0.0.1]", "tls: ''"), ["allowed_ips"]);
    assert_eq!(same_host("allowed_ips: [10.0.0.1, FE80::1]", "allowed_ips: [' fe80::1', 10.0.0.1]"), NONE);
}

#[test]
fn am_3_advised_and_authored_endpoints_conflict() {
    let mut policy =
        parse("version: 1\nnetwork_policies: {r: {endpoints: [{host: a.x, port: 1}, {host: a.x, port: 1}]}}").unwrap();
    policy.network_policies.get_mut("r").unwrap().endpoints[1].advisor_proposed = true;
    assert_eq!(conflicts(&policy)[0].fields, ["advisor_proposed"]);
}

#[test]
fn am_4_plain_and_inspected_endpoints_stand_side_by_side() {
    assert_eq!(same_host("path: ''", "protocol: rest, access: full, enforcement: enforce"), NONE);
}

#[test]
fn am_4_and_5_paths_must_meet_with_equal_specificity() {
    let rest = |path: &str| format!("protocol: rest, access: full, path: '{path}'");
    let graphql = |path: &str| format!("protocol: graphql, access: full, path: '{path}'");
    for (left, right, expected) in [
        ("", "/graphql", false),
        ("/v?", "/v1", true),
        ("/v[12]", "/v[23]", true),
        ("/v[12]", "/v[34]", false),
        ("/**", "/", true),
        ("**", "", true),
        ("/a/*", "/a/**", true),
        ("/ab", "/cd", false),
    ] {
        let expected = if expected { vec!["protocol"] } else { Vec::new() };
        assert_eq!(same_host(&rest(left), &graphql(right)), expected, "{left} {right}");
    }
}

#[test]
fn am_6_requests_are_handled_one_way() {
    let rest = "protocol: rest, access: full";
    for (more, field) in [
        ("enforcement: enforce", "enforcement"),
        ("allow_encoded_slash: true", "allow_encoded_slash"),
        ("websocket_credential_rewrite: true", "websocket_credential_rewrite"),
        ("request_body_credential_rewrite: true", "request_body_credential_rewrite"),
        ("credential_signing: sigv4", "credential_signing"),
        ("signing_service: s3", "signing_service"),
        ("signing_region: x", "signing_region"),
        ("credential_binding: {provider: p}", "credential_binding.provider"),
    ] {
        assert_eq!(same_host(rest, &format!("{rest}, {more}")), [field]);
    }
    assert_eq!(same_host(&format!("{rest}, enforcement: audit"), rest), NONE);
    assert_eq!(same_host("protocol: REST", rest), NONE);
    assert_eq!(same_host("protocol: rest, access: full", "protocol: rest, allow_uninspected_credentials: true"), NONE);
}

#[test]
fn am_6_some_fields_count_only_between_equal_protocols() {
    let both = |protocol: &str, more: &str| {
        same_host(&format!("protocol: {protocol}"), &format!("protocol: {protocol}, {more}"))
    };
    assert_eq!(both("graphql", "graphql_max_body_bytes: 65536"), NONE);
    assert_eq!(both("graphql", "graphql_max_body_bytes: 1"), ["graphql_max_body_bytes"]);
    assert_eq!(both("rest", "graphql_max_body_bytes: 1"), NONE);
    assert_eq!(both("json-rpc", "json_rpc: {max_body_bytes: 1}"), ["json_rpc_max_body_bytes"]);
    assert_eq!(both("mcp", "mcp: {max_body_bytes: 1}"), ["json_rpc_max_body_bytes"]);
    assert_eq!(both("mcp", "mcp: {strict_tool_names: false}"), ["mcp.strict_tool_names"]);
    assert_eq!(both("mcp", "mcp: {strict_tool_names: true, max_body_bytes: 65536}"), NONE);
    assert_eq!(both("mcp", "mcp: {allow_all_known_mcp_methods: true}"), NONE);
    for more in [
        "graphql_persisted_queries: {a: {operation_type: query}}",
        "persisted_queries: allow_registered",
        "rules: [{allow: {operation_name: x}}]",
        "deny_rules: [{fields: [x]}]",
    ] {
        assert_eq!(both("websocket", more), ["websocket_graphql_policy"], "{more}");
    }
    assert_eq!(both("websocket", "persisted_queries: deny, rules: [{allow: {method: x}}]"), NONE);
    assert_eq!(both("rest", "persisted_queries: allow_registered"), NONE);
}

#[test]
fn am_4_an_endpoint_takes_part_in_requests_by_any_of_four_fields() {
    let rest = "protocol: rest, access: full, enforcement: enforce";
    for (takes_part, fields) in [
        ("tls: ''", &[][..]),
        ("allowed_ips: [10.0.0.1]", &["allowed_ips", "protocol", "enforcement"]),
        ("tls: terminate", &["protocol", "enforcement"]),
        ("credential_binding: {provider: p}", &["protocol", "enforcement", "credential_binding.provider"]),
        ("protocol: rest", &["enforcement"]),
        ("protocol: tcp", &["transparent_tcp_eligible"]),
    ] {
        assert_eq!(same_host(takes_part, rest), fields, "{takes_part}");
    }
}

#[test]
fn am_7_what_adds_up_is_no_conflict() {
    let rest = "protocol: rest";
    for (left, right) in [
        ("access: full", "access: read-only"),
        ("access: full", "rules: [{allow: {method: GET}}]"),
        ("rules: [{allow: {method: GET}}]", "rules: [{allow: {method: POST, path: /x}}]"),
        ("access: full, deny_rules: [{method: GET}]", "access: full"),
        ("access: full, allow_uninspected_credentials: true", "access: full"),
    ] {
        assert_eq!(same_host(&format!("{rest}, {left}"), &format!("{rest}, {right}")), NONE, "{left} {right}");
    }
    let mut policy = parse(
        "version: 1\nnetwork_policies: {a: {endpoints: [{host: a.x, port: 1}], binaries: [{path: /a}]}, \
         b: {endpoints: [{host: a.x, port: 1}]}}",
    )
    .unwrap();
    policy.network_policies.get_mut("a").unwrap().endpoints[0].provider_credentialed = true;
    assert_eq!(conflicts(&policy), []);
}

#[test]
fn a_conflict_tells_who_where_and_what() {
    let text = "version: 1
network_policies:
  a: {endpoints: [{host: a.x, port: 22}, {ports: [443, 80], tls: skip, path: /v1}]}
  b: {name: shown, endpoints: [{host: a.x, ports: [80, 443]}]}";
    let found = conflicts(&parse(text).unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "network policy 'a' endpoint 1 (<any-host>:80,443/v1) and network policy 'b' endpoint 0 (a.x:80,443) overlap on \
         port 80,443 but differ in tls"
    );
    assert_eq!(found[0].right.rule, "shown");
    assert!(refusal(&found).contains("ambiguity validation failed"));
}

#[test]
fn am_1_endpoints_of_one_rule_are_compared_too() {
    let text =
        "version: 1\nnetwork_policies: {r: {endpoints: [{host: a.x, port: 1}, {host: a.x, port: 1, tls: skip}]}}";
    assert_eq!(conflicts(&parse(text).unwrap()).len(), 1);
}

#[test]
fn hostile_patterns_end_in_a_verdict() {
    let stars = |letter: &str| format!("{letter}*").repeat(20_000);
    let endpoint =
        |host: String, tls: &str| NetworkEndpoint { host, port: 1, tls: tls.to_owned(), ..Default::default() };
    let endpoints = (0..4).flat_map(|_| [endpoint(stars("a"), "skip"), endpoint(stars("a") + "b", "")]).collect();
    let rule = NetworkPolicyRule { endpoints, ..Default::default() };
    let policy = SandboxPolicy { network_policies: [("r".to_owned(), rule)].into(), ..Default::default() };
    let found = conflicts(&policy);
    assert!(found.last().is_some_and(|last| last.fields.is_empty()), "{}", found.len());
    let text = refusal(&found);
    assert!(text.contains("were not compared") && text.len() < 100_000, "{} bytes", text.len());
}

#[test]
fn the_list_of_conflicts_is_bounded() {
    let endpoint = |at: u32| NetworkEndpoint {
        host: "a.x".to_owned(),
        port: 1,
        allowed_ips: vec![at.to_string()],
        ..Default::default()
    };
    let rule = NetworkPolicyRule { endpoints: (0..100).map(endpoint).collect(), ..Default::default() };
    let policy = SandboxPolicy { network_policies: [("r".to_owned(), rule)].into(), ..Default::default() };
    assert_eq!(conflicts(&policy).len(), CONFLICTS_MAX);
}

#[test]
fn a_policy_of_many_agreeing_endpoints_is_quick_to_judge() {
    let endpoint = |at: u32| NetworkEndpoint { host: format!("*.h{at}.x"), port: 443, ..Default::default() };
    let rule = NetworkPolicyRule { endpoints: (0..10_000).map(endpoint).collect(), ..Default::default() };
    let policy = SandboxPolicy { network_policies: [("r".to_owned(), rule)].into(), ..Default::default() };
    assert_eq!(conflicts(&policy), []);
}

/// The largest policy that may be stored.
const POLICY_BYTES_MAX: usize = 262_144;

/// As many endpoints as such a policy holds, all in one rule.
fn largest(endpoint: impl Fn(usize) -> NetworkEndpoint) -> SandboxPolicy {
    use prost::Message;
    let (mut endpoints, mut bytes) = (Vec::new(), 0);
    while bytes < POLICY_BYTES_MAX - 64 {
        let one = endpoint(endpoints.len());
        bytes += one.encoded_len() + prost::length_delimiter_len(one.encoded_len()) + 1;
        endpoints.push(one);
    }
    if bytes > POLICY_BYTES_MAX - 64 {
        endpoints.pop();
    }
    let rule = NetworkPolicyRule { endpoints, ..Default::default() };
    SandboxPolicy { network_policies: [("r".to_owned(), rule)].into(), ..Default::default() }
}

fn handled(at: usize, host: String) -> NetworkEndpoint {
    let tls = if at.is_multiple_of(2) { "skip" } else { "" };
    NetworkEndpoint { host, port: 443, tls: tls.to_owned(), ..Default::default() }
}

#[test]
fn many_hosts_that_are_handled_differently_are_compared_with_their_own_only() {
    let policy = largest(|at| handled(at, format!("h{at}.x")));
    assert!(policy.network_policies["r"].endpoints.len() > 10_000);
    assert_eq!(conflicts(&policy), []);
    let mut policy = policy;
    let endpoints = &mut policy.network_policies.get_mut("r").expect("the rule").endpoints;
    endpoints[9_000].host = "*.x".to_owned();
    endpoints.truncate(9_500);
    assert_eq!(conflicts(&policy).len(), CONFLICTS_MAX, "a pattern is compared with all");
}

#[test]
fn the_largest_policies_end_in_a_verdict_whatever_they_are_made_of() {
    let path = |at: usize, path: String| NetworkEndpoint {
        path,
        protocol: "rest".to_owned(),
        enforcement: if at.is_multiple_of(2) { "enforce" } else { "audit" }.to_owned(),
        ..handled(0, "a.x".to_owned())
    };
    let class = |from: u32| -> String {
        let letters: String = (0..40).filter_map(|at| char::from_u32(from + 2 * at)).collect();
        format!("[{letters}]").repeat(20)
    };
    for (what, policy) in [
        ("many patterns", largest(|at| handled(at, format!("*.h{at}.x")))),
        ("patterns that end alike", largest(|at| handled(at, format!("h{at}.*")))),
        ("no hosts", largest(|at| NetworkEndpoint { port: at as u32 + 1, ..handled(at, String::new()) })),
        ("stars", largest(|at| handled(at, format!("{at}{}", "a*".repeat(500))))),
        ("long stars", largest(|at| handled(at, format!("{at}{}", "a*".repeat(20_000))))),
        ("paths", largest(|at| path(at, format!("/{}{:05}", "a*".repeat(100), at)))),
        ("long paths", largest(|at| path(at, format!("/{}/{:05}*", "a".repeat(2000), at)))),
        ("classes", largest(|at| path(at, format!("{}{:05}", class(0x4E00 + (at as u32 % 2)), at)))),
        (
            "ports",
            largest(|at| NetworkEndpoint {
                ports: (0..200).map(|port| 2 * port + 1 + at as u32 % 2).collect(),
                ..handled(at / 2, String::new())
            }),
        ),
    ] {
        // Without a bound the first of these takes minutes.
        let text = refusal(&conflicts(&policy));
        assert!(text.len() < 100_000, "{what}: {} bytes", text.len());
    }
}

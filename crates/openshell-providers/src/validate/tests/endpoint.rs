//! V-EP: the shape of an endpoint, what its protocol needs and forbids, and secrets that would
//! travel uninspected.

use super::{accepted, endpoint, fields, lint, mcp, rejected};
use crate::file;

const E: &str = "endpoints[0]";
const GET: &str = "rules: [{allow: {method: GET}}]";
const DENY: &str = "deny_rules: [{method: DELETE}]";
const INSPECTED: [&str; 4] = ["rest", "websocket", "graphql", "sql"];

/// Asserts that one of the problems has these words, and that all are about the endpoint.
fn among(body: &str, words: &str, count: usize) {
    let found = lint(&endpoint(body));
    assert_eq!(fields(&endpoint(body)), vec![E; count], "{found:?}");
    assert_eq!(found.iter().filter(|one| one.message.contains(words)).count(), 1, "{body}: {found:?}");
}

#[test]
fn v_ep_1_an_endpoint_has_a_host_and_ports() {
    for body in
        ["host: '', port: 443", "host: ' ', port: 443", "host: a", "host: a, port: 65536", "host: a, ports: [443, 0]"]
    {
        rejected(&format!("endpoints: [{{{body}}}]"), E, "invalid endpoint");
    }
    rejected("endpoints: [{host: a, ports: [1, 65536]}]", E, "'a:65536'");
    for body in
        ["host: a, port: 1", "host: a, port: 65535", "host: a, port: 70000, ports: [443]", "host: '**', port: 1"]
    {
        accepted(&format!("endpoints: [{{{body}}}]"));
    }
}

/// The problem that the file form has before it becomes a message.
fn of_file(body: &str) -> Option<(String, String)> {
    let text = format!("id: acme\ndisplay_name: Acme\n{}", endpoint(body));
    let problem = file::lower(file::parse_yaml(&text).expect("it parses")).err()?;
    Some((problem.field, problem.message))
}

#[test]
fn v_ep_2_and_3_lists_of_rules_in_a_file_are_not_empty() {
    for list in ["rules", "deny_rules"] {
        let (field, message) = of_file(&format!("protocol: rest, access: full, {list}: []")).expect("refused");
        assert_eq!(field, E);
        assert!(message.starts_with(&format!("{list} list cannot be empty")), "{message}");
        assert_eq!(of_file(&format!("protocol: rest, access: full, {list}: ")), None);
    }
    assert_eq!(of_file(&format!("protocol: rest, {GET}, {DENY}")), None);
}

#[test]
fn v_ep_4_a_protocol_is_known() {
    for protocol in ["ftp", "' rest'", "http", "grpc"] {
        rejected(&endpoint(&format!("protocol: {protocol}")), E, "unknown protocol");
    }
    for protocol in ["''", "tcp", "TCP"] {
        accepted(&endpoint(&format!("protocol: {protocol}")));
    }
    for protocol in INSPECTED.into_iter().chain(["Rest", "GraphQL"]) {
        accepted(&endpoint(&format!("protocol: {protocol}, access: full")));
    }
    for protocol in ["json-rpc", "mcp"] {
        accepted(&endpoint(&format!("protocol: {protocol}, rules: [{{allow: {{method: ping}}}}]")));
    }
}

#[test]
fn v_ep_5_tcp_takes_no_policy() {
    for policy in ["access: full", GET] {
        rejected(&endpoint(&format!("protocol: tcp, {policy}")), E, "protocol tcp takes no");
    }
    among(&format!("protocol: tcp, {DENY}"), "protocol tcp takes no", 3);
    accepted(&endpoint("protocol: tcp, tls: skip, allowed_ips: [10.0.0.0/8], allow_uninspected_credentials: true"));
}

#[test]
fn v_ep_6_rules_and_access_exclude_each_other() {
    rejected(&endpoint(&format!("protocol: rest, access: read-only, {GET}")), E, "mutually exclusive");
    rejected(&endpoint(&format!("access: read-only, {GET}")), E, "mutually exclusive");
    accepted(&endpoint(&format!("protocol: rest, {GET}")));
    accepted(&endpoint("protocol: rest, access: read-only"));
}

#[test]
fn v_ep_7_mcp_has_no_presets() {
    rejected(&mcp("access: full"), E, "protocol mcp has no access presets");
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}"));
}

#[test]
fn v_ep_8_json_rpc_has_no_presets() {
    rejected(&endpoint("protocol: json-rpc, access: full"), E, "protocol json-rpc has no access presets");
    accepted(&endpoint(&format!("protocol: json-rpc, {GET}")));
}

#[test]
fn v_ep_9_json_rpc_has_rules() {
    rejected(&endpoint("protocol: json-rpc"), E, "protocol json-rpc needs rules");
    accepted(&endpoint(&format!("protocol: json-rpc, {GET}")));
}

#[test]
fn v_ep_10_an_inspected_protocol_has_rules_or_access() {
    for protocol in INSPECTED {
        rejected(&endpoint(&format!("protocol: {protocol}")), E, "protocol requires rules or access");
        accepted(&endpoint(&format!("protocol: {protocol}, access: anything")));
        accepted(&endpoint(&format!("protocol: {protocol}, {GET}")));
    }
}

#[test]
fn v_ep_11_mcp_has_rules_unless_it_allows_all() {
    for options in ["", "mcp: {}", "mcp: {allow_all_known_mcp_methods: false}"] {
        rejected(&mcp(options), E, "protocol mcp needs rules unless");
    }
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}"));
    accepted(&mcp("rules: [{allow: {method: ping}}]"));
}

#[test]
fn v_ep_12_some_rule_allows_something() {
    for rules in ["{}", "{allow: {}}", "{}, {allow: {fields: [a]}}", "{allow: {query: {a: b}}}"] {
        rejected(&endpoint(&format!("protocol: rest, rules: [{rules}]")), E, "would deny all traffic");
    }
    for selector in ["method: GET", "path: /a", "command: ls", "operation_type: query", "operation_name: Get"] {
        accepted(&endpoint(&format!("protocol: rest, rules: [{{}}, {{allow: {{{selector}}}}}]")));
    }
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {params: {name: {glob: a}}}}]"));
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {}}]"));
}

#[test]
fn v_ep_13_deny_rules_need_an_inspected_protocol() {
    rejected(&endpoint(&format!("access: full, {DENY}")), E, "deny_rules require protocol");
    among(&format!("protocol: tcp, access: full, {DENY}"), "deny_rules require protocol", 2);
    among(&format!("protocol: ftp, access: full, {DENY}"), "deny_rules require protocol", 2);
    accepted(&endpoint(&format!("protocol: rest, access: full, {DENY}")));
}

#[test]
fn v_ep_14_deny_rules_need_something_allowed() {
    among(&format!("protocol: rest, {DENY}"), "something allowed to deny from", 2);
    among(DENY, "something allowed to deny from", 2);
    accepted(&endpoint(&format!("protocol: rest, {GET}, {DENY}")));
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}, deny_rules: [{method: ping}]"));
}

#[test]
fn v_ep_15_tcp_has_no_other_field_of_inspection() {
    for (field, value) in [
        ("enforcement", "audit"),
        ("path", "/a"),
        ("allow_encoded_slash", "true"),
        ("websocket_credential_rewrite", "true"),
        ("request_body_credential_rewrite", "true"),
        ("persisted_queries", "deny"),
        ("graphql_persisted_queries", "{a: {}}"),
        ("graphql_max_body_bytes", "1"),
        ("json_rpc_max_body_bytes", "1"),
        ("credential_signing", "sigv4"),
        ("signing_service", "s3"),
        ("signing_region", "eu"),
    ] {
        let body = format!("protocol: tcp, allow_uninspected_credentials: true, {field}: {value}");
        rejected(&endpoint(&body), E, &format!("L7-only fields: {field};"));
    }
    among("protocol: tcp, mcp: {}", "L7-only fields: mcp;", 2);
    accepted(&endpoint("protocol: tcp, path: '', allow_encoded_slash: false, graphql_max_body_bytes: 0"));
}

#[test]
fn v_ep_30_credentials_do_not_travel_uninspected_unasked() {
    let with = |credential: &str, body: &str| format!("credentials: [{credential}]\n{}", endpoint(body));
    let (key, field) = ("{name: key}", "endpoints[0].allow_uninspected_credentials");
    rejected(&with(key, ""), field, "L4-only");
    rejected(&with(key, "protocol: ''"), field, "L4-only");
    rejected(&with(key, "protocol: rest, access: full, tls: ' SKIP '"), field, "tls: skip");
    rejected(&with(key, "protocol: tcp, tls: skip"), field, "tls: skip");
    rejected(&with("", "credential_signing: sigv4"), field, "L4-only");
    for (credential, body) in [
        (key, "allow_uninspected_credentials: true"),
        (key, "protocol: rest, access: full, tls: terminate"),
        (key, "protocol: tcp"),
        ("", "tls: skip"),
        ("", "credential_signing: ' '"),
    ] {
        accepted(&with(credential, body));
    }
    // One endpoint that signs makes the others of the profile carry credentials.
    let signing = "{host: b, port: 443, protocol: rest, access: full, credential_signing: sigv4}";
    rejected(
        &format!("endpoints: [{signing}, {{host: a, port: 443}}]"),
        "endpoints[1].allow_uninspected_credentials",
        "L4",
    );
}

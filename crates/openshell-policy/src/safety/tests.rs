//! Claims about unsafe policies. Policies are written as files, which is how people write them.

use super::*;
use crate::yaml::parse;

fn policy(text: &str) -> SandboxPolicy {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Violations of a policy with one endpoint, given in flow form.
fn endpoint(text: &str) -> Vec<String> {
    violations(&policy(&format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{{text}}}]}}}}")))
}

#[track_caller]
fn check_refused(found: &[String], words: &[&str]) {
    assert_eq!(found.len(), words.len(), "{found:#?}");
    for (sentence, word) in found.iter().zip(words) {
        assert!(sentence.contains(word), "{sentence}\nlacks {word}");
    }
}

const REST: &str = "host: a.example.com, port: 443, protocol: rest, access: full";

#[test]
fn a_plain_policy_is_safe() {
    for text in [
        "host: db.example.com, port: 5432, protocol: tcp",
        "host: '*.db.example.com', port: 5432, protocol: TCP",
        "host: example.com, port: 22",
        "allowed_ips: [10.0.0.0/8], port: 22",
        REST,
        "host: a.x, ports: [1, 65535], protocol: REST, rules: [{allow: {method: GET}}]",
        "host: a.x, port: 1, protocol: mcp, mcp: {allow_all_known_mcp_methods: true}",
        "host: a.x, port: 1, protocol: mcp, mcp: {allow_all_known_mcp_methods: true}, deny_rules: [{tool: x}]",
        "host: a.x, port: 1, protocol: json-rpc, rules: [{allow: {method: a}}]",
    ] {
        assert_eq!(endpoint(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn pm_11_any_version_is_accepted() {
    for version in [0, 1, 2, u32::MAX] {
        assert_eq!(violations(&policy(&format!("version: {version}"))), Vec::<String>::new());
    }
}

#[test]
fn pm_14_words_that_only_the_supervisor_reads_are_its_to_judge() {
    check_refused(
        &endpoint("host: a.x, port: 1, protocol: rest, access: some, tls: whatever, enforcement: maybe"),
        &[],
    );
    check_refused(&violations(&policy("version: 1\nlandlock: {compatibility: perhaps}")), &[]);
}

#[test]
fn pm_17_a_rule_may_name_no_binary_and_so_any() {
    let found = policy("version: 1\nnetwork_policies: {r: {endpoints: [{host: a.x, port: 1}], binaries: []}}");
    assert_eq!(violations(&found), Vec::<String>::new());
    assert!(found.network_policies["r"].binaries.is_empty(), "and none is filled in");
}

#[test]
fn pm_18_a_process_runs_as_sandbox_or_as_a_number() {
    let run_as = |user: &str| violations(&policy(&format!("version: 1\nprocess: {{run_as_user: '{user}'}}")));
    for user in ["", "sandbox", "1", "1000", "4294967294"] {
        check_refused(&run_as(user), &[]);
    }
    for user in ["root", "0", "4294967295", "+1", "-1", " 1", "Sandbox", "99999999999"] {
        check_refused(&run_as(user), &["process.run_as_user"]);
    }
}

#[test]
fn pm_19_paths_are_few_short_absolute_and_straight() {
    let paths =
        |paths: &[String]| violations(&policy(&format!("version: 1\nfilesystem_policy: {{read_only: {paths:?}}}")));
    check_refused(&paths(&["/a..b".to_owned(), "/".to_owned()]), &[]);
    check_refused(&paths(&["usr".to_owned(), "/a/../b".to_owned()]), &["[0]: path 'usr' is not absolute", "'..'"]);
    check_refused(&paths(&["x".repeat(4097)]), &["4097 bytes"]);
    check_refused(&paths(&vec!["/x".to_owned(); 257]), &["257 paths"]);
    check_refused(&paths(&vec!["/x".to_owned(); 256]), &[]);
}

#[test]
fn pm_20_the_root_is_too_broad_to_write() {
    let found = violations(&policy("version: 1\nfilesystem_policy: {read_write: [/, ///, /tmp/]}"));
    check_refused(&found, &["read_write[0]: path '/' is too broad", "read_write[1]"]);
}

#[test]
fn pm_21_an_endpoint_has_a_host_or_addresses() {
    check_refused(&endpoint("port: 1"), &["host: is empty"]);
    check_refused(&endpoint("port: 1, protocol: tcp, allowed_ips: [10.0.0.1]"), &["host: is empty"]);
    check_refused(&endpoint("host: ' ', port: 1, allowed_ips: [10.0.0.1]"), &[]);
}

#[test]
fn pm_22_a_tcp_host_is_a_name_that_resolves() {
    for host in ["10.0.0.1", "::1", "[::1]", " a.x", "a.x.", "a..x", "a_b.x", "-a.x", "a[.x", "a-*.x y"] {
        check_refused(&endpoint(&format!("host: '{host}', port: 1, protocol: tcp")), &["host"]);
    }
    for host in ["localhost", "a-*.x.com", "**.x.com", "A.Example.COM"] {
        check_refused(&endpoint(&format!("host: '{host}', port: 1, protocol: tcp")), &[]);
    }
}

#[test]
fn pm_23_an_endpoint_has_ports_in_range() {
    check_refused(&endpoint("host: a.x"), &["port: is missing"]);
    check_refused(&endpoint("host: a.x, ports: [0, 1]"), &["0 is outside"]);
    let mut far = policy("version: 1\nnetwork_policies: {r: {endpoints: [{host: a.x, port: 1}]}}");
    far.network_policies.get_mut("r").unwrap().endpoints[0].ports = vec![70_000];
    check_refused(&violations(&far), &["70000 is outside"]);
}

#[test]
fn pm_24_a_wildcard_is_below_a_second_level_domain() {
    for host in ["*.com", "**.com"] {
        check_refused(&endpoint(&format!("host: '{host}', port: 1")), &["TLD wildcard"]);
    }
    check_refused(&endpoint("host: '*.a.com', port: 1"), &[]);
}

#[test]
fn pm_25_wildcards_have_a_shape() {
    for host in ["*", "**", "a.b*.c.com", "a.**.com", "x**.a.com", "***.a.com", "a.*-b.com"] {
        check_refused(&endpoint(&format!("host: '{host}', port: 1")), &["host: '"]);
    }
    for host in ["a*.x.com", "*-b.x.com", "a.*.com", "**.x.com"] {
        check_refused(&endpoint(&format!("host: '{host}', port: 1")), &[]);
    }
}

#[test]
fn pm_26_signing_is_known_complete_and_alone() {
    let signed = |more: &str| endpoint(&format!("{REST}, {more}"));
    check_refused(&signed("credential_signing: sigv4, signing_service: s3"), &[]);
    check_refused(&signed("credential_signing: sigv4"), &["signing_service: is empty"]);
    check_refused(&signed("credential_signing: SigV4, signing_service: s3"), &["'SigV4' is unknown"]);
    check_refused(
        &signed("credential_signing: 'sigv4:body', signing_service: s3, request_body_credential_rewrite: true"),
        &["request_body_credential_rewrite"],
    );
}

#[test]
fn pm_27_protocols_are_known() {
    check_refused(&endpoint("host: a.x, port: 1, protocol: http"), &["'http' is unknown"]);
}

#[test]
fn pm_28_tcp_has_nothing_to_inspect() {
    for field in [
        "access: full",
        "enforcement: enforce",
        "path: /x",
        "allow_encoded_slash: true",
        "websocket_credential_rewrite: true",
        "request_body_credential_rewrite: true",
        "persisted_queries: deny",
        "graphql_persisted_queries: {a: {operation_type: query}}",
        "graphql_max_body_bytes: 1",
        "json_rpc: {max_body_bytes: 1}",
        "rules: [{allow: {method: GET}}]",
    ] {
        check_refused(&endpoint(&format!("host: a.x.com, port: 1, protocol: Tcp, {field}")), &["with protocol tcp"]);
    }
    check_refused(
        &endpoint("host: a.x.com, port: 1, protocol: tcp, mcp: {strict_tool_names: true}"),
        &["with protocol tcp", "needs protocol mcp"],
    );
    check_refused(
        &endpoint("host: a.x.com, port: 1, protocol: tcp, deny_rules: [{method: GET}]"),
        &["with protocol tcp", "need a protocol"],
    );
}

#[test]
fn pm_29_rules_and_access_exclude_each_other() {
    check_refused(&endpoint(&format!("{REST}, rules: [{{allow: {{method: GET}}}}]")), &["together with rules"]);
    check_refused(
        &endpoint("host: a.x, port: 1, protocol: json-rpc, access: full"),
        &["with protocol json-rpc", "rules: are missing"],
    );
    check_refused(
        &endpoint("host: a.x, port: 1, protocol: mcp, access: full, mcp: {allow_all_known_mcp_methods: true}"),
        &["with protocol mcp"],
    );
}

#[test]
fn pm_30_an_inspected_endpoint_allows_something() {
    for protocol in ["rest", "WebSocket", "graphql", "sql", "json-rpc", "mcp"] {
        check_refused(&endpoint(&format!("host: a.x, port: 1, protocol: {protocol}")), &["rules: are missing"]);
    }
}

#[test]
fn pm_31_rules_say_something() {
    let rest = "host: a.x, port: 1, protocol: rest";
    check_refused(&endpoint(&format!("{rest}, rules: [{{allow: {{query: {{a: b}}}}}}]")), &["allow nothing"]);
    check_refused(&endpoint(&format!("{rest}, rules: [{{allow: {{}}}}, {{allow: {{path: /}}}}]")), &[]);
    let mcp = "host: a.x, port: 1, protocol: mcp, rules: [{allow: {method: ''}}]";
    check_refused(&endpoint(mcp), &["allow nothing"]);
    check_refused(&endpoint(&format!("{mcp}, mcp: {{allow_all_known_mcp_methods: true}}")), &[]);
}

#[test]
fn pm_32_denials_take_away_from_something() {
    check_refused(&endpoint("host: a.x, port: 1, deny_rules: [{method: GET}]"), &["need a protocol"]);
    check_refused(
        &endpoint("host: a.x, port: 1, protocol: rest, deny_rules: [{method: GET}]"),
        &["rules: are missing", "need rules or access"],
    );
    check_refused(&endpoint(&format!("{REST}, deny_rules: [{{method: GET}}]")), &[]);
}

#[test]
fn pm_33_values_are_known() {
    check_refused(&endpoint(&format!("{REST}, path: x")), &["path: 'x'"]);
    check_refused(&endpoint(&format!("{REST}, path: '**'")), &[]);
    check_refused(&endpoint(&format!("{REST}, persisted_queries: allow")), &["'allow' is unknown"]);
    let sql = "host: a.x, port: 1, access: full, enforcement: enforce, protocol";
    check_refused(&endpoint(&format!("{sql}: sql")), &["not supported for protocol sql"]);
    check_refused(&endpoint(&format!("{sql}: SQL")), &[]);
    check_refused(
        &endpoint("host: a.x, port: 1, protocol: MCP, rules: [{allow: {method: x}}], mcp: {strict_tool_names: true}"),
        &["needs protocol mcp"],
    );
}

#[test]
fn pm_34_graphql_operations_have_a_type() {
    let at = |protocol: &str| {
        endpoint(&format!(
            "host: a.x, port: 1, protocol: {protocol}, rules: [{{allow: {{operation_type: '*'}}}}], deny_rules: \
             [{{fields: [a]}}], graphql_persisted_queries: {{k: {{operation_type: Query}}}}"
        ))
    };
    check_refused(&at("graphql"), &["rules[0].allow.operation_type", "deny_rules[0]", "graphql_persisted_queries.k"]);
    check_refused(&at("GraphQL"), &[]);
}

#[test]
fn pm_35_middlewares_have_a_shape() {
    let entry = |text: &str| violations(&policy(&format!("version: 1\nnetwork_middlewares: {{m: {{{text}}}}}")));
    check_refused(&entry("middleware: x, endpoints: {include: ['**']}"), &[]);
    check_refused(&entry("middleware: x"), &["endpoints: is missing"]);
    check_refused(&entry("middleware: x, endpoints: {exclude: [a.x]}"), &["include: is empty"]);
    check_refused(&entry("middleware: '', endpoints: {include: [a.x]}"), &["middleware: is empty"]);
    let many = |count: usize| format!("middleware: x, endpoints: {{include: {:?}}}", vec!["a.x"; count]);
    check_refused(&entry(&many(32)), &[]);
    check_refused(&entry(&many(33)), &["33 patterns"]);
    let entries = |orders: &mut dyn Iterator<Item = usize>| {
        let all: String = orders
            .enumerate()
            .map(|(at, order)| format!("  m{at}: {{middleware: x, order: {order}, endpoints: {{include: [a.x]}}}}\n"))
            .collect();
        violations(&policy(&format!("version: 1\nnetwork_middlewares:\n{all}")))
    };
    check_refused(&entries(&mut (0..10)), &[]);
    check_refused(&entries(&mut (0..11)), &["11 entries"]);
    check_refused(&entries(&mut [4, 4].into_iter()), &["m1.order: 4 is already the order of 'm0'"]);
    check_refused(
        &violations(&policy("version: 1\nnetwork_middlewares: {'': {middleware: x, endpoints: {include: [a.x]}}}")),
        &["a key is empty"],
    );
}

#[test]
fn config_scenario_43_middleware_mistakes_come_together() {
    let found = violations(&policy(
        "version: 1\nnetwork_middlewares: {m: {middleware: x, on_error: maybe, endpoints: {include: ['api[.example.com']}}}",
    ));
    check_refused(&found, &["'maybe' is unknown", "api[.example.com"]);
    let skipped = |on_error: &str, exclude: &str| {
        violations(&policy(&format!(
            "version: 1\nnetwork_policies: {{r: {{endpoints: [{{host: a.x.com, port: 1, tls: skip}}]}}}}\n\
             network_middlewares: {{m: {{middleware: x, on_error: '{on_error}', endpoints: {{include: ['*.x.com'], \
             exclude: [{exclude}]}}}}}}"
        )))
    };
    check_refused(&skipped("", ""), &["tls: skip"]);
    check_refused(&skipped("fail_closed", "b.x.com"), &["tls: skip"]);
    check_refused(&skipped("fail_open", ""), &[]);
    check_refused(&skipped("", "a.x.com"), &[]);
}

#[test]
fn pm_37_middlewares_are_registered_and_take_their_configuration() {
    let entry = |text: &str| {
        let text = format!("version: 1\nnetwork_middlewares: {{m: {{{text}, endpoints: {{include: [a.x]}}}}}}");
        middleware_violations(&policy(&text), &["acme/scan"])
    };
    check_refused(&entry("middleware: openshell/regex"), &[]);
    check_refused(&entry("middleware: openshell/regex, config: {mode: redact, patterns: [a]}"), &[]);
    check_refused(&entry("middleware: openshell/regex, config: {mode: block}"), &["'block' is unknown"]);
    check_refused(&entry("middleware: openshell/regex, config: {mode: 1}"), &["the word redact"]);
    check_refused(&entry("middleware: acme/scan, config: {mode: block}"), &[]);
    check_refused(&entry("middleware: other"), &["'other' is not registered"]);
}

#[test]
fn config_scenario_39_all_mistakes_of_a_policy_come_in_one_answer() {
    let found = violations(&policy(
        "version: 1\nprocess: {run_as_user: root}\nfilesystem_policy: {read_write: [/]}\nnetwork_policies:\n  \
         r: {endpoints: [{host: '*.com', ports: [0]}, {host: '*', port: 1}]}",
    ));
    check_refused(&found, &["root", "too broad", "TLD wildcard", "0 is outside", "'*' matches every host"]);
    let text = refusal(&found);
    assert!(text.contains("unsafe content") && text.contains("; network_policies.r.endpoints[1].host"), "{text}");
    assert!(middleware_refusal(&[]).contains("policy middleware validation failed"));
}

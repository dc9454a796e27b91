//! Claims about the file form. What the written form looks like is in the golden files.

use openshell_proto::sandbox::{L7Allow, L7QueryMatcher, McpOptions, NetworkEndpoint};
use prost_types::value::Kind;

use super::*;

fn read(text: &str) -> SandboxPolicy {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn endpoint(text: &str) -> NetworkEndpoint {
    let policy = read(&format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{{text}}}]}}}}"));
    policy.network_policies["r"].endpoints[0].clone()
}

fn allow(protocol: &str, text: &str) -> L7Allow {
    endpoint(&format!("{protocol}, rules: [{{allow: {{{text}}}}}]")).rules[0].allow.clone().unwrap()
}

#[track_caller]
fn check_error(text: &str, path: Option<&str>, words: &str) {
    let error = parse(text).expect_err(text);
    assert!(error.message.contains(words), "{error:?}");
    assert_eq!(error.path.as_deref(), path, "{error:?}");
    assert!(!error.message.contains(" at line "), "{error:?}");
}

#[test]
fn pm_1_the_version_is_required_and_sections_are_not() {
    assert_eq!(read("version: 7"), SandboxPolicy { version: 7, ..Default::default() });
    check_error("{}", None, "missing field `version`");
    check_error("", None, "");
    check_error("version: -1", Some("version"), "u32");
    check_error("[]", None, "expected struct");
}

#[test]
fn pm_2_an_absent_section_is_not_an_empty_one() {
    let policy = read("version: 1\nfilesystem_policy: {}\nlandlock: {}\nprocess: {}");
    assert_eq!(policy.filesystem, Some(Default::default()));
    assert_eq!(policy.landlock, Some(Default::default()));
    assert_eq!(policy.process, Some(Default::default()));
    let policy = read("version: 1\nfilesystem_policy:\nnetwork_policies:\nnetwork_middlewares:\n");
    assert_eq!(policy, read("version: 1"));
}

#[test]
fn pm_3_a_nameless_rule_is_called_by_its_key() {
    let policy = read("version: 1\nnetwork_policies: {a: {binaries: [{path: /x, harness: true}]}, b: {name: shown}}");
    assert_eq!(policy.network_policies["a"].name, "a");
    assert_eq!(policy.network_policies["b"].name, "shown");
    assert!(!policy.network_policies["a"].binaries[0].harness);
    check_error(
        "version: 1\nnetwork_policies: {a: {binaries: [{}]}}",
        Some("network_policies.a.binaries[0]"),
        "missing field `path`",
    );
}

#[test]
fn pm_4_unknown_keys_are_errors_at_every_level() {
    for (text, path) in [
        ("x: 1", None),
        ("filesystem_policy: {x: 1}", Some("filesystem_policy")),
        ("filesystem: {}", None),
        ("landlock: {x: 1}", Some("landlock")),
        ("process: {x: 1}", Some("process")),
        ("network_policies: {r: {x: 1}}", Some("network_policies.r")),
        ("network_policies: {r: {binaries: [{path: a, x: 1}]}}", Some("network_policies.r.binaries[0]")),
        ("network_policies: {r: {endpoints: [{x: 1}]}}", Some("network_policies.r.endpoints[0]")),
        ("network_policies: {r: {endpoints: [{mcp: {x: 1}}]}}", Some("network_policies.r.endpoints[0].mcp")),
        ("network_policies: {r: {endpoints: [{json_rpc: {x: 1}}]}}", Some("network_policies.r.endpoints[0].json_rpc")),
        ("network_policies: {r: {endpoints: [{rules: [{x: 1}]}]}}", Some("network_policies.r.endpoints[0].rules[0]")),
        (
            "network_policies: {r: {endpoints: [{rules: [{allow: {x: 1}}]}]}}",
            Some("network_policies.r.endpoints[0].rules[0].allow"),
        ),
        (
            "network_policies: {r: {endpoints: [{deny_rules: [{x: 1}]}]}}",
            Some("network_policies.r.endpoints[0].deny_rules[0]"),
        ),
        ("network_middlewares: {m: {middleware: a, x: 1}}", Some("network_middlewares.m")),
        ("network_middlewares: {m: {middleware: a, endpoints: {x: 1}}}", Some("network_middlewares.m.endpoints")),
    ] {
        let error = parse(&format!("version: 1\n{text}\n")).expect_err(text);
        assert!(error.message.contains("unknown field"), "{error:?}");
        let found = error.path.as_deref().unwrap_or_default();
        assert!(found.starts_with(path.unwrap_or_default()), "{error:?}");
        assert_eq!(error.line, Some(2), "{error:?}");
    }
}

#[test]
fn pm_5_ports_become_one_list() {
    let ports = |text: &str| {
        let endpoint = endpoint(text);
        (endpoint.port, endpoint.ports)
    };
    assert_eq!(ports("port: 443"), (443, vec![443]));
    assert_eq!(ports("port: 1, ports: [3, 2]"), (3, vec![3, 2]));
    assert_eq!(ports("port: 0"), (0, vec![]));
    assert_eq!(ports("host: x"), (0, vec![]));
    for text in ["port: 65536", "port: -1", "ports: [70000]"] {
        assert!(parse(&format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{{text}}}]}}}}")).is_err(), "{text}");
    }
}

#[test]
fn pm_6_the_mcp_block_decides_the_limit() {
    let limit = |text: &str| {
        let endpoint = endpoint(text);
        (endpoint.json_rpc_max_body_bytes, endpoint.mcp)
    };
    assert_eq!(limit("json_rpc: {max_body_bytes: 5}"), (5, None));
    assert_eq!(limit("json_rpc: {max_body_bytes: 5}, mcp: {}"), (0, None));
    assert_eq!(limit("mcp: {max_body_bytes: 7}"), (7, None));
    let options = McpOptions { strict_tool_names: Some(false), allow_all_known_mcp_methods: None };
    assert_eq!(limit("mcp: {strict_tool_names: false}"), (0, Some(options)));
}

#[test]
fn pm_7_parameters_are_dotted_and_a_tool_is_one() {
    let glob = |text: &str| L7QueryMatcher { glob: text.to_owned(), any: vec![] };
    let any =
        |globs: &[&str]| L7QueryMatcher { glob: String::new(), any: globs.iter().map(|g| (*g).to_owned()).collect() };
    let params = |text: &str| allow("protocol: mcp", text).params.into_iter().collect::<Vec<_>>();
    assert_eq!(
        params("tool: t, params: {arguments: {path: /x, deep: {a: {any: [b, c]}}}, x.y: z}"),
        [
            ("arguments.deep.a".to_owned(), any(&["b", "c"])),
            ("arguments.path".to_owned(), glob("/x")),
            ("name".to_owned(), glob("t")),
            ("x.y".to_owned(), glob("z")),
        ]
    );
    assert_eq!(params("tool: t, params: {name: n}"), [("name".to_owned(), glob("n"))]);
    assert_eq!(params("tool: {any: [a]}"), [("name".to_owned(), any(&["a"]))]);
    assert_eq!(params("params: {a: {any: x}}"), [("a.any".to_owned(), glob("x"))]);
    assert_eq!(allow("protocol: rest", "query: {a: x, b: {any: [y]}}").query["b"], any(&["y"]));
    for text in [
        "query: {a: 1}",
        "query: {a: {any: [x], b: y}}",
        "query: {a: {}}",
        "params: {a: [x]}",
        "params: {any: [x]}",
        "params: {a: {any: [x], b: y}}",
        "params: {a.b: x, a: {b: y}}",
        "query: {a: x, a: y}",
    ] {
        let text = format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{rules: [{{allow: {{{text}}}}}]}}]}}}}");
        let error = parse(&text).expect_err(&text);
        let path = error.path.unwrap_or_default();
        assert!(path.starts_with("network_policies.r.endpoints[0].rules[0].allow."), "{path}: {}", error.message);
    }
    check_error(
        "version: 1\nnetwork_policies: {r: {endpoints: [{rules: [{}]}]}}",
        Some("network_policies.r.endpoints[0].rules[0]"),
        "missing field `allow`",
    );
}

#[test]
fn an_mcp_entry_without_a_method_means_what_the_written_form_leaves_out() {
    let all = "protocol: mcp, mcp: {allow_all_known_mcp_methods: true}";
    assert_eq!(allow("protocol: mcp", "").method, "*");
    assert_eq!(allow("protocol: mcp", "tool: t").method, "");
    assert_eq!(allow(all, "tool: t").method, "tools/call");
    assert_eq!(allow(all, "params: {name: t}").method, "tools/call");
    assert_eq!(allow(all, "tool: t, method: ''").method, "");
    assert_eq!(allow("protocol: json-rpc", "tool: t").method, "");
}

#[test]
fn pm_8_middleware_configuration_is_always_there() {
    let policy = read(
        "version: 1\nnetwork_middlewares: {m: {middleware: x}, n: {middleware: y, name: z, order: -3, config: {a: [1, 2.5, null, true, {b: c}]}}}",
    );
    let (m, n) = (&policy.network_middlewares["m"], &policy.network_middlewares["n"]);
    assert_eq!((m.name.as_str(), m.config.clone(), m.endpoints.clone()), ("m", Some(Default::default()), None));
    assert_eq!((n.name.as_str(), n.order), ("z", -3));
    let Some(Kind::ListValue(list)) = &n.config.as_ref().unwrap().fields["a"].kind else { panic!("{n:?}") };
    assert_eq!(list.values[1].kind, Some(Kind::NumberValue(2.5)));
    assert_eq!(list.values.len(), 5);
    check_error(
        "version: 1\nnetwork_middlewares: {m: {}}",
        Some("network_middlewares.m"),
        "missing field `middleware`",
    );
    check_error(
        "version: 1\nnetwork_middlewares: {m: {middleware: x, config: {a: .nan}}}",
        Some("network_middlewares.m.config.a"),
        "finite",
    );
}

#[test]
fn pm_9_marks_of_the_gateway_are_never_read_or_written() {
    for key in ["provider_credentialed", "advisor_proposed"] {
        let text = format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{{key}: true}}]}}}}");
        assert!(parse(&text).unwrap_err().message.contains("unknown field"), "{key}");
    }
    let mut policy = read("version: 1\nnetwork_policies: {r: {endpoints: [{host: a}]}}");
    let plain = render(&policy);
    let endpoint = &mut policy.network_policies.get_mut("r").unwrap().endpoints[0];
    (endpoint.provider_credentialed, endpoint.advisor_proposed) = (true, true);
    assert_eq!(render(&policy), plain);
}

/// The first endpoint of rule `r` as it is written.
fn written(endpoint: &str) -> serde_json::Value {
    let policy = read(&format!("version: 1\nnetwork_policies: {{r: {{endpoints: [{{{endpoint}}}]}}}}"));
    to_json(&policy)["network_policies"]["r"]["endpoints"][0].clone()
}

#[test]
fn pm_10_one_port_is_written_as_one_and_what_says_nothing_is_left_out() {
    assert_eq!(written("host: a, port: 443"), serde_json::json!({"host": "a", "port": 443}));
    assert_eq!(written("ports: [1, 2], tls: ''"), serde_json::json!({"ports": [1, 2]}));
    let policy =
        read("version: 1\nprocess: {}\nnetwork_policies: {r: {endpoints: [], binaries: [{path: /a, harness: true}]}}");
    let expected =
        serde_json::json!({"version": 1, "network_policies": {"r": {"name": "r", "binaries": [{"path": "/a"}]}}});
    assert_eq!(to_json(&policy), expected);
    let yaml: serde_json::Value = serde_yaml::from_str(&render(&policy)).unwrap();
    assert_eq!(yaml, expected, "YAML and JSON have the same names");
}

#[test]
fn pm_10_mcp_entries_have_tools_nested_parameters_and_no_methods_that_go_without_saying() {
    let entry = |protocol: &str, allow: &str| {
        written(&format!("{protocol}, rules: [{{allow: {{{allow}}}}}]"))["rules"][0]["allow"].clone()
    };
    let all = "protocol: mcp, mcp: {allow_all_known_mcp_methods: true}";
    for (protocol, allow, expected) in [
        ("protocol: mcp", "method: '*'", serde_json::json!({})),
        ("protocol: mcp", "method: '*', params: {name: t}", serde_json::json!({"method": "*", "tool": "t"})),
        ("protocol: mcp", "method: tools/call, tool: t", serde_json::json!({"method": "tools/call", "tool": "t"})),
        (all, "method: tools/call, tool: t", serde_json::json!({"tool": "t"})),
        (all, "method: tools/call", serde_json::json!({"method": "tools/call"})),
        (
            "protocol: mcp",
            "method: x, params: {a.b: c}",
            serde_json::json!({"method": "x", "params": {"a": {"b": "c"}}}),
        ),
        (
            "protocol: json-rpc",
            "method: '*', params: {name: t, a.b: c}",
            serde_json::json!({"method": "*", "params": {"name": "t", "a.b": "c"}}),
        ),
    ] {
        assert_eq!(entry(protocol, allow), expected, "{protocol}: {allow}");
    }
    assert_eq!(written("protocol: mcp, mcp: {max_body_bytes: 7}")["mcp"]["max_body_bytes"], 7);
    assert_eq!(written("protocol: json-rpc, json_rpc: {max_body_bytes: 7}")["json_rpc"]["max_body_bytes"], 7);
}

#[test]
fn pm_12_the_restrictive_default_can_be_written_as_a_file() {
    let default = read(include_str!("../../tests/golden/restrictive.policy.yaml"));
    let files = default.filesystem.as_ref().unwrap();
    assert!(files.include_workdir);
    assert_eq!(files.read_only, ["/usr", "/lib", "/proc", "/dev/urandom", "/app", "/etc", "/var/log"]);
    assert_eq!(files.read_write, ["/tmp", "/dev/null"]);
    assert_eq!((default.version, default.landlock.as_ref().unwrap().compatibility.as_str()), (1, "best_effort"));
    assert!(default.process.is_none() && default.network_policies.is_empty() && default.network_middlewares.is_empty());
}

#[test]
fn a_repeated_key_is_an_error_at_every_level() {
    for text in [
        "version: 1\nversion: 1",
        "version: 1\nnetwork_policies: {r: {}, r: {}}",
        "version: 1\nnetwork_policies: {r: {endpoints: [{host: a, host: b}]}}",
        "version: 1\nnetwork_middlewares: {m: {middleware: x, config: {a: 1, a: 2}}}",
        "version: 1\nnetwork_middlewares: {m: {middleware: x, config: {a: {b: 1, b: 2}}}}",
    ] {
        let message = parse(text).expect_err(text).message;
        assert!(message.contains("given twice") || message.contains("duplicate"), "{message}");
    }
}

#[test]
fn one_document_is_read_and_json_is_yaml() {
    check_error("version: 1\n---\nversion: 1\n", None, "more than one YAML document");
    assert_eq!(read("---\nversion: 1\n"), read(r#"{"version": 1}"#));
}

#[test]
fn an_error_says_where() {
    let error = parse("version: 1\nnetwork_policies:\n  web:\n    endpoints:\n      - port: x\n").unwrap_err();
    assert_eq!((error.line, error.path.as_deref()), (Some(5), Some("network_policies.web.endpoints[0].port")));
    let text = error.to_string();
    assert!(text.starts_with("network_policies.web.endpoints[0].port: ") && text.contains("line 5"), "{text}");
    let error = parse("version: 1\n  bad: indent: here\n").unwrap_err();
    assert!(error.line.is_some(), "{error:?}");
}

#[test]
fn nesting_that_would_not_read_back_stays_dotted() {
    let shown = |params: &str| {
        let policy = read(&format!(
            "version: 1\nnetwork_policies: {{r: {{endpoints: [{{protocol: mcp, rules: [{{allow: {{params: {params}}}}}]}}]}}}}"
        ));
        to_json(&policy)["network_policies"]["r"]["endpoints"][0]["rules"][0]["allow"]["params"].clone()
    };
    assert_eq!(shown("{a.b: x, a.c: y}"), serde_json::json!({"a": {"b": "x", "c": "y"}}));
    assert_eq!(shown("{a: x, a.c: y}"), serde_json::json!({"a": "x", "a.c": "y"}));
    assert_eq!(shown("{a..b: x}"), serde_json::json!({"a..b": "x"}));
    assert_eq!(shown("{a.any: x}"), serde_json::json!({"a": {"any": "x"}}));
}

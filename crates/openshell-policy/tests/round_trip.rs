//! A law of the file form: what a file can say survives being written and read, as YAML and as JSON, with
//! its hash.

use std::collections::BTreeMap;

use openshell_policy::{hash, yaml};
use openshell_proto::sandbox::{
    FilesystemPolicy, GraphqlOperation, L7Allow, L7DenyRule, L7QueryMatcher, L7Rule, LandlockPolicy, McpOptions,
    MiddlewareEndpointSelector, NetworkBinary, NetworkCredentialBinding, NetworkEndpoint, NetworkMiddlewareConfig,
    NetworkPolicyRule, ProcessPolicy, SandboxPolicy,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

/// Texts that YAML could take for something else, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z*./?\\[\\]-]{0,8}",
        2 => prop::sample::select(vec![
            "", "null", "~", "true", "no", "1", "1.5", "0x1f", ".nan", "-", "- a", "a: b", "a #b", "#", "&a", "*a", "!t", "|", ">", "%",
            "@", "`", "'", "\"", "{", "[", ",", "? a", "a\nb", "a\n", "\n", " a", "a ", "\t", "---", "...", "<<", "2024-01-01", "12:30",
            "\u{85}", "\u{feff}", "\u{2028}", "ä€😀", "\\", "\u{7f}", "\u{0}",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ]
}

fn word() -> impl Strategy<Value = String> {
    text().prop_filter("a name", |text| !text.is_empty())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

fn matcher() -> impl Strategy<Value = L7QueryMatcher> {
    prop_oneof![
        text().prop_map(|glob| L7QueryMatcher { glob, any: vec![] }),
        vec(text(), 1..3).prop_map(|any| L7QueryMatcher { glob: String::new(), any }),
    ]
}

fn parameters() -> impl Strategy<Value = BTreeMap<String, L7QueryMatcher>> {
    let key = prop_oneof!["(name|any|a|b)(\\.(name|any|a|b)){0,2}", text()];
    btree_map(key, matcher(), 0..4)
}

fn allow() -> impl Strategy<Value = L7Allow> {
    let method = prop_oneof![Just(String::new()), Just("*".to_owned()), Just("tools/call".to_owned()), text()];
    (method, text(), text(), btree_map(text(), matcher(), 0..3), text(), text(), texts(), parameters()).prop_map(
        |(method, path, command, query, operation_type, operation_name, fields, params)| L7Allow {
            method,
            path,
            command,
            query,
            operation_type,
            operation_name,
            fields,
            params,
        },
    )
}

fn deny() -> impl Strategy<Value = L7DenyRule> {
    allow().prop_map(|allow| L7DenyRule {
        method: allow.method,
        path: allow.path,
        command: allow.command,
        query: allow.query,
        operation_type: allow.operation_type,
        operation_name: allow.operation_name,
        fields: allow.fields,
        params: allow.params,
    })
}

fn operation() -> impl Strategy<Value = GraphqlOperation> {
    (text(), text(), texts()).prop_map(|(operation_type, operation_name, fields)| GraphqlOperation {
        operation_type,
        operation_name,
        fields,
    })
}

fn mcp() -> impl Strategy<Value = Option<McpOptions>> {
    (option::of(any::<bool>()), option::of(any::<bool>())).prop_map(|(strict_tool_names, allow_all)| {
        (strict_tool_names.is_some() || allow_all.is_some())
            .then_some(McpOptions { strict_tool_names, allow_all_known_mcp_methods: allow_all })
    })
}

fn endpoint() -> impl Strategy<Value = NetworkEndpoint> {
    let protocol = prop_oneof![3 => Just("mcp".to_owned()), 1 => Just("rest".to_owned()), 1 => text()];
    let texts_of = (text(), protocol, text(), text(), text(), text(), text());
    let signing = (text(), text(), text(), option::of(text()));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let limits = (0..3_u32, prop_oneof![Just(0), any::<u32>()]);
    let lists = (vec(allow(), 0..3), vec(deny(), 0..3), texts(), vec(any::<u16>(), 0..3));
    (texts_of, signing, flags, limits, lists, btree_map(text(), operation(), 0..2), mcp()).prop_map(
        |(texts_of, signing, flags, limits, lists, graphql_persisted_queries, mcp)| {
            let (host, protocol, tls, enforcement, access, persisted_queries, path) = texts_of;
            let (credential_signing, signing_service, signing_region, provider) = signing;
            let (rules, deny_rules, allowed_ips, ports) = lists;
            let ports: Vec<u32> = ports.into_iter().map(u32::from).collect();
            NetworkEndpoint {
                host,
                port: ports.first().copied().unwrap_or(0),
                protocol,
                tls,
                enforcement,
                access,
                rules: rules.into_iter().map(|allow| L7Rule { allow: Some(allow) }).collect(),
                allowed_ips,
                ports,
                deny_rules,
                allow_encoded_slash: flags.0,
                persisted_queries,
                graphql_persisted_queries,
                graphql_max_body_bytes: limits.0,
                path,
                websocket_credential_rewrite: flags.1,
                request_body_credential_rewrite: flags.2,
                advisor_proposed: false,
                credential_signing,
                signing_service,
                signing_region,
                json_rpc_max_body_bytes: limits.1,
                mcp,
                credential_binding: provider.map(|provider| NetworkCredentialBinding { provider }),
                allow_uninspected_credentials: flags.3,
                provider_credentialed: false,
            }
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Kind::NullValue(0)),
        any::<bool>().prop_map(Kind::BoolValue),
        any::<i32>().prop_map(|number| Kind::NumberValue(f64::from(number))),
        prop::num::f64::NORMAL.prop_map(Kind::NumberValue),
        text().prop_map(Kind::StringValue),
    ]
    .prop_map(|kind| Value { kind: Some(kind) });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| Value { kind: Some(Kind::ListValue(ListValue { values })) }),
            btree_map(text(), inner, 0..3)
                .prop_map(|fields| Value { kind: Some(Kind::StructValue(Struct { fields })) }),
        ]
    })
}

fn middleware() -> impl Strategy<Value = NetworkMiddlewareConfig> {
    let selector = option::of((texts(), texts()));
    (word(), text(), btree_map(text(), value(), 0..3), text(), selector, any::<i32>()).prop_map(
        |(name, middleware, fields, on_error, selector, order)| NetworkMiddlewareConfig {
            name,
            middleware,
            config: Some(Struct { fields }),
            on_error,
            endpoints: selector.map(|(include, exclude)| MiddlewareEndpointSelector { include, exclude }),
            order,
        },
    )
}

fn rule() -> impl Strategy<Value = NetworkPolicyRule> {
    (word(), vec(endpoint(), 0..3), texts()).prop_map(|(name, endpoints, binaries)| NetworkPolicyRule {
        name,
        endpoints,
        binaries: binaries.into_iter().map(|path| NetworkBinary { path, harness: false }).collect(),
    })
}

fn policy() -> impl Strategy<Value = SandboxPolicy> {
    let files = option::of((any::<bool>(), texts(), texts()));
    // A process section without identities is not written (PM-10).
    let process = option::of((word(), text()));
    let maps = (btree_map(text(), rule(), 0..3), btree_map(text(), middleware(), 0..3));
    (any::<u32>(), files, option::of(text()), process, maps).prop_map(|(version, files, landlock, process, maps)| {
        SandboxPolicy {
            version,
            filesystem: files.map(|(include_workdir, read_only, read_write)| FilesystemPolicy {
                include_workdir,
                read_only,
                read_write,
            }),
            landlock: landlock.map(|compatibility| LandlockPolicy { compatibility }),
            process: process.map(|(run_as_user, run_as_group)| ProcessPolicy { run_as_user, run_as_group }),
            network_policies: maps.0,
            network_middlewares: maps.1,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_is_written_reads_back(policy in policy()) {
        let written = yaml::render(&policy);
        let read = yaml::parse(&written);
        prop_assert_eq!(read.as_ref(), Ok(&policy), "{}", &written);
        prop_assert_eq!(hash::policy_hash(&policy), hash::policy_hash(&read.unwrap()));
    }

    #[test]
    fn both_written_forms_say_the_same(policy in policy()) {
        let read: Result<serde_json::Value, _> = serde_yaml::from_str(&yaml::render(&policy));
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(yaml::to_json(&policy)));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z:{}\\[\\] \n\"'|>&*!#,-]{0,40}") {
        let _ = yaml::parse(&text);
        let _ = yaml::parse(&format!("version: 1\nnetwork_policies:\n  {text}"));
    }
}

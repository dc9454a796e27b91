//! Export: golden files for its order and for what it leaves out (providers.md F-EXP-2 to F-EXP-5, F-EXP-7, F-EXP-9).

use super::*;

const KEPT_BY_HAND: &str = include_str!("../../../tests/golden/kept-by-hand.yaml");

/// Compares with a golden file. To renew the files, run the tests with `UPDATE_GOLDEN=1`.
fn golden(name: &str, text: &str, wanted: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = std::path::Path::new("tests/golden").join(name);
        std::fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(text, wanted, "{name}");
}

#[test]
fn export_has_one_order_and_omits_defaults() {
    let profile = yaml(KEPT_BY_HAND);
    golden("full.yaml", &render_yaml(&profile), include_str!("../../../tests/golden/full.yaml"));
    golden("full.json", &render_json(&profile), include_str!("../../../tests/golden/full.json"));
    let minimal = yaml("id: acme\ndisplay_name: ''\n");
    golden("minimal.yaml", &render_yaml(&minimal), include_str!("../../../tests/golden/minimal.yaml"));
    golden("minimal.json", &render_json(&minimal), include_str!("../../../tests/golden/minimal.json"));
}

/// Every kind of object with nothing but what it must have, and each kind of value at its default.
const BARE: &str = "
id: bare
display_name: ''
resource_version: 0
annotations: {}
description: ''
category: other
inference_capable: false
discovery: {credentials: []}
source: ''
scope: ''
credentials:
  - name: granted
    token_grant: {token_endpoint: '', audience: '', scopes: [], cache_ttl_seconds: 0, audience_overrides: [{audience: ''}]}
  - name: refreshed
    refresh: {strategy: static, token_url: '', scopes: [], refresh_before_seconds: 0, max_lifetime_seconds: 0,
      material: [{name: ''}], additional_outputs: [{output: '', credential: ''}]}
  - name: plain
    path_template: ''
endpoints:
  - {host: '', port: 0, ports: [], protocol: '', tls: '', allow_encoded_slash: false, graphql_max_body_bytes: 0, mcp: {}}
  - host: strict
    rules: [{}, {allow: {}}, {allow: {query: {a: {}}}}]
    deny_rules: [{}]
    graphql_persisted_queries: {a: {}}
    mcp: {strict_tool_names: false}
  - {host: all, mcp: {strict_tool_names: true, allow_all_known_mcp_methods: false}}
binaries: [{path: /bin/a}, {path: /bin/b, harness: false}, {path: /bin/c, harness: true}, /bin/d]
";

#[test]
fn export_leaves_out_every_default_but_those_that_are_always_there() {
    let profile = yaml(BARE);
    golden("bare.yaml", &render_yaml(&profile), include_str!("../../../tests/golden/bare.yaml"));
    golden("bare.json", &render_json(&profile), include_str!("../../../tests/golden/bare.json"));
    assert_eq!(yaml(&render_yaml(&profile)), profile);
}

/// The keys of an object of the file form in the order of F-EXP-2, ours of a token grant last.
const ORDERS: [(&str, &str); 14] = [
    (
        "",
        "id resource_version annotations display_name description category credentials endpoints binaries \
         inference_capable discovery source scope",
    ),
    (
        "credentials",
        "name description env_vars required auth_style header_name query_param refresh path_template token_grant",
    ),
    (
        "token_grant",
        "token_endpoint audience jwt_svid_audience client_assertion_type scopes cache_ttl_seconds audience_overrides \
         grant_type subject_token requested_token_type",
    ),
    ("audience_overrides", "host port path audience scopes"),
    ("refresh", "strategy token_url scopes refresh_before_seconds max_lifetime_seconds material additional_outputs"),
    ("material", "name description required secret"),
    ("additional_outputs", "output credential"),
    (
        "endpoints",
        "host port protocol tls access enforcement rules allowed_ips ports deny_rules allow_encoded_slash \
         websocket_credential_rewrite request_body_credential_rewrite allow_uninspected_credentials persisted_queries \
         graphql_persisted_queries graphql_max_body_bytes json_rpc_max_body_bytes mcp path credential_signing \
         signing_service signing_region",
    ),
    ("mcp", "strict_tool_names allow_all_known_mcp_methods"),
    ("allow", "method path command query operation_type operation_name fields params"),
    ("deny_rules", "method path command query operation_type operation_name fields params"),
    // A matcher and an operation, by the keys that the file has them under.
    ("both", "glob any"),
    ("b", "operation_type operation_name fields"),
    ("binaries", "path harness"),
];

/// Every object below a value, with the key under which it or its list stands.
fn objects<'a>(key: &'a str, value: &'a serde_json::Value, found: &mut Vec<(&'a str, Vec<&'a str>)>) {
    match value {
        serde_json::Value::Array(list) => list.iter().for_each(|one| objects(key, one, found)),
        serde_json::Value::Object(object) => {
            found.push((key, object.keys().map(String::as_str).collect()));
            object.iter().for_each(|(key, value)| objects(key, value, found));
        }
        _ => {}
    }
}

#[test]
fn export_has_the_order_of_the_contract_in_every_object() {
    let json: serde_json::Value = serde_json::from_str(&render_json(&yaml(KEPT_BY_HAND))).unwrap();
    let mut found = Vec::new();
    objects("", &json, &mut found);
    for (key, order) in ORDERS {
        let order: Vec<&str> = order.split(' ').collect();
        let of_key: Vec<_> = found.iter().filter(|(name, _)| *name == key).map(|(_, keys)| keys).collect();
        let places =
            |keys: &[&str]| keys.iter().map(|name| order.iter().position(|one| one == name)).collect::<Vec<_>>();
        for keys in &of_key {
            let places = places(keys);
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{key}: {keys:?}");
        }
        let missing: Vec<_> = order.iter().filter(|name| !of_key.iter().any(|keys| keys.contains(name))).collect();
        assert!(missing.is_empty(), "the golden file shows no {missing:?} of {key}");
    }
}

#[test]
fn a_list_is_ordered_by_category_then_id() {
    let profile = |id: &str, category: i32| ProviderProfile { id: id.to_owned(), category, ..Default::default() };
    let list = [profile("b", 6), profile("z", 1), profile("a", 6), profile("m", 3)];
    golden("list.yaml", &render_yaml_list(&list), include_str!("../../../tests/golden/list.yaml"));
    let json: serde_json::Value = serde_json::from_str(&render_json_list(&list)).unwrap();
    let ids: Vec<_> = json.as_array().unwrap().iter().map(|profile| profile["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["z", "m", "a", "b"]);
}

#[test]
fn an_exported_built_in_has_a_source_but_neither_version_nor_scope() {
    let text = render_yaml(&crate::builtin::catalogue()[0]);
    assert!(text.contains("\nsource: builtin\n"));
    assert!(!text.contains("resource_version") && !text.contains("\nscope"));
}

//! The scenarios of providers.md 9 that need no state, and rules that the recorded verdicts leave out.

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint};
use openshell_proto::v1::{ProviderProfile, ProviderProfileImportItem};

use super::{accepted, endpoint, lint, mcp, profile, rejected, reported};
use crate::{file, token_grant, validate};

#[test]
fn providers_scenario_12_non_canonical_ids_are_each_reported() {
    let profiles =
        [" alex-api ", "alex_api", "Alex-API"].map(|id| ProviderProfile { id: id.to_owned(), ..Default::default() });
    let labelled: Vec<_> = profiles.iter().map(|profile| ("f", profile)).collect();
    let found = validate::profiles(&labelled);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| one.field == "id" && one.message.contains("lowercase kebab-case")));
    assert_eq!(found[0].profile_id, "alex-api");
}

#[test]
fn providers_scenario_13_a_bad_endpoint_is_named_by_its_index() {
    let bad = ProviderProfile {
        id: "bulk-bad".to_owned(),
        endpoints: vec![NetworkEndpoint::default()],
        ..Default::default()
    };
    let good = ProviderProfile { id: "bulk-one".to_owned(), ..Default::default() };
    let found = validate::profiles(&[("one", &good), ("bad", &bad)]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].profile_id.as_str(), found[0].field.as_str()), ("bulk-bad", "endpoints[0]"));
    assert!(found[0].message.contains("invalid endpoint"));
}

#[test]
fn providers_scenario_14_a_duplicate_inside_a_batch_is_reported_on_the_later_item() {
    let dup = ProviderProfile { id: "dup".to_owned(), ..Default::default() };
    let found = validate::profiles(&[("first", &dup), ("second", &dup)]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].source.as_str(), found[0].field.as_str()), ("second", "id"));
}

#[test]
fn providers_scenario_19_an_empty_request_is_one_diagnostic() {
    let found = validate::empty_request();
    assert_eq!((found.field.as_str(), found.source.as_str(), found.severity.as_str()), ("profiles", "", "error"));
}

#[test]
fn providers_scenario_20_an_item_without_profile_is_reported_with_its_source() {
    let found = validate::items(&[ProviderProfileImportItem { profile: None, source: "a.yaml".to_owned() }]);
    assert_eq!(found.len(), 1);
    let only = &found[0];
    assert_eq!((only.field.as_str(), only.source.as_str(), only.profile_id.as_str()), ("profile", "a.yaml", ""));
}

#[test]
fn providers_scenario_21_a_binding_on_the_wire_is_reported_on_its_endpoint() {
    let bound = NetworkEndpoint { credential_binding: Some(NetworkCredentialBinding::default()), ..Default::default() };
    let profile = ProviderProfile {
        id: " Acme".to_owned(),
        endpoints: vec![NetworkEndpoint::default(), bound],
        ..Default::default()
    };
    let found = validate::items(&[ProviderProfileImportItem { profile: Some(profile), source: "f".to_owned() }]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].field.as_str(), found[0].profile_id.as_str()), ("endpoints[1].credential_binding", " Acme"));
}

#[test]
fn providers_scenario_22_policy_fields_survive_normalisation() {
    let stated = profile(
        "id: acme\ndisplay_name: Acme\nbinaries: [{path: /a, harness: true}]\nendpoints: [{host: h, ports: [443, 8443], \
         protocol: rest, allowed_ips: [10.0.0.0/8], rules: [{allow: {method: GET, path: /v1/**}}], \
         allow_encoded_slash: true, path: /v1}]",
    );
    assert_eq!(file::normalise_profile(stated.clone()), stated);
}

#[test]
fn providers_scenario_23_all_problems_are_reported_at_once() {
    let found = lint(
        "credentials:
          - {name: one, env_vars: [SAME, SAME, '', v10_GITHUB_TOKEN], auth_style: query}
          - {name: one, auth_style: path}
          - {name: two, auth_style: path, path_template: /none}
          - {name: three, auth_style: cookie}
discovery: {credentials: [unknown]}
endpoints: [{host: '', port: 0, protocol: rest, access: full}]
binaries: [' ']",
    );
    for (field, words) in [
        ("credentials.name", "duplicate"),
        ("discovery.credentials[0]", "unknown"),
        ("credentials.env_vars", "duplicate env var 'SAME'"),
        ("credentials.env_vars", "must not be empty"),
        ("credentials.env_vars", "placeholder"),
        ("credentials.query_param", "query_param"),
        ("credentials.path_template", "needs a path_template"),
        ("credentials.path_template", "\"/none\" must contain {credential} exactly once, it has it 0 times"),
        ("credentials.auth_style", "\"cookie\""),
        ("endpoints[0]", "invalid endpoint ':0'"),
        ("binaries[0]", "path"),
    ] {
        reported(&found, field, words);
    }
    assert_eq!(found.len(), 11, "{found:?}");
}

#[test]
fn providers_scenario_35_specific_paths_tell_two_providers_apart() {
    let grant = |path: &str| {
        profile(&format!(
            "id: acme\ndisplay_name: Acme\ncredentials: [{{name: access_token, required: true, auth_style: bearer, \
             header_name: authorization, token_grant: {{token_endpoint: 'https://auth.example.com/token'}}}}]\n\
             endpoints: [{{host: api.example.com, port: 443, path: '{path}', protocol: rest, access: full}}]"
        ))
    };
    let tie = |left: &str, right: &str| {
        let mut bindings = token_grant::bindings("a", &grant(left));
        bindings.extend(token_grant::bindings("b", &grant(right)));
        token_grant::first_ambiguity(&bindings).is_some()
    };
    assert!(!tie("/v1/**", "/v1/admin/**"));
    assert!(tie("/v1/**", "/v1/**"));
}

#[test]
fn providers_scenario_45_l7_rules() {
    rejected(&endpoint("protocol: rest"), "endpoints[0]", "protocol requires rules or access");
    let rule = "rules: [{allow: {method: GET}}]";
    rejected(&endpoint(&format!("protocol: rest, access: full, {rule}")), "endpoints[0]", "mutually exclusive");
    rejected(&endpoint("protocol: rest, rules: [{allow: {}}]"), "endpoints[0]", "would deny all traffic");
    rejected(&endpoint("protocol: rest, rules: [{}]"), "endpoints[0]", "would deny all traffic");
    let query = "protocol: rest, rules: [{allow: {query: {a: b}, fields: [c]}}]";
    rejected(&endpoint(query), "endpoints[0]", "would deny all traffic");
    rejected(&endpoint("protocol: ftp"), "endpoints[0]", "unknown protocol");
    rejected(&endpoint("protocol: ' rest'"), "endpoints[0]", "unknown protocol");
    let found = lint(&endpoint("deny_rules: [{method: GET}]"));
    reported(&found, "endpoints[0]", "deny_rules require protocol");
    rejected(&endpoint("access: full, deny_rules: [{method: GET}]"), "endpoints[0]", "deny_rules require protocol");
    accepted(&endpoint(&format!("protocol: REST, {rule}, deny_rules: [{{method: GET, path: /admin}}]")));
    accepted(&endpoint("protocol: sql, rules: [{allow: {command: select}}]"));
    rejected(&endpoint("protocol: json-rpc"), "endpoints[0]", "needs rules");
    rejected(&endpoint("protocol: json-rpc, access: full"), "endpoints[0]", "no access presets");
}

#[test]
fn providers_scenario_46_tcp() {
    accepted(&endpoint("protocol: tcp, tls: skip, allowed_ips: [10.0.0.0/8], allow_uninspected_credentials: true"));
    rejected(
        &endpoint(
            "protocol: tcp, signing_region: r, signing_service: s, credential_signing: sigv4, json_rpc_max_body_bytes: 1, \
             graphql_max_body_bytes: 1, graphql_persisted_queries: {a: {}}, persisted_queries: deny, \
             request_body_credential_rewrite: true, websocket_credential_rewrite: true, allow_encoded_slash: true, \
             path: /a, enforcement: audit",
        ),
        "endpoints[0]",
        "enforcement, path, allow_encoded_slash, websocket_credential_rewrite, request_body_credential_rewrite, \
         persisted_queries, graphql_persisted_queries, graphql_max_body_bytes, json_rpc_max_body_bytes, \
         credential_signing, signing_service, signing_region;",
    );
    let found = lint(&endpoint("protocol: tcp, mcp: {}, enforcement: audit"));
    reported(&found, "endpoints[0]", "enforcement, mcp;");
    for policy in ["access: full", "rules: [{allow: {method: GET}}]"] {
        rejected(&endpoint(&format!("protocol: TCP, {policy}")), "endpoints[0]", "protocol tcp takes no");
    }
}

#[test]
fn providers_scenario_47_credentialed_l4() {
    let with = |credential: &str, body: &str| format!("credentials: [{credential}]\n{}", endpoint(body));
    let key = "{name: key, env_vars: [KEY]}";
    let field = "endpoints[0].allow_uninspected_credentials";
    rejected(&with(key, ""), field, "L4-only");
    rejected(&with(key, "protocol: rest, access: full, tls: ' Skip '"), field, "tls: skip");
    accepted(&with(key, "allow_uninspected_credentials: true"));
    accepted(&with("", ""));
    accepted(&with(key, "protocol: tcp"));
    rejected(&with("", "credential_signing: sigv4"), field, "L4-only");
}

#[test]
fn providers_scenario_48_mcp() {
    let tool = "{allow: {method: tools/call, params: {name: {glob: read}}}}";
    let rule = "endpoints[0].rules[1].allow";
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {params: {name: {glob: read}}}}]"));
    for other in ["{allow: {}}", "{}"] {
        let body = format!("mcp: {{allow_all_known_mcp_methods: true}}, rules: [{tool}, {other}]");
        rejected(&mcp(&body), rule, "allows every tool call");
    }
    for method in ["tools/call", "tools/*"] {
        let body = format!("rules: [{tool}, {{allow: {{method: {method}}}}}]");
        rejected(&mcp(&body), rule, "allows every tool call");
    }
    let denying = |deny: &str| mcp(&format!("rules: [{tool}], deny_rules: [{deny}]"));
    rejected(&denying("{method: tools/call}"), "endpoints[0].deny_rules[0]", "denies every tool call");
    accepted(&denying("{method: tools/call, tool: write}"));
    let first = "endpoints[0].rules[0].allow";
    rejected(&mcp("rules: [{allow: {method: resources/read, tool: a}}]"), first, "tools/call");
    rejected(&mcp("rules: [{allow: {path: '', tool: a}}]"), first, "needs a method");
    let wild = |strict: bool| {
        mcp(&format!(
            "mcp: {{strict_tool_names: {strict}}}, rules: [{{allow: {{method: tools/call, tool: 'read_*'}}}}]"
        ))
    };
    rejected(&wild(false), "endpoints[0].rules[0].allow.params.name", "strict tool names");
    accepted(&wild(true));
    accepted(&mcp("mcp: {allow_all_known_mcp_methods: true}"));
    rejected(&mcp("mcp: {}"), "endpoints[0]", "needs rules unless");
    rejected(&mcp("access: full"), "endpoints[0]", "no access presets");
}

#[test]
fn mcp_patterns_are_held_to_methods_and_tools() {
    let first = "endpoints[0].rules[0].allow";
    let rules = |allow: &str| mcp(&format!("rules: [{{allow: {allow}}}]"));
    rejected(&rules("{method: 'resources/*'}"), &format!("{first}.method"), "tools/ family");
    rejected(&rules("{method: ping, path: /a}"), first, "path and query");
    rejected(&rules("{method: ping, query: {a: b}}"), first, "path and query");
    let arguments = lint(&rules("{method: tools/call, params: {zeta: a, alpha: b}}"));
    let fields: Vec<_> = arguments.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, [format!("{first}.params.alpha"), format!("{first}.params.zeta")]);
    let selector = format!("{first}.params.name");
    rejected(&rules("{method: tools/call, tool: {glob: a, any: [b]}}"), &selector, "both glob and any");
    rejected(&rules("{method: tools/call, tool: {}}"), &selector, "empty");
    rejected(&endpoint("protocol: rest, access: full, mcp: {}"), "endpoints[0]", "only for protocol mcp");
    let rest = lint(&endpoint("protocol: rest, rules: [{allow: {method: GET, tool: a}}], deny_rules: [{tool: a}]"));
    let fields: Vec<_> = rest.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["endpoints[0].rules[0].allow.params", "endpoints[0].deny_rules[0].params"]);
}

/// A credential with a token grant: the credential's further keys, and those of the grant.
fn grant(credential: &str, grant: &str) -> String {
    format!(
        "credentials: [{{name: access_token, {credential} token_grant: {{{grant}}}}}]\n{}",
        endpoint("protocol: rest, access: full")
    )
}

#[test]
fn providers_scenario_49_token_endpoint() {
    let url = |url: &str| grant("", &format!("token_endpoint: '{url}'"));
    let field = "credentials.token_grant.token_endpoint";
    for insecure in [
        "http://auth.example.com/token",
        "http://x.default.svc.evil.com/token",
        "http://x..svc/token",
        "http://svc.cluster.local/token",
        "http://128.0.0.1/token",
        "ftp://localhost/token",
    ] {
        rejected(&url(insecure), field, "insecure");
    }
    for safe in [
        "https://auth.example.com/token",
        "http://127.0.0.1:8180/token",
        "http://127.9.9.9/token",
        "http://LocalHost/token",
        "http://[::1]/token",
        "http://[::ffff:127.0.0.1]/token",
        "http://x.default.svc/token",
        "http://x.default.svc.cluster.local/token",
        "http://x.default.svc.cluster.local./token",
    ] {
        accepted(&url(safe));
    }
    for relative in ["/token", "", "auth.example.com/token"] {
        rejected(&url(relative), field, "absolute");
    }
}

#[test]
fn providers_scenario_50_token_grant_placement() {
    let style = |credential: &str| grant(credential, "token_endpoint: 'https://auth.example.com/token'");
    let field = "credentials.token_grant.auth_style";
    rejected(&style("auth_style: query, query_param: q,"), field, "bearer");
    rejected(&style("auth_style: path, path_template: '/{credential}',"), field, "bearer");
    rejected(&style("auth_style: basic,"), field, "bearer");
    rejected(&style("auth_style: header,"), "credentials.header_name", "needs a header_name");
    for framing in ["Content-Length", "HOST", "transfer-encoding", "Connection"] {
        rejected(&style(&format!("auth_style: header, header_name: {framing},")), "credentials.header_name", "framing");
    }
    rejected(&style("header_name: 'a b',"), "credentials.header_name", "valid header name");
    accepted(&style("auth_style: Header, header_name: ' X-Token ',"));
    accepted(&style(""));
}

#[test]
fn providers_scenario_51_audience_overrides() {
    let overrides = |list: &str| grant("", &format!("token_endpoint: 'https://a/t', audience_overrides: [{list}]"));
    let field = "credentials.token_grant.audience_overrides";
    rejected(&overrides("{audience: a}, {audience: b, host: api.example.com}"), field, "indexes 0 and 1");
    accepted(&overrides("{audience: a, path: /v1/**}, {audience: b, path: /v1/admin/**}"));
    accepted(&overrides("{audience: a}, {audience: b, host: other.example.com}"));
    accepted(&overrides("{audience: a}, {audience: b, port: 80}"));
    let three = lint(&overrides("{audience: a}, {audience: b}, {audience: c}"));
    let texts: Vec<_> = three.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(texts.len(), 3);
    for (text, indexes) in texts.iter().zip(["indexes 0 and 1", "indexes 0 and 2", "indexes 1 and 2"]) {
        assert!(text.contains(indexes) && text.contains("ambiguous"), "{text}");
    }
}

/// Three credentials: the refreshed one, and the two that it fills. `{}` marks where outputs go.
fn triple(strategy: &str, outputs: &str, primary: &str, secret: &str) -> String {
    format!(
        "credentials:
          - {{name: key, env_vars: [{primary}], refresh: {{strategy: {strategy}, additional_outputs: [{outputs}]}}}}
          - {{name: secret, {secret}}}
          - {{name: session, env_vars: [AWS_SESSION_TOKEN]}}"
    )
}

#[test]
fn providers_scenario_52_sts_outputs() {
    const SECRET: &str = "{output: secret_access_key, credential: secret}";
    const SESSION: &str = "{output: session_token, credential: session}";
    const PRIMARY: &str = "AWS_ACCESS_KEY_ID";
    const FILLED: &str = "env_vars: [AWS_SECRET_ACCESS_KEY]";
    let outputs = "credentials.refresh.additional_outputs";
    let sts = |list: &str| triple("aws_sts_assume_role", list, PRIMARY, FILLED);
    let both = format!("{SECRET}, {SESSION}");
    accepted(&sts(&both));
    rejected(&sts(SECRET), outputs, "'session_token' is missing");
    let with = |more: &str| sts(&format!("{both}, {more}"));
    rejected(&with("{output: other, credential: session}"), &format!("{outputs}.output"), "does not produce");
    rejected(&with(SESSION), &format!("{outputs}.output"), "duplicate");
    rejected(&with("{output: ' ', credential: session}"), &format!("{outputs}.output"), "no output id");
    let target = format!("{outputs}.credential");
    rejected(
        &sts(&format!("{{output: secret_access_key, credential: gone}}, {SESSION}")),
        &target,
        "unknown credential",
    );
    let secret = |body: &str| triple("aws_sts_assume_role", &both, PRIMARY, body);
    rejected(&secret(&format!("{FILLED}, refresh: {{strategy: static}}")), &target, "already refreshed");
    rejected(&secret("env_vars: [OTHER]"), &target, "needs the env var AWS_SECRET_ACCESS_KEY");
    rejected(&secret("env_vars: []"), &target, "one and only one env var");
    let primary = triple("aws_sts_assume_role", &both, "OTHER_KEY", FILLED);
    rejected(&primary, "credentials.env_vars", "needs exactly the env var AWS_ACCESS_KEY_ID");
    let oauth = triple("oauth2_client_credentials", &both, PRIMARY, FILLED);
    rejected(&oauth, outputs, "does not support additional outputs");
}

#[test]
fn a_refresh_has_a_strategy_sensible_timings_and_named_material() {
    let refresh = |body: &str| format!("credentials: [{{name: a, refresh: {{{body}}}}}]");
    rejected(&refresh("token_url: x"), "credentials.refresh.strategy", "needs a strategy");
    for timing in ["refresh_before_seconds", "max_lifetime_seconds"] {
        let field = format!("credentials.refresh.{timing}");
        rejected(&refresh(&format!("strategy: static, {timing}: -1")), &field, "0 or more");
    }
    let material = |list: &str| refresh(&format!("strategy: external, material: [{list}]"));
    rejected(&material("{name: ' '}"), "credentials.refresh.material.name", "no name");
    rejected(&material("{name: a}, {name: ' a '}"), "credentials.refresh.material.name", "duplicate");
}

#[test]
fn listed_ports_replace_the_single_one_and_each_must_be_a_port() {
    accepted("endpoints: [{host: a, port: 99999, ports: [1, 65535]}]");
    rejected("endpoints: [{host: a, port: 443, ports: [1, 65536]}]", "endpoints[0]", "'a:65536'");
    rejected("endpoints: [{host: a, ports: [0]}]", "endpoints[0]", "'a:0'");
}

#[test]
fn discovery_names_are_trimmed_unique_and_declared() {
    let found = lint("credentials: [{name: ' a '}]\ndiscovery: {credentials: ['a ', a, '', b, b]}");
    let rows: Vec<_> = found.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(rows, ["1", "2", "3", "4"].map(|index| format!("discovery.credentials[{index}]")));
    reported(&found, "discovery.credentials[3]", "unknown");
    reported(&found, "discovery.credentials[4]", "duplicate");
}

#[test]
fn a_request_with_countless_problems_is_answered_in_few_words() {
    let overrides = vec![Default::default(); 9_000];
    let mut tied = profile(&format!("id: acme\ndisplay_name: Acme\n{}", grant("", "token_endpoint: 'https://a/t'")));
    tied.credentials[0].token_grant.as_mut().unwrap().audience_overrides = overrides;
    let found = validate::profiles(&[("f", &tied)]);
    assert!((100..10_000).contains(&found.len()), "{}", found.len());
    tied.endpoints = vec![tied.endpoints[0].clone(); 9_000];
    let found = validate::profiles(&[("f", &tied)]);
    assert_eq!(found.len(), 1);
    reported(&found, "credentials.token_grant.audience_overrides", "more than 10000 places");
}

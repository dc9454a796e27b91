//! `add_rule`: where the rule goes, what it adds, and what nobody inherits by it.

use super::*;

fn with_path(endpoint: NetworkEndpoint, path: &str) -> NetworkEndpoint {
    NetworkEndpoint { path: path.to_owned(), ..endpoint }
}

fn with_rules(host: &str, port: u32, rules: &[L7Rule]) -> NetworkEndpoint {
    NetworkEndpoint { rules: rules.to_vec(), ..rest(host, port, "") }
}

fn mcp(host: &str, port: u32) -> NetworkEndpoint {
    let mcp = Some(McpOptions { strict_tool_names: None, allow_all_known_mcp_methods: Some(true) });
    NetworkEndpoint { protocol: "mcp".to_owned(), mcp, ..bare(host, &[port]) }
}

/// The first endpoint of rule `a` after `incoming` was added to `existing`, both for the binary `/a`.
#[track_caller]
fn joined(existing: NetworkEndpoint, incoming: NetworkEndpoint) -> NetworkEndpoint {
    let merged = after(&policy(&[rule("a", &[existing], &["/a"])]), add("a", rule("a", &[incoming], &["/a"])));
    let endpoints = &merged.network_policies["a"].endpoints;
    assert_eq!(endpoints.len(), 1, "{endpoints:?}");
    endpoints[0].clone()
}

#[test]
fn uc_50_the_key_wins_over_an_endpoint_and_an_endpoint_over_a_new_rule() {
    let endpoint = || rest("x.example", 1, "full");
    let base = policy(&[
        rule("_provider_p", &[endpoint()], &["/a"]),
        rule("b", &[endpoint()], &["/a"]),
        rule("c", &[rest("X.example", 1, "full")], &["/a"]),
        rule("d", &[rest("y.example", 1, "full")], &["/a"]),
    ]);
    let extra = |host: &str| NetworkEndpoint { allow_encoded_slash: true, ..rest(host, 1, "") };
    let changed = |key: &str, operation: Operation| {
        let merged = after(&base, operation);
        let keys: Vec<_> = merged
            .network_policies
            .keys()
            .filter(|at| merged.network_policies.get(*at) != base.network_policies.get(*at))
            .collect();
        assert_eq!(keys, [key]);
    };
    changed("c", add("c", rule("", &[extra("x.example")], &["/a"])));
    changed("b", add("z", rule("", &[extra("x.example")], &["/a"])));
    changed("d", add("d", rule("", &[extra("x.example")], &["/a"])));
    changed("z", add("z", rule("", &[with_path(extra("x.example"), "/v1")], &["/a"])));
    changed("z", add("z", rule("", &[rest("x.example", 2, "")], &["/a"])));
    changed("z", add("z", rule("", &[rest("p.example", 2, "")], &["/a"])));
}

#[test]
fn uc_50_a_new_rule_is_named_after_its_key_when_it_has_no_name() {
    for (name, shown) in [("", "k"), ("n", "n")] {
        let merged = after(&policy(&[]), add("k", rule(name, &[bare("x.example", &[1])], &["/a"])));
        assert_eq!(merged.network_policies["k"].name, shown);
    }
}

#[test]
fn uc_51_a_rule_that_would_inherit_stands_alone_unless_it_was_addressed() {
    let base = policy(&[rule("r1", &[rest("x.example", 1, "read-only")], &["/a"])]);
    let proposal = || rule("", &[with_rules("x.example", 1, &[allowed("POST", "/x")])], &["/b"]);
    let merged = after(&base, add("r2", proposal()));
    assert_eq!(merged.network_policies["r1"], base.network_policies["r1"]);
    assert_eq!(merged.network_policies["r2"], NetworkPolicyRule { name: "r2".to_owned(), ..proposal() });
    assert!(matches!(refused(&base, add("r1", proposal())), Reason::NewBinaries { port: 1, .. }));
    // Other mistakes are told, also of a rule that was found by its endpoint.
    let reason = refused(&base, add("r2", rule("", &[mcp("x.example", 1)], &["/a"])));
    assert!(matches!(reason, Reason::OtherMcpContract { .. }), "{reason:?}");
}

#[test]
fn config_scenario_48_a_rule_for_the_same_endpoint_and_binaries_is_folded_in() {
    let merged = after(&policy(&[]), add("n1", rule("", &[rest("api.example.com", 443, "read-only")], &["/a"])));
    assert_eq!(merged, policy(&[rule("n1", &[rest("api.example.com", 443, "read-only")], &["/a"])]));
    let folded =
        after(&merged, add("n2", rule("", &[with_rules("api.example.com", 443, &[allowed("PUT", "/x")])], &["/a"])));
    assert_eq!(folded.network_policies.keys().collect::<Vec<_>>(), ["n1"]);
    assert!(folded.network_policies["n1"].endpoints[0].rules.contains(&allowed("PUT", "/x")));
}

#[test]
fn uc_52_an_incoming_rule_has_nothing_twice_and_its_ports_in_order() {
    let endpoint = NetworkEndpoint {
        host: "x.example".to_owned(),
        ports: vec![3, 1, 3],
        allowed_ips: vec!["10.0.0.2".to_owned(), "10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
        rules: vec![allowed("PUT", "/"), allowed("GET", "/"), allowed("PUT", "/")],
        deny_rules: vec![denied("PUT", "/"), denied("PUT", "/")],
        ..NetworkEndpoint::default()
    };
    let mut twice = rule("n", &[endpoint], &["/b", "/a", "/b"]);
    twice.binaries[2].harness = true;
    let merged = after(&policy(&[]), add("k", twice));
    let kept = NetworkEndpoint {
        allowed_ips: vec!["10.0.0.2".to_owned(), "10.0.0.1".to_owned()],
        rules: vec![allowed("PUT", "/"), allowed("GET", "/")],
        deny_rules: vec![denied("PUT", "/")],
        ..bare("x.example", &[1, 3])
    };
    assert_eq!(merged.network_policies["k"], rule("n", &[kept], &["/b", "/a"]));
    // A single port becomes a list.
    let single = NetworkEndpoint { ports: vec![], ..bare("x.example", &[7]) };
    let merged = after(&policy(&[]), add("k", rule("n", &[single], &["/a"])));
    assert_eq!(merged.network_policies["k"].endpoints, [bare("x.example", &[7])]);
}

#[test]
fn uc_53_the_first_endpoint_of_the_place_with_a_common_port_is_meant() {
    let base = policy(&[rule(
        "a",
        &[
            with_path(rest("x.example", 1, "full"), "/v1"),
            rest("x.example", 2, "full"),
            rest("X.EXAMPLE", 1, "full"),
            rest("x.example", 1, "full"),
        ],
        &["/a"],
    )]);
    let wider = |port| NetworkEndpoint { allow_encoded_slash: true, ..rest("x.example", port, "") };
    for (incoming, at) in [(wider(1), 2), (wider(2), 1), (with_path(wider(1), "/v1"), 0), (wider(3), 4)] {
        let merged = after(&base, add("a", rule("a", &[incoming], &["/a"])));
        let endpoints = &merged.network_policies["a"].endpoints;
        for (place, endpoint) in endpoints.iter().enumerate() {
            assert_eq!(endpoint.allow_encoded_slash, place == at, "{at}");
        }
        assert_eq!(endpoints.len(), 4.max(at + 1));
    }
}

#[test]
fn uc_54_what_is_set_stays_and_what_is_empty_is_filled() {
    let existing = NetworkEndpoint { enforcement: "audit".to_owned(), ..rest("x.example", 1, "read-only") };
    let incoming = NetworkEndpoint {
        protocol: "graphql".to_owned(),
        enforcement: "enforce".to_owned(),
        tls: "skip".to_owned(),
        ..rest("x.example", 1, "full")
    };
    let kept = NetworkEndpoint { tls: "skip".to_owned(), ..existing.clone() };
    assert_eq!(joined(existing, incoming.clone()), kept);
    assert_eq!(joined(bare("x.example", &[1]), incoming.clone()), incoming);
    let ports = joined(bare("x.example", &[5, 9]), bare("x.example", &[9, 2]));
    assert_eq!(ports, bare("x.example", &[2, 5, 9]));
}

#[test]
fn uc_54_rules_expand_a_preset_and_a_preset_counts_only_without_either() {
    let get = allowed("GET", "/");
    let preset = joined(rest("x.example", 1, "full"), with_rules("x.example", 1, std::slice::from_ref(&get)));
    assert_eq!(preset, with_rules("x.example", 1, &[allowed("*", "**"), get.clone()]));
    let rules = with_rules("x.example", 1, std::slice::from_ref(&get));
    assert_eq!(joined(rules.clone(), rest("x.example", 1, "full")), rules);
    let both = NetworkEndpoint { access: "full".to_owned(), ..with_rules("x.example", 1, &[allowed("PUT", "/")]) };
    assert_eq!(joined(rules, both), with_rules("x.example", 1, &[get, allowed("PUT", "/")]));
    assert_eq!(joined(rest("x.example", 1, ""), rest("x.example", 1, "full")), rest("x.example", 1, "full"));
    assert_eq!(joined(rest("x.example", 1, "full"), rest("x.example", 1, "read-only")), rest("x.example", 1, "full"));
    let odd = policy(&[rule("a", &[rest("x.example", 1, "odd")], &["/a"])]);
    let error = apply(&odd, &[add("a", rule("", &[with_rules("x.example", 1, &[allowed("GET", "/")])], &["/a"]))]);
    assert!(error.expect_err("an unknown preset").is_invalid());
}

#[test]
fn uc_54_lists_grow_and_flags_add_up() {
    let existing = NetworkEndpoint {
        allowed_ips: vec!["10.0.0.1".to_owned()],
        deny_rules: vec![denied("PUT", "/")],
        ..rest("x.example", 1, "full")
    };
    let incoming = NetworkEndpoint {
        allowed_ips: vec!["10.0.0.2".to_owned(), "10.0.0.1".to_owned()],
        deny_rules: vec![denied("PUT", "/"), denied("GET", "/")],
        allow_encoded_slash: true,
        websocket_credential_rewrite: true,
        request_body_credential_rewrite: true,
        allow_uninspected_credentials: true,
        advisor_proposed: true,
        ..rest("x.example", 1, "full")
    };
    let expected = NetworkEndpoint {
        allowed_ips: vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
        deny_rules: vec![denied("PUT", "/"), denied("GET", "/")],
        ..incoming.clone()
    };
    assert_eq!(joined(existing.clone(), incoming.clone()), expected);
    let mut kept = incoming;
    kept.allowed_ips.clear();
    kept.deny_rules.clear();
    assert_eq!(joined(kept.clone(), rest("x.example", 1, "full")), kept);
}

#[test]
fn uc_54_what_does_not_add_up_is_not_taken_over() {
    let incoming = NetworkEndpoint {
        persisted_queries: "deny".to_owned(),
        graphql_persisted_queries: [("q".to_owned(), GraphqlOperation::default())].into(),
        graphql_max_body_bytes: 1,
        credential_signing: "sigv4".to_owned(),
        signing_service: "s3".to_owned(),
        signing_region: "r".to_owned(),
        credential_binding: Some(NetworkCredentialBinding { provider: "p".to_owned() }),
        json_rpc_max_body_bytes: 1,
        mcp: Some(McpOptions::default()),
        provider_credentialed: true,
        ..rest("x.example", 1, "full")
    };
    assert_eq!(joined(rest("x.example", 1, "full"), incoming), rest("x.example", 1, "full"));
}

#[test]
fn uc_55_endpoints_that_are_not_touched_stay_as_they_are() {
    let odd = |host: &str| NetworkEndpoint {
        port: 9,
        ports: vec![3, 1, 3],
        host: host.to_owned(),
        ..NetworkEndpoint::default()
    };
    let base =
        policy(&[rule("a", &[odd("x.example"), odd("y.example")], &["/a"]), rule("b", &[odd("z.example")], &["/b"])]);
    let merged = after(&base, add("a", rule("a", &[bare("x.example", &[1])], &["/a"])));
    let expected = policy(&[
        rule("a", &[bare("x.example", &[1, 3]), odd("y.example")], &["/a"]),
        rule("b", &[odd("z.example")], &["/b"]),
    ]);
    assert_eq!(merged, expected);
}

#[test]
fn uc_57_a_new_binary_gets_only_what_is_declared_for_it() {
    let base = policy(&[rule("a", &[rest("x.example", 1, "read-only"), bare("y.example", &[1, 2])], &["/a"])]);
    let with = |endpoints: &[NetworkEndpoint], paths: &[&str]| apply(&base, &[add("a", rule("a", endpoints, paths))]);
    let all = [rest("X.example", 1, "read-only"), bare("y.example", &[1, 2])];
    let merged = with(&all, &["/a", "/b"]).expect("everything is declared");
    assert_eq!(merged.network_policies["a"].binaries, binaries(&["/a", "/b"]));
    assert_eq!(with(&all, &["/b"]).expect("nothing changes for /a"), merged);
    // Fields that the declaration leaves empty are taken as they are.
    assert!(with(&[bare("x.example", &[1]), bare("y.example", &[1, 2])], &["/b"]).is_ok());
    let any = with(&all, &[]).expect("everything is declared");
    assert!(any.network_policies["a"].binaries.is_empty());
    for (endpoints, host, port) in [
        (&all[..1], "y.example", 1),
        (&[rest("x.example", 1, "full"), bare("y.example", &[1, 2])][..], "x.example", 1),
        (&[rest("x.example", 1, "read-only"), bare("y.example", &[1])][..], "y.example", 2),
        (&[with_path(rest("x.example", 1, ""), "/v1"), bare("y.example", &[1, 2])][..], "x.example", 1),
    ] {
        for paths in [&["/b"][..], &["/a", "/b"][..], &[][..]] {
            let reason = with(endpoints, paths).expect_err("something is not declared").reason;
            assert_eq!(reason, Reason::NewBinaries { rule: "a".to_owned(), host: host.to_owned(), port }, "{paths:?}");
        }
    }
}

#[test]
fn uc_57_a_declaration_covers_what_it_is_a_superset_of() {
    let full = NetworkEndpoint {
        rules: vec![allowed("GET", "/a"), allowed("GET", "/b")],
        deny_rules: vec![denied("PUT", "/")],
        allowed_ips: vec!["10.0.0.1".to_owned()],
        allow_encoded_slash: true,
        signing_region: "r".to_owned(),
        graphql_max_body_bytes: 5,
        ..rest("x.example", 1, "")
    };
    let base = policy(&[rule("a", std::slice::from_ref(&full), &["/a"])]);
    let covered = |change: &dyn Fn(&mut NetworkEndpoint)| {
        let mut declared = full.clone();
        change(&mut declared);
        apply(&base, &[add("a", rule("a", &[declared], &["/a", "/b"]))]).is_ok()
    };
    let fine: [&dyn Fn(&mut NetworkEndpoint); 4] = [
        &|_| {},
        &|declared| declared.signing_region.clear(),
        &|declared| declared.graphql_max_body_bytes = 0,
        &|declared| declared.rules.push(allowed("GET", "/c")),
    ];
    assert!(fine.iter().all(|change| covered(change)));
    let short: [&dyn Fn(&mut NetworkEndpoint); 7] = [
        &|declared| drop(declared.rules.remove(0)),
        &|declared| declared.deny_rules.clear(),
        &|declared| declared.allowed_ips.clear(),
        &|declared| declared.allow_encoded_slash = false,
        &|declared| declared.signing_region = "other".to_owned(),
        &|declared| declared.graphql_max_body_bytes = 6,
        &|declared| declared.protocol = "websocket".to_owned(),
    ];
    for (at, change) in short.iter().enumerate() {
        assert!(!covered(change), "{at}");
    }
}

#[test]
fn uc_58_a_port_that_changes_is_named() {
    let base =
        policy(&[rule("a", &[NetworkEndpoint { ports: vec![1, 2], ..rest("x.example", 1, "read-only") }], &["/a"])]);
    let more = with_rules("x.example", 1, &[allowed("PUT", "/")]);
    let reason = refused(&base, add("a", rule("a", std::slice::from_ref(&more), &["/a"])));
    assert_eq!(reason, Reason::UnnamedPort { rule: "a".to_owned(), host: "x.example".to_owned(), port: 2 });
    let both = NetworkEndpoint { ports: vec![1, 2], ..more };
    let merged = after(&base, add("a", rule("a", &[both], &["/a"])));
    assert!(merged.network_policies["a"].endpoints[0].rules.contains(&allowed("PUT", "/")));
    // A new port that gets what the others have is named by being there.
    let extended = after(
        &base,
        add("a", rule("a", &[NetworkEndpoint { ports: vec![2, 3], ..rest("x.example", 2, "") }], &["/a"])),
    );
    assert_eq!(extended.network_policies["a"].endpoints[0].ports, [1, 2, 3]);
}

#[test]
fn uc_59_who_gets_a_change_is_listed() {
    let base =
        policy(&[rule("a", &[bare("x.example", &[1])], &["/a", "/b"]), rule("any", &[bare("y.example", &[1])], &[])]);
    let more = || [bare("z.example", &[1])];
    let reason = refused(&base, add("a", rule("", &more(), &["/a"])));
    assert_eq!(reason, Reason::UnlistedBinaries { rule: "a".to_owned(), missing: vec!["/b".to_owned()] });
    assert_eq!(after(&base, add("a", rule("", &more(), &["/b", "/a"]))).network_policies["a"].endpoints.len(), 2);
    let reason = refused(&base, add("any", rule("", &more(), &["/a"])));
    assert_eq!(reason, Reason::UnlistedBinaries { rule: "any".to_owned(), missing: vec![] });
    assert_eq!(after(&base, add("any", rule("", &more(), &[]))).network_policies["any"].endpoints.len(), 2);
    // Nothing changes, so nobody has to be listed.
    assert_eq!(after(&base, add("a", rule("", &[bare("x.example", &[1])], &["/a"]))), base);
    assert_eq!(after(&base, add("any", rule("", &[bare("y.example", &[1])], &["/a"]))), base);
}

#[test]
fn uc_60_endpoints_of_different_mcp_contracts_do_not_merge() {
    let strict = |host: &str| NetworkEndpoint {
        mcp: Some(McpOptions { strict_tool_names: Some(true), allow_all_known_mcp_methods: Some(true) }),
        json_rpc_max_body_bytes: 65_536,
        ..mcp(host, 1)
    };
    let changes: [&dyn Fn(&mut NetworkEndpoint); 4] = [
        &|endpoint| endpoint.mcp.as_mut().expect("options").strict_tool_names = Some(false),
        &|endpoint| endpoint.mcp.as_mut().expect("options").allow_all_known_mcp_methods = None,
        &|endpoint| endpoint.json_rpc_max_body_bytes = 1,
        &|endpoint| endpoint.protocol = "rest".to_owned(),
    ];
    for change in changes {
        let mut other = mcp("x.example", 1);
        change(&mut other);
        let base = policy(&[rule("a", &[other], &["/a"])]);
        let reason = refused(&base, add("a", rule("", &[mcp("x.example", 1)], &["/a"])));
        assert!(matches!(reason, Reason::OtherMcpContract { .. }), "{reason:?}");
    }
    // What is left out is the default.
    assert_eq!(joined(mcp("x.example", 1), strict("x.example")), mcp("x.example", 1));
}

#[test]
fn uc_60_an_endpoint_that_says_nothing_is_promoted_to_mcp() {
    let limited = NetworkEndpoint { json_rpc_max_body_bytes: 7, ..mcp("x.example", 1) };
    assert_eq!(joined(bare("x.example", &[1]), limited.clone()), limited);
    let says_something = NetworkEndpoint { json_rpc_max_body_bytes: 7, ..bare("x.example", &[1]) };
    let base = policy(&[rule("a", &[says_something], &["/a"])]);
    let reason = refused(&base, add("a", rule("", &[limited], &["/a"])));
    assert!(matches!(reason, Reason::OtherMcpContract { .. }), "{reason:?}");
}

#[test]
fn config_scenario_58_one_host_and_port_is_not_inspected_in_two_ways() {
    let base =
        policy(&[rule("a", &[mcp("h.example", 443)], &["/a"]), rule("_provider_p", &[mcp("p.example", 1)], &["/a"])]);
    let beside = |endpoint: NetworkEndpoint| add("b", rule("", &[with_path(endpoint, "/other")], &["/b"]));
    let conflict = apply(&base, &[beside(rest("H.example", 443, "full"))]).expect_err("a conflict");
    assert_eq!((conflict.operation, conflict.is_invalid()), (None, false));
    assert_eq!(conflict.reason, Reason::McpBesideOther { host: "h.example".to_owned(), port: 443 });
    let reason = refused(&base, beside(rest("p.example", 1, "full")));
    assert!(matches!(reason, Reason::McpBesideOther { .. }), "{reason:?}");
    let reason = refused(&base, beside(NetworkEndpoint { json_rpc_max_body_bytes: 1, ..mcp("h.example", 443) }));
    assert!(matches!(reason, Reason::SeveralMcpContracts { .. }), "{reason:?}");
    for fine in [mcp("h.example", 443), bare("h.example", &[443]), rest("h.example", 444, "full")] {
        assert_eq!(after(&base, beside(fine)).network_policies.len(), 3);
    }
}

#[test]
fn uc_60_a_conflict_that_was_there_before_is_not_the_operations_fault() {
    let base =
        policy(&[rule("a", &[mcp("h.example", 1)], &["/a"]), rule("b", &[rest("h.example", 1, "full")], &["/a"])]);
    let again = with_path(rest("h.example", 1, "full"), "/v1");
    assert_eq!(after(&base, add("c", rule("", &[again], &["/a"]))).network_policies.len(), 3);
    let other = with_path(NetworkEndpoint { json_rpc_max_body_bytes: 1, ..mcp("h.example", 1) }, "/v1");
    let reason = refused(&base, add("c", rule("", &[other], &["/a"])));
    assert!(matches!(reason, Reason::SeveralMcpContracts { .. }), "{reason:?}");
}

#[test]
fn uc_61_binaries_add_up_and_any_binary_swallows_the_rest() {
    let endpoints = [bare("x.example", &[1])];
    let merge = |before: &[&str], coming: &[&str]| {
        let merged = after(&policy(&[rule("a", &endpoints, before)]), add("a", rule("", &endpoints, coming)));
        merged.network_policies["a"].binaries.iter().map(|binary| binary.path.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(merge(&["/b"], &["/a", "/b"]), "/b /a");
    assert_eq!(merge(&["/b"], &[]), "");
    assert_eq!(merge(&[], &["/a"]), "");
}

#[test]
fn uc_61_a_binary_that_a_user_declares_again_is_no_longer_the_advisors() {
    let endpoints = [bare("x.example", &[1])];
    let marked = |mark: bool| {
        let mut rule = rule("a", &endpoints, &["/a"]);
        rule.binaries[0].harness = mark;
        rule
    };
    for (before, coming, kept) in [(true, false, false), (true, true, true), (false, true, false)] {
        let merged = after(&policy(&[marked(before)]), add("a", marked(coming)));
        assert_eq!(merged.network_policies["a"].binaries[0].harness, kept, "{before} {coming}");
    }
}

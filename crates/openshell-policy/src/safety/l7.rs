//! What an endpoint's protocol allows, needs and forbids. Hosts and ports are in `endpoint`.

use openshell_proto::sandbox::{L7Allow, NetworkEndpoint};

use super::Place;

/// Protocols whose messages are inspected.
const L7_PROTOCOLS: [&str; 6] = ["rest", "websocket", "graphql", "sql", "json-rpc", "mcp"];

/// Tells what is inconsistent between an endpoint's protocol and its other fields.
pub(super) fn check(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let protocol = endpoint.protocol.to_ascii_lowercase();
    let inspected = L7_PROTOCOLS.contains(&protocol.as_str());
    if !protocol.is_empty() && protocol != "tcp" && !inspected {
        // PM-27
        place.tell(
            "protocol",
            format!("'{}' is unknown; use {}, tcp or none", endpoint.protocol, L7_PROTOCOLS.join(", ")),
        );
    }
    if protocol == "tcp" {
        excluded_by_tcp(endpoint, place);
    }
    allow_base(endpoint, &protocol, place);
    deny_base(endpoint, &protocol, inspected, place);
    values(endpoint, place);
    if endpoint.protocol == "graphql" {
        operation_types(endpoint, place);
    }
}

/// PM-28: nothing of an opaque stream can be inspected.
fn excluded_by_tcp(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let present = [
        ("access", !endpoint.access.is_empty()),
        ("rules", !endpoint.rules.is_empty()),
        ("deny_rules", !endpoint.deny_rules.is_empty()),
        ("enforcement", !endpoint.enforcement.is_empty()),
        ("path", !endpoint.path.is_empty()),
        ("allow_encoded_slash", endpoint.allow_encoded_slash),
        ("websocket_credential_rewrite", endpoint.websocket_credential_rewrite),
        ("request_body_credential_rewrite", endpoint.request_body_credential_rewrite),
        ("persisted_queries", !endpoint.persisted_queries.is_empty()),
        ("graphql_persisted_queries", !endpoint.graphql_persisted_queries.is_empty()),
        ("graphql_max_body_bytes", endpoint.graphql_max_body_bytes != 0),
        ("json_rpc_max_body_bytes", endpoint.json_rpc_max_body_bytes != 0),
        ("mcp", endpoint.mcp.is_some()),
    ];
    for (field, there) in present {
        place.tell_if(there, field, "cannot be used with protocol tcp, whose content is not inspected");
    }
}

/// PM-29, PM-30, PM-31.
fn allow_base(endpoint: &NetworkEndpoint, protocol: &str, place: &mut Place<'_>) {
    let (rules, access) = (!endpoint.rules.is_empty(), !endpoint.access.is_empty());
    let allow_all = protocol == "mcp" && allows_all_mcp(endpoint);
    place.tell_if(rules && access, "access", "cannot be used together with rules; keep one of them");
    match protocol {
        "json-rpc" | "mcp" => {
            place.tell_if(access, "access", &format!("cannot be used with protocol {protocol}; write rules"));
            place.tell_if(
                !rules && !allow_all,
                "rules",
                if protocol == "mcp" {
                    "are missing; protocol mcp needs rules, or mcp.allow_all_known_mcp_methods: true"
                } else {
                    "are missing; protocol json-rpc needs rules"
                },
            );
        }
        "rest" | "websocket" | "graphql" | "sql" => {
            place.tell_if(
                !rules && !access,
                "rules",
                &format!("are missing; protocol {protocol} needs rules or access"),
            );
        }
        _ => {}
    }
    let says_something = endpoint.rules.iter().any(|rule| rule.allow.as_ref().is_some_and(|allow| !is_empty(allow)));
    place.tell_if(
        rules && !says_something && !allow_all,
        "rules",
        "allow nothing: no entry has a method, path, command, operation, fields or params",
    );
}

fn allows_all_mcp(endpoint: &NetworkEndpoint) -> bool {
    endpoint.mcp.as_ref().and_then(|mcp| mcp.allow_all_known_mcp_methods).unwrap_or(false)
}

/// `query` only narrows what the rest says, so it is not looked at.
fn is_empty(allow: &L7Allow) -> bool {
    [&allow.method, &allow.path, &allow.command, &allow.operation_type, &allow.operation_name]
        .iter()
        .all(|text| text.is_empty())
        && allow.fields.is_empty()
        && allow.params.is_empty()
}

/// PM-32.
fn deny_base(endpoint: &NetworkEndpoint, protocol: &str, inspected: bool, place: &mut Place<'_>) {
    if endpoint.deny_rules.is_empty() {
        return;
    }
    if !inspected {
        place.tell("deny_rules", "need a protocol that is inspected, such as rest");
    } else if protocol != "mcp" && endpoint.rules.is_empty() && endpoint.access.is_empty() {
        place.tell("deny_rules", "need rules or access to take away from");
    }
}

/// PM-33.
fn values(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let path = endpoint.path.as_str();
    if !path.is_empty() && !path.starts_with('/') && path != "**" {
        place.tell("path", format!("'{path}' must begin with '/' or be '**'"));
    }
    if !matches!(endpoint.persisted_queries.as_str(), "" | "deny" | "allow_registered") {
        let value = &endpoint.persisted_queries;
        place.tell("persisted_queries", format!("'{value}' is unknown; use deny or allow_registered"));
    }
    place.tell_if(
        endpoint.protocol == "sql" && endpoint.enforcement == "enforce",
        "enforcement",
        "enforce is not supported for protocol sql; use audit",
    );
    place.tell_if(endpoint.mcp.is_some() && endpoint.protocol != "mcp", "mcp", "needs protocol mcp");
}

/// PM-34.
fn operation_types(endpoint: &NetworkEndpoint, place: &mut Place<'_>) {
    let mut check = |field: String, value: &str| {
        if !matches!(value, "query" | "mutation" | "subscription") {
            place.tell(&field, format!("'{value}' is unknown; use query, mutation or subscription"));
        }
    };
    for (index, rule) in endpoint.rules.iter().enumerate() {
        if let Some(allow) = &rule.allow {
            check(format!("rules[{index}].allow.operation_type"), &allow.operation_type);
        }
    }
    for (index, deny) in endpoint.deny_rules.iter().enumerate() {
        check(format!("deny_rules[{index}].operation_type"), &deny.operation_type);
    }
    for (id, query) in &endpoint.graphql_persisted_queries {
        check(format!("graphql_persisted_queries.{id}.operation_type"), &query.operation_type);
    }
}

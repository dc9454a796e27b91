//! Rules about one endpoint: its shape, its protocol, and secrets that would travel uninspected
//! (providers.md 3.10). Rules of the MCP protocol have a module of their own.

use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkEndpoint};

use super::{Report, mcp};

const PORTS: std::ops::RangeInclusive<u32> = 1..=65535;

/// What the shape rules ask about an endpoint, worked out once.
struct Shape<'a> {
    /// Lower-cased, not trimmed.
    protocol: &'a str,
    access: bool,
    rules: bool,
    deny_rules: bool,
    allow_all_mcp: bool,
}

impl Shape<'_> {
    fn has_base(&self) -> bool {
        self.rules || self.access
    }
}

pub(super) fn endpoint(index: usize, endpoint: &NetworkEndpoint, credentialed: bool, report: &mut Report<'_>) {
    let field = format!("endpoints[{index}]");
    let protocol = endpoint.protocol.to_ascii_lowercase();
    let shape = Shape {
        protocol: &protocol,
        access: !endpoint.access.is_empty(),
        rules: !endpoint.rules.is_empty(),
        deny_rules: !endpoint.deny_rules.is_empty(),
        allow_all_mcp: mcp::allows_all(endpoint),
    };
    address(&field, endpoint, report);
    policy(&field, &shape, report);
    rules(&field, &shape, endpoint, report);
    if protocol == "tcp" {
        tcp(&field, endpoint, report);
    }
    mcp::rules(&field, endpoint, report);
    if credentialed {
        uninspected(&field, endpoint, report);
    }
}

fn address(field: &str, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    let ports = if endpoint.ports.is_empty() { std::slice::from_ref(&endpoint.port) } else { &endpoint.ports };
    let wrong = ports.iter().find(|port| !PORTS.contains(port));
    if endpoint.host.trim().is_empty() || wrong.is_some() {
        let port = wrong.or(ports.first()).copied().unwrap_or(endpoint.port);
        let message =
            format!("invalid endpoint '{}:{port}': a host and ports from 1 to 65535 are required", endpoint.host);
        report.error(field, message);
    }
}

/// V-EP-4 to V-EP-11: what a protocol needs and forbids.
fn policy(field: &str, shape: &Shape<'_>, report: &mut Report<'_>) {
    let (protocol, access) = (shape.protocol, shape.access);
    if !matches!(protocol, "" | "tcp" | "rest" | "websocket" | "graphql" | "sql" | "json-rpc" | "mcp") {
        let message = format!("unknown protocol {protocol:?}: use tcp, rest, websocket, graphql, sql, json-rpc or mcp");
        report.error(field, message);
    }
    report.error_if(
        protocol == "tcp" && (access || shape.rules || shape.deny_rules),
        field,
        "protocol tcp takes no access, rules or deny_rules: remove them, or name an inspected protocol",
    );
    report.error_if(shape.rules && access, field, "rules and access are mutually exclusive: keep one of them");
    report.error_if(
        protocol == "mcp" && access,
        field,
        "protocol mcp has no access presets: use rules, or mcp.allow_all_known_mcp_methods",
    );
    report.error_if(
        protocol == "json-rpc" && access,
        field,
        "protocol json-rpc has no access presets: use rules that name methods",
    );
    report.error_if(
        protocol == "json-rpc" && !shape.has_base(),
        field,
        "protocol json-rpc needs rules that name methods: add at least one",
    );
    report.error_if(
        matches!(protocol, "rest" | "websocket" | "graphql" | "sql") && !shape.has_base(),
        field,
        "protocol requires rules or access to define what is allowed: add one of them",
    );
    report.error_if(
        protocol == "mcp" && !shape.has_base() && !shape.allow_all_mcp,
        field,
        "protocol mcp needs rules unless mcp.allow_all_known_mcp_methods is true: add rules, or set it",
    );
}

/// V-EP-12 to V-EP-14: lists that would allow nothing, or deny from nothing.
fn rules(field: &str, shape: &Shape<'_>, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    let exempt = shape.protocol == "mcp" && shape.allow_all_mcp;
    report.error_if(
        shape.rules && !exempt && !endpoint.rules.iter().any(allows_something),
        field,
        "no rule has an allow that selects anything, so the list would deny all traffic: name a method, path, command \
         or operation",
    );
    let inspected = matches!(shape.protocol, "rest" | "websocket" | "graphql" | "sql" | "json-rpc" | "mcp");
    report.error_if(
        shape.deny_rules && !inspected,
        field,
        "deny_rules require protocol: name one that is inspected, such as rest",
    );
    report.error_if(
        shape.deny_rules && shape.protocol != "mcp" && !shape.has_base(),
        field,
        "deny_rules need something allowed to deny from: add rules or access",
    );
}

fn allows_something(rule: &L7Rule) -> bool {
    let selects = |allow: &L7Allow| {
        [&allow.method, &allow.path, &allow.command, &allow.operation_type, &allow.operation_name]
            .iter()
            .any(|selector| !selector.is_empty())
            || allow.params.contains_key(mcp::TOOL)
    };
    rule.allow.as_ref().is_some_and(selects)
}

/// V-EP-15: fields that mean nothing where nothing is inspected.
fn tcp(field: &str, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    let fields = [
        ("enforcement", !endpoint.enforcement.is_empty()),
        ("path", !endpoint.path.is_empty()),
        ("allow_encoded_slash", endpoint.allow_encoded_slash),
        ("websocket_credential_rewrite", endpoint.websocket_credential_rewrite),
        ("request_body_credential_rewrite", endpoint.request_body_credential_rewrite),
        ("persisted_queries", !endpoint.persisted_queries.is_empty()),
        ("graphql_persisted_queries", !endpoint.graphql_persisted_queries.is_empty()),
        ("graphql_max_body_bytes", endpoint.graphql_max_body_bytes > 0),
        ("json_rpc_max_body_bytes", endpoint.json_rpc_max_body_bytes > 0),
        ("mcp", endpoint.mcp.is_some()),
        ("credential_signing", !endpoint.credential_signing.is_empty()),
        ("signing_service", !endpoint.signing_service.is_empty()),
        ("signing_region", !endpoint.signing_region.is_empty()),
    ];
    let present: Vec<&str> = fields.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect();
    if !present.is_empty() {
        let message = format!("protocol tcp has L7-only fields: {}; remove them", present.join(", "));
        report.error(field, message);
    }
}

/// V-EP-30: a secret that would leave on a connection that nobody looks into.
fn uninspected(field: &str, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    if endpoint.allow_uninspected_credentials {
        return;
    }
    let mode = if endpoint.protocol.trim().is_empty() {
        "L4-only"
    } else if endpoint.tls.trim().eq_ignore_ascii_case("skip") {
        "tls: skip"
    } else {
        return;
    };
    let message = format!(
        "credentials could travel uninspected to this {mode} endpoint: name an inspected protocol and do not skip TLS, \
         or set allow_uninspected_credentials: true"
    );
    report.error(format!("{field}.allow_uninspected_credentials"), message);
}

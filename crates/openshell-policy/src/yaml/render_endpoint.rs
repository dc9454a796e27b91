//! Writing endpoints and their rules in the file form.

use std::collections::BTreeMap;

use openshell_proto::sandbox::{GraphqlOperation, L7Allow, L7DenyRule, L7QueryMatcher, NetworkEndpoint};
use serde_json::{Map, Value, json};

use super::endpoint::mcp_method;
use super::params::{self, TOOL};
use super::render::Object;

/// One endpoint, keys in the order of config.md PM-4, nothing empty (PM-10).
pub(super) fn endpoint(endpoint: &NetworkEndpoint) -> Value {
    let mut out = Object::default();
    out.put_some("host", endpoint.host.as_str());
    out.put_some("path", endpoint.path.as_str());
    match (endpoint.ports.as_slice(), endpoint.port) {
        ([], port) => out.put_some("port", port),
        // Written as `port`, a zero would be no port at all.
        ([port], _) if *port > 0 => out.put("port", *port),
        (ports, _) => out.put("ports", ports.to_vec()),
    }
    out.put_some("protocol", endpoint.protocol.as_str());
    out.put_some("tls", endpoint.tls.as_str());
    out.put_some("enforcement", endpoint.enforcement.as_str());
    out.put_some("access", endpoint.access.as_str());
    let rules = endpoint.rules.iter().map(|rule| {
        let allow = rule.allow.as_ref().map_or_else(|| Value::Object(Map::new()), |allow| entry(endpoint, allow));
        json!({ "allow": allow })
    });
    out.put_some("rules", rules.collect::<Vec<_>>());
    out.put_some("allowed_ips", endpoint.allowed_ips.clone());
    let deny_rules = endpoint.deny_rules.iter().map(|deny| entry(endpoint, &as_allow(deny)));
    out.put_some("deny_rules", deny_rules.collect::<Vec<_>>());
    out.put_some("allow_encoded_slash", endpoint.allow_encoded_slash);
    out.put_some("websocket_credential_rewrite", endpoint.websocket_credential_rewrite);
    out.put_some("request_body_credential_rewrite", endpoint.request_body_credential_rewrite);
    out.put_some("allow_uninspected_credentials", endpoint.allow_uninspected_credentials);
    out.put_some("persisted_queries", endpoint.persisted_queries.as_str());
    let queries = endpoint.graphql_persisted_queries.iter().map(|(id, one)| (id.clone(), operation(one)));
    out.put_some("graphql_persisted_queries", queries.collect::<Map<_, _>>());
    out.put_some("graphql_max_body_bytes", endpoint.graphql_max_body_bytes);
    out.put_some("credential_signing", endpoint.credential_signing.as_str());
    out.put_some("signing_service", endpoint.signing_service.as_str());
    out.put_some("signing_region", endpoint.signing_region.as_str());
    if let Some(binding) = &endpoint.credential_binding {
        out.put("credential_binding", json!({ "provider": binding.provider }));
    }
    protocol_block(endpoint, &mut out);
    Value::Object(out.0)
}

/// `mcp` for MCP (and wherever its options are set, so that they are not lost), otherwise `json_rpc`.
fn protocol_block(endpoint: &NetworkEndpoint, out: &mut Object) {
    let mut block = Object::default();
    block.put_some("max_body_bytes", endpoint.json_rpc_max_body_bytes);
    if let Some(mcp) = &endpoint.mcp {
        for (key, flag) in [
            ("strict_tool_names", mcp.strict_tool_names),
            ("allow_all_known_mcp_methods", mcp.allow_all_known_mcp_methods),
        ] {
            if let Some(flag) = flag {
                block.put(key, flag);
            }
        }
    }
    let key = if endpoint.protocol == "mcp" || endpoint.mcp.is_some() { "mcp" } else { "json_rpc" };
    out.put_some(key, block.0);
}

/// An allow or deny entry.
fn entry(endpoint: &NetworkEndpoint, allow: &L7Allow) -> Value {
    let mcp = endpoint.protocol == "mcp";
    let mut flat: BTreeMap<&str, &L7QueryMatcher> =
        allow.params.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tool = if mcp { flat.remove(TOOL) } else { None };
    let allow_all = endpoint.mcp.as_ref().and_then(|mcp| mcp.allow_all_known_mcp_methods).unwrap_or(false);
    let mut out = Object::default();
    if allow.method != mcp_method(&endpoint.protocol, allow_all, tool.is_some()) {
        out.put("method", allow.method.as_str());
    }
    out.put_some("path", allow.path.as_str());
    out.put_some("command", allow.command.as_str());
    let query = allow.query.iter().map(|(key, value)| (key.clone(), matcher(value)));
    out.put_some("query", query.collect::<Map<_, _>>());
    out.put_some("operation_type", allow.operation_type.as_str());
    out.put_some("operation_name", allow.operation_name.as_str());
    out.put_some("fields", allow.fields.clone());
    if let Some(tool) = tool {
        out.put("tool", matcher(tool));
    }
    let nested = if mcp { params::nested(&flat) } else { None };
    let params =
        nested.unwrap_or_else(|| flat.iter().map(|(key, value)| ((*key).to_owned(), matcher(value))).collect());
    out.put_some("params", params);
    Value::Object(out.0)
}

/// Deny entries are written like allow entries.
fn as_allow(deny: &L7DenyRule) -> L7Allow {
    L7Allow {
        method: deny.method.clone(),
        path: deny.path.clone(),
        command: deny.command.clone(),
        query: deny.query.clone(),
        operation_type: deny.operation_type.clone(),
        operation_name: deny.operation_name.clone(),
        fields: deny.fields.clone(),
        params: deny.params.clone(),
    }
}

/// A glob as a string, several as `{any: [...]}`.
pub(super) fn matcher(matcher: &L7QueryMatcher) -> Value {
    if matcher.any.is_empty() { Value::from(matcher.glob.as_str()) } else { json!({ "any": matcher.any }) }
}

fn operation(operation: &GraphqlOperation) -> Value {
    let mut out = Object::default();
    out.put_some("operation_type", operation.operation_type.as_str());
    out.put_some("operation_name", operation.operation_name.as_str());
    out.put_some("fields", operation.fields.clone());
    Value::Object(out.0)
}

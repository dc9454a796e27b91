//! Endpoints of a policy file and their rules.

use openshell_proto::sandbox::{
    GraphqlOperation, L7Allow, L7DenyRule, L7Rule, McpOptions, NetworkCredentialBinding, NetworkEndpoint,
};
use serde::Deserialize;

use super::params::{self, Params};
use super::values::{Matcher, UniqueMap};

/// One endpoint (config.md PM-4). The marks that only a gateway sets have no key (PM-9).
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EndpointFile {
    host: String,
    path: String,
    port: u16,
    ports: Vec<u16>,
    protocol: String,
    tls: String,
    enforcement: String,
    access: String,
    rules: Vec<RuleFile>,
    allowed_ips: Vec<String>,
    deny_rules: Vec<MatchFile>,
    allow_encoded_slash: bool,
    websocket_credential_rewrite: bool,
    request_body_credential_rewrite: bool,
    allow_uninspected_credentials: bool,
    persisted_queries: String,
    graphql_persisted_queries: UniqueMap<OperationFile>,
    graphql_max_body_bytes: u32,
    credential_signing: String,
    signing_service: String,
    signing_region: String,
    credential_binding: Option<BindingFile>,
    json_rpc: Option<JsonRpcFile>,
    mcp: Option<McpFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    allow: MatchFile,
}

/// What an allow or deny entry matches (config.md PM-7).
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct MatchFile {
    /// Kept apart from an empty text: for MCP, no method says something (see [`mcp_method`]).
    method: Option<String>,
    path: String,
    command: String,
    query: UniqueMap<Matcher>,
    operation_type: String,
    operation_name: String,
    fields: Vec<String>,
    tool: Option<Matcher>,
    params: Params,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct OperationFile {
    operation_type: String,
    operation_name: String,
    fields: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct BindingFile {
    provider: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct JsonRpcFile {
    max_body_bytes: u32,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct McpFile {
    max_body_bytes: u32,
    strict_tool_names: Option<bool>,
    allow_all_known_mcp_methods: Option<bool>,
}

/// The method that an MCP entry without the key `method` stands for: every method, or, when the endpoint
/// allows all known methods and the entry names a tool, calling it.
///
/// The written form leaves exactly these out (config.md PM-10), so reading must put them back: otherwise a
/// policy that was only fetched and sent again would be another policy.
pub(super) fn mcp_method(protocol: &str, allow_all: bool, has_tool: bool) -> &'static str {
    match (protocol, has_tool) {
        ("mcp", false) => "*",
        ("mcp", true) if allow_all => "tools/call",
        (_, _) => "",
    }
}

impl EndpointFile {
    /// The message that the entry stands for (config.md PM-5, PM-6).
    pub(super) fn into_endpoint(self) -> NetworkEndpoint {
        let ports: Vec<u32> = match (self.ports.is_empty(), self.port) {
            (false, _) => self.ports.into_iter().map(u32::from).collect(),
            (true, 0) => Vec::new(),
            (true, port) => vec![u32::from(port)],
        };
        let json_rpc_max_body_bytes = match (&self.mcp, &self.json_rpc) {
            (Some(mcp), _) => mcp.max_body_bytes,
            (None, Some(json_rpc)) => json_rpc.max_body_bytes,
            (None, None) => 0,
        };
        let mcp = self.mcp.map(|file| McpOptions {
            strict_tool_names: file.strict_tool_names,
            allow_all_known_mcp_methods: file.allow_all_known_mcp_methods,
        });
        let allow_all = mcp.as_ref().and_then(|mcp| mcp.allow_all_known_mcp_methods).unwrap_or(false);
        let protocol = self.protocol;
        let complete = |entry: MatchFile| entry.into_allow(&protocol, allow_all);
        NetworkEndpoint {
            host: self.host,
            port: ports.first().copied().unwrap_or(0),
            ports,
            rules: self.rules.into_iter().map(|rule| L7Rule { allow: Some(complete(rule.allow)) }).collect(),
            deny_rules: self.deny_rules.into_iter().map(|entry| into_deny(complete(entry))).collect(),
            protocol,
            tls: self.tls,
            enforcement: self.enforcement,
            access: self.access,
            allowed_ips: self.allowed_ips,
            allow_encoded_slash: self.allow_encoded_slash,
            persisted_queries: self.persisted_queries,
            graphql_persisted_queries: self.graphql_persisted_queries.map(|operation, _| GraphqlOperation {
                operation_type: operation.operation_type,
                operation_name: operation.operation_name,
                fields: operation.fields,
            }),
            graphql_max_body_bytes: self.graphql_max_body_bytes,
            path: self.path,
            websocket_credential_rewrite: self.websocket_credential_rewrite,
            request_body_credential_rewrite: self.request_body_credential_rewrite,
            advisor_proposed: false,
            credential_signing: self.credential_signing,
            signing_service: self.signing_service,
            signing_region: self.signing_region,
            json_rpc_max_body_bytes,
            mcp: mcp.filter(|mcp| mcp.strict_tool_names.is_some() || mcp.allow_all_known_mcp_methods.is_some()),
            credential_binding: self
                .credential_binding
                .map(|binding| NetworkCredentialBinding { provider: binding.provider }),
            allow_uninspected_credentials: self.allow_uninspected_credentials,
            provider_credentialed: false,
        }
    }
}

impl MatchFile {
    fn into_allow(self, protocol: &str, allow_all: bool) -> L7Allow {
        let mut flat = self.params.0;
        if let Some(tool) = self.tool {
            flat.entry(params::TOOL.to_owned()).or_insert(tool.0);
        }
        let method =
            self.method.unwrap_or_else(|| mcp_method(protocol, allow_all, flat.contains_key(params::TOOL)).to_owned());
        L7Allow {
            method,
            path: self.path,
            command: self.command,
            query: self.query.map(|matcher, _| matcher.0),
            operation_type: self.operation_type,
            operation_name: self.operation_name,
            fields: self.fields,
            params: flat,
        }
    }
}

fn into_deny(allow: L7Allow) -> L7DenyRule {
    L7DenyRule {
        method: allow.method,
        path: allow.path,
        command: allow.command,
        query: allow.query,
        operation_type: allow.operation_type,
        operation_name: allow.operation_name,
        fields: allow.fields,
        params: allow.params,
    }
}

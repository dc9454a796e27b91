//! Endpoints in a profile file, with their rules (providers.md 1.7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::matcher::MatcherFile;
use super::shape::is_default;

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "an endpoint: a mapping with host")]
pub(super) struct EndpointFile {
    pub(super) host: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) port: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) protocol: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) tls: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) access: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) enforcement: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<Vec<RuleFile>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) allowed_ips: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) ports: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deny_rules: Option<Vec<PatternFile>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) allow_encoded_slash: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) websocket_credential_rewrite: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) request_body_credential_rewrite: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) allow_uninspected_credentials: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) persisted_queries: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) graphql_persisted_queries: BTreeMap<String, OperationFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) graphql_max_body_bytes: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) json_rpc_max_body_bytes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mcp: Option<McpFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) credential_signing: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) signing_service: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) signing_region: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a rule: a mapping with allow")]
pub(super) struct RuleFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) allow: Option<PatternFile>,
}

/// What a request looks like that is allowed or denied: both have the same keys. `tool` is a
/// shorthand of files for `params.name` and never comes back in an export (F-MAP-2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a pattern: a mapping such as method and path")]
pub(super) struct PatternFile {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) method: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) command: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) query: BTreeMap<String, MatcherFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) operation_type: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) operation_name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) fields: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) params: BTreeMap<String, MatcherFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool: Option<MatcherFile>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a GraphQL operation: a mapping")]
pub(super) struct OperationFile {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) operation_type: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) operation_name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "MCP options: a mapping")]
pub(super) struct McpFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) strict_tool_names: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) allow_all_known_mcp_methods: Option<bool>,
}

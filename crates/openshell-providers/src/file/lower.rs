//! From the file form to the message: first the checks of what the message cannot express, then
//! field by field. Everything else is validated where the message arrives.

use std::collections::BTreeMap;

use openshell_proto::sandbox::{
    GraphqlOperation, L7Allow, L7DenyRule, L7QueryMatcher, L7Rule, McpOptions, NetworkBinary, NetworkEndpoint,
};
use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshMaterial, ProviderCredentialRefreshOutput,
    ProviderCredentialTokenGrant, ProviderCredentialTokenGrantAudienceOverride,
    ProviderCredentialTokenGrantSubjectToken, ProviderProfile, ProviderProfileCredential, ProviderProfileDiscovery,
};

use super::credential::{CredentialFile, OverrideFile, RefreshFile, SubjectTokenFile, TokenGrantFile};
use super::endpoint::{EndpointFile, OperationFile, PatternFile};
use super::matcher::MatcherFile;
use super::shape::ProfileFile;

/// A problem of a file that its message could not show any more: the first one found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FileProblem {
    /// The id as the file has it.
    pub profile_id: String,
    /// Where it is, as in a diagnostic: `endpoints[0]`, `endpoints[0].rules[1].allow`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// The message that a file means.
///
/// Errors: an empty list of rules or deny rules; for the protocol `mcp` a pattern with both `tool`
/// and `params.name`. Source: providers.md F-LOWER-1 to F-LOWER-3, F-MAP-1 to F-MAP-4.
pub fn lower(file: ProfileFile) -> Result<ProviderProfile, FileProblem> {
    for (index, endpoint) in file.endpoints.iter().enumerate() {
        if let Some((field, message)) = problem(index, endpoint) {
            return Err(FileProblem { profile_id: file.id, field, message });
        }
    }
    Ok(into_profile(file))
}

fn problem(index: usize, endpoint: &EndpointFile) -> Option<(String, String)> {
    let field = format!("endpoints[{index}]");
    if endpoint.rules.as_ref().is_some_and(Vec::is_empty) {
        let message = "rules list cannot be empty: it would deny all traffic; add a rule, or leave the key out";
        return Some((field, message.to_owned()));
    }
    if endpoint.deny_rules.as_ref().is_some_and(Vec::is_empty) {
        let message = "deny_rules list cannot be empty: it has no effect; add a rule, or leave the key out";
        return Some((field, message.to_owned()));
    }
    if endpoint.protocol != "mcp" {
        return None;
    }
    let both = |pattern: &PatternFile| pattern.tool.is_some() && pattern.params.contains_key("name");
    let allow = |place: usize| format!("{field}.rules[{place}].allow");
    let deny = |place: usize| format!("{field}.deny_rules[{place}]");
    let rules = endpoint.rules.iter().flatten();
    let allowing = rules.map(|rule| rule.allow.as_ref()).position(|pattern| pattern.is_some_and(both)).map(allow);
    let denying = || endpoint.deny_rules.iter().flatten().position(both).map(deny);
    let message = "tool and params.name select the same thing: keep one of them";
    Some((allowing.or_else(denying)?, message.to_owned()))
}

/// Field by field, unchecked. An empty list of rules becomes an absent one.
pub(super) fn into_profile(file: ProfileFile) -> ProviderProfile {
    let discovery = file.discovery.credentials;
    ProviderProfile {
        id: file.id,
        display_name: file.display_name,
        description: file.description,
        category: file.category.into(),
        credentials: file.credentials.into_iter().map(credential).collect(),
        endpoints: file.endpoints.into_iter().map(endpoint).collect(),
        binaries: file
            .binaries
            .into_iter()
            .map(|binary| NetworkBinary { path: binary.path, harness: binary.harness })
            .collect(),
        inference_capable: file.inference_capable,
        discovery: (!discovery.is_empty()).then_some(ProviderProfileDiscovery { credentials: discovery }),
        resource_version: file.resource_version,
        annotations: file.annotations,
        source: file.source,
        scope: file.scope,
        // What a gateway thinks of a profile is no part of its file.
        invalid_reason: String::new(),
    }
}

fn credential(file: CredentialFile) -> ProviderProfileCredential {
    ProviderProfileCredential {
        name: file.name,
        description: file.description,
        env_vars: file.env_vars,
        required: file.required,
        auth_style: file.auth_style,
        header_name: file.header_name,
        query_param: file.query_param,
        refresh: file.refresh.map(refresh),
        path_template: file.path_template,
        token_grant: file.token_grant.map(token_grant),
    }
}

fn refresh(file: RefreshFile) -> ProviderCredentialRefresh {
    let material = file.material.into_iter().map(|material| ProviderCredentialRefreshMaterial {
        name: material.name,
        description: material.description,
        required: material.required,
        secret: material.secret,
    });
    let outputs = file
        .additional_outputs
        .into_iter()
        .map(|output| ProviderCredentialRefreshOutput { output: output.output, credential: output.credential });
    ProviderCredentialRefresh {
        strategy: file.strategy.into(),
        token_url: file.token_url,
        scopes: file.scopes,
        refresh_before_seconds: file.refresh_before_seconds,
        max_lifetime_seconds: file.max_lifetime_seconds,
        material: material.collect(),
        additional_outputs: outputs.collect(),
    }
}

fn token_grant(file: TokenGrantFile) -> ProviderCredentialTokenGrant {
    ProviderCredentialTokenGrant {
        token_endpoint: file.token_endpoint,
        audience: file.audience,
        scopes: file.scopes,
        cache_ttl_seconds: file.cache_ttl_seconds,
        audience_overrides: file.audience_overrides.into_iter().map(audience_override).collect(),
        jwt_svid_audience: file.jwt_svid_audience,
        client_assertion_type: file.client_assertion_type,
        grant_type: file.grant_type.into(),
        subject_token: file.subject_token.map(subject_token),
        requested_token_type: file.requested_token_type,
    }
}

fn audience_override(file: OverrideFile) -> ProviderCredentialTokenGrantAudienceOverride {
    ProviderCredentialTokenGrantAudienceOverride {
        host: file.host,
        port: file.port,
        path: file.path,
        audience: file.audience,
        scopes: file.scopes,
    }
}

fn subject_token(file: SubjectTokenFile) -> ProviderCredentialTokenGrantSubjectToken {
    ProviderCredentialTokenGrantSubjectToken {
        source: file.source,
        credential: file.credential,
        subject_token_type: file.subject_token_type,
    }
}

fn endpoint(file: EndpointFile) -> NetworkEndpoint {
    let rules = file.rules.unwrap_or_default();
    NetworkEndpoint {
        host: file.host,
        port: file.port,
        protocol: file.protocol,
        tls: file.tls,
        enforcement: file.enforcement,
        access: file.access,
        rules: rules.into_iter().map(|rule| L7Rule { allow: rule.allow.map(allow) }).collect(),
        allowed_ips: file.allowed_ips,
        ports: file.ports,
        deny_rules: file.deny_rules.unwrap_or_default().into_iter().map(deny).collect(),
        allow_encoded_slash: file.allow_encoded_slash,
        persisted_queries: file.persisted_queries,
        graphql_persisted_queries: file
            .graphql_persisted_queries
            .into_iter()
            .map(|(id, query)| (id, operation(query)))
            .collect(),
        graphql_max_body_bytes: file.graphql_max_body_bytes,
        path: file.path,
        websocket_credential_rewrite: file.websocket_credential_rewrite,
        request_body_credential_rewrite: file.request_body_credential_rewrite,
        advisor_proposed: false,
        credential_signing: file.credential_signing,
        signing_service: file.signing_service,
        signing_region: file.signing_region,
        json_rpc_max_body_bytes: file.json_rpc_max_body_bytes,
        mcp: file.mcp.map(|mcp| McpOptions {
            strict_tool_names: mcp.strict_tool_names,
            allow_all_known_mcp_methods: mcp.allow_all_known_mcp_methods,
        }),
        credential_binding: None,
        allow_uninspected_credentials: file.allow_uninspected_credentials,
        provider_credentialed: false,
    }
}

fn operation(file: OperationFile) -> GraphqlOperation {
    GraphqlOperation { operation_type: file.operation_type, operation_name: file.operation_name, fields: file.fields }
}

fn allow(file: PatternFile) -> L7Allow {
    L7Allow {
        params: params(file.params, file.tool),
        method: file.method,
        path: file.path,
        command: file.command,
        query: matchers(file.query),
        operation_type: file.operation_type,
        operation_name: file.operation_name,
        fields: file.fields,
    }
}

fn deny(file: PatternFile) -> L7DenyRule {
    L7DenyRule {
        params: params(file.params, file.tool),
        method: file.method,
        path: file.path,
        command: file.command,
        query: matchers(file.query),
        operation_type: file.operation_type,
        operation_name: file.operation_name,
        fields: file.fields,
    }
}

/// `tool` becomes `params.name`, unless that is there already (F-MAP-2).
fn params(mut params: BTreeMap<String, MatcherFile>, tool: Option<MatcherFile>) -> BTreeMap<String, L7QueryMatcher> {
    if let Some(tool) = tool {
        params.entry("name".to_owned()).or_insert(tool);
    }
    matchers(params)
}

fn matchers(files: BTreeMap<String, MatcherFile>) -> BTreeMap<String, L7QueryMatcher> {
    let matcher = |file: MatcherFile| L7QueryMatcher { glob: file.glob, any: file.any };
    files.into_iter().map(|(key, file)| (key, matcher(file))).collect()
}

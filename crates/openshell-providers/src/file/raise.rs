//! From the message to the file form, field by field. What the file form cannot hold is dropped
//! here (providers.md F-MAP-3 to F-MAP-6).

use std::collections::BTreeMap;

use openshell_proto::sandbox::{L7Allow, L7DenyRule, L7QueryMatcher, NetworkEndpoint};
use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialTokenGrant, ProviderProfile, ProviderProfileCategory,
    ProviderProfileCredential,
};

use super::credential::{
    CredentialFile, MaterialFile, OutputFile, OverrideFile, RefreshFile, SubjectTokenFile, TokenGrantFile,
};
use super::endpoint::{EndpointFile, McpFile, OperationFile, PatternFile, RuleFile};
use super::matcher::{BinaryFile, MatcherFile};
use super::shape::{DiscoveryFile, ProfileFile};

/// The file form of a message. An unknown category is `other`; an unknown strategy or grant type is
/// the unspecified one, as the generated accessors have it.
pub(super) fn raise(profile: ProviderProfile) -> ProfileFile {
    ProfileFile {
        category: ProviderProfileCategory::try_from(profile.category).unwrap_or(ProviderProfileCategory::Other),
        id: profile.id,
        resource_version: profile.resource_version,
        annotations: profile.annotations,
        display_name: profile.display_name,
        description: profile.description,
        credentials: profile.credentials.into_iter().map(credential).collect(),
        endpoints: profile.endpoints.into_iter().map(endpoint).collect(),
        binaries: profile
            .binaries
            .into_iter()
            .map(|binary| BinaryFile { path: binary.path, harness: binary.harness })
            .collect(),
        inference_capable: profile.inference_capable,
        discovery: DiscoveryFile { credentials: profile.discovery.unwrap_or_default().credentials },
        source: profile.source,
        scope: profile.scope,
    }
}

fn credential(message: ProviderProfileCredential) -> CredentialFile {
    CredentialFile {
        name: message.name,
        description: message.description,
        env_vars: message.env_vars,
        required: message.required,
        auth_style: message.auth_style,
        header_name: message.header_name,
        query_param: message.query_param,
        refresh: message.refresh.map(refresh),
        path_template: message.path_template,
        token_grant: message.token_grant.map(token_grant),
    }
}

fn refresh(message: ProviderCredentialRefresh) -> RefreshFile {
    let material = message.material.iter().cloned().map(|material| MaterialFile {
        name: material.name,
        description: material.description,
        required: material.required,
        secret: material.secret,
    });
    let outputs = message
        .additional_outputs
        .iter()
        .cloned()
        .map(|output| OutputFile { output: output.output, credential: output.credential });
    RefreshFile {
        strategy: message.strategy(),
        material: material.collect(),
        additional_outputs: outputs.collect(),
        token_url: message.token_url,
        scopes: message.scopes,
        refresh_before_seconds: message.refresh_before_seconds,
        max_lifetime_seconds: message.max_lifetime_seconds,
    }
}

fn token_grant(message: ProviderCredentialTokenGrant) -> TokenGrantFile {
    let overrides = message.audience_overrides.iter().cloned().map(|chosen| OverrideFile {
        host: chosen.host,
        port: chosen.port,
        path: chosen.path,
        audience: chosen.audience,
        scopes: chosen.scopes,
    });
    TokenGrantFile {
        grant_type: message.grant_type(),
        audience_overrides: overrides.collect(),
        subject_token: message.subject_token.map(|subject| SubjectTokenFile {
            source: subject.source,
            credential: subject.credential,
            subject_token_type: subject.subject_token_type,
        }),
        token_endpoint: message.token_endpoint,
        audience: message.audience,
        jwt_svid_audience: message.jwt_svid_audience,
        client_assertion_type: message.client_assertion_type,
        scopes: message.scopes,
        cache_ttl_seconds: message.cache_ttl_seconds,
        requested_token_type: message.requested_token_type,
    }
}

fn endpoint(message: NetworkEndpoint) -> EndpointFile {
    let rules: Vec<_> = message.rules.into_iter().map(|rule| RuleFile { allow: rule.allow.map(allow) }).collect();
    let deny_rules: Vec<_> = message.deny_rules.into_iter().map(deny).collect();
    let queries = message.graphql_persisted_queries.into_iter().map(|(id, query)| {
        let (operation_type, operation_name) = (query.operation_type, query.operation_name);
        (id, OperationFile { operation_type, operation_name, fields: query.fields })
    });
    EndpointFile {
        graphql_persisted_queries: queries.collect(),
        rules: (!rules.is_empty()).then_some(rules),
        deny_rules: (!deny_rules.is_empty()).then_some(deny_rules),
        mcp: message.mcp.map(|mcp| McpFile {
            strict_tool_names: mcp.strict_tool_names,
            allow_all_known_mcp_methods: mcp.allow_all_known_mcp_methods,
        }),
        host: message.host,
        port: message.port,
        protocol: message.protocol,
        tls: message.tls,
        access: message.access,
        enforcement: message.enforcement,
        allowed_ips: message.allowed_ips,
        ports: message.ports,
        allow_encoded_slash: message.allow_encoded_slash,
        websocket_credential_rewrite: message.websocket_credential_rewrite,
        request_body_credential_rewrite: message.request_body_credential_rewrite,
        allow_uninspected_credentials: message.allow_uninspected_credentials,
        persisted_queries: message.persisted_queries,
        graphql_max_body_bytes: message.graphql_max_body_bytes,
        json_rpc_max_body_bytes: message.json_rpc_max_body_bytes,
        path: message.path,
        credential_signing: message.credential_signing,
        signing_service: message.signing_service,
        signing_region: message.signing_region,
    }
}

fn allow(message: L7Allow) -> PatternFile {
    PatternFile {
        method: message.method,
        path: message.path,
        command: message.command,
        query: matchers(message.query),
        operation_type: message.operation_type,
        operation_name: message.operation_name,
        fields: message.fields,
        params: matchers(message.params),
        tool: None,
    }
}

fn deny(message: L7DenyRule) -> PatternFile {
    PatternFile {
        method: message.method,
        path: message.path,
        command: message.command,
        query: matchers(message.query),
        operation_type: message.operation_type,
        operation_name: message.operation_name,
        fields: message.fields,
        params: matchers(message.params),
        tool: None,
    }
}

fn matchers(messages: BTreeMap<String, L7QueryMatcher>) -> BTreeMap<String, MatcherFile> {
    let matcher = |message: L7QueryMatcher| MatcherFile { glob: message.glob, any: message.any };
    messages.into_iter().map(|(key, message)| (key, matcher(message))).collect()
}

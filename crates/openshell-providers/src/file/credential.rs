//! Credentials in a profile file, with their refresh and token grant (providers.md 1.5, 1.6).

use openshell_proto::v1::{
    ProviderCredentialRefreshStrategy as Strategy, ProviderCredentialTokenGrantType as GrantType,
};
use serde::{Deserialize, Serialize};

use super::shape::is_default;
use super::words;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a credential: a mapping with name")]
pub(super) struct CredentialFile {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) env_vars: Vec<String>,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) auth_style: String,
    #[serde(default)]
    pub(super) header_name: String,
    #[serde(default)]
    pub(super) query_param: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<RefreshFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) path_template: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_grant: Option<TokenGrantFile>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a refresh: a mapping with strategy")]
pub(super) struct RefreshFile {
    #[serde(default = "words::default_strategy", with = "words::strategy")]
    pub(super) strategy: Strategy,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) token_url: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) refresh_before_seconds: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) max_lifetime_seconds: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) material: Vec<MaterialFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) additional_outputs: Vec<OutputFile>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a refresh material: a mapping with name")]
pub(super) struct MaterialFile {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) description: String,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) secret: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "an additional output: a mapping with output and credential")]
pub(super) struct OutputFile {
    pub(super) output: String,
    pub(super) credential: String,
}

/// The last three keys are of the wire but not of the specification's text; they follow the same
/// rules (omitted at their default).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a token grant: a mapping with token_endpoint")]
pub(super) struct TokenGrantFile {
    pub(super) token_endpoint: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) audience: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) jwt_svid_audience: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) client_assertion_type: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) cache_ttl_seconds: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) audience_overrides: Vec<OverrideFile>,
    #[serde(default, with = "words::grant_type", skip_serializing_if = "is_default")]
    pub(super) grant_type: GrantType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject_token: Option<SubjectTokenFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) requested_token_type: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "an audience override: a mapping with audience")]
pub(super) struct OverrideFile {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) host: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) port: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) path: String,
    pub(super) audience: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) scopes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a subject token: a mapping")]
pub(super) struct SubjectTokenFile {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) credential: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) subject_token_type: String,
}

//! `metadata.json` of a registration (`cli.md` 1.5). Keys are written in the order of the fields.

use serde::{Deserialize, Serialize};

use super::token::Giver;

/// What is known about a registered gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    /// The first URL, which is all that a released command line knows. Several, separated by commas, are
    /// understood.
    pub(crate) gateway_endpoint: String,
    pub(crate) is_remote: bool,
    /// Always written as 0; kept for the original's sake.
    pub(crate) gateway_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resolved_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_mode: Option<String>,
    #[serde(alias = "cf_team_domain", skip_serializing_if = "Option::is_none")]
    pub(crate) edge_team_domain: Option<String>,
    #[serde(alias = "cf_auth_url", skip_serializing_if = "Option::is_none")]
    pub(crate) edge_auth_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_scopes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vm_driver_state_dir: Option<String>,
    /// Further URLs of the same cluster. A key of ours, last in the file: released command lines ignore it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_gateway_endpoints: Vec<String>,
}

impl Metadata {
    /// All URLs, separated by commas.
    pub(crate) fn endpoints(&self) -> String {
        let all: Vec<_> = std::iter::once(&self.gateway_endpoint).chain(&self.more_gateway_endpoints).collect();
        all.into_iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// How callers prove who they are: the mode written down, else what the scheme suggests.
    pub(crate) fn auth(&self) -> &str {
        match &self.auth_mode {
            Some(mode) => mode,
            None if self.gateway_endpoint.starts_with("http://") => "plaintext",
            None => "mtls",
        }
    }

    /// Who gives tokens to those who log in; nobody when callers prove who they are otherwise.
    pub(crate) fn giver(&self) -> Option<Giver> {
        match self.auth() {
            "oidc" => Some(Giver::Oidc),
            "cloudflare_jwt" => Some(Giver::Edge),
            _ => None,
        }
    }

    /// `cloud`, `remote` or `local`.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.giver(), self.is_remote) {
            (Some(Giver::Edge), _) => "cloud",
            (_, true) => "remote",
            (_, false) => "local",
        }
    }

    /// The remote host, with what it resolved to where that is known.
    pub(crate) fn remote(&self) -> Option<String> {
        let host = self.remote_host.as_deref()?;
        Some(match &self.resolved_host {
            Some(resolved) => format!("{host} -> {resolved}"),
            None => host.to_owned(),
        })
    }

    /// As the file holds it.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

//! What is asked of a token endpoint, by strategy: the form of RFC 6749 (4.4 and 6) and RFC 7523
//! (`providers.md` 7.4, mint endpoints).

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openshell_proto::peer::MintFailure;
use openshell_proto::v1::{
    ProviderCredentialRefreshRecoveryAction as Recovery, ProviderCredentialRefreshStrategy as Strategy,
    StoredProviderCredentialRefreshState,
};
use openshell_state::decide::refresh;
use openshell_state::{Code, Opener};
use reqwest::Url;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;

use crate::jwt;

/// Where Google exchanges an assertion, when the profile names nothing else.
const GOOGLE: &str = "https://oauth2.googleapis.com/token";
/// Google takes no assertion that is valid for longer.
const ASSERTION_SECONDS_MAX: i64 = 3600;

/// One request to a token endpoint.
pub(super) struct Grant {
    pub(super) url: Url,
    pub(super) form: Vec<(&'static str, String)>,
}

/// The claims of a service account's assertion (RFC 7523, 3).
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    scope: String,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

/// The request that mints by this refresh state, its material opened. `now_ms` is milliseconds since the
/// Unix epoch.
pub(super) fn prepared(
    opener: &dyn Opener,
    state: &StoredProviderCredentialRefreshState,
    now_ms: i64,
) -> Result<Grant, MintFailure> {
    let material = refresh::opened(opener, state)
        .map_err(|refusal| misconfigured(Code::FailedPrecondition, "material_unreadable", refusal.message))?;
    match state.strategy() {
        Strategy::Oauth2RefreshToken => oauth2(state, &material, "refresh_token", &["client_id", "refresh_token"]),
        Strategy::Oauth2ClientCredentials => {
            oauth2(state, &material, "client_credentials", &["client_id", "client_secret"])
        }
        Strategy::GoogleServiceAccountJwt => google(state, &material, now_ms),
        Strategy::Unspecified | Strategy::Static | Strategy::External | Strategy::AwsStsAssumeRole => {
            let text = format!("strategy {} is not minted by this gateway", state.strategy().as_str_name());
            Err(misconfigured(Code::FailedPrecondition, "strategy_unsupported", text))
        }
    }
}

fn oauth2(
    state: &StoredProviderCredentialRefreshState,
    material: &BTreeMap<String, String>,
    grant_type: &str,
    needed: &[&'static str],
) -> Result<Grant, MintFailure> {
    let mut form = vec![("grant_type", grant_type.to_owned())];
    for name in needed {
        form.push((name, required(material, name)?.to_owned()));
    }
    // Public clients refresh without a secret.
    if let Some(secret) = given(material, "client_secret").filter(|_| !needed.contains(&"client_secret")) {
        form.push(("client_secret", secret.to_owned()));
    }
    if !state.scopes.is_empty() {
        form.push(("scope", state.scopes.join(" ")));
    }
    let text = match given(material, "tenant_id") {
        Some(tenant) => entra(tenant)?,
        None => state.token_url.clone(),
    };
    Ok(Grant { url: token_url(&text)?, form })
}

/// The token endpoint of a Microsoft Entra tenant, which is a word of the URL's path.
fn entra(tenant: &str) -> Result<String, MintFailure> {
    let tenant = tenant.trim();
    if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        let text = "material \"tenant_id\" must be a tenant's id or domain".to_owned();
        return Err(misconfigured(Code::InvalidArgument, "invalid_material", text));
    }
    Ok(format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"))
}

fn google(
    state: &StoredProviderCredentialRefreshState,
    material: &BTreeMap<String, String>,
    now_ms: i64,
) -> Result<Grant, MintFailure> {
    let issuer = required(material, "client_email")?;
    let key = required(material, "private_key")?;
    if state.scopes.is_empty() {
        let text = "at least one scope is required: name it in the profile or in material \"scopes\"".to_owned();
        return Err(misconfigured(Code::InvalidArgument, "missing_scope", text));
    }
    let text = if state.token_url.trim().is_empty() { GOOGLE } else { state.token_url.as_str() };
    let url = token_url(text)?;
    let lifetime = match state.max_lifetime_seconds {
        seconds if seconds > 0 => seconds.min(ASSERTION_SECONDS_MAX),
        _ => ASSERTION_SECONDS_MAX,
    };
    let iat = now_ms / 1000;
    let sub = given(material, "subject").or_else(|| given(material, "sub"));
    let claims =
        Assertion { iss: issuer, scope: state.scopes.join(" "), aud: url.as_str(), iat, exp: iat + lifetime, sub };
    // Keys come out of JSON files, sometimes with their line breaks still escaped.
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.replace("\\n", "\n").as_bytes());
    let signed = der.ok().and_then(|der| {
        jwt::install();
        let key = EncodingKey::from_rsa_der(der.secret_pkcs8_der());
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).ok()
    });
    let Some(assertion) = signed else {
        let text = "material \"private_key\" is not an RSA key in PEM (PKCS #8)".to_owned();
        return Err(misconfigured(Code::InvalidArgument, "invalid_material", text));
    };
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
    Ok(Grant { url, form: vec![("grant_type", grant_type), ("assertion", assertion)] })
}

fn given<'a>(material: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    material.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
}

fn required<'a>(material: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, MintFailure> {
    given(material, name).ok_or_else(|| {
        let text = format!("material {name:?} is missing; configure the refresh with it");
        misconfigured(Code::InvalidArgument, "missing_material", text)
    })
}

/// Secrets go over TLS, or do not leave the machine.
fn token_url(text: &str) -> Result<Url, MintFailure> {
    let refuse = |why: &str| {
        let text =
            format!("the profile's token_url {text:?} {why}; update the profile and configure the refresh again");
        Err(misconfigured(Code::FailedPrecondition, "invalid_token_url", text))
    };
    if text.trim().is_empty() {
        return refuse("is missing");
    }
    let Ok(url) = Url::parse(text.trim()) else { return refuse("is not an absolute URL") };
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if loopback => Ok(url),
        _ => refuse("is not https"),
    }
}

fn misconfigured(code: Code, failure_code: &str, message: String) -> MintFailure {
    MintFailure {
        code: code as u32,
        message,
        failure_code: failure_code.to_owned(),
        recovery_action: Recovery::FixConfiguration as i32,
        ..MintFailure::default()
    }
}

#[cfg(test)]
mod tests;

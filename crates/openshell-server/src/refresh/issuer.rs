//! The token endpoint over HTTP: one request, one answer, bounded in time and size. Of what it answers
//! to a failure only its own words of the standard are repeated: the rest may hold what it was sent.

use std::time::Duration;

use openshell_proto::peer::{MintFailure, Minted};
use openshell_proto::v1::ProviderCredentialRefreshRecoveryAction as Recovery;
use openshell_state::Code;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::refresh::grant::Grant;

/// No call to a token endpoint takes longer (`providers.md` 7.4).
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is larger.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A word of the endpoint's that is repeated is no longer.
const WORD_BYTES_MAX: usize = 64;

/// Calls token endpoints.
pub(super) struct Issuer {
    /// Or why there are none: a machine without certificates can still run a node.
    clients: Result<Clients, String>,
}

/// One for each way to an endpoint.
struct Clients {
    /// Through the proxy that the environment names, if it names one.
    away: Client,
    /// Never through one. Plain HTTP is for loopback alone (`grant`), which a proxy does not know, and there
    /// secrets would leave the machine in the clear.
    loopback: Client,
}

/// The answer of RFC 6749, 5.1. Some issuers write the lifetime as text.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    refresh_token: String,
}

/// The answer of RFC 6749, 5.2; `error_subtype` is Google's.
#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_subtype: Value,
}

impl Issuer {
    pub(super) fn new() -> Self {
        // Refused when it is there already, which is as good.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        // A redirected request would carry its secrets to somebody the profile does not name.
        let builder = || Client::builder().redirect(Policy::none()).timeout(PATIENCE).user_agent("openshell-gateway");
        let clients = || Ok(Clients { away: builder().build()?, loopback: builder().no_proxy().build()? });
        let clients =
            clients().map_err(|error: reqwest::Error| format!("the HTTP client of this node does not start: {error}"));
        Self { clients }
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// Why there is none, without a secret in it.
    pub(super) async fn ask(&self, grant: Grant) -> Result<Minted, MintFailure> {
        let clients = self.clients.as_ref().map_err(|reason| unreachable(reason.clone()))?;
        let client = if grant.url.scheme() == "http" { &clients.loopback } else { &clients.away };
        let host = grant.url.host_str().unwrap_or_default().to_owned();
        let sent = client.post(grant.url).header("accept", "application/json").form(&grant.form).send().await;
        let response =
            sent.map_err(|error| unreachable(format!("the token endpoint at {host} {}", what_failed(&error))))?;
        let status = response.status();
        let answer = read(response).await.map_err(|why| unreachable(format!("the token endpoint at {host} {why}")))?;
        if status.is_success() { minted(&host, &answer) } else { Err(refused(&host, status, &answer)) }
    }
}

/// In words of our own: the library's hold the whole URL.
fn what_failed(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke the connection off"
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, &'static str> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| what_failed(&error))? {
        if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err("answered with more than 64 KiB");
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn minted(host: &str, answer: &[u8]) -> Result<Minted, MintFailure> {
    let unusable = |why: &str| MintFailure {
        code: Code::FailedPrecondition as u32,
        message: format!("the token endpoint at {host} {why}"),
        failure_code: "invalid_response".to_owned(),
        recovery_action: Recovery::Investigate as i32,
        ..MintFailure::default()
    };
    let token: Token = serde_json::from_slice(answer).map_err(|_| unusable("did not answer with a token in JSON"))?;
    if token.access_token.trim().is_empty() {
        return Err(unusable("answered without an access_token"));
    }
    let lifetime_seconds = match &token.expires_in {
        Value::Number(seconds) => seconds.as_i64().or_else(|| seconds.as_f64().map(|seconds| seconds as i64)),
        Value::String(seconds) => seconds.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Ok(Minted {
        value: token.access_token,
        lifetime_seconds: lifetime_seconds.unwrap_or(0).max(0),
        refresh_token: token.refresh_token,
    })
}

fn refused(host: &str, status: StatusCode, answer: &[u8]) -> MintFailure {
    let complaint: Complaint = serde_json::from_slice(answer).unwrap_or_default();
    let (error, subtype) = (word(&complaint.error), word(&complaint.error_subtype));
    let recovery = match error.as_str() {
        "invalid_grant" => Recovery::Reauthorize,
        "invalid_client" | "unauthorized_client" | "invalid_scope" | "unsupported_grant_type" => {
            Recovery::FixConfiguration
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Recovery::Retry,
        _ => Recovery::Investigate,
    };
    let said = if error.is_empty() { String::new() } else { format!(": {error}") };
    MintFailure {
        code: Code::FailedPrecondition as u32,
        message: format!("the token endpoint at {host} refused with HTTP {}{said}", status.as_u16()),
        failure_code: if error.is_empty() { format!("http_{}", status.as_u16()) } else { error },
        provider_error_subtype: subtype,
        recovery_action: recovery as i32,
    }
}

/// A word as the standards define them; anything else is not repeated.
fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.len() <= WORD_BYTES_MAX && text.bytes().all(plain) { text.to_owned() } else { String::new() }
}

fn unreachable(message: String) -> MintFailure {
    MintFailure {
        code: Code::Unavailable as u32,
        message,
        failure_code: "unreachable".to_owned(),
        recovery_action: Recovery::Retry as i32,
        ..MintFailure::default()
    }
}

#[cfg(test)]
mod tests;

//! Who is calling (`config.md` 7.2): a sandbox by its token, a client certificate, or on loopback
//! without one the local developer; and who of them is platform admin. What else a principal may do
//! is not decided here.

use std::sync::Arc;
use std::time::Duration;

use openshell_raft::Clock;
use openshell_state::State;
use openshell_state::access::{Principal, User};
use tokio::time::Instant;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::sandbox::Tokens;

/// Finds out who is calling.
pub(crate) struct Authenticator {
    tokens: Arc<Tokens>,
    users: Users,
    clock: Arc<dyn Clock>,
}

/// Who is calling, and for how long that is so.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// What shows it, a token or a certificate, ends at this instant; none for what does not end.
    pub(crate) ends: Option<Instant>,
}

/// Where users come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    /// A verified client certificate.
    Certificates {
        /// The role of platform admins; without it every user is one (AU-19, AU-26).
        admin_role: Option<String>,
    },
    /// Whoever reaches the gateway on loopback is its developer.
    LocalDeveloper,
    /// Nobody can be told from anybody: what needs a user is refused.
    Nobody,
}

impl Users {
    /// With a client CA users show certificates; without one there is only the local developer,
    /// and only while the gateway listens on loopback.
    pub(crate) fn of(client_certificates: bool, admin_role: Option<String>, on_loopback: bool) -> Self {
        match (client_certificates, on_loopback) {
            (true, _) => Users::Certificates { admin_role },
            (false, true) => Users::LocalDeveloper,
            (false, false) => Users::Nobody,
        }
    }
}

impl Authenticator {
    pub(crate) fn new(tokens: Arc<Tokens>, users: Users, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, users, clock }
    }

    /// Who makes a call. A token that claims to be a sandbox's decides, whatever else the
    /// connection shows; any other is passed over (AU-4).
    pub(crate) fn caller<T>(&self, request: &Request<T>, state: &State) -> Result<Caller, Status> {
        if let Some(token) = bearer(request)
            && let Some(verified) = self.tokens.verify(state, token)?
        {
            let principal = Principal::Sandbox { id: verified.sandbox_id };
            return Ok(Caller { principal, ends: ends(verified.until_ms, self.tokens.now_ms(state)) });
        }
        self.user(request)
    }

    /// Who makes a call without a sandbox's token.
    fn user<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let admin_role = match &self.users {
            Users::Certificates { admin_role } => admin_role.as_deref(),
            Users::LocalDeveloper => return Ok(Caller { principal: local_developer(), ends: None }),
            Users::Nobody => return Ok(Caller { principal: Principal::Anonymous, ends: None }),
        };
        let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = connection.and_then(TlsConnectInfo::peer_certs);
        match certificates.as_ref().and_then(|chain| chain.first()) {
            Some(certificate) => certificate_user(certificate, admin_role, self.clock.now_ms()),
            None => Ok(Caller { principal: Principal::Anonymous, ends: None }),
        }
    }
}

/// The instant at which what is good until a time (milliseconds since the Unix epoch) ends, as long as clocks go
/// on as they do. None for what does not end, or later than any clock counts.
fn ends(until_ms: Option<i64>, now_ms: i64) -> Option<Instant> {
    let left_ms = u64::try_from(until_ms?.saturating_sub(now_ms)).unwrap_or(0);
    Instant::now().checked_add(Duration::from_millis(left_ms))
}

/// The token of a call's `authorization` header (RFC 6750), if it has one.
fn bearer<T>(request: &Request<T>) -> Option<&str> {
    let header = request.metadata().get("authorization")?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The user of a gateway that authenticates nobody (AU-9). Without an admin role every user is
/// platform admin (AU-26).
fn local_developer() -> Principal {
    Principal::User(User {
        subject: "unauthenticated-local-dev".to_owned(),
        display_name: String::new(),
        identity_provider: "local_dev".to_owned(),
        roles: vec!["openshell-user".to_owned(), "openshell-admin".to_owned()],
        scopes: vec!["openshell:all".to_owned()],
        platform_admin: true,
    })
}

/// The user of a verified client certificate: subject from CN, roles from OU (AU-8). It was valid when the
/// connection was made, by the clock of this node, and calls may still come over that when it is no longer.
fn certificate_user(der: &[u8], admin_role: Option<&str>, now_ms: i64) -> Result<Caller, Status> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Status::unauthenticated(format!("the client certificate cannot be read: {error}")))?;
    // The second that it ends in is still its own (RFC 5280, 4.1.2.5).
    let until_ms = certificate.validity().not_after.timestamp().saturating_add(1).saturating_mul(1000);
    if until_ms <= now_ms {
        return Err(Status::unauthenticated("the client certificate has expired: connect with another one"));
    }
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok());
    let common_name = common_name
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| Status::unauthenticated("the client certificate has no common name"))?;
    let roles = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).map(str::to_owned);
    let roles: Vec<String> = roles.collect();
    let platform_admin = admin_role.is_none_or(|admin| roles.iter().any(|role| role == admin));
    let principal = Principal::User(User {
        subject: common_name.to_owned(),
        display_name: common_name.to_owned(),
        identity_provider: "mtls".to_owned(),
        roles,
        scopes: Vec::new(),
        platform_admin,
    });
    Ok(Caller { principal, ends: ends(Some(until_ms), now_ms) })
}

#[cfg(test)]
mod tests;

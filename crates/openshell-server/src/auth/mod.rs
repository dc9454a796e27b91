//! Who is calling (`config.md` 7.2): a sandbox by its token, a client certificate, or on loopback
//! without one the local developer; and who of them is platform admin. What else a principal may do
//! is not decided here.

use std::sync::Arc;

use openshell_state::State;
use openshell_state::access::{Principal, User};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::sandbox::Tokens;

/// Finds out who is calling.
pub(crate) struct Authenticator {
    tokens: Arc<Tokens>,
    users: Users,
}

/// Who is calling, and for how long that is so.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The token that says it is refused from then on, milliseconds since the Unix epoch.
    pub(crate) until_ms: Option<i64>,
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
    pub(crate) fn new(tokens: Arc<Tokens>, users: Users) -> Self {
        Self { tokens, users }
    }

    /// Who makes a call. A token that claims to be a sandbox's decides, whatever else the
    /// connection shows; any other is passed over (AU-4).
    pub(crate) fn caller<T>(&self, request: &Request<T>, state: &State) -> Result<Caller, Status> {
        if let Some(token) = bearer(request)
            && let Some(verified) = self.tokens.verify(state, token)?
        {
            let principal = Principal::Sandbox { id: verified.sandbox_id };
            return Ok(Caller { principal, until_ms: verified.until_ms });
        }
        Ok(Caller { principal: self.user(request)?, until_ms: None })
    }

    /// The principal of a call without a sandbox's token.
    fn user<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        let admin_role = match &self.users {
            Users::Certificates { admin_role } => admin_role.as_deref(),
            Users::LocalDeveloper => return Ok(local_developer()),
            Users::Nobody => return Ok(Principal::Anonymous),
        };
        let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = connection.and_then(TlsConnectInfo::peer_certs);
        match certificates.as_ref().and_then(|chain| chain.first()) {
            Some(certificate) => certificate_user(certificate, admin_role),
            None => Ok(Principal::Anonymous),
        }
    }
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

/// The user of a verified client certificate: subject from CN, roles from OU (AU-8).
fn certificate_user(der: &[u8], admin_role: Option<&str>) -> Result<Principal, Status> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Status::unauthenticated(format!("the client certificate cannot be read: {error}")))?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok());
    let common_name = common_name
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| Status::unauthenticated("the client certificate has no common name"))?;
    let roles = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).map(str::to_owned);
    let roles: Vec<String> = roles.collect();
    let platform_admin = admin_role.is_none_or(|admin| roles.iter().any(|role| role == admin));
    Ok(Principal::User(User {
        subject: common_name.to_owned(),
        display_name: common_name.to_owned(),
        identity_provider: "mtls".to_owned(),
        roles,
        scopes: Vec::new(),
        platform_admin,
    }))
}

#[cfg(test)]
mod tests;

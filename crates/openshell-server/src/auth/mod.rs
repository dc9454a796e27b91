//! Who is calling (`config.md` 7.2): a client certificate, or on loopback without one the local
//! developer. What a principal may do is not decided here.

use openshell_state::access::{Principal, User};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Finds out who is calling.
pub(crate) struct Authenticator(Users);

/// Where users come from.
enum Users {
    /// A verified client certificate.
    Certificates,
    /// Whoever reaches the gateway on loopback is its developer.
    LocalDeveloper,
    /// Nobody can be told from anybody: what needs a user is refused.
    Nobody,
}

impl Authenticator {
    /// With a client CA users show certificates; without one there is only the local developer,
    /// and only while the gateway listens on loopback.
    pub(crate) fn new(client_certificates: bool, on_loopback: bool) -> Self {
        Self(match (client_certificates, on_loopback) {
            (true, _) => Users::Certificates,
            (false, true) => Users::LocalDeveloper,
            (false, false) => Users::Nobody,
        })
    }

    /// The principal of a call.
    pub(crate) fn principal<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        match self.0 {
            Users::Certificates => {}
            Users::LocalDeveloper => return Ok(local_developer()),
            Users::Nobody => return Ok(Principal::Anonymous),
        }
        let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = connection.and_then(TlsConnectInfo::peer_certs);
        match certificates.as_ref().and_then(|chain| chain.first()) {
            Some(certificate) => certificate_user(certificate),
            None => Ok(Principal::Anonymous),
        }
    }
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
fn certificate_user(der: &[u8]) -> Result<Principal, Status> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Status::unauthenticated(format!("the client certificate cannot be read: {error}")))?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok());
    let common_name = common_name
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| Status::unauthenticated("the client certificate has no common name"))?;
    let roles = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).map(str::to_owned);
    Ok(Principal::User(User {
        subject: common_name.to_owned(),
        display_name: common_name.to_owned(),
        identity_provider: "mtls".to_owned(),
        roles: roles.collect(),
        scopes: Vec::new(),
        platform_admin: true,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_certificate_is_nobody_when_one_is_required() {
        let principal = Authenticator::new(true, true).principal(&Request::new(())).unwrap();
        assert_eq!(principal, Principal::Anonymous);
        let Principal::User(user) = Authenticator::new(false, true).principal(&Request::new(())).unwrap() else {
            panic!("a local user is expected");
        };
        assert_eq!((user.subject.as_str(), user.platform_admin), ("unauthenticated-local-dev", true));
    }

    #[test]
    fn off_loopback_nobody_is_the_local_developer() {
        let principal = Authenticator::new(false, false).principal(&Request::new(())).unwrap();
        assert_eq!(principal, Principal::Anonymous);
    }

    #[test]
    fn a_certificate_that_is_none_is_refused() {
        assert!(certificate_user(b"nonsense").is_err());
    }
}

//! Who is calling (`config.md` 7.2): a sandbox by its token, a client certificate, or on loopback
//! without one the local developer. What a principal may do is not decided here.

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
    pub(crate) fn new(tokens: Arc<Tokens>, client_certificates: bool, on_loopback: bool) -> Self {
        let users = match (client_certificates, on_loopback) {
            (true, _) => Users::Certificates,
            (false, true) => Users::LocalDeveloper,
            (false, false) => Users::Nobody,
        };
        Self { tokens, users }
    }

    /// The principal of a call. A token that claims to be a sandbox's decides, whatever else the
    /// connection shows; any other is passed over (AU-4).
    pub(crate) fn principal<T>(&self, request: &Request<T>, state: &State) -> Result<Principal, Status> {
        if let Some(token) = bearer(request)
            && let Some(id) = self.tokens.verify(state, token)?
        {
            return Ok(Principal::Sandbox { id });
        }
        match self.users {
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
    use crate::sandbox::tokens::tests::{Hands, START_MS, formed, secrets};
    use std::time::Duration;
    use tonic::Code;

    fn authenticator(client_certificates: bool, on_loopback: bool) -> Authenticator {
        let tokens = Tokens::new(secrets(), Hands::at(START_MS), Duration::ZERO);
        Authenticator::new(Arc::new(tokens), client_certificates, on_loopback)
    }

    fn with_authorization(value: &str) -> Request<()> {
        let mut request = Request::new(());
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        request
    }

    #[test]
    fn a_missing_certificate_is_nobody_when_one_is_required() {
        let principal = authenticator(true, true).principal(&Request::new(()), &State::empty()).unwrap();
        assert_eq!(principal, Principal::Anonymous);
        let Principal::User(user) = authenticator(false, true).principal(&Request::new(()), &State::empty()).unwrap()
        else {
            panic!("a local user is expected");
        };
        assert_eq!((user.subject.as_str(), user.platform_admin), ("unauthenticated-local-dev", true));
    }

    #[test]
    fn off_loopback_nobody_is_the_local_developer() {
        let principal = authenticator(false, false).principal(&Request::new(()), &State::empty()).unwrap();
        assert_eq!(principal, Principal::Anonymous);
    }

    #[test]
    fn a_sandboxes_token_decides_before_anything_else() {
        let state = formed("one", &secrets());
        for authenticator in [authenticator(true, false), authenticator(false, true), authenticator(false, false)] {
            let token = authenticator.tokens.mint(&state, "box").unwrap().token;
            for scheme in ["Bearer", "bearer"] {
                let request = with_authorization(&format!("{scheme} {token}"));
                let principal = authenticator.principal(&request, &state).unwrap();
                assert_eq!(principal, Principal::Sandbox { id: "box".to_owned() });
            }
            // One that is not valid must not make a sandbox the developer of the machine.
            let request = with_authorization(&format!("Bearer {}", &token[..token.len() - 8]));
            assert_eq!(authenticator.principal(&request, &state).unwrap_err().code(), Code::Unauthenticated);
        }
    }

    #[test]
    fn a_header_that_is_no_sandboxes_token_is_passed_over() {
        let state = formed("one", &secrets());
        for value in ["Bearer opaque", "Basic dXNlcjpwYXNz", "Bearer", ""] {
            let principal = authenticator(true, true).principal(&with_authorization(value), &state).unwrap();
            assert_eq!(principal, Principal::Anonymous, "{value:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_none_is_refused() {
        assert!(certificate_user(b"nonsense").is_err());
    }
}

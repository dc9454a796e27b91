//! Who a call is taken to come from.

use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use tonic::Code;

use super::*;
use crate::sandbox::tokens::tests::{Hands, START_MS, formed, secrets};

fn authenticator(users: Users) -> Authenticator {
    let tokens = Tokens::new(secrets(), Hands::at(START_MS), Duration::ZERO);
    Authenticator::new(Arc::new(tokens), users, Hands::at(START_MS))
}

fn certificates() -> Users {
    Users::Certificates { admin_role: None }
}

/// A certificate with these attributes, in order.
fn certificate(attributes: &[(DnType, &str)]) -> Vec<u8> {
    certificate_until((2100, 1, 1), attributes)
}

/// A certificate that is valid until this day begins, and for its first second.
fn certificate_until((year, month, day): (i32, u8, u8), attributes: &[(DnType, &str)]) -> Vec<u8> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.not_after = rcgen::date_time_ymd(year, month, day);
    parameters.distinguished_name = DistinguishedName::new();
    for (kind, value) in attributes {
        parameters.distinguished_name.push(kind.clone(), *value);
    }
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn user(certificate: &[u8], admin_role: Option<&str>) -> User {
    match certificate_user(certificate, admin_role, START_MS).unwrap().principal {
        Principal::User(user) => user,
        other => panic!("a user is expected: {other:?}"),
    }
}

fn with_authorization(value: &str) -> Request<()> {
    let mut request = Request::new(());
    request.metadata_mut().insert("authorization", value.parse().unwrap());
    request
}

#[test]
fn au_5_and_6_a_missing_certificate_is_nobody_when_one_is_required() {
    let principal = authenticator(certificates()).caller(&Request::new(()), &State::empty()).unwrap().principal;
    assert_eq!(principal, Principal::Anonymous);
    assert_eq!(Users::of(true, None, true), certificates(), "also on loopback");
    let admin_role = || Some("ops".to_owned());
    assert_eq!(Users::of(true, admin_role(), false), Users::Certificates { admin_role: admin_role() });
}

#[test]
fn au_9_without_certificates_the_caller_on_loopback_is_the_local_developer() {
    assert_eq!(Users::of(false, None, true), Users::LocalDeveloper);
    let principal = authenticator(Users::LocalDeveloper).caller(&Request::new(()), &State::empty()).unwrap().principal;
    let Principal::User(user) = principal else { panic!("a user is expected: {principal:?}") };
    assert_eq!((user.subject.as_str(), user.identity_provider.as_str()), ("unauthenticated-local-dev", "local_dev"));
    assert_eq!(user.roles, ["openshell-user", "openshell-admin"]);
    assert_eq!(user.scopes, ["openshell:all"]);
    assert!(user.platform_admin);
}

#[test]
fn off_loopback_nobody_is_the_local_developer() {
    assert_eq!(Users::of(false, None, false), Users::Nobody);
    let principal = authenticator(Users::Nobody).caller(&Request::new(()), &State::empty()).unwrap().principal;
    assert_eq!(principal, Principal::Anonymous);
}

#[test]
fn au_8_a_certificates_cn_is_the_user_and_its_ous_are_the_roles() {
    let der = certificate(&[
        (DnType::OrganizationName, "Acme"),
        (DnType::CommonName, "mia"),
        (DnType::OrganizationalUnitName, "openshell-user"),
        // The same attribute once more, which the library takes once by its name.
        (DnType::CustomDnType(vec![2, 5, 4, 11]), "ops"),
    ]);
    let user = user(&der, None);
    assert_eq!((user.subject.as_str(), user.identity_provider.as_str()), ("mia", "mtls"));
    assert_eq!(user.roles, ["openshell-user", "ops"], "the organisation is no role");
    assert_eq!(user.scopes, Vec::<String>::new());
    for nameless in
        [certificate(&[(DnType::OrganizationalUnitName, "openshell-admin")]), certificate(&[(DnType::CommonName, " ")])]
    {
        let status = certificate_user(&nameless, None, START_MS).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
    assert!(certificate_user(b"nonsense", None, START_MS).is_err());
}

#[test]
fn au_19_and_26_who_has_the_admin_role_is_platform_admin_and_everybody_where_there_is_none() {
    let with = |unit: &str| certificate(&[(DnType::CommonName, "mia"), (DnType::OrganizationalUnitName, unit)]);
    let without = certificate(&[(DnType::CommonName, "mia")]);
    assert!(user(&without, None).platform_admin);
    assert!(user(&with("ops"), Some("ops")).platform_admin);
    for certificate in [without, with("OPS"), with("ops "), with("openshell-admin")] {
        assert!(!user(&certificate, Some("ops")).platform_admin);
    }
}

#[test]
fn au_4_a_sandboxes_token_decides_before_anything_else() {
    let state = formed("one", &secrets());
    for users in [certificates(), Users::LocalDeveloper, Users::Nobody] {
        let authenticator = authenticator(users);
        let token = authenticator.tokens.mint(&state, "box").unwrap().token;
        for scheme in ["Bearer", "bearer"] {
            let request = with_authorization(&format!("{scheme} {token}"));
            let principal = authenticator.caller(&request, &state).unwrap().principal;
            assert_eq!(principal, Principal::Sandbox { id: "box".to_owned() });
        }
        // One that is not valid must not make a sandbox the developer of the machine.
        let request = with_authorization(&format!("Bearer {}", &token[..token.len() - 8]));
        assert_eq!(authenticator.caller(&request, &state).unwrap_err().code(), Code::Unauthenticated);
    }
}

#[test]
fn au_4_a_header_that_is_no_sandboxes_token_is_passed_over() {
    let state = formed("one", &secrets());
    for value in ["Bearer opaque", "Basic dXNlcjpwYXNz", "Bearer", ""] {
        let principal = authenticator(certificates()).caller(&with_authorization(value), &state).unwrap().principal;
        assert_eq!(principal, Principal::Anonymous, "{value:?}");
    }
}

/// The caller's credential ends in so many seconds from now.
#[track_caller]
fn ends_in(seconds: u64, caller: impl FnOnce() -> Caller) {
    let (before, left) = (Instant::now(), Duration::from_secs(seconds));
    let ends = caller().ends.expect("it ends");
    assert!(before + left <= ends && ends <= Instant::now() + left, "{:?}", ends - before);
}

#[test]
fn a_caller_is_who_it_is_for_as_long_as_its_token_or_certificate_is_good() {
    let tokens = Tokens::new(secrets(), Hands::at(START_MS), Duration::from_secs(600));
    let state = formed("one", &secrets());
    let bearer = with_authorization(&format!("Bearer {}", tokens.mint(&state, "box").unwrap().token));
    let authenticator = Authenticator::new(Arc::new(tokens), Users::LocalDeveloper, Hands::at(START_MS));
    // As long as calls with it are taken (AU-11), through the second that it ends in.
    ends_in(600 + 61, || authenticator.caller(&bearer, &state).unwrap());
    assert_eq!(authenticator.caller(&Request::new(()), &state).unwrap().ends, None, "a developer shows nothing");

    let last_ms = 1_893_456_000_000;
    let der = certificate_until((2030, 1, 1), &[(DnType::CommonName, "mia")]);
    ends_in(600 + 1, || certificate_user(&der, None, last_ms - 600_000).unwrap());
    ends_in(1, || certificate_user(&der, None, last_ms).unwrap());
    let status = certificate_user(&der, None, last_ms + 1_000).unwrap_err();
    assert_eq!((status.code(), status.message().contains("has expired")), (Code::Unauthenticated, true), "{status}");
}

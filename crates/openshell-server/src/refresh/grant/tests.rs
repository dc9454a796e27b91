//! What is asked of token endpoints, by strategy, and what is refused before anybody is asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openshell_proto::datamodel::CredentialHandle;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::Value;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

/// Opens what it is given as it is.
struct Plain;

impl Opener for Plain {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, sealed: &str) -> Option<Vec<u8>> {
        Some(sealed.as_bytes().to_vec())
    }
}

fn state(strategy: Strategy, material: &[(&str, &str)]) -> StoredProviderCredentialRefreshState {
    let handle = |value: &str| CredentialHandle { handle: value.to_owned(), ..CredentialHandle::default() };
    StoredProviderCredentialRefreshState {
        strategy: strategy as i32,
        token_url: "https://auth.example.com/token".to_owned(),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        secret_material_handles: material.iter().map(|(name, value)| ((*name).to_owned(), handle(value))).collect(),
        ..StoredProviderCredentialRefreshState::default()
    }
}

fn form(grant: &Grant) -> Vec<(&str, &str)> {
    grant.form.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn failure(state: &StoredProviderCredentialRefreshState) -> MintFailure {
    prepared(&Plain, state, NOW_MS).err().expect("a failure")
}

#[test]
fn a_refresh_token_is_exchanged_with_the_clients_secret_or_without() {
    let material = [("client_id", "me"), ("refresh_token", "r"), ("client_secret", "s")];
    let grant = prepared(&Plain, &state(Strategy::Oauth2RefreshToken, &material), NOW_MS).unwrap();
    assert_eq!(grant.url.as_str(), "https://auth.example.com/token");
    let expected = [
        ("grant_type", "refresh_token"),
        ("client_id", "me"),
        ("refresh_token", "r"),
        ("client_secret", "s"),
        ("scope", "a b"),
    ];
    assert_eq!(form(&grant), expected);
    let public = prepared(&Plain, &state(Strategy::Oauth2RefreshToken, &material[..2]), NOW_MS).unwrap();
    assert!(form(&public).iter().all(|(name, _)| *name != "client_secret"));
}

#[test]
fn client_credentials_need_both_halves() {
    let material = [("client_id", "me"), ("client_secret", "s")];
    let mut complete = state(Strategy::Oauth2ClientCredentials, &material);
    complete.scopes.clear();
    let grant = prepared(&Plain, &complete, NOW_MS).unwrap();
    assert_eq!(form(&grant), [("grant_type", "client_credentials"), ("client_id", "me"), ("client_secret", "s")]);
    let lacking = failure(&state(Strategy::Oauth2ClientCredentials, &[("client_id", "me"), ("client_secret", " ")]));
    assert_eq!((lacking.code, lacking.failure_code.as_str()), (Code::InvalidArgument as u32, "missing_material"));
    assert!(lacking.message.contains("client_secret"));
}

#[test]
fn a_tenant_takes_the_place_of_the_profiles_endpoint_and_cannot_leave_its_place() {
    let material = |tenant| [("client_id", "me"), ("client_secret", "s"), ("tenant_id", tenant)];
    let of = |tenant| prepared(&Plain, &state(Strategy::Oauth2ClientCredentials, &material(tenant)), NOW_MS);
    let url = of("contoso.example").unwrap().url;
    assert_eq!(url.as_str(), "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token");
    for tenant in ["../x", "a/b", "a?b", "a@b", "a%2f"] {
        assert_eq!(of(tenant).err().expect(tenant).failure_code, "invalid_material");
    }
}

#[test]
fn secrets_go_over_tls_or_stay_on_the_machine() {
    let material = [("client_id", "me"), ("client_secret", "s")];
    let of = |url: &str| {
        let state = state(Strategy::Oauth2ClientCredentials, &material);
        prepared(&Plain, &StoredProviderCredentialRefreshState { token_url: url.to_owned(), ..state }, NOW_MS)
    };
    for url in ["https://x/token", "http://localhost:1/t", "http://127.0.0.1/t", "http://[::1]:9/t"] {
        assert!(of(url).is_ok(), "{url}");
    }
    for url in
        ["", " ", "/token", "http://x/token", "http://127.0.0.2/t", "http://localhost.evil.com/t", "ftp://localhost/"]
    {
        let failure = of(url).err().expect(url);
        assert_eq!(
            (failure.code, failure.failure_code.as_str()),
            (Code::FailedPrecondition as u32, "invalid_token_url")
        );
    }
}

#[test]
fn a_service_account_asserts_itself_with_its_key() {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let public = key.to_public_key().to_pkcs1_der().unwrap();
    let escaped = key.to_pkcs8_pem(LineEnding::LF).unwrap().trim().replace('\n', "\\n");
    let material = [("client_email", "robot@example.com"), ("private_key", escaped.as_str()), ("subject", "boss")];
    let state = state(Strategy::GoogleServiceAccountJwt, &material);
    let state = StoredProviderCredentialRefreshState { max_lifetime_seconds: 900, ..state };
    let grant = prepared(&Plain, &state, NOW_MS).unwrap();
    let [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)] = form(&grant)[..]
    else {
        panic!("{:?}", form(&grant));
    };
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_bytes())
        .verify(signed.as_bytes(), &decode(signature))
        .expect("signed with the account's key");
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header["alg"], "RS256");
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let expected = serde_json::json!({
        "iss": "robot@example.com", "scope": "a b", "aud": "https://auth.example.com/token",
        "iat": NOW_MS / 1000, "exp": NOW_MS / 1000 + 900, "sub": "boss",
    });
    assert_eq!(claims, expected);
}

#[test]
fn a_service_account_without_scope_or_with_another_key_is_refused_without_showing_the_key() {
    let material = [("client_email", "robot@example.com"), ("private_key", "-----BEGIN CANARY-----")];
    let mut state = state(Strategy::GoogleServiceAccountJwt, &material);
    let failure_of_key = failure(&state);
    assert_eq!(failure_of_key.failure_code, "invalid_material");
    assert!(!failure_of_key.message.contains("CANARY"));
    state.scopes.clear();
    assert_eq!(failure(&state).failure_code, "missing_scope");
}

#[test]
fn what_is_not_built_says_so() {
    let failure = failure(&state(Strategy::AwsStsAssumeRole, &[]));
    assert_eq!(
        (failure.code, failure.failure_code.as_str()),
        (Code::FailedPrecondition as u32, "strategy_unsupported")
    );
}

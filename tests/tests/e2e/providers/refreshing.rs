//! Scenarios 68 to 73: the refresh of a credential as it is configured. What is minted, and what overtakes
//! a mint, is in `refresh.rs`.

use futures::future::join;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, DeleteProviderRefreshRequest, GetProviderRefreshStatusRequest,
    ProviderCredentialRefresh, ProviderCredentialRefreshMaterial, ProviderCredentialRefreshStatus,
    ProviderCredentialRefreshStrategy as Strategy, ProviderProfile, ProviderProfileCredential,
    RotateProviderCredentialRequest,
};
use openshell_tests::{Issuer, policy_allowing};
use tonic::Code;

use super::{Stage, everywhere, map, minimal, says};
use crate::rpc::Calls;

const KEY: &str = "ACME_TOKEN";
/// Far enough that nothing is due while a test runs.
const FAR_MS: i64 = 4_102_444_800_000;

/// A provider `p` of a profile whose one credential is minted by client credentials.
async fn acme(stage: &Stage, token_url: &str) {
    let material = |name: &str| ProviderCredentialRefreshMaterial {
        name: name.to_owned(),
        required: true,
        ..ProviderCredentialRefreshMaterial::default()
    };
    let refresh = ProviderCredentialRefresh {
        strategy: Strategy::Oauth2ClientCredentials.into(),
        token_url: token_url.to_owned(),
        material: vec![material("client_id"), material("client_secret")],
        ..ProviderCredentialRefresh::default()
    };
    let credential = ProviderProfileCredential {
        name: "token".to_owned(),
        env_vars: vec![KEY.to_owned()],
        refresh: Some(refresh),
        ..ProviderProfileCredential::default()
    };
    stage.imported(stage.own(), &[ProviderProfile { credentials: vec![credential], ..minimal("acme") }]).await;
    stage.ok(&stage.provider("p", "acme", &[])).await;
}

/// Configures what is not due while a test runs.
fn configure(stage: &Stage, provider: &str) -> ConfigureProviderRefreshRequest {
    ConfigureProviderRefreshRequest {
        provider: provider.to_owned(),
        credential_key: KEY.to_owned(),
        strategy: Strategy::Oauth2ClientCredentials.into(),
        material: map(&[("client_id", "me"), ("client_secret", "canary-0815")]),
        expires_at_ms: Some(FAR_MS),
        workspace: stage.own().to_owned(),
        ..ConfigureProviderRefreshRequest::default()
    }
}

fn with(stage: &Stage, name: &str, value: &str) -> ConfigureProviderRefreshRequest {
    let mut request = configure(stage, "p");
    request.material.insert(name.to_owned(), value.to_owned());
    request
}

fn delete(stage: &Stage) -> DeleteProviderRefreshRequest {
    let workspace = stage.own().to_owned();
    DeleteProviderRefreshRequest { provider: "p".to_owned(), credential_key: KEY.to_owned(), workspace }
}

fn rotate(stage: &Stage) -> RotateProviderCredentialRequest {
    let workspace = stage.own().to_owned();
    RotateProviderCredentialRequest { provider: "p".to_owned(), credential_key: KEY.to_owned(), workspace }
}

async fn status(stage: &Stage) -> Vec<ProviderCredentialRefreshStatus> {
    let request = GetProviderRefreshStatusRequest {
        provider: "p".to_owned(),
        workspace: stage.own().to_owned(),
        ..GetProviderRefreshStatusRequest::default()
    };
    stage.ok(&request).await.credentials
}

async fn expiry(stage: &Stage) -> Option<i64> {
    let provider = stage.ok(&stage.get_provider("p")).await.provider.expect("a provider");
    provider.credential_expires_at_ms.get(KEY).copied()
}

const NOWHERE: &str = "https://auth.example.com/token";

#[tokio::test]
async fn providers_scenario_68_configure_status_delete() {
    everywhere(async |stage| {
        acme(&stage, NOWHERE).await;
        let answer = stage.ok(&configure(&stage, "p")).await.status.expect("a status");
        assert_eq!((answer.status.as_str(), answer.expires_at_ms), ("configured", FAR_MS));
        let shown = status(&stage).await;
        assert_eq!(shown, [answer]);
        assert!(!format!("{shown:?}").contains("canary"), "no answer has material");
        assert_eq!(expiry(&stage).await, Some(FAR_MS));
        assert!(stage.ok(&delete(&stage)).await.deleted);
        assert_eq!((status(&stage).await.len(), expiry(&stage).await), (0, None));
        assert!(!stage.ok(&delete(&stage)).await.deleted, "deleting again is no error");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_69_a_manual_expiry_survives() {
    everywhere(async |stage| {
        acme(&stage, NOWHERE).await;
        stage.ok(&configure(&stage, "p")).await;
        let mut update = stage.update_provider("p", |_| {});
        update.credential_expires_at_ms.insert(KEY.to_owned(), FAR_MS - 1);
        stage.ok(&update).await;
        assert!(stage.ok(&delete(&stage)).await.deleted);
        assert_eq!(expiry(&stage).await, Some(FAR_MS - 1));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_70_what_cannot_be_configured() {
    everywhere(async |stage| {
        acme(&stage, NOWHERE).await;
        let usual = || configure(&stage, "p");
        for (request, word) in [
            (with(&stage, "token_url", "https://elsewhere"), "token_url"),
            (with(&stage, "sts_endpoint_url", ""), "sts_endpoint_url"),
            (with(&stage, "aws_access_key_id", "x"), "both"),
            (with(&stage, "aws_session_token", "x"), "aws_session_token"),
            (with(&stage, "client_id", " "), "client_id"),
            (ConfigureProviderRefreshRequest { strategy: Strategy::Static.into(), ..usual() }, "not gateway-mintable"),
            (
                ConfigureProviderRefreshRequest { strategy: Strategy::External.into(), ..usual() },
                "not gateway-mintable",
            ),
        ] {
            says(&stage.refused(Code::InvalidArgument, &request).await, &[word]);
        }
        // The shared clusters have `providers_v2_enabled` on: the profile is what is missing.
        stage.ok(&stage.provider("plain", "no-profile", &["X"])).await;
        for (provider, key) in [("plain", "AWS_ACCESS_KEY_ID"), ("p", "AWS_SECRET_ACCESS_KEY")] {
            let request = ConfigureProviderRefreshRequest {
                credential_key: key.to_owned(),
                strategy: Strategy::AwsStsAssumeRole.into(),
                ..configure(&stage, provider)
            };
            let text = stage.refused(Code::FailedPrecondition, &request).await;
            says(&text, &["declares no aws_sts_assume_role", key]);
        }
        assert!(status(&stage).await.is_empty(), "no state stays behind");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_71_of_two_that_reserve_one_key_at_once_one_does() {
    everywhere(async |stage| {
        acme(&stage, NOWHERE).await;
        stage.ok(&stage.provider("q", "acme", &[])).await;
        stage.scene.create_sandbox("box", &["p", "q"], policy_allowing("docs.example.com")).await;
        let (first, second) = (configure(&stage, "p"), configure(&stage, "q"));
        let answers = join(stage.call(&first), stage.call(&second)).await;
        assert_eq!(u8::from(answers.0.is_ok()) + u8::from(answers.1.is_ok()), 1, "{answers:?}");
        let loser = if answers.0.is_ok() { &second } else { &first };
        says(&stage.refused(Code::FailedPrecondition, loser).await, &["\"p\"", "\"q\"", "\"box\"", KEY]);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_72_keys_that_a_refresh_owns_are_not_the_callers() {
    let issuer = Issuer::start().await;
    everywhere(async |stage| {
        acme(&stage, issuer.url()).await;
        stage.ok(&configure(&stage, "p")).await;
        stage.ok(&rotate(&stage)).await;
        let before = stage.ok(&stage.get_provider("p")).await;
        for value in ["mine", ""] {
            let update = stage.update_provider("p", |asked| asked.credentials = map(&[(KEY, value)]));
            says(&stage.refused(Code::FailedPrecondition, &update).await, &[KEY, "provider refresh"]);
        }
        assert_eq!(stage.ok(&stage.get_provider("p")).await, before);
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_73_what_is_not_configured_is_not_minted() {
    let issuer = Issuer::start().await;
    everywhere(async |stage| {
        acme(&stage, issuer.url()).await;
        says(&stage.refused(Code::NotFound, &rotate(&stage)).await, &["no refresh configured"]);
        let nobody = RotateProviderCredentialRequest { provider: "nobody".to_owned(), ..rotate(&stage) };
        says(&stage.refused(Code::NotFound, &nobody).await, &["nobody"]);
        let blank = RotateProviderCredentialRequest { credential_key: " ".to_owned(), ..rotate(&stage) };
        stage.refused(Code::InvalidArgument, &blank).await;
        assert!(status(&stage).await.is_empty());
    })
    .await;
    assert!(issuer.asked().is_empty(), "nobody was asked");
}

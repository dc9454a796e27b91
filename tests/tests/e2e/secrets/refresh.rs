//! Secrets that credentials are minted from, and those that an issuer answers with, well and badly.

use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, CreateProviderRequest, GetProviderRefreshStatusRequest, ProviderCredentialRefresh,
    ProviderCredentialRefreshStrategy as Strategy, RotateProviderCredentialRequest,
};
use openshell_tests::{Issuer, Scene, profile};
use tonic::Code;

use super::Plot;

const KEY: &str = "RENEWED_TOKEN";
/// Far enough that nothing is due meanwhile.
const FAR_MS: i64 = 4_102_444_800_000;

/// Configures a refresh, mints twice, and is refused by the issuer in several ways.
pub(super) async fn through_a_refresh(plot: &mut Plot, scene: &Scene) {
    let issuer = Issuer::start().await;
    let workspace = scene.workspace.clone();
    let mut renewed = profile("renewed", &["b.example.com"]);
    renewed.credentials[0].refresh = Some(ProviderCredentialRefresh {
        strategy: Strategy::Oauth2RefreshToken as i32,
        token_url: issuer.url().to_owned(),
        ..ProviderCredentialRefresh::default()
    });
    scene.import(renewed).await;
    let provider = Provider {
        metadata: Some(ObjectMeta { name: "renewing".to_owned(), ..ObjectMeta::default() }),
        r#type: "renewed".to_owned(),
        profile_workspace: workspace.clone(),
        ..Provider::default()
    };
    let request = CreateProviderRequest { provider: Some(provider), workspace: workspace.clone() };
    scene.api.call(&methods::CREATE_PROVIDER, request).await.expect("created");
    configure(plot, scene).await;
    for number in 0..2 {
        let access = plot.secret(&format!("access token {number}"));
        let refresh = plot.secret(&format!("refresh token {number}"));
        issuer.answer(200, &format!(r#"{{"access_token":"{access}","expires_in":3600,"refresh_token":"{refresh}"}}"#));
        let answer = scene.api.call(&methods::ROTATE_PROVIDER_CREDENTIAL, rotation(&workspace)).await;
        plot.hear("RotateProviderCredential", &answer);
        answer.expect("minted");
    }
    for (what, status, template) in [
        ("a description", 400, r#"{"error":"invalid_grant","error_description":"SECRET"}"#),
        ("an error that is no word", 400, r#"{"error":"the secret is SECRET"}"#),
        ("text", 500, "SECRET"),
        ("a token that is none", 200, r#"{"token":"SECRET"}"#),
    ] {
        issuer.answer(status, &template.replace("SECRET", &plot.secret(what)));
        let answer = scene.api.call(&methods::ROTATE_PROVIDER_CREDENTIAL, rotation(&workspace)).await;
        assert_eq!(plot.refused(what, answer).code(), Code::FailedPrecondition);
    }
    let request = GetProviderRefreshStatusRequest {
        provider: "renewing".to_owned(),
        workspace,
        ..GetProviderRefreshStatusRequest::default()
    };
    let answer = scene.api.call(&methods::GET_PROVIDER_REFRESH_STATUS, request).await;
    plot.hear("GetProviderRefreshStatus", &answer);
    assert_eq!(answer.expect("a status").message.credentials.len(), 1);
}

async fn configure(plot: &mut Plot, scene: &Scene) {
    let names = ["client_id", "client_secret", "refresh_token", "nobody_said_that_it_is_secret"];
    let material = names.iter().map(|name| ((*name).to_owned(), plot.secret(name))).collect();
    let request = ConfigureProviderRefreshRequest {
        provider: "renewing".to_owned(),
        credential_key: KEY.to_owned(),
        strategy: Strategy::Oauth2RefreshToken as i32,
        material,
        expires_at_ms: Some(FAR_MS),
        workspace: scene.workspace.clone(),
        ..ConfigureProviderRefreshRequest::default()
    };
    let answer = scene.api.call(&methods::CONFIGURE_PROVIDER_REFRESH, request).await;
    plot.hear("ConfigureProviderRefresh", &answer);
    answer.expect("configured");
}

fn rotation(workspace: &str) -> RotateProviderCredentialRequest {
    RotateProviderCredentialRequest {
        provider: "renewing".to_owned(),
        credential_key: KEY.to_owned(),
        workspace: workspace.to_owned(),
    }
}

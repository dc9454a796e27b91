//! What token endpoints answer, over real HTTP on loopback, and what of it is believed and repeated.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode as Code;
use axum::response::{IntoResponse, Redirect};
use axum::routing::post;
use reqwest::Url;

use super::*;

/// A token endpoint that always answers the same.
async fn endpoint<F, R>(answer: F) -> SocketAddr
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: IntoResponse + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/token", post(move || std::future::ready(answer())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(address: SocketAddr) -> Result<Minted, MintFailure> {
    let url = Url::parse(&format!("http://{address}/token")).unwrap();
    let form = vec![("client_secret", "canary".to_owned())];
    Issuer::new().ask(Grant { url, form }).await
}

#[tokio::test]
async fn a_token_comes_with_its_lifetime_however_that_is_written() {
    for (answer, lifetime_seconds, refresh_token) in [
        (r#"{"access_token":"t","expires_in":600}"#, 600, ""),
        (r#"{"access_token":"t","expires_in":"600","refresh_token":"r"}"#, 600, "r"),
        (r#"{"access_token":"t","expires_in":600.5}"#, 600, ""),
        (r#"{"access_token":"t"}"#, 0, ""),
        (r#"{"access_token":"t","expires_in":-5,"token_type":"Bearer"}"#, 0, ""),
    ] {
        let minted = ask(endpoint(move || answer).await).await.expect(answer);
        let expected = Minted { value: "t".to_owned(), lifetime_seconds, refresh_token: refresh_token.to_owned() };
        assert_eq!(minted, expected, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_refused() {
    for answer in
        ["", "token", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":" "}"#, r#"{"access_token":7}"#]
    {
        let failure = ask(endpoint(move || answer).await).await.expect_err(answer);
        assert_eq!(failure.failure_code, "invalid_response", "{answer}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_repeats_no_text_that_is_not_a_word() {
    for (status, answer, failure_code, recovery) in [
        (400, r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#, "invalid_grant", Recovery::Reauthorize),
        (401, r#"{"error":"invalid_client"}"#, "invalid_client", Recovery::FixConfiguration),
        (503, "busy: canary", "http_503", Recovery::Retry),
        (429, "{}", "http_429", Recovery::Retry),
        (403, r#"{"error":"your secret canary is wrong"}"#, "http_403", Recovery::Investigate),
        (400, r#"{"error":{"message":"canary"}}"#, "http_400", Recovery::Investigate),
    ] {
        let status = Code::from_u16(status).unwrap();
        let failure = ask(endpoint(move || (status, answer)).await).await.expect_err(answer);
        assert_eq!(
            (failure.failure_code.as_str(), failure.recovery_action),
            (failure_code, recovery as i32),
            "{answer}"
        );
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        assert!(failure.message.contains(status.as_str()), "{}", failure.message);
    }
}

#[tokio::test]
async fn nobody_is_followed_elsewhere_and_no_answer_is_endless() {
    let redirected =
        ask(endpoint(|| Redirect::temporary("http://127.0.0.1:9/token")).await).await.expect_err("elsewhere");
    assert_eq!(redirected.failure_code, "http_307");
    let large = ask(endpoint(|| "x".repeat(ANSWER_BYTES_MAX + 1)).await).await.expect_err("too large");
    assert!(large.message.contains("64 KiB"), "{}", large.message);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = ask(address).await.expect_err("nobody listens");
    assert_eq!(
        (failure.code, failure.failure_code.as_str()),
        (openshell_state::Code::Unavailable as u32, "unreachable")
    );
    assert!(failure.message.contains("cannot be reached"), "{}", failure.message);
}

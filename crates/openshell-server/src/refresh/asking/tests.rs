//! Whether the token endpoint is asked, by how much of the claim is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use openshell_proto::datamodel::CredentialHandle;
use openshell_proto::v1::ProviderCredentialRefreshStrategy as Strategy;

use super::*;

const CLAIMED_MS: i64 = 1_700_000_000_000;

/// A clock that shows a time.
struct Shows(i64);

impl Clock for Shows {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

/// Opens what it is given as it is.
struct Plain;

impl Opener for Plain {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, sealed: &str) -> Option<Vec<u8>> {
        Some(sealed.as_bytes().to_vec())
    }
}

/// A refresh state that was claimed, and how often its token endpoint was asked.
async fn claimed() -> (StoredProviderCredentialRefreshState, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let answer = move || {
        counting.fetch_add(1, Ordering::SeqCst);
        std::future::ready(r#"{"access_token":"t","expires_in":600}"#)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token_url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/token", post(answer))).await });
    let handle =
        |name: &str| (name.to_owned(), CredentialHandle { handle: name.to_owned(), ..CredentialHandle::default() });
    let claim = StoredRefreshClaim {
        id: "a".to_owned(),
        started_at_ms: CLAIMED_MS,
        deadline_ms: CLAIMED_MS + CLAIM_MS,
        ..StoredRefreshClaim::default()
    };
    let state = StoredProviderCredentialRefreshState {
        strategy: Strategy::Oauth2ClientCredentials as i32,
        token_url,
        secret_material_handles: ["client_id", "client_secret"].map(handle).into(),
        claim: Some(claim),
        ..StoredProviderCredentialRefreshState::default()
    };
    (state, asked)
}

#[tokio::test]
async fn who_wakes_too_late_for_the_call_and_its_settlement_asks_nobody() {
    let (state, asked) = claimed().await;
    let issuer = Issuer::new();
    let at = async |clock_ms: i64, last_time_ms: i64| {
        let asking = Asking { issuer: &issuer, opener: &Plain, clock: &Shows(clock_ms) };
        asking.ask(&state, last_time_ms).await
    };
    let start_max_ms = i64::try_from(START_MAX.as_millis()).unwrap();
    let last_ms = CLAIMED_MS + start_max_ms;
    for in_time_ms in [CLAIMED_MS, last_ms] {
        at(in_time_ms, CLAIMED_MS).await.expect("minted");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // The clock may also be the one that stood still: what others stamped since shows it.
    let late = [(last_ms + 1, 0), (CLAIMED_MS + CLAIM_MS, 0), (i64::MAX, 0), (CLAIMED_MS, last_ms + 1)];
    for (clock_ms, last_time_ms) in late {
        let failure = at(clock_ms, last_time_ms).await.expect_err("too late");
        assert_eq!((failure.failure_code.as_str(), failure.code), ("not_asked", Code::Unavailable as u32));
        assert_eq!(failure.recovery_action, Recovery::Retry as i32);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "nobody was asked");
}

#[test]
fn a_claim_has_room_for_its_way_through_the_log_the_call_and_the_settlement() {
    let claim_ms = u128::try_from(CLAIM_MS).unwrap();
    assert_eq!(claim_ms, (START_MAX + PATIENCE + SETTLE_MAX + CLOCKS).as_millis());
    let claim = StoredRefreshClaim { deadline_ms: CLAIMED_MS + CLAIM_MS, ..StoredRefreshClaim::default() };
    assert!(is_time_left(&claim, CLAIMED_MS) && !is_time_left(&StoredRefreshClaim::default(), CLAIMED_MS));
}

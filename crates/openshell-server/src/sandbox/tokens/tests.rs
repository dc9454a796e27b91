//! Which tokens are a sandbox's, on formed states of two clusters.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openshell_proto::log::{Command, Origin, command};
use openshell_raft::Clock;
use openshell_state::access::Principal;
use openshell_state::decide::formation;
use openshell_state::{Call, Decision, Key, Stamp, State};
use serde_json::{Value, json};
use tonic::Code;

use super::*;
use crate::identifiers::RandomIdentifiers;
use crate::secrets::Secrets;

/// The time of these tests, milliseconds since the Unix epoch.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// A clock that stands until it is moved.
pub(crate) struct Hands(pub(crate) AtomicI64);

impl Hands {
    pub(crate) fn at(now_ms: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now_ms)))
    }

    pub(crate) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A cluster that was just formed.
pub(crate) fn formed(cluster_id: &str, secrets: &Secrets) -> State {
    let identifiers = RandomIdentifiers::from_os();
    let stamp = Stamp { time_ms: START_MS, identifiers: &identifiers, sealer: secrets };
    let mut state = State::empty();
    state.apply(1, &formation::form(cluster_id, 1, stamp)).expect("the first entry is known");
    state
}

pub(crate) fn secrets() -> Arc<Secrets> {
    Arc::new(Secrets::of(&[7; 32]))
}

struct Node {
    state: State,
    clock: Arc<Hands>,
    tokens: Tokens,
}

fn node(cluster_id: &str, ttl_s: u64) -> Node {
    let (secrets, clock) = (secrets(), Hands::at(START_MS));
    let state = formed(cluster_id, &secrets);
    let tokens = Tokens::new(secrets, clock.clone(), Duration::from_secs(ttl_s));
    Node { state, clock, tokens }
}

impl Node {
    fn token(&self) -> String {
        self.tokens.mint(&self.state, "box").expect("the cluster has a key").token
    }

    fn verify(&self, token: &str) -> Result<Option<String>, Status> {
        Ok(self.tokens.verify(&self.state, token)?.map(|verified| verified.sandbox_id))
    }

    #[track_caller]
    fn refuses(&self, token: &str, why: &str) {
        let status = self.verify(token).expect_err(why);
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains("invalid token"), "{status}");
        assert!(status.message().contains(why), "{status} does not say {why:?}");
        let shown = token.split('.').filter(|part| !part.is_empty()).any(|part| status.message().contains(part));
        assert!(!shown, "nothing of the token is said: {status}");
    }

    /// A token with this node's own key over claims that differ from what it would say.
    fn signed(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let (cluster, key) = self.tokens.key(&self.state).expect("the cluster has a key");
        let mut claims = json!({
            "sub": "spiffe://openshell/sandbox/box", "iss": issuer(cluster), "aud": issuer(cluster),
            "iat": START_MS / 1000, "exp": 0, "sandbox_id": "box",
        });
        let mut header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &key.encoding).expect("it signs")
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn au_10_a_token_says_whose_it_is_by_whom_and_until_when() {
    for ttl_s in [0, 3600] {
        let node = node("one", ttl_s);
        let token = node.token();
        let read = |part: &str| -> Value {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        let [header, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let (header, claims) = (read(header), read(claims));
        assert_eq!(header["alg"], json!("EdDSA"));
        assert!(header["kid"].as_str().is_some_and(|id| !id.is_empty()), "{header}");
        let issued_s = START_MS / 1000;
        let expires_s = if ttl_s == 0 { 0 } else { issued_s + 3600 };
        let expected = json!({
            "sub": "spiffe://openshell/sandbox/box", "iss": "openshell-gateway:one", "aud": "openshell-gateway:one",
            "iat": issued_s, "exp": expires_s, "sandbox_id": "box",
        });
        assert_eq!(claims, expected);
    }
}

#[test]
fn config_scenario_94_a_token_without_an_end_is_accepted_for_ever() {
    let node = node("one", 0);
    let token = node.tokens.mint(&node.state, "box").expect("a key");
    assert_eq!(token.expires_at_ms, 0);
    for later_ms in [0, 61_000, 100 * 365 * 86_400_000] {
        node.clock.set(START_MS + later_ms);
        assert_eq!(node.verify(&token.token).expect("it is valid").as_deref(), Some("box"));
    }
}

#[test]
fn config_scenario_94_an_expired_token_is_refused_after_a_minute_of_grace() {
    let node = node("one", 3600);
    let token = node.tokens.mint(&node.state, "box").expect("a key");
    assert_eq!(token.expires_at_ms, START_MS + 3_600_000);
    for grace_ms in [0, 60_000] {
        node.clock.set(token.expires_at_ms + grace_ms);
        assert!(node.verify(&token.token).is_ok(), "{grace_ms} ms after its end, for clocks that differ");
    }
    let verified = node.tokens.verify(&node.state, &token.token).expect("it is valid").expect("it is a sandbox's");
    assert_eq!(verified.until_ms, Some(token.expires_at_ms + 61_000));
    node.clock.set(token.expires_at_ms + 61_000);
    node.refuses(&token.token, "expired");
}

#[test]
fn a_token_from_the_future_is_refused_beyond_a_minute() {
    let node = node("one", 0);
    let made_at = |ahead_s: i64| node.signed(|_, claims| claims["iat"] = json!(START_MS / 1000 + ahead_s));
    assert!(node.verify(&made_at(60)).is_ok());
    node.refuses(&made_at(61), "future");
}

#[test]
fn config_scenario_94_a_token_signed_with_another_key_is_refused() {
    let (ours, theirs) = (node("one", 0), node("one", 0));
    theirs.refuses(&ours.token(), "another key");
    // Naming our key does not help.
    let (_, key) = ours.tokens.key(&ours.state).expect("a key");
    let forged = theirs.signed(|header, _| header.kid = Some(key.id.clone()));
    ours.refuses(&forged, "signature");
}

#[test]
fn a_token_of_another_cluster_is_refused_even_with_the_same_key() {
    let ours = node("one", 0);
    for claim in ["iss", "aud"] {
        let elsewhere = ours.signed(|_, claims| claims[claim] = json!("openshell-gateway:two"));
        ours.refuses(&elsewhere, "issuer");
    }
}

#[test]
fn a_token_is_valid_on_every_node_that_has_the_state() {
    let one = node("one", 0);
    let two = Tokens::new(secrets(), Hands::at(START_MS), Duration::ZERO);
    assert_eq!(two.verify(&one.state, &one.token()).expect("valid").map(|it| it.sandbox_id).as_deref(), Some("box"));
    // Without the cluster's secrets key the state is of no use.
    let stranger = Tokens::new(Arc::new(Secrets::of(&[8; 32])), Hands::at(START_MS), Duration::ZERO);
    assert_eq!(stranger.verify(&one.state, &one.token()).expect_err("it cannot open the key").code(), Code::Internal);
}

#[test]
fn neither_no_algorithm_nor_another_passes_for_a_signature() {
    let node = node("one", 0);
    let token = node.token();
    let [_, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let (_, key) = node.tokens.key(&node.state).expect("a key");
    for algorithm in ["none", "None", "HS256", "ES256", "RS256"] {
        let header = part(&json!({ "alg": algorithm, "typ": "JWT", "kid": key.id }));
        for signature in ["", signature] {
            let status = node.verify(&format!("{header}.{claims}.{signature}")).expect_err(algorithm);
            assert_eq!(status.code(), Code::Unauthenticated, "{algorithm}: {status}");
        }
    }
    // The public key as the secret of a symmetric algorithm, the oldest trick.
    let public = key.decoding.try_get_as_bytes().expect("bytes");
    assert!(
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &json!({}), &EncodingKey::from_secret(public)).is_err()
    );
}

#[test]
fn au_11_a_changed_token_is_refused() {
    let node = node("one", 0);
    let token = node.token();
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let (cluster, _) = node.tokens.key(&node.state).expect("a key");
    let other = json!({
        "sub": "spiffe://openshell/sandbox/other", "iss": issuer(cluster), "aud": issuer(cluster),
        "iat": START_MS / 1000, "exp": 0, "sandbox_id": "other",
    });
    node.refuses(&format!("{header}.{}.{signature}", part(&other)), "signature");
    node.refuses(&node.signed(|_, claims| claims["sandbox_id"] = json!("other")), "subject");
    node.refuses(&node.signed(|header, _| header.typ = Some("extension+jwt".to_owned())), "type");
    for claim in ["sub", "aud", "iat", "exp", "sandbox_id"] {
        let without = node.signed(|_, claims| drop(claims.as_object_mut().expect("an object").remove(claim)));
        node.refuses(&without, "claims");
        node.refuses(&node.signed(|_, claims| claims[claim] = json!([true])), "claims");
    }
    let long = node.signed(|_, claims| claims["padding"] = json!("x".repeat(5000)));
    node.refuses(&long, "too long");
}

#[test]
fn a_token_that_does_not_claim_to_be_a_sandboxes_is_for_others_to_judge() {
    let node = node("one", 0);
    let foreign = node.signed(|_, claims| claims["iss"] = json!("https://login.example.com"));
    for token in ["", "opaque", "a.b.c", "..", &foreign] {
        assert_eq!(node.verify(token).expect("nobody's business here"), None, "{token:?}");
    }
}

#[test]
fn a_cluster_without_a_key_gets_one_by_an_entry_and_keeps_it() {
    let mut node = node("one", 0);
    let token = node.token();
    // As a build without tokens formed it.
    let mut old = State::empty();
    let (secrets, identifiers) = (secrets(), RandomIdentifiers::from_os());
    let stamp = Stamp { time_ms: START_MS, identifiers: &identifiers, sealer: &*secrets };
    let Command { kind: Some(command::Kind::Transaction(mut first)) } = formation::form("one", 1, stamp) else {
        panic!("a transaction forms a cluster")
    };
    let mut cluster = node.state.cluster().expect("formed").value.clone();
    cluster.sealed_signing_key.clear();
    let record = Key::cluster().to_proto();
    first.writes.retain(|write| write.key.as_ref() != Some(&record));
    let bytes = prost::Message::encode_to_vec(&cluster);
    let change = Some(openshell_proto::log::write::Change::Put(bytes));
    first.writes.push(openshell_proto::log::Write { key: Some(record), change });
    old.apply(1, &Command { kind: Some(command::Kind::Transaction(first)) }).expect("known");
    node.state = old;
    let refused = node.tokens.mint(&node.state, "box").err().expect("there is no key");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(node.verify(&token).expect_err("no key").code(), Code::Unavailable);
    let upgrade = |state: &State| {
        formation::upgrade(Call { state, principal: &Principal::Cluster, stamp }).expect("the cluster is formed")
    };
    let Decision::Transact(draft) = upgrade(&node.state) else { panic!("an entry brings the key") };
    let origin = Origin { time_ms: START_MS, ..Origin::default() };
    let entry = Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) };
    node.state.apply(2, &entry).expect("known");
    assert_eq!(node.verify(&node.token()).expect("valid").as_deref(), Some("box"));
    assert!(matches!(upgrade(&node.state), Decision::Answer(_)), "a key is never replaced");
}

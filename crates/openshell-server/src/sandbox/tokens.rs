//! A sandbox's token (`config.md` 7.3): a JWT signed with the cluster's key, so that every node makes
//! and accepts it and none keeps it. Whether its sandbox still exists is for the call to find out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use openshell_proto::log;
use openshell_raft::Clock;
use openshell_state::decide::formation;
use openshell_state::{Opener, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tonic::Status;
use zeroize::Zeroizing;

use crate::jwt;

/// Begins the issuer and audience of every token; the cluster's id follows.
const ISSUER: &str = "openshell-gateway:";
/// Begins the subject of every token; the sandbox's id follows.
const SUBJECT: &str = "spiffe://openshell/sandbox/";
/// How far two nodes' clocks may be apart (AU-11).
const SKEW_S: i64 = 60;
/// No token of ours is longer, by far.
const TOKEN_BYTES_MAX: usize = 4096;

/// Makes and verifies tokens.
pub(crate) struct Tokens {
    opener: Arc<dyn Opener + Send + Sync>,
    clock: Arc<dyn Clock>,
    /// Zero is for ever.
    ttl: Duration,
    /// The key opened last, beside its sealed form.
    opened: Mutex<Option<(String, Arc<SigningKey>)>>,
}

/// A token for a sandbox's supervisor.
pub(crate) struct Token {
    pub(crate) token: String,
    /// Milliseconds since the Unix epoch; 0 does not expire.
    pub(crate) expires_at_ms: i64,
}

/// What a valid token says.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) sandbox_id: String,
    /// From then on it is refused, milliseconds since the Unix epoch; none for one that does not expire.
    pub(crate) until_ms: Option<i64>,
}

/// The cluster's key, opened. Every one of its tokens names it.
struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// What a token says. Times are seconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: String,
    iat: i64,
    /// 0 never expires.
    exp: i64,
    sandbox_id: String,
}

/// As much of a token as says whose it claims to be. Nothing of it is believed.
#[derive(Deserialize)]
struct Claimed {
    #[serde(default)]
    iss: String,
}

impl Tokens {
    pub(crate) fn new(opener: Arc<dyn Opener + Send + Sync>, clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        jwt::install();
        Self { opener, clock, ttl, opened: Mutex::new(None) }
    }

    /// A token for the sandbox with this id, from now on.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the cluster has no key, which its leader is about to change: a retry is
    /// safe. `INTERNAL` when the key does not open or does not sign.
    pub(crate) fn mint(&self, state: &State, sandbox_id: &str) -> Result<Token, Status> {
        let (cluster, key) = self.key(state)?;
        let issued_s = self.now_s(state);
        let ttl_s = i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX);
        let expires_s = if ttl_s == 0 { 0 } else { issued_s.saturating_add(ttl_s) };
        let issuer = issuer(cluster);
        let claims = Claims {
            sub: format!("{SUBJECT}{sandbox_id}"),
            iss: issuer.clone(),
            aud: issuer,
            iat: issued_s,
            exp: expires_s,
            sandbox_id: sandbox_id.to_owned(),
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .map_err(|error| Status::internal(format!("the token could not be signed: {error}")))?;
        Ok(Token { token, expires_at_ms: expires_s.saturating_mul(1000) })
    }

    /// The sandbox whose token this is, and for how long; none when it does not claim to be a sandbox's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when it claims to be one and is not, or no longer. Only the reason is said,
    /// nothing of the token. `UNAVAILABLE` and `INTERNAL` as [`Tokens::mint`].
    pub(crate) fn verify(&self, state: &State, token: &str) -> Result<Option<Verified>, Status> {
        if !claimed(token).is_some_and(|claimed| claimed.iss.starts_with(ISSUER)) {
            return Ok(None);
        }
        let invalid = |why: &str| Status::unauthenticated(format!("invalid token: {why}"));
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid("it is too long"));
        }
        let (cluster, key) = self.key(state)?;
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| invalid("its header is not one of this gateway"))?;
        // Tokens for other purposes, signed with the same key one day, must not pass for a sandbox's.
        if header.typ.as_deref() != Some("JWT") {
            return Err(invalid("it is not of the type JWT"));
        }
        if header.kid.as_deref() != Some(&key.id) {
            return Err(invalid("it was signed with another key"));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        // 0 never expires, which the library does not know; the time is compared below.
        validation.validate_exp = false;
        validation.set_issuer(&[issuer(cluster)]);
        validation.set_audience(&[issuer(cluster)]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation);
        // What the library says could quote the token.
        let claims = claims.map_err(|_| invalid("signature, issuer, audience or claims are wrong"))?.claims;
        if claims.sandbox_id.is_empty() || claims.sub != format!("{SUBJECT}{}", claims.sandbox_id) {
            return Err(invalid("its subject is no sandbox"));
        }
        let now_s = self.now_s(state);
        if claims.exp != 0 && claims.exp.saturating_add(SKEW_S) < now_s {
            return Err(invalid("it has expired"));
        }
        if claims.iat.saturating_sub(SKEW_S) > now_s {
            return Err(invalid("it was issued in the future"));
        }
        // Seconds are compared above: the one that it ends in is still its own.
        let until_s = (claims.exp != 0).then(|| claims.exp.saturating_add(SKEW_S + 1));
        let until_ms = until_s.map(|until_s| until_s.saturating_mul(1000));
        Ok(Some(Verified { sandbox_id: claims.sandbox_id, until_ms }))
    }

    /// The clock of this node, and at least the cluster's: milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self, state: &State) -> i64 {
        self.clock.now_ms().max(state.last_time_ms())
    }

    fn now_s(&self, state: &State) -> i64 {
        self.now_ms(state) / 1000
    }

    fn key<'a>(&self, state: &'a State) -> Result<(&'a log::Cluster, Arc<SigningKey>), Status> {
        let cluster = state.cluster().map(|entry| entry.value).filter(|cluster| !cluster.sealed_signing_key.is_empty());
        let cluster =
            cluster.ok_or_else(|| Status::unavailable("the cluster has no key for sandbox tokens yet; repeat"))?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sealed, key)) = &*opened
            && *sealed == cluster.sealed_signing_key
        {
            return Ok((cluster, Arc::clone(key)));
        }
        let seed = formation::signing_key(cluster, &*self.opener).map(Zeroizing::new);
        let seed = seed.ok_or_else(|| {
            Status::internal("the cluster's key for sandbox tokens does not open with this node's secrets key")
        })?;
        let key = Arc::new(SigningKey::new(&seed));
        *opened = Some((cluster.sealed_signing_key.clone(), Arc::clone(&key)));
        Ok((cluster, key))
    }
}

impl SigningKey {
    fn new(seed: &[u8; 32]) -> Self {
        let public = jwt::public_key(seed);
        Self {
            id: hex::encode(&Sha256::digest(&public)[..8]),
            encoding: EncodingKey::from_ed_der(seed),
            decoding: DecodingKey::from_ed_der(&public),
        }
    }
}

/// One issuer a cluster, whichever node answers. It is the audience as well (AU-10).
fn issuer(cluster: &log::Cluster) -> String {
    format!("{ISSUER}{}", cluster.cluster_id)
}

fn claimed(token: &str) -> Option<Claimed> {
    let mut parts = token.split('.');
    let (_, claims) = (parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
pub(crate) mod tests;

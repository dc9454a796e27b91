//! The handshake that comes before HTTP/2 on every connection between nodes: both sides prove
//! that they hold the cluster key, and say who they are and whom they mean. Hello to the
//! listener, Challenge back, Proof, then Welcome (`peer.proto`).
//!
//! A proof is an HMAC-SHA256 with the cluster key over a label of its direction, everything that
//! both sides said, both nonces and the TLS session. The listener says why it refuses only to a
//! peer that has proved the key.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use hmac::{Hmac, Mac};
use openshell_proto::peer::{Challenge, Hello, Proof, Welcome};
use rand::RngCore;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};

use super::frame;
use super::tls::ChannelBinding;

/// Nodes of different protocol versions do not talk.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// TLS and the four messages together.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

const NONCE_BYTES: usize = 32;
const LISTENER_LABEL: &[u8] = b"openshell peer handshake, listener proves";
const DIALLER_LABEL: &[u8] = b"openshell peer handshake, dialler proves";

/// The key that peers prove to each other. The caller derives it from the secrets key.
#[derive(Clone)]
pub struct ClusterKey([u8; 32]);

impl ClusterKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<[u8; 32]> for ClusterKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClusterKey")
    }
}

/// What this node says of itself. Its cluster id appears when it forms or joins a cluster.
pub(crate) struct Myself {
    /// This node's id.
    pub(crate) node: u64,
    /// Empty while the node has no cluster.
    pub(crate) cluster_id: ArcSwap<String>,
    /// The shared key.
    pub(crate) key: ClusterKey,
    /// Whether a node was removed from the cluster, as far as this node has applied.
    pub(crate) is_removed: Box<dyn Fn(u64) -> bool + Send + Sync>,
    /// Said by a member: this node was removed.
    pub(crate) expelled: OnceLock<()>,
}

impl Myself {
    /// The cluster id now, empty while there is none.
    pub(crate) fn cluster_id(&self) -> Arc<String> {
        self.cluster_id.load_full()
    }
}

/// The other end of a connection, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    /// Its node id.
    pub(crate) node: u64,
    /// Its cluster id when the connection was made; empty when it had none.
    pub(crate) cluster_id: String,
}

/// Why two nodes do not talk. Nothing was sent beyond the handshake, so whatever was to be
/// sent may be tried again freely.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection broke, or carried something that is no handshake.
    #[error("the handshake with {remote} failed: {source}")]
    Broken {
        /// The other end.
        remote: String,
        /// What happened.
        source: io::Error,
    },
    /// The handshake took too long.
    #[error("the handshake with {remote} took longer than {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Slow {
        /// The other end.
        remote: String,
    },
    /// The other end holds the key and belongs to another cluster.
    #[error("node {node} belongs to cluster {its}, this node to cluster {mine}")]
    OtherCluster {
        /// The other end.
        node: u64,
        /// Its cluster.
        its: String,
        /// This node's.
        mine: String,
    },
    /// The other end does not prove the key.
    #[error("node {node} does not hold this cluster's key; all nodes need the same secrets key file")]
    OtherKey {
        /// The other end, as it says.
        node: u64,
    },
    /// One side refused the other.
    #[error("{0}")]
    Refused(
        /// The sentence that says why.
        String,
    ),
}

impl From<io::Error> for HandshakeError {
    fn from(source: io::Error) -> Self {
        HandshakeError::Broken { remote: "a peer".to_owned(), source }
    }
}

/// The dialling side: reaches node `to`, or says why not.
pub(crate) async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    myself: &Myself,
    to: u64,
    binding: &ChannelBinding,
) -> Result<PeerIdentity, HandshakeError> {
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        feature_level: openshell_state::FEATURE_LEVEL,
        cluster_id: myself.cluster_id().as_ref().clone(),
        from: myself.node,
        to,
        nonce: nonce(),
    };
    frame::send(stream, &hello).await?;
    let challenge: Challenge = frame::receive(stream).await?;
    if challenge.protocol_version != PROTOCOL_VERSION {
        return refuse(other_version(challenge.node, challenge.protocol_version));
    }
    if !verify(&myself.key, LISTENER_LABEL, &hello, &challenge, binding, &challenge.proof) {
        return Err(HandshakeError::OtherKey { node: challenge.node });
    }
    if let Some(objection) = objection(
        myself.node,
        // Whoever is there, for a node that knows an address and no more.
        if to == 0 { challenge.node } else { to },
        challenge.node,
        &hello.cluster_id,
        &challenge.cluster_id,
    ) {
        return Err(objection);
    }
    let proof = prove(&myself.key, DIALLER_LABEL, &hello, &challenge, binding);
    frame::send(stream, &Proof { proof }).await?;
    let welcome: Welcome = frame::receive(stream).await?;
    if welcome.removed {
        // Only the first word counts, and all say the same.
        let _ = myself.expelled.set(());
    }
    if !welcome.refusal.is_empty() {
        return refuse(format!("node {to} refuses: {}", welcome.refusal));
    }
    Ok(PeerIdentity { node: challenge.node, cluster_id: challenge.cluster_id })
}

/// The listening side: finds out who is there.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    myself: &Myself,
    binding: &ChannelBinding,
) -> Result<PeerIdentity, HandshakeError> {
    let hello: Hello = frame::receive(stream).await?;
    let mut challenge = Challenge {
        protocol_version: PROTOCOL_VERSION,
        feature_level: openshell_state::FEATURE_LEVEL,
        cluster_id: myself.cluster_id().as_ref().clone(),
        node: myself.node,
        nonce: nonce(),
        proof: Vec::new(),
    };
    challenge.proof = prove(&myself.key, LISTENER_LABEL, &hello, &challenge, binding);
    frame::send(stream, &challenge).await?;
    if hello.protocol_version != PROTOCOL_VERSION {
        return refuse(other_version(hello.from, hello.protocol_version));
    }
    let proof: Proof = frame::receive(stream).await?;
    let mut removed = false;
    let refusal = if !verify(&myself.key, DIALLER_LABEL, &hello, &challenge, binding, &proof.proof) {
        Some(HandshakeError::OtherKey { node: hello.from })
    } else if (myself.is_removed)(hello.from) {
        removed = true;
        Some(HandshakeError::Refused(was_removed(hello.from)))
    } else if hello.to != myself.node && hello.to != 0 {
        let (wanted, here) = (hello.to, myself.node);
        let text = format!("node {wanted} is wanted here, but this is node {here}; check the peer addresses");
        Some(HandshakeError::Refused(text))
    } else {
        objection(myself.node, hello.from, hello.from, &challenge.cluster_id, &hello.cluster_id)
    };
    let sentence = refusal.as_ref().map(ToString::to_string).unwrap_or_default();
    frame::send(stream, &Welcome { refusal: sentence, removed }).await?;
    match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(PeerIdentity { node: hello.from, cluster_id: hello.cluster_id }),
    }
}

/// Why a peer that holds the key is still not one to talk to.
fn objection(myself: u64, expected: u64, found: u64, my_cluster: &str, its_cluster: &str) -> Option<HandshakeError> {
    if found == myself {
        return Some(HandshakeError::Refused(format!(
            "the other end is node {myself} too: a peer address leads back to this node, or two nodes have one id"
        )));
    }
    if found != expected {
        return Some(HandshakeError::Refused(format!(
            "node {expected} was expected there, but node {found} answers; check the peer addresses"
        )));
    }
    // A node without a cluster talks to either kind: it has yet to hear which cluster is its own.
    (!my_cluster.is_empty() && !its_cluster.is_empty() && my_cluster != its_cluster)
        .then(|| HandshakeError::OtherCluster { node: found, its: its_cluster.to_owned(), mine: my_cluster.to_owned() })
}

/// What a removed node hears, from the handshake and in every call.
pub(crate) fn was_removed(node: u64) -> String {
    format!("node {node} was removed from the cluster and is never let in again; a new node needs an id of its own")
}

fn other_version(node: u64, version: u32) -> String {
    format!("node {node} speaks version {version} of the peer protocol, this node version {PROTOCOL_VERSION}")
}

fn refuse<T>(sentence: String) -> Result<T, HandshakeError> {
    Err(HandshakeError::Refused(sentence))
}

fn nonce() -> Vec<u8> {
    let mut nonce = vec![0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    nonce
}

fn prove(key: &ClusterKey, label: &[u8], hello: &Hello, challenge: &Challenge, binding: &ChannelBinding) -> Vec<u8> {
    mac(key, label, hello, challenge, binding).finalize().into_bytes().to_vec()
}

fn verify(
    key: &ClusterKey,
    label: &[u8],
    hello: &Hello,
    challenge: &Challenge,
    binding: &ChannelBinding,
    proof: &[u8],
) -> bool {
    // Both sides must have brought their own randomness, or an old proof would do.
    let fresh = hello.nonce.len() == NONCE_BYTES && challenge.nonce.len() == NONCE_BYTES;
    fresh && mac(key, label, hello, challenge, binding).verify_slice(proof).is_ok()
}

/// Field by field and each with its length, so that no two conversations look alike.
fn mac(key: &ClusterKey, label: &[u8], hello: &Hello, challenge: &Challenge, binding: &ChannelBinding) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    let mut add = |bytes: &[u8]| {
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    add(label);
    add(binding);
    add(&hello.protocol_version.to_be_bytes());
    add(&hello.feature_level.to_be_bytes());
    add(hello.cluster_id.as_bytes());
    add(&hello.from.to_be_bytes());
    add(&hello.to.to_be_bytes());
    add(&hello.nonce);
    add(&challenge.protocol_version.to_be_bytes());
    add(&challenge.feature_level.to_be_bytes());
    add(challenge.cluster_id.as_bytes());
    add(&challenge.node.to_be_bytes());
    add(&challenge.nonce);
    mac
}

#[cfg(test)]
mod tests;

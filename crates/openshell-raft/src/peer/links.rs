//! The connections to each peer: one HTTP/2 channel for control (votes, heartbeats, read index,
//! status), one for the append stream, one for snapshots, one for forwarded calls, one for log lines of
//! sandboxes, and one for who of them follows. They are apart because a snapshot, or a full flow-control
//! window, in front of a heartbeat makes an election, and a flood of log lines in front of who is connected
//! makes records. A channel that is not used is not connected.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use openshell_proto::peer::peer_client::PeerClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::handshake::HandshakeError;
use super::wire::Wire;

/// No message between nodes is longer, sent or received.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Flow-control windows: a whole batch of entries or a snapshot part fits.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Window of the whole connection.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// A connection that swallows bytes silently is only dialled again because pings find it out.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The gRPC client of one channel.
pub(crate) type Client = PeerClient<Channel>;

/// The channels to one peer.
pub(crate) struct Channels {
    pub(crate) control: Client,
    pub(crate) append: Client,
    pub(crate) snapshot: Client,
    pub(crate) forward: Client,
    /// Log lines of sandboxes, as many as there are.
    pub(crate) logs: Client,
    /// Which sandboxes follow, how far they are, and what concerned them.
    pub(crate) sessions: Client,
}

/// One peer: where it is and how it is reached.
pub(crate) struct Link {
    pub(crate) node: u64,
    pub(crate) address: String,
    wire: Arc<Wire>,
    channels: ArcSwap<Channels>,
}

impl Link {
    fn new(wire: &Arc<Wire>, node: u64, address: &str) -> Self {
        let channels = ArcSwap::from_pointee(open(wire, node, address));
        Self { node, address: address.to_owned(), wire: Arc::clone(wire), channels }
    }

    /// The channels as they are now. They connect when first used, and again when broken.
    pub(crate) fn channels(&self) -> Arc<Channels> {
        self.channels.load_full()
    }
}

fn open(wire: &Arc<Wire>, node: u64, address: &str) -> Channels {
    let client = || {
        PeerClient::new(channel(wire, node, address))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
    Channels {
        control: client(),
        append: client(),
        snapshot: client(),
        forward: client(),
        logs: client(),
        sessions: client(),
    }
}

fn channel(wire: &Arc<Wire>, node: u64, address: &str) -> Channel {
    let (wire, address) = (Arc::clone(wire), address.to_owned());
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let (wire, address) = (Arc::clone(&wire), address.clone());
        // A task of its own: the caller may give up after a heartbeat's time, and the next one
        // finds the connection further on instead of starting it again.
        let connecting = tokio::spawn(async move { wire.connect(node, &address).await });
        async move {
            let connected = connecting.await.map_err(|error| HandshakeError::from(std::io::Error::other(error)))?;
            connected.map(TokioIo::new)
        }
    });
    // The address is for the connector alone; HTTP/2 wants an authority all the same.
    Endpoint::from_static("http://openshell-peer")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector)
}

/// Every peer that this node has dealt with.
pub(crate) struct Links {
    wire: Arc<Wire>,
    by_node: Mutex<BTreeMap<u64, Arc<Link>>>,
}

impl Links {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire, by_node: Mutex::default() }
    }

    /// The link to a node at an address; a new one when the address changed.
    pub(crate) fn to(&self, node: u64, address: &str) -> Arc<Link> {
        let mut links = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        let known = links.get(&node).filter(|link| link.address == address);
        if let Some(link) = known {
            return Arc::clone(link);
        }
        let link = Arc::new(Link::new(&self.wire, node, address));
        links.insert(node, Arc::clone(&link));
        link
    }

    /// A way to whatever node is at an address, for one that is not a member yet.
    pub(crate) fn stranger(&self, address: &str) -> Link {
        Link::new(&self.wire, 0, address)
    }

    /// The link to a node that was dealt with before.
    pub(crate) fn known(&self, node: u64) -> Option<Arc<Link>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    /// Makes every connection anew: this node's cluster id has changed, and the handshake says it.
    pub(crate) fn renew(&self) {
        for link in self.by_node.lock().unwrap_or_else(PoisonError::into_inner).values() {
            link.channels.store(Arc::new(open(&link.wire, link.node, &link.address)));
        }
    }
}

/// Waits for an answer, but not beyond `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// Whether the call certainly did not reach the peer: no connection came about.
pub(crate) fn was_never_sent(status: &Status) -> bool {
    handshake_error(status).is_some()
}

/// The other cluster that the peer belongs to, when that is why no connection came about.
pub(crate) fn other_cluster(status: &Status) -> Option<&str> {
    match handshake_error(status) {
        Some(HandshakeError::OtherCluster { its, .. }) => Some(its),
        Some(
            HandshakeError::Broken { .. }
            | HandshakeError::Slow { .. }
            | HandshakeError::OtherKey { .. }
            | HandshakeError::Refused(_),
        )
        | None => None,
    }
}

/// Whether the peer has shown that it holds another key than this node.
pub(crate) fn has_other_key(status: &Status) -> bool {
    matches!(handshake_error(status), Some(HandshakeError::OtherKey { .. }))
}

/// Whether the system of the peer's machine said that nothing listens at its address: its process is gone.
pub(crate) fn nobody_listens(status: &Status) -> bool {
    let is_refused = |source: &io::Error| source.kind() == io::ErrorKind::ConnectionRefused;
    matches!(handshake_error(status), Some(HandshakeError::Broken { source, .. }) if is_refused(source))
}

/// What went wrong, in a sentence: tonic's own text stops at "transport error".
pub(crate) fn sentence(status: &Status) -> String {
    match handshake_error(status) {
        Some(error) => error.to_string(),
        None => status.message().to_owned(),
    }
}

fn handshake_error(status: &Status) -> Option<&HandshakeError> {
    let mut cause: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HandshakeError>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

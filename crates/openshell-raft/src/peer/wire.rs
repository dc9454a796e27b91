//! Authenticated connections, both ways: TLS where the bytes leave the machine, then the
//! handshake, then a stream that HTTP/2 may have. What is said on it is not decided here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, mem};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;

use super::handshake::{HANDSHAKE_TIMEOUT, HandshakeError, Myself, PeerIdentity, answer, dial};
use super::tls::{NO_TLS, PeerTls};
use super::transport::{Connection, Duplex, Transport};

/// Connections that may be in their handshake at a time; strangers beyond wait in the kernel.
const HANDSHAKES_MAX: usize = 64;
/// Connections that have passed and wait for the server.
const PASSED_MAX: usize = 16;
/// How long a node takes to accept a TCP connection, at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After `accept` failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything needed to make and take connections between nodes.
pub(crate) struct Wire {
    transport: Arc<dyn Transport>,
    tls: PeerTls,
    myself: Arc<Myself>,
    /// Told of the node whose connection has ended.
    departed: mpsc::Sender<u64>,
}

impl Wire {
    /// Whoever made a connection to this node that has ended is told to `departed`, as far as there is room.
    ///
    /// # Errors
    /// When the machine's cryptography does not work; no retry helps.
    pub(crate) fn new(transport: impl Transport, myself: Arc<Myself>, departed: mpsc::Sender<u64>) -> io::Result<Self> {
        Ok(Self { transport: Arc::new(transport), tls: PeerTls::new()?, myself, departed })
    }

    /// Connects to a node and proves both ends.
    ///
    /// # Errors
    /// [`HandshakeError`]; nothing of a call was sent, so it may be sent again freely.
    pub(crate) async fn connect(&self, to: u64, address: &str) -> Result<PeerStream, HandshakeError> {
        let remote = || format!("node {to} at {address}");
        let broken = |source| HandshakeError::Broken { remote: remote(), source };
        let connection = match timeout(CONNECT_TIMEOUT, self.transport.connect(address)).await {
            Ok(connected) => connected.map_err(broken)?,
            Err(_) => return Err(HandshakeError::Slow { remote: remote() }),
        };
        let talk = async {
            let (mut stream, binding) = if connection.loopback {
                (connection.stream, NO_TLS)
            } else {
                self.tls.connect(connection.stream).await?
            };
            let peer = dial(&mut stream, &self.myself, to, &binding).await?;
            Ok(PeerStream { stream, peer, stop: None, _farewell: None })
        };
        named(timeout(HANDSHAKE_TIMEOUT, talk).await, remote())
    }

    async fn admit(&self, connection: Connection) -> Result<PeerStream, HandshakeError> {
        let remote = connection.remote;
        let talk = async {
            let (mut stream, binding) = if connection.loopback {
                (connection.stream, NO_TLS)
            } else {
                self.tls.accept(connection.stream).await?
            };
            let peer = answer(&mut stream, &self.myself, &binding).await?;
            let farewell = Some(Farewell { node: peer.node, to: self.departed.clone() });
            Ok(PeerStream { stream, peer, stop: None, _farewell: farewell })
        };
        named(timeout(HANDSHAKE_TIMEOUT, talk).await, remote)
    }

    /// Takes connections until told to stop; those that pass the handshake come out of the channel.
    pub(crate) fn listen(
        self: Arc<Self>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> mpsc::Receiver<io::Result<PeerStream>> {
        let (passed, streams) = mpsc::channel(PASSED_MAX);
        let (own_tasks, stop) = (tasks.clone(), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(self.accept_all(passed, &own_tasks, &stop)).await });
        streams
    }

    async fn accept_all(
        self: Arc<Self>,
        passed: mpsc::Sender<io::Result<PeerStream>>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        loop {
            let permit = Arc::clone(&handshakes).acquire_owned().await.expect("the semaphore is never closed");
            let connection = match self.transport.accept().await {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (wire, passed, stop) = (Arc::clone(&self), passed.clone(), stop.clone());
            tasks.spawn(async move {
                let remote = connection.remote.clone();
                match wire.admit(connection).await {
                    // When the server is gone, so is the connection.
                    Ok(stream) => mem::drop(passed.send(Ok(stream.until(stop))).await),
                    Err(error) => tracing::warn!(%remote, %error, "refused a peer connection"),
                }
                mem::drop(permit);
            });
        }
    }
}

/// Puts the other end's name into what went wrong.
fn named(
    outcome: Result<Result<PeerStream, HandshakeError>, tokio::time::error::Elapsed>,
    remote: String,
) -> Result<PeerStream, HandshakeError> {
    match outcome {
        Err(_) => Err(HandshakeError::Slow { remote }),
        Ok(Err(HandshakeError::Broken { source, .. })) => Err(HandshakeError::Broken { remote, source }),
        Ok(outcome) => outcome,
    }
}

/// A connection whose other end is proved.
pub(crate) struct PeerStream {
    stream: Box<dyn Duplex>,
    peer: PeerIdentity,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Says so when it goes.
    _farewell: Option<Farewell>,
}

/// Says that a connection of a node has ended.
struct Farewell {
    node: u64,
    to: mpsc::Sender<u64>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Without room others have gone as well, and whoever hears of them looks.
        let _ = self.to.try_send(self.node);
    }
}

impl PeerStream {
    /// Breaks the connection when told to stop.
    fn until(self, stop: CancellationToken) -> Self {
        Self { stop: Some(Box::pin(stop.cancelled_owned())), ..self }
    }
}

impl Connected for PeerStream {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;

//! TCP on loopback with a switch for each node: a node that is cut off reaches nobody and is
//! reached by nobody, until it is healed.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use openshell_raft::{Connection, Duplex, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Says whether a node makes new connections.
type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// The switches of all nodes.
#[derive(Clone, Default)]
pub(crate) struct Switches {
    cuts: Arc<Mutex<BTreeMap<u64, CancellationToken>>>,
    gates: Arc<Mutex<BTreeMap<u64, Gate>>>,
}

impl Switches {
    /// The token that breaks the connections of a node.
    fn of(&self, node: u64) -> CancellationToken {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_default().clone()
    }

    pub(crate) fn cut(&self, node: u64) {
        self.of(node).cancel();
    }

    /// From now on the node dials others only while `gate` says so; connections that are there stay.
    pub(crate) fn gate(&self, node: u64, gate: impl Fn() -> bool + Send + Sync + 'static) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).insert(node, Arc::new(gate));
    }

    fn may_dial(&self, node: u64) -> bool {
        let gate = self.gates.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
        gate.is_none_or(|gate| gate())
    }

    pub(crate) fn heal(&self, node: u64) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).insert(node, CancellationToken::new());
    }
}

/// One node's listener and connector.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) switches: Switches,
    pub(crate) node: u64,
}

impl Port {
    fn through(&self, connection: Connection) -> io::Result<Connection> {
        let switch = self.switches.of(self.node);
        if switch.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "cut off by the test"));
        }
        let stream = Cuttable { stream: connection.stream, cut: Box::pin(switch.cancelled_owned()) };
        Ok(Connection { stream: Box::new(stream), ..connection })
    }
}

impl Transport for Port {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            if !self.switches.may_dial(self.node) {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "held back by the test"));
            }
            self.through(self.listener.connect(address).await?)
        })
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { self.through(Transport::accept(&self.listener).await?) })
    }
}

struct Cuttable {
    stream: Box<dyn Duplex>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

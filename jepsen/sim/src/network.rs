//! turmoil's TCP as what carries bytes between nodes. Everything above it is the product's own: the
//! handshake, HTTP/2, gRPC, its deadlines and its reconnecting.

use std::io;

use futures::future::BoxFuture;
use openshell_raft::{Connection, Transport};
use turmoil::net::{TcpListener, TcpStream};

/// Where nodes take each other's connections.
const PORT: u16 = 7000;

/// The name of a node's host.
pub(crate) fn host(node: u64) -> String {
    format!("node-{node}")
}

/// Under which address its peers reach a node.
pub(crate) fn address(node: u64) -> String {
    format!("{}:{PORT}", host(node))
}

/// The listener of one node, and its way to others.
pub(crate) struct Port(TcpListener);

impl Port {
    /// Bound, on the host that this is called on.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn bind() -> io::Result<Self> {
        TcpListener::bind(("0.0.0.0", PORT)).await.map(Self)
    }
}

/// Said to be of one machine, so that there is no TLS: its records have lengths that no seed decides.
fn connection(stream: TcpStream) -> io::Result<Connection> {
    let remote = stream.peer_addr()?.to_string();
    Ok(Connection { stream: Box::new(stream), loopback: true, remote })
}

impl Transport for Port {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move { connection(TcpStream::connect(address).await?) })
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { connection(self.0.accept().await?.0) })
    }
}

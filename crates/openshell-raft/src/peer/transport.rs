//! How bytes get from node to node: a listener and a connector behind one small trait, so that
//! a simulation can stand in for TCP. Who is at the other end is found out in `handshake`.

use std::io;
use std::net::SocketAddr;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A stream of bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection before anything was said on it.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn Duplex>,
    /// Both ends are loopback addresses: the bytes never leave the machine and need no TLS.
    pub loopback: bool,
    /// The other end, for log lines.
    pub remote: String,
}

/// Makes and takes connections between nodes.
pub trait Transport: Send + Sync + 'static {
    /// Connects to `host:port`.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>>;

    /// Takes the next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Connection>>;
}

impl Transport for TcpListener {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move { over_tcp(TcpStream::connect(address).await?) })
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, _) = TcpListener::accept(self).await?;
            over_tcp(stream)
        })
    }
}

fn over_tcp(stream: TcpStream) -> io::Result<Connection> {
    // A heartbeat is one small packet: it must not wait for a second one.
    stream.set_nodelay(true)?;
    let (near, far) = (stream.local_addr()?, stream.peer_addr()?);
    let loopback = is_loopback(&near) && is_loopback(&far);
    Ok(Connection { stream: Box::new(stream), loopback, remote: far.to_string() })
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

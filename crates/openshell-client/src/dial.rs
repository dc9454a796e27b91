//! A byte stream to an endpoint: TCP, or whatever a test or a simulated network passes in, with TLS
//! on top when the endpoint asks for it. HTTP begins one file further, in `line`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::endpoint::EndpointUrl;
use crate::tls::{Tls, TlsError};

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connected stream of any make.
pub type BoxedStream = Box<dyn Duplex>;

/// How a stream to a host and port comes about: the seam for simulated networks.
pub trait Dial: Send + Sync {
    /// Connects. Dropping the future gives up.
    fn dial(&self, host: String, port: u16) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;
}

/// Real TCP, every address of the name in turn, without delay of small packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial(&self, host: String, port: u16) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> {
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxedStream)
        })
    }
}

/// Dialling with TLS where the endpoint asks for it.
#[derive(Clone)]
pub(crate) struct Dialler {
    dial: Arc<dyn Dial>,
    tls: Option<TlsConnector>,
    insists_on_h2: bool,
}

impl Dialler {
    pub(crate) fn new(dial: Arc<dyn Dial>, tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self { dial, tls: tls.connector()?, insists_on_h2: tls.insists_on_h2() })
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects and, for `https`, shakes hands. `wants_http2` is false for a plain HTTP/1.1 probe.
    pub(crate) async fn connect(&self, endpoint: &EndpointUrl, wants_http2: bool) -> io::Result<BoxedStream> {
        let stream = self.dial(endpoint).await?;
        self.secure(stream, endpoint, wants_http2).await
    }

    /// Connects, without TLS.
    pub(crate) fn dial(&self, endpoint: &EndpointUrl) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> {
        self.dial.dial(endpoint.host().to_owned(), endpoint.port())
    }

    /// Shakes hands on a connected stream where the endpoint asks for it.
    pub(crate) async fn secure(
        &self,
        stream: BoxedStream,
        endpoint: &EndpointUrl,
        wants_http2: bool,
    ) -> io::Result<BoxedStream> {
        if !endpoint.is_secure() {
            return Ok(stream);
        }
        let Some(connector) = &self.tls else {
            return Err(io::Error::other(TlsError::Missing(endpoint.to_string())));
        };
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|_| io::Error::other(format!("'{}' is no name that a certificate can carry", endpoint.host())))?;
        if !wants_http2 {
            return Ok(Box::new(connector.with_alpn(Vec::new()).connect(name, stream).await?));
        }
        let stream = connector.connect(name, stream).await?;
        if self.insists_on_h2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server did not choose HTTP/2 (ALPN h2) in the TLS handshake"));
        }
        Ok(Box::new(stream))
    }
}

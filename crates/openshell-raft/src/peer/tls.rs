//! TLS 1.3 between nodes that are not on one machine, with a certificate that is made at start
//! and that nobody verifies.
//!
//! Why that is safe: the certificate is not what says who is there. After the TLS handshake both
//! sides prove the cluster key over values that hold this session's exported keying material
//! (RFC 8446, 7.5; RFC 9266). Someone in the middle has two sessions with different material,
//! cannot make the proofs without the key, and passing on the proofs of one session in the other
//! fails. Nothing is sent before the proofs, so an unproved peer learns nothing and says nothing.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, ConnectionCommon, DigitallySignedStruct, ServerConfig, SideData, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::transport::Duplex;

/// What goes into the proofs of a connection: which TLS session they belong to.
pub(crate) type ChannelBinding = [u8; 32];

/// Stands for the session on loopback, where there is none.
pub(crate) const NO_TLS: ChannelBinding = [0; 32];

const EXPORTER_LABEL: &[u8] = b"EXPORTER-openshell-peer-handshake";
/// Server names mean nothing here, but TLS wants one.
const SERVER_NAME: &str = "openshell-peer";

/// Both ends of TLS between peers.
#[derive(Clone)]
pub(crate) struct PeerTls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl PeerTls {
    /// Makes this process's key and certificate.
    ///
    /// # Errors
    /// When the machine's cryptography does not work; no retry helps.
    pub(crate) fn new() -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let made = rcgen::generate_simple_self_signed(vec![SERVER_NAME.to_owned()]).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .map_err(io::Error::other)?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
            .with_no_client_auth();
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }

    /// The dialling side.
    pub(crate) async fn connect(&self, stream: Box<dyn Duplex>) -> io::Result<(Box<dyn Duplex>, ChannelBinding)> {
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = self.connector.connect(name, stream).await?;
        let binding = binding(stream.get_ref().1)?;
        Ok((Box::new(stream), binding))
    }

    /// The listening side.
    pub(crate) async fn accept(&self, stream: Box<dyn Duplex>) -> io::Result<(Box<dyn Duplex>, ChannelBinding)> {
        let stream = self.acceptor.accept(stream).await?;
        let binding = binding(stream.get_ref().1)?;
        Ok((Box::new(stream), binding))
    }
}

fn binding<S: SideData>(connection: &ConnectionCommon<S>) -> io::Result<ChannelBinding> {
    connection.export_keying_material(NO_TLS, EXPORTER_LABEL, None).map_err(io::Error::other)
}

/// Takes any certificate, see the module's text, but checks that its key signed the session.
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyCertificate")
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("peers speak TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

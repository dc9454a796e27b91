//! TLS as `cli.md` 1.7 has it: a bundle of authority, certificate and key, the authorities of this machine, or
//! no verification at all. The client offers `h2` and insists on it, except without verification. Where the files lie is
//! the caller's business.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How the endpoints with the scheme `https` are trusted and who the client is to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// No TLS was set up: an `https` endpoint is a configuration error.
    #[default]
    None,
    /// PEM texts. The authority is the only root; certificate and key come together or not at all.
    Bundle {
        /// Certificates of the authority that signed the server's.
        ca_pem: Vec<u8>,
        /// The client's certificate chain and its key.
        identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    },
    /// The authorities that this machine trusts; no client certificate.
    System,
    /// Encrypted, but the server may be anyone; no client certificate and no protocol is offered.
    Insecure,
}

/// Why the certificates cannot be used. Retrying does not help.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An `https` endpoint without certificates.
    #[error(
        "endpoint {0} is https, which needs a client certificate bundle (ca.crt, tls.crt, tls.key) or insecure mode"
    )]
    Missing(String),
    /// A PEM text without what it should hold.
    #[error("the {part} is no usable PEM text: {problem}")]
    Pem {
        /// `certificate authority`, `client certificate` or `client key`.
        part: &'static str,
        /// What the parser said.
        problem: String,
    },
    /// Nobody is trusted, so that no server can be.
    #[error("this machine has no usable certificate authorities: {0}")]
    NoAuthorities(String),
    /// Certificate and key do not fit together or use something unsupported.
    #[error("the client certificate cannot be used")]
    Rejected(#[from] tokio_rustls::rustls::Error),
}

impl Tls {
    /// The connector, or `None` when no TLS was set up.
    pub(crate) fn connector(&self) -> Result<Option<TlsConnector>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match self {
            Self::None => return Ok(None),
            Self::Insecure => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth(),
            Self::System => {
                let mut config = builder.with_root_certificates(system_roots()?).with_no_client_auth();
                config.alpn_protocols = vec![b"h2".to_vec()];
                config
            }
            Self::Bundle { ca_pem, identity_pem } => {
                let builder = builder.with_root_certificates(roots(ca_pem)?);
                let mut config = match identity_pem {
                    None => builder.with_no_client_auth(),
                    Some((certificate, key)) => builder.with_client_auth_cert(
                        certificates("client certificate", certificate)?,
                        PrivateKeyDer::from_pem_slice(key)
                            .map_err(|error| TlsError::Pem { part: "client key", problem: error.to_string() })?,
                    )?,
                };
                config.alpn_protocols = vec![b"h2".to_vec()];
                config
            }
        };
        Ok(Some(TlsConnector::from(Arc::new(config))))
    }

    /// Whether a server that did not choose `h2` must be turned away.
    pub(crate) fn insists_on_h2(&self) -> bool {
        match self {
            Self::Bundle { .. } | Self::System => true,
            Self::None | Self::Insecure => false,
        }
    }
}

/// Those of the machine, or of the file that `SSL_CERT_FILE` names. Certificates that cannot be read are passed over.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let problem = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
        return Err(TlsError::NoAuthorities(problem));
    }
    Ok(store)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let part = "certificate authority";
    let mut store = RootCertStore::empty();
    for certificate in certificates(part, pem)? {
        store.add(certificate).map_err(|error| TlsError::Pem { part, problem: error.to_string() })?;
    }
    Ok(store)
}

fn certificates(part: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem { part, problem: error.to_string() })?;
    if certificates.is_empty() {
        return Err(TlsError::Pem { part, problem: "it holds no certificate".to_owned() });
    }
    Ok(certificates)
}

/// Accepts any server. Signatures are still checked, so that the session is at least with whoever
/// holds the key of the certificate shown.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, tokio_rustls::rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

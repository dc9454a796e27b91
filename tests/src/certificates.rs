//! Certificates for a cluster off loopback: an authority of its own, a server certificate for each
//! address, and a client certificate of an administrator. Files for gateways, values for clients.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use openshell_client::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The authority of one cluster, and its files in a folder.
pub(crate) struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Certificates {
    /// Makes an authority; its certificate is the file `ca.crt` in the folder.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        let made = Self { authority, folder: folder.to_owned() };
        made.write("ca.crt", &made.authority.pem())?;
        Ok(made)
    }

    /// The flags of a gateway at this address, with its files made.
    pub(crate) fn of_server(&self, address: IpAddr) -> anyhow::Result<Vec<String>> {
        let (certificate, key) = self.sign(CertificateParams::new(vec![address.to_string()])?)?;
        let certificate = self.write(&format!("{address}.crt"), &certificate)?;
        let key = self.write(&format!("{address}.key"), &key)?;
        let authority = self.folder.join("ca.crt").display().to_string();
        let flags = [("--tls-cert", certificate), ("--tls-key", key), ("--tls-client-ca", authority)];
        Ok(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect())
    }

    /// What a client shows and trusts.
    pub(crate) fn of_client(&self) -> anyhow::Result<Tls> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name.push(DnType::CommonName, "harness");
        parameters.distinguished_name.push(DnType::OrganizationalUnitName, "openshell-admin");
        let (certificate, key) = self.sign(parameters)?;
        let identity_pem = Some((certificate.into_bytes(), key.into_bytes()));
        Ok(Tls::Bundle { ca_pem: self.authority.pem().into_bytes(), identity_pem })
    }

    /// Certificate and key, PEM.
    fn sign(&self, parameters: CertificateParams) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.authority)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.display().to_string())
    }
}

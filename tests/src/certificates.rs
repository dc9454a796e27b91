//! Certificates for a cluster whose clients show some: an authority of its own, a server certificate
//! for each address, and client certificates of users. Files for gateways, values for clients.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use openshell_client::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// The user that the harness is.
pub(crate) const HARNESS: &str = "harness";

/// The authority of one cluster, and its files in a folder.
pub(crate) struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl fmt::Debug for Certificates {
    /// Without the authority's key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").field("folder", &self.folder).finish_non_exhaustive()
    }
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

    /// What a user in some roles, two at most, shows for a time, or for ever, and trusts. Who has no name shows
    /// nothing.
    pub(crate) fn of_client(&self, user: &str, roles: &[&str], valid: Option<Duration>) -> anyhow::Result<Tls> {
        // An organisational unit by its name and by its number: the library takes either once.
        let units = [DnType::OrganizationalUnitName, DnType::CustomDnType(vec![2, 5, 4, 11])];
        ensure!(roles.len() <= units.len(), "{roles:?} are more roles than a certificate is made with here");
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, user);
        if let Some(valid) = valid {
            parameters.not_after =
                rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH)? + valid;
        }
        for (unit, role) in units.into_iter().zip(roles) {
            parameters.distinguished_name.push(unit, *role);
        }
        let identity_pem = if user.is_empty() {
            None
        } else {
            let (certificate, key) = self.sign(parameters)?;
            Some((certificate.into_bytes(), key.into_bytes()))
        };
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

//! The cluster's secrets key and what is derived from it: the key that peers prove to each
//! other, the key that request fingerprints are hashed with, and the key that secrets are
//! sealed with (HKDF-SHA256, RFC 5869). The key itself is kept nowhere but in its file.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use openshell_state::{Opener, Sealer};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::Sha256;

/// Says that what follows is sealed by this scheme.
const FORMAT: u8 = 1;
/// Which of several keys sealed it.
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// The secrets key's derivations.
pub(crate) struct Secrets {
    /// Peers prove that they know it.
    pub(crate) cluster_key: [u8; 32],
    /// Stored beside the data; tells two keys apart and nothing else.
    pub(crate) check_value: [u8; 32],
    fingerprint_key: [u8; 32],
    sealing_key: [u8; 32],
    key_id: [u8; KEY_ID_BYTES],
    nonces: Mutex<StdRng>,
}

impl Secrets {
    /// Reads the key file of a cluster.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading --secrets-key-file {}", path.display()))?;
        let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            tracing::warn!(file = %path.display(), "the secrets key is readable by others; set its mode to 0600");
        }
        let key =
            hex::decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).with_context(|| {
                format!(
                    "{} must hold 32 bytes as 64 hexadecimal digits; make one with: openssl rand -hex 32",
                    path.display()
                )
            })?;
        Ok(Self::derive(&key))
    }

    /// Reads the key of a cluster of one from its data directory, or makes it there while there is
    /// no data that another key has sealed.
    pub(crate) fn read_or_make(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            let data = path.with_file_name(crate::storage::DATABASE);
            ensure!(
                !data.exists(),
                "{} holds data, but there is no {}: name the key that the data was made with by --secrets-key-file",
                data.display(),
                path.display()
            );
            make_key_file(path)?;
        }
        Self::read(path)
    }

    /// Of a known key, for tests.
    #[cfg(test)]
    pub(crate) fn of(key: &[u8; 32]) -> Self {
        Self::derive(key)
    }

    fn derive(key: &[u8; 32]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, key);
        let expand = |label: &str| {
            let mut derived = [0; 32];
            hkdf.expand(label.as_bytes(), &mut derived).expect("32 bytes are within what HKDF gives");
            derived
        };
        let key_id = expand("openshell key id v1");
        Self {
            cluster_key: expand("openshell peers v1"),
            check_value: expand("openshell check value v1"),
            fingerprint_key: expand("openshell request fingerprints v1"),
            sealing_key: expand("openshell sealing v1"),
            key_id: *key_id.first_chunk().expect("a derived key is longer than its id"),
            nonces: Mutex::new(StdRng::from_os_rng()),
        }
    }

    /// The keyed hash that binds a request id to who asked what.
    pub(crate) fn fingerprint(&self, principal: &str, rpc: &str, request: &[u8]) -> [u8; 32] {
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&self.fingerprint_key).expect("HMAC takes keys of any length");
        for part in [principal.as_bytes(), rpc.as_bytes(), request] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// What a sealed value is bound to: it opens nowhere else.
fn associated_data(kind: &str, workspace: &str, name: &str, field: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [kind, workspace, name, field] {
        data.extend_from_slice(&(part.len() as u64).to_le_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

impl Sealer for Secrets {
    fn seal(&self, kind: &str, workspace: &str, name: &str, field: &str, plaintext: &[u8]) -> String {
        let mut nonce = [0; NONCE_BYTES];
        self.nonces.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill_bytes(&mut nonce);
        let cipher = XChaCha20Poly1305::new(&self.sealing_key.into());
        let payload = Payload { msg: plaintext, aad: &associated_data(kind, workspace, name, field) };
        let sealed =
            cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("a credential is far below the cipher's bound");
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.key_id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        STANDARD_NO_PAD.encode(bytes)
    }
}

impl Opener for Secrets {
    fn open(&self, kind: &str, workspace: &str, name: &str, field: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (format, rest) = bytes.split_first()?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_BYTES)?;
        let (nonce, msg) = rest.split_at_checked(NONCE_BYTES)?;
        if *format != FORMAT || key_id != self.key_id {
            return None;
        }
        let payload = Payload { msg, aad: &associated_data(kind, workspace, name, field) };
        XChaCha20Poly1305::new(&self.sealing_key.into()).decrypt(XNonce::from_slice(nonce), payload).ok()
    }
}

/// Writes a new random key, readable by its owner only.
pub(crate) fn make_key_file(path: &Path) -> anyhow::Result<()> {
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    writeln!(file, "{}", hex::encode(key))
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", path.display()))?;
    let length = std::fs::metadata(path)?.len();
    ensure!(length == 65, "{} was written short: {length} bytes", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(secrets: &Secrets, sealed: &str, place: [&str; 4]) -> Option<Vec<u8>> {
        let [kind, workspace, name, field] = place;
        Opener::open(secrets, kind, workspace, name, field, sealed)
    }

    #[test]
    fn a_sealed_value_opens_in_its_place_and_nowhere_else() {
        let secrets = Secrets::derive(&[7; 32]);
        let sealed = secrets.seal("provider", "default", "p", "credentials/KEY", b"secret");
        assert_eq!(
            open(&secrets, &sealed, ["provider", "default", "p", "credentials/KEY"]).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&secrets, &sealed, ["provider", "default", "q", "credentials/KEY"]), None);
        assert_eq!(open(&Secrets::derive(&[8; 32]), &sealed, ["provider", "default", "p", "credentials/KEY"]), None);
        assert_ne!(sealed, secrets.seal("provider", "default", "p", "credentials/KEY", b"secret"), "nonces differ");
    }

    #[test]
    fn a_fingerprint_tells_callers_calls_and_requests_apart() {
        let secrets = Secrets::derive(&[7; 32]);
        let one = secrets.fingerprint("a", "b", b"c");
        for (principal, rpc, request) in [("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x"), ("ab", "", "c")] {
            assert_ne!(one, secrets.fingerprint(principal, rpc, request.as_bytes()));
        }
    }

    #[test]
    fn a_key_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "short").unwrap();
        assert!(Secrets::read(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        Secrets::read_or_make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(make_key_file(&path).is_err(), "a key is never overwritten");
    }
}

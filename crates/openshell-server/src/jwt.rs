//! Signatures for the token library, by the implementation that TLS already uses here (ring). Ed25519
//! signs and verifies sandboxes' tokens: a signing key is its 32-byte seed, a verifying key its 32-byte
//! public half. RS256 only signs, for token endpoints that take an assertion: a key is PKCS #8 in DER.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// Gives the token library its cryptography. May be called any number of times.
pub(crate) fn install() {
    // Refused when it is there already, which is as good.
    let _ = PROVIDER.install_default();
}

/// The public half of a seed.
pub(crate) fn public_key(seed: &[u8; 32]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    pair.public_key().as_ref().to_vec()
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match algorithm {
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
            Ok(Box::new(Ed25519Signing(pair)))
        }
        Algorithm::RS256 => {
            let pair =
                RsaKeyPair::from_pkcs8(key.as_bytes()).map_err(|error| ErrorKind::InvalidRsaKey(error.to_string()))?;
            Ok(Box::new(RsaSigning(pair)))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Ed25519Signing(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RsaSigning(RsaKeyPair);

impl Signer<Vec<u8>> for RsaSigning {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map(|()| signature).map_err(|_| SignatureError::new())
    }
}

impl JwtSigner for RsaSigning {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

struct Ed25519Verifying(UnparsedPublicKey<Vec<u8>>);

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if *algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    }
    Ok(Box::new(Ed25519Verifying(UnparsedPublicKey::new(&ED25519, key.try_get_as_bytes()?.to_vec()))))
}

impl Verifier<Vec<u8>> for Ed25519Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.0.verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Ed25519Verifying {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

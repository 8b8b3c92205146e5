//! A private key that is ready to sign as RFC 7518 section 3 wants it.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use waxwing_acme::jws::{Algorithm, Jwk, SignError, Signer};
use waxwing_core::key::KeyType;
use waxwing_core::secret::Secret;
use waxwing_flow::ports::CryptoError;

use crate::pem;
use crate::x509::failed;

pub(super) const READING: &str = "read the private key";

/// A key in memory. Its parts that `Signer` hands out are taken once, so that they cannot fail.
pub(super) struct PrivateKey {
    key: Key,
    public: Jwk,
}

enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Reads PKCS#8, and PKCS#1 and SEC1 too, since operators bring account keys along.
    pub(super) fn read(text: &Secret<String>) -> Result<Self, CryptoError> {
        let der = pem::private_key(text.expose()).map_err(|cause| failed(READING, cause))?;
        if let Some(key) = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
            let (x, y) = point(&key).ok_or_else(|| failed(READING, "its point is not on P-256"))?;
            return Ok(Self {
                key: Key::P256(key),
                public: Jwk::P256 { x, y },
            });
        }
        if let Some(key) = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, &der) {
            let (x, y) = point(&key).ok_or_else(|| failed(READING, "its point is not on P-384"))?;
            return Ok(Self {
                key: Key::P384(key),
                public: Jwk::P384 { x, y },
            });
        }
        let rsa = match &der {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            other => RsaKeyPair::from_der(other.secret_der()),
        };
        let key = rsa.map_err(|_shape| {
            failed(
                READING,
                "it is neither ECDSA on P-256 or P-384 nor RSA of 2048 bits or more",
            )
        })?;
        let public = key.public_key();
        let public = Jwk::Rsa {
            n: public.modulus().big_endian_without_leading_zero().to_vec(),
            e: public.exponent().big_endian_without_leading_zero().to_vec(),
        };
        Ok(Self {
            key: Key::Rsa(key),
            public,
        })
    }

    pub(super) fn kind(&self) -> Option<KeyType> {
        match &self.key {
            Key::P256(_) => Some(KeyType::EcdsaP256),
            Key::P384(_) => Some(KeyType::EcdsaP384),
            Key::Rsa(key) => match key.public_modulus_len() * 8 {
                2048 => Some(KeyType::Rsa2048),
                3072 => Some(KeyType::Rsa3072),
                4096 => Some(KeyType::Rsa4096),
                _ => None,
            },
        }
    }
}

impl PrivateKey {
    /// The key in DER, as PKCS#8.
    pub(super) fn to_pkcs8(&self) -> Result<Vec<u8>, CryptoError> {
        let refused = |_unspecified| failed(READING, "it cannot be written as PKCS#8");
        match &self.key {
            Key::P256(key) | Key::P384(key) => {
                let der = key.to_pkcs8v1().map_err(refused)?;
                Ok(der.as_ref().to_vec())
            }
            Key::Rsa(key) => {
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(refused)?;
                Ok(der.as_ref().to_vec())
            }
        }
    }
}

impl Signer for PrivateKey {
    fn algorithm(&self) -> Algorithm {
        match &self.key {
            Key::P256(_) => Algorithm::Es256,
            Key::P384(_) => Algorithm::Es384,
            Key::Rsa(_) => Algorithm::Rs256,
        }
    }

    fn jwk(&self) -> Jwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let refused = |_unspecified| SignError {
            cause: "the crypto library refused".to_owned(),
        };
        let random = SystemRandom::new();
        match &self.key {
            Key::P256(key) | Key::P384(key) => key
                .sign(&random, message)
                .map(|s| s.as_ref().to_vec())
                .map_err(refused),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(refused)?;
                Ok(signature)
            }
        }
    }
}

fn ecdsa(curve: &'static EcdsaSigningAlgorithm, der: &PrivateKeyDer<'_>) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_private_key_der(curve, der.secret_der()).ok()
}

/// The affine coordinates of an uncompressed point (SEC 1 section 2.3.3).
fn point<const N: usize>(key: &EcdsaKeyPair) -> Option<([u8; N], [u8; N])> {
    let (form, coordinates) = key.public_key().as_ref().split_first()?;
    let (x, y) = coordinates.split_at_checked(N)?;
    (*form == 4).then_some(())?;
    Some((x.try_into().ok()?, y.try_into().ok()?))
}

//! Private keys of other clients, made into the form that the store keeps: PKCS#8 PEM.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair,
};
use waxwing_core::import::{Curve, ForeignKey, RsaNumbers};
use waxwing_core::secret::Secret;
use waxwing_flow::ports::CryptoError;

use super::private::{PrivateKey, READING};
use crate::pem;
use crate::x509::failed;

/// The same key as PKCS#8 PEM.
///
/// # Errors
/// When it is no private key, is encrypted, its numbers do not belong together, or it is of a kind
/// that cannot sign here.
pub fn to_pem(key: &ForeignKey) -> Result<Secret<String>, CryptoError> {
    let der = match key {
        ForeignKey::Pem(text) => {
            if text.expose().contains("ENCRYPTED") {
                return Err(failed(READING, "it is encrypted with a password"));
            }
            PrivateKey::read(text)?.to_pkcs8()?
        }
        ForeignKey::Rsa(numbers) => rsa(numbers)?,
        ForeignKey::Ec {
            curve,
            private,
            x,
            y,
        } => ec(*curve, private, x, y)?,
    };
    Ok(Secret::new(pem::write("PRIVATE KEY", &der)))
}

fn ec(curve: Curve, private: &Secret<Vec<u8>>, x: &[u8], y: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (algorithm, width) = match curve {
        Curve::P256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
        Curve::P384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
    };
    // Some writers leave leading zeros out.
    let wide = |number: &[u8]| {
        let zeros = width_of_zeros(number, width)?;
        Some([&vec![0; zeros][..], number].concat())
    };
    let parts = (wide(private.expose()), wide(x), wide(y));
    let (Some(private), Some(x), Some(y)) = parts else {
        return Err(failed(READING, "its numbers are too long for its curve"));
    };
    let point = [&[4][..], &x, &y].concat();
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &point)
        .map_err(|_why| failed(READING, "its numbers do not belong together"))?;
    let der = key.to_pkcs8v1();
    let der = der.map_err(|_why| failed(READING, "it cannot be written as PKCS#8"))?;
    Ok(der.as_ref().to_vec())
}

fn width_of_zeros(number: &[u8], width: usize) -> Option<usize> {
    width.checked_sub(number.len())
}

fn rsa(numbers: &RsaNumbers) -> Result<Vec<u8>, CryptoError> {
    let [d, p, q, dp, dq, qi] = &numbers.private;
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: without_zeros(&numbers.modulus),
            e: without_zeros(&numbers.exponent),
        },
        d: d.expose(),
        p: p.expose(),
        q: q.expose(),
        dP: dp.expose(),
        dQ: dq.expose(),
        qInv: qi.expose(),
    };
    let key = RsaKeyPair::from_components(&components).map_err(|_why| {
        failed(
            READING,
            "its numbers do not belong together, or it has less than 2048 bits",
        )
    })?;
    let der: Result<Pkcs8V1Der<'_>, _> = key.as_der();
    let der = der.map_err(|_why| failed(READING, "it cannot be written as PKCS#8"))?;
    Ok(der.as_ref().to_vec())
}

/// Some writers put a zero in front, as DER does.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use waxwing_core::key::KeyType;
    use waxwing_flow::ports::KeyMaker as _;

    use super::*;
    use crate::keys::LocalKeys;

    /// What openssl prints of a key, as numbers.
    fn number(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    #[test]
    fn keys_in_every_form_become_the_same_pkcs8() {
        for kind in [KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Rsa2048] {
            let key = LocalKeys.certificate_key(kind).expect("made");
            let again = to_pem(&ForeignKey::Pem(key.clone())).expect("read");
            assert_eq!(
                LocalKeys.public_key_sha256(&again),
                LocalKeys.public_key_sha256(&key),
                "{kind}"
            );
            assert_eq!(LocalKeys.kind(&again), Ok(Some(kind)));
            assert!(again.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        }
    }

    /// The key of RFC 7517 appendix A.2.
    #[test]
    fn numbers_of_an_ec_key_become_pkcs8_and_wrong_ones_are_refused() {
        let key = |private: Vec<u8>| ForeignKey::Ec {
            curve: Curve::P256,
            private: Secret::new(private),
            x: number("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"),
            y: number("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"),
        };
        let private = number("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");
        let pem = to_pem(&key(private.clone())).expect("a key");
        assert_eq!(LocalKeys.kind(&pem), Ok(Some(KeyType::EcdsaP256)));
        let check = |private: Vec<u8>, want: &str| {
            let error = to_pem(&key(private)).expect_err("refused");
            assert_eq!(error.causes, [want]);
        };
        check(vec![1; 32], "its numbers do not belong together");
        check(vec![1; 33], "its numbers are too long for its curve");
    }

    #[test]
    fn a_locked_key_is_said_to_be_one() {
        let text =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let error = to_pem(&ForeignKey::Pem(Secret::new(text.to_owned()))).expect_err("refused");
        assert_eq!(error.causes, ["it is encrypted with a password"]);
    }
}

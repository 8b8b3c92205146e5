//! PKCS#12 files (RFC 7292) for servers that read nothing else.

use aws_lc_rs::digest;
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12ImportPolicy,
    PrivateKey, PrivateKeyChain,
};
use waxwing_core::secret::Secret;
use waxwing_flow::ports::CryptoError;

use crate::pem;
use crate::x509::failed;

const MAKING: &str = "make the PKCS#12 file";
const READING: &str = "read the PKCS#12 file";

/// How a file is encrypted, named by who can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-256 with PBKDF2 and HMAC-SHA-256: everything since 2019.
    Modern,
    /// Triple DES and HMAC-SHA-1: Windows Server 2016, old appliances, Java 8 before update 301.
    Legacy,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    /// The name in settings: `modern`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
        }
    }

    /// The profile of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == text)
    }

    /// True if the file names this profile's cipher and not the other's. The names stand in the
    /// clear, each an OBJECT IDENTIFIER in DER; both are long enough not to turn up by chance.
    fn encrypts(self, file: &[u8]) -> bool {
        let names = |profile: Self| {
            let oid: &[u8] = match profile {
                // PBES2, 1.2.840.113549.1.5.13.
                Self::Modern => b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d",
                // pbeWithSHAAnd3-KeyTripleDES-CBC, 1.2.840.113549.1.12.1.3.
                Self::Legacy => b"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03",
            };
            file.windows(oid.len()).any(|window| window == oid)
        };
        Self::ALL
            .into_iter()
            .all(|profile| names(profile) == (profile == self))
    }
}

/// A file with the key and the whole chain, encrypted with `password`, which may be empty.
///
/// `friendly_name` is what Windows shows in its certificate list. The bytes differ from call to
/// call, since salts are random.
pub fn pkcs12(
    key_pem: &Secret<String>,
    fullchain_pem: &str,
    friendly_name: &str,
    password: &Secret<String>,
    profile: Profile,
) -> Result<Vec<u8>, CryptoError> {
    let key = pem::private_key(key_pem.expose()).map_err(|cause| failed(MAKING, cause))?;
    let key = PrivateKey::from_der(key.secret_der()).map_err(|cause| failed(MAKING, cause))?;
    let blocks = pem::chain(fullchain_pem).map_err(|cause| failed(MAKING, cause))?;
    // The id ties the key to the leaf; any value does, and the thumbprint is what Windows uses.
    let leaf = blocks
        .first()
        .map(|leaf| leaf.der.as_ref())
        .unwrap_or_default();
    let id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf);
    let chain: Result<Vec<_>, _> = blocks
        .iter()
        .map(|block| Certificate::from_der(&block.der))
        .collect();
    let chain = chain.map_err(|cause| failed(MAKING, cause))?;
    let mut file = KeyStore::new();
    let entry = PrivateKeyChain::new(id.as_ref(), key, chain);
    file.add_entry(friendly_name, KeyStoreEntry::PrivateKeyChain(entry));
    let (encryption, mac) = match profile {
        Profile::Modern => (
            EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
            MacAlgorithm::HmacSha256,
        ),
        Profile::Legacy => (
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            MacAlgorithm::HmacSha1,
        ),
    };
    let writer = file.writer(password.expose());
    let written = writer
        .encryption_algorithm(encryption)
        .mac_algorithm(mac)
        .write();
    written.map_err(|cause| failed(MAKING, cause))
}

/// Key and chain of a file that holds one of each: PKCS#8 PEM, and PEM with the leaf first.
///
/// # Errors
/// When the password is wrong, the file is none, or it holds no key with a certificate.
pub fn read(
    file: &[u8],
    password: &Secret<String>,
) -> Result<(Secret<String>, String), CryptoError> {
    let store = KeyStore::from_pkcs12(file, password.expose(), Pkcs12ImportPolicy::Relaxed)
        .map_err(|cause| failed(READING, cause))?;
    let Some((_, entry)) = store.private_key_chain() else {
        return Err(failed(READING, "there is no key with a certificate in it"));
    };
    let key = pem::write("PRIVATE KEY", entry.key().as_der());
    let chain = entry.certs().iter();
    let chain = chain.map(|one| pem::write("CERTIFICATE", one.as_der()));
    Ok((Secret::new(key), chain.collect()))
}

/// True if `file` opens with `password`, is encrypted as `profile` says, and holds exactly this key
/// and chain under this name.
///
/// Two files with the same content differ byte by byte, so this is how to see that nothing has to
/// be written.
pub fn holds(
    file: &[u8],
    key_pem: &Secret<String>,
    fullchain_pem: &str,
    friendly_name: &str,
    password: &Secret<String>,
    profile: Profile,
) -> bool {
    if !profile.encrypts(file) {
        return false;
    }
    let Ok(key) = pem::private_key(key_pem.expose()) else {
        return false;
    };
    let Ok(blocks) = pem::chain(fullchain_pem) else {
        return false;
    };
    let Ok(store) = KeyStore::from_pkcs12(file, password.expose(), Pkcs12ImportPolicy::Relaxed)
    else {
        return false;
    };
    let mut entries = store.entries();
    let (Some((name, KeyStoreEntry::PrivateKeyChain(entry))), None) =
        (entries.next(), entries.next())
    else {
        return false;
    };
    let Ok(wanted) = PrivateKey::from_der(key.secret_der()) else {
        return false;
    };
    let chain = entry.certs().iter().map(Certificate::as_der);
    name == friendly_name
        && entry.key().as_der() == wanted.as_der()
        && chain.eq(blocks.iter().map(|block| &block.der[..]))
}

#[cfg(test)]
mod tests {
    use p12_keystore::Pkcs12ImportPolicy;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn issued() -> (Secret<String>, String) {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name
            .push(DnType::CommonName, "Test Root");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key"));
        let root = root.expect("a root");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["example.com".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &root).expect("a leaf");
        let chain = format!("{}{}", leaf.pem(), root.pem()).replace("\r\n", "\n");
        (Secret::new(key.serialize_pem()), chain)
    }

    #[test]
    fn a_file_gives_back_key_chain_and_name_for_its_password_alone() {
        let (key, chain) = issued();
        for profile in Profile::ALL {
            for password in ["hunter2", "pässwörd", ""] {
                let secret = Secret::new(password.to_owned());
                let file = pkcs12(&key, &chain, "shop", &secret, profile).expect("made");
                let read = KeyStore::from_pkcs12(&file, password, Pkcs12ImportPolicy::Relaxed);
                let read = read.expect("read");
                let (name, entry) = read.private_key_chain().expect("an entry");
                assert_eq!(name, "shop");
                let want_key = pem::private_key(key.expose()).expect("a key");
                assert_eq!(entry.key().as_der(), want_key.secret_der());
                let found: Vec<_> = entry.certs().iter().map(Certificate::as_der).collect();
                let want = pem::chain(&chain).expect("a chain");
                assert_eq!(
                    found,
                    want.iter().map(|b| b.der.as_ref()).collect::<Vec<_>>()
                );
                let (read_key, read_chain) = super::read(&file, &secret).expect("read");
                assert_eq!(read_chain, chain);
                let same = pem::private_key(read_key.expose()).expect("a key");
                assert_eq!(same.secret_der(), want_key.secret_der());
                let wrong = super::read(&file, &Secret::new("other".to_owned()));
                assert!(wrong.is_err(), "{profile:?}");
                let other = KeyStore::from_pkcs12(&file, "other", Pkcs12ImportPolicy::Relaxed);
                assert!(other.is_err(), "{profile:?}");
            }
        }
    }

    #[test]
    fn a_file_of_another_profile_password_name_or_key_is_another_file() {
        let (key, chain) = issued();
        let (other_key, other_chain) = issued();
        let secret = |text: &str| Secret::new(text.to_owned());
        for profile in Profile::ALL {
            let file = pkcs12(&key, &chain, "shop", &secret("a"), profile).expect("made");
            for other in Profile::ALL {
                let same = holds(&file, &key, &chain, "shop", &secret("a"), other);
                assert_eq!(same, profile == other, "{profile:?} {other:?}");
            }
            assert!(!holds(&file, &key, &chain, "shop", &secret("b"), profile));
            assert!(!holds(&file, &key, &chain, "mail", &secret("a"), profile));
            assert!(!holds(
                &file,
                &other_key,
                &other_chain,
                "shop",
                &secret("a"),
                profile
            ));
            assert!(!holds(
                &file[1..],
                &key,
                &chain,
                "shop",
                &secret("a"),
                profile
            ));
        }
    }

    #[test]
    fn profiles_have_names_and_nothing_secret_is_told() {
        for profile in Profile::ALL {
            assert_eq!(Profile::parse(profile.as_str()), Some(profile));
        }
        let (key, _) = issued();
        let password = Secret::new("hunter2".to_owned());
        let error = pkcs12(&key, "no chain", "shop", &password, Profile::Modern);
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("make the PKCS#12 file: line 1 is neither part of a certificate nor empty".into())
        );
    }
}

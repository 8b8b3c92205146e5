//! PKCS#12 files are made elsewhere: the host only knows what has to be in one.

use waxwing_core::secret::Secret;
use waxwing_flow::certificate::ChainPem;

/// How a PKCS#12 file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkcs12Profile {
    /// AES-256, PBKDF2 and HMAC with SHA-256.
    Modern,
    /// 3DES and SHA-1, for what is older.
    Legacy,
}

/// What has to be in a PKCS#12 file.
#[derive(Debug, Clone, Copy)]
pub struct Pkcs12Contents<'a> {
    /// The private key, PKCS#8 PEM.
    pub key: &'a Secret<String>,
    /// The chain.
    pub chain: &'a ChainPem,
    /// What Windows and Java show.
    pub friendly_name: &'a str,
    /// May be empty.
    pub password: &'a Secret<String>,
    /// How it is encrypted.
    pub profile: Pkcs12Profile,
}

/// Makes and reads PKCS#12 files (RFC 7292).
pub trait Pkcs12: Send + Sync {
    /// The file. The bytes differ from call to call, since salts are random.
    fn make(&self, contents: &Pkcs12Contents<'_>) -> Result<Vec<u8>, String>;
    /// True if the file opens with the password, is encrypted as the profile says, and holds this
    /// key, chain and friendly name. MUST NOT be true for a file that it cannot read.
    fn holds(&self, file: &[u8], contents: &Pkcs12Contents<'_>) -> bool;
}

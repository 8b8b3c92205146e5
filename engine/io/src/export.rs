//! A stored certificate in the forms that other programs read.

use waxwing_core::secret::Secret;
use waxwing_flow::certificate::StoredVersion;
use waxwing_flow::ports::CryptoError;

use crate::pkcs12::{self, Profile};
use crate::x509::failed;
use crate::{pem, x509};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// PEM, one file for each part: what most servers read.
    Pem,
    /// PEM in one file, the chain first and then the key: what HAProxy reads.
    Combined,
    /// DER, one file for each certificate and one for the key.
    Der,
    /// PKCS#12, encrypted for these readers.
    Pkcs12(Profile),
}

/// A file by name. What is in it may be a key, so it is not shown.
pub type ExportFile = (String, Secret<Vec<u8>>);

/// The files, the key's first: whoever waits for the certificate then finds the key that fits.
///
/// `password` encrypts PKCS#12 and is not used otherwise.
///
/// # Errors
/// When what is stored cannot be brought into that form.
pub fn files(
    version: &StoredVersion,
    form: Form,
    password: &Secret<String>,
) -> Result<Vec<ExportFile>, CryptoError> {
    let key = version.key.expose();
    let parts = &version.pem;
    let text = |name: &str, text: &str| {
        let bytes = text.as_bytes().to_vec();
        (name.to_owned(), Secret::new(bytes))
    };
    Ok(match form {
        Form::Pem => vec![
            text("privkey.pem", key),
            text("cert.pem", &parts.cert),
            text("chain.pem", &parts.chain),
            text("fullchain.pem", &parts.fullchain),
        ],
        Form::Combined => vec![text("combined.pem", &format!("{}{key}", parts.fullchain))],
        Form::Der => {
            let unread = |cause: pem::PemError| failed("write DER", cause);
            let private = pem::private_key(key).map_err(unread)?;
            let private = Secret::new(private.secret_der().to_vec());
            let mut files = vec![("privkey.der".to_owned(), private)];
            let leaf = x509::leaf_der(&parts.cert)?;
            files.push(("cert.der".to_owned(), Secret::new(leaf)));
            let all = pem::chain(&parts.fullchain).map_err(unread)?;
            for (number, block) in (1..).zip(all.iter().skip(1)) {
                let name = format!("chain-{number}.der");
                files.push((name, Secret::new(block.der.to_vec())));
            }
            files
        }
        Form::Pkcs12(profile) => {
            let name = version.certificate.as_str();
            let file = pkcs12::pkcs12(&version.key, &parts.fullchain, name, password, profile)?;
            vec![("bundle.p12".to_owned(), Secret::new(file))]
        }
    })
}

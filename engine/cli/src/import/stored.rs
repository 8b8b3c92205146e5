//! A certificate of another client: whether chain, key and names belong together.

use std::collections::BTreeSet;

use waxwing_core::import::{ForeignKey, Stored, Value};
use waxwing_core::name::Identifier;
use waxwing_core::secret::Secret;
use waxwing_flow::certificate::{CertificateFacts, ChainPem};
use waxwing_flow::ports::{CryptoError, KeyMaker as _};
use waxwing_io::keys::{LocalKeys, foreign};
use waxwing_io::{pkcs12, x509};

/// A certificate whose parts belong together.
pub(super) struct Whole {
    /// The file that it is from.
    pub(super) file: String,
    /// Its key, PKCS#8.
    pub(super) key: Secret<String>,
    /// Its chain.
    pub(super) pem: ChainPem,
    /// What the chain says.
    pub(super) facts: CertificateFacts,
}

/// The newest of several; what is wrong with the others counts only if there is none.
///
/// # Errors
/// What is wrong with each.
pub(super) fn newest(stored: &[Stored]) -> Result<Option<Whole>, Vec<String>> {
    let mut best: Option<Whole> = None;
    let mut causes = Vec::new();
    for one in stored {
        match whole(one) {
            Ok(found) => {
                let newer = best
                    .as_ref()
                    .is_none_or(|best| best.facts.not_before <= found.facts.not_before);
                if newer {
                    best = Some(found);
                }
            }
            Err(cause) => causes.push(format!("{}: {cause}", one.file())),
        }
    }
    if best.is_none() && !causes.is_empty() {
        return Err(causes);
    }
    Ok(best)
}

/// The names of certificates whose keys do not fit: what they are for is known all the same.
pub(super) fn names(stored: &[Stored]) -> Vec<Identifier> {
    let chains = stored.iter().filter_map(|one| match one {
        Stored::Pem { chain, .. } => x509::read_chain(chain).ok(),
        Stored::Pkcs12 { .. } => None,
    });
    let newest = chains.max_by_key(|(_, facts)| facts.not_before);
    newest.map_or_else(Vec::new, |(_, facts)| facts.names)
}

/// The names of all of them together.
///
/// # Errors
/// Which of them cannot be read: its names would be missing.
pub(super) fn names_of_all(stored: &[Stored]) -> Result<Vec<Identifier>, String> {
    let mut names = Vec::new();
    for one in stored {
        let found = match one {
            Stored::Pem { chain, .. } => x509::read_chain(chain)
                .map(|(_, facts)| facts.names)
                .map_err(|error| error.to_string()),
            Stored::Pkcs12 { .. } => whole(one).map(|whole| whole.facts.names),
        };
        let unknown = |cause| {
            format!(
                "it is several certificates, and the names of one are not known: {}: {cause}",
                one.file()
            )
        };
        names.extend(found.map_err(unknown)?);
    }
    Ok(names)
}

/// What it is for besides DNS names.
pub(super) fn other_names(stored: &[Stored], whole: Option<&Whole>) -> Vec<String> {
    if let Some(whole) = whole {
        return x509::other_names(&whole.pem.cert);
    }
    let chains = stored.iter().filter_map(|one| match one {
        Stored::Pem { chain, .. } => Some(x509::other_names(chain)),
        Stored::Pkcs12 { .. } => None,
    });
    chains.flatten().collect()
}

fn whole(stored: &Stored) -> Result<Whole, String> {
    let said = |error: CryptoError| error.to_string();
    let (key, chain) = match stored {
        Stored::Pem { chain, key, .. } => {
            let key = key.clone().ok_or("its key is not there")?;
            (key, chain.clone())
        }
        Stored::Pkcs12 {
            bytes, password, ..
        } => match password {
            Value::Known(password) => pkcs12::read(bytes, password).map_err(said)?,
            Value::Sealed(why) => return Err(format!("its password cannot be read: {why}")),
        },
    };
    let key = foreign::to_pem(&ForeignKey::Pem(key)).map_err(said)?;
    let (pem, facts) = x509::read_chain(&chain).map_err(said)?;
    let public = LocalKeys.public_key_sha256(&key).map_err(said)?;
    if public != facts.public_key_sha256 {
        return Err("its key belongs to another certificate".to_owned());
    }
    x509::check_order(&pem.fullchain).map_err(said)?;
    Ok(Whole {
        file: stored.file().to_owned(),
        key,
        pem,
        facts,
    })
}

/// True if a certificate has names that are not among these.
pub(super) fn has_more_names(facts: &CertificateFacts, wanted: &[Identifier]) -> bool {
    facts.names.iter().any(|name| !wanted.contains(name))
}

/// Whether a certificate has exactly these names.
///
/// # Errors
/// Which are missing or too many, in one sentence.
pub(super) fn same_names(facts: &CertificateFacts, wanted: &[Identifier]) -> Result<(), String> {
    let has: BTreeSet<&Identifier> = facts.names.iter().collect();
    let wants: BTreeSet<&Identifier> = wanted.iter().collect();
    let list = |names: Vec<&&Identifier>| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    let missing: Vec<_> = wants.difference(&has).collect();
    let more: Vec<_> = has.difference(&wants).collect();
    if !missing.is_empty() {
        return Err(format!("it is not for {}", list(missing)));
    }
    if !more.is_empty() {
        return Err(format!("it is for {} besides", list(more)));
    }
    Ok(())
}

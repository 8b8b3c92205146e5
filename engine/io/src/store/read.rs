//! Reads from the state folder: what is missing, what is broken and what is refused are three
//! different things.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use waxwing_core::name::CertificateName;
use waxwing_core::secret::Secret;
use waxwing_flow::certificate::{CertificateFacts, ChainPem};
use waxwing_flow::ports::{KeyMaker as _, StoreError};

use super::format::Unreadable;
use super::{CERT, CHAIN, FACTS, FULLCHAIN, KEY, atomic, failure};
use crate::keys::LocalKeys;
use crate::{permission, x509};

/// The text of a file; none if it is not there.
pub(super) fn text(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(failure::corrupt(path, "it is not text")),
        },
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failure::io("read", path, &cause)),
    }
}

/// The text of a file that has to be there.
pub(super) fn required(path: &Path) -> Result<String, StoreError> {
    text(path)?.ok_or_else(|| failure::corrupt(path, "it is missing"))
}

pub(super) fn key(path: &Path) -> Result<Option<Secret<String>>, StoreError> {
    let Some(key) = text(path)? else {
        return Ok(None);
    };
    if permission::others_can_read(path).unwrap_or(false) {
        tracing::warn!(path = %path.display(), "others can read this private key: chmod 600");
    }
    Ok(Some(Secret::new(key)))
}

/// What is in a folder, without unfinished things; nothing if there is no folder.
pub(super) fn children(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(path)?
            .map(|child| child.map(|child| child.path()))
            .collect()
    };
    match list() {
        Ok(paths) => Ok(paths),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            leads_somewhere(path)?;
            Ok(Vec::new())
        }
        Err(cause) => Err(failure::io("list", path, &cause)),
    }
}

/// Refuses a link that leads nowhere: what it is to lead to is on a disk that is not mounted, and not gone.
pub(super) fn leads_somewhere(path: &Path) -> Result<(), StoreError> {
    let lost = path.is_symlink() && matches!(path.try_exists(), Ok(false));
    let Some(to) = lost.then(|| fs::read_link(path).ok()).flatten() else {
        return Ok(());
    };
    Err(StoreError {
        kind: waxwing_flow::ports::StoreErrorKind::Io,
        act: "use",
        path: path.to_owned(),
        causes: vec![format!("it leads to {}, which is not there", to.display())],
        hint: Some(
            "mount the disk that it is on, or put the folder back; nothing is ordered before that"
                .to_owned(),
        ),
    })
}

pub(super) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(atomic::UNFINISHED))
}

/// A version whose parts do not belong together was not written by us.
pub(super) fn check_fits(
    directory: &Path,
    key: &Secret<String>,
    pem: &ChainPem,
    facts: &CertificateFacts,
) -> Result<(), StoreError> {
    let refuse = |file: &str, cause: String| failure::corrupt(&directory.join(file), cause);
    let leaf = x509::leaf_der(&pem.cert).map_err(|cause| refuse(CERT, cause.to_string()))?;
    if x509::sha256_hex(&leaf) != facts.leaf_sha256 {
        return Err(refuse(
            CERT,
            format!("it is not the certificate of {FACTS}"),
        ));
    }
    if pem.fullchain.strip_prefix(&pem.cert) != Some(&pem.chain) {
        return Err(refuse(
            FULLCHAIN,
            format!("it is not {CERT} followed by {CHAIN}"),
        ));
    }
    let public = LocalKeys
        .public_key_sha256(key)
        .map_err(|e| refuse(KEY, e.to_string()))?;
    if public != facts.public_key_sha256 {
        return Err(refuse(KEY, format!("it is not the key of {CERT}")));
    }
    Ok(())
}

/// A note about how things went. Nothing is decided by it that another run could not decide anew, so one that
/// cannot be read, for whatever reason, is ignored, aloud: it must not keep a certificate from being renewed.
pub(super) fn note<T>(
    certificate: &CertificateName,
    path: &Path,
    read: impl FnOnce(&str) -> Result<T, Unreadable>,
) -> Option<T> {
    let noted = text(path).and_then(|text| {
        let noted = text.map(|text| read(&text)).transpose();
        noted.map_err(|cause| failure::unreadable(path, cause))
    });
    ignored(certificate, noted)
}

/// A note that somebody owes something by, so that it must not be lost: that a version is revoked, or is to be. It is
/// there twice, and one of the two is enough.
pub(super) fn duty<T>(
    certificate: &CertificateName,
    path: &Path,
    read: impl Fn(&str) -> Result<T, Unreadable>,
    version: impl Fn(&T) -> u32,
) -> Option<T> {
    let quietly = |path: &Path| text(path).ok().flatten().and_then(|text| read(&text).ok());
    match (quietly(path), quietly(&twin(path))) {
        // The second one is written first: a process may have died in between.
        (Some(one), Some(other)) if version(&other) > version(&one) => Some(other),
        (Some(one), _) | (None, Some(one)) => Some(one),
        (None, None) => note(certificate, path, read),
    }
}

/// Where such a note is a second time.
pub(super) fn twin(path: &Path) -> PathBuf {
    path.with_extension("copy.toml")
}

/// Nothing in the place of what cannot be read of a note.
pub(super) fn ignored<T: Default>(
    certificate: &CertificateName,
    noted: Result<T, StoreError>,
) -> T {
    noted.unwrap_or_else(|error| {
        tracing::error!(certificate = %certificate, cause = %error, "a note was ignored");
        T::default()
    })
}

//! Takes away what a process that died in the middle of a write has left of a journal or a version. It
//! may hold a private key, and nobody would ever look at it again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use waxwing_core::name::REHEARSAL;

use super::{atomic, read};

/// Takes away unfinished journals and keys of one certificate, in the folder of journals. The caller
/// holds its lock, so that nobody is writing them now. What cannot be taken away is left to the next
/// time.
pub(super) fn journals(folder: &Path, certificate: &str) {
    let Ok(children) = read::children(folder) else {
        return;
    };
    for path in children {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| is_unfinished_of(name, certificate))
            && let Err(cause) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %cause, "an unfinished file could not be removed");
        }
    }
}

/// Takes away versions of one certificate that were left half stored, by a full disk or a process that
/// died. The caller holds its lock, so that nobody is storing one now.
pub(super) fn versions(folder: &Path) {
    let Ok(children) = read::children(folder) else {
        return;
    };
    for path in children {
        if read::is_unfinished(&path)
            && let Err(cause) = fs::remove_dir_all(&path)
        {
            tracing::warn!(path = %path.display(), %cause, "half a version could not be removed");
        }
    }
}

/// No write takes so long: what is older was left by a process that died.
const DEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// Takes away notes of one certificate that a process which died has left unfinished.
pub(super) fn notes(folder: &Path) {
    let Ok(children) = read::children(folder) else {
        return;
    };
    for path in children.iter().filter(|path| read::is_unfinished(path)) {
        let Ok(found) = fs::symlink_metadata(path) else {
            continue;
        };
        let age = found.modified().ok().and_then(|at| at.elapsed().ok());
        if found.is_file()
            && age.is_some_and(|age| age > DEAD)
            && let Err(cause) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %cause, "an unfinished note could not be removed");
        }
    }
}

/// Whether `.new-NAME.toml-PID-NUMBER` is one of that certificate or of its rehearsal.
fn is_unfinished_of(file: &str, certificate: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = file.strip_prefix(atomic::UNFINISHED) else {
        return false;
    };
    let mut parts = rest.rsplitn(3, '-');
    let (number, process) = (parts.next(), parts.next());
    if !number.is_some_and(digits) || !process.is_some_and(digits) {
        return false;
    }
    let written = parts.next().and_then(|name| name.rsplit_once('.'));
    written.is_some_and(|(stem, kind)| {
        let whose = stem.strip_suffix(REHEARSAL).unwrap_or(stem);
        (kind == "toml" || kind == "key") && whose == certificate
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_certificate_is_taken_away() {
        for (file, ours) in [
            (".new-a-b.example.toml-4711-0", true),
            (".new-a-b.example.key-1-22", true),
            (".new-a-b.example.dry-run.key-1-22", true),
            (".new-a-b.example.au.toml-1-2", false),
            (".new-b.example.toml-1-2", false),
            (".new-a-b.example.toml-x-2", false),
            (".new-a-b.example.toml", false),
            (".new-a-b.example.txt-1-2", false),
            ("a-b.example.toml", false),
            ("a-b.example.toml-1-2", false),
        ] {
            assert_eq!(is_unfinished_of(file, "a-b.example"), ours, "{file}");
        }
    }
}

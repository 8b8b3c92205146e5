//! What stands in the state folder, by our own hand or after damage.

use std::fmt::Debug;

use waxwing_acme::directory::Directory;
use waxwing_flow::journal as run;
use waxwing_io::store::format;

/// `facts.toml` of a version.
pub(crate) fn facts(bytes: &[u8]) {
    same_again(bytes, format::read_facts, |(facts, origin)| {
        format::write_facts(facts, origin)
    });
}

/// `account.toml`.
pub(crate) fn account(bytes: &[u8]) {
    same_again(bytes, format::read_account, format::write_account);
}

/// `installed/PLUGIN.toml`.
pub(crate) fn installed(bytes: &[u8]) {
    same_again(bytes, format::read_installed, format::write_installed);
}

/// `last.toml`.
pub(crate) fn last(bytes: &[u8]) {
    same_again(bytes, format::read_last, format::write_last);
}

/// `served.toml`.
pub(crate) fn served(bytes: &[u8]) {
    same_again(bytes, format::read_served, |seen| {
        format::write_served(seen)
    });
}

/// `revoked.toml`.
pub(crate) fn revoked(bytes: &[u8]) {
    same_again(bytes, format::read_revoked, format::write_revoked);
}

/// `replacing.toml`.
pub(crate) fn replacing(bytes: &[u8]) {
    same_again(bytes, format::read_replacing, format::write_replacing);
}

/// The copy of a CA's directory, and the directory in it.
pub(crate) fn stored_directory(bytes: &[u8]) {
    same_again(bytes, format::read_directory, format::write_directory);
    if let Ok(copy) = format::read_directory(&crate::text(bytes)) {
        same_again(
            copy.text.as_bytes(),
            Directory::from_stored,
            Directory::to_stored,
        );
    }
}

/// The journal of an open run.
pub(crate) fn journal(bytes: &[u8]) {
    same_again(bytes, run::read, |read| {
        run::write(read).unwrap_or_else(|error| panic!("{error}: {read:?}"))
    });
}

/// What was read is written so that it is read the same again.
fn same_again<T: Debug + PartialEq, E: Debug + PartialEq>(
    bytes: &[u8],
    read: impl Fn(&str) -> Result<T, E>,
    write: impl Fn(&T) -> String,
) {
    if let Ok(value) = read(&crate::text(bytes)) {
        let text = write(&value);
        assert_eq!(read(&text).as_ref(), Ok(&value), "written as\n{text}");
    }
}

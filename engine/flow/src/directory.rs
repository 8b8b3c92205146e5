//! The copy of each CA's directory, and what the CA has changed in it.
//!
//! What a newcomer gets wrong: a copy is replaced by every run that reads the directory, not only by
//! whoever looks at CAs. So a change is found where the copy is replaced, or the next look would
//! compare the new one with itself.

use std::fmt;

use waxwing_acme::directory::Directory;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::time::Timestamp;

use crate::session::SessionPorts;

/// A copy as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryCopy {
    /// The directory, as [`Directory::to_stored`] writes it.
    pub text: String,
    /// When it was read.
    pub at: Timestamp,
    /// The last change of each field that the CA has ever changed, oldest first.
    pub changed: Vec<Changed>,
}

/// Something that a CA has changed in its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field as RFC 8555 section 7.1.1 calls it.
    pub field: String,
    /// Before; none if it was not there.
    pub from: Option<String>,
    /// Now; none if it is gone.
    pub to: Option<String>,
}

/// When somebody has seen a change for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: Change,
}

/// `termsOfService: https://… -> https://…`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
        write!(
            f,
            "{}: {} -> {}",
            self.field,
            word(&self.from),
            word(&self.to)
        )
    }
}

/// A copy of a CA's directory that can be gone by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDirectory {
    /// The directory.
    pub directory: Directory,
    /// When it was read.
    pub at: Timestamp,
}

/// The last good copy of a CA's directory, if it came from one of these URLs.
pub fn stored(
    ports: &SessionPorts,
    profile: &CaProfile,
    candidates: &[String],
) -> Option<StoredDirectory> {
    let copy = copy(ports, &profile.name)?;
    let directory = Directory::from_stored(&copy.text).ok()?;
    let known = candidates.contains(&directory.url);
    known.then_some(StoredDirectory {
        directory,
        at: copy.at,
    })
}

/// Keeps a directory that was read just now, from one of these URLs, in the place of the copy before.
/// Answers what the CA has changed meanwhile, which is in the log, too.
pub(crate) fn keep(
    ports: &SessionPorts,
    ca: &CaName,
    candidates: &[String],
    directory: &Directory,
) -> Vec<Change> {
    let at = ports.clock.now();
    let before = copy(ports, ca);
    let (changed, found) = before.map_or_else(Default::default, |before| {
        compare(before, candidates, directory, at)
    });
    for change in &found {
        tracing::warn!(%ca, %change, "the CA has changed its directory");
    }
    let copy = DirectoryCopy {
        text: directory.to_stored(),
        at,
        changed,
    };
    if let Err(error) = ports.store.save_directory(ca, &copy) {
        tracing::warn!(%ca, cause = %error, "no copy of the directory was kept");
    }
    found
}

fn copy(ports: &SessionPorts, ca: &CaName) -> Option<DirectoryCopy> {
    ports.store.directory(ca).unwrap_or_else(|error| {
        tracing::warn!(%ca, cause = %error, "the copy of the directory is lost");
        None
    })
}

/// What is to be remembered of changes, and what has changed now. A CA of which several directories are
/// configured has other endpoints in each: they are not compared with each other. What another CA of the
/// same name had changed is of no use.
fn compare(
    before: DirectoryCopy,
    candidates: &[String],
    after: &Directory,
    at: Timestamp,
) -> (Vec<Changed>, Vec<Change>) {
    let Ok(directory) = Directory::from_stored(&before.text) else {
        return (before.changed, Vec::new());
    };
    if directory.url == after.url {
        let found = changes(&directory, after);
        (remember(before.changed, &found, at), found)
    } else if candidates.contains(&directory.url) {
        (before.changed, Vec::new())
    } else {
        Default::default()
    }
}

/// Adds changes that were seen at `at`. Of each field the last one is remembered, so that there are never
/// more than there are fields.
pub fn remember(mut changed: Vec<Changed>, found: &[Change], at: Timestamp) -> Vec<Changed> {
    for change in found {
        if changed.iter().any(|one| one.change == *change) {
            // Seen by somebody else at the same time.
            continue;
        }
        changed.retain(|one| one.change.field != change.field);
        changed.push(Changed {
            at,
            change: change.clone(),
        });
    }
    changed
}

/// What is not the same in two directories, as far as Waxwing or its operator goes by it.
pub fn changes(before: &Directory, after: &Directory) -> Vec<Change> {
    let fields = |of: &Directory| {
        let some = |text: &str| Some(text.to_owned());
        [
            ("newNonce", some(&of.new_nonce)),
            ("newAccount", some(&of.new_account)),
            ("newOrder", some(&of.new_order)),
            ("revokeCert", of.revoke_cert.clone()),
            ("keyChange", of.key_change.clone()),
            ("renewalInfo", of.renewal_info.clone()),
            ("termsOfService", of.meta.terms_of_service.clone()),
            ("caaIdentities", {
                let all = of.meta.caa_identities.join(", ");
                (!all.is_empty()).then_some(all)
            }),
            (
                "externalAccountRequired",
                some(&of.meta.external_account_required.to_string()),
            ),
            ("profiles", {
                let all: Vec<&str> = of.meta.profiles.keys().map(String::as_str).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }),
        ]
    };
    let pairs = fields(before).into_iter().zip(fields(after));
    pairs
        .filter(|((_, from), (_, to))| from != to)
        .map(|((field, from), (_, to))| Change {
            field: field.to_owned(),
            from,
            to,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://a.example/directory";

    fn directory(url: &str, terms: Option<&str>) -> Directory {
        let meta = waxwing_acme::directory::Meta {
            terms_of_service: terms.map(str::to_owned),
            ..Default::default()
        };
        Directory {
            url: url.to_owned(),
            new_nonce: "https://a.example/nonce".to_owned(),
            new_account: "https://a.example/account".to_owned(),
            new_order: "https://a.example/order".to_owned(),
            new_authz: None,
            revoke_cert: None,
            key_change: None,
            renewal_info: None,
            meta,
        }
    }

    #[test]
    fn what_a_ca_has_changed_is_named() {
        let before = directory(URL, Some("https://a.example/v1"));
        assert_eq!(changes(&before, &before), []);
        let mut after = directory(URL, Some("https://a.example/v2"));
        after.renewal_info = Some("https://ari.example".to_owned());
        let found: Vec<String> = changes(&before, &after)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "renewalInfo: none -> https://ari.example",
                "termsOfService: https://a.example/v1 -> https://a.example/v2"
            ]
        );
    }

    #[test]
    fn the_last_change_of_each_field_is_remembered() {
        let at = Timestamp::from_unix;
        let url = |version: u32| format!("https://a.example/v{version}");
        let change = |field: &str, from: u32| Change {
            field: field.to_owned(),
            from: Some(url(from)),
            to: Some(url(from + 1)),
        };
        let changed = remember(Vec::new(), &[change("termsOfService", 1)], at(1));
        let changed = remember(changed, &[change("newOrder", 1)], at(2));
        let changed = remember(changed, &[change("termsOfService", 2)], at(3));
        // Another process saw the same a moment later.
        let changed = remember(changed, &[change("termsOfService", 2)], at(4));
        let told = |one: &Changed| (one.at.unix_ms() / 1_000, one.change.to_string());
        assert_eq!(
            changed.iter().map(told).collect::<Vec<_>>(),
            [
                (
                    2,
                    "newOrder: https://a.example/v1 -> https://a.example/v2".to_owned()
                ),
                (
                    3,
                    "termsOfService: https://a.example/v2 -> https://a.example/v3".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn only_what_one_url_says_is_compared() {
        let other = "https://b.example/directory";
        let terms = |number: u32| format!("https://a.example/v{number}");
        let (v1, v2) = (terms(1), terms(2));
        let candidates = [URL.to_owned(), other.to_owned()];
        // What was kept from where, what is read now, how much is remembered, how much is new.
        let table = [
            (URL, v1.as_str(), 1, 0),
            (URL, v2.as_str(), 2, 1),
            // The second directory of the same CA stood in.
            (other, v2.as_str(), 1, 0),
            // Another CA has the name now.
            ("https://c.example/directory", v2.as_str(), 0, 0),
        ];
        let earlier = Changed {
            at: Timestamp::from_unix(1),
            change: Change {
                field: "newOrder".to_owned(),
                from: None,
                to: None,
            },
        };
        for (kept_from, now, remembered, new) in table {
            let before = DirectoryCopy {
                text: directory(kept_from, Some(&v1)).to_stored(),
                at: Timestamp::from_unix(2),
                changed: vec![earlier.clone()],
            };
            let after = directory(URL, Some(now));
            let (changed, found) = compare(before, &candidates, &after, Timestamp::from_unix(3));
            assert_eq!(
                (changed.len(), found.len()),
                (remembered, new),
                "{kept_from}"
            );
        }
    }
}

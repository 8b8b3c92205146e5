//! Terms of service that a CA has put in the place of those that were agreed to (RFC 8555 section
//! 7.3.3).
//!
//! `agree-terms = true` agrees to what a CA asks when an account is made. What it asks later is told and
//! waits for a person; renewals go on, for as long as the CA lets them. What a newcomer gets wrong: there
//! is nothing to send. A CA that insists names a page where its account's owner can agree; what is noted
//! here is what somebody has said to us.

use waxwing_acme::directory::Directory;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;

use crate::account::AccountError;
use crate::failure::Failure;
use crate::ports::{AccountRecord, CertificateStore, StoreError, StoreErrorKind};
use crate::session::{SessionPorts, lock_account};

/// Terms that are not those that were agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTerms {
    /// Of which CA.
    pub ca: CaName,
    /// The directory of the account.
    pub directory: String,
    /// Where those stand that were agreed to, and when that was.
    pub agreed: (String, Timestamp),
    /// Where today's stand.
    pub now: String,
}

/// Whether the terms of a directory are others than those that its account has agreed to. Nothing is
/// known of an account that agreed to none: it was made elsewhere, or before there were any.
pub fn new(ca: &CaName, record: &AccountRecord, directory: &Directory) -> Option<NewTerms> {
    let agreed = record.terms.clone()?;
    let now = directory.meta.terms_of_service.clone()?;
    let ours = record.usable().is_some() && record.directory == directory.url;
    (ours && agreed.0 != now).then(|| NewTerms {
        ca: ca.clone(),
        directory: record.directory.clone(),
        agreed,
        now,
    })
}

/// The same for every CA that certificates name, by the copies of their directories. Nobody is asked.
///
/// # Errors
/// When accounts or copies cannot be read.
pub fn all(store: &dyn CertificateStore, settings: &Settings) -> Result<Vec<NewTerms>, StoreError> {
    let mut found = Vec::new();
    for ca in settings.used_cas() {
        found.extend(of_ca(store, &ca)?);
    }
    Ok(found)
}

/// The same for one CA.
///
/// # Errors
/// As [`all`].
pub fn of_ca(store: &dyn CertificateStore, ca: &CaName) -> Result<Option<NewTerms>, StoreError> {
    // Nor can one that is damaged keep anybody from looking at accounts.
    let copy = match store.directory(ca) {
        Err(error) if error.kind == StoreErrorKind::Corrupt => None,
        copy => copy?,
    };
    let Some(copy) = copy else {
        return Ok(None);
    };
    // A copy that cannot be read is replaced by the next run that asks the CA.
    let Ok(directory) = Directory::from_stored(&copy.text) else {
        return Ok(None);
    };
    let account = store.account(ca, &directory.url)?;
    Ok(account.and_then(|record| new(ca, &record, &directory)))
}

/// Notes that somebody agrees to these terms.
///
/// # Errors
/// When the account is gone, another run changes it, or the note cannot be written.
pub async fn agree(
    ports: &SessionPorts,
    profile: &CaProfile,
    terms: &NewTerms,
) -> Result<(), AccountError> {
    let _lock = lock_account(ports, profile).await?;
    let record = ports.store.account(&terms.ca, &terms.directory);
    let record = record.map_err(Failure::Store)?;
    let Some(mut record) = record.filter(|record| record.usable().is_some()) else {
        return Err(AccountError::None {
            ca: terms.ca.clone(),
            directory: terms.directory.clone(),
        });
    };
    record.terms = Some((terms.now.clone(), ports.clock.now()));
    let saved = ports.store.save_account(&terms.ca, &record);
    Ok(saved.map_err(Failure::Store)?)
}

#[cfg(test)]
mod tests {
    use waxwing_acme::directory::Meta;
    use waxwing_core::secret::Secret;

    use super::*;

    #[test]
    fn terms_are_new_if_an_account_in_use_has_agreed_to_others() {
        let ca = CaName::parse("first").expect("a literal name");
        let url = "https://first.example/directory";
        let at = Timestamp::from_unix(7);
        let record = |agreed: Option<&str>| AccountRecord {
            directory: url.to_owned(),
            kid: Some("https://first.example/account/1".to_owned()),
            contact: Vec::new(),
            terms: agreed.map(|url| (url.to_owned(), at)),
            key: Secret::new(String::new()),
            next_key: None,
            credentials: Vec::new(),
            deactivated: None,
        };
        let directory = |now: Option<&str>| Directory {
            url: url.to_owned(),
            new_nonce: String::new(),
            new_account: String::new(),
            new_order: String::new(),
            new_authz: None,
            revoke_cert: None,
            key_change: None,
            renewal_info: None,
            meta: Meta {
                terms_of_service: now.map(ToOwned::to_owned),
                ..Meta::default()
            },
        };
        let given_up = AccountRecord {
            deactivated: Some(at),
            ..record(Some("v1"))
        };
        let elsewhere = AccountRecord {
            directory: "https://first.example/other".to_owned(),
            ..record(Some("v1"))
        };
        let rows = [
            ("the same", record(Some("v1")), Some("v1"), false),
            ("others", record(Some("v1")), Some("v2"), true),
            ("none any more", record(Some("v1")), None, false),
            ("none before", record(None), Some("v1"), false),
            ("given up", given_up, Some("v2"), false),
            ("of another directory", elsewhere, Some("v2"), false),
        ];
        for (what, record, now, want) in rows {
            let found = new(&ca, &record, &directory(now));
            let want = want.then(|| NewTerms {
                ca: ca.clone(),
                directory: url.to_owned(),
                agreed: ("v1".to_owned(), at),
                now: "v2".to_owned(),
            });
            assert_eq!(found, want, "{what}");
        }
    }
}

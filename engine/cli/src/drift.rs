//! What the configuration says otherwise than the accounts that are in use: never silently ignored,
//! never changed without being asked to.

use waxwing_core::settings::{AccountSettings, SecretRef};
use waxwing_flow::account::{self, Drift};
use waxwing_flow::ports::{CertificateStore as _, StoreError};
use waxwing_flow::terms;
use waxwing_io::keys::LocalKeys;
use waxwing_io::store::FileStore;

use crate::load::Loaded;
use crate::wire;

/// What differs at the CAs that certificates name. Reads the state folder and secrets, and asks
/// nobody: a key that a command prints is not looked at, for the command may ask somebody.
pub(crate) fn drift(loaded: &Loaded, store: &FileStore) -> Result<Vec<Drift>, StoreError> {
    let settings = &loaded.settings;
    let key = settings.account.key.clone();
    let account = AccountSettings {
        key: key.filter(|key| !matches!(key, SecretRef::Command(_))),
        ..settings.account.clone()
    };
    let secrets = wire::secrets(loaded);
    let mut found = Vec::new();
    for ca in settings.used_cas() {
        let Some(profile) = settings.cas.get(&ca) else {
            continue;
        };
        found.extend(terms::of_ca(store, &ca)?.map(Drift::Terms));
        for record in store.accounts(&ca)? {
            if record.usable().is_some() {
                let differs = account::drift(&LocalKeys, &secrets, profile, &record, &account);
                found.extend(differs);
            }
        }
    }
    Ok(found)
}

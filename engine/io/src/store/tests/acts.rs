//! What the audit trail has of a state folder: every change of a key, an account or a version.

use std::sync::Mutex;

use waxwing_core::name::PluginName;
use waxwing_flow::audit::{AccountChange, AuditLog};

use super::*;

/// Keeps acts, in few words.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl AuditLog for Notes {
    fn write(&self, _run: Option<&str>, act: &Act) {
        let end = |path: &str| {
            let end = path.rsplit('/').take(3).collect::<Vec<_>>();
            end.into_iter().rev().collect::<Vec<_>>().join("/")
        };
        let line = match act {
            Act::KeyWritten { of, path, .. } => format!("{of:?} written: {}", end(path)),
            Act::KeyErased { of, path, .. } => format!("{of:?} erased: {}", end(path)),
            Act::Account { change, .. } => format!("{change:?}"),
            Act::TermsAgreed { url, .. } => format!("terms {url}"),
            Act::Received { version, leaf, .. } => format!("received {version} of {}", leaf.ca),
            Act::VersionErased { version, .. } => format!("erased {version}"),
            Act::Installed {
                version, plugin, ..
            } => format!("installed {version} by {plugin}"),
            Act::Revoked {
                version,
                leaf: Some(leaf),
                ..
            } => format!("revoked {version} of {}", leaf.ca),
            Act::Forgotten { kept, .. } => format!("forgotten: {}", end(kept)),
            Act::SetAside { kept, .. } => format!("set aside: {}", end(kept)),
            Act::Exported { path, version, .. } => {
                format!("exported: {} of {version}", end(path))
            }
            other => panic!("{other:?}"),
        };
        // The names of types say nothing that their order does not.
        let line = line
            .replace("(CertificateName(\"shop\"))", "")
            .replace("(CaName(\"some-ca\"))", "");
        self.0.lock().expect("a lock").push(line);
    }
}

struct Watched {
    disk: Disk,
    notes: Arc<Notes>,
}

impl Watched {
    fn new() -> Self {
        Self {
            disk: Disk::new(),
            notes: Arc::default(),
        }
    }

    fn open(&self) -> FileStore {
        let trail = AuditTrail::default();
        trail.write_to(Some(Arc::clone(&self.notes) as Arc<dyn AuditLog>));
        self.disk.open().audited(Arc::new(trail))
    }

    /// What was entered since the last time.
    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.0.lock().expect("a lock"))
    }
}

#[test]
fn the_life_of_a_certificate_is_entered_key_by_key() {
    let watched = Watched::new();
    let store = watched.open();
    let sample = sample(KeyType::EcdsaP256);
    store.write_journal(&name(), "").expect("written");
    store
        .save_pending_key(&name(), &sample.key)
        .expect("written");
    save(&store, &sample).expect("saved");
    store.close_journal(&name()).expect("closed");
    store.close_journal(&name()).expect("closed");
    let pending = "state/journal/shop.key";
    let key = |version: u32| format!("versions/{version:04}/privkey.pem");
    let want = [
        format!("Order written: {pending}"),
        format!("Certificate written: {}", key(1)),
        "received 1 of some-ca".to_owned(),
        format!("Order erased: {pending}"),
    ];
    assert_eq!(watched.notes(), want);

    let plugin = PluginName::parse("web").expect("a name");
    for _ in 0..2 {
        save(&store, &sample).expect("saved");
    }
    let mark = InstalledMark {
        plugin,
        version: 3,
        leaf_sha256: "00ff".to_owned(),
        leaf_sha1: "ff00".to_owned(),
        settings: String::new(),
        at: Timestamp::from_unix(0),
        receipt: String::new(),
        staging: false,
        not_after: None,
        older: None,
    };
    store.record_installed(&name(), &mark).expect("noted");
    let mark = RevokedMark {
        version: 3,
        at: Timestamp::from_unix(0),
        reason: Some(1),
    };
    store.record_revoked(&name(), &mark).expect("noted");
    let file = watched.disk.0.path().join("out");
    let files = [("privkey.pem".to_owned(), Secret::new(b"key".to_vec()))];
    store
        .hand_over((&name(), 3), &file, &files)
        .expect("exported");
    store.forget(&name(), false).expect("forgotten");
    let want = [
        format!("Certificate written: {}", key(2)),
        "received 2 of some-ca".to_owned(),
        format!("Certificate written: {}", key(3)),
        "received 3 of some-ca".to_owned(),
        format!("Certificate erased: {}", key(1)),
        "erased 1".to_owned(),
        "installed 3 by web".to_owned(),
        "revoked 3 of some-ca".to_owned(),
        "exported: OUT".to_owned(),
        "set aside: certificates/shop/0001".to_owned(),
        "forgotten: certificates/shop/0001".to_owned(),
    ];
    let mut notes = watched.notes();
    assert!(notes[8].ends_with("out/privkey.pem of 3"), "{}", notes[8]);
    notes[8] = "exported: OUT".to_owned();
    assert_eq!(notes, want);
}

#[test]
fn the_life_of_an_account_is_entered_key_by_key() {
    let watched = Watched::new();
    let store = watched.open();
    let (first, second) = (
        sample(KeyType::EcdsaP256).key,
        sample(KeyType::EcdsaP256).key,
    );
    let save = |record: &AccountRecord| {
        store.save_account(&ca(), record).expect("saved");
        let mut notes = watched.notes();
        // Each directory has a folder of its own.
        for note in &mut notes {
            if let Some((act, path)) = note.split_once(": ") {
                let file = path.rsplit('/').next().unwrap_or_default();
                *note = format!("{act}: {file}");
            }
        }
        notes
    };
    let mut record = AccountRecord {
        directory: "https://ca.example/directory".to_owned(),
        kid: None,
        contact: vec!["mailto:a@example.com".to_owned()],
        terms: None,
        key: first,
        next_key: None,
        credentials: Vec::new(),
        deactivated: None,
    };
    assert_eq!(save(&record), ["Account written: key.pem"]);
    record.kid = Some("https://ca.example/account/1".to_owned());
    record.terms = Some(("https://ca.example/v1".to_owned(), Timestamp::from_unix(7)));
    let registered = format!("{:?}", AccountChange::Registered);
    assert_eq!(
        save(&record),
        [registered, "terms https://ca.example/v1".to_owned()]
    );
    assert_eq!(save(&record), [""; 0], "nothing has changed");
    record.next_key = Some(second.clone());
    assert_eq!(save(&record), ["Account written: key-2.pem"]);
    record.next_key = None;
    record.key = second;
    assert_eq!(save(&record), ["RolledOver", "Account erased: key.pem"]);
    record.contact.clear();
    record.deactivated = Some(Timestamp::from_unix(9));
    assert_eq!(save(&record), ["Contact", "Deactivated"]);
}

#[test]
fn what_a_crash_has_left_is_entered_when_it_is_erased() {
    let watched = Watched::new();
    let store = watched.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    // Stored whole by a process that died before it was current, and before it was entered.
    fs::remove_file(watched.disk.root().join("certificates/shop/current")).expect("removed");
    watched.notes();
    save(&store, &sample).expect("saved");
    let want = [
        "Certificate written: versions/0001/privkey.pem",
        "received 1 of some-ca",
    ];
    assert_eq!(watched.notes(), want);
}

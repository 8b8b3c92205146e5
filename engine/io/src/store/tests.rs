//! The store on a real disk: the contract, the layout, what is broken, and what breaks half-way.

use std::collections::BTreeMap;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use waxwing_core::key::KeyType;
use waxwing_core::time::Timestamp;
use waxwing_flow::directory::DirectoryCopy;
use waxwing_flow::ports::KeyMaker as _;

use super::atomic::fault;
use super::*;
use crate::contract::{self, Sample};
use crate::export::{self, Form};
use crate::keys::LocalKeys;
use crate::{pem, pkcs12, x509};

mod acts;
mod damage;

fn sample(kind: KeyType) -> Sample {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Who reads PKCS#12 puts the chain together by names, so the two need names of their own.
    root.distinguished_name
        .push(DnType::CommonName, "Some Root");
    let root_key = KeyPair::generate().expect("a key");
    let root = CertifiedIssuer::self_signed(root, root_key).expect("a root");
    let key = LocalKeys.certificate_key(kind).expect("a key");
    let leaf = CertificateParams::new(["example.com".to_owned()]).expect("a name");
    let pair = KeyPair::from_pem(key.expose()).expect("a key");
    let leaf = leaf.signed_by(&pair, &root).expect("a leaf");
    let chain = format!("{}{}", leaf.pem(), root.pem());
    let (pem, facts) = LocalKeys.read_chain(&chain).expect("a chain");
    Sample { key, pem, facts }
}

fn name() -> CertificateName {
    CertificateName::parse("shop").expect("a name")
}

fn ca() -> CaName {
    CaName::parse("some-ca").expect("a name")
}

fn origin() -> Origin {
    Origin {
        ca: ca(),
        account: "https://ca.example/acct/1".to_owned(),
        issued_at: Timestamp::from_unix(1_795_000_000),
        fallback: false,
        staging: false,
    }
}

pub(super) struct Disk(TempDir);

impl Disk {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub(super) fn open(&self) -> FileStore {
        FileStore::open(&self.root(), 2).expect("opened")
    }

    /// Every file below the root, by its path.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder)
                .expect("a folder")
                .map(|e| e.expect("one").path())
            {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(self.root()).expect("below");
                    let content = fs::read(&path).expect("a file");
                    files.insert(below.to_string_lossy().replace('\\', "/"), content);
                }
            }
        }
        files
    }
}

fn save(store: &FileStore, sample: &Sample) -> Result<u32, StoreError> {
    store.save(&name(), &sample.key, &sample.pem, &sample.facts, &origin())
}

#[test]
fn the_store_keeps_its_contract() {
    let disk = Disk::new();
    let open = || -> Box<dyn CertificateStore> { Box::new(disk.open()) };
    let samples = [sample(KeyType::EcdsaP256), sample(KeyType::EcdsaP384)];
    let broken = contract::store(&open, 2, &samples);
    assert_eq!(broken, Ok(Vec::new()));
}

#[test]
fn older_versions_are_erased_with_their_keys() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    for _ in 0..4 {
        save(&store, &sample).expect("saved");
    }
    let keys: Vec<String> = disk
        .files()
        .into_keys()
        .filter(|path| path.ends_with("privkey.pem"))
        .collect();
    assert_eq!(
        keys,
        [
            "certificates/shop/versions/0003/privkey.pem",
            "certificates/shop/versions/0004/privkey.pem"
        ]
    );
}

#[cfg(unix)]
#[test]
fn every_file_and_folder_is_private_to_its_owner() {
    use std::os::unix::fs::MetadataExt as _;
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    store.save_pending_key(&name(), &sample.key).expect("saved");
    let copy = DirectoryCopy {
        text: "{}".to_owned(),
        at: Timestamp::from_unix(0),
        changed: Vec::new(),
    };
    store.save_directory(&ca(), &copy).expect("saved");
    let _lock = store.lock_certificate(&name()).expect("locked");
    let mut folders = vec![disk.root()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            fs::metadata(&folder).expect("there").mode() & 0o777,
            0o700,
            "{folder:?}"
        );
        for path in fs::read_dir(folder)
            .expect("a folder")
            .map(|e| e.expect("one").path())
        {
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(
                    fs::metadata(&path).expect("there").mode() & 0o777,
                    0o600,
                    "{path:?}"
                );
            }
        }
    }
}

#[test]
fn a_save_that_stops_anywhere_leaves_the_old_version_or_the_new_one() {
    let samples = [sample(KeyType::EcdsaP256), sample(KeyType::EcdsaP384)];
    let mut steps = 0;
    loop {
        let disk = Disk::new();
        let store = disk.open();
        save(&store, &samples[0]).expect("saved");
        fault::break_after(steps);
        let result = save(&store, &samples[1]);
        let broken = fault::repair();
        let current = disk
            .open()
            .current(&name())
            .expect("readable")
            .expect("a version");
        match (&result, current.version) {
            (Ok(2), 2) => assert_eq!(current.facts, samples[1].facts),
            (Err(error), 1) => {
                assert_eq!(error.kind, StoreErrorKind::NoSpace);
                assert_eq!(current.facts, samples[0].facts);
            }
            // The switch was made and only its way to the disk is unknown.
            (Err(_), 2) => assert_eq!(current.facts, samples[1].facts),
            other => panic!("after {steps} steps: {other:?}"),
        }
        let next = save(&disk.open(), &samples[1]).expect("saved");
        let current = disk
            .open()
            .current(&name())
            .expect("readable")
            .expect("a version");
        assert_eq!(
            (current.version, current.facts),
            (next, samples[1].facts.clone())
        );
        assert!(
            !disk.files().keys().any(|path| path.contains(".new-")),
            "{steps}"
        );
        if !broken {
            assert!(steps > 20, "the disk never broke");
            return;
        }
        steps += 1;
    }
}

const DIRECTORY: &str = "https://ca.example/directory";

fn account(number: usize, key: &Secret<String>) -> AccountRecord {
    AccountRecord {
        directory: DIRECTORY.to_owned(),
        kid: Some(format!("https://ca.example/acct/{number}")),
        contact: Vec::new(),
        terms: None,
        key: key.clone(),
        next_key: None,
        credentials: Vec::new(),
        deactivated: None,
    }
}

/// Puts an account where versions before the one for each directory had it.
fn keep_as_before(disk: &Disk, account: &AccountRecord) {
    disk.open();
    let folder = disk.root().join("accounts/some-ca");
    fs::create_dir_all(&folder).expect("made");
    let text = format!(
        "format = 1\ndirectory = \"{}\"\nkid = \"{}\"\ncontact = []\nkey = \"key-2.pem\"\n",
        account.directory,
        account.kid.as_deref().unwrap_or_default()
    );
    fs::write(folder.join("account.toml"), text).expect("written");
    fs::write(folder.join("key-2.pem"), account.key.expose()).expect("written");
}

#[test]
fn an_account_that_stops_anywhere_has_a_key_that_fits_its_url() {
    let keys = [
        sample(KeyType::EcdsaP256).key,
        sample(KeyType::EcdsaP256).key,
    ];
    let (old, new) = (account(0, &keys[0]), account(1, &keys[1]));
    let rolling = AccountRecord {
        next_key: Some(keys[1].clone()),
        ..old.clone()
    };
    for (before, after, in_old_place) in [
        (&old, &new, false),
        (&old, &rolling, false),
        (&rolling, &new, false),
        (&old, &new, true),
        (&old, &rolling, true),
    ] {
        let mut steps = 0;
        loop {
            let disk = Disk::new();
            if in_old_place {
                keep_as_before(&disk, before);
            } else {
                disk.open().save_account(&ca(), before).expect("saved");
            }
            let store = disk.open();
            fault::break_after(steps);
            let result = store.save_account(&ca(), after);
            let broken = fault::repair();
            let kept = disk.open().account(&ca(), DIRECTORY).expect("readable");
            match kept {
                Some(kept) if kept == *after => {}
                Some(kept) if kept == *before => assert!(result.is_err()),
                other => panic!("after {steps} steps: {other:?}"),
            }
            disk.open().save_account(&ca(), after).expect("saved");
            assert_eq!(disk.open().accounts(&ca()), Ok(vec![after.clone()]));
            let keys = disk.files().into_keys().filter(|file| file.contains("key"));
            let wanted = if after.next_key.is_some() { 2 } else { 1 };
            assert_eq!(keys.count(), wanted, "keys that nothing names are gone");
            if !broken {
                break;
            }
            steps += 1;
        }
        assert!(steps > 5, "the disk never broke");
    }
}

#[test]
fn the_one_account_of_earlier_versions_is_found_and_moves_at_its_next_change() {
    let disk = Disk::new();
    let old = account(0, &sample(KeyType::EcdsaP256).key);
    keep_as_before(&disk, &old);
    let store = disk.open();
    assert_eq!(store.account(&ca(), DIRECTORY), Ok(Some(old.clone())));
    assert_eq!(store.account(&ca(), "https://ca.example/other"), Ok(None));
    assert_eq!(store.accounts(&ca()), Ok(vec![old.clone()]));
    store.save_account(&ca(), &old).expect("saved");
    assert_eq!(store.accounts(&ca()), Ok(vec![old]));
    let files: Vec<String> = disk.files().into_keys().collect();
    assert!(!files.contains(&"accounts/some-ca/account.toml".to_owned()));
    assert!(!files.contains(&"accounts/some-ca/key-2.pem".to_owned()));
}

#[test]
fn parts_that_do_not_belong_together_are_not_handed_out() {
    let disk = Disk::new();
    let store = disk.open();
    save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
    let stranger = sample(KeyType::EcdsaP256);
    let version = disk.root().join("certificates/shop/versions/0001");
    for (file, content) in [
        (KEY, stranger.key.expose().as_str()),
        (CERT, &stranger.pem.cert),
        (FULLCHAIN, &stranger.pem.fullchain),
        (CHAIN, ""),
    ] {
        let path = version.join(file);
        let before = fs::read(&path).expect("there");
        fs::write(&path, content).expect("written");
        let error = store.current(&name()).expect_err("refused");
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{file}");
        fs::write(&path, before).expect("written");
    }
    fs::remove_file(version.join(KEY)).expect("removed");
    let error = store.current(&name()).expect_err("refused");
    assert_eq!(
        (error.kind, error.path),
        (StoreErrorKind::Corrupt, version.join(KEY))
    );
}

#[test]
fn a_folder_of_something_else_is_not_taken() {
    let disk = Disk::new();
    fs::create_dir(disk.root()).expect("made");
    disk.open();
    let table = [
        ("format", "2\n", StoreErrorKind::TooNew),
        ("format", "one\n", StoreErrorKind::Corrupt),
    ];
    for (file, content, want) in table {
        fs::write(disk.root().join(file), content).expect("written");
        let error = FileStore::open(&disk.root(), 1).expect_err("refused");
        assert_eq!(error.kind, want, "{content}");
    }
    fs::remove_file(disk.root().join("format")).expect("removed");
    fs::write(disk.root().join("nginx.conf"), "").expect("written");
    let error = FileStore::open(&disk.root(), 1).expect_err("refused");
    assert_eq!(
        error.hint.as_deref(),
        Some("name an empty or missing folder in [state] dir")
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_can_write_is_refused_with_the_command_that_helps() {
    use std::os::unix::fs::PermissionsExt as _;
    let disk = Disk::new();
    disk.open();
    fs::set_permissions(disk.root(), fs::Permissions::from_mode(0o770)).expect("set");
    let error = FileStore::open(&disk.root(), 1).expect_err("refused");
    assert_eq!(error.kind, StoreErrorKind::Permission);
    assert_eq!(
        error.hint,
        Some(format!("chmod go-w {}", disk.root().display()))
    );
}

#[test]
fn forget_moves_to_the_archive_but_never_an_unfinished_run() {
    let disk = Disk::new();
    let store = disk.open();
    save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
    store.write_journal(&name(), "open").expect("written");
    assert_eq!(
        store.forget(&name(), false).expect_err("open").kind,
        StoreErrorKind::Locked
    );
    store.close_journal(&name()).expect("closed");
    let archived = store.forget(&name(), false).expect("forgotten");
    assert_eq!(archived, disk.root().join("archive/certificates/shop/0001"));
    assert!(archived.join("versions/0001/privkey.pem").is_file());
    assert_eq!(store.inventory(), Ok(Vec::new()));
    assert!(store.forget(&name(), false).is_err());
    assert_eq!(save(&store, &sample(KeyType::EcdsaP256)), Ok(1));
}

#[test]
fn a_debt_that_nobody_pays_is_set_aside_with_its_certificate() {
    let disk = Disk::new();
    let store = disk.open();
    save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
    store.write_journal(&name(), "open").expect("written");
    let archived = store.forget(&name(), true).expect("forgotten");
    assert_eq!(archived, disk.root().join("archive/certificates/shop/0001"));
    assert!(disk.root().join("archive/journals/shop/0001").is_file());
    assert_eq!(store.open_journals(), Ok(Vec::new()));
}

#[test]
fn a_stored_certificate_is_handed_over_in_every_form() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    assert!(store.stored(&name()).is_err());
    save(&store, &sample).expect("saved");
    let stored = store.stored(&name()).expect("stored");
    let password = Secret::new("hunter2".to_owned());
    let handed_over = |form: Form| {
        let to = disk.0.path().join(format!("{form:?}"));
        let files = export::files(&stored, form, &password).expect("files");
        store.hand_over((&name(), 1), &to, &files).expect("written");
        let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
        (to, names)
    };
    let read = |path: &Path| fs::read(path).expect("there");
    let text = |path: &Path| fs::read_to_string(path).expect("text");

    let (to, names) = handed_over(Form::Pem);
    assert_eq!(
        names,
        ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"]
    );
    assert_eq!(text(&to.join("privkey.pem")), *sample.key.expose());
    let both = text(&to.join("cert.pem")) + &text(&to.join("chain.pem"));
    assert_eq!(both, text(&to.join("fullchain.pem")));

    let (to, names) = handed_over(Form::Combined);
    assert_eq!(names, ["combined.pem"]);
    let want = format!("{}{}", sample.pem.fullchain, sample.key.expose());
    assert_eq!(text(&to.join("combined.pem")), want);

    let (to, names) = handed_over(Form::Der);
    assert_eq!(names, ["privkey.der", "cert.der", "chain-1.der"]);
    let leaf = x509::leaf_der(&sample.pem.cert).expect("a leaf");
    assert_eq!(read(&to.join("cert.der")), leaf);
    let above = x509::leaf_der(&sample.pem.chain).expect("a certificate");
    assert_eq!(read(&to.join("chain-1.der")), above);
    let key = pem::private_key(sample.key.expose()).expect("a key");
    assert_eq!(read(&to.join("privkey.der")), key.secret_der());

    for profile in pkcs12::Profile::ALL {
        let (to, names) = handed_over(Form::Pkcs12(profile));
        assert_eq!(names, ["bundle.p12"]);
        let file = read(&to.join("bundle.p12"));
        let chain = &sample.pem.fullchain;
        assert!(pkcs12::holds(
            &file,
            &sample.key,
            chain,
            "shop",
            &password,
            profile
        ));
    }
}

#[test]
fn a_key_left_by_a_crash_is_no_key_of_the_next_run() {
    let store = Disk::new();
    let store = store.open();
    let key = sample(KeyType::EcdsaP256).key;
    store.save_pending_key(&name(), &key).expect("saved");
    store.write_journal(&name(), "new run").expect("written");
    assert_eq!(store.pending_key(&name()), Ok(None));
}

#[test]
fn a_busy_lock_names_its_holder() {
    let disk = Disk::new();
    let store = disk.open();
    let _held = store.lock_certificate(&name()).expect("locked");
    let error = store.lock_certificate(&name()).err().expect("busy");
    let holder = format!("it is held by process {} since ", std::process::id());
    assert!(error.causes[0].starts_with(&holder), "{error}");
}

/// A state folder as format 1 wrote it. These files are never changed or deleted.
#[test]
fn the_state_folder_of_format_1_can_be_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a fixture");
    let (facts, origin) = format::read_facts(&read("facts.toml")).expect("facts");
    assert_eq!(format::write_facts(&facts, &origin), read("facts.toml"));
    for (file, staging) in [("installed.toml", false), ("installed-staging.toml", true)] {
        let mark = format::read_installed(&read(file)).expect("a mark");
        assert_eq!(mark.staging, staging);
        assert_eq!(format::write_installed(&mark), read(file));
    }
    let seen = format::read_served(&read("served.toml")).expect("what was seen");
    assert_eq!(format::write_served(&seen), read("served.toml"));
    for file in [
        "last-renewed.toml",
        "last-failed.toml",
        "last-not-installed.toml",
    ] {
        let last = format::read_last(&read(file)).expect("an attempt");
        assert_eq!(format::write_last(&last), read(file));
    }
    for file in ["account.toml", "account-with-marks.toml"] {
        let account = format::read_account(&read(file)).expect("an account");
        assert_eq!(format::write_account(&account), read(file));
    }
    let mark = format::read_revoked(&read("revoked.toml")).expect("a mark");
    assert_eq!(format::write_revoked(&mark), read("revoked.toml"));
    let wish = format::read_replacing(&read("replacing.toml")).expect("a wish");
    assert_eq!(format::write_replacing(&wish), read("replacing.toml"));
    for (file, changes) in [("directory.toml", 0), ("directory-changed.toml", 2)] {
        let copy = format::read_directory(&read(file)).expect("a directory");
        assert_eq!(copy.changed.len(), changes);
        assert_eq!(format::write_directory(&copy), read(file));
    }
    assert_eq!(format::read_stamp(&read("format")), Ok(1));
}

#[test]
fn what_a_dead_process_left_of_a_key_is_gone_with_the_next_lock() {
    let disk = Disk::new();
    let store = disk.open();
    let folder = disk.root().join("journal");
    atomic::create_dir(&folder).expect("a folder");
    let (ours, theirs) = (".new-shop.key-4711-0", ".new-other.key-4711-0");
    for file in [ours, theirs] {
        atomic::create(&folder.join(file), b"half a key").expect("written");
    }
    let half = disk.root().join("certificates/shop/versions/.new-0002");
    atomic::create_dir(&half).expect("a folder");
    atomic::create(&half.join("privkey.pem"), b"a key").expect("written");
    drop(store.lock_certificate(&name()).expect("free"));
    assert!(!folder.join(ours).exists());
    assert!(!half.exists());
    assert!(folder.join(theirs).exists(), "its lock is not held");
}

#[test]
fn a_version_that_a_dead_process_has_stored_whole_is_made_current_and_not_stored_again() {
    let disk = Disk::new();
    let store = disk.open();
    let (one, two) = (sample(KeyType::EcdsaP256), sample(KeyType::EcdsaP256));
    let save = |it: &Sample| {
        let saved = store.save(&name(), &it.key, &it.pem, &it.facts, &origin());
        saved.expect("saved")
    };
    assert_eq!(save(&one), 1);
    fs::remove_file(disk.root().join("certificates/shop/current")).expect("there");
    assert_eq!(save(&one), 1, "the same certificate");
    fs::remove_file(disk.root().join("certificates/shop/current")).expect("there");
    assert_eq!(save(&two), 2, "another one");
}

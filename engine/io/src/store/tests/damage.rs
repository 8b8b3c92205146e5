//! Damage of every kind: it counts as not there, or is set aside, and nobody has to repair anything.

use waxwing_core::name::PluginName;

use super::*;

#[test]
fn one_broken_certificate_is_an_error_of_its_own() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    let good = CertificateName::parse("good").expect("a name");
    store
        .save(&good, &sample.key, &sample.pem, &sample.facts, &origin())
        .expect("saved");
    let version = disk.root().join("certificates/shop/versions/0001");
    let facts = version.join("facts.toml");
    // Damage counts as not there; what a newer version has written is left alone.
    let table: [(PathBuf, &[u8], StoreErrorKind); 6] = [
        (facts.clone(), b"", StoreErrorKind::Corrupt),
        (
            facts.clone(),
            b"format = 1\n[certificate]\n",
            StoreErrorKind::Corrupt,
        ),
        (facts.clone(), b"\xff\xfe", StoreErrorKind::Corrupt),
        (version.join("cert.pem"), b"\0\0", StoreErrorKind::Corrupt),
        (
            facts,
            b"format = 2\nshape = \"new\"\n",
            StoreErrorKind::TooNew,
        ),
        (
            disk.root().join("certificates/shop/current"),
            b"0002\n",
            StoreErrorKind::Corrupt,
        ),
    ];
    for (path, content, want) in table {
        let before = fs::read(&path).expect("there");
        fs::write(&path, content).expect("written");
        let inventory = store.inventory().expect("a list");
        let seen: Vec<_> = inventory
            .into_iter()
            .map(|entry| match entry {
                Ok(entry) => (entry.current.is_some(), entry.damage.map(|e| e.kind)),
                Err(error) => (false, Some(error.kind)),
            })
            .collect();
        assert_eq!(
            seen,
            [(true, None), (false, Some(want))],
            "{}",
            path.display()
        );
        fs::write(&path, before).expect("written");
    }
}

/// Whatever is in the place of a note keeps no certificate from being renewed.
#[test]
fn a_note_that_cannot_be_read_is_as_one_that_is_not_there() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    let folder = disk.root().join("certificates/shop");
    let notes = [
        "last.toml",
        "served.toml",
        "revoked.toml",
        "replacing.toml",
        "installed/files.toml",
    ];
    for note in notes {
        let path = folder.join(note);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, b"format = 1\n\xff").expect("written");
        let entry = store.entry(&name()).expect(note).expect("it is there");
        assert!(
            entry.current.is_some() && entry.installed.is_empty(),
            "{note}"
        );
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        let entry = store.entry(&name()).expect(note).expect("it is there");
        assert!(entry.last.is_none() && entry.served.is_empty(), "{note}");
        fs::remove_dir(&path).expect("removed");
    }
}

#[test]
fn a_damaged_current_is_worked_out_again_and_kept() {
    let disk = Disk::new();
    let store = disk.open();
    save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
    let second = sample(KeyType::EcdsaP256);
    save(&store, &second).expect("saved");
    let path = disk.root().join("certificates/shop/current");
    for content in [&b""[..], b"00", b"\xff\xfe", b"../0001\n"] {
        fs::write(&path, content).expect("written");
        // Whoever only looks changes nothing.
        let looked = FileStore::look(&disk.root()).expect("looked at");
        let version = looked.current(&name()).expect("read").expect("there");
        assert_eq!((version.version, &version.pem), (2, &second.pem));
        assert_eq!(fs::read(&path).expect("there"), content);
        drop(store.lock_certificate(&name()).expect("locked"));
        assert_eq!(fs::read(&path).expect("there"), b"0002\n");
    }
    let kept = fs::read_dir(disk.root().join("archive/damaged/shop")).expect("kept");
    assert_eq!(kept.count(), 4);
}

#[test]
fn a_number_is_never_given_twice() {
    let disk = Disk::new();
    let store = disk.open();
    let first = sample(KeyType::EcdsaP256);
    save(&store, &first).expect("saved");
    save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
    let mark = InstalledMark {
        plugin: PluginName::parse("files").expect("a name"),
        version: 2,
        leaf_sha256: "aa".to_owned(),
        leaf_sha1: "bb".to_owned(),
        settings: "d1".to_owned(),
        at: Timestamp::from_unix(1_795_000_000),
        receipt: String::new(),
        staging: false,
        not_after: None,
        older: None,
    };
    store.record_installed(&name(), &mark).expect("noted");
    // All that is left is the note of what was installed.
    let folder = disk.root().join("certificates/shop");
    fs::remove_file(folder.join("current")).expect("removed");
    fs::remove_dir_all(folder.join("versions")).expect("removed");
    assert_eq!(save(&store, &first).expect("saved"), 3);
}

#[test]
fn a_damaged_journal_is_kept_with_its_key() {
    let disk = Disk::new();
    let store = disk.open();
    store.write_journal(&name(), "no journal").expect("written");
    let key = sample(KeyType::EcdsaP256).key;
    store.save_pending_key(&name(), &key).expect("written");
    let kept = store.set_journal_aside(&name()).expect("kept");
    assert_eq!(fs::read(&kept).expect("there"), b"no journal");
    assert_eq!(store.open_journals(), Ok(Vec::new()));
    let beside = kept.parent().expect("a folder");
    assert_eq!(fs::read_dir(beside).expect("a folder").count(), 2);
}

#[test]
fn a_stamp_of_zeros_is_made_again_and_an_unknown_one_is_refused() {
    let disk = Disk::new();
    save(&disk.open(), &sample(KeyType::EcdsaP256)).expect("saved");
    let stamp = disk.root().join("format");
    for zeros in [&b""[..], b"\0\0"] {
        fs::write(&stamp, zeros).expect("written");
        let looked = FileStore::look(&disk.root()).expect("looked at");
        assert!(looked.current(&name()).expect("read").is_some());
        assert!(disk.open().current(&name()).expect("read").is_some());
        assert_eq!(fs::read(&stamp).expect("there"), b"1\n");
    }
    fs::write(&stamp, b"one\n").expect("written");
    let refused = FileStore::open(&disk.root(), 3).map(drop);
    assert_eq!(
        refused.map_err(|error| error.kind),
        Err(StoreErrorKind::Corrupt)
    );
}

#[test]
fn what_helps_fits_what_is_wrong() {
    let check = |kind, want_kind, hint: &str| {
        let error = failure::io("write", Path::new("/state"), &std::io::Error::from(kind));
        assert_eq!(error.kind, want_kind, "{kind:?}");
        assert_eq!(error.hint.as_deref(), Some(hint), "{kind:?}");
    };
    check(
        std::io::ErrorKind::StorageFull,
        StoreErrorKind::NoSpace,
        "make room on the disk of /state",
    );
    check(
        std::io::ErrorKind::ReadOnlyFilesystem,
        StoreErrorKind::NoSpace,
        "the disk of /state is mounted read-only (look at the log of the machine for why), or the unit that started \
         this may not write there: a folder has to be named in the unit and to be there when it starts (`waxwing \
         schedule add`)",
    );
    check(
        std::io::ErrorKind::PermissionDenied,
        StoreErrorKind::Permission,
        "run as the user that the state folder belongs to",
    );
}

/// What of a version can be worked out again is, and else it counts as not there.
#[test]
fn a_version_that_cannot_be_read_whole_is_mended_or_given_up() {
    let key_of_another = sample(KeyType::EcdsaP256).key.expose().clone();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let good = sample(KeyType::EcdsaP256);
    let (chain, fullchain) = (&good.pem.chain, &good.pem.fullchain);
    assert!(!chain.is_empty(), "a sample with a chain");
    // The file, what it is damaged to, and whether it is mended.
    let table: [(&str, String, bool); 9] = [
        ("fullchain.pem", String::new(), true),
        ("fullchain.pem", half(fullchain), true),
        ("fullchain.pem", good.pem.cert.clone(), true),
        ("chain.pem", String::new(), true),
        ("chain.pem", half(chain), true),
        ("privkey.pem", String::new(), false),
        ("privkey.pem", half(good.key.expose()), false),
        ("privkey.pem", key_of_another, false),
        ("privkey.pem", good.key.expose().clone(), true),
    ];
    for (file, content, mended) in table {
        let disk = Disk::new();
        let store = disk.open();
        save(&store, &good).expect("saved");
        let path = disk
            .root()
            .join("certificates/shop/versions/0001")
            .join(file);
        fs::write(&path, &content).expect("written");
        let _lock = store.lock_certificate(&name()).expect("locked");
        store.mend_stored(&name()).expect("looked at");
        let entry = store.entry(&name()).expect("read").expect("there");
        assert_eq!(entry.damage.is_none(), mended, "{file}: {:?}", entry.damage);
        if mended {
            let version = store.current(&name()).expect("whole").expect("there");
            assert_eq!(version.pem, good.pem, "{file}");
        } else {
            let kept = disk.root().join("archive/damaged/shop/0001");
            assert_eq!(fs::read_to_string(kept).expect("kept"), content, "{file}");
        }
    }
    // Where all that says what belongs behind it is gone, another one is ordered.
    let disk = Disk::new();
    let store = disk.open();
    save(&store, &good).expect("saved");
    let version = disk.root().join("certificates/shop/versions/0001");
    for file in ["chain.pem", "fullchain.pem"] {
        fs::write(version.join(file), "").expect("written");
    }
    store.mend_stored(&name()).expect("looked at");
    let entry = store.entry(&name()).expect("read").expect("there");
    assert!(entry.damage.is_some());
}

/// What somebody owes is not lost with one sector of a disk.
#[test]
fn a_note_that_a_duty_hangs_on_is_there_twice() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    let name = CertificateName::parse("shop").expect("a name");
    let at = Timestamp::from_unix(1_795_000_000);
    let mark = RevokedMark {
        version: 1,
        at,
        reason: None,
    };
    let wish = Replacing {
        version: 1,
        reason: None,
        since: at,
    };
    store.record_revoked(&name, &mark).expect("noted");
    store.record_replacing(&name, &wish).expect("noted");
    let folder = disk.root().join("certificates/shop");
    let seen = || {
        let entry = store.entry(&name).expect("read").expect("there");
        let revoked = entry.current.and_then(|current| current.revoked);
        (revoked, entry.replacing)
    };
    let both = (Some(mark), Some(wish));
    for (file, content) in [
        ("revoked.toml", Some(b"\xff".as_slice())),
        ("revoked.toml", Some(b"")),
        ("revoked.toml", None),
        ("revoked.copy.toml", Some(b"x")),
        ("replacing.toml", Some(b"\0\0\0")),
        ("replacing.toml", None),
        ("replacing.copy.toml", None),
    ] {
        let path = folder.join(file);
        let before = fs::read(&path).expect("there");
        match content {
            Some(content) => fs::write(&path, content).expect("written"),
            None => fs::remove_file(&path).expect("removed"),
        }
        assert_eq!(seen(), both, "{file} {content:?}");
        fs::write(&path, before).expect("written");
    }
    // A process that dies between the two has noted the newer one.
    let copy = folder.join("revoked.copy.toml");
    let newer = RevokedMark {
        version: 2,
        at,
        reason: None,
    };
    save(&store, &sample).expect("saved");
    fs::write(&copy, format::write_revoked(&newer)).expect("written");
    let current = store.entry(&name).expect("read").expect("there").current;
    let current = current.expect("a version");
    assert_eq!((current.version, current.revoked), (2, Some(newer)));
    // What is settled stays so.
    store.end_replacing(&name).expect("ended");
    assert_eq!(seen().1, None);
}

/// As behind a restore that leaves files out: numbers only grow.
#[test]
fn a_current_that_is_gone_is_the_newest_version() {
    let disk = Disk::new();
    let store = disk.open();
    for kind in [KeyType::EcdsaP256, KeyType::EcdsaP384] {
        save(&store, &sample(kind)).expect("saved");
    }
    let current = disk.root().join("certificates/shop/current");
    fs::remove_file(&current).expect("removed");
    let entry = store.entry(&name()).expect("read").expect("there");
    assert_eq!(entry.current.map(|current| current.version), Some(2));
    assert!(!current.exists(), "whoever looks writes nothing");
    drop(store.lock_certificate(&name()).expect("a lock"));
    assert_eq!(fs::read_to_string(&current).expect("written"), "0002\n");
}

#[test]
fn a_certificate_whose_facts_are_damaged_ends_all_the_same() {
    let disk = Disk::new();
    let store = disk.open();
    let sample = sample(KeyType::EcdsaP256);
    save(&store, &sample).expect("saved");
    let entry = || store.entry(&name()).expect("read").expect("there");
    assert_eq!(entry().in_place, None);
    let version = disk.root().join("certificates/shop/versions/0001");
    fs::write(version.join("facts.toml"), "garbage").expect("written");
    let life = entry().in_place.expect("in the certificate");
    assert_eq!(
        (life.start, life.end),
        (sample.facts.not_before, sample.facts.not_after)
    );
    // What cannot be read is not what is damaged: nothing is ordered for it, and it ends as well.
    let current = disk.root().join("certificates/shop/current");
    for unreadable in [version.join("facts.toml"), current] {
        fs::remove_file(&unreadable).expect("removed");
        fs::create_dir(&unreadable).expect("a folder in its place");
        let found = entry();
        let damage = found.damage.expect("not read");
        assert_eq!(damage.kind, StoreErrorKind::Io, "{damage}");
        assert_eq!((found.current, found.in_place), (None, Some(life)));
    }
    for file in ["cert.pem", "fullchain.pem"] {
        fs::write(version.join(file), "garbage").expect("written");
    }
    assert_eq!(entry().in_place, None);
}

/// A disk that is not mounted: what is there is not new.
#[cfg(unix)]
#[test]
fn a_folder_that_leads_nowhere_is_no_empty_one() {
    for place in ["certificates", "certificates/shop"] {
        let disk = Disk::new();
        let store = disk.open();
        save(&store, &sample(KeyType::EcdsaP256)).expect("saved");
        let folder = disk.root().join(place);
        let away = disk.0.path().join("away");
        fs::rename(&folder, &away).expect("moved");
        std::os::unix::fs::symlink(&away, &folder).expect("a link");
        assert_eq!(store.may_save(&name()), Ok(()), "{place}: it leads there");
        fs::rename(&away, disk.0.path().join("not mounted")).expect("moved");
        let refused = store.may_save(&name()).expect_err(place);
        assert!(refused.to_string().contains("it leads to "), "{refused}");
        let listed = store.inventory();
        let seen = listed.map(|all| all.into_iter().filter(Result::is_ok).count());
        assert!(!matches!(seen, Ok(1..)), "{place}: {seen:?}");
        assert_eq!(store.shut().len(), usize::from(place != "certificates"));
    }
}

//! What every adapter of a port has to do, as functions that answer the claims it breaks, so that
//! the real one and a fake can be held to the same words.

use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::secret::Secret;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{
    AttemptResult, CertificateFacts, ChainPem, InstalledMark, LastAttempt, Origin, Replacing,
    RevokedMark, StoredVersion,
};
use waxwing_flow::directory::{Change, Changed, DirectoryCopy};
use waxwing_flow::ports::{
    AccountRecord, CertificateStore, CredentialMark, CredentialUse, StoreError, StoreErrorKind,
};

/// A certificate for [`store`] to keep: the parts have to belong together.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The private key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// The chain.
    pub pem: ChainPem,
    /// What it says.
    pub facts: CertificateFacts,
}

/// The claims that a store breaks. `open` opens the same, at first empty, store each time, as a new
/// process would; it keeps `keep` versions.
///
/// # Errors
/// When a call fails that has no reason to.
pub fn store(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    keep: u32,
    samples: &[Sample; 2],
) -> Result<Vec<&'static str>, StoreError> {
    let mut claims = Claims::default();
    let (Ok(name), Ok(other), Ok(ca), Ok(plugin)) = (
        CertificateName::parse("shop"),
        CertificateName::parse("other.example"),
        CaName::parse("some-ca"),
        PluginName::parse("nginx"),
    ) else {
        return Ok(vec!["the names of this suite can be parsed"]);
    };
    nothing(&*open(), &name, &ca, &mut claims)?;
    versions(open, &name, &ca, keep, samples, &mut claims)?;
    notes(open, &name, &ca, &plugin, &mut claims)?;
    journal(open, &name, &other, &samples[0].key, &mut claims)?;
    accounts(open, &ca, samples, &mut claims)?;
    locks(open, &name, &other, &ca, &mut claims)?;
    Ok(claims.broken)
}

#[derive(Default)]
struct Claims {
    broken: Vec<&'static str>,
}

impl Claims {
    fn hold(&mut self, claim: &'static str, holds: bool) {
        if !holds {
            self.broken.push(claim);
        }
    }
}

fn nothing(
    store: &dyn CertificateStore,
    name: &CertificateName,
    ca: &CaName,
    claims: &mut Claims,
) -> Result<(), StoreError> {
    claims.hold(
        "an empty store has no inventory",
        store.inventory()?.is_empty(),
    );
    claims.hold("an unknown name has no entry", store.entry(name)?.is_none());
    claims.hold(
        "an unknown name has no version",
        store.current(name)?.is_none(),
    );
    claims.hold(
        "an unknown name has no journal",
        store.journal(name)?.is_none(),
    );
    claims.hold(
        "an unknown name has no pending key",
        store.pending_key(name)?.is_none(),
    );
    claims.hold(
        "an unknown CA has no account",
        store.account(ca, "https://ca.example/directory")?.is_none()
            && store.accounts(ca)?.is_empty(),
    );
    claims.hold(
        "an unknown CA has no directory",
        store.directory(ca)?.is_none(),
    );
    claims.hold(
        "a journal that is not there can be closed",
        store.close_journal(name).is_ok(),
    );
    Ok(())
}

fn versions(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    name: &CertificateName,
    ca: &CaName,
    keep: u32,
    samples: &[Sample; 2],
    claims: &mut Claims,
) -> Result<(), StoreError> {
    for round in 1..=keep + 2 {
        let sample = &samples[(round % 2) as usize];
        let origin = Origin {
            ca: ca.clone(),
            account: "https://ca.example/acct/1".to_owned(),
            issued_at: Timestamp::from_unix_ms(1_795_000_000_123 + i64::from(round)),
            fallback: round % 2 == 0,
            staging: round % 3 == 0,
        };
        let number = open().save(name, &sample.key, &sample.pem, &sample.facts, &origin)?;
        claims.hold("versions count from 1", number == round);
        let current = open().current(name)?;
        let same = current.is_some_and(|current| {
            current.certificate == *name
                && current.version == round
                && current.key == sample.key
                && current.pem == sample.pem
                && current.facts == sample.facts
                && current.origin == origin
        });
        claims.hold("the current version is what was saved last", same);
        let known = open()
            .entry(name)?
            .and_then(|entry| entry.current)
            .is_some_and(|current| {
                current.version == round
                    && current.facts == sample.facts
                    && current.origin == origin
            });
        claims.hold("the inventory knows the current version", known);
        let mark = RevokedMark {
            version: round,
            at: Timestamp::from_unix_ms(1_795_000_000_123),
            reason: Some(4).filter(|_| round % 2 == 0),
        };
        let untouched = open()
            .current(name)?
            .is_some_and(|current| current.revoked.is_none());
        claims.hold("a new version is not revoked", untouched);
        open().record_revoked(name, &mark)?;
        let revoked = open().current(name)?.and_then(|current| current.revoked);
        let listed = open().entry(name)?.and_then(|entry| entry.current?.revoked);
        claims.hold(
            "a version that was noted as revoked is revoked",
            revoked.as_ref() == Some(&mark) && listed.as_ref() == Some(&mark),
        );
        let older = RevokedMark {
            version: round - 1,
            ..mark.clone()
        };
        open().record_revoked(name, &older)?;
        let kept = open().current(name)?.and_then(|current| current.revoked);
        claims.hold(
            "that an older version is revoked too does not hide it",
            kept.as_ref() == Some(&mark),
        );
        let same = |found: Option<StoredVersion>| {
            found.is_some_and(|found| found.version == round && found.key == sample.key)
        };
        let by_number = open().version(name, round)?;
        claims.hold("a version is found by its number", same(by_number));
        if round == 1 {
            let wish = Replacing {
                version: round,
                reason: Some(1),
                since: Timestamp::from_unix_ms(1_795_000_000_123),
            };
            open().record_replacing(name, &wish)?;
            let listed = open().entry(name)?.and_then(|entry| entry.replacing);
            claims.hold("what is to be revoked is listed", listed == Some(wish));
        }
    }
    claims.hold(
        "what is to be revoked is not erased with older ones",
        open().version(name, 1)?.is_some() && open().version(name, 2)?.is_none(),
    );
    for _ in 0..2 {
        open().end_replacing(name)?;
        let listed = open().entry(name)?.and_then(|entry| entry.replacing);
        claims.hold("a wish can be forgotten, also twice", listed.is_none());
    }
    claims.hold(
        "the inventory has one entry for each name",
        open().inventory()?.len() == 1,
    );
    Ok(())
}

fn notes(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    name: &CertificateName,
    ca: &CaName,
    plugin: &PluginName,
    claims: &mut Claims,
) -> Result<(), StoreError> {
    for version in [3, 4] {
        let mark = InstalledMark {
            plugin: plugin.clone(),
            version,
            leaf_sha256: "00ff".to_owned(),
            leaf_sha1: "ff00".to_owned(),
            settings: "digest".to_owned(),
            at: Timestamp::from_unix(1_795_000_000),
            receipt: "{\"a\":\"\\\"\u{fc}\\n\"}\n".to_owned(),
            staging: version == 4,
            not_after: Some(Timestamp::from_unix(1_800_000_000)),
            older: None,
        };
        open().record_installed(name, &mark)?;
        let entry = open().entry(name)?;
        let current = entry.as_ref().and_then(|entry| entry.current.as_ref());
        let current = current.map(|current| current.version);
        let older = |mark: &InstalledMark| mark.older.is_some() == (Some(mark.version) != current);
        let mut marks = entry.as_ref().map(|entry| entry.installed.clone());
        claims.hold(
            "a note of an installation says what an older version has",
            marks.iter().flatten().all(older),
        );
        for mark in marks.iter_mut().flatten() {
            mark.older = None;
        }
        claims.hold(
            "a note of an installation replaces the older one",
            marks == Some(vec![mark]),
        );
    }
    for _again in 0..2 {
        open().forget_installed(name, plugin)?;
        let marks = open().entry(name)?.map(|entry| entry.installed);
        claims.hold(
            "a note of an installation can be forgotten",
            marks == Some(Vec::new()),
        );
        let was = open().was_installed(name, plugin);
        claims.hold(
            "and what was installed is known all the same",
            was.map(|mark| mark.version) == Some(4),
        );
    }
    let causes = vec!["first".to_owned(), "second\nline".to_owned()];
    let results = [
        AttemptResult::Renewed,
        AttemptResult::Installed,
        AttemptResult::NotInstalled {
            plugin: plugin.clone(),
            causes: causes.clone(),
        },
        AttemptResult::Failed {
            class: "transient".to_owned(),
            causes,
        },
    ];
    for (result, ca) in results
        .into_iter()
        .zip([None, Some(ca.clone())].into_iter().cycle())
    {
        let last = LastAttempt {
            replaces: ca.is_none(),
            at: Timestamp::from_unix_ms(1_795_000_000_007),
            ca,
            result,
        };
        open().record_attempt(name, &last)?;
        let noted = open().entry(name)?.and_then(|entry| entry.last);
        claims.hold(
            "the last attempt is what was noted last",
            noted == Some(last),
        );
    }
    Ok(())
}

fn journal(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    name: &CertificateName,
    other: &CertificateName,
    key: &Secret<String>,
    claims: &mut Claims,
) -> Result<(), StoreError> {
    for text in ["one\n", "two\n"] {
        open().write_journal(name, text)?;
        let written = open().journal(name)?;
        claims.hold(
            "the journal is what was written last",
            written.as_deref() == Some(text),
        );
    }
    open().save_pending_key(name, key)?;
    open().write_journal(name, "three\n")?;
    claims.hold(
        "the key of a run outlives its journal entries",
        open().pending_key(name)?.as_ref() == Some(key),
    );
    open().write_journal(other, "other\n")?;
    let mut names = [name.clone(), other.clone()];
    names.sort();
    claims.hold("open journals are listed", open().open_journals()? == names);
    let unfinished = open().entry(other)?;
    let unfinished = unfinished.is_some_and(|entry| entry.unfinished && entry.current.is_none());
    claims.hold(
        "a name with a journal alone is in the inventory",
        unfinished,
    );
    open().close_journal(name)?;
    open().save_pending_key(name, key)?;
    claims.hold(
        "a key that a closing cut off has left is listed",
        open().open_journals()? == names,
    );
    open().close_journal(name)?;
    open().close_journal(other)?;
    let closed = open().journal(name)?.is_none() && open().pending_key(name)?.is_none();
    claims.hold("a closed journal is gone, and its key", closed);
    claims.hold(
        "a closed journal is not listed",
        open().open_journals()?.is_empty(),
    );
    Ok(())
}

fn accounts(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    ca: &CaName,
    samples: &[Sample; 2],
    claims: &mut Claims,
) -> Result<(), StoreError> {
    let new = AccountRecord {
        directory: "https://ca.example/directory".to_owned(),
        kid: None,
        contact: vec!["mailto:ops@example.com".to_owned()],
        terms: Some((
            "https://ca.example/terms".to_owned(),
            Timestamp::from_unix(1_795_000_000),
        )),
        key: samples[0].key.clone(),
        next_key: None,
        credentials: vec![CredentialMark {
            digest: "00ff".to_owned(),
            used: CredentialUse::Intended,
            at: Timestamp::from_unix(1_795_000_000),
        }],
        deactivated: None,
    };
    let registered = AccountRecord {
        kid: Some("https://ca.example/acct/1".to_owned()),
        ..new.clone()
    };
    let rolling = AccountRecord {
        next_key: Some(samples[1].key.clone()),
        ..registered.clone()
    };
    let rolled = AccountRecord {
        key: samples[1].key.clone(),
        deactivated: Some(Timestamp::from_unix_ms(1_795_000_000_500)),
        ..registered.clone()
    };
    let elsewhere = AccountRecord {
        directory: "https://ca.example/v2/directory".to_owned(),
        terms: None,
        contact: Vec::new(),
        credentials: Vec::new(),
        ..new.clone()
    };
    for account in [new, registered, rolling, rolled.clone()] {
        open().save_account(ca, &account)?;
        claims.hold(
            "an account is what was saved last",
            open().account(ca, &account.directory)? == Some(account),
        );
    }
    open().save_account(ca, &elsewhere)?;
    claims.hold(
        "accounts at two directories of a CA do not touch each other",
        open().account(ca, &rolled.directory)?.as_ref() == Some(&rolled)
            && open().account(ca, &elsewhere.directory)?.as_ref() == Some(&elsewhere),
    );
    claims.hold(
        "all accounts at a CA are listed by directory",
        open().accounts(ca)? == [rolled, elsewhere],
    );
    let at = Timestamp::from_unix_ms(1_795_000_000_999);
    let changed = Changed {
        at,
        change: Change {
            field: "termsOfService".to_owned(),
            from: None,
            to: Some("https://first.example/terms".to_owned()),
        },
    };
    for (text, changed) in [("{\"newNonce\": \"a\"}", vec![changed]), ("{}", Vec::new())] {
        let text = text.to_owned();
        let copy = DirectoryCopy { text, at, changed };
        open().save_directory(ca, &copy)?;
        claims.hold(
            "a directory is what was saved last",
            open().directory(ca)? == Some(copy),
        );
    }
    Ok(())
}

fn locks(
    open: &dyn Fn() -> Box<dyn CertificateStore>,
    name: &CertificateName,
    other: &CertificateName,
    ca: &CaName,
    claims: &mut Claims,
) -> Result<(), StoreError> {
    let kind = |result: Result<_, StoreError>| result.err().map(|error| error.kind);
    let held = open().lock_certificate(name)?;
    let second = kind(open().lock_certificate(name));
    claims.hold(
        "a held lock is not given twice",
        second == Some(StoreErrorKind::Locked),
    );
    claims.hold(
        "another certificate can be locked",
        open().lock_certificate(other).is_ok(),
    );
    claims.hold(
        "a lock keeps nobody from reading",
        open().current(name).is_ok(),
    );
    drop(held);
    claims.hold(
        "a lock ends when it is dropped",
        open().lock_certificate(name).is_ok(),
    );
    let held = open().lock_account(ca)?;
    let second = kind(open().lock_account(ca));
    claims.hold(
        "an account is locked once",
        second == Some(StoreErrorKind::Locked),
    );
    drop(held);
    Ok(())
}

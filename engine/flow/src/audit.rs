//! What was done, event by event: by plugins to the outside world, for the report; and by everybody,
//! for whoever has to account for it afterwards.
//!
//! There is one trail in a process. Whoever does something enters it there, and what is entered is
//! written down at once if the operator wants that ([`AuditLog`]). What a newcomer gets wrong: an act
//! is entered when it is done, and nothing that is done waits for it or fails with it.

pub mod watched;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waxwing_core::http::Method;
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, NotifierName, PluginName};
use waxwing_core::time::Timestamp;

/// Something that was done. It holds no secret, only the names of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A run began.
    RunBegan {
        /// True if it orders at stagings and stores nothing.
        rehearsal: bool,
    },
    /// A run ended.
    RunEnded {
        /// True if somebody asked it to end early.
        stopped: bool,
        /// Requests to each CA.
        requests: BTreeMap<CaName, u64>,
    },
    /// A plugin did something.
    Plugin(AuditEvent),
    /// A component was loaded, and can be called from now on.
    PluginLoaded {
        /// By which name it is configured.
        plugin: PluginName,
        /// Where it is from: a path, or none for one inside the binary.
        file: Option<String>,
        /// Of its bytes, lower-case hex.
        sha256: String,
    },
    /// A secret was read.
    SecretRead {
        /// The keys of the configuration that name it: `plugin.dns.secrets.token`.
        keys: Vec<String>,
        /// What stands there: `file:/etc/waxwing/token`. A command is shown without its arguments.
        reference: String,
        /// False if it could not be had.
        found: bool,
    },
    /// A private key was made. It is on no disk yet.
    KeyMade {
        /// Of which kind; none: as accounts have it.
        kind: Option<KeyType>,
        /// SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
        public_key: Option<String>,
    },
    /// A private key was written to a file.
    KeyWritten {
        /// What it is for.
        of: KeyOwner,
        /// The file.
        path: String,
        /// As in [`Act::KeyMade`].
        public_key: Option<String>,
    },
    /// A private key was erased.
    KeyErased {
        /// What it was for.
        of: KeyOwner,
        /// The file that is gone.
        path: String,
        /// As in [`Act::KeyMade`]; none if it could not be read any more.
        public_key: Option<String>,
    },
    /// Something changed about an account at a CA.
    Account {
        /// The CA.
        ca: CaName,
        /// The directory that the account is bound to.
        directory: String,
        /// Its URL.
        url: Option<String>,
        /// What.
        change: AccountChange,
    },
    /// Terms of service were agreed to, because the configuration says so.
    TermsAgreed {
        /// Of which CA.
        ca: CaName,
        /// Where they stand.
        url: String,
        /// When.
        at: Timestamp,
    },
    /// A certificate was received and stored.
    Received {
        /// Which.
        certificate: CertificateName,
        /// Its number in the store.
        version: u32,
        /// What it is.
        leaf: Leaf,
    },
    /// An old version was erased, its key before it.
    VersionErased {
        /// Of which certificate.
        certificate: CertificateName,
        /// Its number in the store.
        version: u32,
    },
    /// An installer has a version in place.
    Installed {
        /// Of which certificate.
        certificate: CertificateName,
        /// Its number in the store.
        version: u32,
        /// By which installer.
        plugin: PluginName,
    },
    /// A CA has revoked a version.
    Revoked {
        /// Of which certificate.
        certificate: CertificateName,
        /// Its number in the store.
        version: u32,
        /// What it was, if that can still be read.
        leaf: Option<Leaf>,
        /// Why, by the number of RFC 5280 section 5.3.1.
        reason: Option<u8>,
    },
    /// A certificate that left the configuration was moved to the archive.
    Forgotten {
        /// Which.
        certificate: CertificateName,
        /// Where its files are now.
        kept: String,
    },
    /// Something damaged or given up was moved to the archive.
    SetAside {
        /// From where.
        path: String,
        /// To where.
        kept: String,
    },
    /// A file with a certificate or its key was handed to somebody.
    Exported {
        /// The file, from the root on.
        path: String,
        /// Of which certificate.
        certificate: CertificateName,
        /// Its number in the store.
        version: u32,
    },
    /// A message was sent, or could not be.
    Told {
        /// By which notifier.
        notifier: NotifierName,
        /// How: `smtp`, `webhook`, `command`, `log`.
        way: &'static str,
        /// None if it was delivered, else why not.
        failed: Option<String>,
    },
}

impl Act {
    /// True for what has to survive a machine that loses power right afterwards. Requests and messages
    /// are many, and what they lead to is entered in an act of its own.
    pub const fn must_last(&self) -> bool {
        !matches!(
            self,
            Self::RunBegan { .. }
                | Self::Plugin(AuditEvent::Request { .. } | AuditEvent::More { .. })
                | Self::SecretRead { .. }
                | Self::PluginLoaded { .. }
                | Self::KeyMade { .. }
                | Self::Told { .. }
        )
    }
}

/// What a private key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// An account at a CA.
    Account(CaName),
    /// A stored version of a certificate.
    Certificate(CertificateName),
    /// An order that is open.
    Order(CertificateName),
}

/// What changed about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// It is there: it was made, or found by its key.
    Registered,
    /// The CA was told another address.
    Contact,
    /// It has another key.
    RolledOver,
    /// It was given up.
    Deactivated,
}

/// What tells a certificate from every other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The CA that was asked.
    pub ca: CaName,
    /// The serial number, lower-case hex, as CAs and CRLs show it.
    pub serial: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub sha256: String,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Its names.
    pub names: Vec<String>,
}

/// Writes acts down for good.
///
/// A call is short and synchronous, and MUST NOT fail: what cannot be written where it belongs MUST be
/// kept elsewhere or told in the log. Several processes MAY write to the same place.
pub trait AuditLog: Send + Sync {
    /// Writes an act of a run; `run` is none outside of any.
    fn write(&self, run: Option<&str>, act: &Act);
}

/// One act of a plugin in the outside world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEvent {
    /// A request of a plugin, allowed or not.
    Request {
        /// Which plugin.
        plugin: PluginName,
        /// The method.
        method: Method,
        /// The host asked for.
        host: String,
        /// The path; the query, which may hold a credential, is left out.
        path: String,
        /// The status of the answer, or why there is none.
        result: Result<u16, String>,
        /// Milliseconds.
        ms: u64,
    },
    /// A file written, or put back.
    File {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The whole path.
        path: String,
        /// `written`, `unchanged`, `restored` or why it failed.
        result: String,
    },
    /// A command run.
    Command {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The program.
        program: String,
        /// The exit code, or why there is none.
        result: Result<i32, String>,
        /// Milliseconds.
        ms: u64,
    },
    /// Acts of one call that are counted and not told: there were too many.
    More {
        /// Which plugin.
        plugin: PluginName,
        /// How many.
        count: u64,
    },
}

/// Longest text of an event that is kept, in bytes. A plugin chooses paths and what is refused.
const TEXT_CAP: usize = 1024;

impl AuditEvent {
    fn cut(&mut self) {
        let texts: [Option<&mut String>; 3] = match self {
            Self::Request {
                host, path, result, ..
            } => [Some(host), Some(path), result.as_mut().err()],
            Self::File {
                grant,
                path,
                result,
                ..
            } => [Some(grant), Some(path), Some(result)],
            Self::Command {
                grant,
                program,
                result,
                ..
            } => [Some(grant), Some(program), result.as_mut().err()],
            Self::More { .. } => [None, None, None],
        };
        for text in texts.into_iter().flatten() {
            if text.len() > TEXT_CAP {
                text.truncate(text.floor_char_boundary(TEXT_CAP));
                text.push('…');
                text.shrink_to_fit();
            }
        }
    }
}

/// The trail of a process: collects what plugins did in the run that is under way, and has every act
/// written down.
#[derive(Default)]
pub struct AuditTrail(Mutex<Book>);

#[derive(Default)]
struct Book {
    run: Option<String>,
    events: Vec<AuditEvent>,
    log: Option<Arc<dyn AuditLog>>,
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        f.debug_struct("AuditTrail")
            .field("run", &book.run)
            .field("events", &book.events)
            .finish_non_exhaustive()
    }
}

impl AuditTrail {
    /// Begins a run: what earlier ones did is forgotten here, though not where it was written.
    pub fn begin(&self, run: String) {
        let mut book = self.book();
        book.events.clear();
        book.run = Some(run);
    }

    /// The run that was begun last.
    pub fn run(&self) -> Option<String> {
        self.book().run.clone()
    }

    /// From now on acts are written there; none: nowhere.
    pub fn write_to(&self, log: Option<Arc<dyn AuditLog>>) {
        self.book().log = log;
    }

    /// True if acts are written down. Whoever would have to work to describe one asks first.
    pub fn is_written(&self) -> bool {
        self.book().log.is_some()
    }

    /// Enters an act.
    pub fn enter(&self, act: &Act) {
        let book = self.book();
        if let Some(log) = &book.log {
            log.write(book.run.as_deref(), act);
        }
    }

    /// Enters what a plugin did, its texts cut to what a person reads.
    pub fn record(&self, mut event: AuditEvent) {
        event.cut();
        let mut book = self.book();
        if let Some(log) = &book.log {
            log.write(book.run.as_deref(), &Act::Plugin(event.clone()));
        }
        book.events.push(event);
    }

    /// What plugins did in this run so far, in order.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.book().events.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_an_event_is_kept_at_any_length() {
        let trail = AuditTrail::default();
        let plugin = PluginName::parse("dns").expect("a literal name");
        trail.record(AuditEvent::Request {
            plugin: plugin.clone(),
            method: Method::Get,
            host: "api.example.net".to_owned(),
            path: format!("/{}", "ä".repeat(4096)),
            result: Err("no ".repeat(4096)),
            ms: 0,
        });
        let want = AuditEvent::Request {
            plugin,
            method: Method::Get,
            host: "api.example.net".to_owned(),
            path: format!("/{}…", "ä".repeat(511)),
            result: Err(format!("{}n…", "no ".repeat(341))),
            ms: 0,
        };
        assert_eq!(trail.events(), [want]);
    }

    /// Keeps what it is told.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(Option<String>, Act)>>);

    impl AuditLog for Kept {
        fn write(&self, run: Option<&str>, act: &Act) {
            let mut kept = self.0.lock().expect("a lock");
            kept.push((run.map(ToOwned::to_owned), act.clone()));
        }
    }

    #[test]
    fn a_run_reports_its_own_events_and_all_of_them_are_written() {
        let log = Arc::new(Kept::default());
        let trail = AuditTrail::default();
        let plugin = PluginName::parse("dns").expect("a literal name");
        let more = |count| AuditEvent::More {
            plugin: plugin.clone(),
            count,
        };
        trail.record(more(1));
        assert!(!trail.is_written());
        trail.write_to(Some(Arc::clone(&log) as Arc<dyn AuditLog>));
        trail.begin("first".to_owned());
        trail.record(more(2));
        trail.begin("second".to_owned());
        trail.enter(&Act::RunBegan { rehearsal: false });
        trail.record(more(3));
        assert_eq!(trail.events(), [more(3)]);
        let written = |run: &str, act| (Some(run.to_owned()), act);
        let want = [
            written("first", Act::Plugin(more(2))),
            written("second", Act::RunBegan { rehearsal: false }),
            written("second", Act::Plugin(more(3))),
        ];
        assert_eq!(*log.0.lock().expect("a lock"), want);
    }
}

//! Everything the flow needs from outside, as traits. The words MUST and SHOULD are contracts;
//! one suite of tests runs against each real adapter and its fake.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_acme::jws::Signer;
use waxwing_core::caa::CaaSet;
use waxwing_core::failure::FailureClass;
use waxwing_core::http::{Request, Response, TransportError};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, DomainName, Identifier, PluginName};
use waxwing_core::secret::Secret;
use waxwing_core::settings::AddressRange;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;

use crate::certificate::{
    CertificateFacts, ChainPem, InstalledMark, InventoryEntry, LastAttempt, Origin, Replacing,
    RevokedMark, ServedLeaf, ServedMark, StoredVersion,
};
use crate::directory::DirectoryCopy;
use crate::notify::{Delivered, Message, Posting, Reminded, Rest, Told, Unsent, Waiting};
use crate::plugin::{
    Attempt, ChallengeRecord, DeployPlan, Finding, InstallItem, Installed, PluginFailure,
    PresentReport, PropagationHint, PutBack, Removal, Verdict, ZoneAnswer,
};

mod history;

pub use history::{BudgetKey, ChangeBudgets, History};

/// Time. The one place where the engine waits.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock. MAY jump in both directions.
    fn now(&self) -> Timestamp;
    /// Returns not before `wait` has passed. Cancel-safe.
    async fn sleep(&self, wait: Duration);
}

/// Chance: for jitter and ids, not for keys.
pub trait Entropy: Send + Sync {
    /// A number uniform over all values.
    fn number(&self) -> u64;
}

/// Bounds of one HTTP exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time for look-up, connection and TLS.
    pub connect: Duration,
    /// Time from the start to the last byte of the answer.
    pub reply: Duration,
    /// Longest body, before and after content decoding, in bytes.
    pub body_cap: u64,
    /// Which addresses may be connected to.
    pub addresses: Addresses,
    /// Files with PEM roots that are trusted besides the system's.
    pub trust: Vec<PathBuf>,
    /// False: a URL that is not `https` is refused.
    pub plain_http: bool,
}

/// Which addresses may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// All: the operator named the host.
    Any,
    /// Public ones, and these ranges. Loopback, link-local, private, shared, multicast, reserved
    /// and documentation ranges are refused, in their IPv4-mapped and translated forms too.
    PublicAnd(Vec<AddressRange>),
}

/// Sends one request and reads one answer.
///
/// MUST NOT retry, follow a redirect or change the URL. MUST check each address it connects to
/// against the policy, with no second look-up between check and connection. MUST reuse
/// connections of calls with an equal trust and address policy. Any status is an answer; an error
/// means that there is none. Cancel-safe: dropping the future abandons the exchange.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends `request` within `policy`.
    async fn send(&self, request: Request, policy: &Policy) -> Result<Response, TransportError>;
}

/// A key, a request or a chain that could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct CryptoError {
    /// What was tried, as in `reading the certificate chain`.
    pub what: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
}

/// Makes and uses private keys, and reads certificates. Keys travel as PKCS#8 PEM.
pub trait KeyMaker: Send + Sync {
    /// A new key for an ACME account.
    fn account_key(&self) -> Result<Secret<String>, CryptoError>;
    /// A new key for a certificate.
    fn certificate_key(&self, kind: KeyType) -> Result<Secret<String>, CryptoError>;
    /// The signer for a key. MUST accept every kind that `account_key` and `certificate_key` make.
    fn signer(&self, key: &Secret<String>) -> Result<Arc<dyn Signer>, CryptoError>;
    /// A certification request in DER with the names in the SAN extension and nothing else: no
    /// common name, no extended key usage.
    fn request(&self, key: &Secret<String>, names: &[Identifier]) -> Result<Vec<u8>, CryptoError>;
    /// SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex.
    fn public_key_sha256(&self, key: &Secret<String>) -> Result<String, CryptoError>;
    /// The kind of a key, if it is one of ours.
    fn kind(&self, key: &Secret<String>) -> Result<Option<KeyType>, CryptoError>;
    /// Reads a PEM chain, leaf first. MUST refuse text with anything but certificates in it.
    fn read_chain(&self, pem: &str) -> Result<(ChainPem, CertificateFacts), CryptoError>;
    /// The leaf of a PEM chain in DER.
    fn leaf_der(&self, pem: &str) -> Result<Vec<u8>, CryptoError>;
}

/// Places and removes TXT records through a plugin.
///
/// A call runs at most as long as its limits allow. Dropping the future stops the plugin; what it
/// did until then is unknown, so the caller MUST treat it as an unknown outcome.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// Checks the settings; with `online` the credentials too, by requests that change nothing.
    async fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginFailure>;
    /// Which zone would take each name. Changes nothing.
    async fn preflight(&self, names: &[DomainName]) -> Result<Vec<ZoneAnswer>, PluginFailure>;
    /// Adds exactly these records. MUST be safe to call twice.
    async fn present(
        &self,
        attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginFailure>;
    /// Removes exactly these records; one that is gone counts as removed. The answer lists those
    /// that are still there, by key.
    async fn cleanup(
        &self,
        attempt: &Attempt,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginFailure)>, PluginFailure>;
    /// How long placing or removing so many records has to wait before it can begin, if it is asked for now.
    fn waits(&self, _records: usize) -> Duration {
        Duration::ZERO
    }
    /// How long placing or removing so many records takes at most, if that is bounded and nobody else
    /// has the plugin at work.
    fn longest(&self, _records: usize) -> Option<Duration> {
        None
    }
}

/// Where a challenge record has to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name after CNAMEs were followed.
    pub fqdn: DomainName,
    /// The apex of its zone.
    pub zone: Option<DomainName>,
}

/// What one server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// Its name and address: `ns1.example.net (192.0.2.1)`.
    pub server: String,
    /// Whether it shows the value, or why it cannot be asked.
    pub sees: Result<bool, String>,
}

/// A look-up that failed as a whole: the resolver, the zone or its servers could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to look up {name}{}", .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct LookupError {
    /// The name asked about.
    pub name: String,
    /// True if a resolver that validates has the answer and refuses to give it: the DNSSEC
    /// signatures of the zone do not hold. Every CA refuses such a name (Baseline Requirements
    /// section 3.2.2.4).
    pub bogus: bool,
    /// True if nobody has answered: then it says nothing about the name.
    pub silent: bool,
    /// The chain of causes, outermost first, the server asked among them.
    pub causes: Vec<String>,
    /// One line on what to do.
    pub hint: Option<String>,
}

/// Asks the DNS whether the world can see a record.
#[async_trait]
pub trait PropagationProbe: Send + Sync {
    /// Follows CNAMEs from `_acme-challenge.<identifier>`. MUST end on loops.
    async fn locate(&self, identifier: &DomainName) -> Result<Location, LookupError>;
    /// The CAA records that count for a name (RFC 8659 section 3): those nearest to it upwards, its
    /// aliases followed; none if every CA may issue. An error means that a CA cannot look them up
    /// either and refuses, whatever lies above.
    async fn caa(&self, name: &DomainName) -> Result<Option<CaaSet>, LookupError>;
    /// One look at every server that counts. MUST NOT answer from a cache.
    async fn look(
        &self,
        fqdn: &DomainName,
        value: &str,
        hint: &PropagationHint,
    ) -> Result<Vec<ServerView>, LookupError>;
}

/// Brings certificates to where they are used, through a plugin.
#[async_trait]
pub trait Installer: Send + Sync {
    /// Checks the settings; with `online` what it would reach too.
    async fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginFailure>;
    /// What would be done. Changes nothing.
    async fn plan(&self, items: &[InstallItem]) -> Result<DeployPlan, PluginFailure>;
    /// Does it. MUST be safe to call again after a crash; an error means that none is installed
    /// and that files written by it are back as they were. What it overwrites MUST be kept on disk,
    /// from before the first write until [`Installer::accept`] or [`Installer::rollback`].
    async fn install(
        &self,
        attempt: &Attempt,
        items: &[InstallItem],
        token: &str,
    ) -> Result<Installed, PluginFailure>;
    /// Whether what `install` did is in place. Changes nothing.
    async fn verify(&self, items: &[InstallItem], receipt: &str) -> Result<Verdict, PluginFailure>;
    /// Undoes an installation that did not end well: first its files, then whatever else. `receipt`
    /// is none if `install` did not return. It MUST wait for a call whose future was dropped to be
    /// over, and MUST be safe to call again. If its own future is dropped, what is left to put back
    /// stays on disk.
    async fn rollback(
        &self,
        attempt: &Attempt,
        items: &[InstallItem],
        receipt: Option<&str>,
    ) -> Result<(), PluginFailure>;
    /// The batch has ended well: what it overwrote is forgotten, whole or not at all.
    async fn accept(&self) -> Result<(), PluginFailure>;
    /// Puts back what a process that died in the middle of a batch has overwritten, and answers
    /// what became of each file. It MUST leave a batch of a living process alone, and files that
    /// somebody has changed since. Doing it twice does nothing more.
    async fn recover(&self) -> Vec<PutBack>;
    /// How long a batch takes at most from its plan to its proof, if that is bounded and nobody else
    /// has the plugin at work.
    fn longest(&self) -> Option<Duration> {
        None
    }
}

/// A look that saw nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no certificate was seen{}", .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct UnseenError {
    /// The chain of causes, outermost first, the address asked among them.
    pub causes: Vec<String>,
}

/// Looks at what a server really serves.
#[async_trait]
pub trait DeploymentProbe: Send + Sync {
    /// One look, at every address of the place that can be reached; where they serve several leaves, it answers the one
    /// that ends first. It MUST ask for the host by name (SNI), MUST begin TLS as the place says, and MUST
    /// take whatever chain is shown, since which leaf it is is the question. It SHOULD make the
    /// server prove that it has the leaf's key. It MUST NOT look again by itself, and MUST end
    /// within 10 s. Cancel-safe.
    async fn look(&self, place: &ServedAt) -> Result<ServedLeaf, UnseenError>;
}

/// A read or write of the state folder that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {act} {}{}", .path.display(), .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// `read`, `write`, `lock`, …
    pub act: &'static str,
    /// Where.
    pub path: PathBuf,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// One line on what to do.
    pub hint: Option<String>,
}

/// Kinds of store errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Another run holds the lock.
    Locked,
    /// Not allowed.
    Permission,
    /// No room left, or a read-only disk.
    NoSpace,
    /// The content cannot be what was written.
    Corrupt,
    /// Written by a newer version.
    TooNew,
    /// The clock of this machine is behind what is stored.
    Clock,
    /// Anything else of the operating system.
    Io,
}

impl StoreError {
    /// What can be done about it.
    pub const fn class(&self) -> FailureClass {
        match self.kind {
            StoreErrorKind::Locked | StoreErrorKind::NoSpace | StoreErrorKind::Io => {
                FailureClass::Transient
            }
            StoreErrorKind::Permission => FailureClass::Misconfigured,
            StoreErrorKind::Corrupt | StoreErrorKind::TooNew | StoreErrorKind::Clock => {
                FailureClass::NeedsPerson
            }
        }
    }
}

/// An ACME account as the store keeps it. There is one for each directory of a CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The directory the account is bound to.
    pub directory: String,
    /// The account URL; none while newAccount has not succeeded.
    pub kid: Option<String>,
    /// Contact URLs, as the CA was told last.
    pub contact: Vec<String>,
    /// Terms that were agreed to, and when.
    pub terms: Option<(String, Timestamp)>,
    /// The account key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// The key that a rollover changes to, while the CA may know either of the two.
    pub next_key: Option<Secret<String>>,
    /// Credentials from the CA that were used for an account here and make one account only.
    pub credentials: Vec<CredentialMark>,
    /// When the account was given up.
    pub deactivated: Option<Timestamp>,
}

impl AccountRecord {
    /// The account's URL, if it can be used.
    pub fn usable(&self) -> Option<&str> {
        let kid = self.kid.as_deref();
        kid.filter(|_| self.deactivated.is_none())
    }
}

/// That a credential which makes one account only was used. Says nothing about its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialMark {
    /// [`waxwing_acme::account::ExternalAccount::fingerprint`] of it.
    pub digest: String,
    /// How far it got.
    pub used: CredentialUse,
    /// When.
    pub at: Timestamp,
}

/// How far the use of a credential got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialUse {
    /// It is about to be sent, or was sent and the answer is not known.
    Intended,
    /// The CA has made an account with it.
    Spent,
}

/// Held while it lives; released when dropped, and by the system if the process dies.
pub trait LockGuard: Send + Sync {}

/// The state folder.
///
/// Calls are short and synchronous. Every write MUST be complete on disk when the call returns, or
/// not have happened: a crash at any moment leaves the old content or the new one. Files with keys
/// MUST be readable by the owner only.
pub trait CertificateStore: Send + Sync {
    /// Everything the store knows, by name. A certificate that cannot be read is an error of its
    /// own, beside the others.
    fn inventory(&self) -> Result<Vec<Result<InventoryEntry, StoreError>>, StoreError>;
    /// One entry; none if nothing is stored under the name.
    fn entry(&self, name: &CertificateName) -> Result<Option<InventoryEntry>, StoreError>;
    /// The current version with its key.
    fn current(&self, name: &CertificateName) -> Result<Option<StoredVersion>, StoreError>;
    /// One version with its key, whether it is the current one or not; none if it is not there any
    /// more.
    fn version(
        &self,
        name: &CertificateName,
        version: u32,
    ) -> Result<Option<StoredVersion>, StoreError>;
    /// Whether a version could be stored under this name now. Asked before anything is ordered: what a CA has signed and
    /// nobody can keep is lost. MUST change nothing.
    fn may_save(&self, _name: &CertificateName) -> Result<(), StoreError> {
        Ok(())
    }
    /// Stores a new version whole, then makes it current. Answers its number. Older versions
    /// beyond what is kept are erased, keys too, but for the one of [`Replacing`].
    fn save(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
        pem: &ChainPem,
        facts: &CertificateFacts,
        origin: &Origin,
    ) -> Result<u32, StoreError>;
    /// Notes an installation; replaces the plugin's older note.
    fn record_installed(
        &self,
        name: &CertificateName,
        mark: &InstalledMark,
    ) -> Result<(), StoreError>;
    /// What this plugin had installed before it was exchanged.
    fn was_installed(&self, _: &CertificateName, _: &PluginName) -> Option<InstalledMark> {
        None
    }
    /// What this plugin has installed counts no more, if that is noted. The certificate MUST be locked.
    fn forget_installed(
        &self,
        name: &CertificateName,
        plugin: &PluginName,
    ) -> Result<(), StoreError>;
    /// Notes what was seen at the places where the certificate is to be served; replaces the older
    /// note.
    fn record_served(&self, name: &CertificateName, seen: &[ServedMark]) -> Result<(), StoreError>;
    /// Notes that the CA has revoked a version; MUST keep the note on a later one.
    fn record_revoked(&self, name: &CertificateName, mark: &RevokedMark) -> Result<(), StoreError>;
    /// Writes down that a version is to be revoked once another one has taken its place; replaces the
    /// older wish.
    fn record_replacing(&self, name: &CertificateName, wish: &Replacing) -> Result<(), StoreError>;
    /// Forgets that wish.
    fn end_replacing(&self, name: &CertificateName) -> Result<(), StoreError>;
    /// Notes how a run ended.
    fn record_attempt(&self, name: &CertificateName, last: &LastAttempt) -> Result<(), StoreError>;
    /// Takes away how the last attempt ended, if that is noted.
    fn forget_attempt(&self, name: &CertificateName) -> Result<(), StoreError>;

    /// The journal of the open run.
    fn journal(&self, name: &CertificateName) -> Result<Option<String>, StoreError>;
    /// Writes the journal through to the disk.
    fn write_journal(&self, name: &CertificateName, text: &str) -> Result<(), StoreError>;
    /// Moves a damaged journal and its key to where they are kept for people. Answers where.
    fn set_journal_aside(&self, name: &CertificateName) -> Result<PathBuf, StoreError>;
    /// Forgets the journal and the pending key.
    fn close_journal(&self, name: &CertificateName) -> Result<(), StoreError>;
    /// Names with an open journal, and those whose journal was being closed when the process died:
    /// their pending key is still there, and MUST be listed so that somebody takes it away.
    fn open_journals(&self) -> Result<Vec<CertificateName>, StoreError>;
    /// Keeps the key of the open run.
    fn save_pending_key(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
    ) -> Result<(), StoreError>;
    /// The key of the open run.
    fn pending_key(&self, name: &CertificateName) -> Result<Option<Secret<String>>, StoreError>;

    /// Mends the current version, which cannot be read whole: what of it can be worked out again is, and else what is
    /// damaged is set aside, so that the version counts as not there from then on. The certificate MUST be locked. One
    /// that is whole stays as it is.
    fn mend_stored(&self, _name: &CertificateName) -> Result<(), StoreError> {
        Ok(())
    }

    /// The account at one directory of a CA.
    fn account(&self, ca: &CaName, directory: &str) -> Result<Option<AccountRecord>, StoreError>;
    /// Sets aside what is damaged of the account at one directory of a CA, and answers what can still be
    /// used of it: a key without its account URL, or the marks of credentials, as if the account were
    /// given up. The account MUST be locked. One that is not damaged stays as it is.
    fn mend_account(
        &self,
        ca: &CaName,
        directory: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        self.account(ca, directory)
    }
    /// The accounts at all directories of a CA, those of the past included, by directory.
    fn accounts(&self, ca: &CaName) -> Result<Vec<AccountRecord>, StoreError>;
    /// Writes the account of [`AccountRecord::directory`]. Its keys, its URL and its marks change
    /// together; accounts at other directories stay as they are.
    fn save_account(&self, ca: &CaName, account: &AccountRecord) -> Result<(), StoreError>;
    /// The last good directory of a CA, as stored by [`CertificateStore::save_directory`].
    fn directory(&self, ca: &CaName) -> Result<Option<DirectoryCopy>, StoreError>;
    /// Keeps a directory with its time, and what was changed in it, in place of the one before.
    fn save_directory(&self, ca: &CaName, copy: &DirectoryCopy) -> Result<(), StoreError>;

    /// One run at a time for each certificate.
    fn lock_certificate(&self, name: &CertificateName) -> Result<Box<dyn LockGuard>, StoreError>;
    /// One writer at a time for each account.
    fn lock_account(&self, ca: &CaName) -> Result<Box<dyn LockGuard>, StoreError>;
}

/// What was told and what is still to be delivered; see [`notify`](crate::notify).
///
/// Calls are short and synchronous, and MUST be complete on disk when they return. Several processes
/// MAY use it at the same time.
pub trait Outbox: Send + Sync {
    /// Everything that was told and is not over.
    fn told(&self) -> Result<Vec<Told>, StoreError>;
    /// Writes what is told from now on, in place of what was told under the same keys, forgets what is
    /// over, and adds the letters: all of it or nothing. MUST answer false and change nothing if what
    /// is told is not `seen` any more, because another process was faster.
    fn post(&self, seen: &[Told], change: &Posting) -> Result<bool, StoreError>;
    /// Every letter that was not delivered, oldest first.
    fn waiting(&self) -> Result<Vec<Waiting>, StoreError>;
    /// Takes a letter for delivery: nobody else gets it before `until`, whatever becomes of this
    /// process. MUST answer false if it is gone or if somebody else has taken it, that is if its `next`
    /// is not `seen` any more.
    fn take(&self, id: i64, seen: Timestamp, until: Timestamp) -> Result<bool, StoreError>;
    /// Forgets a letter.
    fn forget(&self, id: i64) -> Result<(), StoreError>;
    /// Keeps a letter that could not be delivered: one try more, when it is tried again, why, and who still lacks it.
    fn keep(&self, id: i64, next: Timestamp, cause: &str, rest: &Rest) -> Result<(), StoreError>;
}

/// Remembers when something was told of which the [`Outbox`] cannot keep that it was told: a moment,
/// and nothing else, where a write may succeed that the database is refused.
///
/// Calls are short and synchronous.
pub trait Reminder: Send + Sync {
    /// When it was set last; none if it is not set, or if that cannot be read.
    fn last(&self) -> Option<Timestamp>;
    /// Sets it. MUST answer false if a later run would not read this moment again.
    fn set(&self, at: Timestamp) -> bool;
    /// Takes it away, and all that is kept. What cannot be taken away stays.
    fn clear(&self);
    /// What was kept; nothing where that cannot be read.
    fn kept(&self) -> Vec<Reminded> {
        Vec::new()
    }
    /// Letters that were kept; none where that cannot be read.
    fn unsent(&self) -> Vec<Unsent> {
        Vec::new()
    }
    /// Keeps what was told since the outbox could be written, and what was not delivered of it, in place of what was
    /// kept before. MUST answer false if a later run would not read it again.
    fn keep(&self, _all: &[Reminded], _unsent: &[Unsent]) -> bool {
        false
    }
}

/// Tells somebody.
///
/// A call MUST end within a minute, MUST NOT try again by itself, and MUST NOT change anything here.
/// Neither its answer nor its error may hold a secret; the path of a webhook's URL is one. A receiver
/// that takes the message for some recipients only has taken it; those that it refuses for now MUST be named as
/// such, and the message comes again for these alone. Dropping the future stops it; the
/// outcome is then unknown. The same message MAY come twice, with the same id.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Whom it tells, for people: `ops@example.com`.
    fn to(&self) -> String;
    /// Sends one message and answers what the receiver said.
    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError>;
}

/// A message that was not delivered. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {what}{}", .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct NotifyError {
    /// What was tried, as in `send mail by mx.example.com:587`.
    pub what: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// One line on what to do.
    pub hint: Option<String>,
    /// For how long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Resolves references to secrets.
pub trait SecretSource: Send + Sync {
    /// The value, without white space at its edges.
    fn secret(
        &self,
        reference: &waxwing_core::settings::SecretRef,
    ) -> Result<Secret<String>, SecretError>;
}

/// A secret that cannot be had. Never holds its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the secret {reference}{}", .causes.iter().map(|c| format!(": {c}")).collect::<String>())]
pub struct SecretError {
    /// The reference as written: `file:dme-api-key`.
    pub reference: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// One line on what to do.
    pub hint: Option<String>,
}

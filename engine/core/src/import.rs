//! Coming over from another ACME client: what its files say, as neutral values.
//!
//! [`read`] is a function from named contents to [`Imported`]; it opens nothing. The caller reads the
//! files that [`is_wanted`] names below the client's folder and those that [`outside`] finds named in
//! them. One damaged file never hides the others: it is in [`Imported::unread`].
//!
//! What a newcomer gets wrong: a folder may have been copied from another machine, so the paths in it
//! are those of that machine, and of Windows perhaps. They are text here and nothing else.

mod acme_sh;
mod certbot;
mod ini;
mod json;
mod lego;
pub mod server;
pub mod tree;
mod windows;
pub mod words;

use std::collections::BTreeMap;
use std::fmt;

use crate::key::KeyType;
use crate::secret::Secret;
use server::Server;
use tree::Tree;

/// A client that can be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// `certbot`, whose folder holds `renewal`, `live`, `archive` and `accounts`.
    Certbot,
    /// `acme.sh`, whose folder holds `account.conf`, `ca` and one folder for each certificate.
    AcmeSh,
    /// `lego`, whose folder holds `accounts` and `certificates`.
    Lego,
    /// `simple-acme`, with a folder for each CA in which `*.renewal.json` are.
    SimpleAcme,
    /// `win-acme`, which `simple-acme` has grown out of, with the same files.
    WinAcme,
}

impl Client {
    /// Every client, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::SimpleAcme,
        Self::WinAcme,
        Self::Certbot,
        Self::AcmeSh,
        Self::Lego,
    ];

    /// Its name, which is also the word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certbot => "certbot",
            Self::AcmeSh => "acme.sh",
            Self::Lego => "lego",
            Self::SimpleAcme => "simple-acme",
            Self::WinAcme => "win-acme",
        }
    }

    /// The client of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.as_str() == text)
    }

    /// True for a client of Windows: its paths and commands are those of Windows.
    pub const fn is_of_windows(self) -> bool {
        matches!(self, Self::SimpleAcme | Self::WinAcme)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the files of a client say.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// Accounts at CAs.
    pub accounts: Vec<Account>,
    /// Certificates, in the order of their names.
    pub certificates: Vec<Certificate>,
    /// What has no place in these values, in the order of the files.
    pub remarks: Vec<Remark>,
    /// Files that cannot be used.
    pub unread: Vec<Unread>,
    /// A contact address that stands outside of the accounts.
    pub email: Option<String>,
}

/// An account at a CA.
#[derive(Debug, Clone)]
pub struct Account {
    /// The file with its key, as messages name it.
    pub file: String,
    /// How certificates refer to it, if they do.
    pub id: Option<String>,
    /// At which CA.
    pub server: Server,
    /// Its URL, if it is known.
    pub url: Option<String>,
    /// Contact URLs: `mailto:ops@example.com`.
    pub contact: Vec<String>,
    /// Its key.
    pub key: ForeignKey,
    /// Credentials that bind it to a customer of the CA: key id and MAC key.
    pub eab: Option<(String, Secret<String>)>,
}

/// A private key in one of the forms that clients store.
#[derive(Debug, Clone)]
pub enum ForeignKey {
    /// PEM text, of whatever kind.
    Pem(Secret<String>),
    /// The numbers of an RSA key (RFC 8017 section 3.2), big-endian.
    Rsa(Box<RsaNumbers>),
    /// The numbers of an EC key.
    Ec {
        /// The curve.
        curve: Curve,
        /// The private number, big-endian.
        private: Secret<Vec<u8>>,
        /// The point's coordinates, big-endian.
        x: Vec<u8>,
        /// Likewise.
        y: Vec<u8>,
    },
}

/// The numbers of an RSA key, big-endian, in the order of RFC 8017 appendix A.1.2.
#[derive(Debug, Clone)]
pub struct RsaNumbers {
    /// The modulus.
    pub modulus: Vec<u8>,
    /// The public exponent.
    pub exponent: Vec<u8>,
    /// Private exponent, both primes, both exponents and the coefficient.
    pub private: [Secret<Vec<u8>>; 6],
}

/// A curve of an account key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// A certificate that the client renews.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The file that describes it, as messages name it.
    pub file: String,
    /// What the client calls it.
    pub name: String,
    /// Its names, the main one first; none: only the certificate itself tells.
    pub names: Option<Vec<String>>,
    /// At which CA.
    pub server: Option<Server>,
    /// The account that orders it, by its id.
    pub account: Option<String>,
    /// The kind of key.
    pub key: KeyWish,
    /// True: its key is kept over renewals.
    pub reuse_key: bool,
    /// Common name of the issuer of the wanted chain.
    pub preferred_chain: Option<String>,
    /// The ACME profile that is asked for.
    pub profile: Option<String>,
    /// Renewed so many days after it was issued, if that was chosen.
    pub days_after_issue: Option<u32>,
    /// Renewed so many days before its end, likewise.
    pub days_before_end: Option<u32>,
    /// How control of the names is proved.
    pub validation: Validation,
    /// True if it stands for several certificates, which together have its names.
    pub several: bool,
    /// The certificate and its key, best guess last.
    pub stored: Vec<Stored>,
    /// What is done with a new certificate.
    pub installs: Vec<Install>,
}

impl Certificate {
    /// A certificate of which nothing is known but what it is called and where.
    pub(crate) fn new(file: &str, name: &str) -> Self {
        Self {
            file: file.to_owned(),
            name: name.to_owned(),
            names: None,
            several: false,
            server: None,
            account: None,
            key: KeyWish::Unsaid,
            reuse_key: false,
            preferred_chain: None,
            profile: None,
            days_after_issue: None,
            days_before_end: None,
            validation: Validation::Unsaid,
            stored: Vec::new(),
            installs: Vec::new(),
        }
    }
}

/// The kind of key that a certificate is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyWish {
    /// Nothing is said: that of the stored certificate.
    Unsaid,
    /// One that the engine makes.
    Kind(KeyType),
    /// One that it does not make, in the client's words.
    Other(String),
}

/// How control of the names is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// The client's files do not say it.
    Unsaid,
    /// By TXT records at a DNS provider.
    Dns {
        /// The client's name of the provider.
        provider: String,
        /// Every value of its credentials, by the client's names.
        values: BTreeMap<String, Value>,
    },
    /// Each of these names in its own way, by TXT records.
    Each(Vec<(String, Self)>),
    /// In some other way, in plain words: `by files of a web server`.
    Other(String),
}

/// A credential or setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// It can be read.
    Known(Secret<String>),
    /// It cannot be read here, for this reason.
    Sealed(String),
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub enum Stored {
    /// As PEM.
    Pem {
        /// The file with the chain.
        file: String,
        /// The leaf and what is above it.
        chain: String,
        /// The key; none: it is not there.
        key: Option<Secret<String>>,
    },
    /// As PKCS#12.
    Pkcs12 {
        /// The file.
        file: String,
        /// What is in it.
        bytes: Vec<u8>,
        /// Its password, if it can be read.
        password: Value,
    },
}

impl Stored {
    /// The file with the certificate.
    pub fn file(&self) -> &str {
        match self {
            Self::Pem { file, .. } | Self::Pkcs12 { file, .. } => file,
        }
    }
}

/// What is done with a new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Files that are written, by their paths.
    pub files: Vec<(String, Cut)>,
    /// What is run then.
    pub command: Option<Command>,
    /// Where servers read the certificate now, if that is the client's own folder.
    pub reads: Option<String>,
    /// What is known of it besides, in one sentence.
    pub note: Option<String>,
}

/// What is in an installed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// The leaf.
    Cert,
    /// What is above it.
    Chain,
    /// Both.
    Fullchain,
    /// The private key.
    Key,
    /// All of it as PKCS#12.
    Pkcs12,
}

impl Cut {
    /// The name of the artifact that installers get.
    pub const fn artifact(self) -> &'static str {
        match self {
            Self::Cert => "cert.pem",
            Self::Chain => "chain.pem",
            Self::Fullchain => "fullchain.pem",
            Self::Key => "privkey.pem",
            Self::Pkcs12 => "bundle.p12",
        }
    }
}

/// A command in the client's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for a shell.
    Shell(String),
    /// A program of Windows and its arguments, with the client's placeholders.
    Windows {
        /// The program or script.
        program: String,
        /// The arguments, in one line.
        arguments: String,
    },
}

/// Something that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The certificate or the file that it is about.
    pub about: String,
    /// What is not taken over and why.
    pub what: String,
    /// What to do.
    pub next: String,
}

impl Remark {
    /// A remark in three parts.
    pub fn new(about: &str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            what: what.into(),
            next: next.into(),
        }
    }
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which.
    pub file: String,
    /// Why.
    pub cause: String,
}

/// True for a file below the client's folder that says something. Paths have forward slashes.
pub fn is_wanted(client: Client, path: &str) -> bool {
    match client {
        Client::Certbot => certbot::is_wanted(path),
        Client::AcmeSh => acme_sh::is_wanted(path),
        Client::Lego => lego::is_wanted(path),
        Client::SimpleAcme | Client::WinAcme => windows::is_wanted(path),
    }
}

/// Files elsewhere that the client's own files name and that [`read`] wants to see.
pub fn outside(client: Client, tree: &Tree) -> Vec<String> {
    let mut paths = match client {
        Client::Certbot => certbot::outside(tree),
        Client::AcmeSh | Client::Lego => Vec::new(),
        Client::SimpleAcme | Client::WinAcme => windows::outside(tree),
    };
    paths.retain(|path| tree.find(path).is_none());
    paths.sort();
    paths.dedup();
    paths
}

/// Another folder of the client, by its whole path, with certificates as they lie in the first.
pub fn also(client: Client, tree: &Tree) -> Option<String> {
    match client {
        Client::AcmeSh => acme_sh::also(tree),
        Client::Certbot | Client::Lego | Client::SimpleAcme | Client::WinAcme => None,
    }
}

/// What the files say.
pub fn read(client: Client, tree: &Tree) -> Imported {
    let mut imported = match client {
        Client::Certbot => certbot::read(tree),
        Client::AcmeSh => acme_sh::read(tree),
        Client::Lego => lego::read(tree),
        Client::SimpleAcme | Client::WinAcme => windows::read(tree),
    };
    imported.certificates.sort_by(|a, b| a.name.cmp(&b.name));
    imported
}

/// What to do with the client when all has come over, in one sentence.
pub fn farewell(client: Client) -> &'static str {
    match client {
        Client::Certbot => {
            "systemctl disable --now certbot.timer (snap: snap.certbot.renew.timer), and take its line out \
             of cron; keep its folder until the first renewal has gone well"
        }
        Client::AcmeSh => {
            "acme.sh --uninstall-cronjob; keep its folder until the first renewal has gone well"
        }
        Client::Lego => {
            "take the line or timer that runs `lego` out of cron or systemd; keep its folder until the \
             first renewal has gone well"
        }
        Client::SimpleAcme | Client::WinAcme => {
            "disable its task in the Task Scheduler (its name ends in \"renew\" and the address of the CA); \
             keep its folder until the first renewal has gone well"
        }
    }
}

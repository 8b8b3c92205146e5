//! A certificate as the store keeps it and as installers get it.

use std::time::Duration;

use waxwing_acme::ari;
use waxwing_core::alert::{self, InPlace, Step};
use waxwing_core::due;
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier, PluginName};
use waxwing_core::secret::Secret;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::{Timestamp, Window};

use crate::ports::StoreError;

/// What can be read from an issued chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// DNS names of the SAN extension, sorted.
    pub names: Vec<Identifier>,
    /// Serial number: the content octets of its DER form, leading zero kept (RFC 9773 section 4.1).
    pub serial: Vec<u8>,
    /// Authority key identifier, if there is one.
    pub authority_key_id: Option<Vec<u8>>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the leaf's DER form, lower-case hex.
    pub leaf_sha256: String,
    /// SHA-1 of the leaf's DER form, lower-case hex: what Windows calls the thumbprint.
    pub leaf_sha1: String,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, lower-case hex.
    pub public_key_sha256: String,
    /// The kind of the leaf's key, if it is one of ours.
    pub key_type: Option<KeyType>,
    /// Common names of the issuers along the chain, leaf's issuer first.
    pub issuers: Vec<String>,
}

impl CertificateFacts {
    /// How long it is valid in all.
    pub fn life(&self) -> std::time::Duration {
        self.not_after.since(self.not_before)
    }

    /// The identifier under which the CA knows it (RFC 9773 section 4.1); none if the certificate
    /// does not name its authority's key.
    pub fn ari_id(&self) -> Option<String> {
        let authority = self.authority_key_id.as_deref()?;
        Some(ari::certificate_id(authority, &self.serial))
    }
}

/// An issued chain cut into the usual PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPem {
    /// The leaf alone.
    pub cert: String,
    /// Everything but the leaf.
    pub chain: String,
    /// The leaf and everything else, as the CA sent it.
    pub fullchain: String,
}

/// A version of a certificate in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// Whose.
    pub certificate: CertificateName,
    /// 1, 2, 3, …
    pub version: u32,
    /// The private key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// The chain.
    pub pem: ChainPem,
    /// What the chain says.
    pub facts: CertificateFacts,
    /// Where it came from.
    pub origin: Origin,
    /// Set if the CA has revoked it.
    pub revoked: Option<RevokedMark>,
}

/// That the CA has revoked a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedMark {
    /// Which version.
    pub version: u32,
    /// When it was asked to, or found it done before.
    pub at: Timestamp,
    /// Why, by the number of RFC 5280 section 5.3.1; none if nothing was said.
    pub reason: Option<u8>,
}

impl RevokedMark {
    /// `keyCompromise` of RFC 5280: the key must not be used again.
    pub const KEY_COMPROMISE: u8 = 1;

    /// True if the key must not be used again.
    pub fn is_key_compromise(&self) -> bool {
        self.reason == Some(Self::KEY_COMPROMISE)
    }
}

/// That a version is to be revoked as soon as a newer one has taken its place. It is written down before
/// the newer one is ordered, and stays until nothing is left to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacing {
    /// The version that is to be revoked.
    pub version: u32,
    /// Why, by the number of RFC 5280 section 5.3.1; none if nothing is said.
    pub reason: Option<u8>,
    /// When somebody asked for it.
    pub since: Timestamp,
}

/// Where a version came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The CA.
    pub ca: CaName,
    /// The account that ordered it.
    pub account: String,
    /// When it was received.
    pub issued_at: Timestamp,
    /// True if the CA was not the first of the list.
    pub fallback: bool,
    /// True for a CA whose certificates nobody trusts.
    pub staging: bool,
}

/// What the store knows about one certificate, without its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryEntry {
    /// Why the current version cannot be used, if it is damaged or cannot be read. Then `current` is none.
    pub damage: Option<StoreError>,
    /// Validity of what is in place although there is no current version, or no installer has put that anywhere: of one
    /// that cannot be used, or of another certificate for the same names.
    pub in_place: Option<Window>,
    /// Its name.
    pub certificate: CertificateName,
    /// The current version, if one was ever issued.
    pub current: Option<InventoryVersion>,
    /// For each installer the version it has installed.
    pub installed: Vec<InstalledMark>,
    /// How the last run ended.
    pub last: Option<LastAttempt>,
    /// What was seen last at the places where it is to be served.
    pub served: Vec<ServedMark>,
    /// True if an unfinished run is in the journal.
    pub unfinished: bool,
    /// The version that is to be revoked once another one has taken its place.
    pub replacing: Option<Replacing>,
    /// True if that run has left something at a DNS provider, or may have.
    pub owes: bool,
    /// When the CA was asked to sign for that run.
    pub finalized: Option<Timestamp>,
}

/// The current version of a certificate, without its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryVersion {
    /// 1, 2, 3, …
    pub version: u32,
    /// What the chain says.
    pub facts: CertificateFacts,
    /// Where it came from.
    pub origin: Origin,
    /// Set if the CA has revoked it.
    pub revoked: Option<RevokedMark>,
}

/// A successful installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledMark {
    /// By which plugin.
    pub plugin: PluginName,
    /// Which version.
    pub version: u32,
    /// SHA-256 of its leaf's DER form, lower-case hex.
    pub leaf_sha256: String,
    /// SHA-1 of its leaf's DER form, lower-case hex.
    pub leaf_sha1: String,
    /// Digest of the plugin's settings and grants then: a change means to install again.
    pub settings: String,
    /// When.
    pub at: Timestamp,
    /// What the plugin needs for verify and rollback.
    pub receipt: String,
    /// True for a certificate that nobody trusts. A mark from before this was noted is false.
    pub staging: bool,
    /// End of its validity; none in a mark from before this was noted.
    pub not_after: Option<Timestamp>,
    /// What that version says, where it is another one than the current one and still stored.
    pub older: Option<Box<OlderVersion>>,
}

/// A version that is in place where the current one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderVersion {
    /// Names in it.
    pub names: Vec<Identifier>,
    /// Start of its validity.
    pub not_before: Timestamp,
}

impl InstalledMark {
    /// True if what it has put in place lacks a name that the current version has.
    fn lacks(&self, name: &Identifier) -> bool {
        let mut older = self.older.iter();
        older.any(|older| !older.names.iter().any(|one| one.covers(name)))
    }
}

/// An older version that is in use where the current one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The installer that has not replaced it, or the place where it is served.
    pub at: String,
    /// Start of its validity, if it is known.
    pub not_before: Option<Timestamp>,
    /// End of its validity.
    pub not_after: Timestamp,
}

impl InventoryEntry {
    /// Of a certificate that is configured and of which nothing is stored.
    pub const fn none(certificate: CertificateName, in_place: Option<Window>) -> Self {
        Self {
            damage: None,
            in_place,
            certificate,
            current: None,
            installed: Vec::new(),
            last: None,
            served: Vec::new(),
            unfinished: false,
            replacing: None,
            owes: false,
            finalized: None,
        }
    }

    /// When the current version ends, or what is in place without one, as far as that is known.
    pub fn ends(&self) -> Option<Timestamp> {
        let current = self.current.as_ref().map(|current| current.facts.not_after);
        current.or_else(|| self.in_place.map(|life| life.end))
    }

    /// Of what is in use in the place of the current version, as far as its end is known, that which ends first:
    /// a certificate that is renewed and not in its place runs out all the same.
    pub fn in_use(&self, certificate: &CertificateSettings) -> Option<InUse> {
        let current = self.current.as_ref()?;
        // What an installer has left that was exchanged counts until one of those that are there has put something newer
        // in place.
        let newest = |wanted: bool| {
            let marks = self.installed.iter();
            let of = marks.filter(|mark| certificate.install.contains(&mark.plugin) == wanted);
            of.map(|mark| mark.version).max()
        };
        let exchanged = newest(false).filter(|last| {
            !certificate.install.is_empty() && newest(true).is_none_or(|version| version < *last)
        });
        let installed = self.installed.iter().filter(|mark| {
            let wanted = certificate.install.contains(&mark.plugin);
            let counts = wanted || exchanged == Some(mark.version);
            counts && mark.version != current.version
        });
        let installed = installed.filter_map(|mark| {
            Some(InUse {
                at: mark.plugin.to_string(),
                not_before: mark.older.as_ref().map(|older| older.not_before),
                not_after: mark.not_after?,
            })
        });
        // By the CA's word, where the clock was ahead when it was issued.
        let by_the_ca = current.facts.not_before + Duration::from_secs(2 * 60 * 60);
        let since = current.origin.issued_at.min(by_the_ca);
        let served = self.served.iter().filter(|mark| {
            let mut places = certificate.served_at.iter();
            // What was seen before there was another one is no wonder.
            mark.at >= since && places.any(|place| place.to_string() == mark.place)
        });
        let served = served.filter_map(|mark| {
            let leaf = mark.seen.as_ref().ok()?;
            let other = leaf.sha256 != current.facts.leaf_sha256;
            Some(InUse {
                at: mark.place.clone(),
                not_before: None,
                not_after: leaf.not_after.filter(|_| other)?,
            })
        });
        // What has left, and was installed for the same names.
        let mut lacking = certificate
            .install
            .iter()
            .filter(|plugin| self.lacks(plugin));
        let joined = || {
            let missing = self.missing(certificate);
            let mut install = certificate.install.iter();
            let lacks = |plugin: &&PluginName| {
                let mut marks = self.installed.iter();
                marks.any(|mark| {
                    mark.plugin == **plugin && missing.iter().any(|name| mark.lacks(name))
                })
            };
            let first = certificate.install.first();
            let first = first.filter(|_| !missing.is_empty());
            install.find(lacks).or(first)
        };
        let at = lacking.next().or_else(joined);
        let left = self.in_place.zip(at).map(|(life, at)| InUse {
            at: at.to_string(),
            not_before: Some(life.start),
            not_after: life.end,
        });
        let older = installed.chain(served).chain(left);
        let older = older.filter(|one| one.not_after < current.facts.not_after);
        older.min_by_key(|one| one.not_after)
    }

    /// Installers that are not wanted any more and in whose place something newer is: all that are wanted have put the
    /// current version where it belongs.
    pub fn exchanged(&self, certificate: &CertificateSettings) -> Vec<PluginName> {
        let Some(current) = &self.current else {
            return Vec::new();
        };
        let done = |plugin: &PluginName| {
            let mut marks = self.installed.iter();
            marks.any(|mark| mark.plugin == *plugin && mark.version == current.version)
        };
        if certificate.install.is_empty() || !certificate.install.iter().all(done) {
            return Vec::new();
        }
        let older = self.installed.iter().filter(|mark| {
            mark.version < current.version && !certificate.install.contains(&mark.plugin)
        });
        older.map(|mark| mark.plugin.clone()).collect()
    }

    /// Marks that count where nobody says any more which installers are wanted: of what was put in place last, and of
    /// the installer that has failed since. The others were exchanged before.
    pub fn marks_in_use(&self) -> impl Iterator<Item = &InstalledMark> {
        let newest = self.installed.iter().map(|mark| mark.version).max();
        let failing = match self.last.as_ref().map(|last| &last.result) {
            Some(AttemptResult::NotInstalled { plugin, .. }) => Some(plugin),
            _ => None,
        };
        let marks = self.installed.iter();
        marks.filter(move |mark| Some(mark.version) == newest || Some(&mark.plugin) == failing)
    }

    /// Validity of what installers have put in place last, of several that which ends first; of the current version if
    /// they have put nothing anywhere.
    pub fn life_in_use(&self) -> Option<Window> {
        let current = self.current.as_ref()?;
        let facts = &current.facts;
        let own = Window {
            start: facts.not_before,
            end: facts.not_after,
        };
        let lives = self.marks_in_use().map(|mark| {
            let older = mark.not_after.filter(|_| mark.version != current.version);
            let Some(end) = older else { return own };
            // Where nothing else is known its life was that of its successor.
            let start = mark.older.as_ref().map(|older| older.not_before);
            let start = start.unwrap_or(end - facts.life());
            Window { start, end }
        });
        Some(lives.min_by_key(|life| life.end).unwrap_or(own))
    }

    /// True if that installer has put no version in place.
    pub fn lacks(&self, installer: &PluginName) -> bool {
        !self.installed.iter().any(|mark| mark.plugin == *installer)
    }

    /// Names that it is to have and that its current version has not, or an older one that is still in its place;
    /// none without a current one.
    pub fn missing(&self, certificate: &CertificateSettings) -> Vec<Identifier> {
        let Some(current) = &self.current else {
            return Vec::new();
        };
        let names = &current.facts.names;
        let wanted = certificate.domains.iter();
        let lacks = |name: &&Identifier| {
            let mut marks = self.installed.iter();
            !names.iter().any(|one| one.covers(name))
                || marks.any(|mark| certificate.install.contains(&mark.plugin) && mark.lacks(name))
        };
        wanted.filter(lacks).cloned().collect()
    }

    /// Names of the current version that all of these installers have put in place.
    pub fn names_by<'n>(&'n self, installers: &[&PluginName]) -> Vec<&'n Identifier> {
        let has = |plugin: &&PluginName, name: &Identifier| {
            let mut marks = self.installed.iter();
            marks.any(|mark| mark.plugin == **plugin && !mark.lacks(name))
        };
        let names = self.current.iter().flat_map(|current| &current.facts.names);
        names
            .filter(|name| installers.iter().all(|plugin| has(plugin, name)))
            .collect()
    }

    /// True if installers have put nothing of it anywhere, or one of them lacks it where something else is in place.
    pub fn is_out_of_place(&self, certificate: &CertificateSettings) -> bool {
        let mut install = certificate.install.iter();
        match self.in_place {
            Some(_) => install.any(|plugin| self.lacks(plugin)),
            None => !certificate.install.is_empty() && install.all(|plugin| self.lacks(plugin)),
        }
    }

    /// How near its end is what is [in use](Self::in_use) in the place of the current version; none while it has time.
    pub fn in_use_ends(&self, certificate: &CertificateSettings, now: Timestamp) -> Option<Step> {
        let current = &self.current.as_ref()?.facts;
        let older = self.in_use(certificate)?;
        let not_after = older.not_after;
        // Where nothing else is known its life was that of its successor.
        let not_before = older.not_before.unwrap_or(not_after - current.life());
        let due = due::due(not_before, not_after, certificate.days_after_issue, None);
        let in_place = InPlace {
            not_before,
            not_after,
            due: &due,
        };
        let step = alert::step(alert::AGAIN, Some(in_place), now)?;
        matches!(step, Step::EndsSoon(_) | Step::Expired).then_some(step)
    }
}

/// What a server was seen to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedLeaf {
    /// SHA-256 of the leaf's DER form, lower-case hex.
    pub sha256: String,
    /// End of its validity, if that can be read.
    pub not_after: Option<Timestamp>,
}

/// A look at a place where a certificate is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedMark {
    /// Where: `mail.example.com:25`.
    pub place: String,
    /// When.
    pub at: Timestamp,
    /// What was seen, or why nothing was: the whole chain, outermost first.
    pub seen: Result<ServedLeaf, Vec<String>>,
}

/// How the last run ended for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it ended.
    pub at: Timestamp,
    /// The CA that was tried last, if one was.
    pub ca: Option<CaName>,
    /// What happened.
    pub result: AttemptResult,
    /// True if what was to be had was to take the place of one that was to be revoked behind it.
    pub replaces: bool,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// A new certificate was stored, and installed if there is something to install.
    Renewed,
    /// What was missing was installed.
    Installed,
    /// Stored, but this installer failed.
    NotInstalled {
        /// Which.
        plugin: PluginName,
        /// Why: the whole chain, one line each.
        causes: Vec<String>,
    },
    /// No certificate.
    Failed {
        /// The class of the failure, by its stable name.
        class: String,
        /// The whole chain, outermost first, one line each.
        causes: Vec<String>,
    },
}

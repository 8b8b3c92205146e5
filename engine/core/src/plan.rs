//! What a run would do with each certificate, and why: a function of the settings, of what is
//! stored, and of the time. It asks nobody, so it works without a network.
//!
//! Changed names take effect now; a changed CA or key at the next renewal; a certificate that left
//! the configuration is listed until somebody forgets it.

pub mod hold;
pub mod in_place;
pub mod later;
pub mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::hold::{Hold, Shut};
use crate::ca::choose::FailBack;
use crate::due::{self, Due, Suggestion, Urgency};
use crate::key::KeyType;
use crate::name::{CaName, CertificateName, Identifier, PluginName};
use crate::outage::Down;
use crate::retry::ladder::Failed;
use crate::schedule::{self, Moment};
use crate::settings::{CertificateSettings, Settings};
use crate::time::{Timestamp, Window};

/// For so long what a CA has signed is told of although nothing is due: until its order may be gone.
const FETCHED: Duration = Duration::from_secs(6 * 24 * 60 * 60);

/// What is stored under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The certificate's name.
    pub name: CertificateName,
    /// The current version; none if none was ever issued.
    pub current: Option<Current>,
    /// Why the version that is there counts as not there, if it does.
    pub damage: Option<in_place::Damage>,
    /// Validity of what is in place although there is no current version, as far as it is known.
    pub in_place: Option<Window>,
    /// What installers have put in place.
    pub installed: Vec<Installed>,
    /// The last failure, if nothing has succeeded since.
    pub failure: Option<LastFailure>,
    /// True if an interrupted run is to be taken up.
    pub unfinished: bool,
    /// True if that run has left something at a DNS provider, or may have.
    pub owes: bool,
    /// When a CA was asked to sign for that run, if what it has signed is not stored.
    pub signed: Option<Timestamp>,
    /// Failed attempts since it was last renewed, oldest first.
    pub failed: Vec<Failed>,
    /// The version that is to be revoked as soon as a newer one has taken its place.
    pub to_revoke: Option<u32>,
    /// When certificates were issued under this name, as far back as [`hold::MOST_ISSUED`] counts.
    pub issued: Vec<Timestamp>,
    /// The same by a clock that was ahead: when it was by that clock, and when it was found to be wrong.
    pub doubtful: Vec<(Timestamp, Timestamp)>,
}

/// The current version of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// 1, 2, 3, …
    pub version: u32,
    /// The names it covers, in any order.
    pub names: Vec<Identifier>,
    /// The CA that issued it.
    pub ca: CaName,
    /// True if that CA was not the first of the list then.
    pub fallback: bool,
    /// True for a CA whose certificates nobody trusts.
    pub staging: bool,
    /// The kind of its key, if it is one of ours.
    pub key: Option<KeyType>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// True if the CA has revoked it.
    pub revoked: bool,
    /// What the CA last suggested for its renewal.
    pub suggestion: Option<Suggestion>,
}

impl Current {
    /// The CA that issued it, if it stood in for another one.
    pub fn stood_in(&self) -> Option<&CaName> {
        (self.fallback && !self.staging).then_some(&self.ca)
    }
}

/// What one installer has put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The installer.
    pub plugin: PluginName,
    /// The version.
    pub version: u32,
    /// Digest of the installer's settings and grants then.
    pub settings: String,
    /// True if nobody trusts what it has put in place.
    pub staging: bool,
}

/// A failure that nothing has made good yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// The installer that failed; none if the certificate itself was not obtained.
    pub plugin: Option<PluginName>,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
}

/// What counts besides settings and store.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// For each installer, the digest of its settings and grants as they are now, in the form that
    /// [`Installed::settings`] has.
    pub digests: &'a BTreeMap<PluginName, String>,
    /// Since when CAs have been seen to be down.
    pub down_since: &'a BTreeMap<CaName, Down>,
    /// When this machine began to reach nobody (true), and when it reached somebody again, oldest first.
    pub reached: &'a [(Timestamp, bool)],
    /// CAs that may not be asked, and until when.
    pub spent: &'a BTreeMap<CaName, Shut>,
    /// CAs that CAA did not let issue when last looked at, and what is to be said of it. A run looks itself.
    pub forbidden: &'a BTreeMap<CaName, String>,
    /// Who asks for the run.
    pub asker: Asker,
    /// The time.
    pub now: Timestamp,
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A timer, about every hour: waits of our own and off-peak windows count, and what could be later
    /// in a window is done in the last run that falls into it.
    Timer,
    /// A process that stays and wakes at the very moment of what is due.
    Daemon,
    /// A person, who wants it now: neither our ladders nor windows count.
    Person,
}

impl Asker {
    /// True for a person.
    pub const fn by_hand(self) -> bool {
        matches!(self, Self::Person)
    }

    /// Longest time until the next run that can do what this one leaves.
    const fn next_run(self) -> Duration {
        match self {
            Self::Timer => schedule::TIMER,
            Self::Daemon | Self::Person => Duration::ZERO,
        }
    }
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The configured certificates in the order of the configuration, then those that left it.
    pub items: Vec<Item>,
}

/// What a run would do with one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The certificate.
    pub name: CertificateName,
    /// The act.
    pub action: Action,
    /// The CA that the act asks, or that issued what is kept.
    pub ca: Option<CaName>,
    /// When it is renewed, if one is in place.
    pub moment: Option<Moment>,
    /// Why the act does not happen now although it is right.
    pub hold: Option<Hold>,
    /// Installers that have something to do, in order.
    pub install: Vec<Install>,
    /// What else is worth knowing.
    pub notes: Vec<Note>,
}

/// An act, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Order a certificate that is not there in this form.
    Issue(IssueReason),
    /// Order the next one.
    Renew {
        /// Since when, and which rule.
        due: Due,
        /// How much it matters.
        urgency: Urgency,
        /// End of validity of the one in place.
        not_after: Timestamp,
    },
    /// Install what is stored; no order.
    Install {
        /// When the certificate itself is due.
        due: Due,
        /// End of its validity.
        not_after: Timestamp,
    },
    /// Nothing.
    Keep {
        /// When it is due.
        due: Due,
        /// End of its validity.
        not_after: Timestamp,
    },
    /// Nothing: it is stored, but no longer configured.
    Gone {
        /// End of validity, if one was ever issued.
        not_after: Option<Timestamp>,
    },
}

/// Why a certificate is issued that is not due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueReason {
    /// There is none.
    Never,
    /// What is stored is damaged, so that it cannot be used.
    Damaged,
    /// What is stored cannot be read, so that nothing is ordered until it can be.
    Unreadable,
    /// It covers other names than the configuration wants.
    Names {
        /// Names that the stored one lacks.
        added: Vec<Identifier>,
        /// Names that the stored one has too many.
        removed: Vec<Identifier>,
    },
    /// Nobody trusts the stored one, and the configured CA is a real one.
    Staging,
    /// The stored one was revoked.
    Revoked,
    /// Somebody wants another one in its place, behind which it is revoked.
    Replaced,
}

/// An installer that has something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Which.
    pub plugin: PluginName,
    /// Why.
    pub because: InstallReason,
}

/// Why an installer has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallReason {
    /// A new version will be there.
    NewVersion,
    /// It has installed nothing yet.
    Never,
    /// It has installed another version.
    OtherVersion(u32),
    /// Its settings or grants have changed.
    Settings,
}

/// What else is worth knowing about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The configured kind of key is another one; taken up at the renewal.
    Key {
        /// Stored.
        from: KeyType,
        /// Configured.
        to: KeyType,
    },
    /// The configured CA is another one; taken up at the renewal.
    Ca {
        /// Stored.
        from: CaName,
        /// Configured.
        to: CaName,
    },
    /// A fallback issued it; the renewal asks the first CA again, unless that is not wanted.
    Fallback {
        /// The first CA of the list.
        first: CaName,
    },
    /// The last run failed.
    Failure(LastFailure),
    /// An interrupted run is taken up.
    Unfinished,
    /// A certificate waits at the CA for an interrupted run that somebody had forced, and nothing is due: a
    /// person may have it fetched.
    Unfetched,
    /// An older version is still to be revoked, behind the current one that takes its place; of a
    /// certificate that is no longer configured, any version, which no run revokes.
    ToRevoke {
        /// Which.
        version: u32,
    },
    /// Nothing is installed: what nobody trusts would take the place of a real certificate.
    Withheld {
        /// The installer that has put the real one in place.
        by: PluginName,
    },
    /// Another one is ordered, and the one in place ends before long.
    Late {
        /// When.
        ends: Timestamp,
    },
    /// A setting that cannot be kept.
    Warning(String),
}

impl Plan {
    /// True if a run would do something.
    pub fn has_changes(&self) -> bool {
        self.items.iter().any(Item::is_work)
    }
}

impl Item {
    /// True if a run does something about it now, or about what an earlier one has left of it.
    pub fn is_work(&self) -> bool {
        let left = self.notes.contains(&Note::Unfinished);
        self.hold.is_none() && (self.action.is_change() || left)
    }

    /// True if a run orders a certificate now.
    pub const fn is_ordered(&self) -> bool {
        matches!(self.action, Action::Issue(_) | Action::Renew { .. }) && self.hold.is_none()
    }
}

impl Action {
    /// True if a run would do something.
    pub const fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Issue(_) | Self::Renew { .. } | Self::Install { .. }
        )
    }
}

/// Plans a run.
pub fn plan(settings: &Settings, stored: &[Stored], circumstances: &Circumstances<'_>) -> Plan {
    let by_name: BTreeMap<_, _> = stored.iter().map(|one| (&one.name, one)).collect();
    let wanted: BTreeSet<_> = settings.certificates.iter().map(|one| &one.name).collect();
    let configured = settings.certificates.iter().map(|certificate| {
        let stored = by_name.get(&certificate.name).copied();
        item(settings, certificate, stored, circumstances)
    });
    let gone = by_name.values().filter(|one| !wanted.contains(&one.name));
    Plan {
        items: configured.chain(gone.map(|one| later::gone(one))).collect(),
    }
}

/// Plans one certificate; `stored` is what is there under its name.
pub fn item(
    settings: &Settings,
    certificate: &CertificateSettings,
    stored: Option<&Stored>,
    circumstances: &Circumstances<'_>,
) -> Item {
    let mut item = alone(settings, certificate, stored, circumstances);
    let open_from = |at| later::open_from(settings, certificate, stored, circumstances, at);
    match &mut item.hold {
        Some(Hold::Ladder { until, .. }) => *until = open_from(*until),
        // Its windows count less and less for what has failed.
        Some(Hold::Window { until }) if stored.is_some_and(|stored| !stored.failed.is_empty()) => {
            *until = open_from(circumstances.now);
        }
        _ => {}
    }
    item
}

/// The same, where a next try is not looked up in the calendar.
fn alone(
    settings: &Settings,
    certificate: &CertificateSettings,
    stored: Option<&Stored>,
    circumstances: &Circumstances<'_>,
) -> Item {
    let now = circumstances.now;
    let mut moment = None;
    let mut notes = Vec::new();
    if let Some(stored) = stored {
        notes.extend(stored.failure.clone().map(Note::Failure));
        notes.extend(stored.unfinished.then_some(Note::Unfinished));
    }
    let current = stored.and_then(|stored| stored.current.as_ref());
    let action = match current {
        None => Action::Issue(in_place::wanting(stored)),
        Some(current) => {
            let to_revoke = stored.and_then(|stored| stored.to_revoke);
            let older = to_revoke.filter(|version| *version < current.version);
            notes.extend(older.map(|version| Note::ToRevoke { version }));
            notes.extend(changes(settings, certificate, current));
            let due = due::due(
                current.not_before,
                current.not_after,
                certificate.days_after_issue,
                current.suggestion.as_ref(),
            );
            notes.extend(due.warning.clone().map(Note::Warning));
            let chance = schedule::chance(&certificate.name, current.version);
            let calendar = &certificate.calendar;
            let suggestion = current.suggestion.as_ref();
            let found = schedule::moment(&due, current.not_before, suggestion, calendar, chance);
            moment = Some(found);
            let last = schedule::last_run(&found, calendar, now, circumstances.asker.next_run());
            let from = if last { now } else { found.at }.min(due.at);
            let urgency = due.urgency(now, current.not_after).max(if now >= from {
                Urgency::Due
            } else {
                Urgency::None
            });
            // What the CA is about to revoke is worth nothing soon.
            let revoked = suggestion.is_some_and(Suggestion::is_a_revocation);
            let urgency = if revoked {
                urgency.max(Urgency::Emergency)
            } else {
                urgency
            };
            let replaced = (to_revoke == Some(current.version)).then_some(IssueReason::Replaced);
            match issue_reason(settings, certificate, current).or(replaced) {
                Some(reason) => Action::Issue(reason),
                None if urgency > Urgency::None => Action::Renew {
                    due,
                    urgency,
                    not_after: current.not_after,
                },
                None => Action::Keep {
                    due,
                    not_after: current.not_after,
                },
            }
        }
    };
    let (mut install, staging) = match (&action, stored, current) {
        (Action::Keep { .. }, Some(stored), Some(current)) => (
            missing(certificate, stored, current, circumstances.digests),
            current.staging,
        ),
        _ => {
            let all = certificate.install.iter().cloned();
            let install = all.map(|plugin| Install {
                plugin,
                because: InstallReason::NewVersion,
            });
            let first = certificate.cas.first();
            let asked = first.and_then(|first| settings.cas.get(first));
            (install.collect(), asked.is_some_and(|ca| ca.staging))
        }
    };
    if let Some(by) = stored
        .and_then(real)
        .filter(|_| staging && !install.is_empty())
    {
        notes.push(Note::Withheld { by: by.clone() });
        install.clear();
    }
    let action = match action {
        Action::Keep { due, not_after } if !install.is_empty() => {
            Action::Install { due, not_after }
        }
        action => action,
    };
    // An order that is kept matters to whoever orders; debts matter to everybody.
    notes.extend(in_place::late(&action, stored, now));
    let orders = matches!(action, Action::Issue(_) | Action::Renew { .. });
    if !orders {
        let signed = stored.and_then(|stored| stored.signed);
        let waits = signed.is_some_and(|at| !at.is_ahead_of(now) && now.since(at) < FETCHED);
        if waits || !stored.is_some_and(|stored| stored.owes) {
            notes.retain(|note| *note != Note::Unfinished);
        }
        notes.extend(waits.then_some(Note::Unfetched));
    }
    let (ca, hold) = match (&action, current) {
        (Action::Keep { .. } | Action::Install { .. }, Some(current)) => {
            (Some(current.ca.clone()), None)
        }
        _ => {
            let (ca, hold) = hold::asked(settings, certificate, stored, &action, circumstances);
            let hold =
                hold::held_back(certificate, stored, &action, moment, circumstances).or(hold);
            (ca.or_else(|| certificate.cas.first().cloned()), hold)
        }
    };
    Item {
        name: certificate.name.clone(),
        ca,
        moment,
        hold,
        action,
        install,
        notes,
    }
}

/// Why the stored certificate will not do, though it is valid.
fn issue_reason(
    settings: &Settings,
    certificate: &CertificateSettings,
    current: &Current,
) -> Option<IssueReason> {
    if current.revoked {
        return Some(IssueReason::Revoked);
    }
    let wanted: BTreeSet<_> = certificate.domains.iter().collect();
    let covered: BTreeSet<_> = current.names.iter().collect();
    if wanted != covered {
        let less = |a: &BTreeSet<&Identifier>, b| a.difference(b).map(|id| (*id).clone()).collect();
        return Some(IssueReason::Names {
            added: less(&wanted, &covered),
            removed: less(&covered, &wanted),
        });
    }
    let for_real = certificate.cas.iter().any(|name| {
        settings
            .cas
            .get(name)
            .is_some_and(|profile| !profile.staging)
    });
    (current.staging && for_real).then_some(IssueReason::Staging)
}

/// What the configuration says otherwise and the next renewal takes up.
fn changes(settings: &Settings, certificate: &CertificateSettings, current: &Current) -> Vec<Note> {
    let stays = settings.failover.fail_back == FailBack::Never;
    let mut notes = Vec::new();
    if let Some(first) = certificate
        .cas
        .first()
        .filter(|first| **first != current.ca)
    {
        let first = first.clone();
        if !current.fallback || !certificate.cas.contains(&current.ca) {
            let from = current.ca.clone();
            notes.push(Note::Ca { from, to: first });
        } else if !stays {
            notes.push(Note::Fallback { first });
        }
    }
    if let Some(from) = current.key.filter(|key| *key != certificate.key) {
        notes.push(Note::Key {
            from,
            to: certificate.key,
        });
    }
    notes
}

/// The installer that has put a real certificate in place, if one has.
fn real(stored: &Stored) -> Option<&PluginName> {
    let real = stored.installed.iter().find(|mark| !mark.staging);
    real.map(|mark| &mark.plugin)
}

/// Installers whose work is not the current version.
fn missing(
    certificate: &CertificateSettings,
    stored: &Stored,
    current: &Current,
    digests: &BTreeMap<PluginName, String>,
) -> Vec<Install> {
    let reason = |plugin: &PluginName| {
        let Some(mark) = stored.installed.iter().find(|mark| mark.plugin == *plugin) else {
            return Some(InstallReason::Never);
        };
        if mark.version != current.version {
            return Some(InstallReason::OtherVersion(mark.version));
        }
        let changed = digests.get(plugin).is_some_and(|now| *now != mark.settings);
        changed.then_some(InstallReason::Settings)
    };
    let all = certificate.install.iter();
    all.filter_map(|plugin| {
        Some(Install {
            plugin: plugin.clone(),
            because: reason(plugin)?,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests;

//! What patterns of `include` have lost: a folder that is not mounted looks like one that was emptied on purpose, and
//! what was configured in it runs out without a word.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::KeyType;
use crate::name::{CertificateName, Identifier, PluginName};
use crate::settings::CertificateSettings;

/// Patterns of `include`, as earlier runs have seen them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that have had files, and the certificates in these; none where that is not known.
    pub matched: BTreeMap<String, Option<BTreeSet<CertificateName>>>,
    /// Those that never had any.
    pub empty: BTreeSet<String>,
    /// Those of the first that have lost them.
    pub missed: BTreeSet<String>,
    /// Certificates in the main file itself; none where that is not known.
    pub own: Option<BTreeSet<CertificateName>>,
    /// Patterns with files in which nothing stood.
    pub blank: BTreeSet<String>,
}

/// Patterns of `include` and certificates, as they are configured now.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Patterns that match files, and the certificates in these.
    pub matched: &'a BTreeMap<String, BTreeSet<CertificateName>>,
    /// Patterns that match none.
    pub unmatched: &'a [String],
    /// Of all patterns in whose folder are files with other names: the certificates in these.
    pub unlike: &'a BTreeMap<String, BTreeSet<CertificateName>>,
    /// Patterns with files in which nothing stands.
    pub blank: &'a BTreeSet<String>,
    /// All certificates.
    pub certificates: &'a [CertificateSettings],
}

/// A certificate that is stored, whoever has configured it, and that ends at a known time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<'a> {
    /// What its current version has; none without one that can be used.
    pub current: Option<KeptVersion<'a>>,
    /// Installers that have put it where it is in use.
    pub places: Vec<&'a PluginName>,
}

/// A version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptVersion<'a> {
    /// Names in it.
    pub names: &'a [Identifier],
    /// The kind of its key, if it is one of ours.
    pub key: Option<KeyType>,
}

/// A pattern of `include` that has lost its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// As it is written.
    pub pattern: String,
    /// Certificates in them that are missed; none if it is not known which they were.
    pub names: BTreeSet<CertificateName>,
    /// Where they went, as far as it can be seen.
    pub by: By,
}

/// How a pattern has lost certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It matches no file.
    NoFile,
    /// Nothing stands in a file that it matches.
    Blank,
    /// No certificate is in the files that it matches.
    Bare,
    /// They are in a file beside those that it matches.
    Beside,
}

impl Lost {
    /// True if that certificate may have been in its files.
    pub fn may_have(&self, name: &CertificateName) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }
}

/// Patterns that match no file, and have matched some in an earlier run, or have taken the place of one that did, or of
/// what was in the main file, if what was configured there has no heir and is stored. Also those in
/// whose files nothing stands any more, and those beside whose files is one that was to be among them: what was configured
/// elsewhere is in it. Where nothing can be read of earlier runs (`known` is none), all that match none.
pub fn lost(
    written: Written<'_>,
    known: Option<&Known>,
    kept: &BTreeMap<&CertificateName, Kept<'_>>,
) -> Vec<Lost> {
    let unmatched = written.unmatched.iter();
    let lost = |pattern: &String, names| Lost {
        pattern: pattern.clone(),
        names,
        by: By::NoFile,
    };
    let Some(known) = known else {
        return unmatched
            .map(|pattern| lost(pattern, BTreeSet::new()))
            .collect();
    };
    let found = unmatched.filter_map(|pattern| {
        let names = match known.matched.get(pattern) {
            // It is not known what was in them.
            Some(None) => BTreeSet::new(),
            Some(Some(names)) => known.missed(names, pattern, written, kept)?,
            // Files that it does not match may be those that it was to have.
            None if known.empty.contains(pattern) => {
                let unlike = written.unlike.get(pattern)?;
                let mut names = known.of_a_newcomer(pattern, written, kept)?;
                names.retain(|name| unlike.contains(name));
                (!names.is_empty()).then_some(names)?
            }
            None => known.of_a_newcomer(pattern, written, kept)?,
        };
        Some(lost(pattern, names))
    });
    let matched = written.matched.iter();
    let robbed = matched.filter_map(|(pattern, names)| known.robbed(pattern, names, written, kept));
    found.chain(robbed).collect()
}

/// What is to be known of them in the next run. What is missed of a pattern that has lost its files is not forgotten as
/// long as it is among the `lost`.
pub fn note(written: Written<'_>, lost: Vec<Lost>) -> Known {
    let lost = lost.into_iter().map(|lost| {
        let names = Some(lost.names).filter(|names| !names.is_empty());
        (lost.pattern, names)
    });
    let lost: BTreeMap<_, _> = lost.collect();
    let included: BTreeSet<_> = written.matched.values().flatten().collect();
    let configured = written.certificates.iter().map(|one| &one.name);
    let own = configured.filter(|name| !included.contains(name));
    let unmatched = written.unmatched.iter();
    let empty = unmatched.filter(|one| !lost.contains_key(*one));
    let mut known = Known {
        missed: lost.keys().cloned().collect(),
        empty: empty.cloned().collect(),
        own: Some(own.cloned().collect()),
        blank: written.blank.clone(),
        matched: lost,
    };
    for (pattern, names) in written.matched {
        let all = known.matched.entry(pattern.clone()).or_default();
        all.get_or_insert_default().extend(names.iter().cloned());
    }
    known
}

impl Known {
    /// What is missed where a pattern without files is new: it may stand for files that were to have what was configured
    /// elsewhere.
    fn of_a_newcomer(
        &self,
        pattern: &str,
        written: Written<'_>,
        kept: &BTreeMap<&CertificateName, Kept<'_>>,
    ) -> Option<BTreeSet<CertificateName>> {
        let is_there = |pattern: &String| {
            written.matched.contains_key(pattern) || written.unmatched.contains(pattern)
        };
        // What is not known of one is not known of all.
        let mut all = self.matched.iter();
        if all.any(|(pattern, names)| names.is_none() && !is_there(pattern)) {
            return Some(BTreeSet::new());
        }
        let names = self.before().cloned().collect();
        self.missed(&names, pattern, written, kept)
    }

    /// What is missed of a pattern that matches files, in which these are now.
    fn robbed(
        &self,
        pattern: &str,
        now: &BTreeSet<CertificateName>,
        written: Written<'_>,
        kept: &BTreeMap<&CertificateName, Kept<'_>>,
    ) -> Option<Lost> {
        let had = self.matched.get(pattern).and_then(Option::as_ref);
        let lost = |by, names| Lost {
            pattern: pattern.to_owned(),
            names,
            by,
        };
        let missed = self.missed.contains(pattern);
        // Some are kept for later, or mark a folder.
        let was_blank = self.blank.contains(pattern) && !missed;
        let blank = written.blank.contains(pattern) && !was_blank;
        if now.is_empty() || blank {
            let names = self.missed(had?, pattern, written, kept)?;
            let by = if blank { By::Blank } else { By::Bare };
            return Some(lost(by, names));
        }
        // Who gives a file of it another name has put it out of use. What was in the main file was to be among its files.
        let beside = written.unlike.get(pattern)?;
        let was_to_be = |name: &&CertificateName| {
            let own = self.own.iter().flatten().any(|one| one == *name);
            own || missed && had.is_some_and(|had| had.contains(*name))
        };
        let names = beside.iter().filter(was_to_be).cloned().collect();
        let names = self.missed(&names, pattern, written, kept)?;
        Some(lost(By::Beside, names))
    }

    /// Certificates of the run before.
    fn before(&self) -> impl Iterator<Item = &CertificateName> {
        let included = self.matched.values().flatten().flatten();
        self.own.iter().flatten().chain(included)
    }

    /// Which of these are stored and configured nowhere, not under another name either; none if that is none of them.
    fn missed(
        &self,
        names: &BTreeSet<CertificateName>,
        pattern: &str,
        written: Written<'_>,
        kept: &BTreeMap<&CertificateName, Kept<'_>>,
    ) -> Option<BTreeSet<CertificateName>> {
        let certificates = written.certificates.iter();
        let configured: BTreeSet<&CertificateName> = certificates.map(|one| &one.name).collect();
        let before: BTreeSet<&CertificateName> = self.before().collect();
        // Only the run that sees it first sees what has come as it goes.
        let goes = !self.missed.contains(pattern);
        let is_new = |one: &CertificateSettings| goes && !before.contains(&one.name);
        let gone = names.iter().filter(|name| {
            let stored = kept.get(name).filter(|_| !configured.contains(name));
            stored.is_some_and(|kept| !kept.has_heirs(written.certificates, is_new))
        });
        let gone: BTreeSet<CertificateName> = gone.cloned().collect();
        (!gone.is_empty()).then_some(gone)
    }
}

impl Kept<'_> {
    /// True if something configured stands in for it at all of its places: together they have all of its names and keys of
    /// its kind; or one that `is_new` has some of its names, be it by a wildcard, even if a name is dropped by that. A
    /// wildcard that was there side by side is no heir: it may be served elsewhere.
    fn has_heirs(
        &self,
        certificates: &[CertificateSettings],
        is_new: impl Fn(&CertificateSettings) -> bool,
    ) -> bool {
        let Some(current) = self.current else {
            return false;
        };
        // Only where it is in use something can take its place.
        let is_there = |one: &&CertificateSettings| {
            let mut places = self.places.iter();
            places.all(|place| one.install.contains(place))
        };
        let there: Vec<&CertificateSettings> = certificates.iter().filter(is_there).collect();
        // Who has all of its names has it for all servers, whenever it came.
        let taken_over = |name: &Identifier| {
            let mut same = there.iter().filter(|one| Some(one.key) == current.key);
            same.any(|one| one.domains.contains(name))
        };
        let exchanged = |name: &Identifier| {
            let mut new = there.iter().filter(|one| is_new(one));
            new.any(|one| one.domains.iter().any(|domain| domain.covers(name)))
        };
        current.names.iter().all(taken_over) || current.names.iter().any(exchanged)
    }
}

#[cfg(test)]
mod tests;

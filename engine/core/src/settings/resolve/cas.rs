//! `[ca.NAME]`: changes of shipped profiles, and CAs of the operator's own.

use std::collections::{BTreeMap, BTreeSet};

use super::Catalog;
use super::account::ReadAccount;
use super::certificates::ReadCertificate;
use crate::ca::profile::{self, Reader};
use crate::ca::{CaProfile, EabSource};
use crate::document::problem::{Problem, Problems};
use crate::document::section::{KeyPath, Section, one_of};
use crate::document::{Entry, Value};
use crate::name::CaName;
use crate::nearest::nearest;
use crate::settings::raw::Raw;

/// Every CA that a `ca` list may name.
pub(super) struct Cas {
    pub(super) profiles: BTreeMap<CaName, CaProfile>,
    /// Names whose profile has a mistake, reported already.
    pub(super) broken: BTreeSet<CaName>,
}

pub(super) fn read(
    root: &Section<'_>,
    raw: &Raw,
    catalog: &Catalog,
    account_email: Option<&str>,
) -> Cas {
    let problems = root.problems();
    let mut cas = Cas {
        profiles: catalog.profiles.clone(),
        broken: BTreeSet::new(),
    };
    let all = root.section("ca");
    for entry in all.iter().flat_map(Section::named_entries) {
        let path = KeyPath::root().below("ca").below(&entry.key);
        let name = match CaName::parse(&entry.key) {
            Ok(name) => name,
            Err(error) => {
                problems.add(
                    Problem::new(entry.at.clone(), path.as_str(), error.to_string())
                        .hint("a name as in [ca.internal]"),
                );
                continue;
            }
        };
        let before = problems.count();
        if let Some(section) = Section::of_entry(entry, path, problems) {
            let shipped = catalog.profiles.get(&name);
            if shipped.is_none() && section.take("directories").is_none() {
                problems.add(unknown(&section, &name, catalog));
                cas.broken.insert(name);
                continue;
            }
            let mut profile = shipped.cloned().unwrap_or_else(|| CaProfile {
                name: name.clone(),
                title: name.to_string(),
                ..catalog.template.clone()
            });
            let reader = Reader {
                origin: |at: &crate::document::Place| format!("{}:{}", at.file.display(), at.line),
                folder: |at: &crate::document::Place| raw.folder(at),
            };
            profile::apply(&mut profile, section, &reader);
            cas.profiles.insert(name.clone(), profile);
        }
        if problems.count() > before {
            cas.broken.insert(name);
        }
    }
    for entry in all.iter().flat_map(Section::named_entries) {
        check_rehearsal(entry, &cas, problems);
    }
    for profile in cas.profiles.values_mut() {
        if let EabSource::Obtain(obtain) = &mut profile.eab.source
            && obtain.email.is_none()
        {
            obtain.email = account_email.map(str::to_owned);
        }
    }
    cas
}

/// `rehearse-at` names a staging CA, wherever in the files that one is defined.
fn check_rehearsal(entry: &Entry, cas: &Cas, problems: &Problems) {
    let Value::Table(table) = &entry.node.value else {
        return;
    };
    let Some(field) = table.get("rehearse-at") else {
        return;
    };
    let Value::String(text) = &field.node.value else {
        return;
    };
    let found = CaName::parse(text)
        .ok()
        .and_then(|name| cas.profiles.get(&name));
    if !found.is_some_and(|profile| profile.staging) {
        let staging = cas.profiles.values().filter(|profile| profile.staging);
        let names: Vec<_> = staging.map(|profile| profile.name.as_str()).collect();
        let path = KeyPath::root()
            .below("ca")
            .below(&entry.key)
            .below("rehearse-at");
        let (message, hint) = match (found, nearest(text, names.iter().copied())) {
            (Some(_real), _) => (
                format!("{text:?} is no staging CA"),
                format!(
                    "{}; one of your own needs staging = true",
                    one_of("there are", &names)
                ),
            ),
            (None, Some(meant)) => (
                format!("no staging CA {text:?}; did you mean {meant:?}?"),
                one_of("there are", &names),
            ),
            (None, None) => (
                format!("no staging CA {text:?}"),
                format!(
                    "one of your own needs [ca.NAME] with `directories` and staging = true; {}",
                    one_of("there are", &names)
                ),
            ),
        };
        let problem = Problem::new(field.node.at.clone(), path.as_str(), message);
        problems.add(problem.hint(hint));
    }
}

fn unknown(section: &Section<'_>, name: &CaName, catalog: &Catalog) -> Problem {
    let shipped = || catalog.profiles.keys().map(CaName::as_str);
    let meant = nearest(name.as_str(), shipped());
    let path = section.path.as_str();
    match meant {
        Some(meant) => Problem::new(
            section.at.clone(),
            path,
            format!("no CA \"{name}\" is known; did you mean \"{meant}\"?"),
        ),
        None => {
            let list: Vec<_> = shipped().collect();
            Problem::new(
                section.at.clone(),
                path,
                format!(
                    "a CA of your own needs `directories` (known without: {})",
                    list.join(", ")
                ),
            )
        }
    }
    .hint("directories = [\"https://ca.example.com/acme/directory\"]")
}

/// What a CA needs once a certificate names it: credentials, an address.
pub(super) fn check_use(
    cas: &Cas,
    certificates: &[ReadCertificate],
    account: &ReadAccount,
    problems: &Problems,
) {
    let mut seen = BTreeSet::new();
    for certificate in certificates {
        for name in &certificate.settings.cas {
            if !seen.insert(name) || cas.broken.contains(name) {
                continue;
            }
            let Some(profile) = cas.profiles.get(name) else {
                continue;
            };
            if profile.eab.required && profile.eab.source == EabSource::None {
                let message = format!(
                    "{name} gives accounts only with credentials (EAB); none are configured"
                );
                problems.add(
                    Problem::new(certificate.cas_at.clone(), certificate.cas_key.as_str(), message)
                        .hint(format!(
                            "[ca.{name}] eab = {{ key-id = \"...\", hmac-key = \"file:{name}-hmac-key\" }}"
                        )),
                );
            }
            if let Some(at) = account
                .without_email
                .as_ref()
                .filter(|_| needs_email(profile))
            {
                let message =
                    format!("{name}, which a certificate names, asks for an e-mail address");
                problems.add(
                    Problem::new(at.clone(), "account.email", message)
                        .hint("email = \"you@example.com\""),
                );
            }
        }
    }
}

fn needs_email(profile: &CaProfile) -> bool {
    let to_fetch = match &profile.eab.source {
        EabSource::Obtain(obtain) => obtain.email.is_none() && obtain.wants("{email}"),
        _ => false,
    };
    to_fetch || profile.quirks.contact_required
}

//! `[defaults]`, `[renewal]` and `[[certificate]]`.

mod choice;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::choice::Choice;
use super::Catalog;
use super::cas::Cas;
use super::plugins::Plugins;
use super::renewal::Renewal;
use crate::ca::CaProfile;
use crate::calendar::Calendar;
use crate::document::problem::{Form, Problem};
use crate::document::section::{At, KeyPath, Section};
use crate::document::{Node, Place, Table, Value};
use crate::key::KeyType;
use crate::name::{CaName, CertificateName, DomainName, Identifier, PluginName};
use crate::plugin::World;
use crate::settings::CertificateSettings;
use crate::settings::served_at::ServedAt;

/// What is said of a configuration that asks for nothing.
pub const NO_CERTIFICATE: &str = "no certificate is asked for";

/// A certificate, and where the values stand that later checks blame.
pub(super) struct ReadCertificate {
    pub(super) settings: CertificateSettings,
    pub(super) cas_at: Place,
    pub(super) cas_key: KeyPath,
    pub(super) install_at: Place,
}

pub(super) fn read(
    root: &Section<'_>,
    cas: &Cas,
    plugins: &Plugins,
    catalog: &Catalog,
    warnings: &mut Vec<String>,
) -> Vec<ReadCertificate> {
    let renewal = Renewal::read(root, catalog, warnings);
    let calendar = Arc::new(renewal.calendar());
    let defaults = match root.section("defaults") {
        Some(section) => {
            let choice = Choice::read(&section, cas, plugins);
            section.finish(choice::MEANT);
            choice
        }
        None => Choice::default(),
    };
    let Some(entry) = root.take_as("certificate", &[Form::Sections]) else {
        if !root.is_misspelled("certificate") && !catalog.may_be_empty {
            root.problems()
                .add(root.problem(&root.at, "certificate", NO_CERTIFICATE).hint(
                    "[[certificate]], and below it domains = [\"example.com\", \"*.example.com\"]",
                ));
        }
        return Vec::new();
    };
    let Value::Array(items) = &entry.node.value else {
        root.problems().add(
            root.problem(
                &entry.at,
                "certificate",
                "there may be several, so it is a list",
            )
            .hint("[[certificate]] with two brackets"),
        );
        return Vec::new();
    };
    let world = Worlds {
        cas,
        plugins,
        catalog,
        default_cas: default_cas(&cas.profiles),
    };
    let mut seen = Seen::default();
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let Value::Table(table) = &item.value else {
            let wrong = root.problem(&item.at, "certificate", "each certificate is a table");
            root.problems().add(wrong.hint("[[certificate]]"));
            continue;
        };
        let one = Reading {
            root,
            world: &world,
            defaults: &defaults,
            renewal: &renewal,
            calendar: &calendar,
        };
        read.extend(one.certificate(item, table, &mut seen, warnings));
    }
    warn(&read, cas, warnings);
    read
}

/// What a certificate's keys are judged against.
struct Worlds<'a> {
    cas: &'a Cas,
    plugins: &'a Plugins,
    catalog: &'a Catalog,
    default_cas: Vec<CaName>,
}

/// Names that other certificates have taken.
#[derive(Default)]
struct Seen {
    names: BTreeMap<CertificateName, Place>,
}

struct Reading<'r, 'a> {
    root: &'r Section<'a>,
    world: &'r Worlds<'r>,
    defaults: &'r Choice,
    renewal: &'r Renewal,
    /// That of certificates that have none of their own.
    calendar: &'r Arc<Calendar>,
}

impl<'a> Reading<'_, 'a> {
    fn certificate(
        &self,
        item: &'a Node,
        table: &'a Table,
        seen: &mut Seen,
        warnings: &mut Vec<String>,
    ) -> Option<ReadCertificate> {
        let problems = self.root.problems();
        let section = Section::new(table, item.at.clone(), called(table), problems);
        let domains = domains(&section);
        let name = name(&section, &domains, seen);
        let own = Choice::read(&section, self.world.cas, self.world.plugins);
        let renewal = Renewal::read(&section, self.world.catalog, warnings);
        let served_at = served_at(&section);
        let install_at = own
            .install
            .as_ref()
            .map_or(&section.at, |list| &list.at)
            .clone();
        let (cas_at, cas_key) = match (&own.cas, &self.defaults.cas) {
            (Some(list), _) => (list.at.clone(), section.path.below("ca")),
            (None, Some(list)) => (
                list.at.clone(),
                KeyPath::root().below("defaults").below("ca"),
            ),
            (None, None) => (section.at.clone(), section.path.clone()),
        };
        let chosen = own.or(self.defaults);
        let validate = self.validate(&section, &chosen, &domains);
        let install = self.install(&section, &chosen);
        section.finish(choice::MEANT);
        let renewal = renewal.or(self.renewal, self.calendar);
        // Collected in the place of what was read, they would keep all of its room.
        let mut names = Vec::with_capacity(domains.len());
        names.extend(domains.into_iter().map(|at| at.value));
        Some(ReadCertificate {
            settings: CertificateSettings {
                name: name?,
                domains: names,
                cas: match chosen.cas {
                    Some(list) => list.value,
                    None => self.world.default_cas.clone(),
                },
                key: chosen.key.unwrap_or(KeyType::EcdsaP256),
                reuse_key: chosen.reuse_key.unwrap_or(false),
                validate,
                install,
                served_at,
                days_after_issue: renewal.days,
                calendar: renewal.calendar,
            },
            cas_at,
            cas_key,
            install_at,
        })
    }

    /// Which DNS plugin proves which names.
    fn validate(
        &self,
        section: &Section<'_>,
        chosen: &Choice,
        domains: &[At<Identifier>],
    ) -> Vec<(Option<DomainName>, PluginName)> {
        let problems = section.problems();
        if let Some(choice) = &chosen.validate {
            let suffixes = || {
                choice
                    .value
                    .iter()
                    .filter_map(|(suffix, _)| suffix.as_ref())
            };
            let all = choice.value.iter().any(|(suffix, _)| suffix.is_none());
            for domain in domains {
                let covered = all || suffixes().any(|s| domain.value.domain.is_within(s));
                if !covered && !choice.flawed {
                    problems.add(
                        section
                            .problem(
                                &choice.at,
                                "validate",
                                format!("no entry covers {}", domain.value),
                            )
                            .hint(format!("\"{}\" = \"PLUGIN\"", domain.value.domain)),
                    );
                }
            }
            return choice.value.clone();
        }
        let plugins = self.world.plugins;
        let dns: Vec<_> = plugins.of_world(World::Dns).collect();
        match dns.as_slice() {
            [only] => return vec![(None, (*only).clone())],
            _ if plugins.any_unknown() || section.is_misspelled("validate") => {}
            [] => problems.add(
                self.root
                    .problem(
                        &self.root.at,
                        "plugin",
                        "no DNS plugin is configured; one must place the TXT records that a CA looks for",
                    )
                    .hint(format!(
                        "[plugin.NAME] with one of: {}",
                        embedded_dns(self.world.catalog).join(", ")
                    )),
            ),
            several => problems.add(
                section
                    .problem(
                        &section.at,
                        "validate",
                        format!(
                            "several DNS plugins are configured ({}), so one must be named",
                            list(several.iter().copied())
                        ),
                    )
                    .hint(format!("validate = \"{}\"", several[0])),
            ),
        }
        Vec::new()
    }

    /// The installers, in order.
    fn install(&self, section: &Section<'_>, chosen: &Choice) -> Vec<PluginName> {
        if let Some(list) = &chosen.install {
            return list.value.clone();
        }
        let plugins = self.world.plugins;
        let installers: Vec<_> = plugins.of_world(World::Installer).collect();
        match installers.as_slice() {
            [] => Vec::new(),
            [only] => vec![(*only).clone()],
            _ if plugins.any_unknown() || section.is_misspelled("install") => Vec::new(),
            several => {
                section.problems().add(
                    section
                        .problem(
                            &section.at,
                            "install",
                            format!(
                                "several installers are configured ({}), so they must be named",
                                list(several.iter().copied())
                            ),
                        )
                        .hint(format!(
                            "install = [\"{}\"], or install = [] to store it only",
                            several[0]
                        )),
                );
                Vec::new()
            }
        }
    }
}

/// How messages call a certificate whose name is not read yet.
fn called(table: &Table) -> KeyPath {
    let text = |key: &str| match table.get(key).map(|entry| &entry.node.value) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(items)) => match items.first().map(|item| &item.value) {
            Some(Value::String(text)) => Some(without_star(text).to_owned()),
            _ => None,
        },
        _ => None,
    };
    KeyPath::named(
        "certificate",
        &text("name").or_else(|| text("domains")).unwrap_or_default(),
    )
}

fn without_star(text: &str) -> &str {
    text.strip_prefix("*.").unwrap_or(text)
}

/// What to do about a list with two entries that are one.
const TWICE: &str = "leave one of them out";

fn domains(section: &Section<'_>) -> Vec<At<Identifier>> {
    let problems = section.problems();
    let example = r#"["example.com", "*.example.com"]"#;
    let mut domains: Vec<At<Identifier>> = Vec::new();
    let lacking = section.lacks("domains");
    let Some(list) = section.texts("domains", example) else {
        if lacking {
            problems.add(
                section
                    .problem(
                        &section.at,
                        "domains",
                        "the names to be covered are missing",
                    )
                    .hint(format!("domains = {example}")),
            );
        }
        return domains;
    };
    if list.value.is_empty() {
        let empty = section.problem(&list.at, "domains", "at least one name is needed");
        problems.add(empty.hint(format!("domains = {example}")));
    }
    let mut seen = BTreeSet::new();
    for text in list.value {
        match Identifier::parse(text.value) {
            Ok(id) if !seen.insert(id.clone()) => {
                let twice = format!("{id} stands there twice");
                problems.add(section.problem(&text.at, "domains", twice).hint(TWICE));
            }
            Ok(id) => domains.push(At::new(text.at, id)),
            Err(error) => problems.add(
                section
                    .problem(&text.at, "domains", error.to_string())
                    .hint(error.hint()),
            ),
        }
    }
    domains
}

/// Where the certificate is to be seen.
fn served_at(section: &Section<'_>) -> Vec<ServedAt> {
    let problems = section.problems();
    let example = r#"["example.com:443", "mail.example.com:25 starttls=smtp"]"#;
    let texts = section.texts("served-at", example);
    let mut places: Vec<ServedAt> = Vec::new();
    for text in texts.map(|list| list.value).unwrap_or_default() {
        match ServedAt::parse(text.value) {
            Ok(place) if places.contains(&place) => {
                let twice = format!("{place} stands there twice");
                problems.add(section.problem(&text.at, "served-at", twice).hint(TWICE));
            }
            Ok(place) => places.push(place),
            Err(why) => problems.add(
                section
                    .problem(&text.at, "served-at", why)
                    .hint(format!("served-at = {example}")),
            ),
        }
    }
    places
}

/// The name, by default the first domain; unique.
fn name(
    section: &Section<'_>,
    domains: &[At<Identifier>],
    seen: &mut Seen,
) -> Option<CertificateName> {
    let problems = section.problems();
    let (at, parsed) = match section.text("name", "\"shop\"") {
        Some(text) => (text.at, CertificateName::parse(text.value)),
        None if section.take("name").is_some() => return None,
        None => {
            let first = domains.first()?;
            let name = CertificateName::parse(first.value.domain.as_str());
            (section.at.clone(), name)
        }
    };
    let name = match parsed {
        Ok(name) => name,
        Err(error) => {
            problems.add(
                section
                    .problem(&at, "name", error.to_string())
                    .hint("name = \"shop\""),
            );
            return None;
        }
    };
    if name.is_of_rehearsal() {
        let message = format!(
            "{name:?} ends as the journals of rehearsals do, so `renew --dry-run` of another \
             certificate could disturb this one",
            name = name.as_str()
        );
        let hint = "name = \"shop\", or anything else that does not end in .dry-run";
        problems.add(section.problem(&at, "name", message).hint(hint));
        return None;
    }
    // Two names that differ in capitals only are one folder on Windows and macOS.
    let folded = CertificateName::parse(&name.as_str().to_ascii_lowercase()).ok()?;
    if let Some(first) = seen.names.get(&folded) {
        problems.add(
            Problem::new(
                first.clone(),
                section.path.as_str(),
                "two certificates have this name",
            )
            .also(at)
            .hint("name = \"...\" in one of them; without it the first domain is the name"),
        );
        return None;
    }
    seen.names.insert(folded, at);
    Some(name)
}

/// The shipped profiles that say so, by their rank.
fn default_cas(profiles: &BTreeMap<CaName, CaProfile>) -> Vec<CaName> {
    let mut ranked: Vec<_> = profiles
        .values()
        .filter_map(|profile| Some((profile.default_rank?, profile.name.clone())))
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, name)| name).collect()
}

fn embedded_dns(catalog: &Catalog) -> Vec<String> {
    let manifests = catalog
        .manifests
        .values()
        .filter_map(|found| found.as_ref().ok());
    manifests
        .filter(|manifest| manifest.world == World::Dns)
        .map(|manifest| manifest.id.clone())
        .collect()
}

fn list<'a>(names: impl Iterator<Item = &'a PluginName>) -> String {
    names.map(PluginName::as_str).collect::<Vec<_>>().join(", ")
}

/// What works and is seldom meant: a fallback that can never be one, the same names twice.
fn warn(certificates: &[ReadCertificate], cas: &Cas, warnings: &mut Vec<String>) {
    let mut told = BTreeSet::new();
    let mut covers: BTreeMap<BTreeSet<&Identifier>, &CertificateName> = BTreeMap::new();
    for certificate in certificates {
        let name = &certificate.settings.name;
        let names = certificate.settings.domains.iter().collect();
        if let Some(other) = covers.insert(names, name) {
            warnings.push(format!(
                "certificates \"{other}\" and \"{name}\" cover the same names; CAs limit how often \
                 one set of names is issued"
            ));
        }
        for name in certificate.settings.cas.iter().skip(1) {
            let Some(profile) = cas.profiles.get(name) else {
                continue;
            };
            let first = certificate.settings.cas.first();
            let first = first.and_then(|first| cas.profiles.get(first));
            let untrusted = profile.staging && first.is_some_and(|first| !first.staging);
            if (profile.may_charge || !profile.fallback || untrusted) && told.insert(name) {
                let why = if profile.may_charge {
                    "an order there may cost money"
                } else if untrusted {
                    "nobody trusts its certificates"
                } else {
                    "its profile says so"
                };
                warnings.push(format!(
                    "{name} is never used as an automatic fallback: {why}; \
                     it can only be the first of a `ca` list"
                ));
            }
        }
    }
}

//! The decision: which section, which account and which stored certificate comes of what was read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use waxwing_core::ca::CaProfile;
use waxwing_core::import::server::{self, Found, Server};
use waxwing_core::import::{
    Account, Certificate, Client, Imported, KeyWish, Remark, Validation, Value,
};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::plugin::Manifest;
use waxwing_flow::certificate::Origin;
use waxwing_flow::ports::AccountRecord;
use waxwing_io::keys::foreign;

use super::stored::{self, Whole};
use super::wishes::Wish;
use super::{
    AccountDraft, CaDraft, CertificateDraft, Draft, Surroundings, VersionDraft, install, provider,
    wishes,
};

/// What a draft is made with.
pub(crate) struct Catalog<'a> {
    /// The CA profiles.
    pub(crate) profiles: BTreeMap<CaName, CaProfile>,
    /// The plugins inside this program.
    pub(crate) manifests: Vec<Manifest>,
    /// The DNS plugin for certificates whose provider is not known or has none.
    pub(crate) dns: Option<&'a str>,
}

/// The configuration and what is stored.
pub(crate) fn draft(
    client: Client,
    imported: &Imported,
    catalog: &Catalog<'_>,
    around: &Surroundings<'_>,
) -> Draft {
    let mut draft = Draft {
        remarks: imported.remarks.clone(),
        unread: imported.unread.clone(),
        ..Draft::default()
    };
    accounts(&mut draft, client, imported, catalog);
    let mut names = BTreeSet::new();
    // Those whose credentials can be read come first: the others may have the same.
    let (open, others): (Vec<_>, Vec<_>) = imported
        .certificates
        .iter()
        .partition(|it| has_credentials(it));
    for certificate in open.into_iter().chain(others) {
        one(
            &mut draft,
            client,
            imported,
            certificate,
            catalog,
            around,
            &mut names,
        );
    }
    wishes::grant(&mut draft);
    draft.certificates.sort_by(|a, b| a.name.cmp(&b.name));
    // With one DNS plugin nothing has to be named.
    if draft.providers.len() == 1 {
        for certificate in &mut draft.certificates {
            certificate.validate = None;
        }
    }
    draft.email = email(imported);
    draft
}

/// True if the credentials of its DNS provider can be read.
fn has_credentials(certificate: &Certificate) -> bool {
    are_known(&certificate.validation)
}

fn are_known(validation: &Validation) -> bool {
    match validation {
        Validation::Dns { values, .. } => {
            let sealed = |value: &Value| matches!(value, Value::Sealed(_));
            !values.is_empty() && !values.values().any(sealed)
        }
        Validation::Each(ways) => ways.iter().all(|(_, way)| are_known(way)),
        Validation::Unsaid | Validation::Other(_) => false,
    }
}

/// The CA behind a server. One that no profile knows gets a section.
fn ca(draft: &mut Draft, about: &str, server: &Server, catalog: &Catalog<'_>) -> Option<CaName> {
    match server::find(&catalog.profiles, server) {
        Found::Profile {
            ca,
            directory,
            repaired,
        } => {
            if let Some(written) = repaired {
                let section = draft.cas.entry(ca.clone()).or_default();
                section.repaired = Some(written.clone());
                draft.remark(
                    ca.as_str(),
                    format!(
                        "{written} is no address of this CA: nothing answers behind the last part"
                    ),
                    format!("nothing to do: {directory} is used"),
                );
            }
            Some(ca)
        }
        Found::Unknown {
            directory,
            repaired,
        } => {
            let known = draft.cas.iter();
            let mut known = known.filter(|(_, it)| it.directory.as_ref() == Some(&directory));
            if let Some((name, _)) = known.next() {
                return Some(name.clone());
            }
            let name = own_name(draft, &directory, catalog)?;
            if let Some(written) = &repaired {
                draft.remark(
                    name.as_str(),
                    format!(
                        "{written} is no address of this CA: nothing answers behind the last part"
                    ),
                    format!("nothing to do: {directory} is used"),
                );
            } else {
                draft.remark(
                    name.as_str(),
                    format!("no profile knows the CA at {directory}, so [ca.{name}] describes it"),
                    "see whether that is the address of its directory, and name its root in `trust` if \
                     no public one has signed it",
                );
            }
            let section = CaDraft {
                directory: Some(directory),
                repaired,
                ..CaDraft::default()
            };
            draft.cas.insert(name.clone(), section);
            Some(name)
        }
        Found::Nowhere => {
            let what = format!("the CA \"{}\" is not known", server.shown());
            draft.remark(about, what, NAME_THE_CA);
            None
        }
    }
}

/// What to do where the CA is not known.
const NAME_THE_CA: &str =
    "write ca = [\"NAME\"]; `waxwing ca list` shows the names, and [ca.NAME] adds one";

/// A name for a CA that no profile knows, after its host.
fn own_name(draft: &Draft, directory: &str, catalog: &Catalog<'_>) -> Option<CaName> {
    let host = directory.split('/').nth(2).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let stem: String = host.chars().map(plain).take(60).collect();
    let stem = stem.trim_matches('-').to_ascii_lowercase();
    let mut text = stem.to_owned();
    for number in 2..1000_u32 {
        let name = CaName::parse(&text).ok()?;
        if !catalog.profiles.contains_key(&name) && !draft.cas.contains_key(&name) {
            return Some(name);
        }
        text = format!("{stem}-{number}");
    }
    None
}

fn accounts(draft: &mut Draft, client: Client, imported: &Imported, catalog: &Catalog<'_>) {
    // Those that a certificate names come first, so that they are the ones that count.
    let named = |account: &&Account| {
        let id = account.id.as_ref();
        id.is_some()
            && imported
                .certificates
                .iter()
                .any(|it| it.account.as_ref() == id)
    };
    let (first, then): (Vec<&Account>, Vec<&Account>) = imported.accounts.iter().partition(named);
    let used: BTreeSet<String> = imported
        .certificates
        .iter()
        .filter_map(|certificate| server_of(certificate, imported))
        .filter_map(|server| url_of(&server, catalog))
        .collect();
    for account in first.into_iter().chain(then) {
        if let Found::Unknown { directory, .. } = server::find(&catalog.profiles, &account.server)
            && !used.contains(&directory)
        {
            draft.remark(
                &account.file,
                format!("no certificate here is from its CA, {directory}, and no profile knows it"),
                "nothing to do, unless another certificate is to be from there: then write [ca.NAME]",
            );
            continue;
        }
        let Some(ca) = ca(draft, &account.file, &account.server, catalog) else {
            continue;
        };
        let directory = directory(draft, &ca, &account.server, catalog);
        let mut there = draft.accounts.iter();
        if there.any(|one| one.record.directory == directory) {
            draft.remark(
                &account.file,
                format!("it is a second account at {ca}; there is one for each CA here"),
                format!("nothing to do; {client} keeps it"),
            );
            continue;
        }
        let key = match foreign::to_pem(&account.key) {
            Ok(key) => key,
            Err(error) => {
                draft.remark(
                    &account.file,
                    format!("the account key cannot be used: {error}"),
                    "nothing to do: a new account is registered at the first run",
                );
                continue;
            }
        };
        if let Some((id, key)) = &account.eab {
            let file = format!("{ca}-hmac-key");
            draft.secrets.insert(file.clone(), key.clone());
            draft.cas.entry(ca.clone()).or_default().eab = Some((id.clone(), file));
        } else if catalog
            .profiles
            .get(&ca)
            .is_some_and(|it| it.eab.required && it.eab.offers.is_empty())
        {
            // The account is there, so nobody asks for them.
            draft.cas.entry(ca.clone()).or_default().without_eab = true;
        }
        draft.accounts.push(AccountDraft {
            ca,
            record: AccountRecord {
                directory,
                kid: account.url.clone(),
                contact: account.contact.clone(),
                terms: None,
                key,
                next_key: None,
                credentials: Vec::new(),
                deactivated: None,
            },
            file: account.file.clone(),
        });
    }
}

/// The directory that a server is.
fn url_of(server: &Server, catalog: &Catalog<'_>) -> Option<String> {
    match server::find(&catalog.profiles, server) {
        Found::Profile { directory, .. } | Found::Unknown { directory, .. } => Some(directory),
        Found::Nowhere => None,
    }
}

/// The directory of a CA that an account is bound to.
fn directory(draft: &Draft, ca: &CaName, server: &Server, catalog: &Catalog<'_>) -> String {
    let own = || draft.cas.get(ca)?.directory.clone();
    url_of(server, catalog).or_else(own).unwrap_or_default()
}

fn one(
    draft: &mut Draft,
    client: Client,
    imported: &Imported,
    certificate: &Certificate,
    catalog: &Catalog<'_>,
    around: &Surroundings<'_>,
    taken: &mut BTreeSet<CertificateName>,
) {
    let about = certificate.name.as_str();
    let whole = match stored::newest(&certificate.stored) {
        Ok(whole) => whole,
        Err(causes) => {
            draft.remark(
                about,
                format!("its certificate is not taken over: {}", causes.join("; ")),
                "nothing to do: the first run issues a new one",
            );
            None
        }
    };
    let domains = match domains(certificate, whole.as_ref()) {
        Ok(domains) => domains,
        Err(why) => {
            let next = format!(
                "let {client} go on for it, or write a [[certificate]] with the names that are some"
            );
            draft.remark(about, format!("it is left out: {why}"), next);
            draft.left_out.push(about.to_owned());
            return;
        }
    };
    let Some(name) = name(certificate, &domains, taken) else {
        let next = "write a [[certificate]] with a name of your own";
        draft.remark(about, "it is left out: no name can be made of it", next);
        draft.left_out.push(about.to_owned());
        return;
    };
    taken.insert(name.clone());
    let server = server_of(certificate, imported);
    let ca = match &server {
        Some(server) => ca(draft, about, server, catalog),
        None => {
            let what = format!("{client} has not noted at which CA it is renewed");
            draft.remark(about, what, NAME_THE_CA);
            None
        }
    };
    if let Some(ca) = &ca {
        draft.wishes.push(Wish {
            about: about.to_owned(),
            ca: ca.clone(),
            chain: certificate.preferred_chain.clone(),
            profile: certificate.profile.clone(),
        });
    }
    let (validate, off) = match provider::provider(draft, client, certificate, catalog, around) {
        Ok(plugin) => (Some(plugin), None),
        Err(why) => {
            let dns = if catalog.dns.is_some() {
                "write a [plugin.NAME] for its provider"
            } else {
                "import again with --dns PLUGIN (`waxwing plugin list`), or write a [plugin.NAME]"
            };
            let next = format!("{dns}; _acme-challenge may also be a CNAME to a zone elsewhere");
            draft.remark(about, format!("it cannot be renewed yet: {why}"), next);
            (None, Some(why))
        }
    };
    // Another CA would be asked, and its terms agreed to, that nobody has named.
    let nowhere = ca
        .is_none()
        .then(|| "the CA that it is from is not known".to_owned());
    let off = off.or(nowhere);
    let (install, proposed) =
        install::installers(draft, client, certificate, &name, catalog, around);
    let key = match &certificate.key {
        KeyWish::Kind(kind) => *kind,
        KeyWish::Unsaid => {
            let kind = whole.as_ref().and_then(|whole| whole.facts.key_type);
            kind.unwrap_or(KeyType::EcdsaP256)
        }
        KeyWish::Other(kind) => {
            draft.remark(
                about,
                format!("its key is of a kind that is not made here: {kind}"),
                format!(
                    "the next one is {}; `key` chooses another",
                    KeyType::EcdsaP256
                ),
            );
            KeyType::EcdsaP256
        }
    };
    let lifetime = whole.as_ref().map(|whole| whole.facts.life());
    if off.is_none()
        && let Some(whole) = whole
    {
        keep(
            draft,
            certificate,
            &name,
            &domains,
            ca.as_ref(),
            server.as_ref(),
            whole,
            catalog,
        );
    }
    let days_after_issue = days_after_issue(draft, certificate, lifetime);
    draft.certificates.push(CertificateDraft {
        name,
        domains,
        ca,
        key,
        reuse_key: certificate.reuse_key,
        days_after_issue,
        validate,
        install,
        proposed,
        off,
    });
}

/// When it is renewed, if the client says that: counted from its issue, or from its end.
fn days_after_issue(
    draft: &mut Draft,
    certificate: &Certificate,
    lifetime: Option<Duration>,
) -> Option<u32> {
    let after = match (certificate.days_before_end, lifetime) {
        (None, _) => certificate.days_after_issue,
        (Some(before), Some(lifetime)) => {
            // CAs count a second less than a whole day.
            let life = (lifetime.as_secs() + 60) / 86_400;
            u32::try_from(life).ok()?.checked_sub(before)
        }
        (Some(before), None) => {
            draft.remark(
                &certificate.name,
                format!(
                    "it is renewed {before} days before its end, and its certificate is not known"
                ),
                "renewal = { days-after-issue = DAYS } in its [[certificate]] says when",
            );
            None
        }
    };
    after.filter(|days| (1..=365).contains(days))
}

/// The CA of a certificate: its own word, or that of its account.
fn server_of(certificate: &Certificate, imported: &Imported) -> Option<Server> {
    let account = || {
        let id = certificate.account.as_ref()?;
        let mut accounts = imported.accounts.iter();
        accounts.find(|account| account.id.as_ref() == Some(id))
    };
    let own = certificate.server.clone();
    own.or_else(|| account().map(|account| account.server.clone()))
}

/// The names: those that are written, or those of the certificate with its namesake first.
fn domains(certificate: &Certificate, whole: Option<&Whole>) -> Result<Vec<Identifier>, String> {
    let mut found: Vec<Identifier> = match (&certificate.names, whole) {
        (Some(names), _) => {
            let parsed: Result<Vec<_>, _> =
                names.iter().map(|name| Identifier::parse(name)).collect();
            parsed.map_err(|error| error.to_string())?
        }
        (None, whole) => {
            let mut names = match whole {
                _ if certificate.several => stored::names_of_all(&certificate.stored)?,
                Some(whole) => whole.facts.names.clone(),
                None => stored::names(&certificate.stored),
            };
            // What else it is for would be lost without a word.
            for other in stored::other_names(&certificate.stored, whole) {
                let _name = Identifier::parse(&other).map_err(|error| error.to_string())?;
            }
            let is_main = |name: &Identifier| {
                certificate.name.starts_with(name.domain.as_str()) && !name.wildcard
            };
            names.sort_by_key(|name| !is_main(name));
            names
        }
    };
    let mut seen = BTreeSet::new();
    found.retain(|name| seen.insert(name.clone()));
    if found.is_empty() {
        return Err("its names are not known".to_owned());
    }
    Ok(found)
}

/// A name that is free: the client's, or the first domain's.
fn name(
    certificate: &Certificate,
    domains: &[Identifier],
    taken: &BTreeSet<CertificateName>,
) -> Option<CertificateName> {
    let own = certificate.name.trim_start_matches("*.");
    let first = domains.first()?.domain.to_string();
    let good = |text: &str| {
        let name = CertificateName::parse(text).ok();
        name.filter(|name| !name.is_of_rehearsal() && !taken.contains(name))
    };
    let mut later = (2..1000).filter_map(|number: u32| good(&format!("{first}-{number}")));
    good(own).or_else(|| good(&first)).or_else(|| later.next())
}

#[expect(clippy::too_many_arguments, reason = "the parts of one stored version")]
fn keep(
    draft: &mut Draft,
    certificate: &Certificate,
    name: &CertificateName,
    domains: &[Identifier],
    ca: Option<&CaName>,
    server: Option<&Server>,
    whole: Whole,
    catalog: &Catalog<'_>,
) {
    let again = "nothing to do: the first run issues a new one";
    if let Err(why) = stored::same_names(&whole.facts, domains) {
        let what = format!("its certificate in {} is not taken over: {why}", whole.file);
        let next = match stored::has_more_names(&whole.facts, domains) {
            true => {
                "if these names are still wanted, write them into `domains`; the first run issues a new one"
            }
            false => again,
        };
        draft.remark(&certificate.name, what, next);
        return;
    }
    let Some(ca) = ca else {
        let what = "its certificate is not taken over: it is not known from which CA it is";
        draft.remark(&certificate.name, what, again);
        return;
    };
    let at = server.map(|server| directory(draft, ca, server, catalog));
    let mut accounts = draft.accounts.iter();
    let account = accounts.find(|one| one.ca == *ca && at.as_ref() == Some(&one.record.directory));
    let staging = catalog
        .profiles
        .get(ca)
        .is_some_and(|profile| profile.staging);
    draft.versions.push(VersionDraft {
        name: name.clone(),
        origin: Origin {
            ca: ca.clone(),
            account: account
                .and_then(|one| one.record.kid.clone())
                .unwrap_or_default(),
            issued_at: whole.facts.not_before,
            fallback: false,
            staging,
        },
        key: whole.key,
        pem: whole.pem,
        facts: whole.facts,
        file: whole.file,
    });
}

/// The address that most accounts have, or the one that stands elsewhere.
fn email(imported: &Imported) -> Option<String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let contacts = imported
        .accounts
        .iter()
        .flat_map(|account| &account.contact);
    for contact in contacts.filter_map(|url| url.strip_prefix("mailto:")) {
        *counted.entry(contact).or_default() += 1;
    }
    let most = counted.into_iter().max_by_key(|(_, count)| *count);
    let found = most.map(|(email, _)| email.to_owned());
    found.or_else(|| imported.email.clone())
}

/// A remark for a configuration without a certificate.
pub(crate) fn empty() -> Remark {
    Remark::new(
        "the new configuration",
        "it renews nothing yet",
        "write a [plugin.NAME] for the DNS provider, and take the signs of a comment from a [[certificate]]",
    )
}

/// A remark for what the reader of configurations does not take of our own text.
pub(crate) fn refused(message: &str) -> Remark {
    Remark::new(
        "the new configuration",
        format!("it has a mistake: {message}"),
        "mend it by hand; `waxwing check --offline` shows all of them",
    )
}

//! Reading a profile field by field: from a shipped file, or from `[ca.NAME]` on top of one.
//!
//! Both have the same keys. Each field that is written replaces the one before and leaves its
//! origin; none is merged.

use std::path::Path;
use std::time::Duration;

use super::limits::LimitKind;
use super::{AcmeProfile, CaProfile, ChallengeRetry, EabObtain, EabSource};
use crate::budget::Limit;
use crate::document::problem::Form;
use crate::document::section::{At, Section, one_of};
use crate::document::{Node, Place, Value};
use crate::http::{Method, has_userinfo};
use crate::key::KeyType;
use crate::name::{CaName, DomainName};
use crate::settings::{SecretRef, secret_ref, units};
use crate::time;

/// The shortest life that may be asked for.
const SHORTEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A good line for `directories`.
const DIRECTORIES: &str = "directories = [\"https://ca.example.com/acme/directory\"]";
/// A good line for `offers`.
const OFFERS: &str =
    "offers = [{ url = \"https://...\", kid = \"/eab_kid\", hmac-key = \"/eab_hmac_key\" }]";

/// How fields are read that depend on the file they stand in.
pub(crate) struct Reader<O, F> {
    /// What `ca show` says of a field's origin.
    pub(crate) origin: O,
    /// The folder from which relative paths start.
    pub(crate) folder: F,
}

/// Reads every field of `section` into `profile`, noting mistakes.
pub(crate) fn apply<'f, O, F>(profile: &mut CaProfile, section: Section<'_>, reader: &Reader<O, F>)
where
    O: Fn(&Place) -> String,
    F: Fn(&Place) -> &'f Path,
{
    let mut note = Origins {
        root: section.path.as_str().len() + 1,
        found: Vec::new(),
    };
    if let Some(title) = section.text("title", "\"Example CA\"") {
        profile.title = note.keep(&section, "title", title).to_owned();
    }
    if let Some(urls) = section.texts("directories", r#"["https://ca.example.com/directory"]"#) {
        let at = urls.at.clone();
        let none = urls.value.is_empty();
        profile.directories = urls
            .value
            .into_iter()
            .filter_map(|url| https_url(&section, "directories", &url))
            .collect();
        if none {
            section.problems().add(
                section
                    .problem(&at, "directories", "at least one is needed")
                    .hint(DIRECTORIES),
            );
        }
        note.at(&section, "directories", at);
    }
    if let Some(flag) = section.flag("staging") {
        profile.staging = note.keep(&section, "staging", flag);
    }
    if let Some(name) = section.parsed("rehearse-at", "\"NAME\"", ca_name) {
        profile.rehearse_at = Some(note.keep(&section, "rehearse-at", name));
    }
    if let Some(entry) = section.take("trust") {
        let read = section.path_value("trust", "\"/etc/ssl/internal-root.pem\"", &reader.folder);
        profile.trust = read.or(profile.trust.take());
        note.at(&section, "trust", entry.node.at.clone());
    }
    if let Some(list) = section.texts("caa", r#"["ca.example.com"]"#) {
        let list = note.keep(&section, "caa", list);
        profile.caa = list.into_iter().map(|item| item.value.to_owned()).collect();
    }
    if let Some(chain) = section.text("preferred-chain", "\"Example Root\"") {
        profile.preferred_chain = Some(note.keep(&section, "preferred-chain", chain).to_owned());
    }
    if let Some(flag) = section.flag("may-charge") {
        profile.may_charge = note.keep(&section, "may-charge", flag);
    }
    if let Some(flag) = section.flag("fallback") {
        profile.fallback = note.keep(&section, "fallback", flag);
    }
    if let Some(rank) = section.number("default-rank", 1..=1000, "1") {
        profile.default_rank = Some(note.keep(&section, "default-rank", rank));
    }
    if let Some(kinds) = key_kinds(&section, "cert-keys") {
        profile.cert_keys = note.keep(&section, "cert-keys", kinds);
    }
    acme_profile(profile, &section, &mut note);
    eab(profile, &section, reader, &mut note);
    if let Some(ari) = section.section("ari") {
        if let Some(flag) = ari.flag("enabled") {
            profile.ari.enabled = note.keep(&ari, "enabled", flag);
        }
        if let Some(flag) = ari.flag("replaces") {
            profile.ari.replaces = note.keep(&ari, "replaces", flag);
        }
        if let Some(hosts) = ari.texts("hosts", r#"["ari.example.com"]"#) {
            for host in hosts.value.iter().filter(|host| !is_host(host.value)) {
                let message = format!("`{}` is not a host name", host.value);
                let hint = "hosts = [\"ari.example.com\"]";
                ari.problems()
                    .add(ari.problem(&host.at, "hosts", message).hint(hint));
            }
            let hosts = note.keep(&ari, "hosts", hosts);
            let hosts = hosts.into_iter().map(|host| host.value.to_owned());
            profile.ari.hosts = hosts.collect();
        }
        ari.finish(&[]);
    }
    lifetime(profile, &section, &mut note);
    limits(profile, &section, &mut note);
    quotas(profile, &section, &mut note);
    if let Some(notes) = section.section("notes") {
        for entry in notes.named_entries() {
            if let Value::String(text) = &entry.node.value {
                profile.notes.insert(entry.key.clone(), text.clone());
            } else {
                let wrong = notes
                    .problem(&entry.node.at, &entry.key, "a note is a text in quotes")
                    .hint(format!("{} = \"...\"", entry.key));
                notes.problems().add(wrong);
            }
        }
    }
    section.finish(&[
        ("server", "directories = [\"https://...\"]"),
        ("directory", "directories = [\"https://...\"]"),
        ("url", "directories = [\"https://...\"]"),
        ("ca-bundle", "trust = \"/etc/ssl/root.pem\""),
    ]);
    for (key, at) in note.found {
        profile.origin.insert(key, (reader.origin)(&at));
    }
}

/// Where each field that was read stands, by its path below the profile.
struct Origins {
    root: usize,
    found: Vec<(String, Place)>,
}

impl Origins {
    fn keep<T>(&mut self, section: &Section<'_>, key: &str, field: At<T>) -> T {
        self.at(section, key, field.at);
        field.value
    }

    fn at(&mut self, section: &Section<'_>, key: &str, at: Place) {
        let path = section.path.below(key);
        let below = path.as_str().get(self.root..).unwrap_or(path.as_str());
        self.found.push((below.to_owned(), at));
    }
}

fn ca_name(text: &str) -> Result<CaName, String> {
    CaName::parse(text).map_err(|error| error.to_string())
}

/// A list of kinds of keys.
fn key_kinds(section: &Section<'_>, key: &'static str) -> Option<At<Vec<KeyType>>> {
    let kinds = KeyType::ALL.map(|kind| (kind.as_str(), kind));
    section.words(key, r#"["ecdsa-p256"]"#, kinds, |text| {
        let message = format!("`{}` is no kind of key", text.value);
        let kinds = KeyType::ALL.map(KeyType::as_str);
        section
            .problem(&text.at, key, message)
            .hint(one_of("kinds", &kinds))
    })
}

fn is_host(text: &str) -> bool {
    DomainName::parse(text).is_ok_and(|name| name.as_str().eq_ignore_ascii_case(text))
}

fn https_url(section: &Section<'_>, key: &str, url: &At<&str>) -> Option<String> {
    if has_userinfo(url.value) {
        // The message must not show it.
        let message = "the URL has a user or a password, which no CA asks for";
        let problem = section.problem(&url.at, key, message);
        let hint = "leave it out: a CA knows you by its account (`eab` if it wants more)";
        section.problems().add(problem.hint(hint));
        return None;
    }
    let host = url.value.strip_prefix("https://");
    let good = host.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if !good {
        let message = format!("`{}` is not an https URL", url.value);
        section
            .problems()
            .add(
                section
                    .problem(&url.at, key, message)
                    .hint(if key == "directories" {
                        DIRECTORIES.to_owned()
                    } else {
                        format!("{key} = \"https://...\"")
                    }),
            );
    }
    good.then(|| url.value.to_owned())
}

/// `profile = "tlsserver"`, or `profile = { name = "tlsserver", required = true }`.
fn acme_profile(profile: &mut CaProfile, section: &Section<'_>, note: &mut Origins) {
    let Some(entry) = section.take("profile") else {
        return;
    };
    match &entry.node.value {
        Value::Table(_) => {
            let Some(inner) = section.section("profile") else {
                return;
            };
            let name = inner.text("name", "\"tlsserver\"");
            let required = inner.flag("required").is_some_and(|flag| flag.value);
            if inner.lacks("name") {
                inner.problems().add(
                    inner
                        .problem(&inner.at, "name", "the name is missing")
                        .hint("name = \"tlsserver\""),
                );
            }
            profile.profile = name.map(|name| AcmeProfile {
                name: name.value.to_owned(),
                required,
            });
            inner.finish(&[]);
        }
        _ => {
            let name = section.text("profile", "\"tlsserver\"");
            profile.profile = name.map(|name| AcmeProfile {
                name: name.value.to_owned(),
                required: false,
            });
        }
    }
    note.at(section, "profile", entry.at.clone());
}

fn eab<'f, O, F>(
    profile: &mut CaProfile,
    section: &Section<'_>,
    reader: &Reader<O, F>,
    note: &mut Origins,
) where
    F: Fn(&Place) -> &'f Path,
{
    let Some(eab) = section.section("eab") else {
        return;
    };
    if let Some(flag) = eab.flag("required") {
        profile.eab.required = note.keep(&eab, "required", flag);
    }
    if let Some(flag) = eab.flag("single-use") {
        profile.eab.single_use = note.keep(&eab, "single-use", flag);
    }
    if let Some(ttl) = eab.parsed("ttl", "\"7d\"", units::duration) {
        profile.eab.ttl = Some(note.keep(&eab, "ttl", ttl));
    }
    if let Some(entry) = eab.take_as("offers", &[Form::Sections]) {
        profile.eab.offers = offers(&eab, &entry.node);
        note.at(&eab, "offers", entry.at.clone());
    }
    let key_id = eab.text("key-id", "\"...\"");
    let email = eab.parsed(
        "email",
        "\"you@example.com\"",
        crate::settings::resolve::account::email,
    );
    let secret = |key: &'static str| -> Option<At<SecretRef>> {
        let entry = eab.take(key)?;
        let folder = (reader.folder)(&entry.node.at);
        let name = format!("{}-{key}", profile.name);
        let read = secret_ref::read(entry, &eab.path.below(key), folder, &name, eab.problems())?;
        Some(At::new(entry.node.at.clone(), read))
    };
    let hmac_key = secret("hmac-key");
    let api_key = secret("api-key");
    match (key_id, hmac_key) {
        (Some(key_id), Some(hmac_key)) => {
            note.at(&eab, "key-id", key_id.at);
            note.at(&eab, "hmac-key", hmac_key.at);
            profile.eab.source = EabSource::Given {
                key_id: key_id.value.to_owned(),
                hmac_key: hmac_key.value,
            };
        }
        (Some(_), None) if eab.take("hmac-key").is_none() => {
            let hint = format!("hmac-key = \"file:{}-hmac-key\"", profile.name);
            eab.problems().add(
                eab.problem(&eab.at, "hmac-key", "key-id and hmac-key belong together")
                    .hint(hint),
            );
        }
        (None, Some(_)) => eab.problems().add(
            eab.problem(&eab.at, "key-id", "key-id and hmac-key belong together")
                .hint("key-id = \"...\", as the CA gave it with the key"),
        ),
        _ => {
            let wanted = if api_key.is_some() {
                "{api-key}"
            } else {
                "{email}"
            };
            let offer = profile.eab.offers.iter().find(|offer| offer.wants(wanted));
            if offer.is_none() && (api_key.is_some() || email.is_some()) {
                let key = if api_key.is_some() {
                    "api-key"
                } else {
                    "email"
                };
                let message = format!("{} gives no credentials that way", profile.name);
                eab.problems().add(
                    eab.problem(&eab.at, key, message)
                        .hint("eab = { key-id = \"...\", hmac-key = \"file:...\" }"),
                );
            }
            if let Some(offer) = offer {
                profile.eab.source = EabSource::Obtain(EabObtain {
                    email: email.map(|email| note.keep(&eab, "email", email)),
                    api_key: api_key.map(|key| note.keep(&eab, "api-key", key)),
                    ..offer.clone()
                });
            }
        }
    }
    eab.finish(&[
        ("kid", "key-id = \"...\""),
        ("hmac", "hmac-key = \"file:...\""),
        ("key", "hmac-key = \"file:...\""),
    ]);
}

/// The ways of fetching credentials, each a table.
fn offers(eab: &Section<'_>, node: &Node) -> Vec<EabObtain> {
    let Value::Array(items) = &node.value else {
        let wrong = eab
            .problem(&node.at, "offers", "a list of tables belongs here")
            .hint(OFFERS);
        eab.problems().add(wrong);
        return Vec::new();
    };
    let mut offers = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = eab.path.below(&format!("offers[{index}]"));
        let Value::Table(table) = &item.value else {
            let wrong = eab
                .problem(&item.at, "offers", "a list of tables belongs here")
                .hint(OFFERS);
            eab.problems().add(wrong);
            continue;
        };
        offers.extend(offer(Section::new(
            table,
            item.at.clone(),
            path,
            eab.problems(),
        )));
    }
    offers
}

fn offer(section: Section<'_>) -> Option<EabObtain> {
    let url = section.text("url", "\"https://...\"");
    let url = url.and_then(|url| https_url(&section, "url", &url));
    let methods = [Method::Get, Method::Post].map(|method| (method.as_str(), method));
    let method = section.word("method", "\"POST\"", methods, |text| {
        format!("`{text}` is neither GET nor POST")
    });
    let in_query = section.flag("in-query").is_some_and(|flag| flag.value);
    let mut fields = Vec::new();
    if let Some(table) = section.section("fields") {
        for entry in table.named_entries() {
            match &entry.node.value {
                Value::String(text) => fields.push((entry.key.clone(), text.clone())),
                _ => table.problems().add(
                    table
                        .problem(&entry.node.at, &entry.key, "a field is a text in quotes")
                        .hint(format!("{} = \"{{email}}\"", entry.key)),
                ),
            }
        }
    }
    let pointer = |key: &'static str| section.parsed(key, "\"/eab_kid\"", pointer);
    let success = pointer("success").map(|at| at.value);
    let (kid, hmac_key) = (pointer("kid"), pointer("hmac-key"));
    let error = pointer("error").map(|at| at.value);
    for needed in ["url", "kid", "hmac-key"] {
        if section.lacks(needed) {
            section.problems().add(
                section
                    .problem(&section.at, needed, "is missing")
                    .hint(OFFERS),
            );
        }
    }
    section.finish(&[]);
    Some(EabObtain {
        url: url?,
        method: method
            .map_or(Method::Post, |at| at.value)
            .as_str()
            .to_owned(),
        in_query,
        fields,
        email: None,
        api_key: None,
        success,
        kid: kid?.value,
        hmac_key: hmac_key?.value,
        error,
    })
}

/// RFC 6901.
fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a JSON pointer, which begins with a slash"
        ))
    }
}

/// `lifetime = { ask = "30d" }`: what the CA gives, and what it is asked for.
fn lifetime(profile: &mut CaProfile, section: &Section<'_>, note: &mut Origins) {
    let Some(lifetime) = section.section("lifetime") else {
        return;
    };
    let stretch = |key: &'static str| lifetime.parsed(key, "\"90d\"", units::duration);
    if let Some(default) = stretch("default") {
        profile.lifetime.default = Some(note.keep(&lifetime, "default", default));
    }
    if let Some(max) = stretch("max") {
        profile.lifetime.max = Some(note.keep(&lifetime, "max", max));
    }
    if let Some(flag) = lifetime.flag("not-after") {
        profile.lifetime.not_after = note.keep(&lifetime, "not-after", flag);
    }
    if let Some(ask) = stretch("ask") {
        let wrong = match profile.lifetime.max {
            _ if !profile.lifetime.not_after => Some((
                format!(
                    "{} gives certificates of one length and takes no wish",
                    profile.name
                ),
                "leave `ask` out; not-after = true, if the CA follows a wish by now".to_owned(),
            )),
            Some(max) if ask.value > max => Some((
                format!("{} gives at most {}", profile.name, time::stretch(max)),
                format!("ask = \"{}\", or less", time::stretch(max)),
            )),
            _ if ask.value < SHORTEST_LIFE => Some((
                format!(
                    "less than {} is no time to renew in",
                    time::stretch(SHORTEST_LIFE)
                ),
                "ask = \"30d\"".to_owned(),
            )),
            _ => None,
        };
        if let Some((wrong, hint)) = wrong {
            let problem = lifetime.problem(&ask.at, "ask", wrong);
            lifetime.problems().add(problem.hint(hint));
        }
        profile.lifetime.ask = Some(note.keep(&lifetime, "ask", ask));
    }
    lifetime.finish(&[("days", "ask = \"30d\"")]);
}

fn limits(profile: &mut CaProfile, section: &Section<'_>, note: &mut Origins) {
    if let Some(names) = section.section("names") {
        if let Some(max) = names.number("max", 1..=100_000, "100") {
            profile.names.max = note.keep(&names, "max", max);
        }
        if let Some(flag) = names.flag("wildcard") {
            profile.names.wildcard = note.keep(&names, "wildcard", flag);
        }
        if let Some(flag) = names.flag("idn") {
            profile.names.idn = note.keep(&names, "idn", flag);
        }
        if let Some(max) = names.number("max-labels", 1..=127, "6") {
            profile.names.max_labels = Some(note.keep(&names, "max-labels", max));
        }
        names.finish(&[]);
    }
    if let Some(rate) = section.section("rate") {
        if let Some(number) = rate.fraction("per-second", "5") {
            profile.rate.per_second = Some(note.keep(&rate, "per-second", number));
        }
        if let Some(number) = rate.number("burst", 1..=10_000, "5") {
            profile.rate.burst = note.keep(&rate, "burst", number);
        }
        if let Some(number) = rate.number("concurrent-orders", 1..=1000, "4") {
            profile.rate.concurrent_orders = note.keep(&rate, "concurrent-orders", number);
        }
        if let Some(number) = rate.number("concurrent-requests", 1..=1000, "4") {
            profile.rate.concurrent_requests = note.keep(&rate, "concurrent-requests", number);
        }
        rate.finish(&[]);
    }
    if let Some(poll) = section.section("poll") {
        let mut time = |key: &'static str, field: &mut Duration| {
            if let Some(read) = poll.parsed(key, "\"30s\"", units::duration) {
                // Without a wait the CA would be asked without a pause.
                if read.value.is_zero() && key != "retry-after-cap" {
                    let problem = poll.problem(&read.at, key, "a wait of nothing is none");
                    poll.problems().add(problem.hint(format!("{key} = \"1s\"")));
                }
                *field = note.keep(&poll, key, read);
            }
        };
        time("first", &mut profile.poll.first);
        time("max", &mut profile.poll.max);
        time("order", &mut profile.poll.order);
        time("retry-after-cap", &mut profile.poll.retry_after_cap);
        poll.finish(&[]);
    }
    if let Some(quirks) = section.section("quirks") {
        if let Some(flag) = quirks.flag("contact-required") {
            profile.quirks.contact_required = note.keep(&quirks, "contact-required", flag);
        }
        if let Some(flag) = quirks.flag("key-change") {
            profile.quirks.key_change = note.keep(&quirks, "key-change", flag);
        }
        if let Some(kinds) = key_kinds(&quirks, "account-keys") {
            profile.quirks.account_keys = note.keep(&quirks, "account-keys", kinds);
        }
        let words = ChallengeRetry::ALL.map(|word| (word.as_str(), word));
        let word = quirks.word("challenge-retry", "\"server\"", words, |text| {
            format!("`{text}` is neither server nor never")
        });
        if let Some(word) = word {
            profile.quirks.challenge_retry = note.keep(&quirks, "challenge-retry", word);
        }
        if let Some(end) = quirks.parsed("wrong-ending", "\"/directory\"", ending) {
            profile.quirks.wrong_ending = Some(note.keep(&quirks, "wrong-ending", end));
        }
        if let Some(urls) = quirks.texts("formerly", r#"["https://ca.example.com/directory"]"#) {
            let all = urls.value.iter().map(|one| one.value.to_owned());
            let urls = At {
                value: all.collect(),
                at: urls.at,
            };
            profile.quirks.formerly = note.keep(&quirks, "formerly", urls);
        }
        quirks.finish(&[]);
    }
}

/// The last part of a URL's path.
fn ending(text: &str) -> Result<String, String> {
    match text.strip_prefix('/') {
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("`{text}` is no end of a URL")),
    }
}

/// `limits = { orders = "300 per 3h" }`.
fn quotas(profile: &mut CaProfile, section: &Section<'_>, note: &mut Origins) {
    let Some(limits) = section.section("limits") else {
        return;
    };
    for kind in LimitKind::ALL {
        let key = kind.as_str();
        if let Some(limit) = limits.parsed(key, "\"300 per 3h\"", Limit::parse) {
            let limit = note.keep(&limits, key, limit);
            profile.limits.insert(kind, limit);
        }
    }
    limits.finish(&[]);
}

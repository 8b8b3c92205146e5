//! CAs: the list, and one profile with the origin of each field.

use serde_json::{Map, Value, json};
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::ca::{CaProfile, EabSource};
use waxwing_core::key::KeyType;
use waxwing_core::name::CertificateName;
use waxwing_core::time::{Timestamp, stretch};

pub(crate) mod health;

use super::page::{Context, Ink, Line, Page, count, list as names};
use super::table::{Align, Cell, Table};

/// From this width on the list has room for reasons.
const ROOMY: usize = 100;

/// Columns of the list that can be left out.
const TITLE: usize = 1;
const CREDENTIALS: usize = 2;
const ACCOUNT: usize = 3;

/// A CA and what this machine has to do with it.
#[derive(Debug)]
pub(crate) struct Known {
    /// The profile after the operator's changes.
    pub(crate) profile: CaProfile,
    /// Certificates that name it.
    pub(crate) used_by: Vec<CertificateName>,
    /// The account there.
    pub(crate) account: Option<KnownAccount>,
    /// False for a CA that the operator defined.
    pub(crate) shipped: bool,
}

/// An account at a CA.
#[derive(Debug)]
pub(crate) struct KnownAccount {
    /// Its URL.
    pub(crate) url: String,
    /// The terms that were agreed to, and when.
    pub(crate) terms: Option<(String, Timestamp)>,
}

/// All CAs, for people.
pub(crate) fn list(known: &[Known], context: &Context) -> String {
    let mut page = Page::new(context);
    let used = known.iter().filter(|ca| !ca.used_by.is_empty()).count();
    let head = format!("{}, {used} used here", count(known.len(), "CA"));
    page.line(&Line::indented(0).ink(Ink::Strong, head));
    let mut table = Table::new(2, &[Align::Left; 5]).gap(2);
    let head = ["NAME", "TITLE", "CREDENTIALS", "ACCOUNT", "USED BY"];
    table.row(head.map(|text| Cell::of(Ink::Quiet, text)).into());
    for ca in known {
        let profile = &ca.profile;
        table.row(vec![
            Cell::plain(profile.name.as_str()),
            Cell::plain(&profile.title),
            Cell::plain(credentials(profile)),
            Cell::plain(if ca.account.is_some() { "yes" } else { "-" }),
            Cell::plain(used_by(ca, context.width < ROOMY)),
        ]);
    }
    // What is left out where it does not fit is in `show`.
    table.fit(context.width, &[TITLE, ACCOUNT, CREDENTIALS]);
    for line in table.lines() {
        page.line(&line);
    }
    for ca in known {
        if let Some(KnownAccount {
            terms: Some((url, at)),
            ..
        }) = &ca.account
        {
            let agreed = format!(
                "{}: terms agreed {}: {url}",
                ca.profile.name,
                context.day(*at)
            );
            page.plain(0, agreed);
        } else if let Some(terms) = ca.profile.notes.get("terms")
            && (!ca.used_by.is_empty() || used == 0)
        {
            page.plain(0, format!("{}: terms {terms}", ca.profile.name));
        }
    }
    page.hint(
        0,
        "`waxwing ca show NAME` has every field and where it comes from",
    );
    page.finish()
}

/// What an account there needs besides agreement.
fn credentials(profile: &CaProfile) -> &'static str {
    match (&profile.eab.source, profile.eab.required) {
        (EabSource::Given { .. }, _) => "given",
        (EabSource::Obtain(_), _) => "fetched by itself",
        (EabSource::None, true) => "missing: eab",
        (EabSource::None, false) => "none needed",
    }
}

/// The certificates that name it, and why it is none like the others; `short` where there is no room
/// for a reason.
fn used_by(ca: &Known, short: bool) -> String {
    let mut text = match ca.used_by.as_slice() {
        [] => "-".to_owned(),
        some => names(some, 3),
    };
    text.push_str(match (ca.profile.staging, ca.profile.may_charge, short) {
        (true, _, false) => " (staging: nobody trusts it)",
        (true, _, true) => " (staging)",
        (false, true, false) => " (may charge: never a fallback)",
        (false, true, true) => " (may charge)",
        (false, false, _) => "",
    });
    text
}

/// All CAs, for machines.
pub(crate) fn list_json(known: &[Known]) -> Value {
    let cas: Vec<Value> = known.iter().map(summary).collect();
    json!({ "cas": cas })
}

fn summary(ca: &Known) -> Value {
    let used_by: Vec<&str> = ca.used_by.iter().map(CertificateName::as_str).collect();
    json!({
        "name": ca.profile.name.as_str(),
        "title": ca.profile.title,
        "directories": ca.profile.directories,
        "staging": ca.profile.staging,
        "credentials_required": ca.profile.eab.required,
        "shipped": ca.shipped,
        "used_by": used_by,
        "terms_url": ca.profile.notes.get("terms"),
        "account": ca.account.as_ref().map(|account| json!({
            "url": account.url,
            "terms": account.terms.as_ref().map(|(url, at)| json!({
                "url": url,
                "agreed": at.to_string(),
            })),
        })),
    })
}

/// One CA, for people.
pub(crate) fn show(ca: &Known, context: &Context) -> String {
    let profile = &ca.profile;
    let mut page = Page::new(context);
    let head = Line::indented(0).ink(Ink::Strong, profile.name.as_str());
    let users = match ca.used_by.as_slice() {
        [] => "used by no certificate".to_owned(),
        some => format!("used by {}", names(some, 5)),
    };
    page.line(&head.text(format!("   {}   {users}", profile.title)));
    let mut table = Table::new(2, &[Align::Left; 3]).gap(2);
    let head = ["FIELD", "FROM", "VALUE"];
    table.row(head.map(|text| Cell::of(Ink::Quiet, text)).into());
    for field in fields(ca) {
        let (ink, from) = match field.from.as_str() {
            "shipped" | "default" | "" => (Ink::Quiet, field.from.as_str()),
            written => (Ink::Strong, written),
        };
        table.row(vec![
            Cell::plain(&field.key),
            Cell::of(ink, from),
            Cell::plain(shown(&field.value)),
        ]);
    }
    for line in table.lines() {
        page.line(&line);
    }
    for (name, note) in &profile.notes {
        let line = Line::indented(2).ink(Ink::Quiet, name).text("  ");
        page.line(&line.hang_here().text(note));
    }
    match &ca.account {
        None => page.plain(0, "No account there yet; the first renewal makes one."),
        Some(account) => {
            page.plain(0, format!("Account {}", account.url));
            if let Some((terms, at)) = &account.terms {
                page.plain(0, format!("Terms {terms}, agreed {}", context.day(*at)));
            }
        }
    }
    page.finish()
}

/// One CA, for machines.
pub(crate) fn show_json(ca: &Known) -> Value {
    let fields: Map<String, Value> = fields(ca)
        .into_iter()
        .map(|field| {
            let value = json!({ "value": field.value, "origin": field.from });
            (field.key, value)
        })
        .collect();
    let mut text = summary(ca);
    text["fields"] = Value::Object(fields);
    text["notes"] = json!(ca.profile.notes);
    text
}

/// A field of a profile.
struct Field {
    /// Its path below the profile.
    key: String,
    /// Null: not set.
    value: Value,
    /// `shipped`, `default`, or file and line; empty for what is not set.
    from: String,
}

/// Every field, in the order of the files.
fn fields(ca: &Known) -> Vec<Field> {
    let CaProfile {
        name: _,
        title,
        directories,
        staging,
        rehearse_at,
        trust,
        eab,
        caa,
        ari,
        profile,
        preferred_chain,
        lifetime,
        names,
        cert_keys,
        rate,
        limits,
        poll,
        quirks,
        may_charge,
        fallback,
        default_rank,
        origin,
        notes: _,
    } = &ca.profile;
    let source = match &eab.source {
        EabSource::None => Value::Null,
        EabSource::Given { key_id, hmac_key } => format!("key id {key_id}, key {hmac_key}").into(),
        EabSource::Obtain(obtain) => {
            let who = match (&obtain.email, &obtain.api_key) {
                (_, Some(key)) => format!(" with {key}"),
                (Some(email), None) => format!(" for {email}"),
                (None, None) => String::new(),
            };
            format!("{} {}{who}", obtain.method, obtain.url).into()
        }
    };
    let acme_profile = profile.as_ref().map(|profile| {
        let required = if profile.required { " (required)" } else { "" };
        format!("{}{required}", profile.name)
    });
    let pairs: Vec<(&'static str, Value)> = vec![
        ("title", json!(title)),
        ("directories", json!(directories)),
        ("staging", json!(staging)),
        (
            "rehearse-at",
            json!(rehearse_at.as_ref().map(ToString::to_string)),
        ),
        ("trust", json!(trust)),
        ("caa", json!(caa)),
        ("profile", json!(acme_profile)),
        ("preferred-chain", json!(preferred_chain)),
        ("may-charge", json!(may_charge)),
        ("fallback", json!(fallback)),
        ("default-rank", json!(default_rank)),
        ("eab.required", json!(eab.required)),
        ("eab.single-use", json!(eab.single_use)),
        ("eab.ttl", json!(eab.ttl.map(stretch))),
        ("eab.source", source),
        ("ari.enabled", json!(ari.enabled)),
        ("ari.replaces", json!(ari.replaces)),
        ("ari.hosts", json!(ari.hosts)),
        ("lifetime.default", json!(lifetime.default.map(stretch))),
        ("lifetime.max", json!(lifetime.max.map(stretch))),
        ("lifetime.not-after", json!(lifetime.not_after)),
        ("lifetime.ask", json!(lifetime.ask.map(stretch))),
        ("names.max", json!(names.max)),
        ("names.wildcard", json!(names.wildcard)),
        ("names.idn", json!(names.idn)),
        ("names.max-labels", json!(names.max_labels)),
        ("cert-keys", key_kinds(cert_keys)),
        ("rate.per-second", json!(rate.per_second)),
        ("rate.burst", json!(rate.burst)),
        ("rate.concurrent-orders", json!(rate.concurrent_orders)),
        ("rate.concurrent-requests", json!(rate.concurrent_requests)),
        ("poll.first", json!(stretch(poll.first))),
        ("poll.max", json!(stretch(poll.max))),
        ("poll.order", json!(stretch(poll.order))),
        ("poll.retry-after-cap", json!(stretch(poll.retry_after_cap))),
        ("quirks.contact-required", json!(quirks.contact_required)),
        ("quirks.key-change", json!(quirks.key_change)),
        ("quirks.account-keys", key_kinds(&quirks.account_keys)),
        (
            "quirks.challenge-retry",
            json!(quirks.challenge_retry.as_str()),
        ),
        ("quirks.wrong-ending", json!(quirks.wrong_ending)),
        ("quirks.formerly", json!(quirks.formerly)),
    ];
    let from = |key: &str, value: &Value| {
        // Credentials are put together from several keys; any that is written tells.
        let keys: &[&str] = match key {
            "eab.source" => &["eab.key-id", "eab.api-key", "eab.email", "eab.offers"],
            _ => &[key],
        };
        match keys.iter().find_map(|key| origin.get(*key)) {
            None if *value == Value::Null => String::new(),
            None => "default".to_owned(),
            Some(place) if place == "shipped" && !ca.shipped => "default".to_owned(),
            Some(place) => place.clone(),
        }
    };
    let pairs = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    let limits = LimitKind::ALL.into_iter().map(|kind| {
        let limit = limits.get(&kind).map(ToString::to_string);
        (format!("limits.{}", kind.as_str()), json!(limit))
    });
    pairs
        .chain(limits)
        .map(|(key, value)| Field {
            from: from(&key, &value),
            key,
            value,
        })
        .collect()
}

fn key_kinds(kinds: &[KeyType]) -> Value {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

/// A value as a person reads it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::profiles;

    use super::super::fixture::{ca, days, golden, golden_at, name};
    use super::*;

    fn known(text: &str) -> Known {
        let mut profile = profiles::template();
        profile.name = ca(text);
        profile.title = format!("The {text} CA");
        profile.directories = vec![format!("https://acme.{text}.example/directory")];
        Known {
            profile,
            used_by: Vec::new(),
            account: None,
            shipped: true,
        }
    }

    fn used(text: &str) -> Known {
        let mut known = known(text);
        known.used_by = vec![name("shop"), name("mail")];
        known.account = Some(KnownAccount {
            url: "https://acme.first.example/account/17".to_owned(),
            terms: Some((format!("https://{text}.example/terms.pdf"), days(-82))),
        });
        let origin = &mut known.profile.origin;
        origin.insert("poll.max".to_owned(), "waxwing.toml:14".to_owned());
        origin.insert("caa".to_owned(), "certs.d/first.toml:3".to_owned());
        known.profile.caa = (1..9)
            .map(|nth| format!("ca-{nth}.{text}.example"))
            .collect();
        known
            .profile
            .notes
            .insert("checked".to_owned(), "2026-11-01".to_owned());
        known
    }

    #[test]
    fn the_list_begins_with_what_is_used() {
        let mut staging = known("first-staging");
        staging.profile.staging = true;
        let mut dear = known("dear");
        dear.profile.may_charge = true;
        dear.profile.eab.required = true;
        let known = [used("first"), staging, dear];
        golden_at("ca-list.txt", &[120, 100, 80, 60], |context| {
            list(&known, context)
        });
    }

    #[test]
    fn a_profile_is_shown_with_the_origin_of_each_field() {
        golden("ca-show.txt", |context| show(&used("first"), context));
    }

    #[test]
    fn machines_get_the_value_and_the_origin_of_each_field() {
        let found = show_json(&used("first"));
        assert_eq!(
            found["fields"]["poll.max"],
            json!({ "value": "5s", "origin": "waxwing.toml:14" })
        );
        assert_eq!(found["fields"]["names.wildcard"]["origin"], "shipped");
        assert_eq!(found["used_by"], json!(["shop", "mail"]));
    }
}

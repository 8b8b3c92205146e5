//! `waxwing ca`: what the engine knows about each CA, and where each fact comes from.

use std::collections::BTreeMap;

use waxwing_core::ca::CaProfile;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::nearest::nearest;
use waxwing_core::profiles;
use waxwing_core::settings::Settings;
use waxwing_flow::ports::CertificateStore as _;

mod health;

pub(super) use health::watched;

use super::start;
use crate::args::{CaVerb, Global};
use crate::exit::Exit;
use crate::load::{self, LoadError, Loaded};
use crate::refusal::Refusal;
use crate::render::ca::{self, Known, KnownAccount};
use crate::render::json::Document;
use crate::render::terminal::Terminal;
use crate::wire;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    verb: &CaVerb,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    if let CaVerb::Health { cas, now } = verb {
        return health::run(global, cas, *now, terminal);
    }
    let loaded = match load::load_if_any(global) {
        // Whoever has not agreed to terms yet has to find them.
        Err(LoadError::Config(_)) if matches!(verb, CaVerb::List | CaVerb::Show { .. }) => {
            terminal.note("the configuration has mistakes, which `waxwing check` names: only what ships is shown");
            None
        }
        loaded => loaded?,
    };
    let known = known(loaded.as_ref());
    let now = start::now();
    let context = terminal.context(now);
    let text = match verb {
        CaVerb::List if terminal.json => {
            Document::new("ca list", now, ca::list_json(&known)).to_text()
        }
        CaVerb::List => ca::list(&known, &context),
        CaVerb::Health { .. } => String::new(),
        CaVerb::Show { name } => {
            let found = known
                .iter()
                .find(|known| known.profile.name.as_str() == name)
                .ok_or_else(|| unknown(name, &known))?;
            if terminal.json {
                Document::new("ca show", now, ca::show_json(found)).to_text()
            } else {
                ca::show(found, &context)
            }
        }
    };
    terminal.print(&text);
    Ok(Exit::Done)
}

/// The refusal of a CA that nobody has heard of.
fn unknown(name: &str, known: &[Known]) -> Refusal {
    unknown_ca(
        name,
        &known
            .iter()
            .map(|ca| ca.profile.name.as_str())
            .collect::<Vec<_>>(),
    )
}

/// The refusal of a name that is none of these CAs, with the one that was probably meant.
pub(super) fn unknown_ca(name: &str, known: &[&str]) -> Refusal {
    if name == profiles::TEMPLATE {
        let what = format!("{name} is no CA but what a CA of your own starts from");
        return Refusal::new(Exit::Usage, what).hint(
            "[ca.NAME] directories = [\"https://…\"], then `waxwing ca show NAME` shows every field",
        );
    }
    let refusal = Refusal::new(Exit::Usage, format!("no CA is called \"{name}\""))
        .cause(format!("known here: {}", known.join(", ")));
    match nearest(name, known.iter().copied()) {
        Some(near) => refusal.hint(format!("did you mean {near}?")),
        None => refusal.hint(format!(
            "a CA of your own: [ca.{name}] directories = [\"https://…\"]"
        )),
    }
}

/// Every CA with what this machine knows about it, those in use first, in their order.
fn known(loaded: Option<&Loaded>) -> Vec<Known> {
    let shipped = profiles::shipped();
    let profiles: BTreeMap<CaName, CaProfile> =
        loaded.map_or_else(|| shipped.clone(), |loaded| loaded.settings.cas.clone());
    let mut known: Vec<Known> = profiles
        .into_values()
        .map(|profile| Known {
            used_by: loaded.map_or_else(Vec::new, |l| users(&l.settings, &profile.name)),
            account: loaded.and_then(|loaded| account(loaded, &profile.name)),
            shipped: shipped.contains_key(&profile.name),
            profile,
        })
        .collect();
    known.sort_by_key(|known| {
        (
            known.used_by.is_empty(),
            known.profile.default_rank.unwrap_or(u32::MAX),
        )
    });
    known
}

/// The certificates that name the CA.
fn users(settings: &Settings, ca: &CaName) -> Vec<CertificateName> {
    let users = settings.certificates.iter();
    let users = users.filter(|certificate| certificate.cas.contains(ca));
    users.map(|certificate| certificate.name.clone()).collect()
}

/// The account at the CA. A state folder that cannot be read hides it, which is no reason to hide
/// the profile.
fn account(loaded: &Loaded, ca: &CaName) -> Option<KnownAccount> {
    let accounts = wire::look(loaded).ok()?.accounts(ca).ok()?;
    let record = accounts
        .into_iter()
        .find(|record| record.usable().is_some())?;
    Some(KnownAccount {
        url: record.kid?,
        terms: record.terms,
    })
}

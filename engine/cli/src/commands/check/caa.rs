//! Whether the owner of each name lets each CA of its list issue (RFC 8659).

use waxwing_core::caa::{self, CaaSet};
use waxwing_core::name::{CaName, DomainName};
use waxwing_core::settings::Settings;
use waxwing_flow::ports::{CertificateStore as _, PropagationProbe as _};
use waxwing_io::propagation::DnsProbe;
use waxwing_io::store::FileStore;

use super::WHO;
use crate::render::check::{Found, Verdict};
use crate::render::page::count;
use crate::render::progress::Live;

const TOPIC: &str = "CAA";

/// Looks up what the owners allow, and holds it against the CAs of the certificates.
/// The names in `silent` are not looked up again: that they cannot be is said already.
pub(super) async fn findings(
    settings: &Settings,
    store: &FileStore,
    mut silent: Vec<DomainName>,
    live: &Live,
) -> Vec<Found> {
    let probe = DnsProbe::new(&settings.network);
    let mut found = Vec::new();
    let mut sets: Vec<(DomainName, Option<CaaSet>)> = Vec::new();
    for certificate in &settings.certificates {
        for domain in certificate.domains.iter().map(|name| &name.domain) {
            if silent.contains(domain) || sets.iter().any(|(known, _)| known == domain) {
                continue;
            }
            let what = format!("looking up the CAA records of {domain}");
            match live.during(WHO, &what, None, probe.caa(domain)).await {
                Ok(set) => sets.push((domain.clone(), set)),
                Err(error) => {
                    silent.push(domain.clone());
                    let text = format!("{domain} cannot be looked up");
                    found.push(
                        Found::new(Verdict::Error, TOPIC, text)
                            .causes(error.causes)
                            .hint(error.hint),
                    );
                }
            }
        }
    }
    found.extend(judged(settings, &sets, &|ca| accounts(store, ca)));
    found
}

/// The URLs of the accounts at a CA.
fn accounts(store: &FileStore, ca: &CaName) -> Vec<String> {
    let known = store.accounts(ca).unwrap_or_default();
    known
        .into_iter()
        .filter_map(|account| account.kid)
        .collect()
}

/// What is forbidden, what is allowed, and what nobody can say. `accounts` gives the accounts at each CA.
fn judged(
    settings: &Settings,
    sets: &[(DomainName, Option<CaaSet>)],
    accounts: &dyn Fn(&CaName) -> Vec<String>,
) -> Vec<Found> {
    let mut found = Vec::new();
    let mut allowed = 0;
    let mut unjudged: Vec<&str> = Vec::new();
    for certificate in &settings.certificates {
        for identifier in &certificate.domains {
            let known = sets.iter().find(|(name, _)| *name == identifier.domain);
            let Some((_, set)) = known else {
                continue;
            };
            let Some(set) = set else {
                allowed += 1;
                continue;
            };
            let mut clear = true;
            for ca in &certificate.cas {
                let Some(profile) = settings.cas.get(ca) else {
                    continue;
                };
                let Some(ours) = profile.caa.first() else {
                    clear = false;
                    if !unjudged.contains(&ca.as_str()) {
                        unjudged.push(ca.as_str());
                    }
                    continue;
                };
                let Some(forbidden) = caa::forbids(set, identifier, &profile.caa) else {
                    let accounts = accounts(ca);
                    if let Some(how) = caa::binds(set, identifier, &profile.caa, &accounts) {
                        clear = false;
                        let at = &set.at;
                        let tag = caa::deciding_tag(set, identifier);
                        let text = format!("{at} lets {ca} issue {identifier} {how}");
                        let hint = match accounts.first() {
                            Some(account) => format!(
                                "{at}. CAA 0 {tag} \"{ours}; accounturi={account}\", or without what is behind the \
                                 sign ;"
                            ),
                            None => format!("{at}. CAA 0 {tag} \"{ours}\""),
                        };
                        found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
                    }
                    continue;
                };
                clear = false;
                let text = match forbidden.unknown {
                    Some(_) => format!("{}: {ca} would refuse {identifier}", forbidden.what()),
                    None => format!(
                        "{} lets {} issue: {ca} would refuse {identifier}",
                        forbidden.at,
                        forbidden.whom()
                    ),
                };
                let add = if forbidden.unknown.is_some() {
                    ""
                } else {
                    "add  "
                };
                let hint = format!("{add}{}", forbidden.remedy(ours));
                found.push(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint)));
            }
            allowed += usize::from(clear);
        }
    }
    if found.is_empty() && allowed > 0 {
        let text = format!("{} allowed at every CA named", count(allowed, "name"));
        found.push(Found::new(Verdict::Ok, TOPIC, text));
    }
    if !unjudged.is_empty() {
        let text = format!(
            "there are CAA records, and nobody can say whether they allow {}: the profile has no \
             `caa`",
            unjudged.join(", ")
        );
        let hint =
            "the values that the CA answers to, as its manual names them: caa = [\"ca.example\"]";
        found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned())));
    }
    found
}

//! How this network sees the zones of the configuration: a closed port 53 and split DNS are normal,
//! and each has its line in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use waxwing_core::name::{CaName, DomainName};
use waxwing_core::settings::{CertificateSettings, Propagation, Settings};
use waxwing_flow::ports::{Location, LookupError, PropagationProbe as _};
use waxwing_io::propagation::DnsProbe;
use waxwing_io::propagation::view::AskedServer;

use super::WHO;
use crate::render::check::{Found, Verdict};
use crate::render::page::{count, list};
use crate::render::progress::Live;

const TOPIC: &str = "DNS view";

/// Most names that are looked up together.
const WIDTH: usize = 16;

/// Where the records of all names go, as far as that was looked up.
pub(super) struct Looked {
    /// Each name, and a CA that looks at it from outside.
    pub(super) names: Vec<(DomainName, Option<CaName>, Result<Location, LookupError>)>,
    /// Names that nobody was asked about, since nothing was answered before.
    unasked: Vec<DomainName>,
}

impl Looked {
    /// Where the record of a name goes, if that is known.
    pub(super) fn location(&self, domain: &DomainName) -> Option<&Location> {
        let mut names = self.names.iter();
        let (.., location) = names.find(|(known, ..)| known == domain)?;
        location.as_ref().ok()
    }
}

/// Looks up where the record of each name goes.
pub(super) async fn look_up(settings: &Settings, live: &Live) -> Looked {
    let probe = DnsProbe::new(&settings.network);
    let mut names: Vec<(DomainName, Option<CaName>)> = Vec::new();
    for certificate in &settings.certificates {
        let outside = outside(settings, certificate);
        for domain in certificate.domains.iter().map(|one| &one.domain) {
            match names.iter_mut().find(|(known, _)| known == domain) {
                Some((_, by)) => *by = by.take().or_else(|| outside.clone()),
                None => names.push((domain.clone(), outside.clone())),
            }
        }
    }
    let all = names.len();
    let mut looked = Vec::new();
    let mut rest = names.into_iter();
    loop {
        let some: Vec<_> = rest.by_ref().take(WIDTH).collect();
        if some.is_empty() {
            break;
        }
        let what = format!(
            "looking up {} at {}, {} of them so far",
            count(all, "name"),
            probe.asked(),
            looked.len()
        );
        let looks = some.into_iter().map(async |(domain, outside)| {
            let location = probe.locate(&domain).await;
            (domain, outside, location)
        });
        looked.extend(live.during(WHO, &what, None, join_all(looks)).await);
        // Of a resolver that answers nothing more need not be asked.
        if nothing_came(looked.iter().map(|(.., looked)| looked)) {
            break;
        }
    }
    Looked {
        names: looked,
        unasked: rest.map(|(domain, _)| domain).collect(),
    }
}

/// What can be said of each zone, and the names that cannot be looked up at all.
pub(super) async fn findings(
    settings: &Settings,
    looked: Looked,
    live: &Live,
) -> (Vec<Found>, Vec<DomainName>) {
    match settings.network.propagation {
        Propagation::Wait(_) => {
            return (vec![unasked("nobody is asked, a time is waited")], vec![]);
        }
        Propagation::Resolvers => return (vec![unasked("the resolvers are asked")], vec![]),
        Propagation::Authoritative => {}
    }
    let probe = DnsProbe::new(&settings.network);
    let mut found = Vec::new();
    let mut silent: Vec<DomainName> = looked.unasked.clone();
    // Each zone with a name to ask about, and a CA that looks from outside.
    let mut zones: BTreeMap<DomainName, (DomainName, Option<CaName>)> = BTreeMap::new();
    // What many names have in common is said once.
    let mut failed: Vec<(LookupError, Vec<DomainName>)> = Vec::new();
    for (domain, outside, looked) in looked.names {
        match looked {
            Ok(location) => {
                if let Some(zone) = location.zone {
                    let (_, by) = zones.entry(zone).or_insert((location.fqdn, None));
                    *by = by.take().or(outside);
                }
            }
            Err(error) => {
                silent.push(domain.clone());
                let mut known = failed.iter_mut();
                match known.find(|(other, _)| other.causes == error.causes) {
                    Some((_, names)) => names.push(domain),
                    None => failed.push((error, vec![domain])),
                }
            }
        }
    }
    if let Some((_, names)) = failed.first_mut() {
        names.extend(looked.unasked);
    }
    for (error, names) in failed {
        let text = format!("{} cannot be looked up", list(&names, 3));
        found.push(
            Found::new(Verdict::Error, TOPIC, text)
                .causes(error.causes)
                .hint(error.hint),
        );
    }
    let mut good = Vec::new();
    for (zone, (fqdn, outside)) in zones {
        let what = format!("asking the name servers of {zone}");
        match live
            .during(WHO, &what, None, probe.ask_servers(&fqdn))
            .await
        {
            Ok(asked) => match judge(&zone, &asked, outside.as_ref()) {
                Some(trouble) => found.push(trouble),
                None => good.push(format!("{zone} ({})", count(asked.len(), "name server"))),
            },
            Err(error) => {
                let text = format!("the name servers of {zone} cannot be found");
                found.push(
                    Found::new(Verdict::Error, TOPIC, text)
                        .causes(error.causes)
                        .hint(error.hint),
                );
            }
        }
    }
    if !good.is_empty() {
        let text = format!("all name servers can be asked: {}", good.join(", "));
        found.insert(0, Found::new(Verdict::Ok, TOPIC, text));
    }
    (found, silent)
}

/// True if nobody has answered any of the first looks.
fn nothing_came<'l, T: 'l>(mut looked: impl Iterator<Item = &'l Result<T, LookupError>>) -> bool {
    looked.all(|one| one.as_ref().is_err_and(|error| error.silent))
}

fn unasked(how: &str) -> Found {
    let text = format!("{how}, as [network] propagation says");
    Found::new(Verdict::Ok, TOPIC, text)
}

/// A CA of the certificate that looks at the names from outside. One that is trusted by a root of
/// its own stands inside the network and sees what we see.
fn outside(settings: &Settings, certificate: &CertificateSettings) -> Option<CaName> {
    let mut cas = certificate.cas.iter();
    let public = |ca: &&CaName| settings.cas.get(*ca).is_some_and(|ca| ca.trust.is_none());
    cas.find(public).cloned()
}

/// What is wrong with the view of a zone; none if nothing is. `outside` is a CA that sees the zone
/// from outside.
fn judge(zone: &DomainName, asked: &[AskedServer], outside: Option<&CaName>) -> Option<Found> {
    // Who answers at one of its addresses is asked there.
    let servers: BTreeSet<&str> = asked.iter().map(|one| one.name.as_str()).collect();
    let answered = asked.iter().filter(|one| one.answered.is_ok());
    let answered: BTreeSet<&str> = answered.map(|one| one.name.as_str()).collect();
    let causes = || {
        let mute = asked
            .iter()
            .filter(|one| !answered.contains(one.name.as_str()));
        let cause = |one: &AskedServer| {
            let why = one.answered.as_ref().err().map_or("", String::as_str);
            format!("{}: {why}", one.server)
        };
        mute.map(cause).collect::<Vec<_>>()
    };
    let inside = asked.iter().find(|one| !one.public);
    if let (Some(inside), Some(ca)) = (inside, outside) {
        let text = format!(
            "{zone} is served here by {}, which the world cannot reach: {ca} sees another zone \
             (split DNS)",
            inside.server
        );
        let hint = "the CA sees the outside: [network] resolvers = [\"9.9.9.9:53\"]";
        return Some(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint.to_owned())));
    }
    if answered.is_empty() {
        let text = format!("no name server of {zone} can be asked from here: is port 53 closed?");
        let hint = "[network] propagation = \"resolvers\" asks the resolver of your network instead, by its address: \
                    resolvers = [\"10.0.0.53:53\"]; propagation = \"wait 120s\" asks nobody";
        return Some(
            Found::new(Verdict::Error, TOPIC, text)
                .causes(causes())
                .hint(Some(hint.to_owned())),
        );
    }
    if answered.len() == servers.len() {
        return None;
    }
    let text = format!(
        "{} of {} of {zone} cannot be asked from here",
        servers.len() - answered.len(),
        count(servers.len(), "name server")
    );
    // A record has to be seen on all of them.
    let hint = "each renewal waits for them and fails: take them out of the zone or let them be reached; [network] \
                propagation = \"resolvers\" and resolvers = [\"9.9.9.9:53\"], or that of your network, ask none of \
                them";
    let found = Found::new(Verdict::Error, TOPIC, text).causes(causes());
    Some(found.hint(Some(hint.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_and_a_split_zone_each_have_their_line() {
        let server = |name: &str, public, answers: bool| AskedServer {
            name: name.split(' ').next().unwrap_or_default().to_owned(),
            server: name.to_owned(),
            public,
            answered: answers
                .then_some(())
                .ok_or_else(|| "no answer in time".to_owned()),
        };
        let (good, mute) = (server("a", true, true), server("b", true, false));
        let inside = server("dc1 (10.0.0.5, private)", false, true);
        let zone = DomainName::parse("example.com").expect("a literal name");
        let ca = CaName::parse("first").expect("a literal name");
        let (public, private) = (Some(&ca), None);
        type Want<'a> = Option<(Verdict, &'a str)>;
        let table: [(&[AskedServer], Option<&CaName>, Want<'_>); 7] = [
            // At another of its addresses.
            (
                &[good.clone(), server("a (2001:db8::1)", true, false)],
                public,
                None,
            ),
            (&[good.clone(), good.clone()], public, None),
            (
                &[mute.clone(), mute.clone()],
                public,
                Some((Verdict::Error, "propagation = ")),
            ),
            (
                &[good.clone(), mute.clone()],
                public,
                Some((Verdict::Error, "propagation = ")),
            ),
            (
                &[inside.clone(), good],
                public,
                Some((Verdict::Error, "resolvers = ")),
            ),
            (std::slice::from_ref(&inside), private, None),
            (&[mute], private, Some((Verdict::Error, "propagation = "))),
        ];
        for (asked, outside, want) in table {
            let found = judge(&zone, asked, outside);
            let found = found.map(|found| (found.verdict, found.hint.unwrap_or_default()));
            match (found, want) {
                (None, None) => {}
                (Some((verdict, hint)), Some((wanted, part))) => {
                    assert_eq!(verdict, wanted);
                    assert!(hint.contains(part), "{hint}");
                }
                (found, want) => panic!("{asked:?}: {found:?} instead of {want:?}"),
            }
        }
    }
}

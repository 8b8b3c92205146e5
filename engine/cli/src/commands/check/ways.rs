//! IPv6: hosts that have addresses of both kinds, and a machine that has a way out by one of them.
//! Addresses of the names in certificates do not matter: records are looked at, not servers.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use waxwing_core::http::host_of;
use waxwing_core::settings::Settings;
use waxwing_io::http::{Reach, reach};

use super::WHO;
use crate::render::check::{Found, Verdict};
use crate::render::page::{count, list};
use crate::render::progress::Live;

const TOPIC: &str = "IPv6";

/// Where plugins may go.
const HTTPS: u16 = 443;

/// What is known of the hosts that a renewal talks to. Behind a proxy it is the proxy that looks them up.
pub(super) async fn findings(settings: &Settings, live: &Live) -> Vec<Found> {
    if settings.network.proxy.is_some() {
        return Vec::new();
    }
    let used = settings.used_cas();
    let cas = used.iter().filter_map(|ca| settings.cas.get(ca));
    let directories = cas.flat_map(|ca| &ca.directories);
    let mut hosts: BTreeSet<(String, u16)> = directories
        .map(|url| (host_of(url).to_owned(), port_of(url)))
        .collect();
    for plugin in settings.plugins.values() {
        let granted = plugin.grants.http.as_ref().map(|grant| &grant.hosts);
        let wanted = plugin.manifest.http.iter().flat_map(|want| &want.hosts);
        let all = granted
            .into_iter()
            .flatten()
            .chain(wanted.filter(|_| granted.is_none()));
        hosts.extend(
            all.filter(|host| !host.below)
                .map(|host| (host.host.clone(), HTTPS)),
        );
    }
    let looks = hosts.into_iter().map(async |(host, port)| {
        let reach = reach(&host, port).await;
        (host, reach)
    });
    let seen = live.during(WHO, "trying the ways out", None, join_all(looks));
    let mut seen = seen.await;
    seen.dedup_by(|a, b| a.0 == b.0);
    judge(&seen).into_iter().collect()
}

/// The port of a URL.
fn port_of(url: &str) -> u16 {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let port = authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(HTTPS)
}

/// Hosts that cannot be looked up are told of elsewhere.
fn judge(seen: &[(String, Reach)]) -> Option<Found> {
    let named = |is: &dyn Fn(&Reach) -> bool| {
        let all = seen.iter().filter(|(_, reach)| is(reach));
        all.map(|(host, _)| host.as_str()).collect::<Vec<_>>()
    };
    let v6 = named(&|reach| reach.v6.is_some());
    if v6.is_empty() {
        return None;
    }
    let lost = named(&|reach| reach.v6 == Some(false) && reach.v4 != Some(true));
    if !lost.is_empty() {
        let text = format!(
            "this machine has no way out by IPv6, and no other leads to {}",
            list(&lost, 3)
        );
        let hint = "a route for IPv6 (ip -6 route), or NAT64 and its resolver";
        return Some(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint.to_owned())));
    }
    let silent = named(&|reach| reach.v6_is_silent);
    if !silent.is_empty() {
        let alone = seen
            .iter()
            .any(|(_, reach)| reach.v6_is_silent && reach.v4 != Some(true));
        let text = format!(
            "nothing comes back by IPv6 from {}, though this machine has a route there{}",
            list(&silent, 3),
            if alone {
                ""
            } else {
                "; each first connection loses time before IPv4 is tried"
            }
        );
        let hint = "a route for IPv6 that works (ip -6 route), or IPv4 first (/etc/gai.conf)";
        let verdict = if alone { Verdict::Error } else { Verdict::Warn };
        return Some(Found::new(verdict, TOPIC, text).hint(Some(hint.to_owned())));
    }
    let only_v4 = named(&|reach| reach.v6 == Some(false));
    let text = if only_v4.is_empty() {
        let all = v6.len();
        format!(
            "a way out by IPv6, which {} {}; IPv4 is tried beside it",
            count(all, "host"),
            if all == 1 { "has" } else { "have" }
        )
    } else {
        format!(
            "no way out by IPv6; {} {} addresses of both kinds, so IPv4 is used",
            list(&only_v4, 3),
            if only_v4.len() == 1 { "has" } else { "have" }
        )
    };
    Some(Found::new(Verdict::Ok, TOPIC, text))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each kind.
    pub(in super::super) fn examples() -> Vec<Found> {
        let way = |name: &str, v4, v6, v6_is_silent| {
            let reach = Reach {
                v4,
                v6,
                v6_is_silent,
            };
            (name.to_owned(), reach)
        };
        let host = |name: &str, v4, v6| way(name, v4, v6, false);
        let (yes, no) = (Some(true), Some(false));
        [
            vec![host("a.example", yes, None), host("b.example", None, None)],
            vec![host("a.example", yes, yes), host("b.example", yes, None)],
            vec![host("a.example", yes, no)],
            vec![host("a.example", yes, no), host("b.example", None, no)],
            vec![host("a.example", no, no)],
            vec![
                way("a.example", yes, yes, true),
                host("b.example", yes, yes),
            ],
            vec![way("a.example", None, yes, true)],
        ]
        .iter()
        .filter_map(|seen| judge(seen))
        .collect()
    }

    #[test]
    fn a_missing_way_matters_only_where_there_is_no_other() {
        let verdicts: Vec<Verdict> = examples().iter().map(|one| one.verdict).collect();
        let (ok, warn, error) = (Verdict::Ok, Verdict::Warn, Verdict::Error);
        assert_eq!(verdicts, [ok, ok, error, error, warn, error]);
    }
}

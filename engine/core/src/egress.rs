//! Every host and port that a configuration can reach: what a firewall has to let out.
//!
//! What a newcomer gets wrong: a CA's directory may name other hosts than its own, and only the
//! directory knows them. So those of a copy are given, and a CA without one is named as open.

use std::collections::{BTreeMap, BTreeSet};

use crate::ca::{CaProfile, EabSource};
use crate::name::CaName;
use crate::notify::{Way, WebhookUrl};
use crate::settings::served_at::ServedHost;
use crate::settings::{Propagation, SecretRef, Settings};

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP; HTTPS through the proxy, if there is one.
    Https,
    /// TCP, never through a proxy.
    Tcp,
    /// UDP, and TCP for long answers.
    Dns,
}

impl Transport {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Dns => "udp+tcp",
        }
    }
}

/// Where something goes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name or an address.
    Named(String),
    /// Any name below this one.
    Below(String),
    /// The resolvers that the system has.
    SystemResolvers,
    /// The name servers of the zones of these names.
    NameServersOf(Vec<String>),
    /// A URL that is a secret.
    InSecret(String),
}

/// A place that can be reached, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Where.
    pub host: Host,
    /// At which port; none if a secret says.
    pub port: Option<u16>,
    /// How.
    pub transport: Transport,
    /// What for, in words; never empty, no doubles.
    pub purposes: Vec<String>,
    /// True if the way there is through the proxy.
    pub through_proxy: bool,
}

/// Everything that can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Egress {
    /// Each place once, in the order of the configuration: CAs, plugins, DNS, notifiers, looks.
    pub destinations: Vec<Destination>,
    /// The proxy that HTTPS goes through, as host and port.
    pub proxy: Option<(String, u16)>,
    /// Hosts that are reached without it, as `NO_PROXY` writes them.
    pub except: Vec<String>,
    /// CAs of whose directory there is no copy: it may name more hosts.
    pub unread: Vec<CaName>,
    /// Programs that are run and may reach what they like.
    pub programs: Vec<String>,
}

/// Works it out. `endpoints` are the URLs in the copies of the CAs' directories, `programs` those that
/// grants, notifiers and secrets name, `proxy` the URL of the proxy that HTTPS goes through. Which hosts
/// are reached without it nobody has asked yet: see [`Egress::but_for`].
pub fn egress(
    settings: &Settings,
    endpoints: &BTreeMap<CaName, Vec<String>>,
    programs: &[String],
    proxy: Option<&str>,
) -> Egress {
    let mut found = Collected::default();
    let mut unread = Vec::new();
    for (profile, rehearses) in cas(settings) {
        let ca = &profile.name;
        let what = if rehearses {
            format!("{ca}, for rehearsals")
        } else {
            format!("{ca}, the CA")
        };
        for url in &profile.directories {
            found.url(url, &what);
        }
        match endpoints.get(ca) {
            Some(urls) => urls.iter().for_each(|url| found.url(url, &what)),
            None => unread.push(ca.clone()),
        }
        if profile.ari.enabled {
            for host in &profile.ari.hosts {
                let what = format!("{ca}, when to renew");
                found.add(Host::Named(host.clone()), Some(443), Transport::Https, what);
            }
        }
        if let EabSource::Obtain(obtain) = &profile.eab.source {
            found.url(&obtain.url, &format!("{ca}, its credentials"));
        }
    }
    for plugin in settings.plugins.values() {
        let wants = plugin
            .manifest
            .effective_http(&plugin.source, &plugin.grants);
        for host in wants.iter().flat_map(|want| &want.hosts) {
            let to = if host.below {
                Host::Below(host.host.clone())
            } else {
                Host::Named(host.host.clone())
            };
            let what = format!("the plugin {}", plugin.name);
            found.add(to, Some(host.port), Transport::Https, what);
        }
    }
    dns(settings, &mut found);
    for notifier in settings.notify.values() {
        let what = format!("the notifier {}", notifier.name);
        match &notifier.way {
            Way::Mail(mail) => {
                let host = Host::Named(mail.server.host.clone());
                found.add(host, Some(mail.server.port), Transport::Tcp, what);
            }
            Way::Webhook(hook) => match &hook.url {
                WebhookUrl::Written(url) => found.url(url, &what),
                WebhookUrl::Secret(SecretRef::Command(_)) => {
                    let host = Host::InSecret("a program".to_owned());
                    found.add(host, None, Transport::Https, what);
                }
                WebhookUrl::Secret(reference) => {
                    let host = Host::InSecret(reference.to_string());
                    found.add(host, None, Transport::Https, what);
                }
            },
            Way::Command(_) | Way::Log => {}
        }
    }
    for certificate in &settings.certificates {
        for place in &certificate.served_at {
            let host = match &place.host {
                ServedHost::Name(name) => name.to_string(),
                ServedHost::Address(address) => address.to_string(),
            };
            let what = format!("is {} served there?", certificate.name);
            found.add(Host::Named(host), Some(place.port), Transport::Tcp, what);
        }
    }
    let proxy = proxy.and_then(host_and_port);
    for one in &mut found.0 {
        one.through_proxy = proxy.is_some() && one.transport == Transport::Https;
    }
    Egress {
        destinations: found.0,
        proxy,
        except: Vec::new(),
        unread,
        programs: programs.to_vec(),
    }
}

impl Egress {
    /// Leaves the proxy out where `goes_directly` says so of a host and its port. `except` are these
    /// hosts as the user wrote them.
    pub fn but_for(
        &mut self,
        except: Vec<String>,
        goes_directly: impl Fn(&str, Option<u16>) -> bool,
    ) {
        for one in &mut self.destinations {
            let host = match &one.host {
                Host::Named(host) => host,
                Host::Below(suffix) => suffix,
                _ => continue,
            };
            one.through_proxy &= !goes_directly(host, one.port);
        }
        self.except = except;
    }
}

/// The CAs that are asked, and those at which only rehearsals take place.
fn cas(settings: &Settings) -> Vec<(&CaProfile, bool)> {
    let used = settings.used_cas();
    let profile = |ca: &CaName| settings.cas.get(ca);
    let asked: Vec<&CaProfile> = used.iter().filter_map(profile).collect();
    let stages: BTreeSet<&CaName> = asked
        .iter()
        .filter_map(|ca| ca.rehearse_at.as_ref())
        .filter(|stage| !used.contains(stage))
        .collect();
    let stages = stages.into_iter().filter_map(profile);
    let asked = asked.iter().map(|ca| (*ca, false));
    asked.chain(stages.map(|ca| (ca, true))).collect()
}

fn dns(settings: &Settings, found: &mut Collected) {
    let network = &settings.network;
    let looks_up = "look-ups of records";
    // Whoever connects has the system find the address, whatever resolvers are named for records.
    let of_hosts = "addresses of the hosts in this list";
    let mut system = |what: &str| {
        found.add(
            Host::SystemResolvers,
            Some(53),
            Transport::Dns,
            what.to_owned(),
        );
    };
    system(of_hosts);
    if network.resolvers.is_empty() {
        system(looks_up);
    }
    for resolver in &network.resolvers {
        let host = Host::Named(resolver.ip().to_string());
        found.add(
            host,
            Some(resolver.port()),
            Transport::Dns,
            looks_up.to_owned(),
        );
    }
    if network.propagation == Propagation::Authoritative {
        let names: BTreeSet<String> = settings
            .certificates
            .iter()
            .flat_map(|certificate| &certificate.domains)
            .map(|identifier| identifier.domain.to_string())
            .collect();
        if !names.is_empty() {
            found.add(
                Host::NameServersOf(names.into_iter().collect()),
                Some(network.authoritative_port),
                Transport::Dns,
                "can a record be seen everywhere?".to_owned(),
            );
        }
    }
}

/// Places in the order in which they are named first.
#[derive(Default)]
struct Collected(Vec<Destination>);

impl Collected {
    fn add(&mut self, host: Host, port: Option<u16>, transport: Transport, purpose: String) {
        let same = |one: &&mut Destination| {
            one.host == host && one.port == port && one.transport == transport
        };
        match self.0.iter_mut().find(same) {
            Some(one) if one.purposes.contains(&purpose) => {}
            Some(one) => one.purposes.push(purpose),
            None => self.0.push(Destination {
                host,
                port,
                transport,
                purposes: vec![purpose],
                through_proxy: false,
            }),
        }
    }

    /// The host of a URL. One that is none names no place.
    fn url(&mut self, url: &str, purpose: &str) {
        if let Some((host, port)) = host_and_port(url) {
            let host = Host::Named(host);
            self.add(host, Some(port), Transport::Https, purpose.to_owned());
        }
    }
}

/// Host and port of a URL of HTTP; an address of IPv6 without its brackets.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (host, behind) = literal.split_once(']')?;
            (host, behind.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        None | Some("") => usual,
        Some(port) => port.parse().ok()?,
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_urls() {
        let check = |url, host: &str, port| {
            assert_eq!(host_and_port(url), Some((host.to_owned(), port)), "{url}");
        };
        check("https://ca.example/directory", "ca.example", 443);
        check("https://CA.example:14000", "ca.example", 14000);
        check("http://proxy.example:3128/", "proxy.example", 3128);
        check("http://proxy.example", "proxy.example", 80);
        check("https://[2001:db8::1]:8443/x", "2001:db8::1", 8443);
        check("https://[2001:db8::1]?x", "2001:db8::1", 443);
        check("https://user@ca.example:/x", "ca.example", 443);
        for none in ["ca.example", "https://", "ftp://a", "https://a:99999"] {
            assert_eq!(host_and_port(none), None, "{none}");
        }
    }

    #[test]
    fn a_place_is_named_once_with_all_it_is_for() {
        let mut found = Collected::default();
        found.url("https://ca.example/a", "one");
        found.url("https://ca.example/b", "two");
        found.url("https://ca.example/c", "one");
        found.url("https://ca.example:8443/c", "one");
        let purposes: Vec<_> = found.0.iter().map(|one| one.purposes.len()).collect();
        assert_eq!(purposes, [2, 1]);
    }
}

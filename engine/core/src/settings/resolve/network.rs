//! `[network]`

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::document::section::Section;
use crate::settings::raw::Raw;
use crate::settings::{NetworkSettings, Propagation, units};

/// The port of DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// What may be waited for records without looking at them. A provider that takes hours shows them
/// on its name servers, which can be asked.
const WAITS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(6 * 60 * 60);

pub(super) fn read(root: &Section<'_>, raw: &Raw) -> NetworkSettings {
    let mut network = NetworkSettings {
        proxy: None,
        resolvers: Vec::new(),
        authoritative_port: DNS_PORT,
        propagation: Propagation::Authoritative,
        trust: None,
    };
    let Some(section) = root.section("network") else {
        return network;
    };
    let proxy = section.parsed("proxy", "\"http://proxy.corp.example:3128\"", proxy);
    network.proxy = proxy.map(|proxy| proxy.value);
    for resolver in section
        .texts("resolvers", r#"["9.9.9.9:53"]"#)
        .map(|list| list.value)
        .unwrap_or_default()
    {
        match address(resolver.value) {
            Some(address) if address.port() == 0 => section.problems().add(
                section
                    .problem(
                        &resolver.at,
                        "resolvers",
                        format!("`{}` has the port 0; it is from 1 to 65535", resolver.value),
                    )
                    .hint(format!(
                        "resolvers = [\"{}\"]",
                        SocketAddr::new(address.ip(), DNS_PORT)
                    )),
            ),
            Some(address) => network.resolvers.push(address),
            None => section.problems().add(
                section
                    .problem(
                        &resolver.at,
                        "resolvers",
                        format!("`{}` is not an IP address with a port", resolver.value),
                    )
                    .hint(r#"resolvers = ["9.9.9.9:53", "[2620:fe::fe]:53"]"#),
            ),
        }
    }
    if let Some(port) = section.number("authoritative-port", 1..=65_535, "53") {
        network.authoritative_port = u16::try_from(port.value).unwrap_or(DNS_PORT);
    }
    if let Some(way) = section.parsed(
        "propagation",
        "\"authoritative\", \"resolvers\" or \"wait 120s\"",
        propagation,
    ) {
        network.propagation = way.value;
        if way.value == Propagation::Resolvers && network.resolvers.is_empty() {
            section.problems().add(
                section
                    .problem(&way.at, "propagation", "\"resolvers\" needs a list of them")
                    .hint("resolvers = [\"9.9.9.9:53\"]"),
            );
        }
    }
    network.trust = section.path_value("trust", "\"/etc/ssl/proxy-root.pem\"", |at| raw.folder(at));
    section.finish(&[("dns", "resolvers = [\"9.9.9.9:53\"]")]);
    network
}

/// An address with or without a port.
fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        let ip: IpAddr = text.parse().ok()?;
        Some(SocketAddr::new(ip, DNS_PORT))
    })
}

fn proxy(text: &str) -> Result<String, String> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match rest {
        Some(rest) if rest.contains('@') => {
            Err("a user and password may not stand in the configuration".to_owned())
        }
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        // It may have a password in it.
        _ if text.contains('@') => Err("this is not the URL of a proxy".to_owned()),
        _ => Err(format!("`{text}` is not the URL of a proxy")),
    }
}

fn propagation(text: &str) -> Result<Propagation, String> {
    match text {
        "authoritative" => Ok(Propagation::Authoritative),
        "resolvers" => Ok(Propagation::Resolvers),
        _ => match text.strip_prefix("wait ") {
            Some(time) => match units::duration(time)? {
                wait if WAITS.contains(&wait) => Ok(Propagation::Wait(wait)),
                _ => Err(format!(
                    "`{text}` is out of range: a wait is from 1s to 6h, and an order does not wait \
                     for ever"
                )),
            },
            None => Err(format!(
                "`{text}` is none of \"authoritative\", \"resolvers\" and \"wait 120s\""
            )),
        },
    }
}

//! The servers that count, and what their answers say together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use hickory_resolver::TokioResolver;
use waxwing_core::name::DomainName;
use waxwing_flow::ports::{Addresses, ServerView};

use super::ask::{self, Answer};
use crate::http::check_address;

/// A name server with all its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name without the final dot, or its address.
    pub(super) name: String,
    pub(super) addresses: Vec<SocketAddr>,
    /// Why there are no addresses.
    pub(super) missing: Option<String>,
}

impl Server {
    /// A resolver, which has an address and no name.
    pub(super) fn resolver(address: SocketAddr) -> Self {
        Self {
            name: address.to_string(),
            addresses: vec![address],
            missing: None,
        }
    }

    /// Its name and one of its addresses, for people. An address that the world cannot reach says
    /// so, since then this network has a view of the zone that the CA has not.
    pub(super) fn label(&self, address: SocketAddr) -> String {
        let port = if address.port() == 53 {
            String::new()
        } else {
            format!(":{}", address.port())
        };
        let kind = match check_address(&Addresses::PublicAnd(Vec::new()), address.ip()) {
            Ok(()) => String::new(),
            Err(special) => format!(", {}", special.kind),
        };
        if self.name == address.to_string() {
            format!("{}{port}{kind}", address.ip())
        } else {
            format!("{} ({}{port}{kind})", self.name, address.ip())
        }
    }
}

/// Finds the addresses of a server, given as its name, its address, or address and port.
pub(super) async fn find(resolver: &TokioResolver, name: String, port: u16) -> Server {
    let name = name.trim_end_matches('.').to_owned();
    if let Ok(address) = name.parse::<SocketAddr>() {
        return Server::resolver(address);
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return Server {
            name,
            addresses: vec![SocketAddr::new(address, port)],
            missing: None,
        };
    }
    let parsed = match DomainName::parse(&name) {
        Ok(parsed) => parsed,
        Err(cause) => {
            return Server {
                name,
                addresses: Vec::new(),
                missing: Some(cause.to_string()),
            };
        }
    };
    let (addresses, missing) = match ask::addresses(resolver, &parsed).await {
        Ok(none) if none.is_empty() => (Vec::new(), Some("it has no address".to_owned())),
        Ok(found) => (found, None),
        Err(no) => (
            Vec::new(),
            Some(format!("its address cannot be looked up: {no}")),
        ),
    };
    let addresses = addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    Server {
        name,
        addresses,
        missing,
    }
}

/// Leaves out the IPv6 addresses on a host without IPv6, unless nothing else is left: a server is
/// not behind because this host cannot reach it that way.
pub(super) fn reachable(mut servers: Vec<Server>) -> Vec<Server> {
    let mut addresses = servers.iter().flat_map(|server| &server.addresses);
    if addresses.any(SocketAddr::is_ipv4) && !has_route_v6() {
        for server in &mut servers {
            let had_some = !server.addresses.is_empty();
            server.addresses.retain(SocketAddr::is_ipv4);
            if had_some && server.addresses.is_empty() {
                tracing::debug!(
                    server = server.name,
                    "has IPv6 only and is not asked from here"
                );
            }
        }
        servers.retain(|server| !server.addresses.is_empty() || server.missing.is_some());
    }
    servers
}

/// Whether there is a way to the IPv6 internet. Connecting a UDP socket sends nothing; it only
/// asks the system for a route.
fn has_route_v6() -> bool {
    let somewhere = Ipv6Addr::new(0x2001, 0x500, 0x2, 0, 0, 0, 0, 0xc);
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((somewhere, 53)))
        .is_ok()
}

/// One view for each address that says something about the record.
///
/// An address that fails is left out if the same server answered at another one: it is the same
/// data, and the fault is of the way there.
pub(super) fn views(
    servers: Vec<Server>,
    answers: Vec<Vec<(SocketAddr, Answer)>>,
    value: &str,
) -> Vec<ServerView> {
    let mut views = Vec::new();
    for (server, answers) in servers.into_iter().zip(answers) {
        if let Some(cause) = &server.missing {
            views.push(ServerView {
                server: server.name.clone(),
                sees: Err(cause.clone()),
            });
        }
        let answered = answers.iter().any(|(_, answer)| answer.is_ok());
        for (address, answer) in answers {
            let sees = match answer {
                Ok(values) => Ok(values.iter().any(|seen| seen == value.as_bytes())),
                Err(_) if answered => continue,
                Err(no) => Err(no.to_string()),
            };
            views.push(ServerView {
                server: server.label(address),
                sees,
            });
        }
    }
    views
}

#[cfg(test)]
mod tests {
    use super::super::ask::NoAnswer;
    use super::*;

    fn server(name: &str, addresses: &[&str]) -> Server {
        let addresses = addresses
            .iter()
            .map(|a| a.parse().expect("an address"))
            .collect();
        Server {
            name: name.to_owned(),
            addresses,
            missing: None,
        }
    }

    #[test]
    fn a_server_that_answers_at_one_address_is_not_held_up_by_another() {
        let servers = vec![server(
            "ns1.example.net",
            &["9.9.9.9:53", "[2620:fe::fe]:53"],
        )];
        let silent = || Err(NoAnswer::Silent("no answer in time".to_owned()));
        let at = servers[0].addresses.clone();
        let check = |first: Answer, second: Answer, want: &[(&str, Result<bool, String>)]| {
            let answers = vec![vec![(at[0], first), (at[1], second)]];
            let views: Vec<_> = views(servers.clone(), answers, "value")
                .into_iter()
                .map(|view| (view.server, view.sees))
                .collect();
            let want: Vec<_> = want
                .iter()
                .map(|(s, v)| ((*s).to_owned(), v.clone()))
                .collect();
            assert_eq!(views, want);
        };
        let v4 = "ns1.example.net (9.9.9.9)";
        let v6 = "ns1.example.net (2620:fe::fe)";
        let shows = || Ok(vec![b"other".to_vec(), b"value".to_vec()]);
        check(shows(), silent(), &[(v4, Ok(true))]);
        check(silent(), Ok(Vec::new()), &[(v6, Ok(false))]);
        check(shows(), Ok(Vec::new()), &[(v4, Ok(true)), (v6, Ok(false))]);
        let mute = || Err("no answer in time".to_owned());
        check(silent(), silent(), &[(v4, mute()), (v6, mute())]);
    }

    #[test]
    fn labels_tell_addresses_that_the_world_cannot_reach() {
        let table = [
            (
                "dc1.corp.example",
                "10.0.0.5:53",
                "dc1.corp.example (10.0.0.5, private)",
            ),
            ("ns1.example.net", "9.9.9.9:53", "ns1.example.net (9.9.9.9)"),
            (
                "ns1.example.net",
                "127.0.0.1:5353",
                "ns1.example.net (127.0.0.1:5353, loopback)",
            ),
            ("9.9.9.9:53", "9.9.9.9:53", "9.9.9.9"),
        ];
        for (name, address, want) in table {
            let label = server(name, &[]).label(address.parse().expect("an address"));
            assert_eq!(label, want);
        }
    }
}

//! Whether a host was not reached because this machine reaches nobody.
//!
//! What a newcomer gets wrong: of a host with addresses of both kinds, one error comes back, and it may
//! be that of the kind which this machine never had a route for, while the other was refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use waxwing_core::http::TransportStage;

use super::failure::Failed;
use crate::propagation;

/// How far a request got that failed in this way, after a closer look at the way out.
pub(super) async fn judge(failed: &Failed, found: &[SocketAddr]) -> TransportStage {
    match (failed.stage, &failed.unknown) {
        (TransportStage::Route, _) if another_way(found, has_route) => TransportStage::Connect,
        (TransportStage::Dns, Some(host)) if !propagation::some_resolver_answers(host).await => {
            TransportStage::Resolver
        }
        (stage, _) => stage,
    }
}

/// The ways to a host. None: it has no address of that kind; false: it has, and this machine would not
/// know where to send a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// By IPv4.
    pub v4: Option<bool>,
    /// By IPv6.
    pub v6: Option<bool>,
    /// True if there is a way by IPv6, and nothing comes back.
    pub v6_is_silent: bool,
}

/// So long an answer by IPv6 is waited for.
const SILENT: Duration = Duration::from_secs(3);

/// Looks a host up and asks this machine for the way there. By IPv6 it is tried: a route that leads nowhere is
/// what is usually wrong with it.
pub async fn reach(host: &str, port: u16) -> Reach {
    let found = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(literal) => vec![literal],
        Err(_name) => match tokio::net::lookup_host((host, port)).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(_unknown) => Vec::new(),
        },
    };
    let by = |is: fn(&IpAddr) -> bool| {
        let mut all = found.iter().copied().filter(is).peekable();
        all.peek().is_some().then(|| all.any(has_route))
    };
    let v6 = by(IpAddr::is_ipv6);
    let tried = found.iter().find(|address| address.is_ipv6());
    let v6_is_silent = match tried.filter(|_| v6 == Some(true)) {
        Some(address) => is_silent((*address, port).into()).await,
        None => false,
    };
    Reach {
        v4: by(IpAddr::is_ipv4),
        v6,
        v6_is_silent,
    }
}

/// True if a connection neither comes about nor is refused.
async fn is_silent(address: SocketAddr) -> bool {
    let connected = tokio::net::TcpStream::connect(address);
    match tokio::time::timeout(SILENT, connected).await {
        Ok(Ok(_stream)) => false,
        Ok(Err(cause)) => cause.kind() != std::io::ErrorKind::ConnectionRefused,
        Err(_elapsed) => true,
    }
}

/// True if there are addresses of both kinds and a route to one of them.
fn another_way(found: &[SocketAddr], has_route: impl Fn(IpAddr) -> bool) -> bool {
    let both = found.iter().any(SocketAddr::is_ipv4) && found.iter().any(SocketAddr::is_ipv6);
    both && found.iter().any(|address| has_route(address.ip()))
}

/// Whether this machine would know where to send a packet; none is sent.
fn has_route(to: IpAddr) -> bool {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect((to, 443)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_two_kinds_of_addresses_is_out_of_reach_only_in_both() {
        let v4 = SocketAddr::from(([192, 0, 2, 1], 0));
        let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 0));
        let check = |found: &[SocketAddr], only_v4: bool, other: bool| {
            let has = |ip: IpAddr| only_v4 && ip.is_ipv4();
            assert_eq!(another_way(found, has), other, "{found:?} {only_v4}");
        };
        // The error is that of the one kind there is.
        check(&[v4], true, false);
        check(&[v6], true, false);
        check(&[], true, false);
        // It may be that of the kind without a route, while the other was refused.
        check(&[v4, v6], true, true);
        check(&[v6, v4], true, true);
        check(&[v4, v6], false, false);
    }

    #[test]
    fn there_is_always_a_way_to_oneself() {
        assert!(has_route(Ipv4Addr::LOCALHOST.into()));
    }
}

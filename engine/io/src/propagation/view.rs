//! How this network sees the name servers of a zone: whether they can be asked from here at all, and
//! whether they are those that the world asks.

use std::net::SocketAddr;

use futures_util::future::join_all;
use waxwing_core::name::DomainName;
use waxwing_flow::plugin::PropagationHint;
use waxwing_flow::ports::{Addresses, LookupError};

use super::DnsProbe;
use super::ask::{self, Recursion};
use crate::http::check_address;

/// One address of a name server, asked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedServer {
    /// Its name.
    pub name: String,
    /// Its name and address, for people.
    pub server: String,
    /// True if the world can reach the address: it is neither private nor otherwise special.
    pub public: bool,
    /// Whether it answered, or why not.
    pub answered: Result<(), String>,
}

impl DnsProbe {
    /// Asks every name server of the zone that holds `fqdn` once, without recursion. What the
    /// answer says does not count, only that there is one.
    ///
    /// # Errors
    /// When the servers cannot be found.
    pub async fn ask_servers(&self, fqdn: &DomainName) -> Result<Vec<AskedServer>, LookupError> {
        let found = self
            .authoritative(fqdn, &PropagationHint::default())
            .await?;
        let manner = self.manner(Recursion::Off);
        let asked = found.into_iter().map(|server| async move {
            if let Some(cause) = server.missing {
                return vec![AskedServer {
                    name: server.name.clone(),
                    server: server.name,
                    public: true,
                    answered: Err(cause),
                }];
            }
            let one = |address: SocketAddr| {
                let (label, public) = (server.label(address), is_public(address));
                let name = server.name.clone();
                async move {
                    let answer = ask::texts(address, manner, fqdn).await;
                    AskedServer {
                        name,
                        server: label,
                        public,
                        answered: answer.map(drop).map_err(|no| no.to_string()),
                    }
                }
            };
            join_all(server.addresses.iter().copied().map(one)).await
        });
        Ok(join_all(asked).await.into_iter().flatten().collect())
    }
}

fn is_public(address: SocketAddr) -> bool {
    check_address(&Addresses::PublicAnd(Vec::new()), address.ip()).is_ok()
}

#[cfg(test)]
mod tests {
    use waxwing_core::settings::Propagation;
    use waxwing_world::dns::Manner as Behaviour;

    use super::super::tests::{name, probe, world};
    use super::*;

    #[tokio::test]
    async fn every_server_is_asked_and_its_address_judged() {
        let world = world(2);
        let mut probe = probe(&world, Propagation::Authoritative);
        probe.patience = std::time::Duration::from_millis(200);
        world.dns().behave(1, Behaviour::Silent);
        let asked = probe.ask_servers(&name("www.example.com")).await;
        let asked = asked.expect("the servers are found");
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|one| !one.public), "loopback: {asked:?}");
        let answered = asked.iter().filter(|one| one.answered.is_ok()).count();
        assert_eq!(answered, 1, "{asked:?}");
    }

    #[test]
    fn addresses_that_the_world_cannot_reach_are_not_public() {
        for (address, want) in [
            ("9.9.9.9:53", true),
            ("10.0.0.5:53", false),
            ("127.0.0.1:53", false),
            ("[fd00::1]:53", false),
        ] {
            assert_eq!(is_public(address.parse().expect("an address")), want);
        }
    }
}

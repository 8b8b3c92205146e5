//! Asks the DNS whether the world can see a record: every authoritative server of its zone, one by
//! one, without recursion and without a cache.
//!
//! What a newcomer gets wrong: a caching resolver is the wrong one to ask. It remembers the answer
//! from before the record was there, and it speaks for one of the zone's servers while the CA may
//! ask another. Resolvers find the servers here; the servers give the verdict.

mod ask;
mod caa;
mod dnssec;
mod servers;
pub mod view;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use hickory_proto::rr::RecordType;
use hickory_resolver::TokioResolver;
use waxwing_core::caa::CaaSet;
use waxwing_core::name::DomainName;
use waxwing_core::settings::{NetworkSettings, Propagation};
use waxwing_flow::plugin::PropagationHint;
use waxwing_flow::ports::{Location, LookupError, PropagationProbe, ServerView};

use ask::{Answer, Manner, NoAnswer, Recursion};
use servers::Server;

/// Longest chain of aliases that is followed. Public resolvers stop at 8 to 16.
const MOST_ALIASES: usize = 12;

/// Time for one try of a question whose answer does not matter.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// Time for one try of one question.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether one of the system's resolvers is there and reaches the world: it says something about this
/// host, if only that there is none, or it knows the root.
pub(crate) async fn some_resolver_answers(host: &str) -> bool {
    let manner = Manner {
        recursion: Recursion::Wanted,
        patience: SHORT_PATIENCE,
    };
    let Ok(resolver) = ask::system(manner) else {
        return false;
    };
    match ask::says_something(&resolver, host).await {
        Ok(()) => true,
        // A resolver of this machine that is cut off itself answers so for every name. Some names, such
        // as those of the local network, are not for a resolver at all.
        Err(NoAnswer::Code(_) | NoAnswer::Other(_)) => {
            ask::says_something(&resolver, ".").await.is_ok()
        }
        Err(NoAnswer::Silent(_)) => false,
    }
}

/// Looks with the settings of `[network]`.
#[derive(Debug, Clone)]
pub struct DnsProbe {
    /// Empty: the system's.
    resolvers: Vec<SocketAddr>,
    authoritative_port: u16,
    propagation: Propagation,
    patience: Duration,
}

impl DnsProbe {
    /// A probe that asks the resolvers and servers that `[network]` names.
    pub fn new(network: &NetworkSettings) -> Self {
        Self {
            resolvers: network.resolvers.clone(),
            authoritative_port: network.authoritative_port,
            propagation: network.propagation,
            patience: PATIENCE,
        }
    }

    /// The resolver that finds zones and servers. It is made for each look, so that a network that
    /// changes while a daemon runs is noticed.
    fn resolver(&self, about: &DomainName) -> Result<TokioResolver, LookupError> {
        let manner = self.manner(Recursion::Wanted);
        let made = match self.resolvers.as_slice() {
            [] => ask::system(manner),
            resolvers => ask::resolver(resolvers, manner),
        };
        made.map_err(|no| self.failed(about, "the resolver cannot be set up", &no))
    }

    const fn manner(&self, recursion: Recursion) -> Manner {
        Manner {
            recursion,
            patience: self.patience,
        }
    }

    /// The resolvers that are asked.
    fn addresses(&self) -> Vec<SocketAddr> {
        match self.resolvers.as_slice() {
            [] => ask::system_servers(),
            resolvers => resolvers.to_vec(),
        }
    }

    /// Which resolvers are meant, for messages.
    pub fn asked(&self) -> String {
        let list: Vec<String> = match self.resolvers.as_slice() {
            [] => ask::system_servers()
                .iter()
                .map(|server| server.ip().to_string())
                .collect(),
            resolvers => resolvers.iter().map(ToString::to_string).collect(),
        };
        if list.is_empty() {
            "the system's resolver".to_owned()
        } else {
            list.join(", ")
        }
    }

    fn failed(&self, name: &DomainName, what: &str, no: &NoAnswer) -> LookupError {
        let hint = match no {
            NoAnswer::Silent(_) => Some(format!(
                "{} does not answer: it cannot be reached from here, or the name servers behind it are silent; [network] \
                 resolvers = [\"ADDRESS:53\"] sets another",
                self.asked()
            )),
            NoAnswer::Code(_) => Some(format!(
                "the zone of {name} may be broken or shown differently inside this network: \
                 [network] resolvers sets a resolver that sees what the CA sees"
            )),
            NoAnswer::Other(_) => None,
        };
        LookupError {
            name: name.to_string(),
            bogus: false,
            silent: matches!(no, NoAnswer::Silent(_)),
            causes: vec![format!("{what} (asked {})", self.asked()), no.to_string()],
            hint,
        }
    }

    /// The end of the chain of aliases that begins at `name`.
    async fn follow(
        &self,
        resolver: &TokioResolver,
        name: DomainName,
    ) -> Result<DomainName, LookupError> {
        let mut seen = BTreeSet::new();
        let mut at = name.clone();
        loop {
            if !seen.insert(at.clone()) || seen.len() > MOST_ALIASES {
                return Err(LookupError {
                    name: name.to_string(),
                    bogus: false,
                    silent: false,
                    causes: vec![format!(
                        "its CNAME records go on for more than {MOST_ALIASES} steps or in a circle, \
                         through {at}"
                    )],
                    hint: Some(format!("look at the CNAME record of {name}")),
                });
            }
            let target = match ask::alias(resolver, &at).await {
                Ok(target) => target,
                Err(no) => {
                    let what = "its CNAME cannot be looked up";
                    return Err(self.explained(&at, what, &no, RecordType::SOA).await);
                }
            };
            match target {
                None => return Ok(at),
                Some(target) => {
                    at = DomainName::parse(&target).map_err(|cause| LookupError {
                        name: at.to_string(),
                        bogus: false,
                        silent: false,
                        causes: vec![format!("its CNAME is no name: {cause}")],
                        hint: Some(format!("look at the CNAME record of {at}")),
                    })?;
                }
            }
        }
    }

    /// The apex of the zone that holds `name`: the nearest name upwards that has a SOA record.
    async fn zone(
        &self,
        resolver: &TokioResolver,
        name: &DomainName,
    ) -> Result<Option<DomainName>, LookupError> {
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            let answer = ask::apex(resolver, &candidate).await;
            let apex = answer
                .map_err(|no| self.failed(&candidate, "its zone cannot be looked up", &no))?;
            // A server may name the zone at once. A zone that does not hold the name is a slip.
            let apex = apex.and_then(|apex| DomainName::parse(&apex).ok());
            if let Some(apex) = apex.filter(|apex| name.is_within(apex)) {
                return Ok(Some(apex));
            }
            at = candidate.parent();
        }
        Ok(None)
    }

    /// Asks every address of every server at once.
    async fn verdict(
        &self,
        servers: Vec<Server>,
        recursion: Recursion,
        fqdn: &DomainName,
        value: &str,
    ) -> Vec<ServerView> {
        let manner = self.manner(recursion);
        let answers = servers.iter().map(|server| async move {
            let asked = server
                .addresses
                .iter()
                .map(|address| async move { (*address, ask::texts(*address, manner, fqdn).await) });
            join_all(asked).await
        });
        let answers: Vec<Vec<(SocketAddr, Answer)>> = join_all(answers).await;
        servers::views(servers, answers, value)
    }
}

#[async_trait]
impl PropagationProbe for DnsProbe {
    async fn locate(&self, identifier: &DomainName) -> Result<Location, LookupError> {
        let challenge = identifier.challenge_name();
        let located = async {
            let resolver = self.resolver(&challenge)?;
            let fqdn = self.follow(&resolver, challenge.clone()).await?;
            let zone = self.zone(&resolver, &fqdn).await?;
            Ok(Location { fqdn, zone })
        };
        match located.await {
            // Where the DNS is closed the operator chose to wait blindly, so that a failure here
            // must not end the run. An alias then stays unknown.
            Err(error) if matches!(self.propagation, Propagation::Wait(_)) => {
                tracing::warn!(%error, "CNAME records are not followed");
                Ok(Location {
                    fqdn: challenge,
                    zone: None,
                })
            }
            located => located,
        }
    }

    async fn caa(&self, name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        self.caa_set(name).await
    }

    async fn look(
        &self,
        fqdn: &DomainName,
        value: &str,
        hint: &PropagationHint,
    ) -> Result<Vec<ServerView>, LookupError> {
        match self.propagation {
            Propagation::Wait(_) => Ok(Vec::new()),
            Propagation::Resolvers => {
                let servers = self.addresses().into_iter().map(Server::resolver).collect();
                Ok(self.verdict(servers, Recursion::Wanted, fqdn, value).await)
            }
            Propagation::Authoritative => {
                let servers = self.authoritative(fqdn, hint).await?;
                Ok(self.verdict(servers, Recursion::Off, fqdn, value).await)
            }
        }
    }
}

impl DnsProbe {
    /// The servers of the zone of `fqdn`, or those that the provider names.
    async fn authoritative(
        &self,
        fqdn: &DomainName,
        hint: &PropagationHint,
    ) -> Result<Vec<Server>, LookupError> {
        let resolver = self.resolver(fqdn)?;
        let names = if hint.nameservers.is_empty() {
            let zone = self
                .zone(&resolver, fqdn)
                .await?
                .ok_or_else(|| LookupError {
                    name: fqdn.to_string(),
                    bogus: false,
                    silent: false,
                    causes: vec![
                        "no zone holds it: there is no SOA record up to the root".to_owned(),
                    ],
                    hint: Some(format!(
                        "check that the domain of {fqdn} is registered and delegated"
                    )),
                })?;
            let names = ask::name_servers(&resolver, &zone).await;
            names.map_err(|no| self.failed(&zone, "its name servers cannot be looked up", &no))?
        } else {
            hint.nameservers.clone()
        };
        let found = names
            .into_iter()
            .map(|name| servers::find(&resolver, name, self.authoritative_port));
        let servers = servers::reachable(join_all(found).await);
        if servers.is_empty() {
            return Err(LookupError {
                name: fqdn.to_string(),
                bogus: false,
                silent: false,
                causes: vec!["its zone has no name servers".to_owned()],
                hint: Some(format!("check the delegation of the zone of {fqdn}")),
            });
        }
        Ok(servers)
    }
}

#[cfg(test)]
mod tests;

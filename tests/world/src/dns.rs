//! Authoritative name servers for the world's zones, which answer recursive questions as well.
//!
//! Every server listens on the same port of its own loopback address, over UDP and TCP, because a
//! client is told one port for all of them. They share the records but not the moment at which they
//! show them: a server can lag. The first one doubles as the recursive resolver of tests and of
//! Pebble (`-dnsserver`).

mod ask;
mod quoting;
mod serve;
mod zones;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::{A, CAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData};

use crate::guarded::Guarded;
use crate::runtime::{Runtime, Task};

pub(crate) use ask::ask;
pub(crate) use quoting::{quote, unquote};
pub(crate) use zones::Zones;

/// How many addresses are tried for a port that is free on all of them, over UDP and TCP.
const PORT_ATTEMPTS: usize = 32;

/// What the name servers are to hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) zones: Vec<String>,
    /// How many servers; zero stands for one.
    pub(crate) servers: u8,
    /// Where they are instead of loopback and a port of the system's choice.
    pub(crate) at: Option<(Vec<Ipv4Addr>, u16)>,
}

/// The name servers of a world.
#[derive(Debug)]
pub struct Dns {
    zones: Guarded<Zones>,
    servers: Vec<SocketAddr>,
    _tasks: Vec<Task>,
    _runtime: Arc<Runtime>,
}

/// Names one record, to remove it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub(crate) u64);

/// How long a server goes on without a TXT record that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Until it has answered so many TXT questions about the name without it.
    Queries(usize),
    /// For this time, counted from the addition.
    Time(Duration),
}

/// How a server treats whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// It answers.
    #[default]
    Answers,
    /// It reads questions and says nothing.
    Silent,
    /// It answers SERVFAIL.
    Fails,
    /// It answers REFUSED.
    Refuses,
    /// It answers over UDP only that it has more to say, so that one has to come back over TCP.
    Truncates,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which server was asked, counted from zero.
    pub server: usize,
    /// The name, in lower case and without the last dot.
    pub name: String,
    /// The record type, such as `TXT`.
    pub kind: String,
    /// Whether it came over TCP.
    pub tcp: bool,
}

/// Why a record cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// No zone of this world holds the name.
    #[error("no zone of this world holds `{0}`")]
    NoZone(String),
    /// The text is no domain name.
    #[error("`{name}` is not a domain name")]
    Name {
        /// The text.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Dns {
    pub(crate) fn start(runtime: &Arc<Runtime>, setup: &Setup) -> io::Result<Self> {
        let count = usize::from(setup.servers.max(1));
        let (at, port) = setup.at.clone().unwrap_or_else(|| (addresses(count), 0));
        let mut zones = Zones::new(at.clone());
        for zone in &setup.zones {
            zones.add_zone(parse(zone).map_err(io::Error::other)?);
        }
        let zones = Guarded::new(zones);
        let sockets = serve::bind(&at, port, PORT_ATTEMPTS)?;
        let servers = sockets.iter().map(|sockets| sockets.address).collect();
        let tasks = sockets
            .into_iter()
            .enumerate()
            .map(|(server, sockets)| serve::start(runtime, sockets, server, &zones))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            zones,
            servers,
            _tasks: tasks,
            _runtime: Arc::clone(runtime),
        })
    }

    /// The first server's address: the resolver for tests and for Pebble.
    pub fn resolver(&self) -> SocketAddr {
        self.servers[0]
    }

    /// The port of all servers: what an engine is told as the authoritative port.
    pub fn port(&self) -> u16 {
        self.resolver().port()
    }

    /// All servers' addresses.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Adds a zone while the world runs.
    ///
    /// # Errors
    /// When the name is no domain name.
    pub fn add_zone(&self, name: &str) -> Result<(), DnsError> {
        let name = parse(name)?;
        self.zones.with(|zones| zones.add_zone(name));
        Ok(())
    }

    /// Adds a TXT record; values at the name already stay.
    ///
    /// # Errors
    /// When the name is no domain name or in no zone.
    pub fn add_txt(&self, name: &str, value: &str) -> Result<RecordId, DnsError> {
        self.add(name, RData::TXT(txt(value)))
    }

    /// Adds an address record.
    ///
    /// # Errors
    /// As for [`Dns::add_txt`].
    pub fn add_a(&self, name: &str, address: Ipv4Addr) -> Result<RecordId, DnsError> {
        self.add(name, RData::A(A(address)))
    }

    /// Makes `name` an alias of `target`, in place of an earlier one.
    ///
    /// # Errors
    /// As for [`Dns::add_txt`].
    pub fn set_cname(&self, name: &str, target: &str) -> Result<RecordId, DnsError> {
        let target = parse(target)?;
        let at = parse(name)?;
        self.zones.with(|zones| zones.remove_aliases(&at));
        self.add(name, RData::CNAME(CNAME(target)))
    }

    /// Adds a CAA record (RFC 8659), such as `issue` with `ca.example`.
    ///
    /// # Errors
    /// As for [`Dns::add_txt`].
    pub fn set_caa(&self, name: &str, tag: &str, value: &str) -> Result<RecordId, DnsError> {
        let mut caa = CAA::new_issue(false, None, Vec::new());
        tag.clone_into(&mut caa.tag);
        caa.value = value.as_bytes().to_vec();
        self.add(name, RData::CAA(caa))
    }

    /// A handle on the TXT records that handlers of other servers may share.
    pub fn txt_records(&self) -> TxtRecords {
        TxtRecords(self.zones.clone())
    }

    /// Removes a record; whether it was there.
    pub fn remove(&self, id: RecordId) -> bool {
        self.zones.with(|zones| zones.remove(id))
    }

    /// The TXT values at a name, in the order of their addition, whatever the servers show yet.
    pub fn txt(&self, name: &str) -> Vec<String> {
        parse(name).map_or_else(
            |_unnamed| Vec::new(),
            |name| self.zones.with(|zones| zones.txt(&name)),
        )
    }

    /// Every TXT record of every zone, as name and value: what a run has left behind.
    pub fn all_txt(&self) -> Vec<(String, String)> {
        self.zones.with(|zones| zones.all_txt())
    }

    /// Makes a server, counted from zero, lag behind with TXT records; a server that does not exist
    /// cannot lag.
    pub fn lag(&self, server: usize, lag: Lag) {
        self.zones.with(|zones| zones.set_lag(server, lag));
    }

    /// Changes how a server, counted from zero, treats whoever asks.
    pub fn behave(&self, server: usize, manner: Manner) {
        self.zones.with(|zones| zones.set_manner(server, manner));
    }

    /// Makes every question about this name, at every server, fail with SERVFAIL.
    ///
    /// # Errors
    /// When the name is no domain name.
    pub fn servfail(&self, name: &str) -> Result<(), DnsError> {
        let name = parse(name)?;
        self.zones.with(|zones| zones.break_name(name));
        Ok(())
    }

    /// From now on the signatures of everything below this name do not hold: who validates answers
    /// SERVFAIL, and gives the data only if asked not to check (RFC 4035 section 3.2.2).
    ///
    /// # Errors
    /// When the name is no domain name.
    pub fn bogus(&self, name: &str) -> Result<(), DnsError> {
        let name = parse(name)?;
        self.zones.with(|zones| zones.spoil(name, None));
        Ok(())
    }

    /// The same for CAA records alone, as where the proof is wrong that there are none.
    ///
    /// # Errors
    /// When the name is no domain name.
    pub fn bogus_caa(&self, name: &str) -> Result<(), DnsError> {
        let name = parse(name)?;
        self.zones
            .with(|zones| zones.spoil(name, Some(hickory_proto::rr::RecordType::CAA)));
        Ok(())
    }

    /// The questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.zones.with(|zones| zones.questions().to_vec())
    }

    pub(crate) fn zones(&self) -> &Guarded<Zones> {
        &self.zones
    }

    fn add(&self, name: &str, data: RData) -> Result<RecordId, DnsError> {
        add(&self.zones, name, data)
    }
}

/// TXT records alone, to be changed from the handlers of a server that a test writes itself.
#[derive(Debug, Clone)]
pub struct TxtRecords(Guarded<Zones>);

impl TxtRecords {
    /// As [`Dns::add_txt`].
    ///
    /// # Errors
    /// As for [`Dns::add_txt`].
    pub fn add(&self, name: &str, value: &str) -> Result<RecordId, DnsError> {
        add(&self.0, name, RData::TXT(txt(value)))
    }

    /// As [`Dns::remove`].
    pub fn remove(&self, id: RecordId) -> bool {
        self.0.with(|zones| zones.remove(id))
    }
}

/// Adds a record to shared zones, for the provider APIs that write into them.
pub(crate) fn add(zones: &Guarded<Zones>, name: &str, data: RData) -> Result<RecordId, DnsError> {
    let parsed = parse(name)?;
    zones
        .with(|zones| zones.add(parsed, data))
        .ok_or_else(|| DnsError::NoZone(name.to_owned()))
}

/// The record data of a TXT value, in strings of at most 255 bytes (RFC 1035 section 3.3.14).
pub(crate) fn txt(value: &str) -> TXT {
    let strings: Vec<&[u8]> = match value.as_bytes() {
        [] => vec![&[]],
        bytes => bytes.chunks(255).collect(),
    };
    TXT::from_bytes(strings)
}

pub(crate) fn parse(text: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(text)
        .map_err(|wrong| DnsError::Name {
            name: text.to_owned(),
            source: Box::new(wrong),
        })?
        .to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn addresses(count: usize) -> Vec<Ipv4Addr> {
    (1..=count)
        .map(|nth| Ipv4Addr::new(127, 0, 0, u8::try_from(nth).unwrap_or(u8::MAX)))
        .collect()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::World;

    fn world() -> World {
        World::builder()
            .zone("example.com")
            .zone("sub.example.com")
            .zone("example.org")
            .name_servers(2)
            .start()
            .expect("loopback")
    }

    fn asked(world: &World, server: usize, name: &str, kind: RecordType) -> ask::Answer {
        let server = world.dns().servers()[server];
        let name = parse(name).expect("a name");
        world
            .runtime()
            .handle()
            .block_on(ask(server, &name, kind))
            .expect("an answer")
    }

    fn values(world: &World, server: usize, name: &str) -> Vec<String> {
        let mut values = asked(world, server, name, RecordType::TXT).txt();
        values.sort();
        values
    }

    #[test]
    fn two_values_live_at_one_name_and_leave_one_by_one() {
        let world = world();
        let first = world
            .dns()
            .add_txt("_acme-challenge.example.com", "one")
            .expect("added");
        world
            .dns()
            .add_txt("_acme-challenge.example.com.", "two")
            .expect("added");
        assert_eq!(
            values(&world, 0, "_ACME-challenge.example.com"),
            ["one", "two"]
        );
        assert!(world.dns().remove(first));
        assert!(!world.dns().remove(first));
        assert_eq!(values(&world, 1, "_acme-challenge.example.com"), ["two"]);
        assert_eq!(
            world.dns().all_txt(),
            [("_acme-challenge.example.com".to_owned(), "two".to_owned())]
        );
    }

    #[test]
    fn answers_without_data_carry_the_zones_soa() {
        let world = world();
        world.dns().add_txt("a.b.example.com", "x").expect("added");
        let table = [
            (
                "a.b.example.com",
                RecordType::A,
                ResponseCode::NoError,
                "example.com.",
            ),
            (
                "b.example.com",
                RecordType::TXT,
                ResponseCode::NoError,
                "example.com.",
            ),
            (
                "c.example.com",
                RecordType::TXT,
                ResponseCode::NXDomain,
                "example.com.",
            ),
            (
                "c.sub.example.com",
                RecordType::SOA,
                ResponseCode::NXDomain,
                "sub.example.com.",
            ),
            (
                "elsewhere.test",
                RecordType::SOA,
                ResponseCode::NXDomain,
                ".",
            ),
        ];
        for (name, kind, code, zone) in table {
            let answer = asked(&world, 0, name, kind);
            assert_eq!(answer.code, code, "{name} {kind}");
            assert!(answer.records.is_empty(), "{name} {kind}");
            assert_eq!(answer.zone.as_deref(), Some(zone), "{name} {kind}");
        }
    }

    #[test]
    fn a_zone_names_its_servers_and_their_loopback_addresses() {
        let world = world();
        let servers = asked(&world, 0, "example.com", RecordType::NS);
        let names: Vec<_> = servers
            .records
            .iter()
            .map(|record| record.data.to_string())
            .collect();
        assert_eq!(names, ["ns1.example.com.", "ns2.example.com."]);
        let address = asked(&world, 0, "ns2.example.com", RecordType::A);
        assert_eq!(address.records[0].data, RData::A(A::new(127, 0, 0, 2)));
        assert_eq!(
            asked(&world, 0, "example.com", RecordType::SOA)
                .records
                .len(),
            1
        );
    }

    #[test]
    fn aliases_are_followed_across_zones() {
        let world = world();
        let alias = "_acme-challenge.example.com";
        world
            .dns()
            .set_cname(alias, "proof.example.org")
            .expect("added");
        world
            .dns()
            .add_txt("proof.example.org", "here")
            .expect("added");
        assert_eq!(values(&world, 0, alias), ["here"]);
        world
            .dns()
            .set_cname(alias, "gone.example.org")
            .expect("replaced");
        let answer = asked(&world, 0, alias, RecordType::TXT);
        assert_eq!(answer.code, ResponseCode::NXDomain);
        assert_eq!(answer.zone.as_deref(), Some("example.org."));
    }

    #[test]
    fn one_server_lags_by_queries_while_the_other_shows_the_record() {
        let world = world();
        world.dns().lag(1, Lag::Queries(2));
        world.dns().add_txt("a.example.com", "late").expect("added");
        assert_eq!(values(&world, 0, "a.example.com"), ["late"]);
        assert!(values(&world, 1, "a.example.com").is_empty());
        assert!(values(&world, 1, "a.example.com").is_empty());
        assert_eq!(values(&world, 1, "a.example.com"), ["late"]);
    }

    #[test]
    fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
        let world = world();
        for nth in 0..40 {
            world
                .dns()
                .add_txt("a.example.com", &format!("{nth}{}", "x".repeat(60)))
                .expect("ok");
        }
        assert_eq!(values(&world, 0, "a.example.com").len(), 40);
        let ways: Vec<_> = world
            .dns()
            .questions()
            .iter()
            .map(|asked| asked.tcp)
            .collect();
        assert_eq!(ways, [false, true]);
    }

    #[test]
    fn a_long_value_is_one_record_in_several_strings() {
        let world = world();
        let long = "v".repeat(700);
        world.dns().add_txt("a.example.com", &long).expect("added");
        assert_eq!(values(&world, 0, "a.example.com").concat(), long);
        assert_eq!(world.dns().txt("a.example.com"), [long]);
    }

    #[test]
    fn a_server_can_fail_refuse_or_insist_on_tcp() {
        let world = world();
        world.dns().add_txt("a.example.com", "x").expect("added");
        world.dns().behave(0, Manner::Fails);
        assert_eq!(
            asked(&world, 0, "a.example.com", RecordType::TXT).code,
            ResponseCode::ServFail
        );
        world.dns().behave(0, Manner::Refuses);
        assert_eq!(
            asked(&world, 0, "a.example.com", RecordType::TXT).code,
            ResponseCode::Refused
        );
        world.dns().behave(0, Manner::Truncates);
        assert_eq!(values(&world, 0, "a.example.com"), ["x"]);
        world.dns().servfail("a.example.com").expect("a name");
        assert_eq!(
            asked(&world, 1, "a.example.com", RecordType::TXT).code,
            ResponseCode::ServFail
        );
    }

    #[test]
    fn a_name_outside_all_zones_is_refused() {
        let world = world();
        let refused = world.dns().add_txt("a.example.net", "x");
        assert!(matches!(refused, Err(DnsError::NoZone(name)) if name == "a.example.net"));
        assert!(matches!(
            world.dns().add_txt("a..b", "x"),
            Err(DnsError::Name { .. })
        ));
    }

    #[tokio::test]
    async fn an_independent_resolver_finds_zone_servers_and_values() {
        use hickory_resolver::TokioResolver;
        use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
        use hickory_resolver::net::runtime::TokioRuntimeProvider;

        let world = world();
        let alias = "_acme-challenge.example.com";
        world
            .dns()
            .set_cname(alias, "proof.example.org")
            .expect("added");
        for nth in 0..40 {
            let value = format!("{nth}{}", "x".repeat(60));
            world
                .dns()
                .add_txt("proof.example.org", &value)
                .expect("added");
        }
        let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
            way.port = world.dns().port();
            way
        });
        let server = NameServerConfig::new(world.dns().resolver().ip(), true, ways.to_vec());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .expect("a resolver");
        let ask = async |name: &str, kind: RecordType| resolver.lookup(name, kind).await;
        let values = ask("_acme-challenge.example.com.", RecordType::TXT)
            .await
            .expect("values");
        let values = values
            .answers()
            .iter()
            .filter(|found| found.record_type() == RecordType::TXT);
        assert_eq!(values.count(), 40);
        let servers = ask("example.org.", RecordType::NS).await.expect("servers");
        assert_eq!(servers.answers().len(), 2);
        let missing = ask("gone.example.org.", RecordType::SOA)
            .await
            .expect_err("no such name");
        assert!(missing.is_nx_domain(), "{missing}");
    }
}

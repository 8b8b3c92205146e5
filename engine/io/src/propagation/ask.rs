//! Single questions to the DNS, and what their answers can be.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use waxwing_core::caa::CaaRecord;
use waxwing_core::name::DomainName;

/// Tries after the first of one question: a UDP packet may be lost.
const MORE_TRIES: usize = 1;

/// Time for a question with all its tries, and TCP after UDP, in times for one try.
const WHOLE: u32 = 3;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) recursion: Recursion,
    /// Time for one try of one question.
    pub(super) patience: Duration,
}

/// Whether the server is asked to ask others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recursion {
    Wanted,
    Off,
}

/// The TXT values at a name, or why they are unknown.
pub(super) type Answer = Result<Vec<Vec<u8>>, NoAnswer>;

/// Why a question has no answer. That there is no such record is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing came back.
    Silent(String),
    /// The server said that it cannot or will not.
    Code(String),
    /// The question could not be asked, or the answer not be read.
    Other(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(cause) | Self::Other(cause) => f.write_str(cause),
            Self::Code(code) => write!(f, "answers {code}"),
        }
    }
}

/// A resolver that asks these servers.
pub(super) fn resolver(servers: &[SocketAddr], manner: Manner) -> Result<TokioResolver, NoAnswer> {
    let servers = servers.iter().map(|server| {
        let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
        udp.port = server.port();
        tcp.port = server.port();
        NameServerConfig::new(server.ip(), true, vec![udp, tcp])
    });
    build(
        ResolverConfig::from_parts(None, Vec::new(), servers.collect()),
        manner,
    )
}

/// The resolver of the system.
pub(super) fn system(manner: Manner) -> Result<TokioResolver, NoAnswer> {
    let (config, _options) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|cause| NoAnswer::Other(format!("the system's resolvers: {cause}")))?;
    let (_domain, _search, servers) = config.into_parts();
    build(
        ResolverConfig::from_parts(None, Vec::new(), servers),
        manner,
    )
}

/// The addresses of the system's resolvers; none if they cannot be read.
pub(super) fn system_servers() -> Vec<SocketAddr> {
    let read = hickory_resolver::system_conf::read_system_conf();
    let (config, _options) = read.unwrap_or_default();
    let address = |server: &NameServerConfig| {
        let port = server
            .connections
            .first()
            .map_or(53, |connection| connection.port);
        SocketAddr::new(server.ip, port)
    };
    let mut servers: Vec<SocketAddr> = config.name_servers().iter().map(address).collect();
    servers.dedup();
    servers
}

fn build(config: ResolverConfig, manner: Manner) -> Result<TokioResolver, NoAnswer> {
    let mut options = ResolverOpts::default();
    options.timeout = manner.patience;
    options.attempts = MORE_TRIES;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    options.edns0 = true;
    options.recursion_desired = manner.recursion == Recursion::Wanted;
    // A chain of aliases is followed by us, one question at a time.
    options.preserve_intermediates = true;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|cause| no_answer(&cause))
}

/// The TXT values that one server shows.
pub(super) async fn texts(server: SocketAddr, manner: Manner, name: &DomainName) -> Answer {
    let resolver = resolver(&[server], manner)?;
    let Some(found) = records(&resolver, name, RecordType::TXT).await? else {
        return Ok(Vec::new());
    };
    let texts = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            // One value may be cut into several strings (RFC 1035 section 3.3.14).
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
    Ok(texts.collect())
}

/// Where the CNAME of a name points to.
pub(super) async fn alias(
    resolver: &TokioResolver,
    name: &DomainName,
) -> Result<Option<String>, NoAnswer> {
    let Some(found) = records(resolver, name, RecordType::CNAME).await? else {
        return Ok(None);
    };
    Ok(found
        .answers()
        .iter()
        .find_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.to_ascii()),
            _ => None,
        }))
}

/// The apex of the zone of a name, as far as one answer tells it: from its own SOA record, or from
/// the one that comes with the news that there is none.
pub(super) async fn apex(
    resolver: &TokioResolver,
    name: &DomainName,
) -> Result<Option<String>, NoAnswer> {
    match look_up(resolver, name, RecordType::SOA).await {
        Ok(found) => {
            let mut soas = found.answers().iter().chain(found.authorities());
            let soa = soas.find(|record| matches!(record.data, RData::SOA(_)));
            Ok(soa.map(|record| record.name.to_ascii()))
        }
        Err(Failed::NoRecords { apex }) => Ok(apex),
        Err(Failed::No(no)) => Err(no),
    }
}

/// The names of a zone's servers.
pub(super) async fn name_servers(
    resolver: &TokioResolver,
    zone: &DomainName,
) -> Result<Vec<String>, NoAnswer> {
    let Some(found) = records(resolver, zone, RecordType::NS).await? else {
        return Ok(Vec::new());
    };
    let mut names: Vec<String> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::NS(name) => Some(name.0.to_ascii()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The CAA records at a name.
pub(super) async fn caa(
    resolver: &TokioResolver,
    name: &DomainName,
) -> Result<Vec<CaaRecord>, NoAnswer> {
    let Some(found) = records(resolver, name, RecordType::CAA).await? else {
        return Ok(Vec::new());
    };
    let records = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::CAA(caa) => Some(CaaRecord {
                critical: caa.issuer_critical,
                tag: caa.tag.clone(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            }),
            _ => None,
        });
    Ok(records.collect())
}

/// Whether a name can be asked about: there are servers for it or there are none, but somebody knows.
pub(super) async fn says_something(resolver: &TokioResolver, name: &str) -> Result<(), NoAnswer> {
    let asked = Name::from_ascii(name).map_err(|cause| NoAnswer::Other(cause.to_string()))?;
    match ask(resolver, asked, RecordType::NS).await {
        Ok(_) | Err(Failed::NoRecords { .. }) => Ok(()),
        Err(Failed::No(no)) => Err(no),
    }
}

/// The addresses of a name, IPv4 first; an error only if neither kind could be looked up.
pub(super) async fn addresses(
    resolver: &TokioResolver,
    name: &DomainName,
) -> Result<Vec<std::net::IpAddr>, NoAnswer> {
    let (v4, v6) = futures_util::future::join(
        records(resolver, name, RecordType::A),
        records(resolver, name, RecordType::AAAA),
    )
    .await;
    let (found, error) = match (v4, v6) {
        (Ok(v4), Ok(v6)) => (vec![v4, v6], None),
        (Ok(one), Err(no)) | (Err(no), Ok(one)) => (vec![one], Some(no)),
        (Err(no), Err(_)) => return Err(no),
    };
    let addresses: Vec<_> = found
        .iter()
        .flatten()
        .flat_map(|found| found.answers())
        .filter_map(|record| record.data.ip_addr())
        .collect();
    match error {
        Some(no) if addresses.is_empty() => Err(no),
        _ => Ok(addresses),
    }
}

/// The records of a kind at a name; none if there are none.
async fn records(
    resolver: &TokioResolver,
    name: &DomainName,
    kind: RecordType,
) -> Result<Option<Lookup>, NoAnswer> {
    match look_up(resolver, name, kind).await {
        Ok(found) => Ok(Some(found)),
        Err(Failed::NoRecords { .. }) => Ok(None),
        Err(Failed::No(no)) => Err(no),
    }
}

enum Failed {
    /// There are none, and the zone that says so.
    NoRecords {
        apex: Option<String>,
    },
    No(NoAnswer),
}

async fn look_up(
    resolver: &TokioResolver,
    name: &DomainName,
    kind: RecordType,
) -> Result<Lookup, Failed> {
    let asked = Name::from_ascii(name.as_str())
        .map_err(|cause| Failed::No(NoAnswer::Other(format!("`{name}`: {cause}"))))?;
    ask(resolver, asked, kind).await
}

async fn ask(
    resolver: &TokioResolver,
    mut asked: Name,
    kind: RecordType,
) -> Result<Lookup, Failed> {
    // Without the final dot the search list of the system would be tried.
    asked.set_fqdn(true);
    let whole = resolver.options().timeout.saturating_mul(WHOLE);
    match tokio::time::timeout(whole, resolver.lookup(asked, kind)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none))))
            if is_negative(none.response_code) =>
        {
            Err(Failed::NoRecords {
                apex: none.soa.map(|soa| soa.name.to_ascii()),
            })
        }
        Ok(Err(cause)) => Err(Failed::No(no_answer(&cause))),
        Err(_elapsed) => {
            let cause = format!("no answer within {} s", whole.as_secs());
            Err(Failed::No(NoAnswer::Silent(cause)))
        }
    }
}

fn is_negative(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn no_answer(cause: &NetError) -> NoAnswer {
    match cause {
        NetError::Timeout => NoAnswer::Silent("no answer in time".to_owned()),
        NetError::Io(cause) => NoAnswer::Silent(cause.to_string()),
        NetError::NoConnections => NoAnswer::Silent("no connection".to_owned()),
        NetError::Dns(DnsError::ResponseCode(code)) => NoAnswer::Code(code.to_string()),
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            NoAnswer::Code(none.response_code.to_string())
        }
        other => NoAnswer::Other(other.to_string()),
    }
}

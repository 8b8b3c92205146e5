//! The records and what a server answers from them (RFC 1034 section 4.3.2, RFC 2308).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Lag, Manner, Question, RecordId};

/// Time to live of every record: long enough to betray a client that asks a cache.
const TTL: u32 = 120;

/// Aliases followed before the chain counts as a loop.
const ALIASES: usize = 8;

/// The zones of a world as all its servers know them.
#[derive(Debug)]
pub(crate) struct Zones {
    zones: BTreeSet<Name>,
    held: Vec<Held>,
    next: u64,
    serial: u32,
    servers: Vec<Server>,
    addresses: Vec<Ipv4Addr>,
    broken: BTreeSet<Name>,
    bogus: Vec<(Name, Option<RecordType>)>,
    questions: Vec<Question>,
}

#[derive(Debug)]
struct Held {
    id: RecordId,
    name: Name,
    data: RData,
    added: Instant,
    /// TXT questions each server has answered without this record.
    withheld: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Server {
    lag: Option<Lag>,
    manner: Manner,
}

/// What a server says to one question.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
}

impl Zones {
    /// Zones of the name servers at these addresses.
    pub(crate) fn new(addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            zones: BTreeSet::new(),
            held: Vec::new(),
            next: 1,
            serial: 1,
            servers: vec![Server::default(); addresses.len()],
            addresses,
            broken: BTreeSet::new(),
            bogus: Vec::new(),
            questions: Vec::new(),
        }
    }

    pub(crate) fn add_zone(&mut self, name: Name) {
        self.zones.insert(name);
    }

    pub(crate) fn add(&mut self, name: Name, data: RData) -> Option<RecordId> {
        self.zone_of(&name)?;
        let id = RecordId(self.next);
        self.next += 1;
        self.serial += 1;
        let withheld = vec![0; self.servers.len()];
        self.held.push(Held {
            id,
            name,
            data,
            added: Instant::now(),
            withheld,
        });
        Some(id)
    }

    pub(crate) fn remove(&mut self, id: RecordId) -> bool {
        let before = self.held.len();
        self.held.retain(|held| held.id != id);
        self.serial += 1;
        self.held.len() < before
    }

    pub(crate) fn remove_aliases(&mut self, name: &Name) {
        self.held
            .retain(|held| !(held.name == *name && held.data.record_type() == RecordType::CNAME));
    }

    pub(crate) fn set_lag(&mut self, server: usize, lag: Lag) {
        if let Some(server) = self.servers.get_mut(server) {
            server.lag = Some(lag);
        }
    }

    pub(crate) fn set_manner(&mut self, server: usize, manner: Manner) {
        if let Some(server) = self.servers.get_mut(server) {
            server.manner = manner;
        }
    }

    pub(crate) fn manner(&self, server: usize) -> Manner {
        self.servers
            .get(server)
            .map_or(Manner::Answers, |server| server.manner)
    }

    pub(crate) fn break_name(&mut self, name: Name) {
        self.broken.insert(name);
    }

    pub(crate) fn spoil(&mut self, name: Name, kind: Option<RecordType>) {
        self.bogus.push((name, kind));
    }

    /// Whether an answer about this name cannot be believed.
    pub(crate) fn is_bogus(&self, name: &Name, kind: RecordType) -> bool {
        let is = |(apex, of): &(Name, Option<RecordType>)| {
            apex.zone_of(name) && of.is_none_or(|of| of == kind)
        };
        self.bogus.iter().any(is)
    }

    pub(crate) fn questions(&self) -> &[Question] {
        &self.questions
    }

    pub(crate) fn txt(&self, name: &Name) -> Vec<String> {
        self.held
            .iter()
            .filter(|held| held.name == *name)
            .filter_map(Held::text)
            .collect()
    }

    pub(crate) fn all_txt(&self) -> Vec<(String, String)> {
        self.held
            .iter()
            .filter_map(|held| Some((readable(&held.name), held.text()?)))
            .collect()
    }

    /// The answer of one server, which is remembered as a question asked.
    pub(crate) fn answer(
        &mut self,
        server: usize,
        question: &Name,
        kind: RecordType,
        tcp: bool,
    ) -> Said {
        let mut name = question.to_lowercase();
        self.questions.push(Question {
            server,
            name: readable(&name),
            kind: kind.to_string(),
            tcp,
        });
        let mut answers = Vec::new();
        for _alias in 0..ALIASES {
            if self.broken.contains(&name) {
                break;
            }
            let Some(zone) = self.zone_of(&name) else {
                return Said {
                    code: ResponseCode::NXDomain,
                    answers,
                    authority: vec![self.soa(&Name::root())],
                };
            };
            let found = self.at(server, &zone, &name, kind);
            if !found.is_empty() {
                answers.extend(found);
                return Said {
                    code: ResponseCode::NoError,
                    answers,
                    authority: Vec::new(),
                };
            }
            if let Some((alias, target)) = self.alias(&name) {
                answers.push(alias);
                name = target;
                continue;
            }
            let code = match self.exists(&zone, &name) {
                true => ResponseCode::NoError,
                false => ResponseCode::NXDomain,
            };
            return Said {
                code,
                answers,
                authority: vec![self.soa(&zone)],
            };
        }
        Said {
            code: ResponseCode::ServFail,
            answers: Vec::new(),
            authority: Vec::new(),
        }
    }

    /// The records of one kind at one name, as far as this server shows them.
    fn at(&mut self, server: usize, zone: &Name, name: &Name, kind: RecordType) -> Vec<Record> {
        let lag = self.servers.get(server).and_then(|server| server.lag);
        let mut records = self.of_the_zone(zone, name, kind);
        for held in &mut self.held {
            if held.name != *name || held.data.record_type() != kind {
                continue;
            }
            if kind == RecordType::TXT && !held.shown(server, lag) {
                continue;
            }
            records.push(Record::from_rdata(name.clone(), TTL, held.data.clone()));
        }
        records
    }

    /// The records every zone has by itself: SOA, NS and its servers' addresses.
    fn of_the_zone(&self, zone: &Name, name: &Name, kind: RecordType) -> Vec<Record> {
        match kind {
            RecordType::SOA if name == zone => vec![self.soa(zone)],
            RecordType::NS if name == zone => self
                .server_names(zone)
                .into_iter()
                .map(|(server, _address)| {
                    Record::from_rdata(zone.clone(), TTL, RData::NS(NS(server)))
                })
                .collect(),
            RecordType::A => self
                .server_names(zone)
                .into_iter()
                .filter(|(server, _address)| server == name)
                .map(|(server, address)| Record::from_rdata(server, TTL, RData::A(A(address))))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn server_names(&self, zone: &Name) -> Vec<(Name, Ipv4Addr)> {
        self.addresses
            .iter()
            .copied()
            .enumerate()
            // A zone name too long for another label has servers nobody can name.
            .filter_map(|(nth, address)| {
                Some((zone.prepend_label(format!("ns{}", nth + 1)).ok()?, address))
            })
            .collect()
    }

    fn alias(&self, name: &Name) -> Option<(Record, Name)> {
        self.held.iter().find_map(|held| match &held.data {
            RData::CNAME(target) if held.name == *name => Some((
                Record::from_rdata(name.clone(), TTL, held.data.clone()),
                target.0.to_lowercase(),
            )),
            _ => None,
        })
    }

    /// Whether the name or one below it has a record (RFC 8020).
    fn exists(&self, zone: &Name, name: &Name) -> bool {
        name == zone
            || self.held.iter().any(|held| name.zone_of(&held.name))
            || self
                .server_names(zone)
                .iter()
                .any(|(server, _address)| name.zone_of(server))
    }

    /// The longest zone that holds the name.
    fn zone_of(&self, name: &Name) -> Option<Name> {
        self.zones
            .iter()
            .filter(|zone| zone.zone_of(name))
            .max_by_key(|zone| zone.num_labels())
            .cloned()
    }

    fn soa(&self, zone: &Name) -> Record {
        let label = |label: &str| {
            zone.prepend_label(label)
                .unwrap_or_else(|_long| zone.clone())
        };
        let soa = SOA::new(
            label("ns1"),
            label("hostmaster"),
            self.serial,
            3600,
            600,
            86_400,
            60,
        );
        Record::from_rdata(zone.clone(), TTL, RData::SOA(soa))
    }
}

impl Held {
    fn text(&self) -> Option<String> {
        match &self.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        }
    }

    /// Whether this server shows the record by now; being asked brings it closer.
    fn shown(&mut self, server: usize, lag: Option<Lag>) -> bool {
        match lag {
            None => true,
            Some(Lag::Time(wait)) => self.added.elapsed() >= wait,
            Some(Lag::Queries(queries)) => match self.withheld.get_mut(server) {
                Some(withheld) if *withheld < queries => {
                    *withheld += 1;
                    false
                }
                _ => true,
            },
        }
    }
}

fn readable(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

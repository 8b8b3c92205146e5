//! Sockets and messages: UDP and TCP on one port (RFC 1035 section 4.2, RFC 7766).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::Manner;
use super::zones::Zones;
use crate::guarded::Guarded;
use crate::runtime::{Runtime, Task};

/// What we say we can take over UDP: fits one Ethernet frame (the DNS flag day value).
const PAYLOAD: u16 = 1232;

/// The sockets of one server.
pub(super) struct Sockets {
    pub(super) address: SocketAddr,
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

/// Binds one port on every address, over UDP and TCP; zero stands for one that is free.
pub(super) fn bind(addresses: &[Ipv4Addr], port: u16, attempts: usize) -> io::Result<Vec<Sockets>> {
    let mut last = io::Error::other("no address to listen on");
    for _attempt in 0..attempts {
        match bind_once(addresses, port) {
            Ok(sockets) => return Ok(sockets),
            // The port is taken on another address or for the other protocol.
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => last = taken,
            Err(other) => return Err(other),
        }
    }
    Err(last)
}

fn bind_once(addresses: &[Ipv4Addr], mut port: u16) -> io::Result<Vec<Sockets>> {
    let mut all = Vec::with_capacity(addresses.len());
    for address in addresses {
        // TCP chooses the port: its listeners collide with outgoing connections, UDP's do not.
        let tcp = std::net::TcpListener::bind((*address, port))?;
        let address = tcp.local_addr()?;
        port = address.port();
        let udp = std::net::UdpSocket::bind(address)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        all.push(Sockets { address, udp, tcp });
    }
    Ok(all)
}

/// Starts answering on the sockets of one server.
pub(super) fn start(
    runtime: &Runtime,
    sockets: Sockets,
    server: usize,
    zones: &Guarded<Zones>,
) -> io::Result<Task> {
    let _entered = runtime.handle().enter();
    let udp = UdpSocket::from_std(sockets.udp)?;
    let tcp = TcpListener::from_std(sockets.tcp)?;
    let zones = zones.clone();
    Ok(runtime.spawn(async move {
        tokio::join!(
            datagrams(udp, server, &zones),
            connections(tcp, server, &zones)
        );
    }))
}

async fn datagrams(socket: UdpSocket, server: usize, zones: &Guarded<Zones>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // An error here is a client's, such as its port being gone; the next datagram is not.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(reply) = reply(&buffer[..length], server, zones, false) {
            let _unreachable = socket.send_to(&reply, peer).await;
        }
    }
}

async fn connections(listener: TcpListener, server: usize, zones: &Guarded<Zones>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _peer)) = accepted else { continue };
                open.spawn(converse(stream, server, zones.clone()));
            }
            Some(_ended) = open.join_next() => {}
        }
    }
}

/// Questions over one connection, until the client has no more or breaks off.
async fn converse(mut stream: TcpStream, server: usize, zones: Guarded<Zones>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(reply) = reply(&question, server, &zones, true) else {
            continue;
        };
        let Ok(length) = u16::try_from(reply.len()) else {
            continue;
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed).await?;
    }
}

/// The bytes to answer with, if any.
fn reply(question: &[u8], server: usize, zones: &Guarded<Zones>, tcp: bool) -> Option<Vec<u8>> {
    let Ok(asked) = Message::from_vec(question) else {
        // Without an identifier nobody could match the answer.
        let id = u16::from_be_bytes([*question.first()?, *question.get(1)?]);
        return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)
            .to_vec()
            .ok();
    };
    if asked.metadata.message_type != MessageType::Query {
        return None;
    }
    let manner = zones.with(|zones| zones.manner(server));
    if manner == Manner::Silent {
        return None;
    }
    let answer = answer(&asked, server, zones, tcp, manner);
    let bytes = answer.to_vec().ok()?;
    let limit = match &asked.edns {
        Some(edns) => usize::from(edns.max_payload().clamp(512, PAYLOAD)),
        None => 512,
    };
    if !tcp && (bytes.len() > limit || manner == Manner::Truncates) {
        return answer.truncate().to_vec().ok();
    }
    Some(bytes)
}

fn answer(
    asked: &Message,
    server: usize,
    zones: &Guarded<Zones>,
    tcp: bool,
    manner: Manner,
) -> Message {
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.authoritative = true;
    answer.add_queries(asked.queries.iter().cloned());
    if let Some(edns) = &asked.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(PAYLOAD)
            .set_version(0)
            .set_dnssec_ok(edns.flags().dnssec_ok);
        answer.set_edns(ours);
    }
    answer.metadata.response_code = match (asked.metadata.op_code, asked.queries.as_slice()) {
        (OpCode::Query, [query]) => match manner {
            Manner::Fails => ResponseCode::ServFail,
            Manner::Refuses => ResponseCode::Refused,
            _ if query.query_class() != DNSClass::IN => ResponseCode::Refused,
            _ if !asked.metadata.checking_disabled
                && zones.with(|zones| zones.is_bogus(query.name(), query.query_type())) =>
            {
                ResponseCode::ServFail
            }
            _ => {
                let said =
                    zones.with(|zones| zones.answer(server, query.name(), query.query_type(), tcp));
                answer.add_answers(said.answers);
                answer.add_authorities(said.authority);
                said.code
            }
        },
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    answer
}

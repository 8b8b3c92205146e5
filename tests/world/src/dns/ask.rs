//! One question to one name server, as the CA asks it: UDP, then TCP if the answer was cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one exchange may take. Loopback answers at once; only a silent server uses it up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a name server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// The records of the asked kind, behind aliases too.
    pub(crate) records: Vec<Record>,
    /// The owner of the SOA record in the authority section, with its last dot.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the CA needs no zone cuts, tests do")
    )]
    pub(crate) zone: Option<String>,
}

impl Answer {
    /// The TXT values, each with its strings joined.
    pub(crate) fn txt(&self) -> Vec<String> {
        self.records
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            })
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

/// Asks `server` for the records of `kind` at `name`.
pub(crate) async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Answer> {
    let mut id = [0; 2];
    aws_lc_rs::rand::fill(&mut id).map_err(io::Error::other)?;
    let id = u16::from_be_bytes(id);
    let mut question = Message::query();
    question.metadata.id = id;
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    question.set_edns(Edns::new());
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let mut reply = timeout(PATIENCE, over_udp(server, &bytes, id)).await??;
    if reply.metadata.truncation {
        reply = timeout(PATIENCE, over_tcp(server, &bytes)).await??;
    }
    let zone = reply
        .authorities
        .iter()
        .find(|record| record.record_type() == RecordType::SOA)
        .map(|record| record.name.to_ascii());
    let records = reply
        .answers
        .into_iter()
        .filter(|record| record.record_type() == kind)
        .collect();
    Ok(Answer {
        code: reply.metadata.response_code,
        records,
        zone,
    })
}

async fn over_udp(server: SocketAddr, question: &[u8], id: u16) -> io::Result<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(reply) if reply.metadata.id == id => return Ok(reply),
            // Not the answer to this question.
            _ => {}
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    Message::from_vec(&reply).map_err(io::Error::other)
}

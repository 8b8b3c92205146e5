//! Whether it is DNSSEC that keeps a resolver from answering.
//!
//! A resolver that validates answers SERVFAIL for a zone whose signatures do not hold, and gives the
//! data if it is asked with the CD bit (RFC 4035 section 3.2.2). A resolver that does not validate
//! tells nothing either way; the CA's always does.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use waxwing_core::name::DomainName;

/// The first resolver that refuses to answer that question about `name` and would if it did not validate.
pub(super) async fn rejects(
    resolvers: &[SocketAddr],
    name: &DomainName,
    question: RecordType,
    patience: Duration,
) -> Option<SocketAddr> {
    for resolver in resolvers {
        // Where no question is in doubt alone any one does that has to be proved; a name that does not exist
        // would be remembered as missing.
        let ask = |checking| code(*resolver, name, question, checking, patience);
        if ask(Checking::Wanted).await == Some(ResponseCode::ServFail)
            && matches!(
                ask(Checking::Disabled).await,
                Some(ResponseCode::NoError | ResponseCode::NXDomain)
            )
        {
            return Some(*resolver);
        }
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checking {
    Wanted,
    Disabled,
}

/// The code of the answer to a question; none if there is no answer.
async fn code(
    resolver: SocketAddr,
    name: &DomainName,
    kind: RecordType,
    checking: Checking,
    patience: Duration,
) -> Option<ResponseCode> {
    let mut asked = Name::from_ascii(name.as_str()).ok()?;
    asked.set_fqdn(true);
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.metadata.checking_disabled = checking == Checking::Disabled;
    question.add_query(Query::query(asked, kind));
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    question.set_edns(edns);
    let id = question.metadata.id;
    let bytes = question.to_vec().ok()?;
    let exchange = async {
        let local: SocketAddr = match resolver {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await.ok()?;
        socket.connect(resolver).await.ok()?;
        socket.send(&bytes).await.ok()?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            let reply = Message::from_vec(buffer.get(..length)?).ok()?;
            if reply.metadata.id == id {
                return Some(reply.metadata.response_code);
            }
        }
    };
    tokio::time::timeout(patience, exchange).await.ok()?
}

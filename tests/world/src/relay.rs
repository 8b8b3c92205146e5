//! A door before another server: bytes pass unread, and who comes through is counted.
//!
//! A server that is not ours does not say how often it was connected to; the door before it does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::World;
use crate::runtime::{Runtime, Task};
use crate::traffic::Traffic;

/// A running relay; dropping it closes its port and its connections.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    // Before the runtime, because a task must not outlive it by a wait.
    _task: Task,
    _runtime: Arc<Runtime>,
}

impl Relay {
    /// Passes everything on to `to` on loopback and notes each connection in `traffic`.
    pub(crate) fn start(world: &World, to: u16, traffic: Traffic) -> io::Result<Self> {
        let runtime = Arc::clone(world.runtime());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = {
            let _entered = runtime.handle().enter();
            TcpListener::from_std(listener)?
        };
        let task = runtime.spawn(accept(listener, to, traffic));
        Ok(Self {
            port,
            _task: task,
            _runtime: runtime,
        })
    }

    /// Where it listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, to: u16, traffic: Traffic) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept concerns one client, which sees it; the next may fare better.
                let Ok((stream, _peer)) = accepted else { continue };
                traffic.connected();
                connections.spawn(pass(stream, to));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side closes it.
async fn pass(mut from: TcpStream, to: u16) -> io::Result<()> {
    let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    copy_bidirectional(&mut from, &mut to).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn bytes_pass_both_ways_and_connections_are_counted() {
        let world = World::start(&[]).expect("a world");
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = server.local_addr().expect("bound").port();
        let traffic = Traffic::default();
        let relay = Relay::start(&world, to, traffic.clone()).expect("a relay");
        for nth in 1..=2 {
            let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).expect("open");
            let (mut peer, _) = server.accept().expect("passed on");
            client.write_all(b"ping").expect("sent");
            let mut got = [0; 4];
            peer.read_exact(&mut got).expect("passed on");
            peer.write_all(&got).expect("sent");
            client.read_exact(&mut got).expect("passed back");
            assert_eq!(&got, b"ping");
            assert_eq!(traffic.connections(), nth);
        }
    }
}

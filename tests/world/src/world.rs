//! The world itself: its thread, its root and its name servers.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::dns::{self, Dns};
use crate::pki::Root;
use crate::runtime::Runtime;
use crate::scan::Heard;

/// A world: one thread, one root for all its HTTPS servers, one set of name servers.
///
/// The other parts are started with it (`Ca::start(&world, …)`); each keeps what it needs alive, so
/// the order in which they are dropped does not matter.
#[derive(Debug)]
pub struct World {
    // The name servers stop before the thread they run on.
    dns: Dns,
    root: Arc<Root>,
    runtime: Arc<Runtime>,
    heard: Heard,
}

/// What a world is to hold, before it starts.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    dns: dns::Setup,
}

impl World {
    /// A world without zones and with one name server, to be changed before [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A world with these zones and one name server.
    pub fn start(zones: &[&str]) -> io::Result<Self> {
        zones
            .iter()
            .fold(Self::builder(), |builder, zone| builder.zone(zone))
            .start()
    }

    /// The root that signed the certificates of all HTTPS servers of this world, as PEM.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// The name servers.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// What people and programs beyond the CA and the DNS provider were told: mails, calls of webhooks.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}

impl Builder {
    /// Adds a zone, such as `example.com`.
    #[must_use]
    pub fn zone(mut self, name: &str) -> Self {
        self.dns.zones.push(name.to_owned());
        self
    }

    /// Serves every zone from so many addresses: 127.0.0.1, 127.0.0.2 and so on.
    ///
    /// Linux answers on all of them; elsewhere only one server can start.
    #[must_use]
    pub fn name_servers(mut self, count: u8) -> Self {
        self.dns.servers = count;
        self
    }

    /// Serves every zone at these addresses and this port instead, for a machine whose network this
    /// world is.
    #[must_use]
    pub fn name_servers_at(mut self, addresses: &[Ipv4Addr], port: u16) -> Self {
        self.dns.at = Some((addresses.to_vec(), port));
        self
    }

    /// Starts the world.
    ///
    /// # Errors
    /// When a socket cannot be bound, a zone's name is no name, or the system refuses a thread.
    pub fn start(self) -> io::Result<World> {
        let runtime = Arc::new(Runtime::start()?);
        let dns = Dns::start(&runtime, &self.dns)?;
        Ok(World {
            dns,
            root: Arc::new(Root::new()?),
            runtime,
            heard: Heard::default(),
        })
    }
}

//! A server of the operator's: it shows a certificate from files, over TLS at once or after
//! STARTTLS, as web and mail servers do.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::World;
use crate::guarded::Guarded;
use crate::runtime::{Runtime, Task};

/// How the server begins a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// TLS at once.
    Tls,
    /// SMTP with STARTTLS (RFC 3207).
    Smtp,
    /// SMTP without STARTTLS.
    PlainSmtp,
    /// SMTP that sends a line more where TLS should begin.
    ChattySmtp,
    /// IMAP with STARTTLS (RFC 3501).
    Imap,
    /// POP3 with STLS (RFC 2595).
    Pop3,
    /// Nothing is ever said.
    Silence,
}

/// A running server; dropping it closes its port.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    files: Files,
    shown: Guarded<Shown>,
    visits: Guarded<usize>,
    _task: Task,
    _runtime: Arc<Runtime>,
}

/// A chain and a key.
#[derive(Debug, Clone)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
}

/// What a server shows.
#[derive(Clone)]
enum Shown {
    /// What is in the files whenever somebody comes; nothing if there is nothing.
    Live(Files),
    /// What was in them once.
    Fixed(Arc<ServerConfig>),
}

impl Shop {
    /// Listens on a port of the system's choice. It shows what is in the files, a chain and a key, as
    /// if it were reloaded whenever they change; while there are none it hangs up.
    pub fn start(world: &World, greeting: Greeting, chain: &Path, key: &Path) -> io::Result<Self> {
        let runtime = Arc::clone(world.runtime());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _entered = runtime.handle().enter();
            TcpListener::from_std(listener)?
        };
        let files = Files {
            chain: chain.to_owned(),
            key: key.to_owned(),
        };
        let (shown, visits) = (Guarded::new(Shown::Live(files.clone())), Guarded::new(0));
        let task = runtime.spawn(accept(listener, greeting, shown.clone(), visits.clone()));
        Ok(Self {
            address,
            files,
            shown,
            visits,
            _task: task,
            _runtime: runtime,
        })
    }

    /// From now on it shows what is in the files now, whatever happens to them.
    pub fn freeze(&self) -> io::Result<()> {
        let config = self.files.config()?;
        self.shown.with(|shown| *shown = Shown::Fixed(config));
        Ok(())
    }

    /// From now on it shows again what is in the files, as if it were reloaded.
    pub fn thaw(&self) {
        let files = self.files.clone();
        self.shown.with(|shown| *shown = Shown::Live(files));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there were.
    pub fn visits(&self) -> usize {
        self.visits.with(|visits| *visits)
    }
}

impl Files {
    fn config(&self) -> io::Result<Arc<ServerConfig>> {
        let chain = CertificateDer::pem_slice_iter(&fs::read(&self.chain)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(&self.key)?);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key.map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}

async fn accept(
    listener: TcpListener,
    greeting: Greeting,
    shown: Guarded<Shown>,
    visits: Guarded<usize>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _peer)) = accepted else { continue };
                visits.with(|visits| *visits += 1);
                let config = match shown.with(|shown| shown.clone()) {
                    Shown::Live(files) => files.config().ok(),
                    Shown::Fixed(config) => Some(config),
                };
                connections.spawn(async move {
                    // A client that goes away is no matter.
                    let _gone = serve(stream, greeting, config).await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    greeting: Greeting,
    config: Option<Arc<ServerConfig>>,
) -> io::Result<()> {
    match greeting {
        Greeting::Tls => {}
        Greeting::Silence => std::future::pending().await,
        Greeting::Smtp => {
            say(&mut stream, "220-mx.example ESMTP\r\n220 welcome\r\n").await?;
            hear(&mut stream, "EHLO ").await?;
            say(
                &mut stream,
                "250-mx.example\r\n250-PIPELINING\r\n250-starttls\r\n250 8BITMIME\r\n",
            )
            .await?;
            hear(&mut stream, "STARTTLS").await?;
            say(&mut stream, "220 go ahead\r\n").await?;
        }
        Greeting::PlainSmtp => {
            say(&mut stream, "220 mx.example ESMTP\r\n").await?;
            hear(&mut stream, "EHLO ").await?;
            say(&mut stream, "250-mx.example\r\n250 8BITMIME\r\n").await?;
            hear(&mut stream, "never").await?;
        }
        Greeting::ChattySmtp => {
            say(&mut stream, "220 mx.example ESMTP\r\n").await?;
            hear(&mut stream, "EHLO ").await?;
            say(&mut stream, "250 STARTTLS\r\n").await?;
            hear(&mut stream, "STARTTLS").await?;
            say(&mut stream, "220 go ahead\r\n250 by the way\r\n").await?;
        }
        Greeting::Imap => {
            say(
                &mut stream,
                "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
            )
            .await?;
            hear(&mut stream, "a1 STARTTLS").await?;
            say(&mut stream, "* NOOP\r\na1 OK begin TLS\r\n").await?;
        }
        Greeting::Pop3 => {
            say(&mut stream, "+OK ready\r\n").await?;
            hear(&mut stream, "STLS").await?;
            say(&mut stream, "+OK begin TLS\r\n").await?;
        }
    }
    let Some(config) = config else {
        return Ok(());
    };
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn say(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await
}

/// Reads one line, which has to begin so.
async fn hear(stream: &mut TcpStream, beginning: &str) -> io::Result<()> {
    let mut line = String::new();
    // Clients wait for the answer before they go on, so nothing is lost in the buffer.
    BufReader::new(stream).read_line(&mut line).await?;
    if line.starts_with(beginning) {
        Ok(())
    } else {
        Err(io::Error::other(line))
    }
}

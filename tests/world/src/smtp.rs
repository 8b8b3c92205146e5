//! A mail server as RFC 5321 has it: STARTTLS (RFC 3207) or TLS from the first byte, AUTH PLAIN and
//! LOGIN (RFC 4954), and everything that arrives is kept.
//!
//! It is as strict as real submission servers are: no mail without TLS where it offers TLS, none
//! without a login where it wants one, and no command twice in one breath before STARTTLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::World;
use crate::guarded::Guarded;
use crate::runtime::{Runtime, Task};
use crate::scan::Heard;
use crate::server::Closed;

/// Longest line that is read, in bytes, without its end.
const LINE: usize = 4096;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Never,
    /// When the client asks for it; nothing is taken before.
    Asked,
    /// With the first byte.
    AtOnce,
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// When TLS begins.
    pub tls: Tls,
    /// Who may send; none: everybody.
    pub login: Option<(String, String)>,
    /// Recipients that it does not know.
    pub unknown: Vec<String>,
    /// Recipients that it refuses for now when it hears of them for the first time.
    pub greylisted: Vec<String>,
    /// Answers to a wrong password with what it was sent, as some servers do.
    pub echoes: bool,
    /// Never says goodbye.
    pub lingers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::Asked,
            login: None,
            unknown: Vec::new(),
            greylisted: Vec::new(),
            echoes: false,
            lingers: false,
        }
    }
}

/// A mail that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Header and body as sent, lines with `\r\n`.
    pub data: String,
    /// True if it came over TLS.
    pub encrypted: bool,
    /// Who sent it.
    pub user: Option<String>,
}

impl Mail {
    /// A header field, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.split("\r\n").find_map(|line| {
            let (field, value) = line.split_once(':')?;
            let same = field.eq_ignore_ascii_case(name);
            same.then(|| value.trim().to_owned())
        })
    }

    /// The decoded part of that type, such as `text/plain`, of a `multipart/alternative`.
    pub fn part(&self, kind: &str) -> Option<String> {
        let content_type = self.header("content-type")?;
        let boundary = content_type
            .split("boundary=\"")
            .nth(1)?
            .split('"')
            .next()?;
        self.data
            .split(&format!("--{boundary}"))
            .skip(1)
            .find_map(|part| {
                let (head, body) = part.split_once("\r\n\r\n")?;
                let head = head.to_ascii_lowercase();
                head.contains(&format!("content-type: {kind}"))
                    .then(|| decoded(&head, body))
            })
    }
}

/// RFC 2045 section 6.
fn decoded(head: &str, body: &str) -> String {
    let body = body.trim_end_matches("\r\n");
    if head.contains("quoted-printable") {
        let joined = body.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = joined.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            let hex = (*first == b'=')
                .then(|| behind.get(..2))
                .flatten()
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match hex {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &behind[2..];
                }
                None => {
                    bytes.push(*first);
                    rest = behind;
                }
            }
        }
        return String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    }
    if head.contains("base64") {
        let bytes = STANDARD
            .decode(body.replace("\r\n", ""))
            .unwrap_or_default();
        return String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    }
    body.replace("\r\n", "\n")
}

/// A running mail server; dropping it closes its port.
#[derive(Debug)]
pub struct Smtp {
    address: SocketAddr,
    office: Arc<Office>,
    // Before the runtime, because a task must not outlive it by a wait.
    _task: Task,
    _runtime: Arc<Runtime>,
}

#[derive(Debug)]
struct Office {
    options: Options,
    tls: Arc<ServerConfig>,
    mails: Guarded<Vec<Mail>>,
    told: Heard,
    commands: Guarded<Vec<String>>,
    /// Greylisted recipients that it has heard of.
    heard: Guarded<Vec<String>>,
}

impl Smtp {
    /// Starts a server on a port of the system's choice.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(world: &World, options: Options) -> io::Result<Self> {
        Self::come_up(world, options, Closed::new()?)
    }

    /// Starts a server at a port that was closed until now.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub fn come_up(world: &World, options: Options, closed: Closed) -> io::Result<Self> {
        let runtime = Arc::clone(world.runtime());
        let mut tls = (*world.root().server_config(&["localhost".to_owned()])?).clone();
        tls.alpn_protocols.clear();
        let office = Arc::new(Office {
            options,
            tls: Arc::new(tls),
            mails: Guarded::new(Vec::new()),
            told: world.heard().clone(),
            commands: Guarded::new(Vec::new()),
            heard: Guarded::new(Vec::new()),
        });
        let listener = {
            let _entered = runtime.handle().enter();
            closed.into_socket().listen(64)?
        };
        let address = listener.local_addr()?;
        let task = runtime.spawn(accept(listener, Arc::clone(&office)));
        Ok(Self {
            address,
            office,
            _task: task,
            _runtime: runtime,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that has arrived, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.office.mails.with(|mails| mails.clone())
    }

    /// The verbs of all commands, in order: no argument is kept.
    pub fn commands(&self) -> Vec<String> {
        self.office.commands.with(|commands| commands.clone())
    }
}

async fn accept(listener: TcpListener, office: Arc<Office>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _peer)) = accepted else { continue };
                let office = Arc::clone(&office);
                connections.spawn(async move {
                    // What went wrong is the client's to notice.
                    let _broken = serve(stream, &office).await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, office: &Office) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(&office.tls));
    if office.options.tls == Tls::AtOnce {
        let stream = acceptor.accept(stream).await?;
        return Talk::new(stream, office, true).run(true).await.map(drop);
    }
    if let Some(stream) = Talk::new(stream, office, false).run(true).await? {
        let stream = acceptor.accept(stream).await?;
        Talk::new(stream, office, true).run(false).await?;
    }
    Ok(())
}

/// One conversation, or one half of it.
struct Talk<'a, S> {
    stream: BufReader<S>,
    office: &'a Office,
    encrypted: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Talk<'a, S> {
    fn new(stream: S, office: &'a Office, encrypted: bool) -> Self {
        Self {
            stream: BufReader::new(stream),
            office,
            encrypted,
            user: None,
            from: None,
            to: Vec::new(),
        }
    }

    /// Until the client goes, or asks for TLS: then its stream.
    async fn run(mut self, greet: bool) -> io::Result<Option<S>> {
        if greet {
            self.say("220 mx.world ESMTP").await?;
        }
        while let Some(line) = self.line().await? {
            let verb = line
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            self.office.commands.with(|all| all.push(verb.clone()));
            match verb.as_str() {
                "EHLO" => self.hello().await?,
                "HELO" => self.say("250 mx.world").await?,
                "STARTTLS" if self.office.options.tls == Tls::Asked && !self.encrypted => {
                    // RFC 3207 section 4.2: what came in the clear behind it must not count.
                    if !self.stream.buffer().is_empty() {
                        return Err(io::Error::other("commands behind STARTTLS"));
                    }
                    self.say("220 go ahead").await?;
                    return Ok(Some(self.stream.into_inner()));
                }
                "AUTH" => self.auth(&line).await?,
                "MAIL" | "RCPT" | "DATA" if !self.may_send() => {
                    self.say(self.refusal()).await?;
                }
                "MAIL" => {
                    self.from = Some(address(&line));
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => self.recipient(&line).await?,
                "DATA" if self.to.is_empty() => self.say("503 5.5.1 nobody to send to").await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    (self.from, self.to) = (None, Vec::new());
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" if self.office.options.lingers => std::future::pending::<()>().await,
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return Ok(None);
                }
                _ => self.say("500 5.5.2 unknown command").await?,
            }
        }
        Ok(None)
    }

    fn may_send(&self) -> bool {
        let secure = self.encrypted || self.office.options.tls == Tls::Never;
        let known = self.user.is_some() || self.office.options.login.is_none();
        secure && known
    }

    const fn refusal(&self) -> &'static str {
        if self.encrypted {
            "530 5.7.0 authentication required"
        } else {
            "530 5.7.0 must issue a STARTTLS command first"
        }
    }

    async fn hello(&mut self) -> io::Result<()> {
        let options = &self.office.options;
        let mut lines = vec!["mx.world".to_owned(), "8BITMIME".to_owned()];
        if options.tls == Tls::Asked && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        } else if options.login.is_some() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        for (nth, line) in lines.iter().enumerate() {
            let joint = if nth + 1 == lines.len() { ' ' } else { '-' };
            self.say(&format!("250{joint}{line}")).await?;
        }
        Ok(())
    }

    async fn auth(&mut self, line: &str) -> io::Result<()> {
        let Some((user, password)) = self.office.options.login.clone() else {
            return self.say("502 5.5.1 not offered").await;
        };
        if !self.may_send() && !self.encrypted && self.office.options.tls != Tls::Never {
            return self.say("538 5.7.11 encryption required").await;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let mechanism = words.get(1).map(|word| word.to_ascii_uppercase());
        let mut told = String::new();
        let given = match mechanism.as_deref() {
            Some("PLAIN") => {
                let response = match words.get(2) {
                    Some(response) => (*response).to_owned(),
                    None => self.ask("334 ").await?,
                };
                told.clone_from(&response);
                let plain = unbase64(&response);
                let mut parts = plain.split('\0').skip(1);
                (
                    parts.next().unwrap_or_default().to_owned(),
                    parts.next().unwrap_or_default().to_owned(),
                )
            }
            Some("LOGIN") => {
                let user = self.ask("334 VXNlcm5hbWU6").await?;
                let password = self.ask("334 UGFzc3dvcmQ6").await?;
                (unbase64(&user), unbase64(&password))
            }
            _ => return self.say("504 5.5.4 unknown mechanism").await,
        };
        if given == (user.clone(), password) {
            self.user = Some(user);
            return self.say("235 2.7.0 welcome").await;
        }
        if self.office.options.echoes {
            let (_, wrong) = given;
            return self
                .say(&format!("535 5.7.8 {wrong} is wrong, in {told}"))
                .await;
        }
        self.say("535 5.7.8 authentication failed").await
    }

    async fn recipient(&mut self, line: &str) -> io::Result<()> {
        let to = address(line);
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        if self.office.options.unknown.contains(&to) {
            return self.say("550 5.1.1 no such user here").await;
        }
        if self.office.options.greylisted.contains(&to) {
            let known = self.office.heard.with(|heard| {
                let known = heard.contains(&to);
                heard.push(to.clone());
                known
            });
            if !known {
                return self.say("451 4.7.1 greylisted, come again").await;
            }
        }
        self.to.push(to);
        self.say("250 2.1.5 ok").await
    }

    async fn data(&mut self) -> io::Result<()> {
        self.say("354 end with a dot").await?;
        let mut data = String::new();
        loop {
            let Some(line) = self.line().await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if line == "." {
                break;
            }
            // RFC 5321 section 4.5.2.
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let mail = Mail {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            data,
            encrypted: self.encrypted,
            user: self.user.clone(),
        };
        self.office.told.add("a mail", mail.data.clone());
        for kind in ["text/plain", "text/html"] {
            let part = mail.part(kind).unwrap_or_default();
            self.office.told.add("the text of a mail", part);
        }
        let number = self.office.mails.with(|mails| {
            mails.push(mail);
            mails.len()
        });
        self.say(&format!("250 2.0.0 queued as {number}")).await
    }

    async fn ask(&mut self, line: &str) -> io::Result<String> {
        self.say(line).await?;
        let answer = self.line().await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        stream.flush().await
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        if self.stream.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        let line = bytes.strip_suffix(b"\r\n").ok_or_else(|| {
            io::Error::other("a line that does not end with CR LF (RFC 5321 section 2.3.8)")
        })?;
        if line.len() > LINE {
            return Err(io::Error::other("a line that is too long"));
        }
        Ok(Some(String::from_utf8_lossy(line).into_owned()))
    }
}

/// What stands in the angle brackets.
fn address(line: &str) -> String {
    let inner = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(address, _)| address.to_owned())
}

fn unbase64(text: &str) -> String {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

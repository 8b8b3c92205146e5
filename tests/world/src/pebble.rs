//! Pebble, the ACME test server of Let's Encrypt, started with the world's name servers and root.
//!
//! It is a second opinion: a scenario that passes at [`crate::ca::Ca`] and fails here has found a
//! mistake of the world. Where no Pebble is installed, tests skip aloud, see [`Pebble::find`].

mod front;

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::World;
use crate::ca::Profile;
use crate::guarded::Guarded;
use crate::relay::Relay;
use crate::runtime::Runtime;
use crate::traffic::{Class, Traffic};

pub use front::{Front, Seen};

/// Names the folder that holds the programs, before `PATH` is searched.
const FOLDER: &str = "WAXWING_PEBBLE";

/// Makes a missing Pebble a failure when set to `1`.
const REQUIRED: &str = "WAXWING_REQUIRE_PEBBLE";

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// How often a look is taken at whether it stands still.
const LOOK: Duration = Duration::from_secs(5);

/// How long it may take to look a certificate up. One that stands still never does.
const ALIVE: Duration = Duration::from_secs(20);

/// How long to wait between two looks at a process that is starting or writing its log.
const GLANCE: Duration = Duration::from_millis(10);

/// Starts with other ports when the chosen ones were taken meanwhile.
const ATTEMPTS: usize = 5;

/// Ports to listen on: outside the usual ephemeral range, from which outgoing connections take
/// theirs and hold them.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// How Pebble is to behave.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many of a hundred good nonces are refused.
    pub nonce_reject: u8,
    /// How many of a hundred valid authorizations are used again. Pebble reads 0 as one of a
    /// hundred, so exact counts need names that are new.
    pub authz_reuse: u8,
    /// How many roots can be chosen from besides the first.
    pub alternate_roots: u8,
    /// External account MAC keys by identifier; with any, an account needs one.
    pub external_keys: Vec<(String, Vec<u8>)>,
    /// Certificate profiles; with none, Pebble has one called `default`.
    pub profiles: Vec<Profile>,
    /// `Retry-After` in seconds for authorizations and orders in progress; zero leaves it out.
    pub retry_after: (u32, u32),
    /// Wait up to this many seconds before each validation.
    pub sleep: Option<u32>,
    /// Names it never issues for. Two labels each: Pebble breaks off the connection for a shorter
    /// name that shares the end of a longer entry.
    pub blocked: Vec<String>,
}

/// A running Pebble; dropping it ends the process.
#[derive(Debug)]
pub struct Pebble {
    child: Child,
    reader: Option<thread::JoinHandle<()>>,
    log: Log,
    api: u16,
    management: u16,
    /// Before the API, to count connections: Pebble names itself by the host it is asked as.
    relay: Relay,
    tls: Arc<ClientConfig>,
    certificate: CertificateDer<'static>,
    runtime: Arc<Runtime>,
    /// Whose request it is to answer, among those that come through fronts: see [`Front`].
    turn: Arc<tokio::sync::Mutex<()>>,
    _folder: tempfile::TempDir,
}

/// What the process has written.
#[derive(Debug, Clone, Default)]
struct Log {
    traffic: Traffic,
    marks: Guarded<usize>,
    issued: Guarded<usize>,
    /// Orders that have got their certificate.
    completed: Guarded<BTreeSet<String>>,
    last: Guarded<String>,
}

impl Pebble {
    /// The program, in the folder that `WAXWING_PEBBLE` names or on the `PATH`.
    pub fn find() -> Option<PathBuf> {
        let folder = std::env::var_os(FOLDER).into_iter();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let named = folder
            .map(PathBuf::from)
            .chain(std::env::split_paths(&path));
        named
            .map(|folder| folder.join("pebble"))
            .find(|program| program.is_file())
    }

    /// The program, or `None` after saying on stderr that `test` is skipped and why.
    ///
    /// # Panics
    /// When `WAXWING_REQUIRE_PEBBLE` is `1` and there is none: a test that must run has failed.
    pub fn find_or_skip(test: &str) -> Option<PathBuf> {
        let found = Self::find();
        if found.is_none() {
            let text = format!(
                "SKIPPED: {test}: pebble not found (`bash .ci/pebble.sh DIR` fetches it, then set \
                 {FOLDER}=DIR)\n"
            );
            assert!(
                std::env::var_os(REQUIRED).is_none_or(|value| value != "1"),
                "{text}"
            );
            // Not by a macro, whose output the test harness would hide.
            let _unheard = io::stderr().write_all(text.as_bytes());
        }
        found
    }

    /// Starts `program` and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or does not listen in time.
    pub fn start(world: &World, program: &Path, options: &Options) -> io::Result<Self> {
        let mut last = io::Error::other("never tried");
        for _attempt in 0..ATTEMPTS {
            match Self::start_at(world, program, options, free_ports()?) {
                Ok(pebble) => return Ok(pebble),
                Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => last = taken,
                Err(other) => return Err(other),
            }
        }
        Err(last)
    }

    fn start_at(
        world: &World,
        program: &Path,
        options: &Options,
        (api, management): (u16, u16),
    ) -> io::Result<Self> {
        let folder = tempfile::TempDir::new()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let identity = world.root().issue(&names)?;
        std::fs::write(folder.path().join("cert.pem"), identity.pem)?;
        std::fs::write(folder.path().join("key.pem"), identity.key.serialize_pem())?;
        let config = folder.path().join("pebble.json");
        std::fs::write(
            &config,
            settings(folder.path(), api, management, options).to_string(),
        )?;
        // One pipe for both: why it ended is on stderr, what it was asked on stdout.
        let (output, written) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .arg("-config")
            .arg(&config)
            .arg("-dnsserver")
            .arg(world.dns().resolver().to_string())
            .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string())
            .env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string())
            .env(
                "PEBBLE_ALTERNATE_ROOTS",
                options.alternate_roots.to_string(),
            )
            .env("PEBBLE_CHAIN_LENGTH", "1")
            .env_remove("PEBBLE_VA_ALWAYS_VALID")
            .env_remove("PEBBLE_VA_NOSLEEP")
            .env_remove("PEBBLE_VA_SLEEPTIME")
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written);
        match options.sleep {
            Some(seconds) => command.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
            None => command.env("PEBBLE_VA_NOSLEEP", "1"),
        };
        let child = command.spawn()?;
        // It holds the writing ends; with them gone here too, reading ends with the process.
        drop(command);
        let log = Log::default();
        let relay = Relay::start(world, api, log.traffic.clone())?;
        let reader = {
            let log = log.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    log.read(&line);
                }
            })
        };
        let mut pebble = Self {
            child,
            reader: Some(reader),
            log,
            api,
            management,
            relay,
            tls: world.root().client_config()?,
            certificate: identity.certificate,
            runtime: Arc::clone(world.runtime()),
            turn: Arc::default(),
            _folder: folder,
        };
        pebble.listens(program)?;
        Ok(pebble)
    }

    fn listens(&mut self, program: &Path) -> io::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                if let Some(reader) = self.reader.take() {
                    let _panicked = reader.join();
                }
                let last = self.log.last.with(|last| last.clone());
                let taken = last.contains(TAKEN);
                let kind = if taken {
                    io::ErrorKind::AddrInUse
                } else {
                    io::ErrorKind::Other
                };
                let program = program.display();
                return Err(io::Error::new(
                    kind,
                    format!("{program} ended, {status}: {last}"),
                ));
            }
            if self.answers(self.api) && self.answers(self.management) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let program = program.display();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{program} does not listen after {} s", START.as_secs()),
                ));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Whether this very process answers at the port: another's certificate means that the port
    /// was taken, which this process is about to find out as well.
    fn answers(&self, port: u16) -> bool {
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let certificate = self.runtime.wait(async move {
            let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let stream = connector.connect(name, stream).await?;
            let (_stream, tls) = stream.get_ref();
            Ok(tls
                .peer_certificates()
                .and_then(|chain| chain.first().cloned()))
        });
        certificate.is_ok_and(|certificate| certificate.as_ref() == Some(&self.certificate))
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.relay.port())
    }

    /// What it was asked, by its own log, which holds no statuses, and how often it was connected to.
    ///
    /// # Errors
    /// When Pebble no longer answers.
    pub fn traffic(&self) -> io::Result<&Traffic> {
        // Pebble logs a request before it answers, but this side may be behind in reading: a
        // request of a kind no client makes marks the place up to which the log must be read.
        let seen = self.log.marks.with(|marks| *marks);
        self.call(self.api, "HEAD", "/dir", "")?;
        let deadline = Instant::now() + START;
        while self.log.marks.with(|marks| *marks) == seen {
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "Pebble's log has stopped",
                ));
            }
            thread::sleep(GLANCE);
        }
        Ok(&self.log.traffic)
    }

    /// How many certificates it has issued, by its own log.
    ///
    /// # Errors
    /// When Pebble no longer answers.
    pub fn issued(&self) -> io::Result<usize> {
        // What stands before the mark in the log has been read when the mark has.
        self.traffic()?;
        Ok(self.log.issued.with(|issued| *issued))
    }

    /// The root of the default chain (0) or of an alternate one, as PEM.
    ///
    /// # Errors
    /// When there is no such root or Pebble no longer answers.
    pub fn root_pem(&self, nth: usize) -> io::Result<String> {
        self.call(self.management, "GET", &format!("/roots/{nth}"), "")
    }

    /// Answers with `answer`, well-formed or not, when asked for the renewal information of the
    /// certificate `pem`.
    ///
    /// # Errors
    /// When Pebble did not issue the certificate or no longer answers.
    pub fn set_renewal_info(&self, pem: &str, answer: &str) -> io::Result<()> {
        let body = json!({ "Certificate": pem, "ARIResponse": answer }).to_string();
        self.call(self.management, "POST", "/set-renewal-info/", &body)
            .map(drop)
    }

    /// Ends when it has stopped to look into its store. Pebble 2.10 can lock itself out of it: it
    /// takes the same read lock twice (an order that is read while its certificate is being made, an
    /// authorization while a new order looks for one to use again), and a writer between the two
    /// stops every request but those for the directory and for nonces, for good.
    pub async fn until_it_stands_still(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            // No such certificate is an answer too.
            let request = request(self.management, "GET", "/cert-status-by-serial/00", "");
            let looked = exchange(Arc::clone(&self.tls), self.management, request, ALIVE).await;
            if looked.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return;
            }
        }
    }

    fn call(&self, port: u16, method: &str, path: &str, body: &str) -> io::Result<String> {
        let request = request(port, method, path, body);
        let exchange = exchange(Arc::clone(&self.tls), port, request, START);
        let reply = self.runtime.wait(exchange)?;
        let reply = String::from_utf8_lossy(&reply);
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!(
                "Pebble answered {method} {path} with {head}"
            ))),
        }
    }
}

/// With HTTP/1.0, so that the answer ends with the connection.
fn request(port: u16, method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost:{port}\r\nUser-Agent: world\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One exchange, which takes at most so long.
async fn exchange(
    tls: Arc<ClientConfig>,
    port: u16,
    request: String,
    most: Duration,
) -> io::Result<Vec<u8>> {
    let exchange = async {
        let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(tls).connect(name, stream).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(reply)
    };
    tokio::time::timeout(most, exchange)
        .await
        .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
}

impl Drop for Pebble {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do about it then.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _panicked = reader.join();
        }
    }
}

impl Log {
    fn read(&self, line: &str) {
        // Both of its listeners end it, and what the other says behind that is of no interest.
        self.last.with(|last| {
            if !last.contains(TAKEN) {
                line.clone_into(last);
            }
        });
        if line.contains("Issued certificate serial ") {
            self.issued.with(|issued| *issued += 1);
            if let Some((_before, order)) = line.rsplit_once(" for order ") {
                let order = order.trim().to_owned();
                self.completed.with(|completed| completed.insert(order));
            }
        }
        let Some(request) = line.strip_suffix(" -> calling handler()") else {
            return;
        };
        let mut words = request.rsplit(' ');
        let (Some(path), Some(method)) = (words.next(), words.next()) else {
            return;
        };
        match (method, path) {
            ("HEAD", "/dir") => self.marks.with(|marks| *marks += 1),
            _ => {
                let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
                self.traffic.asked(classify(path), method, path.to_owned());
            }
        }
    }
}

fn classify(path: &str) -> Class {
    match path.trim_matches('/') {
        "dir" => Class::Directory,
        "nonce-plz" => Class::NewNonce,
        "sign-me-up" => Class::NewAccount,
        "my-account" | "list-orderz" => Class::Account,
        "rollover-account-key" => Class::KeyChange,
        "order-plz" => Class::NewOrder,
        "my-order" => Class::Order,
        "authZ" => Class::Authorization,
        "chalZ" => Class::Challenge,
        "finalize-order" => Class::Finalize,
        "certZ" => Class::Certificate,
        "revoke-cert" => Class::Revoke,
        path if path.ends_with("renewalInfo") => Class::RenewalInfo,
        _ => Class::Other,
    }
}

fn settings(folder: &Path, api: u16, management: u16, options: &Options) -> Value {
    let keys: serde_json::Map<String, Value> = options
        .external_keys
        .iter()
        .map(|(kid, key)| (kid.clone(), json!(URL_SAFE_NO_PAD.encode(key))))
        .collect();
    let profiles: serde_json::Map<String, Value> = options
        .profiles
        .iter()
        .map(|profile| {
            let seconds = profile.lifetime.as_secs();
            let value = json!({ "description": profile.description, "validityPeriod": seconds });
            (profile.name.clone(), value)
        })
        .collect();
    let mut pebble = json!({
        "listenAddress": format!("127.0.0.1:{api}"),
        "managementListenAddress": format!("127.0.0.1:{management}"),
        "certificate": folder.join("cert.pem"),
        "privateKey": folder.join("key.pem"),
        "httpPort": 5002,
        "tlsPort": 5001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": !keys.is_empty(),
        "externalAccountMACKeys": keys,
        "domainBlocklist": options.blocked,
        "keyAlgorithm": "ecdsa",
        "retryAfter": { "authz": options.retry_after.0, "order": options.retry_after.1 },
    });
    if !profiles.is_empty() {
        pebble["profiles"] = profiles.into();
    }
    json!({ "pebble": pebble })
}

/// What Go says of a port that somebody else has.
const TAKEN: &str = "address already in use";

/// Two ports that were free a moment ago.
fn free_ports() -> io::Result<(u16, u16)> {
    let mut held = Vec::new();
    for _attempt in 0..200 {
        let mut random = [0; 2];
        rand::fill(&mut random).map_err(io::Error::other)?;
        let span = PORTS.end - PORTS.start;
        let port = PORTS.start + u16::from_be_bytes(random) % span;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if let [(api, _), (management, _)] = held.as_slice() {
            return Ok((*api, *management));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no free port below the ephemeral range",
    ))
}

#[cfg(test)]
mod tests {
    use instant_acme::{
        Account, ChallengeType, ExternalAccountKey, Identifier, NewAccount, NewOrder, OrderStatus,
        RetryPolicy,
    };

    use super::*;

    fn started(test: &str, options: &Options) -> Option<(World, Pebble)> {
        let program = Pebble::find_or_skip(test)?;
        let world = World::start(&["example.com"]).expect("loopback");
        let pebble = Pebble::start(&world, &program, options).expect("started");
        Some((world, pebble))
    }

    #[tokio::test]
    async fn pebble_validates_by_the_worlds_name_servers_and_its_log_is_counted() {
        let test = "pebble_validates_by_the_worlds_name_servers";
        let secret = vec![7; 32];
        let options = Options {
            external_keys: vec![("kid-1".to_owned(), secret.clone())],
            alternate_roots: 1,
            ..Options::default()
        };
        let Some((world, pebble)) = started(test, &options) else {
            return;
        };
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), world.root_pem()).expect("written");
        let new = NewAccount {
            contact: &[],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let key = ExternalAccountKey::new("kid-1".to_owned(), &secret);
        let builder = Account::builder_with_root(file.path()).expect("a client");
        let (account, _credentials) = builder
            .create(&new, pebble.directory(), Some(&key))
            .await
            .expect("an account");
        let wanted = ["example.com", "*.example.com"].map(|name| Identifier::Dns(name.to_owned()));
        let mut order = account
            .new_order(&NewOrder::new(&wanted))
            .await
            .expect("an order");
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.expect("an authorization");
            let mut challenge = authorization
                .challenge(ChallengeType::Dns01)
                .expect("dns-01");
            let value = challenge.key_authorization().dns_value();
            world
                .dns()
                .add_txt("_acme-challenge.example.com", &value)
                .expect("in a zone");
            challenge.set_ready().await.expect("started");
        }
        let retries = RetryPolicy::new().initial_delay(Duration::from_millis(20));
        assert_eq!(
            order.poll_ready(&retries).await.expect("polled"),
            OrderStatus::Ready
        );
        order.finalize().await.expect("finalized");
        let chain = order
            .poll_certificate(&retries)
            .await
            .expect("a certificate");
        assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(
            world
                .dns()
                .questions()
                .iter()
                .any(|asked| asked.kind == "TXT")
        );

        let traffic = pebble.traffic().expect("a log");
        assert_eq!(traffic.count(Class::Directory), 1);
        assert_eq!(traffic.count(Class::NewAccount), 1);
        assert_eq!(traffic.count(Class::NewOrder), 1);
        assert_eq!(traffic.count(Class::Challenge), 2);
        assert_eq!(traffic.count(Class::Finalize), 1);
        assert_eq!(traffic.count(Class::Certificate), 1);
        assert_ne!(
            pebble.root_pem(0).expect("a root"),
            pebble.root_pem(1).expect("a root")
        );
        assert!(pebble.root_pem(2).is_err());
        pebble.set_renewal_info(&chain, "not JSON").expect("known");
    }

    #[test]
    fn a_pebble_that_is_dropped_leaves_no_process_and_no_files() {
        let test = "a_pebble_that_is_dropped_leaves_no_process_and_no_files";
        let Some((_world, pebble)) = started(test, &Options::default()) else {
            return;
        };
        let (folder, port) = (pebble._folder.path().to_owned(), pebble.api);
        drop(pebble);
        assert!(!folder.exists());
        let refused = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        refused.expect_err("nobody listens");
    }

    #[test]
    fn a_port_that_is_taken_is_told_from_other_failures() {
        let test = "a_port_that_is_taken_is_told_from_other_failures";
        let Some((world, pebble)) = started(test, &Options::default()) else {
            return;
        };
        let program = Pebble::find().expect("found before");
        let ports = (pebble.api, pebble.management);
        let taken = Pebble::start_at(&world, &program, &Options::default(), ports);
        assert_eq!(taken.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error() {
        let world = World::start(&[]).expect("loopback");
        let failed = Pebble::start(&world, Path::new("/bin/false"), &Options::default());
        assert!(
            failed
                .expect_err("no Pebble")
                .to_string()
                .contains("/bin/false ended")
        );
    }
}

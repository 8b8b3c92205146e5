//! The sender against servers on loopback that behave and misbehave.

#![expect(
    clippy::disallowed_methods,
    reason = "servers need threads and clients need roots in files"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;

/// A root, a server certificate for `localhost`, and the root as a file.
struct Trust {
    folder: TempDir,
    config: Arc<ServerConfig>,
}

impl Trust {
    fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(root, key).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names).expect("names");
        let leaf = leaf.signed_by(&key, &root).expect("a leaf");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("root.pem"), root.pem()).expect("written");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.into())
            .expect("a certificate");
        Self {
            folder,
            config: Arc::new(config),
        }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }
}

/// A listener that treats each connection as told, and counts them.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn plain(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let serve = Arc::new(serve);
        // It waits for connections until the tests end.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Answers every request on every connection with these bytes.
    fn tls(trust: &Trust, answer: Vec<u8>) -> Self {
        let config = Arc::clone(&trust.config);
        Self::plain(move |connection| {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = StreamOwned::new(session, connection);
            while read_head(&mut stream) {
                if stream
                    .write_all(&answer)
                    .and_then(|()| stream.flush())
                    .is_err()
                {
                    return;
                }
            }
        })
    }

    fn url(&self) -> String {
        format!(
            "https://localhost:{}/directory?token=hunter2",
            self.address.port()
        )
    }
}

/// Reads up to the end of a request's header; false if there is no whole one.
fn read_head(stream: &mut impl Read) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn policy(trust: &[PathBuf]) -> Policy {
    Policy {
        connect: Duration::from_secs(10),
        reply: Duration::from_secs(30),
        body_cap: 1024,
        addresses: Addresses::Any,
        trust: trust.to_vec(),
        plain_http: false,
    }
}

fn get(url: &str) -> Request {
    Request {
        method: Method::Get,
        url: url.to_owned(),
        headers: vec![("user-agent".to_owned(), "waxwing-tests".to_owned())],
        body: Vec::new(),
    }
}

async fn failure(url: &str, policy: &Policy) -> TransportError {
    let result = HttpSender::direct().send(get(url), policy).await;
    let error = result.expect_err("a failure");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(!error.causes.is_empty());
    error
}

fn only(ranges: &[&str]) -> Addresses {
    Addresses::PublicAnd(
        ranges
            .iter()
            .map(|range| range.parse().expect("a range"))
            .collect(),
    )
}

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let trust = Trust::new();
    let server = Server::tls(&trust, answer("200 OK\r\nreplay-nonce: abc", b"hello"));
    let sender = HttpSender::direct();
    for _ in 0..3 {
        let response = sender
            .send(get(&server.url()), &policy(&[trust.root()]))
            .await;
        let response = response.expect("an answer");
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, &b"hello"[..])
        );
        assert_eq!(response.header("Replay-Nonce"), Some("abc"));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let narrow = Policy {
        addresses: only(&["127.0.0.0/8", "::1/128"]),
        ..policy(&[trust.root()])
    };
    sender
        .send(get(&server.url()), &narrow)
        .await
        .expect("an answer");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_connection_from_the_first() {
    let world = waxwing_world::World::start(&[]).expect("loopback");
    let ca = waxwing_world::ca::Ca::start(&world, waxwing_world::ca::Options::default());
    let ca = ca.expect("a CA");
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root.pem");
    std::fs::write(&root, world.root_pem()).expect("written");
    let policy = Policy {
        body_cap: 1 << 20,
        ..policy(&[root])
    };
    let sender = HttpSender::direct();
    let url = ca.directory();
    let requests = (0..8).map(|_| sender.send(get(&url), &policy));
    for response in futures_util::future::join_all(requests).await {
        assert_eq!(response.expect("an answer").status, 200);
    }
    assert_eq!(ca.traffic().connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let trust = Trust::new();
    let elsewhere = "302 Found\r\nlocation: https://localhost:1/";
    let server = Server::tls(&trust, answer(elsewhere, b""));
    let response = HttpSender::direct()
        .send(get(&server.url()), &policy(&[trust.root()]))
        .await;
    assert_eq!(response.expect("an answer").status, 302);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_no_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let error = failure(
        &format!("https://localhost:{port}/d?token=hunter2"),
        &policy(&[]),
    )
    .await;
    assert_eq!(error.stage, TransportStage::Connect);
    assert_eq!(error.url, format!("https://localhost:{port}/d"));
    assert!(
        error
            .address
            .as_deref()
            .is_some_and(|a| a.contains("127.0.0.1")),
        "{error:?}"
    );
    assert!(
        error.causes.iter().any(|cause| cause.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_accepts_and_is_silent_is_no_connection() {
    let (keep, kept) = mpsc::channel();
    let server = Server::plain(move |connection| {
        let _open_until_the_end = keep.send(connection);
    });
    let short = Policy {
        connect: Duration::from_millis(50),
        ..policy(&[])
    };
    assert_eq!(
        failure(&server.url(), &short).await.stage,
        TransportStage::Connect
    );
    drop(kept);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_fails_the_handshake() {
    let server = Server::plain(|mut connection| {
        let _sent = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert_eq!(
        failure(&server.url(), &policy(&[])).await.stage,
        TransportStage::Tls
    );
}

#[tokio::test]
async fn a_connection_that_closes_during_the_handshake_fails_the_handshake() {
    let server = Server::plain(|mut connection| {
        let mut hello = [0; 1];
        let _read = connection.read(&mut hello);
    });
    assert_eq!(
        failure(&server.url(), &policy(&[])).await.stage,
        TransportStage::Tls
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_root_fails_the_handshake_and_says_so() {
    let trust = Trust::new();
    let server = Server::tls(&trust, answer("200 OK", b""));
    let error = failure(&server.url(), &policy(&[])).await;
    assert_eq!(error.stage, TransportStage::Tls);
    assert!(
        error
            .causes
            .iter()
            .any(|cause| cause.contains("UnknownIssuer")),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_broken_exchange_and_not_repeated() {
    let trust = Trust::new();
    let config = Arc::clone(&trust.config);
    let server = Server::plain(move |connection| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, connection);
        let _request = read_head(&mut stream);
    });
    let error = failure(&server.url(), &policy(&[trust.root()])).await;
    assert_eq!(error.stage, TransportStage::Exchange);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_ends_early_is_a_broken_exchange() {
    let trust = Trust::new();
    let config = Arc::clone(&trust.config);
    let server = Server::plain(move |connection| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, connection);
        let _request = read_head(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
        let _sent = stream.flush();
    });
    let error = failure(&server.url(), &policy(&[trust.root()])).await;
    assert_eq!(error.stage, TransportStage::Exchange);
    assert_eq!(error.address, Some(server.address.to_string()));
}

#[tokio::test]
async fn a_server_that_reads_and_never_answers_is_a_time_out() {
    let trust = Trust::new();
    let server = Server::tls(&trust, Vec::new());
    let short = Policy {
        reply: Duration::from_millis(500),
        ..policy(&[trust.root()])
    };
    let error = failure(&server.url(), &short).await;
    assert_eq!(error.stage, TransportStage::Timeout);
    assert_eq!(error.causes, ["no whole answer within 500 ms"]);
}

#[tokio::test]
async fn a_body_over_the_cap_is_not_read_to_its_end() {
    let trust = Trust::new();
    let announced = Server::tls(&trust, answer("200 OK", &[b'x'; 1025]));
    let unannounced = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n401\r\n",
        &[b'x'; 1025][..],
    ];
    let unannounced = Server::tls(&trust, unannounced.concat());
    for server in [announced, unannounced] {
        let error = failure(&server.url(), &policy(&[trust.root()])).await;
        assert_eq!(error.stage, TransportStage::TooLarge);
    }
    let fits = Server::tls(&trust, answer("200 OK", &[b'x'; 1024]));
    let response = HttpSender::direct()
        .send(get(&fits.url()), &policy(&[trust.root()]))
        .await;
    assert_eq!(response.expect("an answer").body.len(), 1024);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).expect("in memory");
    encoder.finish().expect("in memory")
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_large_one_is_refused() {
    let trust = Trust::new();
    let coded = "200 OK\r\ncontent-encoding: gzip";
    let bomb = Server::tls(&trust, answer(coded, &gzip(&[0; 100_000])));
    let error = failure(&bomb.url(), &policy(&[trust.root()])).await;
    assert_eq!(error.stage, TransportStage::TooLarge);
    let honest = Server::tls(&trust, answer(coded, &gzip(b"hello")));
    let response = HttpSender::direct()
        .send(get(&honest.url()), &policy(&[trust.root()]))
        .await;
    let response = response.expect("an answer");
    assert_eq!(response.body, b"hello");
    assert_eq!(response.header("content-encoding"), None);
    let garbage = Server::tls(&trust, answer(coded, b"hello"));
    let error = failure(&garbage.url(), &policy(&[trust.root()])).await;
    assert_eq!(error.stage, TransportStage::Exchange);
}

#[tokio::test]
async fn a_header_over_the_cap_is_refused() {
    let trust = Trust::new();
    let long = format!("200 OK\r\nx-long: {}", "x".repeat(HEADER_CAP));
    let server = Server::tls(&trust, answer(&long, b""));
    let error = failure(&server.url(), &policy(&[trust.root()])).await;
    assert_eq!(error.stage, TransportStage::TooLarge);
}

#[tokio::test]
async fn forbidden_addresses_are_never_connected_to_by_name_or_by_number() {
    let trust = Trust::new();
    let server = Server::tls(&trust, answer("200 OK", b""));
    let port = server.address.port();
    let closed = Policy {
        addresses: only(&["10.0.0.0/8"]),
        ..policy(&[trust.root()])
    };
    for host in [
        "localhost",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
    ] {
        let error = failure(&format!("https://{host}:{port}/"), &closed).await;
        assert_eq!(error.stage, TransportStage::Address, "{host}");
        assert!(error.causes[0].contains("loopback address"), "{error}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    let open = Policy {
        addresses: only(&["127.0.0.1/32"]),
        ..policy(&[trust.root()])
    };
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/");
        let response = HttpSender::direct().send(get(&url), &open).await;
        assert_eq!(response.expect("an answer").status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failed_look_up() {
    let error = failure("https://nowhere.invalid/?token=hunter2", &policy(&[])).await;
    assert_eq!(error.stage, TransportStage::Dns);
    assert_eq!(error.causes[0], "no address was found for nowhere.invalid");
}

#[tokio::test]
async fn what_cannot_be_sent_as_it_stands_is_not_sent() {
    let bad_trust = PathBuf::from("/nonexistent/root.pem");
    let table: [(&str, &[PathBuf], &str); 7] = [
        ("http://localhost/", &[], "plain http is not allowed here"),
        ("ftp://localhost/", &[], "the scheme `ftp` is not https"),
        (
            "https://user:hunter2@localhost/",
            &[],
            "the URL holds a user name or password",
        ),
        (
            "https://localhost/a/../b",
            &[],
            "the path or query of the URL would be changed by sending it",
        ),
        (
            "directory",
            &[],
            "the URL is none: relative URL without a base",
        ),
        ("https://", &[], "the URL is none: empty host"),
        (
            "https://localhost/",
            &[bad_trust],
            "the roots in /nonexistent/root.pem cannot be used: No such file or directory (os error 2)",
        ),
    ];
    for (url, trust, cause) in table {
        let result = HttpSender::direct().send(get(url), &policy(trust)).await;
        let error = result.expect_err("refused");
        assert_eq!(
            (error.stage, &*error.causes[0]),
            (
                if trust.is_empty() {
                    TransportStage::Request
                } else {
                    TransportStage::Setup
                },
                cause
            ),
            "{url}"
        );
    }
    let mut request = get("https://localhost/");
    request
        .headers
        .push(("x".to_owned(), "a\r\nb: hunter2".to_owned()));
    let error = HttpSender::direct()
        .send(request, &policy(&[]))
        .await
        .expect_err("refused");
    assert_eq!(error.causes, ["the header field `x` has no valid value"]);
}

#[tokio::test]
async fn a_proxy_gets_the_tunnel_request_and_its_refusal_is_no_connection() {
    let (heard, hears) = mpsc::channel();
    let proxy = Server::plain(move |mut connection| {
        let mut head = vec![0; 1024];
        let read = connection.read(&mut head).unwrap_or(0);
        head.truncate(read);
        let _told = heard.send(String::from_utf8_lossy(&head).into_owned());
        let _sent = connection.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    let proxy = format!("http://user:hunter2@{}", proxy.address);
    let sender = HttpSender::with(Routes::through(&proxy).expect("a proxy"), None);
    // The proxy stands in a private network, where the policy sends nobody.
    let closed = Policy {
        addresses: only(&[]),
        ..policy(&[])
    };
    let error = sender
        .send(get("https://ca.example/"), &closed)
        .await
        .expect_err("refused");
    assert_eq!(error.stage, TransportStage::Connect);
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(
        error.causes[0].starts_with("through the proxy http://127.0.0.1:"),
        "{error}"
    );
    let head = hears.recv().expect("a request");
    assert!(
        head.starts_with("CONNECT ca.example:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic "),
        "{head}"
    );
}

/// It is the way to everybody.
#[tokio::test]
async fn a_proxy_that_is_not_there_is_no_way_out() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let routes = Routes::through(&format!("http://{address}")).expect("a proxy");
    let error = HttpSender::with(routes, None)
        .send(get("https://ca.example/"), &policy(&[]))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.stage, TransportStage::Route);
    let through = format!("through the proxy http://{address}/");
    assert_eq!(error.causes[0], through);
    assert!(error.causes.len() > 1, "{error}");
}

/// What it does before the tunnel stands is not the host's TLS, and who we are it wants to know of everybody.
#[tokio::test]
async fn a_proxy_that_breaks_off_or_wants_a_login_is_told_as_that() {
    for (answer, stage) in [
        (&b""[..], TransportStage::Connect),
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            TransportStage::Route,
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", TransportStage::Connect),
    ] {
        let proxy = Server::plain(move |mut connection| {
            let mut head = vec![0; 1024];
            let _read = connection.read(&mut head);
            let _sent = connection.write_all(answer);
        });
        let proxy = format!("http://{}", proxy.address);
        let error = HttpSender::with(Routes::through(&proxy).expect("a proxy"), None)
            .send(get("https://ca.example/"), &policy(&[]))
            .await
            .expect_err("no tunnel");
        assert_eq!(error.stage, stage, "{error}");
        assert!(error.causes[0].starts_with("through the proxy"), "{error}");
    }
}

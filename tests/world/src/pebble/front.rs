//! A door before Pebble that sees everything and can get it wrong: TLS ends here, and the faults of
//! [`crate::fault`] strike on the way back.
//!
//! It keeps a ledger of what Pebble has answered, before any fault: accounts, orders and
//! certificates, which Pebble itself tells nobody. Several fronts share one Pebble.
//!
//! Requests take turns, and one that finalizes keeps its turn until the certificate is made: Pebble
//! can be stopped for good by two at once, see [`Pebble::until_it_stands_still`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{GLANCE, Log, Pebble, classify};
use crate::World;
use crate::fault::Faults;
use crate::guarded::Guarded;
use crate::server::{Https, Setup};
use crate::traffic::{Class, Traffic};

/// How long a certificate may be in the making before others have their turn.
const MAKING: Duration = Duration::from_secs(10);

/// The most bytes of a request.
const BODY_LIMIT: usize = 64 * 1024;

/// A running front; dropping it closes its port.
#[derive(Debug)]
pub struct Front {
    https: Https,
    seen: Guarded<Seen>,
}

/// What Pebble has answered through a front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// URLs of accounts.
    pub accounts: BTreeSet<String>,
    /// URLs of orders.
    pub orders: BTreeSet<String>,
    /// Paths where an order was finalized.
    pub finalized: BTreeSet<String>,
    /// The leaf, in PEM, of each certificate that an order has named; empty until it was fetched.
    pub certificates: BTreeMap<String, String>,
    /// Requests for revocation that were granted.
    pub revoked: usize,
}

impl Front {
    /// Stands before `pebble`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(world: &World, pebble: &Pebble) -> io::Result<Self> {
        let seen = Guarded::<Seen>::default();
        let behind = Behind {
            port: pebble.api,
            tls: Arc::clone(&pebble.tls),
            seen: seen.clone(),
            turn: Arc::clone(&pebble.turn),
            log: pebble.log.clone(),
        };
        let setup = Setup {
            classify: Arc::new(|_method, path| class_of(path)),
            // What a fault answers in Pebble's place has no nonce: they are Pebble's to give.
            ..Setup::default()
        };
        let router = Router::new().fallback(pass).with_state(behind);
        Ok(Self {
            https: Https::start_with(world, router, setup)?,
            seen,
        })
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("{}/dir", self.url())
    }

    /// `https://host:port`.
    pub fn url(&self) -> String {
        self.https.url()
    }

    /// Sorts the paths of Pebble's resources, as faults see them.
    pub fn classifier(&self) -> impl Fn(&str) -> Class + Send + Sync + use<> {
        class_of
    }

    /// What it was asked.
    pub fn traffic(&self) -> &Traffic {
        self.https.traffic()
    }

    /// What it still gets wrong.
    pub fn faults(&self) -> &Faults {
        self.https.faults()
    }

    /// What Pebble has answered through it.
    pub fn seen(&self) -> Seen {
        self.seen.with(|seen| seen.clone())
    }
}

/// Pebble, from here.
#[derive(Clone)]
struct Behind {
    port: u16,
    tls: Arc<ClientConfig>,
    seen: Guarded<Seen>,
    turn: Arc<Mutex<()>>,
    log: Log,
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let turn = behind.turn.lock().await;
    let answered = behind.ask(request).await;
    let finalized = class_of(&path) == Class::Finalize;
    if finalized
        && answered
            .as_ref()
            .is_ok_and(|response| response.status().is_success())
    {
        behind.wait_for_certificate(&path).await;
    }
    drop(turn);
    match answered {
        Ok(response) => behind.note(&path, response).await,
        Err(_broken) => {
            let mut response = Response::new(Body::from("Pebble does not answer"));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

impl Behind {
    /// Waits until Pebble has made the certificate of the order that was finalized at `path`.
    async fn wait_for_certificate(&self, path: &str) {
        let order = path.rsplit('/').next().unwrap_or_default();
        let deadline = Instant::now() + MAKING;
        while !self
            .log
            .completed
            .with(|completed| completed.contains(order))
        {
            if Instant::now() > deadline {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
        // The order learns of it just after the log.
        tokio::time::sleep(GLANCE).await;
    }

    /// One request with HTTP/1.0, so that the answer ends with the connection.
    async fn ask(&self, request: Request) -> io::Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await.map_err(io::Error::other)?;
        let host = match parts.uri.authority() {
            Some(authority) => authority.to_string(),
            None => text(parts.headers.get(header::HOST)).to_owned(),
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        // Pebble names itself by the host it is asked as, and this is what the client has signed.
        let mut head = format!("{} {path} HTTP/1.0\r\nhost: {host}\r\n", parts.method);
        for (name, value) in &parts.headers {
            if name != header::HOST && name != header::CONTENT_LENGTH {
                head += &format!("{name}: {}\r\n", text(Some(value)));
            }
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        parse(&reply).ok_or_else(|| io::Error::other("no HTTP answer"))
    }

    /// Enters an answer into the ledger.
    async fn note(&self, path: &str, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        // It was in memory as a whole before.
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let class = class_of(path);
        let location = text(parts.headers.get(header::LOCATION)).to_owned();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if parts.status.is_success() {
            self.seen.with(|seen| match class {
                Class::NewAccount => {
                    seen.accounts.insert(location);
                }
                Class::NewOrder => {
                    seen.orders.insert(location);
                }
                Class::Order | Class::Finalize => {
                    if class == Class::Finalize {
                        seen.finalized.insert(path.to_owned());
                    }
                    if let Some(url) = body["certificate"].as_str() {
                        let path = path_of(url).to_owned();
                        seen.certificates.entry(path).or_default();
                    }
                }
                Class::Certificate => {
                    let pem = String::from_utf8_lossy(&bytes);
                    let end = "-----END CERTIFICATE-----";
                    if let Some((leaf, _chain)) = pem.split_once(end) {
                        let leaf = format!("{leaf}{end}\n");
                        seen.certificates.insert(path.to_owned(), leaf);
                    }
                }
                Class::Revoke => seen.revoked += 1,
                _ => {}
            });
        }
        Response::from_parts(parts, Body::from(bytes))
    }
}

fn class_of(path: &str) -> Class {
    match path.trim_start_matches('/').split('/').next() {
        _ if path.contains("/renewalInfo") => Class::RenewalInfo,
        Some(first) => classify(first),
        None => Class::Other,
    }
}

/// A URL without scheme and host.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn text(value: Option<&HeaderValue>) -> &str {
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// An answer that was read to its end.
fn parse(reply: &[u8]) -> Option<Response> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&reply[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse::<u16>().ok()?;
    let mut response = Response::new(Body::from(reply[end + 4..].to_vec()));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::try_from(name.to_ascii_lowercase()).ok()?;
        // How the connection went is not for the client, whose connection is another.
        let hop = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ];
        if !hop.contains(&name) {
            let value = HeaderValue::try_from(value.trim()).ok()?;
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_pebble_are_told_apart() {
        for (path, class) in [
            ("/dir", Class::Directory),
            ("/my-order/abc", Class::Order),
            ("/certZ/1/alternate/1", Class::Certificate),
            (
                "/draft-ietf-acme-ari-03/renewalInfo/a.b",
                Class::RenewalInfo,
            ),
            ("/", Class::Other),
        ] {
            assert_eq!(class_of(path), class, "{path}");
        }
        assert_eq!(path_of("https://localhost:1/certZ/1"), "/certZ/1");
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let reply = b"HTTP/1.0 201 Created\r\nLocation: x\r\nContent-Length: 2\r\n\r\n{}";
        let response = parse(reply).expect("an answer");
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(text(response.headers().get("location")), "x");
        assert_eq!(response.headers().len(), 1);
        assert!(parse(b"nonsense").is_none());
    }
}

//! Answers to `GET`, on a thread of its own: whoever asks is answered while a pass is at work.
//!
//! What is answered is decided elsewhere ([`Desk`]). Here it is bounded: so many connections, so
//! much time for a request and for a connection, and no body is read.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;
use waxwing_core::secret::Secret;

/// Connections at a time. The oldest one makes room for another: whoever keeps many open and says nothing
/// keeps nobody out.
const CONNECTIONS: usize = 32;

/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Time for a connection, with all that is asked over it.
const WHOLE: Duration = Duration::from_secs(60);

/// After a connection that could not be taken, such as for want of file descriptors.
const BREATH: Duration = Duration::from_millis(200);

/// A request, as far as an answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// The path without the query.
    pub path: &'a str,
    /// The header `Host`, if it is text.
    pub host: Option<&'a str>,
    /// The header `Authorization`, if it is text.
    pub authorization: Option<&'a str>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers; content length and date are added.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Asked<'_> {
    /// True if whoever asks knows the secret: as a bearer token, or as the password of any user,
    /// which is what a browser asks a person for.
    pub fn knows(&self, secret: &Secret<String>) -> bool {
        let given = self.authorization.unwrap_or_default();
        let (scheme, rest) = given.split_once(' ').unwrap_or_default();
        let said = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => rest.trim().as_bytes().to_vec(),
            "basic" => {
                let decoded = STANDARD.decode(rest.trim()).unwrap_or_default();
                match decoded.iter().position(|byte| *byte == b':') {
                    Some(colon) => decoded.get(colon + 1..).unwrap_or_default().to_vec(),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        verify_slices_are_equal(&said, secret.expose().as_bytes()).is_ok()
    }
}

/// Who answers. MUST be quick: it is asked on the one thread that answers all.
pub trait Desk: Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, asked: &Asked<'_>) -> Answer;
}

/// A socket that is bound and asks a desk. It ends with the process.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
}

impl Listener {
    /// Binds the address and begins to answer.
    ///
    /// # Errors
    /// When the address cannot be bound, or no thread can be had.
    pub fn start(at: SocketAddr, desk: Arc<dyn Desk>) -> io::Result<Self> {
        let socket = TcpListener::bind(at)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("listen".to_owned())
            .spawn(move || runtime.block_on(serve(socket, desk)))?;
        Ok(Self { address })
    }

    /// Where it listens; the port is never 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sockets live in real time, whatever the clock of a run says"
)]
async fn serve(socket: TcpListener, desk: Arc<dyn Desk>) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(cause) => {
            tracing::error!(%cause, "the socket cannot be listened on");
            return;
        }
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match socket.accept().await {
            Ok((stream, _peer)) => stream,
            Err(cause) => {
                tracing::debug!(%cause, "a connection could not be taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let desk = Arc::clone(&desk);
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, desk.as_ref());
                async move { answer }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            // Who hangs up, or is slow, is nobody's concern.
            let _ended = tokio::time::timeout(WHOLE, connection).await;
        });
        open.push_back(connection.abort_handle());
    }
}

fn answer(
    request: &Request<Incoming>,
    desk: &dyn Desk,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let asked = Asked {
        method: request.method().as_str(),
        path: request.uri().path(),
        host: header(HOST),
        authorization: header(AUTHORIZATION),
    };
    let answer = desk.answer(&asked);
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    // For HEAD hyper sends the head alone.
    response.body(Full::new(Bytes::from(answer.body)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    struct Echo;

    impl Desk for Echo {
        fn answer(&self, asked: &Asked<'_>) -> Answer {
            Answer {
                status: 200,
                headers: vec![("content-type", "text/plain".to_owned())],
                body: format!("{asked:?}"),
            }
        }
    }

    fn ask(at: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(at).expect("connected");
        stream.write_all(text.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        answer
    }

    #[test]
    fn a_request_reaches_the_desk_without_its_query() {
        let at = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::start(at, Arc::new(Echo)).expect("bound");
        let text = "GET /metrics?a=1 HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: Bearer x\r\n\
                    Connection: close\r\n\r\n";
        let answer = ask(listener.address(), text);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let want = r#"Asked { method: "GET", path: "/metrics", host: Some("localhost:1"), authorization: Some("Bearer x") }"#;
        assert!(answer.ends_with(want), "{answer}");
    }

    #[test]
    fn what_is_no_http_is_refused_and_harms_nobody() {
        let at = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::start(at, Arc::new(Echo)).expect("bound");
        let refused = ask(listener.address(), "\u{16}\u{3}\u{1}\r\n\r\n");
        assert!(!refused.contains("200 OK"), "{refused}");
        let text = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = ask(listener.address(), text);
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn who_says_nothing_keeps_nobody_out() {
        let at = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::start(at, Arc::new(Echo)).expect("bound");
        let connect = |_| TcpStream::connect(listener.address()).expect("connected");
        let silent: Vec<TcpStream> = (0..CONNECTIONS * 3).map(connect).collect();
        let mut stream = TcpStream::connect(listener.address()).expect("connected");
        // Less than it takes until one of the others is given up.
        stream.set_read_timeout(Some(HEAD / 2)).expect("a time");
        let text = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(text.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        drop(silent);
    }

    #[test]
    fn a_secret_is_known_as_a_token_or_as_a_password() {
        let secret = Secret::new("s3:cret".to_owned());
        for (given, knows) in [
            (None, false),
            (Some("Bearer s3:cret"), true),
            (Some("bearer s3:cret"), true),
            (Some("Bearer s3"), false),
            (Some("Bearer "), false),
            // prometheus:s3:cret
            (Some("Basic cHJvbWV0aGV1czpzMzpjcmV0"), true),
            // s3:cret, which is the password `cret`
            (Some("Basic czM6Y3JldA=="), false),
            (Some("Basic !"), false),
            (Some("Digest s3:cret"), false),
        ] {
            let asked = Asked {
                method: "GET",
                path: "/",
                host: None,
                authorization: given,
            };
            assert_eq!(asked.knows(&secret), knows, "{given:?}");
        }
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let at = "127.0.0.1:0".parse().expect("an address");
        let first = Listener::start(at, Arc::new(Echo)).expect("bound");
        let second = Listener::start(first.address(), Arc::new(Echo));
        let error = second.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

//! HTTPS servers on loopback: real TLS, HTTP/2 and HTTP/1.1, counted and faulty on demand.

pub mod odd;
mod spoil;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::World;
use crate::fault::{Faults, What};
use crate::runtime::{Runtime, Task};
use crate::traffic::{Class, Traffic};

/// Where a server is, in place of a port of the system's choice on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address it listens on.
    pub address: SocketAddr,
    /// What it is called: the names in its certificate, of which the first is in its URL.
    pub names: Vec<String>,
}

/// How a server differs from the usual one.
pub struct Setup {
    /// The address it listens on; port 0 stands for one of the system's choice.
    pub address: SocketAddr,
    /// The host in [`Https::url`].
    pub host: String,
    /// The names in its certificate. Leave [`Setup::host`] out for a server whose name is wrong.
    pub names: Vec<String>,
    /// Sorts requests, by method and path, for counting and for faults.
    pub classify: Classify,
    /// Completes every answer, those of faults of the kind [`What::Problem`] included, such as with
    /// a fresh nonce.
    pub complete: Option<Complete>,
}

/// Tells what a request with this method and path is for.
pub type Classify = Arc<dyn Fn(&Method, &str) -> Class + Send + Sync>;

/// Adds to an answer what its server owes: the request's class and method, and the answer.
pub type Complete = Arc<dyn Fn(Class, &Method, &mut Response) + Send + Sync>;

impl Default for Setup {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            host: "localhost".to_owned(),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            classify: Arc::new(|_method, _path| Class::Other),
            complete: None,
        }
    }
}

impl Setup {
    /// The usual one, there if a place is given.
    pub(crate) fn at(place: Option<&Place>) -> Self {
        let usual = Self::default();
        match place {
            None => usual,
            Some(place) => Self {
                address: place.address,
                host: place.names.first().cloned().unwrap_or(usual.host),
                names: place.names.clone(),
                ..usual
            },
        }
    }
}

/// A running HTTPS server; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Https {
    address: SocketAddr,
    host: String,
    traffic: Traffic,
    faults: Faults,
    // Before the runtime, because a task must not outlive it by a wait.
    _task: Task,
    _runtime: Arc<Runtime>,
}

impl Https {
    /// Serves `router` on a port of the system's choice.
    pub fn start(world: &World, router: Router) -> io::Result<Self> {
        Self::start_with(world, router, Setup::default())
    }

    /// Serves `router` as `setup` says.
    pub fn start_with(world: &World, router: Router, setup: Setup) -> io::Result<Self> {
        let runtime = Arc::clone(world.runtime());
        let tls = world.root().server_config(&setup.names)?;
        let listener = std::net::TcpListener::bind(setup.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _entered = runtime.handle().enter();
            TcpListener::from_std(listener)?
        };
        let gate = Gate {
            traffic: Traffic::default(),
            faults: Faults::default(),
            classify: setup.classify,
            complete: setup.complete,
        };
        let (traffic, faults) = (gate.traffic.clone(), gate.faults.clone());
        let router = router.layer(middleware::from_fn_with_state(gate, pass));
        let task = runtime.spawn(accept(listener, tls, router, traffic.clone()));
        Ok(Self {
            address,
            host: setup.host,
            traffic,
            faults,
            _task: task,
            _runtime: runtime,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://host:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.address.port())
    }

    /// What it was asked.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What it still gets wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

async fn accept(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, traffic: Traffic) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept concerns one client, which sees it; the next may fare better.
                let Ok((stream, _peer)) = accepted else { continue };
                let serving = serve(acceptor.clone(), stream, router.clone(), traffic.clone());
                connections.spawn(serving);
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side closes it.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, router: Router, traffic: Traffic) {
    // Small answers must not wait for the client's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    traffic.connected();
    let cut = Cut::default();
    let service = TowerToHyperService::new(router.layer(Extension(cut.clone())));
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ended = connection => {}
        () = cut.0.notified() => {}
    }
}

/// Closes the connection a request came by, without an answer.
#[derive(Debug, Clone, Default)]
struct Cut(Arc<Notify>);

impl Cut {
    async fn now(&self) -> Response {
        self.0.notify_one();
        std::future::pending().await
    }
}

/// What every request passes on its way in and out.
#[derive(Clone)]
struct Gate {
    traffic: Traffic,
    faults: Faults,
    classify: Classify,
    complete: Option<Complete>,
}

impl Gate {
    fn finish(&self, class: Class, method: &Method, mut response: Response) -> Response {
        if let Some(complete) = &self.complete {
            complete(class, method, &mut response);
        }
        response
    }
}

async fn pass(
    State(gate): State<Gate>,
    Extension(cut): Extension<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let class = (gate.classify)(&method, request.uri().path());
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let place = gate.traffic.asked(class, method.clone(), path);
    let response = match gate.faults.strike(class) {
        None => gate.finish(class, &method, next.run(request).await),
        Some(What::Slow(wait)) => {
            tokio::time::sleep(wait).await;
            gate.finish(class, &method, next.run(request).await)
        }
        Some(What::CloseBefore) => cut.now().await,
        Some(What::CloseAfter) => {
            let _lost = next.run(request).await;
            cut.now().await
        }
        Some(What::After(status, body)) => {
            let _lost = next.run(request).await;
            (status, body).into_response()
        }
        Some(What::Hang) => std::future::pending().await,
        Some(What::HangAfter) => {
            let _lost = next.run(request).await;
            std::future::pending().await
        }
        Some(What::Drip(pause)) => {
            let response = gate.finish(class, &method, next.run(request).await);
            spoil::drip(response, pause).await
        }
        Some(What::Spoilt(how)) => {
            let response = gate.finish(class, &method, next.run(request).await);
            spoil::spoil(response, &how).await
        }
        Some(What::Body(body)) => body.into_response(),
        Some(What::Html(status)) => html(status),
        Some(What::Status {
            status,
            headers,
            body,
        }) => answer(status, &headers, body),
        Some(What::Problem {
            kind,
            status,
            detail,
            retry_after,
        }) => {
            let response = problem(&kind, status, &detail, retry_after);
            gate.finish(class, &method, response)
        }
    };
    gate.traffic.answered(place, response.status());
    response
}

fn answer(status: StatusCode, headers: &[(String, String)], body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn html(status: StatusCode) -> Response {
    let title = format!(
        "{} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or("Unknown")
    );
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>\
         </center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    answer(
        status,
        &[(header::CONTENT_TYPE.to_string(), "text/html".to_owned())],
        body,
    )
}

fn problem(kind: &str, status: StatusCode, detail: &str, retry: Option<String>) -> Response {
    let body = serde_json::json!({
        "type": format!("urn:ietf:params:acme:error:{kind}"),
        "detail": detail,
        "status": status.as_u16(),
    });
    let mut headers = vec![(
        header::CONTENT_TYPE.to_string(),
        "application/problem+json".to_owned(),
    )];
    headers.extend(retry.map(|retry| (header::RETRY_AFTER.to_string(), retry)));
    answer(status, &headers, body.to_string())
}

/// A port on loopback that refuses connections for as long as this lives, and that nobody else can
/// take meanwhile.
#[derive(Debug)]
pub struct Closed {
    address: SocketAddr,
    bound: TcpSocket,
}

impl Closed {
    /// Takes a port and does not listen.
    pub fn new() -> io::Result<Self> {
        let bound = TcpSocket::new_v4()?;
        bound.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            address: bound.local_addr()?,
            bound,
        })
    }

    /// `https://host:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The socket, for a server that comes up here.
    pub(crate) fn into_socket(self) -> TcpSocket {
        self.bound
    }
}

/// An `https` URL on loopback whose port refuses connections.
///
/// The port was free a moment ago; nothing keeps another process from taking it later.
pub fn refused() -> io::Result<String> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    drop(listener);
    Ok(format!("https://localhost:{port}"))
}

#[cfg(test)]
mod tests;

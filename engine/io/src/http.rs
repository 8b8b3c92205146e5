//! HTTP over TLS: one request out, one answer in.
//!
//! Nothing here tries again, follows a redirect or keeps a cookie. One kind of repetition remains
//! in the library below: a request that found its idle connection closed before a byte of it was
//! sent goes out on a new one.
//!
//! What a newcomer gets wrong: an address policy has to be kept inside the look-up that connects.
//! A check before it and a second look-up after it can see different addresses, and a host that is
//! written as an address is never looked up at all. Through a proxy the look-up is the proxy's, and
//! so is the check.

mod address;
mod body;
mod failure;
mod lookup;
mod route;
mod way;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use waxwing_core::http::{
    Method, Request, Response, TransportError, TransportStage, without_query,
};
use waxwing_core::settings::NetworkSettings;
use waxwing_flow::ports::{Addresses, HttpClient, Policy};

use crate::pem;
use failure::Failed;
use lookup::CheckedLookup;
use route::{Route, Routes};

pub use address::{Refused, check as check_address};
pub use route::{
    ProxyError, is_reached_directly, of_the_environment as proxies_of_the_environment,
};
pub use way::{Reach, reach};

/// Longest header of an answer, names and values together, in bytes.
const HEADER_CAP: usize = 32 * 1024;

/// Sends requests, directly or through a proxy, and reuses connections.
///
/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpSender {
    routes: Arc<Routes>,
    /// Roots for every request besides those of its policy.
    roots: Option<PathBuf>,
    clients: Arc<Mutex<HashMap<Kind, Arc<Pool>>>>,
}

/// What two requests must have in common to share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    trust: Vec<PathBuf>,
    /// None: any.
    addresses: Option<Vec<String>>,
    connect: Duration,
    route: Route,
}

/// The connections of one kind.
struct Pool {
    client: Client,
    lookup: CheckedLookup,
    /// For each origin whether a connection was made.
    met: Mutex<HashMap<String, Arc<tokio::sync::Mutex<bool>>>>,
}

impl HttpSender {
    /// Connects as `[network]` says: through its proxy or the system's, trusting its roots besides
    /// the system's.
    ///
    /// # Errors
    /// When the proxy is no URL of a proxy.
    pub fn new(network: &NetworkSettings) -> Result<Self, ProxyError> {
        let routes = match &network.proxy {
            Some(proxy) => Routes::through(proxy)?,
            None => Routes::system(),
        };
        Ok(Self::with(routes, network.trust.clone()))
    }

    /// Connects without a proxy, whatever the system says.
    pub fn direct() -> Self {
        Self::with(Routes::direct(), None)
    }

    fn with(routes: Routes, roots: Option<PathBuf>) -> Self {
        Self {
            routes: Arc::new(routes),
            roots,
            clients: Arc::default(),
        }
    }

    fn pool(&self, policy: &Policy, route: Route) -> Result<Arc<Pool>, Failed> {
        let kind = Kind {
            trust: self.roots.iter().chain(&policy.trust).cloned().collect(),
            addresses: match &policy.addresses {
                Addresses::Any => None,
                Addresses::PublicAnd(ranges) => {
                    Some(ranges.iter().map(|r| r.to_string()).collect())
                }
            },
            connect: policy.connect,
            route,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = clients.get(&kind) {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(Pool::open(&kind, &policy.addresses)?);
        clients.insert(kind, Arc::clone(&pool));
        Ok(pool)
    }

    async fn exchange(
        &self,
        request: &Request,
        policy: &Policy,
        tried: &mut Option<String>,
        start: Instant,
    ) -> Result<Response, Failed> {
        let url = parse(&request.url, policy)?;
        let host = url.host_str().unwrap_or_default();
        let route = self.routes.of(&request.url)?;
        if let Ok(literal) = host.trim_matches(['[', ']']).parse() {
            *tried = Some(host.to_owned());
            check_address(&policy.addresses, literal).map_err(Failed::address)?;
        }
        let proxy = route.url().map(str::to_owned);
        let pool = self.pool(policy, route)?;
        let origin = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let mut outgoing = pool.client.request(method(request.method), url.clone());
        outgoing = outgoing.headers(headers(&request.headers)?);
        if !request.body.is_empty() {
            outgoing = outgoing.body(request.body.clone());
        }
        let answer = pool
            .first_alone(&origin, policy.connect, outgoing.send())
            .await;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if tried.is_none() {
                    *tried = pool.lookup.last(host);
                }
                let encrypted = url.scheme() == "https";
                let mut failed = Failed::from_reqwest(error, encrypted, proxy.as_deref());
                if proxy.is_some() {
                    return Err(failed);
                }
                failed.stage = way::judge(&failed, &pool.lookup.found(host)).await;
                return Err(failed);
            }
        };
        if let Some(address) = answer.remote_addr() {
            *tried = Some(address.to_string());
        }
        let status = answer.status().as_u16();
        let (mut headers, size) = fields(answer.headers());
        if size > HEADER_CAP {
            let cause = format!("its header has {size} bytes; {HEADER_CAP} are read at most");
            return Err(Failed::new(TransportStage::TooLarge, cause));
        }
        let raw = match request.method {
            Method::Head => Vec::new(),
            _ => body::read(&mut answer, policy.body_cap).await?,
        };
        let body = body::decode(raw, &mut headers, policy.body_cap)?;
        Ok(Response {
            status,
            headers,
            body,
            elapsed: start.elapsed(),
        })
    }
}

#[async_trait]
impl HttpClient for HttpSender {
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the exchange; nothing is decided by it"
    )]
    async fn send(&self, request: Request, policy: &Policy) -> Result<Response, TransportError> {
        let start = Instant::now();
        let mut address = None;
        let exchange = self.exchange(&request, policy, &mut address, start);
        let result = match tokio::time::timeout(policy.reply, exchange).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let cause = format!("no whole answer within {} ms", policy.reply.as_millis());
                Err(Failed::new(TransportStage::Timeout, cause))
            }
        };
        result.map_err(|Failed { stage, causes, .. }| TransportError {
            stage,
            method: request.method,
            url: without_query(&request.url).to_owned(),
            address,
            elapsed: start.elapsed(),
            causes,
        })
    }
}

impl std::fmt::Debug for HttpSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSender")
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl Pool {
    fn open(kind: &Kind, addresses: &Addresses) -> Result<Self, Failed> {
        let checked = match &kind.route {
            Route::Direct => addresses.clone(),
            // Only the proxy itself is looked up here.
            Route::Proxy { .. } => Addresses::Any,
        };
        let lookup = CheckedLookup::new(checked, kind.connect);
        let mut builder = Client::builder()
            .dns_resolver(lookup.clone())
            .connect_timeout(kind.connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
            .http2_max_header_list_size(u32::try_from(HEADER_CAP).unwrap_or(u32::MAX));
        if let Some(proxy) = kind.route.proxy()? {
            builder = builder.proxy(proxy);
        }
        let mut roots = Vec::new();
        for path in &kind.trust {
            roots.extend(read_roots(path)?);
        }
        if !roots.is_empty() {
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder
            .build()
            // Everything that the configuration names has been read by now.
            .map_err(|error| Failed::chain(TransportStage::Roots, &error))?;
        Ok(Self {
            client,
            lookup,
            met: Mutex::default(),
        })
    }

    /// Lets the first request to an origin go ahead of the others, so that they find its
    /// connection instead of opening one each. A first one that takes long does not keep them.
    async fn first_alone<T, E>(
        &self,
        origin: &str,
        patience: Duration,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let met = {
            let mut all = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(origin.to_owned()).or_default())
        };
        let mut first = tokio::time::timeout(patience, met.lock()).await.ok();
        if first.as_deref() == Some(&true) {
            first = None;
        }
        let result = act.await;
        if let (Some(met), Ok(_)) = (&mut first, &result) {
            **met = true;
        }
        result
    }
}

/// Parses a URL that can be sent exactly as it stands.
fn parse(text: &str, policy: &Policy) -> Result<Url, Failed> {
    let refuse = |cause: &str| Failed::new(TransportStage::Request, cause);
    let url = Url::parse(text).map_err(|cause| refuse(&format!("the URL is none: {cause}")))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.plain_http => {}
        "http" => return Err(refuse("plain http is not allowed here")),
        other => return Err(refuse(&format!("the scheme `{other}` is not https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("the URL holds a user name or password"));
    }
    // RFC 8555 section 6.4 signs the URL; a normalised one is another.
    let written: http::Uri = text
        .parse()
        .map_err(|cause| refuse(&format!("the URL is none: {cause}")))?;
    let path = if written.path().is_empty() {
        "/"
    } else {
        written.path()
    };
    if url.path() != path || url.query() != written.query() {
        return Err(refuse(
            "the path or query of the URL would be changed by sending it",
        ));
    }
    Ok(url)
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// The caller's header fields; names may be told in errors, values may not.
fn headers(fields: &[(String, String)]) -> Result<HeaderMap, Failed> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        let refuse = |what: &str| {
            let cause = format!("the header field `{}` {what}", name.escape_debug());
            Failed::new(TransportStage::Request, cause)
        };
        let key = HeaderName::try_from(name).map_err(|_| refuse("has no valid name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| refuse("has no valid value"))?;
        headers.append(key, value);
    }
    if !headers.contains_key(ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// The fields of an answer and their size.
fn fields(headers: &HeaderMap) -> (Vec<(String, String)>, usize) {
    let mut size = 0;
    let mut fields = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        size += name.as_str().len() + value.len();
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        fields.push((name.as_str().to_owned(), value));
    }
    (fields, size)
}

#[expect(clippy::disallowed_methods, reason = "roots are files")]
fn read_roots(path: &Path) -> Result<Vec<reqwest::Certificate>, Failed> {
    let refuse = |cause: String| {
        let cause = format!("the roots in {} cannot be used: {cause}", path.display());
        Failed::new(TransportStage::Setup, cause)
    };
    // A pipe that nobody writes to would be waited for.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(refuse("it is no regular file".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| refuse(cause.to_string()))?;
    let roots = pem::roots(&text).map_err(|cause| refuse(cause.to_string()))?;
    let parsed: Result<Vec<_>, _> = roots
        .iter()
        .map(|root| reqwest::Certificate::from_der(root))
        .collect();
    parsed.map_err(|cause| refuse(cause.to_string()))
}

#[cfg(test)]
mod tests;

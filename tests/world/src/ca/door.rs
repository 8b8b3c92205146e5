//! Where requests come in: routing, and who may pass (RFC 8555 sections 6.1 to 6.5).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::jose::{Jwk, Jws};
use super::ledger::{Account, token};
use super::problem::Problem;
use super::{ExternalAccount, Office, RenewalInfoAt, RetryAfter};

/// The most bytes a request may have.
const BODY_LIMIT: usize = 64 * 1024;

/// The terms of service, as the directory names them.
pub(super) const TERMS: &str = "https://ca.world.test/terms/v1";

/// Those in their place, once they are announced.
const OTHER_TERMS: &str = "https://ca.world.test/terms/v2";

/// A request, read to its end.
pub(super) struct Visit {
    parts: Parts,
    body: Vec<u8>,
    /// `https://host:port` as the client wrote it, so that a proxy in front changes nothing.
    origin: String,
}

/// A signed request that was let in.
pub(super) struct Post {
    pub(super) url: String,
    pub(super) key: Jwk,
    pub(super) payload: Vec<u8>,
}

/// An answer that is no refusal.
pub(super) struct Reply {
    status: StatusCode,
    body: String,
    kind: &'static str,
    headers: Vec<(HeaderName, String)>,
}

impl Reply {
    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        let kind = "application/json; charset=utf-8";
        Self {
            status,
            body: value.to_string(),
            kind,
            headers: Vec::new(),
        }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: String::new(),
            kind: "",
            headers: Vec::new(),
        }
    }

    pub(super) fn text(kind: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            kind,
            headers: Vec::new(),
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(super) fn retry_after(self, wait: Option<RetryAfter>) -> Self {
        match wait {
            None => self,
            Some(RetryAfter::Seconds(seconds)) => {
                self.with(header::RETRY_AFTER, seconds.to_string())
            }
            Some(RetryAfter::Date(ahead)) => {
                let then = std::time::SystemTime::now() + ahead;
                self.with(header::RETRY_AFTER, httpdate::fmt_http_date(then))
            }
        }
    }

    fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        if !self.kind.is_empty() {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

pub(super) async fn serve(State(office): State<Arc<Office>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let origin = origin(&parts);
    let directory = format!("{origin}{}", office.options.directory_path);
    let is_directory = parts.uri.path() == office.options.directory_path;
    let outcome = match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => route(
            &office,
            &Visit {
                parts,
                body: body.to_vec(),
                origin,
            },
        ),
        Err(_cut_or_long) => Err(Problem::new(
            "malformed",
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {BODY_LIMIT} bytes or was cut"),
        )),
    };
    let mut response = match outcome {
        Ok(reply) => reply.response(),
        Err(problem) => problem.response(),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=0, no-cache"),
    );
    if !is_directory && let Ok(link) = HeaderValue::try_from(format!("<{directory}>;rel=\"index\""))
    {
        headers.append(header::LINK, link);
    }
    response
}

fn origin(parts: &Parts) -> String {
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost"),
    };
    format!("https://{host}")
}

fn route(office: &Arc<Office>, visit: &Visit) -> Result<Reply, Problem> {
    if visit.header(header::USER_AGENT).is_empty() {
        return Err(Problem::malformed("every request must have a User-Agent"));
    }
    let path = visit.parts.uri.path();
    if path == office.options.directory_path {
        visit.allow(&[Method::GET, Method::HEAD])?;
        return Ok(directory(office, visit));
    }
    let rest = path.strip_prefix("/acme/").unwrap_or_default();
    let (resource, id) = rest.split_once('/').unwrap_or((rest, ""));
    match (resource, id) {
        ("new-nonce", "") => {
            visit.allow(&[Method::HEAD, Method::GET])?;
            Ok(Reply::empty(match visit.parts.method == Method::HEAD {
                true => StatusCode::OK,
                false => StatusCode::NO_CONTENT,
            }))
        }
        ("renewal-info", id) if !id.is_empty() => {
            visit.allow(&[Method::GET, Method::HEAD])?;
            office.renewal_info(id)
        }
        ("eab-credentials" | "eab-credentials-email", "") => {
            visit.allow(&[Method::POST])?;
            Ok(office.credentials(visit))
        }
        ("new-account", "") => office.new_account(visit),
        ("account", id) => office.account(visit, id),
        ("orders", id) => office.account_orders(visit, id),
        ("key-change", "") => office.key_change(visit),
        ("new-order", "") => office.new_order(visit),
        ("order", id) => office.order(visit, id),
        ("finalize", id) => office.finalize(visit, id),
        ("authorization", id) => office.authorization(visit, id),
        ("challenge", id) => office.challenge(visit, id),
        ("certificate", id) => office.certificate(visit, id),
        ("revoke-cert", "") => office.revoke(visit),
        _ if office.options.forbids_unknown_paths => {
            Err(Problem::unauthorized("Invalid ACME server URL"))
        }
        _ => Err(Problem::not_found(format!(
            "no resource has the path {path}"
        ))),
    }
}

fn directory(office: &Office, visit: &Visit) -> Reply {
    let options = &office.options;
    let base = visit.base();
    let mut meta = json!({
        "termsOfService": match office.terms_announced.with(|announced| *announced) {
            true => OTHER_TERMS,
            false => TERMS,
        },
        "website": "https://ca.world.test/",
        "externalAccountRequired":
            matches!(options.external_account, ExternalAccount::Required { .. }),
        "caaIdentities": options.caa,
    });
    if !options.profiles.is_empty() {
        meta["profiles"] = options
            .profiles
            .iter()
            .map(|profile| (profile.name.clone(), json!(profile.description)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    let mut directory = json!({
        "newNonce": format!("{base}/new-nonce"),
        "newAccount": format!("{base}/new-account"),
        "newOrder": format!("{base}/new-order"),
        "revokeCert": format!("{base}/revoke-cert"),
        "keyChange": format!("{base}/key-change"),
        "meta": meta,
    });
    match &options.renewal_info {
        RenewalInfoAt::Here => directory["renewalInfo"] = json!(format!("{base}/renewal-info")),
        RenewalInfoAt::Elsewhere(url) => directory["renewalInfo"] = json!(url),
        RenewalInfoAt::Absent => {}
    }
    if options.random_entry {
        // New for each request, so that nobody compares directories as texts.
        directory[token(8)] = json!("https://ca.world.test/unknown-entries");
    }
    Reply::json(StatusCode::OK, &directory)
}

impl Visit {
    /// What the URLs of all resources but the directory start with.
    pub(super) fn base(&self) -> String {
        format!("{}/acme", self.origin)
    }

    pub(super) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    fn header(&self, name: HeaderName) -> &str {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn allow(&self, methods: &[Method]) -> Result<(), Problem> {
        if methods.contains(&self.parts.method) {
            return Ok(());
        }
        let allowed = methods
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let detail = format!("{} is not allowed here", self.parts.method);
        Err(
            Problem::new("malformed", StatusCode::METHOD_NOT_ALLOWED, detail)
                .with_header(header::ALLOW, allowed),
        )
    }

    /// The JWS of a POST request, before anything about it is believed.
    fn jws(&self) -> Result<Jws, Problem> {
        self.allow(&[Method::POST])?;
        let kind = self.header(header::CONTENT_TYPE);
        if kind != "application/jose+json" {
            return Err(Problem::new(
                "malformed",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("the content type is `{kind}`, not application/jose+json"),
            ));
        }
        if self.parts.headers.contains_key("replay-nonce") {
            return Err(Problem::malformed(
                "a nonce belongs into the JWS, not into a header",
            ));
        }
        Jws::parse(&self.body)
    }

    /// The URL the client must have signed: exactly as it was requested.
    fn url(&self) -> String {
        let path = self
            .parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        format!("{}{path}", self.origin)
    }
}

impl Post {
    /// A request that only reads has an empty payload (RFC 8555 section 6.3).
    pub(super) fn must_be_get(&self) -> Result<(), Problem> {
        match self.payload.is_empty() {
            true => Ok(()),
            false => Err(Problem::malformed(
                "a POST-as-GET request has an empty payload",
            )),
        }
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.payload).map_err(|wrong| {
            Problem::malformed(format!(
                "the payload is not what this resource takes: {wrong}"
            ))
        })
    }
}

impl Office {
    /// Lets in a request signed by a key that brings itself along.
    pub(super) fn admit_key(&self, visit: &Visit) -> Result<Post, Problem> {
        let jws = visit.jws()?;
        if !jws.has("jwk") {
            return Err(Problem::malformed("this resource wants the key as `jwk`"));
        }
        self.admit_jwk(visit, jws)
    }

    /// Lets in a request of an account that may still make requests.
    pub(super) fn admit_account(&self, visit: &Visit) -> Result<(Post, Account), Problem> {
        let jws = visit.jws()?;
        if !jws.has("kid") {
            return Err(Problem::malformed(
                "this resource wants the account as `kid`",
            ));
        }
        self.admit_kid(visit, jws)
    }

    /// Lets in a request of either kind; the account is there for the second.
    pub(super) fn admit_either(&self, visit: &Visit) -> Result<(Post, Option<Account>), Problem> {
        let jws = visit.jws()?;
        match jws.has("kid") {
            true => self
                .admit_kid(visit, jws)
                .map(|(post, account)| (post, Some(account))),
            false => self.admit_jwk(visit, jws).map(|post| (post, None)),
        }
    }

    fn admit_jwk(&self, visit: &Visit, jws: Jws) -> Result<Post, Problem> {
        if jws.has("kid") {
            return Err(Problem::malformed("`jwk` and `kid` exclude each other"));
        }
        let key = jws.jwk()?;
        self.check(visit, jws, key)
    }

    fn admit_kid(&self, visit: &Visit, jws: Jws) -> Result<(Post, Account), Problem> {
        if jws.has("jwk") {
            return Err(Problem::malformed("`jwk` and `kid` exclude each other"));
        }
        let kid = jws.text("kid").unwrap_or_default();
        let prefix = format!("{}/account/", visit.base());
        let Some(id) = kid.strip_prefix(&prefix) else {
            return Err(Problem::malformed(format!(
                "the kid `{kid}` is no account of this CA"
            )));
        };
        let account = self.ledger.with(|ledger| ledger.accounts.get(id).cloned());
        let account = account.ok_or_else(|| {
            Problem::new(
                "accountDoesNotExist",
                StatusCode::BAD_REQUEST,
                format!("there is no account {kid}"),
            )
        })?;
        let post = self.check(visit, jws, account.key.clone())?;
        if account.deactivated {
            return Err(Problem::unauthorized("the account is deactivated"));
        }
        if self.terms_changed.with(|changed| *changed) {
            return Err(terms_changed());
        }
        Ok((post, account))
    }

    /// Signature, nonce and URL, in this sequence.
    fn check(&self, visit: &Visit, jws: Jws, key: Jwk) -> Result<Post, Problem> {
        jws.verify(&key)?;
        let url = jws.text("url").unwrap_or_default().to_owned();
        if url.is_empty() {
            return Err(Problem::malformed("the protected header has no `url`"));
        }
        let bad_nonce = |detail: String| Problem::new("badNonce", StatusCode::BAD_REQUEST, detail);
        let nonce = jws.text("nonce").unwrap_or_default();
        if nonce.is_empty() {
            return Err(bad_nonce("the JWS has no nonce".to_owned()));
        }
        let good = self.ledger.with(|ledger| {
            let unlucky = ledger.draw.chance(self.options.nonce_reject);
            ledger.nonces.remove(nonce) && !unlucky
        });
        if !good {
            return Err(bad_nonce(format!(
                "the nonce {nonce} is not one of ours, or was used"
            )));
        }
        let asked = visit.url();
        if url != asked {
            return Err(Problem::malformed(format!(
                "the request was sent to {asked} but signed for {url}"
            )));
        }
        Ok(Post {
            url,
            key,
            payload: jws.payload,
        })
    }
}

/// New terms to agree to, as RFC 8555 section 7.3.3 words it.
fn terms_changed() -> Problem {
    let link = "<https://ca.world.test/terms/v2>;rel=\"terms-of-service\"";
    let mut problem = Problem::new(
        "userActionRequired",
        StatusCode::FORBIDDEN,
        "the terms of service have changed; visit the instance to agree",
    )
    .with_header(header::LINK, link.to_owned());
    problem.instance = Some("https://ca.world.test/agree");
    problem
}

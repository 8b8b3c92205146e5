//! `waxwing:host/http`

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waxwing_core::http::{self as core_http, Method, TransportError, TransportStage};
use waxwing_flow::audit::AuditEvent;
use waxwing_flow::failure::NO_ROOTS;
use waxwing_flow::ports::{Addresses, Policy};

use crate::bindings::installer::waxwing::host::http::{
    Auth, Host, HttpError, Part, Request, Response,
};
use crate::call::{Call, instant, on_caller};
use crate::limits::{HEADERS_CAP, JOINED_CAP, Limit};
use crate::parts::{Fault, Place, fill, secrets, shown, visible};
use crate::policy::{self, Ask, Placement, Refusal};
use crate::powers::Powers;
use crate::rate::Turn;
use crate::redact::percent;
use crate::target::{Target, TargetError, URL_CAP};

/// Time for look-up, connection and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for the whole exchange, if the guest does not ask for another.
const REPLY: Duration = Duration::from_secs(30);
/// Time of a call that no request waits into: what is left for the exchange after a wait.
const ROOM: Duration = Duration::from_secs(5);

impl Host for Call {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, HttpError>> {
        self.heard()?;
        let allowed = allowed(self, &request);
        self.http_calls += 1;
        let (method, target) = match allowed {
            Ok(allowed) => allowed,
            Err(error) => return Ok(Err(error)),
        };
        let not_sent = match filled(self, &request, method, &target) {
            Ok(filled) => match in_turn(self).await {
                Ok(()) => return Ok(exchange(self, &request, filled, &target).await),
                Err(throttled) => throttled,
            },
            Err(fault) => fault_error(self, fault),
        };
        audit(self, method, &target, Err(words(&not_sent)), Duration::ZERO);
        Ok(Err(not_sent))
    }
}

/// May it be sent? Nothing hidden has been looked at when this answers.
fn allowed(call: &mut Call, request: &Request) -> Result<(Method, Target), HttpError> {
    let ask = Ask {
        method: &request.method,
        url: &request.url,
        headers: request
            .headers
            .iter()
            .map(|header| (header.name.as_str(), visible(&header.value)))
            .collect(),
        secrets: placements(request),
        calls: call.http_calls,
    };
    match policy::check(&call.instance.powers, call.phase, &ask) {
        Ok(allowed) => Ok(allowed),
        Err(refusal) => {
            if matches!(refusal, Refusal::Budget(_)) {
                call.seen.hit(Limit::HttpCalls);
            } else {
                refused_event(call, request, &refusal);
            }
            Err(fault_error(call, Fault::Refused(refusal)))
        }
    }
}

fn placements(request: &Request) -> Vec<(&str, Placement<'_>)> {
    let mut all: Vec<(&str, Placement<'_>)> = Vec::new();
    for header in &request.headers {
        all.extend(secrets(&header.value).map(|name| (name, Placement::Header(&header.name))));
    }
    for pair in &request.query {
        all.extend(secrets(&pair.value).map(|name| (name, Placement::Query(&pair.name))));
    }
    all.extend(secrets(&request.body).map(|name| (name, Placement::Body)));
    match &request.auth {
        Auth::None => {}
        Auth::Bearer(name) => all.push((name, Placement::Bearer)),
        Auth::Basic(basic) => {
            let names = secrets(&basic.user).chain(secrets(&basic.password));
            all.extend(names.map(|name| (name, Placement::Basic)));
        }
    }
    all
}

/// The request as it goes out, with everything hidden filled in.
fn filled(
    call: &mut Call,
    request: &Request,
    method: Method,
    target: &Target,
) -> Result<core_http::Request, Fault> {
    let host = Some(target.host.as_str());
    let at = |placement| Place {
        secrets: Some(placement),
        host,
        artifacts: false,
    };
    let (mut headers, mut size) = (Vec::new(), 0);
    for header in &request.headers {
        let value = fill(call, &header.value, at(Placement::Header(&header.name)))?.bytes;
        policy::check_filled_header(&header.name, &value, secrets(&header.value))
            .map_err(Fault::Refused)?;
        size += header.name.len() + value.len();
        if size > HEADERS_CAP {
            return Err(Fault::Refused(Refusal::HeadersTooLong(HEADERS_CAP)));
        }
        headers.push((
            header.name.to_ascii_lowercase(),
            header_text(value, &header.name)?,
        ));
    }
    let mut query = target.query.clone().unwrap_or_default();
    for pair in &request.query {
        let value = fill(call, &pair.value, at(Placement::Query(&pair.name)))?.bytes;
        let joint = if query.is_empty() { "" } else { "&" };
        let (name, value) = (percent(pair.name.as_bytes(), true), percent(&value, true));
        query.push_str(&format!("{joint}{name}={value}"));
        if query.len() > URL_CAP {
            return Err(Fault::Refused(Refusal::Url(TargetError::TooLong)));
        }
    }
    if let Some(value) = authorization(call, &request.auth, host)? {
        if headers.iter().any(|(name, _)| name == "authorization") {
            return Err(Fault::Invalid(
                "the request has two `authorization` headers".to_owned(),
            ));
        }
        if size + value.len() > HEADERS_CAP {
            return Err(Fault::Refused(Refusal::HeadersTooLong(HEADERS_CAP)));
        }
        let value = header_text(value, "authorization")?;
        policy::check_filled_header("authorization", value.as_bytes(), bearer(&request.auth))
            .map_err(Fault::Refused)?;
        headers.push(("authorization".to_owned(), value));
    }
    let place = Place {
        secrets: Some(Placement::Body),
        host,
        artifacts: true,
    };
    let body = fill(call, &request.body, place)?.bytes;
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{}{mark}{query}", target.origin(), target.path);
    if url.len() > URL_CAP {
        return Err(Fault::Refused(Refusal::Url(TargetError::TooLong)));
    }
    Ok(core_http::Request {
        method,
        url,
        headers,
        body,
    })
}

/// Bytes of a user name and a password together.
const LONGEST_PAIR: usize = 4 << 10;

/// The value of the `authorization` header. A composed value becomes a secret of this call.
fn authorization(
    call: &mut Call,
    auth: &Auth,
    host: Option<&str>,
) -> Result<Option<Vec<u8>>, Fault> {
    match auth {
        Auth::None => Ok(None),
        Auth::Bearer(name) => {
            let hidden = crate::bindings::installer::waxwing::host::http::Hidden {
                name: name.clone(),
                encoding: "raw".to_owned(),
            };
            let place = Place {
                secrets: Some(Placement::Bearer),
                host,
                artifacts: false,
            };
            let token = fill(call, &[Part::Secret(hidden)], place)?.bytes;
            Ok(Some([b"Bearer ", token.as_slice()].concat()))
        }
        Auth::Basic(basic) => {
            let place = Place {
                secrets: Some(Placement::Basic),
                host,
                artifacts: false,
            };
            let user = fill(call, &basic.user, place)?.bytes;
            let password = fill(call, &basic.password, place)?.bytes;
            if user.contains(&b':') {
                return Err(Fault::Invalid("a user name cannot hold a colon".to_owned()));
            }
            // Each pair is kept until the call ends, so that it can be hidden in what comes back.
            if user.len() + password.len() > LONGEST_PAIR {
                let text = format!("a user name and a password have {LONGEST_PAIR} bytes at most");
                return Err(Fault::Invalid(text));
            }
            let pair = [user.as_slice(), b":", password.as_slice()].concat();
            call.redactor.add("authorization", &pair);
            Ok(Some(
                format!("Basic {}", STANDARD.encode(pair)).into_bytes(),
            ))
        }
    }
}

fn bearer(auth: &Auth) -> impl Iterator<Item = &str> {
    let name = match auth {
        Auth::Bearer(name) => Some(name.as_str()),
        Auth::None | Auth::Basic(_) => None,
    };
    name.into_iter()
}

fn header_text(value: Vec<u8>, name: &str) -> Result<String, Fault> {
    String::from_utf8(value)
        .map_err(|_binary| Fault::Invalid(format!("the header `{}` is not text", shown(name))))
}

/// Waits until the provider's rate has room, if that is soon and leaves time for the exchange.
async fn in_turn(call: &mut Call) -> Result<(), HttpError> {
    let throttled =
        |wait: Duration| HttpError::Throttled(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
    match call
        .instance
        .request_turn(call.remaining().saturating_sub(ROOM))
    {
        Turn::In(Duration::ZERO) => Ok(()),
        Turn::In(wait) => {
            let clock = Arc::clone(&call.instance.host.clock);
            let waited = on_caller(&call.caller, async move { clock.sleep(wait).await }).await;
            waited.map_err(|stopped| HttpError::Other(format!("the host's clock: {stopped}")))
        }
        Turn::TooFar(wait) => Err(throttled(wait)),
    }
}

async fn exchange(
    call: &mut Call,
    request: &Request,
    filled: core_http::Request,
    target: &Target,
) -> Result<Response, HttpError> {
    let powers = &call.instance.powers;
    let reply = request
        .timeout_ms
        .map_or(REPLY, |ms| Duration::from_millis(ms.into()));
    let bound = powers.bounds.body;
    let asked = request
        .max_response_bytes
        .map_or(bound, |bytes| bound.min(bytes.into()));
    let policy = Policy {
        // Not cut to the time that is left, which `reply` bounds: clients are kept by this value.
        connect: CONNECT,
        reply: reply.min(call.remaining()),
        body_cap: asked,
        addresses: Addresses::PublicAnd(powers.private.clone()),
        trust: powers.trust.iter().cloned().collect(),
        plain_http: target.scheme == "http",
    };
    let method = filled.method;
    let started = instant();
    let http = Arc::clone(&call.instance.host.http);
    if !method.is_safe() {
        call.seen.acts();
    }
    let answer = on_caller(
        &call.caller,
        async move { http.send(filled, &policy).await },
    )
    .await;
    let elapsed = started.elapsed();
    let result = match answer {
        Ok(Ok(response)) => {
            call.seen.answered();
            call.instance.heard(&response.headers);
            response_for(call, response, asked)
        }
        Ok(Err(error)) => {
            if !method.is_safe() && error.stage.is_before_sending() {
                call.seen.acted_not();
            }
            Err(transport_error(call, &error, target, asked))
        }
        Err(stopped) => Err(HttpError::Other(format!(
            "the host's HTTP client: {stopped}"
        ))),
    };
    let outcome = result
        .as_ref()
        .map(|response| response.status)
        .map_err(words);
    audit(call, method, target, outcome, elapsed);
    result
}

/// What the guest gets to see: no secret that the server sent back.
fn response_for(
    call: &mut Call,
    response: core_http::Response,
    cap: u64,
) -> Result<Response, HttpError> {
    let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let header_bytes = response
        .headers
        .iter()
        .map(|(n, v)| n.len() + v.len())
        .sum::<usize>();
    if header_bytes > HEADERS_CAP {
        return Err(HttpError::ResponseTooLarge(size(HEADERS_CAP)));
    }
    if size(response.body.len()) > cap {
        return Err(too_large(call, cap));
    }
    let clean = |text: &str| call.redactor.text(text);
    Ok(Response {
        status: response.status,
        headers: response
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), clean(value)))
            .collect(),
        body: call.redactor.bytes(&response.body).into_owned(),
    })
}

fn transport_error(
    call: &mut Call,
    error: &TransportError,
    target: &Target,
    cap: u64,
) -> HttpError {
    let text = call.redactor.text(&error.to_string());
    let plain = format!("{} {}", error.method, error.url);
    let way_out = way_out(error.stage, target, &call.instance.powers);
    call.seen
        .broke(format!("{}: {text}", call.redactor.text(&plain)), way_out);
    match error.stage {
        TransportStage::Request | TransportStage::Setup | TransportStage::Roots => {
            HttpError::InvalidRequest(text)
        }
        TransportStage::Dns | TransportStage::Resolver => HttpError::Dns(text),
        TransportStage::Address => {
            let plugin = &call.instance.powers.plugin;
            let hint = format!(
                "if the host is meant to be inside your network: grants.http = {{ private = \
                 [\"ADDRESS/32\"] }} under [plugin.{plugin}]"
            );
            HttpError::Denied(call.deny(format!("{plain}: {text}"), hint))
        }
        TransportStage::Route | TransportStage::Connect => HttpError::Connect(text),
        TransportStage::Tls => HttpError::Tls(text),
        TransportStage::Exchange => HttpError::Protocol(text),
        TransportStage::Timeout => HttpError::Timeout(text),
        TransportStage::TooLarge => too_large(call, cap),
    }
}

/// What an operator can do about an exchange that failed, in one line.
fn way_out(stage: TransportStage, target: &Target, powers: &Powers) -> Option<String> {
    let plugin = &powers.plugin;
    Some(match stage {
        TransportStage::Dns => format!(
            "see whether this machine's own resolver knows {}: [network] resolvers is for the look \
             at records alone",
            target.host
        ),
        TransportStage::Resolver => "see which resolvers this machine is told to ask, and whether \
                                     they can be reached from here"
            .to_owned(),
        TransportStage::Route => {
            "see whether this machine has a network and a way there".to_owned()
        }
        TransportStage::Tls => format!(
            "a server of your own, or a proxy that looks into TLS, needs its root: grants.http = \
             {{ trust = \"ca.pem\" }} under [plugin.{plugin}], or [network] trust"
        ),
        TransportStage::Connect | TransportStage::Timeout => format!(
            "see whether {} can be reached from here; [network] proxy sets the way out",
            target.origin()
        ),
        TransportStage::Roots => NO_ROOTS.to_owned(),
        TransportStage::Setup => match &powers.trust {
            Some(file) => format!(
                "grants.http.trust under [plugin.{plugin}] has to name a PEM file with the root: \
                 it names {}",
                file.display()
            ),
            None => {
                "[network] trust names PEM files with roots, [network] proxy the URL of a proxy"
                    .to_owned()
            }
        },
        TransportStage::Request
        | TransportStage::Address
        | TransportStage::Exchange
        | TransportStage::TooLarge => return None,
    })
}

fn too_large(call: &mut Call, cap: u64) -> HttpError {
    // A guest that asked for less than it may have has hit no limit of ours.
    if cap >= call.instance.powers.bounds.body {
        call.seen.hit(Limit::Body);
    }
    HttpError::ResponseTooLarge(cap)
}

fn fault_error(call: &mut Call, fault: Fault) -> HttpError {
    match fault {
        Fault::Refused(refusal) if refusal.is_invalid() => {
            // Worth remembering too: a header with a line break is no honest mistake.
            HttpError::InvalidRequest(call.refuse(&refusal))
        }
        Fault::Refused(refusal) => HttpError::Denied(call.refuse(&refusal)),
        Fault::Invalid(text) => HttpError::InvalidRequest(call.redactor.text(&text)),
        Fault::TooLong => HttpError::InvalidRequest(format!(
            "a part of the request has more than {JOINED_CAP} bytes"
        )),
    }
}

/// The audit trail knows refused requests too, as far as they can be read.
fn refused_event(call: &mut Call, request: &Request, refusal: &Refusal) {
    let Some(method) = Method::parse(&request.method) else {
        return;
    };
    let (host, path) = match Target::parse(&request.url) {
        Ok(target) => (target.origin(), target.path),
        Err(_unreadable) => (shown(core_http::without_query(&request.url)), String::new()),
    };
    let event = AuditEvent::Request {
        plugin: call.instance.name.clone(),
        method,
        host: call.redactor.text(&host),
        path: call.redactor.text(&path),
        result: Err(format!("denied: {refusal}")),
        ms: 0,
    };
    call.audit(event);
}

fn audit(
    call: &mut Call,
    method: Method,
    target: &Target,
    result: Result<u16, String>,
    elapsed: Duration,
) {
    let event = AuditEvent::Request {
        plugin: call.instance.name.clone(),
        method,
        host: target.host.clone(),
        path: call.redactor.text(&target.path),
        result,
        ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    call.audit(event);
}

fn words(error: &HttpError) -> String {
    match error {
        HttpError::Denied(text) => format!("denied: {text}"),
        HttpError::InvalidRequest(text) => format!("not sent: {text}"),
        HttpError::ResponseTooLarge(cap) => format!("the answer has more than {cap} bytes"),
        HttpError::Throttled(ms) => format!("not sent: throttled for {ms} ms"),
        HttpError::Dns(text)
        | HttpError::Connect(text)
        | HttpError::Tls(text)
        | HttpError::Timeout(text)
        | HttpError::Protocol(text)
        | HttpError::Other(text) => text.clone(),
    }
}

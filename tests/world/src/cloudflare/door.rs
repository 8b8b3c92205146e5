//! Who may ask, the envelope around every answer, and pages.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{Account, LIMIT_WINDOW, Token};

/// The most bytes a request may have.
const BODY_LIMIT: usize = 256 * 1024;

/// A refusal: status, code and message.
pub(super) type Refusal = (StatusCode, u32, String);

pub(super) async fn serve(State(account): State<Arc<Account>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let now = (account.options.clock)();
    let (taken, limit) = account
        .window
        .with(|window| (window.take(now), window.limit()));
    let outcome = match (to_bytes(body, BODY_LIMIT).await, &taken) {
        (_body, Err(_wait)) => Err((
            StatusCode::TOO_MANY_REQUESTS,
            971,
            "Please wait and consider throttling your request speed".to_owned(),
        )),
        (Err(_cut_or_long), Ok(_left)) => Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            7000,
            "Request entity too large".to_owned(),
        )),
        (Ok(body), Ok(_left)) => account.route(&parts, &body, now),
    };
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err((status, code, message)) => (
            status,
            json!({
                "success": false,
                "errors": [{ "code": code, "message": message }],
                "messages": [],
                "result": null,
            }),
        ),
    };
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Whole seconds, rounded up, as documented.
    let wait = taken
        .as_ref()
        .err()
        .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    let left = taken.unwrap_or(0);
    let window = LIMIT_WINDOW.as_secs();
    let mut extra = vec![
        ("ratelimit", format!("\"default\";r={left};t={window}")),
        (
            "ratelimit-policy",
            format!("\"default\";q={limit};w={window}"),
        ),
    ];
    extra.extend(wait.map(|wait| ("retry-after", wait.to_string())));
    for (name, value) in extra {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

pub(super) fn wrap(result: Value) -> Value {
    json!({ "success": true, "errors": [], "messages": [], "result": result })
}

/// One page of a list, with what is said about it.
pub(super) fn paged(all: Vec<Value>, query: &Fields, (usual, most): (usize, usize)) -> Value {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let per_page = number("per_page").unwrap_or(usual).clamp(1, most);
    let page = number("page").unwrap_or(1).max(1);
    let total = all.len();
    let rows: Vec<Value> = all
        .into_iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    let info = json!({
        "page": page,
        "per_page": per_page,
        "count": rows.len(),
        "total_count": total,
        "total_pages": total.div_ceil(per_page),
    });
    let mut value = wrap(Value::Array(rows));
    value["result_info"] = info;
    value
}

pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _value)| key == name)
            .map(|(_key, value)| value.as_str())
    }
}

impl Account {
    pub(super) fn token(&self, parts: &Parts) -> Result<&Token, Refusal> {
        let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
            let text = "Missing X-Auth-Key, X-Auth-Email or Authorization headers";
            return Err(bad(9106, text));
        };
        let secret = header
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let Some(secret) = secret.filter(|secret| !secret.is_empty() && !secret.contains(' '))
        else {
            return Err(bad(6003, "Invalid request headers"));
        };
        self.options
            .tokens
            .iter()
            .find(|token| token.secret == secret)
            .ok_or_else(|| {
                (
                    StatusCode::FORBIDDEN,
                    9109,
                    "Invalid access token".to_owned(),
                )
            })
    }

    /// The name of a zone the token may act on; `may` is whether it has the permission.
    pub(super) fn opened(&self, token: &Token, zone: &str, may: bool) -> Result<&str, Refusal> {
        let hex = zone.len() == 32 && zone.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex {
            let text = format!(
                "Could not route to /zones/{zone}, perhaps your object identifier is invalid?"
            );
            return Err(bad(7003, &text));
        }
        match self.zones.get(zone) {
            Some(name) if may && token.sees(name) => Ok(name),
            // What exists and may not be seen is answered like what does not exist.
            _ => Err((
                StatusCode::FORBIDDEN,
                10000,
                "Authentication error".to_owned(),
            )),
        }
    }
}

pub(super) fn bad(code: u32, message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, code, message.to_owned())
}

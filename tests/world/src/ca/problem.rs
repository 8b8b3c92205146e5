//! Refusals: problem documents with the ACME error types (RFC 8555 section 6.7).

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::jose::ALGORITHMS;

/// A refusal, before it is sent or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    /// The identifier a subproblem of the same kind is about, with its own text.
    pub(crate) about: Vec<(String, String)>,
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// The page for a person to visit, for `userActionRequired`.
    pub(crate) instance: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(kind: &'static str, status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            kind,
            status,
            detail,
            about: Vec::new(),
            headers: Vec::new(),
            instance: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new("malformed", StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new("unauthorized", StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn bad_csr(detail: impl Into<String>) -> Self {
        Self::new("badCSR", StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn bad_key(detail: impl Into<String>) -> Self {
        Self::new("badPublicKey", StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new("serverInternal", StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    #[must_use]
    pub(crate) fn about(mut self, name: &str, detail: &str) -> Self {
        self.about.push((name.to_owned(), detail.to_owned()));
        self
    }

    pub(crate) fn json(&self) -> Value {
        let kind = format!("urn:ietf:params:acme:error:{}", self.kind);
        let mut document = json!({
            "type": kind,
            "detail": self.detail,
            "status": self.status.as_u16(),
        });
        if !self.about.is_empty() {
            document["subproblems"] = self
                .about
                .iter()
                .map(|(name, detail)| {
                    json!({
                        "type": kind,
                        "detail": detail,
                        "identifier": { "type": "dns", "value": name },
                    })
                })
                .collect();
        }
        if let Some(instance) = self.instance {
            document["instance"] = json!(instance);
        }
        if self.kind == "badSignatureAlgorithm" {
            document["algorithms"] = json!(ALGORITHMS);
        }
        document
    }

    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/problem+json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

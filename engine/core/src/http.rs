//! One HTTP exchange as values: what is asked, what came back, and how it can fail before an
//! answer exists.
//!
//! Both the ACME layer and the plugin host speak these types; the one adapter that sends them
//! lives in `waxwing-io`.

use std::fmt;
use std::time::Duration;

/// A request method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// The method of that name, in capitals.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Get,
            Self::Head,
            Self::Post,
            Self::Put,
            Self::Patch,
            Self::Delete,
        ]
        .into_iter()
        .find(|method| method.as_str() == text)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// True if the method changes nothing at the server (RFC 9110 section 9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request, complete but for what the connection adds (`host`, `content-length`).
///
/// Headers, body and query may hold credentials, so `Debug` shows only the method, and the URL
/// up to its query.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL, sent exactly as it stands (RFC 8555 section 6.4).
    pub url: String,
    /// Header fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, without_query(&self.url))
    }
}

/// The URL up to its query, which may hold a credential: the form for logs and errors.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// True if a URL has a user or a password in front of its host, also one in which a character of the
/// password ends the host as a parser reads it: `https://user:pass#word@host`.
pub fn has_userinfo(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let behind = rest.get(authority.len()..).unwrap_or_default();
    if !rest.contains('@') {
        return false;
    }
    // A path may hold the sign. Where none has begun, behind `?` and `#`, and behind a colon without a port
    // or with one that is none, it ends a password.
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|_| !(authority.starts_with('[') && authority.ends_with(']')));
    authority.contains('@')
        || behind.starts_with(['?', '#', '\\'])
        || port.is_some_and(|port| port.is_empty() || port.bytes().any(|b| !b.is_ascii_digit()))
}

/// The host of a URL as written, without its port: `ca.example` or `[::1]`.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// An answer, read to its end or to the cap of the policy.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body after content decoding.
    pub body: Vec<u8>,
    /// From the start of sending to the last byte of the answer.
    pub elapsed: Duration,
}

impl Response {
    /// The first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Every field of that name.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self
            .headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

/// How far a request got before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportStage {
    /// The URL or a header cannot be used; nothing was tried.
    Request,
    /// Roots or a proxy that the configuration names cannot be used; nothing was tried, and nobody
    /// but the operator can do something.
    Setup,
    /// This system has no roots that anybody could be verified with, and the configuration names none;
    /// nothing was tried, and nobody but the operator can do something.
    Roots,
    /// The host name could not be looked up, though a resolver answers.
    Dns,
    /// The host name could not be looked up because no resolver answers.
    Resolver,
    /// Every address of the host is one that the policy forbids.
    Address,
    /// This machine knows no way to the host: no network, or none of that kind.
    Route,
    /// No connection: refused, or no answer within the connect time-out.
    Connect,
    /// The TLS handshake failed, the certificate of the server was not accepted among the reasons.
    Tls,
    /// The connection broke while sending or while waiting for the answer.
    Exchange,
    /// The whole answer did not come within the reply time-out.
    Timeout,
    /// The answer is longer than the policy allows.
    TooLarge,
}

impl TransportStage {
    /// True if the server cannot have seen the request, so that sending it again is safe.
    pub const fn is_before_sending(self) -> bool {
        matches!(
            self,
            Self::Request
                | Self::Setup
                | Self::Roots
                | Self::Dns
                | Self::Resolver
                | Self::Address
                | Self::Route
                | Self::Connect
                | Self::Tls
        )
    }
}

/// A request that got no usable answer. The URL is kept without its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// How far it got.
    pub stage: TransportStage,
    /// The method.
    pub method: Method,
    /// The URL without its query.
    pub url: String,
    /// The address that was tried, if it came so far.
    pub address: Option<String>,
    /// Time from the start to the failure.
    pub elapsed: Duration,
    /// The chain of causes, outermost first; never empty.
    pub causes: Vec<String>,
}

impl std::error::Error for TransportError {}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.elapsed.as_millis();
        let what = match self.stage {
            TransportStage::Request => "the request could not be made",
            TransportStage::Setup => "nothing was sent: the configuration cannot be followed",
            TransportStage::Roots => {
                "nothing was sent: this system has no roots to verify anybody with"
            }
            TransportStage::Dns => "name look-up failed",
            TransportStage::Resolver => "no answer from a resolver",
            TransportStage::Route => "no way to the host from here",
            TransportStage::Address => "every address of the host is forbidden here",
            TransportStage::Connect => "no connection",
            TransportStage::Tls => "TLS handshake failed",
            TransportStage::Exchange => "the connection broke before the answer was complete",
            TransportStage::Timeout => "no answer in time",
            TransportStage::TooLarge => "the answer is too long",
        };
        if matches!(self.stage, TransportStage::Setup | TransportStage::Roots) {
            f.write_str(what)?;
        } else {
            write!(f, "{what} after {ms} ms")?;
        }
        if let Some(address) = &self.address {
            write!(f, " ({address})")?;
        }
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_seen_whatever_the_password() {
        for (url, want) in [
            ("https://user:pw@ca.example/x", true),
            ("https://user@ca.example", true),
            ("https://user:p#w@ca.example", true),
            ("https://user:p/w@ca.example", true),
            ("https://user:p w@ca.example", true),
            ("https://user:#pw@ca.example", true),
            ("https://user:/pw@ca.example", true),
            ("https://user:12#pw@ca.example", true),
            ("https://user:1?pw@ca.example", true),
            ("https://token#more@ca.example", true),
            ("https://user:x]#y@ca.example", true),
            ("https://ca.example/x?to=a@b", false),
            ("https://ca.example:8443/@me", false),
            ("https://ca.example/a@b", false),
            ("https://[::1]:8443/a@b", false),
            ("https://[::1]/a@b", false),
            ("https://ca.example:port/x", false),
            ("ops@example.com", false),
        ] {
            assert_eq!(has_userinfo(url), want, "{url}");
        }
    }
}

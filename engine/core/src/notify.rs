//! Who is told of what, and how: the settings of `[notify.NAME]`.
//!
//! What can be told is in [`event`], what a webhook of a product wants to see in [`shape`].

pub mod event;
pub mod shape;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::name::NotifierName;
use crate::notify::event::EventKind;
use crate::notify::shape::Shape;
use crate::settings::SecretRef;

/// `[notify.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct NotifySettings {
    /// Its name in this configuration.
    pub name: NotifierName,
    /// How.
    pub way: Way,
    /// Of what; never empty.
    pub on: BTreeSet<EventKind>,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// By mail.
    Mail(MailSettings),
    /// By a POST to a URL.
    Webhook(WebhookSettings),
    /// By a program that gets the message as JSON on its input: its path, which is absolute, and its
    /// arguments.
    Command(Vec<String>),
    /// By a line in the log.
    Log,
}

impl Way {
    /// The key that chooses it: `smtp`, `webhook`, `command` or `log`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mail(_) => "smtp",
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
            Self::Log => "log",
        }
    }
}

/// Mail by a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Which server.
    pub server: MailServer,
    /// The sender, a bare address.
    pub from: String,
    /// The recipients, bare addresses; never empty, no doubles.
    pub to: Vec<String>,
    /// Who we are there; none: nobody asks.
    pub login: Option<MailLogin>,
    /// PEM roots that are trusted besides the system's.
    pub trust: Option<PathBuf>,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// How the way there is protected.
    pub security: MailSecurity,
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How the way to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// `submission://`: TLS is asked for (RFC 3207), and nothing is sent without it.
    StartTls,
    /// `smtps://`: TLS from the first byte (RFC 8314).
    Tls,
    /// `smtp://`: not at all. Only to this machine itself.
    Plain,
}

impl MailSecurity {
    /// The scheme of the URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "submission",
            Self::Tls => "smtps",
            Self::Plain => "smtp",
        }
    }

    /// The port unless another one is written.
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::Plain => 25,
        }
    }
}

impl MailServer {
    /// Reads `submission://mx.example.com:587`, `smtps://…` or `smtp://localhost`.
    ///
    /// # Errors
    /// What is wrong, in words for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schemes = [
            MailSecurity::StartTls,
            MailSecurity::Tls,
            MailSecurity::Plain,
        ];
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("`{text}` is no URL of a mail server"))?;
        let security = schemes
            .into_iter()
            .find(|one| one.as_str() == scheme)
            .ok_or_else(|| {
                format!("`{scheme}` is none of submission (STARTTLS), smtps (TLS) and smtp")
            })?;
        if rest.contains('@') {
            return Err(
                "a user and password may not stand in the URL; login = { user, password } has them"
                    .to_owned(),
            );
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // An address of IPv6 without a port.
            Some(_) if rest.ends_with(']') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let port = match port.map(str::parse) {
            None => security.port(),
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(format!("`{text}` has no port from 1 to 65535")),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let address: Option<std::net::IpAddr> = host.parse().ok();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if address.is_none() && (host.is_empty() || !host.bytes().all(plain)) {
            return Err(format!("`{text}` names no host"));
        }
        let local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if security == MailSecurity::Plain && !local {
            return Err(format!(
                "smtp:// sends in the clear, so it may only go to this machine, and {host} is another"
            ));
        }
        Ok(Self {
            security,
            host: host.to_owned(),
            port,
        })
    }
}

/// Who we are at a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLogin {
    /// The user.
    pub user: String,
    /// Where the password is.
    pub password: SecretRef,
}

/// A POST to a URL.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookSettings {
    /// Where to.
    pub url: WebhookUrl,
    /// What the receiver wants to see.
    pub shape: Shape,
    /// A header field that proves who we are.
    pub header: Option<SecretHeader>,
    /// PEM roots that are trusted besides the system's.
    pub trust: Option<PathBuf>,
}

/// The URL of a webhook. At many products its path is the credential, so nothing but its host is
/// ever shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// As it is written in the configuration.
    Written(String),
    /// In a secret.
    Secret(SecretRef),
}

/// A header field with a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHeader {
    /// Its name, in lower case.
    pub name: String,
    /// What stands before the secret, as `Bearer` in `authorization`.
    pub scheme: Option<String>,
    /// Where the secret is.
    pub secret: SecretRef,
}

/// What is wrong with the URL of a webhook, in words that show nothing of it; none if it is good.
pub fn bad_webhook_url(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("https://") else {
        return Some("the URL does not begin with https://");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("a user and password may not stand in the URL; header = { ... } has a secret");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Some("the URL has no host");
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        return Some("the URL holds a space or a character that belongs in no URL");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_a_scheme_a_host_and_a_port() {
        let good = |text: &str| {
            let server = MailServer::parse(text).expect("a good server");
            (server.security.as_str(), server.host, server.port)
        };
        let of = |scheme, host: &str, port| (scheme, host.to_owned(), port);
        let table = [
            (
                "submission://mx.example.com",
                of("submission", "mx.example.com", 587),
            ),
            (
                "submission://mx.example.com:2587/",
                of("submission", "mx.example.com", 2587),
            ),
            ("smtps://192.0.2.1", of("smtps", "192.0.2.1", 465)),
            ("smtps://[2001:db8::1]:465", of("smtps", "2001:db8::1", 465)),
            ("smtp://localhost", of("smtp", "localhost", 25)),
            ("smtp://[::1]", of("smtp", "::1", 25)),
            ("smtp://127.0.0.1:2525", of("smtp", "127.0.0.1", 2525)),
        ];
        for (text, want) in table {
            assert_eq!(good(text), want, "{text}");
        }
        let bad = [
            "mx.example.com",
            "smtp://mx.example.com",
            "smtp://192.0.2.1:25",
            "ftp://localhost",
            "smtps://",
            "smtps://mx.example.com:0",
            "smtps://mx.example.com:x",
            "smtps://user:hunter2@mx.example.com",
            "submission://mx example",
        ];
        for text in bad {
            assert!(MailServer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_webhook_is_https_and_holds_no_login() {
        assert_eq!(bad_webhook_url("https://hc.example.net/ping/x?a=b"), None);
        for text in [
            "http://hc.example.net/",
            "https://",
            "https:///x",
            "https://:443/x",
            "https://u:p@hc.example.net/",
            "https://hc.example.net/a b",
        ] {
            assert!(bad_webhook_url(text).is_some(), "{text}");
        }
    }
}

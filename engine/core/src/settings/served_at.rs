//! `served-at`: where a certificate is to be seen after it was installed.

use std::fmt;
use std::net::IpAddr;

use crate::name::{DomainName, Identifier};

/// A place where a server shows its certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServedAt {
    /// Whom to connect to; a name is also what the handshake asks for (SNI).
    pub host: ServedHost,
    /// The TCP port.
    pub port: u16,
    /// How TLS begins there.
    pub start: TlsStart,
}

impl ServedAt {
    /// True if that name is asked for there; an address shows its default certificate, whatever that has.
    pub fn shows(&self, name: &Identifier) -> bool {
        let ServedHost::Name(domain) = &self.host else {
            return false;
        };
        name.covers(&Identifier {
            domain: domain.clone(),
            wildcard: false,
        })
    }
}

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServedHost {
    /// Looked up by the system.
    Name(DomainName),
    /// Asked without a name, so the server shows its default certificate.
    Address(IpAddr),
}

/// How TLS begins on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsStart {
    /// With the first byte.
    AtOnce,
    /// After STARTTLS in SMTP (RFC 3207).
    Smtp,
    /// After STARTTLS in IMAP (RFC 3501 section 6.2.1).
    Imap,
    /// After STLS in POP3 (RFC 2595 section 4).
    Pop3,
}

impl TlsStart {
    const ALL: [Self; 4] = [Self::AtOnce, Self::Smtp, Self::Imap, Self::Pop3];

    /// The word after `starttls=`; none if TLS begins at once.
    pub const fn protocol(self) -> Option<&'static str> {
        match self {
            Self::AtOnce => None,
            Self::Smtp => Some("smtp"),
            Self::Imap => Some("imap"),
            Self::Pop3 => Some("pop3"),
        }
    }

    /// The port that is meant when none is written.
    const fn default_port(self) -> u16 {
        match self {
            Self::AtOnce => 443,
            Self::Smtp => 25,
            Self::Imap => 143,
            Self::Pop3 => 110,
        }
    }

    /// A port at which TLS begins in another way, so that the entry is surely a mistake.
    const fn is_at_odds_with(self, port: u16) -> bool {
        match self {
            Self::AtOnce => matches!(port, 25 | 110 | 143 | 587),
            Self::Smtp | Self::Imap | Self::Pop3 => matches!(port, 443 | 465 | 993 | 995),
        }
    }
}

impl ServedAt {
    /// Reads `HOST`, `HOST:PORT` or either with ` starttls=PROTOCOL` behind it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let place = words.next().ok_or("nothing stands there")?;
        let mut start = TlsStart::AtOnce;
        for word in words {
            let Some(protocol) = word.strip_prefix("starttls=") else {
                return Err(format!("`{word}` means nothing here"));
            };
            if start != TlsStart::AtOnce {
                return Err("starttls= stands there twice".to_owned());
            }
            let mut all = TlsStart::ALL.into_iter();
            start = all
                .find(|start| start.protocol() == Some(protocol))
                .ok_or_else(|| format!("`{protocol}` is none of smtp, imap and pop3"))?;
        }
        let (host, port) = split(place)?;
        let port = port.unwrap_or(start.default_port());
        if start.is_at_odds_with(port) {
            return Err(match start.protocol() {
                None => format!("at port {port} TLS does not begin at once"),
                Some(_) => format!("at port {port} TLS begins at once, without starttls="),
            });
        }
        Ok(Self {
            host: match host.parse() {
                Ok(address) => ServedHost::Address(address),
                Err(_a_name) => {
                    ServedHost::Name(DomainName::parse(host).map_err(|error| error.to_string())?)
                }
            },
            port,
            start,
        })
    }
}

/// `[2001:db8::1]:443` and `host:443`.
fn split(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            match rest.strip_prefix(':') {
                None if rest.is_empty() => (host, None),
                None => return Err(format!("`{rest}` is not a port as in :443")),
                Some(port) => (host, Some(port)),
            }
        }
        None => match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(format!("an IPv6 address stands in brackets: [{place}]"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let number = |port: &str| match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{port}` is not a port")),
    };
    Ok((host, port.map(number).transpose()?))
}

impl fmt::Display for ServedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// `mail.example.com:25`
impl fmt::Display for ServedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_with_the_usual_ports() {
        let check = |text: &str, shown: &str, start| {
            let place = ServedAt::parse(text).expect(text);
            assert_eq!((&*place.to_string(), place.start), (shown, start), "{text}");
        };
        check("example.com", "example.com:443", TlsStart::AtOnce);
        check("Example.com:8443", "example.com:8443", TlsStart::AtOnce);
        check(
            "m\u{fc}ller.example",
            "xn--mller-kva.example:443",
            TlsStart::AtOnce,
        );
        check("localhost:1", "localhost:1", TlsStart::AtOnce);
        check("192.0.2.1:465", "192.0.2.1:465", TlsStart::AtOnce);
        check("[2001:db8::1]", "[2001:db8::1]:443", TlsStart::AtOnce);
        check("[2001:db8::1]:993", "[2001:db8::1]:993", TlsStart::AtOnce);
        check("mx.example  starttls=smtp", "mx.example:25", TlsStart::Smtp);
        check(
            "mx.example:587 starttls=smtp",
            "mx.example:587",
            TlsStart::Smtp,
        );
        check("mx.example starttls=imap", "mx.example:143", TlsStart::Imap);
        check("mx.example starttls=pop3", "mx.example:110", TlsStart::Pop3);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, said: &str| {
            assert_eq!(ServedAt::parse(text), Err(said.to_owned()), "{text}");
        };
        check(" ", "nothing stands there");
        check("example.com:0", "`0` is not a port");
        check("example.com:", "`` is not a port");
        check("example.com tls", "`tls` means nothing here");
        check(
            "a.example starttls=ftp",
            "`ftp` is none of smtp, imap and pop3",
        );
        check(
            "a.example starttls=smtp starttls=imap",
            "starttls= stands there twice",
        );
        check("a.example:25", "at port 25 TLS does not begin at once");
        check(
            "a.example:465 starttls=smtp",
            "at port 465 TLS begins at once, without starttls=",
        );
        check(
            "2001:db8::1",
            "an IPv6 address stands in brackets: [2001:db8::1]",
        );
        check("[::1", "a `]` is missing");
        check("[::1]443", "`443` is not a port as in :443");
        check(
            "*.example.com",
            "`*` may only be the whole first label, as in *.example.com",
        );
    }
}

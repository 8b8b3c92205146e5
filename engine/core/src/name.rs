//! Names: the domain names a certificate covers, and the operator's own name for a certificate.
//!
//! A [`DomainName`] is always in the form that goes on the wire: lower-case A-labels without the
//! final dot (RFC 5280 section 7.2, RFC 8555 section 7.1.4). U-labels are accepted by the parser
//! and converted once.

use std::fmt;

/// A fully qualified domain name in A-label form, lower case, without the final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing but dots.
    #[error("the name is empty")]
    Empty,
    /// Longer than the 253 octets of RFC 1035 section 2.3.4.
    #[error("the name has {0} characters; 253 are allowed")]
    TooLong(usize),
    /// A label is empty or longer than 63 octets.
    #[error("the label `{0}` is empty or longer than 63 characters")]
    Label(String),
    /// A character that no host name has, or a U-label that IDNA refuses.
    #[error("`{0}` holds a character that a domain name cannot have")]
    Character(String),
    /// An address, which DNS-01 cannot validate (RFC 8738 section 7).
    #[error("`{0}` is an IP address; only domain names can be validated over DNS")]
    Address(String),
    /// A wildcard in any place but the first label.
    #[error("`*` may only be the whole first label, as in *.example.com")]
    Wildcard,
    /// A name of one label, which no public CA signs.
    #[error("`{0}` has a single label; a certificate needs a full name")]
    SingleLabel(String),
    /// A scheme, port or path, as in a pasted URL.
    #[error("`{0}` is a URL or has a port; only the host name belongs here")]
    Url(String),
}

impl NameError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Url(text) => {
                let rest = text
                    .split_once("://")
                    .map_or(text.as_str(), |(_, rest)| rest);
                let host = rest.split(['/', ':']).next().unwrap_or_default();
                match DomainName::parse(host) {
                    Ok(name) => format!("\"{name}\""),
                    Err(_neither) => "\"www.example.com\"".to_owned(),
                }
            }
            Self::Address(_) => "a name that leads to it, as in \"www.example.com\"".to_owned(),
            Self::SingleLabel(label) => {
                format!("its full name, as in \"{label}.example.com\"")
            }
            Self::Wildcard => "\"*.example.com\"".to_owned(),
            Self::Empty | Self::TooLong(_) | Self::Label(_) | Self::Character(_) => {
                "a host name, as in \"www.example.com\"".to_owned()
            }
        }
    }
}

impl DomainName {
    /// Parses a name, converting U-labels to A-labels (UTS #46, as browsers do).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim_end_matches('.');
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Err(NameError::Address(text.to_owned()));
        }
        if text.contains("://") || text.contains('/') || text.contains(':') {
            return Err(NameError::Url(text.to_owned()));
        }
        if text.contains('*') {
            return Err(NameError::Wildcard);
        }
        let ascii = idna::domain_to_ascii(text)
            .map_err(|_refused| NameError::Character(text.to_owned()))?
            .to_ascii_lowercase();
        if ascii.len() > 253 {
            return Err(NameError::TooLong(ascii.len()));
        }
        for label in ascii.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(NameError::Label(label.to_owned()));
            }
            let plain = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !plain || label.starts_with('-') || label.ends_with('-') {
                return Err(NameError::Character(label.to_owned()));
            }
        }
        if ascii
            .split('.')
            .all(|label| label.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(NameError::Address(ascii));
        }
        Ok(Self(ascii))
    }

    /// The name as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name for people: U-labels where IDNA can show them.
    pub fn to_unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }

    /// True if `self` is `suffix` or lies below it, label by label.
    pub fn is_within(&self, suffix: &Self) -> bool {
        self.0 == suffix.0
            || self
                .0
                .strip_suffix(&suffix.0)
                .is_some_and(|head| head.ends_with('.'))
    }

    /// The name without its first label; none for a name of one label.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .split_once('.')
            .map(|(_, rest)| Self(rest.to_owned()))
    }

    /// The name at which the CA looks for the DNS-01 value (RFC 8555 section 8.4).
    pub fn challenge_name(&self) -> Self {
        Self(format!("_acme-challenge.{}", self.0))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One name of a certificate: a domain name, or everything one label below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// The name without `*.`; what an authorization is about (RFC 8555 section 7.1.3).
    pub domain: DomainName,
    /// True for `*.domain`.
    pub wildcard: bool,
}

impl Identifier {
    /// Parses `example.com` or `*.example.com`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (rest, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let domain = DomainName::parse(rest)?;
        if !domain.as_str().contains('.') {
            return Err(NameError::SingleLabel(domain.0));
        }
        Ok(Self { domain, wildcard })
    }

    /// True if a label of it is an A-label, which people write with letters beyond ASCII.
    pub fn is_idn(&self) -> bool {
        let mut labels = self.domain.as_str().split('.');
        labels.any(|label| label.starts_with("xn--"))
    }

    /// True if a certificate with this name serves that one as well (RFC 6125 section 6.4.3).
    pub fn covers(&self, other: &Self) -> bool {
        let below = other.domain.as_str().split_once('.');
        let below = below.is_some_and(|(_, rest)| rest == self.domain.as_str());
        self == other || self.wildcard && !other.wildcard && below
    }

    /// The value of the order's identifier and of the certificate's SAN.
    pub fn to_wire(&self) -> String {
        if self.wildcard {
            format!("*.{}", self.domain)
        } else {
            self.domain.to_string()
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wildcard {
            write!(f, "*.{}", self.domain)
        } else {
            write!(f, "{}", self.domain)
        }
    }
}

/// The operator's name of a certificate: its identity in state, file names and metrics.
///
/// Letters, digits, `.`, `-` and `_`, at most 200 of them, not starting with a dot or a dash, and
/// not a device name of Windows, so that it can be a folder and a file name on every system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateName(String);

/// The operator's name of a configured plugin: the `nginx` of `[plugin.nginx]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

/// The name of a CA profile: the `internal` of `ca = ["internal"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaName(String);

/// The operator's name of a way to be told: the `mail` of `[notify.mail]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotifierName(String);

/// Why a text cannot be a certificate, plugin or CA name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing, or more than 200 characters.
    #[error("a name has 1 to 200 characters; this one has {0}")]
    Length(usize),
    /// A character outside letters, digits, `.`, `-` and `_`, or a bad first or last one.
    #[error(
        "`{0}` may hold letters, digits, `.`, `-` and `_`, and begins with a letter, digit or `_`"
    )]
    Character(String),
    /// `con`, `nul`, `com1` and so on, which Windows keeps for devices.
    #[error("`{0}` is a device name of Windows and cannot be a file name there")]
    Reserved(String),
}

fn parse_label(text: &str) -> Result<String, LabelError> {
    if text.is_empty() || text.len() > 200 {
        return Err(LabelError::Length(text.len()));
    }
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !plain || text.starts_with(['.', '-']) || text.ends_with('.') {
        return Err(LabelError::Character(text.to_owned()));
    }
    let stem = text.split('.').next().unwrap_or(text).to_ascii_lowercase();
    let numbered = |head: &str| {
        stem.strip_prefix(head)
            .is_some_and(|n| n.len() == 1 && n != "0" && n.parse::<u8>().is_ok())
    };
    if matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
    {
        return Err(LabelError::Reserved(text.to_owned()));
    }
    Ok(text.to_owned())
}

macro_rules! label {
    ($name:ident) => {
        impl $name {
            /// Parses a name; see the type for the rule.
            pub fn parse(text: &str) -> Result<Self, LabelError> {
                parse_label(text).map(Self)
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
/// How the journal of a rehearsal is told from that of a run: the certificate's name and this.
pub const REHEARSAL: &str = ".dry-run";

impl CertificateName {
    /// True for what is called like the journal of a rehearsal, in whatever capitals: some disks do not
    /// tell them apart.
    pub fn is_of_rehearsal(&self) -> bool {
        self.0.to_ascii_lowercase().ends_with(REHEARSAL)
    }
}

label!(CertificateName);
label!(PluginName);
label!(CaName);
label!(NotifierName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_lower_case_a_labels_without_the_final_dot() {
        let check = |text: &str, want: Result<&str, NameError>| {
            assert_eq!(
                DomainName::parse(text).map(|n| n.0),
                want.map(str::to_owned),
                "{text}"
            );
        };
        check("Example.COM.", Ok("example.com"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        check(
            "_acme-challenge.example.com",
            Ok("_acme-challenge.example.com"),
        );
        check("", Err(NameError::Empty));
        check("...", Err(NameError::Empty));
        check("192.0.2.1", Err(NameError::Address("192.0.2.1".into())));
        check("::1", Err(NameError::Address("::1".into())));
        check("a.*.example.com", Err(NameError::Wildcard));
        check(
            "https://example.com",
            Err(NameError::Url("https://example.com".into())),
        );
        check(
            "example.com:443",
            Err(NameError::Url("example.com:443".into())),
        );
        check("a..example.com", Err(NameError::Label(String::new())));
        check("-a.example.com", Err(NameError::Character("-a".into())));
        let long = "a".repeat(64);
        check(
            &format!("{long}.example.com"),
            Err(NameError::Label(long.clone())),
        );
        assert!(matches!(
            DomainName::parse(&"abcdefgh.".repeat(30)),
            Err(NameError::TooLong(269))
        ));
    }

    #[test]
    fn identifiers_take_one_wildcard_label_in_front() {
        let wild = Identifier::parse("*.Example.com").map(|id| (id.to_wire(), id.wildcard));
        assert_eq!(wild, Ok(("*.example.com".to_owned(), true)));
        assert_eq!(
            Identifier::parse("*.*.example.com"),
            Err(NameError::Wildcard)
        );
        assert_eq!(
            Identifier::parse("localhost"),
            Err(NameError::SingleLabel("localhost".into()))
        );
    }

    #[test]
    fn within_compares_whole_labels() {
        let name = |text| DomainName::parse(text).expect("a literal name");
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("badexample.com").is_within(&name("example.com")));
    }

    #[test]
    fn labels_are_file_names_on_every_system() {
        assert!(CertificateName::parse("example.com").is_ok());
        assert_eq!(
            CertificateName::parse("nul.txt"),
            Err(LabelError::Reserved("nul.txt".into()))
        );
        assert_eq!(
            CertificateName::parse("../x"),
            Err(LabelError::Character("../x".into()))
        );
        assert_eq!(PluginName::parse(""), Err(LabelError::Length(0)));
    }
}

//! May this request be sent? Pure, and in one order, so that the first reason is always the same:
//! budget, phase, form of the URL, scheme, grant, headers, secrets. Addresses are checked by the
//! HTTP client, which connects to the address it checked.

use waxwing_core::http::Method;
use waxwing_core::plugin::WantHttp;

use crate::phase::Phase;
use crate::powers::Powers;
use crate::target::{Target, TargetError};

/// What a guest asks to send, before anything hidden is filled in.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Header names, and the visible parts of their values.
    pub(crate) headers: Vec<(&'a str, Vec<&'a [u8]>)>,
    /// Secrets by name, with the place each one goes to.
    pub(crate) secrets: Vec<(&'a str, Placement<'a>)>,
    /// Requests of this call so far, refused ones among them.
    pub(crate) calls: u32,
}

/// Where a secret goes, as the manifest's `use` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement<'a> {
    Header(&'a str),
    Query(&'a str),
    Body,
    Bearer,
    Basic,
    Hmac(&'a str),
    Stdin,
    Pkcs12,
}

impl Placement<'_> {
    fn text(self) -> String {
        match self {
            Self::Header(name) => format!("http-header:{name}"),
            Self::Query(name) => format!("http-query:{name}"),
            Self::Body => "http-body".to_owned(),
            Self::Bearer => "http-bearer".to_owned(),
            Self::Basic => "http-basic".to_owned(),
            Self::Hmac(algorithm) => algorithm.to_owned(),
            Self::Stdin => "exec-stdin".to_owned(),
            Self::Pkcs12 => "pkcs12".to_owned(),
        }
    }
}

/// Why a request, or another use of a power, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("`{0}` is not a method that can be sent")]
    Method(String),
    #[error("{method} during {phase}, when nothing may be changed")]
    ReadOnly { method: Method, phase: Phase },
    #[error("{0}")]
    Url(TargetError),
    #[error("the header fields have more than {0} bytes")]
    HeadersTooLong(usize),
    #[error("{0} is not encrypted and not granted")]
    PlainHttp(String),
    #[error("{0} is not granted")]
    Host(String),
    #[error("{method} {path} at {origin} is outside what the plugin's manifest asks for")]
    Outside {
        method: Method,
        path: String,
        origin: String,
    },
    #[error("the header `{0}` belongs to the host")]
    Header(String),
    #[error("the header `{0}` holds a line break or another control character")]
    HeaderText(String),
    #[error(
        "the header `{header}` would hold a line break or another control character out of the \
         secret `{secret}`"
    )]
    HiddenText { header: String, secret: String },
    #[error("more than {0} requests in one call")]
    Budget(u32),
    #[error("the plugin's manifest has no secret `{0}`")]
    SecretUnknown(String),
    #[error("the secret `{0}` is not bound")]
    SecretUnbound(String),
    #[error("the secret `{0}` may not be used here: only requests, HMACs and standard input")]
    SecretHere(String),
    #[error("the artifact `{0}` may not be used here: only files, bodies and standard input")]
    ArtifactHere(String),
    #[error("the secret `{name}` may not be used as {placement}")]
    SecretUse { name: String, placement: String },
    #[error("the secret `{name}` may not be sent to {host}")]
    SecretHost { name: String, host: String },
}

impl Refusal {
    /// True if the request makes no sense; false if it does and is forbidden.
    pub(crate) const fn is_invalid(&self) -> bool {
        match self {
            Self::Method(_) | Self::HeaderText(_) | Self::HeadersTooLong(_) => true,
            Self::Url(error) => !matches!(
                error,
                TargetError::Userinfo | TargetError::AddressLiteral | TargetError::TrailingDot
            ),
            _ => false,
        }
    }

    /// What the operator can do about it: the line to write, if one helps.
    pub(crate) fn hint(&self, powers: &Powers) -> String {
        let plugin = &powers.plugin;
        match self {
            Self::Host(origin) | Self::PlainHttp(origin) => {
                let mut hosts = powers.hosts();
                hosts.push(origin.clone());
                let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
                format!(
                    "if the plugin may talk to it: grants.http = {{ hosts = [{}] }} under \
                     [plugin.{plugin}]",
                    hosts.join(", ")
                )
            }
            Self::Budget(_) => {
                crate::limits::Limit::HttpCalls.hint(&powers.bounds, plugin.as_str())
            }
            Self::HiddenText { secret, .. } => format!(
                "write what secrets.{secret} under [plugin.{plugin}] names again, without a line \
                 break"
            ),
            Self::SecretUnbound(name) => {
                format!("secrets = {{ {name} = \"file:PATH\" }} under [plugin.{plugin}]")
            }
            // Most often it is a setting of the operator that names such a URL.
            Self::Url(_) => format!(
                "a URL in the settings of [plugin.{plugin}] has to be https://HOST or \
                 https://HOST:PORT and a path; credentials belong into its secrets"
            ),
            _defect => {
                "the plugin goes beyond its own manifest or contract; tell its author".to_owned()
            }
        }
    }
}

/// Headers that decide about the connection or the message's length.
fn is_forbidden_header(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "expect",
    ];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || name.starts_with("proxy-")
}

/// Decides about one request.
pub(crate) fn check(
    powers: &Powers,
    phase: Phase,
    ask: &Ask<'_>,
) -> Result<(Method, Target), Refusal> {
    if ask.calls >= powers.bounds.http_calls {
        return Err(Refusal::Budget(powers.bounds.http_calls));
    }
    let Some(method) = Method::parse(ask.method) else {
        return Err(Refusal::Method(ask.method.chars().take(32).collect()));
    };
    if phase.is_read_only() && !method.is_safe() {
        return Err(Refusal::ReadOnly { method, phase });
    }
    let target = Target::parse(ask.url).map_err(Refusal::Url)?;
    let rules: Vec<&WantHttp> = powers.rules_for(&target).collect();
    if rules.is_empty() {
        return Err(match target.scheme {
            "https" => Refusal::Host(target.origin()),
            _plain => Refusal::PlainHttp(target.origin()),
        });
    }
    let covered = rules.iter().any(|rule| {
        rule.methods.contains(&method) && rule.paths.iter().any(|p| target.path_matches(p))
    });
    if !covered {
        return Err(Refusal::Outside {
            method,
            origin: target.origin(),
            path: crate::judge::sanitize(&target.path, 200),
        });
    }
    for (name, values) in &ask.headers {
        check_header(name, values)?;
    }
    for (name, placement) in &ask.secrets {
        check_secret(powers, name, *placement, Some(&target.host))?;
    }
    Ok((method, target))
}

/// Checks one header; also used on the whole value once hidden parts are filled in.
pub(crate) fn check_header(name: &str, values: &[&[u8]]) -> Result<(), Refusal> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        let shown = name.chars().filter(|c| !c.is_control()).take(64);
        return Err(Refusal::HeaderText(shown.collect()));
    }
    if is_forbidden_header(name) {
        return Err(Refusal::Header(name.to_ascii_lowercase()));
    }
    let plain = |b: &u8| (*b >= b' ' && *b != 0x7f) || *b == b'\t';
    if !values.iter().all(|value| value.iter().all(plain)) {
        return Err(Refusal::HeaderText(name.to_ascii_lowercase()));
    }
    Ok(())
}

/// Checks one header once hidden parts are filled in: by now a control character can only come from
/// one of them, and is the operator's to mend.
pub(crate) fn check_filled_header<'a>(
    name: &str,
    value: &[u8],
    mut secrets: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    check_header(name, &[value]).map_err(|refusal| match (refusal, secrets.next()) {
        (Refusal::HeaderText(header), Some(secret)) => Refusal::HiddenText {
            header,
            secret: secret.to_owned(),
        },
        (refusal, _) => refusal,
    })
}

/// Decides about one use of a secret: its name, the place it goes to, and the host behind it.
pub(crate) fn check_secret(
    powers: &Powers,
    name: &str,
    placement: Placement<'_>,
    host: Option<&str>,
) -> Result<(), Refusal> {
    let Some(want) = powers.secrets.get(name) else {
        return Err(Refusal::SecretUnknown(name.chars().take(64).collect()));
    };
    let text = placement.text();
    if !want.uses.iter().any(|one| one.eq_ignore_ascii_case(&text)) {
        return Err(Refusal::SecretUse {
            name: name.to_owned(),
            placement: text,
        });
    }
    let Some(host) = host else {
        return Ok(());
    };
    let allowed = want.hosts.iter().any(|pattern| secret_host(pattern, host));
    if allowed {
        return Ok(());
    }
    Err(Refusal::SecretHost {
        name: name.to_owned(),
        host: host.to_owned(),
    })
}

fn secret_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => host
            .strip_suffix(suffix)
            .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        None => host == pattern,
    }
}

//! Whether a request goes directly or through a proxy, and which.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue;
use waxwing_core::http::TransportStage;

use super::failure::Failed;

/// A proxy setting that is no URL of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy has to be a URL as in http://proxy.example:3128")]
pub struct ProxyError;

/// Finds the route of each request.
pub(super) struct Routes(Option<Matcher>);

/// How a request gets out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// Straight to the host.
    Direct,
    /// Through a proxy.
    Proxy {
        /// Its URL without credentials.
        url: String,
        /// The value of its `proxy-authorization`.
        login: Option<HeaderValue>,
    },
}

/// The variables with which programs are told of proxies: each that is set, with its value.
#[expect(
    clippy::disallowed_methods,
    reason = "every client is told of proxies by the environment"
)]
pub fn of_the_environment() -> Vec<(&'static str, String)> {
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
    ];
    let set = names.map(|name| Some((name, std::env::var(name).ok()?)));
    set.into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// True if `NO_PROXY` in these words leaves the proxy out on the way to that host.
pub fn is_reached_directly(no_proxy: &str, host: &str, port: Option<u16>) -> bool {
    let any = "http://proxy.invalid";
    let matcher = Matcher::builder().all(any).no(no_proxy).build();
    let host = match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_name) => host.to_owned(),
    };
    let url = format!("https://{host}:{}/", port.unwrap_or(443));
    let url: Result<http::Uri, _> = url.parse();
    url.is_ok_and(|url| matcher.intercept(&url).is_none())
}

impl Routes {
    pub(super) const fn direct() -> Self {
        Self(None)
    }

    /// What the environment says, and on macOS and Windows the system's settings.
    pub(super) fn system() -> Self {
        Self(Some(Matcher::from_system()))
    }

    /// One proxy for everything but the hosts in `NO_PROXY`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the exceptions from a proxy stand in the environment, as every client has them"
    )]
    pub(super) fn through(proxy: &str) -> Result<Self, ProxyError> {
        // The matcher takes what it does not understand for no proxy at all.
        let url: http::Uri = proxy.parse().map_err(|_shape| ProxyError)?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() {
            return Err(ProxyError);
        }
        let except = ["NO_PROXY", "no_proxy"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok());
        let matcher = Matcher::builder()
            .all(proxy)
            .no(except.unwrap_or_default())
            .build();
        Ok(Self(Some(matcher)))
    }

    pub(super) fn of(&self, url: &str) -> Result<Route, Failed> {
        let Some(matcher) = &self.0 else {
            return Ok(Route::Direct);
        };
        let url: http::Uri = url.parse().map_err(|cause| {
            Failed::new(TransportStage::Request, format!("the URL is none: {cause}"))
        })?;
        Ok(match matcher.intercept(&url) {
            None => Route::Direct,
            Some(proxy) => Route::Proxy {
                url: proxy.uri().to_string(),
                login: proxy.basic_auth().cloned(),
            },
        })
    }
}

impl Route {
    /// The URL of the proxy, without its login.
    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Direct => None,
            Self::Proxy { url, .. } => Some(url),
        }
    }

    /// The proxy in the library's form.
    pub(super) fn proxy(&self) -> Result<Option<reqwest::Proxy>, Failed> {
        let Self::Proxy { url, login } = self else {
            return Ok(None);
        };
        let proxy = reqwest::Proxy::all(url)
            .map_err(|error| Failed::chain(TransportStage::Setup, &error.without_url()))?;
        Ok(Some(match login {
            Some(login) => proxy.custom_http_auth(login.clone()),
            None => proxy,
        }))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("directly"),
            Self::Proxy { url, .. } => write!(f, "through {url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_from_a_proxy_are_those_of_every_client() {
        let directly = |host| {
            is_reached_directly(
                "localhost, .corp.example,10.0.0.0/8,fd00::/8",
                host,
                Some(8443),
            )
        };
        for host in ["localhost", "ca.corp.example", "10.1.2.3", "fd00::1"] {
            assert!(directly(host), "{host}");
        }
        for host in [
            "acme.zerossl.com",
            "notcorp.example",
            "192.0.2.1",
            "2001:db8::1",
        ] {
            assert!(!directly(host), "{host}");
        }
        assert!(is_reached_directly("*", "acme.zerossl.com", None));
        assert!(!is_reached_directly("", "localhost", None));
    }

    #[test]
    fn a_configured_proxy_takes_everything_and_its_login_is_not_shown() {
        let routes = Routes::through("http://user:hunter2@proxy.example:3128").expect("a proxy");
        let route = routes.of("https://ca.example/directory").expect("a route");
        assert!(matches!(&route, Route::Proxy { login: Some(_), .. }));
        assert_eq!(format!("{route:?}"), "through http://proxy.example:3128/");
        assert_eq!(
            Routes::direct().of("https://ca.example/").ok(),
            Some(Route::Direct)
        );
    }

    #[test]
    fn what_is_no_proxy_is_an_error_and_not_no_proxy() {
        for text in ["proxy.example", "", "socks5://proxy.example", "http://"] {
            assert_eq!(Routes::through(text).err(), Some(ProxyError), "{text}");
        }
    }
}

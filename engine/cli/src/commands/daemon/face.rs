//! What the daemon shows at `[metrics] listen`: figures, whether it is well, and a page.
//!
//! All of it is made when something has changed, behind a pass or a look at the CAs, so that whoever
//! asks often costs nothing. That somebody asks lets the daemon look whether another process has changed
//! something; whoever asks next sees it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;
use waxwing_core::secret::Secret;
use waxwing_flow::ports::{SecretSource as _, StoreError, StoreErrorKind};
use waxwing_io::listen::{Answer, Asked, Desk, Listener};
use waxwing_io::service::Pulse;

use crate::exit::Exit;
use crate::load::Loaded;
use crate::refusal::Refusal;
use crate::render::html::POLICY;
use crate::wire;

/// The text format of Prometheus.
const FIGURES: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const PAGE: &str = "text/html; charset=utf-8";

/// That nothing is shown, and why.
pub(super) fn unshown(config: &Path, cause: String, hint: String) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Io,
        act: "show anything as it is configured:",
        // No file of that name is there: what other runs do not see they do not call over.
        path: std::path::absolute(config)
            .unwrap_or_else(|_| config.to_owned())
            .join("metrics.listen"),
        causes: vec![cause],
        hint: Some(hint).filter(|hint| !hint.is_empty()),
    }
}

/// Begins to answer at `[metrics] listen`, if it names an address.
pub(super) fn begin(loaded: &Loaded, pulse: &Pulse) -> Result<Option<Arc<Face>>, Refusal> {
    let settings = &loaded.settings;
    let Some(listen) = settings.metrics.listen else {
        return Ok(None);
    };
    let token = settings.metrics.token.as_ref();
    let token = token
        .map(|token| wire::secrets(loaded).secret(token))
        .transpose();
    let token = token.map_err(|error| {
        let refused = Refusal::new(Exit::Config, "failed to read metrics.token");
        let refused = refused.cause(&error);
        match error.hint {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })?;
    let face = Face::new(Rules {
        token,
        pulse: pulse.clone(),
    });
    let desk: Arc<Face> = Arc::clone(&face);
    match Listener::start(listen, desk) {
        Ok(listener) => {
            tracing::info!(address = %listener.address(), "answers /, /metrics, /healthz and /readyz");
            Ok(Some(face))
        }
        Err(cause) => Err(
            Refusal::new(Exit::Config, format!("failed to listen at {listen}"))
                .cause(cause)
                .hint("another program may listen there: [metrics] listen names another port"),
        ),
    }
}

/// What is shown now.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// For Prometheus.
    pub(super) figures: String,
    /// For people.
    pub(super) page: String,
    /// True between the first pass and the end.
    pub(super) ready: bool,
}

/// Who may ask, and for what.
#[derive(Debug)]
pub(super) struct Rules {
    /// What whoever asks has to know.
    pub(super) token: Option<Secret<String>>,
    /// Whether it lives.
    pub(super) pulse: Pulse,
}

/// Shows it to whoever asks.
#[derive(Debug)]
pub(super) struct Face {
    rules: Rules,
    shown: RwLock<Shown>,
    asked: Notify,
}

impl Face {
    pub(super) fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            rules,
            shown: RwLock::default(),
            asked: Notify::new(),
        })
    }

    /// Until somebody asks for the figures or the page; at once, if somebody has since the last time.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Changes what is shown.
    pub(super) fn change(&self, how: impl FnOnce(&mut Shown)) {
        how(&mut self.shown.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Desk for Face {
    fn answer(&self, asked: &Asked<'_>) -> Answer {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let answer = answer(asked, &self.rules, &shown);
        if answer.status == 200 && matches!(asked.path, "/" | "/metrics") {
            self.asked.notify_one();
        }
        answer
    }
}

/// The answer to a request.
fn answer(asked: &Asked<'_>, rules: &Rules, shown: &Shown) -> Answer {
    if !matches!(asked.method, "GET" | "HEAD") {
        let mut refused = text(405, "only GET is answered here; nothing can be changed");
        refused.headers.push(("allow", "GET, HEAD".to_owned()));
        return refused;
    }
    // A page elsewhere can make a browser ask here under a name of its own.
    if rules.token.is_none() && !asked.host.is_some_and(is_loopback) {
        return text(
            421,
            "this is for localhost alone; [metrics] token opens it for other names",
        );
    }
    match asked.path {
        "/healthz" => {
            if rules.pulse.lives() {
                text(200, "ok")
            } else {
                text(503, "nothing has moved for too long; the daemon hangs")
            }
        }
        "/readyz" if shown.ready => text(200, "ready"),
        "/readyz" => text(
            503,
            "the first pass is not over, the state folder is gone, or the daemon ends",
        ),
        "/" | "/metrics" if !knows(asked, rules) => {
            let mut refused = text(401, "the token of [metrics] token is needed here");
            let how = "Basic realm=\"Waxwing\", charset=\"UTF-8\"".to_owned();
            refused.headers.push(("www-authenticate", how));
            refused
        }
        "/metrics" if shown.figures.is_empty() => text(503, "the first pass is not over"),
        "/metrics" => with(200, FIGURES, shown.figures.clone()),
        "/" if shown.page.is_empty() => text(503, "the first pass is not over; come back soon"),
        "/" => with(200, PAGE, shown.page.clone()),
        _ => text(404, "here are /, /metrics, /healthz and /readyz"),
    }
}

fn knows(asked: &Asked<'_>, rules: &Rules) -> bool {
    rules.token.as_ref().is_none_or(|token| asked.knows(token))
}

/// `localhost`, or an address of loopback, with or without a port.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || [name, bare]
            .iter()
            .any(|text| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

fn text(status: u16, words: &str) -> Answer {
    with(status, TEXT, format!("{words}\n"))
}

fn with(status: u16, kind: &str, body: String) -> Answer {
    let headers = vec![
        ("content-type", kind.to_owned()),
        ("cache-control", "no-store".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        (
            "content-security-policy",
            format!("{POLICY}; frame-ancestors 'none'"),
        ),
    ];
    Answer {
        status,
        headers,
        body,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rules(token: Option<&str>) -> Rules {
        Rules {
            token: token.map(|token| Secret::new(token.to_owned())),
            pulse: Pulse::begin(Duration::from_secs(100)),
        }
    }

    fn shown() -> Shown {
        Shown {
            figures: "waxwing_build_info 1\n".to_owned(),
            page: "<!doctype html>".to_owned(),
            ready: true,
        }
    }

    fn asked(method: &'static str, path: &'static str) -> Asked<'static> {
        Asked {
            method,
            path,
            host: Some("localhost:9818"),
            authorization: None,
        }
    }

    #[test]
    fn each_path_has_its_answer() {
        for (method, path, status) in [
            ("GET", "/", 200),
            ("HEAD", "/", 200),
            ("GET", "/metrics", 200),
            ("GET", "/healthz", 200),
            ("GET", "/readyz", 200),
            ("GET", "/favicon.ico", 404),
            ("POST", "/", 405),
        ] {
            let answer = answer(&asked(method, path), &rules(None), &shown());
            assert_eq!(answer.status, status, "{method} {path}");
        }
        let before = Shown::default();
        for (path, status) in [
            ("/", 503),
            ("/metrics", 503),
            ("/healthz", 200),
            ("/readyz", 503),
        ] {
            let answer = answer(&asked("GET", path), &rules(None), &before);
            assert_eq!(answer.status, status, "{path}");
        }
    }

    #[test]
    fn a_daemon_that_hangs_is_not_well() {
        let rules = rules(None);
        rules.pulse.beat(Duration::ZERO);
        let answer = answer(&asked("GET", "/healthz"), &rules, &shown());
        assert_eq!(answer.status, 503);
    }

    #[test]
    fn without_a_token_only_this_machine_is_answered() {
        for (host, status) in [
            (Some("localhost"), 200),
            (Some("LOCALHOST:80"), 200),
            (Some("127.0.0.1:9818"), 200),
            (Some("127.0.0.9"), 200),
            (Some("[::1]:9818"), 200),
            (Some("[::1]"), 200),
            (Some("evil.example:9818"), 421),
            (Some("localhost.evil.example"), 421),
            (Some("192.0.2.1"), 421),
            (None, 421),
        ] {
            let asked = Asked {
                host,
                ..asked("GET", "/metrics")
            };
            let answer = answer(&asked, &rules(None), &shown());
            assert_eq!(answer.status, status, "{host:?}");
        }
    }

    #[test]
    fn a_token_guards_what_names_names() {
        let token = Some("s3cret");
        for (path, authorization, status) in [
            ("/", None, 401),
            ("/", Some("Bearer s3cret"), 200),
            ("/metrics", Some("Bearer wrong"), 401),
            ("/metrics", Some("Bearer s3cret"), 200),
            ("/healthz", None, 200),
            ("/readyz", None, 200),
        ] {
            let asked = Asked {
                host: Some("web1.example:9818"),
                authorization,
                ..asked("GET", path)
            };
            let answer = answer(&asked, &rules(token), &shown());
            assert_eq!(answer.status, status, "{path} {authorization:?}");
        }
    }
}

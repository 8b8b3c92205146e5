//! The way out through a proxy: what the configuration says, what the environment says, and what is left
//! of it when a timer starts the runs.

use waxwing_core::settings::Settings;
use waxwing_io::http;

use crate::render::check::{Found, Verdict};

const TOPIC: &str = "proxy";

/// What is known of proxies; nothing where there is none.
pub(super) fn findings(settings: &Settings) -> Vec<Found> {
    judge(
        settings.network.proxy.as_deref(),
        &http::proxies_of_the_environment(),
    )
}

/// What to look at first if nobody answers behind a configured proxy.
pub(super) fn in_between(settings: &Settings) -> Option<String> {
    let proxy = without_login(settings.network.proxy.as_deref()?);
    Some(format!(
        "every request goes through {proxy}, as [network] proxy says: does that answer, and let it through?"
    ))
}

/// `environment`: each variable that is set and not empty, with its value.
fn judge(configured: Option<&str>, environment: &[(&'static str, String)]) -> Vec<Found> {
    let value = |name: &str| {
        let mut all = environment.iter();
        all.find(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(one, text)| (*one, text.as_str()))
    };
    let mut found = Vec::new();
    if let Some(proxy) = configured {
        let text = format!(
            "CAs, plugins and webhooks are reached through {}, as [network] proxy says; mail is not",
            without_login(proxy)
        );
        found.push(Found::new(Verdict::Ok, TOPIC, text));
    } else if let Some((name, proxy)) = value("HTTPS_PROXY").or_else(|| value("ALL_PROXY")) {
        let shown = without_login(proxy);
        if is_http(proxy) {
            let text = format!(
                "{name} leads through {shown} here, and a timer or a service will not have it"
            );
            // A password belongs into no message.
            let hint = format!("[network] proxy = {shown:?}, so that every run has it");
            found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
        } else {
            let text = format!(
                "{name} leads through {shown}, which is no HTTP proxy; others are not spoken"
            );
            let hint = "[network] proxy = \"http://proxy.example:3128\", or unset it for Waxwing";
            found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned())));
        }
    }
    let through = configured.is_some() || !found.is_empty();
    if let Some((name, _)) = value("NO_PROXY").filter(|_| through) {
        let text =
            format!("{name} names exceptions here, and a timer or a service will not have it");
        let hint = format!("systemctl edit waxwing.service: [Service] Environment={name}=...");
        found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
    }
    found
}

fn is_http(proxy: &str) -> bool {
    let scheme = proxy.split_once("://").map_or("http", |(scheme, _)| scheme);
    matches!(scheme, "http" | "https")
}

/// The URL without what stands before the host: it may be a password.
fn without_login(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{}", host.trim_end_matches('/'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each kind.
    pub(in super::super) fn examples() -> Vec<Found> {
        let set = |name: &'static str, text: &str| (name, text.to_owned());
        let no = || set("no_proxy", "localhost,.corp.example");
        let here = set("https_proxy", "http://jo:hunter2@proxy.corp.example:3128/");
        [
            judge(None, &[]),
            judge(
                None,
                &[no(), set("HTTP_PROXY", "http://proxy.corp.example")],
            ),
            judge(
                Some("http://proxy.corp.example:3128"),
                std::slice::from_ref(&here),
            ),
            judge(None, &[here, no()]),
            judge(None, &[set("ALL_PROXY", "socks5://proxy.corp.example")]),
        ]
        .concat()
    }

    #[test]
    fn what_only_this_shell_has_is_worth_a_warning_and_no_password_is_shown() {
        let found = examples();
        let verdicts: Vec<Verdict> = found.iter().map(|one| one.verdict).collect();
        let warn = Verdict::Warn;
        assert_eq!(verdicts, [Verdict::Ok, warn, warn, warn]);
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

//! Whether plugins may reach the addresses that their settings name.

use std::net::IpAddr;

use serde_json::Value;
use waxwing_core::plugin::HostPattern;
use waxwing_core::settings::{PluginSettings, Settings};

use crate::render::check::{Found, Verdict};

/// Addresses in settings that neither the manifest nor a grant lets the plugin reach.
pub(super) fn findings(settings: &Settings) -> Vec<Found> {
    let plugins = settings.plugins.values();
    plugins.flat_map(denied).collect()
}

fn denied(plugin: &PluginSettings) -> Vec<Found> {
    let mut urls = Vec::new();
    collect(&plugin.settings, "settings", &mut urls);
    let wanted = plugin.manifest.http.iter().flat_map(|want| &want.hosts);
    let granted = plugin.grants.http.iter().flat_map(|grant| &grant.hosts);
    let allowed: Vec<&HostPattern> = wanted.chain(granted).collect();
    let name = &plugin.name;
    let mut found = Vec::new();
    for (key, url) in urls {
        let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let may = match HostPattern::parse(&origin) {
            Ok(origin) => {
                allowed.contains(&&origin) || allowed.iter().any(|it| covers(it, &origin))
            }
            Err(error) => {
                // What stands before the host may be a password.
                let shown = match origin.rsplit_once('@') {
                    Some((_, host)) => format!("https://...@{host}"),
                    None => origin.clone(),
                };
                let text = format!("{name} may not reach {shown}, which its {key} names: {error}");
                let hint = format!(
                    "{key} under [plugin.{name}] has to begin with https://HOST; credentials belong \
                     into its secrets"
                );
                found.push(Found::new(Verdict::Error, "plugins", text).hint(Some(hint)));
                continue;
            }
        };
        if !may {
            let text = format!("{name} may not reach {origin}, which its {key} names");
            let hint = format!(
                "[plugin.{name}] grants.http = {{ hosts = [{origin:?}]{} }}",
                more_for(&origin)
            );
            found.push(Found::new(Verdict::Error, "plugins", text).hint(Some(hint)));
        }
    }
    found
}

/// What else a grant needs for a host inside: plugins reach no private addresses unless they may, and
/// such a server seldom has a public certificate.
fn more_for(origin: &str) -> String {
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let host = match host.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or(literal),
        None => host.split(':').next().unwrap_or(host),
    };
    let range = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_loopback() => "127.0.0.0/8".to_owned(),
        Ok(IpAddr::V6(ip)) if ip.is_loopback() => "::1/128".to_owned(),
        Ok(IpAddr::V4(ip)) if ip.is_private() => format!("{ip}/32"),
        Ok(IpAddr::V6(ip)) if ip.is_unique_local() => format!("{ip}/128"),
        Ok(_) => return String::new(),
        Err(_name) if host.eq_ignore_ascii_case("localhost") => "127.0.0.0/8".to_owned(),
        Err(_name) => return String::new(),
    };
    format!(", private = [{range:?}], trust = \"ca.pem\"")
}

/// Whether a pattern with a wildcard means an origin.
fn covers(pattern: &HostPattern, origin: &HostPattern) -> bool {
    let text = origin.to_string();
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let usual = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(usual)),
        None => (rest, usual),
    };
    pattern.matches(scheme, host, port)
}

/// Every `endpoint` in the settings: other addresses may be there for people.
fn collect<'s>(value: &'s Value, at: &str, urls: &mut Vec<(String, &'s str)>) {
    match value {
        Value::String(text) if at.ends_with("endpoint") && text.contains("://") => {
            urls.push((at.to_owned(), text));
        }
        Value::Array(items) => {
            for item in items {
                collect(item, at, urls);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                collect(field, &format!("{at}.{key}"), urls);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_inside_needs_more_than_its_name() {
        let loopback = r#", private = ["127.0.0.0/8"], trust = "ca.pem""#;
        for (origin, more) in [
            ("https://localhost:9443", loopback),
            ("https://127.0.0.1", loopback),
            (
                "https://[::1]:1",
                r#", private = ["::1/128"], trust = "ca.pem""#,
            ),
            (
                "https://10.1.2.3:8443",
                r#", private = ["10.1.2.3/32"], trust = "ca.pem""#,
            ),
            ("https://api.example", ""),
            ("https://192.0.2.1", ""),
        ] {
            assert_eq!(more_for(origin), more, "{origin}");
        }
    }
}

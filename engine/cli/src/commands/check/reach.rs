//! Whether plugins may reach the addresses that their settings name.

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
                let text = format!("{name} may not reach {origin}, which its {key} names: {error}");
                found.push(Found::new(Verdict::Error, "plugins", text));
                continue;
            }
        };
        if !may {
            let text = format!("{name} may not reach {origin}, which its {key} names");
            let hint = format!("[plugin.{name}] grants.http = {{ hosts = [{origin:?}] }}");
            found.push(Found::new(Verdict::Error, "plugins", text).hint(Some(hint)));
        }
    }
    found
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

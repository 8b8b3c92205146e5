//! What can be said of CAs without asking them: roots that are there, certificates that nobody signs.

use std::collections::BTreeMap;
use std::path::Path;

use waxwing_core::ca::choose::{self, Haste, Next, Question};
use waxwing_core::ca::{CaProfile, EabSource};
use waxwing_core::notify::Way;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::session::greeting::Greeting;
use waxwing_io::config;

use crate::render::check::{Found, Verdict};

/// Files with roots that are named and are not there.
pub(super) fn roots(settings: &Settings) -> Vec<Found> {
    let used = settings.used_cas();
    let cas = used.iter().filter_map(|ca| settings.cas.get(ca));
    let of_cas = cas.filter_map(|ca| Some((format!("[ca.{}] trust", ca.name), ca.trust.as_ref()?)));
    let network = settings.network.trust.as_ref();
    let of_network = network.map(|path| ("[network] trust".to_owned(), path));
    let plugins = settings.plugins.values();
    let of_plugins = plugins.filter_map(|plugin| {
        let key = format!("[plugin.{}] grants.http.trust", plugin.name);
        Some((key, plugin.grants.http.as_ref()?.trust.as_ref()?))
    });
    let notifiers = settings.notify.values();
    let of_notifiers = notifiers.filter_map(|notifier| {
        let trust = match &notifier.way {
            Way::Mail(mail) => mail.trust.as_ref(),
            Way::Webhook(hook) => hook.trust.as_ref(),
            Way::Command(_) | Way::Log => None,
        };
        Some((format!("[notify.{}] trust", notifier.name), trust?))
    });
    let missing = |(key, path): (String, &std::path::PathBuf)| {
        let why = unreadable(path)?;
        let text = format!("{key} names {}, which {why}", path.display());
        let hint = "the path of a PEM file with the roots; relative paths start from the file that \
                    names them";
        Some(Found::new(Verdict::Error, "trust", text).hint(Some(hint.to_owned())))
    };
    let all = of_cas
        .chain(of_network)
        .chain(of_plugins)
        .chain(of_notifiers);
    all.filter_map(missing).collect()
}

fn unreadable(path: &Path) -> Option<&'static str> {
    if path.is_file() {
        config::holds_no_roots(path).then_some("holds no certificate")
    } else if path.exists() {
        Some("is no file")
    } else {
        Some("is not there")
    }
}

/// A CA that gives accounts only with credentials, where none are configured.
pub(super) fn without_credentials(profile: &CaProfile, greeting: &Greeting) -> Option<Found> {
    let wanted = profile.eab.required || greeting.directory.meta.external_account_required;
    if !wanted || profile.eab.source != EabSource::None {
        return None;
    }
    let name = &profile.name;
    let text = format!("{name} gives accounts only with credentials, and none are configured");
    let hint =
        format!("[ca.{name}] eab = {{ key-id = \"...\", hmac-key = \"file:{name}-hmac-key\" }}");
    Some(Found::new(Verdict::Error, "CAs", text).hint(Some(hint)))
}

/// Certificates that no CA of their list signs.
pub(super) fn nobody_signs(settings: &Settings, now: Timestamp) -> Vec<Found> {
    let standings = BTreeMap::new();
    let mut found = Vec::new();
    for certificate in &settings.certificates {
        let choice = choose::next(&Question {
            list: &certificate.cas,
            first: certificate.cas.first(),
            profiles: &settings.cas,
            names: &certificate.domains,
            key: certificate.key,
            standings: &standings,
            policy: settings.failover,
            haste: Haste::Now,
            by_hand: false,
            now,
        });
        if choice.next == Next::Nobody {
            let text = format!("{}: no CA of its list can be asked", certificate.name);
            let causes = choice.passed_over.into_iter();
            let causes = causes.map(|(ca, why)| format!("{ca}: {why}"));
            let hint = format!(
                "name a CA in `ca` of {} that can sign it; `waxwing ca show NAME` tells what each can",
                certificate.name
            );
            found.push(
                Found::new(Verdict::Error, "CAs", text)
                    .causes(causes)
                    .hint(Some(hint)),
            );
        }
    }
    found
}

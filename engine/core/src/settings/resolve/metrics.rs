//! `[metrics]`

use std::net::SocketAddr;

use crate::document::section::Section;
use crate::settings::raw::Raw;
use crate::settings::{MetricsSettings, secret_ref};

/// Loopback, at a port that nothing known uses.
const LISTEN: &str = "\"127.0.0.1:9818\"";

pub(super) fn read(root: &Section<'_>, raw: &Raw) -> MetricsSettings {
    let mut metrics = MetricsSettings::default();
    let Some(section) = root.section("metrics") else {
        return metrics;
    };
    let example = "\"/var/lib/node_exporter/waxwing.prom\"";
    metrics.textfile = section.path_value("textfile", example, |at| raw.folder(at));
    if let Some(textfile) = &metrics.textfile
        && textfile
            .extension()
            .is_none_or(|extension| extension != "prom")
        && let Some(entry) = section.take("textfile")
    {
        let message = "the textfile collector reads files whose name ends in .prom only";
        let problem = section.problem(&entry.at, "textfile", message);
        section
            .problems()
            .add(problem.hint(format!("textfile = {example}")));
    }
    let listen = section.parsed("listen", LISTEN, |text| {
        text.parse::<SocketAddr>()
            .map_err(|_no_address| "an address and a port belong here".to_owned())
    });
    metrics.token = section.take("token").and_then(|entry| {
        let path = section.path.below("token");
        let folder = raw.folder(&entry.node.at);
        secret_ref::read(entry, &path, folder, "metrics-token", section.problems())
    });
    if let Some(listen) = &listen
        && !listen.value.ip().is_loopback()
        && section.take("token").is_none()
    {
        let message = "whoever reaches this address could read every name and its state";
        let problem = section.problem(&listen.at, "listen", message);
        let hint = "token = \"file:metrics-token\" beside it, which Prometheus sends as \
                    `authorization`; or an address of loopback";
        section.problems().add(problem.hint(hint));
    }
    if listen.is_none()
        && !section.is_misspelled("listen")
        && section.take("listen").is_none()
        && let Some(entry) = section.take("token")
    {
        let problem = section.problem(
            &entry.at,
            "token",
            "nobody is asked for it without `listen`",
        );
        section
            .problems()
            .add(problem.hint(format!("listen = {LISTEN}")));
    }
    metrics.listen = listen.map(|listen| listen.value);
    section.finish(&[
        ("file", "textfile = \"...\""),
        ("path", "textfile = \"...\""),
        ("address", "listen = \"127.0.0.1:9818\""),
        ("bind", "listen = \"127.0.0.1:9818\""),
    ]);
    metrics
}

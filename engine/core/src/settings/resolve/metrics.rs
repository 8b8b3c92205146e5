//! `[metrics]`

use crate::document::section::Section;
use crate::settings::MetricsSettings;
use crate::settings::raw::Raw;

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
    if let Some(entry) = section.refused("listen") {
        let message =
            "listen is not supported by this version yet; remove it or wait for a later one";
        let problem = section.problem(&entry.at, "listen", message);
        let hint = format!("textfile = {example} works with and without a daemon");
        section.problems().add(problem.hint(hint));
    }
    section.finish(&[
        ("file", "textfile = \"...\""),
        ("path", "textfile = \"...\""),
    ]);
    metrics
}

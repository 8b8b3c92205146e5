//! Plugins that could not be used in a run.

use waxwing_core::name::PluginName;
use waxwing_flow::failure::Failure;
use waxwing_flow::report::{InstallOutcome, Outcome, RunReport};

use crate::render::terminal::Terminal;
use crate::wire::Unusable;

/// True if a failure of the report is that plugin's.
pub(super) fn is_reported(report: &RunReport, plugin: &PluginName) -> bool {
    let of_certificates = report
        .certificates
        .iter()
        .filter_map(|one| match &one.outcome {
            Outcome::Failed(failure) => failure.as_ref(),
            _ => None,
        });
    let of_installs = report.installs.iter().filter_map(|one| match &one.outcome {
        InstallOutcome::Failed(failure) => Some(failure),
        _ => None,
    });
    of_certificates
        .chain(of_installs)
        .any(|failure| match failure {
            Failure::Plugins(failures) => failures.iter().any(|one| one.plugin == *plugin),
            _ => false,
        })
}

/// A plugin that cannot be used fails only the certificates that need it, so it is said and the run
/// goes on.
pub(super) fn say_unusable(why: &Unusable, terminal: &mut Terminal) {
    match why {
        Unusable::Secret {
            plugin,
            secret,
            error,
        } => {
            let text = format!("[plugin.{plugin}] secrets.{secret}: {error}");
            terminal.fail(&text, error.hint.as_deref());
        }
        Unusable::Component(failure) => {
            let mut text = failure.to_string();
            for cause in &failure.causes {
                text.push_str(": ");
                text.push_str(cause);
            }
            terminal.fail(&text, failure.hint.as_deref());
        }
    }
}

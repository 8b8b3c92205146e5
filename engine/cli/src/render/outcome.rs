//! What a run amounts to: the one decision on its exit code.

use waxwing_flow::failure::Failure;
use waxwing_flow::plugin::{PutBack, PutBackResult};
use waxwing_flow::ports::StoreErrorKind;
use waxwing_flow::report::{
    CertificateReport, InstallOutcome, InstallReport, Outcome, Replaced, RunReport,
};

use crate::exit::Exit;

/// How the program ends after this run.
///
/// A certificate whose order is kept for a later run counts as failed, but a run in which all are
/// kept is not a run in which all failed. A record that could not be removed changes nothing here:
/// it stays written down and is tried again.
pub(crate) fn exit_of(report: &RunReport) -> Exit {
    let endings: Vec<Ended> = report.certificates.iter().map(ended).collect();
    let mut installs: Vec<Ended> = report.installs.iter().filter_map(install_ended).collect();
    // A file that is still the one of an installation that was cut off.
    let failed = |file: &PutBack| matches!(file.result, PutBackResult::Failed(_));
    installs.extend(report.put_back.iter().any(failed).then_some(Ended::Failed));
    // What is installed and not served helps nobody.
    let not_served = report.served.iter().any(|one| !one.current);
    installs.extend(not_served.then_some(Ended::Failed));
    let not_revoked = report
        .replaced
        .iter()
        .any(|one| matches!(one.ended, Replaced::Failed(_) | Replaced::Withdrawn));
    let all = |wanted| !endings.is_empty() && endings.iter().all(|ending| *ending == wanted);
    let any = |wanted| endings.contains(&wanted);
    if all(Ended::Denied) {
        Exit::Denied
    } else if endings
        .iter()
        .all(|ending| matches!(ending, Ended::Failed | Ended::Denied))
        && !endings.is_empty()
    {
        Exit::AllFailed
    } else if any(Ended::Failed) || any(Ended::Denied) || any(Ended::Kept) {
        Exit::SomeFailed
    } else if installs.contains(&Ended::Denied) || installs.contains(&Ended::Failed) {
        Exit::NotInstalled
    } else if any(Ended::Locked) || installs.contains(&Ended::Locked) {
        Exit::Locked
    } else if report.stopped || not_revoked {
        Exit::SomeFailed
    } else if !report.left_over.is_empty() {
        // Every certificate is fine, and somebody's DNS is not.
        Exit::NeedsPerson
    } else {
        Exit::Done
    }
}

/// How one item ended, as far as the exit code is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Failed,
    /// The order is kept, or somebody stopped the run.
    Kept,
    Locked,
    Denied,
}

fn ended(report: &CertificateReport) -> Ended {
    match &report.outcome {
        Outcome::Issued { .. } | Outcome::Overtaken | Outcome::Held(_) => Ended::Well,
        Outcome::Locked(_) => Ended::Locked,
        Outcome::Failed(Some(failure)) => failed(failure),
        Outcome::Failed(None) => match report.failures.last() {
            Some(last) => failed(&last.failure),
            None => Ended::Failed,
        },
    }
}

fn install_ended(report: &InstallReport) -> Option<Ended> {
    match &report.outcome {
        InstallOutcome::Failed(failure) => Some(failed(failure)),
        InstallOutcome::Locked(_) => Some(Ended::Locked),
        InstallOutcome::Done { .. } | InstallOutcome::Planned => None,
    }
}

fn failed(failure: &Failure) -> Ended {
    match failure {
        Failure::Parked { .. } | Failure::OrderDeadline { .. } | Failure::Stopped => Ended::Kept,
        Failure::Store(error) => match error.kind {
            StoreErrorKind::Locked => Ended::Locked,
            StoreErrorKind::Permission => Ended::Denied,
            _ => Ended::Failed,
        },
        _ => Ended::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{ca, certificate, install, locked, run};
    use super::*;

    #[test]
    fn the_worst_thing_that_matters_decides() {
        let good = || certificate("good").issued("first", false).done();
        let bad = || {
            certificate("bad")
                .failed(Failure::Stopped)
                .refused("first")
                .done()
        };
        let parked = || {
            let failure = Failure::Parked {
                ca: ca("first"),
                retry_after: Duration::from_secs(86_400),
            };
            certificate("parked").failed(failure).done()
        };
        let busy = || certificate("busy").locked().done();
        let denied = || {
            certificate("denied")
                .failed(Failure::Store(locked(StoreErrorKind::Permission)))
                .done()
        };
        let stopped = || certificate("stopped").failed(Failure::Stopped).done();
        let broken = || {
            certificate("broken")
                .failed(Failure::NoSuchPlugin(super::super::fixture::plugin("p")))
                .done()
        };
        let installed = || install("web", &["good"]).done();
        let uninstalled = || install("web", &["good"]).failed("reload failed").done();
        let busy_install = || install("web", &["good"]).locked().done();
        let table = [
            (vec![], vec![], Exit::Done),
            (vec![good()], vec![installed()], Exit::Done),
            (vec![broken()], vec![], Exit::AllFailed),
            (vec![bad(), broken()], vec![], Exit::SomeFailed),
            (vec![good(), broken()], vec![], Exit::SomeFailed),
            (vec![broken(), busy()], vec![], Exit::SomeFailed),
            (vec![parked()], vec![], Exit::SomeFailed),
            (vec![stopped()], vec![], Exit::SomeFailed),
            (vec![good()], vec![uninstalled()], Exit::NotInstalled),
            (vec![], vec![uninstalled()], Exit::NotInstalled),
            (vec![broken()], vec![uninstalled()], Exit::AllFailed),
            (vec![busy()], vec![], Exit::Locked),
            (vec![good(), busy()], vec![], Exit::Locked),
            (vec![busy()], vec![uninstalled()], Exit::NotInstalled),
            (vec![], vec![busy_install()], Exit::Locked),
            (
                vec![],
                vec![busy_install(), uninstalled()],
                Exit::NotInstalled,
            ),
            (vec![denied()], vec![], Exit::Denied),
            (vec![denied(), good()], vec![], Exit::SomeFailed),
        ];
        for (certificates, installs, want) in table {
            let report = run(certificates, installs);
            assert_eq!(exit_of(&report), want, "{report:?}");
        }
    }

    #[test]
    fn what_is_not_served_or_not_put_back_is_a_failed_deploy() {
        use super::super::fixture::served;
        let good = || certificate("good").issued("first", false).done();
        let mut report = run(vec![good()], vec![install("web", &["good"]).done()]);
        report.served = vec![served("good", "good.example", Some("0d7a41"), true)];
        assert_eq!(exit_of(&report), Exit::Done);
        report
            .served
            .push(served("good", "mx.example", None, false));
        assert_eq!(exit_of(&report), Exit::NotInstalled);
        report.served.clear();
        let file = |result| PutBack {
            plugin: super::super::fixture::plugin("web"),
            path: "/etc/web/good.crt".to_owned(),
            result,
        };
        report.put_back = vec![
            file(PutBackResult::Restored),
            file(PutBackResult::LeftAlone),
        ];
        assert_eq!(exit_of(&report), Exit::Done);
        report
            .put_back
            .push(file(PutBackResult::Failed("no room".to_owned())));
        assert_eq!(exit_of(&report), Exit::NotInstalled);
    }

    #[test]
    fn a_run_that_was_stopped_is_never_simply_done() {
        let mut report = run(vec![], vec![]);
        report.stopped = true;
        assert_eq!(exit_of(&report), Exit::SomeFailed);
    }
}

//! `waxwing renew`: issues what is missing, renews what is due, installs what is not installed.

use std::sync::Arc;

use waxwing_core::name::CertificateName;
use waxwing_flow::driver::Stop;
use waxwing_flow::report::{InstallOutcome, Observer, Outcome, Progress};
use waxwing_flow::scheduler;

use crate::args::{Global, Renew};
use crate::exit::Exit;
use crate::render::terminal::Terminal;
use crate::{load, survey, wire};

struct Silent;

impl Observer for Silent {
    fn progress(&self, _certificate: &CertificateName, _progress: &Progress) {}
}

/// Runs the verb.
pub(crate) fn run(global: &Global, arguments: &Renew, terminal: &mut Terminal) -> Exit {
    let loaded = match load::load(global) {
        Ok(loaded) => loaded,
        Err(error) => {
            terminal.note(&format!("error: {error}"));
            return Exit::Config;
        }
    };
    let store = match wire::store(&loaded) {
        Ok(store) => store,
        Err(error) => {
            terminal.note(&format!("error: {error}"));
            return Exit::Denied;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.note(&format!("error: {error}"));
            return Exit::Bug;
        }
    };
    let wired = match wire::wire(&loaded, Arc::clone(&store), Arc::new(Silent)) {
        Ok(wired) => wired,
        Err(error) => {
            terminal.note(&format!("error: {error}"));
            return Exit::Bug;
        }
    };
    for why in &wired.unusable {
        terminal.note(&format!("{why:?}"));
    }
    let survey = match survey::survey(&loaded, &store, wired.ports.session.clock.now()) {
        Ok(survey) => survey,
        Err(error) => {
            terminal.note(&format!("error: {error}"));
            return Exit::Denied;
        }
    };
    let names = arguments
        .names
        .iter()
        .filter_map(|name| CertificateName::parse(name).ok())
        .collect();
    let (force, rehearsal) = (arguments.force, arguments.dry_run);
    let orders = survey::orders(&survey, &loaded.settings, &names, force, rehearsal);
    let (_switch, stop) = Stop::new();
    let report = runtime.block_on(scheduler::run(
        &wired.ports,
        &loaded.settings,
        orders,
        &stop,
    ));
    let mut exit = Exit::Done;
    for certificate in &report.certificates {
        if let Outcome::Failed(failure) = &certificate.outcome {
            for cause in &certificate.failures {
                terminal.note(&cause.failure.lines().join("\n  "));
            }
            if let Some(failure) = failure {
                terminal.note(&failure.lines().join("\n  "));
            }
            exit = Exit::AllFailed;
        }
    }
    for install in &report.installs {
        if let InstallOutcome::Failed(failure) = &install.outcome {
            terminal.note(&failure.lines().join("\n  "));
            exit = Exit::NotInstalled;
        }
    }
    exit
}

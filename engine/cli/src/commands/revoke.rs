//! `waxwing revoke`: revokes the current version of a certificate at its CA.

use waxwing_core::plan::Asker;
use waxwing_flow::failure::Failure;
use waxwing_flow::history::Chronicle;
use waxwing_flow::revoke::{self, RevokeError, Wish};

use super::start;
use crate::args::{Global, Reason, Revoke};
use crate::exit::Exit;
use crate::load;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::plan::held as held_back;
use crate::render::revocation::{self, Next, RevokeView};
use crate::render::terminal::Terminal;
use crate::survey::survey;
use crate::wire;

mod replace;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Revoke,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let loaded = load::load(global)?;
    load::refuse_foreign_programs(&loaded.settings)?;
    let seen = wire::look(&loaded)?;
    let settings = &loaded.settings;
    let known = match start::stored(&seen, terminal) {
        Ok(known) => known,
        Err(exit) => return Ok(exit),
    };
    let written = std::slice::from_ref(&arguments.name);
    let names = match start::names(written, settings, &known, terminal) {
        Ok(names) => names,
        Err(exit) => return Ok(exit),
    };
    let Some(name) = names.into_iter().next() else {
        return Ok(Exit::Usage);
    };
    if let Err(exit) = start::must_be_stored(&name, &known, terminal) {
        return Ok(exit);
    }
    if arguments.replace {
        return replace::run(&loaded, arguments, &name, terminal);
    }
    let store = wire::store(&loaded)?;
    let ports = wire::session(&loaded, store.clone())?;
    let history = wire::history(&store)?;
    let run = loaded.audit.run().unwrap_or_else(load::run_id);
    let chronicle = Chronicle {
        history: history.as_ref(),
        run: &run,
    };
    let runtime = start::runtime()?;
    let mut wish = Wish {
        certificate: name,
        reason: arguments.reason.map(Reason::code),
        although_installed: arguments.yes,
    };
    let mut ended = runtime.block_on(revoke::revoke(&ports, settings, &wish, chronicle));
    if let Err(installed @ RevokeError::Installed { .. }) = &ended
        && terminal.can_ask()
        && terminal.ask(&format!("{installed}. Revoke it all the same?"))
    {
        wish.although_installed = true;
        ended = runtime.block_on(revoke::revoke(&ports, settings, &wish, chronicle));
    }
    let revoked = ended.map_err(|error| refusal(&error))?;
    let mut configured = settings.certificates.iter();
    let configured = configured.find(|one| one.name == wish.certificate);
    let survey = survey(
        &loaded,
        &store,
        history.as_ref(),
        Asker::Timer,
        start::now(),
    );
    let items = survey.map_or_else(|_| Vec::new(), |survey| survey.plan.items);
    let mut items = items.iter();
    let item = items.find(|item| item.name == wish.certificate);
    let held = item.and_then(|item| item.hold.as_ref());
    let view = RevokeView {
        certificate: &wish.certificate,
        revoked: &revoked,
        reason: arguments.reason,
        next: match configured {
            Some(_) => Next::Renewed(held.map(|hold| {
                let context = terminal.context(start::now());
                held_back(&wish.certificate, hold, &context)
            })),
            None => Next::Nothing,
        },
        keeps_its_key: configured.is_some_and(|one| one.reuse_key),
    };
    let now = start::now();
    if terminal.json {
        terminal.print(&Document::new("revoke", now, revocation::json(&view)).to_text());
    } else {
        let text = revocation::text(&view, &terminal.context(now));
        terminal.print(&text);
    }
    Ok(Exit::Done)
}

fn refusal(error: &RevokeError) -> Refusal {
    let exit = match error {
        RevokeError::None(_) | RevokeError::Installed { .. } => Exit::Usage,
        RevokeError::UnknownCa(_) => Exit::Config,
        RevokeError::Failed(Failure::Store(error)) => start::store_exit(error),
        RevokeError::Refused { .. } | RevokeError::Failed(_) => Exit::AllFailed,
    };
    let mut lines = error.lines().into_iter();
    Refusal {
        exit,
        message: lines.next().unwrap_or_default(),
        causes: lines.collect(),
        hint: error.hint(),
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::name::{CaName, CertificateName, PluginName};

    use super::*;

    #[test]
    fn the_exit_code_tells_what_to_do() {
        let name = CertificateName::parse("shop").expect("a literal name");
        let by = vec![PluginName::parse("web").expect("a literal name")];
        let installed = RevokeError::Installed {
            certificate: name.clone(),
            by,
        };
        let ca = CaName::parse("first").expect("a literal name");
        for (error, want) in [
            (RevokeError::None(name), Exit::Usage),
            (installed, Exit::Usage),
            (RevokeError::UnknownCa(ca), Exit::Config),
            (RevokeError::Failed(Failure::Stopped), Exit::AllFailed),
        ] {
            let refusal = refusal(&error);
            assert_eq!(refusal.exit, want);
            assert_eq!(refusal.message, error.to_string());
        }
    }
}

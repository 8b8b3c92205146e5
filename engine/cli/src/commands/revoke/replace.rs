//! `waxwing revoke NAME --replace`: another certificate first, the revocation last.
//!
//! It is a run of `renew` for one certificate, before which is written down what is to be revoked behind
//! it. Every run ends such a wish, so this verb and the timer take the same way.

use waxwing_core::name::CertificateName;
use waxwing_core::plan::Asker;
use waxwing_flow::replace;
use waxwing_flow::report::{Replaced, ReplacedReport};
use waxwing_flow::revoke::RevokeError;
use waxwing_flow::scheduler::Force;

use super::refusal;
use crate::args::{Reason, Revoke};
use crate::commands::renew::{Pass, limit};
use crate::exit::Exit;
use crate::load::Loaded;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::json::replaced::RevokeJson;
use crate::render::terminal::Terminal;
use crate::wire;

/// Runs it for a certificate that is stored.
pub(super) fn run(
    loaded: &Loaded,
    arguments: &Revoke,
    name: &CertificateName,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let mut configured = loaded.settings.certificates.iter();
    if !configured.any(|one| one.name == *name) {
        let what = format!(
            "{name} is not in the configuration, so no other certificate can take its place"
        );
        let hint = format!("`waxwing revoke {name}` revokes it without another one");
        return Err(Refusal::new(Exit::Usage, what).hint(hint));
    }
    let store = wire::store(loaded)?;
    let ports = wire::session(loaded, store.clone())?;
    let history = wire::history(&store)?;
    let begun = replace::begun(&ports, name).map_err(|error| refusal(&error))?;
    // One that is there already is only brought to its place.
    let to_order = begun.is_none_or(|begun| begun.to_order);
    let names = [name.clone()];
    let pass = Pass {
        loaded,
        store: &store,
        history: &history,
        names: &names,
        force: match (to_order, arguments.yes) {
            (false, _) => Force::No,
            (true, false) => Force::NotDue,
            (true, true) => Force::Anyway,
        },
        rehearsal: false,
        asker: Asker::Person,
    };
    let mut refused: Option<RevokeError> = None;
    let passed = pass.run(terminal, |survey, orders, terminal| {
        if to_order {
            let asked = limit::Asked {
                loaded,
                survey,
                history: history.as_ref(),
            };
            let command = |name: &CertificateName| format!("waxwing revoke {name} --replace --yes");
            let last = limit::last_of_one(&asked, orders, arguments.yes, &command, terminal);
            if last.is_some() {
                return last;
            }
        }
        let begun = replace::begin(&ports, name, arguments.reason.map(Reason::code));
        refused = begun.err();
        refused.as_ref().map(|error| refusal(error).exit)
    });
    let passed = match (passed, refused) {
        (_, Some(error)) => return Err(refusal(&error)),
        (Err(exit), None) => return Ok(exit),
        (Ok(passed), None) => passed,
    };
    let mut replaced = passed.report.replaced.iter();
    let replaced = replaced.find(|one| one.certificate == *name).cloned();
    let exit = exit_of(pass.exit(&passed), replaced.as_ref());
    Ok(pass.conclude_as(&passed, terminal, exit, |run| {
        let result = RevokeJson::new(name, replaced.as_ref(), run);
        Document::new("revoke", passed.now, result).to_text()
    }))
}

/// How the program ends: a certificate that was to be revoked and is not is never simply done.
fn exit_of(run: Exit, replaced: Option<&ReplacedReport>) -> Exit {
    let revoked = replaced
        .is_some_and(|one| matches!(one.ended, Replaced::Revoked { .. } | Replaced::Over { .. }));
    let nothing_new = replaced.is_none_or(|one| one.new.is_none());
    match run {
        Exit::Done | Exit::SomeFailed if !revoked && nothing_new => Exit::AllFailed,
        Exit::Done if !revoked => Exit::SomeFailed,
        run => run,
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::name::CaName;
    use waxwing_flow::replace::{Lacking, Over, Proof};

    use super::*;

    #[test]
    fn what_is_not_revoked_is_not_done() {
        let report = |ended| ReplacedReport {
            certificate: CertificateName::parse("shop").expect("a literal name"),
            version: 7,
            reason: None,
            new: Some(8),
            ended,
        };
        let ca = CaName::parse("first").expect("a literal name");
        let over = Replaced::Over {
            proof: Proof::Stored,
            why: Over::Gone,
        };
        let rows = [
            (Exit::Done, Some(over), Exit::Done),
            (Exit::Done, Some(Replaced::Waiting), Exit::SomeFailed),
            (Exit::Done, None, Exit::AllFailed),
            (Exit::AllFailed, Some(Replaced::Withdrawn), Exit::AllFailed),
            (
                Exit::NotInstalled,
                Some(Replaced::Unproved(Lacking::default())),
                Exit::NotInstalled,
            ),
            (
                Exit::SomeFailed,
                Some(Replaced::Failed(RevokeError::UnknownCa(ca))),
                Exit::SomeFailed,
            ),
        ];
        // Too many were issued lately: nothing has come yet.
        let waiting = ReplacedReport {
            new: None,
            ..report(Replaced::Waiting)
        };
        assert_eq!(exit_of(Exit::Done, Some(&waiting)), Exit::AllFailed);
        for (run, ended, want) in rows {
            let ended = ended.map(report);
            assert_eq!(exit_of(run, ended.as_ref()), want, "{run:?} {ended:?}");
        }
    }
}

//! One daemon for one state folder: a second one would ask the CAs and tell people the same things.

use std::io::IsTerminal as _;

use waxwing_core::plan::Asker;
use waxwing_flow::ports::{LockGuard, StoreError, StoreErrorKind};

use super::{renew, start};
use crate::args::Global;
use crate::exit::Exit;
use crate::load::Loaded;
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;
use crate::wire;

/// Takes the place of the daemon of this configuration, for as long as the answer lives. The system gives
/// it back when the process ends, however it ends.
pub(crate) fn hold(global: &Global, terminal: &mut Terminal) -> Result<Box<dyn LockGuard>, Exit> {
    let loaded = start::load_for(Some(asker()), global, terminal)?;
    let store = wire::store(&loaded).map_err(|error| refuse(&loaded, &error, terminal))?;
    store.lock_daemon().map_err(|error| match error.kind {
        StoreErrorKind::Locked => {
            let what = format!("another daemon is at work in {}", store.root().display());
            let refusal = Refusal::new(Exit::Locked, what);
            let refusal = error
                .causes
                .iter()
                .fold(refusal, |refusal, cause| refusal.cause(cause));
            let hint = "one is enough: stop that one first, or name another state folder";
            refusal.hint(hint).show(terminal)
        }
        _ => refuse(&loaded, &error, terminal),
    })
}

/// Says why there is no daemon, also to those who are not there: nobody sees what is said at the start of a machine.
pub(super) fn refuse(loaded: &Loaded, error: &StoreError, terminal: &mut Terminal) -> Exit {
    renew::blind(loaded, error, asker(), terminal);
    start::store_failed(error, terminal)
}

/// Whoever sits at a terminal sees what is said.
fn asker() -> Asker {
    match std::io::stdin().is_terminal() {
        true => Asker::Person,
        false => Asker::Daemon,
    }
}

//! One daemon for one state folder: a second one would ask the CAs and tell people the same things.

use waxwing_flow::ports::{LockGuard, StoreErrorKind};

use super::start;
use crate::args::Global;
use crate::exit::Exit;
use crate::load;
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;

/// Takes the place of the daemon of this configuration, for as long as the answer lives. The system gives
/// it back when the process ends, however it ends.
pub(crate) fn hold(global: &Global, terminal: &mut Terminal) -> Result<Box<dyn LockGuard>, Exit> {
    let loaded = start::load(global, terminal)?;
    load::refuse_foreign_programs(&loaded.settings)
        .map_err(|refused| Refusal::from(refused).show(terminal))?;
    let store = start::open(&loaded, terminal)?;
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
        _ => start::store_failed(&error, terminal),
    })
}

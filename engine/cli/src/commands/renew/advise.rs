//! CAs are asked when they would like their certificates to be renewed.

use std::sync::Arc;
use std::time::Duration;

use waxwing_flow::advice;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;

use super::super::pulse;
use super::{interrupt, no_runtime, start, wire_failed};
use crate::exit::Exit;
use crate::load::Loaded;
use crate::render::terminal::Terminal;
use crate::survey::Survey;
use crate::wire;

/// Advice of all CAs together is waited for so long; what is missing is asked for by the next run.
const MOST_FOR_ADVICE: Duration = Duration::from_secs(60);

/// Asks CAs when they would like their certificates to be renewed, for those whose time has come.
/// Answers whether anybody was asked.
pub(super) fn ask_for_advice(
    loaded: &Loaded,
    store: &Arc<FileStore>,
    history: &Arc<SqliteHistory>,
    survey: &Survey,
    terminal: &mut Terminal,
) -> Result<bool, Exit> {
    let entries = survey.inventory.values();
    let now = start::now();
    let questions = advice::questions(&loaded.settings, entries, &survey.pasts, now);
    if questions.is_empty() {
        return Ok(false);
    }
    let ports =
        wire::session(loaded, Arc::clone(store)).map_err(|error| wire_failed(&error, terminal))?;
    let asking = advice::ask(&ports, history.as_ref(), &loaded.settings, questions);
    pulse::runtime()
        .map(|runtime| {
            runtime.block_on(async {
                tokio::select! {
                    () = asking => {}
                    () = ports.clock.sleep(MOST_FOR_ADVICE) => {}
                    () = interrupt::asked() => {}
                }
            });
            true
        })
        .map_err(|cause| no_runtime(&cause, terminal))
}

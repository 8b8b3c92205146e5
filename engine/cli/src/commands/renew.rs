//! `waxwing renew`: issues what is missing, renews what is due, installs what is not installed.

use crate::args::{Global, Renew};
use crate::exit::Exit;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(_global: &Global, _arguments: &Renew, _terminal: &mut Terminal) -> Exit {
    Exit::Bug
}

//! This process: who started it, what was typed, and its log.

use std::io::{self, IsTerminal as _};

use clap::ArgMatches;
use waxwing_io::audit::{Launch, Who};
use waxwing_io::permission;

use crate::log::Log;

/// Nobody has a longer name.
const LONGEST_NAME: usize = 64;

/// What a process is besides its arguments. The default is one that nobody has started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    /// The verbs: `renew`, `account rollover`.
    pub(crate) verb: String,
    /// Its log.
    pub(crate) log: Log,
}

impl Process {
    /// Who started it, for the audit trail.
    #[expect(
        clippy::disallowed_methods,
        reason = "who became another user, or was started by systemd, stands in the environment"
    )]
    pub(crate) fn who(&self) -> Who {
        let (user, uid) = permission::user();
        let sudo = std::env::var_os("SUDO_USER");
        // Whom systemd has started, so that what a service starts is not taken for it.
        let started = std::env::var("SYSTEMD_EXEC_PID");
        let service = started.is_ok_and(|id| id == std::process::id().to_string());
        let short = |name: &str| name.chars().take(LONGEST_NAME).collect();
        Who {
            user,
            uid,
            sudo: sudo.map(|name| short(&name.to_string_lossy())),
            pid: std::process::id(),
            by: match self.verb.as_str() {
                "daemon" => Launch::Daemon,
                _ if io::stdin().is_terminal() => Launch::Terminal,
                _ if service => Launch::Service,
                _ => Launch::Program,
            },
            verb: self.verb.clone(),
        }
    }
}

/// The verbs of a command line, the outermost first.
pub(crate) fn verbs(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut at = matches;
    while let Some((word, below)) = at.subcommand() {
        words.push(word);
        at = below;
    }
    words.join(" ")
}

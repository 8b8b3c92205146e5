//! The command line.

pub(crate) mod account;
pub(crate) mod daemon;
pub(crate) mod export;
pub(crate) mod generated;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod schedule;
pub(crate) mod simulate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::process::Process;

/// Renews TLS certificates and never lets one expire.
#[derive(Debug, Parser)]
#[command(
    name = "waxwing",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  waxwing init           write a first configuration and rehearse it
  waxwing plan           what the next run would do, and why
  waxwing renew          what a timer runs
  waxwing schedule add   have the system run it every hour
  waxwing status         every certificate, worst first
  waxwing explain shop   why this one is due or not, and what comes next

`waxwing VERB --help` has examples of each.

Exit: 0 done, or nothing to do; 1 somebody should look; 2 usage;
      3 configuration; 4 some failed; 5 all failed, or the state cannot be used;
      6 issued, but not installed; 7 another run is at it; 8 not allowed;
      70 a mistake of Waxwing itself"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration; without it the platform's usual place
    #[arg(
        short,
        long,
        global = true,
        env = "WAXWING_CONFIG",
        value_name = "FILE"
    )]
    pub(crate) config: Option<PathBuf>,
    /// The state folder; overrides [state] dir
    #[arg(long, global = true, env = "WAXWING_STATE", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print JSON with a versioned schema instead of text; an error that prevents any answer is
    /// still text on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show more of what happens on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What is not written on it.
    #[arg(skip)]
    pub(crate) process: Process,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what the next run would do and why; needs no network
    Plan(Plan),
    /// Issue what is missing, renew what is due, install what is not installed
    Renew(Renew),
    /// Stay in the foreground and do what a timer would do, whenever there is something to do
    Daemon(daemon::Daemon),
    /// Show every certificate, worst first; exit 1 if something needs a person
    Status(Status),
    /// Print the figures for Prometheus; no network
    #[command(after_help = "\
Example:
  waxwing metrics   what [metrics] textfile has written behind each run

Exit: 0 done, 2 usage, 3 configuration, 5 the state cannot be read,
      8 not allowed")]
    Metrics,
    /// Say why a certificate is due or not, what happens next, when, and at which CA; no network
    Explain(Explain),
    /// Show what was tried and what came of it, newest first
    History(History),
    /// Let the time ahead go by, with outages of your choice, and say what happens; no network
    Simulate(simulate::Simulate),
    /// CAs: what is known of each, and where each fact comes from
    #[command(
        subcommand,
        after_help = "\
Examples:
  waxwing ca list            every CA, those in use first
  waxwing ca show internal   one of them, and where each fact comes from
  waxwing ca health          how they have answered in the last 30 days

Exit: 0 done, 1 one of them does not answer, 2 usage, 3 configuration,
      5 the history cannot be read"
    )]
    Ca(CaVerb),
    /// Plugins: which there are, and what one may do
    #[command(
        subcommand,
        after_help = "\
Examples:
  waxwing plugin list                         configured or built in
  waxwing plugin inspect plugins/other.wasm   what it may do, before you use it

Exit: 0 done, 2 usage, 3 configuration, 5 it cannot be read"
    )]
    Plugin(PluginVerb),
    /// Ask a few questions, write the first configuration and rehearse it
    Init(Box<init::Init>),
    /// Secrets, each in a file that its owner alone can read
    #[command(
        subcommand,
        after_help = "\
Example:
  sudo waxwing secret set api-key   type it; it is not shown

In the configuration it is \"file:api-key\".

Exit: 0 done, 2 usage, or it is there already; 5 it cannot be written,
      8 not allowed"
    )]
    Secret(init::SecretVerb),
    /// Is all in order? Changes nothing; exit 1 if something is not
    Check(Check),
    /// Come over from another client: a configuration, its accounts, its certificates
    Import(import::Import),
    /// Copy key and chain of a certificate to a folder
    Export(export::Export),
    /// Set a certificate aside that is not in the configuration any more
    Forget(Forget),
    /// Accounts at the CAs: which there are, and changes of them
    Account(account::Account),
    /// Revoke the current version of a certificate at its CA
    Revoke(Revoke),
    /// Messages about renewals: who gets them, and whether that works
    #[command(
        subcommand,
        after_help = "\
Example:
  waxwing notify test   a real message by each [notify.NAME]

Exit: 0 all were sent, 2 usage, 3 configuration, or nobody is told of anything;
      4 some failed, 5 all failed"
    )]
    Notify(NotifyVerb),
    /// What starts the runs by itself: systemd, cron, launchd or the Task Scheduler
    #[command(
        subcommand,
        after_help = "\
Examples:
  waxwing schedule add      a run every hour, by what this machine has
  waxwing schedule show     print the files instead
  waxwing schedule remove   take away what `add` has written

Exit: 0 done, 2 usage, or a file of somebody else is in the way;
      3 configuration, 4 a command of the system failed, 5 failed, 8 not allowed"
    )]
    Schedule(schedule::ScheduleVerb),
    /// Every host and port that this configuration can reach; no network
    #[command(after_help = "\
Examples:
  waxwing egress                 what a firewall has to let out, and what for
  waxwing egress --json          the same for the machine that makes its rules

Exit: 0 done, 2 usage, 3 configuration, 5 the state cannot be read,
      8 not allowed")]
    Egress,
    /// The configuration itself
    #[command(
        subcommand,
        after_help = "\
Example:
  waxwing config schema > waxwing.schema.json   for an editor

Exit: 0 done, 2 usage"
    )]
    Config(generated::ConfigVerb),
    /// Print what a shell needs to complete this program's command line
    Completions(generated::Completions),
    /// Print the man page, or write those of all verbs into a folder
    Man(generated::Man),
    /// This program, its plugin contract, and what is built into it
    #[command(after_help = "\
Examples:
  waxwing version
  waxwing version --json

Exit: 0 done")]
    Version,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing check             configuration, machine, DNS and CAs
  waxwing check --offline   configuration and machine only

Exit: 0 in order, also with warnings; 1 something is not, 2 usage,
      3 configuration, 5 the state cannot be read, 8 not allowed")]
pub(crate) struct Check {
    /// Ask nobody: only this machine is looked at
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Arguments of `forget`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  waxwing forget old
      it is moved to the archive of the state folder, and not deleted

Exit: 0 done, 2 usage, or it is still in the configuration or in use;
      3 configuration, 5 failed, 7 another run is at it, 8 not allowed")]
pub(crate) struct Forget {
    /// Which certificate
    pub(crate) name: String,
    /// Also if it is still in the configuration, its names are in use and no other is in place, or it has left
    /// DNS records that nobody removes then
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Arguments of `revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing revoke shop --replace
      first a new one with a new key, in its place
  waxwing revoke shop --replace --reason key-compromise
  waxwing revoke shop
      one that is not installed anywhere
  waxwing revoke shop --reason key-compromise --yes
      at once, though it is served

With --replace a new certificate is issued, installed and seen at its served-at
places; only then the old one is revoked. What was cut off is finished by the
same command or by the next run, without another order. Without --replace the
next `waxwing renew` issues another one.

Exit: 0 revoked, or it was before; 2 usage, or it is installed and --yes is
      missing; 3 configuration; 4 a new one is in place, and the old one is not
      revoked yet; 5 failed, nothing was revoked; 6 a new one is issued and not
      in place, nothing was revoked; 7 another run is at it; 8 not allowed")]
pub(crate) struct Revoke {
    /// Which certificate
    pub(crate) name: String,
    /// Why; the CA publishes it
    #[arg(long, value_enum)]
    pub(crate) reason: Option<Reason>,
    /// First issue, install and prove another one in its place
    #[arg(long)]
    pub(crate) replace: bool,
    /// Also if it is installed somewhere; with --replace also if the order is the last that a limit allows,
    /// or if the CA asks to be left alone
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Reasons that a subscriber may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    /// Somebody else may have the key
    KeyCompromise,
    /// The names belong to somebody else now
    AffiliationChanged,
    /// Another certificate has taken its place
    Superseded,
    /// The names are not served any more
    CessationOfOperation,
}

impl Reason {
    /// The number of RFC 5280 section 5.3.1.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }

    /// The reason of that number, if it is one of these.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        let mut all = Self::value_variants().iter().copied();
        all.find(|reason| reason.code() == code)
    }

    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
        }
    }
}

/// What to do with CAs.
#[derive(Debug, Subcommand)]
pub(crate) enum CaVerb {
    /// Every CA, those in use first
    #[command(after_help = "\
Example:
  waxwing ca list   with the terms of each

Exit: 0 done, 2 usage, 3 configuration")]
    List,
    /// How the CAs in use have answered in the last 30 days; no network without --now
    #[command(after_help = "\
Examples:
  waxwing ca health         what earlier runs have seen
  waxwing ca health --now   ask each CA in use

Each sign is a day, the lowest bar the quickest: ! it did not answer for a
while, . nobody looked. Runs look when they talk to a CA, the daemon looks by
itself.

Exit: 0 done, 1 one of them does not answer, 2 usage, 3 configuration, 5 the
      history cannot be read")]
    Health {
        /// Only these; without, every CA of a `ca` list
        #[arg(value_name = "CA")]
        cas: Vec<String>,
        /// Ask for the directories now, and keep what comes of it
        #[arg(long)]
        now: bool,
    },
    /// One CA with the origin of each field
    #[command(after_help = "\
Example:
  waxwing ca show internal

Exit: 0 done, 2 no CA has that name, 3 configuration")]
    Show {
        /// The name as in `ca = [...]`
        name: String,
    },
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    /// Every plugin, configured or built in
    #[command(after_help = "\
Example:
  waxwing plugin list

Exit: 0 done, 2 usage, 3 configuration")]
    List,
    /// What a plugin may do; it is read, not run
    #[command(after_help = "\
Examples:
  waxwing plugin inspect plugins/cheapdns-1.2.0.wasm
      before you trust it
  waxwing plugin inspect plugins/cheapdns-1.2.0.wasm --example
      the block to paste

Exit: 0 done, 2 there is no such plugin, 3 configuration, 5 it cannot be read")]
    Inspect {
        /// A plugin of the configuration, a built-in one, or a file
        #[arg(value_name = "FILE|NAME")]
        plugin: String,
        /// Print the block to paste into the configuration
        #[arg(long)]
        example: bool,
    },
}

/// What to do with notifiers.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyVerb {
    /// Send a real message by every notifier and show what each receiver answered
    #[command(after_help = "\
Examples:
  waxwing notify test        every [notify.NAME] of the configuration
  waxwing notify test mail   this one

Exit: 0 all were sent, 2 usage, 3 configuration, or nobody is told of anything;
      4 some failed, 5 all failed")]
    Test {
        /// Only this one
        name: Option<String>,
    },
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing plan                       all certificates
  waxwing plan shop                  one of them
  waxwing plan --detailed-exitcode   0: nothing to do, 2: something to do

Exit: 0 done, 1 a stored certificate cannot be read, 2 usage or, if asked for,
      something to do, 3 configuration, 5 the state cannot be read,
      8 not allowed")]
pub(crate) struct Plan {
    /// Only these certificates
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Exit with 2 if there is something to do
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// Arguments of `renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing renew
      what a timer runs; does nothing, without network, if nothing is due
  waxwing renew --dry-run
      rehearse everything before it matters
  waxwing renew shop
      this one now, if it is due: no window and no retry is waited for
  waxwing renew shop --force
      a new certificate now, though the old one is not due

Exit: 0 done or nothing due, 1 records of an earlier run may still be there,
      3 configuration, 4 some failed or wait for the CA, 5 all failed, 6 issued
      but not installed, 7 another run is at it, 8 not allowed")]
pub(crate) struct Renew {
    /// Only these certificates
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Now, though not due
    #[arg(long, requires = "names")]
    pub(crate) force: bool,
    /// What is due now, whatever window or retry a timer would wait for; implied by a name and on a
    /// terminal
    #[arg(long)]
    pub(crate) now: bool,
    /// With --force: also if it is the last one that the CA's limits allow, if so many were issued
    /// lately that it looks like a loop, or if the CA asks to be left alone
    #[arg(long, requires = "force")]
    pub(crate) yes: bool,
    /// Rehearse at the CA's staging: real DNS records, nothing stored, installers only plan
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing status          all certificates, worst first
  waxwing status shop     everything about one
  waxwing status --json   for a monitor

Signs: ! needs a person
       ~ works, but should be looked at
       ? not in the configuration any more

Exit: 0 good, 1 something needs a person, 2 usage, 3 configuration, 5 the state
      cannot be read, 8 not allowed")]
pub(crate) struct Status {
    /// Everything about this one
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  waxwing explain shop

Exit: 0 done, 1 it cannot be read, 2 usage, 3 configuration, 5 the state cannot
      be read, 8 not allowed")]
pub(crate) struct Explain {
    /// Which certificate
    pub(crate) name: String,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing history                    the last 20 lines
  waxwing history shop --full        one certificate, with every cause
  waxwing history --since 30d --failed

Exit: 0 done, 2 usage, 3 configuration, 5 the history cannot be read,
      8 not allowed")]
pub(crate) struct History {
    /// Only this certificate
    pub(crate) name: Option<String>,
    /// Every cause of what failed, and the run it was in
    #[arg(long)]
    pub(crate) full: bool,
    /// Only what failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only what ended within this time: 12h, 30d, 1y
    #[arg(long, value_name = "TIME", value_parser = simulate::back)]
    pub(crate) since: Option<std::time::Duration>,
    /// So many lines at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

/// What to type instead of a verb that other clients have.
pub(crate) fn instead_of(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "issue" | "obtain" | "certonly" | "run" | "order" | "new" | "enroll" | "cron"
        | "renew-all" => {
            "`waxwing renew` issues what is missing, renews what is due, installs what is not \
             installed"
        }
        "install" | "deploy" | "install-cert" => {
            "`waxwing renew` installs what is not installed; [plugin.NAME] says where"
        }
        "log" | "logs" | "journal" | "events" => "`waxwing history`",
        "why" => "`waxwing explain NAME`",
        "list" | "ls" | "certificates" | "show" | "info" => "`waxwing status`",
        "test" | "dry-run" | "staging" => "`waxwing renew --dry-run`",
        "delete" | "remove" => {
            "take it out of the configuration; `waxwing plan` shows what that means"
        }
        "register" | "update-account" | "update_account" | "accounts" => {
            "`waxwing account register` and `waxwing account contact`"
        }
        "unregister" | "deactivate-account" => "`waxwing account deactivate CA --yes`",
        "migrate" | "convert" => "`waxwing import CLIENT PATH`",
        "revoke-cert" => "`waxwing revoke NAME`",
        "doctor" | "validate" => "`waxwing check`",
        "setup" | "configure" | "wizard" => "`waxwing init`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }

    /// The program and all verbs, each with what is typed for it: `waxwing ca list`.
    fn tree() -> Vec<(String, clap::Command)> {
        fn collect(command: &clap::Command, typed: String, all: &mut Vec<(String, clap::Command)>) {
            let below = command.get_subcommands();
            for verb in below.filter(|verb| verb.get_name() != "help") {
                collect(verb, format!("{typed} {}", verb.get_name()), all);
            }
            all.push((typed, command.clone()));
        }
        let mut program = Cli::command();
        program.build();
        let mut all = Vec::new();
        collect(&program, "waxwing".to_owned(), &mut all);
        all
    }

    #[test]
    fn the_program_and_every_verb_show_how_they_are_used_and_how_they_end() {
        let mute = |(typed, command): &(String, clap::Command)| {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let example = |line: &str| {
                let command = line.strip_prefix("  ").unwrap_or_default();
                let command = command.strip_prefix("sudo ").unwrap_or(command);
                format!("{command} ").starts_with(&format!("{typed} "))
            };
            let shown = help.contains("Example") && help.lines().any(example);
            !(shown && help.contains("Exit: 0"))
        };
        let tree = tree();
        assert!(tree.len() > 40, "{}", tree.len());
        let mute: Vec<_> = tree
            .into_iter()
            .filter(mute)
            .map(|(typed, _)| typed)
            .collect();
        assert!(mute.is_empty(), "{mute:?}");
    }

    #[test]
    fn lines_that_are_broken_already_are_not_broken_again_on_a_narrow_screen() {
        for (typed, command) in tree() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let shown = command.term_width(80).render_long_help().to_string();
            assert!(shown.contains(&help), "{typed}:\n{shown}");
        }
    }

    #[test]
    fn reasons_are_written_as_the_command_line_has_them() {
        for reason in Reason::value_variants() {
            let shown = reason
                .to_possible_value()
                .map(|value| value.get_name().to_owned());
            assert_eq!(shown.as_deref(), Some(reason.as_str()));
        }
    }

    #[test]
    fn verbs_of_other_clients_lead_to_ours_and_ours_stand_for_themselves() {
        assert!(instead_of("certonly").is_some_and(|hint| hint.contains("waxwing renew")));
        assert!(instead_of("frobnicate").is_none());
        for verb in Cli::command().get_subcommands() {
            assert_eq!(instead_of(verb.get_name()), None);
        }
    }
}

//! Arguments of `schedule`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use waxwing_core::timer::{Kind, Moment};

/// What to do with what starts the runs.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleVerb {
    /// Have the system run `waxwing renew` every hour, or keep `waxwing daemon` running
    #[command(after_help = "\
Examples:
  waxwing schedule add
      every hour at a minute of this machine's own
  waxwing schedule add --dry-run
      show the files and commands, and do nothing
  waxwing schedule add --daemon
      keep `waxwing daemon` running instead
  waxwing schedule add --user
      for a user whose groups may write where certificates go

The sandbox follows from the configuration: add it again when folders, programs
or credentials have changed there. It keeps its minute.

Exit: 0 done; 2 usage, or a file of somebody else is in the way;
      3 configuration; 4 the files are there, but a command of the system
      failed; 5 failed; 8 not allowed")]
    Add(Add),
    /// Print the text for a system, for those whose files somebody else keeps
    #[command(after_help = "\
Examples:
  waxwing schedule show
      what `add` would write here
  waxwing schedule show --kind cron --at 37
      the same for cron, at a minute that is given
  waxwing schedule show --json
      each file with its path

Exit: 0 done, 2 usage, 3 configuration")]
    Show(Show),
    /// Take away what `add` has written, and nothing else
    #[command(after_help = "\
Examples:
  waxwing schedule remove               for the machine, of every kind
  waxwing schedule remove --kind cron   only that one

Exit: 0 done, or there was nothing; 2 only files of somebody else are there; 4 a
      command of the system failed; 5 failed; 8 not allowed")]
    Remove(Remove),
}

/// What both ways of making texts take.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// For which system; without it, what this machine has
    #[arg(long, value_enum)]
    pub(crate) kind: Option<KindName>,
    /// For the user who asks, and not for the machine
    #[arg(long)]
    pub(crate) user: bool,
    /// Keep `waxwing daemon` running instead of a run every hour
    #[arg(long, conflicts_with = "at")]
    pub(crate) daemon: bool,
    /// At which minute, with or without a second; without it, that of what is there, or one of this machine's own
    #[arg(long, value_name = "MM[:SS]", value_parser = Moment::parse)]
    pub(crate) at: Option<Moment>,
}

/// Arguments of `schedule add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(crate) what: What,
    /// Also in the place of a file that `schedule add` has not written
    #[arg(long)]
    pub(crate) replace: bool,
    /// Show what would be written and run, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write below this folder and start nothing: for the image of another machine
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// Arguments of `schedule show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) what: What,
}

/// Arguments of `schedule remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Only what is for this system
    #[arg(long, value_enum)]
    pub(crate) kind: Option<KindName>,
    /// What is for the user who asks, and not for the machine
    #[arg(long)]
    pub(crate) user: bool,
    /// Below this folder, and stop nothing
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// The systems, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindName {
    /// A timer and its service
    Systemd,
    /// A file in /etc/cron.d
    Cron,
    /// A property list (macOS)
    Launchd,
    /// A task as SYSTEM (Windows)
    TaskScheduler,
}

impl KindName {
    /// What is meant.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Systemd => Kind::Systemd,
            Self::Cron => Kind::Cron,
            Self::Launchd => Kind::Launchd,
            Self::TaskScheduler => Kind::TaskScheduler,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_is_written_as_it_is_called() {
        for name in KindName::value_variants() {
            let shown = name.to_possible_value();
            let shown = shown.map(|value| value.get_name().to_owned());
            assert_eq!(shown.as_deref(), Some(name.kind().as_str()));
        }
        assert_eq!(KindName::value_variants().len(), Kind::ALL.len());
    }
}

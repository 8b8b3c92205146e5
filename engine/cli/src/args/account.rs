//! Arguments of `account`.

use clap::{Args, Subcommand};

/// Arguments of `account`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  waxwing account
      what there is, with a CAA line for each account
  waxwing account register
      an account at every CA that is named, in time
  waxwing account contact
      after [account] email has changed
  waxwing account rollover internal
      another account key at the CA `internal`
  waxwing account deactivate internal --yes
      there is no way back

Exit: 0 done or nothing to do, 2 usage, 3 configuration, 4 some failed, 5 all
      failed, 7 another run is at it, 8 not allowed"
)]
pub(crate) struct Account {
    #[command(subcommand)]
    pub(crate) verb: Option<AccountVerb>,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountVerb {
    /// Every account: its URL, contact, agreed terms and a CAA line to paste; the same as no verb
    #[command(after_help = "\
Example:
  waxwing account list

Exit: 0 done, 2 usage, 3 configuration, 5 the state cannot be read,
      8 not allowed")]
    List,
    /// Make the accounts that are missing; those that are there stay as they are
    #[command(after_help = "\
Examples:
  waxwing account register            at every CA that is named
  waxwing account register internal   at this one

Exit: 0 done or nothing to do, 2 usage, 3 configuration, 4 some failed, 5 all
      failed, 7 another run is at it, 8 not allowed")]
    Register {
        /// Only at these; without, at every CA of a `ca` list
        #[arg(value_name = "CA")]
        cas: Vec<String>,
    },
    /// Tell the CAs the address of [account] email
    #[command(after_help = "\
Example:
  waxwing account contact   after [account] email has changed

Exit: 0 done or nothing to do, 2 usage, 3 configuration, 4 some failed, 5 all
      failed, 7 another run is at it, 8 not allowed")]
    Contact {
        /// Only these; without, every CA with an account
        #[arg(value_name = "CA")]
        cas: Vec<String>,
    },
    /// Give the account another key: that of [account] key if it is another one, else a new one
    #[command(after_help = "\
Example:
  waxwing account rollover internal

Exit: 0 done or nothing to do, 2 usage, 3 configuration, 4 some failed, 5 all
      failed, 7 another run is at it, 8 not allowed")]
    Rollover {
        /// At which CA
        ca: String,
    },
    /// Note that you agree to the terms that a CA has put in the place of those before
    #[command(after_help = "\
Example:
  waxwing account agree internal --yes   after you have read them

The terms are those that the last run has seen; `waxwing account` names them.
Nothing is sent.

Exit: 0 done or nothing to do, 2 usage, or nobody has agreed, 3 configuration,
      5 failed, 7 another run is at it, 8 not allowed")]
    Agree {
        /// Of which CA
        ca: String,
        /// You have read them, so do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give the account up; there is no way back
    #[command(after_help = "\
Example:
  waxwing account deactivate internal --yes

Exit: 0 done or nothing to do, 2 usage, 3 configuration, 4 some failed, 5 all
      failed, 7 another run is at it, 8 not allowed")]
    Deactivate {
        /// At which CA
        ca: String,
        /// Without being asked
        #[arg(long)]
        yes: bool,
    },
}

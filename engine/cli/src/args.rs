//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Renews TLS certificates and never lets one expire.
#[derive(Debug, Parser)]
#[command(
    name = "waxwing",
    version,
    max_term_width = 100,
    arg_required_else_help = true
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
    /// Print JSON with a versioned schema instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show more of what happens on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Issue what is missing, renew what is due, install what is not installed
    Renew(Renew),
}

/// Arguments of `renew`.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Only these certificates
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Now, though not due
    #[arg(long, requires = "names")]
    pub(crate) force: bool,
    /// Rehearse at the CA's staging: real DNS records, nothing stored, installers only plan
    #[arg(long)]
    pub(crate) dry_run: bool,
}

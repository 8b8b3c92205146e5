//! Arguments of the verbs whose answers are made from this program itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = "\
Example:
  waxwing config schema > waxwing.schema.json

`#:schema ./waxwing.schema.json` as the first line of waxwing.toml tells many
editors of it.

Exit: 0 done")]
    Schema,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing completions bash > /etc/bash_completion.d/waxwing
  waxwing completions zsh > \"${fpath[1]}/_waxwing\"
  waxwing completions fish > ~/.config/fish/completions/waxwing.fish
  waxwing completions powershell >> $PROFILE

Exit: 0 done, 2 usage")]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing man | man -l -             read it
  waxwing man /usr/share/man/man1    write one for each verb

Exit: 0 done, 2 usage, 5 failed, 8 not allowed")]
pub(crate) struct Man {
    /// Where to; without it, the page of the program itself is printed
    pub(crate) dir: Option<PathBuf>,
}

//! Arguments of `import`.

use std::path::PathBuf;

use clap::Args;
use waxwing_core::import::Client;

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing import acme.sh ~/.acme.sh
      print what a configuration would look like
  waxwing import acme.sh ~/.acme.sh --out /etc/waxwing/waxwing.toml --dry-run
      and say what would be written, too
  waxwing import acme.sh ~/.acme.sh --out /etc/waxwing/waxwing.toml
  waxwing import lego ~/.lego --dns PLUGIN
      lego has not noted its DNS provider

Without --out nothing is written. With it: the configuration, a file for each
secret beside it (readable by you alone), accounts and certificates into the
state folder. Files that are there are never overwritten, and nothing of the
other client is changed.

Exit: 0 done, 2 usage, 4 some files cannot be read or written, 5 none can,
      8 not allowed")]
pub(crate) struct Import {
    /// Which client: simple-acme, win-acme, certbot, acme.sh or lego
    #[arg(value_parser = client)]
    pub(crate) client: Client,
    /// Its folder, or a copy of it: /etc/letsencrypt of certbot, ~/.acme.sh, ~/.lego,
    /// %ProgramData%\simple-acme, %ProgramData%\win-acme
    pub(crate) path: PathBuf,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the configuration to this file, and everything that belongs to it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The DNS plugin of certificates that were not renewed by DNS, or whose provider is not noted
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) dns: Option<String>,
}

/// The client of that name.
fn client(text: &str) -> Result<Client, String> {
    Client::parse(text).ok_or_else(|| {
        let known = Client::ALL.map(Client::as_str).join(", ");
        format!("one of {known}")
    })
}

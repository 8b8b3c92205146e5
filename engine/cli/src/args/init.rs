//! Arguments of `init` and of `secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `init`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  sudo waxwing init
      at a terminal: it asks, writes /etc/waxwing/waxwing.toml and rehearses
  waxwing init --print --domain www.example.com --dns PLUGIN ...
      print the configuration, and write nothing
  waxwing init --yes --agree-terms --email ops@example.com \\
    --domain www.example.com --dns PLUGIN --secret api-key=file:/root/api-key \\
    --install PLUGIN --server nginx
      for a script: every question has an option

Without a terminal, and with --yes, what has a usual answer is not asked for;
what is missing then is named at once. A secret that is typed goes into a file
beside the configuration which its owner alone can read, as `waxwing secret set`
does it, and never into the configuration. Nothing that is there is overwritten.

Exit: 0 done, 2 usage, something is missing, or the terms are not agreed to;
      3 the configuration would be wrong; 5 a file cannot be written;
      8 not allowed; else that of the rehearsal")]
pub(crate) struct Init {
    /// A name of the certificate; several times for several
    #[arg(long = "domain", short = 'd', value_name = "NAME")]
    pub(crate) domains: Vec<String>,
    /// A CA of `waxwing ca list`, or the URL of a directory; the second stands in for the first
    #[arg(long = "ca", value_name = "CA")]
    pub(crate) cas: Vec<String>,
    /// The root that has signed the HTTPS certificate of a CA of your own, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_trust: Option<String>,
    /// The address that the CAs write to
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// The key id of the credentials that a CA has given you; its MAC key is the secret CA.hmac-key
    #[arg(long = "key-id", value_name = "CA=ID")]
    pub(crate) key_ids: Vec<String>,
    /// Agree to the terms of these CAs (`waxwing ca list` links them)
    #[arg(long)]
    pub(crate) agree_terms: bool,
    /// The component of a plugin that is not built in, to be named with --dns or --install by its id
    #[arg(long = "plugin", value_name = "FILE")]
    pub(crate) plugins: Vec<PathBuf>,
    /// The plugin of your DNS provider (`waxwing plugin list`)
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) dns: Option<String>,
    /// A setting of the DNS plugin or the installer (`waxwing plugin inspect PLUGIN`)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Where a secret is: file:PATH, credential:NAME, or env:NAME, which no timer has
    #[arg(long = "secret", value_name = "NAME=REF")]
    pub(crate) secrets: Vec<String>,
    /// The plugin that brings the certificate to where it is used, or none
    #[arg(long, value_name = "PLUGIN")]
    pub(crate) install: Option<String>,
    /// What it serves there, in one word: nginx
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Option<String>,
    /// The folder that the installer writes to
    #[arg(long = "folder", value_name = "DIR")]
    pub(crate) folders: Vec<String>,
    /// A command of the installer, or none: reload="systemctl reload nginx"
    #[arg(long = "run", value_name = "PURPOSE=COMMAND")]
    pub(crate) commands: Vec<String>,
    /// Where it is served, to be looked at after each renewal: www.example.com:443
    #[arg(long = "served-at", value_name = "HOST:PORT")]
    pub(crate) served_at: Vec<String>,
    /// How you are told when a renewal fails: mail, webhook or none
    #[arg(long, value_name = "WAY")]
    pub(crate) notify: Option<String>,
    /// The mail server: submission://mx.example.com (STARTTLS), or smtps://... (TLS)
    #[arg(long, value_name = "URL")]
    pub(crate) smtp: Option<String>,
    /// Who we are at the mail server; the password is the secret smtp-password
    #[arg(long, value_name = "USER")]
    pub(crate) smtp_user: Option<String>,
    /// Who gets the mail; without it, --email
    #[arg(long = "to", value_name = "ADDRESS")]
    pub(crate) to: Vec<String>,
    /// Whom the mail is from; without it, the first who gets it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// What the receiver of the webhook wants to see: json, slack, teams, discord or ntfy
    #[arg(long, value_name = "SHAPE")]
    pub(crate) shape: Option<String>,
    /// Any other line: 'network.resolvers=["192.0.2.53:53"]'
    #[arg(long = "add", value_name = "KEY=VALUE")]
    pub(crate) more: Vec<String>,
    /// Ask only for what has no usual answer, and write without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the configuration, and write nothing
    #[arg(long, conflicts_with = "replace")]
    pub(crate) print: bool,
    /// Take the place of files that are there; they are kept as FILE.1
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do not rehearse behind it; implied by --json
    #[arg(long)]
    pub(crate) no_rehearsal: bool,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Store a secret in a file beside the configuration, which its owner alone can read
    #[command(after_help = "\
Examples:
  sudo waxwing secret set api-key
      type it; it is not shown
  vault read -field=key x | waxwing secret set api-key
      the first line of what comes in
  waxwing secret set smtp-password --replace
      the old one is gone

In the configuration it is \"file:NAME\". It is never an argument: those can be
seen by every user of the machine.

Exit: 0 done, 2 usage, or it is there already; 5 it cannot be written,
      8 not allowed")]
    Set {
        /// The name of its file
        name: String,
        /// In the place of one that is there
        #[arg(long)]
        replace: bool,
    },
}

/// For whom `init` works: where the configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// True if it is in its usual place, so that no command has to name it.
    pub(crate) usual: bool,
}

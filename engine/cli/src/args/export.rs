//! Arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing export shop /srv/copies
      PEM files
  waxwing export shop /srv/copies --format haproxy
      one PEM file, chain and key
  waxwing export shop /srv/copies --format pkcs12 < /root/password
      it comes on stdin

The password of a PKCS#12 file is the first line of the standard input, an empty
one for none. It is never an argument: those can be seen by every user of the
machine.

Exit: 0 done, 2 usage, or nothing is stored under that name; 3 configuration,
      5 it cannot be read or written, 8 not allowed")]
pub(crate) struct Export {
    /// Which certificate
    pub(crate) name: String,
    /// Where to; made if it is not there
    pub(crate) dir: PathBuf,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Pem)]
    pub(crate) format: Form,
}

/// Forms in which a certificate is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// privkey.pem, cert.pem, chain.pem, fullchain.pem
    Pem,
    /// combined.pem for HAProxy: chain, then key
    Haproxy,
    /// privkey.der, cert.der, and chain-1.der and so on
    Der,
    /// bundle.p12, encrypted with AES-256: everything since 2019
    Pkcs12,
    /// bundle.p12 for Windows Server 2016 and older, old appliances, Java before 8u301
    Pkcs12Legacy,
}

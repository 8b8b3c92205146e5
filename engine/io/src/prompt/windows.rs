//! The standard library cannot keep a console from showing what is typed, so PowerShell reads it, which
//! every Windows has.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of the console, and a program of the system reads from it"
)]

use std::io;
use std::process::{Command, Stdio};

use waxwing_core::secret::Secret;

use crate::permission::system_program;

/// Reads a line without showing it, and writes it as UTF-8.
const SCRIPT: &str = "$ErrorActionPreference = 'Stop'; \
    [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false; \
    $read = Read-Host -AsSecureString; \
    $place = [Runtime.InteropServices.Marshal]::SecureStringToBSTR($read); \
    [Console]::Out.Write([Runtime.InteropServices.Marshal]::PtrToStringBSTR($place))";

/// Reads until Enter. `ask` says what is wanted.
pub(super) fn secret(ask: impl FnOnce() -> io::Result<()>) -> io::Result<Option<Secret<String>>> {
    ask()?;
    let program = r"WindowsPowerShell\v1.0\powershell.exe";
    let output = Command::new(system_program(program))
        .args(["-NoProfile", "-Command", SCRIPT])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    Ok(Some(Secret::new(text.to_owned())))
}

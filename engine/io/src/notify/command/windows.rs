//! Programs on Windows. Without SystemRoot most do not even start.

use std::process::Stdio;

use tokio::process::Command;

use crate::permission::system_program;

pub(super) fn prepare(command: &mut Command) {
    for name in [
        "SystemRoot",
        "SystemDrive",
        "windir",
        "PATH",
        "PATHEXT",
        "TEMP",
        "TMP",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

pub(super) fn kill_all(id: u32) {
    let mut taskkill = std::process::Command::new(system_program("taskkill.exe"));
    taskkill.args(["/T", "/F", "/PID", &id.to_string()]);
    // It may have ended by itself in the meantime.
    drop(
        taskkill
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status(),
    );
}

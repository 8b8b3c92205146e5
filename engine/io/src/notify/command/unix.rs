//! Programs on Unix: a process group of their own, so that a script dies with its children.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

pub(super) fn prepare(command: &mut Command) {
    command
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir("/")
        .process_group(0);
}

pub(super) fn kill_all(id: u32) {
    if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in the meantime.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

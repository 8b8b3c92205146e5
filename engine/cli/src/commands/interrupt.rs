//! Ctrl-C and the service manager's wish to stop: the first one ends the run in order, a second one
//! ends the program at once. A daemon is also asked to read its configuration again.

use std::process;

use tokio::sync::watch;

use crate::exit::Exit;
use crate::render::progress::Live;

#[cfg(unix)]
#[path = "interrupt/unix.rs"]
mod os;
#[cfg(not(unix))]
#[path = "interrupt/windows.rs"]
mod os;

pub(crate) use os::Signals;

/// What somebody outside wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The end.
    Stop,
    /// That the configuration is read again.
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "nothing asks for it there but a new start")
    )]
    Reload,
}

/// Waits for signals for as long as it is polled.
pub(crate) async fn watch(switch: watch::Sender<bool>, live: &Live) {
    asked().await;
    live.notice("stopping: removing what was placed, at most 10 s; once more to stop at once");
    let _nobody_listens = switch.send(true);
    asked().await;
    live.clear();
    // Whatever is owed stands in the journal; the next run sees to it.
    process::exit(Exit::SomeFailed as i32);
}

/// Returns when somebody asks the program to stop; never if that cannot be heard here.
pub(crate) async fn asked() {
    let Ok(mut signals) = Signals::new() else {
        return std::future::pending().await;
    };
    while signals.next().await != Signal::Stop {}
}

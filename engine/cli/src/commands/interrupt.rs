//! Ctrl-C and the service manager's wish to stop: the first one ends the run in order, a second one
//! ends the program at once.

use std::process;

use tokio::sync::watch;

use crate::exit::Exit;
use crate::render::progress::Live;

/// Waits for signals for as long as it is polled.
pub(crate) async fn watch(switch: watch::Sender<bool>, live: &Live) {
    asked().await;
    live.aside(b"stopping: removing what was placed, at most 10 s; once more to stop at once\n");
    let _nobody_listens = switch.send(true);
    asked().await;
    live.clear();
    // Whatever is owed stands in the journal; the next run sees to it.
    process::exit(Exit::SomeFailed as i32);
}

/// Returns when somebody asks the program to stop; never if that cannot be heard here.
#[cfg(unix)]
async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Returns when somebody asks the program to stop; never if that cannot be heard here.
#[cfg(not(unix))]
async fn asked() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

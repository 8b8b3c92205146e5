//! SIGINT, SIGTERM and SIGHUP.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

use super::Signal;

/// The signals of this process from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: Option<unix::Signal>,
}

impl Signals {
    /// Listens, also for the wish to read the configuration again.
    ///
    /// # Errors
    /// When signals cannot be heard here.
    pub(crate) fn for_a_daemon() -> io::Result<Self> {
        Ok(Self {
            hang_up: Some(signal(SignalKind::hangup())?),
            ..Self::new()?
        })
    }

    /// Listens for the wish to stop. SIGHUP ends a program at a terminal, as it always did.
    ///
    /// # Errors
    /// When signals cannot be heard here.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: None,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = hang_up => Signal::Reload,
        }
    }
}

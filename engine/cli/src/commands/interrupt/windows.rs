//! Ctrl-C and the end of the session. Nothing here asks to read the configuration again.

use std::io;

use tokio::signal::windows::{self, CtrlC, CtrlClose, CtrlShutdown};

use super::Signal;

/// The signals of this process from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Listens.
    ///
    /// # Errors
    /// When signals cannot be heard here.
    pub(crate) fn for_a_daemon() -> io::Result<Self> {
        Self::new()
    }

    /// Listens for the wish to stop.
    ///
    /// # Errors
    /// When signals cannot be heard here.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.close.recv() => Signal::Stop,
            _ = self.shutdown.recv() => Signal::Stop,
        }
    }
}

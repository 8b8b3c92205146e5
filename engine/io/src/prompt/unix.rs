//! The terminal hands over each key and shows none.

use std::io::{self, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use waxwing_core::secret::Secret;

use super::{Key, Typed};

/// The terminal while it shows nothing; as it was when this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        // Without signals too: one that ends us would leave the terminal as it is now.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        // What was typed ahead is an answer, and not thrown away.
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Reads key by key until Enter. `ask` says what is wanted, once nothing is shown any more.
pub(super) fn secret(ask: impl FnOnce() -> io::Result<()>) -> io::Result<Option<Secret<String>>> {
    let _quiet = Quiet::begin()?;
    ask()?;
    let mut typed = Typed::default();
    let mut keys = io::stdin().lock().bytes();
    loop {
        let Some(key) = keys.next().transpose()? else {
            return Ok(None);
        };
        match typed.press(key) {
            Key::More => {}
            Key::Done => return typed.secret().map(Some),
            Key::Stopped => return Ok(None),
        }
    }
}

//! Somebody at a terminal: lines that are typed in the open, and secrets that are not shown.
//!
//! Questions go to stderr and answers come from stdin, so that stdout stays free for data.

use std::io::{self, BufRead as _, Write as _};

use waxwing_core::secret::Secret;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

/// Longest answer, in bytes.
const LONGEST: usize = 64 * 1024;

/// Asks for a line. None: nobody is there any more.
///
/// # Errors
/// When the terminal cannot be read.
pub fn line(prompt: &str) -> io::Result<Option<String>> {
    say(prompt)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks for a secret, which is not shown while it is typed. None: nobody is there any more, or somebody
/// has stopped it.
///
/// # Errors
/// When the terminal cannot be read, or cannot be kept from showing what is typed.
pub fn secret(prompt: &str) -> io::Result<Option<Secret<String>>> {
    // Nothing is shown from before anybody knows that it is asked for: whoever types at once is as fast.
    #[cfg(unix)]
    let typed = unix::secret(|| say(prompt));
    #[cfg(windows)]
    let typed = windows::secret(|| say(prompt));
    // What ends the line was not shown either.
    say("\n")?;
    typed
}

/// The first line of the standard input, for programs that hand a secret over.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn piped_secret() -> io::Result<Option<Secret<String>>> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    let text = line.trim_end_matches(['\r', '\n']);
    Ok((read > 0).then(|| Secret::new(text.to_owned())))
}

fn say(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// What has been typed so far at a terminal that shows nothing and edits nothing.
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix reads key by key"))]
#[derive(Default)]
struct Typed(Vec<u8>);

/// What a key means.
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix reads key by key"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// There is more to come.
    More,
    /// That was all.
    Done,
    /// Somebody wants to stop.
    Stopped,
}

#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix reads key by key"))]
impl Typed {
    /// Takes a key in: Enter ends it, Backspace and Ctrl-U take back, Ctrl-C and Ctrl-D stop.
    fn press(&mut self, key: u8) -> Key {
        match key {
            b'\r' | b'\n' => return Key::Done,
            0x03 => return Key::Stopped,
            0x04 if self.0.is_empty() => return Key::Stopped,
            0x04 => return Key::Done,
            0x08 | 0x7f => {
                // A letter may be several bytes, all but the first of which look like this.
                while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            0x15 => self.0.clear(),
            _ if self.0.len() < LONGEST => self.0.push(key),
            _ => {}
        }
        Key::More
    }

    fn secret(self) -> io::Result<Secret<String>> {
        let text = String::from_utf8(self.0)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_take_back_take_back_and_keys_that_end_end() {
        let check = |keys: &[u8], end: Key, want: &str| {
            let mut typed = Typed::default();
            let mut last = Key::More;
            for key in keys {
                assert_eq!(last, Key::More);
                last = typed.press(*key);
            }
            assert_eq!(last, end);
            let secret = typed.secret().expect("text");
            assert_eq!(secret.expose(), want);
        };
        check(b"abc\r", Key::Done, "abc");
        check(b"ab\x7fc\n", Key::Done, "ac");
        check("aä\u{7f}b\n".as_bytes(), Key::Done, "ab");
        check(b"abc\x15d\n", Key::Done, "d");
        check(b"\x7f\x7fa\x04", Key::Done, "a");
        check(b"abc\x03", Key::Stopped, "abc");
        check(b"\x04", Key::Stopped, "");
        check(b"abc", Key::More, "abc");
    }
}

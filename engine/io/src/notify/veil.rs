//! Takes secrets out of what a receiver says.

use waxwing_core::secret::Secret;

/// What stands where a secret stood.
const HIDDEN: &str = "[secret]";

/// Longest line of an answer that is kept, in characters.
const LINE: usize = 400;

/// Most lines of an answer that are kept.
const LINES: usize = 8;

/// The secrets that a message was sent with.
#[derive(Debug, Default)]
pub(super) struct Veil(Vec<Secret<String>>);

impl Veil {
    /// Hides this from now on, and what it is when a protocol writes it in Base64.
    pub(super) fn hide(&mut self, secret: &str) {
        let encoded = [base64(secret.as_bytes())];
        let forms = [secret.to_owned()].into_iter().chain(encoded);
        // A few characters would be found in every text.
        self.0
            .extend(forms.filter(|form| form.len() >= 4).map(Secret::new));
    }

    /// A text without secrets and without anything that a terminal would obey.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.0 {
            clean = clean.replace(secret.expose(), HIDDEN);
        }
        let plain = clean.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut clean: String = plain.take(LINE).collect();
        clean.truncate(clean.trim_end().len());
        clean
    }

    /// The lines of an answer, those without words left out.
    pub(super) fn lines(&self, text: &str) -> Vec<String> {
        let lines = text.lines().map(|line| self.clean(line.trim()));
        lines.filter(|line| !line.is_empty()).take(LINES).collect()
    }

    /// An error and everything below it, without those that only repeat what stands above.
    pub(super) fn chain(&self, error: &(dyn std::error::Error + 'static)) -> Vec<String> {
        let links = std::iter::successors(Some(error), |link| link.source());
        let mut causes: Vec<String> = Vec::new();
        for link in links {
            let text = self.clean(&link.to_string());
            let known = causes.last().is_some_and(|last| last.contains(&text));
            if !text.is_empty() && !known {
                causes.push(text);
            }
        }
        causes
    }
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |nth: usize| u32::from(chunk.get(nth).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..4 {
            if nth <= chunk.len() {
                let letter = (word >> (18 - 6 * nth)) & 63;
                out.push(char::from(LETTERS[usize::try_from(letter).unwrap_or(0)]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_as_it_is_and_as_protocols_write_it() {
        let mut veil = Veil::default();
        veil.hide("hunter22");
        veil.hide("abc");
        let text = "535 no hunter22, no aHVudGVyMjI=\u{1b}[2J abc";
        assert_eq!(veil.clean(text), "535 no [secret], no [secret] [2J abc");
        assert_eq!(veil.lines("\r\n one\r\n\r\ntwo \n"), ["one", "two"]);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (text, want) in table {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }
}

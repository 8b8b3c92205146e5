//! Inputs made from a seed and a corpus: the same seed, the same inputs.

/// Pieces that formats here give a meaning to.
const TOKENS: &[&str] = &[
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{7f}",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "\\u0000",
    "\\",
    "null",
    "true",
    "false",
    "-1",
    "0",
    "1e999",
    "NaN",
    "18446744073709551616",
    "9223372036854775807",
    "99999999999999999999999999",
    "2026-11-25T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z",
    "2026-02-30T25:61:61.999999999+99:99",
    "Wed, 25 Nov 2026 00:00:00 GMT",
    "https://",
    "http://",
    "//",
    "/../",
    "%00",
    "%2e%2e",
    "@",
    "#",
    "*.",
    "xn--",
    "ß",
    "日本",
    "-----BEGIN CERTIFICATE-----",
    "-----END CERTIFICATE-----",
    "pending",
    "valid",
    "urn:ietf:params:acme:error:",
    "format = 2",
    "[[certificate]]",
    "[plugin.x]",
    "300 per 3h",
];

/// A source of chance that a printed number starts again. Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The chance of that seed.
    pub const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `bound`; zero if that is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        // Xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % bound.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        from.get(self.below(from.len())).copied()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = (length - start).min(64);
        start..start + self.below(longest + 1)
    }
}

/// One of the inputs with a few changes.
pub fn mutate(chance: &mut Chance, corpus: &[&[u8]]) -> Vec<u8> {
    let mut bytes = chance.pick(corpus).unwrap_or_default().to_vec();
    for _ in 0..=chance.below(4) {
        let range = chance.range(bytes.len());
        match chance.below(7) {
            0 => {
                let byte = u8::try_from(chance.below(256)).unwrap_or_default();
                if let Some(at) = bytes.get_mut(range.start) {
                    *at = byte;
                }
            }
            1 => drop(bytes.drain(range)),
            2 => bytes.truncate(range.start),
            3 => {
                let copy = bytes[range.clone()].to_vec();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            4 => {
                let other = chance.pick(corpus).unwrap_or_default();
                let piece = chance.range(other.len());
                bytes.splice(range, other[piece].iter().copied());
            }
            5 => {
                let token = chance.pick(TOKENS).unwrap_or_default();
                bytes.splice(range, token.bytes());
            }
            _ => {
                let token = chance.pick(TOKENS).unwrap_or_default();
                let at = range.start;
                bytes.splice(at..at, token.bytes());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_again_and_another_one_others() {
        let inputs = |seed| {
            let mut chance = Chance::new(seed);
            let corpus: [&[u8]; 2] = [b"format = 1\n", b"{\"a\":[1,2]}"];
            (0..100)
                .map(|_| mutate(&mut chance, &corpus))
                .collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }
}

//! The nonces of one CA that are still to be used (RFC 8555 section 6.5).
//!
//! Old nonces are used without asking whether the CA still knows them: a refused one costs one
//! more POST and brings a fresh nonce along, fetching one first costs one more HEAD, always.

use waxwing_core::http::Response;

use crate::jws::is_base64url;

/// A bounded stack: the youngest nonce is used first because it is the likeliest to be good.
#[derive(Debug, Default)]
pub(crate) struct NoncePool {
    nonces: Vec<String>,
}

impl NoncePool {
    /// More than any sensible number of POSTs in flight; the oldest makes room.
    const CAPACITY: usize = 64;

    /// Longer ones are no nonces but somebody's attempt to fill our requests.
    const LONGEST: usize = 512;

    /// Keeps the nonce of any reply, error replies too. True if there was a usable one; an invalid
    /// value is ignored, as RFC 8555 section 6.5.1 demands.
    pub(crate) fn keep_from(&mut self, response: &Response) -> bool {
        let Some(nonce) = response.header("replay-nonce") else {
            return false;
        };
        if !is_base64url(nonce) || nonce.len() > Self::LONGEST {
            return false;
        }
        self.put_back(nonce.to_owned());
        true
    }

    /// Returns a nonce that was taken and not sent.
    pub(crate) fn put_back(&mut self, nonce: String) {
        if self.nonces.len() == Self::CAPACITY {
            self.nonces.remove(0);
        }
        self.nonces.push(nonce);
    }

    /// Takes the youngest.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.nonces.pop()
    }

    /// Forgets all: they are older than one that was just refused.
    pub(crate) fn clear(&mut self) {
        self.nonces.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nonces.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::reply;

    #[test]
    fn the_youngest_nonce_goes_first_and_the_oldest_makes_room() {
        let mut pool = NoncePool::default();
        for number in 0..=NoncePool::CAPACITY {
            assert!(pool.keep_from(&reply(200, &[("replay-nonce", &format!("n{number}"))], "")));
        }
        assert_eq!(pool.len(), NoncePool::CAPACITY);
        let all: Vec<String> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(all.first().map(String::as_str), Some("n64"));
        assert_eq!(all.last().map(String::as_str), Some("n1"));
    }

    #[test]
    fn an_invalid_nonce_is_ignored() {
        let long = "a".repeat(NoncePool::LONGEST + 1);
        for value in ["", "a b", "a+b", "abc=", "\"", &long] {
            let mut pool = NoncePool::default();
            assert!(
                !pool.keep_from(&reply(200, &[("replay-nonce", value)], "")),
                "{value}"
            );
            assert_eq!(pool.take(), None);
        }
    }
}

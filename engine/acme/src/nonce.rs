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

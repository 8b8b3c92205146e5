//! Random numbers from the operating system, for jitter and ids.

use std::hash::{BuildHasher, Hasher, RandomState};

use waxwing_flow::ports::Entropy;

/// The system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        if aws_lc_rs::rand::fill(&mut bytes).is_ok() {
            return u64::from_ne_bytes(bytes);
        }
        // Jitter need not be unguessable, so a broken generator is no reason to fail: a hasher has
        // seeds that differ between processes and between calls.
        let hasher = RandomState::new().build_hasher();
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ() {
        assert_ne!(SystemEntropy.number(), SystemEntropy.number());
    }
}

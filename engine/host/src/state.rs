//! What a plugin remembers over the calls of one run.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::time::Timestamp;

/// Bytes of all entries, keys included.
pub(crate) const QUOTA: usize = 256 * 1024;
/// Bytes of one value.
pub(crate) const VALUE: usize = 16 * 1024;
/// Bytes of a key.
const KEY: usize = 128;

/// Why a value is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The quota that was reached, in bytes.
    Quota(usize),
    Key,
}

/// The entries of one plugin instance.
#[derive(Debug, Default)]
pub(crate) struct State(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    until: Option<Timestamp>,
}

impl State {
    pub(crate) fn value(&mut self, key: &str, now: Timestamp) -> Option<Vec<u8>> {
        let entry = self.0.get(key)?;
        if entry.until.is_some_and(|until| until <= now) {
            self.0.remove(key);
            return None;
        }
        Some(entry.value.clone())
    }

    pub(crate) fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let printable = key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if key.is_empty() || key.len() > KEY || !printable {
            return Err(Refused::Key);
        }
        if value.len() > VALUE {
            return Err(Refused::Quota(VALUE));
        }
        let others: usize = self
            .0
            .iter()
            .filter(|(name, _)| **name != key)
            .map(|(name, entry)| name.len() + entry.value.len())
            .sum();
        if others + key.len() + value.len() > QUOTA {
            return Err(Refused::Quota(QUOTA));
        }
        let until = ttl.map(|ttl| now + ttl);
        self.0.insert(key, Entry { value, until });
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_and_quotas_hold() {
        let now = Timestamp::from_unix(1000);
        let mut state = State::default();
        let ttl = Some(Duration::from_secs(5));
        assert_eq!(state.set("zones".into(), b"7".to_vec(), ttl, now), Ok(()));
        assert_eq!(state.value("zones", now), Some(b"7".to_vec()));
        assert_eq!(state.value("zones", now + Duration::from_secs(5)), None);

        let set =
            |state: &mut State, key: &str, len| state.set(key.to_owned(), vec![0; len], None, now);
        assert_eq!(set(&mut state, "", 1), Err(Refused::Key));
        assert_eq!(set(&mut state, "a\nb", 1), Err(Refused::Key));
        assert_eq!(
            set(&mut state, "big", VALUE + 1),
            Err(Refused::Quota(VALUE))
        );
        for n in 0..15 {
            assert_eq!(set(&mut state, &format!("k{n:02}"), VALUE), Ok(()));
        }
        assert_eq!(set(&mut state, "last", VALUE), Err(Refused::Quota(QUOTA)));
        // Replacing an entry gives its room back first.
        assert_eq!(set(&mut state, "k00", VALUE), Ok(()));
        state.delete("k00");
        assert_eq!(state.value("k00", now), None);
    }
}

//! An outbox in memory.

use std::sync::{Mutex, PoisonError};

use waxwing_core::time::Timestamp;

use crate::notify::{Posting, Rest, Told, Waiting};
use crate::ports::{Outbox, StoreError, StoreErrorKind};

#[derive(Default)]
pub(super) struct Shelf {
    pub(super) told: Vec<Told>,
    pub(super) letters: Vec<Waiting>,
    pub(super) broken: bool,
    /// Another process is faster so many times.
    pub(super) overtaken: u32,
    /// Another process takes each letter a moment before.
    pub(super) taken: bool,
    /// The process dies before this call, counted from 0.
    pub(super) dies_at: Option<u32>,
    pub(super) calls: u32,
}

/// What a dying process says.
pub(super) const DEAD: &str = "the process dies here";

#[derive(Default)]
pub(super) struct Memory(pub(super) Mutex<Shelf>);

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> Result<T, StoreError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = shelf.calls;
        shelf.calls += 1;
        assert!(shelf.dies_at != Some(call), "{DEAD}");
        if shelf.broken {
            return Err(StoreError {
                kind: StoreErrorKind::NoSpace,
                act: "write",
                path: "waxwing.db".into(),
                causes: Vec::new(),
                hint: None,
            });
        }
        Ok(act(&mut shelf))
    }
}

impl Outbox for Memory {
    fn told(&self) -> Result<Vec<Told>, StoreError> {
        self.with(|shelf| shelf.told.clone())
    }

    fn post(&self, seen: &[Told], change: &Posting) -> Result<bool, StoreError> {
        self.with(|shelf| {
            if shelf.overtaken > 0 {
                shelf.overtaken -= 1;
                return false;
            }
            assert_eq!(shelf.told, seen);
            let key = |told: &Told| (told.subject.clone(), told.kind);
            shelf.told.retain(|told| {
                !change.over.contains(&key(told))
                    && change.told.iter().all(|new| key(new) != key(told))
            });
            shelf.told.extend(change.told.clone());
            let late = change
                .late
                .iter()
                .map(|one| (&one.letter, one.rest.clone()));
            let new = change
                .letters
                .iter()
                .map(|letter| (letter, Rest::default()));
            for (letter, rest) in late.chain(new) {
                // As SQLite has it: a number comes again.
                let used = shelf.letters.iter().map(|one| one.id).max();
                let id = used.unwrap_or(0) + 1;
                shelf.letters.push(Waiting {
                    id,
                    letter: letter.clone(),
                    attempts: 0,
                    next: letter.notice.at,
                    cause: None,
                    rest,
                });
            }
            true
        })
    }

    fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.with(|shelf| shelf.letters.clone())
    }

    fn take(&self, id: i64, seen: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        self.with(|shelf| {
            let taken = shelf.taken;
            let mut letters = shelf.letters.iter_mut();
            match letters.find(|one| one.id == id && one.next == seen && !taken) {
                Some(one) => {
                    one.next = until;
                    true
                }
                None => false,
            }
        })
    }

    fn forget(&self, id: i64) -> Result<(), StoreError> {
        self.with(|shelf| shelf.letters.retain(|one| one.id != id))
    }

    fn keep(&self, id: i64, next: Timestamp, cause: &str, rest: &Rest) -> Result<(), StoreError> {
        self.with(|shelf| {
            if let Some(one) = shelf.letters.iter_mut().find(|one| one.id == id) {
                one.rest = rest.clone();
                one.attempts += 1;
                one.next = next;
                one.cause = Some(cause.to_owned());
            }
        })
    }
}

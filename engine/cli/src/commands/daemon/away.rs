//! What a daemon does whose state folder is gone, or another one.

use std::sync::Arc;

use waxwing_core::notify::event::EventKind;
use waxwing_core::plan::Asker;
use waxwing_flow::notify::{Posting, Told, Unsent};
use waxwing_flow::ports::{CertificateStore as _, Outbox as _, StoreError, StoreErrorKind};
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::daemon_of;

use super::Keeper;
use crate::commands::{renew, start};
use crate::render::terminal::Terminal;
use crate::survey::Survey;
use crate::wire;

/// What is to be done about it.
const HINT: &str =
    "nothing is done until it is back; if it is gone for good, start the daemon anew";

impl Keeper<'_> {
    /// True if the state folder is there: the one of before, or another one, which is opened then as a new
    /// start would. While it is gone that is told, and kept in memory, since there is nowhere else.
    pub(super) fn has_its_state(&mut self, terminal: &mut Terminal) -> bool {
        let found = self.store.identity();
        if found.is_none() {
            self.is_gone("the state folder is gone", terminal);
            return false;
        }
        if found != self.place {
            if self.has_certificates && self.lost_its_certificates() {
                let why = "the state folder is gone, and an empty one is in its place";
                self.is_gone(why, terminal);
                return false;
            }
            if let Err(error) = self.open_again() {
                let why = format!("another one is in its place, which cannot be used: {error}");
                self.is_gone(&why, terminal);
                return false;
            }
        }
        self.place = found;
        if let Some(memory) = self.away.take() {
            self.tell_of_it(&memory, Vec::new(), terminal);
            self.hand_over(&memory);
        }
        true
    }

    /// True if the folder that lies there now has no certificate: somebody else has made it since, such as
    /// `ca health --now`, and it is no copy of the one before.
    fn lost_its_certificates(&self) -> bool {
        let inventory = self.store.inventory();
        inventory.is_ok_and(|all| !all.iter().flatten().any(|one| one.current.is_some()))
    }

    /// Goes on without a history that another process does not let go of, and with it when it does.
    pub(super) fn keep_history(&mut self, terminal: &mut Terminal) {
        if let Some(found) = start::note_late(&self.store, &self.history) {
            self.history = found;
        }
        if self.history.unwritable().is_some() || self.history.may_write().is_ok() {
            return;
        }
        // It has said why in the log if nothing can be opened.
        if let Ok(instead) = start::history_or_nothing(&self.store, terminal) {
            self.history = instead;
        }
    }

    fn is_gone(&mut self, why: &str, terminal: &mut Terminal) {
        // A volume that is not mounted any more: in a new folder nothing would be known, and everything
        // ordered again.
        let root = self.store.root().to_owned();
        tracing::error!(state = %root.display(), hint = HINT, "{why}");
        if let Some(face) = &self.face {
            face.change(|shown| shown.ready = false);
        }
        let memory = match self.away.take() {
            Some(memory) => memory,
            None => match SqliteHistory::in_memory(&root) {
                Ok(memory) => Arc::new(memory),
                Err(error) => {
                    tracing::error!(cause = %error, "nobody can be told");
                    return;
                }
            },
        };
        let error = StoreError {
            kind: StoreErrorKind::Io,
            act: "find",
            path: root,
            causes: vec![format!("{why}; nothing is renewed")],
            hint: Some(HINT.to_owned()),
        };
        self.tell_of_it(&memory, vec![error], terminal);
        self.away = Some(memory);
    }

    /// Opens the folder that lies there now.
    fn open_again(&mut self) -> Result<(), StoreError> {
        let store = wire::store(&self.loaded)?;
        let lock = match store.lock_daemon() {
            Ok(lock) => Some(lock),
            // The same file by another way: a volume that was mounted again.
            Err(_ours) if daemon_of(store.root()) == Some(std::process::id()) => None,
            Err(other) => return Err(other),
        };
        let history = SqliteHistory::open_or_nothing(store.root())?;
        let state = store.root().display().to_string();
        tracing::warn!(%state, "another state folder is in the place of the one before, and is used");
        self.store = store;
        self.history = Arc::new(history);
        self.alone = lock.or(self.alone.take());
        Ok(())
    }

    /// What was not delivered while the folder was gone waits from now on in its outbox.
    fn hand_over(&self, memory: &SqliteHistory) {
        let letters = memory.waiting().unwrap_or_default();
        let told = memory.told().unwrap_or_default();
        let notifiers = |told: &Told| told.kind == EventKind::NotifierFailed;
        let posting = Posting {
            late: letters
                .into_iter()
                .map(|one| Unsent {
                    letter: one.letter,
                    rest: one.rest,
                })
                .collect(),
            told: told.into_iter().filter(notifiers).collect(),
            ..Posting::default()
        };
        if posting == Posting::default() {
            return;
        }
        let seen = self.history.told().unwrap_or_default();
        match self.history.post(&seen, &posting) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("messages of the time without the state folder are lost"),
            Err(error) => {
                tracing::warn!(cause = %error, "messages of the time without the state folder are lost")
            }
        }
    }

    fn tell_of_it(&self, memory: &SqliteHistory, broken: Vec<StoreError>, terminal: &mut Terminal) {
        let seen = Survey::of_nothing(broken);
        let report = renew::nothing(start::now());
        let asker = Asker::Daemon;
        renew::tell(
            &self.loaded,
            Some(&self.store),
            memory,
            &report,
            &seen,
            asker,
            terminal,
        );
    }
}

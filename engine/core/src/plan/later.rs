//! What comes after a try, and after the configuration.

use std::time::Duration;

use super::hold::Hold;
use super::{Action, Asker, Circumstances, Item, Note, Stored, alone};
use crate::settings::{CertificateSettings, Settings};
use crate::time::Timestamp;

/// As exact as anybody has to know when a window stops to count.
const EXACT: Duration = Duration::from_secs(60);

/// The first moment from `at` on at which the runs that come by themselves try a certificate: what is outside of its
/// windows then, or in a blackout, waits for their end as well, or until it has failed for so long that they do not
/// count any more.
pub fn open_from(
    settings: &Settings,
    certificate: &CertificateSettings,
    stored: Option<&Stored>,
    circumstances: &Circumstances<'_>,
    at: Timestamp,
) -> Timestamp {
    let asker = match circumstances.asker {
        Asker::Person => Asker::Timer,
        asker => asker,
    };
    let shut_until = |now| {
        let then = Circumstances {
            asker,
            now,
            ..*circumstances
        };
        match alone(settings, certificate, stored, &then).hold {
            Some(Hold::Window { until }) => Some(until),
            _ => None,
        }
    };
    let Some(until) = shut_until(at) else {
        return at;
    };
    let (mut shut, mut open) = (at, until.max(at));
    if stored.is_none_or(|stored| stored.failed.is_empty()) {
        return open;
    }
    while open.since(shut) > EXACT {
        let between = shut + open.since(shut) / 2;
        match shut_until(between) {
            Some(_) => shut = between,
            None => open = between,
        }
    }
    open
}

/// What has left the configuration: nothing comes any more.
pub(super) fn gone(stored: &Stored) -> Item {
    let current = stored.current.as_ref();
    Item {
        name: stored.name.clone(),
        ca: current.map(|current| current.ca.clone()),
        moment: None,
        hold: None,
        action: Action::Gone {
            not_after: current.map(|current| current.not_after),
        },
        install: Vec::new(),
        notes: {
            let owes = stored.owes.then_some(Note::Unfinished);
            let to_revoke = stored.to_revoke;
            let to_revoke = to_revoke.map(|version| Note::ToRevoke { version });
            owes.into_iter().chain(to_revoke).collect()
        },
    }
}

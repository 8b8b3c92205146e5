//! What comes after a try, and after the configuration.

use super::hold::Hold;
use super::{Action, Asker, Circumstances, Item, Note, Stored, alone};
use crate::settings::{CertificateSettings, Settings};
use crate::time::Timestamp;

/// The first moment from `at` on at which the runs that come by themselves try a certificate: what is outside of its
/// windows then, or in a blackout, waits for their end as well.
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
    let then = Circumstances {
        asker,
        now: at,
        ..*circumstances
    };
    match alone(settings, certificate, stored, &then).hold {
        Some(Hold::Window { until }) => until.max(at),
        _ => at,
    }
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

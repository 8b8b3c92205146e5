//! Whether the log, the audit trail and the figures can be written, and whether nothing is missing in the
//! trail.

use std::path::Path;

use waxwing_io::append::{self, AppendError};
use waxwing_io::outfile;
use waxwing_io::permission;

use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::count;

const LOG: &str = "log";
const AUDIT: &str = "audit";
const FIGURES: &str = "figures";

/// What is to be said of `[log]` and of `[metrics] textfile`; nothing if they name no file.
pub(super) fn findings(loaded: &Loaded) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(file) = &loaded.settings.log.file {
        found.push(judged(LOG, &file.path, append::look(&file.path, None)));
    }
    if let Some(textfile) = &loaded.settings.metrics.textfile {
        let shown = textfile.display();
        found.push(match outfile::look(textfile) {
            Ok(()) => Found::new(Verdict::Ok, FIGURES, format!("{shown} can be written")),
            // Whoever reads it goes on to believe what it says.
            Err(error) => Found::new(
                Verdict::Error,
                FIGURES,
                format!("{shown} cannot be written"),
            )
            .causes(error.causes)
            .hint(error.hint),
        });
    }
    if let Some(trail) = &loaded.trail {
        let place = trail.place();
        found.push(judged(AUDIT, &place.file, place.look()));
        for path in place.unreadable() {
            let text = format!("acts are kept in {}, which cannot be read", path.display());
            let hint = match permission::owner(&place.state).ok().flatten() {
                Some(owner) => format!("chown {} {}", owner.name, path.display()),
                None => format!("let this user read {}", path.display()),
            };
            let found_one = Found::new(Verdict::Error, AUDIT, text);
            found.push(found_one.hint(Some(hint)));
        }
        let unwritten = place.unwritten();
        if unwritten > 0 {
            let text = format!("{} could not be written yet", count(unwritten, "act"));
            let hint = "they are kept in the state folder; the next run that can write the trail adds \
                        them";
            found.push(Found::new(Verdict::Warn, AUDIT, text).hint(Some(hint.to_owned())));
        }
    }
    found
}

fn judged(topic: &'static str, path: &Path, seen: Result<(), AppendError>) -> Found {
    let shown = path.display();
    if let Err(error) = seen {
        let text = format!("{shown} cannot be written");
        return Found::new(Verdict::Error, topic, text)
            .causes([error.cause.to_string()])
            .hint(Some(error.hint()));
    }
    if let Some(folder) = path.parent().filter(|_| append::can_be_replaced(path)) {
        let text = format!("others could put another file in the place of {shown}");
        let hint = format!("a folder of its own, as {}/waxwing", folder.display());
        return Found::new(Verdict::Warn, topic, text).hint(Some(hint));
    }
    let text = if path.exists() {
        format!("{shown} can be written")
    } else {
        format!("{shown} is not there yet; the first run makes it")
    };
    Found::new(Verdict::Ok, topic, text)
}

//! How old this program is, by what it knows of the CAs, and what is compiled already.

use jiff::civil::Date;
use waxwing_core::settings::Settings;
use waxwing_io::store::FileStore;

use crate::render::check::{Found, Verdict};
use crate::render::status::Around;

/// What is known of a CA may be wrong after a year.
const OLD_DAYS: i64 = 400;

/// This program.
pub(super) fn findings(settings: &Settings, store: &FileStore, today: Date) -> Vec<Found> {
    let used = settings.used_cas();
    let checked = Around::checked(used.iter().filter_map(|ca| settings.cas.get(ca)));
    vec![
        age(env!("CARGO_PKG_VERSION"), checked, today),
        compiled(store),
    ]
}

fn age(version: &str, checked: Option<Date>, today: Date) -> Found {
    let Some(date) = checked else {
        return Found::new(Verdict::Ok, "version", format!("Waxwing {version}"));
    };
    let text = format!(
        "Waxwing {version}; what it knows of the CAs in use was checked on {}",
        date.strftime("%-d %b %Y")
    );
    let days = i64::from(today.since(date).map_or(0, |span| span.get_days()));
    if days <= OLD_DAYS {
        return Found::new(Verdict::Ok, "version", text);
    }
    let hint = "a newer Waxwing knows what has changed at the CAs; `waxwing ca show NAME` shows what this one knows";
    Found::new(Verdict::Warn, "version", text).hint(Some(hint.to_owned()))
}

/// The plugins that need not be compiled again.
fn compiled(store: &FileStore) -> Found {
    let text = match store.cached("components") {
        0 => "nothing is compiled yet: the next run takes some seconds longer".to_owned(),
        number => format!(
            "{} compiled and sealed",
            crate::render::page::count(number, "plugin")
        ),
    };
    Found::new(Verdict::Ok, "cache", text)
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::civil::date;

    use super::*;

    /// One of each kind.
    pub(in super::super) fn examples() -> Vec<Found> {
        let checked = Some(date(2026, 11, 23));
        let at = [(None, 2026), (checked, 2026), (checked, 2028)];
        let judged = at.map(|(checked, year)| age("0.0.0", checked, date(year, 12, 31)));
        judged.to_vec()
    }

    #[test]
    fn what_was_checked_long_ago_is_worth_a_warning() {
        let verdicts: Vec<Verdict> = examples().iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Ok, Verdict::Warn]);
    }
}

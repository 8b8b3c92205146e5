//! The last line: what starts the runs, and how old the profiles are.

use super::*;

#[test]
fn the_last_line_says_what_starts_the_runs() {
    let context = context(120, false);
    let seen = |when, place: Option<&str>, last| Started {
        when,
        place: place.map(Into::into),
        last,
    };
    let hourly = When::Hourly(Moment::new(5, 0).expect("a moment"));
    let date = jiff::civil::date;
    let table = [
        (None, None, "Waxwing 0.0.0."),
        (
            Some(vec![]),
            Some(date(2025, 11, 1)),
            "Timer: none; `waxwing schedule add` has the runs started. Waxwing 0.0.0, profiles of 1 Nov 2025.",
        ),
        (
            Some(vec![seen(hourly, Some("/etc/cron.d/waxwing"), None)]),
            Some(date(2026, 11, 1)),
            "Timer: hourly at :05. Waxwing 0.0.0, profiles of 1 Nov.",
        ),
        (
            Some(vec![
                seen(When::Always, None, None),
                seen(
                    When::Unknown,
                    Some("/etc/cron.daily/own"),
                    Some(at(-86_400)),
                ),
            ]),
            None,
            "Timer: the daemon runs; /etc/cron.daily/own, last ran 22 Nov. Waxwing 0.0.0.",
        ),
    ];
    for (started, profiles, want) in table {
        let view = StatusView {
            plan: &Plan { items: Vec::new() },
            inventory: &BTreeMap::new(),
            certificates: &[],
            failing: BTreeMap::new(),
            broken: &[],
            version: "0.0.0",
            around: Around { started, profiles },
        };
        assert_eq!(around::line(&view, &context), want);
    }
}

#[test]
fn the_oldest_of_the_profiles_counts() {
    let profiles = ["2026-11-23", "2026-10-09", "some day"].map(|date| {
        let mut profile = waxwing_core::profiles::template();
        profile.notes.insert("checked".to_owned(), date.to_owned());
        profile
    });
    let oldest = Around::checked(profiles.iter());
    assert_eq!(oldest, Some(jiff::civil::date(2026, 10, 9)));
    assert_eq!(Around::checked(profiles[2..].iter()), None);
}

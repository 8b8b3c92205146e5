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
    let table = table.into_iter().chain([
        (
            Some(vec![seen(hourly, None, Some(at(-3_600)))]),
            None,
            "Timer: hourly at :05, last ran 21:40. Waxwing 0.0.0.",
        ),
        (
            Some(vec![seen(hourly, None, Some(at(-27 * 3_600)))]),
            None,
            "Timer: hourly at :05, and no run came since 22 Nov: `waxwing check`. Waxwing 0.0.0.",
        ),
    ]);
    for (started, profiles, want) in table {
        let view = StatusView {
            pasts: &crate::render::fixture::NO_PASTS,
            now: crate::render::fixture::at(0),
            plan: &Plan { items: Vec::new() },
            inventory: &BTreeMap::new(),
            certificates: CertificatesByName::new(&[]),
            failing: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            broken: &[],
            version: "0.0.0",
            around: Around {
                started,
                add: "waxwing schedule add".to_owned(),
                profiles,
                ..Around::default()
            },
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

#[test]
fn the_line_before_it_says_how_the_cas_are_and_whose_terms_have_changed() {
    use waxwing_core::time::Window;
    use waxwing_flow::terms::NewTerms;

    use super::super::around::CaNow;

    let seen = |name: &str, now, was_down: Option<(i64, i64)>| SeenCa {
        ca: ca(name),
        now,
        was_down: was_down.map(|(start, end)| Window {
            start: at(start),
            end: at(end),
        }),
    };
    let hours = |hours: i64| -3_600 * hours;
    let check = |cas: &[SeenCa], want: Option<&str>| {
        let plan = Plan { items: Vec::new() };
        let view = StatusView {
            pasts: &crate::render::fixture::NO_PASTS,
            now: crate::render::fixture::at(0),
            plan: &plan,
            inventory: &BTreeMap::new(),
            certificates: CertificatesByName::new(&[]),
            failing: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            broken: &[],
            version: "0.0.0",
            around: Around {
                cas: cas.to_vec(),
                terms: vec![NewTerms {
                    ca: ca("first"),
                    directory: "https://first.example/directory".to_owned(),
                    agreed: ("https://first.example/v1".to_owned(), at(0)),
                    now: "https://first.example/v2".to_owned(),
                }],
                ..Around::default()
            },
        };
        let text = render(&view, &context(120, false));
        let found = text.lines().find(|line| line.starts_with("CAs: "));
        assert_eq!(found, want, "{text}");
        let terms = "first has new terms: https://first.example/v2\n  hint: when you have read them: \
                     waxwing account agree first\n";
        assert!(text.contains(terms), "{text}");
    };
    check(&[], None);
    check(&[seen("first", CaNow::Unknown, None)], None);
    check(
        &[seen("first", CaNow::WasDown(at(hours(30))), None)],
        Some("CAs: first did not answer from Sun 22 Nov 16:40 on, and nobody has looked lately."),
    );
    let up = seen("first", CaNow::Up, Some((hours(60), hours(50))));
    check(std::slice::from_ref(&up), Some("CAs: all up."));
    let was_down = seen("second", CaNow::Up, Some((hours(20), hours(13))));
    check(
        &[up.clone(), was_down],
        Some("CAs: all up; second was down from Mon 23 Nov 02:40 until Mon 23 Nov 09:40."),
    );
    let down = seen("second", CaNow::Down(at(hours(3))), Some((hours(3), 0)));
    let third = seen("third", CaNow::Unknown, None);
    check(
        &[
            up.clone(),
            third.clone(),
            seen("fourth", CaNow::Unknown, None),
        ],
        Some("CAs: first up; nobody has looked at third, fourth lately."),
    );
    let nothing = seen("fourth", CaNow::IssuesNothing(at(hours(3))), None);
    check(
        &[up.clone(), nothing],
        Some("CAs: fourth answers and issues nothing since Mon 23 Nov 19:40."),
    );
    check(
        &[up, down, third],
        Some("CAs: second down since Mon 23 Nov 19:40; nobody has looked at third lately."),
    );
}

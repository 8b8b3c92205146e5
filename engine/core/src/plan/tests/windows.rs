//! Off-peak windows and the runs that fall into them.

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// An hour a night, and an hour a week: of the runs of an hourly timer one falls into it, whatever the
/// minute of the timer and the drawn moment are.
#[test]
fn the_only_run_of_a_timer_in_a_window_takes_it() {
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    for window in ["01:00-02:00 UTC", "Sun 01:00-02:00 UTC", "01:00-05:00 UTC"] {
        let mut shop = wanted("shop");
        let parsed = crate::calendar::parse_window(window, &zones, &jiff::tz::TimeZone::UTC);
        let calendar = crate::calendar::Calendar {
            windows: vec![parsed.expect("a literal window")],
            blackout: Vec::new(),
        };
        shop.calendar = std::sync::Arc::new(calendar.clone());
        let settings = settings(vec![shop.clone()]);
        for (version, minute) in (1..60)
            .step_by(4)
            .flat_map(|v| (0..60_u32).step_by(13).map(move |m| (v, m)))
        {
            let mut stored = good("shop");
            let Some(current) = &mut stored.current else {
                panic!("there is one");
            };
            current.version = version;
            let due = due::due(
                current.not_before,
                current.not_after,
                shop.days_after_issue,
                None,
            );
            let at = |now, asker| {
                let plan = planned(&settings, std::slice::from_ref(&stored), asker, now);
                let mut items = plan.items.into_iter();
                items.next().expect("one was planned")
            };
            let first_hour = due.at.unix() - due.at.unix().rem_euclid(3600) - 9 * 86_400;
            let first = Timestamp::from_unix(first_hour + i64::from(minute) * 60 + 13);
            let mut runs = (0..24 * 20).map(|n| first + HOUR * n);
            let taken = runs.find(|now| at(*now, Asker::Timer).is_ordered());
            let taken = taken.expect("it is taken at some time");
            assert!(
                calendar.is_open(taken),
                "{window} {minute} {version}: {taken}"
            );
            assert!(
                taken < due.at,
                "{window} {minute} {version}: {taken}, due {}",
                due.at
            );
            // Who wakes for it does not come before its moment.
            let moment = at(taken, Asker::Daemon).moment.expect("one is in place").at;
            let tick = Duration::from_millis(1);
            assert!(!at(moment - tick, Asker::Daemon).is_ordered());
            assert!(at(moment, Asker::Daemon).is_ordered());
        }
    }
}

/// Who reads on its eve when it is tried again must not believe that this is before a freeze.
#[test]
fn a_next_try_that_falls_into_days_without_work_is_told_for_their_end() {
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    let noon = Timestamp::parse("2026-11-18T12:00:00Z").expect("a literal time");
    let failed = |hours: u32| Failed {
        ca: ca("first"),
        at: noon - HOUR * hours,
        theirs: true,
        rejected: false,
        firm: false,
        local: false,
        until: None,
        limited: false,
        rehearsed: false,
    };
    let mut stored = good("shop");
    let current = stored.current.as_mut().expect("issued");
    current.not_before = noon - DAY * 57;
    current.not_after = noon + DAY * 33;
    stored.failed = [30, 29, 27, 1].map(failed).to_vec();
    let mut shop = wanted("shop");
    shop.cas = vec![ca("first")];
    let hours = |shop: &CertificateSettings| -> u32 {
        let held = held(shop, &stored, Asker::Timer, noon);
        let hours = held.strip_prefix("first: ladder 4 ");
        let hours = hours.map(|hours| hours.trim_end_matches(" h").parse());
        hours.expect("a ladder").expect("a number")
    };
    let alone = hours(&shop);
    assert!((12..36).contains(&alone), "{alone}");
    for (days, want) in [
        ("2026-11-19..2026-11-22", 108),
        // It ends before, or begins behind it, or leaves no time.
        ("2026-11-17", alone),
        ("2026-11-25..2026-11-26", alone),
        ("2026-11-19..2026-12-30", alone),
    ] {
        let off = crate::calendar::parse_blackout(days, &zones, &jiff::tz::TimeZone::UTC);
        shop.calendar = std::sync::Arc::new(crate::calendar::Calendar {
            windows: Vec::new(),
            blackout: vec![off.expect("literal days")],
        });
        assert_eq!(hours(&shop), want, "{days}");
    }
}

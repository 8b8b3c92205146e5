//! So many issuances that something must be wrong.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn aged(days: u32) -> Stored {
    let mut stored = good("shop");
    let current = stored.current.as_mut().expect("issued");
    current.not_before = NOW - DAY * days;
    current.not_after = NOW - DAY * days + DAY * 90;
    stored
}

#[test]
fn a_loop_of_orders_ends() {
    let shop = wanted("shop");
    // A loop of orders ends.
    let mut often = aged(56);
    often.issued = (0..5).map(|n| NOW - HOUR * n).collect();
    assert_eq!(
        held(&shop, &often, Asker::Person, NOW),
        "first: too many 5 164 h"
    );
    often.issued.remove(0);
    assert_eq!(held(&shop, &often, Asker::Person, NOW), "first: now");
    // What was issued by a clock that was ahead counts from when that was found, and by that clock.
    often.issued.clear();
    for (shown, found) in [(NOW + DAY * 60, NOW - HOUR), (NOW - HOUR, NOW - DAY * 60)] {
        often.doubtful = vec![(shown, found); 5];
        assert_eq!(
            held(&shop, &often, Asker::Person, NOW),
            "first: too many 5 167 h"
        );
    }
    often.doubtful = vec![(NOW - DAY * 8, NOW - DAY * 9); 5];
    assert_eq!(held(&shop, &often, Asker::Person, NOW), "first: now");
    // Where the time runs out it may be twice as many.
    let mut late = aged(80);
    late.doubtful = vec![(NOW + DAY * 60, NOW - HOUR); 9];
    assert_eq!(held(&shop, &late, Asker::Timer, NOW), "first: now");
    late.issued = vec![NOW - HOUR];
    assert_eq!(
        held(&shop, &late, Asker::Timer, NOW),
        "first: too many 10 167 h"
    );
    // One that lives for a day needs more.
    let mut short = aged(1);
    if let Some(current) = &mut short.current {
        current.not_before = NOW - HOUR * 13;
        current.not_after = NOW + HOUR * 11;
    }
    short.issued = (0..20).map(|n| NOW - HOUR * n * 8).collect();
    assert_eq!(held(&shop, &short, Asker::Person, NOW), "first: now");
    short.issued = (0..42).map(|n| NOW - HOUR * n).collect();
    assert!(held(&shop, &short, Asker::Person, NOW).starts_with("first: too many 42 "));
}

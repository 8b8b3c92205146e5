//! What a network that was away means for a plan.

use super::*;

/// The CA failed once; then this machine was cut off for most of the time since.
#[test]
fn hours_without_a_network_give_up_no_ca() {
    const HOUR: Duration = Duration::from_secs(3600);
    let shop = wanted("shop");
    let failed = |ca_name: &str, hours: u32, theirs, local| Failed {
        ca: ca(ca_name),
        at: NOW - HOUR * hours,
        theirs,
        rejected: false,
        firm: false,
        local,
        until: None,
        limited: false,
        rehearsed: false,
    };
    let held_after = |all: &[Failed]| {
        let mut stored = good("shop");
        let current = stored.current.as_mut().expect("issued");
        current.not_before = NOW - DAY * 57;
        current.not_after = NOW + DAY * 33;
        stored.failed = all.to_vec();
        held(&shop, &stored, Asker::Timer, NOW)
    };
    let theirs = failed("first", 20, true, false);
    // All the time at the CA, and a provider fails now.
    let provider = failed("first", 0, false, false);
    let failing = [theirs.clone(), provider.clone()];
    assert_eq!(held_after(&failing), "second: now");
    // Whoever was to be asked when the network was away, and whoever failed first when it was back.
    for cut_off in ["first", "second"] {
        let night = [
            theirs.clone(),
            failed(cut_off, 18, false, true),
            failed(cut_off, 9, false, true),
            failed("first", 3, false, false),
            provider.clone(),
        ];
        let found = held_after(&night);
        assert!(found.starts_with("first: ladder"), "{found}");
        // A blip takes nothing else away.
        let mut blip = night;
        blip[1].at = NOW - HOUR * 4;
        blip[2].at = NOW - HOUR * 4;
        assert_eq!(held_after(&blip), "second: now");
    }
}

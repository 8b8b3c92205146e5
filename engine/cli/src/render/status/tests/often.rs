//! What has failed several times in a row, and what is still to be revoked.

use super::*;

#[test]
fn what_has_failed_often_needs_a_person_as_the_mails_say() {
    let failed = |minutes: i64| waxwing_core::retry::ladder::Failed {
        ca: ca("first"),
        at: at(-60 * minutes),
        theirs: true,
        rejected: false,
        firm: false,
        local: false,
        limited: false,
        until: None,
        rehearsed: false,
    };
    let unrevoked = |tries, class: &str| waxwing_flow::history::Unrevoked {
        version: 6,
        tries,
        class: class.to_owned(),
        causes: vec!["it says no".to_owned()],
    };
    let due = item("shop", renew(Urgency::Due, 30));
    let mut owing = item("mail", keep());
    owing.notes = vec![Note::ToRevoke { version: 6 }];
    let inventory = BTreeMap::new();
    let check = |item: &Item, past: waxwing_flow::history::Past, want| {
        let plan = Plan {
            items: vec![item.clone()],
        };
        let view = StatusView {
            pasts: &BTreeMap::from([(item.name.clone(), past)]),
            ..bare(&plan, &inventory)
        };
        assert_eq!(view.health(item) == Health::NeedsPerson, want, "{item:?}");
    };
    let past = |failed: Vec<_>, unrevoked| waxwing_flow::history::Past {
        failed,
        unrevoked,
        ..waxwing_flow::history::Past::default()
    };
    check(&due, past(vec![failed(3), failed(2)], None), false);
    check(
        &due,
        past(vec![failed(3), failed(2), failed(1)], None),
        true,
    );
    // What is not due has failed for nobody.
    check(
        &owing,
        past(vec![failed(3), failed(2), failed(1)], None),
        false,
    );
    check(
        &owing,
        past(Vec::new(), Some(unrevoked(2, "transient"))),
        false,
    );
    check(
        &owing,
        past(Vec::new(), Some(unrevoked(3, "transient"))),
        true,
    );
    check(
        &owing,
        past(Vec::new(), Some(unrevoked(1, "rejected"))),
        true,
    );
}

#[test]
fn what_is_still_to_be_revoked_is_no_good_state() {
    let mut owing = item("shop", keep());
    owing.notes = vec![Note::ToRevoke { version: 6 }];
    let shop = entry("shop", "first", 90, AttemptResult::Renewed);
    assert_eq!(health(&owing, Some(&shop)), Health::Watch);
    let mut gone = item(
        "old",
        Action::Gone {
            not_after: Some(days(41)),
        },
    );
    gone.notes = vec![Note::ToRevoke { version: 2 }];
    let plan = Plan {
        items: vec![owing, gone],
    };
    let old = entry("old", "first", 41, failed("transient"));
    let inventory = [shop, old].map(|one| (one.certificate.clone(), one)).into();
    let view = StatusView {
        pasts: &crate::render::fixture::NO_PASTS,
        now: crate::render::fixture::at(0),
        plan: &plan,
        inventory: &inventory,
        certificates: CertificatesByName::new(&[]),
        failing: BTreeMap::new(),
        stood_in: BTreeMap::new(),
        broken: &[],
        version: "0.0.0",
        around: Around::default(),
    };
    golden("status-to-revoke.txt", |context| render(&view, context));
}

/// One that nobody may ask for before its end needs a person long before the safe floor.
#[test]
fn what_is_held_until_it_has_ended_is_urgent() {
    let held = |until| {
        let mut due = item("shop", renew(Urgency::Due, 30));
        due.hold = Some(waxwing_core::plan::hold::Hold::UsedUp {
            ca: ca("first"),
            until: days(until),
        });
        due.is_urgent()
    };
    assert!(!held(29));
    assert!(held(30));
    assert!(held(31));
}

//! What is in place while another one is wanted whether it is due or not.

use super::super::in_place::Damage;
use super::*;
use crate::time::Window;

#[test]
fn what_is_damaged_is_tried_in_a_hurry_before_its_end() {
    let failed = |minutes: u32| Failed {
        ca: ca("first"),
        at: NOW - Duration::from_secs(60) * minutes,
        theirs: false,
        rejected: false,
        firm: false,
        local: false,
        until: None,
        limited: false,
        rehearsed: false,
    };
    let tried = |left: Option<Duration>| {
        let mut stored = good("shop");
        stored.current = None;
        stored.damage = Some(Damage::Broken);
        stored.in_place = left.map(|left| Window {
            start: NOW + left - DAY * 90,
            end: NOW + left,
        });
        stored.failed = (1..9).rev().map(failed).collect();
        let shop = settings(vec![wanted("shop")]);
        let plan = planned(&shop, std::slice::from_ref(&stored), Asker::Timer, NOW);
        assert_eq!(plan.items[0].action, Action::Issue(IssueReason::Damaged));
        let until = plan.items[0].hold.as_ref().and_then(Hold::until);
        until.map_or(Duration::ZERO, |until| until.since(NOW))
    };
    assert!(tried(Some(DAY * 60)) > DAY / 2);
    assert!(tried(Some(DAY)) < Duration::from_secs(60 * 90));
    // Nobody knows, so that it is as one that was never issued.
    assert!(tried(None) > DAY / 2);
}

#[test]
fn what_ends_soon_is_urgent_whatever_another_one_is_wanted_for() {
    let left = |stored: &mut Stored, days: u32| {
        let current = stored.current.as_mut().expect("issued");
        current.not_after = NOW + DAY * days;
        current.not_before = current.not_after - DAY * 90;
    };
    for (days, want) in [(0, true), (10, true), (14, true), (16, false), (60, false)] {
        let mut stored = good("shop");
        left(&mut stored, days);
        let mut other = wanted("shop");
        other.domains.truncate(1);
        let mut replaced = stored.clone();
        replaced.to_revoke = Some(3);
        let mut damaged = stored.clone();
        damaged.damage = Some(Damage::Broken);
        damaged.in_place = stored.life();
        damaged.current = None;
        let mut renamed = damaged.clone();
        renamed.damage = None;
        for (wanted, stored) in [
            (other, &stored),
            (wanted("shop"), &replaced),
            (wanted("shop"), &damaged),
            (wanted("shop"), &renamed),
        ] {
            let plan = planned(
                &settings(vec![wanted]),
                std::slice::from_ref(stored),
                Asker::Timer,
                NOW,
            );
            let item = &plan.items[0];
            assert!(matches!(item.action, Action::Issue(_)), "{item:?}");
            assert_eq!(item.is_urgent(), want, "{days} {item:?}");
        }
    }
}

#[test]
fn what_has_left_serves_the_same_names() {
    let life = |days: u32| Window {
        start: NOW,
        end: NOW + DAY * days,
    };
    let (apex, wild, other, below) = (
        ids(&["example.com"]),
        ids(&["*.example.com"]),
        ids(&["other.example"]),
        ids(&["a.example.com", "b.a.example.com"]),
    );
    let both = ids(&["example.com", "*.example.com"]);
    for (wanted, left, want) in [
        (&both, vec![], None),
        (&both, vec![(&other[..], life(5))], None),
        (&both, vec![(&apex[..], life(5))], Some(5)),
        (
            &both,
            vec![(&apex[..], life(50)), (&wild[..], life(20))],
            Some(20),
        ),
        // Renamed twice: the older one is in use no more.
        (
            &both,
            vec![(&apex[..], life(5)), (&both[..], life(20))],
            Some(20),
        ),
        (
            &both,
            vec![(&both[..], life(5)), (&apex[..], life(20))],
            Some(5),
        ),
        (
            &wild,
            vec![(&below[..1], life(5)), (&below[..], life(7))],
            Some(5),
        ),
        (&wild, vec![(&apex[..], life(5))], None),
        (&wild, vec![(&below[..], life(7))], Some(7)),
        (&below, vec![(&wild[..], life(7))], Some(7)),
    ] {
        let found = in_place::inherited(wanted, left.clone().into_iter());
        assert_eq!(found, want.map(life), "{left:?}");
    }
}

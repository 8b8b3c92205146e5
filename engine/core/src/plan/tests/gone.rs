//! What is stored and not in the configuration any more.

use super::*;

#[test]
fn what_left_the_configuration_is_listed_last_and_changes_nothing() {
    let plan = planned(
        &settings(vec![wanted("shop")]),
        &[good("old"), good("shop"), good("archive")],
        Asker::Timer,
        NOW,
    );
    let names: Vec<_> = plan.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["shop", "archive", "old"]);
    let gone = Action::Gone {
        not_after: Some(NOW + DAY * 80),
    };
    assert_eq!(plan.items[2].action, gone);
    assert_eq!(plan.items[2].notes, []);
    assert!(!plan.has_changes());
}

#[test]
fn what_is_still_to_be_revoked_is_known_though_it_left_the_configuration() {
    for version in [2, 3] {
        let old = Stored {
            to_revoke: Some(version),
            ..good("old")
        };
        let plan = planned(&settings(Vec::new()), &[old], Asker::Timer, NOW);
        assert_eq!(plan.items[0].notes, [Note::ToRevoke { version }]);
        assert!(!plan.has_changes());
    }
}

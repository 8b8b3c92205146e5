//! What is said to be done about what failed.

use super::*;

#[test]
fn what_to_do_is_what_helps() {
    let last = |class: &str| AttemptResult::Failed {
        class: class.to_owned(),
        causes: vec!["as it is".to_owned()],
    };
    let due = |hold| Item {
        hold,
        ..item("shop", Action::Issue(IssueReason::Revoked))
    };
    let told = |class: &str, names: &[&str], hold: Option<Hold>| {
        let inventory: BTreeMap<_, _> = names
            .iter()
            .map(|name| entry(name, "first", 90, last(class)))
            .map(|e| (e.certificate.clone(), e))
            .collect();
        let of = |one: &&str| Item {
            name: name(one),
            ..due(hold.clone())
        };
        let plan = Plan {
            items: names.iter().map(of).collect(),
        };
        let context = Context {
            now: at(0),
            zone: jiff::tz::TimeZone::UTC,
            width: 200,
            colour: false,
        };
        render(&bare(&plan, &inventory), &context)
    };
    let asked = Some(Hold::Asked {
        ca: ca("first"),
        until: at(7_200),
    });
    let check = |class: &str, names: &[&str], hold: &Option<Hold>, want: &str| {
        let text = told(class, names, hold.clone());
        assert!(text.contains(want), "{want}: {text}");
    };
    check(
        "transient",
        &["shop"],
        &None,
        "when that is mended: waxwing renew shop\n",
    );
    check(
        "cancelled",
        &["shop"],
        &None,
        "hint: the next run goes on with it; `waxwing renew shop` does now",
    );
    check(
        "transient",
        &["mail", "shop"],
        &None,
        "when that is mended: waxwing renew\n",
    );
    check(
        "transient",
        &["mail", "shop"],
        &asked,
        "when that is mended: waxwing renew mail shop --force --yes\n",
    );
}

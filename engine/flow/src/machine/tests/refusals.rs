//! Orders that the CA does not take as they are.

use super::*;

#[test]
fn an_order_without_what_the_ca_refused_is_placed_once() {
    let with = |replaces: bool, profile: Option<bool>| {
        let mut run = fresh();
        run.terms.replaces = replaces.then(|| "a.b".to_owned());
        run.terms.profile = profile.map(|required| ("short".to_owned(), required));
        run
    };
    let refusals = |kinds: &[(u16, &str)]| {
        let failed = kinds
            .iter()
            .map(|(status, kind)| Event::Failed(refused(*status, kind, None)));
        and(vec![Event::Begin], failed.collect())
    };
    let replaced = (409, "alreadyReplaced");
    let machine = check(
        with(true, None),
        refusals(&[replaced]),
        "place the order None",
    );
    assert_eq!(machine.run().terms.replaces, None);
    check(
        with(true, None),
        refusals(&[replaced, replaced]),
        "end rejected, journal closed",
    );
    check(
        with(true, None),
        refusals(&[(404, "malformed")]),
        "place the order None",
    );
    check(
        with(true, None),
        refusals(&[(429, "rateLimited")]),
        "end rate-limited, journal closed",
    );
    check(
        with(false, None),
        refusals(&[replaced]),
        "end rejected, journal closed",
    );

    // What it has refused is not named again, whatever is in the way without.
    let limited = (429, "rateLimited");
    check(
        with(true, None),
        refusals(&[replaced, limited]),
        "end rate-limited, journal closed",
    );
    // Left out by turn, or because the CA stumbled, it may be what makes the order exempt from a limit. If that
    // fails, too, the limit is what is left.
    let mut by_turn = with(false, None);
    by_turn.terms.left_out = Some("a.b".to_owned());
    let stumbled = (500, "serverInternal");
    for (run, before) in [(by_turn, &[][..]), (with(true, None), &[stumbled][..])] {
        let all = |more: &[(u16, &'static str)]| {
            let events: Vec<_> = before.iter().chain(more).copied().collect();
            refusals(&events)
        };
        let machine = check(run.clone(), all(&[limited]), "place the order None");
        assert_eq!(machine.run().terms.replaces.as_deref(), Some("a.b"));
        for last in [limited, replaced, stumbled] {
            check(
                run.clone(),
                all(&[limited, last]),
                "end rate-limited, journal closed",
            );
        }
    }
    // A CA that stumbles over the predecessor, not one that is busy.
    for (status, keeps_it) in [(500, false), (502, true)] {
        let failed = refused(status, "serverInternal", None);
        let machine = check(
            with(true, None),
            vec![Event::Begin, Event::Failed(failed)],
            "place the order None",
        );
        assert_eq!(machine.run().terms.replaces.is_some(), keeps_it, "{status}");
    }

    let profile = (400, "invalidProfile");
    let machine = check(
        with(true, Some(false)),
        refusals(&[profile]),
        "place the order None",
    );
    assert_eq!(machine.run().terms.profile, None);
    assert_eq!(machine.run().terms.replaces.as_deref(), Some("a.b"));
    let required = with(false, Some(true));
    check(
        required,
        refusals(&[profile]),
        "end misconfigured, journal closed",
    );
    let at_finalize = and(
        good("key"),
        vec![Event::Failed(refused(400, "invalidProfile", None))],
    );
    let machine = check(
        with(false, Some(false)),
        at_finalize,
        "remove the records 2",
    );
    assert_eq!(
        (machine.run().stage, &machine.run().order_url),
        (Stage::Planned, &None)
    );
}

/// The CA hands out for a new order what it has refused for an old one.
#[test]
fn a_refusal_that_is_given_out_again_is_no_look_of_now() {
    let refused = || authorizations(AuthorizationStatus::Invalid, ChallengeStatus::Invalid);
    let again = "has given out the refusal of an earlier order again";
    let told = |before: Vec<Event>| {
        let (machine, effect) = after(fresh(), and(before, vec![refused()]));
        let end = match effect {
            Effect::End(end) => end,
            Effect::CleanUp(_) => match machine.step(cleaned(), START).1 {
                Effect::End(end) => end,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert!(matches!(end.result, Err(Failure::Validation { .. })));
        end.notes.iter().any(|note| note.contains(again))
    };
    assert!(told(good("placed")));
    assert!(!told(good("answered")));
}

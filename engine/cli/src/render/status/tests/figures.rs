//! The figures for Prometheus, beside the table.

use super::*;

#[test]
fn the_figures_say_the_same_as_the_table() {
    use std::collections::BTreeSet;

    use crate::render::fixture::golden_json;
    use crate::render::json::Document;
    use crate::render::metrics::{MetricsView, json, text};
    use waxwing_core::budget::Limit;
    use waxwing_core::ca::limits::LimitKind;
    use waxwing_core::plan::hold::Hold;
    use waxwing_flow::budget::Left;
    use waxwing_flow::history::Sighting;
    use waxwing_io::history::FailedAttempts;

    let held = |name: &str, hold| Item {
        hold: Some(hold),
        ..item(name, Action::Issue(IssueReason::Revoked))
    };
    let failures = |name: &str, class: &str, times| FailedAttempts {
        ca: ca(name),
        class: class.to_owned(),
        times,
    };
    let mut mail = entry("mail", "first", 90, AttemptResult::Renewed);
    mail.served = vec![ServedMark {
        place: "mail.example:443".to_owned(),
        at: at(-600),
        seen: Ok(ServedLeaf {
            sha256: "0d7a41".to_owned(),
            not_after: None,
        }),
    }];
    let old = entry("old", "first", 9, AttemptResult::Renewed);
    let lost = old.certificate.clone();
    let inventory: BTreeMap<_, _> = [mail, entry("late", "second", -2, failed("transient")), old]
        .map(|e| (e.certificate.clone(), e))
        .into();
    let plan = Plan {
        items: vec![
            item("mail", keep()),
            item("late", renew(Urgency::Expired, -2)),
            item("new", Action::Issue(IssueReason::Never)),
            held(
                "later",
                Hold::Ladder {
                    ca: ca("first"),
                    until: at(600),
                    failures: 1,
                },
            ),
            held(
                "never",
                Hold::NoCa {
                    passed_over: Vec::new(),
                },
            ),
            item("old", Action::Gone { not_after: None }),
        ],
    };
    let mut certificates = ["mail", "late", "new"].map(|name| settings(name, &["web"]));
    certificates[0].served_at = vec![ServedAt::parse("mail.example:443").expect("a place")];
    let sighting = |name: &str, result: Result<u64, &str>| {
        let sighting = Sighting {
            ca: ca(name),
            at: at(-60),
            result: result.map(Duration::from_millis).map_err(ToOwned::to_owned),
        };
        (ca(name), Some(sighting))
    };
    let cas = [
        sighting("first", Ok(240)),
        sighting("second", Err("refused")),
        (ca("third"), None),
        sighting("fourth", Ok(90)),
    ];
    let view = MetricsView {
        lost: &BTreeSet::from([lost.clone()]),
        used: &BTreeSet::from([&lost]),
        status: StatusView {
            pasts: &crate::render::fixture::NO_PASTS,
            now: crate::render::fixture::at(0),
            plan: &plan,
            inventory: &inventory,
            certificates: CertificatesByName::new(&certificates),
            failing: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            broken: &[],
            version: "0.0.0",
            around: Around::default(),
        },
        pasts: &BTreeMap::new(),
        cas: &cas,
        took: &[
            (ca("first"), Duration::from_millis(240)),
            (ca("second"), Duration::from_millis(70)),
            (ca("fourth"), Duration::from_millis(90)),
        ],
        fruitless: &[ca("fourth")],
        requests: &[(ca("first"), 1_204), (ca("second"), 17)],
        left: &[Left {
            ca: ca("first"),
            kind: LimitKind::Orders,
            left: 297,
            limit: Limit::parse("300 per 3h").expect("a limit"),
            until: None,
        }],
        failed: Some(&[
            failures("second", "transient", 3),
            failures("gone", FailedAttempts::OFFLINE, 1),
        ]),
        run: Some((at(0), false)),
        now: at(1),
    };
    let document = Document::new("metrics", at(1), json(&view).expect("figures"));
    golden_json("metrics.json", &document.to_text());
    golden_at("metrics.prom", &[80], |_context| {
        text(&view).expect("figures")
    });
}

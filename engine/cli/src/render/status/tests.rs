mod alike;
mod figures;
mod hints;
mod last_line;
mod often;

use std::time::Duration;

use waxwing_core::due::Urgency;
use waxwing_core::due::{Because, Due};
use waxwing_core::key::KeyType;
use waxwing_core::name::Identifier;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::settings::{CertificateSettings, DaysAfterIssue};
use waxwing_core::timer::Moment;
use waxwing_flow::certificate::{
    CertificateFacts, InstalledMark, InventoryVersion, Origin, ServedLeaf, ServedMark,
};
use waxwing_flow::ports::StoreErrorKind;

use super::super::fixture::{at, ca, days, golden, golden_at, golden_json, locked, name, plugin};
use super::super::json::{self, Document};
use super::super::page::tests::context;
use super::*;

fn due(at: waxwing_core::time::Timestamp) -> Due {
    Due {
        at,
        because: Because::DaysAfterIssue(55),
        safe_until: at + Duration::from_secs(86_400),
        warning: None,
    }
}

fn keep() -> Action {
    Action::Keep {
        due: due(days(53)),
        not_after: days(90),
    }
}

fn renew(urgency: Urgency, left: i64) -> Action {
    Action::Renew {
        due: due(days(-1)),
        urgency,
        not_after: days(left),
    }
}

fn item(certificate: &str, action: Action) -> Item {
    Item {
        moment: None,
        hold: None,
        name: name(certificate),
        action,
        ca: Some(ca("first")),
        install: Vec::new(),
        notes: Vec::new(),
    }
}

fn settings(certificate: &str, install: &[&str]) -> CertificateSettings {
    CertificateSettings {
        name: name(certificate),
        domains: vec![Identifier::parse("example.com").expect("a literal name")],
        cas: vec![ca("first"), ca("second")],
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: Vec::new(),
        install: install.iter().map(|text| plugin(text)).collect(),
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
        calendar: std::sync::Arc::default(),
    }
}

fn mark(by: PluginName, version: u32) -> InstalledMark {
    InstalledMark {
        plugin: by,
        version,
        leaf_sha256: "0d7a".to_owned(),
        leaf_sha1: "41".to_owned(),
        settings: String::new(),
        at: at(-3_000),
        receipt: String::new(),
        staging: false,
        not_after: None,
        older: None,
    }
}

fn entry(certificate: &str, by: &str, left: i64, result: AttemptResult) -> InventoryEntry {
    InventoryEntry {
        in_place: None,
        damage: None,
        certificate: name(certificate),
        current: Some(InventoryVersion {
            version: 7,
            facts: CertificateFacts {
                names: vec![Identifier::parse("example.com").expect("a literal name")],
                serial: vec![0x04, 0xab, 0x1f],
                authority_key_id: None,
                not_before: days(left - 90),
                not_after: days(left),
                leaf_sha256: "0d7a41".to_owned(),
                leaf_sha1: "41".to_owned(),
                public_key_sha256: "ff".to_owned(),
                key_type: Some(KeyType::EcdsaP256),
                issuers: vec!["Example R11".to_owned(), "Example Root".to_owned()],
            },
            origin: Origin {
                ca: ca(by),
                account: "https://ca.example/acct/1".to_owned(),
                issued_at: days(left - 90),
                fallback: by == "second",
                staging: false,
            },
            revoked: None,
        }),
        installed: vec![mark(plugin("web"), 7)],
        last: Some(LastAttempt {
            replaces: false,
            at: at(-3_500),
            ca: Some(ca(by)),
            result,
        }),
        served: Vec::new(),
        replacing: None,
        unfinished: false,
        owes: false,
        finalized: None,
    }
}

fn stood_in() -> StoodIn {
    StoodIn {
        other: ca("first"),
        why: "failed 3 times in a row".to_owned(),
    }
}

fn failed(class: &str) -> AttemptResult {
    AttemptResult::Failed {
        class: class.to_owned(),
        causes: vec![
            "first did not answer with a directory".to_owned(),
            "refused".to_owned(),
        ],
    }
}

/// What status shows where nothing but this is known.
fn bare<'a>(
    plan: &'a Plan,
    inventory: &'a BTreeMap<CertificateName, InventoryEntry>,
) -> StatusView<'a> {
    StatusView {
        pasts: &crate::render::fixture::NO_PASTS,
        now: at(0),
        plan,
        inventory,
        certificates: CertificatesByName::new(&[]),
        failing: BTreeMap::new(),
        stood_in: BTreeMap::new(),
        broken: &[],
        version: "0.0.0",
        around: Around::default(),
    }
}

#[test]
fn health_is_about_whether_a_person_is_needed() {
    let not_installed = || AttemptResult::NotInstalled {
        plugin: plugin("web"),
        causes: Vec::new(),
    };
    let table = [
        (
            keep(),
            Some(("first", AttemptResult::Renewed)),
            Health::Good,
        ),
        (
            keep(),
            Some(("second", AttemptResult::Renewed)),
            Health::Watch,
        ),
        (
            keep(),
            Some(("first", not_installed())),
            Health::NeedsPerson,
        ),
        (keep(), Some(("first", failed("transient"))), Health::Watch),
        (keep(), Some(("first", failed("rejected"))), Health::Watch),
        (
            renew(Urgency::Due, 30),
            Some(("first", failed("transient"))),
            Health::Watch,
        ),
        (
            renew(Urgency::Due, 30),
            Some(("first", failed("misconfigured"))),
            Health::NeedsPerson,
        ),
        (
            renew(Urgency::Emergency, 5),
            Some(("first", failed("transient"))),
            Health::NeedsPerson,
        ),
        (
            renew(Urgency::Expired, -5),
            Some(("first", AttemptResult::Renewed)),
            Health::NeedsPerson,
        ),
        (Action::Issue(IssueReason::Never), None, Health::Watch),
        (
            Action::Issue(IssueReason::Never),
            Some(("first", failed("transient"))),
            Health::NeedsPerson,
        ),
        (
            Action::Issue(IssueReason::Revoked),
            Some(("first", AttemptResult::Renewed)),
            Health::NeedsPerson,
        ),
        (
            Action::Gone { not_after: None },
            Some(("first", failed("bug"))),
            Health::Gone,
        ),
    ];
    for (action, last, want) in table {
        let entry = last.map(|(by, result)| entry("shop", by, 30, result));
        let item = item("shop", action);
        assert_eq!(health(&item, entry.as_ref()), want, "{item:?} {entry:?}");
    }
}

#[test]
fn the_worst_stands_first_and_says_what_to_do() {
    let not_installed = AttemptResult::NotInstalled {
        plugin: plugin("web"),
        causes: vec![
            "plugin web failed to install: the test failed".to_owned(),
            "exit code 1: unknown directive \"htp2\" in site.conf:14".to_owned(),
        ],
    };
    let mut blog = entry("blog", "first", 90, not_installed);
    blog.installed = vec![mark(plugin("web"), 6)];
    let inventory: BTreeMap<_, _> = [
        entry("mail", "first", 90, AttemptResult::Renewed),
        entry("shop", "second", 90, AttemptResult::Renewed),
        blog,
        entry("late", "first", -2, failed("transient")),
        entry("old", "first", 41, AttemptResult::Installed),
    ]
    .into_iter()
    .map(|entry| (entry.certificate.clone(), entry))
    .collect();
    let plan = Plan {
        items: vec![
            item("mail", keep()),
            item("shop", keep()),
            item(
                "blog",
                Action::Install {
                    due: due(days(53)),
                    not_after: days(90),
                },
            ),
            item("late", renew(Urgency::Expired, -2)),
            item("new", Action::Issue(IssueReason::Never)),
            item(
                "old",
                Action::Gone {
                    not_after: Some(days(41)),
                },
            ),
        ],
    };
    let certificates = [
        settings("mail", &["web"]),
        settings("shop", &["web", "proxy"]),
        settings("blog", &["web"]),
        settings("late", &["web"]),
        settings("new", &[]),
    ];
    let broken = [locked(StoreErrorKind::Corrupt)];
    let view = StatusView {
        pasts: &crate::render::fixture::NO_PASTS,
        now: crate::render::fixture::at(0),
        plan: &plan,
        inventory: &inventory,
        certificates: CertificatesByName::new(&certificates),
        failing: BTreeMap::new(),
        stood_in: BTreeMap::from([(name("shop"), stood_in())]),
        broken: &broken,
        version: "0.0.0",
        around: Around {
            started: Some(vec![Started {
                when: When::Hourly(Moment::new(37, 12).expect("a moment")),
                place: Some("/etc/systemd/system/waxwing.service".into()),
                last: Some(at(-180)),
            }]),
            profiles: Some(jiff::civil::date(2026, 11, 1)),
            ..Around::default()
        },
    };
    golden_at("status.txt", &[120, 100, 80, 60], |context| {
        render(&view, context)
    });
    golden("status-one.txt", |context| {
        render_one(&view, &plan.items[1], context)
    });
    assert!(view.needs_person());
    let none = json::messages(&[], &[]);
    let document = Document::new("status", at(0), json::status(&view, &[], none));
    golden_json("status.json", &document.to_text());
}

#[test]
fn a_certificate_that_is_not_served_needs_a_person() {
    let looked = |certificate: &str, seen: Result<(&str, i64), &str>| {
        let mut entry = entry(certificate, "first", 90, AttemptResult::Renewed);
        entry.served = vec![ServedMark {
            place: format!("{certificate}.example:443"),
            at: at(-600),
            seen: match seen {
                Ok((sha256, left)) => Ok(ServedLeaf {
                    sha256: sha256.to_owned(),
                    not_after: Some(days(left)),
                }),
                Err(cause) => Err(vec![cause.to_owned()]),
            },
        }];
        entry
    };
    let inventory: BTreeMap<_, _> = [
        looked("good", Ok(("0d7a41", 90))),
        looked("late", Ok(("ffffff", 12))),
        looked("down", Err("connect to 192.0.2.1:443: refused")),
        looked("moved", Err("not configured any more")),
        entry("other", "first", 90, AttemptResult::Renewed),
    ]
    .map(|e| (e.certificate.clone(), e))
    .into();
    let names = ["good", "late", "down", "moved", "other"];
    let plan = Plan {
        items: names.map(|name| item(name, keep())).to_vec(),
    };
    let certificates = names.map(|name| {
        let mut settings = settings(name, &["web"]);
        if !["moved", "other"].contains(&name) {
            let place = ServedAt::parse(&format!("{name}.example"));
            settings.served_at = vec![place.expect("a literal place")];
        }
        settings
    });
    let view = StatusView {
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
    };
    golden_at("status-served.txt", &[120, 100, 80, 60], |context| {
        render(&view, context)
    });
    golden("status-served-one.txt", |context| {
        render_one(&view, &plan.items[1], context)
    });
    let bad: Vec<&str> = view
        .ranked()
        .into_iter()
        .filter(|(health, _)| *health == Health::NeedsPerson)
        .map(|(_, item)| item.name.as_str())
        .collect();
    assert_eq!(bad, ["late", "down"]);
}

#[test]
fn when_all_is_well_the_first_line_says_so() {
    let inventory: BTreeMap<_, _> = [entry("mail", "first", 90, AttemptResult::Renewed)]
        .map(|e| (e.certificate.clone(), e))
        .into();
    let plan = Plan {
        items: vec![item("mail", keep())],
    };
    let certificates = [settings("mail", &["web"])];
    let view = StatusView {
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
    };
    golden("status-good.txt", |context| render(&view, context));
    assert!(!view.needs_person());
}

#[test]
fn a_long_name_gets_a_line_of_its_own_where_there_is_no_room() {
    let long = "payments-gateway.eu-west-1.internal.example.com";
    let inventory: BTreeMap<_, _> = [long, "mail"]
        .map(|name| entry(name, "first", 90, AttemptResult::Renewed))
        .map(|e| (e.certificate.clone(), e))
        .into();
    let plan = Plan {
        items: vec![item(long, keep()), item("mail", keep())],
    };
    let certificates = [long, "mail"].map(|name| settings(name, &["web"]));
    let view = StatusView {
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
    };
    golden_at("status-long.txt", &[120, 80, 60], |context| {
        render(&view, context)
    });
}

#[test]
fn a_page_for_a_browser_says_the_same() {
    use waxwing_flow::history::{Record, Recorded, RecordedFailure};
    use waxwing_flow::terms::NewTerms;

    use crate::render::ca::health::tests::watched;
    use crate::render::overview::{OverviewView, page};

    let inventory: BTreeMap<_, _> = [
        entry("mail", "first", 60, AttemptResult::Renewed),
        entry("stood", "second", 80, AttemptResult::Renewed),
        entry("late", "second", 2, failed("transient")),
    ]
    .map(|e| (e.certificate.clone(), e))
    .into();
    let mut owing = item("stood", keep());
    owing.notes = vec![Note::ToRevoke { version: 2 }];
    let plan = Plan {
        items: vec![
            item("mail", keep()),
            owing,
            item("late", renew(Urgency::Emergency, 2)),
            item("new", Action::Issue(IssueReason::Never)),
        ],
    };
    let mut certificates = ["mail", "late", "new", "stood"].map(|name| settings(name, &["web"]));
    let many = ["a", "b", "c", "d", "e"].map(|label| format!("{label}.example.com"));
    certificates[0].domains = many
        .iter()
        .map(|name| Identifier::parse(name).expect("a literal name"))
        .collect();
    let refused = "https://second.example/directory: <refused> & \"gone\"";
    let watched = [
        watched(
            "first",
            &[(48, Ok(200)), (24, Ok(220)), (1, Ok(210))],
            &[(3, "termsOfService", "v2")],
        ),
        watched("second", &[(30, Ok(90)), (2, Err(refused))], &[]),
    ];
    let attempt = |certificate: &str, hours: i64, failed: Option<RecordedFailure>| Record {
        run: "r1".to_owned(),
        certificate: name(certificate),
        started: at(-3_600 * hours - 7),
        ended: at(-3_600 * hours),
        what: Recorded::Attempt {
            ca: ca("second"),
            stands_in: None,
        },
        version: failed.is_none().then_some(7),
        failed,
        requests: Some(9),
        times: 1,
    };
    let batch = RecordedFailure {
        kind: "install".to_owned(),
        causes: vec![
            "plugin web failed to install: the command reload ended with exit code 1".to_owned(),
            "  certificates: shop, mail, blog".to_owned(),
        ],
        until: None,
    };
    let busy = RecordedFailure {
        kind: "rate-limited".to_owned(),
        causes: vec!["too many orders".to_owned()],
        until: Some(at(3_600)),
    };
    let records = [
        attempt(
            "late",
            2,
            Some(RecordedFailure {
                kind: "transient".to_owned(),
                causes: vec!["no directory at second".to_owned(), refused.to_owned()],
                until: None,
            }),
        ),
        Record {
            what: Recorded::Revocation {
                ca: Some(ca("second")),
                reason: Some(1),
                over: None,
            },
            ..attempt("mail", 69, None)
        },
        Record {
            what: Recorded::Attempt {
                ca: ca("second"),
                stands_in: Some((ca("first"), stood_in().why)),
            },
            ..attempt("stood", 70, None)
        },
        Record {
            what: Recorded::Deploy {
                target: "web".to_owned(),
            },
            ..attempt("mail", 71, Some(batch))
        },
        Record {
            times: 5,
            ..attempt("mail", 72, Some(busy))
        },
    ];
    let context = super::super::page::tests::context(120, false);
    let page = page(
        &OverviewView {
            status: StatusView {
                pasts: &crate::render::fixture::NO_PASTS,
                now: crate::render::fixture::at(0),
                plan: &plan,
                inventory: &inventory,
                certificates: CertificatesByName::new(&certificates),
                failing: BTreeMap::new(),
                stood_in: BTreeMap::from([(name("stood"), stood_in())]),
                broken: &[locked(StoreErrorKind::Corrupt)],
                version: "0.0.0",
                around: Around {
                    terms: vec![NewTerms {
                        ca: ca("first"),
                        directory: "https://first.example/directory".to_owned(),
                        agreed: ("https://first.example/v1".to_owned(), days(-90)),
                        now: "https://first.example/v2".to_owned(),
                    }],
                    ..Around::default()
                },
            },
            watched: &watched,
            records: &records,
            next: Some((at(1_800), "late is tried again".to_owned())),
            host: "web1",
        },
        &context,
    );
    assert!(
        page.contains("&lt;refused&gt; &amp; &quot;gone&quot;"),
        "{page}"
    );
    // What `status` and `history` say of a fallback, a debt and a batch is on the page, too.
    for said in [
        "issued by the fallback second, instead of first: failed 3 times in a row",
        "version 2 is still to be revoked, behind the one that takes its place",
        "Hint: `waxwing revoke stood --replace` goes on with it",
        "<div>instead of first: failed 3 times in a row</div>",
        "a.example.com, b.example.com, c.example.com and 2 more",
        "<summary>plugin web failed to install: the command reload ended with exit code 1<",
        "5 times since",
        "first has new terms: https://first.example/v2",
        "Hint: when you have read them: waxwing account agree first",
    ] {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    // It is not read again under the eyes of somebody.
    assert!(!page.contains("http-equiv=\"refresh\""));
    for never in ["<script", "http://", "src="] {
        assert!(!page.contains(never), "{never}");
    }
    golden_json("overview.html", page.trim_end());
}

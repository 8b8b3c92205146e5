use std::collections::BTreeMap;

use waxwing_core::budget::Limit;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::due::{self, Suggestion};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CertificateName, Identifier};
use waxwing_core::notify::Way;
use waxwing_core::outage::Down;
use waxwing_core::plan::Plan;
use waxwing_core::plan::hold::Hold;
use waxwing_core::profiles;
use waxwing_core::retry::ladder::Trouble;
use waxwing_core::schedule::Moment;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::settings::{CertificatesByName, DaysAfterIssue};
use waxwing_core::time::Window;
use waxwing_flow::certificate::{
    AttemptResult, CertificateFacts, InventoryEntry, LastAttempt, Origin, ServedMark,
};

use super::super::fixture::{at, ca, days, golden, golden_json, name, plugin};
use super::super::json::Document;
use super::super::page::tests::context;
use super::super::status::Around;
use super::*;

const USUAL: DaysAfterIssue = DaysAfterIssue {
    days: 55,
    written: false,
};

fn settings() -> CertificateSettings {
    CertificateSettings {
        name: name("shop"),
        domains: vec![Identifier::parse("example.com").expect("a literal name")],
        cas: vec![ca("first"), ca("second"), ca("third")],
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: Vec::new(),
        install: vec![plugin("web"), plugin("proxy")],
        served_at: vec![ServedAt::parse("example.com:443").expect("a literal place")],
        days_after_issue: USUAL,
        calendar: std::sync::Arc::default(),
    }
}

fn current(left: i64, fallback: bool) -> InventoryVersion {
    InventoryVersion {
        version: 7,
        facts: CertificateFacts {
            names: vec![Identifier::parse("example.com").expect("a literal name")],
            serial: vec![0x04],
            authority_key_id: None,
            not_before: days(left - 90),
            not_after: days(left),
            leaf_sha256: "0d7a41".to_owned(),
            leaf_sha1: "41".to_owned(),
            public_key_sha256: "ff".to_owned(),
            key_type: Some(KeyType::EcdsaP256),
            issuers: Vec::new(),
        },
        origin: Origin {
            ca: ca(if fallback { "second" } else { "first" }),
            account: "https://ca.example/acct/1".to_owned(),
            issued_at: days(left - 90),
            fallback,
            staging: false,
        },
        revoked: None,
    }
}

fn item(action: Action, hold: Option<Hold>) -> Item {
    Item {
        name: name("shop"),
        action,
        ca: Some(ca("first")),
        moment: None,
        hold,
        install: Vec::new(),
        notes: Vec::new(),
    }
}

fn notifiers() -> BTreeMap<NotifierName, NotifySettings> {
    let notifier = |name: &str, on: &[EventKind]| {
        let name = NotifierName::parse(name).expect("a literal name");
        let settings = NotifySettings {
            name: name.clone(),
            way: Way::Log,
            on: on.iter().copied().collect(),
        };
        (name, settings)
    };
    BTreeMap::from([
        notifier("mail", &[EventKind::Failed, EventKind::ExpiryNear]),
        notifier("pager", &[EventKind::ExpiryNear]),
    ])
}

/// What `status` knows.
struct StatusOf {
    plan: Plan,
    inventory: BTreeMap<CertificateName, InventoryEntry>,
    certificates: Vec<CertificateSettings>,
}

impl StatusOf {
    fn nothing() -> Self {
        Self {
            plan: Plan { items: Vec::new() },
            inventory: BTreeMap::new(),
            certificates: Vec::new(),
        }
    }

    fn view(&self) -> StatusView<'_> {
        StatusView {
            pasts: &crate::render::fixture::NO_PASTS,
            now: crate::render::fixture::at(0),
            plan: &self.plan,
            inventory: &self.inventory,
            certificates: CertificatesByName::new(&self.certificates),
            failing: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            broken: &[],
            version: "0.0.0",
            around: Around::default(),
        }
    }
}

fn cas() -> Vec<CaView> {
    let clean = |name: &str| CaView {
        name: ca(name),
        standing: Standing::default(),
        passed_over: None,
        left: Vec::new(),
        uncounted: (name == "second").then(|| "50 per 7d".to_owned()),
        account: Some(match name {
            "first" => AccountState::Registered(Some(days(-80))),
            _ => AccountState::Missing,
        }),
    };
    let mut third = clean("third");
    third.passed_over = Some("an order there may cost money".to_owned());
    vec![clean("first"), clean("second"), third]
}

#[test]
fn one_that_is_not_due_says_which_rule_decides() {
    let nothing = StatusOf::nothing();
    let (certificate, current) = (settings(), current(85, true));
    let facts = &current.facts;
    let window = Window {
        start: days(59),
        end: days(61),
    };
    let suggestion = Suggestion {
        window,
        chosen: days(60),
    };
    let rules = |suggestion| due::rules(facts.not_before, facts.not_after, USUAL, suggestion);
    let due = |suggestion| due::due(facts.not_before, facts.not_after, USUAL, suggestion);
    let keep = |due: Due, moment| Item {
        moment,
        ..item(
            Action::Keep {
                due,
                not_after: facts.not_after,
            },
            None,
        )
    };
    let in_window = Moment {
        at: days(48),
        placed: Placed::InWindow,
    };
    let advised = keep(due(Some(&suggestion)), None);
    let unadvised = keep(due(None), Some(in_window));
    let advice = Advice {
        about: "a.b".to_owned(),
        suggestion: None,
        explanation: None,
        next: at(3_600),
        failures: 1,
        cause: Some("404 at https://first.example/ari".to_owned()),
    };
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    let cas = cas();
    let mut view = ExplainView {
        item: &advised,
        certificate: Some(&certificate),
        current: Some(&current),
        rules: Some(rules(Some(&suggestion))),
        advice: None,
        failed: &[],
        cas: &cas,
        next: None,
        failover: FailOver::default(),
        plugins: &plugins,
        notifiers: &notifiers,
        status: &nothing.view(),
    };
    golden("explain-advised.txt", |context| render(&view, context));
    golden_json(
        "explain.json",
        &Document::new("explain", at(0), json(&view)).to_text(),
    );
    view.item = &unadvised;
    view.rules = Some(rules(None));
    view.advice = Some(&advice);
    golden("explain.txt", |context| render(&view, context));
}

#[test]
fn one_that_fails_says_what_holds_it_and_who_stands_in() {
    let (certificate, current) = (settings(), current(20, false));
    let facts = &current.facts;
    let due = due::due(facts.not_before, facts.not_after, USUAL, None);
    let renew = Action::Renew {
        urgency: due.urgency(at(0), facts.not_after),
        not_after: facts.not_after,
        due,
    };
    let held = item(
        renew,
        Some(Hold::Ladder {
            ca: ca("first"),
            until: at(6_000),
            failures: 3,
        }),
    );
    // Four while this machine was offline, then three of the CA's.
    let failed = [-90_000, -86_400, -80_000, -70_000, -7_200, -3_600, -600].map(|ago| Failed {
        ca: ca("first"),
        at: at(ago),
        rejected: false,
        firm: false,
        limited: false,
        rehearsed: false,
        theirs: ago >= -7_200,
        local: ago < -7_200,
        until: None,
    });
    let mut cas = cas();
    cas[0].standing = Standing {
        trouble: Some(Trouble {
            failures: 3,
            climbed: (3, 0),
            first: at(-7_200),
            last: at(-600),
            until: None,
            local: false,
            firm: false,
        }),
        not_before: Some(at(6_000)),
        own_wait: true,
        down_since: Some(Down::first(at(-7_200))),
        ..Standing::default()
    };
    let profile: CaProfile = profiles::shipped()
        .into_values()
        .next()
        .expect("one is shipped");
    let next = Next::Ask {
        ca: &profile,
        instead_of: Some((ca("first"), waxwing_core::ca::choose::Because::Failures(3))),
    };
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    let nothing = StatusOf::nothing();
    let view = ExplainView {
        item: &held,
        certificate: Some(&certificate),
        current: Some(&current),
        rules: Some(due::rules(facts.not_before, facts.not_after, USUAL, None)),
        advice: None,
        failed: &failed,
        cas: &cas,
        next: Some(&next),
        failover: FailOver::default(),
        plugins: &plugins,
        notifiers: &notifiers,
        status: &nothing.view(),
    };
    golden("explain-failing.txt", |context| {
        render(&view, context).replace(profile.name.as_str(), "second")
    });
}

#[test]
fn one_that_is_not_configured_is_not_explained_further() {
    let current = current(41, false);
    let gone = item(
        Action::Gone {
            not_after: Some(days(41)),
        },
        None,
    );
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    let nothing = StatusOf::nothing();
    let view = ExplainView {
        item: &gone,
        certificate: None,
        current: Some(&current),
        rules: None,
        advice: None,
        failed: &[],
        cas: &[],
        next: None,
        failover: FailOver::default(),
        plugins: &plugins,
        notifiers: &notifiers,
        status: &nothing.view(),
    };
    golden("explain-gone.txt", |context| render(&view, context));
}

#[test]
fn what_has_failed_without_a_ca_is_told_as_in_the_status() {
    let (certificate, current) = (settings(), current(85, false));
    let facts = &current.facts;
    let due = due::due(facts.not_before, facts.not_after, USUAL, None);
    let install = item(
        Action::Install {
            due: due.clone(),
            not_after: facts.not_after,
        },
        None,
    );
    let renew = item(
        Action::Renew {
            due,
            urgency: Urgency::Expired,
            not_after: facts.not_after,
        },
        None,
    );
    let not_installed = AttemptResult::NotInstalled {
        plugin: plugin("web"),
        causes: vec![
            "plugin web failed to install: the command reload failed".to_owned(),
            "it ended with exit code 1".to_owned(),
        ],
    };
    let not_loaded = AttemptResult::Failed {
        class: "misconfigured".to_owned(),
        causes: vec![
            "plugin dns failed to load: the secret token cannot be read".to_owned(),
            "/etc/waxwing/token: no such file".to_owned(),
        ],
    };
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    for (file, item, result) in [
        ("explain-not-installed.txt", install, not_installed),
        ("explain-not-asked.txt", renew, not_loaded),
    ] {
        let entry = InventoryEntry {
            in_place: None,
            damage: None,
            certificate: name("shop"),
            current: Some(current.clone()),
            installed: Vec::new(),
            last: Some(LastAttempt {
                replaces: false,
                at: at(-30),
                ca: None,
                result,
            }),
            served: Vec::new(),
            unfinished: false,
            replacing: None,
            owes: false,
            finalized: None,
        };
        let status = StatusOf {
            plan: Plan {
                items: vec![item.clone()],
            },
            inventory: BTreeMap::from([(name("shop"), entry)]),
            certificates: vec![certificate.clone()],
        };
        let view = ExplainView {
            item: &item,
            certificate: Some(&certificate),
            current: Some(&current),
            rules: Some(due::rules(facts.not_before, facts.not_after, USUAL, None)),
            advice: None,
            failed: &[],
            cas: &cas(),
            next: None,
            failover: FailOver::default(),
            plugins: &plugins,
            notifiers: &notifiers,
            status: &status.view(),
        };
        golden(file, |context| render(&view, context));
    }
}

#[test]
fn for_machines_trouble_has_plain_causes_and_what_is_not_served() {
    let (certificate, current) = (settings(), current(80, false));
    let keep = item(
        Action::Keep {
            due: due::due(
                current.facts.not_before,
                current.facts.not_after,
                USUAL,
                None,
            ),
            not_after: current.facts.not_after,
        },
        None,
    );
    let entry = InventoryEntry {
        in_place: None,
        damage: None,
        certificate: name("shop"),
        current: Some(current.clone()),
        installed: Vec::new(),
        last: Some(LastAttempt {
            replaces: false,
            at: at(-30),
            ca: None,
            result: AttemptResult::Failed {
                class: "transient".to_owned(),
                causes: vec![
                    "the test failed".to_owned(),
                    "  certificates: shop".to_owned(),
                ],
            },
        }),
        served: vec![ServedMark {
            place: "example.com:443".to_owned(),
            at: at(-30),
            seen: Err(vec!["refused".to_owned()]),
        }],
        unfinished: false,
        replacing: None,
        owes: false,
        finalized: None,
    };
    let status = StatusOf {
        plan: Plan {
            items: vec![keep.clone()],
        },
        inventory: BTreeMap::from([(name("shop"), entry)]),
        certificates: vec![certificate.clone()],
    };
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    let view = ExplainView {
        item: &keep,
        certificate: Some(&certificate),
        current: Some(&current),
        rules: None,
        advice: None,
        failed: &[],
        cas: &cas(),
        next: None,
        failover: FailOver::default(),
        plugins: &plugins,
        notifiers: &notifiers,
        status: &status.view(),
    };
    let json = serde_json::to_value(json(&view)).expect("JSON");
    let want = serde_json::json!([
        {"plugin": null, "place": null, "causes": ["the test failed", "certificates: shop"]},
        {"plugin": null, "place": "example.com:443", "causes": ["refused"]},
    ]);
    assert_eq!(json["trouble"], want);
}

#[test]
fn whatever_holds_it_the_verdict_is_a_sentence() {
    let (certificate, current) = (settings(), current(20, false));
    let facts = &current.facts;
    let due = due::due(facts.not_before, facts.not_after, USUAL, None);
    let renew = || Action::Renew {
        urgency: due.urgency(at(0), facts.not_after),
        not_after: facts.not_after,
        due: due.clone(),
    };
    let nothing = StatusOf::nothing();
    let (plugins, notifiers) = (BTreeMap::new(), notifiers());
    let until = at(6_000);
    let said = |hold: Hold, cas: &[CaView]| {
        let item = item(renew(), Some(hold));
        let view = ExplainView {
            item: &item,
            certificate: Some(&certificate),
            current: Some(&current),
            rules: None,
            advice: None,
            failed: &[],
            cas,
            next: None,
            failover: FailOver::default(),
            plugins: &plugins,
            notifiers: &notifiers,
            status: &nothing.view(),
        };
        let text = render(&view, &context(500, false));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let asked = || Hold::Asked {
        ca: ca("first"),
        until,
    };
    let mut used_up = cas();
    used_up[0].left = vec![Left {
        ca: ca("first"),
        kind: LimitKind::Orders,
        left: 0,
        limit: Limit {
            count: 4,
            per: Duration::from_secs(86_400),
        },
        until: Some(until),
    }];
    let when = "Tue 24 Nov 00:20 (in 100 min)";
    let all = [
        (
            Hold::Window { until },
            cas(),
            format!("it waits for its window until {when}; `waxwing renew shop` does not"),
        ),
        (
            Hold::Ladder {
                ca: ca("first"),
                until,
                failures: 1,
            },
            cas(),
            format!(
                "it failed 1 time at first, tried again {when}; `waxwing renew shop` tries now"
            ),
        ),
        (
            asked(),
            cas(),
            format!(
                "first asks to be left alone until {when}; `waxwing renew shop --force --yes` asks it all the same"
            ),
        ),
        (
            Hold::UsedUp {
                ca: ca("first"),
                until,
            },
            cas(),
            format!("what first allows is used up until {when}"),
        ),
        // A limit on its names, of which the plan of all knows nothing.
        (
            asked(),
            used_up,
            format!("what first allows is used up until {when}"),
        ),
        (
            Hold::TooMany { until, issued: 5 },
            cas(),
            format!(
                "5 were issued under this name within a week, which looks like a loop; no more before \
                 {when}; `waxwing renew shop --force --yes` issues one more all the same"
            ),
        ),
        (
            Hold::NoCa {
                passed_over: vec![(ca("first"), "CAA forbids it".to_owned())],
            },
            cas(),
            "no CA of the list can be asked: first: CAA forbids it".to_owned(),
        ),
    ];
    for (hold, cas, want) in all {
        let said = said(hold, &cas);
        let want = format!("shop is due, but {want}. ");
        assert!(said.starts_with(&want), "{said}");
    }
}

//! Invented stories and what is made of them.

use waxwing_core::budget::Limit;
use waxwing_core::ca::choose::Because;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::simulate::{Alert, Closest, Expired, LimitUse, Mark, Marked, Week};

use super::super::fixture::{at, ca, days, golden, golden_json, name};
use super::super::json::{self, Document};
use super::super::page::tests::context;
use super::*;

/// Four months of two certificates without any trouble.
fn quiet() -> Story {
    let window = Window {
        start: at(0),
        end: days(120),
    };
    let mut story = Story {
        window,
        seed: 1,
        disturbances: Vec::new(),
        certificates: 2,
        in_place: BTreeMap::new(),
        runs: 9,
        busy_runs: 4,
        crashes: 0,
        issued: BTreeMap::from([(ca("first"), 4)]),
        fallbacks: BTreeMap::new(),
        failures: BTreeMap::new(),
        examples: BTreeMap::new(),
        alerts: Vec::new(),
        closest: Some(Closest {
            certificate: name("shop"),
            at: days(60),
            left: Duration::from_secs(30 * 86_400),
            life: Duration::from_secs(90 * 86_400),
        }),
        expired: Vec::new(),
        limits: Vec::new(),
        requests: BTreeMap::from([(ca("first"), 36)]),
        weeks: vec![Week::default(); 18],
        marks: Vec::new(),
        marks_left_out: 0,
    };
    for (day, certificate) in [(0, "mail"), (0, "shop"), (60, "mail"), (60, "shop")] {
        issue(&mut story, day, certificate, "first", false);
    }
    story
}

fn issue(story: &mut Story, day: i64, certificate: &str, by: &str, fallback: bool) {
    mark(
        story,
        day,
        certificate,
        Marked::Issued {
            ca: ca(by),
            fallback,
            until: days(day + 90),
        },
    );
    let week = usize::try_from(day / 7).expect("a week");
    *story.weeks[week].issued.entry(ca(by)).or_default() += 1;
}

fn mark(story: &mut Story, day: i64, certificate: &str, what: Marked) {
    story.marks.push(Mark {
        at: days(day),
        certificate: name(certificate),
        what,
    });
}

fn assumed() -> Assumed {
    Assumed {
        cas: vec![ca("first"), ca("second")],
        names: vec![name("mail"), name("shop")],
        alone: BTreeSet::new(),
        beginning: Beginning::Stored { first: Vec::new() },
        every: Duration::from_secs(3_600),
        crash_rate: 0.0,
        scripted: 0,
        warnings: Vec::new(),
    }
}

fn outage(text: &str) -> Disturbance {
    Disturbance::parse(text).expect("well written")
}

/// The same with a CA that is down, a fallback, an expiry that was nobody's fault and one that was.
fn troubled() -> (Story, Assumed) {
    let mut story = quiet();
    let script = [
        "first=2027-01-20..+14d",
        "first:slow=2027-02-10..+2d",
        "second:rejects=2027-02-20T10:00:00Z..+6h",
        "dns=2026-12-05..+3h",
        "network=2026-12-07..+3h",
        "machine=2026-12-24..2026-12-26",
    ];
    story.disturbances = script.map(outage).into();
    for month in 0..10 {
        let drawn = format!("second=2027-0{}-03T04:00:00Z..+40m", 1 + month % 4);
        story.disturbances.push(outage(&drawn));
    }
    story.certificates = 3;
    story.crashes = 1;
    story.in_place = BTreeMap::from([(
        name("blog"),
        Window {
            start: days(-70),
            end: days(20),
        },
    )]);
    let first = (Some(ca("first")), FailureClass::Transient);
    let here = (None, FailureClass::Misconfigured);
    story.failures = BTreeMap::from([(first.clone(), 5), (here.clone(), 1)]);
    story.examples = BTreeMap::from([
        (
            first,
            vec![
                "first did not answer with a directory".to_owned(),
                "https://acme.first.example/directory: connection refused after 1 s".to_owned(),
            ],
        ),
        (
            here,
            vec!["the script <b>says</b> \"no\" & stops".to_owned()],
        ),
    ]);
    for day in 60..65 {
        let what = Marked::Failed {
            ca: Some(ca("first")),
            class: FailureClass::Transient,
        };
        mark(&mut story, day, "shop", what);
    }
    let stood_in = Marked::StoodIn {
        ca: ca("second"),
        instead_of: ca("first"),
        because: Because::Failures(3),
    };
    mark(&mut story, 65, "shop", stood_in);
    issue(&mut story, 65, "shop", "second", true);
    issue(&mut story, 30, "blog", "first", false);
    story.weeks[8].failed = 5;
    story.issued = BTreeMap::from([(ca("first"), 5), (ca("second"), 1)]);
    story.fallbacks = BTreeMap::from([(ca("second"), 1)]);
    story.requests = BTreeMap::from([(ca("first"), 51), (ca("second"), 10)]);
    let told = [
        (60, "shop", Step::Failed),
        (62, "shop", Step::FailedAgain),
        (20, "blog", Step::Expired),
        (20, "blog", Step::EndsSoon(4)),
        (64, "mail", Step::Failed),
        (64, "shop", Step::EndsSoon(0)),
        (65, "shop", Step::EndsSoon(1)),
    ];
    story.alerts = told
        .map(|(day, certificate, step)| Alert {
            at: days(day),
            certificate: name(certificate),
            step,
        })
        .into();
    story.weeks[9].alerts = 7;
    story.weeks[2].expired = 1;
    let expired = |of: &str, end: i64, until: Option<i64>, free: u64| Expired {
        certificate: name(of),
        life: Window {
            start: days(end - 90),
            end: days(end),
        },
        until: until.map(days),
        free: Duration::from_secs(free * 3_600),
    };
    story.expired = vec![
        expired("blog", 20, Some(30), 5),
        expired("mail", 118, None, 73),
    ];
    let used = |of: &str, kind, text: &str, most, exceeded| LimitUse {
        ca: ca(of),
        kind,
        limit: Limit::parse(text).expect("a limit"),
        most,
        exceeded,
    };
    story.limits = vec![
        used("first", LimitKind::Orders, "300 per 3h", 12, 0),
        used("first", LimitKind::FailedAuthorizations, "5 per 1h", 5, 2),
    ];
    let assumed = Assumed {
        names: vec![name("blog"), name("mail"), name("shop")],
        beginning: Beginning::Stored {
            first: vec![name("mail"), name("shop")],
        },
        crash_rate: 0.01,
        scripted: 6,
        warnings: vec![
            "first=2029-01-01T00:00:00Z..+1d lies outside of the time that is simulated".to_owned(),
        ],
        ..assumed()
    };
    (story, assumed)
}

#[test]
fn a_quiet_time_is_told_in_few_lines() {
    let (story, assumed) = (quiet(), assumed());
    let view = SimulationView {
        story: &story,
        assumed: &assumed,
        version: "0.0.0",
    };
    golden("simulate-quiet.txt", |context| render(&view, context));
}

#[test]
fn trouble_is_told_with_its_causes_and_what_it_led_to() {
    let (story, assumed) = troubled();
    let view = SimulationView {
        story: &story,
        assumed: &assumed,
        version: "0.0.0",
    };
    golden("simulate.txt", |context| render(&view, context));
    let document = Document::new("simulate", at(0), json::simulation(&view));
    golden_json("simulate.json", &document.to_text());
}

#[test]
fn the_page_stands_alone_and_shows_text_as_text() {
    let (story, assumed) = troubled();
    let view = SimulationView {
        story: &story,
        assumed: &assumed,
        version: "0.0.0",
    };
    let page = html::page(&view, &context(120, false));
    for foreign in [
        "http://", "<script", "<link", "<img", "url(", "@import", "src=", "<b>says",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("&lt;b&gt;says&lt;/b&gt; &quot;no&quot; &amp; stops"));
    for name in [
        "section", "table", "svg", "div", "ul", "dl", "figure", "details", "title",
    ] {
        let count = |piece: String| page.matches(&piece).count();
        let opened = count(format!("<{name}>")) + count(format!("<{name} "));
        assert_eq!(opened, count(format!("</{name}>")), "{name}");
    }
    golden_json("simulate.html", page.trim_end());
}

#[test]
fn every_verdict_has_its_hint() {
    let said = |story: &Story, assumed: &Assumed| {
        let view = SimulationView {
            story,
            assumed,
            version: "0.0.0",
        };
        let verdict = verdict(&view);
        (verdict.ink, verdict.text, verdict.hint)
    };
    let (mut story, mut assumed) = (quiet(), assumed());
    assert_eq!(said(&story, &assumed).0, Ink::Good);
    assumed.names.push(name("never"));
    let (ink, text, hint) = said(&story, &assumed);
    assert_eq!((ink, hint), (Ink::Warn, None));
    assert!(text.contains("Never issued: never"), "{text}");
    story.expired = vec![Expired {
        certificate: name("shop"),
        life: Window {
            start: Timestamp::from_unix(0),
            end: Timestamp::from_unix(90 * 86_400),
        },
        until: None,
        free: Duration::from_secs(3 * 86_400),
    }];
    let hint = |assumed: &Assumed| said(&story, assumed).2.expect("a hint");
    assert!(hint(&assumed).contains("seed 1"));
    assumed.alone.insert(name("shop"));
    assert!(hint(&assumed).contains("a second CA in `ca` could have stood in for shop"));
    assumed.crash_rate = 0.9;
    assert!(hint(&assumed).contains("--crash-rate"));
    assumed.every = Duration::from_secs(30 * 86_400);
    assert!(hint(&assumed).contains("a run each 30d is too rare"));
    story.expired[0].free = Duration::ZERO;
    let (ink, text, hint) = said(&story, &assumed);
    assert_eq!(ink, Ink::Warn);
    assert!(text.contains("no CA of its list"), "{text}");
    assert!(hint.is_some_and(|hint| hint.contains("a second CA")));
}

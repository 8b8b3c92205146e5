//! One row for each thing that can be the matter with a certificate.

mod away;
mod gone;
mod late;
mod loops;
mod network;
mod stood_in;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

use super::hold::Hold;
use super::*;
use crate::ca::CaProfile;
use crate::ca::choose::{FailBack, FailOver};
use crate::profiles;
use crate::settings::{
    AccountSettings, DaysAfterIssue, NetworkSettings, Propagation, StateSettings,
};

const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn ca(name: &str) -> CaName {
    CaName::parse(name).expect("a literal name")
}

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).expect("a literal name")
}

fn name(name: &str) -> CertificateName {
    CertificateName::parse(name).expect("a literal name")
}

fn ids(names: &[&str]) -> Vec<Identifier> {
    let ids = names.iter().map(|name| Identifier::parse(name));
    ids.collect::<Result<_, _>>().expect("literal names")
}

fn wanted(called: &str) -> CertificateSettings {
    CertificateSettings {
        name: name(called),
        domains: ids(&["example.com", "*.example.com"]),
        cas: vec![ca("first"), ca("second")],
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: Vec::new(),
        install: vec![plugin("web"), plugin("mail")],
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
        calendar: std::sync::Arc::default(),
    }
}

/// Issued ten days ago for ninety, installed everywhere.
fn good(called: &str) -> Stored {
    let mark = |called| Installed {
        plugin: plugin(called),
        version: 3,
        settings: "d1".to_owned(),
        staging: false,
    };
    Stored {
        name: name(called),
        current: Some(Current {
            version: 3,
            names: ids(&["*.example.com", "example.com"]),
            ca: ca("first"),
            fallback: false,
            staging: false,
            key: Some(KeyType::EcdsaP256),
            not_before: NOW - DAY * 10,
            not_after: NOW + DAY * 80,
            revoked: false,
            suggestion: None,
        }),
        damage: None,
        in_place: None,
        installed: vec![mark("web"), mark("mail")],
        failure: None,
        unfinished: false,
        owes: false,
        signed: None,
        failed: Vec::new(),
        to_revoke: None,
        issued: Vec::new(),
        doubtful: Vec::new(),
    }
}

fn settings(certificates: Vec<CertificateSettings>) -> Settings {
    let profile = |called: &str| {
        let profile = CaProfile {
            name: ca(called),
            staging: called == "staging",
            ..profiles::template()
        };
        (ca(called), profile)
    };
    Settings {
        account: AccountSettings {
            email: None,
            agree_terms: true,
            key: None,
        },
        state: StateSettings {
            dir: None,
            keep_versions: 3,
        },
        network: NetworkSettings {
            proxy: None,
            resolvers: Vec::new(),
            authoritative_port: 53,
            propagation: Propagation::Authoritative,
            trust: None,
        },
        failover: FailOver::default(),
        notify: BTreeMap::new(),
        log: crate::settings::LogSettings::default(),
        metrics: crate::settings::MetricsSettings::default(),
        cas: ["first", "second", "staging"].map(profile).into(),
        plugins: BTreeMap::new(),
        certificates,
        files: vec![PathBuf::from("waxwing.toml")],
        warnings: Vec::new(),
    }
}

fn digests() -> BTreeMap<PluginName, String> {
    ["web", "mail"]
        .map(|called| (plugin(called), "d1".to_owned()))
        .into()
}

/// Plans with installers as they were and CAs that are up.
fn planned(settings: &Settings, stored: &[Stored], asker: Asker, now: Timestamp) -> Plan {
    planned_with(settings, stored, &[], (asker, now))
}

/// The same, where this machine has reached nobody at times.
fn planned_with(
    settings: &Settings,
    stored: &[Stored],
    reached: &[(Timestamp, bool)],
    (asker, now): (Asker, Timestamp),
) -> Plan {
    let circumstances = Circumstances {
        digests: &digests(),
        down_since: &BTreeMap::new(),
        reached,
        spent: &BTreeMap::new(),
        forbidden: &BTreeMap::new(),
        asker,
        now,
    };
    plan(settings, stored, &circumstances)
}

/// Plans one certificate and gives its act in a word, the CA, the installers and the notes.
fn outcome(wanted: CertificateSettings, stored: Option<Stored>) -> String {
    let stored: Vec<_> = stored.into_iter().collect();
    let plan = planned(&settings(vec![wanted]), &stored, Asker::Timer, NOW);
    let item = &plan.items[0];
    let act = match &item.action {
        Action::Issue(reason) => format!("issue {reason:?}"),
        Action::Renew { due, urgency, .. } => format!("renew {:?} {urgency:?}", due.because),
        Action::Install { .. } => "install".to_owned(),
        Action::Keep { due, .. } => format!("keep {:?}", due.because),
        Action::Gone { .. } => "gone".to_owned(),
    };
    let install: Vec<_> = item
        .install
        .iter()
        .map(|one| format!("{}:{:?}", one.plugin, one.because))
        .collect();
    let ca = item.ca.as_ref().map_or("-", CaName::as_str);
    format!("{act} | {ca} | {} | {:?}", install.join(" "), item.notes)
}

#[test]
fn each_state_has_its_act() {
    let check = |change: &dyn Fn(&mut CertificateSettings, &mut Stored), want: &str| {
        let (mut wanted, mut stored) = (wanted("shop"), good("shop"));
        change(&mut wanted, &mut stored);
        assert_eq!(outcome(wanted, Some(stored)), want);
    };
    fn current(stored: &mut Stored) -> &mut Current {
        stored.current.as_mut().expect("issued")
    }
    let both = "web:NewVersion mail:NewVersion";

    assert_eq!(
        outcome(wanted("shop"), None),
        format!("issue Never | first | {both} | []")
    );
    check(&|_, _| {}, "keep DaysAfterIssue(55) | first |  | []");
    check(
        &|_, stored| {
            stored.current = None;
            stored.unfinished = true;
        },
        &format!("issue Never | first | {both} | [Unfinished]"),
    );
    // Names count as a set, and a change counts now.
    check(
        &|wanted, _| wanted.domains = ids(&["example.com", "www.example.com"]),
        &format!(
            "issue Names {{ added: {:?}, removed: {:?} }} | first | {both} | []",
            ids(&["www.example.com"]),
            ids(&["*.example.com"])
        ),
    );
    // CA and key wait for the renewal.
    check(
        &|wanted, _| wanted.cas = vec![ca("second")],
        "keep DaysAfterIssue(55) | first |  | [Ca { from: CaName(\"first\"), to: CaName(\"second\") }]",
    );
    check(
        &|wanted, _| wanted.key = KeyType::Rsa2048,
        "keep DaysAfterIssue(55) | first |  | [Key { from: EcdsaP256, to: Rsa2048 }]",
    );
    check(
        &|_, stored| {
            current(stored).ca = ca("second");
            current(stored).fallback = true;
        },
        "keep DaysAfterIssue(55) | second |  | [Fallback { first: CaName(\"first\") }]",
    );
    // Due, late, too late; then the configured CA is asked.
    let aged = |days: u32| {
        move |wanted: &mut CertificateSettings, stored: &mut Stored| {
            wanted.cas = vec![ca("second")];
            current(stored).not_before = NOW - DAY * days;
            current(stored).not_after = NOW - DAY * days + DAY * 90;
        }
    };
    let change = "[Ca { from: CaName(\"first\"), to: CaName(\"second\") }]";
    for (days, urgency) in [(55, "Due"), (75, "Emergency"), (90, "Expired")] {
        check(
            &aged(days),
            &format!("renew DaysAfterIssue(55) {urgency} | second | {both} | {change}"),
        );
    }
    // The CA's suggestion is stored with the certificate.
    check(
        &|_, stored| {
            current(stored).suggestion = Some(Suggestion {
                window: crate::time::Window {
                    start: NOW - DAY * 2,
                    end: NOW - DAY,
                },
                chosen: NOW - DAY,
            });
        },
        &format!("renew Suggested Due | first | {both} | []"),
    );
    // Installing follows the state.
    check(
        &|_, stored| {
            stored.installed.pop();
        },
        "install | first | mail:Never | []",
    );
    check(
        &|_, stored| stored.installed[0].version = 2,
        "install | first | web:OtherVersion(2) | []",
    );
    check(
        &|_, stored| stored.installed[1].settings = "d0".to_owned(),
        "install | first | mail:Settings | []",
    );
    check(
        &|wanted, stored| {
            wanted.install.clear();
            stored.installed.clear();
        },
        "keep DaysAfterIssue(55) | first |  | []",
    );
    // Staging.
    check(
        &|_, stored| current(stored).staging = true,
        &format!("issue Staging | first | {both} | []"),
    );
    // Revoked, whatever else there is to do.
    check(
        &|_, stored| {
            current(stored).revoked = true;
            stored.installed[0].version = 2;
        },
        &format!("issue Revoked | first | {both} | []"),
    );
    // To be revoked behind another one, which comes first; then behind the one that is there.
    check(
        &|_, stored| stored.to_revoke = Some(3),
        &format!("issue Replaced | first | {both} | []"),
    );
    check(
        &|_, stored| stored.to_revoke = Some(2),
        "keep DaysAfterIssue(55) | first |  | [ToRevoke { version: 2 }]",
    );
    check(
        &|wanted, stored| {
            wanted.cas = vec![ca("staging")];
            current(stored).ca = ca("staging");
            current(stored).staging = true;
            stored.installed[0].version = 2;
        },
        "keep DaysAfterIssue(55) | staging |  | [Withheld { by: PluginName(\"web\") }]",
    );
    // One real certificate is enough, whichever installer has put it in place.
    check(
        &|wanted, stored| {
            wanted.cas = vec![ca("staging")];
            current(stored).ca = ca("staging");
            current(stored).staging = true;
            stored.installed[0].version = 2;
            stored.installed[0].staging = true;
        },
        "keep DaysAfterIssue(55) | staging |  | [Withheld { by: PluginName(\"mail\") }]",
    );
    check(
        &|wanted, stored| {
            wanted.cas = vec![ca("staging")];
            current(stored).ca = ca("staging");
            current(stored).staging = true;
            stored.installed[0].version = 2;
            stored
                .installed
                .iter_mut()
                .for_each(|mark| mark.staging = true);
        },
        "install | staging | web:OtherVersion(2) | []",
    );
    check(
        &|wanted, stored| {
            wanted.cas = vec![ca("staging")];
            wanted.domains = ids(&["example.com"]);
            current(stored).ca = ca("staging");
            current(stored).staging = true;
        },
        &format!(
            "issue Names {{ added: [], removed: {:?} }} | staging |  | [Withheld {{ by: \
             PluginName(\"web\") }}]",
            ids(&["*.example.com"])
        ),
    );
    check(
        &|wanted, stored| {
            wanted.days_after_issue = DaysAfterIssue {
                days: 85,
                written: true,
            };
            stored.failure = Some(LastFailure {
                at: NOW,
                plugin: None,
                causes: vec!["refused".to_owned()],
            });
        },
        &format!(
            "keep Lifetime | first |  | [Failure(LastFailure {{ at: {NOW:?}, plugin: None, causes: \
             [\"refused\"] }}), Warning(\"days-after-issue = 85 cannot be kept: this certificate \
             lives 90 days, so it is renewed after 60 days\")]"
        ),
    );
}

#[test]
fn an_order_that_is_kept_is_no_debt() {
    // Unfinished, owes, due: is it noted?
    let table = [
        (false, false, false, false),
        (true, false, false, false),
        (true, true, false, true),
        (true, false, true, true),
        (true, true, true, true),
    ];
    for (unfinished, owes, due, want) in table {
        let mut stored = good("shop");
        (stored.unfinished, stored.owes) = (unfinished, owes);
        let now = if due { NOW + DAY * 70 } else { NOW };
        let plan = planned(
            &settings(vec![wanted("shop")]),
            &[stored],
            Asker::Timer,
            now,
        );
        let noted = plan.items[0].notes.contains(&Note::Unfinished);
        assert_eq!(noted, want, "{unfinished} {owes} {due}");
    }
}

#[test]
fn ten_thousand_certificates_are_one_pass() {
    let called: Vec<_> = (0..10_000).map(|n| format!("c{n}")).collect();
    let wanted: Vec<_> = called.iter().map(|name| wanted(name)).collect();
    let stored: Vec<_> = called.iter().rev().map(|name| good(name)).collect();
    let plan = planned(&settings(wanted), &stored, Asker::Timer, NOW);
    assert_eq!(plan.items.len(), 10_000);
    assert!(!plan.has_changes());
    assert_eq!(plan.items[7].name.as_str(), "c7");
}

/// What holds the certificate at `now`, in a word and hours, and the CA.
fn held(wanted: &CertificateSettings, stored: &Stored, asker: Asker, now: Timestamp) -> String {
    let settings = settings(vec![wanted.clone()]);
    let plan = planned(&settings, std::slice::from_ref(stored), asker, now);
    let item = &plan.items[0];
    let ca = item.ca.as_ref().map_or("-", CaName::as_str);
    let hold = match &item.hold {
        None => "now".to_owned(),
        Some(hold) => {
            let word = match hold {
                Hold::Window { .. } => "window".to_owned(),
                Hold::Ladder { failures, .. } => format!("ladder {failures}"),
                Hold::Asked { .. } => "asked".to_owned(),
                Hold::UsedUp { .. } => "used up".to_owned(),
                Hold::TooMany { issued, .. } => format!("too many {issued}"),
                Hold::NoCa { passed_over } => format!("no ca {passed_over:?}"),
            };
            let hours = hold
                .until()
                .map_or(0, |until| until.since(now).as_secs() / 3600);
            format!("{word} {hours} h")
        }
    };
    format!("{ca}: {hold}")
}

#[test]
fn what_is_due_may_be_held_and_says_by_what() {
    const HOUR: Duration = Duration::from_secs(3600);
    let failed = |ca_name: &str, minutes: u32, theirs, until: Option<Duration>| Failed {
        ca: ca(ca_name),
        at: NOW - Duration::from_secs(60) * minutes,
        theirs,
        rejected: false,
        firm: false,
        local: false,
        until: until.map(|wait| NOW + wait),
        limited: false,
        rehearsed: false,
    };
    let aged = |days: u32, failed: Vec<Failed>| {
        let mut stored = good("shop");
        let current = stored.current.as_mut().expect("issued");
        current.not_before = NOW - DAY * days;
        current.not_after = NOW - DAY * days + DAY * 90;
        stored.failed = failed;
        stored
    };
    let mut shop = wanted("shop");
    let twice = vec![
        failed("first", 30, true, None),
        failed("first", 1, true, None),
    ];
    let mut thrice = vec![failed("first", 60, true, None)];
    thrice.extend(twice.clone());
    // Two failures: the ladder. A person may overrule it; behind the floor the other CA is asked.
    assert_eq!(
        held(&shop, &aged(56, twice.clone()), Asker::Timer, NOW),
        "first: ladder 2 0 h"
    );
    assert_eq!(
        held(&shop, &aged(56, twice.clone()), Asker::Person, NOW),
        "first: now"
    );
    assert_eq!(
        held(&shop, &aged(76, twice.clone()), Asker::Timer, NOW),
        "second: now"
    );
    // Three: the policy.
    assert_eq!(
        held(&shop, &aged(56, thrice), Asker::Timer, NOW),
        "second: now"
    );
    // Our own failures never count for that.
    let ours: Vec<_> = (0..9)
        .map(|n| failed("first", 9 - n, false, None))
        .collect();
    assert!(held(&shop, &aged(56, ours), Asker::Timer, NOW).starts_with("first: ladder 9 "));
    // What a CA asked for nobody overrules.
    let asked = vec![failed("first", 1, true, Some(HOUR * 5))];
    assert_eq!(
        held(&shop, &aged(56, asked.clone()), Asker::Person, NOW),
        "first: asked 5 h"
    );
    assert_eq!(
        held(&shop, &aged(76, asked), Asker::Person, NOW),
        "second: now"
    );
    // Nor if our own ladder would be longer by now.
    let mut often_asked: Vec<_> = (2..9).map(|n| failed("first", n, false, None)).collect();
    often_asked.push(failed("first", 1, true, Some(HOUR * 5)));
    assert_eq!(
        held(&shop, &aged(56, often_asked), Asker::Person, NOW),
        "first: asked 5 h"
    );
    // Other names, while the one in place is about to end: the ladder hurries as for a renewal.
    let again = || {
        (1..9)
            .rev()
            .map(|n| failed("first", n, false, None))
            .collect()
    };
    let mut other = aged(20, again());
    let mut wanted_more = shop.clone();
    let more = Identifier::parse("more.example.com").expect("a literal name");
    wanted_more.domains.push(more);
    let calm = held(&wanted_more, &other, Asker::Timer, NOW);
    assert!(
        calm.starts_with("first: ladder 8 ") && calm != "first: ladder 8 1 h",
        "{calm}"
    );
    if let Some(current) = &mut other.current {
        (current.not_before, current.not_after) = (NOW - DAY * 89, NOW + DAY);
    }
    assert_eq!(
        held(&wanted_more, &other, Asker::Timer, NOW),
        "first: ladder 8 0 h"
    );
    // Windows: a missed one waits for the next, an emergency and a person wait for none.
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    let window = crate::calendar::parse_window("01:00-05:00 UTC", &zones, &jiff::tz::TimeZone::UTC);
    shop.calendar = std::sync::Arc::new(crate::calendar::Calendar {
        windows: vec![window.expect("a literal window")],
        blackout: Vec::new(),
    });
    let noon = Timestamp::parse("2026-11-18T12:00:00Z").expect("a literal time");
    assert_eq!(
        held(&shop, &aged(57, Vec::new()), Asker::Timer, noon),
        "first: window 13 h"
    );
    assert_eq!(
        held(&shop, &aged(57, Vec::new()), Asker::Person, noon),
        "first: now"
    );
    assert_eq!(
        held(&shop, &aged(76, Vec::new()), Asker::Timer, noon),
        "first: now"
    );
    // Nor does what has failed for a day; `failed` counts from another moment.
    let at_noon = |hours: u32| Failed {
        at: noon - HOUR * hours,
        ..failed("first", 0, true, None)
    };
    for (hours, want) in [(20, "first: window 4 h"), (30, "first: now")] {
        let stored = aged(57, vec![at_noon(hours)]);
        assert_eq!(held(&shop, &stored, Asker::Timer, noon), want, "{hours} h");
    }
    // Days without work count for it, if there is time behind them.
    let in_trouble = aged(57, vec![at_noon(30)]);
    for (days, want) in [
        ("2026-11-17..2026-11-19", "first: window 36 h"),
        ("2026-11-17..2026-12-30", "first: now"),
        ("2026-11-19", "first: now"),
    ] {
        let off = crate::calendar::parse_blackout(days, &zones, &jiff::tz::TimeZone::UTC);
        let mut frozen = shop.clone();
        let calendar = std::sync::Arc::make_mut(&mut frozen.calendar);
        calendar.blackout = vec![off.expect("literal days")];
        assert_eq!(
            held(&frozen, &in_trouble, Asker::Timer, noon),
            want,
            "{days}"
        );
    }
    // Nor does a window what the CA is about to revoke: it had passed when it was told. One that was only
    // missed is nothing of the kind.
    let mut revoked = aged(20, Vec::new());
    let window = crate::time::Window {
        start: noon - DAY * 4,
        end: noon - DAY * 3,
    };
    let mut told = |chosen| {
        if let Some(current) = &mut revoked.current {
            current.suggestion = Some(Suggestion { window, chosen });
        }
        held(&shop, &revoked, Asker::Timer, noon)
    };
    assert_eq!(told(window.end + HOUR), "first: now");
    assert_eq!(told(window.start + HOUR), "first: window 13 h");
}

//! One row for each thing that can be the matter with a certificate.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::ca::CaProfile;
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
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
    }
}

/// Issued ten days ago for ninety, installed everywhere.
fn good(called: &str) -> Stored {
    let mark = |called| Installed {
        plugin: plugin(called),
        version: 3,
        settings: "d1".to_owned(),
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
        installed: vec![mark("web"), mark("mail")],
        failure: None,
        unfinished: false,
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

/// Plans one certificate and gives its act in a word, the CA, the installers and the notes.
fn outcome(wanted: CertificateSettings, stored: Option<Stored>) -> String {
    let stored: Vec<_> = stored.into_iter().collect();
    let plan = plan(&settings(vec![wanted]), &stored, &digests(), NOW);
    let item = &plan.items[0];
    let act = match &item.action {
        Action::Issue(reason) => format!("issue {reason:?}"),
        Action::Renew { due, urgency, .. } => format!("renew {:?} {urgency:?}", due.because),
        Action::Install { .. } => "install".to_owned(),
        Action::Keep { due } => format!("keep {:?}", due.because),
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
    check(
        &|wanted, stored| {
            wanted.cas = vec![ca("staging")];
            current(stored).ca = ca("staging");
            current(stored).staging = true;
            stored.installed[0].version = 2;
        },
        "keep DaysAfterIssue(55) | staging |  | []",
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
fn what_left_the_configuration_is_listed_last_and_changes_nothing() {
    let plan = plan(
        &settings(vec![wanted("shop")]),
        &[good("old"), good("shop"), good("archive")],
        &digests(),
        NOW,
    );
    let names: Vec<_> = plan.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["shop", "archive", "old"]);
    let gone = Action::Gone {
        not_after: Some(NOW + DAY * 80),
    };
    assert_eq!(plan.items[2].action, gone);
    assert!(!plan.has_changes());
}

#[test]
fn ten_thousand_certificates_are_one_pass() {
    let called: Vec<_> = (0..10_000).map(|n| format!("c{n}")).collect();
    let wanted: Vec<_> = called.iter().map(|name| wanted(name)).collect();
    let stored: Vec<_> = called.iter().rev().map(|name| good(name)).collect();
    let plan = plan(&settings(wanted), &stored, &digests(), NOW);
    assert_eq!(plan.items.len(), 10_000);
    assert!(!plan.has_changes());
    assert_eq!(plan.items[7].name.as_str(), "c7");
}

use std::time::Duration;

use super::super::fixture::{
    CertificateFixture, at, ca, certificate, days, domain, golden, golden_json, install, name,
    plugin, plugin_failure, run, served, silent,
};
use waxwing_core::http::TransportStage;

use super::super::json::{self, Document};
use super::super::outcome::exit_of;
use super::*;

fn view<'a>(report: &'a RunReport, kept: Vec<Kept>) -> RunView<'a> {
    let names = report
        .certificates
        .iter()
        .map(|report| report.certificate.clone());
    let next = kept
        .iter()
        .filter_map(|kept| Some((kept.until?, kept.certificate.clone())))
        .min();
    RunView {
        report,
        told: &[],
        kept,
        next,
        before: names.clone().map(|name| (name, days(34))).collect(),
        first_ca: names.map(|name| (name, ca("first"))).collect(),
        by_hand: BTreeMap::new(),
        keeps_its_key: std::collections::BTreeSet::new(),
        rehearsal: false,
        exit: exit_of(report),
    }
}

fn kept(certificate: &str, until: Timestamp) -> Kept {
    Kept {
        certificate: name(certificate),
        until: Some(until),
        why: None,
        held: false,
    }
}

fn timeline(fixture: CertificateFixture) -> CertificateFixture {
    let record = |fqdn: &str, by: &str| (domain(fqdn), plugin(by));
    fixture
        .reached(
            1,
            900,
            Reached::Ordered {
                ca: ca("first"),
                names: 2,
                resumed: false,
            },
        )
        .reached(
            2,
            400,
            Reached::Placed(vec![
                record("_acme-challenge.mail.example.com", "one-dns"),
                record("_acme-challenge.mail.example.org", "other-dns"),
            ]),
        )
        .reached(18, 16_000, Reached::Seen { servers: Some(10) })
        .reached(39, 21_000, Reached::Received)
        .reached(
            40,
            600,
            Reached::Removed {
                records: 2,
                left: 0,
            },
        )
}

#[test]
fn a_good_renewal_is_a_timeline() {
    let report = run(
        vec![timeline(certificate("mail").issued("first", false)).done()],
        vec![install("web", &["mail"]).done()],
    );
    let rest = || vec![kept("shop", days(53)), kept("app", days(16))];
    golden("renewal-good.txt", |context| {
        render(&view(&report, rest()), context)
    });
}

#[test]
fn a_long_name_gets_a_line_of_its_own_and_leaves_the_others_theirs() {
    let long = format!(
        "{0}.{0}.example.com",
        "a-label-of-many-letters-that-goes-on-and-on"
    );
    let report = run(
        vec![
            timeline(certificate(&long).issued("first", false)).done(),
            timeline(certificate("mail").issued("first", false)).done(),
        ],
        vec![install("web", &["mail"]).done()],
    );
    let rest = || {
        vec![
            kept("shop", days(53)),
            kept(&long.replace("a-l", "l"), days(16)),
        ]
    };
    golden("renewal-long.txt", |context| {
        render(&view(&report, rest()), context)
    });
}

#[test]
fn a_fail_over_says_what_the_first_ca_did() {
    let report = run(
        vec![
            timeline(certificate("shop").issued("second", true).refused("first"))
                .note("second does not offer the profile tls (offered: none); ordered without")
                .done(),
        ],
        vec![],
    );
    golden("renewal-fail-over.txt", |context| {
        render(&view(&report, vec![]), context)
    });
}

#[test]
fn a_total_failure_keeps_every_cause() {
    let parked = Failure::Parked {
        ca: ca("second"),
        retry_after: Duration::from_secs(3 * 86_400),
    };
    let both = |fixture: CertificateFixture| {
        fixture.refused("first").at_ca(
            "second",
            Failure::Validation {
                ca: ca("second"),
                refused: vec![(
                    waxwing_core::name::Identifier::parse("*.example.com").expect("a literal name"),
                    None,
                )],
            },
        )
    };
    let report = run(
        vec![
            both(certificate("shop")).only_at_cas().done(),
            both(certificate("blog")).only_at_cas().done(),
            certificate("mail")
                .at_ca("second", parked)
                .only_at_cas()
                .done(),
            certificate("app").locked().done(),
            certificate("old")
                .issued("first", false)
                .owed(plugin_failure("one-dns", "cleanup", "the zone is locked"))
                .done(),
        ],
        vec![install("web", &["old"]).failed("`web -t` failed").done()],
    );
    golden("renewal-failures.txt", |context| {
        render(&view(&report, vec![]), context)
    });
}

#[test]
fn when_this_machine_is_cut_off_no_ca_is_blamed() {
    let host = |name: &str| {
        let cause = "10.0.0.53 timed out after 5 s";
        let Failure::Directory { tried, .. } = silent(name, TransportStage::Dns, cause) else {
            panic!("a directory that did not answer");
        };
        (format!("acme.{name}.example"), tried[0].1.clone())
    };
    let hosts = vec![host("first"), host("second")];
    let report = run(
        vec![
            certificate("shop")
                .failed(Failure::Offline { hosts })
                .done(),
        ],
        vec![],
    );
    golden("renewal-offline.txt", |context| {
        render(&view(&report, vec![]), context)
    });
}

#[test]
fn where_no_resolver_answers_one_host_is_enough_to_tell() {
    let offline = |name: &str, stage, cause: &str| {
        let Failure::Directory { tried, .. } = silent("first", stage, cause) else {
            panic!("a directory that did not answer");
        };
        let hosts = vec![("acme.first.example".to_owned(), tried[0].1.clone())];
        certificate(name).failed(Failure::Offline { hosts }).done()
    };
    let unknown = "no address was found for acme.first.example";
    let report = run(
        vec![
            offline("shop", TransportStage::Resolver, unknown),
            offline("mail", TransportStage::Route, "Network is unreachable"),
        ],
        vec![],
    );
    golden("renewal-no-way-out.txt", |context| {
        render(&view(&report, vec![]), context)
    });
}

#[test]
fn a_batch_for_many_certificates_stands_on_its_own() {
    let report = run(
        vec![
            certificate("a")
                .issued("first", false)
                .for_the_first_time()
                .done(),
            certificate("b").issued("first", false).done(),
        ],
        vec![
            install("web", &["a", "b", "c"]).done(),
            install("mail", &["c"]).failed("no room").done(),
        ],
    );
    golden("renewal-batch.txt", |context| {
        render(&view(&report, vec![kept("c", at(3_700))]), context)
    });
}

#[test]
fn a_rehearsal_promises_nothing() {
    let report = run(
        vec![certificate("shop").issued("stage", false).done()],
        vec![install("web", &["shop"]).planned().done()],
    );
    golden("renewal-rehearsal.txt", |context| {
        let view = RunView {
            told: &[],
            by_hand: BTreeMap::new(),
            keeps_its_key: std::collections::BTreeSet::new(),
            rehearsal: true,
            ..view(&report, vec![])
        };
        render(&view, context)
    });
}

#[test]
fn nothing_to_do_is_one_line_for_each_certificate_and_one_more() {
    let report = run(vec![], vec![]);
    golden("renewal-nothing.txt", |context| {
        render(
            &view(&report, vec![kept("shop", days(53)), kept("app", days(16))]),
            context,
        )
    });
}

#[test]
fn what_was_put_back_and_what_was_undone_is_said() {
    let mut report = run(
        vec![],
        vec![
            install("web", &["a", "b"])
                .failed("it was not in place")
                .undone(Ok(()))
                .done(),
            install("mail", &["c"])
                .failed("stopped")
                .undone(Err(Failure::Stopped))
                .done(),
            install("ftp", &["d"])
                .failed("the test failed")
                .undone(Err(Failure::Plugins(vec![plugin_failure(
                    "ftp", "rollback", "no room",
                )])))
                .done(),
        ],
    );
    let file = |path: &str, result| PutBack {
        plugin: plugin("web"),
        path: path.to_owned(),
        result,
    };
    report.put_back = vec![
        file("/etc/web/a.key", PutBackResult::Restored),
        file("/etc/web/a.crt", PutBackResult::LeftAlone),
        file(
            "/etc/web/b.crt",
            PutBackResult::Failed("no room".to_owned()),
        ),
    ];
    golden("renewal-undone.txt", |context| {
        render(&view(&report, vec![]), context)
    });
}

#[test]
fn what_servers_serve_is_part_of_the_timeline() {
    let mut report = run(
        vec![timeline(certificate("mail").issued("first", false)).done()],
        vec![install("web", &["mail"]).done()],
    );
    report.served = vec![
        served(
            "mail",
            "mail.example:25 starttls=smtp",
            Some("0d7a41"),
            true,
        ),
        served("mail", "mail.example:465", Some("ffee00"), false),
        served("shop", "shop.example", None, false),
        served("app", "app.example", Some("0d7a41"), true),
    ];
    golden("renewal-served.txt", |context| {
        render(&view(&report, vec![kept("app", days(16))]), context)
    });
}

#[test]
fn machines_get_what_people_read() {
    let report = run(
        vec![timeline(certificate("mail").issued("first", false)).done()],
        vec![install("web", &["mail"]).done()],
    );
    let view = view(&report, vec![kept("shop", days(53))]);
    let document = Document::new("renew", at(0), json::run(&view));
    golden_json("renewal.json", &document.to_text());
}

#[test]
fn what_is_revoked_behind_another_one_is_said_with_its_proof() {
    use waxwing_flow::replace::{Lacking, Over, Proof};
    use waxwing_flow::report::{Replaced, ReplacedReport};
    use waxwing_flow::revoke::{How, RevokeError};

    let place = |text: &str| waxwing_core::settings::served_at::ServedAt::parse(text);
    let place = |text| place(text).expect("a literal place");
    let revoked = |how, proof| Replaced::Revoked {
        ca: ca("first"),
        not_after: days(50),
        how,
        proof,
    };
    let one = |certificate, reason, new: bool, ended| ReplacedReport {
        certificate: name(certificate),
        version: 7,
        reason,
        new: new.then_some(8),
        ended,
    };
    let places = vec![place("shop.example:443"), place("www.example:443")];
    let lacking = Lacking {
        installers: vec![plugin("web")],
        places: vec![place("shop.example:443")],
    };
    let mut report = run(
        vec![certificate("shop").issued("first", false).done()],
        vec![],
    );
    report.replaced = vec![
        one(
            "shop",
            Some(1),
            true,
            revoked(How::ByAccount, Proof::Served(places)),
        ),
        one(
            "mail",
            None,
            true,
            revoked(How::ByKey, Proof::Installed(vec![plugin("web")])),
        ),
        one("blog", Some(4), true, revoked(How::Before, Proof::Stored)),
        one(
            "late",
            None,
            true,
            Replaced::Over {
                proof: Proof::Stored,
                why: Over::Expired(at(0)),
            },
        ),
        one("none", None, false, Replaced::Withdrawn),
        one("soon", None, false, Replaced::Waiting),
        one("lost", None, true, Replaced::Unproved(lacking)),
        one(
            "owed",
            Some(1),
            true,
            Replaced::Failed(RevokeError::UnknownCa(ca("gone"))),
        ),
    ];
    let mut view = view(&report, Vec::new());
    view.keeps_its_key = [name("shop")].into();
    golden("renewal-replaced.txt", |context| render(&view, context));
    let document = Document::new("renew", at(43), json::run(&view));
    golden_json("renewal-replaced.json", &document.to_text());
}

#[test]
fn what_no_run_tries_again_names_the_command_that_does() {
    let failed = |of: &str| certificate(of).refused("first").only_at_cas().done();
    let mut certificates = vec![failed("shop"), failed("mail"), failed("due")];
    for one in &mut certificates {
        one.next_try = Some((at(3_600), ca("first")));
    }
    let report = run(certificates, vec![]);
    let commands = [
        ("shop", "waxwing renew shop --force"),
        ("mail", "waxwing revoke mail --replace"),
    ];
    let commands = commands.map(|(of, command)| (name(of), command.to_owned()));
    let view = RunView {
        by_hand: commands.into(),
        ..view(&report, vec![])
    };
    golden("renewal-by-hand.txt", |context| render(&view, context));
    let json = serde_json::to_value(json::run(&view)).expect("JSON");
    let of = |nth: usize| {
        let one = &json["certificates"][nth];
        (one["next_try"].is_null(), one["by_hand"].as_str())
    };
    assert_eq!(of(0), (true, Some("waxwing renew shop --force")));
    assert_eq!(of(2), (false, None));
}

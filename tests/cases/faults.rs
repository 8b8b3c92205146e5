//! What goes wrong outside: the run says what, does what can be done, and leaves nothing behind.

use std::fs;
use std::time::{Duration, Instant};

use http::StatusCode;
use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Judge, Rig, both, certificate, finish, plain, until};

/// Judges that never issue for anything below `blocked.example`.
fn with_a_blocked_name(test: &str, claim: impl Fn(&Rig, &Judge)) {
    let blocked = vec!["blocked.example".to_owned()];
    let at_world = ca::Options {
        blocked: blocked.clone(),
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        blocked,
        ..pebble::Options::default()
    };
    both(test, &at_world, &at_pebble, claim);
}

fn section<'a>(name: &'a str, directory: String, more: &'a str) -> CaSection<'a> {
    CaSection {
        name,
        directory,
        more,
    }
}

/// The world's CA with a door that refuses everybody.
fn refusing(rig: &Rig) -> Judge {
    let judge = rig.ca(ca::Options::default());
    if let Judge::World(ca) = &judge {
        ca.fault(Fault::always(
            Class::Directory,
            What::Html(StatusCode::FORBIDDEN),
        ));
    }
    judge
}

#[test]
fn a_refused_directory_is_named_and_the_next_ca_issues() {
    let test = "a_refused_directory_is_named_and_the_next_ca_issues";
    plain(test, |rig, judge| {
        let refusing = refusing(rig);
        let config = rig.config_of(&[
            section("first", refusing.directory(), ""),
            section("second", judge.directory(), ""),
        ]);
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(refusing.traffic().count(Class::NewOrder), 0);
        run.says(&refusing.directory()).says("403");
    });
}

#[test]
fn with_every_ca_down_each_cause_is_named() {
    // Pebble is never down.
    let rig = Rig::new();
    let refusing = refusing(&rig);
    // Nobody listens there.
    let nowhere = "https://127.0.0.1:1/directory";
    let config = rig.config_of(&[
        section("first", refusing.directory(), ""),
        section("second", nowhere.to_owned(), ""),
    ]);
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    let run = rig.waxwing(&["renew"]).expect(5);
    run.says(&refusing.directory())
        .says("403")
        .says(nowhere)
        .says("refused");
    assert_eq!(rig.versions("one"), 0);
    assert_eq!(rig.provider.traffic().total(), 0, "no record for nobody");
}

#[test]
fn a_page_that_asks_for_patience_is_obeyed() {
    const WAIT: Duration = Duration::from_secs(2);
    // Pebble has no limits to ask patience for.
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    if let Judge::World(ca) = &judge {
        ca.fault(Fault::once(
            Class::NewOrder,
            What::Status {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: vec![
                    ("retry-after".to_owned(), WAIT.as_secs().to_string()),
                    ("content-type".to_owned(), "text/html".to_owned()),
                ],
                body: "<html><body>429 Too Many Requests</body></html>".to_owned(),
            },
        ));
    }
    let config = rig.config_at(&judge, "");
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    let started = Instant::now();
    rig.waxwing(&["renew"]).expect(0);
    assert!(started.elapsed() >= WAIT);
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    rig.verify("one", &judge.root_pem(0));
}

#[test]
fn an_answer_that_is_lost_costs_no_certificate() {
    let lost = [
        Class::NewAccount,
        Class::NewOrder,
        Class::Authorization,
        Class::Challenge,
        Class::Order,
        Class::Finalize,
        Class::Certificate,
    ];
    for class in lost {
        // Pebble loses no answer.
        let rig = Rig::new();
        let judge = rig.ca(ca::Options::default());
        if let Judge::World(ca) = &judge {
            ca.fault(Fault::once(class, What::CloseAfter));
        }
        let config = rig.config_at(&judge, "");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]);
        assert_eq!(run.code, Some(0), "{class:?} lost: {}", run.stderr);
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(rig.records(), []);
        if let Judge::World(ca) = &judge {
            assert!(ca.faults().spent(), "{class:?} was asked for");
            assert_eq!(ca.certificates().len(), 1, "{class:?}");
            assert_eq!(ca.accounts(), 1, "{class:?}");
        }
    }
}

#[test]
fn a_name_that_the_ca_refuses_is_named_and_the_others_are_issued() {
    let test = "a_name_that_the_ca_refuses_is_named_and_the_others_are_issued";
    with_a_blocked_name(test, |rig, judge| {
        let domains = ["www.example.com", "bad.blocked.example"];
        let bad = certificate("bad", &domains);
        let good = certificate("good", &["good.example.com"]);
        rig.write_config(&format!("{}{bad}{good}", rig.config_at(judge, "")));
        let run = rig.waxwing(&["renew"]).expect(4);
        run.says("bad.blocked.example").says("rejectedIdentifier");
        rig.verify("good", &judge.root_pem(0));
        assert_eq!(rig.versions("bad"), 0);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_validation_that_fails_is_told_name_by_name_and_leaves_no_record() {
    let test = "a_validation_that_fails_is_told_name_by_name_and_leaves_no_record";
    plain(test, |rig, judge| {
        // The judges' look-ups fail; this side does not look.
        rig.world
            .dns()
            .servfail("_acme-challenge.bad.example.com")
            .expect("a name");
        let domains = ["good.example.com", "bad.example.com"];
        let config = rig
            .config_at(judge, "")
            .replace("[network]\n", "[network]\npropagation = \"wait 1s\"\n");
        rig.write_config(&format!("{config}{}", certificate("one", &domains)));
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("bad.example.com: ").says("TXT");
        assert_eq!(rig.versions("one"), 0);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_caa_record_for_another_ca_is_told() {
    // Pebble asks for no CAA records.
    let rig = Rig::new();
    let judge = rig.ca(ca::Options {
        caa: vec!["ours.example".to_owned()],
        ..ca::Options::default()
    });
    rig.world
        .dns()
        .set_caa("www.example.com", "issue", "theirs.example")
        .expect("in a zone");
    let config = rig.config_at(&judge, "");
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    let run = rig.waxwing(&["renew"]).expect(5);
    run.says("www.example.com").says("caa");
    assert_eq!(rig.records(), []);
}

#[test]
fn a_test_that_fails_puts_the_files_back_and_is_tried_again_without_an_order() {
    let test = "a_test_that_fails_puts_the_files_back_and_is_tried_again_without_an_order";
    plain(test, |rig, judge| {
        let (gate, open) = (rig.path("gate.sh"), rig.path("open"));
        fs::write(
            &gate,
            format!("#!/bin/sh\nexec test -e '{}'\n", open.display()),
        )
        .expect("written");
        let argv = format!(
            "grants.exec.test = {{ argv = [\"/bin/sh\", \"{}\"] }}",
            gate.display()
        );
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(judge, ""),
            rig.installer(&argv),
            certificate("one", &["www.example.com"]),
        ));
        fs::write(rig.path("tls/one.crt"), "the one before").expect("written");
        rig.waxwing(&["renew"]).expect(6);
        let installed = || fs::read(rig.path("tls/one.crt")).expect("a file");
        assert_eq!(installed(), b"the one before");
        assert!(!rig.path("tls/one.key").exists());
        assert_eq!(rig.versions("one"), 1, "the certificate is kept");
        judge.traffic().reset();
        rig.waxwing(&["renew"]).expect(6);
        fs::write(&open, "").expect("written");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 0);
        let stored = rig.stored("one").join("fullchain.pem");
        assert_eq!(installed(), fs::read(stored).expect("stored"));
    });
}

#[test]
fn refused_dns_credentials_are_told_and_the_order_waits_for_better_ones() {
    let test = "refused_dns_credentials_are_told_and_the_order_waits_for_better_ones";
    plain(test, |rig, judge| {
        let right = fs::read_to_string(rig.path("dme-secret-key")).expect("a secret");
        rig.write_secret("dme-secret-key", "11111111-2222-3333-4444-555555555555");
        let config = rig.config_at(judge, "");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("dns-made-easy").says("403").says("secret-key");
        rig.write_secret("dme-secret-key", &right);
        rig.waxwing(&["renew", "--now"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        rig.verify("one", &judge.root_pem(0));
    });
}

#[test]
fn a_record_of_somebody_else_at_the_same_name_stays() {
    plain(
        "a_record_of_somebody_else_at_the_same_name_stays",
        |rig, judge| {
            let name = "_acme-challenge.www";
            rig.provider
                .add_record("example.com", "TXT", name, "\"somebody else's\"")
                .expect("added");
            let config = rig.config_at(judge, "");
            rig.write_config(&format!(
                "{config}{}",
                certificate("one", &["www.example.com"])
            ));
            rig.waxwing(&["renew"]).expect(0);
            let left = rig.records();
            assert_eq!(left.len(), 1);
            assert_eq!(left[0].1, "somebody else's");
        },
    );
}

#[test]
fn a_rehearsal_asks_the_staging_ca_and_stores_nothing() {
    plain(
        "a_rehearsal_asks_the_staging_ca_and_stores_nothing",
        |rig, judge| {
            let real = rig.ca(ca::Options::default());
            let config = rig
                .config_of(&[
                    section("first", real.directory(), "rehearse-at = \"stage\""),
                    section("stage", judge.directory(), "staging = true"),
                ])
                .replace("ca = [\"first\", \"stage\"]", "ca = [\"first\"]");
            rig.write_config(&format!(
                "{config}{}{}",
                rig.installer(""),
                certificate("one", &["www.example.com"]),
            ));
            rig.waxwing(&["renew", "--dry-run"])
                .expect(0)
                .says("server: would: 2 files");
            assert_eq!(real.traffic().total(), 0);
            assert_eq!(judge.traffic().count(Class::Certificate), 1);
            assert!(
                rig.provider.traffic().count(Class::Create) > 0,
                "real records"
            );
            assert_eq!(rig.records(), []);
            assert_eq!(rig.versions("one"), 0);
            let installed = || fs::read_dir(rig.path("tls")).expect("a folder").count();
            assert_eq!(installed(), 0);
            // What cannot be installed is found before it matters.
            fs::remove_dir(rig.path("tls")).expect("an empty folder");
            rig.waxwing(&["renew", "--dry-run"])
                .expect(6)
                .says(&rig.path("tls").display().to_string());
            fs::create_dir(rig.path("tls")).expect("a folder");
            // A renewal would bring other files than those in place.
            rig.waxwing(&["renew"]).expect(0);
            rig.waxwing(&["renew", "--dry-run"])
                .expect(0)
                .says("would: ");
            assert_eq!(installed(), 2);
        },
    );
}

#[test]
fn a_staging_certificate_never_takes_the_place_of_a_real_one() {
    let test = "a_staging_certificate_never_takes_the_place_of_a_real_one";
    plain(test, |rig, judge| {
        let write = |more: &str| {
            rig.write_config(&format!(
                "{}{}{}",
                rig.config_at(judge, more),
                rig.installer(""),
                certificate("one", &["www.example.com"]),
            ));
        };
        write("");
        rig.waxwing(&["renew"]).expect(0);
        let installed = || fs::read(rig.path("tls/one.crt")).expect("a file");
        let real = installed();
        write("staging = true");
        // What the exit codes say of it is told elsewhere.
        let _forced = rig.waxwing(&["renew", "one", "--force"]);
        assert_eq!(rig.versions("one"), 2, "a staging certificate is stored");
        let _again = rig.waxwing(&["renew"]);
        assert_eq!(installed(), real);
        let plan = rig.waxwing(&["plan"]).expect(0);
        plan.says("nobody trusts a staging certificate, and server has put a real one in place");
    });
}

#[test]
fn a_certificate_that_another_run_works_on_is_left_to_it() {
    let test = "a_certificate_that_another_run_works_on_is_left_to_it";
    plain(test, |rig, judge| {
        let config = rig.config_at(judge, "");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        rig.provider
            .fault(Fault::once(Class::Zone, What::Slow(Duration::from_secs(5))));
        let first = rig.command(&["renew"]).spawn().expect("it starts");
        until("the first run at work", || {
            rig.provider.traffic().count(Class::Zone) > 0
        });
        rig.waxwing(&["renew"]).expect(7);
        finish(first).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        assert_eq!(rig.versions("one"), 1);
    });
}

#[test]
fn a_limit_on_names_that_is_used_up_is_told_alike_before_and_by_a_run() {
    let test = "a_limit_on_names_that_is_used_up_is_told_alike_before_and_by_a_run";
    plain(test, |rig, judge| {
        rig.world
            .dns()
            .servfail("_acme-challenge.bad.example.com")
            .expect("a name");
        let config = rig
            .config_at(judge, "limits = { failed-authorizations = \"1 per 9h\" }")
            .replace("[network]\n", "[network]\npropagation = \"wait 1s\"\n");
        let domains = ["bad.example.com"];
        rig.write_config(&format!("{config}{}", certificate("one", &domains)));
        rig.waxwing(&["renew"]).expect(5);
        let used_up = "what first allows is used up until";
        for verb in ["plan", "explain"] {
            rig.waxwing(&[verb, "one"]).expect(0).says(used_up);
        }
        let orders = judge.traffic().count(Class::NewOrder);
        rig.waxwing(&["renew", "one"]).expect(0).says(used_up);
        assert_eq!(judge.traffic().count(Class::NewOrder), orders);
    });
}

//! Records that are owed: which are, who pays, and what becomes of those that nobody can pay.

use std::fs;

use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, Run, certificate, plain, section_at};

fn open_journals(rig: &Rig) -> usize {
    let journals = fs::read_dir(rig.path("state/journal"));
    journals.map_or(0, |all| {
        let names = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.ends_with(".toml")).count()
    })
}

#[test]
fn what_was_never_sent_is_not_owed() {
    plain("what_was_never_sent_is_not_owed", |rig, judge| {
        // The DNS has the zone, the account has not.
        rig.world.dns().add_zone("example.org").expect("a name");
        let config = rig.config_at(judge, "");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.org"])
        ));
        let run = rig.waxwing(&["renew"]).expect(5);
        assert!(!run.stdout.contains("may still be there"), "{}", run.stdout);
        assert!(!run.stdout.contains("may be left"), "{}", run.stdout);
        let run = run.says("no zone that holds");
        assert_eq!(
            run.stdout.matches("no zone that holds").count(),
            1,
            "{}",
            run.stdout
        );
        // The mistake is mended, and nothing of it stays.
        rig.write_config(&format!(
            "{config}{}",
            certificate("two", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]).expect(0);
        assert!(!run.stderr.contains("ERROR"), "{}", run.stderr);
        assert_eq!(open_journals(rig), 0);
    });
}

/// A certificate whose record is still at the provider, because that could not be asked to remove it.
fn in_debt() -> (Rig, Judge) {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let config = rig.config_at(&judge, "");
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    rig.provider
        .fault(Fault::always(Class::Delete, What::CloseBefore));
    rig.waxwing(&["renew"])
        .expect(0)
        .says("may still be there; the next run tries again");
    rig.provider.faults().clear();
    assert_eq!(rig.records().len(), 1);
    (rig, judge)
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(&run.stdout).expect("stdout is JSON")
}

#[test]
fn a_debt_that_cannot_be_paid_is_told_with_what_to_do() {
    let (rig, _judge) = in_debt();
    // The same provider by another name: the debt is that of the old one.
    let text = fs::read_to_string(rig.path("waxwing.toml")).expect("a configuration");
    let secrets = "{ api-key = \"file:dme-api-key\", secret-key = \"file:dme-secret-key\" }";
    let section = section_at("dns-made-easy", &rig.provider.url(), secrets);
    let renamed = section.replace(
        "[plugin.dns-made-easy]",
        "[plugin.dme]\nuses = \"dns-made-easy\"",
    );
    rig.write_config(&text.replace(&section, &renamed));
    let run = rig.waxwing(&["renew"]).expect(1);
    let run = run.says("what an earlier run left may still be there");
    run.says("put [plugin.dns-made-easy] back until its records are removed");
    let run = rig.waxwing(&["renew", "--json"]).expect(1);
    let left = &json(&run)["result"]["left_over"];
    assert_eq!(left[0]["certificate"], "one", "{left}");
    assert!(
        left[0]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("put [plugin."))
    );
    // A renewal by the new one removes its own record and owes nothing for it.
    let run = rig.waxwing(&["renew", "one", "--force"]).expect(0);
    let run = run.says("1 record may be left at the DNS provider");
    assert!(!run.stdout.contains("2 may"), "{}", run.stdout);
    assert_eq!(rig.records().len(), 1);
    // Put back, it pays.
    rig.write_config(&text);
    rig.waxwing(&["renew"]).expect(0);
    assert_eq!(rig.records(), []);
    assert_eq!(open_journals(&rig), 0);
}

#[test]
fn a_debt_that_nobody_will_pay_can_be_given_up() {
    let (rig, judge) = in_debt();
    let config = rig.config_at(&judge, "");
    rig.write_config(&format!(
        "{config}{}",
        certificate("two", &["two.example.com"])
    ));
    // What is not configured any more still owes.
    rig.waxwing(&["status"])
        .says("one: what an earlier run has left at the DNS provider may still be there");
    rig.waxwing(&["forget", "one"])
        .expect(7)
        .says("`waxwing forget one --yes` leaves what it owes");
    rig.waxwing(&["forget", "one", "--yes"]).expect(0);
    assert_eq!(open_journals(&rig), 0);
    assert!(rig.path("state/archive/journals/one/0001").exists());
}

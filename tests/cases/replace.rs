//! `revoke --replace`: another certificate first, in its place, and the revocation last.

use std::fs;

use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::shop::{Greeting, Shop};
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, finish, plain, until};

/// A key that is to be kept, an installer, and more lines for the certificate.
fn configure(rig: &Rig, judge: &Judge, more: &str) {
    rig.write_config(&format!(
        "{}{}{}reuse-key = true\n{more}\n",
        rig.config_at(judge, ""),
        rig.installer(""),
        certificate("one", &["www.example.com"])
            .trim_end()
            .to_owned()
            + "\n",
    ));
}

/// The reasons with which the CA has revoked what is not installed, and what is. None at Pebble, which
/// does not show it.
fn revoked(rig: &Rig, judge: &Judge) -> Option<[Vec<Option<u64>>; 2]> {
    let Judge::World(ca) = judge else { return None };
    let installed = fs::read_to_string(rig.path("tls/one.crt")).expect("it is installed");
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for one in ca.certificates() {
        let here = installed.contains(one.pem.trim());
        if here { &mut new } else { &mut old }.push(one.revoked);
    }
    Some([old, new])
}

fn key(rig: &Rig) -> Vec<u8> {
    fs::read(rig.path("tls/one.key")).expect("it is installed")
}

#[test]
fn another_one_is_served_before_the_old_one_is_revoked() {
    let test = "another_one_is_served_before_the_old_one_is_revoked";
    plain(test, |rig, judge| {
        let (chain, file) = (rig.path("tls/one.crt"), rig.path("tls/one.key"));
        let shop = Shop::start(&rig.world, Greeting::Tls, &chain, &file).expect("a server");
        let place = format!("localhost:{}", shop.address().port());
        configure(rig, judge, &format!("served-at = [\"{place}\"]"));
        rig.waxwing(&["renew"]).expect(0);
        let old = key(rig);
        rig.waxwing(&["revoke", "one", "--replace", "--reason", "key-compromise"])
            .expect(0)
            .says("version 1 revoked (key-compromise) by its account at first; it was valid until")
            .says(&format!(
                "version 2 has taken its place, with a new key, although reuse-key is set: {place} serves it"
            ));
        assert_ne!(key(rig), old);
        assert_eq!(judge.traffic().count(Class::NewOrder), 2);
        assert_eq!(judge.traffic().count(Class::Revoke), 1);
        if let Some(revoked) = revoked(rig, judge) {
            assert_eq!(revoked, [vec![Some(1)], vec![None]]);
        }
        // The key is kept again from now on, and nothing is left to do.
        rig.waxwing(&["plan", "--detailed-exitcode"]).expect(0);
        let status = rig.waxwing(&["status"]).expect(0);
        assert!(!status.stdout.contains("revoked"), "{}", status.stdout);
    });
}

#[test]
fn without_a_place_to_look_at_what_is_installed_is_the_proof_and_it_is_said() {
    let test = "without_a_place_to_look_at_what_is_installed_is_the_proof_and_it_is_said";
    plain(test, |rig, judge| {
        configure(rig, judge, "");
        rig.waxwing(&["revoke", "one", "--replace"]).expect(2);
        rig.waxwing(&["renew"]).expect(0);
        rig.waxwing(&["revoke", "one"])
            .expect(2)
            .says("`waxwing revoke one --replace` puts another one in its place first");
        let run = rig
            .waxwing(&["revoke", "one", "--replace", "--json"])
            .expect(0);
        for part in [
            "\"verb\": \"revoke\"",
            "\"result\": \"revoked\"",
            "\"by\": \"account\"",
            "\"proof\": \"installed\"",
            "\"new_version\": 2",
        ] {
            assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
        }
        rig.waxwing(&["revoke", "one", "--replace"])
            .expect(0)
            .says("installed by server; whether it is served was not looked at");
        assert_eq!(judge.traffic().count(Class::Revoke), 2);
        rig.edit("name = \"one\"", "name = \"other\"");
        rig.waxwing(&["revoke", "one", "--replace"])
            .expect(2)
            .says("one is not in the configuration");
    });
}

/// A world with a CA that can be disturbed, and one certificate.
fn disturbed() -> (Rig, Judge) {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, "");
    rig.waxwing(&["renew"]).expect(0);
    (rig, judge)
}

#[test]
fn nothing_is_revoked_if_no_other_one_is_to_be_had() {
    let (rig, judge) = disturbed();
    let Judge::World(ca) = &judge else { return };
    ca.fault(Fault::always(Class::NewOrder, What::CloseBefore));
    rig.waxwing(&["revoke", "one", "--replace"])
        .expect(5)
        .says("; nothing tries by itself: waxwing revoke one --replace")
        .says("version 1 is not revoked: there is no other certificate to take its place")
        .says("hint: when that is mended: waxwing revoke one --replace");
    assert_eq!(judge.traffic().count(Class::Revoke), 0);
    rig.waxwing(&["status"]).says(
        "hint: nothing tries this by itself; when that is mended: waxwing revoke one --replace",
    );
    // The same for a renewal that nobody needs.
    rig.waxwing(&["renew", "one", "--force"])
        .expect(5)
        .says("; nothing tries by itself: waxwing renew one --force");
    rig.waxwing(&["status"])
        .says("hint: nothing tries this by itself; when that is mended: waxwing renew one --force");
    rig.waxwing(&["renew"]).expect(0).says("1 not due");
    ca.faults().clear();
    rig.waxwing(&["plan", "--detailed-exitcode"]).expect(0);
    assert_eq!(rig.versions("one"), 1);
}

#[test]
fn a_revocation_that_failed_is_owed_until_a_later_run_has_paid_it() {
    let (rig, judge) = disturbed();
    let Judge::World(ca) = &judge else { return };
    ca.fault(Fault::always(Class::Revoke, What::CloseBefore));
    rig.waxwing(&["revoke", "one", "--replace", "--reason", "superseded"])
        .expect(4)
        .says("version 1 is not revoked yet")
        .says("version 2 has taken its place")
        .says("the next run goes on, or at once: waxwing revoke one --replace");
    rig.waxwing(&["status"])
        .expect(0)
        .says("one: version 1 is still to be revoked");
    rig.waxwing(&["plan"])
        .says("version 1 is still to be revoked");
    rig.waxwing(&["revoke", "one", "--replace"]).expect(4);
    ca.faults().clear();
    rig.waxwing(&["renew"])
        .expect(0)
        .says("version 1 revoked (superseded) by its account at first");
    assert_eq!(revoked(&rig, &judge), Some([vec![Some(4)], vec![None]]));
    assert_eq!(judge.traffic().count(Class::NewOrder), 2, "no third order");
    let asked = judge.traffic().count(Class::Revoke);
    rig.waxwing(&["renew"]).expect(0);
    assert_eq!(judge.traffic().count(Class::Revoke), asked);
}

#[test]
fn what_is_not_seen_in_its_place_keeps_the_old_one_from_being_revoked() {
    let (rig, judge) = disturbed();
    let (chain, file) = (rig.path("tls/one.crt"), rig.path("tls/one.key"));
    let shop = Shop::start(&rig.world, Greeting::Tls, &chain, &file).expect("a server");
    let place = format!("localhost:{}", shop.address().port());
    configure(&rig, &judge, &format!("served-at = [\"{place}\"]"));
    shop.freeze().expect("the files are there");
    rig.waxwing(&["revoke", "one", "--replace"])
        .expect(6)
        .says(&format!(
            "version 1 is not revoked yet: version 2 was not seen at {place}"
        ));
    assert_eq!(judge.traffic().count(Class::Revoke), 0);
    configure(&rig, &judge, "");
    rig.waxwing(&["revoke", "one", "--replace"])
        .expect(0)
        .says("version 1 revoked by its account at first");
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
}

#[test]
fn killed_with_the_other_one_in_place_the_next_run_revokes() {
    killed(&Fault::once(Class::Revoke, What::HangAfter), |judge| {
        judge.traffic().count(Class::Revoke) == 1
    });
}

#[test]
fn killed_before_the_other_one_has_come_the_next_run_gets_it_and_revokes() {
    killed(&Fault::once(Class::Finalize, What::HangAfter), |judge| {
        judge.traffic().count(Class::Finalize) == 2
    });
}

fn killed(moment: &Fault, come: impl Fn(&Judge) -> bool) {
    let (rig, judge) = disturbed();
    let Judge::World(ca) = &judge else { return };
    let old = key(&rig);
    ca.fault(moment.clone());
    let arguments = ["revoke", "one", "--replace", "--reason", "key-compromise"];
    let mut child = rig.command(&arguments).spawn().expect("it starts");
    until("the moment to kill", || come(&judge));
    child.kill().expect("it still ran");
    finish(child);
    ca.faults().clear();
    rig.waxwing(&["renew"]).expect(0).says("version 1 ");
    assert_eq!(revoked(&rig, &judge), Some([vec![Some(1)], vec![None]]));
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    assert_ne!(key(&rig), old);
    rig.waxwing(&["plan", "--detailed-exitcode"]).expect(0);
}

#[test]
fn another_ca_issues_and_the_one_that_is_not_in_the_list_any_more_revokes() {
    let rig = Rig::new();
    let (first, second) = (
        rig.ca(ca::Options::default()),
        rig.ca(ca::Options::default()),
    );
    configure(&rig, &first, "");
    rig.waxwing(&["renew"]).expect(0);
    let (one, two) = (first.directory(), second.directory());
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_without_plugins(&[("second", &two), ("first", &one)])
            .replace("ca = [\"second\", \"first\"]", "ca = [\"second\"]")
            + &dns(&rig),
        rig.installer(""),
        certificate("one", &["www.example.com"]),
    ));
    rig.waxwing(&["revoke", "one", "--replace"])
        .expect(0)
        .says("version 1 revoked by its account at first");
    // No reason is the reason 0.
    assert_eq!(revoked(&rig, &first), Some([vec![Some(0)], vec![]]));
    assert_eq!(revoked(&rig, &second), Some([vec![], vec![None]]));
}

/// The section of the provider's plugin, as every rig has it.
fn dns(rig: &Rig) -> String {
    let secrets = "{ api-key = \"file:dme-api-key\", secret-key = \"file:dme-secret-key\" }";
    crate::cases::rig::section_at("dns-made-easy", &rig.provider.url(), secrets)
}

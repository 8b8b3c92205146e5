//! Accounts at the CA by the verb `account`, and the revocation of certificates.

use std::fs;

use waxwing_world::ca::{self, ExternalAccount};
use waxwing_world::fault::{Fault, What};
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Judge, Rig, both, certificate, plain};

/// A configuration with one certificate at one CA, whose section has more lines.
fn configured(rig: &Rig, judge: &Judge, more: &str) {
    rig.write_config(&format!(
        "{}{}",
        rig.config_at(judge, more),
        certificate("one", &["www.example.com"])
    ));
}

/// The words of an output, however it is wrapped.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of every file below a folder whose name ends so.
fn files(rig: &Rig, below: &str, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![rig.path(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}

#[test]
fn an_account_is_made_listed_and_used() {
    plain("an_account_is_made_listed_and_used", |rig, judge| {
        configured(rig, judge, "caa = [\"first.example\"]");
        rig.waxwing(&["account"])
            .expect(0)
            .says("0 accounts at 1 CA")
            .says("no account yet")
            .says("hint: `waxwing account register first`");
        rig.waxwing(&["account", "register"])
            .expect(0)
            .says("registered: https://");
        assert_eq!(judge.traffic().count(Class::NewAccount), 1);
        rig.waxwing(&["account", "register", "first"])
            .expect(0)
            .says("there already: https://");
        let listed = rig.waxwing(&["account"]).expect(0);
        listed
            .says("1 account at 1 CA")
            .says("contact ops@example.com; terms ")
            .says("CAA 0 issue \"first.example; accounturi=https://");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewAccount), 1);
        rig.waxwing(&["account", "register", "nobody"])
            .expect(2)
            .says("no CA is called \"nobody\"");
    });
}

#[test]
fn terms_that_a_ca_has_changed_are_told_and_wait_for_a_person() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let mail = rig.path("mail");
    rig.write_config(&format!(
        "{}[notify.all]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> '{}'\"]\n\n{}",
        rig.config_at(&judge, ""),
        mail.display(),
        certificate("one", &["www.example.com"])
    ));
    let told = || fs::read_to_string(&mail).unwrap_or_default();
    rig.waxwing(&["renew"]).expect(0);
    rig.waxwing(&["account", "agree", "first"])
        .expect(0)
        .says("no other terms are known than https://ca.world.test/terms/v1");
    let Judge::World(world) = &judge else {
        panic!("the world's CA");
    };
    world.announce_terms();
    // A copy of the directory is believed for a day; whoever watches the CAs asks anew.
    rig.waxwing(&["ca", "health", "--now"]).expect(0);
    let differs = "the terms of first are https://ca.world.test/terms/v2 now, agreed to were \
                   https://ca.world.test/terms/v1";
    let run = rig.waxwing(&["renew"]).expect(0);
    let run = run.says(differs);
    assert_eq!(told().matches("\"terms-changed\"").count(), 1, "{}", told());
    run.says("waxwing account agree first");
    rig.waxwing(&["renew", "one", "--force"])
        .expect(0)
        .says(differs);
    assert_eq!(told().matches("\"terms-changed\"").count(), 1, "{}", told());
    rig.waxwing(&["check", "--offline"]).expect(0).says(differs);

    let agreed = || {
        let accounts = files(&rig, "state/accounts", "account.toml");
        accounts.concat().contains("terms/v2")
    };
    rig.waxwing(&["account", "agree", "first"])
        .expect(2)
        .says("nobody has agreed to https://ca.world.test/terms/v2");
    assert!(!agreed());
    judge.traffic().reset();
    rig.waxwing(&["account", "agree", "first", "--yes"])
        .expect(0)
        .says("noted that you agree to https://ca.world.test/terms/v2");
    assert!(agreed());
    assert_eq!(judge.traffic().total(), 0, "nothing is sent");
    let audit = fs::read_to_string(rig.path("log/audit.jsonl")).expect("a trail");
    let last = audit.lines().next_back().expect("a line");
    assert!(
        last.contains("\"terms-agreed\"") && last.contains("terms/v2"),
        "{last}"
    );
    rig.waxwing(&["renew"]).expect(0);
    assert!(told().contains("\"over\""), "{}", told());
    let checked = rig.waxwing(&["check", "--offline"]).expect(0);
    assert!(
        !words(&checked.stdout).contains("terms/v2"),
        "{}",
        checked.stdout
    );
}

#[test]
fn a_changed_address_is_noticed_and_brought_to_the_ca() {
    let test = "a_changed_address_is_noticed_and_brought_to_the_ca";
    plain(test, |rig, judge| {
        configured(rig, judge, "");
        rig.waxwing(&["account", "register"]).expect(0);
        rig.edit("ops@example.com", "new@example.com");
        let told = "the account at first has the contact ops@example.com, [account] email says \
                    new@example.com";
        let mends = "`waxwing account contact first`";
        for verb in [&["plan"][..], &["account"], &["check", "--offline"]] {
            let said = words(&rig.waxwing(verb).expect(0).stdout);
            assert!(
                said.contains(told) && said.contains(mends),
                "{verb:?}: {said}"
            );
        }
        // Nobody but the operator changes it.
        let said = words(&rig.waxwing(&["renew"]).expect(0).stdout);
        assert!(said.contains(told) && said.contains(mends), "{said}");
        // Nor does a run with nothing to do keep quiet about it.
        let said = words(&rig.waxwing(&["renew"]).expect(0).stdout);
        assert!(said.contains("1 not due") && said.contains(told), "{said}");
        assert_eq!(judge.traffic().count(Class::Account), 0);
        rig.waxwing(&["account", "contact"])
            .expect(0)
            .says("the contact is new@example.com now instead of ops@example.com");
        assert_eq!(judge.traffic().count(Class::Account), 1);
        if let Judge::World(ca) = judge {
            assert_eq!(ca.contacts(), ["mailto:new@example.com"]);
        }
        rig.waxwing(&["account", "contact"])
            .expect(0)
            .says("the contact is new@example.com already");
        assert_eq!(judge.traffic().count(Class::Account), 1);
    });
}

#[test]
fn a_rolled_over_key_is_the_only_one_that_counts() {
    plain(
        "a_rolled_over_key_is_the_only_one_that_counts",
        |rig, judge| {
            configured(rig, judge, "");
            rig.waxwing(&["account", "rollover", "first"])
                .expect(2)
                .says("there is no account at first");
            rig.waxwing(&["account", "register"]).expect(0);
            let before = files(rig, "state/accounts", ".pem");
            rig.waxwing(&["account", "rollover", "first"])
                .expect(0)
                .says("the account has another key now");
            let after = files(rig, "state/accounts", ".pem");
            assert_eq!((before.len(), after.len()), (1, 1));
            assert_ne!(before, after);
            assert_eq!(judge.traffic().count(Class::KeyChange), 1);
            rig.waxwing(&["renew"]).expect(0);
            assert_eq!(judge.traffic().count(Class::NewAccount), 1);
        },
    );
}

#[test]
fn a_rollover_whose_answer_was_lost_is_found_out() {
    // Pebble loses no answer.
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let Judge::World(ca) = &judge else { return };
    configured(&rig, &judge, "");
    rig.waxwing(&["account", "register"]).expect(0);
    let before = files(&rig, "state/accounts", ".pem");
    ca.fault(Fault::once(Class::KeyChange, What::CloseAfter));
    // It asks at once which key counts.
    rig.waxwing(&["account", "rollover", "first"]).expect(0);
    assert_ne!(files(&rig, "state/accounts", ".pem"), before);

    // Where that fails too, both keys are kept, and the next run finds out.
    ca.fault(Fault::once(Class::KeyChange, What::CloseAfter));
    ca.fault(Fault::always(Class::NewAccount, What::CloseBefore));
    rig.waxwing(&["account", "rollover", "first"])
        .expect(5)
        .says("it is not known which key counts at first");
    assert_eq!(files(&rig, "state/accounts", ".pem").len(), 2);
    rig.waxwing(&["account"])
        .expect(0)
        .says("its key is being changed");
    ca.faults().clear();
    rig.waxwing(&["renew"]).expect(0);
    assert_eq!(files(&rig, "state/accounts", ".pem").len(), 1);
    assert_eq!(ca.accounts(), 1);
}

#[test]
fn a_ca_whose_rollover_does_not_work_is_left_alone() {
    let test = "a_ca_whose_rollover_does_not_work_is_left_alone";
    plain(test, |rig, judge| {
        configured(rig, judge, "quirks = { key-change = false }");
        rig.waxwing(&["account", "register"]).expect(0);
        judge.traffic().reset();
        rig.waxwing(&["account", "rollover", "first"])
            .expect(5)
            .says("first cannot change the key of an account")
            .says("hint: `waxwing account deactivate first --yes`");
        assert_eq!(judge.traffic().total(), 0);
    });
}

#[test]
fn an_account_is_given_up_on_purpose_only() {
    plain("an_account_is_given_up_on_purpose_only", |rig, judge| {
        configured(rig, judge, "");
        rig.waxwing(&["account", "register"]).expect(0);
        rig.waxwing(&["account", "deactivate", "first"])
            .expect(2)
            .says("hint: `waxwing account deactivate first --yes`");
        assert_eq!(judge.traffic().count(Class::Account), 0);
        rig.waxwing(&["account", "deactivate", "first", "--yes"])
            .expect(0)
            .says("the account is given up")
            .says("registers another one");
        rig.waxwing(&["account"])
            .expect(0)
            .says("0 accounts at 1 CA")
            .says("given up ");
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        rig.waxwing(&["account"])
            .expect(0)
            .says("1 account at 1 CA");
    });
}

#[test]
fn a_brought_key_is_noticed_and_taken_by_a_rollover() {
    plain(
        "a_brought_key_is_noticed_and_taken_by_a_rollover",
        |rig, judge| {
            configured(rig, judge, "");
            rig.waxwing(&["account", "register"]).expect(0);
            let output = std::process::Command::new("openssl")
                .args([
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ])
                .output()
                .expect("openssl runs");
            let key = String::from_utf8(output.stdout).expect("PEM");
            rig.write_secret("account-key.pem", &key);
            rig.edit(
                "agree-terms = true",
                "agree-terms = true\nkey = \"file:account-key.pem\"",
            );
            rig.waxwing(&["plan"])
                .expect(0)
                .says("`waxwing account rollover first` changes to it");
            rig.waxwing(&["account", "rollover", "first"]).expect(0);
            let kept = files(rig, "state/accounts", ".pem");
            assert_eq!(kept.len(), 1);
            assert_eq!(kept[0].trim(), key.trim());
            let quiet = rig.waxwing(&["plan"]).expect(0);
            assert!(!quiet.stdout.contains("rollover"), "{}", quiet.stdout);
            rig.waxwing(&["account", "rollover", "first"])
                .expect(5)
                .says("has the key of [account] key already");
            rig.waxwing(&["renew"]).expect(0);
        },
    );
}

#[test]
fn a_credential_that_made_an_account_is_not_sent_again() {
    let (kid, secret) = ("kid-1".to_owned(), vec![0x5a; 32]);
    let encoded = format!("{}Wlo", "Wlpa".repeat(10));
    let at_world = ca::Options {
        external_account: ExternalAccount::Required {
            keys: vec![(kid.clone(), secret.clone())],
            single_use: true,
        },
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        external_keys: vec![(kid, secret)],
        ..pebble::Options::default()
    };
    let test = "a_credential_that_made_an_account_is_not_sent_again";
    both(test, &at_world, &at_pebble, |rig, judge| {
        rig.write_secret("eab-key", &encoded);
        let eab = "eab = { single-use = true, key-id = \"kid-1\", hmac-key = \"file:eab-key\" }";
        configured(rig, judge, eab);
        rig.waxwing(&["account", "register"]).expect(0);
        rig.waxwing(&["account", "deactivate", "first", "--yes"])
            .expect(0);
        judge.traffic().reset();
        rig.waxwing(&["account", "register"])
            .expect(5)
            .says("the credential kid-1 made the account at https://")
            .says("hint: get a new one from the CA");
        assert_eq!(judge.traffic().count(Class::NewAccount), 0);
        for text in files(rig, "state/accounts", ".toml") {
            assert!(text.contains("used = \"spent\""), "{text}");
            assert!(!text.contains(&encoded), "{text}");
        }
    });
}

#[test]
fn an_outage_of_one_directory_costs_no_account() {
    // Pebble has no outage.
    let rig = Rig::new();
    let (one, two) = (
        rig.ca(ca::Options::default()),
        rig.ca(ca::Options::default()),
    );
    let (Judge::World(first), Judge::World(second)) = (&one, &two) else {
        return;
    };
    let config = rig.config_of(&[CaSection {
        name: "first",
        directory: format!("{}\", \"{}", first.directory(), second.directory()),
        more: "",
    }]);
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["account", "register"]).expect(0);
    fs::remove_dir_all(rig.path("state/cache/directories")).expect("a copy of the directory");
    first.fault(Fault::always(Class::Directory, What::CloseBefore));
    rig.waxwing(&["account", "register"])
        .expect(0)
        .says("registered:");
    first.faults().clear();
    rig.waxwing(&["account", "register"])
        .expect(0)
        .says("there already:");
    assert_eq!((first.accounts(), second.accounts()), (1, 1));
    rig.waxwing(&["account"])
        .expect(0)
        .says("2 accounts at 1 CA");
}

#[test]
fn a_certificate_is_revoked_and_the_next_run_issues_another_one() {
    let test = "a_certificate_is_revoked_and_the_next_run_issues_another_one";
    plain(test, |rig, judge| {
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(judge, ""),
            rig.installer(""),
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["revoke", "one"]).expect(2);
        rig.waxwing(&["renew"]).expect(0);
        rig.waxwing(&["revoke", "one"])
            .expect(2)
            .says("one is installed by server; nothing was revoked")
            .says("--yes");
        assert_eq!(judge.traffic().count(Class::Revoke), 0);
        rig.waxwing(&["revoke", "one", "--reason", "superseded", "--yes"])
            .expect(0)
            .says("revoked (superseded) by its account at first")
            .says("still installed by server")
            .says("next: `waxwing renew`");
        if let Judge::World(ca) = judge {
            let codes: Vec<_> = ca.certificates().iter().map(|one| one.revoked).collect();
            assert_eq!(codes, [Some(4)]);
        }
        rig.waxwing(&["revoke", "one"])
            .expect(0)
            .says("was revoked at first before");
        rig.waxwing(&["plan", "--detailed-exitcode"])
            .expect(2)
            .says("the stored one is revoked");
        rig.waxwing(&["status"]).says("revoked: issue, next run");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(rig.versions("one"), 2);
        rig.waxwing(&["plan", "--detailed-exitcode"]).expect(0);
    });
}

#[test]
fn a_certificate_without_its_account_is_revoked_by_its_own_key() {
    let test = "a_certificate_without_its_account_is_revoked_by_its_own_key";
    plain(test, |rig, judge| {
        configured(rig, judge, "");
        rig.waxwing(&["renew"]).expect(0);
        rig.waxwing(&["account", "deactivate", "first", "--yes"])
            .expect(0);
        let run = rig
            .waxwing(&["revoke", "one", "--json", "--reason", "key-compromise"])
            .expect(0);
        for part in [
            "\"result\": \"revoked\"",
            "\"by\": \"key\"",
            "\"next\": \"renew\"",
        ] {
            assert!(run.stdout.contains(part), "{}", run.stdout);
        }
    });
}

#[test]
fn a_revocation_whose_answer_was_lost_can_be_asked_for_again() {
    // Pebble loses no answer.
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let Judge::World(ca) = &judge else { return };
    configured(&rig, &judge, "");
    rig.waxwing(&["renew"]).expect(0);
    ca.fault(Fault::always(Class::Revoke, What::CloseAfter));
    rig.waxwing(&["revoke", "one"])
        .expect(5)
        .says("failed to revoke the certificate at first");
    ca.faults().clear();
    rig.waxwing(&["revoke", "one"])
        .expect(0)
        .says("was revoked at first before");
    rig.waxwing(&["plan", "--detailed-exitcode"]).expect(2);
}

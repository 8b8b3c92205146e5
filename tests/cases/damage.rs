//! Damage in the state folder stops nobody: what is served stays, and the next run makes up for it.

use std::fs;

use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, plain};

/// Two certificates, issued and installed.
fn issued(rig: &Rig, judge: &Judge) {
    let domains = |name: &str| certificate(name, &[&format!("{name}.example.com")]);
    let config = rig.config_at(judge, "");
    rig.write_config(&format!("{config}{}{}", domains("mail"), domains("shop")));
    rig.waxwing(&["renew"]).expect(0);
}

fn damage(rig: &Rig, file: &str) {
    fs::write(rig.path(file), "\0\0damage\0").expect("written");
}

#[test]
fn a_damaged_version_is_told_and_issued_anew() {
    plain("a_damaged_version_is_told_and_issued_anew", |rig, judge| {
        issued(rig, judge);
        for file in ["facts.toml", "cert.pem"] {
            let before = rig.versions("shop");
            let version = format!("state/certificates/shop/versions/{before:04}");
            damage(rig, &format!("{version}/{file}"));
            let plan = rig.waxwing(&["plan"]).expect(1);
            plan.says("what is stored cannot be used").says(file);
            rig.waxwing(&["renew"]).expect(0);
            assert_eq!(rig.versions("shop"), before + 1);
            assert_eq!(rig.versions("mail"), 1);
            rig.verify("shop", &judge.root_pem(0));
            rig.waxwing(&["plan"]).expect(0);
        }
        // A key is read when it matters.
        damage(rig, "state/certificates/shop/versions/0003/privkey.pem");
        let run = rig
            .waxwing(&["renew", "shop", "--force", "--yes"])
            .expect(0);
        run.says("what is stored cannot be used and is replaced");
        assert_eq!(rig.versions("shop"), 3, "the oldest is erased");
        rig.verify("shop", &judge.root_pem(0));
    });
}

#[test]
fn a_damaged_current_names_the_newest_version() {
    plain(
        "a_damaged_current_names_the_newest_version",
        |rig, judge| {
            issued(rig, judge);
            let path = rig.path("state/certificates/shop/current");
            damage(rig, "state/certificates/shop/current");
            let damaged = fs::read(&path).expect("readable");
            // Whoever only looks works it out and changes nothing.
            for look in [&["plan"][..], &["status"]] {
                rig.waxwing(look).expect(0);
                assert_eq!(fs::read(&path).expect("readable"), damaged, "{look:?}");
            }
            rig.waxwing(&["renew"]).expect(0);
            assert_eq!(rig.versions("shop"), 1);
            rig.waxwing(&["renew", "shop", "--force", "--yes"])
                .expect(0);
            assert_eq!(rig.versions("shop"), 2);
            let current = fs::read_to_string(rig.path("state/certificates/shop/current"));
            assert_eq!(current.expect("readable"), "0002\n");
            assert!(rig.path("state/archive/damaged/shop/0001").exists());
        },
    );
}

#[test]
fn a_damaged_journal_is_set_aside_aloud() {
    plain("a_damaged_journal_is_set_aside_aloud", |rig, judge| {
        issued(rig, judge);
        damage(rig, "state/journal/shop.toml");
        let run = rig
            .waxwing(&["renew", "shop", "--force", "--yes"])
            .expect(0);
        run.says("the journal of shop was damaged")
            .says("may be left at the DNS provider");
        assert_eq!(rig.versions("shop"), 2);
        assert!(!rig.path("state/journal/shop.toml").exists());
        // One of a certificate that has nothing to do.
        damage(rig, "state/journal/mail.toml");
        let run = rig.waxwing(&["renew"]).expect(0);
        run.says("the journal of mail was damaged");
        assert!(!rig.path("state/journal/mail.toml").exists());
        assert_eq!(rig.versions("mail"), 1);
    });
}

/// What the CA has signed for it is of no use to anybody.
#[test]
fn an_order_whose_key_is_damaged_is_given_up() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let Judge::World(world) = &judge else {
        panic!("the world's CA");
    };
    issued(&rig, &judge);
    let force = ["renew", "shop", "--force", "--yes"];
    for content in [&b""[..], b"\0\0\xff", b"torn"] {
        world.fault(Fault::always(Class::Certificate, What::CloseBefore));
        rig.waxwing(&force).expect(5);
        world.faults().clear();
        fs::write(rig.path("state/journal/shop.key"), content).expect("written");
        let run = rig.waxwing(&force).expect(0);
        run.says("the key of the order")
            .says("another one is ordered");
        rig.verify("shop", &judge.root_pem(0));
    }
}

#[test]
fn a_damaged_account_is_found_again_by_its_key_or_made_anew() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    rig.write_config(&format!(
        "{}{}",
        rig.config_at(&judge, ""),
        certificate("shop", &["www.example.com"])
    ));
    rig.waxwing(&["renew"]).expect(0);
    let accounts = rig.path("state/accounts/first");
    let folder = fs::read_dir(&accounts).expect("a folder");
    let folder = folder.flatten().next().expect("one account").path();
    let Judge::World(world) = &judge else {
        panic!("the world's CA");
    };
    for (file, made) in [("account.toml", 1), ("key.pem", 2)] {
        let path = folder.join(file);
        let bytes = fs::read(&path).expect("there");
        fs::write(&path, &bytes[..30]).expect("written");
        let said = path.display().to_string();
        rig.waxwing(&["check"]).expect(1).says(&said);
        rig.waxwing(&["renew", "shop", "--force"]).expect(0);
        assert_eq!(world.accounts(), made, "{file}");
        rig.waxwing(&["check"]).expect(0);
    }
    let kept = fs::read_dir(rig.path("state/archive/damaged/first")).expect("what was damaged");
    assert_eq!(
        kept.count(),
        4,
        "account.toml twice, the torn key, and a copy of the good one"
    );
}

#[test]
fn a_damaged_account_outlives_a_run_that_cannot_look_it_up() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let Judge::World(world) = &judge else {
        panic!("the world's CA");
    };
    let shop = certificate("shop", &["www.example.com"]);
    rig.write_config(&format!("{}{shop}", rig.config_at(&judge, "")));
    rig.waxwing(&["account", "register"]).expect(0);
    let accounts = fs::read_dir(rig.path("state/accounts/first")).expect("a folder");
    let folder = accounts.flatten().next().expect("one account").path();
    let (file, key) = (folder.join("account.toml"), folder.join("key.pem"));
    let counts = fs::read(&key).expect("there");
    for gone in [false, true] {
        match gone {
            true => fs::remove_file(&file).expect("there"),
            false => fs::write(&file, "format = 1\ndirec").expect("written"),
        }
        world.fault(Fault::always(Class::NewAccount, What::CloseBefore));
        rig.waxwing(&["renew", "shop", "--force"]).expect(5);
        world.faults().clear();
        rig.waxwing(&["renew", "shop", "--force"]).expect(0);
        assert_eq!(world.accounts(), 1);
        assert_eq!(fs::read(&key).expect("there"), counts);
    }
}

#[test]
fn an_account_that_is_damaged_in_the_middle_of_a_rollover_keeps_the_key_that_counts() {
    for (what, other) in [
        (What::CloseBefore, "key.pem"),
        (What::CloseAfter, "key-2.pem"),
    ] {
        let rig = Rig::new();
        let judge = rig.ca(ca::Options::default());
        let Judge::World(world) = &judge else {
            panic!("the world's CA");
        };
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(&judge, ""),
            certificate("shop", &["www.example.com"])
        ));
        rig.waxwing(&["account", "register"]).expect(0);
        world.fault(Fault::always(Class::KeyChange, what));
        world.fault(Fault::always(Class::NewAccount, What::CloseBefore));
        rig.waxwing(&["account", "rollover", "first"]).expect(5);
        world.faults().clear();
        let accounts = fs::read_dir(rig.path("state/accounts/first")).expect("a folder");
        let folder = accounts.flatten().next().expect("one account").path();
        let counts = fs::read(folder.join(other)).expect("both keys are kept");
        let file = folder.join("account.toml");
        let bytes = fs::read(&file).expect("there");
        fs::write(&file, &bytes[..30]).expect("written");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(world.accounts(), 1, "{other}");
        let files = fs::read_dir(&folder).expect("a folder").flatten();
        let mut keys = files.filter(|one| one.path().extension().is_some_and(|it| it == "pem"));
        let key = keys.next().expect("a key").path();
        assert_eq!(fs::read(key).expect("there"), counts, "{other}");
        assert!(keys.next().is_none());
    }
}

//! Whole renewals: the program, its components, a CA, a DNS provider, files.

use std::fs;
use std::process::Command;
use std::time::Duration;

use waxwing_world::ca::{self, Credentials, ExternalAccount, Profile};
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, both, certificate, plain};

/// The names in the stored certificate, sorted.
fn names(rig: &Rig, name: &str) -> Vec<String> {
    rig.names_in(&rig.stored(name).join("cert.pem"))
}

/// Runs openssl with these arguments and gives what it printed.
fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn one_name_becomes_files_that_a_server_uses() {
    plain("one_name_becomes_files_that_a_server_uses", |rig, judge| {
        rig.write_config(&format!(
            "{}{}[[certificate]]\ndomains = [\"www.example.com\"]\n",
            rig.config_at(judge, ""),
            rig.installer(""),
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("www.example.com", &judge.root_pem(0));
        assert_eq!(names(rig, "www.example.com"), ["www.example.com"]);
        let installed = fs::read(rig.path("tls/www.example.com.crt")).expect("installed");
        let stored = rig.stored("www.example.com").join("fullchain.pem");
        assert_eq!(installed, fs::read(stored).expect("stored"));
        assert!(rig.path("tls/www.example.com.key").exists());
        assert_eq!(rig.records(), [], "no record is left behind");
    });
}

#[test]
fn apex_and_wildcard_share_a_name_with_two_values() {
    plain(
        "apex_and_wildcard_share_a_name_with_two_values",
        |rig, judge| {
            let domains = certificate("both", &["example.com", "*.example.com"]);
            rig.write_config(&format!("{}{domains}", rig.config_at(judge, "")));
            rig.waxwing(&["renew"]).expect(0);
            rig.verify("both", &judge.root_pem(0));
            assert_eq!(names(rig, "both"), ["*.example.com", "example.com"]);
            assert_eq!(judge.traffic().count(Class::Challenge), 2);
            assert_eq!(rig.records(), []);
        },
    );
}

#[test]
fn ten_names_make_one_certificate() {
    plain("ten_names_make_one_certificate", |rig, judge| {
        let domains: Vec<String> = (0..10).map(|nth| format!("n{nth}.example.com")).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("ten", &domains)
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("ten", &judge.root_pem(0));
        assert_eq!(names(rig, "ten"), domains);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_name_in_another_script_is_ordered_by_its_a_label() {
    plain(
        "a_name_in_another_script_is_ordered_by_its_a_label",
        |rig, judge| {
            let domains = certificate("books", &["b\u{fc}cher.example.com"]);
            rig.write_config(&format!("{}{domains}", rig.config_at(judge, "")));
            rig.waxwing(&["renew"]).expect(0);
            rig.verify("books", &judge.root_pem(0));
            assert_eq!(names(rig, "books"), ["xn--bcher-kva.example.com"]);
        },
    );
}

#[test]
fn keys_are_of_the_type_that_was_asked_for() {
    let types = [
        ("rsa-2048", "Public-Key: (2048 bit)"),
        ("ecdsa-p384", "ASN1 OID: secp384r1"),
        ("ecdsa-p256", "ASN1 OID: prime256v1"),
    ];
    plain("keys_are_of_the_type_that_was_asked_for", |rig, judge| {
        let mut config = rig.config_at(judge, "");
        for (key, _) in types {
            config += &format!(
                "[[certificate]]\nname = \"{key}\"\ndomains = [\"{key}.example.com\"]\nkey = \"{key}\"\n\n"
            );
        }
        rig.write_config(&config);
        rig.waxwing(&["renew"]).expect(0);
        for (key, shown) in types {
            rig.verify(key, &judge.root_pem(0));
            assert!(rig.shown(key).contains(shown), "{}", rig.shown(key));
            let file = rig.stored(key).join("privkey.pem");
            let key = file.to_str().expect("text");
            let (read, _) = openssl(&["pkey", "-noout", "-check", "-in", key]);
            assert!(read, "openssl finds the key sound");
        }
    });
}

#[test]
fn credentials_from_elsewhere_open_an_account() {
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
    let test = "credentials_from_elsewhere_open_an_account";
    both(test, &at_world, &at_pebble, |rig, judge| {
        rig.write_secret("eab-key", &encoded);
        let eab = "eab = { key-id = \"kid-1\", hmac-key = \"file:eab-key\" }";
        let domains = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{}{domains}", rig.config_at(judge, eab)));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        rig.waxwing(&["renew", "one", "--force"]).expect(0);
        assert_eq!(
            judge.traffic().count(Class::NewAccount),
            1,
            "the account is kept"
        );
        assert_eq!(rig.versions("one"), 2);
    });
}

#[test]
fn credentials_are_fetched_as_the_profile_says() {
    let offer = |url: &str, in_query: bool, field: &str| {
        format!(
            "offers = [{{ url = \"{url}/acme/eab-credentials\", method = \"POST\", \
             in-query = {in_query}, fields = {{ {field} }}, success = \"/success\", \
             kid = \"/eab_kid\", hmac-key = \"/eab_hmac_key\", error = \"/error/type\" }}]"
        )
    };
    let ways = [
        (
            None,
            false,
            "email = \"{email}\"",
            "email = \"ops@example.com\"",
        ),
        (
            Some("access-key-1234567890"),
            true,
            "access_key = \"{api-key}\"",
            "api-key = \"file:access-key\"",
        ),
    ];
    for (access_key, in_query, field, source) in ways {
        // Pebble hands out no credentials.
        let rig = Rig::new();
        let judge = rig.ca(ca::Options {
            external_account: ExternalAccount::Required {
                keys: Vec::new(),
                single_use: true,
            },
            credentials: Some(Credentials {
                access_key: access_key.map(str::to_owned),
            }),
            ..ca::Options::default()
        });
        rig.write_secret("access-key", access_key.unwrap_or_default());
        let url = judge.directory().replace("/directory", "");
        let offer = offer(&url, in_query, field);
        let eab = format!("eab = {{ required = true, single-use = true, {source}, {offer} }}");
        let domains = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{}{domains}", rig.config_at(&judge, &eab)));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(judge.traffic().count(Class::Credentials), 1);
    }
}

#[test]
fn a_profile_decides_over_the_life_of_the_certificate() {
    const DAY: u64 = 24 * 3600;
    let profiles = vec![Profile {
        name: "short".to_owned(),
        description: "six days".to_owned(),
        lifetime: Duration::from_secs(6 * DAY),
    }];
    let at_world = ca::Options {
        profiles: profiles.clone(),
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        profiles,
        ..pebble::Options::default()
    };
    let test = "a_profile_decides_over_the_life_of_the_certificate";
    both(test, &at_world, &at_pebble, |rig, judge| {
        let config = rig.config_at(judge, "profile = { name = \"short\", required = true }");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        let file = rig.stored("one").join("cert.pem");
        let file = file.to_str().expect("text");
        let lives = |days: u64| {
            let seconds = (days * DAY).to_string();
            openssl(&["x509", "-noout", "-checkend", &seconds, "-in", file]).0
        };
        assert!(lives(5));
        assert!(!lives(7));
    });
}

#[test]
fn the_chain_of_another_root_is_taken_if_it_is_preferred() {
    let at_world = ca::Options {
        alternate_roots: 2,
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        alternate_roots: 2,
        ..pebble::Options::default()
    };
    let test = "the_chain_of_another_root_is_taken_if_it_is_preferred";
    both(test, &at_world, &at_pebble, |rig, judge| {
        let root = rig.path("preferred.pem");
        fs::write(&root, judge.root_pem(2)).expect("written");
        let root = root.to_str().expect("text");
        let (_, subject) = openssl(&[
            "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", root,
        ]);
        let name = subject.split("CN=").nth(1).expect("a common name");
        let name = name.split(',').next().unwrap_or(name).trim();
        let config = rig.config_at(judge, &format!("preferred-chain = \"{name}\""));
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(2));
    });
}

#[test]
fn advice_is_asked_about_the_certificate_that_was_renewed_and_not_about_the_old_one() {
    let test = "advice_is_asked_about_the_certificate_that_was_renewed_and_not_about_the_old_one";
    plain(test, |rig, judge| {
        let config = rig.config_at(judge, "");
        let shop = certificate("shop", &["shop.example.com"]);
        rig.write_config(&format!("{config}{shop}"));
        rig.waxwing(&["renew"]).expect(0);
        // So nothing is known of the old one when it is renewed.
        fs::remove_file(rig.path("state/waxwing.db")).expect("a history");
        judge.traffic().reset();
        rig.waxwing(&["renew", "shop", "--force", "--yes"])
            .expect(0);
        assert_eq!(rig.versions("shop"), 2);
        let counts = judge.traffic().counts();
        assert_eq!(counts.get(&Class::RenewalInfo), Some(&1), "{counts:?}");
    });
}

#[test]
fn a_renewal_tells_the_ca_what_it_replaces() {
    plain("a_renewal_tells_the_ca_what_it_replaces", |rig, judge| {
        let domains = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{}{domains}", rig.config_at(judge, "")));
        rig.waxwing(&["renew"]).expect(0);
        judge.traffic().reset();
        rig.waxwing(&["renew", "one", "--force"]).expect(0);
        assert_eq!(rig.versions("one"), 2);
        rig.verify("one", &judge.root_pem(0));
        // A judge that refused `replaces` would have been asked a second time without.
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        if let Judge::World(ca) = judge {
            let replaced = ca.certificates().into_iter().find(|issued| issued.replaced);
            let replaced = replaced.expect("the first one is replaced").renewal_id;
            assert!(
                ca.orders()
                    .iter()
                    .any(|order| order.replaces.as_ref() == Some(&replaced))
            );
        }
    });
}

#[test]
fn a_run_with_nothing_due_asks_nobody() {
    plain("a_run_with_nothing_due_asks_nobody", |rig, judge| {
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(judge, ""),
            rig.installer(""),
            certificate("one", &["www.example.com"]),
        ));
        rig.waxwing(&["renew"]).expect(0);
        judge.traffic().reset();
        rig.provider.traffic().reset();
        let asked = rig.world.dns().questions().len();
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().total(), 0);
        assert_eq!(rig.provider.traffic().total(), 0);
        assert_eq!(rig.world.dns().questions().len(), asked);
        assert_eq!(rig.versions("one"), 1);
    });
}

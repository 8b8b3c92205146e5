//! Where the record has to be, and who is asked whether it is there.

use std::time::{Duration, Instant};

use waxwing_world::cloudflare::{self, Token};
use waxwing_world::dns::Lag;
use waxwing_world::dns_made_easy;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, plain, plain_in, section_at};

/// The same claim before both judges, with these zones at the provider.
fn with_zones(test: &str, zones: &[&str], claim: impl Fn(&Rig, &Judge)) {
    let world = || Rig::with(zones, dns_made_easy::Options::default());
    plain_in(test, world, claim);
}

/// The configuration with another way to see that a record is there.
fn looking(config: &str, how: &str) -> String {
    config.replace(
        "[network]\n",
        &format!("[network]\npropagation = \"{how}\"\n"),
    )
}

/// TXT questions that the name server of this number was asked about challenges.
fn asked(rig: &Rig, server: usize) -> usize {
    let questions = rig.world.dns().questions();
    let of_challenges = questions.iter().filter(|asked| {
        asked.server == server && asked.kind == "TXT" && asked.name.starts_with("_acme-challenge.")
    });
    of_challenges.count()
}

/// How often a judge asks the name server of this number about one record: the world's asks every
/// one, as a CA may that looks from several places; Pebble looks three times, and each time it asks
/// its resolver, which is the first.
fn by_judge(judge: &Judge, server: usize) -> usize {
    match (judge, server) {
        (Judge::World(_), _) => 1,
        (Judge::Pebble(_), 0) => 3,
        (Judge::Pebble(_), _) => 0,
    }
}

#[test]
fn a_challenge_name_that_points_into_another_zone_is_answered_there() {
    let test = "a_challenge_name_that_points_into_another_zone_is_answered_there";
    with_zones(test, &["example.com", "example.net"], |rig, judge| {
        // One straight away, one over a second alias.
        let dns = rig.world.dns();
        for (name, target) in [
            ("_acme-challenge.www.example.com", "www.proof.example.net"),
            ("_acme-challenge.mail.example.com", "alias.example.com"),
            ("alias.example.com", "mail.proof.example.net"),
        ] {
            dns.set_cname(name, target).expect("in a zone");
        }
        let domains = ["www.example.com", "mail.example.com", "plain.example.com"];
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("one", &domains)
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        let log = rig.provider.traffic().log();
        let created = |zone: &str| {
            let of_zone = log
                .iter()
                .filter(|entry| entry.class == Class::Create && entry.path.contains(zone));
            of_zone.count()
        };
        assert_eq!(
            (created("/870001/"), created("/870002/")),
            (1, 2),
            "{log:?}"
        );
        assert_eq!(rig.records(), []);
        assert_eq!(rig.world.dns().all_txt(), []);
    });
}

#[test]
fn two_names_that_point_to_one_place_have_two_values_there() {
    let test = "two_names_that_point_to_one_place_have_two_values_there";
    with_zones(test, &["example.com", "example.net"], |rig, judge| {
        for name in ["a", "b"] {
            let challenge = format!("_acme-challenge.{name}.example.com");
            let dns = rig.world.dns();
            dns.set_cname(&challenge, "proof.example.net")
                .expect("in a zone");
        }
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("one", &["a.example.com", "b.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        let log = rig.provider.traffic().log();
        let created = log.iter().filter(|entry| entry.class == Class::Create);
        let there = created.filter(|entry| entry.path.contains("/870002/"));
        assert_eq!(there.count(), 2, "{log:?}");
        assert_eq!(rig.provider.traffic().count(Class::Delete), 2);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn every_name_server_is_asked_until_the_last_one_shows_the_record() {
    let test = "every_name_server_is_asked_until_the_last_one_shows_the_record";
    with_zones(test, &["example.com"], |rig, judge| {
        rig.world.dns().lag(1, Lag::Queries(2));
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0).says("all 2 name servers");
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(asked(rig, 1), 3 + by_judge(judge, 1));
    });
}

#[test]
fn a_blind_wait_asks_nobody() {
    let test = "a_blind_wait_asks_nobody";
    with_zones(test, &["example.com"], |rig, judge| {
        let config = looking(&rig.config_at(judge, ""), "wait 1s");
        rig.write_config(&format!(
            "{config}{}",
            certificate("one", &["www.example.com"])
        ));
        let started = Instant::now();
        let run = rig.waxwing(&["renew"]).expect(0);
        assert!(started.elapsed() >= Duration::from_secs(1));
        let said = run.says("waited for the DNS").stderr;
        assert!(!said.contains("seen"), "nobody has looked: {said}");
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(asked(rig, 1), by_judge(judge, 1));
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn where_only_resolvers_can_be_asked_they_are_asked_when_the_record_usually_is_there() {
    // What the plugin says of its provider.
    const USUAL: Duration = Duration::from_secs(10);
    let test = "where_only_resolvers_can_be_asked_they_are_asked_when_the_record_usually_is_there";
    plain(test, |rig, judge| {
        let api = cloudflare::Api::start(
            &rig.world,
            cloudflare::Options {
                tokens: vec![Token::for_zones("a-token-of-some-length", &["example.com"])],
                zones: vec!["example.com".to_owned()],
                ..cloudflare::Options::default()
            },
        );
        let api = api.expect("the provider starts");
        rig.write_secret("token", "a-token-of-some-length");
        let config = rig.config_without_plugins(&[("first", &judge.directory())])
            + &section_at("cloudflare", &api.url(), "{ token = \"file:token\" }");
        rig.write_config(&format!(
            "{}{}",
            looking(&config, "resolvers"),
            certificate("one", &["www.example.com"])
        ));
        let started = Instant::now();
        // No terminal: nothing is said of a wait before it has become long.
        rig.waxwing(&["renew"])
            .expect(0)
            .says("one: waiting for the DNS provider to publish the records, ")
            .says(" s so far, at most ");
        assert!(started.elapsed() >= USUAL);
        rig.verify("one", &judge.root_pem(0));
        // The first server is the resolver as well.
        assert_eq!(asked(rig, 1), by_judge(judge, 1));
        assert_eq!(asked(rig, 0), 1 + by_judge(judge, 0));
        assert_eq!(api.records(), []);
    });
}

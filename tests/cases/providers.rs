//! The components that ship inside the binary, at APIs that behave like the real ones, in whole
//! renewals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use waxwing_world::ca;
use waxwing_world::cloudflare::{self, Token};
use waxwing_world::dns_made_easy;
use waxwing_world::fault::{Fault, What};
use waxwing_world::scan::Secrets;
use waxwing_world::traffic::{Class, Entry};

use crate::cases::rig::{Judge, Rig, certificate, plain, plain_in, section_at};

const TOKEN: &str = "v1.0-a1b2c3d4e5f6a7b8c9d0-cloudflare-token";

/// An account at Cloudflare with these zones, and a token for one of them.
fn cloudflare(rig: &Rig, zones: &[&str], token_for: &str) -> cloudflare::Api {
    let options = cloudflare::Options {
        tokens: vec![Token::for_zones(TOKEN, &[token_for])],
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        ..cloudflare::Options::default()
    };
    rig.write_secret("token", TOKEN);
    cloudflare::Api::start(&rig.world, options).expect("the provider starts")
}

/// A configuration with one CA and Cloudflare alone.
fn config_at_cloudflare(rig: &Rig, judge: &Judge, api: &cloudflare::Api) -> String {
    let secrets = "{ token = \"file:token\" }";
    rig.config_without_plugins(&[("first", &judge.directory())])
        + &section_at("cloudflare", &api.url(), secrets)
}

/// The requests of one class.
fn asked(log: &[Entry], class: Class) -> Vec<&Entry> {
    log.iter().filter(|entry| entry.class == class).collect()
}

/// Every file of the state folder.
fn state(rig: &Rig) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![rig.path("state")], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_cloudflare_token_for_one_zone_is_enough_and_foreign_records_stay() {
    let test = "a_cloudflare_token_for_one_zone_is_enough_and_foreign_records_stay";
    plain(test, |rig, judge| {
        let api = cloudflare(rig, &["example.com", "example.org"], "example.com");
        let name = "_acme-challenge.example.com";
        api.add_record("example.com", "TXT", name, "somebody else's")
            .expect("added");
        let foreign = api.records();
        let domains = certificate("both", &["example.com", "*.example.com"]);
        rig.write_config(&format!(
            "{}{domains}",
            config_at_cloudflare(rig, judge, &api)
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("both", &judge.root_pem(0));
        assert_eq!(api.records(), foreign);
        let counts = api.traffic().counts();
        let number = |class| counts.get(&class).copied().unwrap_or_default();
        assert_eq!(
            [Class::Zone, Class::Create, Class::Delete, Class::Records].map(number),
            [1, 2, 2, 0],
            "one look-up of the zone, two requests for each value"
        );
        assert_eq!(api.traffic().connections(), 1);
        assert_eq!(rig.provider.traffic().total(), 0);
    });
}

#[test]
fn the_guest_never_has_the_token_not_even_when_the_server_repeats_it() {
    let test = "the_guest_never_has_the_token_not_even_when_the_server_repeats_it";
    plain(test, |rig, judge| {
        let api = cloudflare(rig, &["example.com"], "example.com");
        let body = format!(
            r#"{{"success":false,"errors":[{{"code":9999,"message":"no luck with Bearer {TOKEN}"}}]}}"#
        );
        api.fault(Fault::once(
            Class::Create,
            What::Status {
                status: StatusCode::BAD_REQUEST,
                headers: Vec::new(),
                body,
            },
        ));
        rig.write_config(&format!(
            "{}{}",
            config_at_cloudflare(rig, judge, &api),
            certificate("one", &["www.example.com"])
        ));
        // What the guest was shown of the answer is in its words, and its words are in the outputs.
        let failed = rig
            .waxwing(&["-vv", "renew"])
            .expect(5)
            .says("no luck with");
        let good = rig.waxwing(&["-vv", "--json", "renew"]).expect(0);
        let mut secrets = Secrets::default();
        secrets.add("token", TOKEN);
        let files = state(rig);
        let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
        let outputs: Vec<(&str, &[u8])> = [&failed, &good]
            .iter()
            .flat_map(|run| [&run.stdout, &run.stderr])
            .map(|text| ("output", text.as_bytes()))
            .collect();
        secrets.assert_clean(&files, &outputs);
    });
}

#[test]
fn a_zone_that_the_cloudflare_token_cannot_see_is_told_and_the_other_one_served() {
    let test = "a_zone_that_the_cloudflare_token_cannot_see_is_told_and_the_other_one_served";
    let zones = ["example.com", "example.org"];
    let world = || Rig::with(&zones, dns_made_easy::Options::default());
    plain_in(test, world, |rig, judge| {
        let api = cloudflare(rig, &["example.com", "example.org"], "example.com");
        rig.write_config(&format!(
            "{}{}{}",
            config_at_cloudflare(rig, judge, &api),
            certificate("good", &["www.example.com"]),
            certificate("bad", &["www.example.org"]),
        ));
        let run = rig.waxwing(&["renew"]).expect(4);
        run.says("no zone that holds _acme-challenge.www.example.org")
            .says("Zone:Read");
        rig.verify("good", &judge.root_pem(0));
        assert_eq!(api.records(), []);
    });
}

#[test]
fn a_cloudflare_token_that_may_not_list_zones_finds_its_own_by_name() {
    let test = "a_cloudflare_token_that_may_not_list_zones_finds_its_own_by_name";
    plain(test, |rig, judge| {
        let api = cloudflare(rig, &["example.com"], "example.com");
        // As the API said it to tokens for single zones: only a list by name was open to them.
        let body = r#"{"success":false,"errors":[{"code":0,"message":"Actor 'com.cloudflare.api.token.1' requires permission 'com.cloudflare.api.account.zone.list' to list zones"}]}"#;
        api.fault(Fault::once(
            Class::Zone,
            What::Status {
                status: StatusCode::FORBIDDEN,
                headers: Vec::new(),
                body: body.to_owned(),
            },
        ));
        rig.write_config(&format!(
            "{}{}",
            config_at_cloudflare(rig, judge, &api),
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(api.records(), []);
        assert_eq!(
            api.traffic().count(Class::Zone),
            2,
            "the name server knew which"
        );
    });
}

#[test]
fn a_cloudflare_account_over_its_limit_is_left_alone_and_its_words_are_told() {
    let test = "a_cloudflare_account_over_its_limit_is_left_alone_and_its_words_are_told";
    plain(test, |rig, judge| {
        let api = cloudflare(rig, &["example.com"], "example.com");
        let body = r#"{"success":false,"errors":[{"code":971,"message":"Please wait and consider throttling your request speed"}]}"#;
        api.fault(Fault::once(
            Class::Create,
            What::Status {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: vec![("retry-after".to_owned(), "280".to_owned())],
                body: body.to_owned(),
            },
        ));
        rig.write_config(&format!(
            "{}{}",
            config_at_cloudflare(rig, judge, &api),
            certificate("one", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("throttling your request speed (971)");
        assert_eq!(
            api.traffic().count(Class::Create),
            1,
            "not tried again at once"
        );
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        assert_eq!(api.records(), []);
    });
}

/// A configuration with one CA, the DNS Made Easy plugin and one certificate.
/// The operator says how many requests the provider takes.
fn own_rate(rig: &Rig, rate: &str) {
    let section = "[plugin.dns-made-easy]\n";
    rig.edit(
        section,
        &format!("{section}grants.limits.rate = \"{rate}\"\n"),
    );
}

fn write_one(rig: &Rig, judge: &Judge, domain: &str) {
    rig.write_config(&format!(
        "{}{}",
        rig.config_at(judge, ""),
        certificate("one", &[domain])
    ));
}

#[test]
fn a_clock_that_is_wrong_costs_one_repeated_request_and_a_warning() {
    let test = "a_clock_that_is_wrong_costs_one_repeated_request_and_a_warning";
    for (ahead, status) in [
        (Duration::from_secs(45), StatusCode::FORBIDDEN),
        (Duration::from_secs(3600), StatusCode::BAD_REQUEST),
    ] {
        let options = || dns_made_easy::Options {
            clock: Arc::new(move || SystemTime::now() + ahead),
            date_status: status,
            ..dns_made_easy::Options::default()
        };
        plain_in(
            test,
            || Rig::with(&["example.com"], options()),
            |rig, judge| {
                write_one(rig, judge, "www.example.com");
                let run = rig.waxwing(&["renew"]).expect(0);
                rig.verify("one", &judge.root_pem(0));
                assert_eq!(rig.records(), []);
                let log = rig.provider.traffic().log();
                let refused = log.iter().filter(|entry| entry.status == Some(status));
                // A call knows nothing of the clock of an earlier one.
                assert_eq!(refused.count(), 2, "{log:?}");
                assert_eq!(log.len(), 3 + 2, "{log:?}");
                run.says("clock");
            },
        );
    }
}

#[test]
fn a_rate_limit_that_comes_as_a_bad_request_is_no_success_and_no_end() {
    let test = "a_rate_limit_that_comes_as_a_bad_request_is_no_success_and_no_end";
    plain(test, |rig, judge| {
        rig.provider.fault(Fault::once(
            Class::Create,
            What::Status {
                status: StatusCode::BAD_REQUEST,
                headers: vec![("x-dnsme-requestsremaining".to_owned(), "0".to_owned())],
                body: r#"{"error": ["Rate limit exceeded"]}"#.to_owned(),
            },
        ));
        write_one(rig, judge, "www.example.com");
        own_rate(rig, "150 per 2s");
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("Rate limit exceeded").says("150");
        assert_eq!(rig.provider.traffic().count(Class::Create), 1);
        assert_eq!(judge.traffic().count(Class::Challenge), 0);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_spent_budget_leaves_a_debt_that_the_next_run_settles() {
    let late = Arc::new(AtomicU64::new(0));
    let test = "a_spent_budget_leaves_a_debt_that_the_next_run_settles";
    let world = || {
        let clock = Arc::clone(&late);
        clock.store(0, Ordering::Relaxed);
        let options = dns_made_easy::Options {
            // The list of zones, one record; nothing is left for its removal.
            limit: 2,
            clock: Arc::new(move || {
                SystemTime::now() + Duration::from_secs(clock.load(Ordering::Relaxed))
            }),
            ..dns_made_easy::Options::default()
        };
        Rig::with(&["example.com"], options)
    };
    plain_in(test, world, |rig, judge| {
        write_one(rig, judge, "www.example.com");
        own_rate(rig, "150 per 2s");
        let run = rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        run.says("Rate limit exceeded");
        assert_eq!(rig.records().len(), 1);
        late.store(301, Ordering::Relaxed);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_page_in_place_of_an_answer_means_that_there_is_no_such_zone() {
    /// The challenge's name and what is above it, but no top-level domain.
    const GUESSES: usize = 3;
    let test = "a_page_in_place_of_an_answer_means_that_there_is_no_such_zone";
    plain(test, |rig, judge| {
        rig.world.dns().add_zone("example.org").expect("a name");
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(judge, ""),
            certificate("good", &["www.example.com"]),
            certificate("bad", &["www.example.org"]),
        ));
        // Who may not list zones has to ask for each name, and gets pages of HTML; the whole of it
        // twice, since zones are looked for again before a name is given up.
        let refused = || {
            let what = What::Status {
                status: StatusCode::FORBIDDEN,
                headers: Vec::new(),
                body: r#"{"error": ["Not allowed"]}"#.to_owned(),
            };
            Fault::once(Class::Zone, what)
        };
        rig.provider.fault(refused());
        rig.provider.fault(refused().after(GUESSES));
        let run = rig.waxwing(&["renew", "bad"]).expect(5);
        let log = rig.provider.traffic().log();
        let pages = log
            .iter()
            .filter(|entry| entry.status == Some(StatusCode::NOT_FOUND));
        assert!(pages.count() > 0, "{log:?}");
        let mut lists = log
            .iter()
            .filter(|entry| entry.class == Class::Zone && !entry.path.contains("domainname"));
        let refused = Some(StatusCode::FORBIDDEN);
        assert!(lists.all(|list| list.status == refused), "{log:?}");
        assert!(!run.stderr.contains("<html") && !run.stdout.contains("<html"));
        run.says("the account has no zone that holds _acme-challenge.www.example.org");
        rig.waxwing(&["renew", "good"]).expect(0);
        rig.verify("good", &judge.root_pem(0));
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_record_that_is_gone_already_is_no_trouble() {
    let test = "a_record_that_is_gone_already_is_no_trouble";
    plain(test, |rig, judge| {
        // It is deleted, and the answer is lost; the second try finds a page of HTML.
        rig.provider
            .fault(Fault::once(Class::Delete, What::CloseAfter));
        write_one(rig, judge, "www.example.com");
        rig.waxwing(&["renew"]).expect(0);
        let again = rig.waxwing(&["renew"]).expect(0);
        assert_eq!(again.stderr, "", "nothing is owed any more");
        let log = rig.provider.traffic().log();
        let deletions = asked(&log, Class::Delete);
        assert_eq!(deletions.len(), 2, "{log:?}");
        assert_eq!(deletions[1].status, Some(StatusCode::NOT_FOUND));
        // That is answer enough: the records are not listed to be sure.
        assert!(asked(&log, Class::Records).is_empty(), "{log:?}");
    });
}

#[test]
fn a_name_below_a_zone_of_its_own_goes_there_and_deletions_answer_nothing() {
    let test = "a_name_below_a_zone_of_its_own_goes_there_and_deletions_answer_nothing";
    let claim = |rig: &Rig, judge: &Judge| {
        let domains = ["www.sub.example.com", "www.example.com"];
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("one", &domains)
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        let log = rig.provider.traffic().log();
        let mut paths: Vec<&str> = asked(&log, Class::Create)
            .iter()
            .map(|entry| entry.path.as_str())
            .collect();
        paths.sort_unstable();
        let [outer, inner] = paths.as_slice() else {
            panic!("two records: {log:?}");
        };
        assert!(outer.contains("/870001/"), "{outer}");
        assert!(inner.contains("/870002/"), "{inner}");
        // Deleted with 200 and an empty body, each once.
        let deletions = asked(&log, Class::Delete);
        assert_eq!(deletions.len(), 2, "{log:?}");
        assert!(
            deletions
                .iter()
                .all(|one| one.status == Some(StatusCode::OK))
        );
        assert_eq!(rig.records(), []);
    };
    let zones = ["example.com", "sub.example.com"];
    let world = || Rig::with(&zones, dns_made_easy::Options::default());
    plain_in(test, world, claim);
}

#[test]
fn an_api_that_nobody_vouches_for_gets_no_request() {
    let test = "an_api_that_nobody_vouches_for_gets_no_request";
    plain(test, |rig, judge| {
        let config = rig.config_at(judge, "");
        let (base, plugin) = config.split_once("[plugin.").expect("a section");
        let plugin = plugin.replace(", trust = \"root.pem\"", "");
        rig.write_config(&format!(
            "{base}[plugin.{plugin}{}",
            certificate("one", &["www.example.com"])
        ));
        let run = rig.waxwing(&["renew"]).expect(5);
        assert_eq!(rig.provider.traffic().total(), 0);
        assert_eq!(rig.provider.traffic().connections(), 0);
        run.says("certificate").says("dns-made-easy");
    });
}

#[test]
fn what_a_run_has_used_of_a_providers_rate_the_next_one_does_not_use_again() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let config = rig.config_at(&judge, "");
    // One look for the zone, and two requests for each name: 149 of 150 in five minutes.
    let many: Vec<String> = (0..74).map(|nth| format!("n{nth}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    rig.write_config(&format!("{config}{}", certificate("many", &many)));
    own_rate(&rig, "150 per 1h");
    rig.waxwing(&["renew"]).expect(0);
    assert_eq!(rig.provider.traffic().total(), 149);
    let two = certificate("two", &["two.example.com"]);
    rig.write_config(&format!("{config}{}{two}", certificate("many", &many)));
    // So long no run waits.
    own_rate(&rig, "150 per 1h");
    let run = rig.waxwing(&["renew"]).expect(5);
    run.says("two.example.com").says("rate");
    assert!(
        rig.provider.traffic().total() <= 150,
        "the provider refuses the next one"
    );
}

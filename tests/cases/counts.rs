//! How often the program asks: the CA, request by request, and the DNS provider.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use instant_acme::{
    Account, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use waxwing_world::ca::{self, Finalize, RetryAfter};
use waxwing_world::pebble;
use waxwing_world::traffic::{Class, Traffic};

use crate::cases::rig::{Judge, Rig, both, certificate, plain};

/// One request at a time.
const NARROW: &str = "rate = { concurrent-requests = 1, concurrent-orders = 1 }";

/// Further looks at an order that one issuance may take when a judge is slow.
const PATIENCE: usize = 2;

/// A rig whose account exists, that keeps no copy of the directory, and whose counters start now,
/// for these certificates.
fn registered(rig: &Rig, judge: &Judge, more: &str, certificates: &str) {
    let config = rig.config_at(judge, more);
    rig.write_config(&format!(
        "{config}{}{certificates}",
        certificate("zero", &["zero.example.com"])
    ));
    rig.waxwing(&["renew", "zero"]).expect(0);
    fs::remove_dir_all(rig.path("state/cache/directories")).expect("a copy of the directory");
    judge.traffic().reset();
    rig.provider.traffic().reset();
}

/// The looks at one order: Pebble is still at work when it answers a finalize request.
fn looks(judge: &Judge) -> usize {
    match judge {
        Judge::World(_) => 1,
        Judge::Pebble(_) => 2,
    }
}

/// Asserts these counts for so many orders, but for repeated looks at an order, which are few.
#[track_caller]
fn assert_counts(judge: &Judge, orders: usize, names: usize, total: usize) {
    let traffic = judge.traffic();
    let mut counts = traffic.counts();
    let seen = counts.remove(&Class::Order).unwrap_or_default();
    let advice = counts.remove(&Class::RenewalInfo).unwrap_or_default();
    assert!(advice <= 2 * orders, "{advice} requests for advice");
    let expected = BTreeMap::from([
        (Class::Directory, 1),
        (Class::NewNonce, 1),
        (Class::NewOrder, orders),
        (Class::Authorization, names),
        (Class::Challenge, names),
        (Class::Finalize, orders),
        (Class::Certificate, orders),
    ]);
    assert_eq!(counts, expected);
    let needed = orders * looks(judge);
    assert!(
        (needed..=needed + orders * PATIENCE).contains(&seen),
        "{seen} looks at {orders} orders"
    );
    assert_eq!(counts.values().sum::<usize>() + needed, total);
}

#[test]
fn one_name_takes_nine_requests_and_eight_where_finalizing_is_instant() {
    let test = "one_name_takes_nine_requests_and_eight_where_finalizing_is_instant";
    plain(test, |rig, judge| {
        registered(
            rig,
            judge,
            NARROW,
            &certificate("one", &["www.example.com"]),
        );
        rig.waxwing(&["renew"]).expect(0);
        assert_counts(judge, 1, 1, 7 + looks(judge));
    });
}

#[test]
fn with_a_fresh_copy_of_the_directory_it_takes_one_request_less() {
    let test = "with_a_fresh_copy_of_the_directory_it_takes_one_request_less";
    plain(test, |rig, judge| {
        let config = rig.config_at(judge, NARROW);
        let zero = certificate("zero", &["zero.example.com"]);
        let one = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{config}{zero}{one}"));
        rig.waxwing(&["renew", "zero"]).expect(0);
        judge.traffic().reset();
        rig.waxwing(&["renew", "one"]).expect(0);
        let traffic = judge.traffic();
        assert_eq!(traffic.count(Class::Directory), 0);
        assert_eq!(traffic.count(Class::NewNonce), 1);
        assert_eq!(traffic.count(Class::NewOrder), 1);
    });
}

#[test]
fn each_further_certificate_of_a_run_takes_two_requests_less() {
    let test = "each_further_certificate_of_a_run_takes_two_requests_less";
    plain(test, |rig, judge| {
        let certificates: String = (0..3)
            .map(|nth| certificate(&format!("c{nth}"), &[&format!("c{nth}.example.com")]))
            .collect();
        registered(rig, judge, NARROW, &certificates);
        rig.waxwing(&["renew"]).expect(0);
        assert_counts(judge, 3, 3, 7 + looks(judge) + 2 * (5 + looks(judge)));
    });
}

#[test]
fn ten_names_take_twenty_seven_requests_and_one_connection() {
    let test = "ten_names_take_twenty_seven_requests_and_one_connection";
    plain(test, |rig, judge| {
        let domains: Vec<String> = (0..10).map(|nth| format!("n{nth}.example.com")).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        registered(rig, judge, NARROW, &certificate("ten", &domains));
        rig.waxwing(&["renew"]).expect(0);
        assert_counts(judge, 1, 10, 25 + looks(judge));
        assert_eq!(rig.provider.traffic().connections(), 1);
        assert_eq!(judge.traffic().connections(), 1);
    });
}

#[test]
fn a_wider_session_needs_few_more_nonces_and_no_second_connection() {
    const WIDTH: usize = 4;
    let test = "a_wider_session_needs_few_more_nonces_and_no_second_connection";
    plain(test, |rig, judge| {
        let domains: Vec<String> = (0..10).map(|nth| format!("n{nth}.example.com")).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        let wide = format!("rate = {{ concurrent-requests = {WIDTH}, concurrent-orders = 2 }}");
        let certificates = [
            certificate("ten", &domains),
            certificate("one", &["one.example.com"]),
        ];
        registered(rig, judge, &wide, &certificates.concat());
        rig.waxwing(&["renew"]).expect(0);
        let traffic = judge.traffic();
        assert!((1..=WIDTH).contains(&traffic.count(Class::NewNonce)));
        assert_eq!(traffic.count(Class::Directory), 1);
        assert_eq!(traffic.count(Class::Authorization), 11);
        assert_eq!(traffic.count(Class::Challenge), 11);
        assert_eq!(rig.provider.traffic().connections(), 1);
        assert_eq!(judge.traffic().connections(), 1);
    });
}

#[test]
fn fifty_names_of_one_zone_take_a_hundred_and_one_requests_at_the_provider() {
    let test = "fifty_names_of_one_zone_take_a_hundred_and_one_requests_at_the_provider";
    plain(test, |rig, judge| {
        let mut config = rig.config_at(judge, "");
        for nth in 0..5 {
            let domains: Vec<String> = (0..10)
                .map(|name| format!("n{name}.c{nth}.example.com"))
                .collect();
            let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
            config += &certificate(&format!("c{nth}"), &domains);
        }
        rig.write_config(&config);
        rig.waxwing(&["renew"]).expect(0);
        let asked = rig.provider.traffic().counts();
        assert!(rig.provider.traffic().total() <= 101, "{asked:?}");
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn half_of_all_nonces_refused_stops_none_of_twenty_certificates() {
    let test = "half_of_all_nonces_refused_stops_none_of_twenty_certificates";
    let at_world = ca::Options {
        nonce_reject: 50,
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        nonce_reject: 50,
        ..pebble::Options::default()
    };
    both(test, &at_world, &at_pebble, |rig, judge| {
        let mut config = rig.config_at(judge, "");
        let names: Vec<String> = (0..20).map(|nth| format!("c{nth}")).collect();
        for name in &names {
            config += &certificate(name, &[&format!("{name}.example.com")]);
        }
        rig.write_config(&config);
        rig.waxwing(&["renew"]).expect(0);
        for name in &names {
            rig.verify(name, &judge.root_pem(0));
        }
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn a_slow_and_moody_ca_stops_none_of_twenty_certificates() {
    let test = "a_slow_and_moody_ca_stops_none_of_twenty_certificates";
    let at_world = ca::Options {
        nonce_reject: 50,
        authz_reuse: 100,
        validation_delay: Duration::from_millis(500),
        finalize: Finalize::ProcessingReads(1),
        retry_after: Some(RetryAfter::Seconds(1)),
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        nonce_reject: 50,
        authz_reuse: 100,
        sleep: Some(2),
        retry_after: (1, 1),
        ..pebble::Options::default()
    };
    both(test, &at_world, &at_pebble, |rig, judge| {
        let mut config = rig.config_at(judge, "");
        let names: Vec<String> = (0..20).map(|nth| format!("c{nth}")).collect();
        for (nth, name) in names.iter().enumerate() {
            // Each name of the second kind is in four certificates, and valid behind the first.
            let shared = format!("s{}.example.com", nth / 4);
            config += &certificate(name, &[&format!("{name}.example.com"), &shared]);
        }
        rig.write_config(&config);
        rig.waxwing(&["renew"]).expect(0);
        for name in &names {
            rig.verify(name, &judge.root_pem(0));
            assert_eq!(rig.versions(name), 1);
        }
        assert_eq!(rig.records(), []);
    });
}

#[test]
fn no_more_requests_than_another_client_needs_for_the_same_names() {
    let test = "no_more_requests_than_another_client_needs_for_the_same_names";
    let rig = Rig::new();
    let Some(judge) = rig.pebble(test, &pebble::Options::default()) else {
        return;
    };
    for count in [1, 10] {
        let domains: Vec<String> = (0..count)
            .map(|nth| format!("n{nth}.of{count}.example.com"))
            .collect();
        let named: Vec<&str> = domains.iter().map(String::as_str).collect();
        let name = format!("c{count}");
        let config = rig.config_at(&judge, NARROW);
        rig.write_config(&format!("{config}{}", certificate(&name, &named)));
        judge.traffic().reset();
        rig.waxwing(&["renew", &name]).expect(0);
        let ours = requests(judge.traffic(), 2);
        rig.verify(&name, &judge.root_pem(0));

        judge.traffic().reset();
        let chain = by_another_client(&rig, &judge, &domains);
        let theirs = requests(judge.traffic(), 2);
        assert!(ours <= theirs, "{ours} requests, and {theirs} of the other");

        let file = rig.path("other.pem");
        std::fs::write(&file, chain).expect("written");
        let mut other = rig.names_in(&file);
        other.sort();
        assert_eq!(rig.names_in(&rig.stored(&name).join("cert.pem")), other);
    }
}

/// All requests, with so many looks at the order, however many there were: they count the moments
/// that the judge took and not what a client needs.
fn requests(traffic: &Traffic, looks: usize) -> usize {
    let counts = traffic.counts();
    let orders = counts.get(&Class::Order).copied().unwrap_or_default();
    traffic.total() - orders.saturating_sub(looks)
}

/// A chain for these names, obtained by a client that is not ours.
fn by_another_client(rig: &Rig, judge: &Judge, domains: &[String]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let new = NewAccount {
            contact: &[],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_root(rig.path("root.pem")).expect("a client");
        let (account, _credentials) = builder
            .create(&new, judge.directory(), None)
            .await
            .expect("an account");
        let wanted: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account
            .new_order(&NewOrder::new(&wanted))
            .await
            .expect("an order");
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.expect("an authorization");
            let domain = authorization.identifier().to_string();
            let mut challenge = authorization
                .challenge(ChallengeType::Dns01)
                .expect("dns-01");
            let value = challenge.key_authorization().dns_value();
            let name = format!("_acme-challenge.{domain}");
            rig.world.dns().add_txt(&name, &value).expect("in a zone");
            challenge.set_ready().await.expect("started");
        }
        let retries = RetryPolicy::new().initial_delay(Duration::from_millis(50));
        let status = order.poll_ready(&retries).await.expect("polled");
        assert_eq!(status, OrderStatus::Ready);
        order.finalize().await.expect("finalized");
        order
            .poll_certificate(&retries)
            .await
            .expect("a certificate")
    })
}

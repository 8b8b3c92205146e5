//! The probe against name servers on loopback.

use waxwing_world::World;
use waxwing_world::dns::{Lag, Manner as Behaviour};

use super::*;

const CHALLENGE: &str = "_acme-challenge.example.com";

pub(super) fn world(servers: u8) -> World {
    World::builder()
        .zone("example.com")
        .zone("sub.example.com")
        .zone("example.org")
        .name_servers(servers)
        .start()
        .expect("loopback")
}

pub(super) fn probe(world: &World, propagation: Propagation) -> DnsProbe {
    DnsProbe {
        resolvers: vec![world.dns().resolver()],
        authoritative_port: world.dns().port(),
        propagation,
        patience: PATIENCE,
    }
}

pub(super) fn name(text: &str) -> DomainName {
    DomainName::parse(text).expect("a name")
}

async fn look(probe: &DnsProbe, fqdn: &str) -> Vec<Result<bool, String>> {
    let views = probe
        .look(&name(fqdn), "value", &PropagationHint::default())
        .await;
    views
        .expect("a look")
        .into_iter()
        .map(|view| view.sees)
        .collect()
}

#[tokio::test]
async fn locate_follows_aliases_into_the_zone_that_holds_their_end() {
    let world = world(1);
    let probe = probe(&world, Propagation::Authoritative);
    let dns = world.dns();
    dns.set_cname("_acme-challenge.alias.example.com", "one.example.com")
        .expect("set");
    dns.set_cname("one.example.com", "proof.example.org")
        .expect("set");
    let table = [
        ("example.com", CHALLENGE, "example.com"),
        (
            "a.b.example.com",
            "_acme-challenge.a.b.example.com",
            "example.com",
        ),
        (
            "www.sub.example.com",
            "_acme-challenge.www.sub.example.com",
            "sub.example.com",
        ),
        ("alias.example.com", "proof.example.org", "example.org"),
    ];
    for (identifier, fqdn, zone) in table {
        let location = probe.locate(&name(identifier)).await;
        let want = Location {
            fqdn: name(fqdn),
            zone: Some(name(zone)),
        };
        assert_eq!(location, Ok(want), "{identifier}");
    }
}

#[tokio::test]
async fn a_circle_of_aliases_is_an_error_that_names_it() {
    let world = world(1);
    let dns = world.dns();
    dns.set_cname(CHALLENGE, "a.example.com").expect("set");
    dns.set_cname("a.example.com", CHALLENGE).expect("set");
    let error = probe(&world, Propagation::Authoritative)
        .locate(&name("example.com"))
        .await;
    let error = error.expect_err("a circle");
    assert_eq!(error.name, CHALLENGE);
    assert_eq!(
        error.hint,
        Some(format!("look at the CNAME record of {CHALLENGE}"))
    );
}

#[tokio::test]
async fn every_authoritative_server_is_asked_itself_and_each_time_anew() {
    let world = world(3);
    let probe = probe(&world, Propagation::Authoritative);
    assert_eq!(
        look(&probe, CHALLENGE).await,
        [Ok(false), Ok(false), Ok(false)]
    );
    world.dns().lag(2, Lag::Queries(1));
    world.dns().add_txt(CHALLENGE, "sibling").expect("added");
    world.dns().add_txt(CHALLENGE, "value").expect("added");
    assert_eq!(
        look(&probe, CHALLENGE).await,
        [Ok(true), Ok(true), Ok(false)]
    );
    assert_eq!(
        look(&probe, CHALLENGE).await,
        [Ok(true), Ok(true), Ok(true)]
    );
}

#[tokio::test]
async fn a_cut_answer_is_fetched_again_over_tcp() {
    let world = world(2);
    world.dns().add_txt(CHALLENGE, "value").expect("added");
    world.dns().behave(1, Behaviour::Truncates);
    let seen = look(&probe(&world, Propagation::Authoritative), CHALLENGE).await;
    assert_eq!(seen, [Ok(true), Ok(true)]);
    assert!(
        world
            .dns()
            .questions()
            .iter()
            .any(|question| question.server == 1 && question.tcp)
    );
}

#[tokio::test]
async fn a_long_value_is_put_together_from_its_strings() {
    let world = world(1);
    let long = "x".repeat(600);
    world.dns().add_txt(CHALLENGE, &long).expect("added");
    let probe = probe(&world, Propagation::Authoritative);
    let views = probe
        .look(&name(CHALLENGE), &long, &PropagationHint::default())
        .await;
    assert_eq!(views.expect("a look")[0].sees, Ok(true));
}

#[tokio::test]
async fn a_server_that_refuses_or_fails_is_told_apart_from_one_without_the_record() {
    let world = world(3);
    world.dns().behave(1, Behaviour::Refuses);
    world.dns().behave(2, Behaviour::Fails);
    let seen = look(&probe(&world, Propagation::Authoritative), CHALLENGE).await;
    assert_eq!(seen[0], Ok(false));
    let said = |code: &str| Err(format!("answers {code}"));
    assert_eq!(seen[1..], [said("Query Refused"), said("Server Failure")]);
}

#[tokio::test]
async fn servers_that_the_provider_names_are_asked_instead() {
    let world = world(3);
    world.dns().add_txt(CHALLENGE, "value").expect("added");
    let hint = PropagationHint {
        nameservers: vec![
            "ns2.example.com.".to_owned(),
            "127.0.0.3".to_owned(),
            "nowhere.example.com".to_owned(),
        ],
        ..PropagationHint::default()
    };
    let probe = probe(&world, Propagation::Authoritative);
    let views = probe
        .look(&name(CHALLENGE), "value", &hint)
        .await
        .expect("a look");
    let port = world.dns().port();
    let want = [
        (
            format!("ns2.example.com (127.0.0.2:{port}, loopback)"),
            Ok(true),
        ),
        (format!("127.0.0.3 (127.0.0.3:{port}, loopback)"), Ok(true)),
        (
            "nowhere.example.com".to_owned(),
            Err("it has no address".to_owned()),
        ),
    ];
    let got: Vec<_> = views
        .into_iter()
        .map(|view| (view.server, view.sees))
        .collect();
    assert_eq!(got, want);
}

#[tokio::test]
async fn where_port_53_is_closed_the_resolvers_are_believed() {
    let world = world(2);
    world.dns().add_txt(CHALLENGE, "value").expect("added");
    let probe = probe(&world, Propagation::Resolvers);
    assert_eq!(look(&probe, CHALLENGE).await, [Ok(true)]);
    let wait = Propagation::Wait(Duration::from_secs(1));
    assert_eq!(
        look(
            &DnsProbe {
                propagation: wait,
                ..probe
            },
            CHALLENGE
        )
        .await,
        []
    );
}

#[tokio::test]
async fn a_resolver_that_cannot_be_reached_is_named_with_the_line_that_replaces_it() {
    let world = world(1);
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let closed = free.local_addr().expect("bound");
    drop(free);
    let probe = DnsProbe {
        resolvers: vec![closed],
        patience: Duration::from_millis(20),
        ..probe(&world, Propagation::Authoritative)
    };
    let error = probe
        .locate(&name("example.com"))
        .await
        .expect_err("closed");
    assert_eq!(
        error.causes[0],
        format!("its CNAME cannot be looked up (asked {closed})"),
        "{error}"
    );
    assert_eq!(
        error.hint,
        Some(format!(
            "{closed} does not answer: it cannot be reached from here, or the name servers behind it are silent; \
             [network] resolvers = [\"ADDRESS:53\"] sets another"
        ))
    );
    let waits = DnsProbe {
        propagation: Propagation::Wait(Duration::ZERO),
        ..probe
    };
    let location = waits.locate(&name("example.com")).await;
    assert_eq!(
        location,
        Ok(Location {
            fqdn: name(CHALLENGE),
            zone: None
        })
    );
}

#[tokio::test]
async fn a_zone_that_fails_is_an_error_with_the_code() {
    let world = world(1);
    world.dns().servfail(CHALLENGE).expect("a name");
    let error = probe(&world, Propagation::Authoritative)
        .locate(&name("example.com"))
        .await;
    let error = error.expect_err("servfail");
    assert_eq!(error.causes[1], "answers Server Failure");
}

#[tokio::test]
async fn signatures_that_do_not_hold_are_told_from_a_server_that_fails() {
    let world = world(1);
    let probe = probe(&world, Propagation::Authoritative);
    world.dns().bogus("example.org").expect("a name");
    world.dns().servfail("broken.example.com").expect("a name");
    let error = probe.caa(&name("www.example.org")).await;
    let error = error.expect_err("nobody can believe it");
    assert!(error.bogus, "{error:?}");
    assert!(error.to_string().contains("DNSSEC"), "{error}");
    assert!(error.hint.expect("a hint").contains("DS record"));
    let error = probe.locate(&name("example.org")).await;
    assert!(error.expect_err("nor this").bogus);
    let error = probe.caa(&name("broken.example.com")).await;
    let error = error.expect_err("it fails");
    assert!(!error.bogus, "{error:?}");
    assert_eq!(probe.caa(&name("example.com")).await, Ok(None));
    // The rest of the zone is right.
    world.dns().bogus_caa("example.com").expect("a name");
    let error = probe.caa(&name("example.com")).await;
    assert!(error.expect_err("nobody can believe it").bogus);
    assert!(probe.locate(&name("example.com")).await.is_ok());
}

#[tokio::test]
async fn the_caa_records_nearest_to_the_name_count() {
    let world = world(1);
    let probe = probe(&world, Propagation::Authoritative);
    let dns = world.dns();
    dns.set_caa("example.com", "issue", "one.example")
        .expect("set");
    dns.set_caa("a.sub.example.com", "issue", "two.example")
        .expect("set");
    for (asked, at, issuer) in [
        ("www.example.com", "example.com", "one.example"),
        ("x.a.sub.example.com", "a.sub.example.com", "two.example"),
    ] {
        let set = probe.caa(&name(asked)).await.expect("looked up");
        let set = set.expect("there are some");
        assert_eq!((set.at, set.records[0].value.as_str()), (name(at), issuer));
    }
}

//! What every server of the world does.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::fault::{Fault, Spoilt};

fn client(world: &World) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
    reqwest::Client::builder()
        .tls_certs_only([root])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}

fn hello(world: &World) -> Https {
    Https::start(world, odd::fixed(StatusCode::OK, "text/plain", "hello")).expect("loopback")
}

#[tokio::test]
async fn requests_share_one_connection_and_both_are_counted() {
    let world = World::start(&[]).expect("loopback");
    let server = hello(&world);
    let client = client(&world);
    for path in ["/a?b=c", "/d"] {
        let answer = client
            .get(format!("{}{path}", server.url()))
            .send()
            .await
            .expect("answered");
        assert_eq!(answer.version(), http::Version::HTTP_2);
        assert_eq!(answer.text().await.expect("a body"), "hello");
    }
    assert_eq!(server.traffic().connections(), 1);
    let seen: Vec<_> = server
        .traffic()
        .log()
        .into_iter()
        .map(|entry| (entry.path, entry.status.map(|status| status.as_u16())))
        .collect();
    assert_eq!(
        seen,
        [
            ("/a?b=c".to_owned(), Some(200)),
            ("/d".to_owned(), Some(200))
        ]
    );
    server.traffic().reset();
    assert_eq!(
        (server.traffic().total(), server.traffic().connections()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_client_without_http2_is_served_too() {
    let world = World::start(&[]).expect("loopback");
    let server = hello(&world);
    let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .http1_only()
        .build();
    let answer = client
        .expect("a client")
        .get(server.url())
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.version(), http::Version::HTTP_11);
}

#[tokio::test]
async fn a_server_is_known_by_the_root_of_its_own_world_and_by_its_name() {
    let (one, two) = (
        World::start(&[]).expect("loopback"),
        World::start(&[]).expect("loopback"),
    );
    let server = hello(&one);
    client(&two)
        .get(server.url())
        .send()
        .await
        .expect_err("another root");
    let names = vec!["elsewhere.test".to_owned()];
    let setup = Setup {
        names,
        ..Setup::default()
    };
    let router = odd::fixed(StatusCode::OK, "text/plain", "hello");
    let misnamed = Https::start_with(&one, router, setup).expect("loopback");
    client(&one)
        .get(misnamed.url())
        .send()
        .await
        .expect_err("another name");
    assert_eq!(misnamed.traffic().total(), 0);
    client(&one)
        .get(server.url())
        .send()
        .await
        .expect("its own root");
}

#[tokio::test]
async fn a_dropped_server_refuses_and_cuts_what_was_open() {
    let world = World::start(&[]).expect("loopback");
    let server = hello(&world);
    let (address, url) = (server.address(), server.url());
    server.faults().add(Fault::once(Class::Other, What::Hang));
    let client = client(&world);
    let hanging = tokio::spawn({
        let request = client.get(&url);
        async move { request.send().await }
    });
    while server.traffic().total() == 0 {
        tokio::task::yield_now().await;
    }
    let open = TcpStream::connect(address).expect("there");
    drop(server);
    hanging.await.expect("joined").expect_err("cut");
    is_cut(open);
}

/// Asserts that nobody holds the other end any more. A new connection would say nothing: by now the
/// port may be another world's.
fn is_cut(mut open: TcpStream) {
    let patience = Some(Duration::from_secs(10));
    open.set_read_timeout(patience).expect("a time-out");
    match open.read(&mut [0]) {
        Ok(read) => assert_eq!(read, 0, "it speaks"),
        Err(cause) => {
            let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
            assert!(!late.contains(&cause.kind()), "it is held: {cause}");
        }
    }
}

#[test]
fn a_dropped_world_ends_what_outlived_it_by_name_only() {
    let world = World::start(&["example.com"]).expect("loopback");
    let server = hello(&world);
    let dns = TcpStream::connect(world.dns().resolver()).expect("there");
    drop(world);
    is_cut(dns);
    // The server keeps the thread it runs on; only the name servers went with the world.
    let web = TcpStream::connect(server.address()).expect("still there");
    drop(server);
    is_cut(web);
}

#[test]
fn worlds_side_by_side_do_not_notice_each_other() {
    let worlds: Vec<_> = (0..8)
        .map(|_nth| World::start(&["example.com"]).expect("loopback"))
        .collect();
    for (nth, world) in worlds.iter().enumerate() {
        world
            .dns()
            .add_txt("example.com", &nth.to_string())
            .expect("in a zone");
    }
    for (nth, world) in worlds.iter().enumerate() {
        assert_eq!(world.dns().txt("example.com"), [nth.to_string()]);
    }
}

#[tokio::test]
async fn odd_answers_are_as_odd_as_asked_for() {
    let world = World::start(&[]).expect("loopback");
    let client = client(&world);
    let ask = async |router: Router| {
        let server = Https::start(&world, router).expect("loopback");
        let answer = client.get(server.url()).send().await.expect("answered");
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").cloned();
        (
            status,
            location,
            answer.bytes().await.expect("a body").len(),
        )
    };
    let away = ask(odd::redirect(StatusCode::FOUND, "https://elsewhere.test/")).await;
    assert_eq!(
        away,
        (
            302,
            Some(HeaderValue::from_static("https://elsewhere.test/")),
            0
        )
    );
    assert_eq!(
        ask(odd::flood(3 * 1024 * 1024)).await,
        (200, None, 3 * 1024 * 1024)
    );
    assert_eq!(
        ask(odd::trickle(3, Duration::from_millis(1))).await,
        (200, None, 3)
    );
    assert!(ask(odd::echo()).await.2 > 0);
}

#[tokio::test]
async fn a_refused_port_refuses() {
    let world = World::start(&[]).expect("loopback");
    let refused = client(&world).get(refused().expect("a port")).send().await;
    assert!(refused.expect_err("nobody listens").is_connect());
    let closed = Closed::new().expect("a port");
    let refused = client(&world).get(closed.url()).send().await;
    assert!(refused.expect_err("nobody listens").is_connect());
}

#[tokio::test]
async fn an_answer_is_spoilt_as_asked_for_and_its_headers_stay() {
    let world = World::start(&[]).expect("loopback");
    let body = || async { ([("x-nonce", "n1")], "0123456789") };
    let server = Https::start(&world, Router::new().fallback(body)).expect("loopback");
    let client = client(&world);
    let ask = async |what: What| {
        server.faults().add(Fault::once(Class::Other, what));
        let answer = client.get(server.url()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-nonce"], "n1");
        let kind = answer.headers()["content-type"].clone();
        (answer.bytes().await, kind)
    };
    let read = async |how: Spoilt| ask(What::Spoilt(how)).await.0.expect("a body");
    assert_eq!(read(Spoilt::Empty).await, "");
    assert_eq!(read(Spoilt::Half).await, "01234");
    assert_eq!(read(Spoilt::Padded(3)).await, "0123456789   ");
    assert!(str::from_utf8(&read(Spoilt::Garbage).await).is_err());
    ask(What::Spoilt(Spoilt::CutOff)).await.0.expect_err("cut");
    let (body, kind) = ask(What::Spoilt(Spoilt::Kind("text/x-odd".to_owned()))).await;
    assert_eq!(
        (body.expect("a body"), kind),
        ("0123456789".into(), "text/x-odd".parse().expect("a kind"))
    );
    let (body, _) = ask(What::Drip(Duration::from_millis(1))).await;
    assert_eq!(body.expect("a body"), "0123456789");
}

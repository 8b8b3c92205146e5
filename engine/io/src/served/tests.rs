#![expect(
    clippy::disallowed_methods,
    reason = "the servers read their files from a disk"
)]
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use waxwing_world::World;
use waxwing_world::shop::{Greeting, Shop};

use super::*;

/// A self-signed certificate in two files, and its digest.
fn identity(folder: &TempDir, name: &str) -> (PathBuf, PathBuf, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let signed = signed.expect("a certificate");
    let (chain, key) = (
        folder.path().join(format!("{name}.crt")),
        folder.path().join(format!("{name}.key")),
    );
    fs::write(&chain, signed.cert.pem()).expect("a file");
    fs::write(&key, signed.signing_key.serialize_pem()).expect("a file");
    (chain, key, x509::sha256_hex(signed.cert.der()))
}

fn at(shop: &Shop, start: &str) -> ServedAt {
    let text = format!("localhost:{} {start}", shop.address().port());
    ServedAt::parse(&text).expect("a literal place")
}

async fn look(place: &ServedAt) -> Result<ServedLeaf, UnseenError> {
    TlsProbe::new().expect("a configuration").look(place).await
}

#[tokio::test]
async fn the_leaf_is_seen_however_tls_begins() {
    let (world, folder) = (World::start(&[]).expect("a world"), TempDir::new());
    let folder = folder.expect("a folder");
    let (chain, key, sha256) = identity(&folder, "one");
    for (greeting, start) in [
        (Greeting::Tls, ""),
        (Greeting::Smtp, "starttls=smtp"),
        (Greeting::Imap, "starttls=imap"),
        (Greeting::Pop3, "starttls=pop3"),
    ] {
        let shop = Shop::start(&world, greeting, &chain, &key).expect("a server");
        let leaf = look(&at(&shop, start)).await.expect("a leaf");
        assert_eq!(leaf.sha256, sha256, "{greeting:?}");
        assert!(leaf.not_after.is_some(), "{greeting:?}");
    }
}

#[tokio::test]
async fn what_keeps_a_leaf_from_being_seen_is_said() {
    let (world, folder) = (World::start(&[]).expect("a world"), TempDir::new());
    let folder = folder.expect("a folder");
    let (chain, key, _) = identity(&folder, "one");
    for (greeting, start, said) in [
        (
            Greeting::PlainSmtp,
            "starttls=smtp",
            "it does not offer STARTTLS",
        ),
        (
            Greeting::ChattySmtp,
            "starttls=smtp",
            "it goes on talking where TLS should begin",
        ),
        (Greeting::Pop3, "starttls=smtp", "it said: +OK ready"),
        (
            Greeting::Smtp,
            "starttls=pop3",
            "it said: 220-mx.example ESMTP",
        ),
    ] {
        let shop = Shop::start(&world, greeting, &chain, &key).expect("a server");
        let place = at(&shop, start);
        let error = look(&place).await.expect_err("no leaf");
        let address = format!("127.0.0.1:{}: asking for TLS", place.port);
        assert_eq!(error.causes, [address, said.to_owned()], "{greeting:?}");
    }
    // Nobody listens any more, and nobody shows anything.
    let nothing = folder.path().join("nothing");
    let shop = Shop::start(&world, Greeting::Tls, &nothing, &key).expect("a server");
    let place = at(&shop, "");
    let hung_up = look(&place).await.expect_err("no leaf");
    assert_eq!(hung_up.causes[0], format!("127.0.0.1:{}: TLS", place.port));
    drop(shop);
    let refused = look(&place).await.expect_err("no server");
    let refusal = format!("connect to 127.0.0.1:{}", place.port);
    assert!(
        refused
            .causes
            .iter()
            .any(|cause| cause.starts_with(&refusal)),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_hold_the_look_up() {
    let (world, folder) = (World::start(&[]).expect("a world"), TempDir::new());
    let folder = folder.expect("a folder");
    let (chain, key, _) = identity(&folder, "one");
    let shop = Shop::start(&world, Greeting::Silence, &chain, &key).expect("a server");
    let error = look(&at(&shop, "starttls=smtp"))
        .await
        .expect_err("silence");
    assert_eq!(error.causes, ["no answer within 10 s"]);
}

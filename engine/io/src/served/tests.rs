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
    let place = at(&shop, "starttls=smtp");
    let error = look(&place).await.expect_err("silence");
    let address = format!("127.0.0.1:{}: no answer within 9 s", place.port);
    assert_eq!(error.causes, [address]);
}

/// Half of the visitors come to the other address.
#[tokio::test]
async fn of_several_addresses_the_one_that_is_behind_counts() {
    let (world, folder) = (World::start(&[]).expect("a world"), TempDir::new());
    let folder = folder.expect("a folder");
    let soon = |name: &str, year: i32| {
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let files = ["crt", "key"].map(|kind| folder.path().join(format!("{name}.{kind}")));
        fs::write(&files[0], cert.pem()).expect("a file");
        fs::write(&files[1], key.serialize_pem()).expect("a file");
        let shop = Shop::start(&world, Greeting::Tls, &files[0], &files[1]).expect("a server");
        (shop, x509::sha256_hex(cert.der()))
    };
    let (new, of_new) = soon("new", 2040);
    let (old, of_old) = soon("old", 2039);
    let (_, key, _) = identity(&folder, "none");
    let nothing = folder.path().join("nothing");
    let mute = Shop::start(&world, Greeting::Tls, &nothing, &key).expect("a server");
    let gone = Shop::start(&world, Greeting::Tls, &nothing, &key).expect("a server");
    let nobody = gone.address();
    drop(gone);
    let place = at(&new, "");
    let probe = TlsProbe::new().expect("a configuration");
    for (addresses, want) in [
        (vec![new.address(), nobody], Ok(&of_new)),
        (vec![new.address(), old.address()], Ok(&of_old)),
        (vec![old.address(), new.address()], Ok(&of_old)),
        (vec![new.address(), mute.address()], Err(mute.address())),
        (vec![nobody], Err(nobody)),
    ] {
        let seen = probe.shake_all(&place, addresses).await;
        match want {
            Ok(sha256) => assert_eq!(&seen.expect("a leaf").sha256, sha256),
            Err(at) => {
                let error = seen.expect_err("no leaf").to_string();
                assert!(error.contains(&at.to_string()), "{error}");
            }
        }
    }
}

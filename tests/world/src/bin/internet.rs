//! The internet, for a machine that has none: what a program under trial asks by name is here, at the
//! name's own port, so that its configuration is the one that a user would write.
//!
//! It binds public addresses and ports below 1024, and must not have a way out: start it in a network
//! namespace of its own whose loopback interface holds the addresses of [`ADDRESSES`] (`.ci/five-minutes`
//! does). It ends when its standard input does.
//!
//! `internet FOLDER` writes `root.pem` there, which signs all HTTPS here, the credentials of the account
//! at the DNS provider, and at last `ready`. `internet --addresses` prints the addresses.

#![expect(
    clippy::disallowed_methods,
    reason = "a program for tests that leaves real files"
)]

use std::error::Error;
use std::fs;
use std::io::{self, Read as _, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use waxwing_world::World;
use waxwing_world::ca::{self, Ca};
use waxwing_world::dns_made_easy::{self, Api};
use waxwing_world::server::Place;

/// Two name servers for everything; the first one is the resolver, too.
const NAME_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(11, 0, 0, 53), Ipv4Addr::new(11, 0, 1, 53)];

/// The servers with a name, of which [`WEB`] is the machine of the user.
const LETS_ENCRYPT: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
const STAGING: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);
const ZEROSSL: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 3);
const PROVIDER: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 4);
const WEB: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 80);

/// Every address that has to be there: all but the user's.
const ADDRESSES: [Ipv4Addr; 6] = [
    NAME_SERVERS[0],
    NAME_SERVERS[1],
    LETS_ENCRYPT,
    STAGING,
    ZEROSSL,
    PROVIDER,
];

/// Zones of the outside, and the one of the user.
const ZONES: [&str; 4] = [
    "letsencrypt.org",
    "zerossl.com",
    "dnsmadeeasy.com",
    "example.com",
];

/// How long a CA takes to look at a record: long enough to see that something waits.
const LOOK: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(word) = std::env::args().nth(1) else {
        return Err("usage: internet FOLDER | internet --addresses".into());
    };
    let mut out = io::stdout().lock();
    if word == "--addresses" {
        for address in ADDRESSES {
            writeln!(out, "{address}")?;
        }
        return Ok(());
    }
    serve(Path::new(&word), &mut out)
}

fn serve(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let world = ZONES
        .iter()
        .fold(World::builder(), |world, zone| world.zone(zone))
        .name_servers_at(&NAME_SERVERS, 53)
        .start()?;
    let named = |address: Ipv4Addr, names: &[&str]| -> Result<Place, Box<dyn Error>> {
        for name in names {
            world.dns().add_a(name, address)?;
        }
        Ok(Place {
            address: (address, 443).into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let lets_encrypt = ca::Options {
        place: Some(named(LETS_ENCRYPT, &["acme-v02.api.letsencrypt.org"])?),
        name: "Let's Encrypt (local)".to_owned(),
        validation_delay: LOOK,
        caa: vec!["letsencrypt.org".to_owned()],
        ..ca::Options::default()
    };
    let staging = ca::Options {
        place: Some(named(STAGING, &["acme-staging-v02.api.letsencrypt.org"])?),
        name: "Let's Encrypt, staging (local)".to_owned(),
        validation_delay: LOOK,
        caa: vec!["letsencrypt.org".to_owned()],
        ..ca::Options::default()
    };
    let zerossl = ca::Options {
        place: Some(named(ZEROSSL, &["acme.zerossl.com", "api.zerossl.com"])?),
        name: "ZeroSSL (local)".to_owned(),
        directory_path: "/v2/DV90".to_owned(),
        external_account: ca::ExternalAccount::Required {
            keys: Vec::new(),
            single_use: false,
        },
        credentials: Some(ca::Credentials { access_key: None }),
        caa: vec!["sectigo.com".to_owned()],
        ..ca::Options::default()
    };
    let cas = [
        Ca::start(&world, lets_encrypt)?,
        Ca::start(&world, staging)?,
        Ca::start(&world, zerossl)?,
    ];
    let account = dns_made_easy::Options {
        place: Some(named(PROVIDER, &["api.dnsmadeeasy.com"])?),
        zones: vec!["example.com".to_owned()],
        ..dns_made_easy::Options::default()
    };
    let provider = Api::start(&world, account.clone())?;
    world.dns().add_a("www.example.com", WEB)?;
    world.dns().add_a("example.com", WEB)?;

    fs::write(folder.join("root.pem"), world.root_pem())?;
    fs::write(folder.join("api-key"), &account.api_key)?;
    fs::write(folder.join("secret-key"), &account.secret_key)?;
    fs::write(folder.join("ready"), "")?;

    // Whoever started this holds the other end, also when it is killed.
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    let [lets_encrypt, staging, zerossl] = &cas;
    let issued = format!(
        "issued: {} at Let's Encrypt, {} at its staging, {} at ZeroSSL; accounts: {}, {}, {}",
        lets_encrypt.certificates().len(),
        staging.certificates().len(),
        zerossl.certificates().len(),
        lets_encrypt.accounts(),
        staging.accounts(),
        zerossl.accounts(),
    );
    let left = provider.records().len();
    // A trial that broke off does not listen any more.
    let _nobody_hears = writeln!(out, "{issued}\nTXT records left: {left}");
    Ok(())
}

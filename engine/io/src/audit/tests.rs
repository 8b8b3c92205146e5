#![expect(clippy::disallowed_methods, reason = "what is judged here are files")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_core::http::Method;
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, NotifierName, PluginName};
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::{AccountChange, AuditEvent, KeyOwner, Leaf};

use super::*;

/// A clock that stands.
struct Stands;

#[async_trait]
impl Clock for Stands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_795_470_000)
    }

    async fn sleep(&self, _wait: Duration) {}
}

fn header() -> Header {
    Header {
        who: Who {
            user: "waxwing".to_owned(),
            uid: Some(998),
            sudo: None,
            pid: 4711,
            by: Launch::Service,
            verb: "renew".to_owned(),
        },
        version: "0.1.0".to_owned(),
        config: "c0".repeat(32),
    }
}

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).expect("a literal name")
}

fn shop() -> CertificateName {
    CertificateName::parse("shop").expect("a literal name")
}

fn first() -> CaName {
    CaName::parse("first").expect("a literal name")
}

fn leaf() -> Leaf {
    Leaf {
        ca: first(),
        serial: "03a1b2c3d4e5f60718293a4b5c6d7e8f9012".to_owned(),
        sha256: "1e".repeat(32),
        not_after: Timestamp::from_unix(1_803_246_000),
        names: vec!["example.com".to_owned(), "*.example.com".to_owned()],
    }
}

/// A first run as it goes, and behind it everything else that can happen.
fn every_act() -> Vec<Act> {
    let key = |name: &str| Some(name.repeat(32));
    let written = |of, path: &str, name| Act::KeyWritten {
        of,
        path: format!("/var/lib/waxwing/{path}"),
        public_key: key(name),
    };
    let erased = |of, path: &str, name| Act::KeyErased {
        of,
        path: format!("/var/lib/waxwing/{path}"),
        public_key: key(name),
    };
    let account = |change| Act::Account {
        ca: first(),
        directory: "https://acme.example/directory".to_owned(),
        url: Some("https://acme.example/account/1".to_owned()),
        change,
    };
    let file = |name: &str, result: &str| {
        Act::Plugin(AuditEvent::File {
            plugin: plugin("web"),
            grant: "certs".to_owned(),
            path: format!("/etc/web/tls/{name}"),
            result: result.to_owned(),
        })
    };
    let request = |method, path: &str, result| {
        Act::Plugin(AuditEvent::Request {
            plugin: plugin("dns"),
            method,
            host: "api.example.net".to_owned(),
            path: path.to_owned(),
            result,
            ms: 120,
        })
    };
    let told = |failed: Option<&str>| Act::Told {
        notifier: NotifierName::parse("mail").expect("a literal name"),
        way: "mail",
        failed: failed.map(ToOwned::to_owned),
    };
    let order = || KeyOwner::Order(shop());
    vec![
        Act::SecretRead {
            keys: vec!["plugin.dns.secrets.token".to_owned()],
            reference: "file:/etc/waxwing/token".to_owned(),
            found: true,
        },
        Act::PluginLoaded {
            plugin: plugin("dns"),
            file: None,
            sha256: "0d".repeat(32),
        },
        Act::PluginLoaded {
            plugin: plugin("cheapdns"),
            file: Some("/etc/waxwing/plugins/cheapdns-1.2.0.wasm".to_owned()),
            sha256: "0e".repeat(32),
        },
        Act::RunBegan { rehearsal: false },
        Act::KeyMade {
            kind: None,
            public_key: key("a1"),
        },
        written(
            KeyOwner::Account(first()),
            "accounts/first/1f0c/key.pem",
            "a1",
        ),
        account(AccountChange::Registered),
        Act::TermsAgreed {
            ca: first(),
            url: "https://acme.example/terms/v1.pdf".to_owned(),
            at: Timestamp::from_unix(1_795_470_000),
        },
        request(Method::Get, "/v1/zones", Ok(200)),
        request(Method::Post, "/v1/zones/1/records", Ok(201)),
        Act::KeyMade {
            kind: Some(KeyType::EcdsaP256),
            public_key: key("b1"),
        },
        written(order(), "journal/shop.key", "b1"),
        written(
            KeyOwner::Certificate(shop()),
            "certificates/shop/versions/0004/privkey.pem",
            "b1",
        ),
        Act::Received {
            certificate: shop(),
            version: 4,
            leaf: leaf(),
        },
        erased(
            KeyOwner::Certificate(shop()),
            "certificates/shop/versions/0001/privkey.pem",
            "b0",
        ),
        Act::VersionErased {
            certificate: shop(),
            version: 1,
        },
        request(
            Method::Delete,
            "/v1/zones/1/records/7",
            Err("timed out".to_owned()),
        ),
        Act::Plugin(AuditEvent::More {
            plugin: plugin("dns"),
            count: 12,
        }),
        erased(order(), "journal/shop.key", "b1"),
        file("shop.crt", "written"),
        file("shop.key", "written"),
        Act::Plugin(AuditEvent::Command {
            plugin: plugin("web"),
            grant: "reload".to_owned(),
            program: "/usr/bin/systemctl".to_owned(),
            result: Ok(0),
            ms: 310,
        }),
        Act::Plugin(AuditEvent::Command {
            plugin: plugin("web"),
            grant: "reload".to_owned(),
            program: "/usr/bin/systemctl".to_owned(),
            result: Err("it took longer than 30 s".to_owned()),
            ms: 30_000,
        }),
        Act::Installed {
            certificate: shop(),
            version: 4,
            plugin: plugin("web"),
        },
        Act::RunEnded {
            stopped: false,
            requests: BTreeMap::from([(first(), 12)]),
        },
        told(None),
        told(Some("failed to send mail by mx.example.com:587: refused")),
        account(AccountChange::Contact),
        account(AccountChange::RolledOver),
        account(AccountChange::Deactivated),
        Act::Revoked {
            certificate: shop(),
            version: 4,
            leaf: Some(leaf()),
            reason: Some(1),
        },
        Act::Exported {
            path: "/root/shop/privkey.pem".to_owned(),
            certificate: shop(),
            version: 4,
        },
        Act::Forgotten {
            certificate: shop(),
            kept: "/var/lib/waxwing/archive/certificates/shop/0001".to_owned(),
        },
        Act::SetAside {
            path: "/var/lib/waxwing/journal/shop.toml".to_owned(),
            kept: "/var/lib/waxwing/archive/damaged/shop/0001".to_owned(),
        },
    ]
}

#[test]
fn every_act_has_its_line_and_the_example_shows_them() {
    let lines: String = every_act()
        .iter()
        .map(|act| line::line(&header(), Stands.now(), Some("06b0485b0-00a1b2"), act))
        .collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/audit/audit.jsonl");
    if std::env::var_os("WAXWING_BLESS").is_some() {
        fs::write(&golden, &lines).expect("a writable golden file");
    }
    let known = fs::read_to_string(&golden).expect("the golden file");
    let known = known.replace("\r\n", "\n");
    assert_eq!(lines, known, "WAXWING_BLESS=1 writes it anew");
    // And the page beside it explains each.
    let page = fs::read_to_string(golden.with_file_name("README.md")).expect("the page");
    for one in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(one).expect("JSON");
        let act = line["what"]["act"].as_str().expect("an act");
        assert!(page.contains(&format!("`{act}`")), "{act} is not explained");
    }
}

#[test]
fn no_text_of_a_plugin_steers_a_terminal_or_makes_a_line_long() {
    let nasty = "\u{1b}[2J\n\u{9b}31m\u{202e}\u{200b}\u{7f}\u{2028}";
    for (path, long) in [
        (format!("/{nasty}"), false),
        ("\u{1b}".repeat(4096), true),
        ("ä".repeat(20_000), true),
    ] {
        let event = AuditEvent::Request {
            plugin: plugin("dns"),
            method: Method::Get,
            host: path.clone(),
            path: path.clone(),
            result: Err(path.clone()),
            ms: 0,
        };
        let line = line::line(&header(), Stands.now(), None, &Act::Plugin(event));
        assert!(line.len() <= LINE_CAP, "{}", line.len());
        let text = line.strip_suffix('\n').expect("an end");
        assert!(!text.contains(|c: char| c.is_control()), "{text}");
        assert!(
            !text.contains(['\u{202e}', '\u{200b}', '\u{2028}']),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let shown = json["what"]["path"].as_str().expect("a path");
        assert_eq!(shown != path, long, "{shown}");
        assert!(!long || shown.ends_with('…'), "{shown}");
    }
}

/// A folder with a state and a place for the trail.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("state")).expect("made");
        fs::write(folder.path().join("state/format"), "1\n").expect("written");
        Self { folder }
    }

    fn place(&self) -> Place {
        Place {
            file: self.folder.path().join("log/audit.jsonl"),
            state: self.folder.path().join("state"),
        }
    }

    /// A trail of a process that only looks.
    fn look(&self) -> AuditFile {
        AuditFile::new(self.place(), header(), Arc::new(Stands))
    }

    fn trail(&self) -> AuditFile {
        let trail = self.look();
        trail.begin();
        trail
    }

    /// The runs whose acts are in the trail, in order.
    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place().file).unwrap_or_default();
        let run = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["run"].as_str().expect("a run").to_owned()
        };
        text.lines().map(run).collect()
    }
}

fn ended() -> Act {
    Act::RunEnded {
        stopped: false,
        requests: BTreeMap::new(),
    }
}

fn begin(trail: &AuditFile, run: &str) {
    trail.write(Some(run), &ended());
}

#[test]
fn what_cannot_be_written_is_kept_and_follows_later() {
    let desk = Desk::new();
    let trail = desk.trail();
    begin(&trail, "1");
    // A folder where the file should be: whoever renews, be it root, cannot write it.
    let file = desk.place().file;
    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("made");
    begin(&trail, "2");
    begin(&trail, "3");
    assert_eq!(desk.place().unwritten(), 2);
    assert!(desk.place().look().is_err());
    fs::remove_dir(&file).expect("removed");
    // Another process is the first that can write again.
    let other = desk.trail();
    assert_eq!(desk.runs(), ["2", "3"]);
    begin(&other, "4");
    assert_eq!(desk.runs(), ["2", "3", "4"]);
    assert_eq!(desk.place().unwritten(), 0);
    let left = fs::read_dir(desk.place().state).expect("listed").count();
    assert_eq!(left, 1, "nothing but the stamp");
}

#[test]
fn what_a_process_had_taken_when_it_died_follows_too() {
    let desk = Desk::new();
    let line = line::line(&header(), Stands.now(), Some("1"), &ended());
    let taken = desk.place().state.join("audit-unwritten.99.jsonl");
    fs::write(&taken, line).expect("written");
    assert_eq!(desk.place().unwritten(), 1);
    begin(&desk.trail(), "2");
    assert_eq!(desk.runs(), ["1", "2"]);
    assert!(!taken.exists());
}

#[test]
fn a_trail_that_was_moved_away_is_begun_anew() {
    let desk = Desk::new();
    let trail = desk.trail();
    begin(&trail, "1");
    let file = desk.place().file;
    let old = file.with_extension("jsonl.1");
    fs::rename(&file, &old).expect("moved");
    begin(&trail, "2");
    assert_eq!(desk.runs(), ["2"]);
    let moved = fs::read_to_string(&old).expect("text");
    assert_eq!(moved.lines().count(), 1);
}

#[test]
fn who_only_looks_begins_no_trail_and_keeps_nothing() {
    let desk = Desk::new();
    let looks = desk.look();
    begin(&looks, "1");
    assert!(!desk.place().file.exists());
    assert_eq!(desk.place().unwritten(), 0);
    begin(&desk.trail(), "2");
    begin(&looks, "3");
    assert_eq!(desk.runs(), ["2", "3"], "one that is there has it all");
}

#[test]
fn a_state_that_is_not_begun_stays_empty() {
    let desk = Desk::new();
    fs::remove_file(desk.place().state.join("format")).expect("removed");
    fs::create_dir_all(desk.place().file).expect("made");
    begin(&desk.trail(), "1");
    let left = fs::read_dir(desk.place().state).expect("listed").count();
    assert_eq!(
        left, 0,
        "or it would be taken for a folder of somebody else"
    );
}

#[test]
fn the_digest_of_a_configuration_is_that_of_sha256sum() {
    // printf 'a\n' > /tmp/a; printf 'b\n' > /tmp/b; sha256sum /tmp/a /tmp/b | sha256sum
    let files = [(Path::new("/tmp/a"), "a\n"), (Path::new("/tmp/b"), "b\n")];
    let want = "1fb766cf22b6d374ab1ab14a5227831a5099afa6f1e6826eef58b1d04f9b3f7f";
    assert_eq!(digest_of_files(files.into_iter()), want);
}

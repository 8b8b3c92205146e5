//! Coming over from another client: the folders of `tests/imports`, and one that belongs to a CA that is
//! really there.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Rig, Run, certificate, finish, plain};

/// A copy of a folder, so that a claim can change it and see that nothing else has.
fn copied(name: &str, to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/imports")
        .join(name);
    let to = to.join(name);
    copy(&from, &to);
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let there = to.join(path.file_name().expect("a name"));
        if path.is_symlink() {
            symlink(fs::read_link(&path).expect("a link"), &there).expect("a link");
        } else if path.is_dir() {
            copy(&path, &there);
        } else {
            fs::copy(&path, &there).expect("a copy");
        }
    }
}

/// Every file below a folder with what is in it.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

/// A place for a new configuration and its state.
struct Place {
    rig: Rig,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            rig: Rig::new(),
            folder: TempDir::new().expect("a folder"),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The program, with a state folder of this place.
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.rig.program(&["--state-dir"]);
        command.arg(self.path("state")).args(arguments);
        command.env("CF_DNS_API_TOKEN", "a-token-of-nobody");
        finish(command.spawn().expect("the program starts"))
    }

    fn import(&self, client: &str, from: &Path, more: &[&str]) -> Run {
        let out = self.path("waxwing.toml");
        let (from, out) = (text(from), text(&out));
        let mut all = vec!["import", client, &from, "--out", &out];
        all.extend(more);
        self.run(&all)
    }

    fn check(&self) -> Run {
        let out = text(&self.path("waxwing.toml"));
        self.run(&["-c", &out, "check", "--offline"])
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Takes files out of a copied folder.
fn without(folder: &Path, ends: &[&str]) {
    for (path, _) in snapshot(folder) {
        if ends.iter().any(|end| text(&path).contains(end)) {
            fs::remove_file(path).expect("removed");
        }
    }
}

#[test]
fn what_came_over_whole_is_in_order_and_known_and_the_other_client_is_left_alone() {
    let dns: &[&str] = &["--dns", "cloudflare"];
    for (client, name, more, out, kept) in [
        ("certbot", "certbot", &[][..], &["renewal/blog"][..], 2),
        ("acme.sh", "acme.sh", &[], &["/api.example.com"], 2),
        ("lego", "lego", dns, &[], 2),
        ("lego", "lego-5", dns, &[], 1),
        ("simple-acme", "simple-acme", &[], &["Cd2.renewal"], 1),
        ("win-acme", "win-acme", &[], &["zZ8.renewal"], 1),
    ] {
        let place = Place::new();
        let old = copied(name, place.folder.path());
        without(&old, out);
        if client == "acme.sh" {
            // Its installer writes into a folder that has to be there.
            let tls = place.path("tls");
            fs::create_dir(&tls).expect("a folder");
            let conf = old.join("shop.example.com_ecc/shop.example.com.conf");
            let said = fs::read_to_string(&conf).expect("text");
            fs::write(&conf, said.replace("/etc/nginx/tls", &text(&tls))).expect("written");
        }
        let before = snapshot(&old);
        place
            .import(client, &old, &[more, &["--dry-run"]].concat())
            .expect(0)
            .says("Nothing was written");
        assert!(!place.path("waxwing.toml").exists() && !place.path("state").exists());
        let run = place.import(client, &old, more).expect(0);
        assert!(!run.stdout.contains("a-token-of-nobody"), "{name}");
        assert_eq!(
            snapshot(&old),
            before,
            "{name}: nothing of the other is changed"
        );
        place.check().expect(0).says("0 errors");
        let out = text(&place.path("waxwing.toml"));
        let plan = place.run(&["-c", &out, "plan", "--json"]).expect(0);
        let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
        let items = plan["result"]["certificates"].as_array().expect("a list");
        assert_eq!(items.len(), kept, "{name}: {plan}");
        assert!(!plan.to_string().contains("\"issue\""), "{name}: {plan}");
        for (path, _) in snapshot(place.folder.path()) {
            let is_new = !path.starts_with(&old);
            let mode = fs::metadata(&path).expect("a file").permissions().mode();
            assert!(!is_new || mode & 0o077 == 0, "{} {mode:o}", path.display());
        }
        let again = place.import(client, &old, more).expect(0);
        assert!(!again.stdout.contains(": written"), "{}", again.stdout);
        again.says("there already");
    }
}

#[test]
fn without_out_it_prints_a_configuration_and_writes_nothing() {
    let place = Place::new();
    let old = copied("certbot", place.folder.path());
    let run = place.run(&["import", "certbot", &text(&old)]).expect(0);
    assert!(
        run.stdout.contains("[plugin.cloudflare]\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("--out FILE writes"), "{}", run.stderr);
    let written = place.path("printed.toml");
    fs::write(&written, &run.stdout).expect("written");
    // What is printed is a configuration that can be used: only its secrets are missing.
    let run = place.run(&["-c", &text(&written), "plan"]).expect(0);
    assert!(run.stdout.contains("2 to issue"), "{}", run.stdout);
    assert!(!place.path("state").exists());
}

#[test]
fn keys_that_come_over_are_in_the_trail_of_the_configuration_that_is_there() {
    let place = Place::new();
    let old = copied("certbot", place.folder.path());
    without(&old, &["renewal/blog"]);
    let there = place.path("there.toml");
    let config = "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n\
                  [log]\naudit = \"audit.jsonl\"\n\
                  [plugin.cloudflare]\nsecrets.token = \"env:CF_DNS_API_TOKEN\"\n\
                  [[certificate]]\ndomains = [\"example.com\"]\n";
    fs::write(&there, config).expect("written");
    let out = text(&place.path("waxwing.toml"));
    let arguments = ["-c", &text(&there), "import", "certbot", &text(&old)];
    let with = |more: &[&str]| place.run(&[&arguments[..], more].concat());
    with(&[]).expect(0);
    assert!(!place.path("audit.jsonl").exists(), "nothing was done");
    with(&["--out", &out]).expect(0);
    let trail = fs::read_to_string(place.path("audit.jsonl")).expect("a trail");
    for what in [
        "\"act\":\"key-written\",\"for\":\"account\"",
        "\"act\":\"key-written\",\"for\":\"certificate\"",
    ] {
        assert!(trail.contains(what), "{trail}");
    }
    assert!(trail.contains("\"verb\":\"import\""), "{trail}");
}

#[test]
fn damaged_files_are_named_and_the_others_come_over() {
    let place = Place::new();
    let old = copied("broken-certbot", place.folder.path());
    place
        .import("certbot", &old, &[])
        .expect(4)
        .says("renewal/bad.example.com.conf: line 1 begins a section and does not end it")
        .says("its key belongs to");
    let config = fs::read_to_string(place.path("waxwing.toml")).expect("a configuration");
    assert!(config.contains("good.example.com"), "{config}");
}

/// An address has no record in DNS, so it stays where it is, and so does what has one besides names.
#[test]
fn what_is_left_out_stays_with_the_other_client() {
    for (names, other) in [
        ("IP:192.0.2.10", "192.0.2.10"),
        ("DNS:mail.example.com,IP:2001:db8::1", "2001:db8::1"),
    ] {
        let place = Place::new();
        let old = copied("certbot", place.folder.path());
        let of_mail = |file: &str| old.join("archive/mail.example.com").join(file);
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "6", "-subj", "/", "-keyout"])
            .arg(of_mail("privkey2.pem"))
            .arg("-out")
            .arg(of_mail("cert2.pem"))
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext"])
            .arg(format!("subjectAltName={names}"))
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        fs::copy(of_mail("cert2.pem"), of_mail("fullchain2.pem")).expect("copied");
        let live = old.join("live/mail.example.com");
        for file in ["cert", "fullchain", "privkey"] {
            let there = live.join(format!("{file}.pem"));
            if !there.is_symlink() {
                fs::copy(of_mail(&format!("{file}2.pem")), there).expect("copied");
            }
        }
        let run = place.import("certbot", &old, &["--dry-run"]);
        run.says("certbot: 1 of 3 certificates can be renewed by Waxwing")
            .says(&format!("mail.example.com: it is left out: `{other}`"))
            .says("let it go on for blog.example.com, mail.example.com");
        let run = place.import("certbot", &old, &["--dry-run", "--json"]);
        let said: Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(said["result"]["left_out"][0], "mail.example.com");
        assert!(said["result"]["stop_the_other"].is_null(), "{said}");
    }
}

#[test]
fn a_wrong_folder_a_wrong_client_and_a_file_that_is_there_are_refused() {
    let place = Place::new();
    let old = copied("lego", place.folder.path());
    place
        .import("certbot", &old, &[])
        .expect(2)
        .says("there is nothing of certbot in");
    place
        .import("posh-acme", &old, &[])
        .expect(2)
        .says("one of");
    place
        .import("lego", &place.path("none"), &[])
        .expect(2)
        .says("name the folder in which the other client keeps its files");
    place
        .import("lego", &old, &["--dns", "nonesuch"])
        .expect(2)
        .says("no DNS plugin \"nonesuch\"")
        .says("hint: there are");
    fs::write(place.path("waxwing.toml"), "# mine").expect("written");
    place
        .import("lego", &old, &["--dns", "cloudflare"])
        .expect(2)
        .says("is there already; nothing was written");
    assert!(!place.path("state").exists());
}

#[test]
fn an_account_that_came_over_renews_without_a_new_one() {
    let test = "an_account_that_came_over_renews_without_a_new_one";
    plain(test, |rig, judge| {
        // An account and a certificate as another client has them, from a CA that is there.
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, ""),
            certificate("www.example.com", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        let old = rig.path("old");
        for place in [
            "old",
            "new/dns-made-easy-api-key",
            "new/dns-made-easy-secret-key",
        ] {
            rig.may_hold(place);
        }
        let account = snapshot(&rig.path("state/accounts/first"));
        let file = |end: &str| {
            let mut files = account.iter();
            let found = files.find(|(path, _)| text(path).ends_with(end));
            String::from_utf8(found.expect("a file").1.clone()).expect("text")
        };
        let record = file("account.toml");
        let line = record.lines().find_map(|line| line.strip_prefix("kid = "));
        let kid = line.expect("an account URL").trim_matches('"').to_owned();
        let directory = judge.directory();
        let place = directory.strip_prefix("https://").expect("https");
        let ca = old.join("ca").join(place);
        fs::create_dir_all(&ca).expect("folders");
        fs::write(ca.join("account.key"), file("key.pem")).expect("written");
        fs::write(ca.join("ca.conf"), format!("ACCOUNT_URL='{kid}'\n")).expect("written");
        let stored = rig.stored("www.example.com");
        let own = old.join("www.example.com");
        fs::create_dir_all(&own).expect("a folder");
        fs::copy(stored.join("fullchain.pem"), own.join("fullchain.cer")).expect("copied");
        fs::copy(stored.join("privkey.pem"), own.join("www.example.com.key")).expect("copied");
        let mut conf =
            String::from("Le_Domain='www.example.com'\nLe_Alt='no'\nLe_Webroot='dns_me'\n");
        write!(conf, "Le_API='{directory}'\nLe_Keylength='ec-256'\n").expect("text");
        let secret = |name: &str| fs::read_to_string(rig.path(name)).expect("a secret");
        write!(
            conf,
            "ME_Key='{}'\nME_Secret='{}'\n",
            secret("dme-api-key"),
            secret("dme-secret-key")
        )
        .expect("text");
        fs::write(own.join("www.example.com.conf"), conf).expect("written");

        // Elsewhere, with nothing but that folder.
        let new = rig.path("new");
        fs::create_dir(&new).expect("a folder");
        let (state, out) = (text(&new.join("state")), text(&new.join("waxwing.toml")));
        let run = |arguments: &[&str]| {
            let mut command = rig.program(&["--state-dir", &state]);
            command.args(arguments);
            finish(command.spawn().expect("the program starts"))
        };
        run(&["import", "acme.sh", &text(&old), "--out", &out])
            .expect(0)
            .says(&kid);
        let before = judge.traffic().count(Class::NewAccount);
        run(&["-c", &out, "plan"]).expect(0).says("1 kept");

        // The world has its own roots, name servers and API, which no other client has noted.
        let config = fs::read_to_string(&out).expect("a configuration");
        let root = text(&rig.path("root.pem"));
        let dns = rig.world.dns();
        let url = rig.provider.url();
        let host = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let directories = format!("directories = [\"{directory}\"]\n");
        assert!(config.contains(&directories), "{config}");
        let config = config
            .replace(&directories, &format!("{directories}trust = \"{root}\"\npoll = {{ first = \"50ms\", max = \"1s\" }}\n"))
            .replace(
                "[plugin.dns-made-easy]\n",
                &format!(
                    "[network]\nresolvers = [\"{}\"]\nauthoritative-port = {}\n\n[plugin.dns-made-easy]\n\
                     settings.endpoint = \"{url}\"\ngrants.http = {{ hosts = [\"{host}\"], private = \
                     [\"127.0.0.0/8\"], trust = \"{root}\" }}\n",
                    dns.resolver(),
                    dns.port()
                ),
            );
        fs::write(&out, config).expect("written");
        run(&["-c", &out, "renew", "www.example.com", "--force"])
            .expect(0)
            .says("1 renewed");
        assert_eq!(
            judge.traffic().count(Class::NewAccount),
            before,
            "no new account"
        );
        let versions = fs::read_dir(new.join("state/certificates/www.example.com/versions"));
        assert_eq!(versions.expect("a folder").count(), 2);
    });
}

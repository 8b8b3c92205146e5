//! The program from outside: arguments, exit code, and what it says.
//!
//! Where only the CA of the world is asked, no CA is asked for a certificate, or it has to answer
//! wrongly, which Pebble does not.

use std::fs;
use std::time::Duration;

use waxwing_core::time::Timestamp;
use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Judge, Rig, Run, certificate, finish, plain};

/// A world whose CA has the certificate `one` to issue and install.
pub(super) fn rig() -> (Rig, Judge) {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    one(&rig, &judge);
    (rig, judge)
}

/// A configuration with the certificate `one` to issue and install.
fn one(rig: &Rig, judge: &Judge) {
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, ""),
        rig.installer(""),
        certificate("one", &["www.example.com"])
    ));
}

/// The program with these arguments and nothing else.
fn bare(rig: &Rig, arguments: &[&str]) -> Run {
    finish(rig.program(arguments).spawn().expect("the program starts"))
}

/// What JSON says at a pointer.
#[track_caller]
pub(super) fn json(run: &Run, pointer: &str) -> serde_json::Value {
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    assert_eq!(document["schema"], 1);
    document.pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn plan_tells_a_script_whether_there_is_something_to_do() {
    let test = "plan_tells_a_script_whether_there_is_something_to_do";
    plain(test, |rig, judge| {
        one(rig, judge);
        rig.waxwing(&["plan"])
            .expect(0)
            .says("1 certificate: 1 to issue")
            .says("never issued")
            .says("server: one.crt, one.key in ");
        rig.waxwing(&["plan", "--detailed-exitcode"]).expect(2);
        let run = rig.waxwing(&["plan", "one", "--json"]).expect(0);
        assert_eq!(json(&run, "/verb"), "plan");
        assert_eq!(json(&run, "/result/changes"), true);
        assert_eq!(judge.traffic().total(), 0, "no network");
        rig.waxwing(&["renew"]).expect(0);
        let run = rig.waxwing(&["plan", "--detailed-exitcode"]).expect(0);
        assert!(run.says("= keep").stdout.contains("1 kept"));
        rig.waxwing(&["plan", "two"])
            .expect(2)
            .says("no certificate \"two\"")
            .says("hint: configured: one");
    });
}

#[test]
fn status_needs_a_person_only_when_something_is_wrong() {
    let (rig, judge) = rig();
    rig.waxwing(&["status"]).expect(0).says("none needs you");
    if let Judge::World(ca) = &judge {
        ca.fault(Fault::always(
            Class::NewOrder,
            What::Problem {
                kind: "rejectedIdentifier".to_owned(),
                status: http::StatusCode::FORBIDDEN,
                detail: "not here".to_owned(),
                retry_after: None,
            },
        ));
        rig.waxwing(&["renew"]).expect(5);
        rig.waxwing(&["status"])
            .expect(1)
            .says("1 of 1 needs you")
            .says("not here");
        let run = rig.waxwing(&["status", "one", "--json"]).expect(1);
        assert_eq!(json(&run, "/result/needs_person"), true);
        ca.faults().clear();
    }
    // A timer waits for the next rung of the ladder; a person need not.
    rig.waxwing(&["renew"]).expect(0).says("failed 1 time");
    rig.waxwing(&["renew", "--now"]).expect(0);
    rig.waxwing(&["status", "one"]).expect(0);
}

#[test]
fn check_names_what_cannot_work_without_asking_anybody() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let config = rig.config_at(&judge, "names = { wildcard = false }");
    let gone = config.replace("root.pem", "gone.pem");
    rig.write_config(&format!("{gone}{}", certificate("one", &["*.example.com"])));
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("one: no CA of its list can be asked")
        .says("it signs no wildcards")
        .says("gone.pem, which is not there");
}

#[test]
fn force_shows_what_is_left_of_a_limit_and_refuses_the_last_one() {
    let test = "force_shows_what_is_left_of_a_limit_and_refuses_the_last_one";
    plain(test, |rig, judge| {
        let limits = "limits = { orders = \"3 per 9h\", duplicates = \"9 per 7d\" }";
        rig.write_config(&format!(
            "{}{}",
            rig.config_at(judge, limits),
            certificate("one", &["www.example.com"])
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.waxwing(&["renew", "one", "--force"])
            .expect(0)
            .says("one: 2 of 3 per 9h left at ")
            .says("one: 8 of 9 per 7d left at ");
        rig.waxwing(&["renew", "one", "--force"])
            .expect(2)
            .says("one: 1 of 3 per 9h left at ")
            .says("waxwing renew one --force --yes");
        assert_eq!(rig.versions("one"), 2);
        rig.waxwing(&["renew", "one", "--force", "--yes"]).expect(0);
        // A figure has no room for what is counted for each set of names.
        let figures = rig.waxwing(&["metrics"]).expect(0);
        let figures = figures.says("ca_limit_left{ca=\"first\",limit=\"orders\"} 0");
        assert!(!figures.stdout.contains("duplicates"), "{}", figures.stdout);
        // Now it is used up, and nobody overrules that.
        let orders = judge.traffic().count(Class::NewOrder);
        rig.waxwing(&["renew", "one", "--force", "--yes"])
            .expect(4)
            .says("what first allows is used up until");
        assert_eq!(judge.traffic().count(Class::NewOrder), orders);
    });
}

/// A unit that somebody has written, so that nothing is missing on this machine.
fn starts_by_itself(rig: &Rig) {
    let units = rig.path("home/.config/systemd/user");
    fs::create_dir_all(&units).expect("made");
    let config = rig.path("waxwing.toml");
    let unit = format!(
        "[Service]\nExecStart=waxwing -c {} renew\n",
        config.display()
    );
    fs::write(units.join("own.service"), unit).expect("written");
    let wanted = units.join("default.target.wants");
    fs::create_dir_all(&wanted).expect("made");
    fs::write(units.join("own.timer"), "[Timer]\nOnCalendar=hourly\n").expect("written");
    // What `systemctl --user enable` does.
    #[cfg(unix)]
    std::os::unix::fs::symlink(units.join("own.timer"), wanted.join("own.timer")).expect("linked");
}

/// What starts them may be a script, a container or another machine.
#[test]
fn runs_that_come_by_themselves_are_known_to_be_started() {
    let (rig, _judge) = rig();
    let nothing = "nothing on this machine starts the runs by itself";
    let check = || rig.waxwing(&["check", "--offline"]).expect(0);
    rig.waxwing(&["renew"]).expect(0);
    rig.waxwing(&["renew", "--now"]).expect(0);
    // Somebody has tried it.
    check().says(nothing);
    let noted = rig.path("state/last-run-by-itself");
    let now = fs::read_to_string(&noted).expect("it was noted");
    let last = now.lines().next().expect("a line");
    let last = Timestamp::parse(last).expect("a moment");
    let hour = Duration::from_secs(60 * 60);
    fs::write(&noted, format!("{}\n", last - hour)).expect("written");
    rig.waxwing(&["renew"]).expect(0);
    check().says("a run came by itself");
    rig.waxwing(&["status"]).says("Timer: not seen, last ran");
    // Whoever names one has typed it, or lets the others run out.
    fs::remove_file(rig.path("state/last-run-by-itself")).expect("it was noted");
    rig.waxwing(&["renew", "one"]).expect(0);
    let add = format!(
        "waxwing -c {} schedule add",
        rig.path("waxwing.toml").display()
    );
    check().says(nothing).says(&add);
    rig.waxwing(&["status"]).says("Timer: none;").says(&add);
}

#[test]
fn check_finds_a_good_machine_good_and_asks_nobody_offline() {
    let (rig, judge) = rig();
    rig.waxwing(&["check", "--offline"])
        .expect(0)
        .says("is not there; the first run makes it");
    assert!(!rig.path("state").exists());
    assert_eq!(judge.traffic().total(), 0);
    assert_eq!(rig.provider.traffic().total(), 0);
    rig.waxwing(&["account", "register"]).expect(0);
    starts_by_itself(&rig);
    rig.waxwing(&["check", "--offline"])
        .expect(0)
        .says("nobody is told when a renewal fails");
    let told = "[notify.here]\nlog = true\n\n[[certificate]]";
    rig.edit("[[certificate]]", told);
    rig.waxwing(&["check", "--offline"])
        .expect(0)
        .says("All is in order. No certificate was touched; no network used.");
    rig.waxwing(&["check"])
        .expect(0)
        .says("dns-made-easy holds example.com (1 name)")
        .says("all name servers can be asked: example.com (2 name servers)")
        .says("first in ")
        .says(", an account")
        .says("All is in order. No certificate was touched; no order was placed.");
    assert_eq!(judge.traffic().count(Class::NewOrder), 0);
    let left = fs::read_dir(rig.path("tls")).expect("a folder").count();
    assert_eq!(left, 0, "nothing is left in a granted folder");
    let run = rig.waxwing(&["check", "--json"]).expect(0);
    assert_eq!(json(&run, "/result/findings/0/topic"), "config");
}

#[test]
fn check_names_the_line_for_a_network_that_cannot_ask_name_servers() {
    let (rig, judge) = rig();
    let port = rig.world.dns().port();
    let closed = rig.config_at(&judge, "").replace(
        &format!("authoritative-port = {port}"),
        "authoritative-port = 1",
    );
    rig.write_config(&format!(
        "{closed}{}",
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["check"])
        .expect(1)
        .says("no name server of example.com can be asked from here")
        .says("[network] propagation = \"resolvers\"");
    let text = closed.replace("[network]\n", "[network]\npropagation = \"resolvers\"\n");
    rig.write_config(&format!(
        "{text}{}",
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["check"])
        .expect(0)
        .says("the resolvers are asked, as [network] propagation says");
}

#[test]
fn check_names_each_thing_that_is_wrong() {
    let (rig, judge) = rig();
    let eab = "eab = { required = true, key-id = \"kid\", hmac-key = \"file:no-such-key\" }";
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, eab),
        rig.installer("grants.exec.reload.argv = [\"/nonexistent/reload\"]"),
        certificate("one", &["www.example.com"])
    ));
    fs::remove_dir(rig.path("tls")).expect("removed");
    if let Judge::World(ca) = &judge {
        ca.fault(Fault::always(Class::Directory, What::CloseBefore));
    }
    rig.waxwing(&["check"])
        .expect(1)
        .says("no-such-key cannot be read")
        .says("ca.first.eab.hmac-key")
        .says("which is no folder")
        .says("/nonexistent/reload, which is not there")
        .says("first did not answer with a directory");
}

#[cfg(unix)]
#[test]
fn a_program_that_others_can_change_is_not_run() {
    let test = "a_program_that_others_can_change_is_not_run";
    plain(test, |rig, judge| {
        use std::os::unix::fs::PermissionsExt as _;
        let program = rig.path("reload");
        let witness = rig.path("witness");
        fs::write(
            &program,
            format!("#!/bin/sh\ntouch {}\n", witness.display()),
        )
        .expect("written");
        let text = format!(
            "{}{}{}",
            rig.config_at(judge, ""),
            rig.installer(&format!("grants.exec.reload.argv = [{:?}]", program)),
            certificate("one", &["www.example.com"])
        );
        rig.write_config(&text);
        let mode = |mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(&program, mode).expect("set");
        };
        mode(0o777);
        rig.waxwing(&["check", "--offline"])
            .expect(1)
            .says("others can change ")
            .says("not looked at, so that no program of somebody else is started")
            .says("plugin.server.grants.exec.reload");
        rig.waxwing(&["renew"]).expect(3).says("others can change ");
        assert_eq!(judge.traffic().total(), 0);
        assert!(!witness.exists());
        mode(0o755);
        rig.waxwing(&["renew"]).expect(0);
        assert!(witness.exists());
    });
}

#[test]
fn rehearsals_that_need_credentials_are_named() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let stage = CaSection {
        name: "stage",
        directory: judge.directory(),
        more: "staging = true\neab = { required = true }",
    };
    let first = CaSection {
        name: "first",
        directory: judge.directory(),
        more: "rehearse-at = \"stage\"",
    };
    let config = rig.config_of(&[first, stage]);
    let config = config.replace("ca = [\"first\", \"stage\"]", "ca = [\"first\"]");
    rig.write_config(&format!(
        "{config}{}",
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["check", "--offline"])
        .expect(0)
        .says("cannot rehearse first at stage")
        .says("[ca.stage] eab = {");
}

#[test]
fn cas_are_listed_and_shown_with_the_origin_of_each_field() {
    let (rig, judge) = rig();
    rig.waxwing(&["ca", "list"])
        .expect(0)
        .says("1 used here")
        .says("letsencrypt")
        .says("missing: eab");
    rig.waxwing(&["ca", "show", "first"])
        .expect(0)
        .says(&judge.directory())
        .says("waxwing.toml:");
    let run = rig
        .waxwing(&["ca", "show", "letsencrypt", "--json"])
        .expect(0);
    assert_eq!(json(&run, "/result/fields/caa/origin"), "shipped");
    rig.waxwing(&["ca", "show", "nobody"])
        .expect(2)
        .says("no CA is called \"nobody\"");
}

#[test]
fn plugins_are_listed_and_an_example_can_be_pasted() {
    let (rig, _judge) = rig();
    rig.waxwing(&["plugin", "list"])
        .expect(0)
        .says("dns-made-easy")
        .says("cloudflare")
        .says("server");
    let block = rig
        .waxwing(&["plugin", "inspect", "dns-made-easy", "--example"])
        .expect(0)
        .stdout;
    assert!(block.contains("[plugin.dns-made-easy]"), "{block}");
    rig.waxwing(&["plugin", "inspect", "cloudflare"])
        .expect(0)
        .says("DNS plugin");
    rig.waxwing(&["plugin", "inspect", "no-such-thing"])
        .expect(2);
}

#[test]
fn version_needs_no_configuration() {
    let (rig, _judge) = rig();
    let run = bare(&rig, &["version", "--json"]).expect(0);
    assert_eq!(json(&run, "/verb"), "version");
    let version = json(&run, "/result/version");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    bare(&rig, &["--version"])
        .expect(0)
        .says(env!("CARGO_PKG_VERSION"));
}

/// The name in a PKCS#12 file, by openssl with the password of the rig's file.
fn opened(rig: &Rig, folder: &std::path::Path, format: &str) -> String {
    let mut command = std::process::Command::new("openssl");
    command.args(["pkcs12", "-nodes", "-clcerts", "-nokeys", "-in"]);
    command.arg(folder.join("bundle.p12")).arg("-passin");
    command.arg(format!("file:{}", rig.path("pfx-password").display()));
    if format.ends_with("legacy") {
        command.arg("-legacy");
    }
    let output = command.output().expect("openssl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let leaf = folder.join("of-bundle.pem");
    fs::write(&leaf, &output.stdout).expect("written");
    rig.names_in(&leaf).join(", ")
}

#[test]
fn a_certificate_is_handed_over_and_set_aside() {
    let test = "a_certificate_is_handed_over_and_set_aside";
    plain(test, |rig, judge| {
        one(rig, judge);
        rig.waxwing(&["renew"]).expect(0);
        let out = rig.path("out");
        let to = out.display().to_string();
        rig.waxwing(&["export", "one", &to]).expect(0);
        assert_eq!(rig.names_in(&out.join("cert.pem")), ["www.example.com"]);
        rig.waxwing(&["export", "one", &to])
            .expect(0)
            .says("(replaced)");
        rig.waxwing(&["export", "two", &to]).expect(2);
        rig.waxwing(&["export", "one", &to, "--format", "pkcs12"])
            .expect(2)
            .says("there is no password on stdin");
        rig.write_secret("pfx-password", "a password of nobody\n");
        for format in ["pkcs12", "pkcs12-legacy"] {
            let mut command = rig.command(&["export", "one", &to, "--format", format]);
            let password = fs::File::open(rig.path("pfx-password")).expect("a file");
            let child = command.stdin(password).spawn().expect("the program starts");
            let run = finish(child).expect(0).says("bundle.p12");
            assert!(!run.stdout.contains("of nobody"), "{}", run.stdout);
            assert_eq!(opened(rig, &out, format), "www.example.com");
        }
        rig.edit(
            "[[certificate]]",
            "[[certificate]]\nname = \"new\"\ndomains = [\"new.example.com\"]\n\n[[certificate]]",
        );
        for verb in [
            &["export", "new", &to][..],
            &["forget", "new", "--yes"],
            &["revoke", "new"],
        ] {
            rig.waxwing(verb)
                .expect(2)
                .says("no certificate is stored under new");
        }
        rig.waxwing(&["forget", "one"])
            .expect(2)
            .says("still in the configuration");
        rig.waxwing(&["forget", "one", "--yes"]).expect(0);
        rig.waxwing(&["plan"]).expect(0).says("never issued");
    });
}

#[test]
fn the_configuration_is_found_by_option_and_by_environment() {
    let (rig, _judge) = rig();
    let run = rig
        .program(&["plan"])
        .env("WAXWING_CONFIG", rig.path("waxwing.toml"))
        .spawn()
        .expect("the program starts");
    finish(run).expect(0).says("never issued");
    let nowhere = rig.path("nowhere.toml").display().to_string();
    bare(&rig, &["plan", "-c", &nowhere])
        .expect(3)
        .says("nowhere.toml");
}

#[test]
fn the_state_folder_can_be_named_by_option_and_environment() {
    let (rig, _judge) = rig();
    let elsewhere = rig.path("elsewhere").display().to_string();
    rig.waxwing(&["--state-dir", &elsewhere, "account", "register"])
        .expect(0);
    assert!(rig.path("elsewhere/format").is_file());
    assert!(!rig.path("state").exists());
    let other = rig.path("other");
    let mut register = rig.command(&["account", "register"]);
    let run = register.env("WAXWING_STATE", &other).spawn();
    finish(run.expect("the program starts")).expect(0);
    assert!(other.join("format").is_file());
}

#[test]
fn included_files_are_read_as_if_they_stood_in_the_first() {
    let (rig, judge) = rig();
    fs::create_dir(rig.path("certs.d")).expect("made");
    rig.write_secret(
        "certs.d/two.toml",
        &certificate("two", &["two.example.com"]),
    );
    let text = format!(
        "include = [\"certs.d/*.toml\"]\n{}{}",
        rig.config_at(&judge, ""),
        certificate("one", &["www.example.com"])
    );
    rig.write_config(&text);
    rig.waxwing(&["plan"])
        .expect(0)
        .says("2 certificates: 2 to issue");
    rig.write_secret("certs.d/three.toml", "domains = 1\n");
    rig.waxwing(&["plan"])
        .expect(3)
        .says("certs.d/three.toml:1");
}

#[test]
fn force_shows_the_limits_of_the_ca_that_it_will_ask() {
    let rig = Rig::new();
    let first = rig.ca(ca::Options::default());
    let second = rig.ca(ca::Options::default());
    let section = |name, judge: &Judge, more| CaSection {
        name,
        directory: judge.directory(),
        more,
    };
    let no_wildcards = "limits = { orders = \"7 per 9h\" }\nnames = { wildcard = false }";
    rig.write_config(&format!(
        "{}{}",
        rig.config_of(&[
            section("first", &first, no_wildcards),
            section("second", &second, "limits = { orders = \"5 per 9h\" }"),
        ]),
        certificate("one", &["*.example.com"])
    ));
    rig.waxwing(&["renew"]).expect(0);
    let run = rig.waxwing(&["renew", "one", "--force"]).expect(0);
    let run = run.says("one: 4 of 5 per 9h left at second");
    assert!(!run.stderr.contains("left at first"), "{}", run.stderr);
}

//! What is told afterwards: `history` and `explain`.

use std::fs;
use std::time::Duration;

use waxwing_core::name::CaName;
use waxwing_flow::history::Sighting;
use waxwing_flow::ports::{Clock as _, History as _};
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::cli::rig;
use crate::cases::rig::{Judge, Rig, Run, certificate, plain};

#[track_caller]
fn json(run: &Run, pointer: &str) -> serde_json::Value {
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    assert_eq!(document["schema"], 1);
    document.pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn what_was_tried_is_read_again_with_every_cause() {
    let (rig, judge) = rig();
    let Judge::World(ca) = &judge else {
        panic!("the world's CA was asked for");
    };
    rig.waxwing(&["history"])
        .expect(0)
        .says("nothing was tried yet");
    ca.fault(Fault::once(
        Class::NewOrder,
        What::Problem {
            kind: "rejectedIdentifier".to_owned(),
            status: http::StatusCode::FORBIDDEN,
            detail: "not here".to_owned(),
            retry_after: None,
        },
    ));
    rig.waxwing(&["renew"]).expect(5);
    rig.waxwing(&["renew", "--now"]).expect(0);
    let run = rig.waxwing(&["history"]).expect(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("3 lines since "), "{}", run.stdout);
    assert!(lines[0].ends_with(", 1 failed"), "{}", run.stdout);
    for (line, words) in [
        (2, ["one", "installed", "server", "version 1"]),
        (3, ["one", "issued", "first", "version 1"]),
        (4, ["one", "not issued", "first", ""]),
    ] {
        for word in words {
            assert!(lines[line].contains(word), "{word}: {}", run.stdout);
        }
    }
    run.says("not here");
    let full = rig
        .waxwing(&["history", "one", "--full", "--failed"])
        .expect(0);
    let full = full.says("one: 1 line since").says("rejectedIdentifier");
    assert!(!full.stdout.contains("version 1"), "{}", full.stdout);
    let run = rig
        .waxwing(&["history", "--json", "--limit", "2"])
        .expect(0);
    assert_eq!(json(&run, "/verb"), "history");
    let records = json(&run, "/result/records");
    assert_eq!(records.as_array().map(Vec::len), Some(2));
    assert_eq!(json(&run, "/result/records/0/what"), "install");
    assert_eq!(json(&run, "/result/records/1/ca"), "first");
    assert_eq!(json(&run, "/result/records/1/ok"), true);
    rig.waxwing(&["history", "nosuch"])
        .expect(2)
        .says("no certificate \"nosuch\"");
    rig.waxwing(&["history", "--since", "soon"]).expect(2);
    // It outlives the configuration and the store.
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer(""),
        certificate("other", &["www.example.com"])
    ));
    rig.waxwing(&["forget", "one", "--yes"]).expect(0);
    rig.waxwing(&["history", "one"])
        .expect(0)
        .says("one: 3 lines");
}

#[test]
fn a_failed_installation_is_in_the_history() {
    let (rig, judge) = rig();
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer("grants.exec.test = { argv = [\"/bin/false\"] }\n"),
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["renew"]).expect(6);
    rig.waxwing(&["history"])
        .expect(0)
        .says("not installed")
        .says("1 failed");
}

#[test]
fn a_batch_that_fails_says_why_and_not_whom_it_hit() {
    let (rig, judge) = rig();
    rig.write_config(&format!(
        "{}{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer("grants.exec.reload = { argv = [\"/bin/false\"] }\n"),
        certificate("one", &["one.example.com"]),
        certificate("two", &["two.example.com"])
    ));
    rig.waxwing(&["renew"]).expect(6);
    let batch = "certificates: one, two";
    let run = rig.waxwing(&["history"]).expect(0);
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = "the command reload ended with exit code 1";
    assert_eq!(words.matches(why).count(), 2, "{words}");
    assert!(!words.contains(batch), "{words}");
    let full = rig.waxwing(&["history", "one", "--full"]).expect(0);
    full.says("exit code 1").says(batch);
    // Machines get it as it is.
    let run = rig.waxwing(&["history", "one", "--json"]).expect(0);
    assert_eq!(json(&run, "/result/records/0/causes/1"), batch);
    let run = rig.waxwing(&["status", "--json"]).expect(1);
    let causes = json(&run, "/result/certificates/0/last_run/causes/1");
    assert_eq!(causes, batch, "{}", run.stdout);
}

#[test]
fn of_two_installers_that_fail_none_hides_the_other() {
    let failures = |run: &Run| {
        let words: Vec<&str> = run.stdout.split_whitespace().collect();
        words.join(" ").matches("command test ended with").count()
    };
    let (rig, judge) = rig();
    let broken = "grants.exec.test = { argv = [\"/bin/false\"] }\n";
    let server = rig.installer(broken);
    let proxy = server.replace("[plugin.server]", "[plugin.proxy]");
    let proxy = proxy.replace("/tls\"", "/proxy\"");
    std::fs::create_dir(rig.path("proxy")).expect("a folder");
    rig.write_config(&format!(
        "{}{server}{proxy}{}\ninstall = [\"server\", \"proxy\"]\n",
        rig.config_at(&judge, ""),
        certificate("one", &["www.example.com"]).trim_end()
    ));
    rig.waxwing(&["renew"]).expect(6);
    for (arguments, code) in [
        (&["status"][..], 1),
        (&["status", "one"], 1),
        (&["plan"], 0),
    ] {
        let run = rig.waxwing(arguments).expect(code);
        let run = run.says("server").says("proxy");
        assert_eq!(failures(&run), 2, "{}", run.stdout);
    }
    // One is mended.
    rig.edit(broken, "");
    rig.waxwing(&["renew", "--now"]).expect(6);
    for (arguments, code) in [(&["status"][..], 1), (&["plan"], 0)] {
        let run = rig.waxwing(arguments).expect(code);
        assert_eq!(failures(&run), 1, "{}", run.stdout);
    }
}

#[test]
fn explain_says_why_and_when_and_at_which_ca() {
    let test = "explain_says_why_and_when_and_at_which_ca";
    plain(test, |rig, judge| {
        configure(rig, judge);
        rig.waxwing(&["explain", "one"])
            .expect(0)
            .says("one was never issued: the next run orders it.")
            .says("first, asked first");
        rig.waxwing(&["renew"]).expect(0);
        let asked = judge.traffic().total();
        let run = rig.waxwing(&["explain", "one"]).expect(0);
        let run = run.says("one is not due. It will be renewed on ");
        let run = run
            .says("<- decides")
            .says("safe floor (")
            .says("server: one.crt, one.key");
        assert_eq!(run.stdout.matches("<- decides").count(), 1);
        let run = rig.waxwing(&["explain", "one", "--json"]).expect(0);
        assert_eq!(json(&run, "/result/action"), "keep");
        let plan = rig.waxwing(&["plan", "--json"]).expect(0);
        assert!(json(&plan, "/result").to_string().contains("keep"));
        assert_eq!(judge.traffic().total(), asked, "no network");
        rig.waxwing(&["explain", "two"])
            .expect(2)
            .says("no certificate \"two\"");
        rig.waxwing(&["explain"]).expect(2);
    });
}

fn configure(rig: &Rig, judge: &Judge) {
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, ""),
        rig.installer(""),
        certificate("one", &["www.example.com"])
    ));
}

#[test]
fn the_health_of_a_ca_is_that_of_all_looks() {
    let (rig, judge) = rig();
    let Judge::World(ca) = &judge else {
        panic!("the world's CA was asked for");
    };
    rig.waxwing(&["ca", "health"])
        .expect(0)
        .says("1 CA in use, nobody has looked within 30 days")
        .says("hint: waxwing ca health --now");
    rig.waxwing(&["ca", "health", "--now"])
        .expect(0)
        .says("1 CA in use, it answers");
    let asked = judge.traffic().total();
    assert_eq!(judge.traffic().count(Class::Directory), 1);
    rig.waxwing(&["ca", "health", "first"]).expect(0);
    assert_eq!(judge.traffic().total(), asked, "no network");
    ca.fault(Fault::always(
        Class::Directory,
        What::Problem {
            kind: "serverInternal".to_owned(),
            status: http::StatusCode::INTERNAL_SERVER_ERROR,
            detail: "out of order".to_owned(),
            retry_after: None,
        },
    ));
    let run = rig.waxwing(&["ca", "health", "--now"]).expect(1);
    run.says("1 of 1 CA in use does not answer as it should: first")
        .says("out of order");
    let run = rig.waxwing(&["ca", "health", "--json"]).expect(1);
    assert_eq!(json(&run, "/result/cas/0/ca"), "first");
    assert!(json(&run, "/result/cas/0/down_since").is_string());
    rig.waxwing(&["ca", "health", "frist"])
        .expect(2)
        .says("did you mean first?");
}

#[test]
fn what_a_ca_has_changed_is_told_for_longer_than_one_look() {
    let (rig, judge) = rig();
    let Judge::World(ca) = &judge else {
        panic!("the world's CA was asked for");
    };
    rig.waxwing(&["ca", "health", "--now"]).expect(0);
    let run = rig.waxwing(&["ca", "health", "--json"]).expect(0);
    assert_eq!(json(&run, "/result/cas/0/changes"), serde_json::json!([]));
    ca.announce_terms();
    let told = |arguments: &[&str]| {
        let run = rig.waxwing(arguments).expect(0).says("it answers");
        let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let change =
            "termsOfService: https://ca.world.test/terms/v1 -> https://ca.world.test/terms/v2";
        assert!(
            words.contains("first has changed its directory, seen "),
            "{words}"
        );
        assert!(words.contains(change), "{words}");
    };
    told(&["ca", "health", "--now"]);
    // A second look finds nothing new, and no look asks nobody.
    told(&["ca", "health", "--now"]);
    told(&["ca", "health"]);
    let run = rig.waxwing(&["ca", "health", "--json"]).expect(0);
    let change = |field: &str| json(&run, &format!("/result/cas/0/changes/0/{field}"));
    assert_eq!(change("field"), "termsOfService");
    assert_eq!(change("to"), "https://ca.world.test/terms/v2");
    assert!(change("at").is_string(), "{}", run.stdout);
}

#[test]
fn a_long_outage_has_one_beginning_whoever_tells_of_it() {
    let (rig, judge) = rig();
    let Judge::World(ca) = &judge else {
        panic!("the world's CA was asked for");
    };
    rig.waxwing(&["ca", "health", "--now"]).expect(0);
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemClock.now();
    let history = SqliteHistory::open(&rig.path("state")).expect("a history");
    for ago in (1..=40).rev() {
        let silence = Sighting {
            ca: CaName::parse("first").expect("a literal name"),
            at: now - day * ago,
            result: Err("refused".to_owned()),
        };
        history.sight(&silence).expect("written");
    }
    drop(history);
    ca.fault(Fault::always(Class::Directory, What::CloseBefore));
    let began = serde_json::json!((now - day * 40).to_string());
    let run = rig.waxwing(&["ca", "health", "--now", "--json"]).expect(1);
    assert_eq!(json(&run, "/result/cas/0/down_since"), began);
    assert_eq!(json(&run, "/result/cas/0/trouble/from"), began);
    let run = rig.waxwing(&["explain", "one", "--json"]).expect(0);
    assert_eq!(json(&run, "/result/cas/0/down_since"), began);
    let run = rig.waxwing(&["status", "--json"]);
    assert_eq!(json(&run, "/result/cas/0/down_since"), began);
}

#[test]
fn the_figures_are_written_behind_each_run_for_all_to_read() {
    let (rig, judge) = rig();
    let textfile = rig.path("waxwing.prom");
    let metrics = format!(
        "[metrics]\ntextfile = \"{}\"\n[account]",
        textfile.display()
    );
    rig.edit("[account]", &metrics);
    rig.waxwing(&["renew", "--dry-run"]);
    assert!(!textfile.exists(), "a rehearsal is no run");
    rig.waxwing(&["renew"]).expect(0);
    let written = || std::fs::read_to_string(&textfile).expect("written");
    let first = written();
    for figure in [
        "waxwing_last_run_success 1",
        "waxwing_certificate_needs_person{certificate=\"one\"} 0",
        "waxwing_certificate_installed{certificate=\"one\",installer=\"server\"} 1",
        "waxwing_ca_up{ca=\"first\"} 1",
    ] {
        assert!(first.contains(figure), "{figure}: {first}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&textfile)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    let asked = judge.traffic().total();
    // A run with nothing to do says that it was there.
    std::fs::remove_file(&textfile).expect("there");
    rig.waxwing(&["renew"]).expect(0);
    assert!(written().contains("waxwing_last_run_timestamp_seconds "));
    let shown = rig.waxwing(&["metrics"]).expect(0);
    assert!(
        !shown.stdout.contains("last_run"),
        "nobody ran: {}",
        shown.stdout
    );
    assert_eq!(judge.traffic().total(), asked, "no network");
    // A file that cannot be written fails no run.
    rig.edit(&textfile.display().to_string(), "/nowhere/waxwing.prom");
    rig.waxwing(&["renew"])
        .expect(0)
        .says("the figures of this run are nowhere");
}

#[test]
fn a_clock_that_is_behind_is_told_by_every_verb_that_goes_by_it() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    rig.write_config(&format!(
        "{}{}",
        rig.config_at(&judge, ""),
        certificate("shop", &["www.example.com"])
    ));
    rig.waxwing(&["renew"]).expect(0);
    // As if it were a year later by the clock of the CA.
    let facts = rig.stored("shop").join("facts.toml");
    let text = fs::read_to_string(&facts).expect("facts");
    let ahead: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(" = \"2") {
            Some((key @ ("not-before" | "not-after"), rest)) => format!("{key} = \"3{rest}"),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(&facts, ahead.join("\n")).expect("written");
    for verb in ["renew", "status"] {
        rig.waxwing(&[verb])
            .expect(1)
            .says("failed to match the clock with")
            .says("by its CA's clock")
            .says("set the clock");
    }
    rig.waxwing(&["explain", "shop"])
        .expect(1)
        .says("failed to match the clock with");
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("the clock of this machine is behind");
}

#[test]
fn the_last_certificate_that_left_the_configuration_is_listed_and_can_be_forgotten() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    let rest = rig.config_at(&judge, "");
    let shop = certificate("shop", &["www.example.com"]);
    rig.write_config(&format!("{rest}{shop}"));
    rig.waxwing(&["renew"]).expect(0);
    rig.write_config(&rest);
    for verb in ["renew", "check"] {
        rig.waxwing(&[verb])
            .expect(3)
            .says("no certificate is asked for");
    }
    rig.waxwing(&["status"])
        .expect(0)
        .says("never: not in config");
    rig.waxwing(&["plan"]).expect(0).says("waxwing forget shop");
    rig.waxwing(&["forget", "shop"]).expect(0);
    rig.waxwing(&["status"])
        .expect(0)
        .says("no certificate is configured");
}

/// It is in use until another one has its names.
#[test]
fn a_renamed_certificate_ends_with_the_one_before_it() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    let Judge::World(world) = &judge else {
        panic!("the world's CA");
    };
    let rest = rig.config_at(&judge, "");
    let names = ["www.example.com"];
    rig.write_config(&format!("{rest}{}", certificate("shop", &names)));
    rig.waxwing(&["renew"]).expect(0);
    rig.write_config(&format!("{rest}{}", certificate("store", &names)));
    world.fault(Fault::always(Class::NewOrder, What::CloseBefore));
    rig.waxwing(&["renew"])
        .expect(5)
        .says("the old certificate is valid for");
    rig.waxwing(&["forget", "shop"])
        .expect(2)
        .says("store, which has names of shop, is not in place yet");
    world.faults().clear();
    rig.waxwing(&["renew", "store", "--force"]).expect(0);
    rig.waxwing(&["forget", "shop"]).expect(0);
    rig.waxwing(&["plan"]).expect(0);
}

/// A folder that is not mounted: what was in it is not taken for what nobody wants any more.
#[test]
fn an_include_that_has_lost_its_files_is_told() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    fs::create_dir(rig.path("certs.d")).expect("made");
    let two = certificate("two", &["two.example.com"]);
    rig.write_private("certs.d/two.toml", &two);
    // One that never had a file says nothing.
    let text = format!(
        "include = [\"conf.d/*.toml\", \"certs.d/*.toml\"]\n{}{}",
        rig.config_at(&judge, ""),
        certificate("one", &["www.example.com"])
    );
    rig.write_config(&text);
    rig.waxwing(&["renew"]).expect(0);
    let from = rig.path("certs.d/two.toml");
    fs::rename(&from, rig.path("certs.d/two.conf")).expect("renamed");
    for verb in ["renew", "plan", "status", "check"] {
        let run = rig.waxwing(&[verb]);
        run.expect(1)
            .says("no file matches it, and nothing configures");
    }
    // Nobody wants it any more, and says so.
    rig.waxwing(&["forget", "two"]).expect(0);
    rig.waxwing(&["renew"]).expect(0);
    rig.waxwing(&["status"]).expect(0);
}

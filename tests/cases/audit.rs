//! The audit trail and the log: everything that is done is there, nothing that must not be, and no
//! renewal waits for either.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cases::rig::{Judge, Rig, Run, certificate, finish, plain, skipped, until};

fn configure(rig: &Rig, judge: &Judge, installer: &str) {
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, "caa = [\"first.example\"]"),
        rig.installer(installer),
        certificate("shop", &["shop.example.com"])
    ));
}

fn lines(rig: &Rig) -> Vec<Value> {
    let text = fs::read_to_string(rig.path("log/audit.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What was done, in few words, without requests and messages.
fn acts(lines: &[Value]) -> Vec<String> {
    let acts = lines.iter().filter_map(|line| {
        let what = &line["what"];
        let word = |key: &str| what[key].as_str().unwrap_or_default().to_owned();
        let file = |key: &str| {
            let path = word(key);
            path.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let act = word("act");
        let rest = match act.as_str() {
            "request" | "told" => return None,
            "secret-read" => format!("{} {}", what["keys"][0], what["found"]),
            "plugin-loaded" => word("plugin"),
            "key-written" | "key-erased" => format!("{} {}", word("for"), file("path")),
            "account" => format!("{} {}", word("ca"), word("change")),
            "terms-agreed" => word("ca"),
            "file" => format!("{} {}", file("path"), word("result")),
            "command" => format!("{} {}", word("grant"), what["exit"]),
            "received" | "version-erased" | "revoked" | "exported" => {
                format!("{} {}", word("certificate"), what["stored_version"])
            }
            "installed" => format!("{} by {}", word("certificate"), word("plugin")),
            _ => String::new(),
        };
        Some(format!("{act} {rest}").trim_end().replace('"', ""))
    });
    acts.collect()
}

const LOADED: [&str; 4] = [
    "secret-read plugin.dns-made-easy.secrets.api-key true",
    "secret-read plugin.dns-made-easy.secrets.secret-key true",
    "plugin-loaded dns-made-easy",
    "plugin-loaded server",
];

#[test]
fn every_act_of_a_run_is_in_the_trail() {
    plain("every_act_of_a_run_is_in_the_trail", |rig, judge| {
        let reload = "grants.exec.reload = { argv = [\"/bin/true\"] }";
        configure(rig, judge, reload);
        let run = rig.waxwing(&["renew", "--json"]).expect(0);
        let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let report = &report["result"];
        let found = lines(rig);
        let order = [
            "run-began",
            "key-made",
            "key-written account key.pem",
            "account first registered",
            "terms-agreed first",
            "key-made",
            "key-written order shop.key",
            "key-written certificate privkey.pem",
            "received shop 1",
            "key-erased order shop.key",
            "file shop.crt written",
            "file shop.key written",
            "command reload 0",
            "installed shop by server",
            "run-ended",
        ];
        let want: Vec<&str> = LOADED.into_iter().chain(order).collect();
        assert_eq!(acts(&found), want);

        // What the report says of plugins is there too, act by act.
        let of_plugins = |lines: &[Value]| {
            let acts = ["request", "file", "command", "more"];
            let is_one = |line: &&Value| acts.contains(&line["what"]["act"].as_str().unwrap_or(""));
            lines.iter().filter(is_one).count()
        };
        let reported = report["audit"].as_array().expect("a list").len();
        assert!(reported > 3, "{report}");
        assert_eq!(of_plugins(&found), reported);

        // Every line says who, when, and by which configuration.
        let sums = Command::new("sh")
            .args(["-c", "sha256sum \"$0\" | sha256sum"])
            .arg(rig.path("waxwing.toml"))
            .output()
            .expect("sha256sum runs");
        let sums = String::from_utf8_lossy(&sums.stdout).into_owned();
        let digest = sums.split(' ').next().expect("a digest");
        let user = Command::new("id").arg("-un").output().expect("id runs");
        let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
        for line in &found {
            assert_eq!(line["run"], report["run"], "{line}");
            assert_eq!(line["config"], digest, "{line}");
            assert_eq!(line["who"]["user"], user.as_str(), "{line}");
            assert_eq!(line["who"]["by"], "program", "{line}");
            assert_eq!(line["who"]["verb"], "renew", "{line}");
            assert_eq!(line["version"], env!("CARGO_PKG_VERSION"), "{line}");
        }
        // The certificate is the one that is stored, and its key the one that was made.
        let by = |act: &str| {
            let mut all = found.iter().filter(|line| line["what"]["act"] == act);
            all.next_back().expect("one")["what"].clone()
        };
        let shown = rig
            .shown("shop")
            .to_lowercase()
            .replace([':', ' ', '\n'], "");
        let serial = by("received")["leaf"]["serial"].clone();
        let serial = serial.as_str().expect("a serial number");
        assert!(shown.contains(serial.trim_start_matches('0')), "{serial}");
        let (made, written) = (by("key-made"), by("key-written"));
        assert_eq!(made["public_key_sha256"], written["public_key_sha256"]);
        let mode = fs::metadata(rig.path("log/audit.jsonl")).expect("there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);

        assert_eq!(by("run-ended")["requests"], report["requests"]);

        // A run with nothing to do has done nothing.
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(lines(rig).len(), found.len());
    });
}

#[test]
fn what_is_erased_given_up_handed_out_and_forgotten_is_in_the_trail() {
    let test = "what_is_erased_given_up_handed_out_and_forgotten_is_in_the_trail";
    plain(test, |rig, judge| {
        configure(rig, judge, "");
        rig.edit("dir = \"state\"", "dir = \"state\"\nkeep-versions = 1");
        // Whoever only looks may be another user, whose files would be in the way.
        rig.waxwing(&["check", "--offline", "-vv"]).expect(0);
        rig.waxwing(&["status", "-vv"]).expect(0);
        assert!(!rig.path("log").exists());
        rig.waxwing(&["renew"]).expect(0);
        let mut seen = 0;
        let mut since = |arguments: &[&str], code| {
            seen = lines(rig).len();
            rig.waxwing(arguments).expect(code);
            let new = lines(rig).split_off(seen);
            let verb: Vec<&str> = arguments
                .iter()
                .copied()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .collect();
            for line in &new {
                let said = line["who"]["verb"].as_str().expect("a verb");
                assert!(verb.join(" ").starts_with(said), "{line}");
            }
            acts(&new)
        };
        let second = [
            "run-began",
            "key-made",
            "key-written order shop.key",
            "key-written certificate privkey.pem",
            "received shop 2",
            "key-erased certificate privkey.pem",
            "version-erased shop 1",
            "key-erased order shop.key",
            "file shop.crt written",
            "file shop.key written",
            "installed shop by server",
            "run-ended",
        ];
        let want: Vec<&str> = LOADED.into_iter().chain(second).collect();
        assert_eq!(since(&["renew", "shop", "--force"], 0), want);
        assert_eq!(
            since(&["account", "rollover", "first"], 0),
            [
                "key-made",
                "key-written account key-2.pem",
                "account first rolled-over",
                "key-erased account key.pem",
            ]
        );
        let out = rig.path("out").display().to_string();
        assert_eq!(since(&["export", "shop", &out], 0), ["exported shop 2"; 4]);
        let last = lines(rig).pop().expect("a line");
        let path = last["what"]["path"].as_str().expect("a path").to_owned();
        assert!(path.starts_with(&out), "{path}");
        let replaced = since(&["revoke", "shop", "--replace"], 0);
        assert!(
            replaced.contains(&"received shop 3".to_owned()),
            "{replaced:?}"
        );
        assert!(
            replaced.contains(&"revoked shop 2".to_owned()),
            "{replaced:?}"
        );
        assert_eq!(since(&["revoke", "shop", "--yes"], 0), ["revoked shop 3"]);
        let given_up = since(&["account", "deactivate", "first", "--yes"], 0);
        assert_eq!(given_up, ["account first deactivated"]);
        rig.edit("name = \"shop\"", "name = \"other\"");
        assert_eq!(
            since(&["forget", "shop", "--yes"], 0),
            ["set-aside", "forgotten"]
        );
        // Who only looks has done nothing, though secrets were read.
        assert_eq!(since(&["status"], 0), [""; 0]);
        assert_eq!(since(&["plan"], 0), [""; 0]);
        assert_eq!(since(&["check", "--offline"], 0)[..2], LOADED[..2]);
    });
}

#[test]
fn a_trail_that_cannot_be_written_stops_nothing_and_loses_nothing() {
    let test = "a_trail_that_cannot_be_written_stops_nothing_and_loses_nothing";
    plain(test, |rig, judge| {
        configure(rig, judge, "");
        // Be it root: nobody writes into a folder as if it were a file.
        let trail = rig.path("log/audit.jsonl");
        fs::create_dir_all(&trail).expect("made");
        let run = rig.waxwing(&["renew"]).expect(0);
        run.says("the audit trail cannot be written")
            .says("it is no file");
        assert!(rig.path("tls/shop.crt").exists());
        let log = fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
        assert!(log.contains("the audit trail cannot be written"), "{log}");
        rig.waxwing(&["check", "--offline"])
            .expect(1)
            .says("audit.jsonl cannot be written")
            .says("acts could not be written yet");

        fs::remove_dir(&trail).expect("removed");
        rig.waxwing(&["renew"]).expect(0);
        let acts = acts(&lines(rig));
        assert_eq!(acts[..4], LOADED);
        // The look at what was wrong is in it, too, behind the run.
        // First whether they are there, then for the plugins.
        let run = acts.iter().position(|act| act == "run-ended");
        let look = &acts[run.expect("a whole run") + 1..];
        assert_eq!(look[..2], LOADED[..2]);
        assert_eq!(look[2..], LOADED);
        let checked = rig.waxwing(&["check", "--offline"]).expect(0);
        checked.says("audit.jsonl can be written");

        // Moved away, it is begun anew; a link is not followed.
        let moved = rig.path("log/audit.jsonl.1");
        fs::rename(&trail, &moved).expect("moved");
        rig.waxwing(&["renew", "shop", "--force"]).expect(0);
        assert!(lines(rig).len() > 10);
        let before = fs::read(&moved).expect("a trail");
        fs::remove_file(&trail).expect("removed");
        std::os::unix::fs::symlink(&moved, &trail).expect("a link");
        let run = rig.waxwing(&["renew", "shop", "--force"]).expect(0);
        run.says("it is a link");
        assert_eq!(fs::read(&moved).expect("a trail"), before);
    });
}

#[test]
fn machines_get_json_with_the_certificate_and_its_ca_and_people_get_text() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    configure(&rig, &judge, "");
    rig.edit(
        "[log]\n",
        "[log]\nformat = \"json\"\nlevel = \"debug\"\nfile-size = \"64KiB\"\n",
    );
    let run = rig.waxwing(&["renew"]).expect(0);
    let in_file = fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
    let mut spans = 0;
    // Nobody sits at its stderr, so that has the same form.
    for line in in_file.lines().chain(run.stderr.lines()) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
        if line["span"]["name"] == "renewal" {
            assert_eq!(line["span"]["certificate"], "shop", "{line}");
            assert_eq!(line["span"]["ca"], "first", "{line}");
            spans += 1;
        }
    }
    assert!(spans > 10, "{spans} lines in a span");
    rig.edit("format = \"json\"", "format = \"text\"");
    fs::remove_file(rig.path("log/waxwing.log")).expect("removed");
    rig.waxwing(&["renew", "shop", "--force"]).expect(0);
    let text = fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
    assert!(text.contains("renewal{certificate=shop ca=first"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn who_keeps_warnings_only_finds_what_went_wrong_in_the_log() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    configure(
        &rig,
        &judge,
        "grants.exec.reload = { argv = [\"/bin/false\"] }",
    );
    rig.edit("[log]\n", "[log]\nlevel = \"warn\"\n");
    let one = |what: &str, all: &[&str]| {
        let log = fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
        let mut lines = log.lines().filter(|line| line.contains(what));
        let line = lines.next().unwrap_or_else(|| panic!("{what}: {log}"));
        assert_eq!(lines.next(), None, "{log}");
        for word in all {
            assert!(line.contains(word), "{word}: {line}");
        }
    };
    rig.waxwing(&["renew"]).expect(6);
    one(
        "not installed",
        &["WARN", "shop", "server", "ended with exit code 1"],
    );
    rig.edit(&judge.directory(), "https://127.0.0.1:9/directory");
    rig.waxwing(&["renew", "shop", "--force"]).expect(5);
    one(
        "not renewed",
        &["WARN", "shop", "https://127.0.0.1:9/directory"],
    );
}

#[test]
fn a_daemon_writes_where_a_changed_configuration_says() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    configure(&rig, &judge, "");
    let child = rig.command(&["daemon"]).spawn().expect("it starts");
    let installed = |name: &str| rig.path("tls").join(name).exists();
    until("the first one to be installed", || installed("shop.crt"));
    rig.edit("log/audit.jsonl", "other/audit.jsonl");
    rig.edit("log/waxwing.log", "other/waxwing.log");
    rig.edit("name = \"shop\"", "name = \"blog\"");
    let signal = |name: &str| {
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill runs").success());
    };
    until("the second one to be installed", || {
        signal("HUP");
        std::thread::sleep(std::time::Duration::from_millis(200));
        installed("blog.crt")
    });
    signal("TERM");
    finish(child).expect(0);
    let first = lines(&rig);
    let text = fs::read_to_string(rig.path("other/audit.jsonl")).expect("a trail");
    let second: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let received = |lines: &[Value]| {
        let acts = acts(lines).into_iter();
        acts.filter(|act| act.starts_with("received"))
            .collect::<Vec<_>>()
    };
    assert_eq!(received(&first), ["received shop 1"]);
    assert_eq!(received(&second), ["received blog 1"]);
    assert!(first.iter().all(|line| line["who"]["by"] == "daemon"));
    assert_ne!(first[0]["config"], second[0]["config"]);
    assert_ne!(first[0]["run"], second[0]["run"]);
    let log = fs::read_to_string(rig.path("other/waxwing.log")).expect("a log");
    assert!(log.contains("the daemon ends"), "{log}");
}

/// A user that nobody is.
const SOMEBODY: u32 = 54_321;

/// Hands folders of the rig to somebody else, and lets them pass through its own.
fn hand_over(rig: &Rig, below: &[&str]) {
    let paths = below.iter().map(|name| rig.path(name));
    let done = Command::new("chown")
        .args(["-R", &format!("{SOMEBODY}:{SOMEBODY}")])
        .args(paths)
        .status();
    assert!(done.expect("chown runs").success());
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(rig.folder.path(), open).expect("a mode");
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(rig.path("waxwing.toml"), readable).expect("a mode");
}

#[test]
fn what_root_does_for_another_user_is_in_the_trail_of_that_user() {
    let test = "what_root_does_for_another_user_is_in_the_trail_of_that_user";
    let (user, group) = (SOMEBODY, SOMEBODY);
    let rig = Rig::new();
    let owner = |path: &Path| {
        let found = fs::metadata(path).expect("it is there");
        (found.uid(), found.gid())
    };
    if owner(rig.folder.path()).0 != 0 {
        return skipped(&format!("{test}: only root can be somebody else"));
    }
    let judge = rig.ca(waxwing_world::ca::Options::default());
    configure(&rig, &judge, "");
    let mut config = fs::read_to_string(rig.path("waxwing.toml")).expect("a configuration");
    config.push_str("\n[notify.all]\nlog = true\n");
    rig.write_config(&config);
    rig.waxwing(&["renew"]).expect(0);
    let home = ["state", "log", "tls", "dme-api-key", "dme-secret-key"];
    hand_over(&rig, &home);

    // Root looks and acts: all of it is in the trail, which stays whose it is.
    let trail = rig.path("log/audit.jsonl");
    let quiet = |run: Run| {
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(!all.contains("audit trail"), "{all}");
    };
    let mut seen = lines(&rig).len();
    for arguments in [
        &["notify", "test"][..],
        &["export", "shop", "OUT"],
        &["check", "--offline"],
    ] {
        let mut command = rig.command(arguments);
        command.current_dir(rig.folder.path());
        let run = finish(command.spawn().expect("it starts"));
        quiet(run);
        let all = lines(&rig);
        assert!(all.len() > seen, "{arguments:?}");
        for line in &all[seen..] {
            assert_eq!(line["who"]["uid"], 0, "{line}");
        }
        seen = all.len();
    }
    assert_eq!(owner(&trail), (user, group));
    let exported = lines(&rig).into_iter().filter_map(|line| {
        let what = line["what"].clone();
        (what["act"] == "exported").then_some(what)
    });
    let exported: Vec<Value> = exported.collect();
    assert_eq!(exported.len(), 4);
    for what in &exported {
        assert_eq!(
            (&what["certificate"], &what["stored_version"]),
            (&"shop".into(), &1.into())
        );
        let path = what["path"].as_str().expect("a path");
        assert!(
            path.starts_with(&*rig.path("OUT").to_string_lossy()),
            "{path}"
        );
    }

    // What cannot be written is kept for the user whose state it is, and added by the next run.
    let moved = rig.path("log/moved");
    fs::rename(&trail, &moved).expect("moved");
    fs::create_dir(&trail).expect("made");
    rig.waxwing(&["export", "shop", &rig.path("again").to_string_lossy()])
        .expect(0)
        .says("acts are kept in the state folder");
    let kept = rig.path("state/audit-unwritten.jsonl");
    assert_eq!(owner(&kept), (user, group));
    fs::remove_dir(&trail).expect("removed");
    fs::rename(&moved, &trail).expect("moved back");
    let mut command = rig.program(&["-c"]);
    command.arg(rig.path("waxwing.toml")).arg("renew");
    command.uid(user).gid(group);
    let Ok(child) = command.spawn() else {
        return skipped(&format!(
            "{test}: nobody else may start the program from where it is"
        ));
    };
    finish(child).expect(0);
    assert!(!kept.exists());
    let again = lines(&rig).into_iter().filter(|line| {
        let path = line["what"]["path"].as_str().unwrap_or_default();
        path.contains("/again/")
    });
    assert_eq!(again.count(), 4);

    // What root itself has left there is found by whoever cannot read it.
    fs::write(&kept, "{}\n").expect("written");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).expect("a mode");
    let mut command = rig.program(&["-c"]);
    command
        .arg(rig.path("waxwing.toml"))
        .args(["check", "--offline"]);
    let run = finish(command.uid(user).gid(group).spawn().expect("it starts"));
    run.expect(1)
        .says("audit-unwritten.jsonl, which cannot be read")
        .says(&format!("chown {user} "));

    // A secret of root's would be one that the runs cannot read.
    let run = rig.waxwing(&["secret", "set", "more"]).expect(8);
    run.says("the runs are those of")
        .says(&format!("install -m 0600 -o {user} /dev/stdin"));
    assert!(!rig.path("more").exists());
}

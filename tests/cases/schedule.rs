//! What starts the runs by itself: written, looked up again and taken away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::rig::{Rig, Run, heard, skipped};

/// A configuration with an installer, and a folder that stands for the root of a machine.
fn rig() -> (Rig, PathBuf) {
    let rig = Rig::new();
    rig.write_config(
        "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n\
         [state]\ndir = \"state\"\n\
         [plugin.cloudflare]\nsecrets.token = \"env:TOKEN\"\n\
         [plugin.server]\nuses = \"install-files\"\n\
         grants.files.certs.dir = \"/etc/web tls\"\n\
         grants.exec.reload.argv = [\"/bin/sh\", \"-c\", \"true\"]\n\
         [[certificate]]\ndomains = [\"example.com\"]\n",
    );
    let root = rig.path("root");
    (rig, root)
}

fn schedule(rig: &Rig, arguments: &[&str]) -> Run {
    rig.waxwing(&[&["schedule"], arguments].concat())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_schedule_is_written_keeps_its_minute_and_is_taken_away() {
    let (rig, root) = rig();
    let at = root.to_string_lossy().into_owned();
    let timer = root.join("etc/systemd/system/waxwing.timer");
    let service = timer.with_extension("service");
    let add = |more: &[&str]| {
        schedule(
            &rig,
            &[&["add", "--kind", "systemd", "--root", &at], more].concat(),
        )
    };

    // What this machine runs says nothing of the one whose root that is.
    #[cfg(target_os = "linux")]
    schedule(&rig, &["add", "--root", &at, "--dry-run"])
        .expect(0)
        .says("[Timer]");
    // Nothing is there yet, and a rehearsal leaves it so.
    add(&["--dry-run"]).expect(0).says("ExecStart=");
    assert!(!timer.exists());

    add(&[])
        .expect(0)
        .says("runs every hour at xx:")
        .says("env:TOKEN will not be there");
    let (first, unit) = (text(&timer), text(&service));
    assert!(
        unit.contains("ReadWritePaths=-\"/etc/web tls\"\n"),
        "{unit}"
    );
    let state = rig.path("state");
    assert!(!state.exists(), "nothing here is that other machine's");
    #[cfg(unix)]
    {
        // What `systemctl enable` would have made there.
        let link = timer
            .with_file_name("timers.target.wants")
            .join("waxwing.timer");
        let target = fs::read_link(&link).expect("the timer is enabled");
        assert_eq!(target, Path::new("/etc/systemd/system/waxwing.timer"));
    }
    add(&[]).expect(0).says("unchanged");
    assert_eq!(text(&timer), first, "it keeps its minute");

    // Another configuration changes the service and not the minute.
    rig.edit("/etc/web tls", "/etc/other");
    add(&[]).expect(0);
    assert_eq!(text(&timer), first);
    assert!(text(&service).contains("ReadWritePaths=-/etc/other\n"));
    add(&["--at", "41:07"]).expect(0).says("xx:41:07");
    assert!(text(&timer).contains("OnCalendar=*-*-* *:41:07\n"));

    // cron beside it, then everything away.
    schedule(&rig, &["add", "--kind", "cron", "--root", &at]).expect(0);
    schedule(&rig, &["remove", "--root", &at])
        .expect(0)
        .says("waxwing.timer")
        .says("cron.d/waxwing");
    assert!(!timer.exists() && !service.exists() && !root.join("etc/cron.d/waxwing").exists());
    let wants = timer.with_file_name("timers.target.wants");
    assert!(fs::symlink_metadata(wants.join("waxwing.timer")).is_err());
    schedule(&rig, &["remove", "--root", &at])
        .expect(0)
        .says("nothing was there");
}

#[test]
fn files_of_somebody_else_are_neither_replaced_nor_taken_away() {
    let (rig, root) = rig();
    let at = root.to_string_lossy().into_owned();
    let cron = root.join("etc/cron.d/waxwing");
    fs::create_dir_all(cron.parent().expect("a folder")).expect("made");
    let printed = schedule(&rig, &["show", "--kind", "cron", "--at", "5"])
        .expect(0)
        .stdout;
    fs::write(&cron, &printed).expect("written");
    schedule(&rig, &["add", "--kind", "cron", "--root", &at])
        .expect(2)
        .says("has not written it")
        .says("--replace");
    schedule(&rig, &["remove", "--root", &at])
        .expect(2)
        .says("left alone");
    assert_eq!(text(&cron), printed);
    schedule(&rig, &["add", "--kind", "cron", "--root", &at, "--replace"]).expect(0);
    assert!(
        text(&cron).contains("\n5 * * * * "),
        "the minute that was there"
    );
}

#[test]
fn the_schedule_of_another_configuration_is_left_alone() {
    let (rig, root) = rig();
    let at = root.to_string_lossy().into_owned();
    let second = rig.path("second config.toml");
    fs::copy(rig.path("waxwing.toml"), &second).expect("copied");
    let by_second = |arguments: &[&str]| {
        let mut command = rig.program(&["-c"]);
        command.arg(&second).arg("schedule").args(arguments);
        run(command)
    };
    for kind in ["cron", "systemd"] {
        let add = ["add", "--kind", kind, "--root", &at];
        schedule(&rig, &add).expect(0);
        let written = tree(&root);
        by_second(&add)
            .expect(2)
            .says("starts the runs of another configuration")
            .says(&format!(
                "waxwing -c {}",
                rig.path("waxwing.toml").display()
            ));
        by_second(&["remove", "--kind", kind, "--root", &at])
            .expect(2)
            .says("left alone")
            .says("nothing was taken away");
        assert_eq!(tree(&root), written, "{kind}");

        // By hand it can be had, and then it is the second one's.
        by_second(&[&add[..], &["--replace"]].concat()).expect(0);
        schedule(&rig, &["remove", "--kind", kind, "--root", &at])
            .expect(2)
            .says("second config.toml");
        by_second(&["remove", "--kind", kind, "--root", &at]).expect(0);
        schedule(&rig, &add).expect(0);
    }
}

/// Every file below a folder with its text.
fn tree(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut found: Vec<(PathBuf, String)> = entries
        .flat_map(|entry| match entry.path().is_dir() {
            true => tree(&entry.path()),
            false => {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                vec![(entry.path(), text)]
            }
        })
        .collect();
    found.sort();
    found
}

fn run(mut command: Command) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program runs");
    let run = Run {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    };
    heard("schedule", &format!("{}{}", run.stdout, run.stderr));
    run
}

#[test]
fn show_says_the_same_each_time() {
    let (rig, _) = rig();
    let show = || schedule(&rig, &["show", "--kind", "cron"]).expect(0).stdout;
    let first = show();
    for _ in 0..3 {
        assert_eq!(show(), first);
    }
    // Even where another configuration has another minute, this one keeps its own.
    fs::copy(rig.path("waxwing.toml"), rig.path("other.toml")).expect("copied");
    assert_eq!(show(), first);
}

#[test]
fn what_no_system_can_do_is_refused() {
    let (rig, _) = rig();
    for (arguments, says) in [
        (
            &["add", "--kind", "cron", "--daemon"][..],
            "the daemon stays",
        ),
        (&["add", "--kind", "cron", "--user"], "crontab -e"),
        (&["show", "--kind", "task-scheduler", "--user"], "SYSTEM"),
        (&["show", "--at", "0"], "everybody comes"),
        (&["show", "--at", "61"], "no minute from 1 to 59"),
        (&["show", "--at", "5", "--daemon"], "cannot be used with"),
    ] {
        schedule(&rig, arguments).expect(2).says(says);
    }
}

#[test]
fn show_prints_every_kind_and_json_has_the_paths() {
    let (rig, _) = rig();
    for (kind, says) in [
        ("systemd", "# /etc/systemd/system/waxwing.timer\n"),
        ("cron", "\n37 * * * * "),
        ("launchd", "<integer>37</integer>"),
        (
            "task-scheduler",
            "<ExecutionTimeLimit>PT1H</ExecutionTimeLimit>",
        ),
    ] {
        schedule(&rig, &["show", "--kind", kind, "--at", "37:12"])
            .expect(0)
            .says(says);
    }
    let run = schedule(&rig, &["show", "--kind", "systemd", "--at", "37", "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let files = json["result"]["files"].as_array().expect("files");
    assert_eq!(files.len(), 2);
    assert_eq!(files[1]["path"], "/etc/systemd/system/waxwing.timer");
    assert_eq!(json["result"]["at"], "37:00");
}

/// A program in front of all others that writes down how it was called, and fails if it is told to.
#[cfg(unix)]
fn stand_in(rig: &Rig, name: &str, fails_at: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = rig.path("bin");
    fs::create_dir_all(&folder).expect("made");
    let log = rig.path("calls");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\ncase \"$*\" in {fails_at}) echo 'no bus' >&2; exit 1;; esac\n",
        log.display()
    );
    let path = folder.join(name);
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    format!("{}:/usr/bin:/bin", folder.display())
}

#[cfg(unix)]
fn as_user(rig: &Rig, path: &str, arguments: &[&str]) -> Run {
    let mut command = rig.command(&[&["schedule"], arguments].concat());
    command.env("PATH", path);
    run(command)
}

#[cfg(unix)]
#[test]
fn the_system_is_told_in_the_right_order_and_what_fails_is_said() {
    let (rig, _) = rig();
    fs::create_dir(rig.path("home")).expect("made");
    let path = stand_in(&rig, "systemctl", "never");
    let add = ["add", "--kind", "systemd", "--user"];
    as_user(&rig, &path, &add).expect(0).says("enable-linger");
    let units = rig.path("home/.config/systemd/user");
    assert!(units.join("waxwing.timer").exists());
    assert!(rig.path("state").exists(), "a sandbox could not make it");
    as_user(&rig, &path, &["remove", "--user"]).expect(0);
    assert!(!units.join("waxwing.timer").exists());
    let calls = text(&rig.path("calls"));
    let want = "--user daemon-reload\n--user enable --now waxwing.timer\n\
                --user disable --now waxwing.timer\n--user daemon-reload\n";
    assert_eq!(calls, want);

    let path = stand_in(&rig, "systemctl", "*enable*");
    as_user(&rig, &path, &add)
        .expect(4)
        .says("systemd does not run them yet")
        .says("failed      systemctl --user enable --now waxwing.timer")
        .says("no bus");
    assert!(units.join("waxwing.timer").exists());
}

#[cfg(unix)]
#[test]
fn check_says_what_starts_the_runs_and_when_nothing_does() {
    let (rig, _) = rig();
    let check = || rig.waxwing(&["check", "--offline"]).expect(1);
    check()
        .says("nothing on this machine starts the runs by itself")
        .says("waxwing.toml schedule add")
        .says("env:TOKEN is for interactive use");
    let path = stand_in(&rig, "systemctl", "never");
    as_user(
        &rig,
        &path,
        &["add", "--kind", "systemd", "--user", "--at", "37:12"],
    )
    .expect(0);
    // The stand-in has enabled nothing.
    check()
        .says("waxwing.timer is there, but not enabled")
        .says("systemctl --user enable --now waxwing.timer");
    let units = rig.path("home/.config/systemd/user");
    let wants = units.join("timers.target.wants");
    fs::create_dir(&wants).expect("made");
    std::os::unix::fs::symlink(units.join("waxwing.timer"), wants.join("waxwing.timer"))
        .expect("a link");
    check().says("runs every hour at xx:37:12");
    // Another configuration has none.
    fs::copy(rig.path("waxwing.toml"), rig.path("other.toml")).expect("copied");
    let mut other = rig.program(&["check", "--offline", "-c"]);
    other.arg(rig.path("other.toml"));
    run(other).says("nothing on this machine starts");
    // By a file that somebody else has written.
    fs::remove_dir_all(&units).expect("removed");
    fs::create_dir(&units).expect("made");
    let own = format!(
        "[Service]\nExecStart=waxwing -c {} renew\n",
        rig.path("waxwing.toml").display()
    );
    fs::write(units.join("certs.service"), own).expect("written");
    check()
        .says("certs.service starts a run with the machine at most: it has no timer")
        .says("waxwing.toml schedule add");
    // By a timer of another name.
    fs::write(units.join("night.timer"), "[Timer]\nUnit=certs.service\n").expect("written");
    fs::create_dir(&wants).expect("made");
    std::os::unix::fs::symlink(units.join("night.timer"), wants.join("night.timer"))
        .expect("a link");
    check().says("certs.service starts them");
    fs::remove_dir_all(&units).expect("removed");

    // A daemon that was never enabled, and one that has ended.
    as_user(
        &rig,
        &path,
        &["add", "--kind", "systemd", "--user", "--daemon"],
    )
    .expect(0);
    let status = || rig.waxwing(&["status"]);
    check().says("waxwing-daemon.service is there, but not enabled");
    assert!(!status().stdout.contains("waxwing-daemon.service"));
    let wants = units.join("default.target.wants");
    fs::create_dir(&wants).expect("made");
    let name = "waxwing-daemon.service";
    std::os::unix::fs::symlink(units.join(name), wants.join(name)).expect("a link");
    check()
        .says("no `waxwing daemon` of this configuration runs")
        .says("systemctl --user restart waxwing-daemon.service");
    assert!(!status().stdout.contains("waxwing-daemon.service"));
}

/// A timer that starts what comes to nothing looks like one that works.
#[cfg(unix)]
#[test]
fn check_says_when_nothing_comes_of_what_a_timer_starts() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};
    let rig = Rig::new();
    rig.write_config(
        "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n[state]\ndir = \"state\"\n\
         [plugin.cloudflare]\nsecrets.token = \"file:token\"\n\
         [[certificate]]\ndomains = [\"example.com\"]\n",
    );
    rig.write_secret("token", "a-token-of-nobody");
    let path = stand_in(&rig, "systemctl", "never");
    let add = ["add", "--kind", "systemd", "--user"];
    as_user(&rig, &path, &add).expect(0);
    let units = rig.path("home/.config/systemd/user");
    let wants = units.join("timers.target.wants");
    fs::create_dir(&wants).expect("made");
    symlink(units.join("waxwing.timer"), wants.join("waxwing.timer")).expect("a link");
    let check = || rig.waxwing(&["check", "--offline"]);
    check().says("runs every hour");
    // Its program went with an update.
    let (service, program) = (units.join("waxwing.service"), rig.path("bin/waxwing"));
    let said = text(&service);
    let starts = said.lines().find(|line| line.starts_with("ExecStart="));
    let starts = starts
        .expect("a command")
        .split(' ')
        .next()
        .expect("a word");
    let other = format!("ExecStart={}", program.display());
    fs::write(&service, said.replace(starts, &other)).expect("written");
    check()
        .expect(1)
        .says("it is not there, and")
        .says("`waxwing schedule add` with the one that is to run");
    rig.waxwing(&["status"]).says("it is not there");
    fs::write(&program, "#!/bin/sh\nexit 1\n").expect("written");
    check().expect(1).says("it may not be executed");
    // It may be, and ends before it works.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let stamps = rig.path("home/.local/share/systemd/timers");
    fs::create_dir_all(&stamps).expect("made");
    let started = fs::File::create(stamps.join("stamp-waxwing.timer")).expect("a stamp");
    check().says("runs every hour");
    let later = SystemTime::now() + Duration::from_secs(3 * 60 * 60);
    started.set_modified(later).expect("a time");
    check()
        .expect(1)
        .says("its timer has started it")
        .says("journalctl --user -u waxwing.service");
}

#[test]
fn systemd_takes_the_units_as_they_are() {
    let test = "systemd_takes_the_units_as_they_are";
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return skipped(&format!("{test}: systemd-analyze is not installed"));
    }
    let (rig, root) = rig();
    let at = root.to_string_lossy().into_owned();
    // Names that mean something to its reader, below folders that are there.
    let odd = rig.path("a \"b\" 100% $HOME 'c'");
    fs::create_dir(&odd).expect("made");
    let config = odd.join("waxwing.toml");
    fs::rename(rig.path("waxwing.toml"), &config).expect("moved");
    let state = odd.join("state");
    for more in [&[][..], &["--daemon"]] {
        let mut command = rig.program(&["-c"]);
        command.arg(&config).arg("--state-dir").arg(&state);
        command.args(["schedule", "add", "--kind", "systemd", "--root", &at]);
        command.args(more);
        run(command).expect(0);
    }
    let folder = root.join("etc/systemd/system");
    for unit in ["waxwing.service", "waxwing.timer", "waxwing-daemon.service"] {
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .arg(folder.join(unit))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let of_ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("waxwing"))
            .collect();
        assert!(
            output.status.success() && of_ours.is_empty(),
            "{unit}: {said}"
        );
    }
}

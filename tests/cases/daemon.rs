//! `waxwing daemon`: it does what there is to do, hears signals, and tells its service manager.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, finish, plain, until};
use crate::cases::story::{daemon, dismiss, get};

/// What a daemon may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success());
}

/// The service manager that has started a daemon, as far as it listens.
struct Manager(UnixDatagram);

impl Manager {
    fn of(rig: &Rig) -> Self {
        let socket = UnixDatagram::bind(rig.path("notify")).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("a time-out");
        Self(socket)
    }

    fn daemon(&self, rig: &Rig) -> Command {
        let mut command = rig.command(&["daemon"]);
        command.env("NOTIFY_SOCKET", rig.path("notify"));
        command
    }

    /// Has the daemon read its configuration again, and hears when the pass behind that is over.
    fn reload(&self, child: &Child) {
        send("HUP", child);
        self.hear("RELOADING=1");
        self.hear("STATUS=");
    }

    /// The next message that says so.
    fn hear(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.recv(&mut buffer).expect("a message in time");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    }
}

fn configure(rig: &Rig, judge: &Judge, names: &[&str]) {
    let certificates: String = names
        .iter()
        .map(|name| certificate(name, &[&format!("{name}.example.com")]))
        .collect();
    rig.write_config(&format!(
        "{}{}{certificates}",
        rig.config_at(judge, ""),
        rig.installer("")
    ));
}

/// A notifier that writes down what it hears of failures.
fn teller(rig: &Rig, told: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let program = rig.path("tell.sh");
    let script = format!("#!/bin/sh\ncat >> {0}; echo >> {0}\n", told.display());
    std::fs::write(&program, script).expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    format!(
        "[notify.program]\ncommand = [\"{}\"]\non = [\"failed\"]\n\n",
        program.display()
    )
}

/// What it has heard: of whom, and whether it began or is over.
fn heard(told: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(told).unwrap_or_default();
    let one = |line: &str| {
        let notice: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let event = &notice["events"][0];
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (word("subject"), word("change"))
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(one).collect()
}

#[test]
fn a_daemon_issues_reloads_and_stops() {
    let test = "a_daemon_issues_reloads_and_stops";
    plain(test, |rig, judge| {
        configure(rig, judge, &["one"]);
        let child = rig.command(&["daemon"]).spawn().expect("it starts");
        until("the first one to be installed", || {
            rig.path("tls/one.crt").exists()
        });
        // A bad configuration keeps the old one; a good one is taken up.
        rig.write_config("[account]\nemial = \"a@example.com\"\n");
        send("HUP", &child);
        configure(rig, judge, &["one", "two"]);
        until("the second one to be installed", || {
            send("HUP", &child);
            std::thread::sleep(Duration::from_millis(200));
            rig.path("tls/two.crt").exists()
        });
        let asked = Instant::now();
        send("TERM", &child);
        let run = finish(child);
        assert!(asked.elapsed() < FAREWELL, "it took {:?}", asked.elapsed());
        let run = run.expect(0).says("1 issued").says("the daemon ends");
        assert_eq!(run.stdout.matches("1 issued").count(), 2, "{}", run.stdout);
        assert_eq!(judge.traffic().count(Class::NewOrder), 2);
        assert_eq!(rig.records(), []);
        rig.verify("two", &judge.root_pem(0));
    });
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_stays() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, &["one"]);
    let log = rig.path("log/waxwing.log");
    let manager = Manager::of(&rig);
    let child = manager.daemon(&rig).spawn().expect("it starts");
    manager.hear("READY=1");
    rig.write_config("[account]\nemial = \"a@example.com\"\n");
    send("HUP", &child);
    manager.hear("RELOADING=1");
    manager.hear("READY=1");
    send("TERM", &child);
    let run = finish(child).expect(0);
    let run = run.says("did you mean `email`?");
    run.says("the configuration before stays in use");
    // Nobody reads what a daemon says on stderr.
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("did you mean `email`?"), "{log}");
    assert!(
        log.contains("the configuration before stays in use"),
        "{log}"
    );
}

#[test]
fn a_state_folder_that_is_gone_is_not_begun_anew() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let told = rig.path("told.json");
    rig.write_config(&format!(
        "{}{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer(""),
        teller(&rig, &told),
        certificate("one", &["one.example.com"]),
    ));
    let manager = Manager::of(&rig);
    let child = manager.daemon(&rig).spawn().expect("it starts");
    manager.hear("READY=1");
    let again = || manager.reload(&child);
    let heard = || heard(&told);
    let log = || std::fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
    let (state, away) = (rig.path("state"), rig.path("away"));
    let event = |change: &str| (state.display().to_string(), change.to_owned());
    std::fs::rename(&state, &away).expect("moved");
    again();
    assert!(log().contains("the state folder is gone"), "{}", log());
    assert!(!state.exists(), "nothing is made in its place");
    assert_eq!(heard(), [event("began")]);
    // Told once, though nothing can be noted.
    again();
    assert_eq!(heard(), [event("began")]);
    std::fs::rename(&away, &state).expect("moved");
    again();
    assert_eq!(heard(), [event("began"), event("over")]);
    // One that somebody else has made there since is not the one that was lost.
    std::fs::rename(&state, &away).expect("moved");
    rig.waxwing(&["ca", "health", "--now"]);
    assert!(state.exists(), "that has made it");
    again();
    assert!(log().contains("an empty one is in its place"), "{}", log());
    assert_eq!(heard().len(), 3);
    std::fs::remove_dir_all(&state).expect("removed");
    std::fs::rename(&away, &state).expect("moved");
    again();
    assert_eq!(heard().len(), 4);
    assert_eq!(judge.traffic().count(Class::NewOrder), 1);
    // Another one in its place is opened: nothing is written into what nobody sees.
    std::fs::rename(&state, &away).expect("moved");
    let copied = Command::new("cp").arg("-a").args([&away, &state]).status();
    assert!(copied.expect("cp runs").success());
    again();
    assert!(
        log().contains("another state folder is in the place"),
        "{}",
        log()
    );
    std::fs::remove_dir_all(&away).expect("removed");
    configure(&rig, &judge, &["one", "two"]);
    again();
    send("TERM", &child);
    finish(child).expect(0);
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    rig.waxwing(&["status"]).expect(0).says("two");
    rig.waxwing(&["history", "two"]).expect(0).says("issued");
}

/// Somebody has changed it, and had it done at once: the daemon of before must not undo that.
#[test]
fn a_configuration_that_has_changed_is_taken_up_without_a_signal() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let write = |domains: &[&str]| {
        rig.write_config(&format!(
            "{}{}[metrics]\nlisten = \"127.0.0.1:0\"\n\n{}",
            rig.config_at(&judge, ""),
            rig.installer(""),
            certificate("one", domains),
        ));
    };
    write(&["one.example.com"]);
    let (child, address) = daemon(&rig);
    write(&["one.example.com", "www.example.com"]);
    rig.waxwing(&["renew"]).expect(0).says("1 renewed");
    until("the daemon to look", || {
        let log = std::fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
        get(&address, "/metrics");
        log.contains("the configuration is not what it was")
    });
    until("it to be shown", || {
        get(&address, "/").1.contains("www.example.com")
    });
    dismiss(child);
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    assert!(rig.shown("one").contains("www.example.com"));
}

/// Nobody looks at a daemon that renews: what it cannot do is told like what fails.
#[test]
fn a_configuration_that_it_is_refused_and_a_page_that_it_cannot_show_are_told_until_they_are_mended()
 {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let told = rig.path("told.json");
    // Somebody else is at its address.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    let write = |more: &str| {
        rig.write_config(&format!(
            "{}{}[metrics]\nlisten = \"{address}\"\n\n{}{more}{}",
            rig.config_at(&judge, ""),
            rig.installer(""),
            teller(&rig, &told),
            certificate("one", &["one.example.com"]),
        ));
    };
    write("");
    let manager = Manager::of(&rig);
    let child = manager.daemon(&rig).spawn().expect("it starts");
    manager.hear("READY=1");
    manager.hear("STATUS=");
    assert!(rig.path("tls/one.crt").exists(), "it renews all the same");
    let main = rig.path("waxwing.toml").display().to_string();
    let event = |of: &str, change: &str| (format!("{main}{of}"), change.to_owned());
    let page = "/metrics.listen";
    let begun = [event(page, "began")];
    assert_eq!(heard(&told), begun, "it shows nothing");
    let text = std::fs::read_to_string(&told).expect("told");
    assert!(text.contains(&address), "{text}");
    let again = || manager.reload(&child);
    again();
    assert_eq!(heard(&told).len(), 1, "told once");
    drop(other);
    again();
    assert_eq!(heard(&told), [event(page, "began"), event(page, "over")]);
    assert!(get(&address, "/healthz").0.contains("200"));
    until("the page to be drawn", || {
        get(&address, "/").1.contains("one.example.com")
    });

    write("[notify.other]\nwebhok = \"https://example.com\"\n\n");
    again();
    assert_eq!(heard(&told).len(), 3);
    assert_eq!(heard(&told)[2], event("", "began"));
    assert!(get(&address, "/healthz").0.contains("200"), "it goes on");
    again();
    assert_eq!(heard(&told).len(), 3, "told once");
    write("");
    again();
    assert_eq!(heard(&told)[3..], [event("", "over")]);
    send("TERM", &child);
    finish(child).expect(0);
}

#[test]
fn a_history_that_another_process_holds_is_used_by_a_daemon_when_it_is_let_go() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, &["two"]);
    rig.waxwing(&["renew"]).expect(0);
    let other = rusqlite::Connection::open(rig.path("state/waxwing.db")).expect("the history");
    other.execute_batch("BEGIN EXCLUSIVE").expect("held");
    configure(&rig, &judge, &["two", "one"]);
    let manager = Manager::of(&rig);
    let child = manager.daemon(&rig).spawn().expect("it starts");
    manager.hear("READY=1");
    // Whether a limit is used up is not known, and nothing runs out.
    assert!(!rig.path("tls/one.crt").exists(), "it can wait");
    other.execute_batch("ROLLBACK").expect("let go");
    drop(other);
    send("HUP", &child);
    manager.hear("RELOADING=1");
    manager.hear("STATUS=");
    send("TERM", &child);
    finish(child).expect(0);
    let log = std::fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
    assert!(log.contains("this run goes on without it"), "{log}");
    assert!(log.contains("the history can be used again"), "{log}");
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    rig.waxwing(&["history", "one"]).expect(0).says("issued");
}

#[test]
fn a_history_that_another_process_takes_from_a_daemon_keeps_it_from_nothing_urgent() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, &["one"]);
    let manager = Manager::of(&rig);
    let child = manager.daemon(&rig).spawn().expect("it starts");
    manager.hear("READY=1");
    let again = || manager.reload(&child);
    let log = || std::fs::read_to_string(rig.path("log/waxwing.log")).expect("a log");
    for lock in ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"] {
        let other = rusqlite::Connection::open(rig.path("state/waxwing.db")).expect("the history");
        other.execute_batch(lock).expect("held");
        let before = log().matches("this run goes on without it").count();
        again();
        let after = log().matches("this run goes on without it").count();
        assert_eq!(after, before + 1, "{lock}: {}", log());
        other.execute_batch("ROLLBACK").expect("let go");
        drop(other);
        again();
        assert!(log().contains("the history can be used again"), "{lock}");
    }
    send("TERM", &child);
    finish(child).expect(0);
}

#[test]
fn a_service_manager_hears_that_it_is_ready_and_alive() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, &["one"]);
    let manager = Manager::of(&rig);
    let mut command = manager.daemon(&rig);
    command.env("WATCHDOG_USEC", "400000");
    let child = command.spawn().expect("it starts");
    let hear = |wanted: &str| manager.hear(wanted);
    hear("READY=1");
    assert!(rig.path("tls/one.crt").exists(), "the first pass is over");
    let status = hear("STATUS=next: ");
    assert!(status.contains("next: "), "{status}");
    hear("WATCHDOG=1");
    send("HUP", &child);
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    send("TERM", &child);
    hear("STOPPING=1");
    finish(child).expect(0);
}

#[test]
fn what_fails_is_tried_again_and_not_at_once() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let Judge::World(ca) = &judge else {
        panic!("the world's CA was asked for");
    };
    configure(&rig, &judge, &["one"]);
    ca.fault(Fault::always(
        Class::NewOrder,
        What::Problem {
            kind: "serverInternal".to_owned(),
            status: http::StatusCode::INTERNAL_SERVER_ERROR,
            detail: "out of order".to_owned(),
            retry_after: None,
        },
    ));
    let child = rig.command(&["daemon"]).spawn().expect("it starts");
    until("it to fail", || {
        let run = rig.waxwing(&["history", "--failed"]);
        run.stdout.contains("out of order")
    });
    let asked = judge.traffic().total();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(judge.traffic().total(), asked, "it sleeps");
    send("TERM", &child);
    let run = finish(child).expect(0);
    run.says("one is due");
}

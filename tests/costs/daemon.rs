//! The daemon with ten thousand certificates: what it takes to start, to sit there, to read its
//! configuration again and to end.
//!
//! It is watched from outside: by what it tells its service manager, and by what the kernel counts for
//! it. A wake-up is a moment at which one of its threads was put on a processor.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::fleet::{CERTIFICATES, Fleet};
use crate::measure::{Row, field, mib, resident, shown, spent};

/// More of them, of which none is there yet.
const NEW: usize = 50;

/// It is left alone for so long. `WAXWING_IDLE` names other seconds: with 3700 there is the hourly pass in which CAs are
/// asked for advice, and a look at them.
const IDLE: Duration = Duration::from_secs(180);

/// Nothing that it is asked for takes longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a pass has left behind it is over by then.
const SETTLED: Duration = Duration::from_secs(3);

/// The figures.
pub(crate) fn rows(fleet: &Fleet) -> Vec<Row> {
    let idle = std::env::var("WAXWING_IDLE").ok();
    let idle = idle.and_then(|seconds| seconds.parse().ok());
    let idle = idle.map_or(IDLE, Duration::from_secs);

    let asked = Instant::now();
    let mut daemon = Daemon::start(fleet);
    daemon.hear("READY=1");
    let ready = asked.elapsed();
    daemon.hear("STATUS=next");
    let started = daemon.glance();
    let mut rows = vec![
        Row::new(
            format!("daemon, {CERTIFICATES} certificates, ready after"),
            shown(ready),
        ),
        Row::new("- CPU", shown(started.cpu)),
        Row::new("- peak memory", mib(started.peak)),
    ];

    thread::sleep(SETTLED);
    let before = daemon.glance();
    let asked_before = fleet.judge.traffic().total();
    eprintln!("idle for {idle:?}");
    thread::sleep(idle);
    let after = daemon.glance();
    let asked_after = fleet.judge.traffic().total();
    rows.extend([
        Row::new("idle, memory", mib(after.resident)).target("30 MB"),
        Row::new("- of that its own, not pages of files", mib(after.own)),
        Row::new(
            format!("- wake-ups in {} s", idle.as_secs()),
            (after.wakes - before.wakes).to_string(),
        )
        .target("0"),
        Row::new("- CPU meanwhile", shown(after.awake - before.awake)),
        Row::new("- with threads that ended", shown(after.cpu - before.cpu)),
        Row::new(
            "- requests to the CA",
            (asked_after - asked_before).to_string(),
        ),
    ]);

    let asked = Instant::now();
    daemon.send("HUP");
    daemon.hear("RELOADING=1");
    daemon.hear("READY=1");
    let read = asked.elapsed();
    let at_work = daemon.glance();
    daemon.hear("STATUS=next");
    let planned = asked.elapsed();
    let done = daemon.glance();
    thread::sleep(SETTLED);
    let settled = daemon.glance();
    rows.extend([
        Row::new("configuration read again (SIGHUP)", shown(read)),
        Row::new("- the pass behind it", shown(planned - read)),
        Row::new("- its CPU", shown(done.cpu - at_work.cpu)),
        Row::new("- peak memory", mib(done.peak)),
        Row::new("- memory afterwards", mib(settled.resident)),
    ]);
    rows.push(Row::new("stopped after SIGTERM", shown(daemon.stop())));

    fleet.configure(CERTIFICATES + NEW, "dns-new");
    let mut daemon = Daemon::start(fleet);
    daemon.hear("READY=1");
    let done = daemon.glance();
    thread::sleep(SETTLED);
    let settled = daemon.glance();
    daemon.stop();
    rows.extend([
        Row::new(
            format!("{NEW} more issued and installed, peak memory"),
            mib(done.peak),
        ),
        Row::new("- memory afterwards", mib(settled.resident)),
    ]);
    let there = fs::read_dir(fleet.rig.path("tls")).map_or(0, Iterator::count);
    assert!(there > NEW, "{there} files are installed");
    rows
}

/// A running daemon, and the service manager that hears of it.
struct Daemon {
    child: Child,
    manager: UnixDatagram,
    log: NamedTempFile,
}

impl Daemon {
    fn start(fleet: &Fleet) -> Self {
        let socket = fleet.rig.path("notify");
        let _older = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        let patience = Some(PATIENCE);
        manager.set_read_timeout(patience).expect("a time-out");
        let log = NamedTempFile::new().expect("a file");
        let mut command = fleet.rig.command(&["daemon"]);
        command
            .env("NOTIFY_SOCKET", socket)
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("a file can be opened twice"));
        Self {
            child: command.spawn().expect("the program starts"),
            manager,
            log,
        }
    }

    /// Waits until it says so.
    fn hear(&self, wanted: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length = self.manager.recv(&mut buffer).unwrap_or_else(|error| {
                let said = fs::read_to_string(self.log.path()).unwrap_or_default();
                panic!("{error}: it did not say {wanted}, but:\n{said}")
            });
            if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
                return;
            }
        }
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it; answers how long that took.
    fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        self.send("TERM");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "it ended with {status}");
        asked.elapsed()
    }

    fn glance(&self) -> Glance {
        let pid = self.child.id();
        let (mut awake, mut wakes) = (0, 0);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        for thread in threads {
            let thread = thread.expect("a thread").path();
            let read = |file: &str| fs::read_to_string(thread.join(file)).unwrap_or_default();
            // Nanoseconds on a processor, nanoseconds in a queue, how often it was put on one.
            let counted = read("schedstat");
            let mut counted = counted.split_whitespace().map(|word| word.parse().ok());
            awake += counted.next().flatten().unwrap_or(0);
            wakes += counted.nth(1).flatten().unwrap_or(0);
        }
        Glance {
            resident: field(pid, "VmRSS:"),
            own: field(pid, "RssAnon:"),
            peak: resident(pid),
            cpu: spent(pid),
            awake: Duration::from_nanos(awake),
            wakes,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// What the kernel has counted so far.
struct Glance {
    /// Bytes that are in memory now.
    resident: u64,
    /// Those of them that are no pages of the program's file, which the kernel could read again.
    own: u64,
    /// The most that have been.
    peak: u64,
    /// Of all threads, those that have ended included; in ticks.
    cpu: Duration,
    /// Of the threads that there are, exactly.
    awake: Duration,
    /// How often one of them was put on a processor.
    wakes: u64,
}

//! Costs of processes and of blocks of code, and the table of them.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel's unit of CPU time towards processes, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// How often the memory of a running process is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// One line of the table.
pub(crate) struct Row {
    what: String,
    ours: String,
    theirs: String,
    target: String,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, ours: String) -> Self {
        Self {
            what: what.into(),
            ours,
            theirs: String::new(),
            target: String::new(),
        }
    }

    pub(crate) fn theirs(mut self, theirs: String) -> Self {
        self.theirs = theirs;
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }
}

/// As Markdown, so that it can go into the README.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| | Waxwing | instant-acme | target |\n|---|---:|---:|---:|\n");
    for row in rows {
        let cells = [&row.what, &row.ours, &row.theirs, &row.target];
        text.push_str(&format!("| {} |\n", cells.map(String::as_str).join(" | ")));
    }
    text
}

/// What several runs of one program cost.
#[derive(Default)]
pub(crate) struct Runs {
    walls: Vec<Duration>,
    ticks: u64,
    peak: u64,
}

impl Runs {
    /// Runs a program to its end, which must be a success.
    pub(crate) fn run(&mut self, command: &mut Command) {
        let log = tempfile::NamedTempFile::new().expect("a file");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("a file can be opened twice"));
        let before = children_ticks();
        let started = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        let status = loop {
            self.peak = self.peak.max(resident(child.id()));
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                break status;
            }
            std::thread::sleep(GLANCE);
        };
        self.walls.push(started.elapsed());
        self.ticks += children_ticks().saturating_sub(before);
        let said = fs::read_to_string(log.path()).unwrap_or_default();
        assert!(status.success(), "{command:?} ended with {status}:\n{said}");
    }

    /// Median wall time.
    pub(crate) fn wall(&self) -> Duration {
        median(&self.walls)
    }

    /// Mean CPU time of one run.
    pub(crate) fn cpu(&self) -> Duration {
        let runs = u32::try_from(self.walls.len()).unwrap_or(u32::MAX).max(1);
        let ticks = u32::try_from(self.ticks).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND) / runs
    }

    /// Most memory of any run, in bytes.
    pub(crate) const fn peak(&self) -> u64 {
        self.peak
    }
}

/// The median time of a block, after a warm-up that does not count.
pub(crate) fn timed(times: usize, mut block: impl FnMut()) -> Duration {
    block();
    let times: Vec<Duration> = (0..times)
        .map(|_| {
            let started = Instant::now();
            block();
            started.elapsed()
        })
        .collect();
    median(&times)
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// `0.87 s`, `12.3 ms`, `76 µs`.
pub(crate) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 0.1 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

/// `22.7 MB`, in millions of bytes as disks and the peers' figures have it.
pub(crate) fn mib(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// CPU time of all children that have ended and were waited for.
fn children_ticks() -> u64 {
    // `cutime` and `cstime` of proc(5), counted from the state.
    ticks("self", [13, 14])
}

/// CPU time of a running process, in the kernel's ticks.
pub(crate) fn spent(pid: u32) -> Duration {
    // `utime` and `stime`.
    let ticks = ticks(&pid.to_string(), [11, 12]);
    Duration::from_secs_f64(u32::try_from(ticks).map_or(0.0, f64::from) / TICKS_PER_SECOND)
}

/// The sum of two fields of `/proc/PID/stat`.
fn ticks(pid: &str, of: [usize; 2]) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth).and_then(|field| field.parse::<u64>().ok());
    of.into_iter().filter_map(ticks).sum()
}

/// The highest resident set of a running process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

/// A size that the kernel shows of a running process, in bytes.
pub(crate) fn field(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

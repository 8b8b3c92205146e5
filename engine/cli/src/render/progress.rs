//! What is seen while a run is at work: on a terminal one live line for each certificate, taken
//! back at the end; elsewhere a plain line for each event.
//!
//! What a newcomer gets wrong: other writers to the same terminal must go through [`Live::aside`],
//! or the next drawing erases what they wrote.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use waxwing_core::name::{CertificateName, DomainName};
use waxwing_flow::report::{Observer, Progress, Reached};

use super::page::{clean, count, list, width};
use super::terminal::stderr_size;
use super::time::stretch;

/// Shows progress on stderr.
pub(crate) enum Live {
    /// Lines that change.
    Board(Mutex<Board>),
    /// Lines that stay. True: records of the log instead, because all of stderr is for machines.
    Plain(AtomicBool),
    /// Nothing, for those who asked for JSON.
    Silent,
}

impl Live {
    /// For a terminal that can move its cursor, or for anything else.
    pub(crate) fn new(live: bool, silent: bool) -> Self {
        match (silent, live) {
            (true, _) => Self::Silent,
            (false, true) => Self::Board(Mutex::new(Board::default())),
            (false, false) => Self::Plain(AtomicBool::new(false)),
        }
    }

    /// From now on events are records of the log, or lines again. At a terminal nothing changes.
    pub(crate) fn be_records(&self, yes: bool) {
        if let Self::Plain(records) = self {
            records.store(yes, Ordering::Relaxed);
        }
    }

    /// Shows that work on these begins; before the first event there may be a long wait.
    pub(crate) fn begin<'n>(&self, certificates: impl Iterator<Item = &'n CertificateName>) {
        if let Self::Board(board) = self {
            let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
            for certificate in certificates {
                board.set(certificate, "asking the CA".to_owned());
            }
            let (columns, rows) = stderr_size();
            write_stderr(board.draw(columns, rows).as_bytes());
        }
    }

    /// Takes the live lines back. Nothing is drawn again until the next event.
    pub(crate) fn clear(&self) {
        self.aside(b"");
    }

    /// Writes something that stays, above the live lines.
    pub(crate) fn aside(&self, text: &[u8]) {
        let mut out = Vec::new();
        match self {
            Self::Board(board) => {
                let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                out.extend_from_slice(board.erase().as_bytes());
                out.extend_from_slice(text);
                if !text.is_empty() {
                    let (columns, rows) = stderr_size();
                    out.extend_from_slice(board.draw(columns, rows).as_bytes());
                }
                write_stderr(&out);
            }
            Self::Plain(_) | Self::Silent => write_stderr(text),
        }
    }
}

impl Observer for Live {
    fn progress(&self, certificate: &CertificateName, progress: &Progress) {
        match self {
            Self::Silent => {}
            Self::Plain(records) if records.load(Ordering::Relaxed) => {
                tracing::info!(%certificate, "{}", say(progress));
            }
            Self::Plain(_) => {
                write_stderr(format!("{certificate}: {}\n", say(progress)).as_bytes());
            }
            Self::Board(board) => {
                let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                let (columns, rows) = stderr_size();
                let mut out = board.erase();
                if let Progress::FailedOver { .. } = progress {
                    // Worth keeping on the screen: it explains why the run takes longer.
                    out.push_str(&fit(&format!("{certificate}: {}", say(progress)), columns));
                    out.push('\n');
                }
                match progress {
                    // The last thing that happens to a certificate before it is installed.
                    Progress::Reached(milestone)
                        if matches!(milestone.what, Reached::Removed { .. }) =>
                    {
                        board.remove(certificate);
                    }
                    _ => board.set(certificate, say(progress)),
                }
                out.push_str(&board.draw(columns, rows));
                // One write for the whole change, so that nobody sees half of it.
                write_stderr(out.as_bytes());
            }
        }
    }
}

fn write_stderr(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _closed = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// An event on one line.
fn say(progress: &Progress) -> String {
    match progress {
        Progress::Waiting { what, most } => {
            clean(&format!("waiting for {what}, at most {}", stretch(*most)))
        }
        Progress::FailedOver { from, to, causes } => {
            let why = causes
                .last()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            clean(&format!("{from} failed, asking {to} now{why}"))
        }
        Progress::Reached(milestone) => match &milestone.what {
            Reached::Ordered {
                ca,
                names,
                resumed: false,
            } => {
                format!("order placed at {ca}, {}", count(*names, "name"))
            }
            Reached::Ordered {
                ca, resumed: true, ..
            } => {
                format!("order of an earlier run at {ca} taken up")
            }
            Reached::Placed(records) => {
                // A name and its wildcard share the name of their records.
                let mut names: Vec<&DomainName> = Vec::new();
                for (fqdn, _) in records {
                    if !names.contains(&fqdn) {
                        names.push(fqdn);
                    }
                }
                format!("{} TXT placed: {}", records.len(), list(&names, 3))
            }
            Reached::Seen { servers: None } => "waiting for the CA to look".to_owned(),
            Reached::Seen { servers: Some(_) } => "TXT seen, waiting for the CA to look".to_owned(),
            Reached::Received => "certificate received".to_owned(),
            Reached::Removed { records, left: 0 } => format!("{records} TXT removed"),
            Reached::Removed { left, .. } => format!("{left} TXT could not be removed"),
        },
    }
}

/// The live lines: what they say, and how many are on the screen now.
#[derive(Debug, Default)]
pub(crate) struct Board {
    lines: Vec<(CertificateName, String)>,
    drawn: usize,
}

impl Board {
    /// Notes what a certificate is at. The one that changed last stands last.
    fn set(&mut self, certificate: &CertificateName, text: String) {
        self.remove(certificate);
        self.lines.push((certificate.clone(), text));
    }

    /// Nothing more is to be said of a certificate.
    fn remove(&mut self, certificate: &CertificateName) {
        self.lines.retain(|(name, _)| name != certificate);
    }

    /// What takes the drawn lines back and leaves the cursor where the first one began.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            drawn => format!("\u{1b}[{drawn}A\r\u{1b}[J"),
        }
    }

    /// The lines that fit, each cut to the width so that none wraps.
    fn draw(&mut self, columns: usize, rows: usize) -> String {
        // A third of the screen is enough; the rest belongs to what was there before.
        let room = (rows / 3).max(1);
        let hidden = self.lines.len().saturating_sub(room);
        let mut out = String::new();
        if hidden > 0 {
            out.push_str(&fit(&format!("… and {hidden} more at work"), columns));
            out.push('\n');
            self.drawn += 1;
        }
        for (name, text) in self.lines.iter().skip(hidden) {
            out.push_str(&fit(&format!("{name}: {text}"), columns));
            out.push('\n');
            self.drawn += 1;
        }
        out
    }
}

/// The text cut to one row.
fn fit(text: &str, columns: usize) -> String {
    // The last column is left free: some terminals wrap as soon as it is written.
    let room = columns.saturating_sub(1);
    if width(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        let mut buffer = [0; 4];
        used += width(c.encode_utf8(&mut buffer));
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use waxwing_flow::report::Milestone;

    use super::super::fixture::{at, ca, domain, name, plugin};
    use super::*;

    #[test]
    fn the_board_takes_back_exactly_what_it_drew() {
        let mut board = Board::default();
        assert_eq!(board.erase(), "");
        board.set(&name("a"), "one".to_owned());
        board.set(&name("b"), "two".to_owned());
        assert_eq!(board.draw(80, 24), "a: one\nb: two\n");
        board.set(&name("a"), "three".to_owned());
        assert_eq!(board.erase(), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(board.draw(80, 24), "b: two\na: three\n");
    }

    #[test]
    fn a_line_never_wraps_and_many_lines_never_scroll() {
        let mut board = Board::default();
        for nth in 0..40 {
            board.set(&name(&format!("site{nth}")), "x".repeat(200));
        }
        let drawn = board.draw(30, 24);
        assert_eq!(drawn.lines().count(), 9);
        assert!(drawn.lines().all(|line| width(line) < 30), "{drawn}");
        assert!(drawn.starts_with("… and 32 more at work\n"), "{drawn}");
    }

    #[test]
    fn records_of_one_name_are_counted_and_named_once() {
        let placed = |names: &[&str]| {
            let record = |name: &&str| (domain(name), plugin("one-dns"));
            say(&Progress::Reached(Milestone {
                at: at(0),
                took: Duration::ZERO,
                what: Reached::Placed(names.iter().map(record).collect()),
            }))
        };
        assert_eq!(
            placed(&["_acme-challenge.example.com"; 2]),
            "2 TXT placed: _acme-challenge.example.com"
        );
        assert_eq!(
            placed(&["_acme-challenge.b.example", "_acme-challenge.a.example"]),
            "2 TXT placed: _acme-challenge.b.example, _acme-challenge.a.example"
        );
    }

    #[test]
    fn events_say_what_and_for_how_long() {
        let waiting = Progress::Waiting {
            what: "example.com to be seen on all name servers (1 of 4 so far)".to_owned(),
            most: Duration::from_secs(40),
        };
        assert_eq!(
            say(&waiting),
            "waiting for example.com to be seen on all name servers (1 of 4 so far), at most 40 s"
        );
        let over = Progress::FailedOver {
            from: ca("first"),
            to: ca("second"),
            causes: vec![
                "it did not answer".to_owned(),
                "refused\u{1b}[2J".to_owned(),
            ],
        };
        assert_eq!(
            say(&over),
            "first failed, asking second now: refused\u{fffd}[2J"
        );
    }
}

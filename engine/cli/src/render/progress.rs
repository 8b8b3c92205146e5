//! What is seen while a run is at work: on a terminal one live line for each certificate, drawn again
//! every second and taken back at the end; elsewhere a plain line for each event, and for a wait that
//! has become long.
//!
//! What a newcomer gets wrong: other writers to the same terminal must go through [`Live::aside`],
//! or the next drawing erases what they wrote.

mod board;

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waxwing_core::name::{CertificateName, DomainName};
use waxwing_core::time::Timestamp;
use waxwing_flow::failure::innermost;
use waxwing_flow::ports::Clock;
use waxwing_flow::report::{Observer, Progress, Reached};
use waxwing_io::clock::SystemClock;

use self::board::{At, Board, fit};
use super::page::{clean, count, list};
use super::terminal::stderr_size;
use crate::commands::start;

/// How often what takes long is drawn again.
const BEAT: Duration = Duration::from_secs(1);

/// Shows progress on stderr.
pub(crate) enum Live {
    /// Lines that change.
    Board(Mutex<Board>),
    /// Lines that stay.
    Plain {
        /// Records of the log instead, because all of stderr is for machines.
        records: AtomicBool,
        /// What certificates are at, for those that take long.
        board: Mutex<Board>,
    },
    /// Nothing, for those who asked for JSON.
    Silent,
}

impl Live {
    /// For a terminal that can move its cursor, or for anything else.
    pub(crate) fn new(live: bool, silent: bool) -> Self {
        match (silent, live) {
            (true, _) => Self::Silent,
            (false, true) => Self::Board(Mutex::new(Board::default())),
            (false, false) => Self::Plain {
                records: AtomicBool::new(false),
                board: Mutex::default(),
            },
        }
    }

    /// From now on events are records of the log, or lines again. At a terminal nothing changes.
    pub(crate) fn be_records(&self, yes: bool) {
        if let Self::Plain { records, .. } = self {
            records.store(yes, Ordering::Relaxed);
        }
    }

    /// True if all that is written is records.
    pub(crate) fn is_records(&self) -> bool {
        matches!(self, Self::Plain { records, .. } if records.load(Ordering::Relaxed))
    }

    /// Says something that is neither progress nor a result: a record, where all that is written is records.
    pub(crate) fn notice(&self, text: &str) {
        if self.is_records() {
            tracing::warn!("{text}");
        } else {
            self.aside(format!("{text}\n").as_bytes());
        }
    }

    /// Shows that work on these begins; before the first event there may be a long wait.
    pub(crate) fn begin<'n>(&self, certificates: impl Iterator<Item = &'n CertificateName>) {
        if let Self::Board(board) = self {
            let mut board = locked(board);
            let now = start::now();
            for certificate in certificates {
                let what = "looking at what is there".to_owned();
                board.set(certificate.as_str(), At::doing(what, now));
            }
            write_stderr(drawn(&mut board, now).as_bytes());
        }
    }

    /// Says again and again what takes long, for as long as it is polled.
    pub(crate) async fn keep_time(&self, clock: &dyn Clock) -> std::convert::Infallible {
        loop {
            clock.sleep(BEAT).await;
            self.beat(clock.now());
        }
    }

    /// Does this work besides certificates, and says what it is when it takes long: `who` begins the line.
    pub(crate) async fn during<T>(
        &self,
        who: &str,
        what: &str,
        most: Option<Duration>,
        work: impl Future<Output = T>,
    ) -> T {
        let since = start::now();
        if let Self::Board(board) | Self::Plain { board, .. } = self {
            let doing = At::Doing {
                what: clean(what),
                since,
                until: most.map(|most| since + most),
                asking: None,
            };
            locked(board).set(who, doing);
        }
        let result = tokio::select! {
            biased;
            result = work => result,
            never = self.keep_time(&SystemClock) => match never {},
        };
        if let Self::Board(board) | Self::Plain { board, .. } = self {
            let mut board = locked(board);
            board.remove(who);
            // Nothing is drawn of it if it was quick.
            let out = board.erase();
            if !out.is_empty() {
                write_stderr(out.as_bytes());
            }
        }
        result
    }

    fn beat(&self, now: Timestamp) {
        match self {
            Self::Silent => {}
            Self::Plain { board, .. } => {
                // Nothing is locked while somebody writes.
                let lines = locked(board).worth_a_line(now);
                for (certificate, text) in lines {
                    self.line(&certificate, &text);
                }
            }
            Self::Board(board) => {
                let mut board = locked(board);
                let mut out = board.erase();
                out.push_str(&drawn(&mut board, now));
                write_stderr(out.as_bytes());
            }
        }
    }

    /// A line that stays, or a record of the log.
    fn line(&self, certificate: &str, text: &str) {
        match self {
            Self::Plain { records, .. } if records.load(Ordering::Relaxed) => {
                tracing::info!(%certificate, "{text}");
            }
            _ => write_stderr(format!("{certificate}: {text}\n").as_bytes()),
        }
    }

    /// Takes the live lines back, and forgets what is at work: the run is over.
    pub(crate) fn clear(&self) {
        self.aside(b"");
        if let Self::Board(board) | Self::Plain { board, .. } = self {
            *locked(board) = Board::default();
        }
    }

    /// Writes something that stays, above the live lines.
    pub(crate) fn aside(&self, text: &[u8]) {
        match self {
            Self::Board(board) => {
                let mut board = locked(board);
                let mut out = board.erase().into_bytes();
                out.extend_from_slice(text);
                if !text.is_empty() {
                    out.extend_from_slice(drawn(&mut board, start::now()).as_bytes());
                }
                write_stderr(&out);
            }
            Self::Plain { .. } | Self::Silent => write_stderr(text),
        }
    }
}

impl Observer for Live {
    fn progress(&self, certificate: &CertificateName, progress: &Progress) {
        if let Progress::Asking(asking) = progress {
            // It is drawn with the next beat: most answers are there before.
            if let Self::Board(board) | Self::Plain { board, .. } = self {
                locked(board).asking(certificate.as_str(), asking);
            }
            return;
        }
        let at = at(progress);
        match self {
            Self::Silent => {}
            Self::Plain { board, .. } => {
                // What is under way is told when it takes long; what has happened, at once.
                match at.clone() {
                    Some(at) => locked(board).set(certificate.as_str(), at),
                    None => locked(board).remove(certificate.as_str()),
                }
                if let Some(At::Reached(text)) = at {
                    self.line(certificate.as_str(), &text);
                }
            }
            Self::Board(board) => {
                let mut board = locked(board);
                let mut out = board.erase();
                if let (Progress::FailedOver { .. }, Some(At::Reached(text))) = (progress, &at) {
                    // Worth keeping on the screen: it explains why the run takes longer.
                    let (columns, _) = stderr_size();
                    out.push_str(&fit(&format!("{certificate}: {text}"), columns));
                    out.push('\n');
                }
                match at {
                    Some(at) => board.set(certificate.as_str(), at),
                    None => board.remove(certificate.as_str()),
                }
                out.push_str(&drawn(&mut board, start::now()));
                // One write for the whole change, so that nobody sees half of it.
                write_stderr(out.as_bytes());
            }
        }
    }
}

fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drawn(board: &mut Board, now: Timestamp) -> String {
    let (columns, rows) = stderr_size();
    board.draw(now, columns, rows)
}

fn write_stderr(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _closed = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// What a certificate is at after this event; none if it is done for now.
fn at(progress: &Progress) -> Option<At> {
    Some(match progress {
        Progress::Doing { what, since, until } => At::Doing {
            what: clean(what),
            since: *since,
            until: *until,
            asking: None,
        },
        Progress::Waiting { what, since, until } => At::Waiting {
            what: clean(what),
            since: *since,
            until: *until,
        },
        Progress::FailedOver { from, to, causes } => {
            let why = innermost(causes)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            At::Reached(clean(&format!("{from} failed, asking {to} now{why}")))
        }
        Progress::Reached(milestone) => At::Reached(said(&milestone.what)),
        Progress::Asking(_) | Progress::Done => return None,
    })
}

/// A milestone on one line.
fn said(reached: &Reached) -> String {
    match reached {
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
        Reached::Seen { servers: None } => "waited for the DNS, without a look".to_owned(),
        Reached::Seen {
            servers: Some(servers),
        } => match servers {
            1 => "TXT seen on the name server".to_owned(),
            more => format!("TXT seen on all {more} name servers"),
        },
        Reached::Received => "certificate received".to_owned(),
        Reached::Removed { records, left: 0 } => format!("{records} TXT removed"),
        Reached::Removed { left, .. } => format!("{left} TXT could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ca, domain, plugin};
    use super::*;

    #[test]
    fn records_of_one_name_are_counted_and_named_once() {
        let placed = |names: &[&str]| {
            let record = |name: &&str| (domain(name), plugin("one-dns"));
            said(&Reached::Placed(names.iter().map(record).collect()))
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
    fn what_others_say_cannot_move_the_cursor() {
        let over = Progress::FailedOver {
            from: ca("first"),
            to: ca("second"),
            causes: vec![
                "it did not answer".to_owned(),
                "refused\u{1b}[2J".to_owned(),
            ],
        };
        assert_eq!(
            at(&over),
            Some(At::Reached(
                "first failed, asking second now: refused\u{fffd}[2J".to_owned()
            ))
        );
        let (since, until) = (Timestamp::from_unix(0), Timestamp::from_unix(9));
        let what = "ns\u{1b}[2J".to_owned();
        assert_eq!(
            at(&Progress::Waiting { what, since, until }),
            Some(At::Waiting {
                what: "ns\u{fffd}[2J".to_owned(),
                since,
                until
            })
        );
    }
}

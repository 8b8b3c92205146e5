//! What each certificate is at, and what of it is shown when.
//!
//! What a newcomer gets wrong: `since` may lie behind `now`, because the clock of a machine may be set
//! while something is waited for. Then nothing has passed.

use std::time::Duration;

use waxwing_core::name::CertificateName;
use waxwing_core::time::Timestamp;

use super::super::page::width;
use super::super::time::stretch;

/// Before this, nobody wonders what takes so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines that stay are for logs: a wait is told after this, and whenever it has become twice as long.
const WORTH_A_LINE: Duration = Duration::from_secs(5);

/// What a certificate is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// Something that has happened.
    Reached(String),
    /// Something that is under way.
    Doing {
        /// What, beginning with a verb.
        what: String,
        /// Since when.
        since: Timestamp,
    },
    /// Something that has to come by itself.
    Waiting {
        /// For what.
        what: String,
        /// Since when.
        since: Timestamp,
        /// When it is given up.
        until: Timestamp,
    },
}

impl At {
    fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Reached(_) => None,
            Self::Doing { since, .. } | Self::Waiting { since, .. } => Some(*since),
        }
    }

    /// In words, with how long it has been and how long it can still be.
    pub(super) fn say(&self, now: Timestamp) -> String {
        let (what, how_long) = self.words(now);
        what + &how_long
    }

    /// What it is, and how long it has been and can still be.
    fn words(&self, now: Timestamp) -> (String, String) {
        let so_far = |since: Timestamp| {
            let passed = now.since(since);
            match passed < PATIENCE {
                true => String::new(),
                false => format!(", {} so far", stretch(passed)),
            }
        };
        match self {
            Self::Reached(text) => (text.clone(), String::new()),
            Self::Doing { what, since } => (what.clone(), so_far(*since)),
            Self::Waiting { what, since, until } => (
                format!("waiting for {what}"),
                format!(
                    "{}, at most {} more",
                    so_far(*since),
                    stretch(until.since(now))
                ),
            ),
        }
    }
}

/// One certificate.
#[derive(Debug)]
struct Entry {
    name: CertificateName,
    at: At,
    /// How long it had taken when it was last told in a line that stays.
    told: Option<Duration>,
}

/// What all certificates are at, and how many lines of it are on the screen now.
#[derive(Debug, Default)]
pub(crate) struct Board {
    entries: Vec<Entry>,
    drawn: usize,
}

impl Board {
    /// Notes what a certificate is at. The one that changed last stands last.
    pub(super) fn set(&mut self, name: &CertificateName, at: At) {
        let before = self.entries.iter().position(|entry| entry.name == *name);
        let before = before.map(|place| self.entries.remove(place));
        // Another look at the same wait is no other wait.
        let told = before
            .filter(|before| before.at.since() == at.since())
            .and_then(|before| before.told);
        self.entries.push(Entry {
            name: name.clone(),
            at,
            told,
        });
    }

    /// Nothing more is to be said of a certificate.
    pub(super) fn remove(&mut self, name: &CertificateName) {
        self.entries.retain(|entry| entry.name != *name);
    }

    /// What takes so long that it is worth a line that stays, each certificate with its text.
    pub(super) fn worth_a_line(&mut self, now: Timestamp) -> Vec<(CertificateName, String)> {
        let mut lines = Vec::new();
        for entry in &mut self.entries {
            let Some(since) = entry.at.since() else {
                continue;
            };
            let passed = now.since(since);
            let next = entry.told.map_or(WORTH_A_LINE, |told| told * 2);
            if passed >= next {
                entry.told = Some(passed);
                lines.push((entry.name.clone(), entry.at.say(now)));
            }
        }
        lines
    }

    /// What takes the drawn lines back and leaves the cursor where the first one began.
    pub(super) fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            drawn => format!("\u{1b}[{drawn}A\r\u{1b}[J"),
        }
    }

    /// The lines that fit, each cut to the width so that none wraps.
    pub(super) fn draw(&mut self, now: Timestamp, columns: usize, rows: usize) -> String {
        // A third of the screen is enough; the rest belongs to what was there before.
        let room = (rows / 3).max(1);
        let hidden = self.entries.len().saturating_sub(room);
        let mut out = String::new();
        if hidden > 0 {
            out.push_str(&fit(&format!("… and {hidden} more at work"), columns));
            out.push('\n');
            self.drawn += 1;
        }
        for entry in self.entries.iter().skip(hidden) {
            let (what, how_long) = entry.at.words(now);
            let text = format!("{}: {what}", entry.name);
            out.push_str(&fit_before(&text, &how_long, columns));
            out.push('\n');
            self.drawn += 1;
        }
        out
    }
}

/// Both on one row. What does not fit is cut from the text, since the end is short and says most: with
/// names of servers in the text, nobody would see for how long they are waited for.
fn fit_before(text: &str, end: &str, columns: usize) -> String {
    let room = columns.saturating_sub(width(end));
    fit(&(fit(text, room) + end), columns)
}

/// The text cut to one row.
pub(super) fn fit(text: &str, columns: usize) -> String {
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
    use super::super::super::fixture::{at, name};
    use super::*;

    fn reached(text: &str) -> At {
        At::Reached(text.to_owned())
    }

    fn waiting(what: &str, since: i64, until: i64) -> At {
        At::Waiting {
            what: what.to_owned(),
            since: at(since),
            until: at(until),
        }
    }

    fn doing(what: &str, since: i64) -> At {
        At::Doing {
            what: what.to_owned(),
            since: at(since),
        }
    }

    #[test]
    fn the_board_takes_back_exactly_what_it_drew() {
        let mut board = Board::default();
        assert_eq!(board.erase(), "");
        board.set(&name("a"), reached("one"));
        board.set(&name("b"), reached("two"));
        assert_eq!(board.draw(at(0), 80, 24), "a: one\nb: two\n");
        board.set(&name("a"), reached("three"));
        assert_eq!(board.erase(), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(board.draw(at(0), 80, 24), "b: two\na: three\n");
        board.remove(&name("b"));
        assert_eq!(board.erase(), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(board.draw(at(0), 80, 24), "a: three\n");
    }

    #[test]
    fn a_line_never_wraps_and_many_lines_never_scroll() {
        let mut board = Board::default();
        for nth in 0..40 {
            board.set(&name(&format!("site{nth}")), reached(&"x".repeat(200)));
        }
        let drawn = board.draw(at(0), 30, 24);
        assert_eq!(drawn.lines().count(), 9);
        assert!(drawn.lines().all(|line| width(line) < 30), "{drawn}");
        assert!(drawn.starts_with("… and 32 more at work\n"), "{drawn}");
    }

    #[test]
    fn what_takes_long_says_how_long_and_for_how_long_still() {
        let check = |what: At, now, want: &str| assert_eq!(what.say(at(now)), want);
        check(reached("order placed"), 500, "order placed");
        check(doing("asking the CA", 100), 101, "asking the CA");
        check(
            doing("asking the CA", 100),
            130,
            "asking the CA, 30 s so far",
        );
        let ns2 = || waiting("ns2", 100, 700);
        check(ns2(), 101, "waiting for ns2, at most 9 min more");
        check(
            ns2(),
            110,
            "waiting for ns2, 10 s so far, at most 9 min more",
        );
        check(
            ns2(),
            640,
            "waiting for ns2, 9 min so far, at most 60 s more",
        );
        // Past its end, until whoever waits has noticed, and on a clock that was set back.
        check(
            ns2(),
            701,
            "waiting for ns2, 10 min so far, at most 0 s more",
        );
        check(ns2(), 50, "waiting for ns2, at most 10 min more");
    }

    #[test]
    fn how_long_is_seen_however_narrow_the_terminal_is() {
        let mut board = Board::default();
        let servers =
            "_acme-challenge.a.example.com to be seen on 127.0.0.1:18153, localhost:18154";
        board.set(&name("a"), waiting(servers, 0, 7_300));
        board.set(&name("b"), doing(servers, 0));
        board.set(&name("c"), doing("asking", 0));
        let mut drawn = |columns| board.draw(at(7_199), columns, 24);
        assert_eq!(
            drawn(80),
            "a: waiting for _acme-challenge.a.example.c…, 119 min so far, at most 101 s more\n\
             b: _acme-challenge.a.example.com to be seen on 127.0.0.1:18153…, 119 min so far\n\
             c: asking, 119 min so far\n"
        );
        assert_eq!(
            drawn(60),
            "a: waiting for _acme-c…, 119 min so far, at most 101 s more\n\
             b: _acme-challenge.a.example.com to be see…, 119 min so far\n\
             c: asking, 119 min so far\n"
        );
        // Nobody can read much there, but nothing wraps.
        for columns in 0..60 {
            assert!(
                drawn(columns)
                    .lines()
                    .all(|line| width(line) < columns.max(2))
            );
        }
    }

    #[test]
    fn lines_that_stay_come_at_growing_distances() {
        let mut board = Board::default();
        board.set(&name("a"), doing("placing", 0));
        board.set(&name("b"), reached("placed"));
        let mut told = Vec::new();
        for now in 0..=60 {
            // Somebody looks every 3 s, which is no news.
            if now >= 10 && now % 3 == 1 {
                board.set(&name("a"), waiting(&format!("ns{now}"), 10, 100));
            }
            for (certificate, text) in board.worth_a_line(at(now)) {
                told.push(format!("{now} {certificate}: {text}"));
            }
        }
        assert_eq!(
            told,
            [
                "5 a: placing, 5 s so far",
                "15 a: waiting for ns13, 5 s so far, at most 85 s more",
                "20 a: waiting for ns19, 10 s so far, at most 80 s more",
                "30 a: waiting for ns28, 20 s so far, at most 70 s more",
                "50 a: waiting for ns49, 40 s so far, at most 50 s more",
            ]
        );
        // What is done is not told any more.
        board.remove(&name("a"));
        assert_eq!(board.worth_a_line(at(1_000)), []);
    }
}

//! What each certificate is at, and what of it is shown when.
//!
//! What a newcomer gets wrong: `since` may lie behind `now`, because the clock of a machine may be set
//! while something is waited for. Then nothing has passed.

use std::time::Duration;

use waxwing_core::time::Timestamp;
use waxwing_flow::report::Asking;

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
        /// When it is given up, where that is known of the whole.
        until: Option<Timestamp>,
        /// The answer or the pause it waits for.
        asking: Option<Asking>,
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
    /// Something is under way from now on.
    pub(super) const fn doing(what: String, since: Timestamp) -> Self {
        Self::Doing {
            what,
            since,
            until: None,
            asking: None,
        }
    }

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
            Self::Doing {
                what,
                since,
                until,
                asking,
            } => {
                let mut what = what.clone();
                let passed = so_far(*since);
                // Before anybody wonders, and past its end until whoever waits has noticed, the limit
                // says nothing.
                let left = |until: &Timestamp| {
                    (!passed.is_empty() && *until > now).then(|| until.since(now))
                };
                let still = match asking {
                    Some(Asking::Answer { host, until }) => {
                        if !passed.is_empty() {
                            what = format!("{what} ({host})");
                        }
                        left(until)
                            .map(|left| format!(", at most {} more for an answer", stretch(left)))
                    }
                    Some(Asking::Pause { until }) => {
                        left(until).map(|left| format!(", again in {}", stretch(left)))
                    }
                    None => until
                        .as_ref()
                        .and_then(left)
                        .map(|left| format!(", at most {} more", stretch(left))),
                };
                (what, passed + &still.unwrap_or_default())
            }
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

/// One line.
#[derive(Debug)]
struct Entry {
    /// A certificate, or what is done besides.
    name: String,
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
    pub(super) fn set(&mut self, name: &str, at: At) {
        let before = self.entries.iter().position(|entry| entry.name == name);
        let before = before.map(|place| self.entries.remove(place));
        // Another look at the same wait is no other wait.
        let told = before
            .filter(|before| before.at.since() == at.since())
            .and_then(|before| before.told);
        self.entries.push(Entry {
            name: name.to_owned(),
            at,
            told,
        });
    }

    /// Notes what it waits for that is under way for a certificate.
    pub(super) fn asking(&mut self, name: &str, new: &Asking) {
        let mut entries = self.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.name == name)
            && let At::Doing { asking, .. } = &mut entry.at
        {
            *asking = Some(new.clone());
        }
    }

    /// Nothing more is to be said of a certificate.
    pub(super) fn remove(&mut self, name: &str) {
        self.entries.retain(|entry| entry.name != name);
    }

    /// What takes so long that it is worth a line that stays, each certificate with its text.
    pub(super) fn worth_a_line(&mut self, now: Timestamp) -> Vec<(String, String)> {
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
    use super::super::super::fixture::at;
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
        At::doing(what.to_owned(), at(since))
    }

    #[test]
    fn the_board_takes_back_exactly_what_it_drew() {
        let mut board = Board::default();
        assert_eq!(board.erase(), "");
        board.set("a", reached("one"));
        board.set("b", reached("two"));
        assert_eq!(board.draw(at(0), 80, 24), "a: one\nb: two\n");
        board.set("a", reached("three"));
        assert_eq!(board.erase(), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(board.draw(at(0), 80, 24), "b: two\na: three\n");
        board.remove("b");
        assert_eq!(board.erase(), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(board.draw(at(0), 80, 24), "a: three\n");
    }

    #[test]
    fn a_line_never_wraps_and_many_lines_never_scroll() {
        let mut board = Board::default();
        for nth in 0..40 {
            board.set(&format!("site{nth}"), reached(&"x".repeat(200)));
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
    fn a_request_says_who_is_asked_and_for_how_long_still() {
        let mut board = Board::default();
        let a = "a";
        let answer = |until| Asking::Answer {
            host: "ca.example".to_owned(),
            until: at(until),
        };
        // Nothing is under way.
        board.asking(a, &answer(30));
        board.set(a, reached("order placed"));
        board.asking(a, &answer(30));
        assert_eq!(board.draw(at(10), 80, 24), "a: order placed\n");
        board.set(a, doing("asking The CA to sign", 0));
        board.asking(a, &answer(30));
        let check = |board: &mut Board, now, want: &str| {
            assert_eq!(board.draw(at(now), 90, 24), format!("a: {want}\n"));
        };
        check(&mut board, 1, "asking The CA to sign");
        check(
            &mut board,
            12,
            "asking The CA to sign (ca.example), 12 s so far, at most 18 s more for an answer",
        );
        check(
            &mut board,
            30,
            "asking The CA to sign (ca.example), 30 s so far",
        );
        board.asking(a, &Asking::Pause { until: at(33) });
        check(
            &mut board,
            31,
            "asking The CA to sign, 31 s so far, again in 2 s",
        );
        board.asking(a, &answer(63));
        check(
            &mut board,
            33,
            "asking The CA to sign (ca.example), 33 s so far, at most 30 s more for an answer",
        );
        // The next thing has a wait of its own.
        board.set(a, doing("fetching the certificate", 34));
        check(&mut board, 40, "fetching the certificate, 6 s so far");
        let placing = At::Doing {
            what: "placing 2 TXT by one-dns".to_owned(),
            since: at(40),
            until: Some(at(160)),
            asking: None,
        };
        board.set(a, placing);
        check(
            &mut board,
            50,
            "placing 2 TXT by one-dns, 10 s so far, at most 110 s more",
        );
    }

    #[test]
    fn how_long_is_seen_however_narrow_the_terminal_is() {
        let mut board = Board::default();
        let servers =
            "_acme-challenge.a.example.com to be seen on 127.0.0.1:18153, localhost:18154";
        board.set("a", waiting(servers, 0, 7_300));
        board.set("b", doing(servers, 0));
        board.set("c", doing("asking", 0));
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
        board.set("a", doing("placing", 0));
        board.set("b", reached("placed"));
        let mut told = Vec::new();
        for now in 0..=60 {
            // Somebody looks every 3 s, which is no news.
            if now >= 10 && now % 3 == 1 {
                board.set("a", waiting(&format!("ns{now}"), 10, 100));
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
        board.remove("a");
        assert_eq!(board.worth_a_line(at(1_000)), []);
    }
}

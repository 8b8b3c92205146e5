//! Other ACME clients on this machine, and how each gives itself away among what the system starts.
//!
//! Two clients that renew the same names spend the same limits, and whoever comes last decides what is
//! served. What is found is handed in as values; nothing here looks.

use std::path::PathBuf;

use crate::import::Client;

/// An ACME client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// What it is called.
    pub name: &'static str,
    /// Names of its programs in command lines.
    pub programs: &'static [&'static str],
    /// Units of systemd that its packages bring.
    pub units: &'static [&'static str],
    /// How the names of its tasks begin (Windows).
    pub tasks: &'static [&'static str],
    /// Where it keeps what it renews. `~` is the home of root.
    pub keeps: Keeps,
}

/// How a client's own files tell which names it renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// As `import` reads them, in the first of these folders that is there.
    Files(Client, &'static [&'static str]),
    /// A folder for each name in one of these; `*` is any one folder.
    Folders(&'static [&'static str]),
    /// Not in files that are known.
    Unknown,
}

// Data: folders of clients are named after CAs, and no name of a CA stands in source.
include!("neighbour/all.in");

/// Something that the system starts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The file in which it stands.
    pub place: PathBuf,
    /// Which kind of system starts it.
    pub by: By,
    /// Its name there, or the line.
    pub text: String,
}

/// What starts things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A unit of systemd that is enabled; the text is its name.
    Unit,
    /// A line that is run: of a crontab, of a script for cron, or of an enabled unit.
    Line,
    /// A task of Windows; the text is its name.
    Task,
}

/// The clients that are started, each with the first thing that starts it. `systemd`: that is what runs
/// this machine.
pub fn started(starts: &[Start], systemd: bool) -> Vec<(&'static Neighbour, &Start)> {
    let found = ALL.iter().filter_map(|one| {
        let mut mine = starts.iter().filter(|start| is_of(one, start, systemd));
        Some((one, mine.next()?))
    });
    found.collect()
}

fn is_of(one: &Neighbour, start: &Start, systemd: bool) -> bool {
    let text = start.text.as_str();
    match start.by {
        By::Unit => one.units.contains(&text),
        By::Task => one.tasks.iter().any(|begin| text.starts_with(begin)),
        // Debian's lines for cron do nothing where systemd has a timer for the same.
        By::Line if systemd && text.contains("/run/systemd/system") => false,
        // Who only restarts a server or copies its folder is no client.
        By::Line if names_in(text).any(|name| MANAGERS.contains(&name)) => false,
        By::Line => names_in(text).any(|name| one.programs.contains(&name)),
    }
}

/// Programs that are told about services, and run none of the others.
const MANAGERS: [&str; 4] = ["systemctl", "service", "journalctl", "rc-service"];

/// Folders in which no programs are.
const NO_PROGRAMS: [&str; 2] = ["/etc/", "/var/"];

/// The last parts of everything in a line that could be a program.
fn names_in(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| c.is_whitespace() || "'\";|&()=@+!:".contains(c));
    let words = words.filter(|word| !NO_PROGRAMS.iter().any(|folder| word.starts_with(folder)));
    words.filter_map(|word| {
        word.rsplit(['/', '\\'])
            .next()
            .filter(|name| !name.is_empty())
    })
}

/// What stops it, on one line.
pub fn stopped_by(start: &Start) -> String {
    match start.by {
        By::Unit => format!("systemctl disable --now {}", start.text),
        By::Line => format!("take its line out of {}", start.place.display()),
        By::Task => format!("schtasks /Change /DISABLE /TN \"{}\"", start.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_what_starts_them() {
        let check = |by: By, text: &str, systemd: bool, want: &[&str]| {
            let starts = [Start {
                place: PathBuf::from("/etc/cron.d/x"),
                by,
                text: text.to_owned(),
            }];
            let found = started(&starts, systemd);
            let names: Vec<&str> = found.iter().map(|(one, _)| one.name).collect();
            assert_eq!(names, want, "{text}");
        };
        check(By::Unit, "certbot.timer", true, &["certbot"]);
        check(By::Unit, "snap.certbot.renew.timer", true, &["certbot"]);
        check(By::Unit, "caddy.service", true, &["Caddy"]);
        check(By::Unit, "waxwing.timer", true, &[]);
        let debian = "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl \
                      -e 'sleep int(rand(43200))' && certbot -q renew";
        check(By::Line, debian, true, &[]);
        check(By::Line, debian, false, &["certbot"]);
        let quoted =
            "25 0 * * * \"/root/.acme.sh\"/acme.sh --cron --home \"/root/.acme.sh\" > /dev/null";
        check(By::Line, quoted, true, &["acme.sh"]);
        check(
            By::Line,
            "0 4 * * * root /usr/local/bin/lego --path=/etc/lego renew",
            true,
            &["lego"],
        );
        check(
            By::Line,
            "@daily root (cd /; uacme issue www.example.com)",
            true,
            &["uacme"],
        );
        check(
            By::Line,
            "ExecStart=/usr/bin/dehydrated -c",
            true,
            &["dehydrated"],
        );
        check(By::Line, "0 4 * * * root systemctl reload caddy", true, &[]);
        check(
            By::Line,
            "0 4 * * * root tar -cf /srv/x.tar /etc/caddy",
            true,
            &[],
        );
        check(By::Line, "0 4 * * * root /usr/bin/legolas", true, &[]);
        check(
            By::Line,
            "0 4 * * * root /usr/bin/certbot-exporter",
            true,
            &[],
        );
        check(
            By::Task,
            "simple-acme renew (acme-v02.example)",
            false,
            &["simple-acme"],
        );
        check(By::Task, "Backup", false, &[]);
    }

    #[test]
    fn what_stops_it_follows_from_what_starts_it() {
        let start = |by, text: &str| Start {
            place: PathBuf::from("/etc/cron.d/certbot"),
            by,
            text: text.to_owned(),
        };
        for (start, want) in [
            (
                start(By::Unit, "certbot.timer"),
                "systemctl disable --now certbot.timer",
            ),
            (
                start(By::Line, "x"),
                "take its line out of /etc/cron.d/certbot",
            ),
            (
                start(By::Task, "win-acme renew"),
                "schtasks /Change /DISABLE /TN \"win-acme renew\"",
            ),
        ] {
            assert_eq!(stopped_by(&start), want);
        }
    }
}

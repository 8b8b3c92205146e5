//! What is looked for among what the system starts: which command starts the runs, of which configuration, and whether a
//! process is the daemon of that.

use std::path::Path;

use crate::store::lock;

/// What is looked for among what the system starts.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The program, as command lines name it.
    pub program: &'a str,
    /// The argument of a process that stays, and needs no timer.
    pub stays: &'a str,
    /// The configuration that it has to have.
    pub config: &'a Path,
    /// True if that is the one it has when its command line names none.
    pub usual: bool,
    /// The state folder, in which the process that stays has its place; none if it is not known.
    pub state: Option<&'a Path>,
}

impl Sought<'_> {
    fn is_program(&self, argv: &[String]) -> bool {
        let name = argv.first().map(Path::new).and_then(Path::file_name);
        name.is_some_and(|name| name == self.program)
    }

    /// True if what is no comment in a file of that kind, by the end of its name, starts it.
    pub(super) fn is_started_by(&self, kind: Option<&str>, text: &str) -> bool {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let lines: Vec<&str> = lines.collect();
        let all = lines.join("\n").replace("\\\n", " ");
        let lines: Vec<&str> = all.lines().collect();
        let starts = |line: &str| self.starts(line, &all);
        // A list of words has one in each line.
        let whole = lines.join(" ");
        match kind {
            Some("plist" | "xml") => self.starts_in(&whole, &whole, ""),
            Some("service") => {
                let is_start = |line: &&&str| {
                    let value = line.trim_start().strip_prefix("ExecStart");
                    value.is_some_and(|value| value.trim_start().starts_with('='))
                };
                let mut commands = lines.iter().filter(is_start);
                commands.any(|line| starts(line))
            }
            Some("timer" | "path" | "socket" | "target" | "mount") => false,
            _ => lines.iter().any(|line| starts(line)),
        }
    }

    /// True if one of the commands of a line starts a run of that configuration, or what stays: whoever only names it, or
    /// asks it something, renews nothing. `text` is all that stands around it.
    fn starts(&self, line: &str, text: &str) -> bool {
        // One `&` may be part of a name.
        let mut commands = line.split("&&").flat_map(|part| part.split([';', '|']));
        commands.any(|command| self.starts_in(command, line, text))
    }

    fn starts_in(&self, command: &str, line: &str, text: &str) -> bool {
        let words = words(command);
        let Some(arguments) = self.arguments(&words) else {
            return false;
        };
        !arguments.contains(&"--dry-run") && self.is_same(named(arguments), line, text)
    }

    /// What stands behind the program in a command that starts it: it is the last word of its name before what it is to
    /// do; the user may be called like it, and a folder.
    fn arguments<'w, 't>(&self, words: &'w [&'t str]) -> Option<&'w [&'t str]> {
        let acts = |word: &&str| *word == "renew" || *word == self.stays;
        let act = words.iter().position(acts)?;
        let before = words.get(..act)?;
        let is_it = |word: &&str| {
            let file = word.rsplit(['/', '\\']).next().unwrap_or_default();
            file.strip_suffix(".exe").unwrap_or(file) == self.program
        };
        let like_it = |word: &&str| word.contains(self.program);
        let program = before.iter().rposition(is_it);
        let program = program.or_else(|| before.iter().rposition(like_it))?;
        words.get(program + 1..)
    }

    /// True if that is the configuration. What only a shell or systemd knows may be it.
    fn is_same(&self, named: Option<&str>, line: &str, text: &str) -> bool {
        const VARIABLE: &str = "WAXWING_CONFIG";
        let config = self.config.to_string_lossy();
        // As units and crontabs write it.
        let has = |text: &str| {
            let forms = [
                config.to_string(),
                config.replace('%', "%%"),
                config.replace('%', "\\%"),
            ];
            forms.iter().any(|form| text.contains(form.as_str()))
        };
        let Some(named) = named else {
            if line.contains(VARIABLE) {
                return has(line);
            }
            let set = |line: &&str| {
                let line = line.trim_start().trim_start_matches("export ");
                line.contains(VARIABLE)
                    && (line.starts_with(VARIABLE) || line.starts_with("Environment"))
            };
            return match text.lines().find(set) {
                Some(line) => has(line),
                None => self.usual,
            };
        };
        if has(line) {
            return true;
        }
        let known = !named.starts_with(['~', '$', '%']);
        if known && Path::new(named).is_absolute() {
            return false;
        }
        let rest = match (known, named.split_once('/')) {
            (true, _) => named,
            (false, Some((_, rest))) => rest,
            // A variable of the script.
            (false, None) => return has(text),
        };
        let rest = rest.trim_start_matches("./").trim_start_matches("../");
        rest.contains(['$', '%']) || self.config.ends_with(rest)
    }
}

/// The place of the process that stays, by the lock in the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Who has it, or had it, by his own word.
    process: Option<u32>,
    /// True if nobody else can have it.
    sure: bool,
}

impl Place {
    /// Looks, among these processes.
    pub(super) fn of(sought: &Sought<'_>, processes: &[(u32, Vec<String>)]) -> Self {
        let Some(state) = sought.state else {
            return Self {
                process: None,
                sure: false,
            };
        };
        let process = lock::daemon_of(state);
        let is_seen = |process| {
            let mut all = processes.iter();
            all.any(|(id, argv)| *id == process && sought.is_program(argv))
        };
        // One in a container has another number there.
        let seen = process.is_none_or(is_seen) || !lock::has_a_daemon(state);
        Self {
            process,
            sure: seen && lock::knows_its_daemon(state),
        }
    }

    /// True if that process has it. A command line may name the configuration from a folder that is not known here; which
    /// one has a process that names none, its environment says, and it may be in a container.
    pub(super) fn is_held_by(&self, id: u32, argv: &[String], sought: &Sought<'_>) -> bool {
        if !sought.is_program(argv) || !argv.iter().skip(1).any(|one| one == sought.stays) {
            return false;
        }
        let command = argv.join(" ");
        let words = words(&command);
        let named = sought.arguments(&words).and_then(named);
        let may_be = sought.starts_in(&command, &command, "") && (named.is_some() || !self.sure);
        self.process == Some(id) || may_be
    }
}

/// The words of a command, without what quotes and redirects.
fn words(command: &str) -> Vec<&str> {
    let words = command.split(|c: char| c.is_whitespace() || "<>\"'=`()".contains(c));
    words.filter(|word| !word.is_empty()).collect()
}

/// What arguments name as the configuration.
fn named<'t>(arguments: &[&'t str]) -> Option<&'t str> {
    let mut words = arguments.iter();
    let found = words.find(|word| {
        matches!(**word, "-c" | "--config") || word.starts_with("-c") && !word.starts_with("--")
    })?;
    match found.strip_prefix("-c") {
        Some(joined) if !joined.is_empty() => Some(joined),
        _ => words.next().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(config: &str, usual: bool) -> Sought<'_> {
        Sought {
            program: "waxwing",
            stays: "daemon",
            config: Path::new(config),
            usual,
            state: None,
        }
    }

    #[test]
    fn a_comment_starts_nothing_and_another_configuration_is_not_ours() {
        let bare = "37 * * * * root /usr/bin/waxwing renew\n";
        let named = "37 * * * * root /usr/bin/waxwing --config /etc/w.toml renew\n";
        for (text, config, usual, found) in [
            (bare, "/etc/w.toml", true, true),
            (bare, "/etc/w.toml", false, false),
            (named, "/etc/w.toml", false, true),
            (named, "/etc/other.toml", false, false),
            (named, "/etc/other.toml", true, false),
            // Other lines and other programs have words of their own.
            (
                "5 5 * * * root ionice -c 3 backup\n37 * * * * root ionice -c 3 waxwing renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root flock -n /run/waxwing.lock -c 'waxwing renew'\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root cd /etc && waxwing -c w.toml renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "1 1 * * * root waxwing -c /etc/w.toml status\n37 * * * * root waxwing -c /etc/o.toml renew\n",
                "/etc/w.toml",
                false,
                false,
            ),
            (
                "37 * * * * waxwing ionice -c 3 waxwing renew || sh -c fail\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root su waxwing -c 'waxwing renew' | mail -c boss\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root waxwing renew; waxwing -c /etc/o.toml renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root waxwing -c/etc/o.toml renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "37 * * * * root waxwing -c/etc/w.toml renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "37 * * * * root waxwing -c ~/w.toml renew\n",
                "/home/ops/w.toml",
                false,
                true,
            ),
            (
                "37 * * * * root waxwing -c $HOME/v.toml renew\n",
                "/home/ops/w.toml",
                false,
                false,
            ),
            (
                "CONF=/etc/w.toml\nwaxwing -c \"$CONF\" renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "CONF=/etc/o.toml\nwaxwing -c \"$CONF\" renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "waxwing \\\n  -c /etc/w.toml \\\n  renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "1 * * * * root WAXWING_CONFIG=/etc/o.toml waxwing renew\n2 * * * * root waxwing renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "1 * * * * root cd / && waxwing -c '/etc/a&b.toml' renew 2>&1\n",
                "/etc/a&b.toml",
                false,
                true,
            ),
            (
                "1 * * * * root waxwing -c /etc/100\\%.toml renew\n",
                "/etc/100%.toml",
                false,
                true,
            ),
            (
                "WAXWING_CONFIG=/etc/w.toml\n37 * * * * root waxwing renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "# 37 * * * * root waxwing renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "37 * * * * root /usr/bin/other\n",
                "/etc/w.toml",
                true,
                false,
            ),
        ] {
            let starts = sought(config, usual).is_started_by(None, text);
            assert_eq!(starts, found, "{text}");
        }
    }

    #[test]
    fn a_daemon_is_known_by_its_program_and_argument() {
        let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let held = |id, line, usual, sure| {
            let place = Place {
                process: Some(7),
                sure,
            };
            place.is_held_by(id, &argv(line), &sought("/etc/w.toml", usual))
        };
        let daemon = |line| held(1, line, false, false);
        assert!(daemon("/usr/bin/waxwing -c /etc/w.toml daemon"));
        assert!(!daemon("/usr/bin/waxwing daemon"));
        assert!(!daemon("/usr/bin/waxwing -c /etc/w.toml renew"));
        assert!(!daemon("vi -c /etc/w.toml waxwing daemon"));
        assert!(!held(1, "", true, false));
        // Which configuration it has that names none is known by the lock alone.
        let bare = "/usr/bin/waxwing daemon";
        assert!(held(1, bare, true, false));
        assert!(!held(1, bare, true, true));
        assert!(held(7, bare, true, true));
        let named = |line| held(7, line, false, false);
        assert!(named("./waxwing -c w.toml daemon"));
        assert!(!named("/bin/another -c w.toml daemon"));
    }
}

//! What is looked for among what the system starts: which command starts the runs, of which configuration, and whether a
//! process is the daemon of that.

use std::path::{Path, PathBuf};

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

/// The argument of a run.
const RUN: &str = "renew";

/// The variable that names the configuration.
const VARIABLE: &str = "WAXWING_CONFIG";

/// What names a program without starting it, or starts it elsewhere.
const STARTS_NOTHING: [&str; 10] = [
    "pgrep", "pkill", "pidof", "killall", "grep", "egrep", "echo", "printf", "logger", "ssh",
];

/// What a shell, systemd or a tool that starts others puts something else in the place of.
const STANDS_FOR: [char; 7] = ['$', '%', '*', '?', '{', '[', '`'];

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
        let both = [RUN, self.stays];
        let starts = |line: &str, acts: &[&str]| self.starts(line, acts, &all);
        // A list of words has one in each line.
        let whole = lines.join(" ");
        match kind {
            Some("plist" | "xml") => self.starts_in(&whole, &whole, &both, ""),
            Some("service") => {
                let is_start = |line: &&&str| {
                    let value = line.trim_start().strip_prefix("ExecStart");
                    value.is_some_and(|value| value.trim_start().starts_with('='))
                };
                let mut commands = lines.iter().filter(is_start);
                commands.any(|line| starts(line, &both))
            }
            Some("timer" | "path" | "socket" | "target" | "mount") => false,
            // What stays is seen as a process, and is not started again when it has ended.
            _ => lines.iter().any(|line| starts(line, &[RUN])),
        }
    }

    /// True if one of the commands of a line starts a run of that configuration, or what stays: whoever only names it, or
    /// asks it something, renews nothing. `text` is all that stands around it.
    fn starts(&self, line: &str, acts: &[&str], text: &str) -> bool {
        // A shell reads nothing behind that.
        let line = line.split(" #").next().unwrap_or(line);
        // One `&` may be part of a name.
        let mut commands = line.split("&&").flat_map(|part| part.split([';', '|']));
        commands.any(|command| self.starts_in(command, line, acts, text))
    }

    fn starts_in(&self, command: &str, line: &str, acts: &[&str], text: &str) -> bool {
        let words = words(command);
        let Some(arguments) = self.arguments(&words, acts, text) else {
            return false;
        };
        // Once each time that the machine starts is not often.
        !line.trim_start().starts_with("@reboot")
            && !arguments.contains(&"--dry-run")
            && !names_some(command, self.program)
            && self.is_same((command, line), named(arguments), text)
    }

    /// What stands behind the program in a command that starts it: it is the last word of its name before what it is to
    /// do; the user may be called like it, and a folder.
    fn arguments<'w, 't>(
        &self,
        words: &'w [&'t str],
        acts: &[&str],
        text: &str,
    ) -> Option<&'w [&'t str]> {
        let file = |word: &str| {
            let file = word.rsplit(['/', '\\']).next().unwrap_or_default();
            file.strip_suffix(".exe").unwrap_or(file).to_owned()
        };
        let is_it = |word: &&str| file(word) == self.program;
        let like_it = |word: &&str| word.to_ascii_lowercase().contains(self.program);
        // A variable of the script.
        let stands_for_it = |word: &&str| {
            let name = word.trim_start_matches(['$', '{']).trim_end_matches('}');
            word.starts_with('$') && values(name, text).any(|value| value.ends_with(self.program))
        };
        let of = |before: &[&str]| {
            let program = before.iter().rposition(is_it);
            let program = program.or_else(|| before.iter().rposition(like_it));
            program.or_else(|| before.iter().rposition(stands_for_it))
        };
        let all = words.iter().enumerate();
        let mut all = all.filter(|(_, word)| acts.contains(word));
        // The user may be called like it as well, or what systemd is to call it.
        let program = all.find_map(|(act, _)| of(words.get(..act)?))?;
        let starts_nothing = |word: &&str| STARTS_NOTHING.contains(&file(word).as_str());
        let mut before = words.get(..program)?.iter();
        let starts = !before.any(starts_nothing);
        starts.then(|| words.get(program + 1..)).flatten()
    }

    /// True if that is the configuration. What only a shell or systemd knows may be it.
    fn is_same(&self, (command, line): (&str, &str), named: Option<&str>, text: &str) -> bool {
        let in_line = || {
            let (_, value) = line.split_once(VARIABLE)?;
            let value = value.strip_prefix('=')?;
            words(value).first().copied()
        };
        if named.is_some() {
            return self.is_in(command) || named.is_some_and(|it| self.may_be(it, line, text));
        }
        if let Some(value) = in_line() {
            return self.is_in(line) || self.may_be(value, line, text);
        }
        let mut set = values(VARIABLE, text).peekable();
        match set.peek() {
            None => self.usual,
            Some(_) => set.any(|value| self.is_in(value) || self.may_be(value, "", text)),
        }
    }

    /// True if what is written may be the configuration, seen from where commands of that line are run.
    fn may_be(&self, written: &str, line: &str, text: &str) -> bool {
        if let Some(name) = variable(written) {
            let mut set = values(name, text).peekable();
            if set.peek().is_some() {
                return set.any(|value| self.is_in(value) || edges(value).is_some());
            }
        }
        if let Some((before, behind)) = edges(written) {
            let config = self.config.to_string_lossy();
            return config.starts_with(before) && config.ends_with(behind);
        }
        if Path::new(written).is_absolute() {
            return false;
        }
        let home = written.strip_prefix('~');
        if let Some((_whose, rest)) = home.and_then(|it| it.split_once('/')) {
            return self.config.ends_with(rest);
        }
        let rest = written.trim_start_matches("./");
        match folder(line, text) {
            Some(folder) if !rest.starts_with("..") => self.config == Path::new(folder).join(rest),
            _ => self.config.ends_with(rest.trim_start_matches("../")),
        }
    }

    /// True if the configuration stands there, as units and crontabs write it.
    fn is_in(&self, text: &str) -> bool {
        let config = self.config.to_string_lossy();
        let forms = [
            config.to_string(),
            config.replace('%', "%%"),
            config.replace('%', "\\%"),
        ];
        let of_a_path = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
        forms.iter().any(|form| {
            let mut parts = text.split(form.as_str()).peekable();
            // Between two parts it stands, alone if neither goes on with the path; `-c` may be joined to it.
            std::iter::from_fn(|| Some((parts.next()?, *parts.peek()?))).any(|(before, behind)| {
                let joined = before.ends_with("-c") || !before.ends_with(of_a_path);
                joined && !behind.starts_with(of_a_path)
            })
        })
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
        let both = [RUN, sought.stays];
        let named = sought.arguments(&words, &both, "").and_then(named);
        let whole = named.is_some_and(|named| Path::new(named).is_absolute());
        self.process == Some(id)
            || sought.starts_in(&command, &command, &both, "") && (whole || !self.sure)
    }
}

/// The words of a command, without what quotes and redirects.
fn words(command: &str) -> Vec<&str> {
    let words = command.split(|c: char| c.is_whitespace() || "<>\"'=`()".contains(c));
    words.filter(|word| !word.is_empty()).collect()
}

/// True if a run is for some certificates only, by what stands behind its word.
fn names_some(command: &str, program: &str) -> bool {
    let rest = command.split_once(program);
    let rest = rest.map_or(command, |(_, behind)| behind);
    let of_a_word = |c: char| !c.is_whitespace() && !"\"'`()<>;&|".contains(c);
    let mut found = rest.match_indices(RUN).filter_map(|(at, word)| {
        let (before, behind) = (rest.get(..at)?, rest.get(at + word.len()..)?);
        let alone = !before.ends_with(of_a_word) && !behind.starts_with(of_a_word);
        alone.then_some(behind)
    });
    let Some(behind) = found.next() else {
        return false;
    };
    // A quotation ends there, or something is sent elsewhere.
    let end = behind.find(['"', '\'', '<', '>', '`', ')', '&']);
    let (said, rest) = behind.split_at(end.unwrap_or(behind.len()));
    let number = |c: char| c.is_ascii_digit();
    let said = match rest.starts_with('>') {
        true => said.trim_end_matches(number),
        false => said,
    };
    let mut words = said.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-c" | "--config" | "--state-dir" => drop(words.next()),
            word if !word.starts_with(['-', '$', '{', '\\']) => return true,
            _ => {}
        }
    }
    false
}

/// A line that says nothing of which configuration is meant.
pub(super) const UNKNOWN: &str = "WAXWING_CONFIG=$UNKNOWN";

/// The file from which a line of a unit or a script takes variables, by its whole path.
pub(super) fn variables_from(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let of_unit = || {
        let value = line.strip_prefix("EnvironmentFile")?;
        value.trim_start().strip_prefix('=')
    };
    let of_script = || {
        let dot = line.strip_prefix(". ");
        dot.or_else(|| line.strip_prefix("source "))
    };
    let written = of_unit().or_else(of_script)?.trim();
    let path = words(written.trim_start_matches('-'))
        .first()
        .map(PathBuf::from)?;
    path.is_absolute().then_some(path)
}

/// The name of a variable, if that is all.
fn variable(word: &str) -> Option<&str> {
    let name = word.strip_prefix('$')?;
    let name = name
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'))
        .unwrap_or(name);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && !name.is_empty()).then_some(name)
}

/// The values that a text gives a variable, for all that stands behind it.
fn values<'t>(name: &str, text: &'t str) -> impl Iterator<Item = &'t str> {
    let value = move |line: &'t str| {
        let line = line.trim();
        let (value, whole) = match line.strip_prefix("Environment=") {
            Some(all) => (all.split_once(name)?.1, true),
            None => {
                let line = line.strip_prefix("export ").unwrap_or(line);
                (line.strip_prefix(name)?, false)
            }
        };
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        // In front of a command it counts for that alone.
        let whole = whole || value.starts_with(['"', '\'']) || !value.contains(char::is_whitespace);
        whole.then(|| value.trim_matches(['"', '\'']))
    };
    text.lines().filter_map(value)
}

/// What stands before and behind that for which a shell, systemd or whoever starts others puts something else; none where
/// there is no such thing.
fn edges(text: &str) -> Option<(&str, &str)> {
    let before = text.get(..text.find(STANDS_FOR)?)?;
    let last = text.get(text.rfind(STANDS_FOR)?..)?;
    let mut rest = last.chars();
    let behind = match rest.next()? {
        '$' => rest
            .as_str()
            .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
        '{' => rest
            .as_str()
            .split_once('}')
            .map_or("", |(_, behind)| behind),
        '[' => rest
            .as_str()
            .split_once(']')
            .map_or("", |(_, behind)| behind),
        '%' => rest.as_str().get(1..).unwrap_or_default(),
        _ => rest.as_str(),
    };
    Some((before, behind))
}

/// The folder in which commands of a line are run, if it is written there or in the unit around it.
fn folder<'t>(line: &'t str, text: &'t str) -> Option<&'t str> {
    let of_line = line.split_once("cd ").map(|(_, behind)| behind);
    let mut lines = text.lines().map(str::trim_start);
    // Of a unit, or of a script.
    let of_text = || {
        lines.find_map(|line| {
            line.strip_prefix("WorkingDirectory=")
                .or_else(|| line.strip_prefix("cd "))
        })
    };
    let behind = of_line.or_else(of_text)?;
    let folder = words(behind).first()?.trim_end_matches([';', '&', '|']);
    (Path::new(folder).is_absolute() && edges(folder).is_none()).then_some(folder)
}

/// What arguments name as the configuration.
fn named<'t>(arguments: &[&'t str]) -> Option<&'t str> {
    let mut words = arguments.iter();
    let found = words.find(|word| {
        let short = word.starts_with('-') && !word.starts_with("--");
        **word == "--config" || short && (word.starts_with("-c") || word.ends_with('c'))
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
            // For some certificates only.
            (
                "37 * * * * root waxwing renew shop\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "37 * * * * root waxwing renew -c /etc/w.toml shop >/dev/null 2>&1\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "37 * * * * root waxwing renew 2>&1 | logger\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "37 * * * * root waxwing renew -c /etc/w.toml 2>/dev/null\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "37 * * * * root su -c 'waxwing renew' waxwing\n",
                "/etc/w.toml",
                true,
                true,
            ),
            ("exec waxwing renew \"$@\"\n", "/etc/w.toml", true, true),
            // Who looks at one starts none, and who starts one elsewhere none here.
            (
                "*/5 * * * * root pgrep -f 'waxwing daemon' >/dev/null || mail -s gone ops\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "if ! pgrep -f \"waxwing daemon\"; then\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "*/5 * * * * root pgrep -f 'waxwing renew' || waxwing renew &\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "#!/bin/sh\ncd /srv/a || exit 1\nwaxwing -c waxwing.toml renew\n",
                "/srv/b/waxwing.toml",
                false,
                false,
            ),
            (
                "1 * * * * root waxwing -jc /etc/w.toml renew\n",
                "/etc/w.toml",
                false,
                true,
            ),
            (
                "5 * * * * root ssh web2 waxwing renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "5 * * * * root true # waxwing renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            ("@reboot root waxwing renew\n", "/etc/w.toml", true, false),
            // Seen as a process if it runs.
            ("@reboot root waxwing daemon\n", "/etc/w.toml", true, false),
            (
                "systemd-run --unit=renew waxwing renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            // That of another place is another one.
            (
                "37 * * * * root cd /srv/a && waxwing -c waxwing.toml renew\n",
                "/srv/b/waxwing.toml",
                false,
                false,
            ),
            (
                "37 * * * * root cd /srv/b && waxwing -c ./waxwing.toml renew\n",
                "/srv/b/waxwing.toml",
                false,
                true,
            ),
            (
                "1 * * * * root waxwing -c /srv/etc/w.toml renew\n",
                "/etc/w.toml",
                false,
                false,
            ),
            (
                "1 * * * * root waxwing -c /etc/w.toml.old renew\n",
                "/etc/w.toml",
                false,
                false,
            ),
            // What stands for something else may be it.
            (
                "for c in /etc/waxwing/*.toml; do waxwing -c \"$c\" renew; done\n",
                "/etc/waxwing/shop.toml",
                false,
                true,
            ),
            (
                "for i in a b; do waxwing -c /etc/waxwing/$i.toml renew; done\n",
                "/etc/waxwing/shop.toml",
                false,
                true,
            ),
            (
                "for i in a b; do waxwing -c /etc/waxwing/$i.toml renew; done\n",
                "/srv/shop.toml",
                false,
                false,
            ),
            (
                "find /etc/waxwing -name '*.toml' -exec waxwing -c {} renew \\;\n",
                "/etc/waxwing/shop.toml",
                false,
                true,
            ),
            (
                "DIR=/srv\nCONF=$DIR/w.toml\nwaxwing -c ${CONF} renew\n",
                "/srv/w.toml",
                false,
                true,
            ),
            (
                "WAXWING=/opt/bin/waxwing\n$WAXWING renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            (
                "BIN=/opt/bin/waxwing\n\"$BIN\" renew\n",
                "/etc/w.toml",
                true,
                true,
            ),
            // What stands in the file that it reads is put behind it.
            (
                ". /etc/default/waxwing\nwaxwing renew\nWAXWING_CONFIG=/etc/shop.toml\n",
                "/etc/shop.toml",
                false,
                true,
            ),
            (
                ". /etc/default/waxwing\nwaxwing renew\nTOKEN=x\n",
                "/etc/shop.toml",
                false,
                false,
            ),
            (
                "@reboot sleep 60 && waxwing renew\n",
                "/etc/w.toml",
                true,
                false,
            ),
            (
                "export WAXWING_CONFIG=/etc/a.toml\nwaxwing renew\nexport WAXWING_CONFIG=/etc/b.toml\nwaxwing renew\n",
                "/etc/b.toml",
                false,
                true,
            ),
            (
                "WAXWING_CONFIG=/etc/o.toml waxwing renew\nwaxwing renew\n",
                "/etc/w.toml",
                true,
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
    fn variables_come_from_files_that_are_named_whole() {
        for (line, path) in [
            (
                "EnvironmentFile=-/etc/default/waxwing",
                Some("/etc/default/waxwing"),
            ),
            ("  . \"/etc/default/waxwing\"", Some("/etc/default/waxwing")),
            ("source /etc/w.env # more", Some("/etc/w.env")),
            ("source ./w.env", None),
            ("waxwing renew", None),
        ] {
            assert_eq!(variables_from(line), path.map(PathBuf::from), "{line}");
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
        // One that is seen from another folder may be that of another instance.
        let from_there = "./waxwing -c w.toml daemon";
        assert!(held(1, from_there, false, false));
        assert!(!held(1, from_there, false, true));
        let named = |line| held(7, line, false, false);
        assert!(named("./waxwing -c w.toml daemon"));
        assert!(!named("/bin/another -c w.toml daemon"));
    }
}

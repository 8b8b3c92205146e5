#![expect(
    clippy::disallowed_methods,
    reason = "whether a shell takes a line apart as it is meant is seen with one"
)]

use std::path::PathBuf;

use waxwing_core::timer::Needs;

use super::super::fixture::golden_json;
use super::*;

/// What a server with an installer and two credentials needs.
fn job(start: Start, whose: Whose) -> Job {
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
    Job {
        program: PathBuf::from("/usr/local/bin/waxwing"),
        config: PathBuf::from("/etc/waxwing/waxwing.toml"),
        state_flag: None,
        start,
        whose,
        needs: Needs {
            state: PathBuf::from("/var/lib/waxwing"),
            writable: paths(&[
                "/etc/web/tls",
                "/var/lib/node_exporter",
                "/var/lib/waxwing",
                "/var/log",
            ]),
            logs: paths(&["/var/log", "/var/log/waxwing"]),
            credentials: vec!["dns-key".to_owned(), "smtp-password".to_owned()],
            programs: paths(&["/usr/bin/systemctl", "/usr/sbin/web"]),
            ..Needs::default()
        },
    }
}

/// Names that mean something to each reader.
fn awkward(start: Start, whose: Whose) -> Job {
    let needs = Needs {
        state: PathBuf::from("/srv/my \"state\" 100%"),
        writable: vec![
            PathBuf::from("/srv/my \"tls\" 100%"),
            PathBuf::from("/srv/it's $HOME\\x"),
        ],
        credentials: vec!["50%".to_owned()],
        ..Needs::default()
    };
    Job {
        program: PathBuf::from("/opt/wax wing/5%/waxwing"),
        config: PathBuf::from("/etc/it's a <b> & $HOME/k\u{f6}nig.toml"),
        state_flag: Some(PathBuf::from("/srv/my \"state\" 100%")),
        needs,
        ..job(start, whose)
    }
}

fn hourly() -> Start {
    Start::Hourly(Moment::new(37, 12).expect("a moment"))
}

fn own() -> Whose {
    Whose::User {
        home: PathBuf::from("/home/jo"),
        config: PathBuf::from("/home/jo/.config"),
        id: 1000,
    }
}

/// The files as `systemctl cat` shows them.
fn shown_files(kind: Kind, job: &Job) -> String {
    let files = files(kind, job, Header::Ours);
    let shown = files
        .iter()
        .map(|file| format!("# {}\n{}", file.path.display(), file.text));
    shown.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_system_gets_its_text() {
    let systemd = [
        ("timer", job(hourly(), Whose::Machine)),
        ("as", job(hourly(), Whose::MachineAs("certs".to_owned()))),
        ("user", job(hourly(), own())),
        ("daemon", job(Start::Daemon, Whose::Machine)),
        ("bare", {
            let mut job = job(hourly(), Whose::Machine);
            job.needs.programs.clear();
            job.needs.credentials.clear();
            job.needs.shared_temp = true;
            job
        }),
        ("awkward", awkward(hourly(), Whose::Machine)),
    ];
    for (name, job) in systemd {
        let text = shown_files(Kind::Systemd, &job);
        golden_json(&format!("schedule-systemd-{name}.txt"), text.trim_end());
    }
    for (kind, name, job) in [
        (Kind::Cron, "cron", job(hourly(), Whose::Machine)),
        (Kind::Cron, "cron-user", job(hourly(), own())),
        (
            Kind::Cron,
            "cron-awkward",
            awkward(hourly(), Whose::Machine),
        ),
        (Kind::Launchd, "launchd", job(hourly(), Whose::Machine)),
        (Kind::Launchd, "launchd-daemon", job(Start::Daemon, own())),
        (
            Kind::Launchd,
            "launchd-awkward",
            awkward(hourly(), Whose::Machine),
        ),
    ] {
        let text = &files(kind, &job, Header::Ours)[0].text;
        golden_json(&format!("schedule-{name}.txt"), text.trim_end());
    }
    let mut windows = awkward(hourly(), Whose::Machine);
    windows.program = PathBuf::from(r"C:\Program Files\Waxwing\waxwing.exe");
    windows.config = PathBuf::from(r"C:\ProgramData\Waxwing\waxwing.toml");
    windows.state_flag = Some(PathBuf::from("D:\\k\u{f6}nig & co\\"));
    let text = &files(Kind::TaskScheduler, &windows, Header::Ours)[0].text;
    golden_json("schedule-task.txt", text.trim_end());
}

#[test]
fn the_moment_is_read_back_from_every_text() {
    for kind in Kind::ALL {
        for minute in [1, 9, 37, 59] {
            let moment = Moment::new(minute, 60 - minute).expect("a moment");
            for job in [job, awkward] {
                let job = job(Start::Hourly(moment), Whose::Machine);
                let files = files(kind, &job, Header::Printed);
                let read: Vec<_> = files
                    .iter()
                    .filter_map(|file| super::moment(kind, &file.text))
                    .collect();
                assert_eq!(read, [moment], "{kind}");
                let first = &paths(kind, job.start, &job.whose)[0];
                let says = files.iter().find(|file| file.path == *first);
                let says = says.expect("the file that says when");
                assert_eq!(super::moment(kind, &says.text), Some(moment), "{kind}");
            }
        }
        assert_eq!(super::moment(kind, "something else"), None);
    }
}

#[test]
fn the_configuration_is_read_back_from_every_text() {
    for kind in Kind::ALL {
        let odd = match kind {
            // A path there can hold neither.
            Kind::TaskScheduler => "/etc/it's a <b> & $HOME %X% k\u{f6}nig.toml",
            // Refused before: cron takes backslashes away.
            Kind::Cron => "/etc/it's '' a <b> & \"c\" $HOME %X% 100%% k\u{f6}nig.toml",
            _ => "/etc/it's a <b> & \"c\" \\ $HOME %X% 100%% k\u{f6}nig.toml",
        };
        for path in ["/etc/waxwing/waxwing.toml", "/etc/two words.toml", odd] {
            let starts = [hourly(), Start::Daemon].into_iter();
            for start in starts.filter(|start| *start != Start::Daemon || kind.keeps_daemons()) {
                let mut job = awkward(start, Whose::Machine);
                job.config = PathBuf::from(path);
                let files = files(kind, &job, Header::Ours);
                let read: Vec<_> = files
                    .iter()
                    .filter_map(|file| super::config(kind, &file.text))
                    .collect();
                assert_eq!(read, [job.config], "{kind}");
            }
        }
        assert_eq!(super::config(kind, "ExecStart=waxwing renew"), None);
    }
}

#[test]
fn what_enables_a_unit_is_what_it_says_of_itself() {
    for (start, whose) in [
        (hourly(), Whose::Machine),
        (hourly(), own()),
        (Start::Daemon, Whose::Machine),
        (Start::Daemon, own()),
    ] {
        let link = link(Kind::Systemd, start, &whose).expect("systemd needs one");
        let files = files(Kind::Systemd, &job(start, whose), Header::Ours);
        let unit = files.iter().find(|file| file.path == link.target);
        let unit = unit.expect("it leads to one of the files");
        let folder = link
            .path
            .parent()
            .and_then(Path::file_name)
            .expect("a folder");
        let folder = folder.to_string_lossy();
        let target = folder
            .strip_suffix(".wants")
            .expect("the folder of a target");
        assert!(
            unit.text.contains(&format!("\nWantedBy={target}\n")),
            "{}",
            unit.text
        );
        assert_eq!(link.path.file_name(), link.target.file_name());
    }
    for kind in [Kind::Cron, Kind::Launchd, Kind::TaskScheduler] {
        assert_eq!(link(kind, hourly(), &Whose::Machine), None);
    }
}

#[test]
fn a_unit_that_is_older_lacks_what_was_added() {
    for (start, whose) in [(hourly(), Whose::Machine), (Start::Daemon, own())] {
        let mut wanted = job(start, whose);
        let text = |job: &Job, header| {
            let all = files(Kind::Systemd, job, header).into_iter();
            let service = all.filter(|file| file.text.contains("[Service]"));
            service.map(|file| file.text).collect::<String>()
        };
        for header in [Header::Ours, Header::Printed] {
            assert!(lacks(&wanted, &text(&wanted, header)).is_empty());
        }
        let older = text(&wanted, Header::Ours);
        wanted.needs.writable.push(PathBuf::from("/srv/new folder"));
        wanted.needs.credentials.push("token".to_owned());
        let lacking = lacks(&wanted, &older);
        assert!(
            lacking
                .iter()
                .any(|line| line.starts_with("LoadCredential=token:"))
        );
        let folder = "ReadWritePaths=-\"/srv/new folder\"";
        let opened = lacking.iter().any(|line| line == folder);
        assert_eq!(opened, !wanted.whose.is_user(), "{lacking:?}");
        // Somebody's own may say it in other words.
        assert!(lacks(&wanted, &older[2..]).is_empty());
    }
}

#[test]
fn only_what_add_has_written_is_ours() {
    for kind in Kind::ALL {
        let job = job(hourly(), Whose::Machine);
        for file in files(kind, &job, Header::Ours) {
            assert!(is_ours(&file.text), "{kind}");
        }
        for file in files(kind, &job, Header::Printed) {
            assert!(!is_ours(&file.text), "{kind}");
        }
    }
}

#[test]
fn no_text_lets_a_path_say_more_than_itself() {
    // A shell takes the words of cron's line apart as they were.
    let job = awkward(hourly(), Whose::Machine);
    let line = shell(&job.argv());
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("printf '%s\\n' {line}")])
        .output();
    if let Ok(output) = output {
        let words: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(words, job.argv());
    }
    let cron = &files(Kind::Cron, &job, Header::Ours)[0].text;
    let bare = cron
        .match_indices('%')
        .filter(|(at, _)| !cron[..*at].ends_with('\\'));
    assert_eq!(bare.count(), 0, "{cron}");
    for kind in [Kind::Launchd, Kind::TaskScheduler] {
        let text = &files(kind, &job, Header::Ours)[0].text;
        assert!(text.is_ascii(), "{kind}: {text}");
        assert!(!text.contains("<b>"), "{kind}: {text}");
    }
}

#[test]
fn programs_that_raise_rights_are_let() {
    let mut job = job(hourly(), Whose::MachineAs("certs".to_owned()));
    let unit = |job: &Job| files(Kind::Systemd, job, Header::Ours)[0].text.clone();
    assert!(unit(&job).contains("\nNoNewPrivileges=yes\n"));
    job.needs.programs.push(PathBuf::from("/usr/bin/sudo"));
    for forbidding in [
        "NoNewPrivileges=yes",
        "SystemCallFilter",
        "CapabilityBoundingSet",
    ] {
        assert!(!unit(&job).contains(forbidding), "{forbidding}");
    }
    // For root it is enough that nothing takes the flag away.
    job.whose = Whose::Machine;
    assert!(unit(&job).contains("\nNoNewPrivileges=no\n"));
    assert!(unit(&job).contains("SystemCallFilter"));
}

/// The words of a line, as `systemd.syntax(7)` and `systemd.service(5)` have them: quotes of either kind,
/// also within a word, and two percent signs for one. Where `escapes` count, a backslash in front of a
/// character means that character.
fn systemd_words(line: &str, escapes: bool) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (' ', None) => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            ('\\', _) if escapes => word.get_or_insert_default().extend(rest.next()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "a quote is left open: {line}");
    words.extend(word);
    for word in &words {
        let bare = word.replace("%%", "");
        assert!(
            !bare.contains('%'),
            "a percent sign that means something: {word}"
        );
    }
    words.iter().map(|word| word.replace("%%", "%")).collect()
}

#[test]
fn systemd_reads_the_words_that_were_meant() {
    let mut job = awkward(hourly(), Whose::Machine);
    job.config = PathBuf::from("/etc/it's \\ a \"b\" 100% $HOME/k\u{f6}nig.toml");
    let unit = files(Kind::Systemd, &job, Header::Ours)[0].text.clone();
    let values = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines.map(str::to_owned).collect()
    };
    let command = values("ExecStart=").pop().expect("a command");
    // With the colon, a dollar sign is one.
    let line = command.strip_prefix(':').expect("no variables");
    assert_eq!(systemd_words(line, true), job.argv());
    let paths: Vec<Vec<String>> = values("ReadWritePaths=-")
        .iter()
        .map(|line| systemd_words(line, false))
        .collect();
    let want: Vec<Vec<String>> = job
        .needs
        .writable
        .iter()
        .map(|path| vec![path.display().to_string()])
        .collect();
    assert_eq!(paths, want);
}

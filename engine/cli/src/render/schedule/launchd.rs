//! A property list for launchd (`launchd.plist(5)`).

use std::path::PathBuf;

use waxwing_core::timer::{Job, Moment, Start, Whose};

use super::{File, Header, Step, number_behind, plain, shown, xml};

/// What launchd calls it.
const fn label(start: Start) -> &'static str {
    match start {
        Start::Hourly(_) => "waxwing.renew",
        Start::Daemon => "waxwing.daemon",
    }
}

pub(super) fn path(start: Start, whose: &Whose) -> PathBuf {
    let folder = match whose {
        Whose::Machine | Whose::MachineAs(_) => PathBuf::from("/Library/LaunchDaemons"),
        Whose::User { home, .. } => home.join("Library/LaunchAgents"),
    };
    folder.join(format!("{}.plist", label(start)))
}

/// Whose services it is among.
fn domain(whose: &Whose) -> String {
    match whose {
        Whose::Machine | Whose::MachineAs(_) => "system".to_owned(),
        Whose::User { id, .. } => format!("gui/{id}"),
    }
}

pub(super) fn begin(start: Start, whose: &Whose) -> Vec<Step> {
    let mut steps = end(start, whose);
    let path = shown(&path(start, whose));
    steps.push(Step::new(&[
        "launchctl",
        "bootstrap",
        &domain(whose),
        &path,
    ]));
    steps
}

pub(super) fn end(start: Start, whose: &Whose) -> Vec<Step> {
    let service = format!("{}/{}", domain(whose), label(start));
    vec![Step::new(&["launchctl", "bootout", &service]).may_fail()]
}

pub(super) fn file(job: &Job, header: Header) -> File {
    let log = match &job.whose {
        Whose::Machine | Whose::MachineAs(_) => PathBuf::from("/var/log/waxwing.log"),
        Whose::User { home, .. } => home.join("Library/Logs/waxwing.log"),
    };
    let log = xml(&shown(&log));
    let mut text = format!(
        "<?xml version=\"1.0\"?>
{}<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
    <key>Label</key>
    <string>{}</string>
    <key>ProgramArguments</key>
    <array>
",
        header.xml(),
        label(job.start)
    );
    let mut argv = job.argv();
    if let Start::Hourly(moment) = job.start {
        // launchd knows no seconds. The shell gets the command as words and reads none of it.
        let wait = format!("sleep {}; exec \"$0\" \"$@\"", moment.second());
        argv.splice(0..0, ["/bin/sh".to_owned(), "-c".to_owned(), wait]);
    }
    for word in argv {
        text.push_str(&format!("        <string>{}</string>\n", xml(&word)));
    }
    text.push_str("    </array>\n");
    match job.start {
        Start::Hourly(moment) => text.push_str(&format!(
            "    <!-- Once an hour; what was missed while the machine slept is made good. -->
    <key>StartCalendarInterval</key>
    <dict>
        <key>Minute</key>
        <integer>{}</integer>
    </dict>
",
            moment.minute()
        )),
        Start::Daemon => text.push_str(
            "    <key>RunAtLoad</key>
    <true/>
    <key>KeepAlive</key>
    <dict>
        <key>SuccessfulExit</key>
        <false/>
    </dict>
    <key>ThrottleInterval</key>
    <integer>300</integer>
",
        ),
    }
    if let Whose::MachineAs(user) = &job.whose {
        text.push_str(&format!(
            "    <key>UserName</key>\n    <string>{}</string>\n",
            xml(user)
        ));
    }
    text.push_str(&format!(
        "    <key>ProcessType</key>
    <string>Background</string>
    <key>Umask</key>
    <string>077</string>
    <key>StandardOutPath</key>
    <string>{log}</string>
    <key>StandardErrorPath</key>
    <string>{log}</string>
</dict>
</plist>
"
    ));
    File {
        path: path(job.start, &job.whose),
        text,
    }
}

/// The configuration of a list: the word behind `--config`.
pub(super) fn config(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<string>--config</string>")?;
    let (_, rest) = rest.split_once("<string>")?;
    let (word, _) = rest.split_once("</string>")?;
    Some(plain(word))
}

/// The moment of a list.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let (_, interval) = text.split_once("<key>Minute</key>")?;
    let minute = number_behind(interval, "<integer>")?;
    Moment::new(minute, number_behind(text, "<string>sleep ")?)
}

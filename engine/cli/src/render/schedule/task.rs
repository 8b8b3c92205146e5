//! A task for the Windows Task Scheduler (its schema, version 1.2, as `schtasks /Create /XML` and
//! `Register-ScheduledTask -Xml` read it).
//!
//! The text names no encoding and is ASCII: the one reader wants UTF-16, the other one does not care,
//! and neither takes a declaration that is not true.

use std::path::PathBuf;

use waxwing_core::timer::{Job, Moment, Start};

use super::{File, Header, Step, plain, shown, xml};

/// What the Task Scheduler calls it.
const NAME: &str = "Waxwing";

/// The account of services on this machine, by its well-known number.
const SYSTEM: &str = "S-1-5-18";

/// What switches on the log that has each run. Windows has it off.
pub(super) const SWITCH_LOG_ON: &str =
    "wevtutil sl Microsoft-Windows-TaskScheduler/Operational /e:true";

/// The text stays here, so that it can be looked up what was asked for.
pub(super) fn path() -> PathBuf {
    let config = waxwing_io::config::usual_config();
    config.with_file_name("waxwing-task.xml")
}

pub(super) fn begin() -> Vec<Step> {
    let path = shown(&path());
    vec![Step::new(&[
        "schtasks.exe",
        "/Create",
        "/TN",
        NAME,
        "/XML",
        &path,
        "/F",
    ])]
}

pub(super) fn end() -> Vec<Step> {
    vec![Step::new(&["schtasks.exe", "/Delete", "/TN", NAME, "/F"]).may_fail()]
}

pub(super) fn file(job: &Job, header: Header) -> File {
    let moment = match job.start {
        Start::Hourly(moment) => moment.to_string(),
        // Refused before: a task ends.
        Start::Daemon => "01:00".to_owned(),
    };
    let mut argv = job.argv().into_iter();
    let program = argv.next().unwrap_or_default();
    let arguments: Vec<String> = argv.map(|word| argument(&word)).collect();
    let text = format!(
        "<?xml version=\"1.0\"?>
{}<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">
  <RegistrationInfo>
    <URI>\\{NAME}</URI>
    <Description>Renews the certificates that are due. The Event Log of the Task Scheduler \
(Applications and Services Logs, Microsoft, Windows, TaskScheduler, Operational) has each run with its \
exit code, once it is switched on: {SWITCH_LOG_ON}</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <Repetition>
        <Interval>PT1H</Interval>
        <Duration>P1D</Duration>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2026-01-01T00:{moment}</StartBoundary>
      <Enabled>true</Enabled>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id=\"Author\">
      <UserId>{SYSTEM}</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT1H</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context=\"Author\">
    <Exec>
      <Command>{}</Command>
      <Arguments>{}</Arguments>
    </Exec>
  </Actions>
</Task>
",
        header.xml(),
        xml(&program),
        xml(&arguments.join(" "))
    );
    File { path: path(), text }
}

/// One argument, as the C runtime of Windows takes a command line apart: backslashes count only in
/// front of a quote, where each is doubled.
fn argument(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains([' ', '\t', '"']);
    if plain {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    let mut backslashes = 0;
    for c in word.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                out.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        out.push(c);
    }
    out.push_str(&"\\".repeat(backslashes));
    out.push('"');
    out
}

/// The configuration of a task: the word behind `--config`. No path of Windows has a quote in it.
pub(super) fn config(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<Arguments>")?;
    let (arguments, _) = rest.split_once("</Arguments>")?;
    let arguments = plain(arguments);
    let word = arguments.strip_prefix("--config ")?;
    let word = match word.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => word.split(' ').next(),
    };
    word.map(str::to_owned)
}

/// The moment of a task.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let (_, rest) = text.split_once("<StartBoundary>")?;
    let (boundary, _) = rest.split_once('<')?;
    let (_, time) = boundary.split_once("T00:")?;
    Moment::parse(time).ok()
}

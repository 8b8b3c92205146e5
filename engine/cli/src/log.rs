//! The log: on stderr, more with `-v`, and in a file if `[log] file` names one. Failures of a run are in
//! its report, so without `-v` stderr is silent about them. `WAXWING_LOG` takes a filter for one part,
//! as in `waxwing_host=debug`.
//!
//! The log begins before the configuration is read, and [`Log::apply`] turns it into what that says.
//! What a newcomer gets wrong: at a terminal the configuration changes nothing. It is for machines.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};
use waxwing_core::settings::{LogFile, LogFormat, LogLevel, LogSettings};
use waxwing_io::logfile;

use crate::render::progress::Live;

/// How the log begins.
pub(crate) struct Manner {
    /// How often `-v` was written.
    pub(crate) verbose: u8,
    /// True for the daemon: of what happens while nobody looks, the log is all that is left.
    pub(crate) daemon: bool,
    /// True if stderr is a terminal.
    pub(crate) terminal: bool,
    /// True if it may be coloured.
    pub(crate) colour: bool,
    /// What else is written to stderr.
    pub(crate) live: Arc<Live>,
}

/// The log of the process. The default is none.
#[derive(Clone, Default)]
pub(crate) struct Log(Option<Arc<Started>>);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

type Switch = reload::Handle<EnvFilter, Registry>;

struct Started {
    manner: Manner,
    /// Which of the two forms is written to stderr, and what of it.
    text: Switch,
    json: Switch,
    file_text: Switch,
    file_json: Switch,
    file: Arc<InFile>,
}

impl Log {
    /// Starts the log. A second start in one process changes nothing.
    pub(crate) fn start(manner: Manner) -> Self {
        let file = Arc::new(InFile {
            live: Arc::clone(&manner.live),
            state: Mutex::default(),
        });
        let stderr = || AboveTheBoard(Arc::clone(&manner.live));
        let to_file = || IntoFile(Arc::clone(&file));
        let plan = plan(&manner, &LogSettings::default());
        let layer = tracing_subscriber::fmt::layer;
        let (text, text_switch) = switched(
            layer()
                .with_writer(stderr())
                .with_ansi(manner.colour)
                .with_target(false),
            plan.text,
        );
        let json = || layer().json().flatten_event(true).with_span_list(false);
        let (json_stderr, json_switch) = switched(json().with_writer(stderr()), plan.json);
        let (file_text, file_text_switch) = switched(
            layer()
                .fmt_fields(InFileFields::default())
                .with_writer(to_file())
                .with_ansi(false)
                .with_target(false),
            plan.file_text,
        );
        let (file_json, file_json_switch) = switched(json().with_writer(to_file()), plan.file_json);
        let layers = vec![text, json_stderr, file_text, file_json];
        match tracing_subscriber::registry().with(layers).try_init() {
            Ok(()) => Self(Some(Arc::new(Started {
                manner,
                text: text_switch,
                json: json_switch,
                file_text: file_text_switch,
                file_json: file_json_switch,
                file,
            }))),
            // The first start stands.
            Err(_started) => Self(None),
        }
    }

    /// This process changes something: from now on a file that is not there is made.
    pub(crate) fn begin(&self) {
        if let Some(started) = &self.0 {
            started.file.state().begins = true;
        }
    }

    /// Turns it into what the configuration says.
    pub(crate) fn apply(&self, settings: &LogSettings) {
        let Some(started) = &self.0 else {
            return;
        };
        started.file.lead_to(settings.file.clone());
        let plan = plan(&started.manner, settings);
        started.manner.live.be_records(plan.json.is_some());
        for (switch, words) in [
            (&started.text, plan.text),
            (&started.json, plan.json),
            (&started.file_text, plan.file_text),
            (&started.file_json, plan.file_json),
        ] {
            // It can only fail when the log is gone.
            let _gone = switch.reload(filter(words));
        }
    }
}

fn switched<L>(layer: L, words: Option<Words>) -> (Box<dyn Layer<Registry> + Send + Sync>, Switch)
where
    L: Layer<Registry> + Send + Sync,
{
    let (filter, switch) = reload::Layer::new(filter(words));
    (layer.with_filter(filter).boxed(), switch)
}

/// What is written where; nothing where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    text: Option<Words>,
    json: Option<Words>,
    file_text: Option<Words>,
    file_json: Option<Words>,
}

/// What is worth a line: of ourselves, and of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    ours: LogLevel,
    plugins: LogLevel,
}

fn plan(manner: &Manner, settings: &LogSettings) -> Plan {
    let asked = match manner.verbose {
        0 => None,
        1 => Some(LogLevel::Info),
        _ => Some(LogLevel::Debug),
    };
    let usual = if manner.daemon {
        LogLevel::Info
    } else {
        LogLevel::Error
    };
    let written = settings.level.filter(|_| !manner.terminal);
    // Who types -v wants to see more, never less.
    let on_stderr = words(asked.max(written).unwrap_or(usual));
    let in_file = settings.level.unwrap_or(LogLevel::Info);
    let in_file = words(asked.map_or(in_file, |asked| asked.max(in_file)));
    let json = settings.format == LogFormat::Json;
    let in_file = settings.file.as_ref().map(|_| in_file);
    let (text, json_stderr) = match json && !manner.terminal {
        true => (None, Some(on_stderr)),
        false => (Some(on_stderr), None),
    };
    let (file_text, file_json) = match json {
        true => (None, in_file),
        false => (in_file, None),
    };
    Plan {
        text,
        json: json_stderr,
        file_text,
        file_json,
    }
}

/// What a plugin warns of stands in no report.
fn words(ours: LogLevel) -> Words {
    Words {
        ours,
        plugins: ours.max(LogLevel::Warn),
    }
}

fn filter(words: Option<Words>) -> EnvFilter {
    let Some(Words { ours, plugins }) = words else {
        return EnvFilter::new("off");
    };
    let (ours, plugins) = (ours.as_str(), plugins.as_str());
    EnvFilter::try_from_env("WAXWING_LOG").unwrap_or_else(|_unset| {
        EnvFilter::new(format!(
            "error,waxwing_core={ours},waxwing_acme={ours},waxwing_flow={ours},\
             waxwing_host={ours},waxwing_io={ours},waxwing_cli={ours},\
             waxwing::plugin={plugins},waxwing::notify=info"
        ))
    })
}

/// Fields as text, under a type of their own: fields of a span are written once for each type, and those
/// for stderr may be coloured.
#[derive(Default)]
struct InFileFields(DefaultFields);

impl<'w> FormatFields<'w> for InFileFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

/// Writes above the live lines, so that neither erases the other.
struct AboveTheBoard(Arc<Live>);

impl MakeWriter<'_> for AboveTheBoard {
    type Writer = Record<Arc<Live>>;

    fn make_writer(&self) -> Self::Writer {
        Record {
            to: Arc::clone(&self.0),
            text: Vec::new(),
        }
    }
}

/// Writes into the file.
struct IntoFile(Arc<InFile>);

impl MakeWriter<'_> for IntoFile {
    type Writer = Record<Arc<InFile>>;

    fn make_writer(&self) -> Self::Writer {
        Record {
            to: Arc::clone(&self.0),
            text: Vec::new(),
        }
    }
}

/// Takes whole records.
trait Takes {
    fn take(&self, record: &[u8]);
}

impl Takes for Arc<Live> {
    fn take(&self, record: &[u8]) {
        self.aside(record);
    }
}

/// The log in a file.
struct InFile {
    live: Arc<Live>,
    state: Mutex<FileState>,
}

#[derive(Default)]
struct FileState {
    file: Option<LogFile>,
    /// False for a process that only looks: it may be another user's, and must not make files.
    begins: bool,
    /// True if the last record could not be written: that is said once and not for each.
    failing: bool,
}

impl InFile {
    fn lead_to(&self, file: Option<LogFile>) {
        let mut state = self.state();
        state.file = file;
        state.failing = false;
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Takes for Arc<InFile> {
    fn take(&self, record: &[u8]) {
        let mut state = self.state();
        let Some(file) = &state.file else {
            return;
        };
        if !state.begins {
            logfile::write_if_ours(file, record);
            return;
        }
        match logfile::write(file, record) {
            Ok(()) => state.failing = false,
            Err(error) => {
                let first = !std::mem::replace(&mut state.failing, true);
                if first {
                    // Not by the log, which is what cannot be written.
                    let text = format!("warning: {error}\n  hint: {}\n", error.hint());
                    self.live.aside(text.as_bytes());
                }
            }
        }
    }
}

/// One record, written as a whole when it is complete.
struct Record<T: Takes> {
    to: T,
    text: Vec<u8>,
}

impl<T: Takes> Write for Record<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Takes> Drop for Record<T> {
    fn drop(&mut self) {
        self.to.take(&self.text);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_configuration_is_for_machines_and_the_command_line_for_people() {
        use LogLevel::{Debug, Error, Info, Warn};
        let manner = |verbose, daemon, terminal| Manner {
            verbose,
            daemon,
            terminal,
            colour: false,
            live: Arc::new(Live::new(false, true)),
        };
        let file = LogFile {
            path: PathBuf::from("/var/log/waxwing.log"),
            size: 1 << 20,
            keep: 2,
        };
        // -v, daemon, terminal; level, JSON, file; on stderr as text and JSON, in the file.
        type Row = (
            (u8, bool, bool),
            (Option<LogLevel>, bool, bool),
            [Option<LogLevel>; 4],
        );
        let table: &[Row] = &[
            (
                (0, false, true),
                (None, false, false),
                [Some(Error), None, None, None],
            ),
            (
                (1, false, true),
                (None, false, false),
                [Some(Info), None, None, None],
            ),
            (
                (2, false, true),
                (None, false, false),
                [Some(Debug), None, None, None],
            ),
            (
                (0, true, true),
                (None, false, false),
                [Some(Info), None, None, None],
            ),
            // At a terminal nothing changes, but the file gets all of it.
            (
                (0, false, true),
                (Some(Debug), true, true),
                [Some(Error), None, None, Some(Debug)],
            ),
            (
                (0, true, true),
                (Some(Warn), false, true),
                [Some(Info), None, Some(Warn), None],
            ),
            (
                (1, false, true),
                (Some(Warn), false, true),
                [Some(Info), None, Some(Info), None],
            ),
            // A timer.
            (
                (0, false, false),
                (None, false, true),
                [Some(Error), None, Some(Info), None],
            ),
            (
                (0, false, false),
                (Some(Warn), true, false),
                [None, Some(Warn), None, None],
            ),
            (
                (0, true, false),
                (Some(Error), true, true),
                [None, Some(Error), None, Some(Error)],
            ),
            (
                (2, false, false),
                (Some(Warn), true, true),
                [None, Some(Debug), None, Some(Debug)],
            ),
        ];
        for ((verbose, daemon, terminal), (level, json, in_file), want) in table {
            let settings = LogSettings {
                level: *level,
                format: if *json {
                    LogFormat::Json
                } else {
                    LogFormat::Text
                },
                file: in_file.then(|| file.clone()),
                audit: None,
            };
            let plan = plan(&manner(*verbose, *daemon, *terminal), &settings);
            let found = [plan.text, plan.json, plan.file_text, plan.file_json];
            let found = found.map(|words| words.map(|words| words.ours));
            assert_eq!(found, *want, "{verbose} {daemon} {terminal} {settings:?}");
        }
        assert_eq!(words(Error).plugins, Warn);
        assert_eq!(words(Debug).plugins, Debug);
    }
}

//! Collects the log of a whole process: guests run on threads of their own, so a subscriber of
//! one thread would miss them. Tests find their lines by the plugin's name.

use std::fmt::Write as _;
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

/// Begins to collect. To be called before the plugin is.
pub(crate) fn collect() {
    STARTED.call_once(|| {
        tracing::subscriber::set_global_default(Lines).expect("no other subscriber");
    });
}

/// The lines of a plugin so far.
pub(crate) fn lines(plugin: &str) -> Vec<String> {
    let lines = LINES.lock().expect("no panic");
    let mark = format!(" plugin={plugin} ");
    let quoted = format!(" plugin=\"{plugin}\" ");
    lines
        .iter()
        .filter(|l| l.contains(&mark) || l.contains(&quoted))
        .cloned()
        .collect()
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("waxwing")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        LINES.lock().expect("no panic").push(line.0 + " ");
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string");
    }
}

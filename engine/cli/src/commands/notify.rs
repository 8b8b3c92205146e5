//! `waxwing notify test`: proves the settings before they are needed.

use std::collections::BTreeSet;

use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_flow::notify::{Frame, Office, Posting, Sent};
use waxwing_flow::ports::Outbox as _;
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_io::notify::host_name;
use waxwing_io::reminder::FileReminder;
use waxwing_io::store::FileStore;

use super::start;
use crate::args::{Global, NotifyVerb};
use crate::exit::Exit;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::terminal::Terminal;
use crate::render::{notice, notified};
use crate::wire;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    verb: &NotifyVerb,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let NotifyVerb::Test { name } = verb;
    let (loaded, store) = start::look_to_run(global, terminal)?;
    let configured = &loaded.settings.notify;
    if configured.is_empty() {
        let refusal = Refusal::new(Exit::Config, "nobody is told of anything: no [notify.NAME]")
            .hint("[notify.mail], and below it smtp, from and to");
        return Err(refusal.show(terminal));
    }
    let to: BTreeSet<NotifierName> = match name {
        None => configured.keys().cloned().collect(),
        Some(name) => configured
            .keys()
            .filter(|known| known.as_str() == name)
            .cloned()
            .collect(),
    };
    if to.is_empty() {
        let names: Vec<&str> = configured.keys().map(NotifierName::as_str).collect();
        let name = name.as_deref().unwrap_or_default();
        let refusal = Refusal::new(Exit::Usage, format!("no notifier \"{name}\""))
            .hint(format!("configured: {}", names.join(", ")));
        return Err(refusal.show(terminal));
    }
    let history = start::look_at_history(&store, terminal)?;
    let listeners = wire::listeners(&loaded, &terminal.progress)
        .map_err(|error| Refusal::from(error).show(terminal))?;
    // A message is an act, whoever sends it.
    loaded.begin_records();
    let runtime = start::runtime().map_err(|refused| refused.show(terminal))?;
    let context = terminal.context(start::now());
    let office = Office {
        outbox: history.as_ref(),
        reminder: &FileReminder::new(&loaded.state),
        listeners: &listeners,
        clock: &SystemClock,
        words: &|notice| notice::words(notice, &context),
        frame: Frame {
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: None,
            certificates: u32::try_from(loaded.settings.certificates.len()).unwrap_or(u32::MAX),
            nearest: None,
        },
        by_hand: true,
    };
    let test = Event::new(EventKind::Test, Change::Once, "");
    // Each notifier ends by itself, and they are asked side by side.
    let sent = runtime.block_on(office.send_now(&test, &to));
    mended(&office, &store, &sent);
    if terminal.json {
        let result = notified::json(&sent);
        terminal.print(&Document::new("notify-test", start::now(), result).to_text());
    } else {
        let text = notified::test(&sent, &terminal.context(start::now()));
        terminal.print(&text);
    }
    Ok(notified::exit_of(&sent))
}

/// Forgets that a notifier does not reach everybody, if the test has just done so. Where that cannot be written, the next
/// message does.
fn mended(office: &Office<'_>, store: &FileStore, sent: &[Sent]) {
    let forget = || {
        let told = SqliteHistory::look(store.root())?.told()?;
        let change = office.mended(&told, sent);
        if change == Posting::default() {
            return Ok(true);
        }
        SqliteHistory::open(store.root())?.post(&told, &change)
    };
    if let Err(cause) = forget() {
        tracing::debug!(%cause, "that a notifier works again was not noted");
    }
}

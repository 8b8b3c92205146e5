//! What was done to the outside world, event by event, for the report and the audit log.

use std::sync::Mutex;

use waxwing_core::http::Method;
use waxwing_core::name::PluginName;

/// One act of a plugin in the outside world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEvent {
    /// A request of a plugin, allowed or not.
    Request {
        /// Which plugin.
        plugin: PluginName,
        /// The method.
        method: Method,
        /// The host asked for.
        host: String,
        /// The path; the query, which may hold a credential, is left out.
        path: String,
        /// The status of the answer, or why there is none.
        result: Result<u16, String>,
        /// Milliseconds.
        ms: u64,
    },
    /// A file written, or put back.
    File {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The whole path.
        path: String,
        /// `written`, `unchanged`, `restored` or why it failed.
        result: String,
    },
    /// A command run.
    Command {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The program.
        program: String,
        /// The exit code, or why there is none.
        result: Result<i32, String>,
        /// Milliseconds.
        ms: u64,
    },
    /// Acts of one call that are counted and not told: there were too many.
    More {
        /// Which plugin.
        plugin: PluginName,
        /// How many.
        count: u64,
    },
}

/// Longest text of an event that is kept, in bytes. A plugin chooses paths and what is refused.
const TEXT_CAP: usize = 1024;

impl AuditEvent {
    fn cut(&mut self) {
        let texts: [Option<&mut String>; 3] = match self {
            Self::Request {
                host, path, result, ..
            } => [Some(host), Some(path), result.as_mut().err()],
            Self::File {
                grant,
                path,
                result,
                ..
            } => [Some(grant), Some(path), Some(result)],
            Self::Command {
                grant,
                program,
                result,
                ..
            } => [Some(grant), Some(program), result.as_mut().err()],
            Self::More { .. } => [None, None, None],
        };
        for text in texts.into_iter().flatten() {
            if text.len() > TEXT_CAP {
                text.truncate(text.floor_char_boundary(TEXT_CAP));
                text.push('…');
                text.shrink_to_fit();
            }
        }
    }
}

/// Collects the events of one run.
#[derive(Debug, Default)]
pub struct AuditTrail(Mutex<Vec<AuditEvent>>);

impl AuditTrail {
    /// Adds an event, its texts cut to what a person reads.
    pub fn record(&self, mut event: AuditEvent) {
        event.cut();
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event);
    }

    /// The events so far, in order.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_an_event_is_kept_at_any_length() {
        let trail = AuditTrail::default();
        let plugin = PluginName::parse("dns").expect("a literal name");
        trail.record(AuditEvent::Request {
            plugin: plugin.clone(),
            method: Method::Get,
            host: "api.example.net".to_owned(),
            path: format!("/{}", "ä".repeat(4096)),
            result: Err("no ".repeat(4096)),
            ms: 0,
        });
        let want = AuditEvent::Request {
            plugin,
            method: Method::Get,
            host: "api.example.net".to_owned(),
            path: format!("/{}…", "ä".repeat(511)),
            result: Err(format!("{}n…", "no ".repeat(341))),
            ms: 0,
        };
        assert_eq!(trail.events(), [want]);
    }
}

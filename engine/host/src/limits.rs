//! The bounds of one call: what the operator set, else what the plugin asked for within the
//! host's defaults.

use std::time::Duration;

use waxwing_core::plugin::Limits;

use crate::engine::TICK;

/// Longest log message, in bytes.
pub(crate) const LOG_MESSAGE: usize = 8 * 1024;
/// Log messages of one call.
pub(crate) const LOG_MESSAGES: u32 = 200;
/// Log bytes of one call.
pub(crate) const LOG_BYTES: usize = 256 * 1024;
/// Refusals of one call after which a guest that goes on is stopped.
pub(crate) const DENIALS: u32 = 100;
/// Acts of one call that the audit trail tells one by one.
pub(crate) const EVENTS: u64 = 10_000;
/// Bytes of parts that are joined for one place: a body, a file, the input of a command.
pub(crate) const JOINED_CAP: usize = 1 << 20;
/// Artifacts that a call may make of one certificate.
pub(crate) const MADE: usize = 8;
/// Longest name of an artifact, and longest name that is shown inside of one, in bytes.
pub(crate) const ARTIFACT_NAME: usize = 255;
/// Bytes of all header fields, of a request as of an answer.
pub(crate) const HEADERS_CAP: usize = 32 * 1024;
/// Bytes a guest may hand over in one host call.
pub(crate) const HOSTCALL_FUEL: usize = 4 << 20;
/// Resources a guest may hold.
pub(crate) const HANDLES: usize = 4096;
/// Elements over all tables of a component.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;
/// Longest receipt of a DNS record, in bytes.
pub(crate) const DNS_RECEIPT: usize = 4 * 1024;
/// Longest receipt of an installation, in bytes.
pub(crate) const INSTALL_RECEIPT: usize = 64 * 1024;
/// Longest sentence of a guest that is kept, in bytes.
pub(crate) const SENTENCE: usize = 2 * 1024;
/// Longest code, key or name of a guest that is kept, in bytes.
pub(crate) const WORD: usize = 256;
/// Items of a list in a guest's answer beyond which it is garbage.
pub(crate) const ITEMS: usize = 1000;

/// The bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Linear memory over all memories of a component, in bytes.
    pub memory: u64,
    /// Wall-clock time.
    pub call: Duration,
    /// Time spent in the guest's own code.
    pub cpu: Duration,
    /// HTTP requests.
    pub http_calls: u32,
    /// Longest HTTP answer, in bytes.
    pub body: u64,
}

impl Bounds {
    /// What a plugin gets that asks for nothing and was granted nothing.
    pub const DEFAULT: Self = Self {
        memory: 64 << 20,
        call: Duration::from_secs(120),
        cpu: Duration::from_secs(5),
        http_calls: 200,
        body: 1 << 20,
    };

    /// A plugin may ask for less than the default; only the operator raises one.
    pub fn of(wanted: &Limits, granted: &Limits) -> Self {
        fn bound<T: Ord + Copy>(granted: Option<T>, wanted: Option<T>, default: T) -> T {
            granted.unwrap_or_else(|| wanted.map_or(default, |wish| wish.min(default)))
        }
        let default = Self::DEFAULT;
        Self {
            memory: bound(granted.memory, wanted.memory, default.memory),
            call: bound(granted.call, wanted.call, default.call),
            cpu: bound(granted.cpu, wanted.cpu, default.cpu),
            http_calls: bound(granted.http_calls, wanted.http_calls, default.http_calls),
            body: bound(granted.body, wanted.body, default.body),
        }
    }

    /// Epochs that may pass while the guest runs. A return from a host call that lasted longer
    /// than a tick costs one, so each request is given one.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let ticks = self.cpu.as_millis().div_ceil(TICK.as_millis());
        u64::try_from(ticks)
            .unwrap_or(u64::MAX)
            .saturating_add(u64::from(self.http_calls))
    }
}

/// A bound that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Memory,
    Call,
    Cpu,
    HttpCalls,
    Body,
}

impl Limit {
    /// The key under `grants.limits`.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Call => "call",
            Self::Cpu => "cpu",
            Self::HttpCalls => "http-calls",
            Self::Body => "body",
        }
    }

    /// The stable code of the failure.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Memory => "plugin.out-of-memory",
            Self::Call => "plugin.timeout",
            Self::Cpu => "plugin.cpu-budget",
            Self::HttpCalls => "plugin.http-calls",
            Self::Body => "plugin.body-too-large",
        }
    }

    /// What happened, as a sentence fragment.
    pub(crate) fn message(self, bounds: &Bounds) -> String {
        let value = self.value(bounds);
        match self {
            Self::Memory => format!("the plugin needs more memory than its {value}"),
            Self::Call => format!("the plugin did not finish within {value}"),
            Self::Cpu => format!("the plugin computed for more than {value}"),
            Self::HttpCalls => format!("the plugin made more than {value} requests in one call"),
            Self::Body => format!("an answer to the plugin is longer than {value}"),
        }
    }

    /// The bound as the configuration writes it.
    pub(crate) fn value(self, bounds: &Bounds) -> String {
        match self {
            Self::Memory => size(bounds.memory),
            Self::Call => time(bounds.call),
            Self::Cpu => time(bounds.cpu),
            Self::HttpCalls => bounds.http_calls.to_string(),
            Self::Body => size(bounds.body),
        }
    }

    /// The line to write, with twice the present value.
    pub(crate) fn hint(self, bounds: &Bounds, plugin: &str) -> String {
        let more = match self {
            Self::Memory => format!("\"{}\"", size(bounds.memory.saturating_mul(2))),
            Self::Call => format!("\"{}\"", time(bounds.call.saturating_mul(2))),
            Self::Cpu => format!("\"{}\"", time(bounds.cpu.saturating_mul(2))),
            Self::HttpCalls => bounds.http_calls.saturating_mul(2).to_string(),
            Self::Body => format!("\"{}\"", size(bounds.body.saturating_mul(2))),
        };
        format!(
            "if that is not a defect of the plugin: grants.limits.{} = {more} under \
             [plugin.{plugin}] (now {})",
            self.key(),
            self.value(bounds)
        )
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        b if b > 0 && b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b > 0 && b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

fn time(span: Duration) -> String {
    match span.as_millis() {
        ms if ms > 0 && ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_may_ask_for_less_and_only_the_operator_gives_more() {
        let memory = |wanted, granted| {
            let limits = |memory| Limits {
                memory,
                ..Limits::default()
            };
            Bounds::of(&limits(wanted), &limits(granted)).memory >> 20
        };
        assert_eq!(memory(None, None), 64);
        assert_eq!(memory(Some(32 << 20), None), 32);
        assert_eq!(memory(Some(512 << 20), None), 64);
        assert_eq!(memory(Some(32 << 20), Some(256 << 20)), 256);
        assert_eq!(memory(None, Some(8 << 20)), 8);
    }

    #[test]
    fn a_hint_is_the_line_to_write() {
        assert_eq!(
            Limit::Memory.hint(&Bounds::DEFAULT, "dns"),
            "if that is not a defect of the plugin: grants.limits.memory = \"128MiB\" under \
             [plugin.dns] (now 64MiB)"
        );
        assert_eq!(
            Limit::HttpCalls.hint(&Bounds::DEFAULT, "dns"),
            "if that is not a defect of the plugin: grants.limits.http-calls = 400 under \
             [plugin.dns] (now 200)"
        );
    }
}

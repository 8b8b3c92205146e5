//! Turns the end of a call into words: whose fault, what happened, what to write in which file.
//!
//! A guest that fails after the host refused it something reports the refusal in its own words at
//! best. So the host remembers what it refused and answers with that, keeping the guest's words as
//! a cause.

use std::time::Duration;

use waxwing_core::name::PluginName;
use waxwing_flow::plugin::{Finding, PluginFailure, PluginFailureKind, Severity};

use crate::bindings::installer::waxwing::plugin::types as wit;
use crate::limits::{Bounds, ITEMS, Limit, SENTENCE, WORD};
use crate::phase::Phase;
use crate::redact::Redactor;

/// Denials and transport errors of one call that are kept.
const KEPT: usize = 8;

/// Something the host refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) message: String,
    pub(crate) hint: String,
    /// The bound that was hit, if that is all it says.
    pub(crate) limit: Option<&'static str>,
}

/// What the host saw during a call that the guest may not tell.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    denials: Vec<Denial>,
    /// Exchanges that failed before there was an answer.
    transport: Vec<String>,
    /// What to do about the last of them; none after an exchange that got through.
    way_out: Option<String>,
    /// Acts that may have changed something outside: requests that are not safe, commands, files.
    acts: u32,
    /// The first bound that was hit.
    limit: Option<Limit>,
    /// The tail of what the guest wrote to stderr.
    pub(crate) stderr: String,
}

impl Seen {
    /// Keeps a denial. False: it is one of too many, or as one before.
    pub(crate) fn denied(&mut self, denial: Denial) -> bool {
        let new = self.denials.len() < KEPT && !self.denials.contains(&denial);
        if new {
            self.denials.push(denial);
        }
        new
    }

    /// Keeps an exchange that failed, and what to do about it.
    pub(crate) fn broke(&mut self, error: String, way_out: Option<String>) {
        self.way_out = way_out;
        if self.transport.len() < KEPT {
            self.transport.push(error);
        }
    }

    /// Notes an exchange that got through: what broke before is not why the call fails.
    pub(crate) fn answered(&mut self) {
        self.way_out = None;
    }

    /// Notes an act that may change something outside, before it is done.
    pub(crate) fn acts(&mut self) {
        self.acts = self.acts.saturating_add(1);
    }

    /// Takes an act back that was never done.
    pub(crate) fn acted_not(&mut self) {
        self.acts = self.acts.saturating_sub(1);
    }

    pub(crate) fn hit(&mut self, limit: Limit) {
        self.limit.get_or_insert(limit);
    }
}

/// Judges one finished call.
pub(crate) struct Judge {
    pub(crate) plugin: PluginName,
    pub(crate) phase: Phase,
    pub(crate) bounds: Bounds,
    pub(crate) redactor: Redactor,
    pub(crate) seen: Seen,
}

impl Judge {
    /// A guest's own error. Denials and limits come first: they are why.
    pub(crate) fn guest(&self, error: wit::PluginError) -> PluginFailure {
        let guest = self.guest_words(error);
        let words = || {
            vec![format!(
                "the plugin says: {} [{}]",
                guest.message, guest.code
            )]
        };
        if let Some(limit) = self.seen.limit {
            return self.limit(limit, words());
        }
        match self.denied(words()) {
            Some(failure) => failure,
            None => guest,
        }
    }

    /// A trap, or an answer that cannot be lifted out of the guest's memory.
    pub(crate) fn trap(&self, error: &wasmtime::Error) -> PluginFailure {
        let mut causes = self.trap_causes(error);
        if let Some(limit) = self.seen.limit {
            return self.unknown_outcome(self.limit(limit, causes));
        }
        if let Some(denied) = self.denied(causes.clone()) {
            return self.unknown_outcome(denied);
        }
        let message = match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::StackOverflow) => "the plugin crashed: its call stack overflowed",
            Some(_) => "the plugin crashed",
            None if error.is::<wasmtime_wasi::I32Exit>() => "the plugin ended itself",
            None => "the plugin broke the contract",
        };
        causes.extend(self.seen.transport.iter().cloned());
        let mut failure = self.failure(PluginFailureKind::Crashed, "plugin.crashed", message);
        failure.causes = causes;
        failure.hint = Some("a defect of the plugin; tell its author".to_owned());
        self.unknown_outcome(failure)
    }

    /// The wall-clock time of the call ran out.
    pub(crate) fn out_of_time(&self) -> PluginFailure {
        self.unknown_outcome(self.limit(Limit::Call, self.seen.transport.clone()))
    }

    /// An answer that breaks the contract's rules.
    pub(crate) fn bad_answer(&self, message: String) -> PluginFailure {
        let mut failure = self.failure(PluginFailureKind::Other, "plugin.bad-answer", &message);
        failure.hint = Some("a defect of the plugin; tell its author".to_owned());
        self.unknown_outcome(failure)
    }

    /// A guest's text, fit to be shown: no secrets, no control characters, not too long.
    pub(crate) fn text(&self, text: &str, cap: usize) -> String {
        sanitize(&self.redactor.text(text), cap)
    }

    /// A guest's advice.
    pub(crate) fn findings(&self, findings: Vec<wit::Finding>) -> Vec<Finding> {
        let one = |finding: wit::Finding| Finding {
            severity: match finding.severity {
                wit::Severity::Info => Severity::Info,
                wit::Severity::Warning => Severity::Warning,
                wit::Severity::Error => Severity::Error,
            },
            pointer: finding.pointer.map(|pointer| self.text(&pointer, WORD)),
            message: self.text(&finding.failure.message, SENTENCE),
            hint: finding.failure.hint.map(|hint| self.text(&hint, SENTENCE)),
        };
        let mut findings: Vec<Finding> = findings.into_iter().take(ITEMS).map(one).collect();
        // A denial is advice too: the plugin could not look.
        findings.extend(self.seen.denials.iter().map(|denial| Finding {
            severity: Severity::Error,
            pointer: None,
            message: self.text(&format!("denied: {}", denial.message), SENTENCE),
            hint: Some(denial.hint.clone()),
        }));
        findings
    }

    /// A failure record of a guest that is part of a good answer.
    pub(crate) fn note(&self, failure: wit::Failure, kind: PluginFailureKind) -> PluginFailure {
        let mut note = self.failure(kind, "", "");
        note.code = self.text(&failure.code, WORD);
        note.message = self.text(&failure.message, SENTENCE);
        note.hint = failure.hint.map(|hint| self.text(&hint, SENTENCE));
        note.http_status = failure.http_status;
        let details = failure.details.into_iter().take(32);
        note.details = details
            .map(|d| (self.text(&d.name, WORD), self.text(&d.value, SENTENCE)))
            .collect();
        note
    }

    fn guest_words(&self, error: wit::PluginError) -> PluginFailure {
        let mut failure = match error {
            wit::PluginError::Retryable(retry) => {
                let mut failure = self.note(retry.failure, PluginFailureKind::Retryable);
                failure.retry_after = retry.after_ms.map(Duration::from_millis);
                failure.account_wide = retry.account_wide;
                failure
            }
            wit::PluginError::Config(setting) => {
                let pointer = self.text(&setting.pointer, WORD);
                self.note(setting.failure, PluginFailureKind::Config { pointer })
            }
            wit::PluginError::Auth(failure) => self.note(failure, PluginFailureKind::Auth),
            wit::PluginError::NotFound(failure) => self.note(failure, PluginFailureKind::NotFound),
            wit::PluginError::Conflict(failure) => self.note(failure, PluginFailureKind::Conflict),
            wit::PluginError::Unsupported(failure) => {
                self.note(failure, PluginFailureKind::Unsupported)
            }
            wit::PluginError::Permanent(failure) => {
                self.note(failure, PluginFailureKind::Permanent)
            }
            wit::PluginError::Other(failure) => self.note(failure, PluginFailureKind::Other),
            wit::PluginError::Cancelled => self.failure(
                PluginFailureKind::Cancelled,
                "plugin.cancelled",
                "too little time was left to begin",
            ),
        };
        failure.causes = self.redacted(&self.seen.transport);
        // A guest sees that an exchange broke, and not what an operator can write about it.
        failure.hint = failure.hint.or_else(|| self.seen.way_out.clone());
        if failure.hint.is_none() && failure.http_status.is_some_and(|status| status >= 500) {
            let hint = "the other side has trouble of its own: the next run tries again";
            failure.hint = Some(hint.to_owned());
        }
        failure
    }

    fn denied(&self, causes: Vec<String>) -> Option<PluginFailure> {
        let (first, rest) = self.seen.denials.split_first()?;
        let message = format!("the host denied it: {}", first.message);
        let mut failure = self.failure(PluginFailureKind::Denied, "plugin.denied", &message);
        failure.hint = Some(first.hint.clone());
        failure.causes = causes;
        let more = rest
            .iter()
            .map(|denial| format!("also denied: {}", denial.message));
        failure
            .causes
            .extend(more.map(|text| self.text(&text, SENTENCE)));
        Some(failure)
    }

    fn limit(&self, limit: Limit, causes: Vec<String>) -> PluginFailure {
        let key = limit.key().to_owned();
        let mut failure = self.failure(
            PluginFailureKind::Limit { key },
            limit.code(),
            &limit.message(&self.bounds),
        );
        failure.hint = Some(limit.hint(&self.bounds, self.plugin.as_str()));
        failure.causes = self.redacted(&causes);
        // What was refused before may be why there were so many.
        let bound = limit.key();
        let before = self.seen.denials.iter().filter(|d| d.limit != Some(bound));
        let before = before.map(|denial| format!("denied: {}", denial.message));
        failure
            .causes
            .extend(before.map(|text| self.text(&text, SENTENCE)));
        failure
    }

    fn failure(&self, kind: PluginFailureKind, code: &str, message: &str) -> PluginFailure {
        PluginFailure {
            plugin: self.plugin.clone(),
            call: self.phase.as_str().to_owned(),
            kind,
            code: code.to_owned(),
            message: self.text(message, SENTENCE),
            hint: None,
            http_status: None,
            details: Vec::new(),
            retry_after: None,
            account_wide: false,
            untouched: self.seen.acts == 0,
            causes: Vec::new(),
        }
    }

    /// The guest was stopped at an unknown point: what it did is unknown too.
    fn unknown_outcome(&self, mut failure: PluginFailure) -> PluginFailure {
        if !self.phase.is_read_only() && self.seen.acts > 0 {
            failure
                .details
                .push(("outcome".to_owned(), "unknown".to_owned()));
        }
        failure
    }

    fn trap_causes(&self, error: &wasmtime::Error) -> Vec<String> {
        // The chain begins with a backtrace of many lines; what a person needs is its end.
        let mut causes = vec![self.text(&error.root_cause().to_string(), SENTENCE)];
        if !self.seen.stderr.is_empty() {
            causes.push(format!(
                "it wrote: {}",
                self.text(self.seen.stderr.trim(), SENTENCE)
            ));
        }
        causes
    }

    fn redacted(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.text(text, SENTENCE)).collect()
    }
}

/// Text fit for a terminal: one line, no control characters, at most `cap` bytes.
pub(crate) fn sanitize(text: &str, cap: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(cap));
    for c in text.chars() {
        let c = match c {
            '\n' | '\r' | '\t' => ' ',
            // C0, C1, and the characters that reorder text on a screen.
            c if c.is_control() => '\u{fffd}',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c => c,
        };
        if clean.len() + c.len_utf8() > cap {
            clean.push('…');
            break;
        }
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_text_cannot_steer_a_terminal_or_fill_it() {
        assert_eq!(sanitize("a\u{1b}[2Jb\r\nc", 100), "a\u{fffd}[2Jb  c");
        assert_eq!(sanitize("abc\u{202e}def", 100), "abc\u{fffd}def");
        assert_eq!(sanitize("äöü", 4), "äö…");
    }
}

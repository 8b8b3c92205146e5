//! What `check` found, a line for each topic.

use serde_json::{Value, json};

use super::page::{Context, Ink, Line, Page, count};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// In order.
    Ok,
    /// Works, but should be looked at.
    Warn,
    /// Does not work.
    Error,
}

impl Verdict {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Self::Ok => Ink::Good,
            Self::Warn => Ink::Warn,
            Self::Error => Ink::Bad,
        }
    }
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// How bad.
    pub(crate) verdict: Verdict,
    /// About what.
    pub(crate) topic: &'static str,
    /// What was seen.
    pub(crate) text: String,
    /// The chain of causes.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Found {
    /// A finding without causes.
    pub(crate) fn new(verdict: Verdict, topic: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict,
            topic,
            text: text.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Adds causes.
    #[must_use]
    pub(crate) fn causes(mut self, causes: impl IntoIterator<Item = String>) -> Self {
        self.causes.extend(causes);
        self
    }

    /// Says what to do, if that is known.
    #[must_use]
    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// For people.
pub(crate) fn text(found: &[Found], offline: bool, context: &Context) -> String {
    let mut page = Page::new(context);
    for one in found {
        let line = Line::indented(0).ink(one.verdict.ink(), one.verdict.word());
        let line = line.column(7, 1).ink(Ink::Strong, one.topic).column(22, 1);
        page.line(&line.hang_here().text(&one.text));
        for cause in &one.causes {
            page.line(&Line::indented(22).hang_here().text(cause));
        }
        if let Some(hint) = &one.hint {
            page.hint(22, hint);
        }
    }
    let many = |verdict| found.iter().filter(|one| one.verdict == verdict).count();
    let verdict = match (many(Verdict::Error), many(Verdict::Warn)) {
        (0, 0) => "All is in order.".to_owned(),
        (errors, warnings) => {
            format!(
                "{}, {}.",
                count(errors, "error"),
                count(warnings, "warning")
            )
        }
    };
    let network = if offline {
        "no network used"
    } else {
        "no order was placed"
    };
    page.plain(
        0,
        format!("{verdict} No certificate was touched; {network}."),
    );
    page.finish()
}

/// For machines.
pub(crate) fn json(found: &[Found]) -> Value {
    let found: Vec<Value> = found
        .iter()
        .map(|one| {
            json!({
                "verdict": one.verdict.word(),
                "topic": one.topic,
                "text": one.text,
                "causes": one.causes,
                "hint": one.hint,
            })
        })
        .collect();
    json!({ "findings": found })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, golden, golden_json};
    use super::super::json::Document;
    use super::*;

    fn found() -> Vec<Found> {
        vec![
            Found::new(Verdict::Ok, "config", "2 files, 3 certificates, 4 plugins"),
            Found::new(Verdict::Warn, "secrets", "env:TOKEN is for interactive use")
                .hint(Some("secrets.token = \"file:token\"".to_owned())),
            Found::new(
                Verdict::Error,
                "CAs",
                "first did not answer with a directory",
            )
            .causes([
                "https://acme.first.example/directory: connect to 198.51.100.7:443 \
                          refused after 7 ms, and the profile knows no other directory"
                    .to_owned(),
            ]),
        ]
    }

    #[test]
    fn each_finding_is_a_line_with_its_causes_and_what_to_do() {
        golden("check.txt", |context| text(&found(), false, context));
        let document = Document::new("check", at(0), json(&found()));
        golden_json("check.json", &document.to_text());
    }

    #[test]
    fn a_good_machine_is_told_so() {
        let found = vec![Found::new(Verdict::Ok, "config", "1 file")];
        golden("check-good.txt", |context| text(&found, true, context));
    }
}

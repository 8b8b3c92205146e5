//! Who was told, and who could not be: behind the report of a run, and for `notify test`.

use serde::Serialize;
use waxwing_flow::notify::{Delivered, Sent};

use super::page::{Context, Ink, Line, Page};
use super::table::{Align, Cell, Table};
use crate::exit::Exit;

/// What follows the report of a run; empty if nobody was to be told.
pub(crate) fn after_run(sent: &[Sent], context: &Context) -> String {
    let mut page = Page::new(context);
    for one in sent {
        let name = one.notifier.as_str();
        let what = match (one.late, one.heartbeat) {
            (_, true) => "heartbeat",
            (true, _) => "message of an earlier run",
            (false, false) => "message",
        };
        match &one.outcome {
            // That all is well is said once, by the run.
            Ok(delivered) if one.heartbeat && delivered.is_whole() => {}
            Ok(delivered) => {
                // Of those who lacked it nobody may have taken it this time.
                if delivered.deferred.is_empty() || !delivered.answers.is_empty() {
                    page.plain(0, format!("{name}: {what} sent to {}.", one.to));
                } else {
                    page.plain(0, format!("{name}: {what}"));
                }
                for refused in &delivered.refused {
                    page.line(
                        &Line::indented(2)
                            .ink(Ink::Bad, "refused:")
                            .text(" ")
                            .hang_here()
                            .text(refused),
                    );
                }
                for deferred in &delivered.deferred {
                    page.line(
                        &Line::indented(2)
                            .ink(Ink::Bad, "not yet, later runs try again:")
                            .text(" ")
                            .hang_here()
                            .text(deferred.to_string()),
                    );
                }
            }
            Err(error) => {
                let later = if one.heartbeat {
                    ""
                } else {
                    "; it waits, and later runs try again"
                };
                let line = Line::indented(0)
                    .text(format!("{name}: the {what} could "))
                    .ink(Ink::Bad, "NOT")
                    .text(format!(" be sent to {}{later}:", one.to));
                page.line(&line);
                page.line(
                    &Line::indented(2)
                        .hang_here()
                        .text(format!("failed to {}:", error.what)),
                );
                for cause in &error.causes {
                    page.line(&Line::indented(4).hang_here().text(cause));
                }
                if let Some(hint) = &error.hint {
                    page.hint(2, hint);
                }
            }
        }
    }
    page.finish()
}

/// What each receiver of a test answered.
pub(crate) fn test(sent: &[Sent], context: &Context) -> String {
    let mut page = Page::new(context);
    let mut table = Table::new(0, &[Align::Left, Align::Left, Align::Left]).gap(3);
    for one in sent {
        let (ink, verdict) = match &one.outcome {
            Ok(delivered) if delivered.is_whole() => (Ink::Good, "sent"),
            Ok(_) => (Ink::Bad, "refused in part"),
            Err(_) => (Ink::Bad, "not sent"),
        };
        table.row(vec![
            Cell::of(Ink::Strong, one.notifier.as_str()),
            Cell::of(ink, verdict),
            Cell::plain(&one.to),
        ]);
    }
    for (line, one) in table.lines().iter().zip(sent) {
        page.line(line);
        match &one.outcome {
            Ok(delivered) => {
                for line in delivered.answers.iter().cloned().chain(delivered.lacking()) {
                    page.line(&Line::indented(2).hang_here().text(&line));
                }
            }
            Err(error) => {
                let what = format!("failed to {}:", error.what);
                page.line(&Line::indented(2).hang_here().text(what));
                for cause in &error.causes {
                    page.line(&Line::indented(4).hang_here().text(cause));
                }
                if let Some(hint) = &error.hint {
                    page.hint(2, hint);
                }
            }
        }
    }
    let exit = exit_of(sent);
    let good = sent.iter().filter(|one| is_good(one)).count();
    let mut sum = format!("{good} of {} work.", sent.len());
    if exit != Exit::Done {
        sum.push_str(&format!(" Exit {}.", exit as u8));
    }
    page.plain(0, sum);
    page.finish()
}

/// How `notify test` ends.
pub(crate) fn exit_of(sent: &[Sent]) -> Exit {
    let good = sent.iter().filter(|one| is_good(one)).count();
    let reached = sent.iter().any(|one| one.outcome.is_ok());
    if good == sent.len() {
        Exit::Done
    } else if reached {
        Exit::SomeFailed
    } else {
        Exit::AllFailed
    }
}

fn is_good(sent: &Sent) -> bool {
    let outcome = sent.outcome.as_ref();
    outcome.is_ok_and(Delivered::is_whole)
}

/// One notifier that was to tell somebody.
#[derive(Debug, Serialize)]
pub(crate) struct SentJson {
    notifier: String,
    to: String,
    /// True if it was delivered to everybody.
    ok: bool,
    /// True if an earlier run wrote it.
    late: bool,
    heartbeat: bool,
    /// What the receiver said.
    answers: Vec<String>,
    /// Recipients that the receiver refused, and why.
    refused: Vec<String>,
    /// Recipients that the receiver did not take it for now, and why; it is sent to them again.
    deferred: Vec<String>,
    /// Why it was not delivered: the whole chain, outermost first.
    causes: Vec<String>,
    hint: Option<String>,
}

/// The same for machines.
pub(crate) fn json(sent: &[Sent]) -> Vec<SentJson> {
    let one = |sent: &Sent| {
        let delivered = sent.outcome.as_ref().ok();
        let error = sent.outcome.as_ref().err();
        let mut causes = Vec::new();
        if let Some(error) = error {
            causes.push(format!("failed to {}", error.what));
            causes.extend(error.causes.iter().cloned());
        }
        SentJson {
            notifier: sent.notifier.to_string(),
            to: sent.to.clone(),
            ok: is_good(sent),
            late: sent.late,
            heartbeat: sent.heartbeat,
            answers: delivered.map_or_else(Vec::new, |one| one.answers.clone()),
            refused: delivered.map_or_else(Vec::new, |one| one.refused.clone()),
            deferred: delivered.map_or_else(Vec::new, |one| {
                one.deferred.iter().map(ToString::to_string).collect()
            }),
            causes,
            hint: error.and_then(|error| error.hint.clone()),
        }
    };
    sent.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use waxwing_core::name::NotifierName;
    use waxwing_core::time::Timestamp;
    use waxwing_flow::notify::Deferred;
    use waxwing_flow::ports::NotifyError;

    use super::super::fixture::{golden, golden_json};
    use super::*;

    fn sent(name: &str, to: &str, outcome: Result<Delivered, NotifyError>) -> Sent {
        Sent {
            notifier: NotifierName::parse(name).expect("a literal name"),
            to: to.to_owned(),
            late: false,
            heartbeat: false,
            written: Timestamp::from_unix(1_795_470_000),
            whole: outcome.as_ref().is_ok_and(Delivered::is_whole),
            rest: false,
            outcome,
        }
    }

    fn all() -> Vec<Sent> {
        let good = Delivered {
            answers: vec!["HTTP 200".to_owned(), "ok".to_owned()],
            ..Delivered::default()
        };
        let partly = Delivered {
            answers: vec![
                "ops@example.com: 250 2.1.5 ok".to_owned(),
                "250 2.0.0 queued as 4711".to_owned(),
            ],
            refused: vec!["boss@example.com: permanent error (550): no such user".to_owned()],
            deferred: vec![Deferred {
                recipient: "night@example.com".to_owned(),
                why: "transient error (451): greylisted".to_owned(),
            }],
        };
        let error = NotifyError {
            retry_after: None,
            what: "send mail by mx.example.com:587".to_owned(),
            causes: vec![
                "failed to connect".to_owned(),
                "Connection error: connection refused".to_owned(),
            ],
            hint: Some("is it the right port?".to_owned()),
        };
        vec![
            sent(
                "chat",
                "hooks.example.com (Slack incoming webhook)",
                Ok(good),
            ),
            sent(
                "mail",
                "ops@example.com, boss@example.com, night@example.com",
                Ok(partly),
            ),
            sent("old", "root@example.com", Err(error)),
        ]
    }

    #[test]
    fn a_test_shows_what_each_receiver_answered() {
        let sent = all();
        golden("notify-test.txt", |context| test(&sent, context));
        let json = serde_json::to_string_pretty(&json(&sent)).expect("JSON");
        golden_json("notify-test.json", &json);
        assert_eq!(exit_of(&sent), Exit::SomeFailed);
        assert_eq!(exit_of(&sent[..1]), Exit::Done);
        assert_eq!(exit_of(&sent[2..]), Exit::AllFailed);
    }

    #[test]
    fn behind_a_run_stands_who_was_told_and_who_could_not_be() {
        let mut sent = all();
        sent[0].late = true;
        let mut beat = sent[0].clone();
        beat.heartbeat = true;
        sent.push(beat);
        let mut beat = sent[2].clone();
        beat.heartbeat = true;
        sent.push(beat);
        golden("notified.txt", |context| after_run(&sent, context));
    }
}

//! Each kind of event in words: a headline for the subject, and sentences with rows for the rest.

use waxwing_core::notify::event::{CLOCK, Change, Event, EventKind, ISSUES_NOTHING};

use super::Block;
use crate::render::page::{Context, count, list};
use crate::render::time::stretch;

/// Names beyond this are counted, not listed.
const NAMES: usize = 4;

/// What it is, in a few words.
pub(super) fn headline(event: &Event, context: &Context) -> String {
    if event.change == Change::Over && !event.causes.is_empty() {
        let kind = event.kind;
        return format!("{} ({kind}): {}", event.subject, event.causes.join("; "));
    }
    let mut words = what_it_is(event, context);
    // Told by another clock, so that only the clock of now says that it is over.
    if event.change == Change::Over && event.hint.is_some() {
        words.push_str(", if the clock is right");
    }
    words
}

fn what_it_is(event: &Event, context: &Context) -> String {
    let subject = &event.subject;
    let over = event.change == Change::Over;
    let ca = event.ca.as_deref().unwrap_or("its CA");
    match event.kind {
        EventKind::Renewed => format!("{subject} {} by {ca}", step(event, "renewed")),
        EventKind::FailedOver => format!(
            "{subject} {} by {ca}, because {} {}",
            step(event, "renewed"),
            event.instead_of.as_deref().unwrap_or("the first CA"),
            match event.count {
                Some(0) => "may not issue it",
                _ => "failed",
            }
        ),
        EventKind::Failed if over && subject == CLOCK => format!("{subject} is right again"),
        EventKind::Failed if subject == CLOCK => {
            format!("{subject} {}", lasting("is behind", event, context))
        }
        EventKind::Failed if over => format!("{subject} does not fail any more"),
        // What cannot be read has a path.
        EventKind::Failed if is_path(subject) => {
            format!("{subject} {}", lasting("cannot be used", event, context))
        }
        EventKind::Failed => {
            let what = if event.not_after.is_some() {
                "renewed"
            } else {
                "issued"
            };
            match event.count {
                Some(tries) if event.change == Change::Worse => {
                    format!("{subject} still not {what} after {}", count_tries(tries))
                }
                _ => format!("{subject} not {what}"),
            }
        }
        EventKind::ExpiryNear if over => format!("{subject} does not end soon any more"),
        EventKind::ExpiryNear => match event.not_after {
            Some(end) if end <= context.now => {
                format!(
                    "{subject} has expired{}, {} ago",
                    in_use(event),
                    stretch(context.now.since(end))
                )
            }
            Some(end) if !event.what.is_empty() => format!(
                "{subject} ends{} in {}: the new one is not there",
                in_use(event),
                stretch(end.since(context.now))
            ),
            Some(end) => format!(
                "{subject} ends in {} and is not renewed",
                stretch(end.since(context.now))
            ),
            None => format!("{subject} ends soon"),
        },
        EventKind::NotInstalled if over => format!("{subject} is installed again"),
        EventKind::NotInstalled => {
            format!("{subject} not installed by {}", event.what.join(", "))
        }
        EventKind::NotServed if over => format!("{subject} is served again"),
        EventKind::NotServed => format!("{subject} not served at {}", list(&event.what, NAMES)),
        EventKind::NotRevoked if over => format!("{subject}: nothing is left to revoke"),
        EventKind::NotRevoked => {
            let tries = match event.count {
                Some(tries) if event.change == Change::Worse => {
                    format!(" after {}", count_tries(tries))
                }
                _ => String::new(),
            };
            let still = if tries.is_empty() { "" } else { "still " };
            format!("the old certificate of {subject} {still}not revoked{tries}")
        }
        EventKind::CaOutage if over && !event.causes.is_empty() => {
            format!("{subject} is not asked any more")
        }
        EventKind::CaOutage if over => format!("{subject} is back"),
        EventKind::CaOutage => {
            let (does, is) = match event.step.as_deref() {
                Some(ISSUES_NOTHING) => ("issues nothing", "issues nothing"),
                _ => ("down", "is down"),
            };
            match event.since {
                Some(since) => {
                    format!("{subject} {does} for {}", stretch(context.now.since(since)))
                }
                None => format!("{subject} {is}"),
            }
        }
        EventKind::TermsChanged if over => format!("the terms of {subject} are agreed to"),
        EventKind::TermsChanged => format!("{subject} has new terms"),
        EventKind::PluginDenied if over => format!("plugin {subject} works again"),
        EventKind::PluginDenied => format!("plugin {subject} tried what it may not do"),
        EventKind::BudgetNear if over => format!("{subject}: room again"),
        EventKind::BudgetNear => format!(
            "{subject}: {} left of {}",
            event.count.unwrap_or_default(),
            event.what.join(", ")
        ),
        EventKind::NotifierFailed if over => format!("notifier {subject} works again"),
        EventKind::NotifierFailed => format!("notifier {subject} fails"),
        EventKind::WeeklyDigest => {
            let renewed = event.names.len();
            let failing = event.count.unwrap_or_default();
            let failing = match failing {
                0 => "none in trouble".to_owned(),
                some => format!("{some} in trouble"),
            };
            format!("the week: {renewed} renewed, {failing}")
        }
        EventKind::RunOk => "a run ended well".to_owned(),
        EventKind::Test => "a test: this way works".to_owned(),
    }
}

/// ` at web`: where an older version is in use, if that is what is told.
fn in_use(event: &Event) -> String {
    match event.what.as_slice() {
        [] => String::new(),
        places => format!(" at {}", list(places, NAMES)),
    }
}

/// What it means, why, and what comes next.
pub(super) fn block(event: &Event, context: &Context) -> Block {
    let mut block = Block {
        says: says(event, context),
        rows: Vec::new(),
    };
    if event.change == Change::Over {
        if let Some(since) = event.since {
            block.rows.push((
                "It was so",
                vec![format!(
                    "from {} on, for {}",
                    context.moment(since),
                    stretch(context.now.since(since))
                )],
            ));
        }
        if let Some(hint) = &event.hint {
            block.rows.push(("What to do", vec![hint.clone()]));
        }
        return block;
    }
    if !event.causes.is_empty() {
        let causes = event.causes.iter();
        // What is served is told in our own words; what others say stays as they say it.
        let causes = causes.map(|cause| match event.kind {
            EventKind::NotServed => context.spoken(cause),
            _ => cause.clone(),
        });
        block.rows.push(("What happened", causes.collect()));
    }
    let next = next(event, context);
    if !next.is_empty() {
        block.rows.push(("What is next", vec![next]));
    }
    if let Some(hint) = &event.hint {
        let label = if event.kind == EventKind::FailedOver {
            "The rule"
        } else {
            "What to do"
        };
        block.rows.push((label, vec![hint.clone()]));
    }
    block
}

/// `shop (example.com, *.example.com)`
fn named(event: &Event) -> String {
    if event.names.is_empty() {
        return event.subject.clone();
    }
    format!("{} ({})", event.subject, list(&event.names, NAMES))
}

fn says(event: &Event, context: &Context) -> String {
    let named = named(event);
    let until = event.not_after.map(|end| context.until(end));
    let headline = headline(event, context);
    if event.change == Change::Over {
        return format!("{headline}.");
    }
    match event.kind {
        EventKind::Renewed | EventKind::FailedOver => {
            let ca = event.ca.as_deref().unwrap_or("its CA");
            let until = until.map_or_else(String::new, |until| format!(", valid until {until}"));
            let served = match event.what.as_slice() {
                [] => String::new(),
                [one] => format!(" {one} serves it."),
                more => format!(" {} serve it.", list(more, NAMES)),
            };
            format!("{named} has a new certificate of {ca}{until}.{served}")
        }
        EventKind::Failed => match until {
            _ if event.subject == CLOCK => {
                "The clock of this machine is behind, so that nothing is due in time.".to_owned()
            }
            _ if is_path(&event.subject) => {
                let what = lasting("cannot be used", event, context);
                format!("{named} {what}, so nobody renews what is in it.")
            }
            Some(_) if event.not_after.is_some_and(|end| end <= context.now) => {
                format!("{named} was not renewed, and the old certificate has expired.")
            }
            Some(until) => {
                format!("{named} was not renewed. The old certificate is valid until {until}.")
            }
            None => format!("{named} was not issued. There is no certificate yet."),
        },
        EventKind::ExpiryNear if !event.what.is_empty() => format!(
            "{named} was renewed, but{} the one before it is still in use. {} {}.",
            in_use(event),
            match event.not_after {
                Some(end) if end <= context.now => "That is not valid any more: it ended",
                _ => "That ends",
            },
            until.unwrap_or_else(|| "soon".to_owned())
        ),
        EventKind::ExpiryNear => match until {
            Some(until) if event.not_after.is_some_and(|end| end > context.now) => {
                let tries = match event.count.unwrap_or_default() {
                    0 => String::new(),
                    tries => format!(" in {}", count_tries(tries)),
                };
                format!(
                    "{named} has been due for long and was not renewed{tries}. It ends {until}."
                )
            }
            Some(until) => format!("{named} is not valid any more. It ended {until}."),
            None => format!("{headline}."),
        },
        EventKind::NotInstalled => {
            format!(
                "{named} is stored, but {} failed to install it.",
                event.what.join(", ")
            )
        }
        EventKind::NotServed => {
            format!("{named} is installed, but something else is served.")
        }
        EventKind::NotRevoked => {
            let since = event.since.map_or_else(String::new, |since| {
                format!("; that was asked for {}", context.moment(since))
            });
            format!(
                "{named} has another certificate in its place, but {} is not revoked yet{since}. Whoever has \
                 its key can still use it.",
                event.what.join(", ")
            )
        }
        EventKind::CaOutage => {
            let since = event.since.map_or_else(String::new, |since| {
                format!(" since {}", context.moment(since))
            });
            let users = list(&event.what, NAMES);
            let does = match event.step.as_deref() {
                Some(ISSUES_NOTHING) => "answers, and has issued nothing",
                _ => "has not answered as it should",
            };
            format!(
                "{} {does}{since}. It is in the list of {users}.",
                event.subject
            )
        }
        EventKind::TermsChanged => format!(
            "{} has other terms of service than those that you agreed to. Nobody has agreed to them \
             for you; renewals go on for as long as {0} lets them.",
            event.subject
        ),
        EventKind::PluginDenied => format!(
            "The plugin {} tried something that neither its manifest nor your grants allow. It was not \
             done.",
            event.subject
        ),
        EventKind::BudgetNear => {
            format!("{headline}. Beyond it the CA refuses every order.")
        }
        EventKind::NotifierFailed => {
            let waiting = event.count.unwrap_or_default();
            let waiting = usize::try_from(waiting).unwrap_or_default();
            format!(
                "[notify.{}] could not deliver; {} waiting.",
                event.subject,
                count(waiting, "message")
            )
        }
        EventKind::WeeklyDigest => {
            let since = event.since.map_or_else(String::new, |since| {
                format!("Since {}: ", context.moment(since))
            });
            let renewed = match event.names.as_slice() {
                [] => "nothing was renewed".to_owned(),
                names => format!("renewed were {}", list(names, NAMES * 5)),
            };
            let trouble = match event.count.unwrap_or_default() {
                0 => "nothing is in trouble".to_owned(),
                1 => "1 thing is in trouble: `waxwing status`".to_owned(),
                some => format!("{some} things are in trouble: `waxwing status`"),
            };
            format!("{since}{renewed}; {trouble}.")
        }
        EventKind::RunOk => "The run ended well.".to_owned(),
        EventKind::Test => "This is a test of the settings, asked for by `waxwing notify test`. \
                            Nothing has happened."
            .to_owned(),
    }
}

fn next(event: &Event, context: &Context) -> String {
    let at = event.next_try.filter(|at| *at > context.now);
    match (event.kind, at) {
        (EventKind::Renewed, Some(at)) => format!("renewed again {}", context.moment(at)),
        (EventKind::FailedOver, Some(at)) if event.instead_of.is_none() => {
            format!("renewed again {}, by the same CA first ([failover] fail-back)", context.moment(at))
        }
        (EventKind::FailedOver, at) => {
            let first = event.instead_of.as_deref().unwrap_or("the first CA");
            match at {
                Some(at) => format!("{}: {first} is asked first again", context.moment(at)),
                None => format!("the next renewal asks {first} first again"),
            }
        }
        (EventKind::Failed | EventKind::ExpiryNear, Some(at)) => {
            let ca = event.ca.as_ref();
            let ca = ca.map_or_else(String::new, |ca| format!(" at {ca}"));
            format!(
                "tried again{ca} {} ({})",
                context.moment(at),
                context.relative(at)
            )
        }
        (EventKind::Failed | EventKind::ExpiryNear, None) if event.by_hand.is_some() => {
            let command = event.by_hand.as_deref().unwrap_or_default();
            format!("nothing tries by itself: `{command}`")
        }
        (EventKind::Failed | EventKind::ExpiryNear, None) => "the next run tries again".to_owned(),
        (EventKind::NotInstalled, _) => {
            "the next run installs it again, without a new order".to_owned()
        }
        (EventKind::NotServed, _) => "every run looks again".to_owned(),
        (EventKind::NotRevoked, _) => "every run asks again".to_owned(),
        (EventKind::CaOutage, _) if !event.needs_person => {
            "others of the list stand in, as [failover] says".to_owned()
        }
        (EventKind::BudgetNear, Some(at)) => format!("room again {}", context.moment(at)),
        (EventKind::NotifierFailed, _) => {
            "tried again by later runs, with growing pauses, and with the next message; waxwing notify test proves the way"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// `issued` or what the event says.
fn step<'e>(event: &'e Event, usual: &'e str) -> &'e str {
    event.step.as_deref().unwrap_or(usual)
}

/// What is so, and for how long where that has been told before.
fn lasting(what: &str, event: &Event, context: &Context) -> String {
    match event.since {
        Some(since) => format!("{what} for {}", stretch(context.now.since(since))),
        None => what.to_owned(),
    }
}

/// True if that is no name but where something is that cannot be read.
pub(super) fn is_path(subject: &str) -> bool {
    subject.contains(['/', '\\'])
}

fn count_tries(tries: u32) -> String {
    match tries {
        1 => "1 try".to_owned(),
        more => format!("{more} tries"),
    }
}

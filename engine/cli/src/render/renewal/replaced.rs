//! What is revoked behind a certificate that has taken its place, and what is not.

use waxwing_flow::replace::{Lacking, Over, Proof};
use waxwing_flow::report::{Replaced, ReplacedReport};
use waxwing_flow::revoke::How;

use super::super::page::{Context, Ink, Line, Page, list};
use super::{NAMES_SHOWN, RunView};
use crate::args::Reason;

/// A block for each.
pub(super) fn blocks(view: &RunView<'_>, context: &Context, page: &mut Page<'_>) {
    for one in &view.report.replaced {
        block(view, one, context, page);
    }
}

fn block(view: &RunView<'_>, one: &ReplacedReport, context: &Context, page: &mut Page<'_>) {
    let version = one.version;
    let reason = one.reason.and_then(Reason::of_code);
    let reason = reason.map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
    let (ink, what) = match &one.ended {
        Replaced::Revoked {
            ca, not_after, how, ..
        } => {
            let until = context.day(*not_after);
            let how = match how {
                How::ByAccount => format!("revoked{reason} by its account at {ca}"),
                How::ByKey => format!("revoked{reason} at {ca}, asked for with its own key"),
                How::Before => format!("was revoked at {ca} before"),
            };
            (Ink::Good, format!("{how}; it was valid until {until}"))
        }
        Replaced::Over { why, .. } => {
            let why = match why {
                Over::Expired(at) => format!("it has expired on {}", context.day(*at)),
                Over::Gone => "it is not stored any more, so its CA cannot be asked".to_owned(),
                Over::Damaged(error) => {
                    format!("it cannot be read any more, so its CA cannot be asked: {error}")
                }
            };
            (Ink::Warn, format!("is not revoked: {why}"))
        }
        Replaced::Withdrawn => (
            Ink::Bad,
            "is not revoked: there is no other certificate to take its place".to_owned(),
        ),
        Replaced::Waiting => (
            Ink::Warn,
            "is not revoked yet: another certificate has to come first".to_owned(),
        ),
        Replaced::Unproved(lacking) => (
            Ink::Bad,
            format!("is not revoked yet: {}", lacks(one, lacking)),
        ),
        Replaced::Failed(_) => (Ink::Bad, "is not revoked yet".to_owned()),
    };
    let head = Line::indented(0)
        .ink(Ink::Strong, one.certificate.as_str())
        .text("   ")
        .hang_here()
        .text(format!("version {version} "))
        .ink(ink, what);
    page.line(&head);
    if let Replaced::Revoked { proof, .. } | Replaced::Over { proof, .. } = &one.ended {
        page.plain(2, in_place(view, one, proof));
    }
    if let Replaced::Failed(error) = &one.ended {
        if let Some(new) = one.new {
            page.plain(2, format!("version {new} has taken its place"));
        }
        for line in error.lines() {
            page.plain(2, line);
        }
        if let Some(hint) = error.hint() {
            page.hint(2, &hint);
        }
    }
    let again = format!("waxwing revoke {} --replace", one.certificate);
    match &one.ended {
        Replaced::Revoked { .. } | Replaced::Over { .. } => {}
        Replaced::Withdrawn => page.hint(2, &format!("when that is mended: {again}")),
        Replaced::Waiting | Replaced::Unproved(_) | Replaced::Failed(_) => {
            page.plain(2, format!("the next run goes on, or at once: {again}"))
        }
    }
}

fn in_place(view: &RunView<'_>, one: &ReplacedReport, proof: &Proof) -> String {
    let new = one.new.unwrap_or(one.version);
    let key = if view.keeps_its_key.contains(&one.certificate) {
        "with a new key, although reuse-key is set"
    } else {
        "with a new key"
    };
    match proof {
        Proof::Served(places) => {
            let verb = if places.len() == 1 { "serves" } else { "serve" };
            let places = list(places, NAMES_SHOWN);
            format!("version {new} has taken its place, {key}: {places} {verb} it")
        }
        Proof::Installed(plugins) => {
            let plugins = list(plugins, NAMES_SHOWN);
            format!(
                "version {new} has taken its place, {key}: installed by {plugins}; whether it is served \
                 was not looked at, since no served-at says where"
            )
        }
        Proof::Stored => format!(
            "version {new} is stored, {key}; nothing installs it, and no served-at says where it is served"
        ),
    }
}

fn lacks(one: &ReplacedReport, lacking: &Lacking) -> String {
    let new = one.new.unwrap_or(one.version);
    let mut parts = Vec::new();
    if !lacking.installers.is_empty() {
        let plugins = list(&lacking.installers, NAMES_SHOWN);
        parts.push(format!("version {new} is not installed by {plugins}"));
    }
    if !lacking.places.is_empty() {
        let places = list(&lacking.places, NAMES_SHOWN);
        parts.push(format!("version {new} was not seen at {places}"));
    }
    parts.join("; ")
}

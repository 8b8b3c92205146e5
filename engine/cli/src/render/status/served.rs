//! Whether certificates were seen where they are to be served, at the last look.

use waxwing_core::plan::Item;
use waxwing_flow::certificate::ServedMark;

use super::super::page::{Context, Ink};
use super::super::renewal::fingerprint;
use super::super::table::Cell;
use super::{StatusView, left};

/// The last look at a place.
pub(in super::super) struct Seen<'a> {
    /// What was noted.
    pub(in super::super) mark: &'a ServedMark,
    /// The leaf that is to be seen.
    current: Option<&'a str>,
}

impl Seen<'_> {
    /// True if the current version was seen.
    pub(in super::super) fn is_current(&self) -> bool {
        let seen = self.mark.seen.as_ref().ok();
        seen.is_some_and(|leaf| Some(leaf.sha256.as_str()) == self.current)
    }

    /// The place as configured.
    pub(in super::super) fn place(&self) -> String {
        self.mark.place.clone()
    }

    /// `yes`, `old, 12 d left`, `no answer`
    fn word(&self, context: &Context) -> String {
        match &self.mark.seen {
            Ok(_) if self.is_current() => "yes".to_owned(),
            Ok(leaf) => match leaf.not_after.map(|end| left(end, context)) {
                Some(left) if left == "expired" => "old, expired".to_owned(),
                Some(left) => format!("old, {left} left"),
                None => "old".to_owned(),
            },
            Err(_) => "no answer".to_owned(),
        }
    }

    /// The same with the place, the leaf or the causes, and when.
    pub(super) fn to_text(&self, context: &Context) -> String {
        let what = match &self.mark.seen {
            Ok(leaf) => format!("serves {}", fingerprint(&leaf.sha256)),
            Err(causes) => format!("shows no certificate ({})", causes.join(": ")),
        };
        let place = &self.mark.place;
        let when = context.ago(self.mark.at);
        format!("{place} {what}, looked at {when}: {}", self.word(context))
    }

    fn badness(&self) -> u8 {
        match (&self.mark.seen, self.is_current()) {
            (_, true) => 0,
            (Ok(_), false) => 1,
            (Err(_), _) => 2,
        }
    }
}

/// The last looks at the places where a certificate is to be served, as configured now.
pub(in super::super) fn all<'a>(
    view: &'a StatusView<'_>,
    item: &Item,
) -> impl Iterator<Item = Seen<'a>> + use<'a> {
    let entry = view.inventory.get(&item.name);
    let of_it = view.certificates.iter().find(|one| one.name == item.name);
    let places = of_it
        .map(|one| one.served_at.as_slice())
        .unwrap_or_default();
    let current = entry.and_then(|entry| entry.current.as_ref());
    let current = current.map(|current| current.facts.leaf_sha256.as_str());
    places.iter().filter_map(move |place| {
        let place = place.to_string();
        let mark = entry?.served.iter().find(|mark| mark.place == place)?;
        Some(Seen { mark, current })
    })
}

/// The worst of them.
pub(super) fn worst<'a>(view: &'a StatusView<'_>, item: &Item) -> Option<Seen<'a>> {
    all(view, item).max_by_key(Seen::badness)
}

/// The column.
pub(in super::super) fn cell(view: &StatusView<'_>, item: &Item, context: &Context) -> Cell {
    match worst(view, item) {
        Some(seen) if seen.is_current() => Cell::plain(seen.word(context)),
        Some(seen) => Cell::of(Ink::Bad, seen.word(context)),
        None => Cell::plain("-"),
    }
}

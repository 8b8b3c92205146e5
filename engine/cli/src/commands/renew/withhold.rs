//! What was issued and is not installed, because nobody trusts it.

use waxwing_core::plan::Note;
use waxwing_flow::report::{Outcome, RunReport};

use crate::render::plan::withheld;
use crate::survey::Survey;

/// Says of certificates of a staging CA that were issued that they are not installed over real ones.
pub(super) fn note(report: &mut RunReport, after: Option<&Survey>) {
    let items = after.map_or(&[][..], |after| after.plan.items.as_slice());
    for one in &mut report.certificates {
        let issued = matches!(one.outcome, Outcome::Issued { .. });
        let mut items = items.iter();
        let item = items.find(|item| issued && item.name == one.certificate);
        let notes = item.iter().flat_map(|item| &item.notes);
        one.notes.extend(notes.filter_map(|note| match note {
            Note::Withheld { by } => Some(withheld(by)),
            _ => None,
        }));
    }
}

//! That a CA has other terms than those that were agreed to.

use waxwing_core::notify::event::{Change, Event, EventKind};

use super::Condition;
use crate::notify::Told;
use crate::terms::NewTerms;

/// Told once for each address, however often the CA changes it before somebody agrees.
pub(super) fn changed(told: &[Told], new: &NewTerms) -> Condition {
    let mut event = Event::new(EventKind::TermsChanged, Change::Began, new.ca.as_str());
    let (url, at) = &new.agreed;
    let at = at.to_string();
    let day = at.split('T').next().unwrap_or_default();
    event.causes = vec![
        format!("agreed to on {day}: {url}"),
        format!("now: {}", new.now),
    ];
    event.hint = Some(format!(
        "read them, then `waxwing account agree {}`",
        new.ca
    ));
    let mut told = told.iter();
    let before = told.find(|told| told.kind == event.kind && told.subject == event.subject);
    let step = step(before.map(|told| told.step), &new.now);
    Condition::new(step, event)
}

/// Counts in its highest eight bits, and knows the last two addresses by twelve bits each: a CA whose servers do not
/// agree yet names them in turn.
fn step(before: Option<u32>, address: &str) -> u32 {
    let hash = address.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mark = (hash ^ hash >> 12 ^ hash >> 24) & 0xfff;
    match before {
        Some(step) if step & 0xfff == mark || step >> 12 & 0xfff == mark => step,
        Some(step) => (step >> 24).saturating_add(1).min(0xff) << 24 | (step & 0xfff) << 12 | mark,
        None => 1 << 24 | mark << 12 | mark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_a_step_of_its_own() {
        let first = step(None, "https://ca.example/tos-1");
        assert_eq!(step(Some(first), "https://ca.example/tos-1"), first);
        let second = step(Some(first), "https://ca.example/tos-2");
        assert!(second > first);
        // In turn, and then another one.
        assert_eq!(step(Some(second), "https://ca.example/tos-1"), second);
        assert!(step(Some(second), "https://ca.example/tos-3") > second);
        // Told by a version that knew no addresses.
        assert!(step(Some(1), "https://ca.example/tos-1") > 1);
    }
}

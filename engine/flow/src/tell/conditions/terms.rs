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
    Condition {
        step: step(before.map(|told| told.step), &new.now),
        event,
    }
}

/// Counts in its upper half, and knows the address by its lower half.
fn step(before: Option<u32>, address: &str) -> u32 {
    let mark = address.bytes().fold(0x811c_u16, |mark, byte| {
        (mark ^ u16::from(byte)).wrapping_mul(0x0193)
    });
    let times = match before {
        Some(step) if step & 0xffff == u32::from(mark) => return step,
        Some(step) => (step >> 16).saturating_add(1),
        None => 1,
    };
    times << 16 | u32::from(mark)
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
        // Back to an earlier one is news as well.
        assert!(step(Some(second), "https://ca.example/tos-1") > second);
        // Told by a version that knew no addresses.
        assert!(step(Some(1), "https://ca.example/tos-1") > 1);
    }
}

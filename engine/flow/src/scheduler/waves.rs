//! Who begins at once, and who waits for those in front.
//!
//! Many certificates are worked on at the same time, and what an order needs of a limit is taken when it
//! is placed, behind look-ups that take as long as they take. Where a CA's limit is enough for all, nobody
//! minds. Where it is not, those in front of the row would lose to whoever has the fastest name server.

use std::collections::BTreeMap;

use waxwing_core::ca::limits::LimitKind;
use waxwing_core::name::CaName;

use super::{Job, Shift};
use crate::budget;

/// What a CA still allows: orders, and names in them.
#[derive(Debug, Clone, Copy)]
struct Rest {
    orders: u32,
    names: u32,
}

impl Shift<'_> {
    /// The jobs with their places: first those for which their CA has something left, then the others.
    pub(super) fn waves<'j>(&self, jobs: &'j [Job]) -> [Vec<(usize, &'j Job)>; 2] {
        let mut waves = [Vec::new(), Vec::new()];
        let mut left: BTreeMap<&CaName, Rest> = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            let ca = job.certificate.cas.first().filter(|_| !self.rehearsal);
            let first = ca.is_none_or(|ca| {
                let rest = left.entry(ca).or_insert_with(|| self.rest(ca));
                let names = u32::try_from(job.certificate.domains.len()).unwrap_or(u32::MAX);
                let (orders, names) = (rest.orders.checked_sub(1), rest.names.checked_sub(names));
                // Whoever finds too little lets nobody pass: all behind him are less urgent.
                let (orders, names, enough) = match (orders, names) {
                    (Some(orders), Some(names)) => (orders, names, true),
                    _ => (0, 0, false),
                };
                *rest = Rest { orders, names };
                enough
            });
            waves[usize::from(!first)].push((index, job));
        }
        waves
    }

    fn rest(&self, ca: &CaName) -> Rest {
        let mut rest = Rest {
            orders: u32::MAX,
            names: u32::MAX,
        };
        let Some(profile) = self.settings.cas.get(ca) else {
            return rest;
        };
        // What cannot be read holds nobody.
        let all = budget::left(self.history(), profile, &[], self.now()).unwrap_or_default();
        for one in all {
            match one.kind {
                LimitKind::Orders => rest.orders = one.left,
                LimitKind::Authorizations => rest.names = one.left,
                _ => {}
            }
        }
        rest
    }
}

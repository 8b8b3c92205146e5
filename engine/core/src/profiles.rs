//! The shipped CA profiles: the files of `engine/core/profiles`, embedded by the build script.
//!
//! The file's name is the CA's name. No name of a CA stands in source.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::ca::profile::{self, Reader};
use crate::ca::{
    AriUse, CaProfile, ChallengeRetry, Eab, EabSource, Lifetime, NameLimits, Poll, Quirks, Rate,
};
use crate::document::problem::Problems;
use crate::document::section::{KeyPath, Section};
use crate::document::{self, Place};
use crate::name::CaName;

/// Name and text of every file, sorted by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// The file whose fields every other one starts from.
pub const TEMPLATE: &str = "private";

/// Every shipped profile, without the template.
pub fn shipped() -> BTreeMap<CaName, CaProfile> {
    let start = template();
    let others = FILES.iter().filter(|(name, _)| *name != TEMPLATE);
    others
        .filter_map(|(file, text)| {
            let name = CaName::parse(file).ok()?;
            let profile = CaProfile {
                name: name.clone(),
                ..start.clone()
            };
            Some((name, read(profile, file, text, &Problems::default())))
        })
        .collect()
}

/// What a CA starts from that the operator defines.
pub fn template() -> CaProfile {
    let text = FILES.iter().find(|(name, _)| *name == TEMPLATE);
    let text = text.map_or("", |(_, text)| text);
    read(blank(), TEMPLATE, text, &Problems::default())
}

/// Reads one file on top of `profile`. A test of this module keeps the files free of mistakes, so
/// that nobody has to handle any.
fn read(mut profile: CaProfile, name: &str, text: &str, problems: &Problems) -> CaProfile {
    let file: Arc<Path> = Arc::from(Path::new(name));
    let table = document::parse(&file, text, problems);
    let path = KeyPath::root().below("ca").below(name);
    let section = Section::new(&table, Place::start_of(name), path, problems);
    let reader = Reader {
        origin: |_: &Place| "shipped".to_owned(),
        folder: |_: &Place| Path::new(""),
    };
    profile::apply(&mut profile, section, &reader);
    profile
}

/// A profile without a single fact in it; the template gives each field its value.
fn blank() -> CaProfile {
    CaProfile {
        name: CaName::parse(TEMPLATE).expect("a plain word is a name"),
        title: String::new(),
        directories: Vec::new(),
        staging: false,
        rehearse_at: None,
        trust: None,
        eab: Eab {
            required: false,
            single_use: false,
            ttl: None,
            source: EabSource::None,
            offers: Vec::new(),
        },
        caa: Vec::new(),
        ari: AriUse {
            enabled: false,
            replaces: false,
            hosts: Vec::new(),
        },
        profile: None,
        preferred_chain: None,
        lifetime: Lifetime::default(),
        names: NameLimits {
            max: 1,
            wildcard: false,
            idn: false,
            max_labels: None,
        },
        cert_keys: Vec::new(),
        rate: Rate {
            per_second: None,
            burst: 1,
            concurrent_orders: 1,
            concurrent_requests: 1,
        },
        limits: BTreeMap::new(),
        poll: Poll {
            first: std::time::Duration::ZERO,
            max: std::time::Duration::ZERO,
            order: std::time::Duration::ZERO,
            retry_after_cap: std::time::Duration::ZERO,
        },
        quirks: Quirks {
            contact_required: false,
            key_change: false,
            account_keys: Vec::new(),
            challenge_retry: ChallengeRetry::Server,
            wrong_ending: None,
            formerly: Vec::new(),
        },
        may_charge: false,
        fallback: false,
        default_rank: None,
        origin: BTreeMap::new(),
        notes: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_without_a_mistake_and_is_complete() {
        for (name, text) in FILES {
            let problems = Problems::default();
            let profile = read(blank(), name, text, &problems);
            assert_eq!(problems.into_list(), [], "{name}");
            assert!(CaName::parse(name).is_ok(), "{name}");
            assert!(profile.names.max > 1, "{name}");
            assert!(!profile.poll.order.is_zero(), "{name}");
            if *name != TEMPLATE {
                assert!(!profile.directories.is_empty(), "{name}");
                assert!(profile.notes.contains_key("checked"), "{name}");
            }
        }
        assert!(FILES.len() > 1);
    }

    #[test]
    fn the_default_list_is_free_and_usable_without_credentials_of_the_operator() {
        let profiles = shipped();
        let ranked: Vec<_> = profiles
            .values()
            .filter(|p| p.default_rank.is_some())
            .collect();
        assert_eq!(ranked.len(), 2);
        for profile in ranked {
            assert!(!profile.may_charge && profile.fallback && !profile.staging);
            let by_mail = profile
                .eab
                .offers
                .iter()
                .any(|offer| offer.wants("{email}"));
            assert!(!profile.eab.required || by_mail, "{}", profile.name);
        }
    }

    #[test]
    fn what_may_charge_or_serves_nobody_is_no_fallback() {
        for profile in shipped().values() {
            if profile.may_charge || profile.staging {
                assert!(!profile.fallback, "{}", profile.name);
            }
        }
    }

    #[test]
    fn rehearsals_happen_at_a_shipped_staging() {
        let profiles = shipped();
        for profile in profiles.values() {
            let at = profile
                .rehearse_at
                .as_ref()
                .and_then(|name| profiles.get(name));
            assert!(at.is_some_and(|at| at.staging), "{}", profile.name);
        }
    }
}

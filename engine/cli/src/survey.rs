//! What is configured, what is stored, what earlier runs have learnt, and what follows: the plan that
//! `plan`, `status` and `renew` share. Nothing here needs a network.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::{self, Choice, Next, PassedOver, Question, Standing};
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::outage::Down;
use waxwing_core::plan::order::{self, Place, place};
use waxwing_core::plan::{self, Action, Asker, Circumstances, Item, Plan, Stored, hold};
use waxwing_core::retry::ladder;
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::Timestamp;
use waxwing_flow::ahead;
use waxwing_flow::budget;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::history::{self, Past};
use waxwing_flow::ports::{CertificateStore as _, History, StoreError, StoreErrorKind};
use waxwing_flow::scheduler::{self, Force, Job, Orders};
use waxwing_io::store::FileStore;

use crate::load::Loaded;
use crate::wire;

mod behind;
mod includes;
mod left;

pub(crate) use self::behind::left_behind;
pub(crate) use self::includes::{emptied, keep_includes, lost, stored_of_the_lost};
use self::left::inherited;

/// The plan and what it was made from.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What a run would do.
    pub(crate) plan: Plan,
    /// What is stored, by name.
    pub(crate) inventory: BTreeMap<CertificateName, InventoryEntry>,
    /// What earlier runs have learnt, by name.
    pub(crate) pasts: BTreeMap<CertificateName, Past>,
    /// Since when CAs have been seen to be down.
    pub(crate) down_since: BTreeMap<CaName, Down>,
    /// When this machine began to reach nobody (true), and when it reached somebody again.
    pub(crate) reached: Vec<(Timestamp, bool)>,
    /// What of certificates cannot be read. A run leaves those alone that a newer version has written,
    /// and issues those anew that are damaged.
    pub(crate) broken: Vec<StoreError>,
    /// True if nothing is known of what was tried and issued, so that no limit can be kept.
    pub(crate) without_history: bool,
    /// Stored certificates that patterns of `include` have lost: nobody has taken them out.
    pub(crate) lost: BTreeSet<CertificateName>,
    /// Certificates whose place is taken by another one that ends soon.
    pub(crate) running_out: Vec<CertificateName>,
    /// True if the plan takes it that CAA says what it said to the last run.
    pub(crate) foresees: bool,
}

/// Reads the store and the history, and plans.
pub(crate) fn survey(
    loaded: &Loaded,
    store: &FileStore,
    history: &dyn History,
    asker: Asker,
    now: Timestamp,
) -> Result<Survey, StoreError> {
    planned(loaded, store, history, (asker, now), false)
}

/// The same for those who tell what the next run will do: it will look at CAA, and is taken to find what the
/// last one found.
pub(crate) fn foresee(
    loaded: &Loaded,
    store: &FileStore,
    history: &dyn History,
    asker: Asker,
    now: Timestamp,
) -> Result<Survey, StoreError> {
    planned(loaded, store, history, (asker, now), true)
}

fn planned(
    loaded: &Loaded,
    store: &FileStore,
    history: &dyn History,
    (asker, now): (Asker, Timestamp),
    foresees: bool,
) -> Result<Survey, StoreError> {
    let mut broken: Vec<StoreError> = history.missing().into_iter().collect();
    let without_history = !broken.is_empty();
    let readable = store
        .inventory()?
        .into_iter()
        .filter_map(|entry| match entry {
            // The journal of a rehearsal is no certificate.
            Ok(entry) if entry.current.is_none() && scheduler::is_rehearsal(&entry.certificate) => {
                None
            }
            Ok(entry) => {
                // What nobody wants any more is kept, and needs nobody.
                let mut wanted = loaded.settings.certificates.iter();
                if entry.damage.is_some() && wanted.any(|one| one.name == entry.certificate) {
                    broken.extend(entry.damage.clone());
                }
                Some((entry.certificate.clone(), entry))
            }
            Err(error) => {
                broken.push(error);
                None
            }
        });
    // At once: put in one by one, they would leave every second place in the map empty.
    let mut inventory: BTreeMap<CertificateName, InventoryEntry> = readable.collect();
    let pasts = history.pasts(now)?;
    for (name, life) in inherited(&inventory, &loaded.settings.certificates, &pasts, now) {
        let entry = inventory.entry(name.clone());
        entry
            .or_insert_with(|| InventoryEntry::none(name, None))
            .in_place = Some(life);
    }
    broken.extend(behind(&inventory, loaded, store, now));
    let lost = stored_of_the_lost(&inventory, loaded, store);
    broken.extend(emptied(&lost, loaded));
    let lost = lost.into_iter().flat_map(|(_, entries)| entries);
    let lost = lost.map(|entry| entry.certificate.clone()).collect();
    let none = Past::default();
    let mut stored: Vec<Stored> = inventory
        .values()
        .map(|entry| {
            let past = pasts.get(&entry.certificate).unwrap_or(&none);
            history::stored(entry, past)
        })
        .collect();
    // What failed before anything was stored has a past, too.
    let configured = loaded.settings.certificates.iter().map(|one| &one.name);
    let unstored = configured.filter(|name| !inventory.contains_key(*name));
    stored.extend(unstored.filter_map(|name| Some(history::unstored(name, pasts.get(name)?))));
    let down_since = history.down_since()?;
    let reached = history.reached(now - ladder::GAP)?;
    // What is limited for the whole account.
    let cas: Vec<CaName> = loaded.settings.cas.keys().cloned().collect();
    let spent = budget::spent(history, &loaded.settings.cas, &cas, &[], now);
    let circumstances = Circumstances {
        digests: &digests(&loaded.settings),
        down_since: &down_since,
        reached: &reached,
        spent: &spent,
        forbidden: &BTreeMap::new(),
        asker,
        now,
    };
    let mut plan = plan::plan(&loaded.settings, &stored, &circumstances);
    let looks = (history, foresees);
    limits_on_names(&loaded.settings, looks, &stored, &circumstances, &mut plan);
    let ends = |one: &&CertificateSettings| {
        let entry = inventory.get(&one.name);
        entry.is_some_and(|entry| entry.in_use_ends(one, now).is_some())
    };
    let running_out = loaded.settings.certificates.iter().filter(ends);
    let running_out = running_out.map(|one| one.name.clone()).collect();
    Ok(Survey {
        lost,
        running_out,
        plan,
        inventory,
        pasts,
        down_since,
        reached,
        broken,
        without_history,
        foresees,
    })
}

/// Plans anew what would be asked for now, with what its names leave of the limits as well: as a run does.
fn limits_on_names(
    settings: &Settings,
    (history, foresees): (&dyn History, bool),
    stored: &[Stored],
    circumstances: &Circumstances<'_>,
    plan: &mut Plan,
) {
    let stored: BTreeMap<_, _> = stored.iter().map(|one| (&one.name, one)).collect();
    // The plan begins with what is configured, in its order.
    for (certificate, item) in settings.certificates.iter().zip(&mut plan.items) {
        let asks = matches!(item.action, Action::Renew { .. } | Action::Issue(_));
        if !asks || item.name != certificate.name {
            continue;
        }
        let (cas, names) = (&certificate.cas, &certificate.domains);
        let now = circumstances.now;
        let spent = budget::spent(history, &settings.cas, cas, names, now);
        let forbidden = if foresees {
            budget::forbidden(history, cas, certificate, now)
        } else {
            BTreeMap::new()
        };
        let circumstances = Circumstances {
            spent: &spent,
            forbidden: &forbidden,
            ..*circumstances
        };
        let stored = stored.get(&certificate.name).copied();
        *item = plan::item(settings, certificate, stored, &circumstances);
    }
}

/// What is wrong if this machine's clock is behind: nothing is due by it, whatever runs out meanwhile.
pub(crate) fn behind(
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
    loaded: &Loaded,
    store: &FileStore,
    now: Timestamp,
) -> Option<StoreError> {
    let name = ahead::is_behind(inventory.values(), now)?;
    let from = inventory.get(name)?.current.as_ref()?.facts.not_before;
    let mut configured = loaded.settings.certificates.iter();
    let command = match configured.any(|one| one.name == *name) {
        true => format!("waxwing renew {name} --force"),
        // What left the configuration is not renewed.
        false => format!("waxwing forget {name}"),
    };
    Some(StoreError {
        kind: StoreErrorKind::Clock,
        act: "match the clock with",
        path: store.root().join("certificates").join(name.as_str()),
        causes: vec![format!(
            "the certificate is valid from {from} by its CA's clock, and the clock of this machine shows {now}"
        )],
        hint: Some(format!(
            "set the clock, and have it kept right (NTP); `waxwing check` compares it with those of the CAs. If it \
             was the CA's that was wrong: {command}"
        )),
    })
}

impl Survey {
    /// That of somebody who could read nothing, for these reasons.
    pub(crate) const fn of_nothing(broken: Vec<StoreError>) -> Self {
        Self {
            lost: BTreeSet::new(),
            plan: Plan { items: Vec::new() },
            inventory: BTreeMap::new(),
            pasts: BTreeMap::new(),
            down_since: BTreeMap::new(),
            reached: Vec::new(),
            broken,
            without_history: true,
            running_out: Vec::new(),
            foresees: false,
        }
    }

    /// True if something ends soon in the place of what was renewed.
    pub(crate) const fn runs_out(&self) -> bool {
        !self.running_out.is_empty()
    }

    /// What the plan was made from for this certificate; none if nothing is known of it.
    pub(crate) fn stored(&self, name: &CertificateName) -> Option<Stored> {
        let past = self.pasts.get(name);
        match self.inventory.get(name) {
            Some(entry) => Some(history::stored(entry, past.unwrap_or(&Past::default()))),
            None => Some(history::unstored(name, past?)),
        }
    }
}

/// How the CAs of a certificate's list stand, and which of them would be asked, chosen as a run
/// chooses it.
#[derive(Debug)]
pub(crate) struct Asking<'s> {
    /// The CAs in the order in which they are asked.
    pub(crate) list: Vec<CaName>,
    /// How each stands with the certificate.
    pub(crate) standings: BTreeMap<CaName, Standing>,
    /// Who would be asked, and who is passed over.
    pub(crate) choice: Choice<'s>,
    /// Those that are never asked, however the others stand.
    pub(crate) never: BTreeMap<CaName, PassedOver>,
}

/// Asks the policy about one certificate. None if it is not planned.
pub(crate) fn asking<'s>(
    loaded: &'s Loaded,
    survey: &Survey,
    history: &dyn History,
    certificate: &CertificateSettings,
    (asker, now): (Asker, Timestamp),
) -> Option<Asking<'s>> {
    let settings = &loaded.settings;
    let stored = survey.stored(&certificate.name);
    let stored = stored.as_ref();
    let mut items = survey.plan.items.iter();
    let action = &items.find(|item| item.name == certificate.name)?.action;
    let current = stored.and_then(|stored| stored.current.as_ref());
    let stood_in = current.and_then(plan::Current::stood_in);
    let list = choose::in_order(&certificate.cas, stood_in, settings.failover.fail_back);
    let forbidden = if survey.foresees {
        budget::forbidden(history, &list, certificate, now)
    } else {
        BTreeMap::new()
    };
    let circumstances = Circumstances {
        digests: &BTreeMap::new(),
        down_since: &survey.down_since,
        reached: &survey.reached,
        spent: &budget::spent(history, &settings.cas, &list, &certificate.domains, now),
        forbidden: &forbidden,
        asker,
        now,
    };
    let standings = hold::standings(&list, stored, action, &circumstances);
    let question = Question {
        list: &list,
        first: certificate.cas.first(),
        profiles: &settings.cas,
        names: &certificate.domains,
        key: certificate.key,
        standings: &standings,
        policy: settings.failover,
        haste: hold::haste(action),
        by_hand: asker.by_hand(),
        now,
    };
    let never = list.iter().filter_map(|name| {
        let why = choose::hinders(&question, settings.cas.get(name)?)?;
        Some((name.clone(), why))
    });
    Some(Asking {
        never: never.collect(),
        choice: choose::next(&question),
        standings,
        list,
    })
}

/// The CA that a person's run would ask first for a certificate; none if it would ask nobody.
pub(crate) fn asked_first<'s>(
    loaded: &'s Loaded,
    survey: &Survey,
    history: &dyn History,
    certificate: &CertificateSettings,
    now: Timestamp,
) -> Option<&'s CaProfile> {
    let asking = asking(loaded, survey, history, certificate, (Asker::Person, now))?;
    match asking.choice.next {
        Next::Ask { ca, .. } => Some(ca),
        // It says itself when it may be asked again.
        Next::Wait { .. } | Next::Nobody => asking
            .list
            .first()
            .and_then(|ca| loaded.settings.cas.get(ca)),
    }
}

/// Digest of each installer's configuration.
pub(crate) fn digests(settings: &Settings) -> BTreeMap<PluginName, String> {
    settings
        .plugins
        .iter()
        .map(|(name, plugin)| (name.clone(), wire::digest(plugin)))
        .collect()
}

/// What a run is asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// Only these; empty for all.
    pub(crate) names: &'a BTreeSet<CertificateName>,
    /// Whether certificates are ordered that are not due.
    pub(crate) force: Force,
    /// At staging CAs, nothing stored.
    pub(crate) rehearsal: bool,
    /// Who asks.
    pub(crate) asker: Asker,
    /// When.
    pub(crate) now: Timestamp,
}

/// What a run does about a plan.
pub(crate) fn orders(survey: &Survey, settings: &Settings, wish: Wish<'_>) -> Orders {
    let wanted = |name: &CertificateName| wish.names.is_empty() || wish.names.contains(name);
    let ordered = |item: &&Item| {
        let asked = (wish.force != Force::No || wish.rehearsal)
            && !matches!(item.action, Action::Gone { .. });
        asked || item.is_ordered() && (!survey.without_history || item.is_urgent())
    };
    let place = |item: &Item| {
        let stored = survey.stored(&item.name);
        let ends = stored.as_ref().and_then(Stored::ends);
        let current = stored.and_then(|stored| stored.current);
        let suggestion = current.and_then(|current| current.suggestion);
        let past = survey.pasts.get(&item.name);
        let failures = past.map_or(0, |past| past.failed.len());
        place(&item.action, ends, suggestion.as_ref(), failures)
    };
    let places: BTreeMap<&CertificateName, Place> = survey
        .plan
        .items
        .iter()
        .filter(ordered)
        .map(|item| (&item.name, place(item)))
        .collect();
    let pressing = places
        .iter()
        .filter(|(_, place)| place.is_pressing(wish.now));
    let mut pressing: BTreeSet<CertificateName> =
        pressing.map(|(name, _)| (*name).clone()).collect();
    // Renewed before, and not installed.
    let behind = settings.certificates.iter().filter(|certificate| {
        let entry = survey.inventory.get(&certificate.name);
        let in_use = entry.and_then(|entry| entry.in_use(certificate));
        in_use.is_some_and(|it| order::is_pressing(it.not_after, wish.now))
    });
    pressing.extend(behind.map(|certificate| certificate.name.clone()));
    let mut jobs: Vec<Job> = settings
        .certificates
        .iter()
        .filter(|certificate| wanted(&certificate.name) && places.contains_key(&certificate.name))
        .map(|certificate| Job {
            certificate: certificate.clone(),
            seen: survey
                .inventory
                .get(&certificate.name)
                .and_then(|entry| entry.current.as_ref())
                .map(|current| current.version),
            force: wish.force,
        })
        .collect();
    jobs.sort_by_key(|job| places.get(&job.certificate.name).copied());
    let install = settings
        .certificates
        .iter()
        .map(|certificate| certificate.name.clone())
        .filter(|name| wanted(name))
        .collect();
    let elsewhere = survey.inventory.values().filter_map(|entry| {
        let life = entry.in_place.filter(|_| entry.damage.is_none())?;
        Some((entry.certificate.clone(), life))
    });
    Orders {
        jobs,
        pressing,
        in_place: elsewhere.collect(),
        install,
        rehearsal: wish.rehearsal,
        asker: wish.asker,
    }
}

//! Makes what the daemon shows, from what is stored.

use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::settings::CertificatesByName;
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::{CertificateStore, StoreError};
use waxwing_flow::terms;
use waxwing_io::history::{SqliteHistory, Wanted};
use waxwing_io::notify;

use crate::commands::status::{failing, stood_in};
use crate::commands::{ca, metrics};
use crate::load::Loaded;
use crate::render::overview::{OverviewView, TRIES, page};
use crate::render::page::Context;
use crate::render::status::{Around, StatusView};
use crate::survey::Survey;

/// What the daemon knows and nobody else.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What is next, and when.
    pub(super) next: Option<(Timestamp, String)>,
    /// When the last pass ended, and whether all was well.
    pub(super) run: Option<(Timestamp, bool)>,
}

/// The figures and the page.
pub(super) fn draw(
    loaded: &Loaded,
    store: &dyn CertificateStore,
    history: &SqliteHistory,
    seen: &Survey,
    known: &Known,
    context: &Context,
) -> Result<(String, String), String> {
    let now = context.now;
    let read = |error: StoreError| error.to_string();
    let figures = metrics::figures(loaded, history, seen, known.run, now)
        .map_err(|cause| cause.to_string())?;
    let used: Vec<CaName> = loaded.settings.used_cas();
    let profiles = used.iter().filter_map(|ca| loaded.settings.cas.get(ca));
    let profiles: Vec<&CaProfile> = profiles.collect();
    let watched =
        ca::watched(history, store, &loaded.settings, &profiles, &[], now).map_err(read)?;
    let records = history
        .records(&Wanted {
            certificate: None,
            since: Timestamp::from_unix(0),
            failed: false,
            most: TRIES,
        })
        .map_err(read)?;
    let view = OverviewView {
        status: StatusView {
            pasts: &seen.pasts,
            now,
            plan: &seen.plan,
            inventory: &seen.inventory,
            certificates: CertificatesByName::new(&loaded.settings.certificates),
            failing: failing(history, &loaded.settings.certificates, &seen.inventory),
            stood_in: stood_in(history, &seen.inventory),
            broken: &seen.broken,
            version: env!("CARGO_PKG_VERSION"),
            around: Around {
                terms: terms::all(store, &loaded.settings).unwrap_or_else(|error| {
                    tracing::warn!(cause = %error, "the terms of the CAs could not be read");
                    Vec::new()
                }),
                ..Around::default()
            },
        },
        watched: &watched,
        records: &records,
        next: known.next.clone(),
        host: &notify::host_name(),
    };
    Ok((figures, page(&view, context)))
}

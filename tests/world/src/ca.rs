//! A certificate authority that speaks ACME and takes nothing on trust.
//!
//! RFC 8555 with external account binding, profiles and renewal information (RFC 9773). It follows
//! Pebble 2.10 where the RFC leaves room (JSON fields, error types, order of checks), so that a
//! scenario can be played on both, and adds what Pebble cannot do: faults, chosen renewal windows,
//! finalization at once or after a chosen time, and chance that repeats with a seed.
//!
//! dns-01 is validated by asking every name server of the world, so a client that starts a
//! challenge before all of them show the record fails here as it would in the field.

mod account;
mod authority;
mod authorization;
mod certificate;
mod door;
mod jose;
mod ledger;
mod order;
mod problem;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::response::Response;
use http::{HeaderValue, Method};

use crate::World;
use crate::fault::{Fault, Faults};
use crate::guarded::Guarded;
use crate::server::{Https, Place, Setup};
use crate::traffic::{Class, Traffic};
use authority::Authority;
use ledger::Ledger;

pub use ledger::Status;
pub(crate) use ledger::token;

/// A running CA; dropping it closes its port.
#[derive(Debug)]
pub struct Ca {
    office: Arc<Office>,
    https: Https,
}

/// How a CA differs from the plainest one.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is; without it, at a port on loopback.
    pub place: Option<Place>,
    /// The name in its issuing certificates.
    pub name: String,
    /// The directory's path. Other resources have paths of their own, which nobody may guess.
    pub directory_path: String,
    /// How it answers a finalize request.
    pub finalize: Finalize,
    /// How long a validation takes before the name servers are asked.
    pub validation_delay: Duration,
    /// The `Retry-After` of everything that is in progress; `None` leaves it out.
    pub retry_after: Option<RetryAfter>,
    /// The profiles it offers; without any, the directory does not speak of profiles.
    pub profiles: Vec<Profile>,
    /// Whether an account needs credentials from elsewhere.
    pub external_account: ExternalAccount,
    /// Whether it hands out such credentials itself, as some CAs do over an API of their own.
    pub credentials: Option<Credentials>,
    /// How many of a hundred valid authorizations are used again.
    pub authz_reuse: u8,
    /// How many of a hundred good nonces are refused.
    pub nonce_reject: u8,
    /// Decides every chance.
    pub seed: u64,
    /// Life of a certificate when no profile says otherwise.
    pub lifetime: Duration,
    /// How many roots can be chosen from besides the first.
    pub alternate_roots: usize,
    /// Where renewal information is asked for.
    pub renewal_info: RenewalInfoAt,
    /// Whether `notBefore` and `notAfter` in an order are honoured or refused.
    pub dates: Dates,
    /// The most names in an order.
    pub max_names: usize,
    /// Names it never issues for, with everything below them.
    pub blocked: Vec<String>,
    /// The issuer names it looks for in CAA records; without any, CAA is not asked for.
    pub caa: Vec<String>,
    /// Whether a second order for the same names gives the pending or ready one again.
    pub repeats_orders: bool,
    /// Whether a second order that replaces a certificate is refused while the first one is open,
    /// as one public CA does, or only once it has its certificate, as Pebble does.
    pub blocks_second_replacement: bool,
    /// Whether a path that is not there is 403 rather than 404, as at the CA whose directory was
    /// guessed in vain.
    pub forbids_unknown_paths: bool,
    /// Whether a client that asks for the `clientAuth` key usage is refused.
    pub refuses_client_auth: bool,
    /// Whether the directory carries an entry with a random name, as one public CA does.
    pub random_entry: bool,
}

/// How a CA answers a finalize request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalize {
    /// With a valid order.
    AtOnce,
    /// With `processing`, for this time.
    Processing(Duration),
    /// With `processing`, and so do this many reads of the order; needs no clock.
    ProcessingReads(usize),
    /// With `processing`, for ever.
    Never,
    /// With `processing`, and then the order is invalid, with or without an error.
    Fails {
        /// Whether the order says why.
        with_error: bool,
    },
}

/// A `Retry-After` header, in either of its forms (RFC 9110 section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// A date this far ahead.
    Date(Duration),
}

/// A certificate profile (draft-ietf-acme-profiles).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name in orders.
    pub name: String,
    /// Its text in the directory.
    pub description: String,
    /// Life of its certificates.
    pub lifetime: Duration,
}

/// Whether an account needs an external account binding (RFC 8555 section 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalAccount {
    /// No; one that is sent is still checked.
    NotRequired,
    /// Yes.
    Required {
        /// MAC keys by identifier, as raw bytes.
        keys: Vec<(String, Vec<u8>)>,
        /// Whether a key is good for one account only.
        single_use: bool,
    },
}

/// An API that hands out external account credentials: `POST /acme/eab-credentials?access_key=…`,
/// or, there and at `/acme/eab-credentials-email`, with the form field `email` where no access key is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key it asks for.
    pub access_key: Option<String>,
}

/// Where the directory says renewal information is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewalInfoAt {
    /// At this CA.
    Here,
    /// Nowhere: the CA has none.
    Absent,
    /// At this URL.
    Elsewhere(String),
}

/// What happens to dates in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// They are honoured.
    Honoured,
    /// The order is refused.
    Refused,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            place: None,
            name: "World".to_owned(),
            directory_path: "/directory".to_owned(),
            finalize: Finalize::AtOnce,
            validation_delay: Duration::ZERO,
            retry_after: None,
            profiles: Vec::new(),
            external_account: ExternalAccount::NotRequired,
            credentials: None,
            authz_reuse: 0,
            nonce_reject: 0,
            seed: 1,
            lifetime: Duration::from_secs(90 * 24 * 3600),
            alternate_roots: 0,
            renewal_info: RenewalInfoAt::Here,
            dates: Dates::Honoured,
            max_names: 100,
            blocked: Vec::new(),
            caa: Vec::new(),
            repeats_orders: false,
            blocks_second_replacement: false,
            forbids_unknown_paths: false,
            refuses_client_auth: false,
            random_entry: true,
        }
    }
}

/// An answer of the renewal information endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalInfo {
    /// The body, well-formed or not.
    pub body: String,
    /// The `Retry-After` header.
    pub retry_after: Option<RetryAfter>,
}

impl RenewalInfo {
    /// A well-formed answer that suggests the window from `start` to `end`.
    pub fn window(start: SystemTime, end: SystemTime) -> Self {
        let window = serde_json::json!({
            "suggestedWindow": { "start": ledger::rfc3339(start), "end": ledger::rfc3339(end) },
        });
        Self {
            body: window.to_string(),
            retry_after: Some(RetryAfter::Seconds(6 * 3600)),
        }
    }
}

/// A certificate that was issued, for a test to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The names in it.
    pub names: Vec<String>,
    /// The leaf alone.
    pub pem: String,
    /// Its identifier for renewal information and `replaces`.
    pub renewal_id: String,
    /// The reason code, once it is revoked.
    pub revoked: Option<u64>,
    /// Whether a later order has replaced it.
    pub replaced: bool,
}

/// An order, for a test to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderState {
    /// Its identifiers.
    pub names: Vec<String>,
    /// Its status now.
    pub status: Status,
    /// Its profile.
    pub profile: Option<String>,
    /// The certificate it replaces.
    pub replaces: Option<String>,
}

impl Ca {
    /// Starts a CA that validates against the world's name servers.
    ///
    /// # Errors
    /// When no port can be bound or no key generated.
    pub fn start(world: &World, options: Options) -> io::Result<Self> {
        let authority = Authority::new(&options.name, options.alternate_roots + 1)?;
        let keys = match &options.external_account {
            ExternalAccount::NotRequired => BTreeMap::new(),
            ExternalAccount::Required { keys, .. } => keys.iter().cloned().collect(),
        };
        let office = Arc::new(Office {
            ledger: Guarded::new(Ledger::new(options.seed, keys)),
            authority,
            name_servers: world.dns().servers().to_vec(),
            renewal_info: Guarded::default(),
            terms_changed: Guarded::default(),
            terms_announced: Guarded::default(),
            options,
        });
        let nonces = Arc::clone(&office);
        let paths = office.options.directory_path.clone();
        let setup = Setup {
            classify: Arc::new(move |method, path| classify(&paths, method, path)),
            complete: Some(Arc::new(move |class, method, response| {
                nonces.add_nonce(class, method, response);
            })),
            ..Setup::at(office.options.place.as_ref())
        };
        let router = Router::new()
            .fallback(door::serve)
            .with_state(Arc::clone(&office));
        Ok(Self {
            office,
            https: Https::start_with(world, router, setup)?,
        })
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("{}{}", self.https.url(), self.office.options.directory_path)
    }

    /// `https://host:port`, for paths beside the directory.
    pub fn url(&self) -> String {
        self.https.url()
    }

    /// The root of the default chain (0) or of an alternate one, as PEM.
    pub fn root_pem(&self, nth: usize) -> Option<String> {
        self.office.authority.root_pem(nth)
    }

    /// Sorts the paths of its resources, as [`Fault`]s see them.
    pub fn classifier(&self) -> impl Fn(&str) -> Class + Send + Sync + use<> {
        let directory = self.office.options.directory_path.clone();
        move |path| classify(&directory, &Method::GET, path)
    }

    /// What it was asked.
    pub fn traffic(&self) -> &Traffic {
        self.https.traffic()
    }

    /// What it still gets wrong.
    pub fn faults(&self) -> &Faults {
        self.https.faults()
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.https.faults().add(fault);
    }

    /// Forgets all nonces, as a restart does.
    pub fn forget_nonces(&self) {
        self.office.ledger.with(|ledger| ledger.nonces.clear());
    }

    /// Dates certificates from now on by a clock that is so far behind, as if they had been issued then.
    pub fn turn_clock_back(&self, by: Duration) {
        self.office.ledger.with(|ledger| ledger.behind = by);
    }

    /// Lets all pending and valid authorizations run out.
    pub fn expire_authorizations(&self) {
        self.office.ledger.with(|ledger| {
            for authorization in ledger.authorizations.values_mut() {
                authorization.expires = SystemTime::UNIX_EPOCH;
            }
        });
    }

    /// Names other terms in its directory from now on. Nobody is refused for it.
    pub fn announce_terms(&self) {
        self.office
            .terms_announced
            .with(|announced| *announced = true);
    }

    /// Refuses every account until its owner has agreed to new terms, which nobody can here.
    pub fn change_terms(&self) {
        self.office.terms_changed.with(|changed| *changed = true);
    }

    /// Answers with this for every certificate, or as usual after `None`.
    pub fn set_renewal_info(&self, answer: Option<RenewalInfo>) {
        self.office
            .renewal_info
            .with(|answers| answers.for_all = answer);
    }

    /// Answers with this for the certificate with that identifier.
    pub fn set_renewal_info_of(&self, renewal_id: &str, answer: RenewalInfo) {
        self.office
            .renewal_info
            .with(|answers| answers.by_id.insert(renewal_id.to_owned(), answer));
    }

    /// How many accounts it has, deactivated ones included.
    pub fn accounts(&self) -> usize {
        self.office.ledger.with(|ledger| ledger.accounts.len())
    }

    /// The contacts of all accounts that are not deactivated.
    pub fn contacts(&self) -> Vec<String> {
        self.office.ledger.with(|ledger| {
            let active = ledger
                .accounts
                .values()
                .filter(|account| !account.deactivated);
            active.flat_map(|account| account.contact.clone()).collect()
        })
    }

    /// All orders, in no particular sequence.
    pub fn orders(&self) -> Vec<OrderState> {
        self.office.ledger.with(|ledger| {
            let state = |order: &ledger::Order| OrderState {
                names: order.names.clone(),
                status: ledger.status(order),
                profile: order.profile.clone(),
                replaces: order.replaces.clone(),
            };
            ledger.orders.values().map(state).collect()
        })
    }

    /// How many authorizations wait for a client.
    pub fn pending_authorizations(&self) -> usize {
        self.office.ledger.with(|ledger| {
            let all = ledger.authorizations.values();
            all.filter(|one| one.status() == Status::Pending).count()
        })
    }

    /// Whether it is looking at a record at the moment, for who has no time to look again and again.
    pub fn looking(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let office = Arc::clone(&self.office);
        move || {
            office.ledger.with(|ledger| {
                let mut all = ledger
                    .authorizations
                    .values()
                    .flat_map(|one| &one.challenges);
                all.any(|challenge| challenge.status == Status::Processing)
            })
        }
    }

    /// All certificates, in no particular sequence.
    pub fn certificates(&self) -> Vec<Issued> {
        self.office.ledger.with(|ledger| {
            let view = |certificate: &ledger::Certificate| Issued {
                names: certificate.names.clone(),
                pem: certificate.pem.clone(),
                renewal_id: certificate.renewal_id.clone(),
                revoked: certificate.revoked,
                replaced: certificate.replaced,
            };
            ledger.certificates.values().map(view).collect()
        })
    }
}

/// The CA behind its door.
pub(crate) struct Office {
    pub(crate) ledger: Guarded<Ledger>,
    pub(crate) authority: Authority,
    pub(crate) options: Options,
    pub(crate) name_servers: Vec<SocketAddr>,
    pub(crate) renewal_info: Guarded<RenewalAnswers>,
    pub(crate) terms_changed: Guarded<bool>,
    pub(crate) terms_announced: Guarded<bool>,
}

/// What tests want the renewal information endpoint to say.
#[derive(Debug, Default)]
pub(crate) struct RenewalAnswers {
    pub(crate) for_all: Option<RenewalInfo>,
    pub(crate) by_id: BTreeMap<String, RenewalInfo>,
}

impl Office {
    /// Nonces come with answers to POST requests and from the endpoint made for them.
    fn add_nonce(&self, class: Class, method: &Method, response: &mut Response) {
        if class != Class::NewNonce && (*method != Method::POST || class == Class::Credentials) {
            return;
        }
        // What is out of order here gives none either.
        if class == Class::NewNonce && !response.status().is_success() {
            return;
        }
        let nonce = self.ledger.with(Ledger::fresh_nonce);
        if let Ok(nonce) = HeaderValue::try_from(nonce) {
            response.headers_mut().insert("replay-nonce", nonce);
        }
    }
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn classify(directory: &str, method: &Method, path: &str) -> Class {
    if path == directory {
        return Class::Directory;
    }
    let Some(rest) = path.strip_prefix("/acme/") else {
        return Class::Other;
    };
    match rest.split('/').next().unwrap_or_default() {
        "new-nonce" => Class::NewNonce,
        "new-account" => Class::NewAccount,
        "account" | "orders" => Class::Account,
        "key-change" => Class::KeyChange,
        "new-order" => Class::NewOrder,
        "order" => Class::Order,
        "authorization" => Class::Authorization,
        "challenge" => Class::Challenge,
        "finalize" => Class::Finalize,
        "certificate" => Class::Certificate,
        "revoke-cert" => Class::Revoke,
        "renewal-info" if *method == Method::GET => Class::RenewalInfo,
        "eab-credentials" | "eab-credentials-email" => Class::Credentials,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests;

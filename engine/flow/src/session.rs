//! A conversation with one CA: its directory, our account there, and every request of a run.
//!
//! One session serves all certificates of a run, so that they share the connection, the nonces and
//! the CA's rate. The lock around the protocol state is never held while waiting.

mod credentials;
pub mod greeting;
mod opening;
mod registration;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use waxwing_acme::account::{Account, NewAccount};
use waxwing_acme::ari::{self, RenewalInfo};
use waxwing_acme::directory::Directory;
use waxwing_acme::error::AcmeErrorKind;
use waxwing_acme::jws::{Jwk, Signer};
use waxwing_acme::problem::ProblemKind;
use waxwing_acme::session::{Call, Credentials, Outcome, Prepared, Session};
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::budget::Bucket;
use waxwing_core::ca::CaProfile;
use waxwing_core::failure::FailureClass;
use waxwing_core::http::{Request, Response, TransportStage, without_query};
use waxwing_core::retry::Backoff;
use waxwing_core::settings::AccountSettings;

use self::opening::Opening;
pub(crate) use self::opening::{FRESH, lock_account};
use crate::certificate::CertificateFacts;
use crate::failure::{CaError, Failure};
use crate::heard::{Answer, Heard};
use crate::pace::Pace;
use crate::ports::{
    AccountRecord, Addresses, CertificateStore, Clock, Entropy, HttpClient, KeyMaker, Policy,
    SecretSource,
};
use crate::sent::Sent;
use crate::tally;

/// Longest answer of a CA.
const BODY_CAP: u64 = 1 << 20;

/// What a session needs from outside.
#[derive(Clone)]
pub struct SessionPorts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// HTTP.
    pub http: Arc<dyn HttpClient>,
    /// Keys.
    pub keys: Arc<dyn KeyMaker>,
    /// The state folder.
    pub store: Arc<dyn CertificateStore>,
    /// Secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// How we name ourselves.
    pub user_agent: UserAgent,
    /// Requests that were sent to each CA and are not written down yet.
    pub sent: Arc<Sent>,
}

/// After so many requests what is left of the CA's rate is written down: about once for each order.
const KEPT_EVERY: u64 = 8;

/// An open conversation with a CA, in the name of an account.
pub struct CaSession {
    with: Conversation,
    signer: Arc<dyn Signer>,
    account: String,
    from: AccountFrom,
    notes: Vec<String>,
}

/// Behind so many calls that failed in a row each further one has one try: thousands of certificates are due at
/// once after an outage, and what fails for one of them fails for the next.
const A_ROW: u32 = 8;

/// An open conversation with a CA, in nobody's name yet: the directory, the nonces, the rate.
pub(crate) struct Conversation {
    ports: SessionPorts,
    profile: CaProfile,
    policy: Policy,
    protocol: Mutex<Session>,
    pace: Mutex<Pace>,
    in_flight: Semaphore,
    requests: AtomicU64,
    /// Nonces that were refused in a row, over all calls.
    refused: AtomicU32,
    /// Calls that failed in a row in a way that passes, over all certificates of a run.
    failing: AtomicU32,
    /// How many of them the next run would know of if this one were killed now.
    kept: AtomicU64,
    /// True until an endpoint of a directory that was not asked for has been seen to work or not.
    copied: AtomicBool,
    /// Who is told of each answer.
    heard: Option<Arc<Heard>>,
    /// What should be looked at although the conversation is open: a directory that did not answer.
    note: Option<String>,
}

/// How a session came to its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountFrom {
    /// It was in the state folder.
    Stored,
    /// The CA knew it by its key.
    Found,
    /// It was registered for this session.
    Made,
}

/// Whether a call may be sent again although an earlier sending may have reached the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It only reads, or doing it twice is the same as once.
    Freely,
    /// It changes something: only if the CA cannot have seen it.
    IfUnseen,
    /// It does not matter enough.
    Never,
}

impl CaSession {
    /// Reads the directory and makes sure that there is an account at it.
    ///
    /// The account key is on disk before newAccount is sent, so that a lost answer or a crash
    /// finds the same account again.
    pub async fn open(
        ports: SessionPorts,
        profile: &CaProfile,
        account: &AccountSettings,
    ) -> Result<Self, Failure> {
        Self::open_heard(ports, profile, account, None).await
    }

    /// The same, and tells somebody of each answer.
    pub(crate) async fn open_heard(
        ports: SessionPorts,
        profile: &CaProfile,
        account: &AccountSettings,
        heard: Option<Arc<Heard>>,
    ) -> Result<Self, Failure> {
        let opening = Opening::new(&ports, profile, heard);
        let found = opening.directory(&profile.directories).await?;
        opening.ready(found, account).await
    }

    /// Opens the conversation of an account that is stored, at its own directory. The caller holds
    /// the lock of the account if a rollover of its key was left open.
    pub(crate) async fn of_account(
        ports: &SessionPorts,
        profile: &CaProfile,
        record: AccountRecord,
    ) -> Result<Self, Failure> {
        let opening = Opening::new(ports, profile, None);
        let directory = std::slice::from_ref(&record.directory);
        let found = opening.directory(directory).await?;
        opening.known(found, record).await
    }

    /// True if the last calls have failed in a way that passes, whichever certificates they were for.
    pub(crate) fn fails_in_a_row(&self) -> bool {
        self.with.fails_in_a_row()
    }

    /// The CA's profile.
    pub const fn profile(&self) -> &CaProfile {
        &self.with.profile
    }

    /// The account's URL.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// How the session came to its account.
    pub const fn account_from(&self) -> AccountFrom {
        self.from
    }

    /// What should be looked at, a sentence each: what the configuration says otherwise than the
    /// account, and a directory that did not answer.
    pub fn notes(&self) -> Vec<String> {
        let directory = self.with.note.iter();
        directory.chain(&self.notes).cloned().collect()
    }

    /// The account's public key.
    pub fn jwk(&self) -> Jwk {
        self.signer.jwk()
    }

    /// The directory that answered.
    pub fn directory(&self) -> Directory {
        self.with.directory()
    }

    /// Requests sent so far, look-ups of nonces included.
    pub fn requests(&self) -> u64 {
        self.with.requests.load(Ordering::Relaxed)
    }

    /// Counts the requests of an earlier run against the CA's rate.
    pub(crate) fn resume_pace(&self, kept: Bucket) {
        let now = self.with.ports.clock.now();
        let mut pace = self
            .with
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pace.resume(kept, now);
    }

    /// What the next run has to count of this one's requests, and of those of `found`, which is kept
    /// already.
    pub(crate) fn keep_pace(&self, found: Option<Bucket>) -> Option<Bucket> {
        let now = self.with.ports.clock.now();
        let mut pace = self
            .with
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pace.keep(found, now)
    }

    /// Whether that is worth writing down while the run goes on: so many requests were sent of which
    /// nobody else knows.
    pub(crate) fn pace_is_to_be_kept(&self) -> bool {
        let sent = self.requests();
        let kept = self.with.kept.load(Ordering::Relaxed);
        let many = sent.saturating_sub(kept) >= KEPT_EVERY;
        if many {
            self.with.kept.store(sent, Ordering::Relaxed);
        }
        many
    }

    /// The key that signs for the account.
    pub fn signer(&self) -> Arc<dyn Signer> {
        Arc::clone(&self.signer)
    }

    /// Asks the CA. Trouble that passes is waited out for a few seconds, within what `repeat`
    /// allows.
    pub async fn call<C: Call + Sync>(
        &self,
        call: &C,
        repeat: Repeat,
    ) -> Result<C::Reply, Failure> {
        let answer = self.ask(call, repeat).await;
        answer.map_err(|error| self.with.failed(C::NAME, error))
    }

    /// The same for a caller that looks at the error itself.
    pub(crate) async fn ask<C: Call + Sync>(
        &self,
        call: &C,
        repeat: Repeat,
    ) -> Result<C::Reply, CaError> {
        let signer = Arc::clone(&self.signer);
        let kid = Some(self.account.clone());
        self.with.call_as(call, repeat, signer, kid).await
    }

    /// The conversation, for calls that somebody else than the account signs.
    pub(crate) const fn conversation(&self) -> &Conversation {
        &self.with
    }

    /// What the CA advises about the renewal of one of its certificates (RFC 9773); none if it
    /// gives no such advice, or the certificate cannot be named to it.
    ///
    /// Advice is never worth a wait, so nothing is tried twice; [`ari::Term`] says when to ask again
    /// after an error.
    pub async fn renewal_info(
        &self,
        facts: &CertificateFacts,
    ) -> Result<Option<RenewalInfo>, CaError> {
        let Some(authority) = &facts.authority_key_id else {
            return Ok(None);
        };
        let directory = self.directory();
        let ari = &self.with.profile.ari;
        let Some(base) = directory.renewal_info.filter(|_| ari.enabled) else {
            return Ok(None);
        };
        if !ari.allows(&directory.url, &base) {
            tracing::warn!(ca = %self.with.profile.name, url = without_query(&base),
                "its advice on renewal is at a host that its profile does not name in ari.hosts");
            return Ok(None);
        }
        let id = ari::certificate_id(authority, &facts.serial);
        let request = ari::request(&base, &id, &self.with.ports.user_agent);
        let url = request.url.clone();
        let response = self.with.send(request).await?;
        ari::read(&url, &response)
            .map(Some)
            .map_err(CaError::Answer)
    }

    /// One request outside the signed protocol.
    pub async fn plain(&self, request: Request) -> Result<Response, CaError> {
        self.with.send(request).await
    }
}

impl Conversation {
    /// Reads the first of these directories that answers.
    pub(crate) async fn open(
        ports: &SessionPorts,
        profile: &CaProfile,
        directories: &[String],
    ) -> Result<Self, Failure> {
        let opening = Opening::new(ports, profile, None);
        let found = opening.directory(directories).await?;
        Ok(opening.conversation(found))
    }

    pub(crate) fn directory(&self) -> Directory {
        self.protocol().directory().clone()
    }

    /// The account of a key, whatever its status; none if the CA knows none.
    pub(crate) async fn find(&self, signer: Arc<dyn Signer>) -> Result<Option<Account>, CaError> {
        let call = NewAccount {
            contact: Vec::new(),
            terms_agreed: false,
            external: None,
            only_existing: true,
        };
        match self.call_as(&call, Repeat::Freely, signer, None).await {
            Ok(account) => Ok(Some(account)),
            Err(CaError::Answer(answer)) if answer.is(&ProblemKind::AccountDoesNotExist) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn failed(&self, step: &'static str, error: CaError) -> Failure {
        Failure::Ca {
            ca: self.profile.name.clone(),
            step,
            error: Box::new(error),
        }
    }

    pub(crate) async fn call_as<C: Call + Sync>(
        &self,
        call: &C,
        repeat: Repeat,
        signer: Arc<dyn Signer>,
        kid: Option<String>,
    ) -> Result<C::Reply, CaError> {
        let ended = self.call_again(call, repeat, signer, kid).await;
        match &ended {
            Err(error) if passes(error) => drop(self.failing.fetch_add(1, Ordering::Relaxed)),
            _ => self.failing.store(0, Ordering::Relaxed),
        }
        ended
    }

    /// One call, with as many tries as it may have.
    async fn call_again<C: Call + Sync>(
        &self,
        call: &C,
        repeat: Repeat,
        signer: Arc<dyn Signer>,
        kid: Option<String>,
    ) -> Result<C::Reply, CaError> {
        let mut failed = 0;
        loop {
            let error = match self.exchange(call, signer.as_ref(), kid.as_deref()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if names_no_endpoint(&error) && self.copied.swap(false, Ordering::Relaxed) {
                // The copy of the directory may be out of date. What may have been taken there is not
                // sent again without a look; whoever looks and sends it then finds the new endpoint.
                if self.refresh().await && !error.outcome_is_unknown() {
                    continue;
                }
            }
            failed += 1;
            let may = match repeat {
                Repeat::Freely => true,
                Repeat::IfUnseen => !error.outcome_is_unknown(),
                Repeat::Never => false,
            };
            // Of a CA that fails one call after the other, what it fails next is not tried three times.
            if !may || !passes(&error) || self.fails_in_a_row() {
                return Err(error);
            }
            let asked = error.retry_after(self.ports.clock.now());
            // A limit that the CA speaks of is none of requests in a second, which a page in front of it would say.
            if asked.is_none() && is_of_a_limit(&error) {
                return Err(error);
            }
            let Some(wait) = Backoff::CA.wait(failed, asked, self.ports.entropy.number()) else {
                return Err(error);
            };
            tracing::info!(ca = %self.profile.name, wait_ms = wait.as_millis(), cause = %error,
                "trying again");
            tally::pause(self.ports.clock.as_ref(), wait).await;
        }
    }

    fn fails_in_a_row(&self) -> bool {
        self.failing.load(Ordering::Relaxed) >= A_ROW
    }

    /// Reads the directory anew; false if it is what it was, or cannot be read.
    async fn refresh(&self) -> bool {
        let opening = Opening::new(&self.ports, &self.profile, self.heard.clone());
        let url = self.directory().url;
        self.requests.fetch_add(1, Ordering::Relaxed);
        match opening.fetch_directory(std::slice::from_ref(&url)).await {
            Ok(directory) if directory != *self.protocol().directory() => {
                tracing::info!(ca = %self.profile.name, "the directory has changed");
                self.protocol().set_directory(directory);
                true
            }
            _ => false,
        }
    }

    /// One call, with as many nonces as it takes.
    async fn exchange<C: Call + Sync>(
        &self,
        call: &C,
        signer: &dyn Signer,
        kid: Option<&str>,
    ) -> Result<C::Reply, CaError> {
        // Closed only when the session is gone.
        let _permit = self.in_flight.acquire().await;
        let credentials = Credentials { signer, kid };
        let mut attempt = 1;
        loop {
            let prepared = self
                .protocol()
                .prepare(call, &credentials)
                .map_err(CaError::Answer)?;
            match prepared {
                Prepared::NonceFirst(request) => {
                    let response = self.send(request).await?;
                    self.protocol()
                        .take_nonce_from(&response)
                        .map_err(CaError::Answer)?;
                    if let Some(heard) = &self.heard {
                        let (at, took) = (self.ports.clock.now(), response.elapsed);
                        let well = true;
                        heard.answered(&self.profile.name, Answer { at, took, well });
                    }
                }
                Prepared::Send(request) => {
                    let response = self.send(request).await?;
                    let took = response.elapsed;
                    let counted = counted(attempt, self.refused.load(Ordering::Relaxed));
                    let outcome = self.protocol().receive(call, counted, &response);
                    let outcome = outcome.map_err(CaError::Answer);
                    if let Some(heard) = &self.heard
                        && let Some(well) = speaks_acme(&outcome)
                    {
                        let at = self.ports.clock.now();
                        heard.answered(&self.profile.name, Answer { at, took, well });
                    }
                    let refused = match &outcome {
                        Ok(Outcome::Reply(_)) => false,
                        Ok(Outcome::Resend) => true,
                        Err(error) => error.is_for_want_of_a_nonce(),
                    };
                    match refused {
                        true => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
                        false => self.refused.store(0, Ordering::Relaxed),
                    }
                    match outcome? {
                        Outcome::Reply(reply) => return Ok(reply),
                        Outcome::Resend => attempt += 1,
                    }
                }
            }
        }
    }

    async fn send(&self, request: Request) -> Result<Response, CaError> {
        let wait = self
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(self.ports.clock.now());
        if !wait.is_zero() {
            tally::pause(self.ports.clock.as_ref(), wait).await;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        tally::asks(self.ports.clock.as_ref(), &request.url, &self.policy);
        self.ports.sent.count(&self.profile.name);
        self.ports
            .http
            .send(request, &self.policy)
            .await
            .map_err(CaError::Transport)
    }

    fn protocol(&self) -> std::sync::MutexGuard<'_, Session> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether that was a CA at all, and if so, whether it does its work: a problem document of a server that
/// fails proves only that it was reached.
fn speaks_acme<T>(outcome: &Result<T, CaError>) -> Option<bool> {
    match outcome {
        Ok(_) => Some(true),
        Err(error @ CaError::Answer(answer)) if answer.problem.is_some() => {
            Some(error.class() != FailureClass::Transient)
        }
        Err(_) => None,
    }
}

/// As which attempt of a call an answer counts, after so many nonces were refused in a row over all
/// calls: those that are made side by side share one row, and after a whole row every call has two.
fn counted(attempt: u32, refused: u32) -> u32 {
    match attempt {
        0 | 1 => attempt,
        _ => attempt.max(refused.saturating_add(1).min(Session::MAX_ATTEMPTS)),
    }
}

/// Bounds of every request to a CA.
pub(crate) fn policy(profile: &CaProfile) -> Policy {
    Policy {
        connect: Duration::from_secs(10),
        reply: Duration::from_secs(30),
        body_cap: BODY_CAP,
        // The operator or the shipped profile names the host; a CA inside the network is normal.
        addresses: Addresses::Any,
        trust: profile.trust.iter().cloned().collect(),
        plain_http: false,
    }
}

/// True if the answer is that of something which is no ACME endpoint (any more): a page with a good
/// status, too.
fn names_no_endpoint(error: &CaError) -> bool {
    match error {
        CaError::Answer(error) => {
            matches!(error.status, Some(404 | 405 | 410))
                || matches!(
                    error.kind,
                    AcmeErrorKind::NotJson { .. }
                        | AcmeErrorKind::Malformed { .. }
                        | AcmeErrorKind::MissingHeader { .. }
                )
        }
        CaError::Transport(error) => {
            matches!(error.stage, TransportStage::Dns | TransportStage::Resolver)
        }
    }
}

/// True if the same request may go better in a few seconds.
fn passes(error: &CaError) -> bool {
    let class = error.class();
    matches!(class, FailureClass::Transient | FailureClass::RateLimited)
        && !error.is_for_want_of_a_nonce()
}

fn is_of_a_limit(error: &CaError) -> bool {
    matches!(error, CaError::Answer(answer) if answer.is(&ProblemKind::RateLimited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_side_by_side_share_one_row_of_refused_nonces() {
        let most = Session::MAX_ATTEMPTS;
        // Attempt of this call, nonces refused before this one over all calls, as which it counts.
        for (attempt, refused, want) in [
            (1, 0, 1),
            (2, 1, 2),
            (2, 3, 4),
            (10, most - 2, most - 1),
            (10, most - 1, most),
            // After a whole row a nonce that lay about may be old, but the next one is not.
            (1, most, 1),
            (2, most + 1, most),
            (2, u32::MAX, most),
        ] {
            assert_eq!(counted(attempt, refused), want, "{attempt} {refused}");
        }
    }
}

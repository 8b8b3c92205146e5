//! What the engine knows about a CA: data, never code.
//!
//! A profile is a file under `engine/core/profiles`, changed field by field by `[ca.NAME]` of the
//! operator's configuration. A quirk of a CA is a field here; no branch anywhere asks for a name.

pub mod choose;
pub mod limits;
pub(crate) mod profile;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::budget::Limit;
use crate::ca::limits::LimitKind;
use crate::http::host_of;
use crate::key::KeyType;
use crate::name::CaName;
use crate::settings::SecretRef;

/// A CA profile after the operator's changes.
#[derive(Debug, Clone, PartialEq)]
pub struct CaProfile {
    /// The name in `ca = [...]`.
    pub name: CaName,
    /// For people: `Let's Encrypt`.
    pub title: String,
    /// Directory URLs in the order in which they are tried. Explicit: none is ever made up.
    pub directories: Vec<String>,
    /// True for a CA whose certificates nobody trusts.
    pub staging: bool,
    /// The profile at which `renew --dry-run` rehearses for this CA.
    pub rehearse_at: Option<CaName>,
    /// PEM roots that the CA's endpoints are verified with, besides the system's.
    pub trust: Option<PathBuf>,
    /// Credentials from the CA that bind the account (RFC 8555 section 7.3.4).
    pub eab: Eab,
    /// Values of CAA records that let this CA issue.
    pub caa: Vec<String>,
    /// RFC 9773.
    pub ari: AriUse,
    /// The ACME profile asked for in newOrder, and what to do if the CA does not know it.
    pub profile: Option<AcmeProfile>,
    /// Issuer common name of the wanted chain, if the CA offers several.
    pub preferred_chain: Option<String>,
    /// How long its certificates live.
    pub lifetime: Lifetime,
    /// What the CA signs.
    pub names: NameLimits,
    /// Kinds of certificate keys that the CA signs; empty for all.
    pub cert_keys: Vec<KeyType>,
    /// How often requests may be made.
    pub rate: Rate,
    /// How much the CA allows in a time; what is not here has no limit that is known.
    pub limits: BTreeMap<LimitKind, Limit>,
    /// How to wait for the CA.
    pub poll: Poll,
    /// How the CA departs from RFC 8555.
    pub quirks: Quirks,
    /// True if an order may cost money: such a CA is never an automatic fallback.
    pub may_charge: bool,
    /// False: never an automatic fallback.
    pub fallback: bool,
    /// The place in the list that is used when the operator names no CA; none: not in it.
    pub default_rank: Option<u32>,
    /// Where each field came from, by key path: `shipped`, or file and line.
    pub origin: BTreeMap<String, String>,
    /// Pages and dates for people: status page, documentation, when the data was checked.
    pub notes: BTreeMap<String, String>,
}

/// Credentials from the CA that bind an account to a customer (external account binding).
#[derive(Debug, Clone, PartialEq)]
pub struct Eab {
    /// True: newAccount fails without.
    pub required: bool,
    /// True: each credential makes one account only, so it is spent on success.
    pub single_use: bool,
    /// How long the CA takes a credential after having made it, if that is limited.
    pub ttl: Option<Duration>,
    /// Where the credentials come from.
    pub source: EabSource,
    /// Ways of fetching them that the profile knows; `source` is chosen among them by what the
    /// operator gave.
    pub offers: Vec<EabObtain>,
}

/// Where EAB credentials come from.
#[derive(Debug, Clone, PartialEq)]
pub enum EabSource {
    /// Nothing configured, and the profile cannot fetch any.
    None,
    /// Given by the operator.
    Given {
        /// The CA's id of the MAC key.
        key_id: String,
        /// The MAC key, base64url.
        hmac_key: SecretRef,
    },
    /// Fetched from the CA's web API as the profile describes it.
    Obtain(EabObtain),
}

/// How to fetch EAB credentials: one request and where to look in its JSON answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EabObtain {
    /// The URL.
    pub url: String,
    /// `POST` or `GET`.
    pub method: String,
    /// True: fields go into the query; false: into a form body.
    pub in_query: bool,
    /// Names and templates; `{email}` and `{api-key}` are filled in.
    pub fields: Vec<(String, String)>,
    /// The e-mail address for `{email}`.
    pub email: Option<String>,
    /// The key for `{api-key}`.
    pub api_key: Option<SecretRef>,
    /// JSON pointer (RFC 6901) to the flag of success, if the API has one.
    pub success: Option<String>,
    /// JSON pointer to the key id.
    pub kid: String,
    /// JSON pointer to the MAC key.
    pub hmac_key: String,
    /// JSON pointer to the error text or code.
    pub error: Option<String>,
}

impl EabObtain {
    /// True if the request needs the value of `placeholder`, as in `{email}`.
    pub fn wants(&self, placeholder: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(_, template)| template.contains(placeholder))
    }
}

/// Use of renewal information (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AriUse {
    /// False: never asked.
    pub enabled: bool,
    /// True: a renewal names its predecessor in `replaces`.
    pub replaces: bool,
    /// Hosts besides the directory's on which `renewalInfo` may be; empty for any.
    pub hosts: Vec<String>,
}

impl AriUse {
    /// True if `renewal_info` may be asked, which the directory at `directory` names.
    pub fn allows(&self, directory: &str, renewal_info: &str) -> bool {
        let host = host_of(renewal_info);
        self.hosts.is_empty()
            || host.eq_ignore_ascii_case(host_of(directory))
            || self
                .hosts
                .iter()
                .any(|known| host.eq_ignore_ascii_case(known))
    }
}

/// An ACME profile (draft-ietf-acme-profiles).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeProfile {
    /// The name in newOrder.
    pub name: String,
    /// True: fail if the CA does not offer it; false: go on without, with a warning.
    pub required: bool,
}

/// How long certificates live.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// The life that the CA gives by itself, if it is known.
    pub default: Option<Duration>,
    /// The longest that it gives, if it is known.
    pub max: Option<Duration>,
    /// True: the CA follows `notAfter` in newOrder.
    pub not_after: bool,
    /// The life to ask for; none: what the CA gives by itself. Checked against the rest when read.
    pub ask: Option<Duration>,
}

impl Lifetime {
    /// The life that the next certificate is going to have, as far as it can be told.
    pub fn expected(&self) -> Option<Duration> {
        self.ask.or(self.default)
    }
}

/// What names a CA signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameLimits {
    /// Most names in one certificate.
    pub max: u32,
    /// Whether wildcards are signed.
    pub wildcard: bool,
    /// Whether internationalised names are signed.
    pub idn: bool,
    /// Most labels below the registered domain, if the CA limits them.
    pub max_labels: Option<u32>,
}

/// Request rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Requests a second; none for no limit of our own.
    pub per_second: Option<f64>,
    /// How many may come at once.
    pub burst: u32,
    /// Orders worked on at the same time.
    pub concurrent_orders: u32,
    /// POSTs in flight at the same time.
    pub concurrent_requests: u32,
}

/// Waiting for the CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Wait before the first look at an order, when the CA names none.
    pub first: Duration,
    /// Longest wait between two looks.
    pub max: Duration,
    /// Time for a whole order, from newOrder to the certificate.
    pub order: Duration,
    /// A Retry-After above this parks the order until the next run.
    pub retry_after_cap: Duration,
}

/// Departures from RFC 8555.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// True: newAccount needs a contact.
    pub contact_required: bool,
    /// True: keyChange works.
    pub key_change: bool,
    /// Kinds of account keys that are accepted; empty for all. The first is what is made.
    pub account_keys: Vec<KeyType>,
    /// What an error at a challenge means that is still `processing`.
    pub challenge_retry: ChallengeRetry,
    /// What other clients put behind the URL of a directory, and where this CA has none. An import
    /// takes it off again.
    pub wrong_ending: Option<String>,
    /// Addresses from before RFC 8555 that other clients have written down and take for the directory of now. An import
    /// does so as well.
    pub formerly: Vec<String>,
}

/// Whether a CA looks again at a challenge that it could not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeRetry {
    /// It may: an error at a challenge in `processing` is news, not the end (RFC 8555 section 8.2).
    Server,
    /// It never does: such an error is the end, whatever the status says.
    Never,
}

impl ChallengeRetry {
    /// Both, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Server, Self::Never];

    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Never => "never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_info_is_asked_for_at_known_hosts_only() {
        let check = |hosts: &[&str], renewal_info: &str, want: bool| {
            let ari = AriUse {
                enabled: true,
                replaces: true,
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            };
            let directory = "https://ca.example:14000/directory";
            assert_eq!(ari.allows(directory, renewal_info), want, "{renewal_info}");
        };
        check(&[], "https://anywhere.example/ari", true);
        let known = ["ari.example"];
        check(&known, "https://ari.example/renewalInfo", true);
        check(&known, "HTTPS://ARI.example:8443", true);
        check(&known, "https://CA.example/ari", true);
        check(&known, "https://ari.example.evil.example/ari", false);
        check(&known, "https://evil.example/ari.example", false);
        check(&known, "https://evil.example?ari.example", false);
    }
}

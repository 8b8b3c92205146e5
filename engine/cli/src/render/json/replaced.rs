//! What another certificate has taken the place of, as data.

use serde::Serialize;
use waxwing_core::name::CertificateName;
use waxwing_flow::replace::{Over, Proof};
use waxwing_flow::report::{Replaced, ReplacedReport};
use waxwing_flow::revoke::How;

use super::RunJson;
use crate::args::Reason;

#[derive(Debug, Serialize)]
pub(super) struct ReplacedJson {
    certificate: String,
    /// The version that is to be revoked.
    version: u32,
    /// The one that takes its place, if there is one.
    new_version: Option<u32>,
    reason: Option<&'static str>,
    /// `revoked`, `already-revoked`, `not-needed`; or not yet: `not-replaced`, `waiting`,
    /// `not-in-place`, `not-revoked`
    result: &'static str,
    /// `account` or `key`
    by: Option<&'static str>,
    ca: Option<String>,
    /// `served`, `installed`, `stored`; none if the new one is not in its place
    proof: Option<&'static str>,
    /// Where it was seen, or by what it was installed; or where it was not.
    places: Vec<String>,
    causes: Vec<String>,
    hint: Option<String>,
}

/// One of a run.
pub(super) fn in_run(one: &ReplacedReport) -> ReplacedJson {
    let mut json = ReplacedJson {
        certificate: one.certificate.to_string(),
        version: one.version,
        new_version: one.new,
        reason: one.reason.and_then(Reason::of_code).map(Reason::as_str),
        result: "",
        by: None,
        ca: None,
        proof: None,
        places: Vec::new(),
        causes: Vec::new(),
        hint: None,
    };
    let prove = |json: &mut ReplacedJson, proof: &Proof| {
        let (kind, places) = match proof {
            Proof::Served(places) => ("served", strings(places)),
            Proof::Installed(plugins) => ("installed", strings(plugins)),
            Proof::Stored => ("stored", Vec::new()),
        };
        (json.proof, json.places) = (Some(kind), places);
    };
    let again = format!("waxwing revoke {} --replace", one.certificate);
    let next = format!("the next run goes on, or at once: {again}");
    match &one.ended {
        Replaced::Revoked { ca, how, proof, .. } => {
            (json.result, json.by) = match how {
                How::ByAccount => ("revoked", Some("account")),
                How::ByKey => ("revoked", Some("key")),
                How::Before => ("already-revoked", None),
            };
            json.ca = Some(ca.to_string());
            prove(&mut json, proof);
        }
        Replaced::Over { proof, why } => {
            json.result = "not-needed";
            json.causes = vec![match why {
                Over::Expired(at) => format!("it has expired at {at}"),
                Over::Gone => "it is not stored any more".to_owned(),
                Over::Damaged(error) => error.to_string(),
            }];
            prove(&mut json, proof);
        }
        Replaced::Withdrawn => {
            json.result = "not-replaced";
            json.hint = Some(format!("when that is mended: {again}"));
        }
        Replaced::Waiting => {
            json.result = "waiting";
            json.hint = Some(next);
        }
        Replaced::Unproved(lacking) => {
            json.result = "not-in-place";
            json.places = strings(&lacking.installers);
            json.places.extend(strings(&lacking.places));
            json.hint = Some(next);
        }
        Replaced::Failed(error) => {
            json.result = "not-revoked";
            json.causes = error.lines();
            json.hint = error.hint();
        }
    }
    json
}

fn strings<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// The answer of `revoke --replace`.
#[derive(Debug, Serialize)]
pub(crate) struct RevokeJson {
    certificate: String,
    /// As in a run; none if the run ended before it came to that.
    replaced: Option<ReplacedJson>,
    run: RunJson,
}

impl RevokeJson {
    /// Puts it together.
    pub(crate) fn new(
        certificate: &CertificateName,
        replaced: Option<&ReplacedReport>,
        run: RunJson,
    ) -> Self {
        Self {
            certificate: certificate.to_string(),
            replaced: replaced.map(in_run),
            run,
        }
    }
}

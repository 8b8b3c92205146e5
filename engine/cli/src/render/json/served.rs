//! What is served where, as data.

use serde::Serialize;
use waxwing_flow::certificate::ServedLeaf;
use waxwing_flow::report::ServedReport;

use super::super::status::Seen;

#[derive(Debug, Serialize)]
pub(super) struct ServedJson {
    certificate: String,
    place: String,
    at: String,
    /// `yes`, `old`, `no-answer`
    served: &'static str,
    sha256: Option<String>,
    not_after: Option<String>,
    causes: Vec<String>,
}

/// As a run saw it.
pub(super) fn in_run(one: &ServedReport) -> ServedJson {
    let seen = one.seen.as_ref().map_err(|error| error.causes.as_slice());
    json(
        one.certificate.to_string(),
        one.place.to_string(),
        one.at.to_string(),
        one.current,
        seen,
    )
}

/// As it was seen last.
pub(super) fn noted(certificate: &str, seen: &Seen<'_>) -> ServedJson {
    let mark = seen.mark;
    json(
        certificate.to_owned(),
        mark.place.clone(),
        mark.at.to_string(),
        seen.is_current(),
        mark.seen.as_ref().map_err(Vec::as_slice),
    )
}

fn json(
    certificate: String,
    place: String,
    at: String,
    current: bool,
    seen: Result<&ServedLeaf, &[String]>,
) -> ServedJson {
    let leaf = seen.ok();
    ServedJson {
        certificate,
        place,
        at,
        served: match (leaf, current) {
            (Some(_), true) => "yes",
            (Some(_), false) => "old",
            (None, _) => "no-answer",
        },
        sha256: leaf.map(|leaf| leaf.sha256.clone()),
        not_after: leaf
            .and_then(|leaf| leaf.not_after)
            .map(|end| end.to_string()),
        causes: seen.err().unwrap_or_default().to_vec(),
    }
}

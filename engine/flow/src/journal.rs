//! The journal's text form: a [`Run`] as TOML, with a version.

use serde::{Deserialize, Serialize};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, DomainName, Identifier, PluginName};
use waxwing_core::time::Timestamp;

use crate::obligation::{Obligation, ObligationState};
use crate::plugin::ChallengeRecord;
use crate::run::{OrderTerms, Run, Stage};

/// The version this program writes. A higher one is refused.
pub const FORMAT: u32 = 1;

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Not what this program writes.
    #[error("the journal cannot be read: {0}")]
    Shape(String),
    /// Written by a newer program.
    #[error("the journal has format {0}; this version of Waxwing reads up to {FORMAT}")]
    TooNew(u32),
}

#[derive(Serialize, Deserialize)]
struct RunFile {
    format: u32,
    id: String,
    certificate: String,
    ca: String,
    account: String,
    names: Vec<String>,
    key: String,
    reuse_key: bool,
    profile: Option<String>,
    profile_required: bool,
    replaces: Option<String>,
    rehearsal: bool,
    order_url: Option<String>,
    began: String,
    /// Not in the journals of the first release.
    #[serde(default)]
    finalized: Option<String>,
    stage: String,
    attempts: u32,
    #[serde(default)]
    obligation: Vec<ObligationFile>,
}

#[derive(Serialize, Deserialize)]
struct ObligationFile {
    plugin: String,
    key: String,
    fqdn: String,
    value: String,
    identifier: String,
    zone: Option<String>,
    state: String,
    receipt: Option<String>,
}

/// The text of a run.
pub fn write(run: &Run) -> Result<String, JournalError> {
    let terms = &run.terms;
    let file = RunFile {
        format: FORMAT,
        id: run.id.clone(),
        certificate: run.certificate.to_string(),
        ca: terms.ca.to_string(),
        account: terms.account.clone(),
        names: terms.names.iter().map(Identifier::to_wire).collect(),
        key: terms.key.to_string(),
        reuse_key: terms.reuse_key,
        profile: terms.profile.as_ref().map(|(name, _)| name.clone()),
        profile_required: terms
            .profile
            .as_ref()
            .is_some_and(|(_, required)| *required),
        replaces: terms.replaces.clone(),
        rehearsal: terms.rehearsal,
        order_url: run.order_url.clone(),
        began: run.began.exact(),
        finalized: run.finalized.map(Timestamp::exact),
        stage: run.stage.as_str().to_owned(),
        attempts: run.attempts,
        obligation: run
            .obligations
            .iter()
            .filter(|one| one.state != ObligationState::Absent)
            .map(obligation_file)
            .collect(),
    };
    toml::to_string(&file).map_err(|error| JournalError::Shape(error.to_string()))
}

/// True if the run of this journal has left something at a DNS provider, or may have: a text that
/// cannot be read counts as one that has.
pub fn owes(text: &str) -> bool {
    read(text).map_or(true, |run| {
        run.obligations.iter().any(|one| one.removal().is_some())
    })
}

/// When the CA was asked to sign for the run of this journal, if the order can be read and it was.
pub fn finalized(text: &str) -> Option<Timestamp> {
    let run = read(text).ok()?;
    run.finalized.filter(|_| run.order_url.is_some())
}

/// The run of a text.
pub fn read(text: &str) -> Result<Run, JournalError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let shape = |error: &dyn std::fmt::Display| JournalError::Shape(error.to_string());
    let version: Version = toml::from_str(text).map_err(|e| shape(&e))?;
    if version.format > FORMAT {
        return Err(JournalError::TooNew(version.format));
    }
    let file: RunFile = toml::from_str(text).map_err(|e| shape(&e))?;
    let mut names = Vec::new();
    for name in &file.names {
        names.push(Identifier::parse(name).map_err(|e| shape(&e))?);
    }
    let mut obligations = Vec::new();
    for entry in file.obligation {
        obligations.push(obligation(entry)?);
    }
    Ok(Run {
        id: file.id,
        certificate: CertificateName::parse(&file.certificate).map_err(|e| shape(&e))?,
        terms: OrderTerms {
            ca: CaName::parse(&file.ca).map_err(|e| shape(&e))?,
            account: file.account,
            names,
            key: KeyType::parse(&file.key)
                .ok_or_else(|| JournalError::Shape(format!("no key type `{}`", file.key)))?,
            reuse_key: file.reuse_key,
            profile: file.profile.map(|name| (name, file.profile_required)),
            replaces: file.replaces,
            left_out: None,
            rehearsal: file.rehearsal,
        },
        order_url: file.order_url,
        began: Timestamp::parse(&file.began).map_err(|e| shape(&e))?,
        finalized: file
            .finalized
            .as_deref()
            .map(Timestamp::parse)
            .transpose()
            .map_err(|e| shape(&e))?,
        stage: Stage::parse(&file.stage)
            .ok_or_else(|| JournalError::Shape(format!("no stage `{}`", file.stage)))?,
        attempts: file.attempts,
        obligations,
    })
}

fn obligation_file(obligation: &Obligation) -> ObligationFile {
    let record = &obligation.record;
    let (state, receipt) = match &obligation.state {
        ObligationState::Intended | ObligationState::Unknown => ("unknown", None),
        ObligationState::Placed { receipt } => ("placed", Some(receipt.clone())),
        // The writer leaves what is absent out.
        ObligationState::NotOurs | ObligationState::Absent => ("not-ours", None),
    };
    ObligationFile {
        plugin: obligation.plugin.to_string(),
        key: record.key.clone(),
        fqdn: record.fqdn.to_string(),
        value: record.value.clone(),
        identifier: record.identifier.to_string(),
        zone: record.zone_hint.as_ref().map(DomainName::to_string),
        state: state.to_owned(),
        receipt,
    }
}

fn obligation(file: ObligationFile) -> Result<Obligation, JournalError> {
    let name = |text: &str| {
        DomainName::parse(text).map_err(|error| JournalError::Shape(format!("`{text}`: {error}")))
    };
    let state = match (file.state.as_str(), file.receipt) {
        ("unknown", _) => ObligationState::Unknown,
        ("placed", Some(receipt)) => ObligationState::Placed { receipt },
        ("not-ours", _) => ObligationState::NotOurs,
        (other, _) => {
            return Err(JournalError::Shape(format!(
                "no obligation state `{other}`"
            )));
        }
    };
    Ok(Obligation {
        plugin: PluginName::parse(&file.plugin)
            .map_err(|error| JournalError::Shape(error.to_string()))?,
        record: ChallengeRecord {
            key: file.key,
            fqdn: name(&file.fqdn)?,
            value: file.value,
            identifier: name(&file.identifier)?,
            zone_hint: file.zone.as_deref().map(name).transpose()?,
        },
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let name = |text| DomainName::parse(text).expect("a literal name");
        let record = |key: &str| ChallengeRecord {
            key: key.to_owned(),
            fqdn: name("_acme-challenge.example.com"),
            value: "v".to_owned(),
            identifier: name("example.com"),
            zone_hint: Some(name("example.com")),
        };
        let obligation = |key: &str, state| Obligation {
            plugin: PluginName::parse("dns").expect("a literal name"),
            record: record(key),
            state,
        };
        Run {
            id: "r1".to_owned(),
            certificate: CertificateName::parse("shop").expect("a literal name"),
            terms: OrderTerms {
                ca: CaName::parse("first").expect("a literal name"),
                account: "https://ca.example/acct/1".to_owned(),
                names: vec![Identifier::parse("*.example.com").expect("a literal name")],
                key: KeyType::EcdsaP384,
                reuse_key: true,
                profile: Some(("tls".to_owned(), true)),
                replaces: Some("a.b".to_owned()),
                left_out: None,
                rehearsal: false,
            },
            order_url: Some("https://ca.example/order/1".to_owned()),
            began: Timestamp::from_unix(1_795_000_000),
            finalized: None,
            stage: Stage::Validating,
            attempts: 2,
            obligations: vec![
                obligation("1", ObligationState::Unknown),
                obligation(
                    "2",
                    ObligationState::Placed {
                        receipt: "7/8".to_owned(),
                    },
                ),
                obligation("3", ObligationState::NotOurs),
            ],
        }
    }

    #[test]
    fn a_run_survives_the_journal_unchanged() {
        for finalized in [None, Some(Timestamp::from_unix(1_795_000_060))] {
            let run = Run { finalized, ..run() };
            let text = write(&run).expect("a run has a text");
            assert_eq!(read(&text), Ok(run));
        }
    }

    #[test]
    fn a_newer_journal_is_refused_in_one_sentence() {
        let text = write(&run())
            .expect("a run has a text")
            .replace("format = 1", "format = 2");
        assert_eq!(read(&text), Err(JournalError::TooNew(2)));
    }

    #[test]
    fn a_torn_journal_is_an_error_and_no_panic() {
        let text = write(&run()).expect("a run has a text");
        for end in 0..text.len() {
            if let Some(torn) = text.get(..end) {
                // Cutting only trailing lines of the last obligation may leave a whole text.
                let _either = read(torn);
            }
        }
        assert!(matches!(read("format = 1"), Err(JournalError::Shape(_))));
    }

    #[test]
    fn format_1_is_read_for_ever() {
        let fixture = include_str!("../fixtures/journal-1.toml");
        assert_eq!(read(fixture), Ok(run()));
    }
}

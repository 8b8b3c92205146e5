//! Invented runs, and the comparison of texts with those in `golden/`.

#![expect(
    clippy::disallowed_methods,
    reason = "golden texts are files, written anew when a variable says so"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use waxwing_core::http::{Method, TransportError, TransportStage};
use waxwing_core::name::{CaName, CertificateName, DomainName, PluginName};
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::ServedLeaf;
use waxwing_flow::failure::{CaError, Failure};
use waxwing_flow::history::Past;
use waxwing_flow::plugin::{DeployStep, PluginFailure, PluginFailureKind};
use waxwing_flow::ports::{StoreError, StoreErrorKind, UnseenError};
use waxwing_flow::report::{
    CaFailure, CertificateReport, DeployStage, InstallOutcome, InstallReport, Milestone, Outcome,
    Reached, RunReport, ServedReport, StageReport,
};

use super::page::tests::NOW;
use super::page::{Context, tests::context};

/// Compares a text, made for several widths and with colour, with the golden file of that name.
/// With `WAXWING_BLESS=1` the file is written instead; look at the difference before it is kept.
pub(crate) fn golden(file: &str, make: impl Fn(&Context) -> String) {
    golden_at(file, &[120, 80], make);
}

/// The same for terminals of these widths; the first one is shown in colour, too.
pub(crate) fn golden_at(file: &str, widths: &[usize], make: impl Fn(&Context) -> String) {
    let mut found = String::new();
    let plain = widths.iter().map(|width| (*width, false));
    for (width, colour) in plain.chain([(widths[0], true)]) {
        let in_colour = if colour { ", in colour" } else { "" };
        let title = format!("{width} columns{in_colour}");
        let text = make(&context(width, colour));
        assert!(
            text.lines().all(|line| !line.ends_with(' ')),
            "spaces at the end of a line:\n{text}"
        );
        let text = text.replace('\u{1b}', "␛");
        found.push_str(&format!("--- {title}\n{text}"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/render/golden")
        .join(file);
    if std::env::var_os("WAXWING_BLESS").is_some() {
        std::fs::write(&path, &found).expect("a writable golden file");
    }
    let want = std::fs::read_to_string(&path)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert_eq!(
        found,
        want,
        "{} differs; WAXWING_BLESS=1 writes it",
        path.display()
    );
}

/// Compares a document for machines with the golden file of that name. Its fields are a contract:
/// they may be added, never renamed or removed.
pub(crate) fn golden_json(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/render/golden")
        .join(file);
    let found = format!("{found}\n");
    if std::env::var_os("WAXWING_BLESS").is_some() {
        std::fs::write(&path, &found).expect("a writable golden file");
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        want.replace("\r\n", "\n"),
        "{} differs; WAXWING_BLESS=1 writes it",
        path.display()
    );
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(NOW + seconds)
}

pub(crate) fn days(days: i64) -> Timestamp {
    at(days * 86_400)
}

pub(crate) fn name(text: &str) -> CertificateName {
    CertificateName::parse(text).expect("a literal name")
}

pub(crate) fn ca(text: &str) -> CaName {
    CaName::parse(text).expect("a literal name")
}

pub(crate) fn plugin(text: &str) -> PluginName {
    PluginName::parse(text).expect("a literal name")
}

pub(crate) fn domain(text: &str) -> DomainName {
    DomainName::parse(text).expect("a literal name")
}

/// A store error of that kind.
pub(crate) fn locked(kind: StoreErrorKind) -> StoreError {
    StoreError {
        kind,
        act: "lock",
        path: PathBuf::from("/var/lib/waxwing/certificates/shop"),
        causes: vec!["process 4242 holds it".to_owned()],
        hint: None,
    }
}

/// A CA whose directory does not answer.
pub(crate) fn silent(name: &str, stage: TransportStage, cause: &str) -> Failure {
    let url = format!("https://acme.{name}.example/directory");
    let error = TransportError {
        stage,
        method: Method::Get,
        url: url.clone(),
        address: (stage == TransportStage::Connect).then(|| "198.51.100.7:443".to_owned()),
        elapsed: Duration::from_millis(7),
        causes: vec![cause.to_owned()],
    };
    Failure::Directory {
        ca: ca(name),
        tried: vec![(url, CaError::Transport(error))],
    }
}

/// A plugin that failed.
pub(crate) fn plugin_failure(name: &str, call: &str, message: &str) -> PluginFailure {
    PluginFailure {
        plugin: plugin(name),
        call: call.to_owned(),
        kind: PluginFailureKind::Permanent,
        code: "installer.test-failed".to_owned(),
        message: message.to_owned(),
        hint: Some("fix the file, then: waxwing renew shop".to_owned()),
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: vec!["exit code 1: unknown directive \"htp2\" in site.conf:14".to_owned()],
    }
}

pub(crate) fn run(certificates: Vec<CertificateReport>, installs: Vec<InstallReport>) -> RunReport {
    RunReport {
        id: "06b0-1".to_owned(),
        started: at(0),
        ended: at(43),
        certificates,
        put_back: Vec::new(),
        left_over: Vec::new(),
        installs,
        served: Vec::new(),
        replaced: Vec::new(),
        audit: Vec::new(),
        requests: BTreeMap::from([(ca("first"), 9)]),
        accounts: Vec::new(),
        stopped: false,
    }
}

/// A report that is put together piece by piece.
pub(crate) struct CertificateFixture(CertificateReport);

pub(crate) fn certificate(text: &str) -> CertificateFixture {
    CertificateFixture(CertificateReport {
        certificate: name(text),
        started: at(0),
        ended: at(41),
        outcome: Outcome::Failed(None),
        milestones: Vec::new(),
        failures: Vec::new(),
        asked: false,
        stands_in: None,
        replaces: false,
        next_try: None,
        owed: Vec::new(),
        notes: Vec::new(),
    })
}

impl CertificateFixture {
    pub(crate) fn issued(mut self, by: &str, fallback: bool) -> Self {
        self.0.outcome = Outcome::Issued {
            ca: ca(by),
            fallback,
            version: Some(7),
            not_after: days(90),
            first: false,
        };
        self
    }

    pub(crate) fn for_the_first_time(mut self) -> Self {
        if let Outcome::Issued { first, .. } = &mut self.0.outcome {
            *first = true;
        }
        self
    }

    pub(crate) fn failed(mut self, failure: Failure) -> Self {
        self.0.outcome = Outcome::Failed(Some(failure));
        self
    }

    pub(crate) fn locked(mut self) -> Self {
        self.0.outcome = Outcome::Locked(locked(StoreErrorKind::Locked));
        self
    }

    pub(crate) fn refused(self, by: &str) -> Self {
        self.at_ca(
            by,
            silent(by, TransportStage::Connect, "connection refused"),
        )
    }

    pub(crate) fn at_ca(mut self, by: &str, failure: Failure) -> Self {
        self.0.failures.push(CaFailure {
            ca: ca(by),
            at: at(1),
            failure,
            elsewhere: None,
        });
        self
    }

    pub(crate) fn only_at_cas(mut self) -> Self {
        self.0.outcome = Outcome::Failed(None);
        self
    }

    pub(crate) fn owed(mut self, failure: PluginFailure) -> Self {
        self.0.owed.push(failure);
        self
    }

    pub(crate) fn note(mut self, note: &str) -> Self {
        self.0.notes.push(note.to_owned());
        self
    }

    pub(crate) fn reached(mut self, seconds: i64, ms: u64, what: Reached) -> Self {
        let took = Duration::from_millis(ms);
        self.0.milestones.push(Milestone {
            at: at(seconds),
            took,
            what,
        });
        self
    }

    pub(crate) fn done(self) -> CertificateReport {
        self.0
    }
}

/// A look at a place; none: nothing was seen.
pub(crate) fn served(of: &str, place: &str, sha256: Option<&str>, current: bool) -> ServedReport {
    ServedReport {
        certificate: name(of),
        place: ServedAt::parse(place).expect("a literal place"),
        current,
        seen: match sha256 {
            Some(sha256) => Ok(ServedLeaf {
                sha256: sha256.to_owned(),
                not_after: Some(days(12)),
            }),
            None => Err(UnseenError {
                causes: vec!["connect to 192.0.2.1:443: refused".to_owned()],
            }),
        },
        at: at(43),
        took: Duration::from_millis(1_200),
    }
}

/// An installer's report that is put together piece by piece.
pub(crate) struct InstallFixture(InstallReport);

pub(crate) fn install(by: &str, certificates: &[&str]) -> InstallFixture {
    let step = |kind: &str, summary: &str| DeployStep {
        summary: summary.to_owned(),
        kind: kind.to_owned(),
        grant: None,
        target: None,
        certificates: certificates.iter().map(ToString::to_string).collect(),
        reversible: true,
    };
    InstallFixture(InstallReport {
        plugin: plugin(by),
        certificates: certificates.iter().map(|text| name(text)).collect(),
        started: at(41),
        took: Duration::from_millis(1_800),
        steps: vec![
            step("file", "write /etc/web/tls/site.crt"),
            step("file", "write /etc/web/tls/site.key"),
            step("command", "test"),
            step("command", "reload"),
        ],
        stages: Vec::new(),
        outcome: InstallOutcome::Done { changed: true },
    })
}

impl InstallFixture {
    pub(crate) fn failed(mut self, message: &str) -> Self {
        let by = self.0.plugin.as_str().to_owned();
        let failure = plugin_failure(&by, "install", message);
        self.0.outcome = InstallOutcome::Failed(Failure::Plugins(vec![failure]));
        self
    }

    /// It was undone, well or not.
    pub(crate) fn undone(mut self, ended: Result<(), Failure>) -> Self {
        self.0.stages.push(StageReport {
            stage: DeployStage::Undo,
            took: Duration::from_millis(20),
            ended,
        });
        self
    }

    /// Another run is at it.
    pub(crate) fn locked(mut self) -> Self {
        self.0.outcome = InstallOutcome::Locked(locked(StoreErrorKind::Locked));
        self.0.steps.clear();
        self
    }

    pub(crate) fn planned(mut self) -> Self {
        self.0.outcome = InstallOutcome::Planned;
        self
    }

    pub(crate) fn done(self) -> InstallReport {
        self.0
    }
}

/// Nothing is known of earlier runs.
pub(crate) static NO_PASTS: BTreeMap<CertificateName, Past> = BTreeMap::new();

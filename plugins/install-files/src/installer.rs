//! The calls of the contract.

use serde::{Deserialize, Serialize};

use crate::bindings::exports::waxwing::plugin::installer::{
    Certificate, DeployPlan, Installed, Step, Verdict,
};
use crate::bindings::waxwing::host::artifacts::ArtifactError;
use crate::bindings::waxwing::host::files::FileError;
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::plugin::types::{
    Detail, Failure, Finding, PluginError, Retry, Severity,
};
use crate::command::{self, RELOAD, TEST};
use crate::host::Host;
use crate::layout::{CERTS, KEYS, Settings, Target, failure, wrong};

const PASSWORD: &str = "pfx-password";

/// One call of the plugin.
pub(crate) struct Installer<'h, H> {
    host: &'h H,
    settings: Settings,
}

/// What `verify` and `rollback` need to know. Short names, since a batch may have hundreds of
/// files.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Receipt {
    #[serde(rename = "f")]
    files: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "n")]
    name: String,
    /// True if it is in the folder for keys.
    #[serde(rename = "k", default, skip_serializing_if = "std::ops::Not::not")]
    key: bool,
    /// Brings back what was there before.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    /// Of a PKCS#12 file, which cannot be made a second time with the same bytes.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Entry {
    /// The purpose of its folder.
    const fn grant(&self) -> &'static str {
        if self.key { KEYS } else { CERTS }
    }
}

impl<'h, H: Host> Installer<'h, H> {
    pub(crate) fn new(host: &'h H, settings: &str) -> Result<Self, PluginError> {
        Ok(Self {
            host,
            settings: Settings::parse(settings)?,
        })
    }

    pub(crate) fn validate(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |severity, pointer: Option<&str>, code, message: &str, hint: &str| {
            findings.push(Finding {
                severity,
                pointer: pointer.map(str::to_owned),
                failure: Failure {
                    hint: Some(hint.to_owned()),
                    ..failure(code, message)
                },
            });
        };
        let reloads = self.host.command_granted(RELOAD);
        if self.settings.files.is_empty() && !reloads {
            add(
                Severity::Error,
                Some("/files"),
                "nothing-to-do",
                "files is empty and no reload command is granted",
                "add grants.exec.reload, or take settings.files = {} away",
            );
        }
        let keys_apart = self.host.folder_granted(KEYS);
        if self.settings.needs_certs(keys_apart) && !self.host.folder_granted(CERTS) {
            add(
                Severity::Error,
                Some("/files"),
                "folder-not-granted",
                "there are files to write, but no folder for them",
                NO_FOLDER,
            );
        }
        if !self.settings.files.is_empty() && !reloads {
            add(
                Severity::Info,
                None,
                "no-reload",
                "no reload command is granted, so something else has to tell the server",
                "add grants.exec.reload if the server does not look for new files by itself",
            );
        }
        if self.settings.has_pkcs12() && !self.host.bound(PASSWORD) {
            add(
                Severity::Warning,
                None,
                "empty-password",
                "the PKCS#12 files will have an empty password",
                "bind the secret pfx-password",
            );
        }
        if let Some(secret) = &self.settings.stdin
            && !self.host.bound(secret)
        {
            add(
                Severity::Error,
                Some("/stdin"),
                "secret-not-bound",
                "the reload command is to read a secret that is not bound",
                "bind it under secrets",
            );
        }
        findings
    }

    pub(crate) fn plan(&self, certificates: &[Certificate]) -> Result<DeployPlan, PluginError> {
        let targets = self.targets(certificates)?;
        let mut steps = Vec::new();
        let mut changing: Vec<&str> = Vec::new();
        for target in &targets {
            if self.compare(target)? {
                changing.push(&target.certificate.name);
                steps.push(Step {
                    summary: format!("write {} ({})", target.file, target.summary),
                    kind: "file".to_owned(),
                    grant: Some(target.grant.to_owned()),
                    target: Some(target.file.clone()),
                    certificates: vec![target.certificate.name.clone()],
                    reversible: true,
                });
            }
        }
        let due = due(certificates, &changing);
        for grant in [TEST, RELOAD] {
            for run in command::runs(self.host, &self.settings, grant, &due)? {
                steps.push(Step {
                    summary: format!("run {grant} for {}", run.certificates.join(", ")),
                    kind: "command".to_owned(),
                    grant: Some(grant.to_owned()),
                    target: None,
                    certificates: run
                        .certificates
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect(),
                    reversible: grant == TEST,
                });
            }
        }
        Ok(DeployPlan {
            steps,
            findings: self.validate(),
            token: String::new(),
        })
    }

    pub(crate) fn install(&self, certificates: &[Certificate]) -> Result<Installed, PluginError> {
        let targets = self.targets(certificates)?;
        let mut receipt = Receipt::default();
        match self.write_and_run(certificates, &targets, &mut receipt) {
            Ok(changed) => Ok(Installed {
                receipt: serde_json::to_string(&receipt).map_err(|error| {
                    PluginError::Other(failure(
                        "receipt",
                        format!("cannot write the receipt: {error}"),
                    ))
                })?,
                changed,
            }),
            Err(mut error) => {
                if let Err(not_restored) = self.restore(&receipt) {
                    add_detail(&mut error, "not-restored", not_restored.join("; "));
                }
                Err(error)
            }
        }
    }

    pub(crate) fn verify(
        &self,
        certificates: &[Certificate],
        receipt: &str,
    ) -> Result<Verdict, PluginError> {
        let receipt = read(receipt)?;
        let targets = self.targets(certificates)?;
        let mut problems = Vec::new();
        let mut evidence = Vec::new();
        for target in &targets {
            let there = self
                .host
                .stat(target.grant, &target.file)
                .map_err(|error| file_problem("look at", &target.file, error))?;
            let Some(there) = there else {
                problems.push(failure(
                    "file-missing",
                    format!("the file {} is not there any more", target.file),
                ));
                continue;
            };
            let written = receipt
                .files
                .iter()
                .find(|entry| entry.name == target.file && entry.grant() == target.grant)
                .and_then(|entry| entry.sha256.as_ref());
            let differs = match written {
                Some(sha256) => *sha256 != there.sha256,
                None => self.compare(target)?,
            };
            if differs {
                problems.push(failure(
                    "file-differs",
                    format!(
                        "the file {} is not as it was written: content, owner or mode",
                        target.file
                    ),
                ));
            }
            evidence.push(Detail {
                name: target.file.clone(),
                value: format!("sha256 {}", there.sha256),
            });
        }
        Ok(Verdict {
            ok: problems.is_empty(),
            problems,
            evidence,
        })
    }

    pub(crate) fn rollback(
        &self,
        certificates: &[Certificate],
        receipt: Option<&str>,
    ) -> Result<(), PluginError> {
        let Some(receipt) = receipt else {
            return Ok(());
        };
        self.restore(&read(receipt)?).map_err(|not_restored| {
            PluginError::Other(failure(
                "not-restored",
                format!("failed to put files back: {}", not_restored.join("; ")),
            ))
        })?;
        // The server goes back too. To the command, the certificate before is now the current one.
        let before: Vec<Certificate> = certificates.iter().filter_map(swapped).collect();
        let before: Vec<&Certificate> = before.iter().collect();
        for run in command::runs(self.host, &self.settings, RELOAD, &before)? {
            command::execute(self.host, &self.settings, &run)?;
        }
        Ok(())
    }

    /// Answers whether anything was done. What was written is in the receipt in any case.
    fn write_and_run(
        &self,
        certificates: &[Certificate],
        targets: &[Target<'_>],
        receipt: &mut Receipt,
    ) -> Result<bool, PluginError> {
        let mut changing: Vec<&str> = Vec::new();
        for target in targets {
            let written = self
                .host
                .write(target.grant, &target.file, &target.parts)
                .map_err(|error| file_problem("write", &target.file, error))?;
            if written.changed {
                changing.push(&target.certificate.name);
            }
            receipt.files.push(Entry {
                name: target.file.clone(),
                key: target.grant == KEYS,
                backup: written.backup,
                sha256: target.pkcs12.is_some().then_some(written.sha256),
            });
        }
        let due = due(certificates, &changing);
        let mut ran = false;
        for grant in [TEST, RELOAD] {
            for run in command::runs(self.host, &self.settings, grant, &due)? {
                command::execute(self.host, &self.settings, &run)?;
                ran = true;
            }
        }
        Ok(ran || !changing.is_empty())
    }

    /// All files of the batch, with the PKCS#12 artifacts made.
    fn targets<'c>(&self, certificates: &'c [Certificate]) -> Result<Vec<Target<'c>>, PluginError> {
        let keys_apart = self.host.folder_granted(KEYS);
        let targets = self.settings.targets(certificates, keys_apart)?;
        let mut in_certs = targets.iter().filter(|target| target.grant == CERTS);
        if in_certs.next().is_some() && !self.host.folder_granted(CERTS) {
            return Err(wrong(
                "/files".to_owned(),
                "folder-not-granted",
                "there are files to write, but no folder for them".to_owned(),
                Some(NO_FOLDER),
            ));
        }
        let password = self.host.bound(PASSWORD).then_some(PASSWORD);
        for into in targets.iter().filter_map(|target| target.pkcs12.as_deref()) {
            self.host
                .make_pkcs12(into, password, &self.settings.pkcs12_profile)
                .map_err(|error| {
                    let (ArtifactError::Unknown(said)
                    | ArtifactError::Denied(said)
                    | ArtifactError::InvalidInput(said)
                    | ArtifactError::Other(said)) = error;
                    PluginError::Permanent(failure(
                        "pkcs12",
                        format!("failed to make {into}: {said}"),
                    ))
                })?;
        }
        Ok(targets)
    }

    fn compare(&self, target: &Target<'_>) -> Result<bool, PluginError> {
        self.host
            .compare(target.grant, &target.file, &target.parts)
            .map_err(|error| file_problem("compare", &target.file, error))
    }

    /// Puts back every file, last one first. The error lists those that could not be.
    fn restore(&self, receipt: &Receipt) -> Result<(), Vec<String>> {
        let mut not_restored = Vec::new();
        for entry in receipt.files.iter().rev() {
            let Some(backup) = &entry.backup else {
                continue;
            };
            if let Err(error) = self.host.restore(entry.grant(), backup) {
                let said = words(error);
                self.host.log(
                    Level::Error,
                    "failed to put a file back",
                    &[("file", &entry.name), ("reason", &said)],
                );
                not_restored.push(format!("{}: {said}", entry.name));
            }
        }
        if not_restored.is_empty() {
            Ok(())
        } else {
            Err(not_restored)
        }
    }
}

const NO_FOLDER: &str = "add grants.files.certs with a dir, or settings.files = {} for an installer that is only a command";

/// The certificates that the commands have to run for: a file changes, the host has no record that
/// this very certificate was installed, or the operator has changed the installer. The second is
/// what brings the reload after a crash between writing and reloading, when the files are right
/// already; the third lets a command that was added later see what is installed.
fn due<'c>(certificates: &'c [Certificate], changing: &[&str]) -> Vec<&'c Certificate> {
    certificates
        .iter()
        .filter(|certificate| {
            certificate.reconfigured
                || changing.contains(&certificate.name.as_str())
                || certificate.previous_leaf_sha256.as_ref() != Some(&certificate.leaf_sha256)
        })
        .collect()
}

/// The certificate that is there again after a rollback; none if there was none before.
fn swapped(certificate: &Certificate) -> Option<Certificate> {
    Some(Certificate {
        leaf_sha256: certificate.previous_leaf_sha256.clone()?,
        leaf_sha1: certificate.previous_leaf_sha1.clone()?,
        previous_leaf_sha256: Some(certificate.leaf_sha256.clone()),
        previous_leaf_sha1: Some(certificate.leaf_sha1.clone()),
        ..certificate.clone()
    })
}

fn read(receipt: &str) -> Result<Receipt, PluginError> {
    serde_json::from_str(receipt).map_err(|error| {
        PluginError::Permanent(failure(
            "receipt",
            format!("cannot read the receipt of the installation: {error}"),
        ))
    })
}

fn file_problem(act: &str, file: &str, error: FileError) -> PluginError {
    let io = matches!(error, FileError::Io(_));
    let code = match &error {
        FileError::Denied(_) => "denied",
        FileError::NotFound => "file-missing",
        FileError::TooLarge(_) => "file-too-large",
        FileError::Conflict(_) => "file-in-the-way",
        FileError::Io(_) => "file-io",
    };
    let mut failure = failure(code, format!("failed to {act} {file}: {}", words(error)));
    if io {
        failure.hint = Some(
            "the folder that is granted has to be there and to be writable, its owner and group have to exist; \
             `waxwing check` says what is missing"
                .to_owned(),
        );
        PluginError::Retryable(Retry {
            failure,
            after_ms: None,
            account_wide: false,
        })
    } else {
        PluginError::Permanent(failure)
    }
}

fn words(error: FileError) -> String {
    match error {
        FileError::Denied(said) | FileError::Conflict(said) | FileError::Io(said) => said,
        FileError::NotFound => "no such file".to_owned(),
        FileError::TooLarge(limit) => format!("more than {limit} bytes"),
    }
}

fn add_detail(error: &mut PluginError, name: &str, value: String) {
    let failure = match error {
        PluginError::Retryable(retry) => &mut retry.failure,
        PluginError::Config(setting) => &mut setting.failure,
        PluginError::Auth(failure)
        | PluginError::NotFound(failure)
        | PluginError::Conflict(failure)
        | PluginError::Unsupported(failure)
        | PluginError::Permanent(failure)
        | PluginError::Other(failure) => failure,
        PluginError::Cancelled => return,
    };
    failure.details.push(Detail {
        name: name.to_owned(),
        value,
    });
}

//! An installer that misbehaves in the way its settings name. The host's tests load it and assert
//! that each misdeed is stopped, and by what.
//!
//! `misdeed` in the settings chooses, `where` the call in which it happens. Without one the guest
//! behaves: it writes `NAME.crt` and `NAME.key` of each certificate into the grant `certs`, and
//! runs the grant `reload` if there is one.

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wit_bindgen::generate!({
        world: "installer-plugin",
        path: "../../../wit",
        generate_all,
    });
}

use bindings::exports::waxwing::plugin::installer::{
    Attempt, Certificate, DeployPlan, Guest as Installer, Installed, Step, Verdict,
};
use bindings::exports::waxwing::plugin::lifecycle::{Finding, Guest as Lifecycle};
use bindings::waxwing::host::http::{Hidden, Part};
use bindings::waxwing::host::log::{self, Level};
use bindings::waxwing::host::{artifacts, exec, files, runtime, settings};
use bindings::waxwing::plugin::types::{Detail, Failure, PluginError};

/// The component.
pub struct Component;

impl Lifecycle for Component {
    fn validate(_online: bool) -> Result<Vec<Finding>, PluginError> {
        commit(&[])?;
        Ok(Vec::new())
    }
}

impl Installer for Component {
    fn plan(certificates: Vec<Certificate>) -> Result<DeployPlan, PluginError> {
        let token = commit(&certificates)?.unwrap_or_default();
        let mut steps = Vec::new();
        for (name, content, certificate) in wanted(&certificates) {
            if files::compare("certs", &name, &content).map_err(|e| other(&format!("{e:?}")))? {
                steps.push(Step {
                    summary: format!("write {name}"),
                    kind: "file".to_owned(),
                    grant: Some("certs".to_owned()),
                    target: Some(name),
                    certificates: vec![certificate],
                    reversible: true,
                });
            }
        }
        Ok(DeployPlan {
            steps,
            findings: Vec::new(),
            token,
        })
    }

    fn install(
        _attempt: Attempt,
        certificates: Vec<Certificate>,
        _token: String,
    ) -> Result<Installed, PluginError> {
        let mut changed = false;
        if setting("/misdeed").is_empty() || setting("/after") == "writing" {
            for (name, content, _) in wanted(&certificates) {
                let written = files::write("certs", &name, &content);
                changed |= written
                    .map_err(|error| other(&format!("{error:?}")))?
                    .changed;
            }
        }
        let said = commit(&certificates)?;
        if changed && exec::granted("reload") {
            let output = exec::run("reload", &[], &[]).map_err(|e| other(&format!("{e:?}")))?;
            if output.exit_code != Some(0) {
                return Err(other(&format!(
                    "reload: {:?} {}",
                    output.exit_code,
                    String::from_utf8_lossy(&output.stderr)
                )));
            }
        }
        Ok(Installed {
            receipt: said.unwrap_or_else(|| "done".to_owned()),
            changed,
        })
    }

    fn verify(certificates: Vec<Certificate>, receipt: String) -> Result<Verdict, PluginError> {
        commit(&certificates)?;
        let problem = Failure {
            code: "hostile.not-in-place".to_owned(),
            message: "the server still has the old one".to_owned(),
            hint: None,
            http_status: None,
            details: Vec::new(),
        };
        Ok(Verdict {
            ok: !setting("/verdict").starts_with("bad"),
            problems: match &*setting("/verdict") {
                "bad" | "good but" => vec![problem],
                _ => Vec::new(),
            },
            evidence: vec![Detail {
                name: "receipt".to_owned(),
                value: receipt,
            }],
        })
    }

    fn rollback(
        _attempt: Attempt,
        _certificates: Vec<Certificate>,
        receipt: Option<String>,
    ) -> Result<(), PluginError> {
        log::write(Level::Info, &format!("rollback {receipt:?}"), &[]);
        if exec::granted("rolled-back") {
            let ran = exec::run("rolled-back", &[], &[]);
            ran.map_err(|error| other(&format!("{error:?}")))?;
        }
        Ok(())
    }
}

/// File name, content and certificate of each file of a well-behaved installer.
fn wanted(certificates: &[Certificate]) -> Vec<(String, Vec<Part>, String)> {
    let mut all = Vec::new();
    for certificate in certificates {
        for (extension, cut) in [("crt", "fullchain.pem"), ("key", "privkey.pem")] {
            let name = format!("{}.{extension}", certificate.name);
            let part = artifact(&format!("{}/{cut}", certificate.name));
            all.push((name, vec![part], certificate.name.clone()));
        }
    }
    all
}

fn artifact(name: &str) -> Part {
    Part::Artifact(Hidden {
        name: name.to_owned(),
        encoding: "raw".to_owned(),
    })
}

fn setting(pointer: &str) -> String {
    settings::get_string(pointer).unwrap_or_default()
}

/// Does what the settings say, in the call they name. Answers what it learnt.
fn commit(certificates: &[Certificate]) -> Result<Option<String>, PluginError> {
    let here = settings::get_string("/where").unwrap_or_else(|| "install".to_owned());
    if here != runtime::phase() {
        return Ok(None);
    }
    let grant = settings::get_string("/grant").unwrap_or_else(|| "certs".to_owned());
    let name = setting("/name");
    let content = [Part::Text(setting("/content"))];
    match &*setting("/misdeed") {
        "panic" => panic!("half done"),
        "fail" => return Err(other("half done")),
        "long-receipt" => return Ok(Some("x".repeat(70_000))),
        "spin" => loop {
            std::hint::black_box(0);
        },
        "write" => {
            let written = files::write(&grant, &name, &content);
            return written
                .map(|w| Some(w.sha256))
                .map_err(|e| other(&format!("{e:?}")));
        }
        "write-secret" => {
            let hidden = Hidden {
                name: setting("/secret"),
                encoding: "raw".to_owned(),
            };
            let written = files::write(&grant, &name, &[Part::Secret(hidden)]);
            return written
                .map(|w| Some(w.sha256))
                .map_err(|e| other(&format!("{e:?}")));
        }
        "write-artifact" => {
            let hidden = Hidden {
                name: setting("/artifact"),
                encoding: setting("/encoding"),
            };
            let written = files::write(&grant, &name, &[Part::Artifact(hidden)]);
            return written
                .map(|w| Some(w.sha256))
                .map_err(|e| other(&format!("{e:?}")));
        }
        "write-and-restore" => {
            let written = files::write(&grant, &name, &content);
            let written = written.map_err(|e| other(&format!("{e:?}")))?;
            let backup = written.backup.unwrap_or_default();
            files::restore(&grant, &backup).map_err(|e| other(&format!("{e:?}")))?;
            files::restore(&grant, &backup).map_err(|e| other(&format!("{e:?}")))?;
        }
        "restore" => {
            let restored = files::restore(&grant, &setting("/backup"));
            restored.map_err(|e| other(&format!("{e:?}")))?;
        }
        "stat" => {
            let info = files::stat(&grant, &name).map_err(|e| other(&format!("{e:?}")))?;
            return Ok(Some(format!(
                "{:?}",
                info.map(|i| (i.size, i.mode, i.sha256))
            )));
        }
        "read" => {
            let read = files::read(&grant, &name).map_err(|e| other(&format!("{e:?}")))?;
            return Ok(Some(String::from_utf8_lossy(&read).into_owned()));
        }
        "run" => return run(&grant).map(Some),
        "list" => {
            let all = artifacts::available();
            let all: Vec<String> = all
                .iter()
                .map(|a| format!("{} {}", a.name, a.private))
                .collect();
            return Ok(Some(all.join(", ")));
        }
        "bundle-flood" => {
            let certificate = certificates
                .first()
                .ok_or_else(|| other("no certificate"))?;
            let long = "x".repeat(1 << 20);
            let into = format!("{}/long.p12", certificate.name);
            artifacts::make_pkcs12(&into, Some(&long), None, "modern").expect_err("a long name");
            for n in 0..1000 {
                let into = format!("{}/{n}.p12", certificate.name);
                if let Err(refused) = artifacts::make_pkcs12(&into, None, None, "modern") {
                    return Ok(Some(format!("{n}: {refused:?}")));
                }
            }
        }
        "write-many-parts" => {
            let name_of_it = setting("/artifact");
            let parts: Vec<Part> = (0..40_000).map(|_| artifact(&name_of_it)).collect();
            let written = files::write(&grant, &name, &parts);
            return Ok(Some(format!("{:?}", written.map(|w| w.changed))));
        }
        "bundle" => {
            let certificate = certificates
                .first()
                .ok_or_else(|| other("no certificate"))?;
            let into = format!("{}/bundle.p12", certificate.name);
            let made = artifacts::make_pkcs12(&into, None, None, "modern");
            let made = made.map_err(|e| other(&format!("{e:?}")))?;
            let written = files::write(&grant, &name, &[artifact(&made.name)]);
            let written = written.map_err(|e| other(&format!("{e:?}")))?;
            return Ok(Some(written.changed.to_string()));
        }
        _ => {}
    }
    Ok(None)
}

fn run(grant: &str) -> Result<String, PluginError> {
    let arguments: Vec<(String, String)> = settings::get_string("/parameter")
        .map(|name| (name, setting("/value")))
        .into_iter()
        .collect();
    let stdin = match settings::get_string("/stdin-artifact") {
        Some(name) => vec![artifact(&name)],
        None => vec![Part::Text(setting("/stdin"))],
    };
    let output = exec::run(grant, &arguments, &stdin).map_err(|e| other(&format!("{e:?}")))?;
    // The whole of it would not fit into a receipt.
    let from = output.stdout.len().saturating_sub(1000);
    Ok(format!(
        "{:?} {} {} {}",
        output.exit_code,
        String::from_utf8_lossy(&output.stdout[from..]),
        String::from_utf8_lossy(&output.stderr),
        output.truncated,
    ))
}

fn other(message: &str) -> PluginError {
    PluginError::Other(Failure {
        code: "hostile.other".to_owned(),
        message: message.to_owned(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    })
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

//! Writes certificates and keys to files, then tests and reloads the server, as a component for
//! the world `installer-plugin`.
//!
//! It knows no paths, no command lines and no key: the host fills in all three. A batch is
//! installed whole or not at all: if a write, the test or the reload fails, every file is put
//! back, so that a server that restarts by itself finds what it had before, and the next run
//! finds work to do.
//!
//! Start reading at `installer`. What is written where is decided in `layout`, which
//! certificates need the commands in `installer`, and how commands run in `command`.

mod command;
mod host;
mod installer;
mod layout;

#[cfg(test)]
mod claims;
#[cfg(test)]
mod double;

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
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
    });
}

use bindings::exports::waxwing::plugin::installer::{
    Attempt, Certificate, DeployPlan, Guest as InstallerWorld, Installed, PluginError, Verdict,
};
use bindings::exports::waxwing::plugin::lifecycle::{Finding, Guest as Lifecycle};
use bindings::waxwing::host::artifacts::{self, ArtifactError};
use bindings::waxwing::host::exec::{self, ExecError, Output};
use bindings::waxwing::host::files::{self, FileError, Info, Written};
use bindings::waxwing::host::http::Part;
use bindings::waxwing::host::log::{self, Field, Level};
use bindings::waxwing::host::{secrets, settings};

use crate::installer::Installer;

/// The component.
pub struct Component;

impl Lifecycle for Component {
    fn validate(_online: bool) -> Result<Vec<Finding>, PluginError> {
        Ok(Installer::new(&Imports, &settings::json())?.validate())
    }
}

impl InstallerWorld for Component {
    fn plan(certificates: Vec<Certificate>) -> Result<DeployPlan, PluginError> {
        Installer::new(&Imports, &settings::json())?.plan(&certificates)
    }

    fn install(
        _attempt: Attempt,
        certificates: Vec<Certificate>,
        _token: String,
    ) -> Result<Installed, PluginError> {
        Installer::new(&Imports, &settings::json())?.install(&certificates)
    }

    fn verify(certificates: Vec<Certificate>, receipt: String) -> Result<Verdict, PluginError> {
        Installer::new(&Imports, &settings::json())?.verify(&certificates, &receipt)
    }

    fn rollback(
        _attempt: Attempt,
        certificates: Vec<Certificate>,
        receipt: Option<String>,
    ) -> Result<(), PluginError> {
        Installer::new(&Imports, &settings::json())?.rollback(&certificates, receipt.as_deref())
    }
}

/// The host as the component sees it.
struct Imports;

impl host::Host for Imports {
    fn bound(&self, secret: &str) -> bool {
        secrets::bound(secret)
    }

    fn make_pkcs12(
        &self,
        into: &str,
        password: Option<&str>,
        profile: &str,
    ) -> Result<(), ArtifactError> {
        artifacts::make_pkcs12(into, None, password, profile).map(|_| ())
    }

    fn folder_granted(&self, grant: &str) -> bool {
        files::granted(grant)
    }

    fn stat(&self, grant: &str, name: &str) -> Result<Option<Info>, FileError> {
        files::stat(grant, name)
    }

    fn compare(&self, grant: &str, name: &str, content: &[Part]) -> Result<bool, FileError> {
        files::compare(grant, name, content)
    }

    fn write(&self, grant: &str, name: &str, content: &[Part]) -> Result<Written, FileError> {
        files::write(grant, name, content)
    }

    fn restore(&self, grant: &str, backup: &str) -> Result<(), FileError> {
        files::restore(grant, backup)
    }

    fn command_granted(&self, grant: &str) -> bool {
        exec::granted(grant)
    }

    fn placeholders(&self, grant: &str) -> Vec<String> {
        exec::placeholders(grant)
    }

    fn run(
        &self,
        grant: &str,
        arguments: &[(String, String)],
        stdin: &[Part],
    ) -> Result<Output, ExecError> {
        exec::run(grant, arguments, stdin)
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, value)| Field {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        log::write(level, message, &fields);
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

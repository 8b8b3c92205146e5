//! What this plugin asks of its host, as a trait that tests can play.

use crate::bindings::waxwing::host::artifacts::ArtifactError;
use crate::bindings::waxwing::host::exec::{ExecError, Output};
use crate::bindings::waxwing::host::files::{FileError, Info, Written};
use crate::bindings::waxwing::host::http::Part;
use crate::bindings::waxwing::host::log::Level;

/// The host's interfaces, as far as this plugin uses them. `wit/` has the contract of each.
pub(crate) trait Host {
    fn bound(&self, secret: &str) -> bool;
    fn make_pkcs12(
        &self,
        into: &str,
        password: Option<&str>,
        profile: &str,
    ) -> Result<(), ArtifactError>;
    fn folder_granted(&self, grant: &str) -> bool;
    fn stat(&self, grant: &str, name: &str) -> Result<Option<Info>, FileError>;
    fn compare(&self, grant: &str, name: &str, content: &[Part]) -> Result<bool, FileError>;
    fn write(&self, grant: &str, name: &str, content: &[Part]) -> Result<Written, FileError>;
    fn restore(&self, grant: &str, backup: &str) -> Result<(), FileError>;
    fn command_granted(&self, grant: &str) -> bool;
    fn placeholders(&self, grant: &str) -> Vec<String>;
    fn run(
        &self,
        grant: &str,
        arguments: &[(String, String)],
        stdin: &[Part],
    ) -> Result<Output, ExecError>;
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
}

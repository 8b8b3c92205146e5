//! Where the configuration and the state are, and reading the configuration's files.

use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::settings::raw::{self, SourceFile};

/// The file in its usual place is called this.
pub const FILE_NAME: &str = "waxwing.toml";

/// A configuration file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {}: {cause}", .path.display())]
pub struct ConfigFileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub cause: String,
    /// One line on what to do.
    pub hint: Option<String>,
}

/// The platform's usual place of the configuration.
pub fn usual_config() -> PathBuf {
    #[cfg(windows)]
    let folder = program_data();
    #[cfg(not(windows))]
    let folder = PathBuf::from("/etc/waxwing");
    folder.join(FILE_NAME)
}

/// The platform's usual place of the state.
pub fn usual_state() -> PathBuf {
    #[cfg(windows)]
    let folder = program_data();
    #[cfg(not(windows))]
    let folder = PathBuf::from("/var/lib/waxwing");
    folder
}

#[cfg(windows)]
fn program_data() -> PathBuf {
    let root =
        std::env::var_os("ProgramData").map_or_else(|| r"C:\ProgramData".into(), PathBuf::from);
    root.join("Waxwing")
}

/// Reads a component; the text of the error is for the configuration's list of problems.
pub fn read_component(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|cause| format!("{} cannot be read: {cause}", path.display()))
}

/// Reads a configuration and the files it includes, the main one first, the others in the order
/// of their names.
pub fn read_sources(main: &Path) -> Result<Vec<SourceFile>, ConfigFileError> {
    let failed = |path: &Path, cause: std::io::Error| ConfigFileError {
        path: path.to_owned(),
        hint: (cause.kind() == std::io::ErrorKind::NotFound)
            .then(|| "name the file with -c FILE or WAXWING_CONFIG".to_owned()),
        cause: cause.to_string(),
    };
    let main = std::path::absolute(main).map_err(|cause| failed(main, cause))?;
    let folder = main.parent().unwrap_or(Path::new("")).to_owned();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|cause| failed(&path, cause))?;
        let shown = path.strip_prefix(&folder).unwrap_or(&path);
        Ok(SourceFile {
            shown: shown.to_string_lossy().into_owned(),
            path: path.clone(),
            text,
        })
    };
    let first = read(main.clone())?;
    let mut paths = Vec::new();
    for pattern in raw::includes(&first) {
        let whole = folder.join(&pattern);
        let found = glob::glob(&whole.to_string_lossy()).map_err(|error| ConfigFileError {
            path: main.clone(),
            cause: format!("include pattern \"{pattern}\": {error}"),
            hint: None,
        })?;
        for path in found {
            paths.push(
                path.map_err(|error| {
                    failed(error.path(), std::io::Error::other(error.to_string()))
                })?,
            );
        }
    }
    paths.sort();
    paths.dedup();
    let mut files = vec![first];
    for path in paths {
        files.push(read(path)?);
    }
    Ok(files)
}

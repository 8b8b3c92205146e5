//! Where the configuration and the state are, and reading the configuration's files.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where the configuration comes from"
)]

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

/// The file behind a path, whatever links lead to it; none if there is none.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
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
        // The folder is a name, not a pattern, whatever characters it has.
        let escaped = glob::Pattern::escape(&folder.to_string_lossy());
        let whole = Path::new(&escaped).join(&pattern);
        let found = glob::glob(&whole.to_string_lossy()).map_err(|error| ConfigFileError {
            path: main.clone(),
            cause: format!("include pattern \"{pattern}\": {error}"),
            hint: None,
        })?;
        let before = paths.len();
        for path in found {
            paths.push(
                path.map_err(|error| {
                    failed(error.path(), std::io::Error::other(error.to_string()))
                })?,
            );
        }
        // A pattern may match nothing; a file that is named and missing is a mistake.
        if paths.len() == before && !pattern.contains(['*', '?', '[']) {
            return Err(ConfigFileError {
                path: folder.join(&pattern),
                cause: "the file is named in `include` and is not there".to_owned(),
                hint: None,
            });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that a configuration with this `include` line reads, in a folder with odd
    /// characters that holds `certs.d/a.toml`.
    fn check(include: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("[prod] *");
        fs::create_dir_all(folder.join("certs.d")).expect("folders");
        let main = folder.join(FILE_NAME);
        fs::write(&main, format!("include = [\"{include}\"]")).expect("a file");
        fs::write(folder.join("certs.d/a.toml"), "").expect("a file");
        match read_sources(&main) {
            Ok(files) => Ok(files.into_iter().map(|file| file.shown).collect()),
            Err(error) => Err(error.cause),
        }
    }

    #[test]
    fn a_pattern_may_match_nothing_but_a_named_file_must_be_there() {
        let both = vec![FILE_NAME.to_owned(), "certs.d/a.toml".to_owned()];
        assert_eq!(check("certs.d/*.toml"), Ok(both.clone()));
        assert_eq!(check("certs.d/a.toml"), Ok(both));
        assert_eq!(check("other.d/*.toml"), Ok(vec![FILE_NAME.to_owned()]));
        let missing = "the file is named in `include` and is not there".to_owned();
        assert_eq!(check("certs.d/typo.toml"), Err(missing));
    }
}

//! Where the configuration and the state are, and reading the configuration's files.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where the configuration comes from"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::name::CertificateName;
use waxwing_core::settings::raw::{self, MissingInclude, SourceFile};

use crate::pem;

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

/// The platform's usual place of the state: never the folder of the configuration, because a state
/// folder that is begun has to be empty.
pub fn usual_state() -> PathBuf {
    #[cfg(windows)]
    let folder = program_data().join("state");
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
    regular(path)
        .and_then(|()| fs::read(path))
        .map_err(|cause| format!("{} cannot be read: {cause}", path.display()))
}

/// Refuses what is no file: reading a pipe that nobody writes to would never end.
fn regular(path: &Path) -> std::io::Result<()> {
    let found = fs::metadata(path)?;
    // Windows says that access is denied to a folder, which is no help.
    if found.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        let what = "it is a pipe, a socket or a device, not a file";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// Looks whether a file gives roots; the text of the error is for whoever has named it.
///
/// # Errors
/// When it cannot be read, or holds no certificate.
pub fn roots(path: &Path) -> Result<(), String> {
    let text = regular(path)
        .and_then(|()| fs::read_to_string(path))
        .map_err(|cause| format!("{} cannot be read: {cause}", path.display()))?;
    pem::roots(&text)
        .map(|_roots| ())
        .map_err(|cause| format!("{} is no PEM file of certificates: {cause}", path.display()))
}

/// True for a file that can be read as text and holds no certificate, so that it gives no roots.
pub fn holds_no_roots(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| pem::roots(&text).map_or(true, |all| all.is_empty()))
}

/// The files of a configuration.
#[derive(Debug)]
pub struct Sources {
    /// The main one first, the others in the order of their names.
    pub files: Vec<SourceFile>,
    /// What `include` names and is not read.
    pub missing: Vec<MissingInclude>,
    /// Patterns of `include` that match files, each with these as they are shown; a file that several match belongs to
    /// the first of them.
    pub matched: BTreeMap<String, Vec<String>>,
    /// Patterns of `include` that no file matches.
    pub unmatched: Vec<String>,
    /// Of all patterns in whose folder are files with other names: the certificates in these.
    pub unlike: BTreeMap<String, BTreeSet<CertificateName>>,
    /// Of patterns that match files: those of them in which nothing stands.
    pub blank: BTreeMap<String, Vec<String>>,
}

/// Reads a configuration and the files it includes. Only the main file has to be there: what is
/// wrong with the others is one mistake among those of the configuration.
///
/// # Errors
/// When the main file cannot be read.
pub fn read_sources(main: &Path) -> Result<Sources, ConfigFileError> {
    let failed = |path: &Path, cause: &std::io::Error| ConfigFileError {
        path: path.to_owned(),
        hint: match cause.kind() {
            std::io::ErrorKind::NotFound => {
                let hint = "name the file with -c FILE or WAXWING_CONFIG; `waxwing init` writes the first one, `waxwing import` \
                            that of another client";
                Some(hint.to_owned())
            }
            std::io::ErrorKind::IsADirectory => {
                let inside = path.join(FILE_NAME);
                Some(format!("name the file in it: -c {}", inside.display()))
            }
            _ => hint(cause),
        },
        cause: cause.to_string(),
    };
    let main = std::path::absolute(main).map_err(|cause| failed(main, &cause))?;
    let folder = main.parent().unwrap_or(Path::new("")).to_owned();
    let read = |path: &Path| -> std::io::Result<SourceFile> {
        regular(path)?;
        let text = fs::read_to_string(path)?;
        let shown = path.strip_prefix(&folder).unwrap_or(path);
        Ok(SourceFile {
            shown: shown.to_string_lossy().into_owned(),
            path: path.to_owned(),
            text,
        })
    };
    let first = read(&main).map_err(|cause| failed(&main, &cause))?;
    let itself = real_path(&main);
    let (mut missing, mut unmatched) = (Vec::new(), Vec::new());
    let mut matched: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // By its path: which pattern has found it.
    let mut paths: BTreeMap<PathBuf, String> = BTreeMap::new();
    for pattern in raw::includes(&first) {
        let mut miss = |message: String, hint: Option<String>| {
            missing.push(MissingInclude {
                pattern: pattern.clone(),
                message,
                hint,
            });
        };
        // The folder is a name, not a pattern, whatever characters it has.
        let escaped = glob::Pattern::escape(&folder.to_string_lossy());
        let whole = Path::new(&escaped).join(&pattern);
        let found = match glob::glob(&whole.to_string_lossy()) {
            Ok(found) => found,
            Err(error) => {
                miss(format!("{pattern:?} is no pattern: {error}"), None);
                continue;
            }
        };
        let before = paths.len();
        let mut seen = 0;
        for path in found {
            seen += 1;
            match path {
                Ok(path) if real_path(&path) == itself => miss(
                    format!("{pattern:?} includes this file itself"),
                    Some("keep the others in a folder: \"certs.d/*.toml\"".to_owned()),
                ),
                Ok(path) => {
                    paths.entry(path).or_insert_with(|| pattern.clone());
                }
                Err(error) => miss(format!("{error}"), hint(error.error())),
            }
        }
        if seen > 0 || paths.len() > before {
            matched.entry(pattern.clone()).or_default();
            continue;
        }
        // A pattern may match nothing; a file that is named and missing is a mistake.
        if pattern.contains(['*', '?', '[']) {
            unmatched.push(pattern.clone());
        } else {
            let all = Path::new(&pattern).with_file_name("*.toml");
            miss(
                format!("{} is not there", folder.join(&pattern).display()),
                Some(format!(
                    "a pattern such as {:?} may match nothing, a name may not",
                    all.to_string_lossy()
                )),
            );
        }
    }
    let mut unlike = BTreeMap::new();
    for pattern in matched.keys().chain(&unmatched) {
        let mut names = BTreeSet::new();
        let read = |path: &Path| paths.contains_key(path) || real_path(path) == itself;
        let start = below(pattern);
        let parts = |path: &Path| path.components().count();
        // Where files are found nobody has to look far.
        let depth = match matched.contains_key(pattern) {
            true => parts(Path::new(pattern))
                .saturating_sub(parts(&start))
                .min(DEPTH),
            false => DEPTH,
        };
        certificates_in(&folder.join(start), depth, &read, &mut names);
        if !names.is_empty() {
            unlike.insert(pattern.clone(), names);
        }
    }
    let mut files = vec![first];
    let mut blank: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, pattern) in paths {
        match read(&path) {
            Ok(file) => {
                if file.text.trim().is_empty() {
                    let files = blank.entry(pattern.clone()).or_default();
                    files.push(file.shown.clone());
                }
                matched.entry(pattern).or_default().push(file.shown.clone());
                files.push(file);
            }
            Err(cause) => missing.push(MissingInclude {
                pattern,
                message: format!("{} cannot be read: {cause}", path.display()),
                hint: hint(&cause),
            }),
        }
    }
    Ok(Sources {
        files,
        missing,
        matched,
        unmatched,
        unlike,
        blank,
    })
}

/// How deep it is looked for files that a pattern does not match, and how big such a file may be.
const DEPTH: usize = 2;
const BIG: u64 = 1024 * 1024;

/// The folder that a pattern begins with.
fn below(pattern: &str) -> PathBuf {
    let plain = Path::new(pattern).components();
    let plain = plain.take_while(|part| {
        let text = part.as_os_str().to_string_lossy();
        !text.contains(['*', '?', '['])
    });
    plain.collect()
}

/// The certificates in files there, whatever their names are, that nothing has `read`.
fn certificates_in(
    folder: &Path,
    depth: usize,
    read: &dyn Fn(&Path) -> bool,
    names: &mut BTreeSet<CertificateName>,
) {
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                certificates_in(&path, depth - 1, read, names);
            }
            Ok(found) if found.is_file() && found.len() <= BIG && !read(&path) => {
                let file = SourceFile {
                    shown: String::new(),
                    text: fs::read_to_string(&path).unwrap_or_default(),
                    path,
                };
                let all = raw::parse(&[file]);
                let all = all.certificates().unwrap_or_default().into_iter();
                names.extend(all.map(|(_, name)| name));
            }
            _ => {}
        }
    }
}

/// Where nothing else is known of whom it belongs to: what `init` writes is for its owner alone.
const PERMISSION: &str = if cfg!(windows) {
    "run it as an administrator, or let the user that runs this read it"
} else {
    "put sudo before it if the file is root's, or let the user that runs this read it"
};

/// What to do about a file that cannot be read.
fn hint(cause: &std::io::Error) -> Option<String> {
    let hint = match cause.kind() {
        std::io::ErrorKind::InvalidData => "save the file as UTF-8 text",
        std::io::ErrorKind::PermissionDenied => PERMISSION,
        std::io::ErrorKind::InvalidInput => {
            "name a file: a configuration is read more than once, and who can write it is looked at"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that a configuration with this `include` line reads, in a folder with odd
    /// characters that holds `certs.d/a.toml`.
    fn check(include: &str) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("[prod] *");
        fs::create_dir_all(folder.join("certs.d")).expect("folders");
        let main = folder.join(FILE_NAME);
        fs::write(&main, format!("include = [\"{include}\"]")).expect("a file");
        fs::write(folder.join("certs.d/a.toml"), "").expect("a file");
        fs::write(folder.join("latin.toml"), b"# caf\xe9").expect("a file");
        let sources = read_sources(&main).expect("the main file is there");
        let files = sources.files.into_iter().map(|file| file.shown).collect();
        let missing = sources.missing.into_iter().map(|one| {
            let shown = format!("{}/", folder.display());
            let hint = one.hint.unwrap_or_default();
            format!("{}; {hint}", one.message.replace(&shown, ""))
        });
        (files, missing.collect())
    }

    #[test]
    fn what_stands_beside_the_configuration_is_in_no_state_folder() {
        let (config, state) = (usual_config(), usual_state());
        assert!(
            !config.starts_with(&state),
            "{} would not be empty when it is begun: {}",
            state.display(),
            config.display()
        );
    }

    #[test]
    fn a_file_gives_roots_if_it_holds_certificates() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            roots(&path).map_err(|why| why.replace(&path.display().to_string(), name))
        };
        let block = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert_eq!(check("good.pem", &format!("a root:\n{block}")), Ok(()));
        let wrong = "text.pem is no PEM file of certificates: there is no certificate in it";
        assert_eq!(check("text.pem", "a root\n"), Err(wrong.to_owned()));
        for path in [folder.path(), &folder.path().join("gone.pem")] {
            let why = roots(path).expect_err("no file");
            assert!(why.contains(" cannot be read: "), "{why}");
        }
    }

    #[test]
    fn a_pattern_may_match_nothing_but_a_named_file_must_be_there() {
        let main = || vec![FILE_NAME.to_owned()];
        let both = || vec![FILE_NAME.to_owned(), "certs.d/a.toml".to_owned()];
        let none = Vec::<String>::new;
        assert_eq!(check("certs.d/*.toml"), (both(), none()));
        assert_eq!(check("certs.d/a.toml"), (both(), none()));
        assert_eq!(check("other.d/*.toml"), (main(), none()));
        let missing = "certs.d/typo.toml is not there; a pattern such as \"certs.d/*.toml\" may \
                       match nothing, a name may not";
        assert_eq!(
            check("certs.d/typo.toml"),
            (main(), vec![missing.to_owned()])
        );
        let itself = "includes this file itself; keep the others in a folder: \"certs.d/*.toml\"";
        for pattern in ["waxwing.*", "certs.d/../waxwing.toml"] {
            let want = format!("{pattern:?} {itself}");
            assert_eq!(check(pattern), (main(), vec![want]));
        }
        let (files, missing) = check("latin.toml");
        assert_eq!(files, main());
        assert!(
            missing[0].ends_with("; save the file as UTF-8 text"),
            "{missing:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_refused_instead_of_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let what = "it is a pipe, a socket or a device, not a file";
        let error = read_sources(&socket).expect_err("it is no configuration");
        assert_eq!(error.cause, what);
        let shown = format!("{} cannot be read: {what}", socket.display());
        assert_eq!(read_component(&socket), Err(shown));
    }

    #[test]
    fn a_main_file_that_cannot_be_read_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let latin = folder.path().join("latin.toml");
        fs::write(&latin, b"# caf\xe9").expect("a file");
        for (path, hint) in [
            (
                folder.path().join("none.toml"),
                "name the file with -c FILE".to_owned(),
            ),
            (
                folder.path().to_owned(),
                format!("{}/{FILE_NAME}", folder.path().display()),
            ),
            (latin, "save the file as UTF-8 text".to_owned()),
        ] {
            let error = read_sources(&path).expect_err("it is no configuration");
            assert!(
                error.hint.as_ref().is_some_and(|text| text.contains(&hint)),
                "{error:?}"
            );
        }
    }
}

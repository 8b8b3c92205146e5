//! Secrets, fetched from where their references point.
//!
//! What a newcomer gets wrong: a secret in a file ends with a line break nearly always, because
//! `echo` and editors write one. The edges are trimmed, which is said aloud; white space in the
//! middle belongs to the secret.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where secrets come from: files, variables, commands and a thread that reads one"
)]

mod command;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use waxwing_core::secret::Secret;
use waxwing_core::settings::SecretRef;
use waxwing_flow::ports::{SecretError, SecretSource};

use crate::permission;

/// Longest secret, in bytes: a file that is longer is the wrong file.
const LONGEST: u64 = 64 * 1024;

/// Reads files, the environment, systemd credentials and the output of commands.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalSecrets;

impl SecretSource for LocalSecrets {
    fn secret(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        let fetched = fetch(reference)?;
        if fetched.trimmed {
            tracing::warn!(
                secret = %reference,
                "white space at the edges of this secret is left out"
            );
        }
        Ok(fetched.secret)
    }
}

/// A secret and what was done to it.
#[derive(Debug)]
pub struct Fetched {
    /// The secret.
    pub secret: Secret<String>,
    /// True if it had more white space at its edges than the line end of a text file.
    pub trimmed: bool,
}

/// Fetches a secret.
///
/// # Errors
/// When it is not there, cannot be read, or is empty.
pub fn fetch(reference: &SecretRef) -> Result<Fetched, SecretError> {
    let fetched = match reference {
        SecretRef::File(path) => from_file(path),
        SecretRef::Env(name) => from_environment(std::env::var_os(name)),
        SecretRef::Credential(name) => {
            from_credential(std::env::var_os("CREDENTIALS_DIRECTORY"), name)
        }
        SecretRef::Command(argv) => command::first_line(argv, command::PATIENCE),
    };
    let fetched = fetched.and_then(|text| trim(&text)).and_then(|fetched| {
        let Some(bad) = control_character(fetched.secret.expose()) else {
            return Ok(fetched);
        };
        Err(Missing::new(
            format!("it holds {bad}, which no secret of one line has"),
            Some(format!(
                "write {reference} again with the secret and nothing else in it"
            )),
        ))
    });
    let Missing { causes, hint } = match fetched.map_err(|missing| missing.or_run(reference)) {
        Ok(fetched) => return Ok(fetched),
        Err(missing) => missing,
    };
    Err(SecretError {
        reference: reference.to_string(),
        causes,
        hint,
    })
}

/// True if systemd has handed credentials to this process.
pub fn is_within_a_unit() -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some()
}

/// What can be said about a reference without fetching the secret: that others can read it, or
/// that a timer will not have it.
pub fn warnings(reference: &SecretRef) -> Vec<String> {
    match reference {
        SecretRef::File(path) if permission::others_can_read(path).unwrap_or(false) => {
            vec![format!("others can read {}: chmod 600 {0}", path.display())]
        }
        SecretRef::Env(name) => {
            vec![format!(
                "env:{name} is for interactive use; a timer or service will not have it"
            )]
        }
        SecretRef::File(_) | SecretRef::Credential(_) | SecretRef::Command(_) => Vec::new(),
    }
}

/// Why there is no secret.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    causes: Vec<String>,
    hint: Option<String>,
}

impl Missing {
    fn new(cause: impl ToString, hint: Option<String>) -> Self {
        Self {
            causes: vec![cause.to_string()],
            hint,
        }
    }
}

impl Missing {
    /// With something to do about it in any case.
    fn or_run(self, reference: &SecretRef) -> Self {
        let hint = self.hint.unwrap_or_else(|| match reference {
            SecretRef::Command(argv) => format!(
                "run {} by hand as the user that runs this, with the arguments of the configuration: \
                 it has to print the secret within {} s",
                argv.first().map_or("the command", String::as_str),
                command::PATIENCE.as_secs()
            ),
            other => format!("put the secret where {other} points, as one line of text"),
        });
        Self {
            hint: Some(hint),
            ..self
        }
    }
}

fn from_file(path: &Path) -> Result<String, Missing> {
    let metadata = std::fs::metadata(path);
    // A pipe that nobody writes to would be waited for.
    if metadata.as_ref().is_ok_and(|metadata| !metadata.is_file()) {
        let hint = format!("write the secret to a file at {}", path.display());
        return Err(Missing::new("it is no regular file", Some(hint)));
    }
    let length = metadata.map(|metadata| metadata.len());
    if length.is_ok_and(|length| length > LONGEST) {
        return Err(Missing::new(
            format!("the file is longer than {LONGEST} bytes"),
            None,
        ));
    }
    let bytes = std::fs::read(path).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::NotFound => Some(format!(
                "write the secret to {}, readable by its owner only",
                path.display()
            )),
            std::io::ErrorKind::PermissionDenied => Some(format!(
                "let the user that runs this read {}",
                path.display()
            )),
            _ => None,
        };
        Missing::new(cause, hint)
    })?;
    for warning in warnings(&SecretRef::File(path.to_owned())) {
        tracing::warn!("{warning}");
    }
    String::from_utf8(bytes).map_err(|_| Missing::new("the file is not UTF-8 text", None))
}

fn from_environment(value: Option<OsString>) -> Result<String, Missing> {
    match value.map(OsString::into_string) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => Err(Missing::new("the variable is not UTF-8 text", None)),
        None => {
            let hint = "variables of your shell are not there in a timer or service; use file:";
            Err(Missing::new(
                "the variable is not set",
                Some(hint.to_owned()),
            ))
        }
    }
}

fn from_credential(directory: Option<OsString>, name: &str) -> Result<String, Missing> {
    let Some(directory) = directory.map(PathBuf::from) else {
        let hint = format!(
            "`systemctl start waxwing.service` renews where systemd hands it over; for other verbs: \
             systemd-run --pty --wait -p LoadCredential={name}:/etc/credstore/{name} waxwing ...; \
             without systemd use file:"
        );
        return Err(Missing::new(
            "systemd hands it to units alone, and this is none: $CREDENTIALS_DIRECTORY is not set",
            Some(hint),
        ));
    };
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(Missing::new(
            "the name of a credential is a plain file name",
            None,
        ));
    }
    from_file(&directory.join(name)).map_err(|missing| Missing {
        hint: Some(format!("add LoadCredential={name}:PATH to the unit")),
        ..missing
    })
}

/// Takes white space off the edges, where no secret has any.
fn trim(text: &str) -> Result<Fetched, Missing> {
    // Notepad begins a text file with a mark that is no part of it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Missing::new("it is empty", None));
    }
    Ok(Fetched {
        secret: Secret::new(secret.to_owned()),
        // One final line break is how text files end, and no news.
        trimmed: text.trim_end_matches(['\r', '\n']) != secret,
    })
}

/// The first control character of a secret. Keys in PEM and documents in JSON have lines; any other
/// secret with a line break is two secrets, or one with something pasted behind it.
fn control_character(secret: &str) -> Option<&'static str> {
    let lines = secret.starts_with("-----BEGIN ") || secret.starts_with('{');
    let mut control = secret.chars().filter(|c| c.is_control());
    let bad = control.find(|c| !(lines && matches!(c, '\n' | '\r' | '\t')))?;
    Some(match bad {
        '\n' | '\r' => "a line break",
        '\t' => "a tab",
        _ => "a control character",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(reference: &SecretRef) -> Result<String, Vec<String>> {
        LocalSecrets
            .secret(reference)
            .map(|secret| secret.expose().clone())
            .map_err(|error| error.causes)
    }

    #[test]
    fn a_file_gives_its_text_without_the_edges() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let table = [
            ("abc\n", Ok("abc")),
            (" abc def\r\n\n", Ok("abc def")),
            ("\u{feff}abc", Ok("abc")),
            (" \n", Err("it is empty")),
            ("-----BEGIN KEY-----\nabc\n", Ok("-----BEGIN KEY-----\nabc")),
            ("{\n\t\"key\": 1\r\n}", Ok("{\n\t\"key\": 1\r\n}")),
            (
                "abc\r\ndef\n",
                Err("it holds a line break, which no secret of one line has"),
            ),
            (
                "ab\u{7f}c",
                Err("it holds a control character, which no secret of one line has"),
            ),
            ("", Err("it is empty")),
        ];
        for (text, want) in table {
            std::fs::write(&path, text).expect("written");
            let want = want
                .map(str::to_owned)
                .map_err(|cause| vec![cause.to_owned()]);
            assert_eq!(fetched(&SecretRef::File(path.clone())), want, "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_says_how_to_make_it() {
        let path = Path::new("/nonexistent/dme-api-key");
        let error = LocalSecrets
            .secret(&SecretRef::File(path.to_owned()))
            .expect_err("missing");
        assert_eq!(error.reference, "file:/nonexistent/dme-api-key");
        assert_eq!(
            error.hint.as_deref(),
            Some("write the secret to /nonexistent/dme-api-key, readable by its owner only")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_worth_a_warning() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "abc").expect("written");
        for (mode, count) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("set");
            assert_eq!(warnings(&SecretRef::File(path.clone())).len(), count);
        }
    }

    #[test]
    fn credentials_are_plain_names_in_the_folder_of_systemd() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "abc\n").expect("written");
        let directory = || Some(folder.path().as_os_str().to_owned());
        assert_eq!(
            from_credential(directory(), "token"),
            Ok("abc\n".to_owned())
        );
        for name in ["../token", "", ".", "a/b"] {
            let missing = from_credential(directory(), name).expect_err("refused");
            assert_eq!(
                missing.causes,
                ["the name of a credential is a plain file name"]
            );
        }
        let missing = from_credential(None, "token").expect_err("no systemd");
        assert!(missing.causes[0].ends_with("$CREDENTIALS_DIRECTORY is not set"));
        let hint = missing.hint.expect("something to do");
        assert!(hint.contains("systemctl start waxwing.service"), "{hint}");
        assert!(hint.contains("-p LoadCredential="), "{hint}");
    }

    #[cfg(unix)]
    #[test]
    fn every_reference_without_a_secret_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let command =
            |argv: &[&str]| SecretRef::Command(argv.iter().map(|&word| word.to_owned()).collect());
        for (text, reference) in [
            ("", SecretRef::File(path.clone())),
            ("a\u{1}b", SecretRef::File(path.clone())),
            ("", SecretRef::File(folder.path().to_owned())),
            ("", SecretRef::Env("WAXWING_NOT_SET".to_owned())),
            ("", SecretRef::Credential("x".to_owned())),
            ("", command(&["/bin/false"])),
            ("", command(&["/bin/true"])),
            ("", command(&["/nonexistent/vault"])),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = LocalSecrets.secret(&reference).expect_err("no secret");
            assert!(error.hint.is_some(), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gives_the_first_line_of_its_output() {
        let command = |text: &str| {
            let argv = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
            fetched(&SecretRef::Command(argv))
        };
        assert_eq!(command("echo abc; echo def"), Ok("abc".to_owned()));
        assert_eq!(command("true"), Err(vec!["it is empty".to_owned()]));
        assert_eq!(
            command("echo no such path >&2; exit 2"),
            Err(vec![
                "/bin/sh ended with exit status: 2".to_owned(),
                "no such path".to_owned()
            ])
        );
        let missing = fetched(&SecretRef::Command(vec!["/nonexistent/vault".to_owned()]));
        assert_eq!(missing.map_err(|causes| causes.len()), Err(2));
    }

    #[test]
    fn a_reference_to_a_command_shows_no_arguments() {
        let argv = ["vault", "--token=hunter2"].map(str::to_owned).to_vec();
        assert_eq!(SecretRef::Command(argv).to_string(), "command vault");
    }
}

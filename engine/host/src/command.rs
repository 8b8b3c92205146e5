//! Granted commands: the operator's command line with its placeholders filled, and nothing else.

use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use waxwing_core::plugin::placeholder::{PATH, Piece, names, pieces};
use waxwing_core::plugin::{GrantExec, WantExec};

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;

/// Bytes of each output stream that are kept: the last ones.
const OUTPUT_CAP: usize = 64 * 1024;
/// How long the output streams are read once the command itself has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a command line cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("the placeholder `{0}` has no value")]
    Missing(String),
    #[error("the command line has no placeholder `{0}`")]
    Unknown(String),
    #[error("the placeholder `{0}` has two values")]
    Twice(String),
    #[error("the plugin's manifest has no parameter `{0}`")]
    Undeclared(String),
    #[error("the manifest's pattern for `{0}` cannot be read")]
    Pattern(String),
    #[error("the value of `{0}` does not match the manifest's pattern")]
    Refused(String),
    #[error("the value of `{0}` begins with a dash, so the command could take it for an option")]
    Option(String),
    #[error("`{0}`: {1}")]
    Path(String, String),
}

/// Fills in a command line. `path` turns the value of a `path:` placeholder into a path.
pub(crate) fn fill(
    grant: &GrantExec,
    want: &WantExec,
    values: &[(String, String)],
    path: impl Fn(&str) -> Result<PathBuf, String>,
) -> Result<Vec<String>, ArgumentError> {
    let names = names(&grant.argv);
    for (at, (name, _)) in values.iter().enumerate() {
        let shown = || crate::parts::shown(name);
        if !names.contains(name) {
            return Err(ArgumentError::Unknown(shown()));
        }
        if values[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(ArgumentError::Twice(shown()));
        }
    }
    let value = |name: &str| -> Result<String, ArgumentError> {
        let Some((_, value)) = values.iter().find(|(known, _)| known == name) else {
            return Err(ArgumentError::Missing(name.to_owned()));
        };
        if name.starts_with(PATH) {
            let path = path(value).map_err(|why| ArgumentError::Path(name.to_owned(), why))?;
            return Ok(path.display().to_string());
        }
        let Some(pattern) = want.parameters.get(name) else {
            return Err(ArgumentError::Undeclared(name.to_owned()));
        };
        let pattern = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|_broken| ArgumentError::Pattern(name.to_owned()))?;
        if value.contains(['\0', '\n', '\r']) || !pattern.is_match(value) {
            return Err(ArgumentError::Refused(name.to_owned()));
        }
        Ok(value.clone())
    };
    let mut argv = Vec::with_capacity(grant.argv.len());
    for argument in &grant.argv {
        let mut filled = String::new();
        for piece in pieces(argument) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder(name) => {
                    let value = value(name)?;
                    if filled.is_empty() && value.starts_with('-') {
                        return Err(ArgumentError::Option(name.to_owned()));
                    }
                    filled.push_str(&value);
                }
            }
        }
        argv.push(filled);
    }
    Ok(argv)
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None: ended by a signal.
    pub(crate) exit_code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) truncated: bool,
}

/// Why there is no exit code.
#[derive(Debug)]
pub(crate) enum RunError {
    NotFound(std::io::Error),
    /// Killed with all its children.
    Timeout,
    Io(std::io::Error),
}

/// Runs a command with a clean environment and waits for its end, for `timeout` at most. Dropping
/// the future kills it with its children as long as it has not ended.
///
/// Its end is the end of the command itself and not of its output: a service that it started in
/// the background inherits the streams and keeps them open. Such a service is left alone.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of granted commands"
)]
pub(crate) async fn run(
    argv: Vec<String>,
    stdin: Vec<u8>,
    timeout: Duration,
) -> Result<Ended, RunError> {
    use std::io::ErrorKind;

    let (program, arguments) = argv.split_first().ok_or_else(|| {
        RunError::NotFound(std::io::Error::new(
            ErrorKind::NotFound,
            "the command line is empty",
        ))
    })?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    os::prepare(&mut command);
    let child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => RunError::NotFound(error),
        _other => RunError::Io(error),
    })?;
    let mut group = Group::of(child);
    let (input, out, err) = (
        group.child.stdin.take(),
        group.child.stdout.take(),
        group.child.stderr.take(),
    );
    let feed = async {
        if let Some(mut input) = input {
            // A command that does not read its input is no failure.
            drop(input.write_all(&stdin).await);
        }
    };
    let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
    let status = {
        let mut streams = pin!(async {
            tokio::join!(feed, stdout.read(out), stderr.read(err));
        });
        let end = async {
            tokio::select! {
                status = group.child.wait() => (status, true),
                () = &mut streams => (group.child.wait().await, false),
            }
        };
        let Ok((status, open)) = tokio::time::timeout(timeout, end).await else {
            return Err(RunError::Timeout);
        };
        let status = status.map_err(RunError::Io)?;
        group.ended = true;
        if open {
            // What is not read by then belongs to a process that outlives the command.
            drop(tokio::time::timeout(DRAIN, streams).await);
        }
        status
    };
    Ok(Ended {
        exit_code: status.code(),
        truncated: stdout.cut || stderr.cut,
        stdout: stdout.kept,
        stderr: stderr.kept,
    })
}

/// The last bytes of a stream, as far as it has been read.
#[derive(Default)]
struct Tail {
    kept: Vec<u8>,
    /// More came before them.
    cut: bool,
}

impl Tail {
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else {
            return;
        };
        let mut chunk = [0; 8192];
        loop {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(n) => self.kept.extend_from_slice(&chunk[..n]),
            }
            let extra = self.kept.len().saturating_sub(OUTPUT_CAP);
            self.cut |= extra > 0;
            self.kept.drain(..extra);
        }
    }
}

/// A child with its own children: killed together unless it ended.
struct Group {
    child: Child,
    id: Option<u32>,
    ended: bool,
}

impl Group {
    fn of(child: Child) -> Self {
        Self {
            id: child.id(),
            child,
            ended: false,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let (false, Some(id)) = (self.ended, self.id) {
            os::kill_all(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn command_lines_are_filled_and_never_split() {
        let grant = |argv: &[&str]| GrantExec {
            argv: argv.iter().map(|&a| a.to_owned()).collect(),
            timeout: Duration::from_secs(1),
        };
        let want = WantExec {
            purpose: String::new(),
            parameters: BTreeMap::from([
                ("site".to_owned(), "[a-z0-9. -]+".to_owned()),
                ("any".to_owned(), "(?s).*".to_owned()),
                ("bad".to_owned(), "(".to_owned()),
            ]),
        };
        let path = |value: &str| match value {
            "certs/a.pem" => Ok(PathBuf::from("/srv/certs/a.pem")),
            _ => Err("no".to_owned()),
        };
        let check = |argv: &[&str],
                     values: &[(&str, &str)],
                     result: Result<&[&str], ArgumentError>| {
            let values: Vec<(String, String)> = values
                .iter()
                .map(|&(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            let result = result.map(|argv| argv.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
            assert_eq!(
                fill(&grant(argv), &want, &values, path),
                result,
                "{argv:?} {values:?}"
            );
        };
        let name = |text: &str| text.to_owned();
        check(&["/x", "-t"], &[], Ok(&["/x", "-t"]));
        check(&["/x", "{site}"], &[("site", "a b")], Ok(&["/x", "a b"]));
        check(
            &["/x", "--s={site}!"],
            &[("site", "-a")],
            Ok(&["/x", "--s=-a!"]),
        );
        check(
            &["/x", "{print $1}", "{}"],
            &[],
            Ok(&["/x", "{print $1}", "{}"]),
        );
        check(&["/x", "{ {site}"], &[("site", "a")], Ok(&["/x", "{ a"]));
        check(
            &["/x", "{path:p}"],
            &[("path:p", "certs/a.pem")],
            Ok(&["/x", "/srv/certs/a.pem"]),
        );
        check(
            &["/x", "{path:p}"],
            &[("path:p", "certs/../a")],
            Err(ArgumentError::Path(name("path:p"), name("no"))),
        );
        check(
            &["/x", "{site}"],
            &[],
            Err(ArgumentError::Missing(name("site"))),
        );
        check(
            &["/x"],
            &[("site", "a")],
            Err(ArgumentError::Unknown(name("site"))),
        );
        check(
            &["/x", "{site}"],
            &[("site", "a"), ("site", "b")],
            Err(ArgumentError::Twice(name("site"))),
        );
        check(
            &["/x", "{n}"],
            &[("n", "a")],
            Err(ArgumentError::Undeclared(name("n"))),
        );
        check(
            &["/x", "{bad}"],
            &[("bad", "a")],
            Err(ArgumentError::Pattern(name("bad"))),
        );
        check(
            &["/x", "{site}"],
            &[("site", "a;b")],
            Err(ArgumentError::Refused(name("site"))),
        );
        check(
            &["/x", "{site}"],
            &[("site", "$(id)")],
            Err(ArgumentError::Refused(name("site"))),
        );
        check(
            &["/x", "{any}"],
            &[("any", "a\nb")],
            Err(ArgumentError::Refused(name("any"))),
        );
        check(
            &["/x", "{any}"],
            &[("any", "a\0b")],
            Err(ArgumentError::Refused(name("any"))),
        );
        check(
            &["/x", "{site}"],
            &[("site", "-rf")],
            Err(ArgumentError::Option(name("site"))),
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_ends_without_the_process_that_it_leaves_behind() {
        use rustix::process::{Pid, Signal, kill_process, test_kill_process};

        let script = "/bin/sleep 60 & echo $!; exit 3";
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        // Less than what is left behind takes to close the streams.
        let ended = run(argv, Vec::new(), Duration::from_secs(20)).await;
        let ended = ended.expect("an end before the timeout");
        let said = String::from_utf8(ended.stdout).expect("text");
        let sleeper = said.trim().parse().ok().and_then(Pid::from_raw);
        let sleeper = sleeper.expect("the number of a process");
        let alive = test_kill_process(sleeper);
        // It may have ended by itself in the meantime.
        let _ = kill_process(sleeper, Signal::KILL);
        assert_eq!(alive, Ok(()));
        assert_eq!(ended.exit_code, Some(3));
        assert!(!ended.truncated);
    }
}

//! A program of the operator that gets the message as JSON on its input.
//!
//! It runs with a clean environment, as granted commands do, and is stopped when its time is over.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter for the operator's own program"
)]

use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use waxwing_flow::notify::{Delivered, Message};
use waxwing_flow::ports::{Notifier, NotifyError};

use super::{SEND, Veil};

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;

/// Bytes of its output that are kept.
const OUTPUT: u64 = 16 * 1024;

/// How long the output is read once the program itself has ended: one that it started in the
/// background may keep it open for ever.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) struct Command {
    argv: Vec<String>,
}

impl Command {
    pub(super) const fn new(argv: Vec<String>) -> Self {
        Self { argv }
    }

    fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    async fn run(&self, input: &[u8]) -> Result<Delivered, Vec<String>> {
        let mut command = tokio::process::Command::new(self.program());
        command
            .args(self.argv.iter().skip(1))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        os::prepare(&mut command);
        let child = command
            .spawn()
            .map_err(|cause| vec!["it could not be started".to_owned(), cause.to_string()])?;
        let mut group = Group {
            id: child.id(),
            child,
            ended: false,
        };
        let child = &mut group.child;
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input is no failure.
                drop(stdin.write_all(input).await);
            }
        };
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let status = {
            let mut streams = pin!(async {
                tokio::join!(feed, read(out, &mut said), read(err, &mut complained));
            });
            let (status, open) = tokio::select! {
                status = child.wait() => (status, true),
                () = &mut streams => (child.wait().await, false),
            };
            if open {
                drop(tokio::time::timeout(DRAIN, streams).await);
            }
            status
        };
        group.ended = true;
        let (out, err) = (lossy(&said), lossy(&complained));
        let status = status.map_err(|cause| vec![cause.to_string()])?;
        let veil = Veil::default();
        if status.success() {
            let mut answers = vec!["ended with 0".to_owned()];
            answers.extend(veil.lines(&out));
            return Ok(Delivered {
                answers,
                refused: Vec::new(),
                deferred: Vec::new(),
            });
        }
        let mut causes = vec![format!("it ended with {status}")];
        causes.extend(veil.lines(&err));
        Err(causes)
    }
}

#[async_trait]
impl Notifier for Command {
    fn to(&self) -> String {
        self.program().to_owned()
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        // Texts, numbers and times always have a JSON form.
        let input = serde_json::to_vec(&message.notice).unwrap_or_default();
        let ended = tokio::time::timeout(SEND, self.run(&input)).await;
        let seconds = SEND.as_secs();
        ended
            .unwrap_or_else(|_elapsed| {
                Err(vec![format!(
                    "it did not end within {seconds} s and was stopped"
                )])
            })
            .map_err(|causes| NotifyError {
                retry_after: None,
                what: format!("tell by {}", self.program()),
                causes,
                hint: None,
            })
    }
}

/// Reads a stream to its end and keeps its beginning, so that nobody waits.
async fn read(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    if let Some(mut stream) = stream {
        let _cut_off = (&mut stream).take(OUTPUT).read_to_end(kept).await;
        let _rest = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A child with its own children: killed together unless it ended.
struct Group {
    child: Child,
    id: Option<u32>,
    ended: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let (false, Some(id)) = (self.ended, self.id) {
            os::kill_all(id);
        }
    }
}

//! A command that prints a secret.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{LONGEST, Missing};

/// How long a command may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How much of the command's complaint is told.
const COMPLAINT: u64 = 500;

/// Runs the command and answers the first line of its output.
///
/// It gets no input, so that one that asks for a password ends instead of waiting.
pub(super) fn first_line(argv: &[String], patience: Duration) -> Result<String, Missing> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Missing::new("the command is empty", None));
    };
    let failed = |cause: std::io::Error| Missing {
        causes: vec![format!("{program} could not be run"), cause.to_string()],
        hint: None,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let output = collect(child.stdout.take(), LONGEST);
    let complaint = collect(child.stderr.take(), COMPLAINT);
    // A command that closes its output is about to end; one that does not is stopped.
    let Ok(output) = output.recv_timeout(patience) else {
        stop(&mut child);
        let cause = format!(
            "{program} gave no whole answer within {} s",
            patience.as_secs()
        );
        return Err(Missing::new(cause, None));
    };
    let status = wait(&mut child, patience).map_err(failed)?;
    match status {
        Some(status) if status.success() => {}
        Some(status) => {
            let mut causes = vec![format!("{program} ended with {status}")];
            let complaint = complaint
                .recv_timeout(Duration::from_secs(1))
                .unwrap_or_default();
            let complaint = String::from_utf8_lossy(&complaint);
            // Control characters of a foreign program have no business in our terminal.
            causes.extend(
                complaint
                    .lines()
                    .next()
                    .map(|line| line.escape_debug().to_string()),
            );
            return Err(Missing { causes, hint: None });
        }
        None => {
            stop(&mut child);
            let cause = format!("{program} did not end within {} s", patience.as_secs());
            return Err(Missing::new(cause, None));
        }
    }
    let text = String::from_utf8(output)
        .map_err(|_| Missing::new(format!("{program} printed something else than text"), None))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Reads a pipe to its end on a thread of its own; more than `most` bytes are dropped, so that the
/// command is not kept waiting.
fn collect(pipe: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<Vec<u8>> {
    let (done, collected) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _cut_off = pipe.by_ref().take(most).read_to_end(&mut bytes);
            let _rest = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        // Nobody listens any more when the time is over.
        let _sent = done.send(bytes);
    });
    collected
}

/// The status of a command whose output is at its end; none if it goes on for too long.
#[expect(
    clippy::disallowed_methods,
    reason = "a child has no wait with a time-out"
)]
fn wait(
    child: &mut Child,
    patience: Duration,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    let step = Duration::from_millis(10);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= patience {
            return Ok(None);
        }
        thread::sleep(step);
        waited += step;
    }
}

fn stop(child: &mut Child) {
    // It may have ended by itself in between; either way it is gone and reaped.
    let _killed = child.kill();
    let _status = child.wait();
}

//! The test that an operator has granted to an installer, such as `nginx -t`, run by itself: whether an
//! installation would get past it.

use waxwing_core::plugin::{GrantExec, placeholder};

use crate::command::{self, RunError};

/// The purpose under which a server's own test is granted.
pub const PURPOSE: &str = "test";

/// Lines of a command's output that are worth reading.
const LINES: usize = 6;

/// Characters of a line that are.
const COLUMNS: usize = 300;

/// True if it can be run without a certificate: nothing in its command line has to be filled in.
pub fn stands_alone(grant: &GrantExec) -> bool {
    placeholder::names(&grant.argv).is_empty()
}

/// Runs it as an installation does: with nothing in its environment and no input, for its timeout at most.
///
/// # Errors
/// Why it does not pass, outermost first, with the end of what it said.
pub async fn run(grant: &GrantExec) -> Result<(), Vec<String>> {
    let ended = command::run(grant.argv.clone(), Vec::new(), grant.timeout).await;
    let ended = ended.map_err(|error| match error {
        RunError::NotFound(cause) | RunError::Io(cause) => vec![cause.to_string()],
        RunError::Timeout => vec![format!(
            "it was stopped after {} s",
            grant.timeout.as_secs()
        )],
    })?;
    if ended.exit_code == Some(0) {
        return Ok(());
    }
    let mut causes = vec![match ended.exit_code {
        Some(code) => format!("it ended with exit code {code}"),
        None => "it was ended by a signal".to_owned(),
    }];
    let said = match ended.stderr.trim_ascii() {
        [] => ended.stdout,
        said => said.to_vec(),
    };
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.trim().lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LINES));
    causes.extend(last.map(|line| line.chars().take(COLUMNS).collect()));
    Err(causes)
}

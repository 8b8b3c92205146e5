//! Running the granted commands `test` and `reload`.

use crate::bindings::exports::waxwing::plugin::installer::Certificate;
use crate::bindings::waxwing::host::exec::{ExecError, Output};
use crate::bindings::waxwing::host::http::{Hidden, Part};
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::plugin::types::{Detail, PluginError, Retry};
use crate::host::Host;
use crate::layout::{KEYS, Settings, failure, wrong};

/// The purpose of the command that checks.
pub(crate) const TEST: &str = "test";
/// The purpose of the command that makes the server use the files.
pub(crate) const RELOAD: &str = "reload";

/// What a command says that a sandbox does not let write.
const READ_ONLY: [&str; 2] = ["Read-only file system", "EROFS"];

/// How much of a command's output goes into an error.
const OUTPUT_LINES: usize = 20;
const OUTPUT_BYTES: usize = 2048;

/// One run of a command.
#[derive(Debug)]
pub(crate) struct Run<'c> {
    pub(crate) grant: &'static str,
    arguments: Vec<(String, String)>,
    /// Those it runs for.
    pub(crate) certificates: Vec<&'c str>,
}

/// The runs of a granted command for these certificates: one, or one for each certificate if the
/// command line has placeholders. None if it is not granted or there is nothing to run it for.
pub(crate) fn runs<'c, H: Host>(
    host: &H,
    settings: &Settings,
    grant: &'static str,
    certificates: &[&'c Certificate],
) -> Result<Vec<Run<'c>>, PluginError> {
    if certificates.is_empty() || !host.command_granted(grant) {
        return Ok(Vec::new());
    }
    let placeholders = host.placeholders(grant);
    if placeholders.is_empty() {
        return Ok(vec![Run {
            grant,
            arguments: Vec::new(),
            certificates: certificates
                .iter()
                .map(|certificate| certificate.name.as_str())
                .collect(),
        }]);
    }
    certificates
        .iter()
        .map(|certificate| {
            Ok(Run {
                grant,
                arguments: placeholders
                    .iter()
                    .map(|placeholder| {
                        let apart = host.folder_granted(KEYS);
                        let value = value_of(settings, grant, placeholder, (certificate, apart))?;
                        Ok((placeholder.clone(), value))
                    })
                    .collect::<Result<_, PluginError>>()?,
                certificates: vec![certificate.name.as_str()],
            })
        })
        .collect()
}

/// Runs a command; anything but exit code 0 is an error with the end of its output.
pub(crate) fn execute<H: Host>(
    host: &H,
    settings: &Settings,
    run: &Run<'_>,
) -> Result<(), PluginError> {
    let stdin: Vec<Part> = match &settings.stdin {
        Some(secret) if run.grant == RELOAD => vec![Part::Secret(Hidden {
            name: secret.clone(),
            encoding: "raw".to_owned(),
        })],
        _ => Vec::new(),
    };
    let grant = run.grant;
    let output = host
        .run(grant, &run.arguments, &stdin)
        .map_err(|error| match error {
            ExecError::Denied(said) => PluginError::Permanent(failure("denied", said)),
            ExecError::BadArgument(said) => PluginError::Permanent(failure(
                "bad-argument",
                format!("the host refused to fill in the command {grant}: {said}"),
            )),
            ExecError::NotFound(said) => {
                let mut failure = failure(
                    "command-not-found",
                    format!("failed to run the command {grant}: {said}"),
                );
                failure.hint = Some(format!(
                    "name a program that is there: grants.exec.{grant}.argv = [\"/PATH/TO/PROGRAM\"]"
                ));
                PluginError::Permanent(failure)
            }
            ExecError::Timeout(after_ms) => retryable(
                "command-timeout",
                format!("the command {grant} was stopped after {after_ms} ms"),
                Some("raise its timeout if it needs longer"),
                Vec::new(),
            ),
            ExecError::Io(said) => retryable(
                "command-failed-to-start",
                format!("failed to run the command {grant}: {said}"),
                None,
                Vec::new(),
            ),
        })?;
    if output.exit_code == Some(0) {
        // What a reload says may be what is left to be done by hand.
        let said = last_lines(&output);
        if grant == RELOAD && !said.is_empty() {
            let message = "the reload command has said something";
            host.log(Level::Info, message, &[("output", said.as_str())]);
        }
        return Ok(());
    }
    let ending = output.exit_code.map_or_else(
        || "was ended by a signal".to_owned(),
        |code| format!("ended with exit code {code}"),
    );
    let said = last_lines(&output);
    let message = match said.lines().last() {
        Some(line) => format!("the command {grant} {ending}: {line}"),
        None => format!("the command {grant} {ending} and said nothing"),
    };
    let shut = said.clone();
    let mut details = vec![Detail {
        name: "certificates".to_owned(),
        value: run.certificates.join(", "),
    }];
    if !said.is_empty() {
        details.push(Detail {
            name: "output".to_owned(),
            value: said,
        });
    }
    Err(retryable(
        if grant == TEST {
            "test-failed"
        } else {
            "reload-failed"
        },
        message,
        Some(match READ_ONLY.iter().any(|words| shut.contains(words)) {
            true => {
                "the unit that runs waxwing lets a command write into granted folders alone, so it may work by hand: \
                 have it write into the folder of grants.files.certs, or add ReadWritePaths=FOLDER with `systemctl \
                 edit`; the files are put back and the next run tries again"
            }
            false => {
                "run the command by hand, as the user that waxwing runs as; \
                 the files are put back and the next run tries again"
            }
        }),
        details,
    ))
}

fn value_of(
    settings: &Settings,
    grant: &str,
    placeholder: &str,
    (certificate, keys_apart): (&Certificate, bool),
) -> Result<String, PluginError> {
    let refuse = |message: String, hint: &str| {
        Err(wrong(
            String::new(),
            "placeholder",
            format!("{{{placeholder}}} in the command {grant}: {message}"),
            Some(hint),
        ))
    };
    Ok(match placeholder {
        "name" => certificate.name.clone(),
        "sha256" => certificate.leaf_sha256.clone(),
        "sha1" => certificate.leaf_sha1.clone(),
        "previous-sha1" => certificate.previous_leaf_sha1.clone().unwrap_or_default(),
        _ => {
            let Some(extension) = placeholder.strip_prefix("path:") else {
                return refuse(
                    "no such value".to_owned(),
                    "there are {name}, {sha1}, {previous-sha1}, {sha256} and {path:EXTENSION}",
                );
            };
            match settings.by_extension(certificate, extension, keys_apart) {
                Ok((folder, file)) => format!("{folder}/{file}"),
                Err(None) => {
                    return refuse(
                        format!("no file of settings.files ends in .{extension}"),
                        "name the extension of one of the files",
                    );
                }
                Err(Some(several)) => {
                    return refuse(
                        format!("{several} both end in .{extension}"),
                        "give the files different extensions",
                    );
                }
            }
        }
    })
}

/// The end of the error output, or of the output if that is all there is.
fn last_lines(output: &Output) -> String {
    let bytes = if output.stderr.trim_ascii().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let text = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n");
    let mut start = text.len().saturating_sub(OUTPUT_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

fn retryable(code: &str, message: String, hint: Option<&str>, details: Vec<Detail>) -> PluginError {
    let mut failure = failure(code, message);
    failure.hint = hint.map(str::to_owned);
    failure.details = details;
    PluginError::Retryable(Retry {
        failure,
        after_ms: None,
        account_wide: false,
    })
}

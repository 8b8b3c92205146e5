//! `waxwing:host/exec`

use std::path::PathBuf;
use std::time::Duration;

use waxwing_core::plugin::placeholder;
use waxwing_flow::audit::AuditEvent;

use crate::bindings::installer::waxwing::host::exec::{ExecError, Host, Output};
use crate::bindings::installer::waxwing::host::http::Part;
use crate::call::{Call, instant, on_caller, without_hint};
use crate::command::{self, RunError};
use crate::files::{FileName, Spot};
use crate::limits::JOINED_CAP;
use crate::parts::{Fault, Place, fill, shown};
use crate::policy::Placement;
use crate::powers::Powers;

const DEFECT: &str = "the plugin goes beyond its own manifest or contract; tell its author";

impl Host for Call {
    async fn granted(&mut self, grant: String) -> wasmtime::Result<bool> {
        Ok(self.instance.powers.exec.contains_key(&grant))
    }

    async fn placeholders(&mut self, grant: String) -> wasmtime::Result<Vec<String>> {
        let granted = self.instance.powers.exec.get(&grant);
        Ok(granted
            .map(|(grant, _)| placeholder::names(&grant.argv))
            .unwrap_or_default())
    }

    async fn run(
        &mut self,
        grant: String,
        arguments: Vec<(String, String)>,
        stdin: Vec<Part>,
    ) -> wasmtime::Result<Result<Output, ExecError>> {
        self.heard()?;
        let (argv, timeout) = match prepare(self, &grant, &arguments) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(refused(self, &grant, error))),
        };
        let place = Place {
            secrets: Some(Placement::Stdin),
            host: None,
            artifacts: true,
        };
        let stdin = match fill(self, &stdin, place) {
            Ok(filled) => filled.bytes,
            Err(Fault::Refused(refusal)) => {
                let error = ExecError::Denied(self.refuse(&refusal));
                return Ok(Err(refused(self, &grant, error)));
            }
            Err(Fault::TooLong) => {
                let text = format!("the input has more than {JOINED_CAP} bytes");
                let error = ExecError::BadArgument(self.deny(text, DEFECT.to_owned()));
                return Ok(Err(refused(self, &grant, error)));
            }
            Err(Fault::Invalid(text)) => {
                let error = ExecError::BadArgument(self.deny(text, DEFECT.to_owned()));
                return Ok(Err(refused(self, &grant, error)));
            }
        };
        Ok(run(self, &grant, argv, stdin, timeout).await)
    }
}

/// The audit trail knows refused commands too.
fn refused(call: &mut Call, grant: &str, error: ExecError) -> ExecError {
    if let ExecError::Denied(why) | ExecError::BadArgument(why) = &error {
        let granted = call.instance.powers.exec.get(grant);
        let program = granted.and_then(|(granted, _)| granted.argv.first());
        let event = AuditEvent::Command {
            plugin: call.instance.name.clone(),
            grant: shown(grant),
            program: program.cloned().unwrap_or_default(),
            result: Err(format!("denied: {}", without_hint(why))),
            ms: 0,
        };
        call.audit(event);
    }
    error
}

fn prepare(
    call: &mut Call,
    grant: &str,
    arguments: &[(String, String)],
) -> Result<(Vec<String>, Duration), ExecError> {
    if call.phase.is_read_only() {
        let message = format!("commands cannot be run during {}", call.phase);
        return Err(ExecError::Denied(call.deny(message, DEFECT.to_owned())));
    }
    let powers = &call.instance.powers;
    let Some((granted, want)) = powers.exec.get(grant) else {
        let (plugin, purpose) = (&powers.plugin, shown(grant));
        let hint = format!(
            "grants.exec.{purpose} = {{ argv = [\"/PROGRAM\", \"ARGUMENT\"] }} under \
             [plugin.{plugin}]"
        );
        let message = format!("no command is granted for `{purpose}`");
        return Err(ExecError::Denied(call.deny(message, hint)));
    };
    match command::fill(granted, want, arguments, |value| path(powers, value)) {
        Ok(argv) => Ok((argv, granted.timeout.min(call.remaining()))),
        Err(error) => {
            let message = format!("arguments of `{}`: {error}", shown(grant));
            Err(ExecError::BadArgument(
                call.deny(message, DEFECT.to_owned()),
            ))
        }
    }
}

/// `certs/shop.pfx` to the whole path.
fn path(powers: &Powers, value: &str) -> Result<PathBuf, String> {
    let Some((purpose, name)) = value.split_once('/') else {
        return Err("not a purpose, a slash and a file name".to_owned());
    };
    let Some(grant) = powers.files.get(purpose) else {
        return Err(format!("no folder is granted for `{}`", shown(purpose)));
    };
    let name =
        FileName::parse(name).map_err(|why| format!("the file name `{}` {why}", shown(name)))?;
    let spot = Spot {
        grant: purpose.to_owned(),
        name,
    };
    Ok(spot.path(grant))
}

async fn run(
    call: &mut Call,
    grant: &str,
    argv: Vec<String>,
    stdin: Vec<u8>,
    timeout: Duration,
) -> Result<Output, ExecError> {
    let program = argv.first().cloned().unwrap_or_default();
    let started = instant();
    call.seen.acts();
    let ended = on_caller(&call.caller, command::run(argv, stdin, timeout)).await;
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let result = match ended {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(RunError::NotFound(error))) => {
            Err(ExecError::NotFound(format!("{program}: {error}")))
        }
        Ok(Err(RunError::Timeout)) => Err(ExecError::Timeout(
            u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        )),
        Ok(Err(RunError::Io(error))) => Err(ExecError::Io(format!("{program}: {error}"))),
        Err(stopped) => Err(ExecError::Io(format!("{program}: {stopped}"))),
    };
    let event = AuditEvent::Command {
        plugin: call.instance.name.clone(),
        grant: grant.to_owned(),
        program,
        result: match &result {
            Ok(ended) => ended
                .exit_code
                .ok_or_else(|| "ended by a signal".to_owned()),
            Err(ExecError::Timeout(ms)) => Err(format!("killed after {ms} ms")),
            Err(ExecError::NotFound(text) | ExecError::Io(text)) => Err(text.clone()),
            Err(ExecError::Denied(text) | ExecError::BadArgument(text)) => Err(text.clone()),
        },
        ms: millis(started.elapsed()),
    };
    call.audit(event);
    let ended = result?;
    Ok(Output {
        exit_code: ended.exit_code,
        stdout: call.redactor.bytes(&ended.stdout).into_owned(),
        stderr: call.redactor.bytes(&ended.stderr).into_owned(),
        truncated: ended.truncated,
    })
}

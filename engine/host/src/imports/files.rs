//! `waxwing:host/files`

use std::sync::Arc;

use waxwing_core::plugin::GrantFiles;
use waxwing_flow::audit::AuditEvent;

use crate::bindings::installer::waxwing::host::files::{FileError, Host, Info, Written};
use crate::bindings::installer::waxwing::host::http::Part;
use crate::call::{Call, without_hint};
use crate::files::{
    Attributes, FILE_CAP, FileName, Folder, Found, Prior, Spot, digest, is_public, restore,
};
use crate::parts::{Fault, Filled, Place, fill, shown};
use crate::section::sha256_hex;

impl Host for Call {
    async fn granted(&mut self, grant: String) -> wasmtime::Result<bool> {
        Ok(self.instance.powers.files.contains_key(&grant))
    }

    async fn stat(
        &mut self,
        grant: String,
        name: String,
    ) -> wasmtime::Result<Result<Option<Info>, FileError>> {
        self.heard()?;
        let found = place(self, &grant, &name).and_then(|place| place.prior(self));
        Ok(found.map(|prior| {
            prior.map(|prior| Info {
                size: u64::try_from(prior.content.expose().len()).unwrap_or(u64::MAX),
                sha256: digest(&prior),
                modified_unix_ms: prior.modified_unix_ms,
                mode: prior.attributes.mode(),
            })
        }))
    }

    async fn read(
        &mut self,
        grant: String,
        name: String,
    ) -> wasmtime::Result<Result<Vec<u8>, FileError>> {
        self.heard()?;
        Ok(read(self, &grant, &name))
    }

    async fn compare(
        &mut self,
        grant: String,
        name: String,
        content: Vec<Part>,
    ) -> wasmtime::Result<Result<bool, FileError>> {
        self.heard()?;
        let job = Job::new(self, &grant, &name, &content);
        Ok(job.map(|job| job.changes(self, &content)))
    }

    async fn write(
        &mut self,
        grant: String,
        name: String,
        content: Vec<Part>,
    ) -> wasmtime::Result<Result<Written, FileError>> {
        self.heard()?;
        let written = write(self, &grant, &name, &content);
        if let Err(error) = &written {
            refused_event(self, &grant, &name, error);
        }
        Ok(written)
    }

    async fn restore(
        &mut self,
        grant: String,
        backup: String,
    ) -> wasmtime::Result<Result<(), FileError>> {
        self.heard()?;
        if let Err(denied) = writable(self, "put back") {
            return Ok(Err(denied));
        }
        if self.instance.backups().grant(&backup) != Some(grant.as_str()) {
            let message = format!(
                "no backup of `{}` is called `{}`",
                shown(&grant),
                shown(&backup)
            );
            let text = self.deny(message, DEFECT.to_owned());
            return Ok(Err(FileError::Denied(text)));
        }
        let restored = restore(&self.instance, &backup).map_err(FileError::Io);
        if restored.is_ok() {
            self.writes.restored(&backup);
        }
        Ok(restored)
    }
}

const DEFECT: &str = "the plugin goes beyond its own manifest or contract; tell its author";

/// A checked name in an open folder.
struct Located {
    spot: Spot,
    grant: GrantFiles,
    folder: Folder,
}

fn place(call: &mut Call, grant: &str, name: &str) -> Result<Located, FileError> {
    let Some(granted) = call.instance.powers.files.get(grant).cloned() else {
        let plugin = &call.instance.powers.plugin;
        let purpose = shown(grant);
        let hint =
            format!("grants.files.{purpose} = {{ dir = \"/FOLDER\" }} under [plugin.{plugin}]");
        let message = format!("no folder is granted for `{purpose}`");
        return Err(FileError::Denied(call.deny(message, hint)));
    };
    let name = match FileName::parse(name) {
        Ok(name) => name,
        Err(why) => {
            let message = format!("the file name `{}` {why}", shown(name));
            return Err(FileError::Denied(call.deny(message, DEFECT.to_owned())));
        }
    };
    let folder = Folder::open(&granted)
        .map_err(|error| FileError::Io(format!("{}: {error}", granted.dir.display())))?;
    Ok(Located {
        spot: Spot {
            grant: grant.to_owned(),
            name,
        },
        grant: granted,
        folder,
    })
}

impl Located {
    fn prior(&self, call: &mut Call) -> Result<Option<Prior>, FileError> {
        let path = self.spot.path(&self.grant);
        match self.folder.find(&self.spot.name, &self.grant) {
            Ok(Found::Absent) => Ok(None),
            Ok(Found::File(prior)) => Ok(Some(prior)),
            Ok(Found::TooLarge) => Err(FileError::TooLarge(FILE_CAP)),
            Ok(Found::Obstacle(what)) => {
                let message = format!("{} is {what}", path.display());
                let hint = format!("remove {} or grant another folder", path.display());
                Err(FileError::Conflict(call.deny(message, hint)))
            }
            Err(error) => Err(FileError::Io(format!("{}: {error}", path.display()))),
        }
    }
}

fn writable(call: &mut Call, act: &str) -> Result<(), FileError> {
    if !call.phase.is_read_only() {
        call.seen.acts();
        return Ok(());
    }
    let message = format!("files cannot be {act} during {}", call.phase);
    Err(FileError::Denied(call.deny(message, DEFECT.to_owned())))
}

fn read(call: &mut Call, grant: &str, name: &str) -> Result<Vec<u8>, FileError> {
    let place = place(call, grant, name)?;
    let Some(prior) = place.prior(call)? else {
        return Err(FileError::NotFound);
    };
    let content = prior.content.expose();
    if call.instance.backups().is_private(&place.spot) || !is_public(content) {
        let path = place.spot.path(&place.grant);
        let message = format!("{} holds or may hold a private key", path.display());
        return Err(FileError::Denied(call.deny(message, DEFECT.to_owned())));
    }
    Ok(call.redactor.bytes(content).into_owned())
}

/// What `write` and `compare` have in common: what is there, and what is to be there.
struct Job {
    place: Located,
    prior: Option<Prior>,
    filled: Filled,
    wanted: Attributes,
}

impl Job {
    fn new(call: &mut Call, grant: &str, name: &str, content: &[Part]) -> Result<Self, FileError> {
        let place = place(call, grant, name)?;
        // Encoded, a key would not be known as one when a later run reads the file.
        if let Some(encoded) = content.iter().find_map(|part| match part {
            Part::Artifact(part) if part.encoding != "raw" => call
                .artifacts
                .named(&part.name)
                .filter(|artifact| artifact.private)
                .map(|artifact| artifact.name.clone()),
            _ => None,
        }) {
            let message =
                format!("`{encoded}` is private: files get it with the encoding `raw` only");
            return Err(FileError::Denied(call.deny(message, DEFECT.to_owned())));
        }
        let prior = place.prior(call)?;
        let parts = Place {
            secrets: None,
            host: None,
            artifacts: true,
        };
        let filled = fill(call, content, parts).map_err(|fault| match fault {
            Fault::Refused(refusal) => FileError::Denied(call.refuse(&refusal)),
            Fault::Invalid(text) => FileError::Denied(call.deny(text, DEFECT.to_owned())),
            Fault::TooLong => FileError::TooLarge(FILE_CAP),
        })?;
        if u64::try_from(filled.bytes.len()).unwrap_or(u64::MAX) > FILE_CAP {
            return Err(FileError::TooLarge(FILE_CAP));
        }
        let before = prior.as_ref().map(|prior| &prior.attributes);
        let wanted = Attributes::wanted(&place.grant, filled.private, before)
            .map_err(|error| FileError::Io(error.to_string()))?;
        Ok(Self {
            place,
            prior,
            filled,
            wanted,
        })
    }

    fn changes(&self, call: &Call, content: &[Part]) -> bool {
        let Some(prior) = &self.prior else {
            return true;
        };
        if prior.attributes != self.wanted {
            return true;
        }
        if *prior.content.expose() == self.filled.bytes {
            return false;
        }
        // Salted, so equal content has other bytes.
        match content {
            [Part::Artifact(only)] if only.encoding == "raw" => {
                let same = call.artifacts.named(&only.name).is_some_and(|artifact| {
                    let maker = &*call.instance.host.pkcs12;
                    call.artifacts
                        .is_same_pkcs12(maker, artifact, prior.content.expose())
                });
                !same
            }
            _ => true,
        }
    }
}

/// The audit trail knows refused writes too, as far as they can be read.
fn refused_event(call: &mut Call, grant: &str, name: &str, error: &FileError) {
    let (FileError::Denied(why) | FileError::Conflict(why)) = error else {
        return;
    };
    let name = shown(name);
    let path = match call.instance.powers.files.get(grant) {
        Some(granted) => format!("{}/{name}", granted.dir.display()),
        None => name,
    };
    let event = AuditEvent::File {
        plugin: call.instance.name.clone(),
        grant: shown(grant),
        path,
        result: format!("denied: {}", without_hint(why)),
    };
    call.audit(event);
}

fn write(call: &mut Call, grant: &str, name: &str, content: &[Part]) -> Result<Written, FileError> {
    writable(call, "written")?;
    let job = Job::new(call, grant, name, content)?;
    let path = job.place.spot.path(&job.place.grant);
    let instance = Arc::clone(&call.instance);
    let record = |call: &mut Call, result: String| {
        call.audit(AuditEvent::File {
            plugin: instance.name.clone(),
            grant: grant.to_owned(),
            path: path.display().to_string(),
            result,
        });
    };
    if !job.changes(call, content) {
        record(call, "unchanged".to_owned());
        let sha256 = job.prior.as_ref().map(digest).unwrap_or_default();
        return Ok(Written {
            changed: false,
            sha256,
            backup: None,
        });
    }
    let Job {
        place,
        prior,
        filled,
        wanted,
    } = job;
    let sha256 = sha256_hex(&filled.bytes);
    let failed = |call: &mut Call, error: &std::io::Error| {
        record(call, format!("failed: {error}"));
        Err(FileError::Io(format!("{}: {error}", path.display())))
    };
    let spot = place.spot.clone();
    let replaces = prior.is_some();
    let kept = instance
        .backups()
        .keep(spot, &place.grant, prior, &sha256, filled.private);
    let (backup, number) = match kept {
        Ok(kept) => kept,
        Err(error) => return failed(call, &error),
    };
    call.writes.begin(&backup);
    if replaces {
        place.folder.keep(&place.spot.name, number);
    }
    match place.folder.put(&place.spot.name, &filled.bytes, &wanted) {
        Ok(()) => {
            record(call, "written".to_owned());
            Ok(Written {
                changed: true,
                sha256,
                backup: Some(backup),
            })
        }
        Err(error) => {
            // The new file may have taken the name before the disk complained.
            if restore(&instance, &backup).is_ok() {
                call.writes.restored(&backup);
            }
            failed(call, &error)
        }
    }
}

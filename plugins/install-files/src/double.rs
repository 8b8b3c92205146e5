//! A host whose folder and commands are in memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::waxwing::host::artifacts::ArtifactError;
use crate::bindings::waxwing::host::exec::{ExecError, Output};
use crate::bindings::waxwing::host::files::{FileError, Info, Written};
use crate::bindings::waxwing::host::http::Part;
use crate::bindings::waxwing::host::log::Level;
use crate::host::Host;

/// One machine. The content of an artifact is `<its name>@<generation>`.
#[derive(Default)]
pub(crate) struct Machine {
    /// None: no folder is granted.
    pub(crate) folder: Option<RefCell<BTreeMap<String, String>>>,
    /// Exit codes and placeholders of the granted commands.
    pub(crate) commands: BTreeMap<&'static str, (i32, Vec<&'static str>)>,
    /// What happened, in order.
    pub(crate) events: RefCell<Vec<String>>,
    /// What was logged of what commands have said.
    pub(crate) said: RefCell<Vec<String>>,
    pub(crate) secrets: BTreeSet<&'static str>,
    /// A file that cannot be written.
    pub(crate) broken_file: Option<&'static str>,
    /// Counts renewals: artifacts have new content each time.
    pub(crate) generation: Cell<u32>,
    /// There is a folder for keys.
    pub(crate) keys_apart: bool,
    pub(crate) made: RefCell<BTreeSet<String>>,
    pub(crate) backups: RefCell<Vec<(String, Option<String>)>>,
}

impl Machine {
    /// A folder and the commands `test` and `reload`, all of which work.
    pub(crate) fn serving() -> Self {
        Self {
            folder: Some(RefCell::default()),
            commands: [("test", (0, vec![])), ("reload", (0, vec![]))].into(),
            ..Self::default()
        }
    }

    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        self.folder
            .as_ref()
            .map(|folder| folder.borrow().clone())
            .unwrap_or_default()
    }

    /// Somebody edits a file.
    pub(crate) fn tamper(&self, name: &str) {
        let folder = self.folder.as_ref().expect("a folder");
        folder
            .borrow_mut()
            .get_mut(name)
            .expect("the file")
            .push('x');
    }

    /// What happened since the last look.
    pub(crate) fn happened(&self) -> Vec<String> {
        self.events.take()
    }

    fn content(&self, parts: &[Part]) -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Artifact(hidden) => {
                    assert!(
                        !hidden.name.ends_with(".p12") || self.made.borrow().contains(&hidden.name),
                        "{} was never made",
                        hidden.name
                    );
                    format!("{}@{} ", hidden.name, self.generation.get())
                }
                other => panic!("only artifacts are written: {other:?}"),
            })
            .collect()
    }
}

/// Where a file of the folder for keys is.
fn place(grant: &str, name: &str) -> String {
    match grant {
        "keys" => format!("keys/{name}"),
        _ => name.to_owned(),
    }
}

impl Host for Machine {
    fn bound(&self, secret: &str) -> bool {
        self.secrets.contains(secret)
    }

    fn make_pkcs12(
        &self,
        into: &str,
        password: Option<&str>,
        profile: &str,
    ) -> Result<(), ArtifactError> {
        self.events
            .borrow_mut()
            .push(format!("make {into} {password:?} {profile}"));
        self.made.borrow_mut().insert(into.to_owned());
        Ok(())
    }

    fn folder_granted(&self, grant: &str) -> bool {
        self.folder.is_some() && (grant == "certs" || grant == "keys" && self.keys_apart)
    }

    fn stat(&self, grant: &str, name: &str) -> Result<Option<Info>, FileError> {
        let name = place(grant, name);
        Ok(self.files().get(&name).map(|content| Info {
            size: content.len() as u64,
            sha256: format!("sha256 of {content}"),
            modified_unix_ms: 0,
            mode: 0o600,
        }))
    }

    fn compare(&self, grant: &str, name: &str, content: &[Part]) -> Result<bool, FileError> {
        let name = place(grant, name);
        Ok(self.files().get(&name) != Some(&self.content(content)))
    }

    fn write(&self, grant: &str, name: &str, content: &[Part]) -> Result<Written, FileError> {
        if self.broken_file == Some(name) {
            return Err(FileError::Io("no space left on device".to_owned()));
        }
        let changed = self.compare(grant, name, content)?;
        let content = self.content(content);
        let name = place(grant, name);
        let backup = changed.then(|| {
            self.events.borrow_mut().push(format!("write {name}"));
            let folder = self.folder.as_ref().expect("a folder");
            let before = folder.borrow_mut().insert(name.clone(), content.clone());
            let mut backups = self.backups.borrow_mut();
            backups.push((name.clone(), before));
            (backups.len() - 1).to_string()
        });
        Ok(Written {
            changed,
            sha256: format!("sha256 of {content}"),
            backup,
        })
    }

    fn restore(&self, _grant: &str, backup: &str) -> Result<(), FileError> {
        let backups = self.backups.borrow();
        let (name, before) = &backups[backup.parse::<usize>().expect("a backup")];
        self.events.borrow_mut().push(format!("restore {name}"));
        let mut folder = self.folder.as_ref().expect("a folder").borrow_mut();
        match before {
            Some(content) => folder.insert(name.clone(), content.clone()),
            None => folder.remove(name),
        };
        Ok(())
    }

    fn command_granted(&self, grant: &str) -> bool {
        self.commands.contains_key(grant)
    }

    fn placeholders(&self, grant: &str) -> Vec<String> {
        self.commands[grant]
            .1
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn run(
        &self,
        grant: &str,
        arguments: &[(String, String)],
        stdin: &[Part],
    ) -> Result<Output, ExecError> {
        let mut event = format!("run {grant}");
        for (name, value) in arguments {
            event.push_str(&format!(" {name}={value}"));
        }
        for part in stdin {
            match part {
                Part::Secret(hidden) => event.push_str(&format!(" <{}", hidden.name)),
                other => panic!("only a secret is piped: {other:?}"),
            }
        }
        self.events.borrow_mut().push(event);
        Ok(Output {
            exit_code: Some(self.commands[grant].0),
            stdout: b"out\n".to_vec(),
            stderr: b"first line\nno such key file\n".to_vec(),
            truncated: false,
        })
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if level == Level::Info {
            let said = fields.iter().map(|(_, said)| (*said).to_owned());
            self.said.borrow_mut().extend(said);
            return;
        }
        self.events.borrow_mut().push(format!("log {message}"));
    }
}

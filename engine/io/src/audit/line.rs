//! An act as a line of JSON. What it means is documented in `examples/audit/README.md`.
//!
//! Fields are added, never renamed or removed, within one schema. What a newcomer gets wrong: a plugin
//! chooses paths and texts, and somebody will look at the file in a terminal.

use std::collections::BTreeMap;

use serde::Serialize;
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::{AccountChange, Act, AuditEvent, KeyOwner, Leaf};

use super::{Header, Launch};

/// The version of the form.
pub const SCHEMA: u32 = 1;

/// No line is longer, its end included, in bytes.
pub const LINE_CAP: usize = 16 * 1024;

/// Names of a certificate that a line has room for.
const MOST_NAMES: usize = 100;

#[derive(Serialize)]
struct LineJson<'a> {
    schema: u32,
    at: String,
    run: Option<&'a str>,
    who: WhoJson<'a>,
    version: &'a str,
    config: &'a str,
    what: ActJson,
}

#[derive(Serialize)]
struct WhoJson<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo: Option<&'a str>,
    pid: u32,
    by: &'static str,
    verb: &'a str,
}

/// One act, with its texts.
#[derive(Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
enum ActJson {
    RunBegan {
        rehearsal: bool,
    },
    RunEnded {
        stopped: bool,
        requests: BTreeMap<String, u64>,
    },
    Request {
        plugin: String,
        method: String,
        host: String,
        path: String,
        status: Option<u16>,
        failed: Option<String>,
        ms: u64,
    },
    File {
        plugin: String,
        grant: String,
        path: String,
        result: String,
    },
    Command {
        plugin: String,
        grant: String,
        program: String,
        exit: Option<i32>,
        failed: Option<String>,
        ms: u64,
    },
    More {
        plugin: String,
        count: u64,
    },
    PluginLoaded {
        plugin: String,
        file: Option<String>,
        sha256: String,
    },
    SecretRead {
        keys: Vec<String>,
        reference: String,
        found: bool,
    },
    KeyMade {
        kind: Option<&'static str>,
        public_key_sha256: Option<String>,
    },
    KeyWritten(KeyJson),
    KeyErased(KeyJson),
    Account {
        ca: String,
        directory: String,
        url: Option<String>,
        change: &'static str,
    },
    TermsAgreed {
        ca: String,
        url: String,
        agreed: String,
    },
    Received {
        certificate: String,
        stored_version: u32,
        leaf: LeafJson,
    },
    VersionErased {
        certificate: String,
        stored_version: u32,
    },
    Installed {
        certificate: String,
        stored_version: u32,
        plugin: String,
    },
    Revoked {
        certificate: String,
        stored_version: u32,
        leaf: Option<LeafJson>,
        reason: Option<u8>,
    },
    Forgotten {
        certificate: String,
        kept: String,
    },
    SetAside {
        path: String,
        kept: String,
    },
    Exported {
        path: String,
        certificate: String,
        stored_version: u32,
    },
    Told {
        notifier: String,
        way: &'static str,
        failed: Option<String>,
    },
}

#[derive(Serialize)]
struct KeyJson {
    #[serde(rename = "for")]
    purpose: &'static str,
    of: String,
    path: String,
    public_key_sha256: Option<String>,
}

#[derive(Serialize)]
struct LeafJson {
    ca: String,
    serial: String,
    sha256: String,
    not_after: String,
    names: Vec<String>,
}

/// The line of an act, with its end.
pub(super) fn line(header: &Header, at: Timestamp, run: Option<&str>, act: &Act) -> String {
    // Escaped, a byte of a text takes six at most; so the second try always fits.
    let texts = [usize::MAX, 128];
    let mut lines = texts
        .map(|most| one_line(header, at, run, act, most))
        .into_iter();
    let short = lines.clone().find(|line| line.len() <= LINE_CAP);
    short.or_else(|| lines.next_back()).unwrap_or_default()
}

fn one_line(header: &Header, at: Timestamp, run: Option<&str>, act: &Act, most: usize) -> String {
    let who = &header.who;
    let line = LineJson {
        schema: SCHEMA,
        at: at.to_string(),
        run,
        who: WhoJson {
            user: &who.user,
            uid: who.uid,
            sudo: who.sudo.as_deref(),
            pid: who.pid,
            by: match who.by {
                Launch::Terminal => "terminal",
                Launch::Service => "service",
                Launch::Program => "program",
                Launch::Daemon => "daemon",
            },
            verb: &who.verb,
        },
        version: &header.version,
        config: &header.config,
        what: Words { most }.act(act),
    };
    // Texts and numbers only: there is nothing in it that JSON cannot say.
    let mut text = harmless(&serde_json::to_string(&line).unwrap_or_default());
    text.push('\n');
    text
}

/// Turns an act into texts, none longer than so many bytes.
struct Words {
    most: usize,
}

impl Words {
    fn text(&self, text: impl ToString) -> String {
        let mut text = text.to_string();
        if text.len() > self.most {
            text.truncate(text.floor_char_boundary(self.most));
            text.push('…');
        }
        text
    }

    fn maybe(&self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.text(text))
    }

    fn names(&self, names: &[String]) -> Vec<String> {
        let most = if self.most == usize::MAX {
            MOST_NAMES
        } else {
            5
        };
        let mut shown: Vec<String> = names
            .iter()
            .take(most)
            .map(|name| self.text(name))
            .collect();
        if names.len() > most {
            shown.push(format!("and {} more", names.len() - most));
        }
        shown
    }

    fn leaf(&self, leaf: &Leaf) -> LeafJson {
        LeafJson {
            ca: leaf.ca.to_string(),
            serial: self.text(&leaf.serial),
            sha256: self.text(&leaf.sha256),
            not_after: leaf.not_after.to_string(),
            names: self.names(&leaf.names),
        }
    }

    fn key(&self, of: &KeyOwner, path: &str, public_key: Option<&String>) -> KeyJson {
        let (purpose, of) = match of {
            KeyOwner::Account(ca) => ("account", ca.to_string()),
            KeyOwner::Certificate(name) => ("certificate", name.to_string()),
            KeyOwner::Order(name) => ("order", name.to_string()),
        };
        KeyJson {
            purpose,
            of,
            path: self.text(path),
            public_key_sha256: self.maybe(public_key),
        }
    }

    fn plugin(&self, event: &AuditEvent) -> ActJson {
        match event {
            AuditEvent::Request {
                plugin,
                method,
                host,
                path,
                result,
                ms,
            } => ActJson::Request {
                plugin: plugin.to_string(),
                method: method.to_string(),
                host: self.text(host),
                path: self.text(path),
                status: result.as_ref().ok().copied(),
                failed: self.maybe(result.as_ref().err()),
                ms: *ms,
            },
            AuditEvent::File {
                plugin,
                grant,
                path,
                result,
            } => ActJson::File {
                plugin: plugin.to_string(),
                grant: self.text(grant),
                path: self.text(path),
                result: self.text(result),
            },
            AuditEvent::Command {
                plugin,
                grant,
                program,
                result,
                ms,
            } => ActJson::Command {
                plugin: plugin.to_string(),
                grant: self.text(grant),
                program: self.text(program),
                exit: result.as_ref().ok().copied(),
                failed: self.maybe(result.as_ref().err()),
                ms: *ms,
            },
            AuditEvent::More { plugin, count } => ActJson::More {
                plugin: plugin.to_string(),
                count: *count,
            },
        }
    }

    fn act(&self, act: &Act) -> ActJson {
        match act {
            Act::RunBegan { rehearsal } => ActJson::RunBegan {
                rehearsal: *rehearsal,
            },
            Act::RunEnded { stopped, requests } => {
                // A short line has no room for them all.
                let most = if self.most == usize::MAX {
                    MOST_NAMES
                } else {
                    5
                };
                let requests = requests.iter().take(most);
                ActJson::RunEnded {
                    stopped: *stopped,
                    requests: requests
                        .map(|(ca, count)| (ca.to_string(), *count))
                        .collect(),
                }
            }
            Act::Plugin(event) => self.plugin(event),
            Act::PluginLoaded {
                plugin,
                file,
                sha256,
            } => ActJson::PluginLoaded {
                plugin: plugin.to_string(),
                file: self.maybe(file.as_ref()),
                sha256: self.text(sha256),
            },
            Act::SecretRead {
                keys,
                reference,
                found,
            } => ActJson::SecretRead {
                keys: self.names(keys),
                reference: self.text(reference),
                found: *found,
            },
            Act::KeyMade { kind, public_key } => ActJson::KeyMade {
                kind: kind.map(|kind| kind.as_str()),
                public_key_sha256: self.maybe(public_key.as_ref()),
            },
            Act::KeyWritten {
                of,
                path,
                public_key,
            } => ActJson::KeyWritten(self.key(of, path, public_key.as_ref())),
            Act::KeyErased {
                of,
                path,
                public_key,
            } => ActJson::KeyErased(self.key(of, path, public_key.as_ref())),
            Act::Account {
                ca,
                directory,
                url,
                change,
            } => ActJson::Account {
                ca: ca.to_string(),
                directory: self.text(directory),
                url: self.maybe(url.as_ref()),
                change: match change {
                    AccountChange::Registered => "registered",
                    AccountChange::Contact => "contact",
                    AccountChange::RolledOver => "rolled-over",
                    AccountChange::Deactivated => "deactivated",
                },
            },
            Act::TermsAgreed { ca, url, at } => ActJson::TermsAgreed {
                ca: ca.to_string(),
                url: self.text(url),
                agreed: at.to_string(),
            },
            Act::Received {
                certificate,
                version,
                leaf,
            } => ActJson::Received {
                certificate: certificate.to_string(),
                stored_version: *version,
                leaf: self.leaf(leaf),
            },
            Act::VersionErased {
                certificate,
                version,
            } => ActJson::VersionErased {
                certificate: certificate.to_string(),
                stored_version: *version,
            },
            Act::Installed {
                certificate,
                version,
                plugin,
            } => ActJson::Installed {
                certificate: certificate.to_string(),
                stored_version: *version,
                plugin: plugin.to_string(),
            },
            Act::Revoked {
                certificate,
                version,
                leaf,
                reason,
            } => ActJson::Revoked {
                certificate: certificate.to_string(),
                stored_version: *version,
                leaf: leaf.as_ref().map(|leaf| self.leaf(leaf)),
                reason: *reason,
            },
            Act::Forgotten { certificate, kept } => ActJson::Forgotten {
                certificate: certificate.to_string(),
                kept: self.text(kept),
            },
            Act::SetAside { path, kept } => ActJson::SetAside {
                path: self.text(path),
                kept: self.text(kept),
            },
            Act::Exported {
                path,
                certificate,
                version,
            } => ActJson::Exported {
                path: self.text(path),
                certificate: certificate.to_string(),
                stored_version: *version,
            },
            Act::Told {
                notifier,
                way,
                failed,
            } => ActJson::Told {
                notifier: notifier.to_string(),
                way,
                failed: self.maybe(failed.as_ref()),
            },
        }
    }
}

/// JSON in which nothing steers a terminal: JSON escapes the characters below U+0020 by itself, and here
/// those follow that turn the direction of writing, end lines, or begin a sequence in eight bits. They
/// stand in texts only, so that the escape means the same.
fn harmless(json: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

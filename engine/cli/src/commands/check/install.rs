//! Whether what installers are granted is there and can be used. Nothing is written to find out, and nothing is
//! run but the tests of servers that the operator has granted as such.

use std::path::Path;

use serde_json::Value;
use waxwing_core::import::Cut;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::plugin::{GrantExec, GrantFiles};
use waxwing_core::settings::{PluginSettings, Settings};
use waxwing_flow::ports::CertificateStore as _;
use waxwing_host::trial;
use waxwing_io::permission;
use waxwing_io::store::FileStore;

use super::WHO;
use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::{Context, list};
use crate::render::progress::Live;
use crate::rights;
use crate::survey;

pub(super) const TOPIC: &str = "install";

/// Granted folders and commands.
pub(super) fn findings(settings: &Settings) -> Vec<Found> {
    let mut found = Vec::new();
    let mut good = Vec::new();
    for plugin in settings.plugins.values() {
        let before = found.len();
        let name = plugin.name.as_str();
        for (purpose, grant) in &plugin.grants.files {
            found.extend(folder(name, purpose, grant, may_hold_keys(plugin, purpose)));
        }
        for (purpose, grant) in &plugin.grants.exec {
            found.extend(command(name, purpose, grant));
        }
        let granted = !plugin.grants.files.is_empty() || !plugin.grants.exec.is_empty();
        if granted && found.len() == before {
            good.push(name);
        }
    }
    found.extend(keys(settings));
    found.extend(only_stored(settings));
    let unknown = rights::unknown(settings);
    good.retain(|name| !unknown.iter().any(|one| one.plugin.as_str() == *name));
    found.extend(
        unknown
            .into_iter()
            .map(|one| Found::new(Verdict::Error, TOPIC, one.text).hint(Some(one.hint))),
    );
    if !good.is_empty() {
        let text = format!(
            "{}: granted folders can be written, granted commands are there",
            good.join(", ")
        );
        found.insert(0, Found::new(Verdict::Ok, TOPIC, text));
    }
    found
}

/// So many certificates are named.
const NAMED: usize = 4;

/// Certificates that nothing brings anywhere, and that nobody looks for: whoever came from another client may think that
/// they are served.
fn only_stored(settings: &Settings) -> Option<Found> {
    let certificates = settings.certificates.iter();
    let stored = certificates.filter(|one| one.install.is_empty() && one.served_at.is_empty());
    let names: Vec<&CertificateName> = stored.map(|one| &one.name).collect();
    if names.is_empty() {
        return None;
    }
    let text = format!(
        "{}: only stored, no installer brings it to a server",
        list(&names, NAMED)
    );
    let hint = "`waxwing plugin list` shows what installs; if something else fetches it, \
                served-at = [\"HOST\"] has it looked for where it is served";
    Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned())))
}

/// What was renamed or joined, and still lies where a server may read it.
pub(super) fn left_behind(loaded: &Loaded, store: &FileStore, context: &Context) -> Vec<Found> {
    let entries = store.inventory().unwrap_or_default().into_iter().flatten();
    let inventory = entries.map(|entry| (entry.certificate.clone(), entry));
    let inventory = inventory.collect();
    let behind = survey::left_behind(loaded, &inventory, (context.now, true)).into_iter();
    let said = behind.map(|one| {
        let (name, heir) = (&one.entry.certificate, &one.heir.name);
        let current = one.entry.current.as_ref();
        let names = current.map(|current| &current.facts.names);
        let mut wanted = one.heir.domains.clone();
        wanted.sort();
        // One for one: it may be called as before.
        let again = match names == Some(&wanted) {
            true => format!("; or call the certificate {name} again: name = \"{name}\""),
            false => String::new(),
        };
        let ends = one.entry.life_in_use().map(|life| life.end);
        let ends = ends.map(|end| format!(" and ends {}", context.moment(end)));
        let text = format!(
            "{} is renewed no more{}: it is of {name}, and {heir} has its names and writes other files",
            one.file.display(),
            ends.unwrap_or_default()
        );
        let hint = format!(
            "point what reads it to the files of {heir}, then `waxwing forget {name}`{again}"
        );
        Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint))
    });
    said.collect()
}

/// What the granted tests say, run as installations run them.
pub(super) async fn tests(settings: &Settings, store: &FileStore, live: &Live) -> Vec<Found> {
    let inventory = store.inventory().unwrap_or_default();
    let installed = |name: &PluginName| {
        let mut entries = inventory.iter().flatten();
        entries.any(|entry| entry.installed.iter().any(|mark| mark.plugin == *name))
    };
    let (mut found, mut good) = (Vec::new(), Vec::new());
    for (name, plugin) in &settings.plugins {
        let granted = plugin.grants.exec.get(trial::PURPOSE);
        let Some(grant) = granted.filter(|grant| trial::stands_alone(grant)) else {
            continue;
        };
        // That it is not there is said already.
        if command(name.as_str(), trial::PURPOSE, grant).is_some() {
            continue;
        }
        let argv = grant.argv.join(" ");
        let what = format!("{name}: {argv}");
        let ran = live.during(WHO, &what, Some(grant.timeout), trial::run(grant));
        let Err(causes) = ran.await else {
            good.push(format!("{name} ({argv})"));
            continue;
        };
        let text = format!("{name}: its test does not pass: {argv}");
        // A server that is to serve files of which there are none yet says so.
        let (verdict, hint) = match installed(name) {
            true => (
                Verdict::Error,
                "until it passes, nothing new is installed: mend what it says",
            ),
            false => (
                Verdict::Warn,
                "nothing was installed there yet; if it is for want of the files, the first installation mends it",
            ),
        };
        let failed = Found::new(verdict, TOPIC, text).causes(causes);
        found.push(failed.hint(Some(hint.to_owned())));
    }
    if !good.is_empty() {
        let text = format!("tests pass: {}", good.join(", "));
        found.insert(0, Found::new(Verdict::Ok, TOPIC, text));
    }
    found
}

/// False for a folder beside which keys have one of their own.
fn may_hold_keys(plugin: &PluginSettings, purpose: &str) -> bool {
    let needed = |purpose: &str| {
        let want = plugin.manifest.files.get(purpose);
        want.is_none_or(|want| want.required)
    };
    let apart = !plugin.grants.files.keys().all(|purpose| needed(purpose));
    !needed(purpose) || !apart || mixes_keys(&plugin.settings)
}

/// True if a file is to hold a key and something else.
fn mixes_keys(settings: &Value) -> bool {
    match settings {
        Value::String(artifact) => artifact == Cut::Pkcs12.artifact(),
        Value::Array(all) => all
            .iter()
            .any(|one| one == Cut::Key.artifact() || mixes_keys(one)),
        Value::Object(fields) => fields.values().any(mixes_keys),
        _ => false,
    }
}

fn folder(plugin: &str, purpose: &str, grant: &GrantFiles, keys: bool) -> Option<Found> {
    let dir = grant.dir.display();
    if !grant.dir.is_dir() {
        let text = format!("{plugin}: grants.files.{purpose} names {dir}, which is no folder");
        let hint = match grant.dir.exists() {
            true => format!("a file is in the way: name another folder, or move {dir}"),
            false => format!("mkdir -p {dir}"),
        };
        return Some(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint)));
    }
    if let Err(cause) = permission::may_write_within(&grant.dir) {
        let text = format!("{plugin}: {dir} cannot be written by the user that runs this");
        let hint = "run this as the user that renews, and let that user write there";
        return Some(
            Found::new(Verdict::Error, TOPIC, text)
                .causes([cause.to_string()])
                .hint(Some(hint.to_owned())),
        );
    }
    let mode = grant.key_mode.or(grant.mode).filter(|_| keys);
    if mode.is_some_and(|mode| mode & 0o004 != 0) {
        let text =
            format!("{plugin}: everybody on this machine will be able to read keys in {dir}");
        let hint = format!("grants.files.{purpose}.key-mode = \"0640\" under [plugin.{plugin}]");
        return Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
    }
    if permission::others_can_write(&grant.dir).unwrap_or(false) {
        let itself = permission::others_can_write_within(&grant.dir).unwrap_or(true);
        let open = match grant.dir.parent().filter(|_| !itself) {
            Some(above) => above.display(),
            None => grant.dir.display(),
        };
        let text = format!("{plugin}: others can write {open}, and so change what is in {dir}");
        let hint = format!("chmod go-w {open}");
        return Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
    }
    None
}

/// Files that are looked at in one folder.
const MOST_FILES: usize = 2_000;

/// Installed keys that everybody may read although their grant does not say so: somebody has changed that since.
fn keys(settings: &Settings) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, plugin) in &settings.plugins {
        for grant in plugin.grants.files.values() {
            let meant = grant.key_mode.or(grant.mode);
            if meant.is_some_and(|mode| mode & 0o004 != 0) {
                continue;
            }
            for key in permission::keys_of_everybody(&grant.dir, MOST_FILES) {
                let key = key.display();
                let text =
                    format!("{name}: everybody on this machine can read the private key {key}");
                let hint = Some(format!(
                    "chmod o= {key}; the next installation does it as well"
                ));
                found.push(Found::new(Verdict::Error, TOPIC, text).hint(hint));
            }
        }
    }
    found
}

fn command(plugin: &str, purpose: &str, grant: &GrantExec) -> Option<Found> {
    let program = grant.argv.first().map_or("", String::as_str);
    let named = format!("{plugin}: grants.exec.{purpose}");
    let hint =
        format!("grants.exec.{purpose}.argv = [\"/PATH/TO/PROGRAM\", ...] under [plugin.{plugin}]");
    cannot_run(TOPIC, &named, program, hint)
}

/// What is wrong with a program that something names; `hint` is the line that names another one.
pub(super) fn cannot_run(
    topic: &'static str,
    named: &str,
    program: &str,
    hint: String,
) -> Option<Found> {
    if Path::new(program).is_file() {
        let text = format!("{named} names {program}, which may not be run");
        let found = Found::new(Verdict::Error, topic, text);
        let hint = Some(format!("chmod +x {program}"));
        return (!permission::may_be_run(Path::new(program))).then(|| found.hint(hint));
    }
    let text = format!("{named} names {program}, which is not there");
    Some(Found::new(Verdict::Error, topic, text).hint(Some(hint)))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is judged here are files")]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grant(dir: &Path) -> GrantFiles {
        GrantFiles {
            dir: dir.to_owned(),
            owner: None,
            group: None,
            mode: None,
            key_mode: None,
            acl: Vec::new(),
        }
    }

    #[test]
    fn a_folder_has_to_be_there_and_nothing_is_left_in_it() {
        let home = tempfile::tempdir().expect("a folder");
        let tls = home.path().join("tls");
        let missing = folder("web", "certs", &grant(&tls), true).expect("a finding");
        assert_eq!(missing.verdict, Verdict::Error);
        assert_eq!(missing.hint, Some(format!("mkdir -p {}", tls.display())));
        std::fs::create_dir(&tls).expect("made");
        assert_eq!(folder("web", "certs", &grant(&tls), true), None);
        for (mode, key_mode, warned) in [
            (Some(0o644), None, true),
            (Some(0o644), Some(0o640), false),
            (Some(0o640), Some(0o604), true),
            (None, None, false),
        ] {
            let grant = GrantFiles {
                mode,
                key_mode,
                ..grant(&tls)
            };
            let found = folder("web", "certs", &grant, true).map(|found| found.verdict);
            assert_eq!(
                found,
                warned.then_some(Verdict::Warn),
                "{mode:?} {key_mode:?}"
            );
        }
        assert_eq!(std::fs::read_dir(&tls).expect("listed").count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn keys_that_everybody_can_read_are_found_and_nothing_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str, mode: u32| {
            let path = home.path().join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            path
        };
        let key = "-----BEGIN EC PRIVATE KEY-----\n";
        let chain = "-----BEGIN CERTIFICATE-----\n";
        let open = write("a.key", key, 0o644);
        let both = write("b.pem", &format!("{chain}{key}"), 0o604);
        write("c.key", key, 0o640);
        write("d.crt", chain, 0o644);
        assert_eq!(permission::keys_of_everybody(home.path(), 9), [open, both]);
        let none = home.path().join("none");
        assert!(permission::keys_of_everybody(&none, 9).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_command_has_to_be_one() {
        let home = tempfile::tempdir().expect("a folder");
        let notes = home.path().join("notes.txt");
        std::fs::write(&notes, "").expect("written");
        let argv = vec![notes.display().to_string()];
        let timeout = Duration::from_secs(1);
        let found = command("web", "test", &GrantExec { argv, timeout }).expect("a finding");
        assert!(found.text.ends_with("notes.txt, which may not be run"));
        assert_eq!(found.hint, Some(format!("chmod +x {}", notes.display())));
    }

    #[test]
    fn a_command_has_to_be_there() {
        let grant = |program: &str| GrantExec {
            argv: vec![program.to_owned()],
            timeout: Duration::from_secs(1),
        };
        let here = std::env::current_exe().expect("a program");
        let here = here.display().to_string();
        assert_eq!(command("web", "test", &grant(&here)), None);
        let gone = command("web", "test", &grant("/nonexistent/nginx")).expect("a finding");
        assert_eq!(
            gone.text,
            "web: grants.exec.test names /nonexistent/nginx, which is not there"
        );
        assert_eq!(
            gone.hint.as_deref(),
            Some("grants.exec.test.argv = [\"/PATH/TO/PROGRAM\", ...] under [plugin.web]")
        );
    }
}

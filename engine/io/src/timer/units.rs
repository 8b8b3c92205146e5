//! Which services systemd starts by itself, as the links in its folders say (`systemd.unit(5)`).
//!
//! What a newcomer gets wrong: a unit that is written starts nothing. It is started because a link to
//! it, or to a timer of it, stands in the `.wants` folder of something that is started.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::permission;

/// Where units of the machine are, and the links to them.
const OF_MACHINE: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The same for all users.
const OF_USERS: [&str; 3] = [
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/lib/systemd/user",
];

/// True for a unit of the machine, and not of a user.
pub fn is_of_machine(unit: &Path) -> bool {
    let folder = unit.parent();
    OF_MACHINE.iter().any(|one| folder == Some(Path::new(one)))
}

/// The link because of which systemd starts a service by itself: to the service, or to what starts it,
/// such as a timer. None if there is none, so that a service which is written is started by nobody.
///
/// `config` is where the user's configuration is, if that is known.
pub fn link_to(service: &Path, config: Option<&Path>) -> Option<PathBuf> {
    let name = service.file_name()?.to_str()?;
    let mut folders: Vec<PathBuf> = service.parent().map(Path::to_owned).into_iter().collect();
    if is_of_machine(service) {
        folders.extend(OF_MACHINE.map(PathBuf::from));
    } else {
        folders.extend(config.map(|config| config.join("systemd/user")));
        folders.extend(OF_USERS.map(PathBuf::from));
    }
    let mut links = folders.iter().flat_map(|folder| links_in(folder));
    links.find(|link| starts(link, name))
}

/// Where a unit has a credential from (`systemd.exec(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// No line of it names the credential.
    Nothing,
    /// From this file, which is there.
    There(PathBuf),
    /// From this file, which others can read.
    Open(PathBuf),
    /// From this file, which is empty.
    Empty(PathBuf),
    /// From this file, which is not there.
    Missing(PathBuf),
    /// From the unit itself, or from somewhere that only systemd knows.
    Within,
}

/// Where credentials are looked for that a unit names without a path.
const STORES: [&str; 4] = [
    "/etc/credstore",
    "/run/credstore",
    "/usr/local/lib/credstore",
    "/usr/lib/credstore",
];

/// Where a service has that credential from, by its text and that of its drop-ins.
pub fn handed_over(service: &Path, name: &str) -> Handed {
    let mut parts = vec![service.to_owned()];
    parts.extend(children(&service.with_extension("service.d")));
    let mut handed = Handed::Nothing;
    for part in parts {
        let bytes = fs::read(&part).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            if let Some(found) = line_of(line.trim(), name) {
                handed = found;
            }
        }
    }
    handed
}

/// What a line says about a credential; none if it is about something else.
fn line_of(line: &str, name: &str) -> Option<Handed> {
    let (key, value) = line.split_once('=')?;
    let (id, rest) = value.split_once(':').unwrap_or((value, ""));
    let is_it = id.replace("%%", "%") == name;
    match key {
        "LoadCredential" | "LoadCredentialEncrypted" if is_it => {
            let sealed = key == "LoadCredentialEncrypted";
            Some(source(if rest.is_empty() { id } else { rest }, sealed))
        }
        // An empty one stands for a file that may be missing.
        "SetCredential" if is_it && matches!(rest, "" | "\\n") => None,
        "SetCredential" | "SetCredentialEncrypted" if is_it => Some(Handed::Within),
        "ImportCredential" => {
            let all = value.strip_suffix('*');
            let matches = all.map_or(value == name, |start| name.starts_with(start));
            matches.then_some(Handed::Within)
        }
        _ => None,
    }
}

/// The file of a `LoadCredential=`. A name without a slash is looked for in the stores.
fn source(written: &str, sealed: bool) -> Handed {
    let plain = written.replace("%%", "%");
    if plain.contains('%') && plain == written {
        // It stands for something that systemd knows, such as the home of a user.
        return Handed::Within;
    }
    let path = PathBuf::from(&plain);
    if path.is_absolute() {
        return look_at(path, sealed);
    }
    let suffixes = if sealed {
        &[".encrypted", ""][..]
    } else {
        &[""]
    };
    let folders = STORES.iter().flat_map(|store| {
        suffixes
            .iter()
            .map(move |suffix| format!("{store}{suffix}"))
    });
    let mut files = folders.map(|folder| Path::new(&folder).join(&plain));
    match files.find(|file| file.exists()) {
        Some(file) => look_at(file, sealed),
        None => Handed::Missing(Path::new(STORES[0]).join(plain)),
    }
}

/// What is sealed may be read by everybody.
fn look_at(path: PathBuf, sealed: bool) -> Handed {
    match fs::metadata(&path) {
        // A socket or a device gives what it has when it is asked.
        Ok(found) if !found.is_file() => Handed::Within,
        Ok(found) if found.len() == 0 => Handed::Empty(path),
        Ok(_) if !sealed && permission::others_can_read(&path).unwrap_or(false) => {
            Handed::Open(path)
        }
        Ok(_) => Handed::There(path),
        // Who may not look has to take it as it is: systemd reads it as root.
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => Handed::There(path),
        Err(_) => Handed::Missing(path),
    }
}

/// The links of a folder of units, in the folders for them.
fn links_in(folder: &Path) -> Vec<PathBuf> {
    let wants = children(folder).into_iter().filter(|path| {
        let kind = path.extension();
        kind.is_some_and(|kind| kind == "wants" || kind == "requires")
    });
    // A link that leads nowhere starts nothing.
    let links = wants.flat_map(|folder| children(&folder));
    links.filter(|link| link.exists()).collect()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// True if what is linked there is that service, or starts it.
fn starts(link: &Path, service: &str) -> bool {
    let Some(linked) = link.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    if is_same(linked, service) {
        return true;
    }
    let Some((stem, "timer" | "path" | "socket")) = linked.rsplit_once('.') else {
        return false;
    };
    let text = fs::read(link).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let unit = text
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("Unit")?
                .trim_start()
                .strip_prefix('=')
        })
        .map_or_else(|| format!("{stem}.service"), |unit| unit.trim().to_owned());
    is_same(&unit, service)
}

/// True for the same unit: `certs@web.service` is one of `certs@.service`.
fn is_same(linked: &str, unit: &str) -> bool {
    let template = |name: &str| {
        let (before, rest) = name.split_once('@')?;
        let (_, kind) = rest.rsplit_once('.')?;
        Some(format!("{before}@.{kind}"))
    };
    linked == unit || template(linked).is_some_and(|template| template == unit)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_service_is_started_because_of_a_link_to_it_or_to_its_timer() {
        let home = tempfile::tempdir().expect("a folder");
        let units = home.path().join("units");
        let wants = units.join("timers.target.wants");
        fs::create_dir_all(&wants).expect("made");
        let write = |name: &str, text: &str| {
            fs::write(units.join(name), text).expect("written");
            units.join(name)
        };
        let service = write("certs.service", "[Service]\n");
        let timer = write("certs.timer", "[Timer]\n");
        let other = write("night.timer", "[Timer]\nUnit=certs.service\n");
        let foreign = write("certs-old.timer", "[Timer]\n");
        let link = |from: &Path| {
            let link = wants.join(from.file_name().expect("a name"));
            symlink(from, &link).expect("linked");
            link
        };
        let found = || link_to(&service, None);
        assert_eq!(found(), None);
        link(&foreign);
        assert_eq!(found(), None);
        for from in [&timer, &other, &service] {
            let link = link(from);
            assert_eq!(found(), Some(link.clone()));
            fs::remove_file(link).expect("removed");
        }
        // A link that leads nowhere.
        link(&timer);
        fs::remove_file(&timer).expect("removed");
        assert_eq!(found(), None);

        let template = write("certs@.service", "[Service]\n");
        assert_eq!(link_to(&template, None), None);
        symlink(&template, wants.join("certs@web.service")).expect("linked");
        assert!(link_to(&template, None).is_some());
        assert_eq!(found(), None);
    }

    #[test]
    fn a_credential_is_looked_for_where_the_unit_has_it_from() {
        let home = tempfile::tempdir().expect("a folder");
        let store = home.path().join("store 100%");
        fs::create_dir(&store).expect("made");
        let secret = store.join("dme");
        let service = home.path().join("certs.service");
        let written = store.display().to_string().replace('%', "%%");
        let unit =
            format!("[Service]\n# LoadCredential=other:/x\nLoadCredential=dme:{written}/dme\n");
        fs::write(&service, unit).expect("written");
        let found = || handed_over(&service, "dme");
        assert_eq!(handed_over(&service, "other"), Handed::Nothing);
        assert_eq!(found(), Handed::Missing(secret.clone()));
        fs::write(&secret, "").expect("written");
        assert_eq!(found(), Handed::Empty(secret.clone()));
        for (mode, want) in [
            (0o644, Handed::Open(secret.clone())),
            (0o600, Handed::There(secret.clone())),
        ] {
            fs::write(&secret, "s").expect("written");
            fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(found(), want);
        }
        // What is added to a unit counts, too.
        let added = home.path().join("certs.service.d");
        fs::create_dir(&added).expect("made");
        fs::write(
            added.join("more.conf"),
            "[Service]\nSetCredential=smtp:secret\n",
        )
        .expect("written");
        assert_eq!(handed_over(&service, "smtp"), Handed::Within);
        assert_eq!(line_of("SetCredential=smtp:\\n", "smtp"), None);
        assert_eq!(
            line_of("ImportCredential=dns.*", "dns.key"),
            Some(Handed::Within)
        );
        assert_eq!(line_of("ImportCredential=dns.*", "smtp"), None);
        assert_eq!(line_of("LoadCredential=a:%h/a", "a"), Some(Handed::Within));
        let nowhere = Handed::Missing(PathBuf::from("/etc/credstore/no-such-credential"));
        let line = "LoadCredential=no-such-credential";
        assert_eq!(line_of(line, "no-such-credential"), Some(nowhere));
    }
}

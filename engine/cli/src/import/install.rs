//! Where another client puts its files and what it runs then, as installers.

use std::collections::BTreeMap;

use waxwing_core::import::tree::{base, folder};
use waxwing_core::import::words::{plain_words, windows_words};
use waxwing_core::import::{Certificate, Client, Command, Cut, Install};
use waxwing_core::name::CertificateName;
use waxwing_core::plugin::{Manifest, World};
use waxwing_io::import::Rights;

use super::draft::Catalog;
use super::{Draft, InstallerDraft, InstallerWords, KeyFolderDraft, Surroundings};

/// The program that runs scripts of PowerShell.
const POWERSHELL: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";

/// The program that runs batch files.
const CMD: &str = r"C:\Windows\System32\cmd.exe";

/// The shell of every other system.
const SHELL: &str = "/bin/sh";

/// The installers of a certificate, by their names in the draft, and those that are only proposed.
pub(super) fn installers(
    draft: &mut Draft,
    client: Client,
    certificate: &Certificate,
    name: &CertificateName,
    catalog: &Catalog<'_>,
    around: &Surroundings<'_>,
) -> (Vec<String>, Vec<String>) {
    let (mut used, mut proposed) = (Vec::new(), Vec::new());
    let Some(words) = words(&catalog.manifests) else {
        return (used, proposed);
    };
    for install in &certificate.installs {
        let mut groups: BTreeMap<&str, Vec<(&str, Cut)>> = BTreeMap::new();
        for (path, cut) in &install.files {
            groups.entry(folder(path)).or_default().push((path, *cut));
        }
        let made = groups.into_iter();
        let made =
            made.map(|(dir, files)| files_installer(&words, dir, &files, name, client, around));
        let mut made = together(made.collect());
        let proposal = install.reads.as_ref().map(|_| {
            "the servers read the certificate from the other client's own folder; name a folder, point the \
             servers to it, and take the signs of a comment away"
                .to_owned()
        });
        if made.is_empty() && install.command.is_some() {
            made.push(empty_installer(&words, client));
        }
        if let Some(last) = made.last_mut() {
            if let Some(command) = &install.command {
                let pfx = last.files.iter().find(|(_, cut)| *cut == Cut::Pkcs12);
                let argv = match command {
                    Command::Shell(line) => shell(line, around),
                    Command::Windows { program, arguments } => {
                        windows(program, arguments, last.dir.as_deref(), pfx.is_some())
                    }
                };
                match argv {
                    Ok(argv) => last.reload = Some(argv),
                    Err(why) => draft.remark(
                        &certificate.name,
                        format!("{} is run after a renewal, but {why}", shown(command)),
                        "put it into a script, and write grants.exec.reload of its installer",
                    ),
                }
            }
            if proposal.is_some() {
                last.dir = Some(PROPOSED.to_owned());
                last.files = vec![
                    ("{name}.crt".to_owned(), Cut::Fullchain),
                    ("{name}.key".to_owned(), Cut::Key),
                ];
            }
        }
        for mut one in made {
            one.off = proposal.clone().or_else(|| elsewhere(client, around));
            // A command without files and without itself is nothing.
            if one.files.is_empty() && one.reload.is_none() {
                continue;
            }
            let all = match one.off {
                None => &mut used,
                Some(_) => &mut proposed,
            };
            let called = keep(draft, one);
            if !all.contains(&called) {
                all.push(called);
            }
        }
        reads(draft, client, install);
    }
    (used, proposed)
}

/// One installer for a certificate in one folder and its key in another: of two, one could fail alone, and the server
/// would have a key that does not belong to its certificate. It comes last, and what has neither is left as it is.
fn together(made: Vec<InstallerDraft>) -> Vec<InstallerDraft> {
    let only_keys = |one: &InstallerDraft| one.files.iter().all(|(_, cut)| *cut == Cut::Key);
    let leaf = |one: &InstallerDraft| {
        let mut files = one.files.iter();
        files.any(|(_, cut)| matches!(cut, Cut::Fullchain | Cut::Cert))
    };
    let whole = |one: &InstallerDraft| one.files.iter().any(|(_, cut)| *cut == Cut::Fullchain);
    let keys: Vec<usize> = (0..made.len()).filter(|at| only_keys(&made[*at])).collect();
    let leaves = (0..made.len()).filter(|at| leaf(&made[*at]));
    let certificate = leaves.max_by_key(|at| whole(&made[*at]));
    let ([keys], Some(certificate)) = (keys.as_slice(), certificate) else {
        return made;
    };
    let (key, mut one) = (&made[*keys], made[certificate].clone());
    let same = |(file, _): &(String, Cut)| one.files.iter().any(|(other, _)| other == file);
    let (Some(purpose), Some(dir)) = (&key.words.keys, &key.dir) else {
        return made;
    };
    // A name stands once among `files`.
    if key.files.iter().any(same) {
        return made;
    }
    one.keys = Some(KeyFolderDraft {
        purpose: purpose.clone(),
        dir: dir.clone(),
        owner: key.owner.clone(),
        group: key.group.clone(),
        mode: key.mode,
    });
    one.files.extend(key.files.iter().cloned());
    let others = made.iter().enumerate();
    let others = others.filter(|(at, _)| at != keys && *at != certificate);
    let others = others.map(|(_, other)| other.clone());
    others.chain([one]).collect()
}

/// A folder for files of our own, which nothing else writes to.
const PROPOSED: &str = "/etc/ssl/waxwing";

/// Says once where servers read the certificates until they are pointed elsewhere.
fn reads(draft: &mut Draft, client: Client, install: &Install) {
    let Some(place) = &install.reads else {
        return;
    };
    let above = folder(place);
    let shown = if above.is_empty() { place } else { above };
    draft.remark(
        shown,
        format!("servers that read {client}'s files in it go on with what is there now; Waxwing does not write there"),
        "write an installer, [plugin.NAME], and point the servers to its files before the next renewal",
    );
}

/// Why an installer of the other kind of system is only proposed.
fn elsewhere(client: Client, around: &Surroundings<'_>) -> Option<String> {
    match (client.is_of_windows(), around.windows) {
        (true, false) => Some("it is for Windows".to_owned()),
        (false, true) => Some("it is for Linux or Unix".to_owned()),
        _ => None,
    }
}

/// The built-in installer that writes files: the one that takes a folder and a setting `files`.
fn words(manifests: &[Manifest]) -> Option<InstallerWords> {
    let writes = |manifest: &&Manifest| {
        let files = manifest.schema.pointer("/properties/files");
        manifest.world == World::Installer
            && files.is_some()
            && manifest.exec.contains_key("reload")
    };
    let manifest = manifests.iter().find(writes)?;
    let mut secrets = manifest.secrets.iter();
    let mut folders = manifest.files.iter();
    let keys = folders.find(|(_, want)| !want.required);
    let password = secrets.find(|(_, want)| want.uses.iter().any(|one| one == "pkcs12"));
    Some(InstallerWords {
        plugin: manifest.id.clone(),
        folder: manifest
            .files
            .iter()
            .find(|(_, want)| want.required)?
            .0
            .clone(),
        keys: keys.map(|(purpose, _)| purpose.clone()),
        password: password.map(|(name, _)| name.clone()),
    })
}

fn empty_installer(words: &InstallerWords, client: Client) -> InstallerDraft {
    InstallerDraft {
        name: "server".to_owned(),
        words: words.clone(),
        files: Vec::new(),
        dir: None,
        keys: None,
        owner: None,
        group: None,
        mode: None,
        key_mode: None,
        windows: client.is_of_windows(),
        reload: None,
        password: None,
        off: None,
    }
}

fn files_installer(
    words: &InstallerWords,
    dir: &str,
    files: &[(&str, Cut)],
    name: &CertificateName,
    client: Client,
    around: &Surroundings<'_>,
) -> InstallerDraft {
    let mut made = empty_installer(words, client);
    made.dir = Some(dir.to_owned());
    let label = label(dir);
    made.name = label;
    for (path, cut) in files {
        let file = base(path);
        let template = match file.strip_prefix(name.as_str()) {
            Some(end) => format!("{{name}}{end}"),
            None => file.to_owned(),
        };
        made.files.push((template, *cut));
        if *cut == Cut::Pkcs12 {
            made.password = Some(format!("{}-password", made.name));
        }
        let Some(Rights { owner, group, mode }) = (around.rights)(path) else {
            continue;
        };
        // Root's files need no word: whoever renews is root.
        made.owner = Some(owner).filter(|it| it != "root").or(made.owner);
        made.group = Some(group).filter(|it| it != "root").or(made.group);
        if *cut == Cut::Key {
            made.key_mode = Some(mode);
        } else {
            made.mode = Some(mode);
        }
    }
    if made.mode.is_none() || made.mode == made.key_mode {
        made.mode = made.key_mode.take().or(made.mode);
    }
    made
}

/// A name for an installer: the last telling part of its folder's path.
fn label(dir: &str) -> String {
    let dull = [
        "",
        "ssl",
        "tls",
        "certs",
        "cert",
        "private",
        "certificates",
        "pem",
    ];
    let mut parts = dir.rsplit(['/', '\\']);
    let part = parts.find(|part| !dull.contains(&part.to_ascii_lowercase().as_str()));
    let plain: String = part
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() || matches!(plain, "etc" | "c") {
        "server".to_owned()
    } else {
        plain.to_owned()
    }
}

/// The installer under a name that is free, or one that is the same but for its name.
fn keep(draft: &mut Draft, made: InstallerDraft) -> String {
    let mut number = 1;
    let stem = made.name.clone();
    loop {
        let name = if number == 1 {
            stem.clone()
        } else {
            format!("{stem}-{number}")
        };
        number += 1;
        let mut one = InstallerDraft {
            name: name.clone(),
            ..made.clone()
        };
        one.password = one.password.map(|_| format!("{name}-password"));
        let providers = &mut draft.providers.iter();
        if providers.any(|provider| provider.name == name) {
            continue;
        }
        match draft.installers.iter().find(|there| there.name == name) {
            Some(there) if *there == one => return name,
            Some(_) => {}
            None => {
                draft.installers.push(one);
                return name;
            }
        }
    }
}

fn shown(command: &Command) -> String {
    match command {
        Command::Shell(line) => format!("`{line}`"),
        Command::Windows { program, .. } => format!("`{program}`"),
    }
}

/// A line of a shell as a command of its own, or for a shell if it needs one.
///
/// # Errors
/// Why it cannot be taken over, as the end of a sentence.
fn shell(line: &str, around: &Surroundings<'_>) -> Result<Vec<String>, String> {
    let sign = match plain_words(line) {
        Ok(words) => {
            let Some((first, rest)) = words.split_first() else {
                return Err("there is nothing in it".to_owned());
            };
            let program = (around.program)(first)
                .ok_or_else(|| format!("there is no program {first} here"))?;
            let mut argv = vec![program.display().to_string()];
            argv.extend(rest.iter().cloned());
            return Ok(argv);
        }
        Err(sign) => sign,
    };
    // Variables of the client are not set here, and braces are placeholders of ours.
    if line.contains(['$', '`', '{', '}']) || line.chars().any(char::is_control) {
        return Err(format!(
            "it holds {sign:?}, which means something to {SHELL} or to the client"
        ));
    }
    Ok(vec![SHELL.to_owned(), "-c".to_owned(), line.to_owned()])
}

/// What the client fills in, and what is the same here.
const PLACEHOLDERS: [(&[&str], &str); 3] = [
    (&["{CertThumbprint}", "{5}"], "{sha1}"),
    (&["{OldCertThumbprint}"], "{previous-sha1}"),
    (
        &["{CertCommonName}", "{CertFriendlyName}", "{0}", "{4}"],
        "{name}",
    ),
];

/// A program of Windows with its arguments.
///
/// # Errors
/// Why it cannot be taken over, as the end of a sentence.
fn windows(
    program: &str,
    arguments: &str,
    dir: Option<&str>,
    pfx: bool,
) -> Result<Vec<String>, String> {
    let mut argv = match program.rsplit('.').next().map(str::to_ascii_lowercase) {
        Some(end) if end == "ps1" => {
            let start = [POWERSHELL, "-NoProfile", "-File", program];
            start.map(str::to_owned).to_vec()
        }
        Some(end) if end == "bat" || end == "cmd" => {
            [CMD, "/c", program].map(str::to_owned).to_vec()
        }
        _ => vec![program.to_owned()],
    };
    for word in windows_words(arguments) {
        let mut word = word.trim_matches('\'').to_owned();
        for (theirs, ours) in PLACEHOLDERS {
            for their in theirs {
                word = word.replace(their, ours);
            }
        }
        for file in ["{CacheFile}", "{2}"] {
            if pfx {
                word = word.replace(file, "{path:pfx}");
            }
        }
        for place in ["{StorePath}", "{3}"] {
            if let Some(dir) = dir {
                word = word.replace(place, dir);
            }
        }
        let ours = ["{sha1}", "{previous-sha1}", "{name}", "{path:pfx}"];
        let rest = ours
            .iter()
            .fold(word.clone(), |text, one| text.replace(one, ""));
        if rest.contains(['{', '}']) {
            return Err(format!(
                "its argument {word} means something to the client alone"
            ));
        }
        argv.push(word);
    }
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn around<'a>() -> Surroundings<'a> {
        Surroundings {
            rights: &|_| None,
            program: &|name| (name == "systemctl").then(|| PathBuf::from("/usr/bin/systemctl")),
            variable: &|_| None,
            windows: false,
        }
    }

    #[test]
    fn a_line_becomes_a_command_or_goes_to_a_shell_or_is_refused() {
        let check = |line: &str, want: Result<&[&str], &str>| {
            let found = shell(line, &around());
            let want = want.map(|words| words.iter().map(|it| (*it).to_owned()).collect());
            assert_eq!(found, want.map_err(str::to_owned), "{line}");
        };
        check(
            "systemctl reload nginx",
            Ok(&["/usr/bin/systemctl", "reload", "nginx"]),
        );
        check("a && b", Ok(&["/bin/sh", "-c", "a && b"]));
        check("nonesuch x", Err("there is no program nonesuch here"));
        check(" ", Err("there is nothing in it"));
        check(
            "cp $RENEWED_LINEAGE /x",
            Err("it holds '$', which means something to /bin/sh or to the client"),
        );
        check(
            "a && echo {x}",
            Err("it holds '&', which means something to /bin/sh or to the client"),
        );
    }

    #[test]
    fn placeholders_of_windows_become_ours_and_unknown_ones_are_refused() {
        let check = |arguments: &str, pfx: bool, want: Result<&[&str], &str>| {
            let found = windows(r"C:\x.exe", arguments, Some(r"C:\pem"), pfx);
            let want = want.map(|words| {
                let start = std::iter::once(r"C:\x.exe".to_owned());
                start
                    .chain(words.iter().map(|it| (*it).to_owned()))
                    .collect()
            });
            assert_eq!(found, want.map_err(str::to_owned), "{arguments}");
        };
        check("{CertThumbprint} '{5}'", false, Ok(&["{sha1}", "{sha1}"]));
        check("{OldCertThumbprint}", false, Ok(&["{previous-sha1}"]));
        check("\"{StorePath}\"", false, Ok(&[r"C:\pem"]));
        check("{CacheFile}", true, Ok(&["{path:pfx}"]));
        let refused = "its argument {CacheFile} means something to the client alone";
        check("{CacheFile}", false, Err(refused));
        let refused = "its argument {CachePassword} means something to the client alone";
        check("{CachePassword}", true, Err(refused));
        let script = windows(r"C:\x.ps1", "", None, false);
        let want = [POWERSHELL, "-NoProfile", "-File", r"C:\x.ps1"];
        assert_eq!(script, Ok(want.map(str::to_owned).to_vec()));
    }

    #[test]
    fn installers_are_named_after_what_their_folder_is_for() {
        let check = |dir: &str, want: &str| assert_eq!(label(dir), want, "{dir}");
        check("/etc/nginx/tls", "nginx");
        check("/etc/haproxy/certs", "haproxy");
        check(r"C:\pem", "server");
        check("/etc/ssl/private", "server");
        check("/srv/Web Apps", "web-apps");
        check("", "server");
    }
}

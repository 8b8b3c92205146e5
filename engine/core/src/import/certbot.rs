//! `certbot`: `renewal/NAME.conf`, `live` and `archive` with the certificates, `accounts`.
//!
//! By the documentation of certbot ("Where are my certificates?", renewal configuration) and its
//! `storage.py` and `account.py`, read 2026-11-26. The names of a certificate are not in its renewal
//! file; the certificate has them.

use std::collections::BTreeMap;

use super::ini::{self, Sections};
use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, Command, Imported, Install, KeyWish, Remark, Stored, Unread, Validation,
    Value, json,
};
use crate::key::KeyType;
use crate::secret::Secret;
use crate::settings::resolve::account;

/// The file with what certbot is told at each start.
const CLI: &str = "cli.ini";

/// The section with the options.
const OPTIONS: &str = "renewalparams";

pub(super) fn is_wanted(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["renewal", file] => file.ends_with(".conf"),
        ["live" | "archive", _, file] => {
            file.ends_with(".pem") && (file.starts_with("fullchain") || file.starts_with("privkey"))
        }
        ["renewal-hooks", "pre" | "deploy" | "post", _] => true,
        // Credentials of DNS plugins often lie here.
        [file] => file.ends_with(".ini"),
        ["accounts", .., file] => matches!(*file, "regr.json" | "private_key.json"),
        _ => false,
    }
}

/// The files with credentials of DNS providers.
pub(super) fn outside(tree: &Tree) -> Vec<String> {
    let conf = tree.paths().filter(|path| path.starts_with("renewal/"));
    conf.filter_map(|path| {
        let sections = ini::sections(tree.text(path)?.ok()?).ok()?;
        let options = sections.get(OPTIONS)?;
        credentials(options).cloned()
    })
    .collect()
}

pub(super) fn read(tree: &Tree) -> Imported {
    let mut imported = Imported::default();
    if let Some(Ok(text)) = tree.text(CLI) {
        imported.email = email(text);
        for key in ["pre-hook", "post-hook", "deploy-hook", "renew-hook"] {
            if let Some(hook) = option_of_cli(text, key) {
                imported.remarks.push(Remark::new(
                    CLI,
                    format!("{key} runs `{hook}` for every certificate"),
                    "if servers take up new certificates by it, write grants.exec.reload of an installer",
                ));
            }
        }
    }
    for path in tree.paths() {
        if let Some(name) = path
            .strip_prefix("renewal/")
            .and_then(|file| file.strip_suffix(".conf"))
        {
            let read = tree.text(path).transpose();
            let sections = read.and_then(|text| ini::sections(text.unwrap_or_default()));
            match sections {
                Ok(sections) => certificate(tree, path, name, &sections, &mut imported),
                Err(cause) => imported.unread.push(Unread {
                    file: path.to_owned(),
                    cause,
                }),
            }
        } else if let Some(rest) = path.strip_prefix("accounts/")
            && base(rest) == "private_key.json"
        {
            match account_in(tree, path, folder(rest)) {
                Ok(account) => imported.accounts.push(account),
                Err((file, cause)) => imported.unread.push(Unread { file, cause }),
            }
        } else if let Some(rest) = path.strip_prefix("renewal-hooks/") {
            imported.remarks.push(Remark::new(
                path,
                format!("a program that runs for every certificate ({})", folder(rest)),
                "see whether it is still needed; grants.exec.reload of an installer runs a command after \
                 files were written",
            ));
        }
    }
    imported
}

fn certificate(tree: &Tree, path: &str, name: &str, sections: &Sections, imported: &mut Imported) {
    let nothing = BTreeMap::new();
    let options = sections.get(OPTIONS).unwrap_or(&nothing);
    let option = |key: &str| {
        let value = options.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty() && *value != "None")
    };
    let mut remark = |what: String, next: &str| {
        imported.remarks.push(Remark::new(name, what, next));
    };
    let mut found = Certificate::new(path, name);
    found.server = option("server").map(|url| Server::Url(url.to_owned()));
    found.account = option("account").map(str::to_owned);
    found.key = key(options);
    found.reuse_key = option("reuse_key") == Some("True");
    found.preferred_chain = option("preferred_chain").map(str::to_owned);
    found.profile = option("preferred_profile")
        .or(option("required_profile"))
        .map(str::to_owned);
    // Beside the paths, above the options.
    let before = sections
        .get("")
        .and_then(|top| top.get("renew_before_expiry"));
    if let Some(before) = before.filter(|text| !text.is_empty() && *text != "None") {
        match days(before) {
            Some(days) => found.days_before_end = Some(days),
            None => remark(
                format!("renew_before_expiry = {before} is not understood"),
                "renewal = { days-after-issue = DAYS } in its [[certificate]] says when",
            ),
        }
    }
    found.validation = validation(tree, options);
    found.stored.extend(stored(tree, name));
    let deploy = option("renew_hook").or(option("deploy_hook"));
    let post = option("post_hook");
    let reload = post.filter(|line| what_for(line) == Purpose::Reload);
    let hook = match (deploy, reload) {
        // Both are run, and an installer has one command.
        (Some(deploy), Some(post)) if deploy != post => Some(format!("{deploy} && {post}")),
        (deploy, reload) => deploy.or(reload).map(str::to_owned),
    };
    let reads = sections.get("").and_then(|top| top.get("fullchain"));
    if let Some(hook) = hook {
        found.installs.push(Install {
            files: Vec::new(),
            command: Some(Command::Shell(hook)),
            reads: reads.map(|file| folder(file).to_owned()),
            note: None,
        });
    } else if let Some(file) = reads {
        found.installs.push(Install {
            files: Vec::new(),
            command: None,
            reads: Some(folder(file).to_owned()),
            note: None,
        });
    }
    if let Some(hook) = option("pre_hook") {
        remark(
            format!("pre_hook runs `{hook}` before a renewal"),
            "with DNS records no port has to be freed, so it is most likely not needed any more",
        );
    }
    if let Some(hook) = post {
        let next = match what_for(hook) {
            Purpose::Reload => None,
            Purpose::Start => Some(
                "with DNS records no server has to be stopped; one that took up the new certificate by \
                 this start needs a reload: grants.exec.reload of its installer",
            ),
            Purpose::Unknown => Some(
                "if a server takes up the new certificate by it, write grants.exec.reload of its installer",
            ),
        };
        if let Some(next) = next {
            remark(format!("post_hook runs `{hook}` after a renewal"), next);
        }
    }
    if let Some(server) = option("installer") {
        remark(
            format!("certbot edits the configuration of {server} by itself"),
            "point its certificate and key at files of an installer, [plugin.NAME]",
        );
    }
    if option("must_staple") == Some("True") {
        remark(
            "it asks for the OCSP must-staple extension".to_owned(),
            "nothing to do: CAs do not offer it any more",
        );
    }
    if option("autorenew") == Some("False") {
        remark(
            "certbot did not renew it by itself; Waxwing does".to_owned(),
            "take it out of the new configuration if nothing uses it",
        );
    }
    imported.certificates.push(found);
}

/// A stretch of time in words, in days: `30 days`, `2 weeks`.
fn days(text: &str) -> Option<u32> {
    let (number, unit) = text.trim().split_once(char::is_whitespace)?;
    let number: u32 = number.parse().ok()?;
    match unit.trim() {
        "day" | "days" => Some(number),
        "week" | "weeks" => number.checked_mul(7),
        "hour" | "hours" => Some(number.div_ceil(24)),
        _ => None,
    }
}

/// What a command behind a renewal is for, as far as its words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A server takes up its new certificate.
    Reload,
    /// A server that was stopped, so that its port was free, is started.
    Start,
    /// Nobody can tell.
    Unknown,
}

/// Words of commands by which a server reads its files again.
const RELOADS: [&str; 10] = [
    "reload",
    "restart",
    "force-reload",
    "reload-or-restart",
    "try-restart",
    "try-reload-or-restart",
    "condrestart",
    "graceful",
    "HUP",
    "-HUP",
];

fn what_for(line: &str) -> Purpose {
    let apart = |c: char| c.is_whitespace() || ";&|()'\"".contains(c);
    let has = |words: &[&str]| line.split(apart).any(|word| words.contains(&word));
    if has(&RELOADS) {
        Purpose::Reload
    } else if has(&["start"]) {
        Purpose::Start
    } else {
        Purpose::Unknown
    }
}

/// The last value of an option in `cli.ini`: `key = value`, `key: value`, or either behind dashes. A line
/// can be a key alone there, so it is no file of [`ini::sections`].
fn option_of_cli(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().rev().map(str::trim);
    let value = lines.find_map(|line| {
        let line = Some(line).filter(|line| !line.starts_with(['#', ';', '[']))?;
        let (name, value) = line.split_once(['=', ':'])?;
        let name = name.trim().trim_start_matches("--").replace('_', "-");
        (name == key).then(|| ini::unquoted(value.trim()))
    });
    value.filter(|value| !value.is_empty())
}

/// The first address that certbot gives to the CAs, if it is one.
fn email(text: &str) -> Option<String> {
    let all = option_of_cli(text, "email")?;
    let mut all = ini::list(&all).into_iter();
    all.find(|one| account::email(one).is_ok())
}

fn key(options: &BTreeMap<String, String>) -> KeyWish {
    let text = |key: &str| options.get(key).map(String::as_str);
    match (
        text("key_type"),
        text("elliptic_curve"),
        text("rsa_key_size"),
    ) {
        (Some("ecdsa"), None | Some("secp256r1"), _) => KeyWish::Kind(KeyType::EcdsaP256),
        (Some("ecdsa"), Some("secp384r1"), _) => KeyWish::Kind(KeyType::EcdsaP384),
        (Some("ecdsa"), Some(curve), _) => KeyWish::Other(curve.to_owned()),
        (Some("rsa"), _, None | Some("2048")) => KeyWish::Kind(KeyType::Rsa2048),
        (Some("rsa"), _, Some("3072")) => KeyWish::Kind(KeyType::Rsa3072),
        (Some("rsa"), _, Some("4096")) => KeyWish::Kind(KeyType::Rsa4096),
        (Some("rsa"), _, Some(size)) => KeyWish::Other(format!("rsa of {size} bits")),
        _ => KeyWish::Unsaid,
    }
}

/// `dns-example` of the option, which older versions have behind the name of a package.
fn authenticator(options: &BTreeMap<String, String>) -> Option<&str> {
    let name = options.get("authenticator")?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

/// The path of the file with the credentials of the DNS provider.
fn credentials(options: &BTreeMap<String, String>) -> Option<&String> {
    let provider = authenticator(options)?.replace('-', "_");
    let suffix = format!("{provider}_credentials");
    options
        .iter()
        .find(|(key, _)| {
            let before = key.strip_suffix(suffix.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with(['_', ':']))
        })
        .map(|(_, path)| path)
}

fn validation(tree: &Tree, options: &BTreeMap<String, String>) -> Validation {
    let Some(name) = authenticator(options) else {
        return Validation::Unsaid;
    };
    match name {
        "webroot" => Validation::Other("by files of a web server (webroot)".to_owned()),
        "standalone" => {
            Validation::Other("by a web server of certbot's own (standalone)".to_owned())
        }
        "nginx" | "apache" => Validation::Other(format!("by way of {name}")),
        "manual" => Validation::Other("by programs or by hand (manual)".to_owned()),
        provider => {
            let mut values = BTreeMap::new();
            if let Some(path) = credentials(options) {
                let text = tree.find(path).and_then(|file| tree.text(file));
                let read = text.unwrap_or_else(|| Err("it is not there".to_owned()));
                match read.and_then(ini::sections) {
                    Ok(sections) => {
                        let all = sections.into_values().flatten();
                        // Once each plugin was named with its package in front.
                        let short = |key: &str| key.rsplit(':').next().unwrap_or(key).to_owned();
                        values.extend(all.map(|(k, v)| (short(&k), Value::Known(Secret::new(v)))));
                    }
                    Err(cause) => {
                        values.insert(String::new(), Value::Sealed(format!("{path}: {cause}")));
                    }
                }
            }
            Validation::Dns {
                provider: provider.to_owned(),
                values,
            }
        }
    }
}

/// The files of `live`, or the newest pair of `archive` if its links did not come along.
fn stored(tree: &Tree, name: &str) -> Option<Stored> {
    let text = |path: &str| tree.text(path).and_then(Result::ok).map(str::to_owned);
    let live = format!("live/{name}/fullchain.pem");
    if let Some(chain) = text(&live) {
        return Some(Stored::Pem {
            key: text(&format!("live/{name}/privkey.pem")).map(Secret::new),
            file: live,
            chain,
        });
    }
    let archive = format!("archive/{name}/");
    let number = |path: &str| -> Option<u32> {
        let file = path.strip_prefix(&archive)?;
        file.strip_prefix("fullchain")?
            .strip_suffix(".pem")?
            .parse()
            .ok()
    };
    let newest = tree.paths().filter_map(number).max()?;
    let file = format!("{archive}fullchain{newest}.pem");
    Some(Stored::Pem {
        chain: text(&file)?,
        key: text(&format!("{archive}privkey{newest}.pem")).map(Secret::new),
        file,
    })
}

/// The account in `accounts/HOST/PATH/ID`.
fn account_in(tree: &Tree, path: &str, place: &str) -> Result<Account, (String, String)> {
    let text = |path: &str| match tree.text(path) {
        Some(read) => read.map_err(|cause| (path.to_owned(), cause)),
        None => Err((path.to_owned(), "it is missing".to_owned())),
    };
    let at = |path: &str| {
        let path = path.to_owned();
        move |cause: String| (path, cause)
    };
    let key = json::jwk(text(path)?).map_err(at(path))?;
    let beside = format!("{}/regr.json", folder(path));
    let registration = json::object(text(&beside)?).map_err(at(&beside))?;
    Ok(Account {
        file: path.to_owned(),
        id: Some(base(place).to_owned()),
        server: Server::Url(format!("https://{}", folder(place))),
        url: json::text(&registration, &["uri"]),
        contact: json::texts(&registration, &["body", "contact"]),
        key,
        eab: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_behind_a_renewal_is_known_by_its_words() {
        for (line, want) in [
            ("systemctl reload nginx", Purpose::Reload),
            ("systemctl try-reload-or-restart haproxy", Purpose::Reload),
            ("service apache2 restart", Purpose::Reload),
            ("nginx -s reload", Purpose::Reload),
            ("/bin/sh -c 'apachectl graceful'", Purpose::Reload),
            ("docker kill -s HUP web", Purpose::Reload),
            (
                "cat a b > c; systemctl start x&&service y reload",
                Purpose::Reload,
            ),
            ("systemctl start apache2", Purpose::Start),
            ("docker start web", Purpose::Start),
            ("/usr/local/bin/restart-all", Purpose::Unknown),
            ("logger renewed", Purpose::Unknown),
        ] {
            assert_eq!(what_for(line), want, "{line}");
        }
    }

    /// The commands of a certificate with these options, and what is remarked on it.
    fn read_options(options: &str) -> (Vec<Option<Command>>, Vec<String>) {
        let mut tree = Tree::of("letsencrypt");
        let conf = format!("fullchain = /x/live/a/fullchain.pem\n[renewalparams]\n{options}");
        tree.add("renewal/a.conf", Ok(conf.into_bytes()));
        let imported = read(&tree);
        let installs = imported
            .certificates
            .into_iter()
            .flat_map(|one| one.installs);
        let remarks = imported.remarks.into_iter().map(|remark| remark.what);
        (installs.map(|one| one.command).collect(), remarks.collect())
    }

    #[test]
    fn a_hook_by_which_a_server_takes_up_its_certificate_is_its_command() {
        let check = |options: &str, command: Option<&str>, remarks: &[&str]| {
            let (commands, found) = read_options(options);
            let want = command.map(|line| Command::Shell(line.to_owned()));
            assert_eq!(commands, [want], "{options}");
            assert_eq!(found, remarks, "{options}");
        };
        check("", None, &[]);
        check(
            "post_hook = systemctl reload nginx",
            Some("systemctl reload nginx"),
            &[],
        );
        check("renew_hook = a\npost_hook = None", Some("a"), &[]);
        // Both run, once if they are the same.
        check(
            "renew_hook = b reload\npost_hook = b reload",
            Some("b reload"),
            &[],
        );
        check(
            "renew_hook = /usr/bin/copy\npost_hook = systemctl reload nginx",
            Some("/usr/bin/copy && systemctl reload nginx"),
            &[],
        );
        // Whoever stops one for a port starts it again.
        check(
            "pre_hook = systemctl stop web\npost_hook = systemctl start web",
            None,
            &[
                "pre_hook runs `systemctl stop web` before a renewal",
                "post_hook runs `systemctl start web` after a renewal",
            ],
        );
        check(
            "post_hook = logger x",
            None,
            &["post_hook runs `logger x` after a renewal"],
        );
    }

    #[test]
    fn the_address_is_in_the_options_of_each_start() {
        let check = |text: &str, want: Option<&str>| {
            let mut tree = Tree::of("letsencrypt");
            tree.add("cli.ini", Ok(text.as_bytes().to_vec()));
            assert_eq!(read(&tree).email.as_deref(), want, "{text}");
        };
        check(
            "agree-tos\nemail = ops@example.com # ours\n",
            Some("ops@example.com"),
        );
        check("--email: 'a@example.com'", Some("a@example.com"));
        check("email = a@example.com,b@example.com", Some("a@example.com"));
        check(
            "email = a@example.com\nemail = b@example.com",
            Some("b@example.com"),
        );
        check("# email = a@example.com", None);
        check("email = nobody", None);
        check("register-unsafely-without-email = true", None);
    }

    #[test]
    fn hooks_of_each_start_are_remarked_on() {
        let mut tree = Tree::of("letsencrypt");
        tree.add(
            "cli.ini",
            Ok(b"deploy-hook = systemctl reload nginx".to_vec()),
        );
        let remarks = read(&tree).remarks;
        let what = "deploy-hook runs `systemctl reload nginx` for every certificate";
        assert_eq!((remarks.len(), &*remarks[0].what), (1, what));
    }
}

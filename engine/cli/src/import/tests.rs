//! The folders of `tests/imports`, each read, decided and rendered: what the operator sees of them.

#![expect(clippy::disallowed_methods, reason = "the folders are files")]

use std::path::{Path, PathBuf};

use waxwing_core::import::{self, Client};
use waxwing_core::profiles;
use waxwing_io::import::Rights;
use waxwing_io::store::FileStore;

use super::draft::{self, Catalog};
use super::write::{self, Outcome};
use super::{Draft, Surroundings, Validate};
use crate::exit::Exit;
use crate::load;
use crate::render::fixture::{golden, golden_json};
use crate::render::import::{self as page, View, config};
use crate::render::json::Document;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/imports")
        .join(name)
}

/// A folder on a machine that is made up, too.
fn drafted(client: Client, name: &str, dns: Option<&str>, windows: bool) -> Draft {
    let (tree, unread) = waxwing_io::import::folder(client, &folder(name)).expect("a folder");
    assert_eq!(unread, []);
    let manifests = load::embedded_manifests().into_values();
    let catalog = Catalog {
        profiles: profiles::shipped(),
        manifests: manifests.filter_map(Result::ok).collect(),
        dns,
    };
    let around = Surroundings {
        rights: &|path| {
            let mode = match path {
                "/etc/nginx/tls/shop.example.com.key" => 0o640,
                "/etc/nginx/tls/shop.example.com.crt" => 0o644,
                _ => return None,
            };
            Some(Rights {
                owner: "root".to_owned(),
                group: "nginx".to_owned(),
                mode,
            })
        },
        program: &|name| match name {
            "systemctl" => Some(PathBuf::from("/usr/bin/systemctl")),
            whole => whole.starts_with('/').then(|| PathBuf::from(whole)),
        },
        variable: &|name| (name == "CF_DNS_API_TOKEN").then(|| "made-up-variable".to_owned()),
        windows,
    };
    draft::draft(client, &import::read(client, &tree), &catalog, &around)
}

fn text(client: Client, draft: &Draft) -> String {
    config::text(client, Path::new("/srv/old"), draft, None)
}

/// The configuration of a folder in the golden file of that name. It reads without a mistake.
fn check(client: Client, name: &str, dns: Option<&str>, windows: bool, file: &str) -> Draft {
    let draft = drafted(client, name, dns, windows);
    let text = text(client, &draft);
    assert_eq!(
        load::mistakes(Path::new("/etc/waxwing/waxwing.toml"), &text),
        Vec::<String>::new(),
        "{text}"
    );
    for secret in draft.secrets.values() {
        assert!(!text.contains(secret.expose()), "a secret is in {file}");
    }
    golden_json(file, text.trim_end());
    draft
}

#[test]
fn every_folder_gives_a_configuration_without_a_mistake() {
    check(
        Client::Certbot,
        "certbot",
        None,
        false,
        "import-certbot.toml",
    );
    check(
        Client::AcmeSh,
        "acme.sh",
        None,
        false,
        "import-acme.sh.toml",
    );
    let dns = Some("cloudflare");
    check(Client::Lego, "lego", dns, false, "import-lego.toml");
    check(Client::Lego, "lego-5", dns, false, "import-lego-5.toml");
    check(
        Client::WinAcme,
        "win-acme",
        None,
        false,
        "import-win-acme.toml",
    );
    check(
        Client::SimpleAcme,
        "simple-acme",
        None,
        false,
        "import-simple-acme.toml",
    );
}

#[test]
fn on_windows_its_installers_are_used_and_those_of_unix_proposed() {
    let windows = check(
        Client::SimpleAcme,
        "simple-acme",
        None,
        true,
        "import-simple-acme-on-windows.toml",
    );
    assert!(windows.installers.iter().all(|one| one.off.is_none()));
    let unix = drafted(Client::AcmeSh, "acme.sh", None, true);
    assert!(unix.installers.iter().all(|one| one.off.is_some()));
}

#[test]
fn what_can_be_read_is_taken_over_whole() {
    let all = |client, name, dns| {
        let draft = drafted(client, name, dns, false);
        let accounts: Vec<String> = draft
            .accounts
            .iter()
            .map(|one| format!("{} {}", one.ca, one.record.kid.as_deref().unwrap_or("-")))
            .collect();
        let versions: Vec<String> = draft
            .versions
            .iter()
            .map(|one| one.name.to_string())
            .collect();
        let secrets: Vec<&str> = draft
            .secrets
            .values()
            .map(|it| it.expose().as_str())
            .collect();
        format!(
            "{}; {}; {}",
            accounts.join(", "),
            versions.join(", "),
            secrets.join(", ")
        )
    };
    let dns = Some("cloudflare");
    let le = "https://acme-v02.api.letsencrypt.org/acme/acct";
    let zero = "https://acme.zerossl.com/v2/DV90/account/made-up";
    assert_eq!(
        all(Client::Certbot, "certbot", None),
        format!(
            "letsencrypt {le}/1234567; mail.example.com, shop.example.com; made-up-cloudflare-token, \
             made-up-api-key, made-up-secret-key"
        )
    );
    assert_eq!(
        all(Client::AcmeSh, "acme.sh", None),
        format!(
            "zerossl {zero}; mail.example.com, shop.example.com; made-up-cf-token, made-up-me-key, \
             made-up-me-secret, bWFkZS11cC1obWFjLWtleQ"
        )
    );
    assert_eq!(
        all(Client::Lego, "lego", dns),
        format!("letsencrypt {le}/7654321; apps.example.com, www.example.com; made-up-variable")
    );
    assert_eq!(
        all(Client::Lego, "lego-5", dns),
        format!("zerossl {zero}; www.example.com; made-up-variable")
    );
    assert_eq!(
        all(Client::SimpleAcme, "simple-acme", None),
        format!("zerossl {zero}; intranet.example.com; made-up-api-key, made-up-secret-key")
    );
    assert_eq!(
        all(Client::WinAcme, "win-acme", None),
        format!("letsencrypt {le}/42; www.example.com; made-up-cloudflare-token")
    );
}

#[test]
fn without_a_dns_plugin_nothing_is_renewed_and_it_is_said() {
    let draft = drafted(Client::Lego, "lego", None, false);
    assert!(draft.certificates.iter().all(|one| one.off.is_some()));
    assert!(
        draft.versions.is_empty(),
        "what is not configured is not stored"
    );
    assert!(
        draft
            .remarks
            .iter()
            .any(|one| one.next.contains("--dns PLUGIN"))
    );
}

#[test]
fn a_plugin_that_is_named_has_the_credentials_of_another_certificate() {
    let draft = drafted(Client::Certbot, "certbot", Some("cloudflare"), false);
    let names: Vec<&str> = draft
        .providers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["dns-made-easy", "cloudflare"]);
    let blog = draft
        .certificates
        .iter()
        .find(|one| one.name.as_str() == "blog.example.com");
    let blog = blog.expect("a certificate");
    assert_eq!(
        (&blog.validate, &blog.off),
        (&Some(Validate::By("cloudflare".to_owned())), &None)
    );
    assert!(draft.remarks.iter().all(|one| !one.what.contains("token")));
    // Where no other has any, they have to be given.
    let win = drafted(Client::WinAcme, "win-acme", Some("dns-made-easy"), false);
    let said = |what: &str| win.remarks.iter().any(|one| one.what.contains(what));
    assert!(said("the secret api-key of [plugin.dns-made-easy]") && said("has used none"));
}

/// What is done with a draft in two fresh folders, dry and then twice.
fn carried_out(draft: &Draft, client: Client) -> [Vec<Outcome>; 3] {
    let place = tempfile::tempdir().expect("a folder");
    let (out, state) = (
        place.path().join("waxwing.toml"),
        place.path().join("state"),
    );
    let text = text(client, draft);
    [true, false, false].map(|dry| {
        let store = if dry {
            FileStore::look(&state)
        } else {
            FileStore::open(&state, 3)
        };
        let store = store.expect("a state folder");
        let done = write::carry_out(draft, &text, Some(&out), Some(&store), dry);
        assert_eq!(
            out.exists() || state.exists(),
            !dry,
            "a dry run writes nothing"
        );
        done.outcomes().cloned().collect()
    })
}

#[test]
fn a_dry_run_writes_nothing_and_a_second_run_finds_everything_there() {
    for (client, name) in [
        (Client::Certbot, "certbot"),
        (Client::AcmeSh, "acme.sh"),
        (Client::SimpleAcme, "simple-acme"),
        (Client::WinAcme, "win-acme"),
    ] {
        let draft = drafted(client, name, None, false);
        let [dry, first, second] = carried_out(&draft, client);
        let all = |outcomes: &[Outcome], want: &Outcome| {
            assert!(outcomes.len() > 3, "{name}");
            assert!(
                outcomes.iter().all(|one| one == want),
                "{name}: {outcomes:?}"
            );
        };
        all(&dry, &Outcome::Would);
        all(&first, &Outcome::Written);
        all(&second, &Outcome::There);
    }
}

#[test]
fn what_is_there_already_is_never_overwritten() {
    let draft = drafted(Client::Certbot, "certbot", None, false);
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("waxwing.toml");
    let secret = place.path().join("cloudflare-token");
    std::fs::write(&secret, "another").expect("written");
    std::fs::write(&out, "# mine").expect("written");
    let store = FileStore::open(&place.path().join("state"), 3).expect("a state folder");
    let mut other = drafted(Client::Certbot, "certbot", None, false);
    // The same CA and name with another account and another certificate.
    let made = drafted(Client::Lego, "lego", Some("cloudflare"), false);
    other.accounts[0].record.key = made.accounts[0].record.key.clone();
    other.versions[0].key = made.versions[0].key.clone();
    other.versions[0].pem = made.versions[0].pem.clone();
    other.versions[0].facts = made.versions[0].facts.clone();
    write::carry_out(&other, "", None, Some(&store), false);
    let done = write::carry_out(&draft, "# ours", Some(&out), Some(&store), false);
    let left: Vec<&Outcome> = done
        .outcomes()
        .filter(|one| matches!(one, Outcome::Other(_)))
        .collect();
    assert_eq!(
        left,
        [
            "it holds another configuration",
            "it holds a secret of another value",
            "there is an account of Waxwing's own",
            "there is a certificate of that name",
        ]
        .map(|why| Outcome::Other(why.to_owned()))
        .iter()
        .collect::<Vec<_>>()
    );
    assert_eq!(std::fs::read_to_string(&secret).expect("text"), "another");
    assert_eq!(std::fs::read_to_string(&out).expect("text"), "# mine");
}

#[test]
fn the_report_says_what_came_over_what_did_not_and_what_to_do() {
    let report = |client, draft: &Draft, file: &str, json: Option<&str>| {
        let place = tempfile::tempdir().expect("a folder");
        let store = FileStore::look(&place.path().join("none")).expect("nothing");
        let out = Path::new("/etc/waxwing-of-nobody/waxwing.toml");
        let text = text(client, draft);
        let done = write::carry_out(draft, &text, Some(out), Some(&store), true);
        let view = View {
            client,
            from: Path::new("/srv/old"),
            draft,
            done: &done,
            dry: true,
            printed: false,
            state: Path::new("/var/lib/waxwing"),
        };
        golden(file, |context| page::text(&view, context));
        if let Some(json) = json {
            let now = waxwing_core::time::Timestamp::from_unix(0);
            let document = Document::new("import", now, page::json(&view, "# the text"));
            golden_json(json, &document.to_text());
        }
        view.exit()
    };
    let simple = drafted(Client::SimpleAcme, "simple-acme", None, false);
    let exit = report(
        Client::SimpleAcme,
        &simple,
        "import-simple-acme.txt",
        Some("import-simple-acme.json"),
    );
    assert_eq!(exit, Exit::Done);
    let broken = drafted(Client::Certbot, "broken-certbot", None, false);
    let exit = report(Client::Certbot, &broken, "import-broken-certbot.txt", None);
    assert_eq!(exit, Exit::SomeFailed);
}

#[test]
fn a_certificate_whose_parts_do_not_fit_is_said_and_its_names_are_kept() {
    let broken = drafted(Client::Certbot, "broken-certbot", None, false);
    assert!(broken.versions.is_empty() && broken.accounts.is_empty());
    let names: Vec<String> = broken
        .certificates
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(
        names,
        ["good.example.com"],
        "one bad file does not hide another"
    );
    let said = |what: &str| broken.remarks.iter().any(|one| one.what.contains(what));
    assert!(said("its key belongs to another certificate"));
    let unread: Vec<&str> = broken.unread.iter().map(|one| one.cause.as_str()).collect();
    assert_eq!(
        unread,
        [
            "a key of kind OKP is not supported",
            "line 1 begins a section and does not end it"
        ]
    );
}

/// A copy of a folder that may be changed.
fn copy_of(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("made");
        for entry in std::fs::read_dir(from).expect("readable") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).expect("copied");
            }
        }
    }
    let here = tempfile::tempdir().expect("a folder");
    copy(&folder(name), here.path());
    here
}

fn drafted_at(client: Client, path: &Path) -> Draft {
    let (tree, unread) = waxwing_io::import::folder(client, path).expect("a folder");
    let manifests = load::embedded_manifests().into_values();
    let catalog = Catalog {
        profiles: profiles::shipped(),
        manifests: manifests.filter_map(Result::ok).collect(),
        dns: None,
    };
    let around = Surroundings {
        rights: &|_| None,
        program: &|_| None,
        variable: &|_| None,
        windows: false,
    };
    let mut imported = import::read(client, &tree);
    imported.unread.extend(unread);
    draft::draft(client, &imported, &catalog, &around)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("there");
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replacen(from, to, 1)).expect("written");
}

fn remarks(draft: &Draft) -> String {
    let all = draft.remarks.iter();
    let all: Vec<_> = all
        .map(|one| format!("{}: {} / {}", one.about, one.what, one.next))
        .collect();
    all.join("\n")
}

/// Six days of life are for whoever wants them.
#[test]
fn a_profile_that_only_some_certificates_want_is_given_to_none_and_told() {
    let here = copy_of("certbot");
    let wish = "[renewalparams]\npreferred_profile = shortlived\n";
    let all = ["blog", "mail", "shop"].map(|name| {
        let file = format!("renewal/{name}.example.com.conf");
        here.path().join(file)
    });
    edit(&all[0], "[renewalparams]\n", wish);
    let profiles = |draft: &Draft| -> Vec<String> {
        let all = draft.cas.values();
        all.filter_map(|one| one.profile.clone()).collect()
    };
    let draft = drafted_at(Client::Certbot, here.path());
    assert_eq!(profiles(&draft), [""; 0]);
    let said = remarks(&draft);
    assert!(
        said.contains(
            "blog.example.com: it wants profile \"shortlived\", and others of letsencrypt do not"
        ),
        "{said}"
    );
    for other in &all[1..] {
        edit(other, "[renewalparams]\n", wish);
    }
    let draft = drafted_at(Client::Certbot, here.path());
    assert_eq!(profiles(&draft), ["shortlived"]);
    assert!(!remarks(&draft).contains("wants profile"));
}

#[test]
fn days_before_the_end_become_days_after_the_issue() {
    let here = copy_of("certbot");
    let shop = here.path().join("renewal/shop.example.com.conf");
    let days = |draft: &Draft| {
        let mut all = draft.certificates.iter();
        let shop = all.find(|one| one.name.as_str() == "shop.example.com");
        shop.expect("it is there").days_after_issue
    };
    let draft = drafted_at(Client::Certbot, here.path());
    assert_eq!(days(&draft), None);
    let mut versions = draft.versions.iter();
    let stored = versions.find(|one| one.name.as_str() == "shop.example.com");
    let life = stored.expect("it is taken over").facts.life();
    let before = life.as_secs().div_ceil(86_400) - 20;
    let wish = format!("renew_before_expiry = {before} days\n");
    edit(&shop, "version = ", &format!("{wish}version = "));
    let draft = drafted_at(Client::Certbot, here.path());
    assert_eq!(days(&draft), Some(20));
    edit(&shop, &format!("{before} days"), "a month");
    let draft = drafted_at(Client::Certbot, here.path());
    assert_eq!(days(&draft), None);
    assert!(remarks(&draft).contains("renew_before_expiry = a month is not understood"));
}

#[test]
fn certificates_in_a_place_of_their_own_come_over() {
    let here = copy_of("acme.sh");
    let names = |draft: &Draft| -> Vec<String> {
        let all = draft.certificates.iter();
        all.map(|one| one.name.to_string()).collect()
    };
    let before = names(&drafted_at(Client::AcmeSh, here.path()));
    let certs = tempfile::tempdir().expect("a folder");
    for name in [
        "api.example.com",
        "mail.example.com",
        "shop.example.com_ecc",
    ] {
        std::fs::rename(here.path().join(name), certs.path().join(name)).expect("moved");
    }
    let conf = here.path().join("account.conf");
    let mut text = std::fs::read_to_string(&conf).expect("there");
    text.push_str(&format!("\nCERT_HOME='{}'\n", certs.path().display()));
    std::fs::write(&conf, text).expect("written");
    assert_eq!(names(&drafted_at(Client::AcmeSh, here.path())), before);
    // A copy without it is said to be one.
    let place = certs.path().display().to_string();
    drop(certs);
    let draft = drafted_at(Client::AcmeSh, here.path());
    assert_eq!(names(&draft), [""; 0]);
    assert!(
        draft.unread.iter().any(|one| one.file == place),
        "{:?}",
        draft.unread
    );
}

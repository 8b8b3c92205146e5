//! Configurations and what is said about them: `tests/cases/config/CASE.toml` and `CASE.err`.
//!
//! A case without an `.err` file must be good. `WAXWING_BLESS=1 cargo test -p waxwing-core` writes
//! the texts anew; read the difference before it is committed. `manifests/` holds the plugins that
//! are built in as far as the cases know, `manifests/foreign/` those that come from files.

#![expect(clippy::disallowed_methods, reason = "the cases are files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use waxwing_core::ca::EabSource;
use waxwing_core::ca::choose::FailBack;
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, DomainName, NotifierName, PluginName};
use waxwing_core::notify::event::EventKind;
use waxwing_core::notify::{Way, WebhookUrl};
use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::raw::{self, SourceFile};
use waxwing_core::settings::resolve::{Catalog, ConfigErrors, resolve};
use waxwing_core::settings::{LogFormat, LogLevel, LogSettings, PluginSource, SecretRef, Settings};
use waxwing_core::timer;

/// Where the cases pretend to stand.
const FOLDER: &str = "/etc/waxwing";

#[test]
fn every_configuration_is_judged_as_written_down() {
    let cases = cases();
    let mut paths: Vec<_> = files(&cases);
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    assert!(paths.len() >= 30, "{} cases", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let found = judge(&cases, &path);
        let golden = path.with_extension("err");
        if std::env::var_os("WAXWING_BLESS").is_some() {
            if found.is_empty() {
                fs::remove_file(&golden).ok();
            } else {
                fs::write(&golden, &found).expect("a writable checkout");
            }
        }
        let want = fs::read_to_string(&golden).unwrap_or_default();
        if found != want {
            wrong.push(format!(
                "== {}\n-- found\n{found}-- want\n{want}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_says_what_to_write_instead() {
    let cases = cases();
    let mut mute = Vec::new();
    for path in files(&cases) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let problems = settings(&cases, read(&path)).err().map(|errors| errors.0);
        let helpless = problems
            .into_iter()
            .flatten()
            .filter(|problem| problem.hint.is_none() && !problem.message.contains("did you mean"));
        mute.extend(helpless.map(|problem| format!("{}:\n{problem}", stem(&path))));
    }
    assert!(mute.is_empty(), "{}", mute.join("\n"));
}

#[test]
fn what_a_timer_needs_follows_from_the_full_example() {
    let text = read(&cases().join("good-full.toml"));
    let settings = settings(&cases(), text).expect("a good configuration");
    let secrets = [
        SecretRef::File(PathBuf::from("/etc/waxwing/dme-api-key")),
        SecretRef::Credential("dme-secret-key".to_owned()),
        SecretRef::Env("TOKEN".to_owned()),
        SecretRef::Command(vec!["/usr/bin/vault".to_owned(), "read".to_owned()]),
    ];
    let needs = |secrets: &[SecretRef], state: &str| {
        let secrets: Vec<&SecretRef> = secrets.iter().collect();
        timer::needs(
            &settings,
            &secrets,
            Path::new(state),
            Path::new("/usr/bin/waxwing"),
        )
    };
    let found = needs(&secrets, "/var/lib/waxwing");
    let shown = |paths: &[PathBuf]| {
        let paths = paths.iter().map(|path| path.display().to_string());
        paths
            .filter(|path| path.starts_with('/'))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&found.writable),
        [
            "/etc/haproxy/certs",
            "/etc/nginx/tls",
            "/var/lib/waxwing",
            "/var/log/waxwing"
        ]
    );
    assert_eq!(
        shown(&found.programs),
        ["/usr/bin/systemctl", "/usr/bin/vault", "/usr/sbin/nginx"]
    );
    assert_eq!(shown(&found.logs), ["/var/log/waxwing"]);
    assert_eq!(found.credentials, ["dme-secret-key"]);
    assert_eq!(found.environment, ["TOKEN"]);
    assert!(!found.shared_temp && !found.raises_rights());
    // What is below /tmp would be another /tmp in a sandbox.
    assert!(needs(&[], "/var/tmp/state").shared_temp);
    assert!(needs(&[SecretRef::File(PathBuf::from("/tmp/key"))], "/srv/x").shared_temp);
    assert!(!needs(&[], "/tmpfs/state").shared_temp);
}

#[test]
fn a_log_has_a_size_and_a_number_and_lies_beside_the_configuration() {
    let log = |text: String| settings(&cases(), text).expect("a good configuration").log;
    let written = log(read(&cases().join("good-log.toml")));
    let file = written.file.expect("a file");
    assert_eq!(file.path, Path::new(FOLDER).join("waxwing.log"));
    assert_eq!((file.size, file.keep), (1 << 20, 2));
    assert_eq!(written.level, Some(LogLevel::Debug));
    assert_eq!(written.format, LogFormat::Json);
    let audit = Path::new("/var/log/waxwing/audit.jsonl");
    assert_eq!(written.audit.as_deref(), Some(audit));
    let unwritten = log(read(&cases().join("good-nine-lines.toml")));
    assert_eq!(unwritten, LogSettings::default());
}

#[test]
fn the_full_example_means_what_it_says() {
    let cases = cases();
    let text = read(&cases.join("good-full.toml"));
    let settings = settings(&cases, text).expect("a good configuration");
    let certificate = |name: &str| {
        let mut all = settings.certificates.iter();
        all.find(|one| one.name.as_str() == name)
            .expect("configured")
    };
    let (shop, mail, app) = (certificate("shop"), certificate("mail"), certificate("app"));
    let names = |list: &[PluginName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();

    // A certificate's keys replace the defaults; what it does not say is theirs.
    assert_eq!(names(&shop.install), ["nginx", "haproxy"]);
    assert_eq!(names(&mail.install), ["nginx"]);
    assert_eq!(names(&app.install), Vec::<String>::new());
    assert_eq!((shop.key, mail.key), (KeyType::EcdsaP256, KeyType::Rsa2048));
    assert_eq!((shop.reuse_key, mail.reuse_key), (false, true));
    assert_eq!(
        (shop.days_after_issue.days, mail.days_after_issue.days),
        (55, 40)
    );
    let cas: Vec<_> = app.cas.iter().map(CaName::as_str).collect();
    assert_eq!(cas, ["internal"]);

    // The longest suffix names the plugin, and U-labels are A-labels.
    let by = |name: &str| {
        let name = DomainName::parse(name).expect("a literal name");
        mail.validator(&name).map(PluginName::as_str)
    };
    assert_eq!(by("mail.example.com"), Some("dns-made-easy"));
    assert_eq!(by("mail.example.org"), Some("cheapdns"));
    assert_eq!(by("xn--bcher-kva.example"), Some("cheapdns"));
    assert_eq!(by("example.net"), None);
    assert_eq!(mail.domains[2].to_wire(), "xn--bcher-kva.example");

    // Paths start from the file's folder; other systems' absolute paths stay as they are.
    let plugin = |name: &str| &settings.plugins[&PluginName::parse(name).expect("a literal name")];
    let (dns, iis) = (plugin("dns-made-easy"), plugin("iis"));
    assert_eq!(
        dns.secrets["api-key"],
        SecretRef::File(PathBuf::from("/etc/waxwing/dme-api-key"))
    );
    assert_eq!(
        dns.grants.http.as_ref().and_then(|http| http.trust.clone()),
        Some(PathBuf::from("/etc/waxwing/ca.pem"))
    );
    assert_eq!(
        iis.grants.files["certs"].dir,
        PathBuf::from(r"C:\ProgramData\Waxwing\pfx")
    );
    assert_eq!(plugin("nginx").grants.files["certs"].mode, Some(0o640));

    // Defaults of the manifest's schema are filled in beside what was written.
    assert_eq!(
        dns.settings,
        serde_json::json!({
            "sandbox": false, "ttl": 120, "endpoint": "https://localhost:9443/V2.0"
        })
    );

    // Each field of a CA knows where it came from.
    let ca = |name: &str| &settings.cas[&CaName::parse(name).expect("a literal name")];
    let origin = |name: &str, key: &str| ca(name).origin.get(key).cloned();
    assert_eq!(origin("zerossl", "directories").as_deref(), Some("shipped"));
    assert_eq!(
        origin("zerossl", "eab.email").as_deref(),
        Some("waxwing.toml:21")
    );
    assert_eq!(
        origin("internal", "trust").as_deref(),
        Some("waxwing.toml:25")
    );
    assert_eq!(origin("internal", "poll.first").as_deref(), Some("shipped"));
    let EabSource::Obtain(obtain) = &ca("zerossl").eab.source else {
        panic!("credentials are fetched");
    };
    assert_eq!(obtain.email.as_deref(), Some("ops@example.com"));
    assert_eq!(settings.warnings, Vec::<String>::new());

    // When renewals may happen, and when another CA stands in.
    assert_eq!(shop.calendar.windows.len(), 1);
    assert_eq!(mail.calendar, shop.calendar);
    assert_eq!(settings.failover.after_failures, 5);
    assert_eq!(settings.failover.after.as_secs(), 6 * 3600);
    assert_eq!(settings.failover.fail_back, FailBack::Never);
}

#[test]
fn notifiers_mean_what_they_say() {
    let cases = cases();
    let text = read(&cases.join("good-notify.toml"));
    let settings = settings(&cases, text).expect("a good configuration");
    let one = |name: &str| &settings.notify[&NotifierName::parse(name).expect("a literal name")];
    let Way::Mail(mail) = &one("mail").way else {
        panic!("a mail");
    };
    assert_eq!(
        (mail.server.port, mail.to.len()),
        (587, 2),
        "nobody gets it twice"
    );
    assert!(one("mail").on.contains(&EventKind::WeeklyDigest));
    assert_eq!(
        one("heartbeat").on.iter().collect::<Vec<_>>(),
        [&EventKind::RunOk]
    );
    let usual: Vec<_> = EventKind::usual().collect();
    assert_eq!(one("chat").on.iter().copied().collect::<Vec<_>>(), usual);
    let Way::Webhook(chat) = &one("chat").way else {
        panic!("a webhook");
    };
    let url = SecretRef::File(PathBuf::from("/etc/waxwing/chat-url"));
    assert_eq!(chat.url, WebhookUrl::Secret(url));
    assert_eq!(chat.shape.name, "slack");
    let Way::Webhook(phone) = &one("phone").way else {
        panic!("a webhook");
    };
    let header = phone.header.as_ref().expect("a header");
    assert_eq!(
        (header.name.as_str(), header.scheme.as_deref()),
        ("authorization", Some("Bearer"))
    );
    assert_eq!(one("journal").way, Way::Log);
    assert_eq!(settings.notify.len(), 7);
}

proptest! {
    #[test]
    fn no_damage_to_a_configuration_panics_or_says_nothing(
        at in 0_usize..4000,
        length in 0_usize..40,
        put in "[a-z0-9\"'\\[\\]{}=.,#\\\\\n ]{0,12}",
    ) {
        let cases = cases();
        let text = read(&cases.join("good-full.toml"));
        let mut chars: Vec<char> = text.chars().collect();
        let start = at.min(chars.len());
        let end = (start + length).min(chars.len());
        chars.splice(start..end, put.chars());
        if let Err(errors) = settings(&cases, chars.into_iter().collect()) {
            prop_assert!(!errors.0.is_empty());
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/config")
}

/// The errors of a configuration as the operator sees them; empty if it is good.
fn judge(cases: &Path, path: &Path) -> String {
    match settings(cases, read(path)) {
        Ok(_) => String::new(),
        Err(errors) => format!("{errors}\n"),
    }
}

fn settings(cases: &Path, text: String) -> Result<Settings, ConfigErrors> {
    let main = SourceFile {
        path: Path::new(FOLDER).join("waxwing.toml"),
        shown: "waxwing.toml".to_owned(),
        text,
    };
    let mut sources = vec![main];
    for pattern in raw::includes(&sources[0]) {
        let Some(folder) = pattern
            .strip_suffix("/*.toml")
            .filter(|name| cases.join(name).is_dir())
        else {
            continue;
        };
        for included in files(&cases.join(folder)) {
            let name = included.file_name().and_then(|name| name.to_str());
            let shown = format!("{folder}/{}", name.expect("a plain name"));
            sources.push(SourceFile {
                path: Path::new(FOLDER).join(&shown),
                shown,
                text: read(&included),
            });
        }
    }
    let raw = raw::parse(&sources);
    let mut manifests: BTreeMap<_, _> = files(&cases.join("manifests"))
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| {
            let manifest = Manifest::parse(&stem(&path), &read(&path));
            let manifest = manifest.map_err(|errors| errors.to_string());
            (PluginSource::Embedded(stem(&path)), manifest)
        })
        .collect();
    for source in raw.plugin_sources() {
        if let PluginSource::File { path, .. } = &source {
            let text = cases.join(format!("manifests/foreign/{}.toml", stem(path)));
            let manifest = match fs::read_to_string(text) {
                Ok(text) => {
                    Manifest::parse(&stem(path), &text).map_err(|errors| errors.to_string())
                }
                Err(_absent) => Err(format!("{}: no such file", path.display())),
            };
            manifests.insert(source, manifest);
        }
    }
    let catalog = Catalog {
        may_be_empty: false,
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests,
        zones: jiff::tz::TimeZoneDatabase::bundled(),
        here: jiff::tz::TimeZone::UTC,
        real: |_| None,
    };
    resolve(&raw, &catalog)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable case")
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.expect("a plain name").to_owned()
}

/// The entries of a folder in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the checkout");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}

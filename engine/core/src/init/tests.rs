//! Which question is next, by table; what an answer may be, by table.

use super::read::{read, reference, setting_of, slot_of};
use super::*;
use crate::profiles;

const DNS: &str = r#"
manifest = 1
id = "acme-dns"
version = "1.0.0"
world = "waxwing:plugin/dns-plugin@0.1"
summary = "DNS"
[want.secret.api-key]
use = ["http-header:x-key"]
hosts = ["api.example.com"]
[want.secret.spare]
required = false
use = ["http-bearer"]
hosts = ["api.example.com"]
[settings.schema.properties.sandbox]
type = "boolean"
default = false
x-order = 2
[settings.schema.properties.region]
type = "string"
enum = ["eu", "us"]
x-order = 1
[settings.schema.properties.ttl]
type = "integer"
minimum = 1
default = 60
x-advanced = true
[settings.schema]
required = ["region"]
"#;

const FILES: &str = r#"
manifest = 1
id = "to-files"
version = "1.0.0"
world = "waxwing:plugin/installer-plugin@0.1"
summary = "Files"
[want.files.certs]
purpose = "where certificates go"
[want.exec.reload]
purpose = "reload"
[want.exec.reload.parameters]
name = "^[a-z]+$"
[want.exec.test]
purpose = "test"
[want.secret.lock]
required = false
use = ["pkcs12"]
[settings.schema.properties.files]
type = "object"
default = { "{name}.crt" = "fullchain.pem" }
additionalProperties = { type = ["string", "array"] }
"#;

/// A DNS plugin, an installer, and two CAs: one for everybody, one that wants credentials.
fn world<T>(claim: impl FnOnce(&Facts<'_>) -> T) -> T {
    let parse = |text| Manifest::parse("plugin.toml", text).expect("a good manifest");
    let manifests = [parse(DNS), parse(FILES)];
    let mut profiles = BTreeMap::new();
    for (name, rank, credentials) in [("first", Some(1), false), ("second", None, true)] {
        let mut profile = profiles::template();
        profile.name = ca(name);
        profile.default_rank = rank;
        profile.eab.required = credentials;
        profiles.insert(profile.name.clone(), profile);
    }
    claim(&Facts {
        files: &BTreeMap::new(),
        profiles: &profiles,
        manifests: &manifests,
        program: &|name| (!name.contains("nowhere")).then(|| PathBuf::from("/usr/bin").join(name)),
        may_run: &|path| !path.ends_with("notes.txt"),
        folder: &|path| match path.contains("file") {
            true => Err(format!("{path} is a file")),
            false => Ok(()),
        },
        roots: &|path| match path.contains("none") {
            true => Err(format!("{path} cannot be read")),
            false => Ok(path.replace("./", "/here/")),
        },
        is_there: &|name| name == "smtp-password",
        windows: false,
    })
}

fn ca(name: &str) -> CaName {
    CaName::parse(name).expect("a literal name")
}

fn setting(part: Part, key: &str) -> Question {
    Question::Setting {
        part,
        key: key.to_owned(),
    }
}

fn slot(part: Part, name: &str) -> Question {
    Question::Secret(Slot {
        part,
        name: name.to_owned(),
    })
}

#[test]
fn each_answer_leads_to_the_next_question() {
    use Question as Q;
    let key = || Part::Ca(ca("second"));
    let folder = || Q::Folder("certs".to_owned());
    let command = |purpose: &str| Q::Command(purpose.to_owned());
    // What is asked, and what is answered to it; all of it is one conversation.
    let table: &[(Q, &str)] = &[
        (Q::Domains, "example.com *.example.com"),
        (Q::Cas, "first, second, https://ca.corp.example/dir"),
        (Q::Trust, "/etc/ssl/root.pem"),
        (Q::Email, "ops@example.com"),
        (Q::KeyId(ca("second")), "kid-1"),
        (slot(key(), HMAC_KEY), "c2VjcmV0"),
        (Q::Terms, "yes"),
        (Q::Dns, "acme-dns"),
        (setting(Part::Dns, "region"), "eu"),
        (setting(Part::Dns, "sandbox"), ""),
        (slot(Part::Dns, "api-key"), "hunter2"),
        (Q::Install, "1"),
        (Q::Server, "haproxy"),
        (setting(Part::Installer, "files"), ""),
        (folder(), ""),
        (command("reload"), ""),
        (command("test"), "none"),
        (
            Q::ServedAt,
            "www.example.com:443, mail.example.com:25 starttls=smtp",
        ),
        (Q::Notify, "mail"),
        (Q::Smtp, "submission://mx.example.com"),
        (Q::To, ""),
        (Q::From, ""),
        (Q::User, "waxwing"),
        (slot(Part::Notify, SMTP_PASSWORD), ""),
    ];
    let answers = world(|facts| {
        let mut answers = Answers::new();
        for (asked, text) in table {
            assert_eq!(next(facts, &answers).as_ref(), Some(asked));
            let answer = read(facts, &answers, asked, text).expect("a good answer");
            answers.insert(asked.clone(), answer);
        }
        assert_eq!(next(facts, &answers), None);
        answers
    });
    let text = |text: &str| Answer::Text(text.to_owned());
    for (question, want) in [
        (
            Q::Cas,
            Answer::Cas(
                vec![ca("first"), ca("second"), ca(OWN_CA)],
                Some("https://ca.corp.example/dir".to_owned()),
            ),
        ),
        (
            setting(Part::Dns, "sandbox"),
            Answer::Value(Json::Bool(false)),
        ),
        (Q::Install, text("to-files")),
        // What is known of the server counts where nothing was typed.
        (
            setting(Part::Installer, "files"),
            Answer::Value(serde_json::json!({ "{name}.pem": ["fullchain.pem", "privkey.pem"] })),
        ),
        (folder(), text("/etc/haproxy/certs")),
        (
            command("reload"),
            Answer::Texts(
                ["/usr/bin/systemctl", "reload", "haproxy"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
        ),
        (command("test"), Answer::Nothing),
        (Q::From, text("ops@example.com")),
        (
            slot(Part::Notify, SMTP_PASSWORD),
            Answer::Reference("file:smtp-password".to_owned()),
        ),
    ] {
        assert_eq!(answers.get(&question), Some(&want), "{question:?}");
    }
}

#[test]
fn what_has_a_usual_answer_is_not_missing_and_what_is_missing_comes_at_once() {
    use Question as Q;
    world(|facts| {
        let mut answers = Answers::new();
        // Nobody asks for an address, one DNS plugin is there, and nothing is installed or told.
        let missing = settle(facts, &mut answers);
        let dns = [setting(Part::Dns, "region"), slot(Part::Dns, "api-key")];
        assert_eq!(missing, [&[Q::Domains, Q::Terms][..], &dns].concat());
        assert_eq!(answers.get(&Q::Install), Some(&Answer::Nothing));
        // An installer and a CA with credentials want more.
        let mut answers = Answers::new();
        for (question, text) in [
            (Q::Domains, "example.com"),
            (Q::Cas, "second"),
            (Q::Terms, "y"),
            (Q::Install, "to-files"),
            (Q::Server, "mine"),
            (Q::Notify, "webhook"),
        ] {
            let answer = read(facts, &answers, &question, text).expect("a good answer");
            answers.insert(question, answer);
        }
        let missing = settle(facts, &mut answers);
        let credentials = [
            Q::KeyId(ca("second")),
            slot(Part::Ca(ca("second")), HMAC_KEY),
        ];
        let rest = [
            Q::Folder("certs".to_owned()),
            slot(Part::Notify, WEBHOOK_URL),
        ];
        assert_eq!(missing, [&credentials[..], &dns, &rest].concat());
        assert_eq!(
            answers.get(&Q::Command("reload".to_owned())),
            Some(&Answer::Nothing)
        );
    });
}

#[test]
fn wrong_answers_say_why() {
    use Question as Q;
    world(|facts| {
        let mut answers = Answers::new();
        for (question, text) in [(Q::Dns, "acme-dns"), (Q::Install, "to-files")] {
            let answer = read(facts, &answers, &question, text).expect("a good answer");
            answers.insert(question, answer);
        }
        let table = [
            (Q::Domains, "", "at least one name belongs here"),
            (slot(Part::Dns, "api-key"), "", "type or paste the secret"),
            (Q::KeyId(ca("second")), "", "the id belongs here"),
            (Q::Terms, "", "the answer is yes or no"),
            (Q::Smtp, "", "submission://mx.example.com"),
            (Q::Folder("certs".to_owned()), "", "a folder belongs here"),
            (setting(Part::Dns, "region"), "", "works only with a value"),
            (Q::Domains, "https://a.example/x", "is a URL"),
            (Q::Domains, "localhost", "a single label"),
            (Q::Cas, "frist", "did you mean \"first\"?"),
            (Q::Cas, "http://ca.example", "https:// URL"),
            (Q::Cas, "https://a:b@ca.example/", "without a user"),
            (Q::Trust, "/etc/none.pem", "/etc/none.pem cannot be read"),
            (Q::Email, "ops", "is not one e-mail address"),
            (Q::Terms, "maybe", "the answer is yes or no"),
            (Q::Dns, "acmedns", "did you mean \"acme-dns\"?"),
            (Q::Dns, "2", "there is acme-dns"),
            (
                setting(Part::Dns, "region"),
                "mars",
                "one of \"eu\", \"us\"",
            ),
            (
                setting(Part::Dns, "sandbox"),
                "perhaps",
                "true or false belongs here",
            ),
            (
                setting(Part::Dns, "ttl"),
                "0",
                "0 is too small; 1 is the least",
            ),
            (
                setting(Part::Installer, "files"),
                "a, b",
                "a table belongs here",
            ),
            (Q::Server, "acme-dns", "is the DNS plugin"),
            (Q::Folder("certs".to_owned()), "tls", "must be a whole path"),
            (
                Q::Command("reload".to_owned()),
                "nowhere -x",
                "no program \"nowhere\"",
            ),
            (
                Q::Command("reload".to_owned()),
                "/opt/nowhere -x",
                "no program \"/opt/nowhere\"; put it there first, or answer none",
            ),
            (Q::Command("reload".to_owned()), "a && b", "& needs a shell"),
            (
                Q::Command("reload".to_owned()),
                "a {nmae} {path:pem}",
                "unknown placeholder {nmae}; did you mean {name}?; the plugin fills {name}, {path:EXTENSION}",
            ),
            (
                Q::Command("reload".to_owned()),
                "/srv/notes.txt",
                "/srv/notes.txt may not be run: `chmod +x /srv/notes.txt` first",
            ),
            (
                Q::Folder("certs".to_owned()),
                "/srv/file/tls",
                "/srv/file/tls is a file",
            ),
            (Q::Smtp, "smtp://mx.example.com", "in the clear"),
            (Q::To, "ops@example.com; boss", "is not one e-mail address"),
            (
                slot(Part::Notify, WEBHOOK_URL),
                "http://x",
                "does not begin with https://",
            ),
        ];
        for (question, text, want) in table {
            let error = read(facts, &answers, &question, text).expect_err(text);
            assert!(error.contains(want), "{question:?} {text:?}: {error}");
        }
        // Placeholders are no shell.
        let line = "systemctl restart {name}";
        let read = read(facts, &answers, &Q::Command("reload".to_owned()), line);
        let words = ["/usr/bin/systemctl", "restart", "{name}"].map(str::to_owned);
        let file = Ok(Answer::Text("/here/root.pem".to_owned()));
        assert_eq!(
            super::read::read(facts, &answers, &Q::Trust, "./root.pem"),
            file
        );
        assert_eq!(read, Ok(Answer::Texts(words.to_vec())));
    });
}

#[test]
fn what_flags_name_is_found_where_it_belongs() {
    world(|facts| {
        let mut answers = Answers::new();
        let nothing = setting_of(facts, &answers, "ttl").expect_err("nothing chosen");
        assert_eq!(nothing, "nothing that was chosen has a setting");
        for (question, text) in [
            (Question::Cas, "second"),
            (Question::Dns, "acme-dns"),
            (Question::Install, "to-files"),
        ] {
            let answer = read(facts, &answers, &question, text).expect("a good answer");
            answers.insert(question, answer);
        }
        assert_eq!(
            setting_of(facts, &answers, "ttl"),
            Ok(setting(Part::Dns, "ttl"))
        );
        let files = Ok(setting(Part::Installer, "files"));
        assert_eq!(setting_of(facts, &answers, "server.files"), files);
        let error = setting_of(facts, &answers, "tll").expect_err("unknown");
        assert!(
            error.contains("acme-dns.region, acme-dns.sandbox"),
            "{error}"
        );
        assert_eq!(
            slot_of(facts, &answers, "spare"),
            Ok(slot(Part::Dns, "spare"))
        );
        let key = Ok(slot(Part::Ca(ca("second")), HMAC_KEY));
        assert_eq!(slot_of(facts, &answers, "second.hmac-key"), key);
    });
    // A secret in place of a reference is not repeated.
    let error = reference("hunter2").expect_err("no reference");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(reference("file:").is_err() && reference("file:key").is_ok());
}

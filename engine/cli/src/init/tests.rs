//! A conversation from its first question to a configuration, and flags that say what cannot be.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;

use super::*;
use crate::init::more::More;
use crate::load;
use crate::render::fixture::golden_at;
use crate::render::init::text;

/// The plugins and CAs of this program, on a machine with one server.
pub(crate) fn world<T>(claim: impl FnOnce(&Facts<'_>) -> T) -> T {
    let manifests = load::embedded_manifests();
    let manifests: Vec<Manifest> = manifests.into_values().filter_map(Result::ok).collect();
    let known = ["nginx", "systemctl"];
    let whole = ["/usr/sbin/nginx", "/usr/sbin/systemctl"];
    claim(&Facts {
        files: &std::collections::BTreeMap::new(),
        profiles: &profiles::shipped(),
        manifests: &manifests,
        program: &|name| {
            let there = known.contains(&name) || whole.contains(&name);
            there.then(|| PathBuf::from("/usr/sbin").join(name))
        },
        may_run: &|_path| true,
        folder: &|_path| Ok(()),
        roots: &|path| match path.starts_with("/etc/ssl/") {
            true => Ok(path.to_owned()),
            false => Err(format!("{path} cannot be read")),
        },
        is_there: &|name| name == "smtp-password",
        windows: false,
    })
}

/// Somebody who has made up their mind, and everything that is seen meanwhile.
struct Script {
    answers: VecDeque<&'static str>,
    seen: String,
}

impl Script {
    fn next(&mut self, prompt: &str, shown: bool) -> Option<String> {
        self.seen.push_str(prompt);
        let answer = self.answers.pop_front()?;
        self.seen.push_str(if shown { answer } else { "" });
        self.seen.push('\n');
        Some(answer.to_owned())
    }
}

impl Person for Script {
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        Ok(self.next(prompt, true))
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Option<Secret<String>>> {
        Ok(self.next(prompt, false).map(Secret::new))
    }

    fn tell(&mut self, text: &str) {
        self.seen.push_str(text);
    }
}

#[test]
fn a_conversation_leads_to_a_configuration_that_is_read_without_a_mistake() {
    let told = [
        "https://www.example.com/shop",
        "www.example.com example.com",
        "lets-encrypt",
        "",
        "ops",
        "ops@example.com",
        "perhaps",
        "yes",
        "dns-made-easy",
        "key-of-the-api",
        "key-that-signs",
        "install-files",
        "",
        "",
        "tls",
        "/etc/nginx/tls",
        "systemctl reload nginx && true",
        "",
        "",
        "www.example.com:25",
        "www.example.com:443, example.com:8443",
        "mail",
        "mx.example.com",
        "submission://mx.example.com",
        "",
        "waxwing@example.com",
        "waxwing",
        "",
    ];
    golden_at("init-conversation.txt", &[100], |context| {
        world(|facts| {
            let mut script = Script {
                answers: told.into(),
                seen: String::new(),
            };
            let mut answers = Answers::new();
            ask(facts, &mut answers, false, &mut script, context).expect("all is answered");
            assert!(script.answers.is_empty(), "{:?}", script.answers);
            for secret in ["key-of-the-api", "key-that-signs"] {
                assert!(!script.seen.contains(secret), "{}", script.seen);
            }
            let config = text(facts, &answers, More::default());
            let mistakes = load::mistakes(Path::new("/etc/waxwing/waxwing.toml"), &config);
            assert_eq!(mistakes, Vec::<String>::new(), "{config}");
            script.seen.push_str("\n=== the configuration\n");
            // A prompt ends in a space, which no golden text has.
            (script.seen + &config).replace(" \n", "\n")
        })
    });
}

#[test]
fn whoever_goes_away_or_says_no_ends_it() {
    let context = crate::render::page::tests::context(80, false);
    world(|facts| {
        let mut script = Script {
            answers: ["www.example.com", ""].into(),
            seen: String::new(),
        };
        let mut answers = Answers::new();
        let ended = ask(facts, &mut answers, false, &mut script, &context);
        assert!(matches!(ended, Err(Unanswered::Stopped)), "{ended:?}");
        // With --yes nothing is asked that has a usual answer.
        script.answers = ["www.example.com", "ops@example.com", "no"].into();
        let mut answers = Answers::new();
        ask(facts, &mut answers, true, &mut script, &context).expect("an end");
        assert!(are_refused(&answers) && script.answers.is_empty());
    });
}

#[test]
fn the_return_key_takes_what_is_proposed_and_no_other_word_is_taken_for_no() {
    let context = crate::render::page::tests::context(80, false);
    let table: &[(bool, &[&'static str], Option<bool>)] = &[
        (true, &[""], Some(true)),
        (false, &[""], Some(false)),
        (true, &["n"], Some(false)),
        (false, &["Yes"], Some(true)),
        (true, &["quit", "later", "no"], Some(false)),
        (false, &["ja", ""], Some(false)),
        // Whoever is gone has not agreed.
        (true, &["ja"], None),
    ];
    for (usual, answers, want) in table {
        let mut script = Script {
            answers: answers.to_vec().into(),
            seen: String::new(),
        };
        let said = agrees("Write this?", *usual, &mut script, &context);
        assert_eq!(said.ok(), *want, "{answers:?}");
        let prompt = if *usual {
            "Write this? [Y/n] "
        } else {
            "Write this? [y/N] "
        };
        assert!(script.seen.starts_with(prompt), "{}", script.seen);
        assert_eq!(
            script.seen.contains("no: the answer is yes or no"),
            answers.len() > 1 || want.is_none(),
            "{}",
            script.seen
        );
        assert!(script.answers.is_empty());
    }
}

#[test]
fn every_flag_that_cannot_be_is_told_at_once_and_no_secret_is_repeated() {
    let several = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let flags = Init {
        domains: several(&["localhost"]),
        cas: several(&["https://ca.corp.example/acme/directory"]),
        ca_trust: Some("/root/typo.pem".to_owned()),
        dns: Some("dns-made-easy".to_owned()),
        install: Some("install-files".to_owned()),
        settings: several(&["sandbox=perhaps", "sandbx=true", "ttl"]),
        secrets: several(&["api-key=hunter2", "spare=file:x"]),
        commands: several(&["restart=true", "reload=nowhere", "test=/opt/nowhere -t"]),
        ..Init::default()
    };
    world(|facts| {
        let wrong = from_flags(&flags, facts).expect_err("they cannot be");
        let begins = [
            "--domain: `localhost` has a single label",
            "--ca-trust: /root/typo.pem cannot be read",
            "--set sandbox: true or false belongs here",
            "--set sandbx: there is no setting \"sandbx\"",
            "--set takes NAME=VALUE",
            "--run restart: the installer runs reload and test",
            "--run reload: there is no program \"nowhere\"",
            "--run test: there is no program \"/opt/nowhere\"; put it there first, or answer none",
            "--secret api-key: only a reference may stand here",
            "--secret spare: there is no secret \"spare\"",
        ];
        assert_eq!(wrong.len(), begins.len(), "{wrong:#?}");
        for (wrong, begin) in wrong.iter().zip(begins) {
            assert!(wrong.starts_with(begin), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    });
}

#[test]
fn a_command_may_name_the_files_that_another_flag_has() {
    let several = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let flags = |file: &str| Init {
        dns: Some("dns-made-easy".to_owned()),
        install: Some("install-files".to_owned()),
        commands: several(&["reload=nginx {path:pfx} {sha1}"]),
        settings: vec![format!("files={{ \"{{name}}.{file}\" = \"bundle.p12\" }}")],
        ..Init::default()
    };
    world(|facts| {
        from_flags(&flags("pfx"), facts).expect("there is one");
        let wrong = from_flags(&flags("p12"), facts).expect_err("there is none");
        assert!(
            wrong[0].starts_with("--run reload: {path:pfx}"),
            "{wrong:?}"
        );
    });
}

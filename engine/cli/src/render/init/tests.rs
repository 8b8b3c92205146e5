//! Configurations as they are written, each read by the reader.

use std::path::{Path, PathBuf};

use waxwing_core::init::settle;

use super::done::{self, Rehearsal, Written};
use super::*;
use crate::args::init::{Init, Target};
use crate::init::from_flags;
use crate::init::tests::world;
use crate::load;
use crate::render::fixture::{at, golden, golden_json};
use crate::render::json::Document;

fn several(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

#[test]
fn each_way_of_answering_gives_a_configuration_that_is_read_without_a_mistake() {
    let short = Init {
        domains: several(&["example.com", "*.example.com"]),
        cas: several(&["letsencrypt"]),
        agree_terms: true,
        dns: Some("cloudflare".to_owned()),
        secrets: several(&["token=credential:dns-token"]),
        ..Init::default()
    };
    let long = Init {
        domains: several(&["bücher.example", "www.example.com"]),
        cas: several(&["google", "https://ca.corp.example/acme/directory"]),
        ca_trust: Some("/etc/ssl/corp root.pem".to_owned()),
        email: Some("ops@example.com".to_owned()),
        key_ids: several(&["google=kid-1"]),
        agree_terms: true,
        dns: Some("dns-made-easy".to_owned()),
        settings: several(&[
            "sandbox=yes",
            "ttl=60",
            "files={ \"{name}.pfx\" = \"bundle.p12\" }",
        ]),
        secrets: several(&[
            "google.hmac-key=file:google-key",
            "api-key=file:a",
            "secret-key=env:B",
            "pfx-password=file:pfx",
            "webhook-url=file:hook",
        ]),
        install: Some("install-files".to_owned()),
        server: Some("mail".to_owned()),
        folders: several(&["certs=/etc/mail/tls"]),
        commands: several(&["reload=systemctl restart mail@{name}", "test=none"]),
        notify: Some("webhook".to_owned()),
        shape: Some("slack".to_owned()),
        more: several(&[
            "network.resolvers=[\"192.0.2.53:53\"]",
            "certificate.served-at=[\"www.example.com:25 starttls=smtp\"]",
            "plugin.mail.grants.files.certs.mode=0640",
        ]),
        ..Init::default()
    };
    for (name, flags) in [("short", short), ("long", long)] {
        let text = world(|facts| {
            let mut more = More::read(&flags.more).expect("good lines");
            let mut answers = from_flags(&flags, facts).expect("good flags");
            assert_eq!(settle(facts, &mut answers), []);
            let variables = waxwing_core::init::variables(&answers);
            assert_eq!(variables, if name == "long" { vec!["B"] } else { vec![] });
            // One key of a table that is written whole cannot be added: the reader says so.
            let added = more.take(&["plugin", "mail"]);
            assert_eq!(added.is_empty(), name == "short");
            text(facts, &answers, more)
        });
        golden_json(&format!("init-{name}.toml"), text.trim_end());
        let mistakes = load::mistakes(Path::new("/etc/waxwing/waxwing.toml"), &text);
        assert_eq!(mistakes, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_was_written_and_what_comes_next_is_said() {
    let target = Target {
        config: PathBuf::from("/etc/waxwing/waxwing.toml"),
        usual: true,
    };
    let elsewhere = Target {
        config: PathBuf::from("/home/jo/my files/waxwing.toml"),
        usual: false,
    };
    let written = Written {
        absent: vec!["/run/secrets/api-key".into()],
        secrets: vec![PathBuf::from("/etc/waxwing/api-key")],
        folders: vec![PathBuf::from("/etc/nginx/tls")],
        kept: vec![(
            PathBuf::from("/etc/waxwing/waxwing.toml"),
            PathBuf::from("/etc/waxwing/waxwing.toml.1"),
        )],
        variables: vec!["DNS_TOKEN".to_owned()],
    };
    golden("init-done.txt", |context| {
        let now = Rehearsal::Now(vec!["First CA (staging)".to_owned()]);
        let nowhere = Rehearsal::Nowhere("internal has no staging".to_owned());
        [
            done::text(&target, &written, context),
            done::rehearsal(&now, context),
            done::next(&target, true, context),
            "---\n".to_owned(),
            done::text(&elsewhere, &Written::default(), context),
            done::rehearsal(&nowhere, context),
            done::rehearsal(&Rehearsal::Unwanted, context),
            done::next(&elsewhere, false, context),
        ]
        .concat()
    });
    let document = Document::new("init", at(0), done::json(&target, &written));
    golden_json("init.json", &document.to_text());
}

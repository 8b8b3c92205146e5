//! Secrets stay where they belong.

use std::fs;
use std::path::PathBuf;

use waxwing_world::ca::{self, ExternalAccount};
use waxwing_world::fault::{Fault, What};
use waxwing_world::pebble;
use waxwing_world::scan::Secrets;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Rig, both, certificate};

/// Every file below a folder, in the order of their paths.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![folder], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The files that hold a private key, by what is in them.
fn keys(rig: &Rig) -> Vec<(PathBuf, String)> {
    let mut keys = Vec::new();
    for path in files(rig.path("state"))
        .into_iter()
        .chain(files(rig.path("tls")))
    {
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        if text.contains("PRIVATE KEY") {
            keys.push((path, text));
        }
    }
    keys
}

#[test]
fn no_secret_is_in_an_output_or_in_a_file_that_is_not_its_own() {
    let secret = b"an external account key of bytes".to_vec();
    let encoded = "YW4gZXh0ZXJuYWwgYWNjb3VudCBrZXkgb2YgYnl0ZXM";
    let at_world = ca::Options {
        external_account: ExternalAccount::Required {
            keys: vec![("kid-1".to_owned(), secret.clone())],
            single_use: false,
        },
        ..ca::Options::default()
    };
    let at_pebble = pebble::Options {
        external_keys: vec![("kid-1".to_owned(), secret.clone())],
        ..pebble::Options::default()
    };
    let test = "no_secret_is_in_an_output_or_in_a_file_that_is_not_its_own";
    both(test, &at_world, &at_pebble, |rig, judge| {
        rig.write_secret("eab-key", encoded);
        let eab = "eab = { key-id = \"kid-1\", hmac-key = \"file:eab-key\" }";
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(judge, eab),
            rig.installer(""),
            certificate("one", &["www.example.com"]),
        ));
        // One run that fails at the provider, one that does not, and one that speaks JSON.
        rig.provider
            .fault(Fault::once(Class::Zone, What::Body("{".to_owned())));
        let runs = [
            rig.waxwing(&["-vv", "renew"]),
            rig.waxwing(&["-vv", "renew", "--now"]).expect(0),
            rig.waxwing(&["-vv", "--json", "renew", "one", "--force"])
                .expect(0),
        ];
        let mut secrets = Secrets::default();
        for name in ["dme-api-key", "dme-secret-key"] {
            secrets.add(name, fs::read(rig.path(name)).expect("a secret"));
        }
        secrets.add("eab-key", &secret);
        let keys = keys(rig);
        assert!(
            keys.len() >= 4,
            "an account's, two versions' and an installed one"
        );
        for (path, text) in &keys {
            secrets.add_pem(&path.display().to_string(), text);
        }
        let outputs: Vec<(&str, &[u8])> = runs
            .iter()
            .flat_map(|run| {
                [
                    ("stdout", run.stdout.as_bytes()),
                    ("stderr", run.stderr.as_bytes()),
                ]
            })
            .collect();
        let others: Vec<PathBuf> = files(rig.path("state"))
            .into_iter()
            .chain(files(rig.path("tls")))
            .filter(|path| keys.iter().all(|(key, _)| key != path))
            .collect();
        let others: Vec<_> = others.iter().map(PathBuf::as_path).collect();
        secrets.assert_clean(&others, &outputs);
    });
}

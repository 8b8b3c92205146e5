//! Whether every secret is there, for the runs that a timer starts and not only for who types this.
//!
//! What a newcomer gets wrong: systemd hands a credential to its unit alone. Whoever types `waxwing
//! check` has none of them, though all is in order; so it is looked for where the unit has it from.

use std::path::{Path, PathBuf};

use waxwing_core::settings::SecretRef;
use waxwing_flow::account;
use waxwing_io::keys::LocalKeys;
use waxwing_io::secrets;
use waxwing_io::timer::Starter;
use waxwing_io::timer::units::{self, Handed};

use crate::commands::schedule::starters;
use crate::load::{self, Loaded};
use crate::render::check::{Found, Verdict};
use crate::render::page::list;
use crate::wire::{self, Unusable, Wired};

const TOPIC: &str = "secrets";

/// What to write in the place of a variable that no timer has.
fn instead(key: &str, reference: &SecretRef) -> Option<String> {
    let file = key
        .trim_start_matches("plugin.")
        .replace(".secrets.", "-")
        .replace('.', "-");
    matches!(reference, SecretRef::Env(_)).then(|| {
        format!("`waxwing secret set {file}` stores it in a file; then {key} = \"file:{file}\"")
    })
}

/// One line when all secrets are there, else one for each that is not.
pub(super) fn findings(loaded: &Loaded) -> Vec<Found> {
    let references = load::secrets(&loaded.settings);
    let watched = wire::secrets(loaded);
    let services = services(loaded);
    let (mut found, mut handed) = (Vec::new(), Vec::new());
    let mut there = 0;
    for (key, reference) in &references {
        for warning in secrets::warnings(reference) {
            let text = format!("{key}: {warning}");
            found.push(Found::new(Verdict::Warn, TOPIC, text).hint(instead(key, reference)));
        }
        if let Some(told) = handed_over(reference, key, &services) {
            match told {
                Ok(by) => {
                    there += 1;
                    handed.push(by);
                }
                Err(trouble) => found.push(trouble),
            }
            continue;
        }
        let fetched = secrets::fetch(reference);
        watched.was_read(reference, fetched.is_ok());
        let fetched = fetched.and_then(|fetched| {
            if key == "account.key" {
                account::is_key(&LocalKeys, reference, &fetched.secret)?;
            }
            Ok(fetched)
        });
        match fetched {
            Ok(fetched) => {
                there += 1;
                if fetched.trimmed {
                    let text =
                        format!("{reference} has white space at its edges, which is left out");
                    let hint = format!("write {reference} without it, if {key} is refused");
                    found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
                }
            }
            Err(error) => {
                let text = format!("{} cannot be read", error.reference);
                found.push(
                    Found::new(Verdict::Error, TOPIC, text)
                        .causes([format!("it is named by {key}")])
                        .causes(error.causes)
                        .hint(error.hint),
                );
            }
        }
    }
    if found.is_empty() {
        let mut text = format!("{there} of {} found", references.len());
        if !handed.is_empty() {
            text.push_str(&format!("; systemd hands over {}", list(&handed, 5)));
        }
        found.push(Found::new(Verdict::Ok, TOPIC, text));
    }
    found
}

/// The units of systemd that start the runs.
fn services(loaded: &Loaded) -> Vec<PathBuf> {
    let all = starters(&loaded.config, Some(&loaded.state)).into_iter();
    let files = all.filter_map(|starter| match starter {
        Starter::File(path) => Some(path),
        Starter::Daemon(_) => None,
    });
    let is_service = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "service");
    files.filter(is_service).collect()
}

/// Whether the units that start the runs have a credential, or what is wrong with that. None for other
/// secrets, within a unit, and where there is no unit: then it has to be here.
fn handed_over(
    reference: &SecretRef,
    key: &str,
    services: &[PathBuf],
) -> Option<Result<String, Found>> {
    let SecretRef::Credential(name) = reference else {
        return None;
    };
    if secrets::is_within_a_unit() || services.is_empty() {
        return None;
    }
    let looked = services.iter().map(|service| {
        let unit = service
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        judge(name, &unit, units::handed_over(service, name))
    });
    let mut looked = looked.collect::<Result<Vec<String>, Found>>();
    Some(match &mut looked {
        Ok(said) => Ok(said.swap_remove(0)),
        Err(found) => Err(found.clone().causes([format!("it is named by {key}")])),
    })
}

/// What follows from where a unit has a credential from.
fn judge(name: &str, unit: &str, handed: Handed) -> Result<String, Found> {
    let trouble =
        |text: String, hint: String| Err(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint)));
    let shown = |path: &Path| path.display().to_string();
    match handed {
        Handed::There(path) => Ok(format!("credential:{name} to {unit} ({})", shown(&path))),
        Handed::Within => Ok(format!("credential:{name} to {unit}")),
        Handed::Nothing => trouble(
            format!("{unit} does not have credential:{name} handed over"),
            format!(
                "`waxwing schedule add` writes the line; in a unit of your own it is \
                 LoadCredential={name}:/etc/credstore/{name}"
            ),
        ),
        Handed::Missing(path) => trouble(
            format!(
                "{unit} has credential:{name} handed over from {}, which is not there",
                shown(&path)
            ),
            match path.parent().and_then(Path::extension).is_some() {
                true => format!(
                    "systemd-creds encrypt --name={name} - {} reads the secret and puts it there",
                    shown(&path)
                ),
                false => format!(
                    "install -D -m 0600 /dev/stdin {} reads the secret and puts it there",
                    shown(&path)
                ),
            },
        ),
        Handed::Empty(path) => trouble(
            format!(
                "{} is empty, which {unit} has credential:{name} from",
                shown(&path)
            ),
            format!("write the secret to {}", shown(&path)),
        ),
        Handed::Open(path) => trouble(
            format!("others can read {}", shown(&path)),
            format!("chmod 600 {}", shown(&path)),
        ),
    }
}

/// Plugins that cannot be asked anything here, because systemd alone hands over a secret of theirs.
pub(super) fn unasked(wired: &Wired) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for why in &wired.unusable {
        let Unusable::Secret { plugin, error, .. } = why else {
            continue;
        };
        let Some(name) = error.reference.strip_prefix("credential:") else {
            continue;
        };
        if secrets::is_within_a_unit() {
            continue;
        }
        let text = format!(
            "{plugin} was not asked about its settings: systemd hands {} to its unit alone",
            error.reference
        );
        let hint = format!(
            "systemd-run --pty --wait -p LoadCredential={name}:/etc/credstore/{name} waxwing check asks it"
        );
        found.push(Found::new(Verdict::Ok, "plugins", text).hint(Some(hint)));
    }
    found.dedup_by(|one, other| one.text == other.text);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_where_its_unit_has_it_from_or_that_is_said() {
        let path = || PathBuf::from("/etc/credstore/dme");
        let judged = |handed| {
            let judged = judge("dme", "waxwing.service", handed);
            judged.map_err(|found| (found.verdict, found.hint.unwrap_or_default()))
        };
        let good = judged(Handed::There(path())).expect("in order");
        assert_eq!(
            good,
            "credential:dme to waxwing.service (/etc/credstore/dme)"
        );
        assert!(judged(Handed::Within).is_ok());
        for (handed, hint) in [
            (Handed::Nothing, "LoadCredential=dme:/etc/credstore/dme"),
            (Handed::Missing(path()), "install -D -m 0600"),
            (Handed::Empty(path()), "write the secret"),
            (Handed::Open(path()), "chmod 600 /etc/credstore/dme"),
        ] {
            let (verdict, said) = judged(handed).expect_err("something is wrong");
            assert_eq!(verdict, Verdict::Error);
            assert!(said.contains(hint), "{said}");
        }
    }
}

//! DNS providers of other clients, found among the plugins by what their manifests say.

use std::collections::BTreeMap;

use waxwing_core::import::{Certificate, Client, Validation, Value};
use waxwing_core::plugin::{KnownAs, Manifest, World};
use waxwing_core::secret::Secret;

use super::draft::Catalog;
use super::{Draft, ProviderDraft, Surroundings, Validate};

/// The DNS plugins of a certificate, by their names in the draft, which gets a section for each that it has
/// none of yet.
///
/// # Errors
/// Why none can be named, as the end of a sentence.
pub(super) fn provider(
    draft: &mut Draft,
    client: Client,
    certificate: &Certificate,
    catalog: &Catalog<'_>,
    around: &Surroundings<'_>,
) -> Result<Validate, String> {
    let mut one = |way: &Validation| plugin(draft, client, (certificate, way), catalog, around);
    let Validation::Each(ways) = &certificate.validation else {
        return one(&certificate.validation).map(Validate::By);
    };
    if catalog.dns.is_some() {
        let first = ways.first().map_or(&Validation::Unsaid, |(_, way)| way);
        return one(first).map(Validate::By);
    }
    let each = ways.iter().map(|(name, way)| {
        let domain = name.trim_start_matches("*.").to_owned();
        one(way).map(|plugin| (domain, plugin))
    });
    let mut found: Vec<(String, String)> = Vec::new();
    for one in each {
        let (domain, plugin) = one?;
        match found.iter().find(|(known, _)| *known == domain) {
            None => found.push((domain, plugin)),
            Some((_, known)) if *known == plugin => {}
            // A name and what is below it have one zone here.
            Some((_, known)) => {
                return Err(format!(
                    "{domain} is proved by {known}, and its wildcard by {plugin}"
                ));
            }
        }
    }
    if let [(_, only), others @ ..] = found.as_slice()
        && others.iter().all(|(_, plugin)| plugin == only)
    {
        return Ok(Validate::By(only.clone()));
    }
    Ok(Validate::Each(found))
}

fn plugin(
    draft: &mut Draft,
    client: Client,
    (certificate, way): (&Certificate, &Validation),
    catalog: &Catalog<'_>,
    around: &Surroundings<'_>,
) -> Result<String, String> {
    let mapped = match way {
        Validation::Dns { provider, values } => {
            let found = plugins(catalog).find_map(|manifest| {
                let mut known = manifest.known_as.iter();
                let known = known.find(|known| {
                    let mut names = known.names.iter();
                    known.client == client && names.any(|name| name.eq_ignore_ascii_case(provider))
                });
                known.map(|known| (manifest, Some(known), Some(values)))
            });
            found.ok_or_else(|| format!("there is no plugin for its DNS provider, {provider}"))
        }
        Validation::Each(_) => Err("its names are proved in several ways".to_owned()),
        Validation::Other(way) => Err(format!("its names are proved {way}, not by DNS records")),
        Validation::Unsaid => Err(format!("{client} has not noted its DNS provider")),
    };
    let chosen = catalog.dns.and_then(|chosen| {
        let manifest = plugins(catalog).find(|manifest| manifest.id == chosen)?;
        let mut known = manifest.known_as.iter();
        let known = known.find(|known| known.client == client);
        Some((manifest, known, None))
    });
    let (manifest, known, values) = match (mapped, chosen) {
        (Ok(found), _) => found,
        (Err(_not), Some(found)) => found,
        (Err(why), None) => return Err(why),
    };
    Ok(section(
        draft,
        client,
        certificate,
        manifest,
        known,
        values,
        around,
    ))
}

/// The DNS plugins inside this program.
fn plugins<'a>(catalog: &'a Catalog<'_>) -> impl Iterator<Item = &'a Manifest> + use<'a> {
    let manifests = catalog.manifests.iter();
    manifests.filter(|manifest| manifest.world == World::Dns)
}

/// The section with these secrets: one that is there, or a new one.
fn section(
    draft: &mut Draft,
    client: Client,
    certificate: &Certificate,
    manifest: &Manifest,
    known: Option<&KnownAs>,
    values: Option<&BTreeMap<String, Value>>,
    around: &Surroundings<'_>,
) -> String {
    let mut number = 1;
    loop {
        let name = if number == 1 {
            manifest.id.clone()
        } else {
            format!("{}-{number}", manifest.id)
        };
        number += 1;
        let mut found = Found::default();
        for secret in manifest.secrets.keys() {
            let words = known.and_then(|known| known.secrets.get(secret));
            found.secret(client, &name, secret, words, values, around);
        }
        let wanted = known.into_iter().flat_map(|known| &known.settings);
        for (setting, words) in wanted {
            let mut values = words.iter().filter_map(|word| values?.get(word));
            if let Some(Value::Known(value)) = values.next() {
                found
                    .settings
                    .insert(setting.clone(), value.expose().clone());
            }
        }
        let made = ProviderDraft {
            name: name.clone(),
            plugin: manifest.id.clone(),
            secrets: found.files,
            settings: found.settings,
        };
        if let Some(there) = draft.providers.iter().find(|one| one.name == name) {
            let mut read = found.values.iter();
            let same =
                *there == made && read.all(|(file, value)| draft.secrets.get(file) == Some(value));
            if same {
                let about = certificate.name.as_str();
                for (secret, why) in found.missing {
                    let file = made.secrets.get(&secret);
                    // With --dns there were none, so that nothing is amiss.
                    if values.is_some() && file.is_some_and(|file| draft.secrets.contains_key(file))
                    {
                        draft.remark(
                            about,
                            format!("its own {secret}: {why}; that of [plugin.{name}] is used"),
                            format!(
                                "if it has another one, write a second section, uses = \"{}\"",
                                manifest.id
                            ),
                        );
                    }
                }
                return name;
            }
            continue;
        }
        for (secret, why) in found.missing {
            let file = made.secrets.get(&secret).cloned().unwrap_or_default();
            let what = manifest.secrets.get(&secret);
            let about = what.and_then(|want| want.description.clone());
            let about = about.map(|text| format!(" ({text})")).unwrap_or_default();
            draft.remark(
                &certificate.name,
                format!("the secret {secret} of [plugin.{name}]{about}: {why}"),
                format!(
                    "write it to the file {file} beside the new configuration, readable by its owner alone"
                ),
            );
        }
        draft.secrets.extend(found.values);
        draft.providers.push(made);
        return name;
    }
}

/// What was found for a section.
#[derive(Default)]
struct Found {
    files: BTreeMap<String, String>,
    values: Vec<(String, Secret<String>)>,
    settings: BTreeMap<String, String>,
    missing: Vec<(String, String)>,
}

impl Found {
    fn secret(
        &mut self,
        client: Client,
        plugin: &str,
        secret: &str,
        words: Option<&Vec<String>>,
        values: Option<&BTreeMap<String, Value>>,
        around: &Surroundings<'_>,
    ) {
        let file = format!("{plugin}-{secret}");
        self.files.insert(secret.to_owned(), file.clone());
        let Some(words) = words else {
            let why = "it is not known what it is called there".to_owned();
            self.missing.push((secret.to_owned(), why));
            return;
        };
        let found = match values {
            Some(values) => {
                let unreadable = || values.get("").cloned();
                let mut known = words.iter().filter_map(|word| {
                    let mut all = values.iter();
                    let found = all.find(|(name, _)| name.eq_ignore_ascii_case(word));
                    found.map(|(_, value)| value.clone())
                });
                known.next().or_else(unreadable)
            }
            // One client keeps them in the environment alone; the others have used none.
            None if client != Client::Lego => {
                let why = "the other client has used none".to_owned();
                self.missing.push((secret.to_owned(), why));
                return;
            }
            None => {
                let mut set = words.iter().filter_map(|word| (around.variable)(word));
                set.next().map(|value| Value::Known(Secret::new(value)))
            }
        };
        match found {
            Some(Value::Known(value)) => self.values.push((file, value)),
            Some(Value::Sealed(why)) => self.missing.push((secret.to_owned(), why)),
            None => {
                let why = format!("{} is not set", words.join(" or "));
                self.missing.push((secret.to_owned(), why));
            }
        }
    }
}

//! The certificates of a call as files would hold them. Private ones never leave the host but as
//! parts of what it writes.

use waxwing_core::secret::Secret;
use waxwing_flow::certificate::StoredVersion;
use waxwing_flow::plugin::InstallItem;

use crate::limits::{ARTIFACT_NAME, MADE};
use crate::pkcs12::{Pkcs12, Pkcs12Contents, Pkcs12Profile};
use crate::redact::Redactor;
use crate::section::sha256_hex;

/// One artifact.
#[derive(Clone)]
pub(crate) struct Artifact {
    /// `shop/fullchain.pem`
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) private: bool,
    pub(crate) sha256: String,
    pub(crate) content: Secret<Vec<u8>>,
    /// How it was made, if it was.
    pub(crate) recipe: Option<Recipe>,
}

/// What a PKCS#12 artifact was made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    certificate: String,
    friendly_name: String,
    password: Secret<String>,
    profile: Pkcs12Profile,
}

/// Why a PKCS#12 artifact cannot be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecipeError {
    /// No such certificate in this call.
    Unknown(String),
    /// The name is taken by something else, or is none.
    Name(String),
    Profile(String),
    TooMany,
    Failed(String),
}

/// The artifacts of one call.
#[derive(Clone, Default)]
pub(crate) struct Artifacts {
    versions: Vec<StoredVersion>,
    list: Vec<Artifact>,
}

impl Artifacts {
    pub(crate) fn of(items: &[InstallItem]) -> Self {
        let versions: Vec<StoredVersion> = items.iter().map(|item| item.version.clone()).collect();
        let cuts = |version: &StoredVersion| {
            const CHAIN: &str = "application/pem-certificate-chain";
            let (name, pem) = (&version.certificate, &version.pem);
            [
                ("cert.pem", CHAIN, false, pem.cert.as_bytes()),
                ("chain.pem", CHAIN, false, pem.chain.as_bytes()),
                ("fullchain.pem", CHAIN, false, pem.fullchain.as_bytes()),
                (
                    "privkey.pem",
                    "application/x-pem-file",
                    true,
                    version.key.expose().as_bytes(),
                ),
            ]
            .map(|(cut, media_type, private, content)| Artifact {
                name: format!("{name}/{cut}"),
                media_type,
                private,
                sha256: sha256_hex(content),
                content: Secret::new(content.to_vec()),
                recipe: None,
            })
        };
        let list = versions.iter().flat_map(cuts).collect();
        Self { versions, list }
    }

    /// Private keys are taken out of texts like secrets are.
    pub(crate) fn redact(&self, redactor: &mut Redactor) {
        for version in &self.versions {
            redactor.add_pem(
                &format!("{}/privkey.pem", version.certificate),
                version.key.expose(),
            );
        }
    }

    pub(crate) fn all(&self) -> &[Artifact] {
        &self.list
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Artifact> {
        self.list.iter().find(|artifact| artifact.name == name)
    }

    /// Makes a PKCS#12 artifact, or answers the one that was made the same way before.
    pub(crate) fn make_pkcs12(
        &mut self,
        maker: &dyn Pkcs12,
        into: &str,
        friendly_name: Option<String>,
        password: Secret<String>,
        profile: &str,
    ) -> Result<&Artifact, RecipeError> {
        let shown = friendly_name.as_deref().unwrap_or_default();
        if into.len() > ARTIFACT_NAME || shown.len() > ARTIFACT_NAME {
            return Err(RecipeError::Name(into.to_owned()));
        }
        let certificate = match into.split_once('/') {
            Some((name, file)) if !file.is_empty() && !file.contains('/') => name,
            _ => return Err(RecipeError::Name(into.to_owned())),
        };
        let recipe = Recipe {
            certificate: certificate.to_owned(),
            friendly_name: friendly_name.unwrap_or_else(|| certificate.to_owned()),
            password,
            profile: match profile {
                "modern" => Pkcs12Profile::Modern,
                "legacy" => Pkcs12Profile::Legacy,
                other => return Err(RecipeError::Profile(other.to_owned())),
            },
        };
        if let Some(at) = self.list.iter().position(|artifact| artifact.name == into) {
            return match &self.list[at].recipe {
                Some(known) if *known == recipe => Ok(&self.list[at]),
                _ => Err(RecipeError::Name(into.to_owned())),
            };
        }
        let of_this = |made: &&Recipe| made.certificate == recipe.certificate;
        let made = self.list.iter().filter_map(|one| one.recipe.as_ref());
        if made.filter(of_this).count() >= MADE {
            return Err(RecipeError::TooMany);
        }
        let content = match self.contents(&recipe) {
            Some(contents) => maker.make(&contents).map_err(RecipeError::Failed)?,
            None => return Err(RecipeError::Unknown(certificate.to_owned())),
        };
        self.list.push(Artifact {
            name: into.to_owned(),
            media_type: "application/x-pkcs12",
            private: true,
            sha256: sha256_hex(&content),
            content: Secret::new(content),
            recipe: Some(recipe),
        });
        Ok(&self.list[self.list.len() - 1])
    }

    /// True if the file holds what the artifact was made of, whatever its salts are.
    pub(crate) fn is_same_pkcs12(
        &self,
        maker: &dyn Pkcs12,
        artifact: &Artifact,
        file: &[u8],
    ) -> bool {
        let contents = artifact
            .recipe
            .as_ref()
            .and_then(|recipe| self.contents(recipe));
        contents.is_some_and(|contents| maker.holds(file, &contents))
    }

    fn contents<'a>(&'a self, recipe: &'a Recipe) -> Option<Pkcs12Contents<'a>> {
        let version = self
            .versions
            .iter()
            .find(|version| version.certificate.as_str() == recipe.certificate)?;
        Some(Pkcs12Contents {
            key: &version.key,
            chain: &version.pem,
            friendly_name: &recipe.friendly_name,
            password: &recipe.password,
            profile: recipe.profile,
        })
    }
}

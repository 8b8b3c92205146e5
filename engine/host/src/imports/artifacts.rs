//! `waxwing:host/artifacts`

use waxwing_core::secret::Secret;

use crate::artifacts::{Artifact as Ours, RecipeError};
use crate::bindings::installer::waxwing::host::artifacts::{Artifact, ArtifactError, Host};
use crate::call::Call;
use crate::limits::MADE;
use crate::parts::{secret, shown};
use crate::policy::{Placement, Refusal, check_secret};

impl Host for Call {
    async fn available(&mut self) -> wasmtime::Result<Vec<Artifact>> {
        Ok(self.artifacts.all().iter().map(describe).collect())
    }

    async fn make_pkcs12(
        &mut self,
        into: String,
        friendly_name: Option<String>,
        password_secret: Option<String>,
        profile: String,
    ) -> wasmtime::Result<Result<Artifact, ArtifactError>> {
        self.heard()?;
        Ok(make(
            self,
            &into,
            friendly_name,
            password_secret.as_deref(),
            &profile,
        ))
    }
}

fn make(
    call: &mut Call,
    into: &str,
    friendly_name: Option<String>,
    password_secret: Option<&str>,
    profile: &str,
) -> Result<Artifact, ArtifactError> {
    let password = match password_secret.map(|name| password(call, name)) {
        None => Secret::new(String::new()),
        Some(Ok(password)) => password,
        Some(Err(refusal)) => {
            let unknown = matches!(
                refusal,
                Refusal::SecretUnknown(_) | Refusal::SecretUnbound(_)
            );
            let text = call.refuse(&refusal);
            return Err(if unknown {
                ArtifactError::Unknown(text)
            } else {
                ArtifactError::Denied(text)
            });
        }
    };
    let maker = std::sync::Arc::clone(&call.instance.host.pkcs12);
    let made = call
        .artifacts
        .make_pkcs12(&*maker, into, friendly_name, password, profile);
    match made {
        Ok(artifact) => Ok(describe(artifact)),
        Err(RecipeError::Unknown(name)) => Err(ArtifactError::Unknown(format!(
            "this call has no certificate `{}`",
            shown(&name)
        ))),
        Err(RecipeError::Name(name)) => Err(ArtifactError::InvalidInput(format!(
            "`{}` is taken, or is not a certificate's name, a slash and a file name",
            shown(&name)
        ))),
        Err(RecipeError::Profile(profile)) => Err(ArtifactError::InvalidInput(format!(
            "no profile is called `{}`",
            shown(&profile)
        ))),
        Err(RecipeError::TooMany) => Err(ArtifactError::InvalidInput(format!(
            "a call makes {MADE} files of one certificate at most"
        ))),
        Err(RecipeError::Failed(why)) => Err(ArtifactError::Other(call.redactor.text(&why))),
    }
}

fn password(call: &Call, name: &str) -> Result<Secret<String>, Refusal> {
    check_secret(&call.instance.powers, name, Placement::Pkcs12, None)?;
    Ok(Secret::new(secret(call, name)?.to_owned()))
}

fn describe(artifact: &Ours) -> Artifact {
    Artifact {
        name: artifact.name.clone(),
        media_type: artifact.media_type.to_owned(),
        size: u32::try_from(artifact.content.expose().len()).unwrap_or(u32::MAX),
        private: artifact.private,
        sha256: artifact.sha256.clone(),
    }
}

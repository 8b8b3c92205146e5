//! Credentials from the CA that bind a new account to one of its customers (RFC 8555 section
//! 7.3.4).

use waxwing_acme::account::ExternalAccount;
use waxwing_acme::eab;
use waxwing_core::ca::EabSource;
use waxwing_core::failure::FailureClass;
use waxwing_core::settings::AccountSettings;

use super::opening::Opening;
use crate::failure::Failure;

impl Opening<'_> {
    /// Credentials from the CA that bind the account (RFC 8555 section 7.3.4).
    pub(super) async fn credentials(
        &self,
        settings: &AccountSettings,
    ) -> Result<ExternalAccount, Failure> {
        let ca = &self.profile.name;
        match &self.profile.eab.source {
            EabSource::None => Err(self.refuse(
                "this CA wants credentials of its own (external account binding)",
                Some(format!(
                    "[ca.{ca}] eab = {{ key-id = \"...\", hmac-key = \"file:{ca}-hmac-key\" }}"
                )),
                FailureClass::Misconfigured,
            )),
            EabSource::Given { key_id, hmac_key } => {
                let secret = self
                    .ports
                    .secrets
                    .secret(hmac_key)
                    .map_err(Failure::Secret)?;
                ExternalAccount::from_base64(key_id, &secret).map_err(|error| Failure::Account {
                    ca: ca.clone(),
                    reason: "the HMAC key of [ca] eab cannot be read".to_owned(),
                    hint: Some("copy it again as the CA shows it: base64url, one line".to_owned()),
                    class: FailureClass::Misconfigured,
                    causes: vec![error.to_string()],
                })
            }
            EabSource::Obtain(obtain) => {
                let api_key = match &obtain.api_key {
                    Some(reference) => Some(
                        self.ports
                            .secrets
                            .secret(reference)
                            .map_err(Failure::Secret)?,
                    ),
                    None => None,
                };
                let email = obtain.email.as_deref().or(settings.email.as_deref());
                let failed = |class, hint, causes| Failure::Account {
                    ca: ca.clone(),
                    reason: "the CA gave no credentials for a new account".to_owned(),
                    hint,
                    class,
                    causes,
                };
                let eab_failed = |error: eab::EabError| {
                    failed(error.class(), error.hint(), vec![error.to_string()])
                };
                let request = eab::request(obtain, email, api_key.as_ref(), &self.ports.user_agent)
                    .map_err(eab_failed)?;
                self.ports.sent.count(ca);
                let response =
                    self.ports
                        .http
                        .send(request, &self.policy)
                        .await
                        .map_err(|error| {
                            failed(
                                FailureClass::Transient,
                                None,
                                vec![format!("{} {}: {error}", error.method, error.url)],
                            )
                        })?;
                eab::read(obtain, &response).map_err(eab_failed)
            }
        }
    }
}

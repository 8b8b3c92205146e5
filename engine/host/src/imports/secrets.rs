//! `waxwing:host/secrets`

use aws_lc_rs::hmac;

use crate::bindings::installer::waxwing::host::secrets::{Host, SecretError};
use crate::call::Call;
use crate::parts::{secret, shown};
use crate::policy::{Placement, Refusal, check_secret};

/// Longest text that is signed, in bytes.
const DATA_CAP: usize = 1 << 20;

impl Host for Call {
    async fn bound(&mut self, name: String) -> wasmtime::Result<bool> {
        Ok(self.instance.secrets.contains_key(&name))
    }

    async fn hmac(
        &mut self,
        name: String,
        algorithm: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        self.heard()?;
        Ok(sign(self, &name, &algorithm, &data))
    }
}

fn sign(call: &mut Call, name: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, SecretError> {
    let kind = match algorithm {
        "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha256" => hmac::HMAC_SHA256,
        "hmac-sha384" => hmac::HMAC_SHA384,
        "hmac-sha512" => hmac::HMAC_SHA512,
        other => return Err(SecretError::UnsupportedAlgorithm(shown(other))),
    };
    if data.len() > DATA_CAP {
        return Err(SecretError::InvalidInput(format!(
            "more than {DATA_CAP} bytes to sign"
        )));
    }
    let used = check_secret(
        &call.instance.powers,
        name,
        Placement::Hmac(algorithm),
        None,
    )
    .and_then(|()| secret(call, name));
    match used {
        Ok(value) => {
            let key = hmac::Key::new(kind, value.as_bytes());
            Ok(hmac::sign(&key, data).as_ref().to_vec())
        }
        Err(refusal) => {
            let unknown = matches!(
                refusal,
                Refusal::SecretUnknown(_) | Refusal::SecretUnbound(_)
            );
            let text = call.refuse(&refusal);
            Err(if unknown {
                SecretError::Unknown(text)
            } else {
                SecretError::Denied(text)
            })
        }
    }
}

//! Fills in what guests only name: secrets and artifacts, each in the encoding asked for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::bindings::installer::waxwing::host::http::{Hidden, Part};
use crate::call::Call;
use crate::limits::JOINED_CAP;
use crate::policy::{Placement, Refusal, check_secret};
use crate::redact::percent;
use crate::section::hex;

/// What is hidden behind names, and where it may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// None: no secrets here.
    pub(crate) secrets: Option<Placement<'a>>,
    /// The host it is sent to, if it is sent.
    pub(crate) host: Option<&'a str>,
    pub(crate) artifacts: bool,
}

/// Why parts cannot be joined.
#[derive(Debug)]
pub(crate) enum Fault {
    Refused(Refusal),
    Invalid(String),
    /// More than [`JOINED_CAP`]: a name is short and what it stands for is not, so the length of
    /// what the guest wrote says nothing.
    TooLong,
}

/// Joined parts.
pub(crate) struct Filled {
    pub(crate) bytes: Vec<u8>,
    /// True if a private artifact is in it.
    pub(crate) private: bool,
}

/// Joins parts. The result may hold secrets: it goes where the guest asked, and nowhere else.
pub(crate) fn fill(call: &Call, parts: &[Part], place: Place<'_>) -> Result<Filled, Fault> {
    let mut filled = Filled {
        bytes: Vec::new(),
        private: false,
    };
    for part in parts {
        if filled.bytes.len() > JOINED_CAP {
            break;
        }
        match part {
            Part::Text(text) => filled.bytes.extend_from_slice(text.as_bytes()),
            Part::Bytes(bytes) => filled.bytes.extend_from_slice(bytes),
            Part::Secret(hidden) => {
                let Some(placement) = place.secrets else {
                    return Err(Fault::Refused(Refusal::SecretHere(shown(&hidden.name))));
                };
                let powers = &call.instance.powers;
                check_secret(powers, &hidden.name, placement, place.host)
                    .map_err(Fault::Refused)?;
                let value = secret(call, &hidden.name).map_err(Fault::Refused)?;
                filled.bytes.extend(encode(value.as_bytes(), hidden)?);
            }
            Part::Artifact(hidden) => {
                if !place.artifacts {
                    return Err(Fault::Refused(Refusal::ArtifactHere(shown(&hidden.name))));
                }
                let Some(artifact) = call.artifacts.named(&hidden.name) else {
                    return Err(Fault::Invalid(format!(
                        "this call has no artifact `{}`",
                        shown(&hidden.name)
                    )));
                };
                filled.private |= artifact.private;
                filled
                    .bytes
                    .extend(encode(artifact.content.expose(), hidden)?);
            }
        }
    }
    if filled.bytes.len() > JOINED_CAP {
        return Err(Fault::TooLong);
    }
    Ok(filled)
}

/// The visible parts alone: what policy looks at.
pub(crate) fn visible(parts: &[Part]) -> Vec<&[u8]> {
    let visible = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_bytes()),
        Part::Bytes(bytes) => Some(bytes.as_slice()),
        Part::Secret(_) | Part::Artifact(_) => None,
    });
    visible.collect()
}

/// The names of the secrets among the parts.
pub(crate) fn secrets(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Secret(hidden) => Some(hidden.name.as_str()),
        _visible => None,
    })
}

/// The value of a secret that the operator bound.
pub(crate) fn secret<'a>(call: &'a Call, name: &str) -> Result<&'a str, Refusal> {
    match call.instance.secrets.get(name) {
        Some(value) => Ok(value.expose()),
        None if call.instance.powers.secrets.contains_key(name) => {
            Err(Refusal::SecretUnbound(name.to_owned()))
        }
        None => Err(Refusal::SecretUnknown(shown(name))),
    }
}

fn encode(value: &[u8], hidden: &Hidden) -> Result<Vec<u8>, Fault> {
    let encoded = match hidden.encoding.as_str() {
        "raw" => return Ok(value.to_vec()),
        "base64" => STANDARD.encode(value),
        "base64url" => URL_SAFE_NO_PAD.encode(value),
        "hex" => hex(value),
        "form" => percent(value, true),
        "json" => match std::str::from_utf8(value) {
            Ok(text) => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Err(_binary) => {
                return Err(Fault::Invalid(format!(
                    "`{}` is not text and has no JSON form",
                    shown(&hidden.name)
                )));
            }
        },
        other => {
            return Err(Fault::Invalid(format!(
                "no encoding is called `{}`",
                shown(other)
            )));
        }
    };
    Ok(encoded.into_bytes())
}

/// A name out of a guest, cut to what an error needs of it.
pub(crate) fn shown(name: &str) -> String {
    crate::judge::sanitize(name, 80)
}

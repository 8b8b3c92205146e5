//! Reads the body of an answer within its cap, on the wire and after decoding.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use reqwest::Response;
use waxwing_core::http::TransportStage;

use super::failure::Failed;

/// Reads what comes over the wire, up to the cap.
pub(super) async fn read(answer: &mut Response, cap: u64) -> Result<Vec<u8>, Failed> {
    if answer.content_length().is_some_and(|length| length > cap) {
        return Err(too_large(cap));
    }
    let mut body = Vec::new();
    loop {
        let chunk = answer
            .chunk()
            .await
            .map_err(|error| Failed::from_reqwest(error, true, None))?;
        let Some(chunk) = chunk else { return Ok(body) };
        body.extend_from_slice(&chunk);
        if body.len() as u64 > cap {
            return Err(too_large(cap));
        }
    }
}

/// Takes off the one content coding that is asked for. The fields that describe it go too, since
/// they are no longer true.
pub(super) fn decode(
    raw: Vec<u8>,
    headers: &mut Vec<(String, String)>,
    cap: u64,
) -> Result<Vec<u8>, Failed> {
    let coded = headers.iter().any(|(name, value)| {
        name == "content-encoding" && value.trim().eq_ignore_ascii_case("gzip")
    });
    if !coded || raw.is_empty() {
        return Ok(raw);
    }
    let mut body = Vec::new();
    let mut decoder = MultiGzDecoder::new(raw.as_slice()).take(cap.saturating_add(1));
    decoder.read_to_end(&mut body).map_err(|cause| {
        let cause = format!("the body says it is gzip, but: {cause}");
        Failed::new(TransportStage::Exchange, cause)
    })?;
    if body.len() as u64 > cap {
        return Err(too_large(cap));
    }
    headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
    Ok(body)
}

fn too_large(cap: u64) -> Failed {
    Failed::new(
        TransportStage::TooLarge,
        format!("its body is longer than {cap} bytes"),
    )
}

//! Answers that are changed on their way to the client.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};

use crate::fault::Spoilt;

/// Longest body that is taken apart.
const MOST: usize = 1 << 20;

/// How long the first half of an answer takes to leave.
const FLUSH: Duration = Duration::from_millis(20);

/// The same answer, spoilt.
pub(super) async fn spoil(response: Response, how: &Spoilt) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut bytes = read(body).await;
    let half = bytes.len() / 2;
    parts.headers.remove(header::CONTENT_LENGTH);
    match how {
        Spoilt::Empty => bytes.clear(),
        Spoilt::Half => bytes.truncate(half),
        Spoilt::CutOff => {
            bytes.truncate(half);
            let cut = stream::once(async {
                // What was written so far has to be on its way first.
                tokio::time::sleep(FLUSH).await;
                Err("cut off")
            });
            let whole = stream::iter([Ok(Bytes::from(bytes))]).chain(cut);
            return Response::from_parts(parts, Body::from_stream(whole));
        }
        Spoilt::Garbage => bytes = b"<?garbage \xff\xfe{]".to_vec(),
        Spoilt::Padded(count) => bytes.resize(bytes.len() + count, b' '),
        Spoilt::Kind(kind) => {
            if let Ok(kind) = HeaderValue::try_from(kind) {
                parts.headers.insert(header::CONTENT_TYPE, kind);
            }
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The same answer, a byte at a time.
pub(super) async fn drip(response: Response, pause: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut bytes = read(body).await;
    if bytes.is_empty() {
        // A body that has none comes slowly, too.
        bytes.push(b' ');
    }
    let drops = stream::iter(bytes).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::convert::Infallible>(Bytes::from(vec![byte]))
    });
    Response::from_parts(parts, Body::from_stream(drops))
}

async fn read(body: Body) -> Vec<u8> {
    // The servers of the world write short answers only.
    to_bytes(body, MOST)
        .await
        .map_or_else(|_long| Vec::new(), |bytes| bytes.to_vec())
}

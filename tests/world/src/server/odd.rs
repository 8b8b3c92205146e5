//! Handlers for what a client must survive: redirects, garbage, floods and trickles.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

/// Bytes in one piece of a flood.
const PIECE: usize = 64 * 1024;

/// Redirects every request to `location` with this status.
pub fn redirect(status: StatusCode, location: &str) -> Router {
    let location = HeaderValue::try_from(location).ok();
    answer(move || {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        if let Some(location) = location.clone() {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    })
}

/// Answers every request with these bytes under this content type.
pub fn fixed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Router {
    let body = body.into();
    answer(move || {
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    })
}

/// Answers every request with so many spaces, without saying beforehand how many.
pub fn flood(bytes: usize) -> Router {
    answer(move || Response::new(spaces(bytes, PIECE, None)))
}

/// Answers every request with so many spaces, one at a time with a wait before each.
pub fn trickle(bytes: usize, wait: Duration) -> Router {
    answer(move || Response::new(spaces(bytes, 1, Some(wait))))
}

/// Repeats the request's headers and body in the answer's body, as a server does that leaks what it
/// was told.
pub fn echo() -> Router {
    Router::new().fallback(async |request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, PIECE).await.unwrap_or_default();
        let mut text = format!("{} {}\n", parts.method, parts.uri).into_bytes();
        for (name, value) in &parts.headers {
            text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        text.extend([b"\n", body.as_ref()].concat());
        Response::new(Body::from(text))
    })
}

fn answer(make: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Router {
    Router::new().fallback(async move || make())
}

/// A body of spaces that is made as it is read.
fn spaces(bytes: usize, piece: usize, wait: Option<Duration>) -> Body {
    Body::from_stream(stream::unfold(bytes, move |left| async move {
        if left == 0 {
            return None;
        }
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        let piece = piece.min(left);
        Some((
            Ok::<_, Infallible>(Bytes::from(vec![b' '; piece])),
            left - piece,
        ))
    }))
}

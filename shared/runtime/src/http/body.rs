//! The JSON body of a request. The order of the checks is the order of the statuses: 415 when it
//! is not called JSON, 413 when too large, 400 when it is no JSON at all, 422 when it is JSON of
//! another shape.

use super::problem::{FieldError, Problem};
use axum::{
    body::Body as Raw,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest body taken, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// How much of an oversized body is read and thrown away, in bytes. A client that is still
/// sending when the connection closes would never see the answer.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;

/// Extracts a JSON body; every rejection is a [`Problem`] that names the field where it can.
#[derive(Debug, Clone, Copy)]
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .detail("the body must be JSON, with content-type application/json"));
        }
        let bytes = read(declared_length(&parts.headers), body).await?;
        parse(&bytes).map(Body)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(declared: Option<usize>, body: Raw) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE)
            .detail(format!("the body is larger than {MAX_BODY} bytes"))
    };
    if declared.is_some_and(|length| length > MAX_DISCARDED) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Problem::bad_request("the body ended before it was complete"))?;
        total += chunk.len();
        if total <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        } else if total > MAX_DISCARDED {
            break;
        }
    }
    if total > MAX_BODY { Err(too_large()) } else { Ok(bytes) }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    // A first pass without the type: whether the text is JSON, and not nested beyond reason, must
    // not depend on where the typed pass would have stopped.
    serde_json::from_str::<Value>(text)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(
        |error| {
            let message = error.inner().to_string();
            // The position says nothing that the field does not.
            let message = message.split(" at line ").next().unwrap_or(&message);
            Problem::unprocessable(vec![named(&error.path().to_string(), message)])
        },
    )
}

/// A field that is missing or given twice is reported at its object: its own name must be added.
pub(super) fn named(path: &str, message: &str) -> FieldError {
    let path = if path == "." { "" } else { path };
    let of_object = [("missing field `", "is missing"), ("duplicate field `", "is given twice")];
    for (start, what) in of_object {
        let field = message.strip_prefix(start).and_then(|rest| rest.strip_suffix('`'));
        match field {
            Some(field) if path.is_empty() => return FieldError::new(field, what),
            Some(field) => return FieldError::new(format!("{path}.{field}"), what),
            None => {}
        }
    }
    FieldError::new(path, message)
}

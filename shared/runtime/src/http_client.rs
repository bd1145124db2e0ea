//! The one set-up of the HTTP client for everything that talks to another system.

use crate::trace::{Kind, Span};
use reqwest::header::HeaderValue;
use std::time::Duration;

/// To find a host and to greet it.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// From the first byte sent to the last byte received. A caller with a tighter budget sets its
/// own limit around the call.
const CALL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct Error(#[from] reqwest::Error);

/// A client with time limits that follows no redirect: an answer of a gateway that points
/// elsewhere is a fault, not an invitation to repeat a payment there. Clone it, it holds a pool.
pub fn client() -> Result<reqwest::Client, Error> {
    // Refused when another part of the process was first; then that provider serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("saga-orchestrator/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// Sends `request` to `peer` within the trace that this task is in, if it is in one. The span names
/// no URL, which may hold credentials.
pub async fn send(
    peer: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, reqwest::Error> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let mut span = Span::here(Kind::Client, || request.method().to_string());
    let Some(context) = span.context() else { return client.execute(request).await };
    span.set("http.request.method", request.method().as_str());
    span.set("peer.service", peer);
    if let Ok(value) = HeaderValue::from_str(&context.to_string()) {
        request.headers_mut().insert("traceparent", value);
    }
    let answer = client.execute(request).await;
    match &answer {
        Ok(answer) => {
            span.set("http.response.status_code", answer.status().as_u16());
            if answer.status().is_server_error() {
                span.fail("server-error", || format!("answered with {}", answer.status()));
            }
        }
        Err(error) if error.is_timeout() => span.fail("timeout", || "no answer in time".to_owned()),
        Err(_) => span.fail("unreachable", || "no answer".to_owned()),
    }
    answer
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_client_can_be_made_again_and_again() {
        super::client().unwrap();
        super::client().unwrap();
    }
}

//! What surrounds every handler: a request id, a span, a duration, a time limit, and a net for
//! panics.

use super::problem::Problem;
use crate::trace::{self, Context, Kind, Span};
use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::Instrument as _;
use uuid::Uuid;

/// How long a request may take, from its head to the head of its answer, unless
/// [`with_time_limit`] says otherwise.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);

const RETRY_AFTER_S: u32 = 2;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request, an extension of it: the client's own if it sent a usable one.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Lets the routes added so far take longer, or less long, than [`REQUEST_LIMIT`].
pub fn with_time_limit<S>(router: Router<S>, limit: Duration) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.route_layer(from_fn(move |request: Request, next: Next| {
        if let Some(current) = request.extensions().get::<TimeLimit>() {
            current.0.send_replace(limit);
        }
        next.run(request)
    }))
}

/// The limit of the request in flight. The outer layer watches it, a route may change it.
#[derive(Clone)]
struct TimeLimit(Arc<watch::Sender<Duration>>);

/// Answers for a handler that takes too long or panics.
pub(super) async fn guard(mut request: Request, next: Next) -> Response {
    let limit = TimeLimit(Arc::new(watch::Sender::new(REQUEST_LIMIT)));
    let mut changes = limit.0.subscribe();
    request.extensions_mut().insert(limit.clone());
    let started = tokio::time::Instant::now();
    let mut handling = pin!(AssertUnwindSafe(next.run(request)).catch_unwind());
    loop {
        let end = started + *changes.borrow_and_update();
        tokio::select! {
            biased;
            done = &mut handling => return done.unwrap_or_else(|panic| panicked(&*panic)),
            Ok(()) = changes.changed() => {}
            () = tokio::time::sleep_until(end) => {
                tracing::warn!(limit_s = (end - started).as_secs_f64(), "request gave out of time");
                return Problem::unavailable("this took too long; try again", RETRY_AFTER_S)
                    .into_response();
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    Problem::internal().into_response()
}

/// Gives the request its id and span, and records how long it took.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("http", method, route, request_id = id);
    request.extensions_mut().insert(RequestId(id.clone()));

    let mut traced = traced(request.headers(), method, &route);
    let started = Instant::now();
    let mut response = traced.surround(next.run(request).instrument(span.clone())).await;
    let taken = started.elapsed().as_secs_f64();

    let status = response.status().as_u16();
    traced.set("http.response.status_code", status);
    if response.status().is_server_error() {
        traced.fail("server-error", || format!("answered with {status}"));
    }
    drop(traced);
    span.in_scope(|| tracing::debug!(status, taken_s = taken, "request handled"));
    metrics::histogram!("http_server_request_duration_seconds",
        "method" => method, "route" => route, "status" => status.to_string())
    .record(taken);
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The request in the client's trace, or in one that begins here: at what a client asks of an API,
/// not at probes and pages.
fn traced(headers: &HeaderMap, method: &'static str, route: &str) -> Span {
    if !trace::is_on() {
        return Span::default();
    }
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let parent = parent.and_then(Context::parse);
    if parent.is_none() && !route.starts_with("/api/") {
        return Span::default();
    }
    let mut span = Span::begin(Kind::Server, parent, || format!("{method} {route}"));
    span.set("http.request.method", method);
    span.set("http.route", route);
    span
}

/// The id that the client sent, if it can go into a log line and back out as a header.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let usable = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| id.to_owned())
}

/// A label of few values: a client may invent methods.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

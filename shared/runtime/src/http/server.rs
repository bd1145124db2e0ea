//! The server: the routes every process has, the layers, and connections with limits.

use super::{layers, problem::Problem};
use crate::{health::Health, shutdown::Shutdown, telemetry};
use axum::{
    Json, Router,
    http::{Method, StatusCode, Uri, header},
    middleware::from_fn,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// What the server bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a client may take to send the head of a request, and an idle connection may stay.
    pub head: Duration,
    /// How long requests in flight may take once a shutdown has begun.
    pub drain: Duration,
    /// Connections at one time; further ones wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { head: seconds(10), drain: seconds(10), connections: 1024 }
    }
}

/// A pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address} (HTTP_BIND, PORT)")]
    Listen { address: SocketAddr, source: io::Error },
}

/// Serves `router` with everything [`app`] adds until `shutdown` begins, then answers the
/// requests in flight and returns.
pub async fn serve(
    bind: IpAddr,
    port: u16,
    router: Router,
    health: Health,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let listener = listen(bind, port).await?;
    serve_on(listener, router, health, shutdown, Limits::default()).await;
    Ok(())
}

/// Takes the address; port 0 takes any free port.
pub async fn listen(bind: IpAddr, port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(bind, port);
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// `router` with `/healthz`, `/readyz`, `/metrics`, problem documents for unknown routes and
/// wrong methods, and the layers: request id, duration, time limit, panic net. Replaces a fallback
/// that `router` may have.
pub fn app(router: Router, health: Health) -> Router {
    router
        .route("/healthz", get(|| async { Json(serde_json::json!({"status": "ok"})) }))
        .route("/readyz", get(move || async move { health.readiness() }))
        .route("/metrics", get(metrics_text))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(layers::guard))
        .layer(from_fn(layers::observe))
}

/// [`serve`] on a listener that is already bound, within limits of one's own.
pub async fn serve_on(
    listener: TcpListener,
    router: Router,
    health: Health,
    shutdown: Shutdown,
    limits: Limits,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening");
    }
    let app = app(router, health);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = shutdown.begun() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(app.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            // A client that went away or was too slow: nothing that anybody must look at.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(limit_s = limits.drain.as_secs_f64(), "requests in flight were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

async fn metrics_text() -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry::metrics_text())
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED)
        .detail(format!("{} does not take {method}", uri.path()))
}

//! REST: inspect sagas, start them, cancel and resume them.

pub mod dead_letters;
mod list;
mod verbs;
mod view;

use crate::{engine::Engine, sending::Sender};
use axum::{
    Router,
    routing::{get, post},
};
use runtime::http::Problem;

/// What every route works with.
#[derive(Clone)]
pub struct Desk {
    pub engine: Engine,
    pub sender: Sender,
}

pub fn router(desk: Desk) -> Router {
    Router::new()
        .route("/api/v1/sagas", get(list::sagas).post(verbs::start))
        .route("/api/v1/sagas/{id}", get(view::saga))
        .route("/api/v1/sagas/{id}/cancel", post(verbs::cancel))
        .route("/api/v1/sagas/{id}/resume", post(verbs::resume))
        .route("/api/v1/definitions", get(list::definitions))
        .with_state(desk)
}

/// The journal's errors, to a client: away (503) or broken (500, logged here).
fn problem(error: sqlx::Error) -> Problem {
    if store::is_infrastructure(&error) || store::is_retriable(&error) {
        tracing::warn!(%error, "the journal does not answer");
        return Problem::unavailable("the orchestrator's database does not answer", 2);
    }
    tracing::error!(%error, "the journal failed");
    Problem::internal()
}

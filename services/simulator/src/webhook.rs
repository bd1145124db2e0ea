//! Receives whatever is posted, and lists it: what a customer's phone would have shown.

use crate::{Simulator, answer::Answer, fault::Target::Webhook, request::unwritten};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use runtime::http::Body;
use serde_json::{Value, json};

pub(crate) fn routes() -> Router<Simulator> {
    Router::new().route("/webhook", post(receive).get(list))
}

async fn receive(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Answer, Answer> {
    simulator.faults.admit(Webhook, &headers).await?;
    let key = crate::request::key(&headers).unwrap_or_default();
    simulator.book.receive(key, body).map_err(unwritten)
}

async fn list(State(simulator): State<Simulator>) -> Json<Value> {
    let ledger = simulator.ledger();
    Json(json!({ "items": ledger.receptions().collect::<Vec<_>>(), "next": null }))
}

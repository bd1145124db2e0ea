//! Faults to set, and the ledger to audit.

use crate::{
    Simulator,
    fault::{Fault, Mode, Target},
};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, put},
};
use runtime::http::{Body, Params, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    target: Target,
    mode: Mode,
    #[serde(default)]
    latency_ms: Option<u64>,
    #[serde(default)]
    error_rate: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only keys that begin so; a saga's keys begin with its id.
    #[serde(default)]
    key: String,
}

pub(crate) fn routes() -> Router<Simulator> {
    Router::new().route("/faults", put(set_fault).get(list_faults)).route("/ledger", get(ledger))
}

async fn set_fault(
    State(simulator): State<Simulator>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Problem> {
    if wanted.error_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
        return Err(Problem::field("error_rate", "must be from 0.0 to 1.0"));
    }
    let fault = Fault::new(wanted.mode, wanted.latency_ms, wanted.error_rate);
    simulator.faults.set(wanted.target, fault);
    tracing::info!(target = ?wanted.target, ?fault, "fault set");
    Ok(list_faults(State(simulator)).await)
}

async fn list_faults(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.faults.all()))
}

async fn ledger(State(simulator): State<Simulator>, Params(filter): Params<Filter>) -> Json<Value> {
    let ledger = simulator.ledger();
    let authorisations: Vec<_> =
        ledger.authorisations().filter(|record| record.key.starts_with(&filter.key)).collect();
    let shipments: Vec<_> =
        ledger.shipments().filter(|record| record.key.starts_with(&filter.key)).collect();
    Json(json!({ "authorisations": authorisations, "shipments": shipments }))
}

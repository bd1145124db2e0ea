//! The carrier: book a parcel, cancel it.

use crate::{Simulator, answer::Answer, fault::Target::Carrier, ledger::Ship};
use axum::{Router, extract::State, http::HeaderMap, routing::post};
use runtime::http::Body;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Booked {
    /// The idempotency key under which the parcel was booked.
    shipment_key: String,
}

pub(crate) fn routes() -> Router<Simulator> {
    Router::new().route("/shipments", post(book)).route("/cancellations", post(cancel))
}

async fn book(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(wanted): Body<Ship>,
) -> Result<Answer, Answer> {
    let told = simulator
        .tell(Carrier, "book", &headers, &wanted, |key, ledger| {
            ledger.ship(key, &wanted, format!("TRK{:X}", uuid::Uuid::now_v7().as_u128()))
        })
        .await?;
    Ok(told.answer)
}

async fn cancel(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(named): Body<Booked>,
) -> Result<Answer, Answer> {
    let told = simulator
        .tell(Carrier, "cancel", &headers, &named, |_, ledger| ledger.cancel(&named.shipment_key))
        .await?;
    Ok(told.answer)
}

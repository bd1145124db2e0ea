//! The outside world, simulated: a payment gateway, a carrier and a webhook receiver, over HTTP.
//!
//! All three are idempotent by the `Idempotency-Key` header: the same key gets the same answer,
//! also after a restart. The [`ledger`] is the truth that audits read: what money is set aside or
//! taken, and which parcels are on their way, whatever the services believe.
//!
//! Undoing something that never arrived succeeds, and the late arrival is then refused: so a
//! caller that does not know whether its request came through can settle it by its key.
//!
//! Faults are set per target (`PUT /admin/faults`), per request (`x-fault`), or by the payment
//! method (`card_timeout`, `card_flaky`).

mod admin;
mod answer;
mod book;
mod carrier;
mod fault;
mod gateway;
pub mod journal;
pub mod ledger;
mod request;
mod webhook;

use axum::Router;
use std::{path::Path, sync::Arc};

/// The state behind the routes.
#[derive(Clone)]
pub struct Simulator {
    book: Arc<book::Book>,
    faults: Arc<fault::Faults>,
}

impl Simulator {
    /// Replays the journal at `path` and appends to it from then on; memory only without a path.
    pub fn open(path: Option<&Path>) -> Result<Self, journal::Error> {
        Ok(Simulator { book: Arc::new(book::Book::open(path)?), faults: Arc::default() })
    }

    /// Every authorisation and shipment as it stands.
    pub fn ledger(&self) -> ledger::Ledger {
        self.book.ledger()
    }

    pub fn router(self) -> Router {
        Router::new()
            .nest("/gateway", gateway::routes())
            .nest("/carrier", carrier::routes())
            .nest("/admin", admin::routes())
            .merge(webhook::routes())
            .with_state(self)
    }
}

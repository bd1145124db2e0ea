//! The sagas of this system. The only place under `orchestrator/` that may name an order.

mod place_order;

pub use place_order::PlaceOrder;

use saga_core::Catalogue;
use std::time::Duration;

/// Every definition that the orchestrator drives, each leg's patience replaced where given.
pub fn catalogue(timeout: Option<Duration>, attempts: Option<u8>) -> Catalogue {
    Catalogue::default().with(PlaceOrder::definition().with_patience(timeout, attempts))
}

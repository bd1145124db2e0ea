//! The sagas of this system. The only place under `orchestrator/` that may name an order.

mod place_order;

pub use place_order::PlaceOrder;

use saga_core::{Catalogue, Patience};

/// Every definition that the orchestrator drives, with this patience where it says something.
pub fn catalogue(patience: Patience) -> Catalogue {
    Catalogue::default().with(PlaceOrder::definition().with_patience(patience))
}

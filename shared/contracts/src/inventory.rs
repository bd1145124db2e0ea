//! Inventory: what is on the shelf, and what is held for an order until it is let go or shipped.

use crate::{Command, Never, SagaId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much of one product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub product_id: String,
    /// At least 1.
    pub quantity: i32,
}

/// Hold every line for the order, or none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReserveStock {
    pub order: SagaId,
    pub lines: Vec<Line>,
}

impl Command for ReserveStock {
    const TYPE: &'static str = "inventory.reserve-stock";
    type Reply = ();
    type Refusal = StockRefusal;
}

/// Why stock cannot be held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum StockRefusal {
    OutOfStock { product_id: String, wanted: i32, free: i32 },
    UnknownProduct { product_id: String },
}

impl fmt::Display for StockRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StockRefusal::OutOfStock { product_id, wanted, free } => {
                write!(f, "out of stock: {wanted} of {product_id} wanted, {free} free")
            }
            StockRefusal::UnknownProduct { product_id } => {
                write!(f, "unknown product {product_id}")
            }
        }
    }
}

/// Let go of what [`ReserveStock`] holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseStock {
    pub order: SagaId,
}

impl Command for ReleaseStock {
    const TYPE: &'static str = "inventory.release-stock";
    type Reply = ();
    type Refusal = Never;
}

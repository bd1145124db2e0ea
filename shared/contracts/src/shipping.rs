//! Shipping: a parcel booked with a carrier, or cancelled.

use crate::{Command, Never, SagaId, inventory::Line};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a parcel goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookShipment {
    pub order: SagaId,
    pub ship_to: Address,
    pub lines: Vec<Line>,
}

impl Command for BookShipment {
    const TYPE: &'static str = "shipping.book";
    type Reply = ShipmentBooked;
    type Refusal = Undeliverable;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShipmentBooked {
    /// The carrier's tracking number.
    pub tracking: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undeliverable {
    /// The carrier's code: `undeliverable`.
    pub reason: String,
}

impl fmt::Display for Undeliverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carrier refused: {}", self.reason)
    }
}

/// Cancel the parcel, whether or not the carrier ever saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelShipment {
    pub order: SagaId,
}

impl Command for CancelShipment {
    const TYPE: &'static str = "shipping.cancel";
    type Reply = ();
    type Refusal = Never;
}

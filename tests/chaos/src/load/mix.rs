//! Which orders there are.

use serde_json::{Value, json};
use testkit::Random;

/// Sold out from the beginning.
const SOLD_OUT: &str = "prod_024";
/// There is plenty of these.
const PRODUCTS: usize = 22;

/// Who the customers are and where they live, which no log may tell.
pub const SECRETS: [&str; 2] = ["Planted Customer", "Planted Street 7"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    Declined,
    OutOfStock,
    Undeliverable,
    /// Good, and cancelled by the customer within its first moments.
    Cancelled,
    /// Good, after the gateway has failed twice.
    Flaky,
}

impl Kind {
    pub(super) fn draw(random: &mut Random) -> Self {
        match random.below(100) {
            0..8 => Kind::Declined,
            8..13 => Kind::OutOfStock,
            13..18 => Kind::Undeliverable,
            18..24 => Kind::Cancelled,
            24..29 => Kind::Flaky,
            _ => Kind::Good,
        }
    }

    /// Whether such an order may end as completed.
    pub fn may_complete(self) -> bool {
        matches!(self, Kind::Good | Kind::Cancelled | Kind::Flaky)
    }

    pub(super) fn body(self, number: usize, random: &mut Random) -> Value {
        let method = match self {
            Kind::Declined => "card_declined",
            Kind::Flaky => "card_flaky",
            _ => "card_ok",
        };
        let country = if self == Kind::Undeliverable { "XX" } else { "DE" };
        let product = match self {
            Kind::OutOfStock => SOLD_OUT.to_owned(),
            _ => format!("prod_{:03}", 1 + random.below(PRODUCTS)),
        };
        json!({
            "customer_id": format!("cust_{number}"),
            "items": [{ "product_id": product, "quantity": 1 + random.below(3) }],
            "payment_method": method,
            "ship_to": { "name": SECRETS[0], "street": SECRETS[1], "country": country },
        })
    }
}
